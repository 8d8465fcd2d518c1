"""W from the objects of other packages, and back."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from libpysal.graph import Graph
from libpysal.weights import W

from spillover.errors import AlignmentError, IslandError, WeightsError
from spillover.weights import from_object, to_edges, to_graph

IDS = ["01", "02", "03"]
DENSE = np.array([[0.0, 2.0, 1.0], [4.0, 0.0, 0.0], [0.0, 0.5, 0.0]])
FRAME = pd.DataFrame(DENSE, index=IDS, columns=IDS)
EDGES = pd.DataFrame(
    {"focal": ["01", "01", "02", "03"], "neighbor": ["02", "03", "01", "02"], "weight": [2.0, 1.0, 4.0, 0.5]}
)
GRAPH = Graph.from_arrays(*(EDGES[name].to_numpy() for name in EDGES))


def raw(obj, **more):
    return from_object(obj, standardise="none", **more)


OBJECTS = {
    "array": (DENSE, {"regions": IDS}),
    "list": (DENSE.tolist(), {"regions": IDS}),
    "sparse": (sp.csr_matrix(DENSE), {"regions": IDS}),
    "sparse array": (sp.coo_array(DENSE), {"regions": IDS}),
    "square frame": (FRAME, {}),
    "permuted frame": (FRAME.iloc[[1, 2, 0], [2, 0, 1]], {}),
    "square frame with an id column": (FRAME.rename_axis("id").reset_index(), {}),
    "edge list": (EDGES, {}),
    "edge list with other names": (
        EDGES.rename(columns={"focal": "to", "neighbor": "from", "weight": "w"}),
        {"focal": "to", "neighbor": "from", "weight": "w"},
    ),
    "graph": (GRAPH, {}),
    "w": (GRAPH.to_W(), {}),
    "graph of positions": (Graph.from_sparse(sp.coo_array(DENSE)), {"regions": IDS}),
    "w of positions": (W({0: [1, 2], 1: [0], 2: [1]}, {0: [2, 1], 1: [4], 2: [0.5]}), {"regions": IDS}),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("obj", "more"), OBJECTS.values(), ids=OBJECTS.keys())
def test_every_object_gives_the_same_w(obj, more):
    weights = raw(obj, **more)
    assert weights.align(IDS).matrix.toarray().tolist() == DENSE.tolist()
    wanted = raw(obj, **{**more, "regions": more.get("regions", IDS[::-1])})
    assert wanted.regions == tuple(more.get("regions", IDS[::-1]))  # labelled objects come in the order asked for
    assert wanted.align(IDS).matrix.toarray().tolist() == DENSE.tolist()


def test_numbers_as_ids_become_text():
    weights = raw(Graph.from_arrays([110000, 120000], [120000, 110000], [1, 1]))
    assert weights.regions == ("110000", "120000")


def test_positions_alone_do_not_match_a_panel():
    graph = Graph.from_sparse(sp.coo_array(DENSE))
    with pytest.raises(AlignmentError, match="only in the panel: 01, 02, 03; only in W: 0, 1, 2"):
        raw(graph).align(IDS)


def test_isolates_of_a_graph_are_islands():
    graph = Graph.from_arrays(["a", "b", "c"], ["b", "a", "c"], [1, 1, 0])
    with pytest.raises(IslandError, match="c"):
        raw(graph)
    kept = raw(graph, islands="keep")
    assert kept.islands == ("c",)
    assert to_graph(kept).isolates.tolist() == ["c"]


def test_graph_there_and_back():
    weights = raw(FRAME).align(["03", "01", "02"])
    graph = to_graph(weights)
    assert list(graph.unique_ids) == ["03", "01", "02"]
    assert np.array_equal(graph.sparse.toarray(), weights.matrix.toarray())
    values = pd.Series([1.0, 10.0, 100.0], index=["03", "01", "02"])
    assert np.allclose(graph.lag(values), weights.lag(values.to_numpy()))
    assert (raw(graph).align(weights.regions).matrix != weights.matrix).nnz == 0


def test_graph_whose_positions_differ_from_its_ids():
    # A Graph told that it is sorted keeps .sparse in the order of its codes: only labels can be trusted.
    index = pd.MultiIndex.from_arrays([["c", "a", "a", "b"], ["b", "c", "b", "a"]], names=["focal", "neighbor"])
    graph = Graph(pd.Series([0.5, 1.0, 2.0, 4.0], index=index, name="weight"), is_sorted=True)
    weights = raw(graph).align(["a", "b", "c"])
    assert weights.matrix.toarray().tolist() == DENSE.tolist()


def test_edges_there_and_back():
    table = to_edges(raw(FRAME))
    assert list(table.columns) == ["focal", "neighbor", "weight"]
    assert (raw(table).matrix != raw(FRAME).matrix).nnz == 0
    alone = raw(np.array([[0, 1.0], [0, 0]]), regions=["a", "b"], islands="keep")
    assert to_edges(alone).to_numpy().tolist() == [["a", "b", 1.0], ["b", "b", 0.0]]


def test_spatial_weights_come_back_as_they_are():
    weights = from_object(FRAME, standardise="spectral")
    assert from_object(weights) is weights
    assert from_object(weights, regions=["03", "02", "01"]).standardisation == "spectral"


def test_kind_is_kept_in_words():
    assert from_object(FRAME, kind="treaty partners").kind == "treaty partners"


BAD = {
    "array without ids": (DENSE, {}, AlignmentError, "regions="),
    "sparse without ids": (sp.csr_matrix(DENSE), {}, AlignmentError, "regions="),
    "bare frame without ids": (pd.DataFrame(DENSE), {}, AlignmentError, "regions="),
    "wrong size": (DENSE, {"regions": ["a", "b"]}, WeightsError, r"\(3, 3\) for 2 ids"),
    "vector": (np.ones(3), {"regions": IDS}, WeightsError, "one row and one column"),
    "text": (np.array([["a", "b"], ["c", "d"]]), {"regions": ["a", "b"]}, WeightsError, "not numbers"),
    "negative": (-DENSE, {"regions": IDS}, WeightsError, "01, 02, 03"),
    "infinite": (np.where(DENSE == 4, np.inf, DENSE), {"regions": IDS}, WeightsError, "rows of 02"),
    "nan": (np.where(DENSE == 4, np.nan, DENSE), {"regions": IDS}, WeightsError, "rows of 02"),
    "diagonal": (DENSE + np.diag([0, 0, 1]), {"regions": IDS}, WeightsError, "03"),
    "ids twice": (DENSE, {"regions": ["a", "a", "b"]}, WeightsError, "not unique"),
    "ids blank": (DENSE, {"regions": ["a", None, "b"]}, WeightsError, "blank"),
    "frame with other ids": (FRAME.rename(columns={"03": "33"}), {}, AlignmentError, "only in the rows.*03.*33"),
    "frame not square": (FRAME.iloc[:, :2], {}, AlignmentError, "only in the rows.*03"),
    "partly matching": (FRAME, {"regions": ["01", "02", "99"]}, AlignmentError, "only in the object: 03; .*: 99"),
    "edge to an unknown region": (EDGES, {"regions": ["01", "02"]}, AlignmentError, "03"),
    "repeated edge": (pd.concat([EDGES, EDGES.head(1)]), {}, WeightsError, "01 ← 02"),
    "something else": (object(), {}, WeightsError, "type object"),
    "links that are no pairs": (DENSE, {"regions": IDS, "links": [1, 2]}, WeightsError, "not a pair"),
    "nothing": (None, {}, WeightsError, "NoneType"),
}


@pytest.mark.parametrize(("obj", "more", "error", "text"), BAD.values(), ids=BAD.keys())
def test_bad_objects(obj, more, error, text):
    with pytest.raises(error, match=text):
        from_object(obj, **more)
