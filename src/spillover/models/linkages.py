"""Which linkage carries a spillover: several W side by side, each alone and all in one model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from spillover.errors import EstimationError, OptionError, SpilloverError, show_labels
from spillover.inference.estimates import Estimates
from spillover.inference.hypotheses import HypothesisTest, NotApplicable
from spillover.models.columns import choose_lagged
from spillover.models.fit import fit_spec
from spillover.models.formula import evaluate_term, parse_formula
from spillover.models.result import SpatialFit
from spillover.models.spec import ModelSpec
from spillover.panel.panel import Panel
from spillover.typing import CovarianceName, Effects, FloatArray, ModelName
from spillover.weights.weights import SpatialWeights

if TYPE_CHECKING:
    import pandas as pd

MODELS = ("slx", "sar", "sdm")
DENSE_LIMIT = 3_000
"""Regions up to which the variance of a difference of log-likelihoods with W y is computed: n × n algebra."""

ALIKE = 0.9
"""Correlation of W x above which two W are nearly the same."""

REFERENCE = "Vuong (1989), Econometrica 57, 307–333"


@dataclass(frozen=True, eq=False, repr=False)
class LinkageComparison:
    """Several W side by side. Made by `compare_linkages`.

    Attributes
    ----------
    none : the model without any W. alone : name of a linkage → the model with its W.
    together : the model with all of them; its W x columns have names of their own, see `estimates`.
    estimates : of `together`, terms "W_geo*x" and "rho: geo".
    lags : regressors that are lagged.
    correlations : (K, K) correlations of the W x of the first of them, means removed: how far the W can be told apart.
    """

    none: SpatialFit
    alone: Mapping[str, SpatialFit]
    together: SpatialFit
    estimates: Estimates
    lags: tuple[str, ...]
    correlations: FloatArray

    @property
    def linkages(self) -> tuple[str, ...]:
        """Names of the W."""
        return tuple(self.alone)

    def compare(self) -> pd.DataFrame:
        """One row without W, one per W alone, and one for all together: fit, and the probability that BIC implies.

        The probability takes equal priors and compares these models only; it knows nothing of other W.
        """
        import pandas as pd

        fits = {"none": self.none, **self.alone, "all together": self.together}
        bic = np.array([found.statistics["bic"] for found in fits.values()])
        weight = np.exp(-0.5 * (bic - bic.min()))
        return pd.DataFrame(
            {
                "linkage": list(fits),
                "rho": [_rho(found) for found in fits.values()],
                "log_likelihood": [found.statistics["log_likelihood"] for found in fits.values()],
                "aic": [found.statistics["aic"] for found in fits.values()],
                "bic": bic,
                "probability": weight / weight.sum(),
            }
        )

    def spillovers(self, level: float = 0.95) -> pd.DataFrame:
        """θ × mean row sum of W for every W x, alone and beside the others: comparable between W of any scale.

        In SLX models these are the indirect effects. With W y they are what W x brings before feedback.
        """
        import pandas as pd

        tables = []
        for name, found in self.alone.items():
            mass = _mass(found)
            terms = [f"W*{lag}" for lag in self.lags]
            if terms[0] in found.estimates.names:
                tables.append(_scaled(found.estimates, terms, mass, self.lags, level).assign(linkage=name, beside="–"))
                mine = [f"W_{name}*{lag}" for lag in self.lags]
                tables.append(
                    _scaled(self.estimates, mine, mass, self.lags, level).assign(linkage=name, beside="the others")
                )
        if not tables:
            return pd.DataFrame()
        return pd.concat(tables, ignore_index=True)

    @cached_property
    def hypothesis_tests(self) -> tuple[HypothesisTest | NotApplicable, ...]:
        """Wald tests that a W carries nothing alone, and nothing beside the others; Vuong tests of each pair."""
        return (
            *self._alone.values(),
            *self._beside.values(),
            *(self._vuong(a, b) for a, b in combinations(self.linkages, 2)),
        )

    def tests(self) -> pd.DataFrame:
        """`hypothesis_tests` as a table."""
        import pandas as pd

        return pd.DataFrame([test.row() for test in self.hypothesis_tests if isinstance(test, HypothesisTest)])

    def verdict(self, level: float = 0.05) -> tuple[str, ...]:
        """What the data say, one sentence each; that they cannot tell is a result, too."""
        alone = [name for name, test in self._alone.items() if test.rejects(level)]
        adds = [name for name, test in self._beside.items() if test.rejects(level)]
        both = [name for name in alone if name in adds]
        close = f"correlations of W x are up to {self._closest():.2f}"
        if not alone and not adds:
            said = ["No spillover is found along any of these linkages."]
        elif not alone:
            said = [
                f"None carries anything alone. {show_labels(adds)} do so only against each other, as a contrast of W "
                f"that are nearly the same ({close}): that is no linkage."
            ]
        elif not adds:
            said = [f"{show_labels(alone)} carry something, each alone, but cannot be told from the others ({close})."]
        elif not both:
            said = [f"What carries something alone ({show_labels(alone)}) adds nothing beside the others ({close})."]
        elif len(both) == 1 and len(adds) == 1:
            rest = [name for name in self.linkages if name not in both]
            said = [f"{both[0]} carries it: beside it {show_labels(rest)} add nothing that can be seen."]
        elif len(both) == 1:
            rest = [name for name in adds if name not in both]
            said = [
                f"{both[0]} carries something alone and beside the others; {show_labels(rest)} only against it, which "
                f"may be a contrast of W that are alike ({close})."
            ]
        else:
            alike = f" Their W are nearly the same ({close}): a contrast may be all." if self._closest() > ALIKE else ""
            said = [f"{show_labels(both)} each add to the others: more than one linkage carries it.{alike}"]
        for test in self.hypothesis_tests:
            if isinstance(test, HypothesisTest) and test.name.startswith("Vuong") and test.rejects(level):
                said.append(f"{test.null_model} fits better (p = {test.p_value:.3f}).")
        return tuple(said)

    def _closest(self) -> float:
        return float(np.abs(self.correlations[np.triu_indices(len(self.linkages), 1)]).max(initial=0.0))

    @cached_property
    def _alone(self) -> dict[str, HypothesisTest]:
        tests = {}
        for name, found in self.alone.items():
            terms = [term for term in (*(f"W*{lag}" for lag in self.lags), "rho") if term in found.estimates.names]
            wald = found.estimates.wald(_rows(found.estimates, terms), f"{name} carries nothing")
            tests[name] = replace(wald, name=f"{name} alone")
        return tests

    @cached_property
    def _beside(self) -> dict[str, HypothesisTest]:
        tests = {}
        for name in self.linkages:
            wanted = [*(f"W_{name}*{lag}" for lag in self.lags), f"rho: {name}"]
            terms = [term for term in wanted if term in self.estimates.names]
            wald = self.estimates.wald(_rows(self.estimates, terms), f"{name} adds nothing beside the other linkages")
            tests[name] = replace(wald, name=f"{name} beside the others")
        return tests

    def _vuong(self, first: str, second: str) -> HypothesisTest | NotApplicable:
        a, b = self.alone[first], self.alone[second]
        name = f"Vuong: {first} or {second}"
        if a.spec.has_spatial_lag and len(a.panel.regions) > DENSE_LIMIT:
            return NotApplicable(name, f"more than {DENSE_LIMIT:,} regions and W y")
        gap = a.statistics["log_likelihood"] - b.statistics["log_likelihood"]
        spread = math.sqrt(gap_variance(a, b, self.together))
        if not spread > 1e-9 * abs(a.statistics["log_likelihood"]):
            return NotApplicable(name, "the two models are the same")
        z = gap / spread
        return HypothesisTest(
            name=name,
            statistic=z,
            null=f"{first} and {second} are equally near to the truth",
            distribution="N(0, 1)",
            p_value=float(2.0 * stats.norm.sf(abs(z))),
            reference=REFERENCE,
            null_model=first if gap > 0 else second,
        )

    def __repr__(self) -> str:
        return f"LinkageComparison: {', '.join(self.linkages)}; {self.verdict()[0]}"


def compare_linkages(
    formula: str,
    panel: Panel,
    weights: Mapping[str, SpatialWeights],
    *,
    model: ModelName = "slx",
    effects: Effects | None = None,
    lagged: Sequence[str] | None = None,
    covariance: CovarianceName = "default",
    cutoff_km: float | None = None,
) -> LinkageComparison:
    """Fit a model with each W alone and with all of them: y = Σ_k ρ_k W_k y + X β + Σ_k W_k X θ_k + effects + ε.

    Parameters
    ----------
    weights : name → W of the same regions, two or more: {"border": …, "rail": …, "industry": …}.
    model : "slx" (W x), "sar" (W y) or "sdm" (both). effects, lagged, covariance, cutoff_km : as in `spillover.fit`.

    The Vuong test asks whether two of the models are equally far from the truth. Its variance takes the model with all
    W as the truth: the difference of log-likelihoods is a quadratic form in its errors, cut into uncorrelated rows of
    regions and summed over periods, so that serial correlation inside regions is allowed for; between regions errors
    are taken to be independent. Squared residuals as independent draws would be wrong as soon as W y is there: in
    simulations with two equally wrong W they reject twice too often.

    Raises
    ------
    OptionError : fewer than two W, another model. AlignmentError, DesignError, … : as in `fit`; W that carry the same
    regressor are collinear in the model of all.

    Cost: K + 2 fits; n³ per pair with W y, up to 3,000 regions.
    """
    if not isinstance(weights, Mapping) or len(weights) < 2:
        raise OptionError("linkages are two or more named W", got=repr(weights)[:80], fix='{"geo": W1, "industry": W2}')
    if model not in MODELS:
        raise OptionError(f"linkages are not compared in a {model} model", expected=show_labels(MODELS))
    spec = ModelSpec.of(
        panel,
        formula,
        model=model,
        effects=effects,
        lagged=lagged,
        covariance=covariance,
        cutoff_km=cutoff_km,
    )
    aligned = {name: w.align(panel.regions) for name, w in weights.items()}
    alone = {}
    for name, w in aligned.items():
        try:
            alone[name] = fit_spec(spec, panel, w)
        except EstimationError as error:
            error.args = (f"{name} alone: {error}",)
            raise
    none = fit_spec(spec.with_changes(model="ols", lagged=None), panel)
    together, estimates, lags = _fit_together(spec, panel, aligned)
    return LinkageComparison(none, alone, together, estimates, lags, _correlations(spec, panel, aligned, together))


def _fit_together(
    spec: ModelSpec, panel: Panel, weights: Mapping[str, SpatialWeights]
) -> tuple[SpatialFit, Estimates, tuple[str, ...]]:
    """The model with all W, its estimates under names that say which W, and the lagged regressors."""
    parsed = parse_formula(spec.formula)
    lags = choose_lagged(parsed.names, spec.model, spec.lagged) if spec.has_lagged_regressors else ()
    factors = dict(zip(parsed.names, parsed.terms, strict=True))
    columns, names = {}, {}
    for k, (name, w) in enumerate(weights.items()):
        for j, lag in enumerate(lags):
            column = f"lag_{k}_{j}_of_linkage"
            columns[column] = w.lag(evaluate_term(factors[lag], panel))
            names[column] = f"W_{name}*{lag}"
    joint = spec.with_changes(
        formula=" + ".join([spec.formula, *columns]), model="sar" if spec.has_spatial_lag else "ols", lagged=None
    )
    try:
        found = fit_spec(joint, panel.with_variables(columns), weights if spec.has_spatial_lag else None)
    except SpilloverError as error:
        error.args = (_in_names(str(error), names),)
        raise
    renamed = tuple(names.get(term, term) for term in found.estimates.names)
    return found, replace(found.estimates, names=renamed), lags


def _in_names(text: str, names: Mapping[str, str]) -> str:
    """A message about columns made here, under the names that the user gave to W."""
    for column, name in names.items():
        text = text.replace(column, name)
    return text


def _correlations(
    spec: ModelSpec, panel: Panel, weights: Mapping[str, SpatialWeights], together: SpatialFit
) -> FloatArray:
    """(K, K) correlations of W_k x for the first lagged regressor (the first regressor in a SAR), means removed."""
    parsed = parse_formula(spec.formula)
    lags = choose_lagged(parsed.names, spec.model, spec.lagged) if spec.has_lagged_regressors else parsed.names
    x = evaluate_term(dict(zip(parsed.names, parsed.terms, strict=True))[lags[0]], panel)
    transformation = together.point.design.transformation
    moved = np.stack([transformation.remove_means(w.lag(x)).ravel() for w in weights.values()])
    moved = moved - moved.mean(axis=1, keepdims=True)
    return np.asarray(np.corrcoef(moved))


def gap_variance(a: SpatialFit, b: SpatialFit, truth: SpatialFit) -> float:
    """Variance of ℓ_a − ℓ_b when the errors are those of `truth`, which holds both.

    e_a = L_a ε + c_a with L_a = S_a S⁻¹; ℓ_a − ℓ_b varies like Σ_t ε_t'M ε_t + 2 ε_t'v_t with M = L_b'L_b/2σ_b² −
    L_a'L_a/2σ_a² and v = L_b'c_b/2σ_b² − L_a'c_a/2σ_a². Rows ψ_it = ε_it (2 Σ_{j<i} M_ij ε_jt + 2 v_it) +
    M_ii (ε_it² − σ²) are uncorrelated between regions; their sums over periods are squared and added.
    """
    errors = truth.point.residuals
    n = errors.shape[0]
    means = truth.point.design.transformation.removes_periods
    halves = (0.5 / a.point.sigma2, 0.5 / b.point.sigma2)
    if not truth.point.terms:  # no W y: L is the identity
        spare = [found.point.residuals - errors for found in (a, b)]
        linear = 2.0 * (halves[1] * spare[1] - halves[0] * spare[0])
        rows = errors * linear + (halves[1] - halves[0]) * (errors**2 - float((errors**2).mean()))
        return float((rows.sum(axis=1) ** 2).sum())
    whole = np.eye(n)
    for (_, w), term in zip(truth.roles.outcome, truth.point.terms, strict=True):
        whole -= term.value * w.matrix.toarray()
    inverse = np.linalg.inv(whole)
    quadratic, linear = np.zeros((n, n)), np.zeros_like(errors)
    for sign, half, found in ((-1.0, halves[0], a), (1.0, halves[1], b)):
        away = inverse - found.rho * (found.roles.outcome[0][1].matrix @ inverse)
        left = found.point.residuals - away @ errors
        quadratic += sign * half * (away.T @ away)
        linear += sign * 2.0 * half * (away.T @ left)
    if means:
        quadratic = quadratic - quadratic.mean(axis=0) - quadratic.mean(axis=1)[:, None] + quadratic.mean()
        linear = linear - linear.mean(axis=0)
    own = np.diag(quadratic)[:, None]
    rows = errors * (2.0 * np.tril(quadratic, -1) @ errors + linear)
    rows = rows + own * (errors**2 - float((errors**2).mean()))
    return float((rows.sum(axis=1) ** 2).sum())


def _rows(estimates: Estimates, terms: Sequence[str]) -> FloatArray:
    """Rows that pick some of the estimates."""
    rows = np.zeros((len(terms), len(estimates.names)))
    rows[np.arange(len(terms)), [estimates.index(term) for term in terms]] = 1.0
    return rows


def _rho(found: SpatialFit) -> str | float:
    if len(found.roles.outcome) < 2:
        return found.rho
    return ", ".join(f"{term.value:.3f}" for term in found.point.terms)


def _mass(found: SpatialFit) -> float:
    w = found.roles.regressors
    assert w is not None
    return float(w.row_sums.mean())


def _scaled(estimates: Estimates, terms: Sequence[str], mass: float, lags: Sequence[str], level: float) -> pd.DataFrame:
    at = [estimates.index(term) for term in terms]
    part = Estimates(
        tuple(lags),
        mass * estimates.values[at],
        mass**2 * estimates.cov[np.ix_(at, at)],
        estimates.df,
        estimates.method,
    )
    return part.tidy(level)
