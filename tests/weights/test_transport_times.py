"""Quickest ways: Manhattan times on grids, bridges, one-way roads, changes of mode, access, cut-offs, brute force."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import grid, grid_frame, manhattan

from spillover.errors import AlignmentError, DisconnectedError, OptionError, UnknownColumnError, WeightsError
from spillover.weights.transport import (
    Connectors,
    TransportNetwork,
    connect_at,
    connect_nearest,
    find_travel_times,
    read_connectors,
    read_network,
    read_travel_times,
)


def roads(*rows, **more):
    return read_network(pd.DataFrame(rows, columns=["from", "to", "minutes"]), minutes="minutes", **more)


def lines(*rows, **more):
    frame = pd.DataFrame(rows, columns=["from", "to", "minutes", "mode"])
    return read_network(frame, minutes="minutes", mode="mode", **more)


# -- grids ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [2, 5, 9])
def test_grid_times_are_manhattan(side):
    network, regions = grid(side)
    times = find_travel_times(network, regions)
    dense = times.dense()
    for i, a in enumerate(times.regions):
        assert dense[i].tolist() == [manhattan(a, b) for b in times.regions]  # sums of ones are exact


def test_minutes_from_length_and_speed():
    frame = grid_frame(3).assign(km=10.0)
    # 10 km at 40 km/h is 15 minutes.
    network = read_network(frame, length_km="km", speed_kmh=40)
    times = find_travel_times(network, connect_at(network, network.nodes))
    assert times.between("0-0", "2-2") == 60.0


def test_cutoff_leaves_out_what_is_further_and_nothing_else():
    network, regions = grid(6)
    whole, near = find_travel_times(network, regions), find_travel_times(network, regions, cutoff_minutes=3)
    table = whole.dense()
    assert np.array_equal(np.isfinite(near.dense()), table <= 3)
    assert near.matrix.nnz == int(((table <= 3) & (table > 0)).sum())
    assert np.array_equal(near.dense()[table <= 3], table[table <= 3])


def test_same_numbers_with_any_number_of_workers(monkeypatch):
    from spillover.weights.transport import quickest

    network, regions = grid(5, 1.1)
    one = find_travel_times(network, regions)
    monkeypatch.setattr(quickest, "CHUNK", 300)  # several parts of six origins
    two = find_travel_times(network, regions, workers=2)
    assert np.array_equal(one.dense(), two.dense())


def test_order_of_edges_and_nodes_does_not_matter():
    frame = grid_frame(4)
    network = read_network(frame.sample(frac=1, random_state=2), minutes="minutes")
    times = find_travel_times(network, connect_at(network, sorted(network.nodes)))
    assert times.between("0-3", "3-0") == 6.0


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000))
def test_against_floyd_and_warshall(seed):
    # An independent algorithm (n³ min-plus closure) on random one-way and both-way roads.
    rng = np.random.default_rng(seed)
    n, e = 9, 22
    start, end = rng.integers(0, n, e), rng.integers(0, n, e)
    keep = start != end
    start, end = start[keep], end[keep]
    minutes, both = rng.integers(1, 20, len(start)).astype(float), rng.random(len(start)) < 0.5
    frame = pd.DataFrame({"from": start, "to": end, "minutes": minutes, "both": both.astype(int)})
    network = read_network(frame, minutes="minutes", both_ways="both")
    regions = connect_at(network, network.nodes)
    table = np.full((n, n), np.inf)
    np.fill_diagonal(table, 0.0)
    for a, b, t, two in zip(start, end, minutes, both, strict=True):
        table[a, b] = min(table[a, b], t)
        if two:
            table[b, a] = min(table[b, a], t)
    for k in range(n):
        table = np.minimum(table, table[:, [k]] + table[[k], :])
    order = [int(name) for name in regions.regions]
    found = find_travel_times(network, regions, disconnected="keep").dense()
    assert np.array_equal(found, table[np.ix_(order, order)])  # sums of whole numbers


# -- parts ----------------------------------------------------------------------------------------


def bridge():
    return roads(("a", "b", 5), ("b", "c", 7), ("c", "d", 5))


def test_deleting_the_bridge_disconnects_with_a_named_error():
    network = bridge()
    regions = connect_at(network, ["a", "b", "c", "d"])
    assert find_travel_times(network, regions).between("a", "d") == 17
    cut = network.without_edges([("c", "b")])
    with pytest.raises(DisconnectedError, match="2 parts; 2 regions in the largest; apart from it: c, d"):
        find_travel_times(cut, regions)
    with pytest.raises(DisconnectedError):
        find_travel_times(cut, regions, cutoff_minutes=100)
    kept = find_travel_times(cut, regions, disconnected="keep")
    assert kept.between("a", "d") == np.inf
    assert kept.between("a", "b") == 5
    assert "8 pairs cannot reach each other" in kept.notes[-1]
    assert find_travel_times(cut.with_edge("c", "b", minutes=7), regions).between("a", "d") == 17


def test_a_region_at_a_node_whose_last_edge_is_gone():
    network = bridge()
    regions = connect_at(network, ["a", "b", "c"])
    with pytest.raises(DisconnectedError, match="a"):
        find_travel_times(network.without_edges([("a", "b")]), regions)
    with pytest.raises(DisconnectedError, match="a at a"):
        # where changing takes time, a node without an edge is in no mode at all
        find_travel_times(network.without_edges([("a", "b")]).with_edge("b", "d", minutes=1, mode="rail")
                          .with_transfers(5), regions)  # fmt: skip


def test_one_way_roads_that_never_come_back():
    network = roads(("a", "b", 5), ("b", "c", 7), both_ways=False)
    with pytest.raises(DisconnectedError, match=r"ways out are missing from .*c; ways in to a"):
        find_travel_times(network, connect_at(network, ["a", "b", "c"]))
    found = find_travel_times(network, connect_at(network, ["a", "b", "c"]), disconnected="keep")
    assert (found.between("a", "c"), found.between("c", "a")) == (12, np.inf)


# -- modes ----------------------------------------------------------------------------------------


def test_changing_takes_time():
    # a –10– b by road, b –10– c by rail; change 4. Road also leads all the way round in 30.
    network = lines(("a", "b", 10, "road"), ("b", "c", 10, "rail"), ("a", "c", 30, "road"), transfers=4)
    regions = connect_at(network, ["a", "b", "c"])
    assert find_travel_times(network, regions).between("a", "c") == 24
    assert find_travel_times(network.with_transfers(0), regions).between("a", "c") == 20
    assert find_travel_times(network.with_transfers(11), regions).between("a", "c") == 30  # round is quicker


def test_changes_by_pair_and_getting_on_and_off():
    network = lines(("a", "b", 10, "road"), ("b", "c", 10, "rail"), ("c", "d", 10, "air"))
    regions = connect_at(network, ["a", "b", "c", "d"])
    asked = {("road", "rail"): 1, ("rail", "air"): 60, ("air", "rail"): 20, ("road", "air"): 9}
    times = find_travel_times(network.with_transfers(asked), regions)
    assert times.between("a", "d") == 10 + 1 + 10 + 60 + 10
    assert times.between("d", "a") == 10 + 20 + 10 + 1 + 10
    boarded = find_travel_times(
        network.with_transfers({**asked, ("access", "air"): 45, ("air", "access"): 15}), regions
    )
    assert boarded.between("c", "d") == 45 + 10 + 15
    assert boarded.between("d", "c") == 45 + 10 + 15
    assert boarded.between("a", "b") == 10
    assert boarded.between("a", "d") == 10 + 1 + 10 + 60 + 10 + 15  # on by road, off the plane


def test_nobody_changes_trains_in_a_region_centre():
    # Region r is joined with a road node and a rail node at no cost; between other regions the change of 50 counts.
    network = lines(("a", "x", 10, "road"), ("x", "y", 50, "road"), ("y", "c", 10, "rail"), transfers=50)
    table = pd.DataFrame({"region": ["A", "R", "R", "C"], "node": ["a", "x", "y", "c"], "minutes": [0, 0, 0, 0]})
    times = find_travel_times(network, read_connectors(table, network))
    assert times.between("A", "C") == 10 + 50 + 50 + 10
    assert (times.between("A", "R"), times.between("R", "C")) == (10, 10)


def test_the_best_of_several_connectors_and_access_on_both_ends():
    network = roads(("a", "b", 10), ("b", "c", 10), ("c", "d", 10))
    table = pd.DataFrame({"region": ["P", "P", "Q"], "node": ["a", "c", "d"], "minutes": [1, 15, 2]})
    times = find_travel_times(network, read_connectors(table, network))
    assert times.between("P", "Q") == 15 + 10 + 2  # by c, although a is nearer to P
    assert times.between("Q", "P") == 27


def test_parallel_edges_the_quickest_counts():
    network = roads(("a", "b", 9), ("b", "a", 4))
    assert find_travel_times(network, connect_at(network, ["a", "b"])).between("a", "b") == 4


def test_a_toll_is_time():
    frame = pd.DataFrame({"from": ["a"], "to": ["b"], "minutes": [30.0], "toll": [5.0]})
    # 5 at 20 an hour is a quarter of an hour.
    network = read_network(frame, minutes="minutes", cost="toll", value_of_time=20)
    assert network.edges.minutes.tolist() == [45.0]
    with pytest.raises(OptionError, match="value of time"):
        read_network(frame, minutes="minutes", cost="toll")


# -- edits ----------------------------------------------------------------------------------------


def test_edits_are_copies_and_are_noted():
    network = bridge()
    faster = network.with_minutes([("b", "c")], 2)
    assert network.edges.minutes.tolist() == [5, 7, 5]
    assert faster.edges.minutes.tolist() == [5, 2, 5]
    assert faster.notes[-1] == "b – c (road): now 2 minutes"
    assert network.notes == ()


def test_speed_of_a_mode_changes_its_edges_only():
    frame = pd.DataFrame({"from": ["a", "b"], "to": ["b", "c"], "km": [100.0, 100.0], "mode": ["road", "rail"]})
    network = read_network(frame, length_km="km", speed_kmh={"road": 50, "rail": 100}, mode="mode")
    assert network.edges.minutes.tolist() == [120.0, 60.0]
    assert network.with_speed("rail", 300).edges.minutes.tolist() == [120.0, 20.0]
    assert network.only(["rail"]).edges.minutes.tolist() == [60.0]
    with pytest.raises(UnknownColumnError, match="no mode 'rial'"):
        network.with_speed("rial", 300)
    with pytest.raises(WeightsError, match="without a length"):
        bridge().with_speed("road", 30)


def test_a_new_edge_along_the_great_circle():
    nodes = pd.DataFrame({"node": ["a", "b"], "lon": [0.0, 1.0], "lat": [0.0, 0.0]})
    network = read_network(pd.DataFrame({"from": ["a"], "to": ["b"]}), nodes, speed_kmh=60)
    degree = np.pi / 180 * 6371.0088
    assert network.edges.minutes[0] == pytest.approx(degree, rel=1e-12)  # km at 60 km/h are minutes
    assert network.with_edge("a", "b", speed_kmh=300, mode="rail").edges.minutes[1] == pytest.approx(degree / 5)
    with pytest.raises(OptionError, match="how long the new edge takes"):
        network.with_edge("a", "b")


# -- connectors -----------------------------------------------------------------------------------


def test_nearest_nodes_by_hand():
    nodes = pd.DataFrame({"node": ["n1", "n2", "n3"], "lon": [0.0, 10, 20], "lat": [0.0, 0, 0]})
    edges = pd.DataFrame({"from": ["n1", "n2"], "to": ["n2", "n3"], "minutes": [10, 10]})
    network = read_network(edges, nodes, minutes="minutes", lonlat=False)
    where = np.array([[1.0, 0], [14, 3]])
    ways = connect_nearest(where, network, access_kmh=60, regions=["r", "s"], lonlat=False)
    assert [network.nodes[k] for k in ways.node] == ["n1", "n2"]
    assert ways.minutes.tolist() == [1.0, 5.0]  # 1 km; 4 and 3 km
    two = connect_nearest(where, network, access_kmh=60, count=2, regions=["r", "s"], lonlat=False)
    assert [network.nodes[k] for k in two.node] == ["n1", "n2", "n2", "n3"]
    assert two.minutes.tolist() == pytest.approx([1, 9, 5, np.sqrt(45)])
    with pytest.raises(WeightsError, match=r"within 4 km.*\n.*s \(5 km\)"):
        connect_nearest(where, network, access_kmh=60, regions=["r", "s"], lonlat=False, limit_km=4)
    with pytest.raises(WeightsError, match="same kind of coordinates"):
        connect_nearest(where, network, access_kmh=60, regions=["r", "s"], lonlat=True)


def test_connectors_refuse_regions_without_a_node():
    with pytest.raises(AlignmentError, match="1 regions are not connected"):
        Connectors(("a", "b"), np.array([0]), np.array([0]), np.array([1.0]))
    with pytest.raises(WeightsError, match="zero or more"):
        Connectors(("a",), np.array([0]), np.array([0]), np.array([-1.0]))
    network = bridge()
    with pytest.raises(AlignmentError, match="network does not have"):
        read_connectors(pd.DataFrame({"region": ["A"], "node": ["z"], "minutes": [1]}), network)


# -- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "error", "words"),
    [
        ([("a", "b", 0)], WeightsError, "a – b \\(road\\): 0 minutes"),
        ([("a", "b", -3)], WeightsError, "a – b \\(road\\): -3 minutes"),
        ([("a", "a", 3)], WeightsError, "from a node to itself"),
    ],
)
def test_bad_edges(rows, error, words):
    with pytest.raises(error, match=words):
        roads(*rows)


def test_bad_tables():
    frame = pd.DataFrame({"from": ["a"], "to": ["b"], "minutes": [1.0], "km": [3.0], "kmh": [0.0], "dir": ["maybe"]})
    with pytest.raises(UnknownColumnError, match="no column 'minute'"):
        read_network(frame, minutes="minute")
    with pytest.raises(OptionError, match="how long the edges take"):
        read_network(frame)
    with pytest.raises(WeightsError, match="speeds that are not above zero"):
        read_network(frame, length_km="km", speed_kmh="kmh")
    with pytest.raises(OptionError, match="speed needs lengths"):
        read_network(frame, speed_kmh=50)
    with pytest.raises(Exception, match="does not say yes or no"):
        read_network(frame, minutes="minutes", both_ways="dir")
    with pytest.raises(AlignmentError, match="not in the node table"):
        read_network(frame, pd.DataFrame({"node": ["a"], "lon": [0.0], "lat": [0.0]}), minutes="minutes")
    with pytest.raises(OptionError, match="modes that the network does not have"):
        read_network(frame, minutes="minutes", transfers={("road", "rail"): 3})


def test_too_many_pairs_are_never_held():
    network = bridge()
    many = 6_000
    regions = Connectors(tuple(f"r{k}" for k in range(many)), np.arange(many), np.zeros(many, int), np.zeros(many))
    with pytest.raises(WeightsError, match="cutoff_minutes="):
        find_travel_times(network, regions)


def test_unknown_nodes_and_missing_edges_by_name():
    network = bridge()
    with pytest.raises(UnknownColumnError, match="no node 'z'"):
        network.without_edges([("a", "z")])
    with pytest.raises(WeightsError, match=r"a and d[\s\S]*neighbours of a: b"):
        network.without_edges([("a", "d")])
    assert isinstance(network, TransportNetwork)


def test_a_network_elsewhere_is_refused():
    nodes = pd.DataFrame({"node": ["m", "n"], "lon": [48.0, 48.5], "lat": [10.0, 10.2]})  # swapped: 10° E, 48° N
    network = roads(("m", "n", 30), nodes=nodes)
    places = np.array([[10.0, 48.0], [10.3, 48.4]])
    with pytest.raises(WeightsError, match=r"different places[\s\S]*longitude and latitude are swapped"):
        connect_nearest(places, network, 60, regions=["a", "b"], lonlat=True)


def test_nodes_twice_are_nodes():
    nodes = pd.DataFrame({"node": ["m", "n", "n"], "lon": [1.0, 2, 2], "lat": [1.0, 1, 1]})
    with pytest.raises(WeightsError, match=r"node ids in the data frame are not unique[\s\S]*got: +n"):
        roads(("m", "n", 30), nodes=nodes)


def test_a_list_that_names_every_pair_once_says_so():
    once = pd.DataFrame([("a", "b", 3.0), ("c", "a", 4.0), ("b", "c", 5.0)], columns=["from", "to", "minutes"])
    with pytest.raises(WeightsError, match=r"no pair in both directions[\s\S]*both_ways=True"):
        read_travel_times(once)
    assert read_travel_times(once, both_ways=True).between("a", "c") == 4.0
    back = pd.DataFrame([("b", "a", np.inf)], columns=["from", "to", "minutes"])
    assert read_travel_times(pd.concat([once, back])).matrix.nnz == 3  # a one-way world, told in so many words
