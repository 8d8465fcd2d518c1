"""Distance weights: nearest neighbours, bands, inverse distance, exponential decay.

Distances are great-circle km on a sphere of radius 6371.0088 km for longitude and latitude, plane km
for projected maps. Pairs come from a KD-tree, so that memory follows the number of links.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from spillover.errors import OptionError, WeightsError, show_labels
from spillover.typing import FloatArray, IntArray, IslandPolicy, Standardisation
from spillover.weights.assemble import Links, assemble, check_choices
from spillover.weights.islands import Kernel
from spillover.weights.labels import names_of
from spillover.weights.locate import locate
from spillover.weights.points import Points
from spillover.weights.weights import SpatialWeights

ALL_PAIRS_LIMIT = 5000
"""Up to so many regions every pair may be linked; beyond, a threshold is asked for."""

TRUNCATION = 6.64
"""δd at which the exponential kernel is cut by default: on a uniform plane the mass beyond is (1 + x) e^−x = 1 %."""


def build_knn(
    source: Any,
    k: int,
    *,
    coordinates: Sequence[str] | None = None,
    regions: str | Sequence[Any] | None = None,
    lonlat: bool | None = None,
    islands: IslandPolicy = "error",
    standardise: Standardisation = "row",
    links: Links = (),
) -> SpatialWeights:
    """The k nearest neighbours: w_ij = 1 before standardisation if j is among the k regions nearest to i.

    Not symmetric in general. Regions equally far away (to 10⁻⁹ of the distance) are taken in the order of their ids,
    so that the order of rows does not matter.

    Parameters
    ----------
    source, coordinates, regions, lonlat : where the regions are; see `spillover.weights.locate`.
    k : neighbours of each region, 1 … n − 1.
    islands, standardise, links : as in `build_contiguity`.

    Raises
    ------
    OptionError : k is out of range. WeightsError : nothing says where the regions are, or they have no coordinates.

    Cost: n k log n.

    >>> build_knn([[0, 0], [1, 0], [3, 0]], 1, regions=["a", "b", "c"], lonlat=False).to_frame().values.tolist()
    [['a', 'b', 1.0], ['b', 'a', 1.0], ['c', 'b', 1.0]]
    """
    check_choices(islands, standardise)
    points = locate(source, coordinates=coordinates, regions=regions, lonlat=lonlat)
    n = len(points.regions)
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or not 1 <= k < n:
        raise OptionError(
            "k is not a possible number of neighbours",
            got=f"k={k!r} for {n} regions",
            expected=f"a whole number from 1 to {n - 1}" if n > 1 else "two regions or more",
        )
    rows, columns = points.nearest(int(k))
    matrix = sp.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(n, n))
    kind = f"{k} nearest neighbours" if k > 1 else "nearest neighbour"
    raw = SpatialWeights(matrix, points.regions, kind, island_policy="keep", notes=points.notes)
    return assemble(
        raw, links=links, islands=islands, standardise=standardise, place=lambda: points, names=names_of(source)
    )


def build_distance_band(
    source: Any,
    threshold_km: float,
    binary: bool = True,
    *,
    coordinates: Sequence[str] | None = None,
    regions: str | Sequence[Any] | None = None,
    lonlat: bool | None = None,
    islands: IslandPolicy = "error",
    standardise: Standardisation = "row",
    links: Links = (),
) -> SpatialWeights:
    """All regions within a distance: w_ij = 1 (or 1/d_ij) before standardisation if d_ij ≤ threshold_km.

    Parameters
    ----------
    source, coordinates, regions, lonlat : where the regions are; see `spillover.weights.locate`.
    threshold_km : km, above zero; a pair at exactly this distance is inside, rounding included.
    binary : False weighs links by 1/d in km.
    islands, standardise, links : as in `build_contiguity`.

    Raises
    ------
    OptionError : the threshold is not a distance. IslandError : regions with nobody inside the band, and no policy.
    WeightsError : as in `build_inverse_distance` when not binary.

    Cost: n log n + links.

    >>> build_distance_band([[0, 0], [3, 4], [9, 4]], 5, regions=["a", "b", "c"], lonlat=False, islands="keep")
    SpatialWeights: distance band of 5 km, 3 regions, 2 links (mean 0.7), standardised: row, islands: 1
    """
    check_choices(islands, standardise)
    threshold = _positive("threshold_km", threshold_km)
    points = locate(source, coordinates=coordinates, regions=regions, lonlat=lonlat)
    kernel: Kernel = np.ones_like if binary else np.reciprocal
    kind = f"distance band of {threshold:g} km" + ("" if binary else ", weights 1/d")
    raw = _from_pairs(points, points.pairs_within(threshold), kernel, kind)
    return assemble(
        raw,
        links=links,
        islands=islands,
        standardise=standardise,
        place=lambda: points,
        kernel=kernel,
        names=names_of(source),
    )


def build_inverse_distance(
    source: Any,
    power: float = 1.0,
    threshold_km: float | None = None,
    minimum_km: float | None = None,
    *,
    coordinates: Sequence[str] | None = None,
    regions: str | Sequence[Any] | None = None,
    lonlat: bool | None = None,
    islands: IslandPolicy = "error",
    standardise: Standardisation = "row",
    links: Links = (),
) -> SpatialWeights:
    """Inverse distance: w_ij = d_ij^(−power) before standardisation, d in km.

    Row standardisation makes the unit of distance irrelevant but also hides remoteness: with standardise="scalar"
    a remote region receives less.

    Parameters
    ----------
    source, coordinates, regions, lonlat : where the regions are; see `spillover.weights.locate`.
    power : α, above zero.
    threshold_km : links beyond are left out; needed above 5,000 regions, where all pairs would not fit.
    minimum_km : shorter distances count as this many km (an internal distance); noted.
    islands, standardise, links : as in `build_contiguity`.

    Raises
    ------
    OptionError : a number out of range. WeightsError : two regions at the same point and no minimum_km (the pair is
    named); more than 5,000 regions and no threshold; a power so large that weights vanish.

    Cost: n² without a threshold, else n log n + links.
    """
    check_choices(islands, standardise)
    alpha = _positive("power", power)
    threshold = None if threshold_km is None else _positive("threshold_km", threshold_km)
    floor = None if minimum_km is None else _positive("minimum_km", minimum_km)
    points = locate(source, coordinates=coordinates, regions=regions, lonlat=lonlat)
    pairs = _pairs(points, threshold)
    notes = () if floor is None else (_tell_floor(pairs[2], floor),)

    def kernel(km: FloatArray) -> FloatArray:
        return (km if floor is None else np.maximum(km, floor)) ** -alpha

    kind = f"inverse distance, power {alpha:g}" + ("" if threshold is None else f", up to {threshold:g} km")
    raw = _from_pairs(points, pairs, kernel, kind, notes, zero_is_fine=floor is not None)
    return assemble(
        raw,
        links=links,
        islands=islands,
        standardise=standardise,
        place=lambda: points,
        kernel=kernel,
        names=names_of(source),
    )


def build_exponential(
    source: Any,
    decay_per_km: float,
    threshold_km: float | None = None,
    *,
    coordinates: Sequence[str] | None = None,
    regions: str | Sequence[Any] | None = None,
    lonlat: bool | None = None,
    islands: IslandPolicy = "error",
    standardise: Standardisation = "row",
    links: Links = (),
) -> SpatialWeights:
    """Exponential decay: w_ij = exp(−δ d_ij) before standardisation, d in km, half-distance ln 2 / δ.

    Parameters
    ----------
    source, coordinates, regions, lonlat : where the regions are; see `spillover.weights.locate`.
    decay_per_km : δ, per km, above zero.
    threshold_km : links beyond are left out; 6.64 / δ by default, beyond which lies 1 % of the kernel's mass on a
        uniform plane. Always noted.
    islands, standardise, links : as in `build_contiguity`.

    Raises
    ------
    OptionError : a number out of range. IslandError : regions with nobody within the threshold, and no policy.

    Cost: n log n + links.

    >>> w = build_exponential([[0, 0], [100, 0]], 0.01, regions=["a", "b"], lonlat=False, standardise="none")
    >>> round(float(w.matrix[0, 1]), 6), w.notes
    (0.367879, ('links beyond 664 km are left out: 1 % of the kernel mass on a uniform plane',))
    """
    check_choices(islands, standardise)
    decay = _positive("decay_per_km", decay_per_km)
    threshold = TRUNCATION / decay if threshold_km is None else _positive("threshold_km", threshold_km)
    points = locate(source, coordinates=coordinates, regions=regions, lonlat=lonlat)
    reach = decay * threshold
    lost = 100.0 * (1.0 + reach) * float(np.exp(-reach))
    note = f"links beyond {threshold:.4g} km are left out: {lost:.2g} % of the kernel mass on a uniform plane"

    def kernel(km: FloatArray) -> FloatArray:
        return np.exp(-decay * km)

    kind = f"exponential distance, exp(−{decay:g} d), up to {threshold:.4g} km"
    raw = _from_pairs(points, points.pairs_within(threshold), kernel, kind, (note,), zero_is_fine=True)
    return assemble(
        raw,
        links=links,
        islands=islands,
        standardise=standardise,
        place=lambda: points,
        kernel=kernel,
        names=names_of(source),
    )


def _positive(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = np.nan
    if not (np.isfinite(number) and number > 0.0):
        raise OptionError(f"{name} is out of range", got=repr(value), expected="a finite number above zero")
    return number


def _pairs(points: Points, threshold: float | None) -> tuple[IntArray, IntArray, FloatArray]:
    n = len(points.regions)
    if threshold is not None:
        return points.pairs_within(threshold)
    if n > ALL_PAIRS_LIMIT:
        raise WeightsError(
            "inverse distance between all pairs of so many regions does not fit in memory",
            got=f"{n:,} regions, {n * (n - 1):,} links",
            expected=f"at most {ALL_PAIRS_LIMIT:,} regions without a threshold",
            fix="say beyond which distance links are left out, with threshold_km=…",
        )
    return points.all_pairs()


def _tell_floor(distances: FloatArray, floor: float) -> str:
    return f"{int((distances < floor).sum())} pairs nearer than {floor:g} km count as {floor:g} km apart"


def _from_pairs(
    points: Points,
    pairs: tuple[IntArray, IntArray, FloatArray],
    kernel: Callable[[FloatArray], FloatArray],
    kind: str,
    notes: tuple[str, ...] = (),
    *,
    zero_is_fine: bool = False,
) -> SpatialWeights:
    """Symmetric raw weights from pairs i < j and their km."""
    i, j, km = pairs
    if kernel is not np.ones_like and not zero_is_fine:
        _check_apart(points, i, j, km)
    values = kernel(km)
    vanished = ~(values > 0.0) | ~np.isfinite(values)
    if vanished.any():
        far = [f"{points.regions[a]} and {points.regions[b]}" for a, b in zip(i[vanished], j[vanished], strict=True)]
        raise WeightsError(
            "weights are so small or so large that the computer cannot hold them",
            got=f"{kind}: {show_labels(far, 3)}",
            fix="choose a smaller power or decay, or leave far links out with threshold_km",
        )
    n = len(points.regions)
    matrix = sp.csr_matrix((np.r_[values, values], (np.r_[i, j], np.r_[j, i])), shape=(n, n))
    return SpatialWeights(matrix, points.regions, kind, island_policy="keep", notes=(*points.notes, *notes))


def _check_apart(points: Points, i: IntArray, j: IntArray, km: FloatArray) -> None:
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
