"""What happens to regions without neighbours: one policy, chosen once on W and recorded on it.

error    refuse (the default)
keep     their spatial lag is 0; Wι ≠ ι then, so shortcuts that need it are off
nearest  link both ways with the nearest region
drop     take them out of W; the panel must be restricted to the same regions by the user
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import numpy as np
import scipy.sparse as sp

from spillover.errors import IslandError, WeightsError, check_option, show_labels
from spillover.panel.wording import count_of
from spillover.typing import FloatArray, IntArray, IslandPolicy
from spillover.weights.points import Points
from spillover.weights.weights import SpatialWeights

Kernel = Callable[[FloatArray], FloatArray]
"""Weights of links from their distances in km."""

# Names in notes are for the record, so that many are shown; a map of islands only is a mistake anyway.
_NAMED = 60


def apply_island_policy(
    weights: SpatialWeights,
    policy: IslandPolicy,
    coordinates: FloatArray | None = None,
    lonlat: bool = False,
    *,
    kernel: Kernel | None = None,
) -> SpatialWeights:
    """W after the policy for regions whose row is empty; what was done is in its notes, by name.

    Parameters
    ----------
    weights : SpatialWeights that keeps its islands, not yet standardised.
    policy : "error", "keep", "nearest" or "drop".
    coordinates : (n, 2) in the order of W, needed by "nearest" when there are islands; degrees when `lonlat`, else km.
    lonlat : whether coordinates are longitude and latitude.
    kernel : weight of a new link from its km; without it a new link gets the median of the other weights.

    Raises
    ------
    OptionError : unknown policy.
    IslandError : policy "error" and there are islands; "nearest" without coordinates; "drop" leaves nothing.

    Dropping a region can leave another without neighbours when links run one way; those go too, and are named.
    """
    check_option("islands", policy, get_args(IslandPolicy))
    islands = weights.islands
    if not islands or policy == "error":
        return replace(weights, island_policy=policy)
    if policy == "keep":
        kept = f"{count_of(len(islands), 'region')} without neighbours kept, with spatial lag 0"
        note = f"{kept}: {weights.tell(islands, _NAMED)}"
        return replace(weights, island_policy="keep", notes=(*weights.notes, note))
    if policy == "drop":
        return _drop(weights)
    if coordinates is None:
        raise IslandError(
            f"{count_of(len(islands), 'region has', 'regions have')} no neighbour, "
            "and the nearest region cannot be found without coordinates",
            got=weights.tell(islands),
            causes=("W was read from a file or made from another object", "W is a part of a larger W"),
            fix="give the places with source=panel (a panel with a map), name the links by hand with links=[(a, b)], "
            'or choose islands="keep" or "drop"',
        )
    return _link_nearest(weights, Points(weights.regions, coordinates, lonlat), kernel)


def _drop(weights: SpatialWeights) -> SpatialWeights:
    matrix = weights.matrix
    left = np.arange(weights.n)
    while len(left) and (np.diff(matrix.indptr) == 0).any():
        linked = np.flatnonzero(np.diff(matrix.indptr))
        left, matrix = left[linked], matrix[linked][:, linked]
    gone = [weights.regions[i] for i in sorted(set(range(weights.n)) - set(left.tolist()))]
    if not len(left):
        raise IslandError(
            "dropping regions without neighbours leaves no region at all",
            got=f"{weights.n} regions, {weights.matrix.nnz} links ({weights.kind})",
            causes=("borders that do not quite touch", "a threshold that is too short", "links that run one way only"),
        )
    note = (
        f"{count_of(len(gone), 'region')} without neighbours dropped from W: {weights.tell(gone, _NAMED)}; "
        "restrict the panel to the same regions with panel.select(regions=W.regions)"
    )
    regions = tuple(weights.regions[i] for i in left)
    added = tuple(link for link in weights.added if link[0] in regions and link[1] in regions)
    return replace(
        weights, matrix=matrix, regions=regions, island_policy="drop", notes=(*weights.notes, note), added=added
    )


def _link_nearest(weights: SpatialWeights, points: Points, kernel: Kernel | None) -> SpatialWeights:
    if weights.n < 2:
        raise IslandError(
            "a single region has no nearest region to be linked with",
            got=show_labels(weights.regions),
            expected="two regions or more",
        )
    empty = np.flatnonzero(np.diff(weights.matrix.indptr) == 0)
    receivers, senders = points.nearest(1, of=empty)
    distance = points.distances(receivers, senders)
    linked = join_both_ways(weights, receivers, senders, None if kernel is None else kernel(distance))
    told = [
        f"{weights.told(points.regions[i])} with {weights.told(points.regions[j])} ({km:.0f} km)"
        for i, j, km in zip(receivers, senders, distance, strict=True)
    ]
    linked_with = f"{count_of(len(empty), 'region')} without neighbours linked both ways with the nearest"
    return replace(
        linked,
        island_policy="nearest",
        notes=(*linked.notes, f"{linked_with}: {show_labels(told, _NAMED)}"),
        added=(
            *linked.added,
            *((points.regions[i], points.regions[j], "nearest") for i, j in zip(receivers, senders, strict=True)),
        ),
    )


def join_both_ways(weights: SpatialWeights, i: IntArray, j: IntArray, values: FloatArray | None) -> SpatialWeights:
    """W with links between positions i and j in both directions; a link that is there already keeps its weight.

    values : (m,) weights of the links; the median of the weights of W by default (1 for a binary W).
    """
    if values is None:
        median = float(np.median(weights.matrix.data)) if weights.matrix.nnz else 1.0
        values = np.full(len(i), median)
    vanished = ~((values > 0.0) & np.isfinite(values))
    if vanished.any():
        ids = weights.regions
        far = (
            f"{weights.told(ids[a])} with {weights.told(ids[b])}" for a, b in zip(i[vanished], j[vanished], strict=True)
        )
        raise WeightsError(
            "links whose weight is too small or too large for the computer to hold",
            got=f"{weights.kind}: {show_labels(far)}",
            fix="choose a smaller power or decay, or link these regions with another policy",
        )
    rows, columns = np.r_[i, j], np.r_[j, i]
    _, first = np.unique(rows * weights.n + columns, return_index=True)
    rows, columns, both = rows[first], columns[first], np.r_[values, values][first]
    present = np.asarray(weights.matrix[rows, columns]).ravel() != 0.0
    added = sp.csr_matrix((both[~present], (rows[~present], columns[~present])), shape=weights.matrix.shape)
    return replace(weights, matrix=weights.matrix + added)
