"""Small maps and outcomes with a known law of decay, for the tests of distance estimators."""

from __future__ import annotations

import numpy as np

from spillover.moderators.distances import Distances, measure_distances
from spillover.panel.panel import Panel
from spillover.weights.points import Points

DECAY = 0.01


def scatter(n: int, seed: int = 0, side: float = 600.0) -> Distances:
    """Straight distances between n random places, ids r000, r001, …"""
    rng = np.random.default_rng(seed)
    ids = tuple(f"r{i:03d}" for i in range(n))
    return measure_distances(Points(ids, rng.uniform(0.0, side, (n, 2)), False))


def kernel_matrix(distances: Distances, function=lambda d: np.exp(-DECAY * d)) -> np.ndarray:
    """(n, n) function of the distances with a zero diagonal."""
    matrix = function(np.asarray(distances.matrix))
    np.fill_diagonal(matrix, 0.0)
    return matrix


def slx_panel(
    distances: Distances, t: int, seed: int, *, noise: float = 1.0, theta: float = 1.0, spatial=None
) -> Panel:
    """y = x + θ Σ_j κ(d_ij) x_j − .5 z + μ_i + α_t + noise, with variables y, x, z."""
    rng = np.random.default_rng([17, seed])
    n = distances.n
    kernel = kernel_matrix(distances) if spatial is None else kernel_matrix(distances, spatial)
    x, z = rng.normal(size=(2, n, t)) + rng.normal(size=(2, n, 1))
    y = x + theta * kernel @ x - 0.5 * z + rng.normal(size=(n, 1)) + rng.normal(size=(1, t))
    y = y + noise * rng.normal(size=(n, t))
    return Panel(distances.regions, tuple(range(2000, 2000 + t)), {"y": y, "x": x, "z": z})


def lag_panel(
    distances: Distances, t: int, seed: int, *, rho: float, theta: float, noise: float = 1.0, periods: float = 1.0
) -> Panel:
    """y = ρ W y + x + θ W x + μ_i + α_t + noise with W = κ(D) over its largest eigenvalue."""
    rng = np.random.default_rng([23, seed])
    n = distances.n
    kernel = kernel_matrix(distances)
    w = kernel / np.linalg.eigvalsh(kernel)[-1]
    x = rng.normal(size=(n, t)) + rng.normal(size=(n, 1))
    right = (
        x
        + theta * w @ x
        + rng.normal(size=(n, 1))
        + periods * rng.normal(size=(1, t))
        + noise * rng.normal(size=(n, t))
    )
    y = np.linalg.solve(np.eye(n) - rho * w, right)
    return Panel(distances.regions, tuple(range(2000, 2000 + t)), {"y": y, "x": x})


def reordered(panel: Panel, distances: Distances, seed: int = 3) -> tuple[Panel, Distances]:
    """The same data with other ids, so that regions stand in another order; and the distances, in a third order."""
    order = np.random.default_rng(seed).permutation(len(panel.regions))
    new = {region: f"s{k:03d}" for region, k in zip(panel.regions, order, strict=True)}
    back = np.argsort(order)
    ids = tuple(sorted(new.values()))
    variables = {name: values[back] for name, values in panel.variables.items()}
    renamed = Distances(
        tuple(new[region] for region in distances.regions), distances.matrix, distances.what, distances.unit
    )
    return Panel(ids, panel.periods, variables), renamed
