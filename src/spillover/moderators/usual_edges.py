"""Rings and thresholds for a map of any size, in the proportions of the paper's bands."""

from __future__ import annotations

import numpy as np

from spillover.errors import DesignError
from spillover.moderators.distances import Distances

RINGS = (0.0, 1.0, 2.0, 4.0, 6.0, 10.0)
"""The paper's bands, 0–50–100–200–300–500 km, in units of the first."""

THRESHOLDS = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0)
"""50 to 600 km in the same unit."""

LEFT_OVER = 0.1
"""Share of pairs beyond the last ring: rings that cover all pairs add up to the total, which period effects absorb."""

_ROUND = (1.0, 2.0, 5.0, 10.0)
SHARE = 0.2
"""Beyond the last threshold at least four fifths of the regions have somebody."""


def first_ring(distances: Distances) -> float:
    """The outer edge of the nearest ring: the median distance to the nearest region, rounded up to 1, 2 or 5 · 10^k."""
    known = distances.nearest[np.isfinite(distances.nearest)]
    near = max(float(np.median(known)), distances.shortest)
    power = 10.0 ** np.floor(np.log10(near))
    return float(next(step for step in _ROUND if step * power >= near * (1.0 - 1e-9)) * power)


def usual_rings(distances: Distances) -> tuple[float, ...]:
    """Edges of rings that hold pairs and leave some beyond the last, all within the reach of the distances."""
    edges = [step * first_ring(distances) for step in RINGS]
    data = np.sort(distances.links.data)
    kept = [edges[0]]
    for edge in edges[1:]:
        upper = np.searchsorted(data, edge, "right")
        inside = upper - np.searchsorted(data, kept[-1], "right" if kept[-1] else "left")
        left_over = np.isfinite(distances.reach) or data.size - upper >= LEFT_OVER * data.size
        if inside and edge <= distances.reach and (left_over or len(kept) == 1):
            kept.append(edge)
    if len(kept) == 1:
        raise DesignError(
            "the reach of the distances leaves no room for rings of the usual size",
            got=f"a reach of {distances.reach:g} {distances.unit}; the first ring would end at {edges[1]:g}",
            fix="give the edges of rings yourself, or take a longer reach",
        )
    return tuple(kept)


def usual_thresholds(distances: Distances) -> tuple[float, ...]:
    """Thresholds beyond which at least four fifths of the regions have somebody."""
    links = distances.links
    furthest = np.zeros(distances.n)
    np.maximum.at(furthest, links.row, links.data)
    end = min(float(np.quantile(furthest, SHARE, method="inverted_cdf")), distances.reach)
    return tuple(h for h in (step * first_ring(distances) for step in THRESHOLDS) if h < end)
