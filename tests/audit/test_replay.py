"""Replications in blocks of arrays against `fit`, one at a time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

import spillover as so
from spillover.audit.focus import focus_effects
from spillover.audit.refit import refit
from spillover.audit.replay import Replay, refit_outcome
from spillover.errors import OptionError
from spillover.models.result import SpatialFit
from spillover.panel.panel import Panel
from spillover.simulation.spatial_panel import ErrorLaw, Regressor, SpatialPanelConfig
from spillover.weights.groups import within_groups
from spillover.weights.weights import SpatialWeights

N, T = 24, 6


def sample(seed: int = 3, rho: float = 0.4) -> tuple[Panel, SpatialWeights]:
    config = SpatialPanelConfig(
        "sdm",
        N,
        T,
        regressors=(Regressor("x", 0.5, 0.4, persistence=0.6), Regressor("c", 0.3, -0.2)),
        rho=rho,
        errors=ErrorLaw(heteroskedastic=0.4, serial=0.5),
    )
    panel, truth = so.simulate(config, seed)
    groups = tuple("AB"[i % 2] for i in range(N))
    return replace(panel, groups={"side": groups}), truth.weights


def fits() -> dict[str, SpatialFit]:
    panel, w = sample()
    formula = "y ~ x + c"
    inside = within_groups(w, dict(zip(panel.regions, panel.groups["side"], strict=True)))
    part = panel.select(regions=inside.regions)
    skewed = SpatialWeights(w.matrix.multiply(np.linspace(0.5, 2.0, N)[:, None]).tocsr(), w.regions, "unequal rows")
    halves = tuple("ab"[s >= 3] for s in range(T))
    return {
        "sdm": so.fit(formula, panel, w),
        "sar": so.fit(formula, panel, w, model="sar"),
        "slx": so.fit(formula, panel, w, model="slx"),
        "ols": so.fit(formula, panel, w, model="ols"),
        "one lagged": so.fit(formula, panel, w, lagged=["c"]),
        "no effects": so.fit(formula, panel, w, effects="none", covariance="cluster"),
        "time": so.fit(formula, panel, w, effects="time", covariance="cluster"),
        "rows unequal": so.fit(formula, panel, skewed, effects="individual"),
        "counts n and t": so.fit(formula, panel, w, correction="none"),
        "another W of x": so.fit(formula, panel, w, weights_x=skewed, effects="individual"),
        "groups": so.fit(formula, part, inside, groups="side"),
        "segments": so.fit(formula, panel, w, segments=halves),
    }


FITS = fits()


def same(found: float, expected: float) -> bool:
    # nodes interpolate operators that are analytic in ρ; ten digits of the largest number are left
    return bool(abs(found - expected) <= 1e-7 * max(1.0, abs(expected)))


@pytest.mark.parametrize("name", FITS)
def test_other_outcomes_give_what_fit_gives(name: str) -> None:
    fit = FITS[name]
    rng = np.random.default_rng(1)
    y = fit.design.y_raw
    outcomes = np.stack([y, y + rng.normal(size=y.shape), rng.normal(size=y.shape)])
    found = Replay.of(fit, "x").outcomes(outcomes, ("cluster", "information"))
    for i, outcome in enumerate(outcomes):
        again = refit_outcome(fit, outcome)
        for kind in ("cluster", "information"):
            known = focus_effects(again.with_covariance(kind), "x")
            assert same(found.rho[i], again.rho)
            assert same(found.own[i], known.own.value)
            assert same(found.own_errors[kind][i], known.own.std_error)
            if known.spillover is not None:
                assert same(found.spillover[i], known.spillover.value)
                assert same(found.spillover_errors[kind][i], known.spillover.std_error)


@pytest.mark.parametrize("name", FITS)
def test_shuffled_regions_give_what_a_permuted_w_gives(name: str) -> None:
    """W with rows and columns permuted as the regions are, fitted from scratch."""
    fit = FITS[name]
    n = len(fit.design.regions)
    rng = np.random.default_rng(2)
    members = fit.design.transformation.groups or (np.arange(n),)
    orders = np.tile(np.arange(n), (3, 1))
    for order in orders[1:]:
        for at in members:
            order[at] = rng.permutation(at)
    found = Replay.of(fit, "x").permutations(orders)
    for i, order in enumerate(orders):
        place = np.argsort(order)

        def moved(w: SpatialWeights, place: np.ndarray = place) -> SpatialWeights:
            return replace(w, matrix=sp.csr_matrix(w.matrix[place][:, place]))

        swapped = {id(w): moved(w) for w in [*(w for _, w in fit.roles.outcome), fit.roles.regressors] if w is not None}
        w_x = fit.roles.regressors
        main = fit.roles.main
        assert main is not None
        again = refit(
            fit,
            weights=swapped[id(main)],
            weights_x=swapped[id(w_x)] if w_x is not None and fit.spec.has_lagged_regressors else None,
            covariance="cluster",
        )
        known = focus_effects(again, "x")
        assert same(found.rho[i], again.rho)
        assert same(found.own[i], known.own.value)
        assert same(found.own_errors["cluster"][i], known.own.std_error)
        if known.spillover is not None:
            assert same(found.spillover[i], known.spillover.value)
            assert same(found.spillover_errors["cluster"][i], known.spillover.std_error)


def test_large_maps_have_estimates_and_refuse_errors() -> None:
    """Above 1,200 regions the log-determinant comes from sparse factors; estimates are those of `fit` all the same."""
    config = SpatialPanelConfig("sdm", 1300, 3, regressors=(Regressor("x", 0.5, 0.4),), rho=0.3)
    panel, truth = so.simulate(config, 1)
    fit = so.fit("y ~ x", panel, truth.weights)
    replay = Replay.of(fit)
    found = replay.outcomes(fit.design.y_raw[None], errors=())
    known = focus_effects(fit)
    assert known.spillover is not None
    assert same(found.rho[0], fit.rho)
    assert same(found.spillover[0], known.spillover.value)
    with pytest.raises(OptionError, match="stop at 1200 regions"):
        replay.outcomes(fit.design.y_raw[None])


def test_models_without_a_cheap_form_are_refused() -> None:
    panel, w = sample()
    with pytest.raises(OptionError, match="cannot be replayed"):
        Replay.of(so.fit("y ~ x", panel, w, model="sdem"))
