"""Endogenous agglomeration: two-stage least squares and two-step moments for panels with spatial lags.

y = ρ W y + X β + A α + W X θ + W A ϑ + effects + ε, in which A, W A and W y are endogenous and Z are external
instruments of A. Instruments: X, W X, Z, W Z, W²Z, W²X, W³X; lagged first, means removed after.
Kelejian & Prucha (1998, J. Real Estate Finance and Economics 17:99).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from spillover.errors import EstimationError, OptionError, WeakIdentificationWarning, check_option, show_labels
from spillover.inference.estimates import Estimates
from spillover.inference.hypotheses import HypothesisTest, NotApplicable
from spillover.models.first_stage import FirstStage, first_stage_strength
from spillover.models.instrument_design import InstrumentDesign, build_instrument_design
from spillover.models.instrument_formula import parse_instrument_formula
from spillover.models.instrument_spec import Estimator, InstrumentModel, InstrumentSpec, MomentCovariance
from spillover.models.instrument_views import InstrumentPoint, MomentViews, cheap_bounds
from spillover.models.moments import solve_moments
from spillover.models.spec import usual_effects
from spillover.models.two_step import two_step
from spillover.models.weak_identification import (
    ConfidenceSet,
    Nuisance,
    anderson_rubin_set,
    exogeneity_test,
    one_step_covariance,
    overidentification,
)
from spillover.numerics.threads import one_blas_thread
from spillover.panel.panel import Panel
from spillover.typing import Effects, FloatArray
from spillover.weights.weights import SpatialWeights

if TYPE_CHECKING:
    import pandas as pd

METHODS = {
    "cluster": "clustered by region",
    "hc0": "heteroskedasticity-robust (HC0)",
    "hc1": "heteroskedasticity-robust (HC1)",
    "homoskedastic": "homoskedastic",
}


@dataclass(frozen=True, eq=False, repr=False)
class InstrumentalFit(MomentViews):
    """A model fitted by instruments.

    Attributes
    ----------
    spec : what was asked for.
    estimates : slopes (x, a, W x, W a), and `rho` last where the model has it, with their covariance.
    statistics : sigma2, r_squared, counts, … by name; there is no likelihood.
    first_stage : strength of the instruments.
    weights : the W that was used, aligned to the panel; None for "ols".
    notes : what a careful reader should know: instruments dropped, weak instruments, few clusters.
    """

    spec: InstrumentSpec
    estimates: Estimates
    statistics: dict[str, Any]
    first_stage: FirstStage
    weights: SpatialWeights | None
    point: InstrumentPoint
    notes: tuple[str, ...]

    def tests(self) -> pd.DataFrame:
        """Underidentification, weak identification, overidentification, exogeneity: one row each."""
        import pandas as pd

        rows = []
        for test in self.specification_tests():
            row = test.row() if isinstance(test, HypothesisTest) else {"test": test.name, "says": test.reason}
            rows.append(row)
        return pd.DataFrame(rows)

    def specification_tests(self) -> tuple[HypothesisTest | NotApplicable, ...]:
        """The tests as objects; one that does not exist here says why."""
        strength = self.first_stage
        return strength.underidentification, strength.rank_wald, self.overidentification(), self.exogeneity()

    def overidentification(self) -> HypothesisTest | NotApplicable:
        """Sargan–Hansen test of the instruments."""
        first = solve_moments(self.design.system.gamma, self._target)[0]
        system = self.design.system
        return overidentification(system, system.residuals(first), self.spec.resolved_covariance)

    def exogeneity(self) -> HypothesisTest | NotApplicable:
        """Whether a and W a could be taken as exogenous: Wald test of (v̂, W v̂)."""
        design = self.design
        tested = [name for name in design.endogenous if name != "rho"]
        if not tested:
            return NotApplicable("exogeneity (control function)", "no regressor behind | to test; W y is endogenous")
        system = design.system
        return exogeneity_test(
            system,
            first_stage_residuals(design, self.weights),
            tuple(at for at in system.endogenous if design.names[at] != "rho"),
            self.spec.resolved_covariance,
        )

    def confidence_set(
        self,
        term: str = "rho",
        level: float = 0.95,
        searched: tuple[float, float] | None = None,
        nuisance: Nuisance = "projection",
    ) -> ConfidenceSet:
        """Anderson–Rubin set of the coefficient of one endogenous regressor: valid however weak the instruments.

        Parameters
        ----------
        term : "rho", or a regressor behind | ("log(lq)", "W*log(lq)").
        searched : interval of values; for ρ the interval on which I − ρW is invertible, else 20 errors around.
        nuisance : "projection" is valid however weak all instruments are; "strong" is shorter, and valid when the
            other endogenous regressors are strongly identified.
        """
        check_option("nuisance", nuisance, get_args(Nuisance))
        design = self.design
        if term not in design.endogenous:
            raise OptionError(
                f"{term!r} is not endogenous in this model",
                expected=f"one of {show_labels(design.endogenous)}",
                fix="exogenous regressors have ordinary intervals: fit.coefficients()",
            )
        if searched is None:
            at = self.estimates.index(term)
            reach = 20.0 * self.estimates.std_errors[at]
            value = self.estimates.values[at]
            searched = (value - reach, value + reach)
            if term == "rho" and self.weights is not None:
                searched = self.weights.engine.log_determinant.interval
        kind = self.spec.resolved_covariance
        return anderson_rubin_set(design.system, term, design.endogenous.index(term), kind, searched, level, nuisance)

    def with_covariance(self, covariance: MomentCovariance) -> InstrumentalFit:
        """The same model with another covariance; the weight of "gmm", and with it the estimate, changes too."""
        return _fit_design(self.spec.with_changes(covariance=covariance), self.design, self.weights)

    def summary(self) -> str:
        """The fit on one screen, as text."""
        spec, statistics = self.spec, self.statistics
        table = self.coefficients()[["term", "estimate", "std_error", "p_value", "conf_low", "conf_high"]]
        lines = [
            f"{spec.model} by {'two-step moments' if spec.estimator == 'gmm' else 'two-stage least squares'} · "
            f"{spec.formula}",
            f"effects: {spec.effects}; {statistics['n_regions']} regions × {statistics['n_periods']} periods; "
            f"errors: {self.estimates.method}",
            f"excluded instruments: {show_labels(self.design.instruments, 12)}",
            "",
            table.to_string(index=False, float_format=lambda value: f"{value:.5g}"),
            "",
            self.first_stage.sentence(),
        ]
        for test in self.specification_tests():
            if isinstance(test, HypothesisTest):
                lines.append(f"{test.name}: {test.sentence()}")
        lines += [f"note: {note}" for note in self.notes]
        lines.append("Kelejian & Prucha (1998, J. Real Estate Finance and Economics 17:99)")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return (
            f"InstrumentalFit: {self.spec.model} with {self.spec.effects} effects, {self.spec.formula}; "
            f"{self.statistics['n_regions']} regions × {self.statistics['n_periods']} periods"
        )

    @property
    def _target(self) -> FloatArray:
        return np.asarray(self.design.system.basis.T @ self.design.system.outcome)


def fit_two_stage(
    formula: str,
    panel: Panel,
    weights: SpatialWeights | None = None,
    *,
    model: InstrumentModel = "sdm",
    effects: Effects | None = None,
    covariance: MomentCovariance = "default",
    lagged: Sequence[str] | None = None,
    instrument_orders: int | tuple[int, int] | None = None,
    estimator: Estimator = "2sls",
) -> InstrumentalFit:
    """Fit  y = ρ W y + X β + A α + W X θ + W A ϑ + effects + ε  with A, W A and W y endogenous.

    Parameters
    ----------
    formula : "log(patents) ~ log(rd) | log(lq) ~ shift_share": exogenous, then endogenous ~ instruments. Without
        "|" only W y is endogenous (sar, sdm): Kelejian–Prucha two-stage least squares.
    panel : n regions × t periods. weights : W, aligned to the panel by region id or refused; any row sums.
    model : "ols" (no W), "slx" (W x, W a), "sar" (W y) or "sdm" (all).
    effects : "none", "individual", "time", "two-way"; two-way for panels and none for cross-sections by default.
    covariance : "default" (by region with region effects, else hc1), "cluster", "hc0", "hc1", "homoskedastic".
    lagged : regressors that also enter as W x; all by default.
    instrument_orders : highest power of W on x among the instruments of W y, or a pair with that on z;
        (2, 2) in sar and (3, 2) in sdm by default.
    estimator : "2sls", or "gmm" for two steps with the robust weight and Windmeijer's (2005) correction.

    Returns
    -------
    InstrumentalFit. ρ is not constrained: one outside its interval is noted and has no effects.

    Raises
    ------
    FormulaError, UnknownColumnError, MissingCellError : from the formula and the data.
    AlignmentError : the ids of W and of the panel differ.
    DesignError : collinear or absorbed columns (named), too few instruments, more instruments than observations.

    Warns WeakIdentificationWarning when the smallest conditional first-stage F is below 10.
    Cost O(n t p²) for p instruments; no determinant of W is needed.
    """
    spec = InstrumentSpec(
        formula=formula,
        model=model,
        effects=effects or usual_effects(panel),
        covariance=covariance,
        lagged=None if lagged is None else tuple(lagged),
        instrument_orders=instrument_orders,
        estimator=estimator,
    )
    _require_endogenous(spec)
    aligned = weights.align(panel.regions) if weights is not None and spec.uses_weights else None
    with one_blas_thread():
        fit = _fit_design(spec, build_instrument_design(spec, panel, aligned), aligned)
    if fit.first_stage.weak:
        warnings.warn(fit.first_stage.sentence(), WeakIdentificationWarning, stacklevel=2)
    return fit


def _require_endogenous(spec: InstrumentSpec) -> None:
    if not spec.has_spatial_lag and not parse_instrument_formula(spec.formula).endogenous:
        raise OptionError(
            f"a {spec.model} model without endogenous regressors has nothing to instrument",
            got=spec.formula,
            expected='a formula "y ~ x | a ~ z", or model "sar" or "sdm", whose W y is endogenous',
            fix="use spillover.fit, which is least squares here",
        )


def first_stage_residuals(design: InstrumentDesign, weights: SpatialWeights | None) -> FloatArray:
    """(m, r) v̂ of each a, and W v̂ (lagged, then means removed) of those whose W a is in the model."""
    system = design.system
    own = [design.names.index(name) for name in design.formula.endogenous_names]
    columns = system.regressors[:, own]
    rest = columns - system.basis @ (system.basis.T @ columns)
    found = [rest]
    for j, name in enumerate(design.formula.endogenous_names):
        if name in design.neighbour:
            assert weights is not None
            lagged = weights.lag(rest[:, j].reshape(design.shape))
            found.append(design.transformation.apply(lagged).reshape(-1, 1))
    return np.column_stack(found)


def _fit_design(spec: InstrumentSpec, design: InstrumentDesign, weights: SpatialWeights | None) -> InstrumentalFit:
    system, kind = design.system, spec.resolved_covariance
    target = system.basis.T @ system.outcome
    values, bread = solve_moments(system.gamma, target)
    if not np.isfinite(values).all():
        raise EstimationError(
            "the instruments do not identify the endogenous regressors at all",
            got=show_labels(design.endogenous),
            fix="name instruments that move each endogenous regressor, and check fit.first_stage",
        )
    if spec.estimator == "gmm":
        values, cov = two_step(system, values, bread, kind)
    else:
        cov = one_step_covariance(system, system.residuals(values), bread, kind)
    df = float(design.shape[0] - 1) if kind == "cluster" else None
    residuals = system.residuals(values).reshape(design.shape)
    _check_residuals(residuals, system.outcome)
    rho = float(values[-1]) if spec.has_spatial_lag else None
    strength = first_stage_strength(system, design.endogenous, kind)
    steps = ", two steps, Windmeijer correction" if spec.estimator == "gmm" else ""
    return InstrumentalFit(
        spec=spec,
        estimates=Estimates(design.names, values, cov, df, METHODS[kind] + steps),
        statistics=_statistics(spec, design, residuals),
        first_stage=strength,
        weights=weights,
        point=InstrumentPoint(design, residuals, weights, rho),
        notes=_notes(spec, design, weights, strength, rho),
    )


def _check_residuals(residuals: FloatArray, outcome: FloatArray) -> None:
    if float(np.sum(residuals**2)) <= 1e-20 * float(outcome @ outcome):
        raise EstimationError(
            "the regressors explain the outcome exactly; there is no error variance to estimate",
            causes=("the outcome (or a part of it) is among the regressors", "an accounting identity"),
            fix="check that no regressor is computed from the outcome",
        )


def _statistics(spec: InstrumentSpec, design: InstrumentDesign, residuals: FloatArray) -> dict[str, Any]:
    n, t = design.shape
    free, k = design.transformation.free_observations, len(design.names)
    squares = float(np.sum(residuals**2))
    outcome = design.system.outcome
    return {
        "sigma2": squares / free,
        "sigma2_unbiased": squares / (free - k),
        "sse": squares,
        "r_squared": 1.0 - squares / float(np.sum((outcome - outcome.mean()) ** 2)),
        "n_regions": n,
        "n_periods": t,
        "n_observations": n * t,
        "n_effective": free,
        "n_parameters": k,
        "n_endogenous": len(design.endogenous),
        "n_excluded_instruments": len(design.instruments),
        "n_instruments": design.system.basis.shape[1],
        "covariance": spec.resolved_covariance,
        "estimator": spec.estimator,
    }


def _notes(
    spec: InstrumentSpec,
    design: InstrumentDesign,
    weights: SpatialWeights | None,
    strength: FirstStage,
    rho: float | None,
) -> tuple[str, ...]:
    n = design.shape[0]
    count, kind = design.system.basis.shape[1], spec.resolved_covariance
    notes = []
    if design.dropped:
        notes.append(
            f"Instruments that repeat others or are absorbed were left out: {show_labels(design.dropped, 20)}."
        )
    if strength.weak:
        notes.append(strength.sentence())
    if count > n / 2:
        notes.append(f"{count} instruments for {n} regions: more than half the regions; estimates lean towards ML/OLS.")
    if kind == "cluster" and n < 30:
        notes.append(f"Only {n} clusters: clustered errors are themselves uncertain below about 30 clusters.")
    if kind in ("hc0", "hc1") and spec.removes_regions:
        notes.append(
            "Heteroskedasticity-robust errors with region effects are repaired by T/(T − 1) for the homoskedastic "
            'case only (Stock & Watson 2008); covariance="cluster" is safe.'
        )
    if rho is not None and weights is not None:
        bound = cheap_bounds(weights)
        if not bound[0] < rho < bound[1]:
            notes.append(f"ρ̂ = {rho:.4f} is outside ({bound[0]:.4f}, {bound[1]:.4f}): do not use it.")
    if weights is not None:
        if weights.islands:
            notes.append(f"Islands were kept: {show_labels(weights.islands, 20)}; their spatial lag is zero.")
        notes += [f"W: {note}" for note in weights.notes]
    return tuple(notes)
