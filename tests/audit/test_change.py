"""The difference between two estimates from the same regions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import spillover as so
from spillover.audit.absorbed import absorb_groups
from spillover.audit.change import Change, change_facts, compare, influence
from spillover.audit.common_shock import audit_common_shock
from spillover.audit.focus import focus_effects
from spillover.audit.grouping import resolve_groups
from spillover.audit.rotate import fit_without, trend
from spillover.models.result import SpatialFit
from spillover.panel.geometry import centroids
from spillover.simulation.spatial_panel import Regressor, SpatialPanelConfig

GROUPS = 6


def fitted(model: str = "sdm", n: int = 60, t: int = 8, seed: int = 2, shock: float = 0.0) -> SpatialFit:
    """β = 0.5, θ = 0.5 (ρ = 0.3 in an SDM) and six groups, which have shocks to y and x in common if asked for."""
    rho = {"rho": 0.3} if model == "sdm" else {}
    config = SpatialPanelConfig(model, n, t, regressors=(Regressor("x", 0.5, 0.5),), **rho)  # type: ignore[arg-type]
    panel, truth = so.simulate(config, seed)
    codes = np.empty(n, dtype=int)
    codes[np.argsort(centroids(panel)[0][:, 0])] = np.arange(n) // (n // GROUPS)  # strips from west to east
    panel = replace(panel, groups={"land": tuple(f"L{code}" for code in codes)})
    common = shock * np.random.default_rng(seed).standard_normal((GROUPS, t))[codes]
    panel = panel.with_variables({"y": panel["y"] + 1.5 * common, "x": panel["x"] + common})
    return so.fit("y ~ x", panel, truth.weights, model=model)


@pytest.mark.parametrize(
    ("model", "tolerance"),
    # Exact without spatial parameters; with them pairs of regions count in expectation, a few per cent here. Without
    # the pairs the error of SAR's spillover, which rests on ρ alone, is half of what it should be.
    [("ols", 1e-9), ("slx", 1e-9), ("sdem", 0.02), ("sdm", 0.05), ("sar", 0.15)],
)
def test_influence_adds_up_to_the_clustered_errors(model: str, tolerance: float) -> None:
    panel, w = (base := fitted("sdm", n=120)).panel, base.weights
    fit = so.fit("y ~ x", panel, None if model == "ols" else w, model=model)
    adds = influence(fit, "x")
    effects = dict(focus_effects(fit, "x").items())
    assert set(adds) == set(effects)
    for kind, effect in effects.items():
        total = np.sqrt(sum(value**2 for value in adds[kind].values()))
        assert total == pytest.approx(effect.std_error, rel=tolerance)


def test_an_estimate_does_not_differ_from_itself() -> None:
    fit = fitted()
    effects, adds = focus_effects(fit, "x"), influence(fit, "x")
    for change in compare(effects, effects, adds, adds).values():
        assert change.value == 0.0
        assert change.p_value == 1.0


def test_the_error_of_a_difference_is_that_of_the_joint_estimation() -> None:
    """Two slopes of OLS, one of half of the variation: with errors e_i the difference is Σ (a_i − b_i) e_i, by hand."""
    fit = fitted("slx")
    plain = so.fit("y ~ x", fit.panel, model="ols")
    rotated = fit_without(plain, trend(plain))
    short = rotated.names["x"]
    change = compare(
        focus_effects(plain, "x"),
        focus_effects(rotated.fit, short),
        influence(plain, "x"),
        influence(rotated.fit, short),
    )["own"]
    rows = []
    for each, name in ((plain, "x"), (rotated.fit, short)):
        x = np.asarray(each.design.block[each.design.own[name]])
        residuals = each.residuals
        n, m = len(x), each.design.transformation.free_observations
        rows.append((x * residuals).sum(axis=1) / (x**2).sum() * np.sqrt(n / (n - 1) * m / (m - 1)))
    assert change.std_error == pytest.approx(np.sqrt(np.sum((rows[1] - rows[0]) ** 2)), rel=1e-9)


def test_group_shocks_change_the_spillover_and_their_absence_does_not() -> None:
    """θ = 0.5 in both; shocks that x and y of a group share add to W x what group × period effects take away."""
    for shock, changes in ((0.0, False), (1.0, True)):
        fit = fitted("slx", shock=shock)
        grouping = resolve_groups(fit)
        assert grouping is not None
        pair = absorb_groups(fit, "x", grouping)
        assert (pair.changes["spillover"].p_value < 0.01) is changes
        facts = audit_common_shock(fit).facts
        assert facts["common_shock.same_w_change_p_value.spillover"] == pytest.approx(pair.changes["spillover"].p_value)


def test_facts_by_effect() -> None:
    """t = 2 with 10 degrees of freedom: p = 0.0734 (tables of Student's t)."""
    found = change_facts("a.b", {"own": Change(1.0, 0.5, 11)})
    assert found == {"a.b_change.own": 1.0, "a.b_change_p_value.own": pytest.approx(0.0734, abs=5e-5)}


@pytest.mark.slow
def test_the_difference_keeps_its_level_where_no_group_has_shocks() -> None:
    """400 panels with a true spillover: 5 % within three simulation errors, 5 ± 3.3."""
    rejected = 0
    for seed in range(400):
        fit = fitted("slx", seed=seed)
        grouping = resolve_groups(fit)
        assert grouping is not None
        rejected += absorb_groups(fit, "x", grouping).changes["spillover"].p_value <= 0.05
    assert 7 <= rejected <= 33
