"""Small maps and simulated panels with known parameters, for all tests."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from spillover.panel.panel import Panel
from spillover.weights.weights import SpatialWeights


def row_standardised(links: np.ndarray) -> sp.csr_matrix:
    """A dense non-negative matrix with rows scaled to sum to one."""
    return sp.csr_matrix(links / links.sum(axis=1, keepdims=True))


def lattice(rows: int, columns: int, *, queen: bool = False) -> np.ndarray:
    """0/1 neighbours of a rectangular grid."""
    at = np.array([(i, j) for i in range(rows) for j in range(columns)])
    gap = np.abs(at[:, None, :] - at[None, :, :])
    near = gap.max(axis=2) == 1 if queen else gap.sum(axis=2) == 1
    return near.astype(float)


def nearest(n: int, k: int, seed: int) -> np.ndarray:
    """0/1 k nearest neighbours of random points: an asymmetric W with complex eigenvalues."""
    points = np.random.default_rng(seed).random((n, 2))
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    links = np.zeros((n, n))
    links[np.repeat(np.arange(n), k), np.argsort(distance, axis=1)[:, :k].ravel()] = 1.0
    return links


def named_weights(matrix: np.ndarray | sp.csr_matrix, standardisation: str = "row") -> SpatialWeights:
    """W with ids r000, r001, …"""
    ids = tuple(f"r{i:03d}" for i in range(matrix.shape[0]))
    return SpatialWeights(sp.csr_matrix(matrix), ids, "test links", standardisation)  # type: ignore[arg-type]


def simulate_sdm(
    weights: SpatialWeights,
    t: int,
    seed: int,
    *,
    rho: float = 0.4,
    beta: tuple[float, ...] = (1.0, -0.5),
    theta: tuple[float, ...] = (0.5, 0.3),
    noise: float = 1.0,
) -> Panel:
    """y = ρWy + Σ β_j x_j + θ_j W x_j + μ + α + ε with variables y, x0, x1, …"""
    rng = np.random.default_rng(seed)
    n = weights.n
    x = rng.normal(size=(len(beta), n, t)) + rng.normal(size=(len(beta), n, 1))
    mean = rng.normal(size=(n, 1)) + rng.normal(size=(1, t)) + noise * rng.normal(size=(n, t))
    for j, values in enumerate(x):
        mean = mean + beta[j] * values + theta[j] * weights.lag(values)
    y = np.linalg.solve(np.eye(n) - rho * weights.matrix.toarray(), mean)
    variables = {"y": y, **{f"x{j}": values for j, values in enumerate(x)}}
    return Panel(weights.regions, tuple(range(2000, 2000 + t)), variables)
