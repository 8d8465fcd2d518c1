"""The map of a simulated system: scattered centres with their Voronoi cells, or the regions of a real map."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial import cKDTree

from spillover.errors import PanelError
from spillover.panel.panel import Panel
from spillover.typing import FloatArray, IntArray
from spillover.weights.points import Points

if TYPE_CHECKING:
    import geopandas as gpd

SIDE_KM_AT_300 = 1000.0
"""Side of the square for 300 regions; the area grows with their number, so spacing stays near 58 km."""

SPACING_KM = SIDE_KM_AT_300 / 300.0**0.5
"""Root of a synthetic region's mean area: about as far as neighbours are apart."""

_MIN_SHARE_OF_SPACING = 0.7  # random sequential packing jams at 0.83, so this always finds room

CLOSEST_KM = _MIN_SHARE_OF_SPACING * SPACING_KM
"""No two points of a synthetic map are thrown closer than this."""


@dataclass(frozen=True, eq=False)
class DistancePairs:
    """All ordered pairs of different regions within a radius: rows receive, columns send."""

    receiver: IntArray
    sender: IntArray
    distance: FloatArray  # km


@dataclass(frozen=True, eq=False)
class Geography:
    """A map of n regions; all lengths in km.

    Attributes
    ----------
    regions, names : n ids and display names; synthetic regions are numbered from north to south.
    points : (n, 2) centres: the centroids of the cells, so that a W built from the map measures the same distances.
        Plane km, or degrees east and north when `lonlat`.
    areas : (n,) km².
    cells : n shapely polygons.
    side : side of the square, km; of a real map, the root of its area.
    lonlat : whether points are degrees; distances are then great circles.
    crs : coordinate system of the cells; None is plane km.
    travel : (n, n) distances in km that take the place of those between the centres (roads, railways), with zeros
        on the diagonal; None is straight.
    """

    regions: tuple[str, ...]
    names: tuple[str, ...]
    points: FloatArray
    areas: FloatArray
    cells: Any
    side: float
    lonlat: bool = False
    crs: Any = None
    travel: FloatArray | None = None

    @classmethod
    def from_panel(cls, panel: Panel) -> Geography:
        """The map of a real panel: centroids, areas and ids; distances on the globe where the map says where it is.

        Raises
        ------
        PanelError : the panel has no map. ValueDomainError : shapes without an area.
        """
        from spillover.panel.geometry import areas_km2, centroids

        points, lonlat = centroids(panel)
        areas = areas_km2(panel)
        return cls(
            regions=panel.regions,
            names=panel.names,
            points=points,
            areas=areas,
            cells=panel.geometry.geometry.to_numpy(),
            side=float(np.sqrt(areas.sum())),
            lonlat=lonlat,
            crs=panel.geometry.crs,
        )

    @classmethod
    def from_map(cls, frame: gpd.GeoDataFrame, region: str | None = None, name: str | None = None) -> Geography:
        """The map of a GeoDataFrame.

        Parameters
        ----------
        frame : one shape per region; ids from its index, or from the column `region`. Plane km where it has no
            coordinate system, or one in degrees that its numbers cannot be.
        name : column with display names; the ids by default.

        Raises
        ------
        UnknownColumnError : a column that is not there. PanelError : ids that repeat, or regions without a shape.
        """
        from spillover.panel.geometry import settle_crs
        from spillover.weights.locate import frame_ids

        ids = frame_ids(frame, region)
        blank = [i for i, none in zip(ids, frame.geometry.isna() | frame.geometry.is_empty, strict=True) if none]
        if blank:
            raise PanelError("some regions have no shape on the map", got=", ".join(blank[:5]))
        if name is not None and name not in frame.columns:
            raise PanelError(
                f"no column {name!r} with display names on the map",
                expected="one of " + ", ".join(map(str, frame.columns)),
            )
        names = ids if name is None else tuple(frame[name].astype(str))
        order = sorted(range(len(ids)), key=ids.__getitem__)
        shapes = frame[[frame.geometry.name]].set_axis(list(ids), axis=0).iloc[order]
        if shapes.crs is not None:
            shapes = shapes.set_crs(settle_crs(shapes.geometry, "the map", []).crs, allow_override=True)
        return cls.from_panel(
            Panel(
                regions=tuple(shapes.index),
                periods=(0,),
                variables={},
                names=tuple(names[i] for i in order),
                geometry=shapes,
                is_panel=False,
            )
        )

    @cached_property
    def located(self) -> Points:
        """The centres, with their distances on the plane or the globe."""
        return Points(self.regions, self.points, self.lonlat)

    @cached_property
    def own_distances(self) -> FloatArray:
        """(n,) d_ii = (2/3) √(area / π): the mean distance from the centre of a disc of the same area."""
        return np.asarray((2.0 / 3.0) * np.sqrt(self.areas / np.pi))

    def distances(self, i: IntArray, j: IntArray) -> FloatArray:
        """(m,) km between regions i and regions j, given as positions, as the kernels measure them."""
        if self.travel is not None:
            return np.asarray(self.travel[i, j])
        return self.located.distances(i, j)

    def pairs(self, radius: float) -> DistancePairs:
        """Ordered pairs of different regions at most `radius` km apart; O(pairs), O(n²) along roads."""
        if self.travel is not None:
            near = self.travel <= radius
            np.fill_diagonal(near, False)
            receiver, sender = np.nonzero(near)
            return DistancePairs(receiver, sender, self.travel[receiver, sender])
        first, second, distance = self._straight_pairs(radius)
        return DistancePairs(
            receiver=np.concatenate([first, second]),
            sender=np.concatenate([second, first]),
            distance=np.concatenate([distance, distance]),
        )

    def _straight_pairs(self, radius: float) -> tuple[IntArray, IntArray, FloatArray]:
        if self.lonlat:
            return self.located.pairs_within(radius)
        half = cKDTree(self.points).query_pairs(radius, output_type="ndarray")
        distance = np.linalg.norm(self.points[half[:, 0]] - self.points[half[:, 1]], axis=1)
        return half[:, 0], half[:, 1], distance

    def to_geodataframe(self) -> Any:
        """GeoDataFrame indexed by region id with name, centre and area; crs None is plane km."""
        import geopandas as gpd

        x, y = ("longitude", "latitude") if self.lonlat else ("x_km", "y_km")
        return gpd.GeoDataFrame(
            {"name": list(self.names), x: self.points[:, 0], y: self.points[:, 1], "area_km2": self.areas},
            geometry=list(self.cells),
            index=list(self.regions),
            crs=self.crs,
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
