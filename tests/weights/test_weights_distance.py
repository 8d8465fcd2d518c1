"""Distances by hand, kernels, ties, and libpysal."""

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from libpysal.graph import Graph

from spillover.errors import IslandError, OptionError, UnknownColumnError, WeightsError
from spillover.panel.panel import Panel
from spillover.weights import (
    build_distance_band,
    build_exponential,
    build_inverse_distance,
    build_knn,
)
from spillover.weights.points import EARTH_RADIUS_KM, Points

DEGREE = np.pi / 180 * 6371.0088  # km of one degree of a great circle: 111.19508


def km(points, a, b):
    i, j = points.regions.index(a), points.regions.index(b)
    return points.distances(np.array([i]), np.array([j]))[0]


def links_of(weights):
    return {(row.focal, row.neighbor) for row in weights.to_frame().itertuples()}


def plane(*places):
    return {"source": np.array(places, dtype=float), "regions": list("abcdefghij"[: len(places)]), "lonlat": False}


def test_great_circle_distances_by_hand():
    points = Points(("origin", "east", "pole", "behind", "near"), [[0, 0], [1, 0], [33, 90], [180, 0], [0, 1e-6]], True)
    # 1e-12: a few roundings; arcsin near the antipode loses half the digits, hence 1e-7 there.
    assert km(points, "origin", "east") == pytest.approx(DEGREE, rel=1e-12)
    assert km(points, "origin", "pole") == pytest.approx(90 * DEGREE, rel=1e-12)
    assert km(points, "origin", "behind") == pytest.approx(180 * DEGREE, rel=1e-7)
    # 1e-6° is 11 cm; coordinates in space are held to 1e-16 of the radius, 1e-9 of this distance.
    assert km(points, "origin", "near") == pytest.approx(1e-6 * DEGREE, rel=1e-7)
    assert EARTH_RADIUS_KM == 6371.0088


def test_great_circle_distance_by_the_spherical_law_of_cosines():
    # Beijing (116.42 E, 39.93 N) to Shanghai (121.47 E, 31.23 N).
    (a, p), (b, q) = np.radians([116.42, 39.93]), np.radians([121.47, 31.23])
    expected = 6371.0088 * np.arccos(np.sin(p) * np.sin(q) + np.cos(p) * np.cos(q) * np.cos(b - a))
    points = Points(("bj", "sh"), [[116.42, 39.93], [121.47, 31.23]], True)
    assert km(points, "bj", "sh") == pytest.approx(expected, rel=1e-12)
    assert 1060 < expected < 1075  # about 1,067 km by air


def test_the_date_line_is_no_border():
    source = np.array([[179.9, 0.0], [-179.9, 0.0], [170.0, 0.0]])
    weights = build_knn(source, 1, regions=["fiji", "samoa", "west"], lonlat=True)
    assert ("fiji", "samoa") in links_of(weights)
    assert ("west", "fiji") in links_of(weights)


def test_inverse_distance_by_hand():
    # 3-4-5 triangle: distances 3, 4, 5 km.
    weights = build_inverse_distance(**plane((0, 0), (3, 0), (3, 4)), power=2, standardise="none")
    expected = [[0, 1 / 9, 1 / 25], [1 / 9, 0, 1 / 16], [1 / 25, 1 / 16, 0]]
    assert np.allclose(weights.matrix.toarray(), expected, rtol=1e-14, atol=0)


def test_inverse_distance_threshold_and_floor():
    weights = build_inverse_distance(
        **plane((0, 0), (0.5, 0), (4, 0)), threshold_km=3.7, minimum_km=2, standardise="none"
    )
    # 0.5 km counts as 2; 3.5 stays; 4 is beyond.
    assert np.allclose(weights.matrix.toarray(), [[0, 1 / 2, 0], [1 / 2, 0, 1 / 3.5], [0, 1 / 3.5, 0]])
    assert "1 pairs nearer than 2 km" in weights.notes[0]


def test_exponential_by_hand_and_its_default_reach():
    weights = build_exponential(**plane((0, 0), (100, 0), (660, 0), (800, 0)), decay_per_km=0.01, standardise="none")
    dense = weights.matrix.toarray()
    assert dense[0, 1] == pytest.approx(np.exp(-1), rel=1e-15)
    assert dense[0, 2] == pytest.approx(np.exp(-6.6), rel=1e-14)
    assert dense[0, 3] == 0  # δd = 8 > 6.64
    # (1 + 6.64) e^−6.64 = 0.009986: 1 % of the mass.
    assert "664 km" in weights.notes[0]
    assert "1 %" in weights.notes[0]


def test_band_includes_its_edge_despite_rounding():
    # 0.1 + 0.2 > 0.3 in binary; on the sphere a lattice of one degree has distances that differ in the last digit.
    weights = build_distance_band(**plane((0, 0), (0.1 + 0.2, 0)), threshold_km=0.3)
    assert weights.matrix.nnz == 2
    meridian = np.column_stack([np.zeros(10), np.arange(10)])
    ids = [f"{i}" for i in range(10)]
    assert build_distance_band(meridian, DEGREE, regions=ids, lonlat=True).matrix.nnz == 18


def test_band_leaves_islands_to_the_policy():
    with pytest.raises(IslandError, match="c"):
        build_distance_band(**plane((0, 0), (1, 0), (9, 0)), threshold_km=2)


@pytest.mark.parametrize("k", [1, 3, 6])
def test_same_as_libpysal(k):
    rng = np.random.default_rng(7)
    table = pd.DataFrame(rng.uniform(0, 100, (60, 2)), index=[f"r{i:02d}" for i in range(60)])
    shapes = geopandas.GeoSeries(geopandas.points_from_xy(table[0], table[1]), index=table.index)
    ours = build_knn(table.to_numpy(), k, regions=list(table.index), lonlat=False)
    assert links_of(ours) == set(Graph.build_knn(shapes, k).adjacency.index)
    band = build_distance_band(table.to_numpy(), 20, regions=list(table.index), lonlat=False, islands="keep")
    other = Graph.build_distance_band(shapes, 20).adjacency
    assert links_of(band) == set(other[other > 0].index)


def test_ties_go_to_the_smaller_id():
    # On a square lattice everybody inside has four neighbours at distance one.
    ids = ["m", "z", "a", "q", "b"]
    places = np.array([[0.0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]])
    weights = build_knn(places, 2, regions=ids, lonlat=False)
    assert {sender for receiver, sender in links_of(weights) if receiver == "m"} == {"a", "b"}


def test_ties_on_the_globe_are_not_decided_by_rounding():
    # The four at one degree from the centre of the equator differ in the last digits of their distance only.
    ids = ["m", "z", "y", "b", "a"]
    places = np.array([[10.0, 0], [11, 0], [9, 0], [10, 1], [10, -1]])
    weights = build_knn(places, 2, regions=ids, lonlat=True)
    assert {sender for receiver, sender in links_of(weights) if receiver == "m"} == {"a", "b"}


def test_regions_at_the_same_point_are_neighbours_of_each_other():
    weights = build_knn(**plane((0, 0), (0, 0), (0, 0), (5, 0)), k=1)
    assert {("a", "b"), ("b", "a"), ("c", "a"), ("d", "a")} == links_of(weights)


BUILDERS = {
    "knn": lambda **where: build_knn(k=3, **where),
    "band": lambda **where: build_distance_band(threshold_km=2.0, islands="keep", **where),
    "inverse": lambda **where: build_inverse_distance(power=1.5, minimum_km=0.5, **where),
    "exponential": lambda **where: build_exponential(decay_per_km=2.0, islands="nearest", **where),
}


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=6, max_size=14),
    st.randoms(use_true_random=False),
    st.sampled_from(sorted(BUILDERS)),
    st.booleans(),
)
def test_order_of_rows_does_not_matter(places, random, builder, lonlat):
    """Integer places are full of ties and coincident points; W must be the same, link by link."""
    ids = [f"r{i:02d}" for i in range(len(places))]
    order = list(range(len(places)))
    random.shuffle(order)
    table = np.array(places, dtype=float) * (0.01 if lonlat else 1.0)
    straight = BUILDERS[builder](source=table, regions=ids, lonlat=lonlat, standardise="none")
    moved = BUILDERS[builder](
        source=table[order], regions=[ids[i] for i in order], lonlat=lonlat, standardise="none"
    ).align(straight.regions)
    assert (straight.matrix != moved.matrix).nnz == 0


@settings(deadline=None, max_examples=25)
@given(st.integers(2, 40), st.integers(0, 2**32 - 1), st.floats(1, 15000))
def test_tree_search_equals_all_pairs(n, seed, reach):
    """The pairs of the KD-tree are those of the full table, on the whole globe."""
    rng = np.random.default_rng(seed)
    points = Points(
        tuple(f"r{i:02d}" for i in range(n)),
        np.column_stack([rng.uniform(-180, 180, n), np.degrees(np.arcsin(rng.uniform(-1, 1, n)))]),
        True,
    )
    i, j, distance = points.all_pairs()
    a, b, _ = points.pairs_within(reach)
    assert set(zip(a.tolist(), b.tolist(), strict=True)) == {
        (p, q) for p, q, d in zip(i.tolist(), j.tolist(), distance, strict=True) if d <= reach
    }


def test_same_point_is_an_error_that_names_the_pair():
    where = plane((0, 0), (1, 1), (1, 1))
    for build in (
        lambda: build_inverse_distance(**where),
        lambda: build_distance_band(**where, threshold_km=3, binary=False),
    ):
        with pytest.raises(WeightsError, match="b and c"):
            build()
    assert build_inverse_distance(**where, minimum_km=1).n == 3


def test_many_regions_need_a_threshold():
    n = 5001
    places = np.column_stack([np.arange(n), np.zeros(n)])
    ids = [f"{i:04d}" for i in range(n)]
    with pytest.raises(WeightsError, match="threshold_km"):
        build_inverse_distance(places, regions=ids, lonlat=False)
    assert build_inverse_distance(places, threshold_km=1.5, regions=ids, lonlat=False).matrix.nnz == 2 * (n - 1)


def test_weights_that_vanish_are_an_error():
    with pytest.raises(WeightsError, match="cannot hold"):
        build_inverse_distance(**plane((0, 0), (1000, 0)), power=200)


def test_nearest_for_an_island_whose_kernel_vanishes_is_an_error_not_an_island():
    # exp(−5 · 1000) is 0 in floating point: the link would not be there.
    with pytest.raises(WeightsError, match="c with b"):
        build_exponential(**plane((0, 0), (1, 0), (1000, 0)), decay_per_km=5, islands="nearest")


@pytest.mark.parametrize("k", [0, 3, 1.5, True, "2", -1])
def test_k_out_of_range(k):
    with pytest.raises(OptionError, match="1 to 2"):
        build_knn(**plane((0, 0), (1, 0), (2, 0)), k=k)


@pytest.mark.parametrize("value", [0, -1.0, np.nan, np.inf, "far", None])
def test_numbers_out_of_range(value):
    where = plane((0, 0), (1, 0))
    with pytest.raises(OptionError, match="threshold_km"):
        build_distance_band(**where, threshold_km=value)
    with pytest.raises(OptionError, match="decay_per_km"):
        build_exponential(**where, decay_per_km=value)
    with pytest.raises(OptionError, match="power"):
        build_inverse_distance(**where, power=value)


# -- where regions are ---------------------------------------------------------------------------

TABLE = pd.DataFrame({"code": ["01", "02", "03"], "lon": [0.0, 1.0, 3.0], "lat": [0.0, 0.0, 0.0], "x": [0.0, 5.0, 9.0]})


def test_table_with_named_columns():
    weights = build_knn(TABLE, 1, coordinates=("lon", "lat"), regions="code")
    assert links_of(weights) == {("01", "02"), ("02", "01"), ("03", "02")}
    assert build_knn(TABLE.set_index("code"), 1, coordinates=("lon", "lat")).regions == ("01", "02", "03")


def test_units_are_never_guessed():
    with pytest.raises(OptionError, match="lonlat=True"):
        build_knn(TABLE, 1, coordinates=("x", "lat"), regions="code")
    with pytest.raises(OptionError, match="lonlat=True"):
        build_knn(TABLE[["lon", "lat"]].to_numpy(), 1, regions=["a", "b", "c"])
    with pytest.raises(OptionError, match="longitude first"):
        build_knn(TABLE, 1, coordinates=("lat", "lon"), regions="code")


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"coordinates": ("lon", "latt")}, UnknownColumnError, "'lat'"),
        ({"coordinates": "lon"}, OptionError, "two"),
        ({"regions": "cod"}, UnknownColumnError, "'code'"),
        ({"regions": None}, WeightsError, "which region"),
        ({"coordinates": None}, WeightsError, "nowhere"),
    ],
)
def test_wrong_columns(change, error, text):
    with pytest.raises(error, match=text):
        build_knn(TABLE, 1, **{"coordinates": ("lon", "lat"), "regions": "code", **change})


def test_bad_coordinates_name_the_region():
    with pytest.raises(WeightsError, match="02"):
        build_knn(TABLE.assign(lat=[0.0, np.nan, 1.0]), 1, coordinates=("lon", "lat"), regions="code")
    with pytest.raises(WeightsError, match="03"):
        build_knn(TABLE.assign(lat=["0", "1", "north"]), 1, coordinates=("lon", "lat"), regions="code")
    with pytest.raises(WeightsError, match=r"(?s)b .*swapped"):
        build_knn(np.array([[40.0, 3.0], [39.9, 116.4]]), 1, regions=["a", "b"], lonlat=True)
    with pytest.raises(WeightsError, match="type dict"):
        build_knn({"a": (0, 0)}, 1)


def test_panel_with_coordinate_variables():
    values = {
        "lon": np.array([[0.0, 0], [1, 1], [5, 5]]),
        "lat": np.zeros((3, 2)),
        "moving": np.arange(6.0).reshape(3, 2),
    }
    panel = Panel(regions=("a", "b", "c"), periods=(1, 2), variables=values)
    assert ("c", "b") in links_of(build_knn(panel, 1, coordinates=("lon", "lat")))
    with pytest.raises(WeightsError, match="not constant"):
        build_knn(panel, 1, coordinates=("lon", "moving"), lonlat=True)
    with pytest.raises(WeightsError, match="no map"):
        build_knn(panel, 1)


def test_map_and_panel_use_centroids():
    boxes = [shapely.box(x, -0.5, x + 1, 0.5) for x in (0, 1, 3)]
    frame = geopandas.GeoDataFrame({"code": ["c", "a", "b"]}, geometry=boxes, crs="EPSG:4326")
    weights = build_inverse_distance(frame, regions="code", standardise="none")
    # Centroids at 0.5, 1.5 and 3.5° on the equator; 1e-4: centroids are found in a projection, on the ellipsoid.
    assert 1 / weights.matrix[0, 1] == pytest.approx(DEGREE, rel=1e-4)
    assert weights.regions == ("c", "a", "b")
    shapes = frame.set_index("code").sort_index()
    panel = Panel(regions=("a", "b", "c"), periods=(1,), variables={}, geometry=shapes)
    other = build_inverse_distance(panel, standardise="none").align(weights.regions)
    assert abs(weights.matrix - other.matrix).max() < 1e-12


def test_projected_map_is_measured_on_the_globe():
    boxes = geopandas.GeoSeries([shapely.box(x, 49.5, x + 1, 50.5) for x in (9, 10, 11)], crs="EPSG:4326")
    frame = geopandas.GeoDataFrame(geometry=boxes, crs="EPSG:4326").set_axis(["a", "b", "c"], axis=0)
    globe = build_inverse_distance(frame, standardise="none").matrix
    plane_map = build_inverse_distance(frame.to_crs("EPSG:3035"), standardise="none").matrix
    # Straight edges bend between projections: centroids move by some ten metres in 70 km.
    assert abs(globe - plane_map).max() < 1e-3 * abs(globe).max()


# -- maps that lost their reference system ----------------------------------------------------------


def squares(scale, crs=None):
    shapes = [shapely.box(x * scale, 0, (x + 1) * scale, scale) for x in range(3)]
    return geopandas.GeoDataFrame(geometry=shapes, index=list("abc"), crs=crs)


def test_degrees_without_a_reference_system_are_degrees():
    # As km, a threshold of 100 km would link everybody: squares of one degree are 111 km apart.
    assert links_of(build_distance_band(squares(1.0), 115.0)) == {("a", "b"), ("b", "a"), ("b", "c"), ("c", "b")}
    same = build_inverse_distance(squares(1.0, "EPSG:4326")).matrix.toarray()
    lost = build_inverse_distance(squares(1.0))
    assert np.array_equal(lost.matrix.toarray(), same)
    assert any("taken for longitude and latitude" in note for note in lost.notes)
    assert links_of(build_distance_band(squares(1.0), 1.0, lonlat=False)) == {
        ("a", "b"),
        ("b", "a"),
        ("b", "c"),
        ("c", "b"),
    }


def test_metres_without_a_reference_system_are_refused():
    with pytest.raises(WeightsError, match=r"further apart[\s\S]*2e\+08 from west to east[\s\S]*in metres"):
        build_knn(squares(1e8), 1)
    assert build_knn(squares(500.0), 1).n == 3  # 1,500 km wide: km
