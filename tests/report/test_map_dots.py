"""Regions that are points are dots on the maps of the report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import shapely

from spillover.report.maps import shapes_of
from spillover.report.page import render_html
from spillover.study.result import StudyResult


def with_geometries(study: StudyResult, make: Callable[[int], dict[str, Any]]) -> StudyResult:
    features = [{"type": "Feature", "id": region, "geometry": make(i)} for i, region in enumerate(study.panel.regions)]
    panel = study.panel.model_copy(update={"geometry": {"type": "FeatureCollection", "features": features}})
    return study.model_copy(update={"panel": panel})


def point(i: int) -> dict[str, Any]:
    return {"type": "Point", "coordinates": [10 + i % 6, 45 + i // 6]}


def test_points_are_dots_that_do_not_overlap(study: StudyResult) -> None:
    result = with_geometries(study, point)
    shapes = shapes_of(result)
    assert shapes is not None
    assert shapes.missing == ()
    dots = [shapely.Polygon(rings[0]) for rings in shapes.rings]
    assert all(dot.is_valid and dot.area > 0 for dot in dots)
    assert not any(a.intersects(b) for i, a in enumerate(dots) for b in dots[:i])
    assert "<html" in render_html(result, notices=())


@pytest.mark.parametrize(
    "geometry",
    [
        {"type": "Point", "coordinates": [1, 1]},
        {"type": "LineString", "coordinates": [[1, 1], [2, 1]]},
        {"type": "MultiPoint", "coordinates": [[1, 1], [3, 1]]},
    ],
)
def test_regions_in_one_place_are_still_drawn(study: StudyResult, geometry: dict[str, Any]) -> None:
    shapes = shapes_of(with_geometries(study, lambda _: geometry))
    assert shapes is not None
    assert all(centre is not None for centre in shapes.centres)


def test_a_point_among_polygons_is_a_dot_and_polygons_stay(study: StudyResult) -> None:
    square = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]}
    shapes = shapes_of(with_geometries(study, lambda i: point(i) if i == 0 else square))
    assert shapes is not None
    assert len(shapes.rings[0][0]) > 5
    assert len(shapes.rings[1][0]) == 5
