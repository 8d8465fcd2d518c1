"""`Distances`: how far every pair of regions is apart, by region id: great circles, rail, travel time, any table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp

from spillover.errors import AlignmentError, OptionError, WeightsError, is_amount, show_labels
from spillover.panel.panel import Panel
from spillover.panel.wording import near_misses
from spillover.typing import FloatArray
from spillover.weights.locate import locate
from spillover.weights.points import Points
from spillover.weights.transport.times import TravelTimes, read_travel_times

ALL_PAIRS_LIMIT = 5_000
"""Up to so many regions all pairs are kept (200 MB); beyond, a reach is asked for."""

Pattern: TypeAlias = FloatArray | sp.csr_matrix


@dataclass(frozen=True, eq=False, repr=False)
class Distances:
    """Distances between regions; row = receiver, column = sender.

    Made by `measure_distances` and `read_distances`.

    Attributes
    ----------
    regions : n ids, in the order of rows and columns.
    matrix : (n, n) array with inf where two regions are not connected and 0 on the diagonal; or, within a reach, CSR
        whose stored entries are the pairs (a stored 0 is two regions at the same place).
    what, unit : "great-circle distance between centroids", "km".
    reach : pairs further apart are left out; inf when all are there.
    points : the places behind straight distances, None for tables.
    """

    regions: tuple[str, ...]
    matrix: Pattern
    what: str
    unit: str = "km"
    reach: float = np.inf
    points: Points | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def n(self) -> int:
        """Number of regions."""
        return len(self.regions)

    def __repr__(self) -> str:
        limit = "all pairs" if np.isinf(self.reach) else f"pairs up to {self.reach:g} {self.unit}"
        return f"Distances: {self.what}, {self.n} regions, {limit}"

    @cached_property
    def links(self) -> sp.coo_matrix:
        """The ordered pairs of different regions with their finite distances."""
        if isinstance(self.matrix, np.ndarray):
            there = np.isfinite(self.matrix)
            np.fill_diagonal(there, False)
            i, j = np.nonzero(there)
            return sp.coo_matrix((self.matrix[i, j], (i, j)), shape=self.matrix.shape)
        return sp.coo_matrix(self.matrix)

    @cached_property
    def symmetric(self) -> bool:
        """Whether it is as far from i to j as from j to i, for every pair."""
        if isinstance(self.matrix, np.ndarray):
            return bool(np.array_equal(self.matrix, self.matrix.T))
        return self.points is not None

    @cached_property
    def nearest(self) -> FloatArray:
        """(n,) distance from each receiver to its nearest sender; inf where there is none."""
        closest = np.full(self.n, np.inf)
        np.minimum.at(closest, self.links.row, self.links.data)
        return closest

    @property
    def shortest(self) -> float:
        """Shortest distance above zero."""
        positive = self.links.data[self.links.data > 0]
        return float(positive.min()) if positive.size else np.nan

    @cached_property
    def longest(self) -> float:
        """Longest distance that is known."""
        return float(self.links.data.max())

    def weigh(self, function: Callable[[FloatArray], FloatArray]) -> Pattern:
        """(n, n) function of the distances; zero on the diagonal and for pairs without connection or beyond reach."""
        if isinstance(self.matrix, np.ndarray):
            values = np.asarray(function(self._finite), dtype=float)
            values = values.copy() if values is self._finite else values
            if not self.connected:
                values[np.isinf(self.matrix)] = 0.0
            np.fill_diagonal(values, 0.0)
            return values
        data = np.asarray(function(self.matrix.data), dtype=float)
        return sp.csr_matrix((data, self.matrix.indices, self.matrix.indptr), shape=self.matrix.shape)

    @cached_property
    def _finite(self) -> FloatArray:
        """The array with 0 in the place of infinity."""
        assert isinstance(self.matrix, np.ndarray)
        return self.matrix if self.connected else np.where(np.isinf(self.matrix), 0.0, self.matrix)

    @cached_property
    def connected(self) -> bool:
        """Whether every pair has a finite distance."""
        return bool(np.isfinite(self.matrix).all()) if isinstance(self.matrix, np.ndarray) else False

    def ring(self, near: float, far: float) -> sp.csr_matrix:
        """(n, n) 0/1 pattern of pairs with near < d ≤ far (0 ≤ d ≤ far for the first ring)."""
        links = self.links
        inside = (links.data <= far) & ((links.data > near) | (near == 0.0))
        ones = np.ones(int(inside.sum()))
        return sp.csr_matrix((ones, (links.row[inside], links.col[inside])), shape=(self.n, self.n))

    def within(self, cutoff: float) -> sp.csr_matrix:
        """(n, n) distances of pairs at most `cutoff` apart, for covariance kernels."""
        links = self.links
        inside = links.data <= cutoff
        return sp.csr_matrix((links.data[inside], (links.row[inside], links.col[inside])), shape=(self.n, self.n))

    def align(self, regions: Sequence[str]) -> Distances:
        """Distances of exactly these regions in this order; `AlignmentError` shows both sides otherwise."""
        wanted = tuple(regions)
        if wanted == self.regions:
            return self
        missing, surplus = sorted(set(wanted) - set(self.regions)), sorted(set(self.regions) - set(wanted))
        if missing or surplus:
            raise AlignmentError(
                "the regions of the distances and of the panel are not the same",
                got=f"only in the panel: {show_labels(missing) or 'none'}; "
                f"only in the distances: {show_labels(surplus) or 'none'}",
                expected=f"the same {len(wanted)} ids on both sides",
                causes=(
                    *near_misses(missing, surplus, "in the distances"),
                    "ids read as numbers lost their leading zeros",
                    "a table of distances that covers a part of the regions only",
                ),
                fix="use panel.select(regions=…) or distances.subset(regions) so that both sides agree",
            )
        return self.subset(wanted)

    def subset(self, regions: Sequence[str]) -> Distances:
        """Distances among some of the regions, in this order."""
        position = {region: i for i, region in enumerate(self.regions)}
        unknown = sorted(set(regions) - set(position))
        if unknown:
            raise AlignmentError("regions that the distances do not have", got=show_labels(unknown))
        order = np.array([position[region] for region in regions])
        points = self.points
        if points is not None:
            points = replace(points, regions=tuple(regions), coordinates=points.coordinates[order])
        return replace(self, regions=tuple(regions), matrix=self.matrix[order][:, order], points=points)


def measure_distances(source: Any, reach_km: float | None = None, **places: Any) -> Distances:
    """Straight distances in km: great circles between places in degrees, plane distances otherwise.

    Parameters
    ----------
    source, places : where the regions are, as `spillover.weights.build_knn` takes them: a panel with a map, a frame
        with `coordinates=("lon", "lat")`, an array with `regions` and `lonlat`.
    reach_km : pairs further apart are left out; needed above 5,000 regions.

    Raises
    ------
    WeightsError : nothing says where the regions are, more than 5,000 regions and no reach. OptionError : no distance.
    """
    points = locate(source, **places)
    n = len(points.regions)
    what = "great-circle distance between centroids" if points.lonlat else "plane distance between centroids"
    if reach_km is None:
        if n > ALL_PAIRS_LIMIT:
            raise WeightsError(
                "the distances between all pairs of so many regions do not fit in memory",
                got=f"{n:,} regions, {n * (n - 1):,} ordered pairs",
                expected=f"at most {ALL_PAIRS_LIMIT:,} regions without a reach",
                fix="say beyond which distance pairs are left out, with reach_km=…",
            )
        i, j, km = points.all_pairs()
        matrix = np.zeros((n, n))
        matrix[i, j] = matrix[j, i] = km
        return Distances(points.regions, matrix, what, points=points, notes=points.notes)
    if not is_amount(reach_km):
        raise OptionError("reach_km is out of range", got=repr(reach_km), expected="km above zero")
    i, j, km = points.pairs_within(reach_km)
    links = sp.csr_matrix((np.r_[km, km], (np.r_[i, j], np.r_[j, i])), shape=(n, n))
    return Distances(points.regions, links, what, reach=float(reach_km), points=points, notes=points.notes)


def read_distances(
    table: Any,
    *,
    what: str | None = None,
    unit: str = "km",
    start: str = "from",
    end: str = "to",
    value: str | None = None,
    both_ways: bool = False,
) -> Distances:
    """Distances from a table: rail km, travel minutes, any cost of distance.

    Parameters
    ----------
    table : path or data frame: a square table with ids in its first row and column (rows are origins, inf is a pair
        without a connection), or a list with columns from, to and the distance.
    what, unit : for results: "rail distance between capitals", "km".
    start, end, value, both_ways : as in `weights.read_travel_times`; the column is named as the unit by default.

    Raises
    ------
    WeightsError : negative, blank or zero cells between different regions; a region that nothing connects.
    """
    times = read_travel_times(
        table, start=start, end=end, value=unit if value is None else value, unit=unit, both_ways=both_ways
    )
    return from_travel_times(times, what)


def from_travel_times(times: TravelTimes, what: str | None = None) -> Distances:
    """Distances from travel times: what reaches a region comes from the origins."""
    to = sp.csr_matrix(times.matrix.T)
    lost = times.n * (times.n - 1) - to.nnz
    notes = (*times.notes, f"{lost} ordered pairs without a connection") if lost else times.notes
    reach = np.inf if times.cutoff is None else float(times.cutoff)
    matrix = times.dense().T.copy() if times.n <= ALL_PAIRS_LIMIT and times.cutoff is None else to
    found = Distances(times.regions, matrix, what or times.kind, times.unit, reach, notes=notes)
    check_connected(found)
    return found


def check_connected(distances: Distances) -> None:
    """`WeightsError` names the regions that no other region reaches."""
    alone = [distances.regions[i] for i in np.flatnonzero(np.isinf(distances.nearest))]
    if alone:
        short = np.isfinite(distances.reach)
        raise WeightsError(
            "regions that nothing connects with the others",
            got=show_labels(alone),
            expected="a distance from at least one other region"
            + (f", within {distances.reach:g} {distances.unit}" if short else ""),
            fix="leave them out with panel.select(regions=…), or connect them"
            + (", or take a longer reach" if short else ""),
        )


def distances_of(panel: Panel, given: Any = None) -> Distances:
    """Distances aligned to a panel: those given (`Distances`, `TravelTimes`, a table or its path), or of its map."""
    found = _given(panel, given).align(panel.regions)
    check_connected(found)
    return found


def _given(panel: Panel, given: Any) -> Distances:
    if given is None:
        return measure_distances(panel)
    if isinstance(given, Distances):
        return given
    if isinstance(given, Points):
        return measure_distances(given)
    if isinstance(given, TravelTimes):
        return from_travel_times(given)
    if hasattr(given, "standardisation"):
        raise OptionError(
            "weights are not distances",
            got=repr(given),
            fix="give a table of distances, or leave distances=… out to measure them on the panel's map",
        )
    if isinstance(given, np.ndarray):
        raise OptionError(
            "an array of distances does not say which row is which region",
            got=f"an array of shape {given.shape}",
            expected="a data frame with region ids on both sides",
            fix="pd.DataFrame(array, index=ids, columns=ids)",
        )
    return read_distances(given)
