"""Group × period shares by hand, exact effects of groups, factors taken out region by region, refusals."""

from __future__ import annotations

import numpy as np
import pytest

import spillover as so
from audit.maps import grouped_map, panel_of, shocked_panel
from simulated import named_weights, nearest, row_standardised, simulate_sdm
from spillover.audit.absorbed import absorb_groups
from spillover.audit.common_shock import audit_common_shock
from spillover.audit.focus import focus_effects
from spillover.audit.group_shares import group_shares
from spillover.audit.grouping import resolve_groups
from spillover.audit.rotate import averages, components, first_share, fit_without, standing_out, trend
from spillover.errors import DesignError, WeightsError
from spillover.models.likelihood import ConcentratedLikelihood, maximise
from spillover.models.result import SpatialFit
from spillover.numerics.least_squares import Projection, project
from spillover.typing import FloatArray
from spillover.weights.groups import within_groups
from spillover.weights.weights import SpatialWeights


def test_shares_equal_dummies_by_least_squares() -> None:
    # The share is the R² of group × period dummies on the two-way within variable.
    w, groups, codes = grouped_map(40, 2, 4, 3)
    panel = shocked_panel(w, codes, 5, 1)
    fit = so.fit("y ~ x", panel, w)
    grouping = resolve_groups(fit, groups)
    assert grouping is not None
    found = {(each.variable, each.period): each for each in group_shares(fit, grouping, "x")}
    y = panel["y"]
    left = (y - y.mean(0) - y.mean(1, keepdims=True) + y.mean()).ravel()
    cells = (codes[:, None] * 5 + np.arange(5)).ravel()
    dummies = (cells[:, None] == np.unique(cells)).astype(float)
    fitted = dummies @ np.linalg.lstsq(dummies, left, rcond=None)[0]
    assert found["y", None].share == pytest.approx(np.sum(fitted**2) / np.sum(left**2))
    assert found["y", None].chance == pytest.approx(3 / 39)  # four groups, 40 regions
    assert found["W*x", None].share > found["x", None].share  # averaging over neighbours keeps what they share
    by_period = [found["y", period] for period in panel.periods]
    assert len(by_period) == 5


def test_chance_is_what_unrelated_groups_give() -> None:
    w, groups, codes = grouped_map(60, 3, 4, 3)
    shares = []
    for seed in range(200):
        fit = so.fit("y ~ x", shocked_panel(w, codes, 4, seed, shock=0.0), w)
        grouping = resolve_groups(fit, groups)
        assert grouping is not None
        shares.append(group_shares(fit, grouping, "x")[0])
    mean = np.mean([each.share for each in shares])
    assert mean == pytest.approx(shares[0].chance, abs=4 * 0.005)  # four standard errors of 200 draws


def test_shocks_of_groups_carry_the_spillover_and_exact_effects_take_them_out() -> None:
    w, groups, codes = grouped_map(60, 3, 4, 1)
    fit = so.fit("y ~ x", shocked_panel(w, codes, 10, 1, shock=2.0), w)
    part = audit_common_shock(fit, groups=groups)
    facts = part.facts
    assert facts["common_shock.as_fitted_p_value.spillover"] < 0.05
    assert facts["common_shock.ordinary_p_value.spillover"] < 0.05
    assert facts["common_shock.exact_p_value.spillover"] > 0.05
    assert facts["common_shock.exact_low.own"] < 0.3 < facts["common_shock.exact_high.own"]  # the truth
    assert facts["common_shock.group_share_beyond.outcome"] > 0.3
    assert any("carries the spillover" in said for said in part.sentences)
    part.to_dict()


def test_without_courses_nothing_changes() -> None:
    # With no course taken out, the change of coordinates is that of Lee & Yu: same likelihood, same errors.
    w = named_weights(row_standardised(nearest(24, 4, 5)))
    for model in ("ols", "slx", "sar", "sdm", "sdem"):
        fit = so.fit("y ~ x0 + x1", simulate_sdm(w, 6, 2), w, model=model)  # type: ignore[arg-type]
        same = fit_without(fit, np.zeros((6, 0))).fit
        assert same.statistics["log_likelihood"] == pytest.approx(fit.statistics["log_likelihood"], abs=1e-9)
        assert same.estimates.values == pytest.approx(fit.estimates.values, abs=1e-8)
        assert same.estimates.cov == pytest.approx(fit.estimates.cov, abs=1e-8)


def test_segments_and_individual_effects_are_courses_too() -> None:
    w = named_weights(row_standardised(nearest(24, 4, 5)))
    panel = simulate_sdm(w, 8, 2)
    halves = tuple("ab"[s >= 4] for s in range(8))
    fit = so.fit("y ~ x0 + x1", panel, w, segments=halves)
    assert fit_without(fit, np.zeros((8, 0))).fit.estimates.values == pytest.approx(fit.estimates.values, abs=1e-8)
    whole = so.fit("y ~ x0 + x1", panel, w)
    step = (np.arange(8) >= 4).astype(float)[:, None]
    assert fit_without(whole, step).fit.estimates.values == pytest.approx(fit.estimates.values, abs=1e-8)
    single = so.fit("y ~ x0 + x1", panel, w, effects="individual")
    assert fit_without(single, np.zeros((8, 0))).fit.estimates.values == pytest.approx(
        single.estimates.values, abs=1e-8
    )


def test_a_trend_of_each_region_equals_dummies() -> None:
    # SLX by least squares with a dummy and a trend for every region and a dummy for every period.
    w = named_weights(row_standardised(nearest(20, 4, 5)))
    panel = simulate_sdm(w, 7, 2, rho=0.0)
    rotated = fit_without(fit := so.fit("y ~ x0 + x1", panel, w, model="slx"), trend(fit))
    n, t = panel.shape
    region, period = np.kron(np.eye(n), np.ones((t, 1))), np.kron(np.ones((n, 1)), np.eye(t))
    line = np.kron(np.eye(n), np.arange(t)[:, None])
    x = [panel["x0"], panel["x1"], w.lag(panel["x0"]), w.lag(panel["x1"])]
    z = np.column_stack([*(each.ravel() for each in x), region, period, line])
    assert rotated.fit.estimates.values == pytest.approx(np.linalg.lstsq(z, panel["y"].ravel(), rcond=None)[0][:4])


def factor_panel(w: SpatialWeights, t: int, seed: int) -> so.Panel:
    """A common factor with loadings that rise over the map, in x and in y; no spillover."""
    rng = np.random.default_rng(seed)
    place = np.linspace(-1.0, 1.0, w.n)[:, None] * 1.5
    course = rng.normal(size=(1, t)).cumsum(axis=1)
    x = 0.7 * place * course + rng.normal(size=(w.n, t))
    y = 0.5 * x + place * course + rng.normal(size=(w.n, t)) + course
    return panel_of(w, y=y, x=x)


def test_a_common_factor_passes_for_a_spillover_until_components_take_it_out() -> None:
    links = np.abs(np.subtract.outer(np.arange(40), np.arange(40)))
    w = named_weights(row_standardised(((links > 0) & (links < 4)).astype(float)))
    fit = so.fit("y ~ x", factor_panel(w, 12, 1), w)
    part = audit_common_shock(fit, factors=1)
    assert part.facts["common_shock.as_fitted_p_value.spillover"] < 0.01
    assert part.facts["common_shock.components_1_p_value.spillover"] > 0.05
    low, high = (part.facts[f"common_shock.components_1_{end}.own"] for end in ("low", "high"))
    assert low < 0.5 < high  # the truth
    assert part.facts["common_shock.first_component_share"] > 1.5 * part.facts["common_shock.first_component_chance"]


def test_whether_a_factor_is_needed_is_said() -> None:
    w = named_weights(row_standardised(nearest(40, 4, 5)))
    rng = np.random.default_rng(2)
    both = rng.normal(size=(40, 1)) * rng.normal(size=(1, 10)).cumsum(axis=1)
    x, errors = rng.normal(size=(40, 10)), rng.normal(size=(40, 10))
    said = "goes with what the model leaves of the same region in other periods"
    for factor, needed in ((both, True), (0.0 * both, False)):
        panel = panel_of(w, y=0.5 * (x + factor) + factor + errors, x=x + factor)
        part = audit_common_shock(so.fit("y ~ x", panel, w), factors=1)
        assert (part.facts["factors.needed_p_value"] < 0.01) is needed
        assert any(said in each for each in part.sentences) is needed


def test_components_are_a_maximum() -> None:
    # At the fixed point the factors are components of the residuals and the model is the best one without them.
    w = named_weights(row_standardised(nearest(30, 4, 5)))
    fit = so.fit("y ~ x", factor_panel(w, 10, 3), w)
    found = components(fit, 1)
    estimates = found.fit.estimates.values
    design = fit.design
    residuals = design.y - estimates[-1] * design.wy - design.fitted(estimates[: design.k])
    course = np.linalg.eigh(residuals.T @ residuals)[1][:, -1:]
    assert np.abs(course.T @ found.basis).max() < 1e-4


def test_independent_errors_have_no_large_component() -> None:
    w = named_weights(row_standardised(nearest(60, 4, 5)))
    share, chance = first_share(so.fit("y ~ x0 + x1", simulate_sdm(w, 10, 1), w))
    assert share < 1.15 * chance
    assert standing_out(so.fit("y ~ x", factor_panel(w, 12, 1), w)) >= 1


def test_averages_are_those_of_outcome_and_regressors() -> None:
    w = named_weights(row_standardised(nearest(24, 4, 5)))
    panel = simulate_sdm(w, 9, 1)
    fit = so.fit("y ~ x0 + x1", panel, w)
    found = averages(fit)
    assert found.shape == (9, 3)
    assert found[:, 0] == pytest.approx(panel["y"].mean(axis=0) - panel["y"].mean())


def test_short_panels_and_missing_groups_are_said() -> None:
    w = named_weights(row_standardised(nearest(24, 4, 5)))
    part = audit_common_shock(so.fit("y ~ x0 + x1", simulate_sdm(w, 4, 2), w))
    assert any("4 periods are too few" in why for why in part.skipped)
    assert any("no groups" in why for why in part.skipped)
    with pytest.raises(DesignError, match="too few periods"):
        fit_without(fit := so.fit("y ~ x0 + x1", simulate_sdm(w, 4, 2), w), averages(fit))


def grouped_fit() -> tuple[SpatialFit, dict[str, str]]:
    w, groups, codes = grouped_map(40, 2, 4, 1)
    return so.fit("y ~ x", shocked_panel(w, codes, 5, 2), w), groups


def test_a_w_that_crosses_groups_is_refused() -> None:
    fit, groups = grouped_fit()
    assert fit.weights is not None
    with pytest.raises(WeightsError, match=r"artefact[\s\S]*links, such as"):
        audit_common_shock(fit, groups=groups, within=fit.weights)


def test_a_w_without_links_inside_groups() -> None:
    # Two groups whose regions neighbour only regions of the other one.
    n = 20
    links = np.zeros((n, n))
    for i in range(n):
        links[i, [(i + 1) % n, (i + 3) % n]] = 1.0
    w = named_weights(row_standardised(links))
    groups = {region: "even" if i % 2 == 0 else "odd" for i, region in enumerate(w.regions)}
    fit = so.fit("y ~ x0 + x1", simulate_sdm(w, 5, 1), w)
    part = audit_common_shock(fit, groups=groups)
    assert any("no link of W stays inside a group" in why for why in part.skipped)
    # Only the comparison with links inside groups is lost; that with the same W needs none.
    grouping = resolve_groups(fit, groups)
    assert grouping is not None
    pair = absorb_groups(fit, "x0", grouping)
    assert pair.grouped.spillover is not None
    assert part.facts["common_shock.same_w_grouped.spillover"] == pytest.approx(pair.grouped.spillover.value)
    assert "common_shock.exact.spillover" not in part.facts


def test_groups_of_one_region_drop_out_by_name() -> None:
    fit, groups = grouped_fit()
    alone = {**groups, "r000": "island"}
    part = audit_common_shock(fit, groups=alone)
    assert any("r000" in said and "island" in said for said in part.sentences)
    with pytest.raises(DesignError, match="every group has one region"):
        audit_common_shock(fit, groups={region: region for region in fit.panel.regions})


def test_where_groups_cannot_identify_rho_slx_takes_over() -> None:
    # Every region neighbours all others of its group, and all groups have one size (Lee 2007).
    blocks = np.kron(np.eye(8), np.ones((5, 5))) - np.eye(40)
    w = named_weights(row_standardised(blocks + 0.0))
    groups = {region: f"g{i // 5}" for i, region in enumerate(w.regions)}
    fit = so.fit("y ~ x0", simulate_sdm(w, 6, 1, beta=(1.0,), theta=(0.5,)), w)
    part = audit_common_shock(fit, groups=groups)
    assert any("SDM model" in why for why in part.skipped)


def naive_rho(fit: SpatialFit, codes: FloatArray, *, lag_first: bool) -> float:
    """ρ of data demeaned by group and period with a W that crosses groups: what the library refuses."""
    assert fit.weights is not None
    w, design = fit.weights, fit.design

    def demeaned(values: FloatArray) -> FloatArray:
        left = values - values.mean(axis=1, keepdims=True)
        for code in np.unique(codes):
            left[codes == code] -= left[codes == code].mean(axis=0)
        return left

    def lagged(values: FloatArray) -> FloatArray:
        return demeaned(w.lag(values)) if lag_first else w.lag(demeaned(values))

    x, y = design.x_raw[0], design.y_raw
    columns = np.stack([demeaned(x), lagged(x), demeaned(y), lagged(y)]).reshape(4, -1).T
    found = project(columns, 2)
    assert isinstance(found, Projection)
    n, t = design.shape
    m = (n - len(np.unique(codes))) * (t - 1)
    return maximise(ConcentratedLikelihood(found.residual_products, m, t - 1, w.engine, 0)).value


@pytest.mark.slow
def test_exact_group_effects_are_unbiased_where_demeaning_across_borders_is_not() -> None:
    # Truth ρ = 0.3. Exact: W inside groups; naive: the same shocks, W across borders, group means removed.
    w, groups, codes = grouped_map(120, 4, 4, 2)
    inside = within_groups(w, groups)
    at = np.array([w.regions.index(region) for region in inside.regions])
    across = np.linalg.inv(np.eye(w.n) - 0.3 * w.matrix.toarray())
    within = np.linalg.inv(np.eye(inside.n) - 0.3 * inside.matrix.toarray())
    exact, covered, naive, other = [], [], [], []
    for seed in range(800):
        rng = np.random.default_rng(seed)
        shock = 2.0 * rng.normal(size=(codes.max() + 1, 6))[codes]
        x = rng.normal(size=(w.n, 6)) + 0.5 * shock
        u = x + shock + rng.normal(size=(w.n, 6)) + rng.normal(size=(w.n, 1))
        fit = so.fit("y ~ x", panel_of(inside, y=within @ u[at], x=x[at]), inside, groups=groups)
        low, high = fit.estimates.confint()[-1]
        exact.append(fit.rho)
        covered.append(low < 0.3 < high)
        if seed < 100:
            crossing = so.fit("y ~ x", panel_of(w, y=across @ u, x=x), w)
            naive.append(naive_rho(crossing, codes, lag_first=True))
            other.append(naive_rho(crossing, codes, lag_first=False))
    assert abs(np.mean(exact) - 0.3) < 0.015  # the bias of maximum likelihood itself, of order 1/n
    assert 0.93 <= np.mean(covered) <= 0.97
    assert np.mean(naive) < 0.22  # measured 0.18: W y keeps the shocks of other groups
    assert np.mean(other) < 0.1  # measured 0.04


def test_effects_of_factor_models_are_read_by_the_name_of_the_regressor() -> None:
    w = named_weights(row_standardised(nearest(24, 4, 5)))
    fit = so.fit("y ~ x0 + x1", simulate_sdm(w, 9, 2), w)
    found = fit_without(fit, trend(fit))
    assert found.names == {"x0": "x0", "x1": "x1"}
    assert focus_effects(found.fit, found.names["x1"]).variable == "x1"
