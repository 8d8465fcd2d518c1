"""Maps: polygons matched to regions by id, their centroids, areas and a small GeoJSON for display."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spillover.errors import (
    AlignmentError,
    FileError,
    OptionError,
    PanelError,
    UnknownColumnError,
    ValueDomainError,
    check_option,
    did_you_mean,
    show_labels,
)
from spillover.panel.clean import to_text
from spillover.panel.panel import Panel
from spillover.panel.tables import clean_name, require_file
from spillover.panel.wording import count_of, near_misses
from spillover.typing import FloatArray

if TYPE_CHECKING:
    import geopandas as gpd

# GeoJSON (2008) for "no coordinate system can be assumed"; readers that know only the newer form take it for degrees.
_NO_SYSTEM = re.compile(rb'^\s*\{[^{\[]*"crs"\s*:\s*null')
MAP_SUFFIXES = (".geojson", ".json", ".gpkg", ".shp")
POLICIES = ("error", "table")


@dataclass(frozen=True, eq=False)
class MatchedMap:
    """The part of a map that belongs to a table.

    Attributes
    ----------
    geometry : GeoDataFrame with one column, indexed by region id in the order asked for.
    attributes : column of the map → its n cells in the same order.
    notes : what was done, one sentence each.
    """

    geometry: gpd.GeoDataFrame
    attributes: dict[str, list[Any]]
    notes: tuple[str, ...]


def read_map(
    geometry: Any,
    regions: Sequence[str],
    *,
    region: str,
    geometry_id: str | None = None,
    policy: str = "error",
) -> MatchedMap:
    """A map matched by id to the regions of a table.

    Parameters
    ----------
    geometry : path to GeoJSON, GeoPackage or Shapefile, or a GeoDataFrame or GeoSeries.
    regions : n region ids of the table.
    region : name of the table's region column; the map's column of that name holds the ids by default.
    geometry_id : another column of the map that holds them. Without it and without a column named `region`, the
        one column that contains all ids is used, and the notes say so.
    policy : "error" (the map has exactly the regions of the table) or "table" (surplus map regions are
        left out, noted). A region of the table without a shape is always an error.

    Raises
    ------
    FileError : the file is missing, empty, damaged or not a map.
    UnknownColumnError : `geometry_id` is not a column of the map, or no column holds the ids unambiguously.
    AlignmentError : ids do not match (both sides shown), repeat on the map, or have no shape.
    PanelError : longitude and latitude are swapped.
    """
    check_option("geometry_policy", policy, POLICIES)
    frame, source, notes = _open_map(geometry)
    columns = _id_columns(frame)
    column, ids = _choose_ids(columns, regions, region, geometry_id, source, notes)
    _require_match(ids, regions, policy, f"column {column!r} of {source}", notes)
    position = {each: k for k, each in enumerate(ids) if each is not None}
    order = [position[each] for each in regions]
    shapes = _require_shapes(frame.geometry.iloc[order], regions, source)
    shapes = _repair(shapes, regions, notes)
    shapes = settle_crs(shapes, source, notes)
    attributes = {
        clean_name(name): frame[name].iloc[order].tolist() for name in frame.columns.drop(frame.geometry.name)
    }
    return MatchedMap(shapes, attributes, tuple(notes))


# -- opening ------------------------------------------------------------------------------------


def _open_map(geometry: Any) -> tuple[gpd.GeoDataFrame, str, list[str]]:
    import geopandas as gpd

    if isinstance(geometry, gpd.GeoSeries):
        geometry = geometry.to_frame("geometry")
    if isinstance(geometry, gpd.GeoDataFrame):
        if geometry._geometry_column_name is None or not len(geometry):
            raise FileError("the map has no shapes", got=f"a GeoDataFrame of {len(geometry)} rows")
        return geometry, "the map", []
    if not isinstance(geometry, str | os.PathLike):
        raise OptionError(
            "geometry is neither a path nor a GeoDataFrame",
            got=f"an object of type {type(geometry).__name__}",
            expected="a path to " + ", ".join(MAP_SUFFIXES) + ", a GeoDataFrame or a GeoSeries",
        )
    return read_map_file(Path(geometry))


def read_map_file(path: Path) -> tuple[gpd.GeoDataFrame, str, list[str]]:
    """Shapes with their columns, the name of the map, and notes. Raises FileError for what is not a map."""
    import geopandas as gpd
    import pyogrio

    require_file(path, f"the map {path.name}")
    if path.suffix.lower() not in MAP_SUFFIXES:
        raise FileError(
            f"{path.name} is not a kind of map that can be read",
            got=f"the ending {path.suffix!r}",
            expected=", ".join(MAP_SUFFIXES) + ", or a GeoDataFrame",
        )
    notes = []
    try:
        layers = [str(layer[0]) for layer in pyogrio.list_layers(path)]
        frame = gpd.read_file(path, layer=layers[0])
        if len(layers) > 1:
            notes.append(
                f"only the first layer of {path.name} was read ({layers[0]}); others: {show_labels(layers[1:])}"
            )
    except Exception as problem:  # GDAL has many ways to fail; the user sees one
        raise FileError(
            f"{path.name} cannot be read as a map",
            got=f"{type(problem).__name__}: {str(problem)[:300]}",
            causes=(
                "the file is damaged or something else",
                "a Shapefile without its .shx and .dbf beside it",
            ),
        ) from problem
    if path.suffix.lower() in (".geojson", ".json") and _NO_SYSTEM.search(path.read_bytes()[:2000]):
        frame = frame.set_crs(None, allow_override=True)
        notes.append(f"{path.name} says that it has no coordinate system: its coordinates are plane")
    if not isinstance(frame, gpd.GeoDataFrame) or not len(frame):
        raise FileError(f"{path.name} has no shapes", got=f"{len(frame)} rows without geometry")
    return frame, path.name, notes


# -- matching -----------------------------------------------------------------------------------


def _id_columns(frame: gpd.GeoDataFrame) -> dict[str, list[str | None]]:
    """Every column of the map, and its index when that is not a mere count, as ids."""
    import pandas as pd

    columns = {
        clean_name(name): [to_text(cell) for cell in frame[name].tolist()]
        for name in frame.columns.drop(frame.geometry.name)
    }
    if not isinstance(frame.index, pd.RangeIndex | pd.MultiIndex):
        columns.setdefault(clean_name(frame.index.name or "index"), [to_text(cell) for cell in frame.index.tolist()])
    return columns


def _choose_ids(
    columns: dict[str, list[str | None]],
    regions: Sequence[str],
    region: str,
    geometry_id: str | None,
    source: str,
    notes: list[str],
) -> tuple[str, list[str | None]]:
    if geometry_id is not None:
        name = clean_name(geometry_id)
        if name not in columns:
            raise UnknownColumnError(
                f"{source} has no column {name!r} (asked for as geometry_id)",
                expected="one of " + show_labels(columns, 20),
                fix=did_you_mean(name, columns) or None,
            )
        return name, columns[name]
    if clean_name(region) in columns:
        return clean_name(region), columns[clean_name(region)]
    complete = [name for name, ids in columns.items() if set(regions) <= set(ids)]
    if len({tuple(columns[name]) for name in complete}) == 1:
        notes.append(f"regions were found on the map by its column {complete[0]!r}")
        return complete[0], columns[complete[0]]
    if complete:
        raise UnknownColumnError(
            f"several columns of {source} hold all region ids",
            got=show_labels(complete),
            fix="say which one is meant with geometry_id=…",
        )
    closest = max(columns, key=lambda name: len(set(regions) & set(columns[name])), default=None)
    if closest is None or not set(regions) & set(columns[closest]):
        raise UnknownColumnError(
            f"no column of {source} holds the region ids of the table",
            got=f"ids in the table: {show_labels(regions)}; columns of the map: {show_labels(columns, 12) or 'none'}",
            expected=f"a column named {clean_name(region)!r} with the same ids",
            causes=("another code list", "ids that lost their leading zeros when read as numbers"),
            fix="say which column is meant with geometry_id=…",
        )
    return closest, columns[closest]


def _require_match(
    ids: Sequence[str | None], regions: Sequence[str], policy: str, where: str, notes: list[str]
) -> None:
    table, on_map = set(regions), {each for each in ids if each is not None}
    missing, surplus = sorted(table - on_map), sorted(on_map - table)
    if missing or (surplus and policy == "error"):
        raise AlignmentError(
            "the regions of the table and of the map are not the same",
            got=f"only in the table: {show_labels(missing, 10) or 'none'}; "
            f"only on the map: {show_labels(surplus, 10) or 'none'}",
            expected=f"the {len(table)} ids of the table in {where}",
            causes=(
                *near_misses(missing, surplus, "on the map"),
                "different code lists or vintages",
                "ids read as numbers lost their leading zeros",
                "totals in the table",
            ),
            fix="give the right column with geometry_id=…, or correct the ids"
            if missing
            else 'say geometry_policy="table" to leave the surplus shapes of the map out',
        )
    counts = Counter(each for each in ids if each in table)
    twice = sorted(str(each) for each, count in counts.items() if count > 1)
    if twice:
        raise AlignmentError(
            f"{count_of(len(twice), 'region')} with more than one shape in {where}",
            got=show_labels(twice),
            expected="one shape per region",
            causes=("islands and exclaves as rows of their own", "a finer map"),
            fix="merge them first: frame.dissolve(by=…)",
        )
    blank = sum(each is None for each in ids)
    if surplus:
        notes.append(
            f"{count_of(len(surplus), 'region')} of the map not in the table left out: {show_labels(surplus, 20)}"
        )
    if blank:
        notes.append(f"{count_of(blank, 'shape')} of the map without an id left out")


# -- shapes -------------------------------------------------------------------------------------


def _require_shapes(shapes: gpd.GeoSeries, regions: Sequence[str], source: str) -> gpd.GeoSeries:
    empty = (shapes.isna() | shapes.is_empty).to_numpy()
    if empty.any():
        raise AlignmentError(
            f"{count_of(int(empty.sum()), 'region')} without a shape in {source}",
            got=show_labels(each for each, none in zip(regions, empty, strict=True) if none),
            expected="a shape for every region of the table",
        )
    bounds = shapes.bounds.to_numpy()
    wild = ~np.isfinite(bounds).all(axis=1)
    if wild.any():
        raise ValueDomainError(
            f"shapes in {source} have coordinates that are not finite",
            got=show_labels(each for each, bad in zip(regions, wild, strict=True) if bad),
        )
    return shapes


def _repair(shapes: gpd.GeoSeries, regions: Sequence[str], notes: list[str]) -> gpd.GeoSeries:
    valid = shapes.is_valid.to_numpy()
    if not valid.all():
        broken = [each for each, good in zip(regions, valid, strict=True) if not good]
        shapes = shapes.where(valid, shapes.make_valid())
        notes.append(f"self-crossing shapes repaired, of {count_of(len(broken), 'region')}: {show_labels(broken, 20)}")
    return _polygons_only(shapes, regions, notes)


def _polygons_only(shapes: gpd.GeoSeries, regions: Sequence[str], notes: list[str]) -> gpd.GeoSeries:
    """Of shapes that are collections (a repaired polygon with a spike is one) the polygons."""
    import shapely

    mixed = {
        k: polygons
        for k, kind in enumerate(shapes.geom_type)
        if kind == "GeometryCollection" and (polygons := _polygons_in(shapes.iloc[k]))
    }
    if not mixed:
        return shapes
    found = shapes.to_numpy().copy()
    for k, polygons in mixed.items():
        found[k] = polygons[0] if len(polygons) == 1 else shapely.multipolygons(polygons)
    names = [regions[k] for k in mixed]
    notes.append(f"only the polygons were kept of the shapes of {count_of(len(names), 'region')}: {show_labels(names)}")
    return type(shapes)(found, index=shapes.index, crs=shapes.crs)


def _polygons_in(shape: Any) -> list[Any]:
    """The polygons of a collection, also those in collections within it."""
    import shapely

    parts = [inner for part in shapely.get_parts(shape) for inner in shapely.get_parts(part)]
    return [
        polygon
        for part in parts
        for polygon in (_polygons_in(part) if part.geom_type == "GeometryCollection" else [part])
        if polygon.geom_type == "Polygon"
    ]


def settle_crs(shapes: gpd.GeoSeries, source: str, notes: list[str]) -> gpd.GeoDataFrame:
    """Longitude and latitude where the numbers can only be that; otherwise what the map says, or nothing."""
    import geopandas as gpd

    west, south, east, north = shapes.total_bounds
    degrees = west >= -180.5 and east <= 360.5 and south >= -90.5 and north <= 90.5
    crs = shapes.crs
    swapped = south >= -180.5 and north <= 360.5 and west >= -90.5 and east <= 90.5
    if crs is not None and crs.is_geographic and not degrees and swapped:
        raise PanelError(
            f"{source} says that its coordinates are degrees, and the second of them is beyond 90",
            got=f"first {west:.4g} to {east:.4g}, second {south:.4g} to {north:.4g}",
            expected="longitude first, latitude second, latitude between −90 and 90",
            causes=("longitude and latitude are swapped", "a plane map in km that says it is in degrees"),
            fix='swap them, or for a plane map in km leave its coordinate system out (GeoJSON: "crs": null)',
        )
    if crs is None and degrees:
        crs = "EPSG:4326"
        notes.append(
            f"{source} has no coordinate system: its numbers were taken for longitude and latitude (EPSG:4326)"
        )
    elif (crs is None) or (crs.is_geographic and not degrees):
        crs = None
        notes.append(
            f"{source} has plane coordinates in a unit it does not say; "
            "distances and areas computed from them take it for km"
        )
    return gpd.GeoDataFrame(geometry=list(shapes), crs=crs)


# -- measures -----------------------------------------------------------------------------------


def _geometry_of(panel: Panel, what: str) -> gpd.GeoDataFrame:
    if panel.geometry is None:
        raise PanelError(
            f"{what} need a map, and the panel has none",
            fix="read the table together with a map: read_panel(…, geometry=…)",
        )
    return panel.geometry


def _on_earth(frame: gpd.GeoDataFrame) -> bool:
    """Whether the coordinates can be turned into longitude and latitude."""
    return frame.crs is not None and (frame.crs.is_geographic or frame.crs.is_projected)


def _equal_area(frame: gpd.GeoDataFrame) -> gpd.GeoSeries:
    """Shapes in a Lambert azimuthal equal-area projection around their middle, in metres.

    The middle is a mean of directions in space, so that a map across the date line stays in one piece.
    """
    points = frame.geometry.representative_point().to_crs("EPSG:4326")
    longitude, latitude = np.radians(points.x.to_numpy()), np.radians(points.y.to_numpy())
    x, y = np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude)
    z = np.sin(latitude)
    middle = np.degrees([np.arctan2(y.mean(), x.mean()), np.arctan2(z.mean(), np.hypot(x.mean(), y.mean()))])
    projection = f"+proj=laea +lon_0={middle[0]:.4f} +lat_0={middle[1]:.4f} +datum=WGS84 +units=m +no_defs"
    return frame.geometry.to_crs(projection)


def _km_per_unit(frame: gpd.GeoDataFrame) -> float:
    """km per unit of plane coordinates; 1 when the map does not say."""
    return 1.0 if frame.crs is None else float(frame.crs.axis_info[0].unit_conversion_factor) / 1000.0


def centroids(panel: Panel) -> tuple[FloatArray, bool]:
    """Area-weighted centroids of the regions, and whether they are longitude and latitude.

    Returns
    -------
    coordinates : (n, 2) in the order of `panel.regions`: degrees east and north (WGS84) for a map with
        a coordinate system on the earth, whatever it is; plane coordinates in km otherwise (a map without
        one is taken to be in km).
    lonlat : True in the first case.

    Centroids are computed in an equal-area projection and may lie outside a region of odd shape.

    Raises
    ------
    PanelError : the panel has no map.
    """
    frame = _geometry_of(panel, "centroids")
    if not _on_earth(frame):
        points = frame.geometry.centroid
        return np.column_stack([points.x, points.y]) * _km_per_unit(frame), False
    points = _equal_area(frame).centroid.to_crs("EPSG:4326")
    return np.column_stack([points.x, points.y]), True


def areas_km2(panel: Panel) -> FloatArray:
    """(n,) areas of the regions in km², from an equal-area projection on the WGS84 ellipsoid.

    A map without a coordinate system is taken to be in km.

    Raises
    ------
    PanelError : the panel has no map.
    ValueDomainError : shapes without an area (points, lines); the regions are named.
    """
    frame = _geometry_of(panel, "areas")
    if _on_earth(frame):
        areas = _equal_area(frame).area.to_numpy() / 1e6
    else:
        areas = frame.geometry.area.to_numpy() * _km_per_unit(frame) ** 2
    flat = areas <= 0
    if flat.any():
        raise ValueDomainError(
            "some shapes have no area",
            got=show_labels(region for region, zero in zip(panel.regions, flat, strict=True) if zero),
            causes=("the map has points or lines, not polygons",),
            fix="give the area as a column of the table",
        )
    return np.asarray(areas, dtype=float)


# -- display ------------------------------------------------------------------------------------


def to_geojson(panel: Panel, tolerance: float | None = None) -> dict[str, Any]:
    """A simplified FeatureCollection for display: shared borders stay shared, and the text stays small.

    Parameters
    ----------
    panel : with a map.
    tolerance : size of the details that may go, in degrees (in units of a plane map); by default it is
        chosen so that 300 regions take less than about 400 kB.

    Returns
    -------
    GeoJSON with longitude and latitude (EPSG:4326), or plane coordinates where the map has no place on
    the earth; outer rings run counter-clockwise (RFC 7946). Feature "id" is the region id, property "name"
    its display name, as plain text: whoever writes it into HTML escapes it.

    Raises
    ------
    PanelError : the panel has no map.
    OptionError : a negative tolerance.
    """
    frame = _geometry_of(panel, "maps")
    if tolerance is not None and not 0 <= tolerance < np.inf:
        raise OptionError("a tolerance is zero or more", got=str(tolerance), expected="degrees, or units of the map")
    shapes = (frame.geometry.to_crs("EPSG:4326") if _on_earth(frame) else frame.geometry).to_numpy()
    span = _span(shapes)
    digits = max(0, int(np.ceil(-np.log10(span / 50_000.0)))) if span > 0 else 4  # finer than any screen shows
    if tolerance:
        digits = max(digits, int(np.ceil(-np.log10(tolerance))))
    shapes = _on_grid(shapes, digits)
    if tolerance is None:
        shapes = _simplify_to_size(shapes, span)
    elif tolerance > 0:
        shapes = _simplify(shapes, tolerance)
    features = [
        {"type": "Feature", "id": region, "properties": {"name": name}, "geometry": _rounded(shape, digits)}
        for region, name, shape in zip(panel.regions, panel.names, shapes, strict=True)
    ]
    return {"type": "FeatureCollection", "features": features}


_VERTICES_PER_REGION = 70  # 300 regions × 70 vertices × 18 bytes ≈ 380 kB
_LEAST_BUDGET = 6_000  # vertices that any map may have, however few its regions


def _span(shapes: Any) -> float:
    import shapely

    west, south, east, north = shapely.total_bounds(shapes)
    return float(max(east - west, north - south))


def _on_grid(shapes: Any, digits: int) -> Any:
    """Coordinates rounded, so that borders drawn twice with different noise become one; tiny shapes stay."""
    import shapely

    grid = shapely.set_precision(shapes, 10.0**-digits, mode="pointwise")
    whole = shapely.is_valid(grid) & ~shapely.is_empty(grid)
    return np.where(whole, grid, shapes)


def _simplify_to_size(shapes: Any, span: float) -> Any:
    """The least simplification, in steps of two, that keeps to the budget of vertices.

    Where neighbours do not quite touch, simplifying them together cannot drop the vertices in between;
    a map that stays too large that way is simplified shape by shape, with hairline gaps.
    """
    import shapely

    budget = max(_LEAST_BUDGET, _VERTICES_PER_REGION * len(shapes))
    if shapely.get_num_coordinates(shapes).sum() <= budget:
        return shapes
    result = shapes
    for together in (True, False):
        tolerance = span / 20_000.0
        while tolerance < span / 100.0:
            result = _simplify(shapes, tolerance, together=together)
            if shapely.get_num_coordinates(result).sum() <= budget:
                return result
            tolerance *= 2.0
    return result


def _simplify(shapes: Any, tolerance: float, *, together: bool = True) -> Any:
    """Simplified, with shared borders where `together`; a shape that would vanish stays as it was."""
    import shapely

    simple = None
    if together and np.isin(shapely.get_type_id(shapes), (3, 6)).all():  # polygons and multipolygons
        try:
            simple = shapely.coverage_simplify(shapes, tolerance)
        except shapely.errors.GEOSException:
            simple = None
    if simple is None:
        simple = shapely.simplify(shapes, tolerance)
    simple = np.array([_without_specks(each, tolerance) for each in simple], dtype=object)
    gone = shapely.is_empty(simple) | shapely.is_missing(simple)
    return np.where(gone, shapes, simple)


def _without_specks(shape: Any, tolerance: float) -> Any:
    """A multipolygon without the parts smaller than the tolerance; its largest part always stays."""
    import shapely

    parts = shapely.get_parts(shape)
    if len(parts) < 2:
        return shape
    areas = shapely.area(parts)
    keep = (areas >= tolerance**2) | (areas == areas.max())
    return shape if keep.all() else shapely.multipolygons(parts[keep])


def _rounded(shape: Any, digits: int) -> dict[str, Any]:
    import shapely

    def walk(nested: Any) -> Any:
        if isinstance(nested[0], float | int):
            return [round(float(value), digits) for value in nested[:2]]
        return [walk(each) for each in nested]

    mapping = shapely.geometry.mapping(shapely.orient_polygons(shape))
    if mapping["type"] == "GeometryCollection":
        return {"type": mapping["type"], "geometries": [_rounded(part, digits) for part in shape.geoms]}
    return {"type": mapping["type"], "coordinates": walk(mapping["coordinates"])}
