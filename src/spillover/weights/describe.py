"""Facts about a W, as data: links, neighbours, components, islands, the interval of ρ, the strongest links."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

if TYPE_CHECKING:
    from spillover.weights.weights import SpatialWeights

BOUNDS_LIMIT = 1_000
"""Up to so many regions the interval of ρ is computed without being asked for: half a second."""


def describe(weights: SpatialWeights, bounds: bool | None = None) -> dict[str, Any]:
    """See `SpatialWeights.describe`."""
    neighbours = np.diff(weights.matrix.indptr)
    components = int(sp.csgraph.connected_components(weights.matrix, directed=False)[0]) if weights.n else 0
    low, high = _interval(weights, bounds)
    degrees, regions = np.unique(neighbours, return_counts=True)
    return {
        "kind": weights.kind,
        "regions": weights.n,
        "links": int(weights.matrix.nnz),
        "neighbours_min": int(neighbours.min()),
        "neighbours_mean": float(neighbours.mean()),
        "neighbours_max": int(neighbours.max()),
        "degrees": [[int(d), int(r)] for d, r in zip(degrees, regions, strict=True)],
        "density": float(weights.matrix.nnz / max(weights.n * (weights.n - 1), 1)),
        "components": components,
        "islands": list(weights.islands),
        "island_policy": weights.island_policy,
        "standardisation": weights.standardisation,
        "rows_sum_to_one": weights.rows_sum_to_one,
        "symmetric": bool(abs(weights.matrix - weights.matrix.T).max() < 1e-12),
        "rho_low": low,
        "rho_high": high,
        "strongest": [
            f"{weights.told(sender)} → {weights.told(receiver)}: {weight:.4g}"
            for sender, receiver, weight in weights.strongest()
        ],
        "notes": list(weights.notes),
        "added": [list(link) for link in weights.added],
    }


def _interval(weights: SpatialWeights, wanted: bool | None) -> tuple[float | None, float | None]:
    """The interval of ρ, where it is wanted, or cheap, or known already."""
    ready = "engine" in weights.__dict__
    if weights.matrix.nnz == 0 or wanted is False or (wanted is None and weights.n > BOUNDS_LIMIT and not ready):
        return None, None
    low, high = weights.bounds()
    return float(low), float(high)
