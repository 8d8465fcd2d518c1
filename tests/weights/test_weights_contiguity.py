"""Contiguity on lattices, on broken borders, and against libpysal."""

import geopandas
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from libpysal.graph import Graph

from spillover.errors import IslandError, OptionError, WeightsError
from spillover.panel.panel import Panel
from spillover.weights import build_contiguity


def lattice(rows, columns, size=1.0, crs=None):
    squares = [
        shapely.box(x * size, y * size, (x + 1) * size, (y + 1) * size) for y in range(rows) for x in range(columns)
    ]
    ids = [f"r{y}c{x}" for y in range(rows) for x in range(columns)]
    return geopandas.GeoDataFrame(geometry=squares, index=ids, crs=crs)


def links_of(weights):
    return {(row.focal, row.neighbor) for row in weights.to_frame().itertuples()}


def test_number_of_links_on_a_lattice():
    # r × c squares: rook pairs r(c−1) + c(r−1); queen adds the diagonals 2(r−1)(c−1); each pair is two links.
    r, c = 5, 7
    rook = build_contiguity(lattice(r, c), "rook")
    queen = build_contiguity(lattice(r, c), "queen")
    assert rook.matrix.nnz == 2 * (r * (c - 1) + c * (r - 1)) == 116
    assert queen.matrix.nnz == 116 + 4 * (r - 1) * (c - 1) == 212
    assert queen.kind == "queen contiguity"


@pytest.mark.parametrize("rule", ["queen", "rook"])
def test_same_as_libpysal_by_vertices(rule):
    # Ours uses geometric relations, libpysal's default shared vertices: two methods, one answer on a clean map.
    frame = lattice(4, 5)
    other = Graph.build_contiguity(frame, rook=rule == "rook")
    assert links_of(build_contiguity(frame, rule)) == set(other.adjacency[other.adjacency > 0].index)


def test_a_border_without_common_vertices_counts():
    # One large square beside two small ones: the corner between the small ones lies on the large one's side.
    shapes = [shapely.box(0, 0, 2, 2), shapely.box(2, 0.5, 3, 1.2), shapely.box(2, 1.2, 3, 1.9)]
    frame = geopandas.GeoDataFrame(geometry=shapes, index=["large", "low", "high"])
    assert ("large", "low") in links_of(build_contiguity(frame, "rook"))
    assert ("large", "high") in links_of(build_contiguity(frame, "queen"))


@settings(deadline=None, max_examples=20)
@given(st.permutations(range(12)), st.sampled_from(["queen", "rook"]))
def test_order_of_rows_does_not_matter(order, rule):
    frame = lattice(3, 4)
    straight = build_contiguity(frame, rule)
    shuffled = build_contiguity(frame.iloc[list(order)], rule).align(straight.regions)
    assert (straight.matrix != shuffled.matrix).nnz == 0


def test_panel_and_map_give_the_same():
    frame = lattice(2, 3)
    panel = Panel(regions=tuple(sorted(frame.index)), periods=(1,), variables={}, geometry=frame.sort_index())
    assert links_of(build_contiguity(panel)) == links_of(build_contiguity(frame))


def test_ids_come_from_a_column_as_text():
    frame = lattice(1, 2).reset_index(drop=True).assign(code=["01", "02"])
    assert build_contiguity(frame, regions="code").regions == ("01", "02")
    assert build_contiguity(frame, regions=[110000, 120000]).regions == ("110000", "120000")
    with pytest.raises(WeightsError, match="which row is which region"):
        build_contiguity(frame)


def test_hostile_and_chinese_names_are_only_names():
    frame = lattice(1, 3).set_axis(["北京市", "<b>Île & co</b>", '=HYPERLINK("x")'], axis=0)
    assert links_of(build_contiguity(frame)) == {
        ("北京市", "<b>Île & co</b>"),
        ("<b>Île & co</b>", "北京市"),
        ("<b>Île & co</b>", '=HYPERLINK("x")'),
        ('=HYPERLINK("x")', "<b>Île & co</b>"),
    }


def test_island_is_an_error_and_can_be_linked():
    frame = geopandas.GeoDataFrame(
        geometry=[*lattice(1, 2).geometry, shapely.box(5, 0, 6, 1)], index=["a", "b", "isle"]
    )
    with pytest.raises(IslandError, match="isle"):
        build_contiguity(frame)
    near = build_contiguity(frame, islands="nearest")
    assert links_of(near) == {("a", "b"), ("b", "a"), ("isle", "b"), ("b", "isle")}
    # Centres 4° apart at latitude .5, on a map without a reference system whose numbers can be degrees:
    # 4 π/180 · 6371.0088 · cos .5° = 444.8 km. (The panel's map is read in the same way.)
    assert any("isle with b (445 km)" in note for note in near.notes)
    assert any("taken for longitude and latitude" in note for note in near.notes)
    hand = build_contiguity(frame, links=[("isle", "a")])
    assert ("a", "isle") in links_of(hand)
    assert ("isle", "b") not in links_of(hand)


def test_snap_links_across_a_gap_and_tells():
    # A gap of 0.01° of longitude at the equator is 1.11 km.
    shapes = [shapely.box(0, 0, 1, 1), shapely.box(1.01, 0, 2, 1)]
    frame = geopandas.GeoDataFrame(geometry=shapes, index=["west", "east"], crs="EPSG:4326")
    with pytest.raises(IslandError):
        build_contiguity(frame)
    with pytest.raises(IslandError):
        build_contiguity(frame, snap_km=1.0)
    snapped = build_contiguity(frame, snap_km=1.3)
    assert links_of(snapped) == {("east", "west"), ("west", "east")}
    assert "west–east" in snapped.notes[0]


def test_snap_in_a_projected_map_is_in_km():
    shapes = [shapely.box(0, 0, 1e4, 1e4), shapely.box(1.05e4, 0, 2e4, 1e4)]  # metres: a gap of 0.5 km
    frame = geopandas.GeoDataFrame(geometry=shapes, index=["west", "east"], crs="EPSG:3035")
    with pytest.raises(IslandError):
        build_contiguity(frame, snap_km=0.4)
    assert build_contiguity(frame, snap_km=0.6).matrix.nnz == 2


def test_overlapping_shapes_count_and_are_told():
    shapes = [shapely.box(0, 0, 1.1, 1), shapely.box(1, 0, 2, 1), shapely.box(1.2, 0.2, 1.4, 0.4)]
    frame = geopandas.GeoDataFrame(geometry=shapes, index=["a", "b", "inside b"])
    for rule in ("queen", "rook"):
        weights = build_contiguity(frame, rule)
        assert {("a", "b"), ("inside b", "b")} <= links_of(weights)
        assert "2 pairs of regions overlap" in weights.notes[0]


@pytest.mark.parametrize("snap", [0, -1, np.nan, np.inf])
def test_snap_must_be_a_distance(snap):
    with pytest.raises(OptionError, match="snap_km"):
        build_contiguity(lattice(1, 2), snap_km=snap)


def test_snap_and_rook_do_not_go_together():
    with pytest.raises(OptionError, match="queen"):
        build_contiguity(lattice(1, 2), "rook", snap_km=1)


def bad_maps():
    good = lattice(1, 2)
    bow = shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])
    yield "points", geopandas.GeoDataFrame(geometry=[shapely.Point(0, 0), good.geometry.iloc[0]], index=["p", "q"]), "p"
    yield "missing", geopandas.GeoDataFrame(geometry=[None, good.geometry.iloc[0]], index=["nowhere", "q"]), "nowhere"
    yield "crossed", geopandas.GeoDataFrame(geometry=[bow, good.geometry.iloc[1]], index=["bow", "q"]), "bow"
    yield "twice", good.set_axis(["x", "x"], axis=0), "x"
    yield "blank", good.set_axis(["x", " "], axis=0), "blank"
    yield "no shapes", good.drop(columns="geometry").assign(y=1.0), "no shapes"


@pytest.mark.parametrize(("what", "frame", "text"), list(bad_maps()), ids=[each[0] for each in bad_maps()])
def test_bad_maps_are_named(what, frame, text):
    with pytest.raises(WeightsError, match=text):
        build_contiguity(frame)


def test_panel_without_map():
    with pytest.raises(WeightsError, match="no map"):
        build_contiguity(Panel(regions=("a", "b"), periods=(1,), variables={}))


def test_wrong_rule():
    with pytest.raises(OptionError, match="queen"):
        build_contiguity(lattice(1, 2), "quen")
