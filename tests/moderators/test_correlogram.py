"""Co-movement by distance, for description."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from moderators.space import scatter
from spillover.errors import DesignError, MissingCellError, OptionError, UnknownColumnError
from spillover.moderators.correlogram import correlation_range, fit_correlogram
from spillover.panel.panel import Panel

DISTANCES = scatter(150, seed=6, side=1000.0)
PERIODS = tuple(range(2000, 2012))


@pytest.fixture(scope="module")
def panel():
    rng = np.random.default_rng(1)
    root = np.linalg.cholesky(np.exp(-np.asarray(DISTANCES.matrix) / 60.0) + 1e-9 * np.eye(150))
    field = root @ rng.normal(size=(150, 12)) + 5.0 * rng.normal(size=(150, 1)) + rng.normal(size=(1, 12))
    east = np.asarray(DISTANCES.points.coordinates)[:, 0] // 167
    return Panel(DISTANCES.regions, PERIODS, {"y": field}, groups={"strip": tuple(f"s{k:g}" for k in east)})


def test_finds_the_range_of_a_field(panel):
    found = fit_correlogram("y", panel, distances=DISTANCES, groups="strip", reach_km=600)
    # what it describes: the correlogram of the demeaned field, from its covariance JCJ
    j = np.eye(150) - 1.0 / 150
    d = np.asarray(DISTANCES.matrix)
    expected = j @ np.exp(-d / 60.0) @ j
    expected = expected / np.mean(np.diag(expected))
    off = ~np.eye(150, dtype=bool)
    edges = np.linspace(0, 600, 26)
    bins = [off & (d > a) & (d <= b) for a, b in pairwise(edges)]
    table = np.array([[d[at].mean(), expected[at].mean() - expected[off].mean(), at.sum()] for at in bins if at.any()])
    half = np.log(2) * correlation_range(table, offset=False)
    assert half < 60 * np.log(2)  # period means take a part away
    assert found.low < half < found.high
    assert found.half_distance == pytest.approx(half, rel=0.4)
    assert found.correlation[0] > 0.6
    assert "co-movement, not spillover" in found.sentence()
    assert found.std_error.shape == found.distance.shape


def test_a_band_by_hand(panel):
    found = fit_correlogram("y", panel, distances=DISTANCES, transform="growth", bins=5, reach_km=500)
    change = np.diff(panel["y"], axis=1)
    change = change - change.mean(axis=0)
    z = change / np.sqrt(np.mean(change**2))
    d = np.asarray(DISTANCES.matrix)
    products = z @ z.T / 11
    off = ~np.eye(150, dtype=bool)
    band = off & (d > 100) & (d <= 200)
    assert found.correlation[1] == pytest.approx(products[band].mean() - products[off].mean(), rel=1e-10)
    assert found.pairs[1] == band.sum()
    assert found.std_error is None
    assert found.low is None


def test_levels_and_within_differ(panel):
    level = fit_correlogram("y", panel, distances=DISTANCES, transform="level")
    within = fit_correlogram("y", panel, distances=DISTANCES, transform="within")
    assert level.correlation[0] < 0.4  # region effects without any order in space drown the field
    assert within.correlation[0] > 0.6


def test_what_is_refused(panel):
    with pytest.raises(OptionError, match="transform"):
        fit_correlogram("y", panel, distances=DISTANCES, transform="change")  # type: ignore[arg-type]
    with pytest.raises(UnknownColumnError, match="grouping"):
        fit_correlogram("y", panel, distances=DISTANCES, groups="state")
    with pytest.raises(OptionError, match="four bins"):
        fit_correlogram("y", panel, distances=DISTANCES, bins=2)
    halves = {region: "a" if k % 2 else "b" for k, region in enumerate(panel.regions)}
    with pytest.raises(DesignError, match="too few groups"):
        fit_correlogram("y", panel, distances=DISTANCES, groups=halves)
    with pytest.raises(DesignError, match="does not vary"):
        fit_correlogram("y - y", panel, distances=DISTANCES)
    values = np.array(panel["y"])
    values[3, 2] = np.nan
    hole = panel.with_variables({"y": values})
    with pytest.raises(MissingCellError, match="r003"):
        fit_correlogram("y", hole, distances=DISTANCES)
