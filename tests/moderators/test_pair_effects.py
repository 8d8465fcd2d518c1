"""Effects from region to region: against the average effects of the fit and dense algebra; usual rings by hand."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from moderators.space import lag_panel, reordered, scatter, slx_panel
from spillover.errors import DesignError
from spillover.moderators.decay import fit_decay
from spillover.moderators.distances import Distances, measure_distances
from spillover.moderators.pair_effects import pair_effects, treatment_change
from spillover.moderators.usual_edges import first_ring, usual_rings, usual_thresholds
from spillover.weights.points import Points

DISTANCES = scatter(30)


@pytest.mark.parametrize("standardise", ["scalar", "row"])
@pytest.mark.parametrize("model", ["slx", "sar", "sdm"])
def test_row_sums_average_to_the_indirect_effect(model, standardise):
    panel = lag_panel(DISTANCES, 8, seed=1, rho=0.4, theta=1.5)
    fit = fit_decay("y ~ x", panel, model=model, standardise=standardise, distances=DISTANCES, draws=199)
    effects = pair_effects(fit)
    assert effects.sum(axis=1).mean() == pytest.approx(fit.effect_estimates["indirect: x"], rel=1e-9)
    assert not np.diag(effects).any()


def test_slx_is_theta_times_the_kernel_and_follows_the_ids():
    panel = slx_panel(DISTANCES, 6, 1)
    fit = fit_decay("y ~ x + z", panel, distances=DISTANCES, draws=199)
    d = np.asarray(DISTANCES.matrix)
    expected = fit.estimates["W*x"] * np.exp(-fit.profile.rate * d)
    np.fill_diagonal(expected, 0.0)
    np.testing.assert_allclose(pair_effects(fit), expected, rtol=1e-12)
    np.testing.assert_allclose(treatment_change(fit), panel["x"][:, -1] - panel["x"][:, 0])
    other, moved = reordered(panel, DISTANCES)
    again = fit_decay("y ~ x + z", other, distances=moved, draws=199)
    assert pair_effects(again).sum() == pytest.approx(expected.sum(), rel=1e-6)


def test_a_cross_section_has_its_distance_from_the_mean():
    panel = slx_panel(DISTANCES, 3, 1).select(periods=[2000])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = fit_decay("y ~ x", panel, distances=DISTANCES, draws=199)
    np.testing.assert_allclose(treatment_change(fit), panel["x"][:, 0] - panel["x"].mean(), atol=1e-14)


def test_usual_rings_are_the_papers_where_regions_are_forty_kilometres_apart():
    """Twenty places on a line, 40 km apart: the nearest is 40 km away, which rounds up to 50."""
    places = 40.0 * np.arange(20.0)
    line = Distances(tuple(f"r{i:02d}" for i in range(20)), np.abs(places[:, None] - places), "on a line")
    assert first_ring(line) == 50.0
    assert usual_rings(line) == (0.0, 50.0, 100.0, 200.0, 300.0, 500.0)
    # the furthest place is 400 km away in the middle of the line; beyond 440 km a fifth of them have nobody
    assert usual_thresholds(line) == (50.0, 100.0, 150.0, 200.0, 250.0, 300.0, 400.0)


def test_usual_rings_stay_within_what_is_there():
    """One pair of three is two steps apart: a second ring would cover all pairs."""
    line = Distances(("a", "b", "c"), np.abs(np.subtract.outer([0.0, 1.0, 2.0], [0.0, 1.0, 2.0])), "steps", "steps")
    assert usual_rings(line) == (0.0, 1.0)
    assert usual_thresholds(line) == ()


def test_usual_rings_without_room_say_so():
    line = measure_distances(Points(tuple("abcdef"), np.column_stack([np.arange(6) * 60.0, np.zeros(6)]), False), 70.0)
    with pytest.raises(DesignError, match=r"a reach of 70 km; the first ring would end at 100"):
        usual_rings(line)
