"""Panels with a planted threshold: points on a square, Gaussian fields with exponential correlation."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
from shapely.geometry import Point

from spillover.panel.panel import Panel
from spillover.weights.weights import SpatialWeights


def draw_threshold_panel(
    n: int = 100,
    t: int = 10,
    *,
    seed: int,
    range_km: float = 0.0,
    jumps: tuple[tuple[float, float], ...] = (),
    heteroskedastic: float = 0.0,
    spatial_q: bool = True,
    weights: SpatialWeights | None = None,
    rho: float = 0.0,
    theta: float = 0.0,
    lag_jump: tuple[float, float] = (0.0, 0.0),
) -> Panel:
    """y = x + Σ δ x 1(q ≤ γ) + θ W x + lag_δ (W x) 1(q ≤ lag_γ) + ρ W y + two-way effects + e.

    x, q and e are independent Gaussian fields of every period with correlation e^{−d/range} on a square of side
    1000·√(n/300) km; e is multiplied by exp(heteroskedastic·x). jumps and lag_jump are (δ, γ).
    """
    rng = np.random.default_rng(seed)
    places = rng.uniform(0.0, 1000.0 * np.sqrt(n / 300), (n, 2))
    distance = np.linalg.norm(places[:, None] - places[None], axis=2)
    root = np.linalg.cholesky(np.exp(-distance / range_km) + 1e-9 * np.eye(n)) if range_km else np.eye(n)
    x, e = root @ rng.standard_normal((n, t)), root @ rng.standard_normal((n, t))
    q = (root if spatial_q else np.eye(n)) @ rng.standard_normal((n, t))
    y = x + e * np.exp(heteroskedastic * x) + rng.standard_normal((n, 1)) + rng.standard_normal((1, t))
    for jump, gamma in jumps:
        y = y + jump * x * (q <= gamma)
    if weights is not None:
        lag = weights.lag(x)
        y = y + theta * lag + lag_jump[0] * lag * (q <= lag_jump[1])
        y = np.linalg.solve(np.eye(n) - rho * weights.matrix.toarray(), y)
    ids = tuple(f"r{i:03d}" for i in range(n))
    shapes = [Point(1000.0 * a, 1000.0 * b) for a, b in places]
    return Panel(
        ids,
        tuple(range(2000, 2000 + t)),
        {"y": y, "x": x, "q": q},
        geometry=gpd.GeoDataFrame(geometry=shapes, index=list(ids), crs="EPSG:3857"),
    )
