"""Distances between regions: measured, read, aligned, refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from moderators.space import scatter, slx_panel
from spillover.errors import AlignmentError, OptionError, WeightsError
from spillover.moderators.boundary import fit_boundary
from spillover.moderators.decay import fit_decay
from spillover.moderators.distances import distances_of, from_travel_times, measure_distances, read_distances
from spillover.moderators.kernel_spline import fit_kernel_spline
from spillover.moderators.rings import fit_rings
from spillover.weights.points import Points
from spillover.weights.transport.times import read_travel_times

IDS = ["a", "b", "c"]
TABLE = pd.DataFrame([[0, 3, 9], [3, 0, 6], [9, 6, 0]], index=IDS, columns=IDS)


def test_great_circle_by_hand():
    # a degree of latitude on a sphere of radius 6371.0088 km is 111.195 km
    found = measure_distances(Points(("p", "q"), np.array([[10.0, 50.0], [10.0, 51.0]]), True))
    assert found.matrix[0, 1] == pytest.approx(np.pi / 180 * 6371.0088, rel=1e-9)
    assert (found.unit, found.symmetric, found.shortest) == ("km", True, found.longest)


def test_a_reach_keeps_the_near_pairs_only():
    whole = scatter(30)
    near = measure_distances(whole.points, reach_km=150.0)
    links = near.links
    assert links.data == pytest.approx(whole.matrix[links.row, links.col])
    assert links.nnz == int((whole.matrix <= 150.0).sum()) - 30
    assert near.ring(50.0, 150.0).nnz == whole.ring(50.0, 150.0).nnz
    value = near.weigh(lambda d: np.exp(-0.01 * d)).toarray()
    full = np.where(whole.matrix <= 150.0, np.exp(-0.01 * whole.matrix), 0.0)
    np.fill_diagonal(full, 0.0)
    assert value == pytest.approx(full)


def test_rings_partition_the_pairs_and_the_first_holds_its_inner_edge():
    square = Points(("a", "b", "c", "d"), np.array([[0, 0], [0, 0], [3, 4], [0, 10]], dtype=float), False)
    found = measure_distances(square)
    # a and b at 0, a/b–c at 5, a/b–d at 10, c–d at √(9 + 36) = 6.7
    assert [found.ring(a, b).nnz for a, b in ((0, 5), (5, 7), (7, 10))] == [2 + 4, 2, 4]


def test_a_table_in_any_order_with_gaps():
    shuffled = TABLE.astype(float).loc[["c", "a", "b"], ["b", "c", "a"]]
    shuffled.loc["a", "c"] = np.inf  # nobody gets from a to c
    found = read_distances(shuffled, what="rail", unit="minutes").align(["a", "b", "c"])
    # rows of the table are origins, rows of the matrix receivers
    assert found.matrix.tolist() == [[0, 3, 9], [3, 0, 6], [np.inf, 6, 0]]
    assert (found.unit, found.symmetric, found.connected, found.what) == ("minutes", False, False, "rail")
    assert found.notes == ("1 ordered pairs without a connection",)
    assert found.weigh(lambda d: d + 1.0).tolist() == [[0, 4, 10], [4, 0, 7], [0, 7, 0]]
    assert found.nearest.tolist() == [3, 3, 6]


def test_lists_and_travel_times():
    pairs = pd.DataFrame({"from": ["a", "a", "b"], "to": ["b", "c", "c"], "km": [3, 9, 6]})
    assert read_distances(pairs, both_ways=True).matrix.tolist() == TABLE.to_numpy().tolist()
    times = read_travel_times(pairs.rename(columns={"km": "minutes"}), both_ways=True)
    panel = slx_panel(scatter(12), 4, 0)
    with pytest.raises(AlignmentError, match="only in the panel"):
        distances_of(panel, times)
    assert from_travel_times(times).unit == "minutes"
    short = from_travel_times(replace(times, cutoff=6.0, matrix=times.matrix.multiply(times.matrix <= 6).tocsr()))
    assert short.reach == 6.0
    assert short.links.nnz == 4


def test_a_file_is_read_with_leading_zeros(tmp_path):
    path = tmp_path / "km.csv"
    path.write_text("id,01,02\n01,0,5.5\n02,5.5,0\n")
    found = read_distances(path)
    assert found.regions == ("01", "02")
    assert found.matrix[0, 1] == 5.5


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (lambda t: t.replace(3, -3), WeightsError, "negative"),
        (lambda t: t.replace(3, 0), WeightsError, "zero km apart"),
        (lambda t: t.replace(3, "near"), WeightsError, "'near'"),
        (lambda t: t.reset_index(drop=True), AlignmentError, "order|ids|both sides"),
        (lambda t: t.replace(3, np.nan), WeightsError, "not numbers"),
        (lambda t: t.astype(float).replace({3.0: np.inf, 9.0: np.inf}), WeightsError, "nothing connects.*\n.*a"),
    ],
)
def test_tables_that_are_no_distances(change, error, says):
    with pytest.raises(error, match=says):
        read_distances(change(TABLE.astype(object)))


def test_other_regions_than_the_panel_are_named():
    distances = scatter(12)
    panel = slx_panel(scatter(13), 4, 0)
    with pytest.raises(AlignmentError, match="only in the panel: r012"):
        distances_of(panel, distances)
    assert distances_of(panel.select(regions=distances.regions), distances).n == 12


def test_weights_are_not_taken_for_distances():
    from simulated import named_weights

    panel = slx_panel(scatter(12), 4, 0)
    with pytest.raises(OptionError, match="weights are not distances"):
        distances_of(panel, named_weights(np.ones((12, 12)) - np.eye(12)))


def test_coordinates_that_are_swapped_or_no_degrees():
    frame = pd.DataFrame({"id": ["a", "b"], "lon": [116.4, 121.5], "lat": [39.9, 31.2]})
    found = measure_distances(frame, regions="id", coordinates=("lon", "lat"))
    # the spherical law of cosines
    a, b, gap = np.radians([39.9, 31.2, 121.5 - 116.4])
    angle = np.arccos(np.sin(a) * np.sin(b) + np.cos(a) * np.cos(b) * np.cos(gap))
    assert found.matrix[0, 1] == pytest.approx(6371.0088 * angle, rel=1e-9)
    with pytest.raises(OptionError, match="north first"):
        measure_distances(frame, regions="id", coordinates=("lat", "lon"))
    with pytest.raises(WeightsError, match="swapped"):
        measure_distances(frame[["lat", "lon"]].to_numpy(), regions=["a", "b"], lonlat=True)
    with pytest.raises(OptionError, match="not clear whether"):
        measure_distances(frame[["lon", "lat"]].to_numpy(), regions=["a", "b"])


def test_limits_of_size_and_reach():
    places = Points(tuple(f"{i:05d}" for i in range(5001)), np.random.default_rng(0).uniform(0, 1, (5001, 2)), False)
    with pytest.raises(WeightsError, match="reach_km"):
        measure_distances(places)
    with pytest.raises(OptionError, match="reach_km"):
        measure_distances(scatter(12).points, reach_km=-1.0)


def test_a_reach_that_connects_nobody_is_refused_by_name():
    apart = scatter(30)
    short = measure_distances(apart.points, reach_km=apart.shortest / 2)
    panel = slx_panel(apart, 6, 1)
    with pytest.raises(WeightsError, match=r"nothing connects[\s\S]*longer reach"):
        distances_of(panel, short)


def test_words_are_those_of_the_table():
    with pytest.raises(WeightsError, match=r"distances that are negative[\s\S]*a → b: -3"):
        read_distances(TABLE.replace({"b": {3: -3}}))
    with pytest.raises(OptionError, match="does not say which row is which region"):
        distances_of(slx_panel(scatter(12), 6, 1), np.eye(12))


@pytest.mark.parametrize("wrong", ["60", 0, -1.0, np.nan, True])
def test_numbers_are_numbers(wrong):
    distances = scatter(12)
    panel = slx_panel(distances, 6, 1)
    with pytest.raises(OptionError, match="reach_km is out of range"):
        measure_distances(distances.points, reach_km=wrong)
    with pytest.raises(OptionError, match="cutoff_km is out of range"):
        fit_rings("y ~ x", panel, edges=(0, 100, 200), distances=distances, cutoff_km=wrong)
    with pytest.raises(OptionError, match="confidence level"):
        fit_decay("y ~ x", panel, distances=distances, level=wrong)
    with pytest.raises(OptionError, match="confidence level"):
        fit_kernel_spline("y ~ x", panel, distances=distances, level=wrong)
    with pytest.raises(OptionError, match="seed is a whole number"):
        fit_kernel_spline("y ~ x", panel, distances=distances, seed=-1)


@pytest.mark.parametrize("wrong", ["1", -1.0, np.nan])
def test_a_power_is_a_number(wrong):
    distances = scatter(12)
    with pytest.raises(OptionError, match="power is out of range"):
        fit_boundary("y ~ x", slx_panel(distances, 6, 1), thresholds=(50, 100), distances=distances, power=wrong)
