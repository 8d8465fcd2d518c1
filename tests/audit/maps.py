"""A map whose regions form groups, and panels on it without any spillover."""

from __future__ import annotations

import numpy as np

from simulated import named_weights, row_standardised
from spillover.panel.panel import Panel
from spillover.typing import FloatArray, IntArray
from spillover.weights.weights import SpatialWeights


def grouped_map(n: int, side: int, k: int, seed: int) -> tuple[SpatialWeights, dict[str, str], IntArray]:
    """(k nearest neighbours of random points, region → group, codes): groups are the side × side squares of the map."""
    points = np.random.default_rng(seed).random((n, 2))
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    links = np.zeros((n, n))
    links[np.repeat(np.arange(n), k), np.argsort(distance, axis=1)[:, :k].ravel()] = 1.0
    codes = (points[:, 0] * side).astype(int) * side + (points[:, 1] * side).astype(int)
    w = named_weights(row_standardised(links))
    return w, {region: f"g{code}" for region, code in zip(w.regions, codes, strict=True)}, codes


def shocked_panel(w: SpatialWeights, codes: IntArray, t: int, seed: int, shock: float = 1.5) -> Panel:
    """y = 0.3 x + group × time shock + noise: no spillover; x shares half of the shocks, so that W x picks them up."""
    rng = np.random.default_rng(seed)
    n, groups = w.n, codes.max() + 1
    common = rng.normal(size=(groups, t))
    of_y = 0.5 * common + 0.5 * rng.normal(size=(groups, t))
    x = shock * common[codes] + rng.normal(size=(n, t))
    y = 0.3 * x + shock * of_y[codes] + rng.normal(size=(n, t)) + rng.normal(size=(n, 1))
    return panel_of(w, y=y, x=x)


def panel_of(w: SpatialWeights, **variables: FloatArray) -> Panel:
    """A panel on the regions of W, years from 2001."""
    t = next(iter(variables.values())).shape[1]
    return Panel(w.regions, tuple(range(2001, 2001 + t)), variables)
