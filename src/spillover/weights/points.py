"""`Points`: one point per region, with distances in km; never an n × n table."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from spillover.errors import WeightsError, show_labels
from spillover.typing import FloatArray, IntArray

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

EARTH_RADIUS_KM = 6371.0088
"""Mean radius of the earth (IUGG): great-circle distances are those on this sphere."""

FURTHEST_KM = float(np.pi) * EARTH_RADIUS_KM
"""Half the circumference: no two places are further apart."""

TIE = 1e-9
"""Distances whose ratio is this close to one are equal: they differ by rounding only (6 mm on a globe's radius)."""

# Pairs at a time: their positions in space would take more memory than their distances.
_CHUNK = 1_000_000


@dataclass(frozen=True, eq=False)
class Points:
    """One point per region.

    Attributes
    ----------
    regions : n region ids.
    coordinates : (n, 2); degrees east and north when `lonlat`, otherwise plane coordinates in km.
    lonlat : whether coordinates are longitude and latitude.
    notes : how the coordinates were come by, one sentence each.
    """

    regions: tuple[str, ...]
    coordinates: FloatArray
    lonlat: bool
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        coordinates = np.array(self.coordinates, dtype=float)
        if coordinates.shape != (len(self.regions), 2):
            raise WeightsError(
                "coordinates do not have one row of two numbers per region",
                got=f"shape {coordinates.shape} for {len(self.regions)} regions",
                expected=f"shape ({len(self.regions)}, 2)",
            )
        bad = ~np.isfinite(coordinates).all(axis=1)
        if bad.any():
            raise WeightsError(
                "some regions have no usable coordinates",
                got=show_labels(np.array(self.regions, dtype=object)[bad]),
                expected="two finite numbers for every region",
                causes=("blank cells", "a region without a shape on the map"),
            )
        if self.lonlat:
            self._check_degrees(coordinates)
        elif len(coordinates):
            self._check_km(coordinates)
        object.__setattr__(self, "coordinates", coordinates)

    def _check_degrees(self, coordinates: FloatArray) -> None:
        outside = (np.abs(coordinates[:, 1]) > 90.0) | (np.abs(coordinates[:, 0]) > 360.0)
        if outside.any():
            raise WeightsError(
                "coordinates are not degrees of longitude and latitude",
                got=show_labels(
                    f"{self.regions[i]} ({coordinates[i, 0]:g}, {coordinates[i, 1]:g})" for i in np.flatnonzero(outside)
                ),
                expected="longitude first, latitude second, latitude between −90 and 90",
                causes=("longitude and latitude are swapped", "coordinates of a projected map in metres"),
                fix="swap the columns, or say lonlat=False for plane coordinates in km",
            )

    def _check_km(self, coordinates: FloatArray) -> None:
        wide, high = np.ptp(coordinates, axis=0)
        if max(wide, high) > FURTHEST_KM:
            raise WeightsError(
                "plane coordinates are further apart than two places on the earth can be",
                got=f"{wide:g} from west to east, {high:g} from south to north",
                expected=f"km, at most {FURTHEST_KM:,.0f} apart",
                causes=("coordinates of a projected map in metres, whose reference system was lost",),
                fix="divide them by 1000, or give the map its reference system",
            )

    @cached_property
    def positions(self) -> FloatArray:
        """(n, 2) or (n, 3) in km: the plane, or the sphere in space, where a KD-tree works without wrapping."""
        if not self.lonlat:
            return self.coordinates
        longitude, latitude = np.radians(self.coordinates).T
        unit = np.column_stack(
            [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)]
        )
        return EARTH_RADIUS_KM * unit

    @cached_property
    def tree(self) -> cKDTree:
        """The KD-tree of the positions."""
        from scipy.spatial import cKDTree

        return cKDTree(self.positions)

    @cached_property
    def ranks(self) -> IntArray:
        """(n,) rank of every region by id, so that ties do not depend on the order of rows."""
        ranks = np.empty(len(self.regions), dtype=np.int64)
        ranks[np.array(sorted(range(len(self.regions)), key=self.regions.__getitem__), dtype=np.int64)] = np.arange(
            len(self.regions)
        )
        return ranks

    def _straight(self, km: FloatArray | float) -> FloatArray:
        """Straight-line length, through the globe, of a distance along it."""
        if not self.lonlat:
            return np.asarray(km, dtype=float)
        angle = np.minimum(np.asarray(km, dtype=float) / EARTH_RADIUS_KM, np.pi)
        return 2.0 * EARTH_RADIUS_KM * np.sin(angle / 2.0)

    def distances(self, i: IntArray, j: IntArray) -> FloatArray:
        """(m,) km between regions i and regions j, given as positions; symmetric to the last digit."""
        straight = np.empty(len(i))
        for start in range(0, len(i), _CHUNK):
            part = slice(start, start + _CHUNK)
            straight[part] = np.sqrt(((self.positions[i[part]] - self.positions[j[part]]) ** 2).sum(axis=1))
        if not self.lonlat:
            return straight
        return 2.0 * EARTH_RADIUS_KM * np.arcsin(np.minimum(straight / (2.0 * EARTH_RADIUS_KM), 1.0))

    def pairs_within(self, km: float) -> tuple[IntArray, IntArray, FloatArray]:
        """Positions i < j and km of every pair at most `km` apart, rounding included. Memory: 3 × pairs."""
        pairs = self.tree.query_pairs(float(self._straight(km * (1.0 + 2.0 * TIE))), output_type="ndarray")
        i, j = pairs[:, 0], pairs[:, 1]
        distance = self.distances(i, j)
        inside = distance <= km * (1.0 + TIE)
        return i[inside], j[inside], distance[inside]

    def all_pairs(self) -> tuple[IntArray, IntArray, FloatArray]:
        """Positions i < j and km of all n(n − 1)/2 pairs."""
        i, j = np.triu_indices(len(self.regions), 1)
        return i, j, self.distances(i, j)

    def nearest(self, k: int, of: IntArray | None = None) -> tuple[IntArray, IntArray]:
        """Positions (m·k,) of receivers and of their k nearest; ties go to the smaller id.

        of : positions of the receivers; all by default.
        """
        receivers = np.arange(len(self.regions)) if of is None else np.asarray(of)
        spots = self.positions[receivers]
        # The k + 1 nearest include the region itself or, at the same point, another at distance zero.
        kth = self.tree.query(spots, k=[k + 1])[0][:, 0]
        found = self.tree.query_ball_point(spots, r=kth * (1.0 + 4.0 * TIE))
        counts = np.array([len(each) for each in found])
        rows = np.repeat(receivers, counts)
        columns = np.concatenate([np.asarray(each, dtype=np.int64) for each in found])
        limit = np.repeat(kth, counts)
        other = rows != columns
        rows, columns, limit = rows[other], columns[other], limit[other]
        straight = np.sqrt(((self.positions[rows] - self.positions[columns]) ** 2).sum(axis=1))
        # All that matters is the last place: those clearly nearer come first, those as far as the k-th by id.
        tied = straight >= limit * (1.0 - 2.0 * TIE)
        order = np.lexsort((self.ranks[columns], tied, rows))
        rows, columns = rows[order], columns[order]
        starts = np.r_[0, np.flatnonzero(np.diff(rows)) + 1]
        place = np.arange(len(rows)) - np.repeat(starts, np.diff(np.r_[starts, len(rows)]))
        return rows[place < k], columns[place < k]
