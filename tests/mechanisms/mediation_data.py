"""Small mediation systems with known parameters, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import scipy.sparse as sp

from simulated import named_weights, nearest, row_standardised
from spillover.panel.panel import Panel
from spillover.weights.weights import SpatialWeights

SERIAL = {
    "first": "m1 ~ x + W*x + c + W*m1",
    "second": "m2 ~ x + W*x + m1 + W*m1 + W*m2",
    "third": "m3 ~ x + near*x + c",
}
OUTCOME = "y ~ x + W*x + m1 + m2 + W*m2 + m3 + near*m3 + c + W*y"


def three_weights(n: int) -> dict[str, SpatialWeights]:
    """Asymmetric k nearest neighbours, another one, and a kernel whose rows do not sum to one."""
    points = np.random.default_rng(3).random((n, 2))
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    kernel = np.exp(-4.0 * distance) * (distance < 0.5)
    np.fill_diagonal(kernel, 0.0)
    ids = tuple(f"r{i:03d}" for i in range(n))
    return {
        "W": named_weights(row_standardised(nearest(n, 5, 1))),
        "second": named_weights(row_standardised(nearest(n, 4, 2))),
        "near": SpatialWeights(sp.csr_matrix(kernel), ids, "kernel"),
    }


def simulate_system(
    weights: Mapping[str, SpatialWeights],
    t: int,
    seed: int,
    *,
    confounder: float = 0.0,
    persistence: float = 0.0,
    third: bool = True,
) -> Panel:
    """Panel of `SERIAL` and `OUTCOME` at `TRUTH`; `confounder` is the correlation of the errors of m1 and y."""
    rng = np.random.default_rng(seed)
    w, second, near = weights["W"], weights["second"], weights["near"]
    n = w.n

    def noise() -> np.ndarray:
        e = rng.normal(size=(n, t))
        for j in range(1, t):
            e[:, j] = persistence * e[:, j - 1] + np.sqrt(1 - persistence**2) * e[:, j]
        return e

    def effects() -> np.ndarray:
        return rng.normal(size=(n, 1)) + rng.normal(size=(1, t))

    def solve(matrix: SpatialWeights, rho: float, right: np.ndarray) -> np.ndarray:
        return np.asarray(np.linalg.solve(np.eye(n) - rho * matrix.matrix.toarray(), right))

    x, c = noise() + effects(), noise() + effects()
    u1, u2, u3, shock = noise(), noise(), noise(), noise()
    e = confounder * u1 + np.sqrt(1 - confounder**2) * shock
    p = TRUTH
    m1 = solve(w, p["first: rho"], p["first: x"] * x + p["first: W*x"] * w.lag(x) + p["first: c"] * c + effects() + u1)
    m2 = solve(
        second,
        p["second: rho"],
        p["second: x"] * x
        + p["second: W*x"] * second.lag(x)
        + p["second: m1"] * m1
        + p["second: W*m1"] * second.lag(m1)
        + effects()
        + u2,
    )
    m3 = p["third: x"] * x + p["third: near*x"] * near.lag(x) + p["third: c"] * c + effects() + u3
    right = p["outcome: x"] * x + p["outcome: W*x"] * w.lag(x) + p["outcome: m1"] * m1 + p["outcome: m2"] * m2
    right = right + p["outcome: W*m2"] * w.lag(m2)
    if third:  # the one channel that works against the others
        right = right + p["outcome: m3"] * m3 + p["outcome: near*m3"] * near.lag(m3)
    y = solve(w, p["outcome: rho"], right + p["outcome: c"] * c + effects() + e)
    return Panel(w.regions, tuple(range(2000, 2000 + t)), {"x": x, "c": c, "m1": m1, "m2": m2, "m3": m3, "y": y})


TRUTH = {
    "first: x": 0.8,
    "first: W*x": 0.4,
    "first: c": 0.5,
    "first: rho": 0.4,
    "second: x": 0.5,
    "second: W*x": 0.3,
    "second: m1": 0.3,
    "second: W*m1": 0.2,
    "second: rho": 0.3,
    "third: x": -0.6,
    "third: near*x": 0.15,
    "third: c": 0.2,
    "outcome: x": 0.3,
    "outcome: W*x": 0.2,
    "outcome: m1": 0.7,
    "outcome: m2": 0.5,
    "outcome: W*m2": 0.25,
    "outcome: m3": 0.4,
    "outcome: near*m3": -0.1,
    "outcome: c": 0.3,
    "outcome: rho": 0.35,
}


def dense_paths(theta: Mapping[str, float], weights: Mapping[str, SpatialWeights]) -> dict[str, np.ndarray]:
    """Path → (n, n) matrix of the system of `SERIAL` and `OUTCOME`, from explicit inverses."""
    w, second, near = (weights[name].matrix.toarray() for name in ("W", "second", "near"))
    i = np.eye(len(w))
    p = theta
    s1, s2 = np.linalg.inv(i - p["first: rho"] * w), np.linalg.inv(i - p["second: rho"] * second)
    sy = np.linalg.inv(i - p["outcome: rho"] * w)
    first = s1 @ (p["first: x"] * i + p["first: W*x"] * w)
    alone = s2 @ (p["second: x"] * i + p["second: W*x"] * second)
    passed = s2 @ (p["second: m1"] * i + p["second: W*m1"] * second) @ first
    third = p["third: x"] * i + p["third: near*x"] * near
    b1, b2 = p["outcome: m1"] * i, p["outcome: m2"] * i + p["outcome: W*m2"] * w
    b3 = p["outcome: m3"] * i + p["outcome: near*m3"] * near
    return {
        "not through a channel": sy @ (p["outcome: x"] * i + p["outcome: W*x"] * w),
        "first": sy @ b1 @ first,
        "second": sy @ b2 @ alone,
        "first → second": sy @ b2 @ passed,
        "third": sy @ b3 @ third,
    }
