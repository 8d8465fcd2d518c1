"""Distance weights: nearest neighbours, bands, inverse distance, exponential and Gaussian decay.

Distances are great-circle km on a sphere of radius 6371.0088 km for longitude and latitude, plane km
for projected maps. Pairs come from a KD-tree, so that memory follows the number of links.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp

from spillover.errors import OptionError, check_option
from spillover.typing import FloatArray, IslandPolicy, Standardisation
from spillover.weights.assemble import Links, assemble, check_choices
from spillover.weights.islands import Kernel
from spillover.weights.kernels import weigh_pairs
from spillover.weights.labels import names_of
from spillover.weights.locate import locate
from spillover.weights.pairs import pairs_up_to, positive, tell_floor
from spillover.weights.truncation import gaussian_reach, plane_share
from spillover.weights.weights import SpatialWeights

TRUNCATION = 6.64
"""δd at which the exponential kernel is cut by default: on a uniform plane the mass beyond is (1 + x) e^−x = 1 %."""


def build_knn(
    source: Any,
    k: int,
    symmetrise: Literal["no", "max", "min"] = "no",
    *,
    coordinates: Sequence[str] | None = None,
    regions: str | Sequence[Any] | None = None,
    lonlat: bool | None = None,
    islands: IslandPolicy = "error",
    standardise: Standardisation = "row",
    links: Links = (),
) -> SpatialWeights:
    """The k nearest neighbours: w_ij = 1 before standardisation if j is among the k regions nearest to i.

    Regions equally far away (to 10⁻⁹ of the distance) are taken in the order of their ids, so that the order of rows
    does not matter.

    Parameters
    ----------
    source, coordinates, regions, lonlat : where the regions are; see `spillover.weights.locate`.
    k : neighbours of each region, 1 … n − 1.
    symmetrise : "no" (j may be near to i and not i to j), "max" (linked if either is near to the other) or "min"
        (only if both are; regions can be left without a neighbour).
    islands, standardise, links : as in `build_contiguity`.

    Raises
    ------
    OptionError : k is out of range. WeightsError : nothing says where the regions are, or they have no coordinates.

    Cost: n k log n.

    >>> build_knn([[0, 0], [1, 0], [3, 0]], 1, regions=["a", "b", "c"], lonlat=False).to_frame().values.tolist()
    [['a', 'b', 1.0], ['b', 'a', 1.0], ['c', 'b', 1.0]]
    """
    check_choices(islands, standardise)
    check_option("symmetrise", symmetrise, ("no", "max", "min"))
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
    if symmetrise == "max":
        matrix, kind = matrix.maximum(matrix.T), f"{kind}, of either side"
    elif symmetrise == "min":
        matrix, kind = matrix.minimum(matrix.T), f"{kind}, of both sides"
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
    threshold = positive("threshold_km", threshold_km)
    points = locate(source, coordinates=coordinates, regions=regions, lonlat=lonlat)
    kernel: Kernel = np.ones_like if binary else np.reciprocal
    kind = f"distance band of {threshold:g} km" + ("" if binary else ", weights 1/d")
    return weigh_pairs(
        source,
        points,
        points.pairs_within(threshold),
        kernel,
        kind,
        threshold=None,
        zero_is_fine=binary,
        links=links,
        islands=islands,
        standardise=standardise,
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
    threshold_km : links beyond are left out; needed above 5,000 regions, where all pairs would not fit. On a plane
        the mass beyond has no limit for power ≤ 2; the share that these regions lose is measured and noted.
    minimum_km : shorter distances count as this many km (an internal distance); noted.
    islands, standardise, links : as in `build_contiguity`.

    Raises
    ------
    OptionError : a number out of range. WeightsError : two regions at the same point and no minimum_km (the pair is
    named); more than 5,000 regions and no threshold; a power so large that weights vanish.

    Cost: n² without a threshold, else n log n + links.
    """
    check_choices(islands, standardise)
    alpha = positive("power", power)
    threshold = None if threshold_km is None else positive("threshold_km", threshold_km)
    floor = None if minimum_km is None else positive("minimum_km", minimum_km)
    points = locate(source, coordinates=coordinates, regions=regions, lonlat=lonlat)
    pairs = pairs_up_to(points, threshold, "inverse distance")
    notes = () if floor is None else (tell_floor(pairs[2], floor),)

    def kernel(km: FloatArray) -> FloatArray:
        return (km if floor is None else np.maximum(km, floor)) ** -alpha

    kind = f"inverse distance, power {alpha:g}" + ("" if threshold is None else f", up to {threshold:g} km")
    return weigh_pairs(
        source,
        points,
        pairs,
        kernel,
        kind,
        notes,
        threshold=threshold,
        zero_is_fine=floor is not None,
        links=links,
        islands=islands,
        standardise=standardise,
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
        uniform plane. Always noted, with the share that these regions themselves lose, measured.
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
    decay = positive("decay_per_km", decay_per_km)
    threshold = TRUNCATION / decay if threshold_km is None else positive("threshold_km", threshold_km)
    points = locate(source, coordinates=coordinates, regions=regions, lonlat=lonlat)
    lost = 100.0 * plane_share(decay * threshold)
    note = f"links beyond {threshold:.4g} km are left out: {lost:.2g} % of the kernel mass on a uniform plane"

    def kernel(km: FloatArray) -> FloatArray:
        return np.exp(-decay * km)

    kind = f"exponential distance, exp(−{decay:g} d), up to {threshold:.4g} km"
    return weigh_pairs(
        source,
        points,
        points.pairs_within(threshold),
        kernel,
        kind,
        (note,),
        threshold=threshold,
        zero_is_fine=True,
        links=links,
        islands=islands,
        standardise=standardise,
    )


def build_gaussian(
    source: Any,
    bandwidth_km: float,
    threshold_km: float | None = None,
    *,
    coordinates: Sequence[str] | None = None,
    regions: str | Sequence[Any] | None = None,
    lonlat: bool | None = None,
    islands: IslandPolicy = "error",
    standardise: Standardisation = "row",
    links: Links = (),
) -> SpatialWeights:
    """Gaussian decay: w_ij = exp(−d_ij² / 2h²) before standardisation, d in km, half-distance 1.18 h.

    Parameters
    ----------
    source, coordinates, regions, lonlat : where the regions are; see `spillover.weights.locate`.
    bandwidth_km : h, above zero.
    threshold_km : links beyond are left out; h √(2 ln 100) = 3.03 h by default, beyond which lies 1 % of the kernel's
        mass on a uniform plane. Always noted, with the share that these regions themselves lose, measured.
    islands, standardise, links : as in `build_contiguity`.

    Raises
    ------
    OptionError : a number out of range. IslandError : regions with nobody within the threshold, and no policy.

    Cost: n log n + links.

    >>> w = build_gaussian([[0, 0], [100, 0]], 100, regions=["a", "b"], lonlat=False, standardise="none")
    >>> round(float(w.matrix[0, 1]), 6)
    0.606531
    """
    check_choices(islands, standardise)
    bandwidth = positive("bandwidth_km", bandwidth_km)
    reach = gaussian_reach(0.01)
    threshold = reach * bandwidth if threshold_km is None else positive("threshold_km", threshold_km)
    points = locate(source, coordinates=coordinates, regions=regions, lonlat=lonlat)
    lost = 100.0 * float(np.exp(-0.5 * (threshold / bandwidth) ** 2))
    note = f"links beyond {threshold:.4g} km are left out: {lost:.2g} % of the kernel mass on a uniform plane"

    def kernel(km: FloatArray) -> FloatArray:
        return np.asarray(np.exp(-0.5 * (km / bandwidth) ** 2))

    kind = f"Gaussian distance, bandwidth {bandwidth:g} km, up to {threshold:.4g} km"
    return weigh_pairs(
        source,
        points,
        points.pairs_within(threshold),
        kernel,
        kind,
        (note,),
        threshold=threshold,
        zero_is_fine=True,
        links=links,
        islands=islands,
        standardise=standardise,
    )
