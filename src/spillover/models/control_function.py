"""Control-function QML: first-stage residuals v̂ (and W v̂) beside the endogenous regressors, errors by bootstrap.

a = π'H + v, y = ρ W y + … + a α + W a ϑ + v γ + W v κ + e. Given v, the regressor a is exogenous and the rest is
maximum likelihood. W v̂ is needed: without it the coefficient of W a is biased when ε_i depends on v_j.
The errors of both stages are bootstrapped together, wild by region: all residuals of a region keep or change their
sign together, so heteroskedasticity, serial correlation and corr(v, e) stay; regions are never resampled, since W
holds them in place.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from spillover.errors import EstimationError, OptionError
from spillover.inference.estimates import Estimates
from spillover.inference.hypotheses import HypothesisTest
from spillover.models.first_stage import FirstStage, first_stage_strength
from spillover.models.fit import fit_spec
from spillover.models.instrument_design import InstrumentDesign, build_instrument_design
from spillover.models.instrument_formula import InstrumentFormula
from spillover.models.instrument_spec import InstrumentModel, InstrumentSpec
from spillover.models.result import SpatialFit
from spillover.models.spec import ModelSpec, usual_effects
from spillover.panel.panel import Panel
from spillover.typing import Correction, Effects, FloatArray, Progress, no_progress
from spillover.weights.weights import SpatialWeights

if TYPE_CHECKING:
    import pandas as pd

ENOUGH = 0.9  # share of bootstrap draws that must have a maximum inside the interval of ρ


@dataclass(frozen=True, eq=False, repr=False)
class ControlFunctionFit:
    """A spatial model with first-stage residuals as further regressors.

    Attributes
    ----------
    formula : "y ~ x | a ~ z".
    fit : the augmented fit; its estimates carry the bootstrap covariance.
    residual_terms : names of v̂ and W v̂ among the estimates.
    first_stage : strength of the instruments of a and W a.
    exogeneity : Wald test that v̂ and W v̂ do not enter, with the clustered errors of the second stage, which are
        right under its null.
    draws : (b, k) bootstrap estimates in the order of `fit.estimates`.
    failed : draws without a maximum inside the interval; they are left out and counted.
    """

    formula: InstrumentFormula
    fit: SpatialFit
    residual_terms: tuple[str, ...]
    first_stage: FirstStage
    exogeneity: HypothesisTest
    draws: FloatArray
    failed: int
    notes: tuple[str, ...]

    @property
    def estimates(self) -> Estimates:
        """All coefficients with the bootstrap covariance."""
        return self.fit.estimates

    @property
    def statistics(self) -> dict[str, Any]:
        """Statistics of the augmented fit, with the counts of the bootstrap."""
        return {**self.fit.statistics, "covariance": "bootstrap", "draws": len(self.draws), "draws_failed": self.failed}

    @property
    def rho(self) -> float:
        """Coefficient of W y; 0 without it."""
        return self.fit.estimates["rho"] if "rho" in self.fit.estimates.names else 0.0

    @cached_property
    def provenance(self) -> dict[str, str]:
        """Version and hashes of the augmented data and of W."""
        return dict(self.fit.provenance)

    def coefficients(self, level: float = 0.95) -> pd.DataFrame:
        """Tidy table of the coefficients, v̂ and W v̂ included."""
        return self.estimates.tidy(level)

    def effects(
        self, by: str | None = None, *, variables: Sequence[str] | None = None, level: float = 0.95
    ) -> pd.DataFrame:
        """Direct, indirect and total effects of x and a; the residuals have none."""
        chosen = (*self.formula.exogenous_names, *self.formula.endogenous_names) if variables is None else variables
        return self.fit.effects(by, variables=list(chosen), level=level)

    def tests(self) -> pd.DataFrame:
        """Exogeneity and underidentification, one row each."""
        import pandas as pd

        tests = (self.exogeneity, self.first_stage.underidentification)
        return pd.DataFrame([test.row() for test in tests if isinstance(test, HypothesisTest)])

    def __repr__(self) -> str:
        return f"ControlFunctionFit: {self.formula.text}; {len(self.draws)} bootstrap draws"


def fit_control_function(
    formula: str,
    panel: Panel,
    weights: SpatialWeights | None = None,
    *,
    model: InstrumentModel = "sdm",
    effects: Effects | None = None,
    correction: Correction = "lee-yu",
    lagged: Sequence[str] | None = None,
    draws: int = 199,
    seed: int = 0,
    progress: Progress = no_progress,
) -> ControlFunctionFit:
    """Fit a spatial model with endogenous regressors by maximum likelihood on first-stage residuals.

    Parameters
    ----------
    formula : "y ~ x | a ~ z". model, effects, correction, lagged : as in `spillover.fit`.
    draws : bootstrap repetitions of both stages, at least 50. seed : of the bootstrap; same seed, same numbers.

    First stage of a: x and z, and W x and W z in slx and sdm. With a W both v̂ and W v̂ enter the second stage.

    Raises
    ------
    OptionError : no endogenous regressor, too few draws.
    DesignError, EstimationError, … : as in `spillover.fit`; fewer than 90 % of the draws have a maximum.

    Cost: `draws` + 1 fits on one W.
    Source: Wooldridge (2015, J. Human Resources 50:420); wild cluster bootstrap, Cameron, Gelbach & Miller (2008).
    """
    if draws < 50:
        raise OptionError("too few bootstrap draws for standard errors", got=str(draws), expected="at least 50")
    spec = InstrumentSpec(
        formula=formula,
        model="slx" if model in ("slx", "sdm") else "ols",
        effects=effects or usual_effects(panel),
        lagged=None if lagged is None else tuple(lagged),
    )
    aligned = weights.align(panel.regions) if weights is not None and model != "ols" else None
    stage = _FirstStage.of(spec, panel, aligned)
    second = _SecondStage.of(spec, model, correction, stage)
    fit = second.fit(panel, stage.residuals, aligned)
    found = _bootstrap(fit, stage, second, panel, aligned, draws, np.random.default_rng(seed), progress)
    if len(found) < ENOUGH * draws:
        raise EstimationError(
            "too many bootstrap draws have no maximum inside the interval of ρ",
            got=f"{draws - len(found)} of {draws}",
            causes=("weak instruments", "ρ near its bound"),
            fix="use fit_two_stage and its confidence set",
        )
    return _result(fit, stage, second, found, draws, seed)


@dataclass(frozen=True, eq=False)
class _FirstStage:
    """Endogenous regressors on all instruments; fitted values are kept for the bootstrap."""

    design: InstrumentDesign
    basis: FloatArray
    fitted: FloatArray
    residuals: FloatArray

    @classmethod
    def of(cls, spec: InstrumentSpec, panel: Panel, weights: SpatialWeights | None) -> _FirstStage:
        design = build_instrument_design(spec, panel, weights)
        if not design.formula.endogenous:
            raise OptionError(
                "a control function needs an endogenous regressor",
                got=spec.formula,
                expected='a formula "y ~ x | a ~ z"',
                fix="use spillover.fit, or fit_two_stage when only W y is endogenous",
            )
        own = [design.names.index(name) for name in design.formula.endogenous_names]
        columns, basis = design.system.regressors[:, own], design.system.basis
        n, t = design.shape
        fitted = basis @ (basis.T @ columns)
        return cls(design, basis, *(part.T.reshape(-1, n, t) for part in (fitted, columns - fitted)))

    def again(self, endogenous: FloatArray) -> FloatArray:
        """(r, n, t) residuals of new values (r, n, t) of the endogenous regressors."""
        r = endogenous.shape[0]
        columns = self.design.transformation.apply(endogenous).reshape(r, -1).T
        rest = columns - self.basis @ (self.basis.T @ columns)
        return np.asarray(rest.T.reshape(endogenous.shape))


@dataclass(frozen=True, eq=False)
class _SecondStage:
    """The augmented model: which variables hold v̂ and W v̂, and the specification that uses them."""

    spec: ModelSpec
    residual_names: tuple[str, ...]
    lag_names: tuple[str, ...]

    @classmethod
    def of(
        cls, spec: InstrumentSpec, model: InstrumentModel, correction: Correction, stage: _FirstStage
    ) -> _SecondStage:
        formula = stage.design.formula
        stems = [f"residual_{re.sub(r'[^0-9A-Za-z]+', '_', name).strip('_')}" for name in formula.endogenous_names]
        names = tuple(_unused(stem, stage.design) for stem in stems)
        lags = () if model == "ols" else tuple(f"W_{name}" for name in names)
        own = (*formula.exogenous_names, *formula.endogenous_names)
        bare = [] if formula.intercept else ["0"]
        text = f"{formula.response} ~ {' + '.join([*bare, *own, *names, *lags])}"
        lagged = tuple(stage.design.neighbour) if model in ("slx", "sdm") else None
        made = ModelSpec(
            formula=text, model=model, effects=spec.effects, correction=correction, covariance="cluster", lagged=lagged
        )
        return cls(made, names, lags)

    def fit(self, panel: Panel, residuals: FloatArray, weights: SpatialWeights | None) -> SpatialFit:
        """The augmented model with v̂ (r, n, t) and W v̂ as variables."""
        added = dict(zip(self.residual_names, residuals, strict=True))
        if weights is not None:
            added |= {name: weights.lag(v) for name, v in zip(self.lag_names, residuals, strict=True)}
        return fit_spec(self.spec, panel.with_variables(added), weights)


def _unused(stem: str, design: InstrumentDesign) -> str:
    while any(stem in name for name in design.raw):
        stem += "_"
    return stem


def _bootstrap(
    fit: SpatialFit,
    stage: _FirstStage,
    second: _SecondStage,
    panel: Panel,
    weights: SpatialWeights | None,
    draws: int,
    rng: np.random.Generator,
    progress: Progress,
) -> FloatArray:
    """(b, k) estimates of both stages on data made anew from the fit, wild by region."""
    world = _World.of(fit, stage, second, panel, weights)
    found = []
    for draw in range(draws):
        signs: FloatArray = rng.choice(np.array([-1.0, 1.0]), size=(stage.design.shape[0], 1))
        outcome, endogenous = world.make(signs)
        made = panel.with_variables({world.outcome: outcome, **dict(zip(world.endogenous, endogenous, strict=True))})
        try:
            again = world.second.fit(made, stage.again(endogenous), weights)
        except EstimationError:
            continue
        finally:
            progress("bootstrap of both stages", (draw + 1) / draws)
        found.append(again.estimates.values)
    return np.array(found).reshape(len(found), fit.estimates.values.size)


@dataclass(frozen=True, eq=False)
class _World:
    """The estimated model as a generator of outcomes and endogenous regressors.

    Fixed effects are left out: both stages remove them again.
    """

    stage: _FirstStage
    second: _SecondStage
    exogenous: FloatArray
    slopes: dict[str, float]
    errors: FloatArray
    rho: float
    weights: SpatialWeights | None
    outcome: str
    endogenous: tuple[str, ...]

    @classmethod
    def of(
        cls, fit: SpatialFit, stage: _FirstStage, second: _SecondStage, panel: Panel, weights: SpatialWeights | None
    ) -> _World:
        formula = stage.design.formula
        slopes = dict(zip(fit.estimates.names, fit.estimates.values, strict=True))
        exogenous = np.full(panel.shape, slopes.get("(Intercept)", 0.0))
        for name in formula.exogenous_names:
            values = stage.design.raw[name]
            exogenous = exogenous + slopes[name] * values
            if f"W*{name}" in slopes:
                assert weights is not None
                exogenous = exogenous + slopes[f"W*{name}"] * weights.lag(values)
        outcome = _unused("bootstrap_outcome", stage.design)
        names = tuple(_unused(f"bootstrap_regressor_{j}", stage.design) for j in range(len(formula.endogenous)))
        own = [*formula.exogenous_names, *names, *second.residual_names, *second.lag_names]
        text = f"{outcome} ~ {' + '.join([*([] if formula.intercept else ['0']), *own])}"
        rename = dict(zip(formula.endogenous_names, names, strict=True))
        lagged = None if second.spec.lagged is None else tuple(rename.get(name, name) for name in second.spec.lagged)
        again = replace(second, spec=second.spec.with_changes(formula=text, lagged=lagged))
        return cls(stage, again, exogenous, slopes, fit.residuals, slopes.get("rho", 0.0), weights, outcome, names)

    def make(self, signs: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(y (n, t), a (r, n, t)) with the residuals of each region times its sign (n, 1)."""
        v = self.stage.residuals * signs
        endogenous = self.stage.fitted + v
        mean = self.exogenous + self.errors * signs
        names = self.stage.design.formula.endogenous_names
        for name, a, residual, own, lag in zip(
            names, endogenous, v, self.second.residual_names, self.second.lag_names or (None,) * len(names), strict=True
        ):
            mean = mean + self.slopes[name] * a + self.slopes[own] * residual
            if lag is not None:
                assert self.weights is not None
                mean = mean + self.slopes[lag] * self.weights.lag(residual)
            if f"W*{name}" in self.slopes:
                assert self.weights is not None
                mean = mean + self.slopes[f"W*{name}"] * self.weights.lag(a)
        if "rho" in self.slopes:
            assert self.weights is not None
            mean = self.weights.engine.multiplier(self.rho).solve(mean)
        return mean, endogenous


def _result(
    fit: SpatialFit, stage: _FirstStage, second: _SecondStage, found: FloatArray, draws: int, seed: int
) -> ControlFunctionFit:
    names = (*second.residual_names, *second.lag_names)
    rows = np.zeros((len(names), len(fit.estimates.names)))
    for row, name in enumerate(names):
        rows[row, fit.estimates.index(name)] = 1.0
    wald = fit.estimates.wald(rows, "the regressors behind | are exogenous (their first-stage residuals do not enter)")
    estimates = replace(
        fit.estimates,
        cov=np.cov(found.T),
        method=f"wild bootstrap by region of both stages, {len(found)} draws, seed {seed}",
    )
    design = stage.design
    strength = first_stage_strength(design.system, design.endogenous, "cluster")
    failed = draws - len(found)
    notes = [*fit.notes]
    if failed:
        notes.append(f"{failed} of {draws} bootstrap draws had no maximum inside the interval of ρ and were left out.")
    if strength.weak:
        notes.append(strength.sentence())
    return ControlFunctionFit(
        formula=design.formula,
        fit=replace(fit, estimates=estimates),
        residual_terms=names,
        first_stage=strength,
        exogeneity=replace(wald, name="exogeneity (control function)"),
        draws=found,
        failed=failed,
        notes=tuple(notes),
    )
