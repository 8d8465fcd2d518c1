"""Edges that get quicker change exactly the pairs they should; loads of edges; travel-time W; logsum; tables."""

import itertools

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from networks import grid, grid_frame, manhattan

from spillover.errors import IslandError, OptionError, WeightsError
from spillover.weights.transport import (
    TravelTimes,
    build_travel_time,
    combine_modes,
    connect_at,
    find_travel_times,
    improve_edge,
    load_edges,
    read_connectors,
    read_network,
    read_travel_times,
)


def random_roads(seed, n=24, extra=30, transfers=0.0):
    """A connected network of roads and some rails with minutes that make quickest ways unique, and regions."""
    rng = np.random.default_rng(seed)
    tree = [(int(rng.integers(0, k)), k) for k in range(1, n)]
    more = [tuple(rng.choice(n, 2, replace=False).tolist()) for _ in range(extra)]
    rows = [
        {"from": f"n{a}", "to": f"n{b}", "minutes": float(rng.uniform(5, 40)), "mode": "rail" if k % 4 == 0 else "road"}
        for k, (a, b) in enumerate([*tree, *more])
    ]
    network = read_network(pd.DataFrame(rows), minutes="minutes", mode="mode", transfers=transfers)
    table = pd.DataFrame(
        [{"region": f"r{k}", "node": f"n{2 * k}", "minutes": float(rng.uniform(0, 3))} for k in range(n // 2)]
        + [{"region": f"r{k}", "node": f"n{2 * k + 1}", "minutes": float(rng.uniform(2, 9))} for k in range(n // 2)]
    )
    return network, read_connectors(table, network)


# -- a quicker edge -------------------------------------------------------------------------------


def test_a_faster_rail_edge_changes_exactly_the_pairs_it_should():
    # A 7 × 7 grid of one-minute roads and an express of 2 minutes from the middle of the left side, 0-3, to that of the
    # right, 6-3 (six minutes by road). The pair (a, b) gains iff a is so near to one end, and b to the other, that
    # |a − left| + 2 + |right − b| < |a − b| in Manhattan steps, or the other way round.
    network, regions = grid(7)
    before = find_travel_times(network, regions)
    after = find_travel_times(network.with_edge("0-3", "6-3", minutes=2, mode="rail"), regions)
    gained = 0
    for a, b in itertools.permutations(network.nodes, 2):
        over = min(
            manhattan(a, "0-3") + 2 + manhattan("6-3", b),
            manhattan(a, "6-3") + 2 + manhattan("0-3", b),
        )
        should = min(manhattan(a, b), over)
        assert after.between(a, b) == should
        assert (after.between(a, b) < before.between(a, b)) == (over < manhattan(a, b))
        gained += over < manhattan(a, b)
    assert 0 < gained < 49 * 48


@pytest.mark.parametrize("transfers", [0.0, 6.0])
@pytest.mark.parametrize("both_ways", [True, False])
def test_improving_an_edge_is_finding_all_times_anew(transfers, both_ways):
    network, regions = random_roads(3, transfers=transfers)
    times = find_travel_times(network, regions)
    for start, end, mode in (("n3", "n17", "rail"), ("n0", "n9", "road"), ("n5", "n20", "rail")):
        changed, quick = improve_edge(times, network, regions, start, end, minutes=1.5, mode=mode, both_ways=both_ways)
        anew = find_travel_times(changed, regions)
        # The same sums in another order: a few roundings.
        assert np.allclose(quick.dense(), anew.dense(), rtol=1e-14, atol=0)
        assert (quick.dense() < times.dense() - 1e-9).any()
    near = find_travel_times(network, regions, cutoff_minutes=30)
    with pytest.raises(OptionError, match="cut-off"):
        improve_edge(near, network, regions, "n0", "n9", minutes=1, mode="road")


def test_an_edge_that_is_no_quicker_changes_nothing():
    network, regions = grid(4)
    times = find_travel_times(network, regions)
    _, same = improve_edge(times, network, regions, "0-0", "3-3", minutes=6)
    assert np.array_equal(same.dense(), times.dense())


# -- loads of edges -------------------------------------------------------------------------------


def test_loads_of_a_line_by_hand():
    # a – b – c – d: pairs over a–b are (a, b), (a, c), (a, d) and back: 6; over b–c 8; over c–d 6.
    frame = pd.DataFrame({"from": list("abc"), "to": list("bcd"), "minutes": [5.0, 7, 5]})
    network = read_network(frame, minutes="minutes")
    regions = connect_at(network, list("abcd"))
    assert load_edges(network, regions, np.ones((4, 4))).tolist() == [6, 8, 6]
    one = np.zeros((4, 4))
    one[0, 3] = 2.5  # a → d alone
    assert load_edges(network, regions, one).tolist() == [2.5, 2.5, 2.5]


@pytest.mark.parametrize("transfers", [0.0, 6.0])
def test_loads_are_derivatives(transfers):
    # V = Σ g_ij t_ij. Its derivative by the minutes of an edge is the load; V is linear in them as long as the quickest
    # ways stay the same, so that a difference quotient is exact to rounding.
    network, regions = random_roads(5, transfers=transfers)
    g = np.random.default_rng(1).normal(size=(12, 12))
    np.fill_diagonal(g, 0.0)

    def value(net):
        return float((g * find_travel_times(net, regions).dense()).sum())

    loads = load_edges(network, regions, sp.csr_matrix(g))
    from dataclasses import replace

    h = 1e-5
    for k in range(len(network.edges)):
        minutes = network.edges.minutes.copy()
        minutes[k] += h
        up = replace(network, edges=replace(network.edges, minutes=minutes))
        minutes = minutes.copy()
        minutes[k] -= 2 * h
        down = replace(network, edges=replace(network.edges, minutes=minutes))
        # values of about 1e3 divided by 2e-5: rounding of 1e-8
        assert (value(up) - value(down)) / (2 * h) == pytest.approx(loads[k], abs=1e-6)


def test_loads_refuse_what_is_not_of_the_regions():
    network, regions = grid(2)
    with pytest.raises(WeightsError, match="not of the regions"):
        load_edges(network, regions, np.ones((3, 3)))
    apart = network.without_edges([("0-0", "0-1"), ("1-0", "1-1")])
    with pytest.raises(WeightsError, match="cannot reach each other"):
        load_edges(apart, regions, np.ones((4, 4)))


# -- W --------------------------------------------------------------------------------------------


def one_way_times():
    """a → b 10, b → a 20, b → c 5, c → b 5, a ↔ c 30."""
    table = np.array([[0, 10.0, 30], [20, 0, 5], [30, 5, 0]])
    return TravelTimes(("a", "b", "c"), sp.csr_matrix(table))


def test_receivers_are_rows_and_count_the_time_from_the_sender():
    w = build_travel_time(one_way_times(), "exponential", 0.1, threshold=100, standardise="none").matrix.toarray()
    assert w[1, 0] == pytest.approx(np.exp(-1.0))  # b receives from a: a → b takes 10
    assert w[0, 1] == pytest.approx(np.exp(-2.0))
    g = build_travel_time(one_way_times(), "gaussian", 10, threshold=100, standardise="none").matrix.toarray()
    assert g[0, 1] == pytest.approx(np.exp(-2.0))  # (20/10)²/2
    p = build_travel_time(one_way_times(), "power", 2, standardise="none").matrix.toarray()
    assert p[0, 1] == pytest.approx(1 / 400)
    band = build_travel_time(one_way_times(), "band", 10, islands="keep", standardise="none").matrix.toarray()
    assert band.tolist() == [[0, 0, 0], [1, 0, 1], [0, 1, 0]]


def test_what_the_threshold_loses_is_measured():
    w = build_travel_time(one_way_times(), "exponential", 0.1, threshold=12, islands="keep", standardise="none")
    # a receives from b (20) and c (30): all of it is lost; b loses nothing; c loses e⁻³ of e⁻³ + e⁻⁰·⁵.
    lost_c = np.exp(-3) / (np.exp(-3) + np.exp(-0.5))
    note = next(note for note in w.notes if "own kernel mass" in note)
    assert f"{100 * (1 + lost_c) / 3:.3g} %" in note
    assert "at most 100 % (a)" in note
    near = TravelTimes(("a", "b"), sp.csr_matrix(np.array([[0, 10.0], [20, 0]])), cutoff=25.0)
    told = build_travel_time(near, "exponential", 0.1, standardise="none").notes
    # (1 + 2.5) e^−2.5 = 28.7 %
    assert any("beyond 25 minutes were never looked for; on a uniform plane 28.7 %" in note for note in told)


def test_grid_weights_of_an_exponential_kernel():
    network, regions = grid(3)
    times = find_travel_times(network, regions)
    w = build_travel_time(times, "exponential", 0.5, threshold=100, standardise="none")
    for i, j in itertools.permutations(range(9), 2):
        far = manhattan(w.regions[i], w.regions[j])
        assert w.matrix[i, j] == pytest.approx(np.exp(-0.5 * far), rel=1e-14)


def test_zero_times_have_no_power():
    frame = pd.DataFrame({"from": ["a"], "to": ["b"], "minutes": [5.0]})
    network = read_network(frame, minutes="minutes")
    regions = connect_at(network, {"r": "a", "s": "a", "t": "b"})
    times = find_travel_times(network, regions)
    assert times.between("r", "s") == 0.0
    with pytest.raises(WeightsError, match="r → s"):
        build_travel_time(times, "power", 1)
    floored = build_travel_time(times, "power", 1, minimum=2, standardise="none")
    assert floored.matrix[0, 1] == 0.5
    assert build_travel_time(times, "exponential", 0.1, standardise="none").matrix[0, 1] == 1.0


def test_regions_that_reach_nobody_are_left_to_the_policy():
    times = TravelTimes(("a", "b", "c"), sp.csr_matrix(np.array([[0, 1.0, 0], [1, 0, 0], [0, 0, 0]])))
    with pytest.raises(IslandError, match="c"):
        build_travel_time(times, "band", 5)
    for wrong in (None, 0, -1, "x"):
        with pytest.raises(OptionError, match="parameter"):
            build_travel_time(times, "band", wrong)


def test_travel_time_w_through_a_grid_frame_with_speeds():
    frame = grid_frame(2).assign(km=30.0)
    slow = read_network(frame, length_km="km", speed_kmh=60)
    times = find_travel_times(slow, connect_at(slow, slow.nodes))
    assert sorted(set(times.matrix.data.tolist())) == [30.0, 60.0]


# -- choice of mode -------------------------------------------------------------------------------


def test_logsum_by_hand_and_its_limits():
    road = TravelTimes(("a", "b", "c"), sp.csr_matrix(np.array([[0, 60.0, 90], [60, 0, 45], [90, 45, 0]])))
    rail = TravelTimes(("b", "a", "c"), sp.csr_matrix(np.array([[0, 30.0, 0], [30, 0, 0], [0, 0, 0]])))  # other order
    both = combine_modes({"road": road, "rail": rail}, 0.1)
    assert both.between("a", "b") == pytest.approx(-10 * np.log(np.exp(-6) + np.exp(-3)), rel=1e-14)
    assert both.between("a", "c") == pytest.approx(90, rel=1e-14)  # rail does not reach c
    assert combine_modes({"road": road, "rail": rail}, 50.0).between("a", "b") == pytest.approx(30, abs=1e-12)
    with pytest.raises(WeightsError, match="choose a larger mu"):
        combine_modes({"road": road, "rail": rail}, 0.001)
    with pytest.raises(WeightsError, match="two or more"):
        combine_modes({"road": road}, 0.1)


# -- tables of times ------------------------------------------------------------------------------


def test_square_table_of_times(tmp_path):
    file = tmp_path / "times.csv"
    file.write_text("id,b,a,c\na,10,0,inf\nb,0,12,5\nc,5,inf,0\n")
    times = read_travel_times(file)
    assert times.regions == ("a", "b", "c")
    assert (times.between("a", "b"), times.between("b", "a")) == (10, 12)
    assert times.between("a", "c") == np.inf


def test_list_of_times():
    frame = pd.DataFrame({"o": ["a", "b"], "d": ["b", "c"], "t": [10, 5]})
    times = read_travel_times(frame, start="o", end="d", value="t", both_ways=True)
    assert times.to_frame().values.tolist() == [["a", "b", 10], ["b", "a", 10], ["b", "c", 5], ["c", "b", 5]]


@pytest.mark.parametrize(
    ("cell", "words"),
    [("0", "zero minutes apart"), ("-1", "negative or no numbers"), ("", "not numbers"), ("1,5", "not numbers")],
)
def test_bad_times(cell, words):
    frame = pd.DataFrame({"from": ["a", "b"], "to": ["b", "a"], "minutes": ["10", cell]})
    with pytest.raises(WeightsError, match=words):
        read_travel_times(frame)
    square = pd.DataFrame([["0", "10"], [cell, "0"]], index=["a", "b"], columns=["a", "b"])
    with pytest.raises(WeightsError, match=words):
        read_travel_times(square)


def test_pairs_twice():
    frame = pd.DataFrame({"from": ["a", "b"], "to": ["b", "a"], "minutes": [1, 1]})
    with pytest.raises(WeightsError, match="more than once"):
        read_travel_times(frame, both_ways=True)


@pytest.mark.data
def test_rail_distances_of_chinese_provinces(data):
    times = read_travel_times(data / "cn_province_hti" / "rail_distance_km_29.csv", unit="km")
    assert times.n == 29
    table = times.dense()
    assert np.array_equal(table, table.T)
    # The matrix of Chen (2015): Beijing to Tianjin 137 km by rail, and no pair nearer.
    assert times.between("110000", "120000") == table[table > 0].min()
