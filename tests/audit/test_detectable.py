"""What could have been seen."""

from __future__ import annotations

import numpy as np
import pytest

import spillover as so
from spillover.audit.detectable import audit_detectable, describe_design, small_effect
from spillover.audit.focus import focus_effects
from spillover.errors import OptionError
from spillover.inference.wald_power import detectable_shift
from spillover.simulation.spatial_panel import Regressor, SpatialPanelConfig

CONFIG = SpatialPanelConfig(
    "sdm", 100, 10, regressors=(Regressor("x", 0.3, 0.15, persistence=0.8, spatial=0.3),), rho=0.3
)


def test_smallest_effects_are_multiples_of_the_clustered_error() -> None:
    """2.80 standard errors for the normal law; a little more for t(99)."""
    panel, truth = so.simulate(CONFIG, 1)
    fit = so.fit("y ~ x", panel, truth.weights)
    part = audit_detectable(fit)
    known = focus_effects(fit.with_covariance("cluster"))
    assert known.spillover is not None
    shift = detectable_shift(0.05, 0.8, 99.0)
    assert 2.8 < shift < 2.86
    assert np.isclose(part.facts["detectable.smallest.spillover"], shift * known.spillover.std_error)
    assert np.isclose(part.facts["detectable.smallest.own"], shift * known.own.std_error)
    assert np.isclose(part.facts["detectable.relevant.own"], small_effect(fit, "x"))
    assert np.isclose(part.facts["detectable.relevant.spillover"], max(known.own.low, small_effect(fit, "x")))
    assert np.isclose(part.facts["detectable.plausible.spillover"], max(known.own.value, small_effect(fit, "x")))
    ratio = part.facts["detectable.smallest.spillover"] / part.facts["detectable.relevant.spillover"]
    assert part.facts["detectable.regions.spillover"] == max(100, np.ceil(100 * ratio**2))


def test_power_at_the_smallest_effect_is_the_target() -> None:
    panel, truth = so.simulate(CONFIG, 1)
    fit = so.fit("y ~ x", panel, truth.weights)
    smallest = audit_detectable(fit).facts["detectable.smallest.spillover"]
    again = audit_detectable(fit, relevant_spillover=smallest)
    assert np.isclose(again.facts["detectable.power.spillover"], 0.8, atol=1e-6)
    assert again.facts["detectable.periods.spillover"] == 10


def test_the_design_is_read_off_the_data() -> None:
    """Four large panels of known law: persistence .8, spatial .3 (standard error .05 in each), sd 1, σ 1."""
    config = CONFIG.with_changes(n_regions=400, n_periods=15)
    drawn = [so.simulate(config, seed) for seed in (2, 3, 4, 5)]
    found = [describe_design(so.fit("y ~ x", panel, truth.weights)) for panel, truth in drawn]
    assert np.isclose(np.mean([each.regressors[0].persistence for each in found]), 0.8, atol=0.04)
    assert np.isclose(np.mean([each.regressors[0].spatial for each in found]), 0.3, atol=0.06)
    assert np.isclose(np.mean([each.regressors[0].sd for each in found]), 1.0, atol=0.05)
    assert np.isclose(np.mean([each.errors.sigma for each in found]), 1.0, atol=0.03)
    assert found[0].n_regions == 400


def test_more_periods_are_found_where_they_help() -> None:
    """The truth needs between 13 and 20 periods for a power of .8 (METHODS, I.7: N = 100 needs T ≈ 14–15)."""
    panel, truth = so.simulate(CONFIG.with_changes(regressors=(Regressor("x", 0.3, 0.15, persistence=0.8),)), 3)
    part = audit_detectable(so.fit("y ~ x", panel, truth.weights), relevant_spillover=0.329)
    assert 12 <= part.facts["detectable.periods.spillover"] <= 20


def test_sizes_that_are_none_are_refused_and_groups_say_what_is_missing() -> None:
    panel, truth = so.simulate(CONFIG, 1)
    fit = so.fit("y ~ x", panel, truth.weights)
    with pytest.raises(OptionError, match="positive size"):
        audit_detectable(fit, relevant_own=0.0)
    halves = tuple("ab"[s >= 5] for s in range(10))
    part = audit_detectable(so.fit("y ~ x", panel, truth.weights, segments=halves), relevant_spillover=1e-3)
    assert any("no closed form" in text for text in part.skipped)
