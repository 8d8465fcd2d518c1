"""Shared borders: the longer the common stretch, the stronger the link."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import scipy.sparse as sp

from spillover.errors import check_option
from spillover.typing import FloatArray, IslandPolicy, Standardisation
from spillover.weights.assemble import Links, assemble, check_choices
from spillover.weights.contiguity import map_polygons
from spillover.weights.labels import names_of
from spillover.weights.locate import locate
from spillover.weights.points import EARTH_RADIUS_KM
from spillover.weights.weights import SpatialWeights

if TYPE_CHECKING:
    from geopandas import GeoSeries


def build_shared_border(
    source: Any,
    measure: Literal["length", "share"] = "length",
    *,
    regions: str | Sequence[Any] | None = None,
    islands: IslandPolicy = "error",
    standardise: Standardisation = "row",
    links: Links = (),
) -> SpatialWeights:
    """Shared border: w_ij = km of border that i and j have in common, or their share of the perimeter of i.

    Parameters
    ----------
    source, regions : as in `build_contiguity`. Lengths are great-circle km on the map as drawn, so that a finer map has
        longer borders; a map without a reference system is taken as plane km.
    measure : "length" (symmetric) or "share" of the whole perimeter of the receiver, coast and outer border included.
    islands, standardise, links : as in `build_contiguity`; a link by hand gets the median of the other weights.

    Raises
    ------
    As in `build_contiguity`. Regions that meet in a point only are not linked.

    Cost: n log n for a map of n polygons.

    >>> import geopandas, shapely
    >>> shapes = [shapely.box(0, 0, 2, 2), shapely.box(2, 0, 3, 1), shapely.box(2, 1, 3, 3)]
    >>> plane = geopandas.GeoDataFrame(geometry=shapes, index=["a", "b", "c"])
    >>> build_shared_border(plane, "share", standardise="none").matrix.toarray().round(4).tolist()
    [[0.0, 0.125, 0.125], [0.25, 0.0, 0.25], [0.1667, 0.1667, 0.0]]
    """
    import shapely

    check_option("measure", measure, ("length", "share"))
    check_choices(islands, standardise)
    ids, shapes = map_polygons(source, regions)
    lines = shapes.boundary
    i, j = shapes.sindex.query(shapes, predicate="intersects")
    once = i < j
    i, j = i[once], j[once]
    values = lines.to_numpy()
    common = shapely.intersection(values[i], values[j])
    km = _kilometres(shapes, common)
    some = km > 0.0
    i, j, km = i[some], j[some], km[some]
    matrix = sp.csr_matrix((np.r_[km, km], (np.r_[i, j], np.r_[j, i])), shape=(len(ids), len(ids)))
    kind = "length of the shared border"
    if measure == "share":
        perimeters = _kilometres(shapes, values)
        matrix = sp.csr_matrix(sp.diags_array(1.0 / perimeters) @ matrix)
        kind = "share of the perimeter that is shared"
    raw = SpatialWeights(matrix, ids, kind, island_policy="keep")
    return assemble(
        raw,
        links=links,
        islands=islands,
        standardise=standardise,
        place=lambda: locate(source, regions=regions),
        names=names_of(source),
    )


def _kilometres(shapes: GeoSeries, lines: Any) -> FloatArray:
    """(m,) km of lines in the coordinates of the map: along the globe, or in the plane without a reference system.

    Every piece is measured as the great circle between its ends.
    """
    import geopandas
    import shapely

    if shapes.crs is None:
        return np.asarray(shapely.length(lines))
    degrees = geopandas.GeoSeries(lines, crs=shapes.crs).to_crs(4326).to_numpy()
    parts, owner = shapely.get_parts(degrees, return_index=True)
    linear = np.isin(shapely.get_type_id(parts), (1, 2))  # a corner in common is a point
    parts, owner = parts[linear], owner[linear]
    places, part = shapely.get_coordinates(parts, return_index=True)
    longitude, latitude = np.radians(places).T
    same = part[1:] == part[:-1]
    half = np.sin(np.diff(latitude) / 2.0) ** 2
    half = half + np.cos(latitude[1:]) * np.cos(latitude[:-1]) * np.sin(np.diff(longitude) / 2.0) ** 2
    km = 2.0 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.minimum(half, 1.0)))
    return np.bincount(owner[part[1:][same]], weights=km[same], minlength=len(degrees)).astype(float)
