"""`fit_smooth_transition`: slopes that change gradually with a variable, the smooth form of a threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy import optimize
from scipy.special import expit
from scipy.stats import rankdata

from spillover.effects.impacts import KINDS
from spillover.errors import EstimationError, OptionError
from spillover.inference.estimates import Estimates
from spillover.inference.hypotheses import HypothesisTest
from spillover.models.fit import check_kinds
from spillover.models.formula import parse_formula
from spillover.models.result import SpatialFit
from spillover.models.spec import ModelSpec
from spillover.moderators.columns import Column, fit_columns, lag_weights, plain_columns
from spillover.moderators.loads import Level, effects_at_levels, tidy_with_band
from spillover.moderators.moderator import QUANTILES, Moderator, read_one
from spillover.moderators.summary import summarise
from spillover.moderators.threshold import find_candidates, find_switching
from spillover.moderators.threshold_columns import Switch
from spillover.moderators.threshold_problem import ThresholdProblem
from spillover.panel.panel import Panel
from spillover.typing import CovarianceName, Effects, FloatArray, ModelName
from spillover.weights.weights import SpatialWeights

if TYPE_CHECKING:
    import pandas as pd

STEEPEST = 200.0  # per standard deviation of q: nine tenths of the change within .02 sd, a threshold for any data
FLATTEST = 0.1
TRIM = 0.10  # share of the observations beyond which values of q cannot show a change
GRID = (20, 15)  # locations × slopes from which the search starts
SLOPE, LOCATION = "slope of g", "location of g"


@dataclass(frozen=True, eq=False, repr=False)
class SmoothFit:
    """y = c·(b + d g(q)) + …, g(q) = 1/(1 + exp(−γ(q − c₀)/sd(q))).

    Attributes
    ----------
    estimates : coefficients ("log(lq)" where g = 0, "log(lq) × g" for what is added where g = 1), "slope of g" (γ, per
        standard deviation of q) and "location of g" (c₀, in the unit of q), with their joint covariance.
    fit : the linearised model, whose columns hold the derivatives in γ and c₀ beside the regressors.
    linearity : test that slopes do not change with q. notes : what a careful reader should know.
    """

    estimates: Estimates
    fit: SpatialFit
    moderator: Moderator
    switching: tuple[str, ...]
    effect_columns: tuple[tuple[Column, str], ...]
    linearity: HypothesisTest
    notes: tuple[str, ...]

    @property
    def slope(self) -> float:
        """γ, per standard deviation of q."""
        return self.estimates[SLOPE]

    @property
    def location(self) -> float:
        """c₀: where half of the change has happened."""
        return self.estimates[LOCATION]

    @property
    def statistics(self) -> Mapping[str, Any]:
        """Log-likelihood, sizes, … at the estimates."""
        return self.fit.statistics

    def coefficients(self, level: float = 0.95) -> pd.DataFrame:
        """Tidy table of the coefficients."""
        return self.estimates.tidy(level)

    def transition(self, values: FloatArray) -> FloatArray:
        """g at values of q."""
        return _transition(np.asarray(values, dtype=float), self.slope, self.location, _spread(self.moderator.values))

    def effects(
        self, at: Sequence[float] | None = None, *, level: float = 0.95, draws: int = 10_000, seed: int = 0
    ) -> pd.DataFrame:
        """Direct, indirect and total effects of what switches where q has a value in all regions, with bands.

        Errors take in those of γ and c₀. at : values of q; its 10, 25, 50, 75 and 90 % quantiles by default.
        """
        import pandas as pd

        values = self.moderator.quantiles(QUANTILES) if at is None else np.atleast_1d(np.asarray(at, dtype=float))
        tables = []
        for name in self.switching:
            for kind in KINDS:
                found = self._effects(name, kind, values)
                tables.append(tidy_with_band(found, level=level, draws=draws, seed=seed))
        return pd.concat(tables, ignore_index=True)

    def _effects(self, name: str, kind: str, values: FloatArray) -> Estimates:
        g = self.transition(values)
        steep, place = _slopes(values, self.slope, self.location, _spread(self.moderator.values))
        factors = {"g": g, SLOPE: steep, LOCATION: place}
        levels = []
        for h in range(values.size):
            loads = {}
            for column, factor in self.effect_columns:
                if column.moderator:
                    jump = 1.0 if factor == "g" else self.estimates[column.moderator.removeprefix(factor + ": ")]
                    loads[column.moderator] = float(factors[factor][h]) * jump
            levels.append(Level(name, kind, loads))
        labels = {
            "variable": (name,) * values.size,
            "effect": (kind,) * values.size,
            "moderator": (self.moderator.name,) * values.size,
            "value": tuple(float(v) for v in values),
        }
        columns = [column for column, _ in self.effect_columns]
        names = [f"{kind}: {name} | {self.moderator.name} = {v:.4g}" for v in values]
        fitted = replace(self.fit, estimates=_linearised(self.fit.estimates))
        return effects_at_levels(fitted, columns, levels, names, labels)  # type: ignore[arg-type]

    def summary(self) -> str:
        """The fit on one screen, as text."""
        import pandas as pd

        parts = [("Effects", self.effects()), ("Tests", pd.DataFrame([self.linearity.row()]))]
        return summarise(f"smooth transition in {self.moderator.name} · {self.fit.spec.formula}", self, parts)

    def __repr__(self) -> str:
        return f"SmoothFit: {self.moderator.name} around {self.location:.4g}, slope {self.slope:.3g}; {self.fit!r}"


def fit_smooth_transition(
    formula: str,
    panel: Panel,
    weights: SpatialWeights | None = None,
    *,
    threshold: str | Mapping[str, str],
    switching: str | Sequence[str],
    side: Literal["receiver", "sender"] = "receiver",
    model: ModelName | None = None,
    effects: Effects | None = None,
    covariance: CovarianceName = "default",
    lagged: Sequence[str] | None = None,
    weights_x: SpatialWeights | None = None,
    cutoff_km: float | None = None,
    time_lags: int | None = None,
) -> SmoothFit:
    """Fit slopes that move from b to b + d as q passes c₀, gradually: b + d/(1 + exp(−γ(q − c₀)/sd(q))).

    Parameters
    ----------
    threshold : expression of the transition variable q, or its name → expression.
    switching, side, model and the rest : as in `fit_threshold`.

    Returns
    -------
    SmoothFit. Test `linearity` first: where slopes do not change, γ and c₀ do not exist.

    Raises
    ------
    EstimationError : the transition is so flat that it cannot be told from a line in q.
    OptionError, DesignError : as in `fit_threshold`.

    Notes
    -----
    Least squares (with W y: the likelihood with ρ concentrated out) over (γ, c₀), from a grid. Errors come from the
    model with the derivatives in γ and c₀ among its columns, so that every covariance of `spillover.fit` applies.
    Linearity is tested by c·u and c·u², u the rank of q: powers of q itself make clustered tests reject up to 18 of 100
    true nulls (40 regions). Source: González, Teräsvirta & van Dijk (2005), Panel Smooth Transition Regression Models.
    """
    check_kinds(panel, weights, weights_x)
    spec = ModelSpec.of(
        panel,
        formula,
        model=model or ("sdm" if weights is not None else "ols"),
        effects=effects,
        covariance=covariance,
        lagged=lagged,
        cutoff_km=cutoff_km,
        time_lags=time_lags,
    )
    if spec.has_spatial_error:
        raise OptionError(f"transitions are estimated in ols, slx, sar and sdm models, not in {spec.model}")
    w = lag_weights(panel, weights, weights_x)
    parsed = parse_formula(formula)
    columns = plain_columns(parsed, panel, w, spec.model, lagged)
    chosen = find_switching(columns, [switching] if isinstance(switching, str) else list(switching))
    q = read_one(panel, threshold, outcome=parsed.response)
    find_candidates(q.name, q.values, TRIM)
    null = fit_columns(spec, columns, panel, weights, weights_x=w)
    problem = ThresholdProblem.of(null, columns, chosen, q.values, side, w)
    slope, location = _search(problem)
    spread = _spread(q.values)
    g = _transition(q.values, slope, location, spread)
    names = [columns[i].name for i in chosen]
    added = _weighted(problem.switch, g)
    grown = [
        Column(f"{name} × g", values, columns[i].variable, columns[i].part, "g", "transition")
        for name, values, i in zip(names, added, chosen, strict=True)
    ]
    first = fit_columns(spec, [*columns, *grown], panel, weights, weights_x=w)
    jumps = np.array([first.estimates[column.name] for column in grown])
    steep, place = _slopes(q.values, slope, location, spread)
    tangents = [
        Column(label, np.tensordot(jumps, _weighted(problem.switch, part), axes=1), "", "own", label, "transition")
        for label, part in ((SLOPE, steep), (LOCATION, place))
    ]
    linearised = fit_columns(spec, [*columns, *grown, *tangents], panel, weights, weights_x=w)
    moved = linearised.estimates.values.copy()
    moved[linearised.estimates.index(SLOPE)] += slope
    moved[linearised.estimates.index(LOCATION)] += location
    notes = ["Errors take in those of the transition's slope and location."]
    if slope > 0.95 * STEEPEST:
        notes.append("The transition is as steep as can be told apart: it is a threshold (see fit_threshold).")
    return SmoothFit(
        estimates=replace(linearised.estimates, values=moved),
        fit=linearised,
        moderator=q,
        switching=tuple(dict.fromkeys(columns[i].variable for i in chosen)),
        effect_columns=tuple(_effect_columns(columns, grown, names)),
        linearity=_linearity(spec, columns, names, chosen, problem, panel, weights, w),
        notes=tuple(notes),
    )


def _linearised(estimates: Estimates) -> Estimates:
    """Estimates with zero movements of γ and c₀: effects hold at the maximum, errors along its tangents."""
    values = estimates.values.copy()
    values[[estimates.index(SLOPE), estimates.index(LOCATION)]] = 0.0
    return replace(estimates, values=values)


def _effect_columns(
    columns: Sequence[Column], grown: Sequence[Column], names: Sequence[str]
) -> list[tuple[Column, str]]:
    """Each coefficient's part in effects, with what multiplies it: 1, g, or jump × derivative of g.

    A movement of γ changes every switching slope at once, so that its one coefficient stands here once per slope.
    """
    found = [(column, "") for column in columns]
    for column in grown:
        found.append((replace(column, moderator=f"g: {column.name}"), "g"))
        for label in (SLOPE, LOCATION):
            found.append((replace(column, name=label, moderator=f"{label}: {column.name}"), label))
    return found


def _spread(q: FloatArray) -> float:
    return float(q.std())


def _transition(q: FloatArray, slope: float, location: float, spread: float) -> FloatArray:
    return np.asarray(expit(slope * (q - location) / spread))


def _slopes(q: FloatArray, slope: float, location: float, spread: float) -> tuple[FloatArray, FloatArray]:
    """(∂g/∂γ, ∂g/∂c₀)."""
    g = _transition(q, slope, location, spread)
    bell = g * (1.0 - g)
    return bell * (q - location) / spread, -bell * slope / spread


def _weighted(switch: Switch, weights: FloatArray) -> FloatArray:
    """(p, n, t) c·weights, weighted before it is lagged where the sender counts."""
    found = switch.columns * weights
    for i, w in enumerate(switch.lagged_after):
        if w is not None:
            found[i] = w.lag(found[i])
    return found


def _search(problem: ThresholdProblem) -> tuple[float, float]:
    """(γ, c₀) at the best objective."""
    q = problem.switch.q
    spread = _spread(q)
    low, high = np.quantile(q, [0.05, 0.95])
    start = problem.right.T @ problem.right

    def objective(point: FloatArray) -> float:
        slope = float(np.exp(np.clip(point[0], np.log(FLATTEST), np.log(STEEPEST))))
        location = float(np.clip(point[1], low, high))
        weighted = _weighted(problem.switch, _transition(q, slope, location, spread))
        columns = problem.switch.transformation.remove_means(weighted).reshape(problem.switch.p, -1).T
        rest = columns - problem.basis @ (problem.basis.T @ columns)
        solved = np.linalg.lstsq(rest, problem.right, rcond=1e-10)[0]
        products = start - (rest.T @ problem.right).T @ solved
        return float(problem.objective.value(products[None])[0])

    locations = np.quantile(q, np.linspace(0.1, 0.9, GRID[0]))
    slopes = np.linspace(np.log(0.5), np.log(STEEPEST / 2.0), GRID[1])
    values = [(objective(np.array([s, c])), float(s), float(c)) for s in slopes for c in locations]
    best = sorted(values)[:3]
    ends = [
        optimize.minimize(
            objective, np.array([s, c]), method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-10, "maxiter": 2_000}
        )
        for _, s, c in best
    ]
    end = min(ends, key=lambda found: float(found.fun))
    slope = float(np.exp(np.clip(end.x[0], np.log(FLATTEST), np.log(STEEPEST))))
    if slope < 1.01 * FLATTEST:
        raise EstimationError(
            "the transition is so flat that it cannot be told from a straight line in the transition variable",
            got=f"slope at its lower end, {FLATTEST:g} per standard deviation",
            fix="use spillover.moderate, in which slopes are a line in the moderator",
        )
    return slope, float(np.clip(end.x[1], low, high))


def _linearity(
    spec: ModelSpec,
    columns: Sequence[Column],
    names: Sequence[str],
    chosen: Sequence[int],
    problem: ThresholdProblem,
    panel: Panel,
    weights: SpatialWeights | None,
    w: SpatialWeights | None,
) -> HypothesisTest:
    """Wald test of c·u and c·u², u the rank of q on [−1, 1]: an expansion of the transition that exists under the null.

    Powers of q itself have heavy tails, which make clustered errors of their slopes too small.
    """
    q = problem.switch.q
    u = 2.0 * rankdata(q).reshape(q.shape) / q.size - 1.0
    powers = [
        Column(f"{name} × u^{power}", values, columns[i].variable, columns[i].part, f"u^{power}", "transition")
        for power in (1, 2)
        for name, values, i in zip(names, _weighted(problem.switch, u**power), chosen, strict=True)
    ]
    fitted = fit_columns(spec, [*columns, *powers], panel, weights, weights_x=w)
    at = [fitted.estimates.index(column.name) for column in powers]
    found = fitted.estimates.wald(
        np.eye(fitted.estimates.values.size)[at], "the slopes do not change with the transition variable"
    )
    return replace(found, name="linearity")
