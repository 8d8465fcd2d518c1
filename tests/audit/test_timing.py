"""Leads and lags over gaps, the outcome's past and its bias, trends, growth, refusals."""

from __future__ import annotations

import numpy as np
import pytest

import spillover as so
from audit.maps import grouped_map, panel_of
from simulated import named_weights, nearest, row_standardised, simulate_sdm
from spillover.audit.evidence import number, told
from spillover.audit.focus import Effect
from spillover.audit.shifted import find_shift, refit_periods
from spillover.audit.timing import audit_timing, correct_persistence, within_persistence
from spillover.errors import OptionError
from spillover.panel.panel import Panel
from spillover.weights.weights import SpatialWeights


def weights(n: int = 30) -> SpatialWeights:
    return named_weights(row_standardised(nearest(n, 4, 5)))


def test_a_gap_in_the_years_stays_a_gap() -> None:
    years = (2011, 2012, 2013, 2018, 2019)
    assert find_shift(years, 1).periods == (2011, 2012, 2018)
    assert find_shift(years, 1).sources == (1, 2, 4)
    assert find_shift(years, -1).periods == (2012, 2013, 2019)
    assert find_shift((2000, 2005, 2010), 1).sources == (1, 2)  # a step is five years here


def test_leads_beyond_the_panel_are_refused() -> None:
    with pytest.raises(OptionError, match=r"no period of the panel has a value 4 periods later[\s\S]*2001, 2002, 2003"):
        find_shift((2001, 2002, 2003, 2004), 4)
    with pytest.raises(OptionError, match="cannot be told from their names"):
        find_shift(("before", "after"), 1)
    w = weights()
    fit = so.fit("y ~ x0 + x1", simulate_sdm(w, 4, 1), w)
    with pytest.raises(OptionError, match="4 periods later"):
        audit_timing(fit, lead=4)
    with pytest.raises(OptionError, match="whole number of 1 or more"):
        audit_timing(fit, lead=0)


def test_the_placebo_equals_a_fit_by_hand() -> None:
    w = weights()
    panel = simulate_sdm(w, 6, 1)
    part = audit_timing(so.fit("y ~ x0 + x1", panel, w))
    ahead = np.roll(panel["x0"], -1, axis=1)
    by_hand = panel.with_variables({"ahead": ahead}).select(periods=panel.periods[:-1])
    fit = so.fit("y ~ x0 + x1 + ahead", by_hand, w)
    effects = fit.effects(variables=["ahead"])
    assert part.facts["timing.lead.own"] == pytest.approx(effects.estimate[0])
    assert part.facts["timing.lead.spillover"] == pytest.approx(effects.estimate[1])
    assert part.facts["timing.lead_p_value.spillover"] == pytest.approx(effects.p_value[1])
    same = so.fit("y ~ x0 + x1", panel.select(periods=panel.periods[:-1]), w).effects(variables=["x0"])
    assert part.facts["timing.same_periods.own"] == pytest.approx(same.estimate[0])


def test_past_and_lag_equal_formulas_with_lag() -> None:
    w = weights()
    panel = simulate_sdm(w, 6, 1)
    part = audit_timing(so.fit("y ~ x0 + x1", panel, w))
    later = panel.with_variables({"px": np.roll(panel["x0"], 1, axis=1), "py": np.roll(panel["y"], 1, axis=1)})
    later = later.select(periods=panel.periods[1:])
    lagged = so.fit("y ~ px + x1", later, w).effects(variables=["px"])
    assert part.facts["timing.lag.own"] == pytest.approx(lagged.estimate[0])
    dynamic = so.fit("y ~ x0 + x1 + py", later, w, lagged=["x0", "x1"])
    assert part.facts["timing.persistence"] == pytest.approx(dynamic.estimates["py"])
    assert part.facts["timing.dynamic.spillover"] == pytest.approx(dynamic.effects(variables=["x0"]).estimate[1])


def test_within_persistence_is_that_of_simulated_autoregressions() -> None:
    # 4,000 regions: the standard error of the within estimate is about 0.005.
    rng = np.random.default_rng(1)
    for tau, t in ((0.8, 6), (0.3, 10)):
        y = np.empty((4000, t + 1))
        y[:, 0] = rng.normal(size=4000) / np.sqrt(1 - tau**2)
        for s in range(t):
            y[:, s + 1] = tau * y[:, s] + rng.normal(size=4000)
        now, past = y[:, 1:], y[:, :-1]
        now, past = now - now.mean(1, keepdims=True), past - past.mean(1, keepdims=True)
        within = np.sum(now * past) / np.sum(past**2)
        assert within_persistence(tau, t) == pytest.approx(within, abs=0.02)
        assert correct_persistence(within, t) == pytest.approx(tau, abs=0.03)
    assert correct_persistence(0.99, 5) == 1.0


def reverse_panel(w: SpatialWeights, t: int, seed: int) -> Panel:
    """y moves first: x follows the y of the region and of its neighbours one period later; x does nothing."""
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(w.n, t))
    x = rng.normal(size=(w.n, t))
    x[:, 1:] += 0.8 * y[:, :-1] + 0.8 * w.lag(y)[:, :-1]
    return panel_of(w, y=y, x=x)


def test_an_outcome_that_moves_first_is_seen_in_the_future_regressor() -> None:
    w = weights(40)
    part = audit_timing(so.fit("y ~ x", reverse_panel(w, 10, 1), w))
    assert part.facts["timing.lead_p_value.own"] < 0.01
    assert part.facts["timing.lead_joint_p_value"] < 0.01
    assert "moved first" in part.sentences[0]


def test_a_regressor_that_acts_at_once_has_no_future() -> None:
    rejected = []
    w = weights(40)
    for seed in range(40):
        part = audit_timing(so.fit("y ~ x0 + x1", simulate_sdm(w, 6, seed), w))
        rejected.append(part.facts["timing.lead_joint_p_value"] < 0.05)
    assert np.mean(rejected) <= 0.15  # 5 %: more than 6 of 40 would be three standard errors


def test_trends_of_regions_pass_for_an_effect_until_they_are_taken_out() -> None:
    rng = np.random.default_rng(2)
    w = weights(40)
    slope = rng.normal(size=(40, 1))
    line = np.arange(10)[None, :] / 3.0
    x = slope * line + rng.normal(size=(40, 10))
    y = slope * line + rng.normal(size=(40, 10))
    part = audit_timing(so.fit("y ~ x", panel_of(w, y=y, x=x), w))
    assert part.facts["timing.as_fitted_p_value.own"] < 0.001
    assert part.facts["timing.trend_p_value.own"] > 0.05
    assert any("the effect at home" in said and "rested on trends" in said for said in part.sentences)


def test_growth_that_goes_before() -> None:
    rng = np.random.default_rng(3)
    w = weights(40)
    early = rng.normal(size=(40, 1))
    course_y = np.minimum(np.arange(9), 4)[None, :]  # y grows first,
    course_x = np.maximum(np.arange(9) - 4, 0)[None, :]  # x later, in the same regions
    y = early * course_y + rng.normal(size=(40, 9))
    x = early * course_x + rng.normal(size=(40, 9))
    part = audit_timing(so.fit("y ~ x", panel_of(w, y=y, x=x), w))
    assert part.facts["timing.growth_p_value.own"] < 0.001
    assert any("the regressor follows the outcome" in said for said in part.sentences)
    part.to_dict()


def test_growth_that_groups_share_is_no_reply_to_the_outcome() -> None:
    # Shocks of four groups to the regressor, which works: neither follows the other. Without groups the regions look
    # like many witnesses of what four groups do.
    w, groups, codes = grouped_map(60, 2, 4, 3)
    rejected = {"with": 0, "without": 0}
    for seed in range(40):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(codes.max() + 1, 10))[codes] + 0.5 * rng.normal(size=(60, 10))
        y = 0.5 * x + 0.5 * rng.normal(size=(60, 10))
        fit = so.fit("y ~ x", panel_of(w, y=y, x=x), w)
        for key, given in (("with", groups), ("without", None)):
            facts = audit_timing(fit, groups=given).facts
            rejected[key] += facts["timing.growth_p_value.spillover"] < 0.01
    assert rejected["with"] <= 1  # 0.4 expected
    assert rejected["without"] >= 3
    assert any("among regions of one group" in said for said in audit_timing(fit, groups=groups).sentences)


def test_what_a_short_panel_or_a_cross_section_does_not_allow_is_said() -> None:
    w = weights()
    part = audit_timing(so.fit("y ~ x0 + x1", simulate_sdm(w, 2, 1), w))
    said = " ".join(part.skipped)
    assert "The placebo" in said
    assert "Earlier growth: 2 periods are too few" in said
    one = simulate_sdm(w, 3, 1).select(periods=[2001])
    part = audit_timing(so.fit("y ~ x0 + x1", one, w))
    assert part.skipped == ("A cross-section has no before and no after.",)


def test_segments_follow_their_periods() -> None:
    w = weights()
    panel = simulate_sdm(w, 8, 1)
    fit = so.fit("y ~ x0 + x1", panel, w, segments=tuple("ab"[s >= 4] for s in range(8)))
    part = refit_periods(fit, panel.periods[2:])
    by_name = {period: "ab"[s >= 4] for s, period in enumerate(panel.periods)}
    again = so.fit("y ~ x0 + x1", panel.select(periods=panel.periods[2:]), w, segments=by_name)
    assert part.estimates.values == pytest.approx(again.estimates.values)
    audit_timing(fit)


def test_models_without_w_and_with_an_unlagged_regressor() -> None:
    w = weights()
    panel = simulate_sdm(w, 6, 1)
    part = audit_timing(so.fit("y ~ x0 + x1", panel, model="ols"))
    assert "timing.lead.spillover" not in part.facts
    assert "timing.lead.own" in part.facts
    part = audit_timing(so.fit("y ~ x0 + x1", panel, w, lagged=["x1"]))  # a spillover by W y only
    assert "timing.lead.spillover" in part.facts


def test_numbers_in_words() -> None:
    effect = Effect(-0.0079, 0.1, 0.9, -0.19, 0.17, None)
    assert told(effect) == "−0.01 (−0.19, 0.17)"
    assert number(-12.345) == "−12.35"
    assert number(0.001234, 0.001) == "0.0012"
