"""The picture of a W: what is drawn is what W has."""

import geopandas
import numpy as np
import pytest
import scipy.sparse as sp
import shapely

from spillover.errors import AlignmentError, OptionError
from spillover.report.network import draw_weights
from spillover.weights import SpatialWeights, build_contiguity, build_knn


def lattice(side=4):
    shapes = [shapely.box(x, y, x + 1, y + 1) for y in range(side) for x in range(side)]
    return geopandas.GeoDataFrame(geometry=shapes, index=[f"r{k:02d}" for k in range(side * side)])


def words(figure):
    return "\n".join(text.get_text() for axes in figure.axes for text in axes.texts)


def test_all_links_and_all_regions_are_drawn(tmp_path):
    source = lattice()
    weights = build_contiguity(source, "rook")
    figure = draw_weights(weights, source, tmp_path / "w.svg")
    links, degrees, named, facts = figure.axes
    assert len(links.collections[0].get_segments()) == weights.matrix.nnz == 48
    assert len(links.collections[1].get_offsets()) == 16
    # 4 corners with 2 neighbours, 8 edges with 3, 4 inside with 4.
    assert {round(bar.get_x() + 0.45): bar.get_height() for bar in degrees.patches} == {2: 4, 3: 8, 4: 4}
    assert "16 regions, 48 links, 20 % of all pairs" in facts.texts[0].get_text()
    # Corners weigh their two neighbours ½ each: the strongest links of a row-standardised rook W lead into corners.
    assert named.texts[0].get_text().startswith("r01 → r00: 0.500\n")
    assert (tmp_path / "w.svg").read_bytes().startswith(b"<?xml")


def test_the_interval_of_rho_is_told():
    # A row-standardised rook lattice is bipartite: −1 to 1.
    assert "admissible ρ: −1.00 to 1.00" in words(draw_weights(build_contiguity(lattice(), "rook"), lattice()))


def test_only_the_strongest_links_of_many():
    source = lattice(5)
    figure = draw_weights(build_contiguity(source), source, links=10)
    assert len(figure.axes[0].collections[0].get_segments()) == 10
    assert "the 10 strongest links" in figure.axes[0].get_title(loc="left")


def test_islands_are_crosses_and_names_are_shown():
    matrix = sp.csr_matrix([[0, 1.0, 0], [1, 0, 0], [0, 0, 0]])
    weights = SpatialWeights(matrix, ("a", "b", "c"), "pair", "none", "keep", names={"a": "Alpha $x_1$"})
    places = geopandas.GeoDataFrame(geometry=geopandas.points_from_xy([0, 1, 2], [0, 0, 0]), index=list("abc"))
    figure = draw_weights(weights, places)
    assert len(figure.axes[0].collections[2].get_offsets()) == 1
    assert "a (Alpha $x_1$) → b" in words(figure)
    assert "islands" in figure.axes[0].get_title(loc="left")


def test_without_places_the_matrix_is_drawn():
    weights = build_knn(np.random.default_rng(0).uniform(size=(9, 2)), 2, regions=list("abcdefghi"), lonlat=False)
    figure = draw_weights(weights)
    assert len(figure.axes[0].lines[0].get_xdata()) == 18


def test_degrees_in_classes_where_there_are_many():
    rng = np.random.default_rng(1)
    dense = np.triu(rng.random((80, 80)) < np.linspace(0, 1, 80)[:, None], 1).astype(float)
    weights = SpatialWeights(sp.csr_matrix(dense + dense.T), tuple(f"r{k:02d}" for k in range(80)), "x", "none", "keep")
    figure = draw_weights(weights)
    assert sum(bar.get_height() for bar in figure.axes[1].patches) == 80


def test_what_is_refused():
    weights = build_contiguity(lattice(), "rook")
    with pytest.raises(OptionError, match="another ending"):
        draw_weights(weights, path="w.docx")
    with pytest.raises(AlignmentError, match="r15"):
        draw_weights(weights, lattice().iloc[:15])
