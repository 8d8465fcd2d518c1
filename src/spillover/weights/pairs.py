"""From pairs of regions and their distances to raw weights: the checks that every distance kernel shares."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from spillover.errors import OptionError, WeightsError, show_labels
from spillover.typing import FloatArray, IntArray
from spillover.weights.islands import Kernel
from spillover.weights.points import Points
from spillover.weights.weights import SpatialWeights

ALL_PAIRS_LIMIT = 5000
"""Up to so many regions every pair may be linked; beyond, a threshold is asked for."""

LINK_LIMIT = 100_000_000
"""More links than this (1.2 GB) are not made by accident."""


def positive(name: str, value: Any) -> float:
    """A finite number above zero, or `OptionError`."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not (np.isfinite(number) and number > 0.0):
        raise OptionError(f"{name} is out of range", got=repr(value), expected="a finite number above zero")
    return number


def finite(name: str, value: Any) -> float:
    """A finite number of zero or more, or `OptionError`."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not (np.isfinite(number) and number >= 0.0):
        raise OptionError(f"{name} is out of range", got=repr(value), expected="a finite number of zero or more")
    return number


def pairs_up_to(points: Points, threshold: float | None, what: str) -> tuple[IntArray, IntArray, FloatArray]:
    """Positions i < j and km of the pairs within a threshold, or of all pairs where that is affordable.

    what : the kernel in words, for the message.
    """
    n = len(points.regions)
    if threshold is not None:
        return points.pairs_within(threshold)
    if n > ALL_PAIRS_LIMIT:
        raise WeightsError(
            f"{what} between all pairs of so many regions does not fit in memory",
            got=f"{n:,} regions, {n * (n - 1):,} links",
            expected=f"at most {ALL_PAIRS_LIMIT:,} regions without a threshold",
            fix="say beyond which distance links are left out, with threshold_km=…",
        )
    return points.all_pairs()


def tell_floor(distances: FloatArray, floor: float) -> str:
    """The note on pairs that count as further apart than they are."""
    return f"{int((distances < floor).sum())} pairs nearer than {floor:g} km count as {floor:g} km apart"


def from_pairs(
    points: Points,
    pairs: tuple[IntArray, IntArray, FloatArray],
    kernel: Kernel,
    kind: str,
    notes: tuple[str, ...] = (),
    *,
    zero_is_fine: bool = False,
) -> SpatialWeights:
    """Symmetric raw weights from pairs i < j and their km.

    zero_is_fine : whether the kernel is finite at distance zero; otherwise coincident regions are an error by name.
    """
    i, j, km = pairs
    if not zero_is_fine:
        check_apart(points, i, j, km)
    values = kernel(km)
    check_values(points.regions, i, j, values, kind)
    n = len(points.regions)
    matrix = sp.csr_matrix((np.r_[values, values], (np.r_[i, j], np.r_[j, i])), shape=(n, n))
    return SpatialWeights(matrix, points.regions, kind, island_policy="keep", notes=(*points.notes, *notes))


def check_values(regions: tuple[str, ...], i: IntArray, j: IntArray, values: FloatArray, kind: str) -> None:
    """`WeightsError` naming pairs whose weight has under- or overflowed."""
    vanished = ~(values > 0.0) | ~np.isfinite(values)
    if not vanished.any():
        return
    far = [f"{regions[a]} and {regions[b]}" for a, b in zip(i[vanished], j[vanished], strict=True)]
    raise WeightsError(
        "weights are so small or so large that the computer cannot hold them",
        got=f"{kind}: {show_labels(far, 3)}",
        fix="choose a smaller power or decay, or leave far links out with threshold_km",
    )


def check_apart(points: Points, i: IntArray, j: IntArray, km: FloatArray) -> None:
    """`WeightsError` naming regions at the same point, for kernels that are infinite there."""
    same = km == 0.0
    if not same.any():
        return
    told = [f"{points.regions[a]} and {points.regions[b]}" for a, b in zip(i[same], j[same], strict=True)]
    raise WeightsError(
        "regions at the same point have no inverse distance",
        got=show_labels(told),
        expected="a distance above zero between any two regions",
        causes=("the same coordinates were given to two regions", "a region inside another with the same centroid"),
        fix="correct the coordinates, or give an internal distance with minimum_km=…",
    )
