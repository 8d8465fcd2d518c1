"""The restricted fit and the wild cluster bootstrap."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import spillover as so
from spillover.audit.focus import focus_effects
from spillover.audit.null import fit_null
from spillover.audit.replay import Replay, refit_outcome
from spillover.audit.wild import draw_signs, null_outcomes, wild_test
from spillover.effects.kernel import EffectKernel
from spillover.errors import DesignError, OptionError
from spillover.models.likelihood import log_determinant
from spillover.panel.panel import Panel
from spillover.simulation.spatial_panel import ErrorLaw, Regressor, SpatialPanelConfig
from spillover.weights.weights import SpatialWeights


def sample(theta: float = 0.4, seed: int = 3, n: int = 31, t: int = 8) -> tuple[Panel, SpatialWeights]:
    config = SpatialPanelConfig(
        "sdm", n, t, regressors=(Regressor("x", 0.5, theta), Regressor("c", 0.3)), rho=0.3, errors=ErrorLaw(serial=0.5)
    )
    panel, truth = so.simulate(config, seed)
    return panel, truth.weights


def test_no_spillover_of_the_only_regressor_is_the_spatial_error_model() -> None:
    """θ = −ρβ for every x turns the SDM into a SEM with λ = ρ (LeSage & Pace 2009, §3.2)."""
    panel, w = sample()
    null = fit_null(Replay.of(so.fit("y ~ x", panel, w)), "spillover")
    sem = so.fit("y ~ x", panel, w, model="sem")
    assert np.isclose(null.rho, sem.estimates["lambda"], atol=1e-6)
    assert np.isclose(null.coefficients[0], sem.estimates["x"], atol=1e-7)
    assert np.allclose(null.residuals, sem.residuals, atol=1e-6)


def test_zero_effects_of_models_without_one_coefficient_are_smaller_models() -> None:
    panel, w = sample()
    slx = Replay.of(so.fit("y ~ x + c", panel, w, model="slx"), "x")
    known = so.fit("y ~ x + c", panel, w, model="slx", lagged=["c"])
    null = fit_null(slx, "spillover")
    assert np.allclose(null.residuals, known.residuals, atol=1e-10)
    sar = fit_null(Replay.of(so.fit("y ~ x + c", panel, w, model="sar"), "x"), "own")
    assert np.isclose(sar.rho, so.fit("y ~ c", panel, w, model="sar").rho, atol=1e-7)


@pytest.mark.parametrize("effect", ["own", "spillover"])
def test_the_restricted_effect_is_zero_and_no_neighbour_on_the_restriction_is_likelier(effect: Any) -> None:
    panel, w = sample()
    fit = so.fit("y ~ x + c", panel, w)
    replay = Replay.of(fit, "x")
    null = fit_null(replay, effect)

    def effect_at(delta: np.ndarray, rho: float) -> float:
        kernel = EffectKernel(fit, np.array([rho]))
        sums = kernel.direct
        own = delta[replay.own] * sums.own + delta[replay.neighbour] * sums.neighbour
        whole = (delta[replay.own] * kernel.total.own) + delta[replay.neighbour] * kernel.total.neighbour
        return float(own if effect == "own" else whole - own)

    assert abs(effect_at(null.coefficients, null.rho)) < 1e-12
    y, wy = fit.design.y, fit.design.wy
    transformation = fit.design.transformation

    def criterion(delta: np.ndarray, rho: float) -> float:
        rest = y - rho * wy - np.tensordot(delta, replay.z, axes=1)
        assert replay.engine is not None
        level = float(log_determinant(replay.engine, rho, transformation.unit_roots))
        return float(-0.5 * transformation.m * np.log(np.sum(rest**2)) + transformation.t_star * level)

    best = criterion(null.coefficients, null.rho)
    assert np.isclose(best, null.criterion, atol=1e-8)
    rng = np.random.default_rng(1)
    for _ in range(200):
        rho, delta = null.rho + 0.02 * rng.normal(), null.coefficients + 0.02 * rng.normal(size=replay.k)
        kernel = EffectKernel(fit, np.array([rho])).direct
        a = (kernel.own, kernel.neighbour) if effect == "own" else (rho, 1.0)
        delta[replay.neighbour] = -delta[replay.own] * a[0] / a[1]
        assert criterion(delta, rho) <= best + 1e-9


def test_draws_are_the_model_fitted_to_drawn_outcomes() -> None:
    """The first replications again, from the signs and `fit`."""
    panel, w = sample()
    fit = so.fit("y ~ x + c", panel, w)
    test = wild_test(fit, draws=19, seed=5)
    replay = Replay.of(fit)
    signs = draw_signs(np.random.default_rng(5), 19, 31)
    outcomes = null_outcomes(replay, fit_null(replay, "spillover"), signs)
    for found, outcome in zip(test.draws[:4], outcomes, strict=False):
        known = focus_effects(refit_outcome(fit, outcome)).spillover
        assert known is not None
        assert np.isclose(found, known.t_ratio, rtol=1e-6)


def test_a_strong_spillover_is_seen_and_seeds_decide() -> None:
    panel, w = sample(theta=1.5, t=12)
    fit = so.fit("y ~ x + c", panel, w)
    first, again, other = (wild_test(fit, draws=199, seed=seed) for seed in (1, 1, 2))
    assert first.p_value == 1 / 200  # no replication comes near
    assert np.array_equal(first.draws, again.draws)
    assert not np.array_equal(first.draws, other.draws)


def test_few_clusters_use_six_points_and_fewer_are_refused() -> None:
    points = np.unique(np.round(draw_signs(np.random.default_rng(1), 500, 6), 12))
    assert np.allclose(points, np.sqrt([0.5, 1.0, 1.5])[[2, 1, 0, 0, 1, 2]] * [-1, -1, -1, 1, 1, 1])
    assert set(np.unique(draw_signs(np.random.default_rng(1), 50, 12))) == {-1.0, 1.0}
    panel, w = sample()
    fit = so.fit("y ~ x + c", panel, w)
    with pytest.raises(DesignError, match="too few clusters"):
        wild_test(fit, clusters=["a", "b", "c", "d"] * 7 + ["a"] * 3)
    with pytest.raises(OptionError, match="one label per region"):
        wild_test(fit, clusters=["a"])
    with pytest.raises(OptionError, match="no spillover"):
        wild_test(so.fit("y ~ x", panel, w, model="ols"))
    with pytest.raises(OptionError, match="too few replications"):
        wild_test(fit, draws=5)


def test_all_regions_of_a_cluster_have_one_sign() -> None:
    """Replications of a bootstrap by group again: one sign per group, in the order of the sorted labels."""
    panel, w = sample()
    labels = [f"g{i % 6}" for i in range(31)]
    fit = so.fit("y ~ x + c", panel, w)
    test = wild_test(fit, clusters=labels, draws=19, seed=5)
    assert test.clusters == 6
    replay = Replay.of(fit)
    signs = draw_signs(np.random.default_rng(5), 19, 6)[:, np.arange(31) % 6]
    outcomes = null_outcomes(replay, fit_null(replay, "spillover"), signs)
    assert np.allclose(test.draws, replay.outcomes(outcomes).t_ratio("spillover"))
