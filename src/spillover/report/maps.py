"""Maps as data: polygons on an equal-aspect plane, sent once, and one list of values per map and period.

Drawn as filled lines, not with a web map or a base layer, so that nothing is ever fetched from a network.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

from spillover.report.palette import Classes, level_classes, signed_classes
from spillover.study.numbers import decimals_for, fixed, heading
from spillover.study.result import Measure, Number, StudyResult
from spillover.study.scale import Scale, scale_of

Ring = list[tuple[float, float]]
_EXTENT = 1000.0  # the longer side of a map in its own units; coordinates are rounded to a tenth of one
_MANY_VERTICES = 30_000
_DOT_CORNERS = 16
SAME = 0.05  # a relative range below it is told as "nearly the same"


@dataclass(frozen=True)
class Shapes:
    """Outlines of n regions: rings (exterior first, then holes) per region, and a point inside each."""

    rings: tuple[tuple[Ring, ...], ...]
    centres: tuple[tuple[float, float] | None, ...]
    width: float
    height: float
    missing: tuple[str, ...]  # region ids without an outline

    @cached_property
    def payload(self) -> dict[str, Any]:
        """What the page needs to draw them; the rings of a region are parted by None."""
        outlines = []
        for rings in self.rings:
            x: list[float | None] = []
            y: list[float | None] = []
            for ring in rings:
                if x:
                    x.append(None)
                    y.append(None)
                x += [round(point[0], 1) for point in ring]
                y += [round(point[1], 1) for point in ring]
            outlines.append({"x": x, "y": y})
        centres = [None if c is None else [round(c[0], 1), round(c[1], 1)] for c in self.centres]
        return {"outlines": outlines, "centres": centres, "width": self.width, "height": self.height}


@dataclass(frozen=True)
class Choropleth:
    """One map: a title, a unit, classes, and n values for each of its frames (periods)."""

    key: str
    title: str
    unit: str
    frames: tuple[str, ...]
    values: tuple[tuple[Number, ...], ...]  # (frames, n)
    classes: Classes
    caption: str
    errors: tuple[Number, ...] = ()  # (n,) standard errors, when there are any
    links: tuple[tuple[str, str, float], ...] = ()  # sender, receiver, effect

    @property
    def has_missing(self) -> bool:
        """Whether a region has no value in some frame."""
        return any(value is None for frame in self.values for value in frame)


# -- geometry -------------------------------------------------------------------------------------


def shapes_of(result: StudyResult) -> Shapes | None:
    """The outlines of the regions in the order of the panel, or None when the study has no map.

    A region that is a point or a line is drawn as a dot.
    """
    if result.panel.geometry is None:
        return None
    by_id = {_feature_id(f): f.get("geometry") for f in result.panel.geometry.get("features", ())}
    geometries = [by_id.get(region) for region in result.panel.regions]
    if not any(geometries):
        return None
    polygons = _simplified([_polygons(geometry) for geometry in geometries])
    points = [None if rings else _point(geometry) for rings, geometry in zip(polygons, geometries, strict=True)]
    drawn = [[[point]] if point else rings for rings, point in zip(polygons, points, strict=True)]
    if not any(drawn):
        return None
    project = _plane if result.panel.planar else _azimuthal(drawn)
    placed = [[[project(x, y) for x, y in ring] for ring in rings] for rings in drawn]
    return _fit(_with_dots(placed), result.panel.regions)


def _feature_id(feature: dict[str, Any]) -> str:
    identity = feature.get("id")
    properties = feature.get("properties") or {}
    return str(properties.get("region", "")) if identity is None else str(identity)


def _polygons(geometry: dict[str, Any] | None) -> list[Ring]:
    """All rings of a Polygon, MultiPolygon or GeometryCollection; other kinds have no area to colour.

    Exteriors run against the clock and holes with it, so that a hole stays open however the rings are drawn together.
    """
    if not geometry:
        return []
    kind = geometry["type"]
    if kind == "GeometryCollection":
        return [ring for part in geometry["geometries"] for ring in _polygons(part)]
    parts = {"Polygon": [geometry.get("coordinates")], "MultiPolygon": geometry.get("coordinates")}.get(kind) or []
    rings = []
    for part in parts:
        for number, coordinates in enumerate(part or ()):
            ring = [(float(p[0]), float(p[1])) for p in coordinates]
            if len(ring) > 3:
                rings.append(ring if (_doubled_area(ring) > 0) == (number == 0) else ring[::-1])
    return rings


def _point(geometry: dict[str, Any] | None) -> tuple[float, float] | None:
    """The middle of a geometry without area: a point, some points, or a line."""
    import shapely

    shape = None if not geometry else shapely.geometry.shape(geometry)
    return None if shape is None or shape.is_empty else (float(shape.centroid.x), float(shape.centroid.y))


def _with_dots(placed: list[list[Ring]]) -> list[list[Ring]]:
    """The outlines with a small circle for each region that is a single point; more regions have smaller dots."""
    points = [point for rings in placed for ring in rings for point in ring]
    x, y = [p[0] for p in points], [p[1] for p in points]
    extent = max(max(x) - min(x), max(y) - min(y)) or 1.0
    radius = extent * min(0.02, 0.3 / math.sqrt(len(placed)))
    turns = [2.0 * math.pi * k / _DOT_CORNERS for k in range(_DOT_CORNERS + 1)]
    circle = [(radius * math.cos(turn), radius * math.sin(turn)) for turn in turns]
    return [
        [[(ring[0][0] + dx, ring[0][1] + dy) for dx, dy in circle] if len(ring) == 1 else ring for ring in rings]
        for rings in placed
    ]


def _doubled_area(ring: Ring) -> float:
    """Twice the signed area of a closed ring: positive against the clock."""
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairwise(ring))


def _simplified(polygons: list[list[Ring]]) -> list[list[Ring]]:
    """Fewer vertices for a fine map, with borders still shared: the report stays small, the eye sees no difference."""
    total = sum(len(ring) for rings in polygons for ring in rings)
    if total <= _MANY_VERTICES:
        return polygons
    import shapely

    if not hasattr(shapely, "coverage_simplify"):
        return polygons
    shapes = [shapely.make_valid(_union(rings)) for rings in polygons]
    x0, y0, x1, y1 = shapely.total_bounds(shapes)
    simple = shapely.coverage_simplify(shapes, max(x1 - x0, y1 - y0) / 800)
    return [_polygons(shapely.geometry.mapping(shape)) for shape in simple]


def _union(rings: list[Ring]) -> Any:
    """One shape from rings, holes where a ring lies in another (symmetric difference of the filled rings)."""
    import shapely

    shape: Any = shapely.MultiPolygon()
    for ring in rings:
        shape = shape.symmetric_difference(shapely.make_valid(shapely.Polygon(ring)))
    return shape


def _plane(x: float, y: float) -> tuple[float, float]:
    return x, y


def _azimuthal(polygons: list[list[Ring]]) -> Any:
    """Lambert's azimuthal equal-area projection about the middle of the map: areas compare as they are.

    Beyond 120 degrees of longitude (a world map) plain longitude and latitude are kept: the projection folds there.
    """
    points = [point for rings in polygons for ring in rings for point in ring]
    west, east = min(p[0] for p in points), max(p[0] for p in points)
    south, north = min(p[1] for p in points), max(p[1] for p in points)
    if east - west > 120:
        return _plane
    centre, middle = math.radians((west + east) / 2), math.radians((south + north) / 2)

    def project(x: float, y: float) -> tuple[float, float]:
        turn, latitude = math.radians(x) - centre, math.radians(y)
        cosine = math.sin(middle) * math.sin(latitude) + math.cos(middle) * math.cos(latitude) * math.cos(turn)
        k = math.sqrt(2 / (1 + cosine))
        rise = math.cos(middle) * math.sin(latitude) - math.sin(middle) * math.cos(latitude) * math.cos(turn)
        return k * math.cos(latitude) * math.sin(turn), k * rise

    return project


def _fit(polygons: list[list[Ring]], regions: Sequence[str]) -> Shapes:
    """Outlines moved to start at zero and scaled so that the longer side is 1000."""
    points = [point for rings in polygons for ring in rings for point in ring]
    x0, y0 = min(p[0] for p in points), min(p[1] for p in points)
    spans = max(p[0] for p in points) - x0, max(p[1] for p in points) - y0
    size = _EXTENT / max(*spans, 1e-12)
    scaled = tuple(tuple([((x - x0) * size, (y - y0) * size) for x, y in ring] for ring in rings) for rings in polygons)
    return Shapes(
        rings=scaled,
        centres=tuple(_inside(rings) for rings in scaled),
        width=spans[0] * size,
        height=spans[1] * size,
        missing=tuple(region for region, rings in zip(regions, scaled, strict=True) if not rings),
    )


def _inside(rings: Sequence[Ring]) -> tuple[float, float] | None:
    """A point inside the largest part of a region, for labels, hover and the ends of arrows."""
    if not rings:
        return None
    import shapely

    largest = max((shapely.Polygon(ring) for ring in rings), key=lambda shape: shape.area)
    point = shapely.make_valid(largest).representative_point()
    centroid = largest.centroid
    best = centroid if largest.is_valid and largest.contains(centroid) else point
    return float(best.x), float(best.y)


# -- the maps of a study --------------------------------------------------------------------------


def measure_maps(result: StudyResult) -> tuple[Choropleth, ...]:
    """One map per measure, with one frame per period; classes are the same in all periods, so colours compare."""
    return tuple(_level_map(result, measure, number) for number, measure in enumerate(result.measures))


def _level_map(result: StudyResult, measure: Measure, number: int) -> Choropleth:
    # what there is to say about the index stands beside its weights
    note = "" if result.index is not None and measure.name == result.index.name else measure.note
    return Choropleth(
        key=f"level-{number}",
        title=heading(measure.label, measure.name),
        unit=measure.unit,
        frames=tuple(str(period) for period in result.panel.periods),
        values=tuple(zip(*measure.values, strict=True)),
        classes=level_classes(value for row in measure.values for value in row),
        caption=f"{note} Classes hold about equally many region-periods, the same in every period.".strip(),
    )


def change_maps(result: StudyResult) -> tuple[Choropleth, ...]:
    """One map per measure of its change from the first to the last period; none for a cross-section."""
    if len(result.panel.periods) < 2:
        return ()
    return tuple(_change_map(result, measure, number) for number, measure in enumerate(result.measures))


def _change_map(result: StudyResult, measure: Measure, number: int) -> Choropleth:
    change = tuple(
        None if row[0] is None or row[-1] is None else row[-1] - row[0] for row in measure.values
    )  # fmt: skip
    span = f"{result.panel.periods[0]} to {result.panel.periods[-1]}"
    return Choropleth(
        key=f"change-{number}",
        title=f"{heading(measure.label, measure.name)}: change",
        unit=measure.unit,
        frames=(span,),
        values=(change,),
        classes=signed_classes(change),
        caption=f"Last period less first, {span}. A pattern in levels says nothing about a pattern in changes.",
    )


def regional_maps(result: StudyResult, arrows: int = 20) -> tuple[Choropleth, ...]:
    """Spillovers received and emitted on the scale of the headline, with the strongest links on the second map."""
    regional = result.regional
    if regional is None:
        return ()
    scale = scale_of(result, result.model())
    links = tuple(sorted(strongest_links(result), key=lambda link: -abs(link[2]))[:arrows])
    what = f"Change of {scale.outcome.label}"
    parts = (
        ("received", "Received from all others", regional.received, regional.received_se, (),
         f"{what} in a region that goes with {scale.shock} in all other regions."),
        ("emitted", "Emitted to all others", regional.emitted, regional.emitted_se, links,
         f"{what}, summed over all other regions, that goes with {scale.shock} in one region. Arrows: the strongest "
         "links, from sender to receiver; wider is stronger."),
    )  # fmt: skip
    return tuple(
        _regional_map(scale, key, title, effects, errors, drawn, caption)
        for key, title, effects, errors, drawn, caption in parts
    )


def _regional_map(
    scale: Scale,
    key: str,
    title: str,
    effects: Sequence[float],
    errors: Sequence[float],
    links: tuple[tuple[str, str, float], ...],
    caption: str,
) -> Choropleth:
    values = tuple(scale.convert(effect) for effect in effects)
    classes = signed_classes(values)
    if nearly_equal(values):
        places = decimals_for(max(values) - min(values), significant=1)
        low, high = fixed(min(values), places, sign=True), fixed(max(values), places, sign=True)
        classes = Classes((), signed_classes(values[:1]).colours, (low if low == high else f"{low} to {high}",))
        caption = f"Nearly the same everywhere, so the map has one class. {caption}"
    return Choropleth(
        key=key,
        title=title,
        unit=scale.unit.strip() or f"in units of {scale.outcome.label}",
        frames=("",),
        values=(values,),
        classes=classes,
        caption=caption,
        errors=tuple(scale.convert_error(b, se) for b, se in zip(effects, errors, strict=True)),
        links=links,
    )


def nearly_equal(values: Sequence[float]) -> bool:
    """Whether all values lie within 5 % of the largest: classes would make differences that nobody should read."""
    largest = max(map(abs, values), default=0.0)
    return largest > 0.0 and max(values) - min(values) < SAME * largest


def strongest_links(result: StudyResult) -> Iterator[tuple[str, str, float]]:
    """(sender, receiver, effect) of every link that is recorded."""
    if result.regional is not None:
        for row in result.regional.links:
            yield str(row["sender"]), str(row["receiver"]), float(row["effect"])
