"""Shared borders: plane shapes by hand, great circles by formula."""

import geopandas
import numpy as np
import pytest
import shapely

from spillover.errors import IslandError, WeightsError
from spillover.weights import build_shared_border
from spillover.weights.points import EARTH_RADIUS_KM

# a and b share 2, a and c 1, b and c meet in the corner (2, 1) only.
SHAPES = {
    "a": shapely.box(0, 0, 2, 2),
    "b": shapely.box(2, 1, 4, 3),
    "c": shapely.box(2, 0, 5, 1),
    "far": shapely.box(9, 9, 10, 10),
}


def frame(*names, crs=None):
    return geopandas.GeoDataFrame(geometry=[SHAPES[name] for name in names], index=list(names), crs=crs)


def test_lengths_in_the_plane():
    weights = build_shared_border(frame("a", "b", "c"), standardise="none")
    # a–b: x = 2, y from 1 to 2; a–c: x = 2, y from 0 to 1; b–c: y = 1, x from 2 to 4.
    assert weights.matrix.toarray().tolist() == [[0, 1, 1], [1, 0, 2], [1, 2, 0]]


def test_shares_of_the_perimeter():
    weights = build_shared_border(frame("a", "b", "c"), "share", standardise="none")
    # Perimeters 8, 8, 8.
    assert weights.matrix.toarray().tolist() == [[0, 1 / 8, 1 / 8], [1 / 8, 0, 2 / 8], [1 / 8, 2 / 8, 0]]


def test_a_corner_is_no_border():
    shapes = geopandas.GeoDataFrame(
        geometry=[shapely.box(0, 0, 1, 1), shapely.box(1, 1, 2, 2), shapely.box(1, 0, 2, 1)], index=list("abc")
    )
    weights = build_shared_border(shapes, standardise="none")
    assert weights.matrix.toarray().tolist() == [[0, 0, 1], [0, 0, 1], [1, 1, 0]]


def test_islands_are_left_to_the_policy():
    with pytest.raises(IslandError, match="far"):
        build_shared_border(frame("a", "b", "far"))
    linked = build_shared_border(frame("a", "b", "c", "far"), islands="nearest")
    assert linked.matrix.nnz == 8


def test_kilometres_on_the_globe():
    # A meridian of one degree is R π/180 km; along the parallel of 60° the great circle between ends one degree apart
    # has sin(c/2) = cos 60° sin(½°).
    shapes = geopandas.GeoDataFrame(
        geometry=[shapely.box(0, 60, 1, 61), shapely.box(1, 60, 2, 61), shapely.box(0, 59, 1, 60)],
        index=list("abc"),
        crs=4326,
    )
    weights = build_shared_border(shapes, standardise="none")
    meridian = EARTH_RADIUS_KM * np.pi / 180
    parallel = 2 * EARTH_RADIUS_KM * np.arcsin(0.5 * np.sin(np.pi / 360))
    assert weights.matrix[0, 1] == pytest.approx(meridian, rel=1e-12)
    assert weights.matrix[0, 2] == pytest.approx(parallel, rel=1e-12)
    # A projected map has the same borders: they are measured on the globe; coordinates are turned back to nanometres.
    projected = build_shared_border(shapes.to_crs(32631), standardise="none")
    assert projected.matrix[0, 1] == pytest.approx(meridian, rel=1e-6)


def test_points_have_no_borders():
    places = geopandas.GeoDataFrame(geometry=geopandas.points_from_xy([0, 1], [0, 1]), index=["a", "b"])
    with pytest.raises(WeightsError, match="needs polygons"):
        build_shared_border(places)
