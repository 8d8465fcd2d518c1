"""A synthetic map: scattered regional centres in a square, with their Voronoi cells as regions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from spillover.typing import FloatArray, IntArray

SIDE_KM_AT_300 = 1000.0
"""Side of the square for 300 regions; the area grows with their number, so spacing stays near 58 km."""

_MIN_SHARE_OF_SPACING = 0.7  # random sequential packing jams at 0.83, so this always finds room


@dataclass(frozen=True, eq=False)
class DistancePairs:
    """All ordered pairs of different regions within a radius: rows receive, columns send."""

    receiver: IntArray
    sender: IntArray
    distance: FloatArray  # km


@dataclass(frozen=True, eq=False)
class Geography:
    """A planar map of n regions; all lengths in km.

    Attributes
    ----------
    regions, names : n ids and display names, numbered from north to south.
    points : (n, 2) centres: the centroids of the cells, so that a W built from the map measures the same distances.
    areas : (n,) km².
    cells : n shapely polygons that tile the square.
    side : side of the square, km.
    """

    regions: tuple[str, ...]
    names: tuple[str, ...]
    points: FloatArray
    areas: FloatArray
    cells: Any
    side: float

    @cached_property
    def own_distances(self) -> FloatArray:
        """(n,) d_ii = (2/3) √(area / π): the mean distance from the centre of a disc of the same area."""
        return np.asarray((2.0 / 3.0) * np.sqrt(self.areas / np.pi))

    def pairs(self, radius: float) -> DistancePairs:
        """Ordered pairs of different regions at most `radius` km apart; O(pairs)."""
        half = cKDTree(self.points).query_pairs(radius, output_type="ndarray")
        distance = np.linalg.norm(self.points[half[:, 0]] - self.points[half[:, 1]], axis=1)
        return DistancePairs(
            receiver=np.concatenate([half[:, 0], half[:, 1]]),
            sender=np.concatenate([half[:, 1], half[:, 0]]),
            distance=np.concatenate([distance, distance]),
        )

    def to_geodataframe(self) -> Any:
        """GeoDataFrame indexed by region id with name, centre and area; planar km, so crs is None."""
        import geopandas as gpd

        return gpd.GeoDataFrame(
            {"name": list(self.names), "x_km": self.points[:, 0], "y_km": self.points[:, 1], "area_km2": self.areas},
            geometry=list(self.cells),
            index=list(self.regions),
        )


def build_geography(regions: tuple[str, ...], rng: np.random.Generator) -> Geography:
    """A map for these region ids, in a square of side 1000 √(n/300) km: the Voronoi cells of Poisson-disc points."""
    n = len(regions)
    side = SIDE_KM_AT_300 * float(np.sqrt(n / 300.0))
    cells = voronoi_cells(scatter_points(n, side, rng), side)
    import shapely

    centres = shapely.get_coordinates(shapely.centroid(cells))
    from_north = np.argsort(-centres[:, 1], kind="stable")
    cells, centres = cells[from_north], centres[from_north]
    width = max(2, len(str(n)))
    names = tuple(f"Region {i:0{width}d}" for i in range(1, n + 1))
    return Geography(regions, names, centres, shapely.area(cells), cells, side)


def scatter_points(n: int, side: float, rng: np.random.Generator) -> FloatArray:
    """(n, 2) points in [0, side]², none closer than 0.7 of the mean spacing.

    Darts are thrown in batches. A dart is kept when it is far enough from all kept ones and from every earlier dart
    of its batch. Bridson's growth (scipy.stats.qmc.PoissonDisk) fills the square or a part of it, but cannot be asked
    for an exact number of points spread over the whole.
    """
    spacing = _MIN_SHARE_OF_SPACING * side / np.sqrt(n)
    kept = np.empty((0, 2))
    while len(kept) < n:
        darts = rng.uniform(0.0, side, size=(n, 2))
        if len(kept):
            nearest, _ = cKDTree(kept).query(darts)
            darts = darts[nearest >= spacing]
        too_close = cKDTree(darts).query_pairs(spacing, output_type="ndarray") if len(darts) > 1 else np.empty((0, 2))
        late = np.zeros(len(darts), dtype=bool)
        late[too_close[:, 1].astype(int)] = True
        kept = np.vstack([kept, darts[~late]])
    return kept[:n]


def voronoi_cells(points: FloatArray, side: float) -> Any:
    """n shapely polygons, cell i around point i, clipped to the square."""
    import shapely

    square = shapely.box(0.0, 0.0, side, side)
    cells = shapely.get_parts(shapely.voronoi_polygons(shapely.MultiPoint(points), extend_to=square))
    # GEOS returns the cells in no particular order; each holds exactly one centre
    point_index, cell_index = shapely.STRtree(cells).query(shapely.points(points), predicate="within")
    ordered = np.empty(len(points), dtype=object)
    ordered[point_index] = cells[cell_index]
    return shapely.intersection(ordered, square)
