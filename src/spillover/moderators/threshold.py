"""`fit_threshold`: slopes that change where a variable passes a threshold, found by search (Hansen 1999)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import numpy as np

from spillover.errors import DesignError, OptionError, UnknownColumnError, check_option, did_you_mean, show_labels
from spillover.inference.seeds import check_seed
from spillover.models.fit import check_kinds
from spillover.models.formula import parse_formula, term_name
from spillover.models.spec import Groups, ModelSpec
from spillover.moderators.columns import (
    Column,
    check_columns,
    fit_columns,
    lag_weights,
    plain_columns,
    without_absorbed,
)
from spillover.moderators.moderator import Moderator, read_one
from spillover.moderators.threshold_bootstrap import FEWEST_PERIODS, Bootstrap
from spillover.moderators.threshold_columns import Switch, candidate_values, thin
from spillover.moderators.threshold_problem import (
    LEAST_BETWEEN,
    ThresholdProblem,
    describe_thresholds,
    estimate_thresholds,
)
from spillover.moderators.threshold_result import ThresholdFit, ThresholdTest, regime_names
from spillover.moderators.threshold_search import build_grid
from spillover.moderators.threshold_set import Threshold
from spillover.moderators.threshold_tests import require_map, threshold_tests
from spillover.panel.panel import Panel, Period
from spillover.typing import CovarianceName, Effects, FloatArray, ModelName, Progress, no_progress
from spillover.weights.weights import SpatialWeights

FEWEST_VALUES = 10  # distinct values of q between the trimmed ends; fewer are groups, not a continuum
MOST_DRAWS = 100_000  # the third digit of any p-value; more only takes memory
GRID_NUMBERS = 60_000_000  # numbers of the masked columns of a grid: 480 MB


def fit_threshold(
    formula: str,
    panel: Panel,
    weights: SpatialWeights | None = None,
    *,
    threshold: str | Mapping[str, str],
    switching: str | Sequence[str],
    thresholds: int = 1,
    side: Literal["receiver", "sender"] = "receiver",
    model: ModelName | None = None,
    effects: Effects | None = None,
    covariance: CovarianceName = "default",
    lagged: Sequence[str] | None = None,
    weights_x: SpatialWeights | None = None,
    cutoff_km: float | None = None,
    time_lags: int | None = None,
    groups: Groups = None,
    segments: Mapping[Period, str] | Sequence[str] | None = None,
    trim: float = 0.10,
    grid: int = 300,
    level: float = 0.95,
    scaled: bool = True,
    bootstrap: Bootstrap | None = "spatial",
    draws: int = 1_000,
    reach_km: float | None = None,
    seed: int = 0,
    with_level: bool = False,
    centred: bool = False,
    progress: Progress = no_progress,
) -> ThresholdFit:
    """Fit a panel model whose slopes differ between q ≤ γ and q > γ, with γ estimated.

    With one threshold: y = [ρ W y +] Σ_switching c·(b_1 1(q ≤ γ) + b_2 1(q > γ)) + other regressors + effects + ε.

    Parameters
    ----------
    threshold : expression of the threshold variable q, (n, t) or constant in time; or its name → expression.
    switching : terms whose slope changes: "log(lq)" (own effect), "W*log(lq)" (spillover), or several.
    thresholds : 1, 2 or 3; found one after the other and then each again beside the others.
    side : whose q decides for a W x: the "receiver" (1(q_i ≤ γ) (W x)_i) or the "sender" (W(x·1(q ≤ γ))).
    model : "ols", "slx", "sar" or "sdm"; "sdm" with weights and "ols" without by default. With W y the likelihood is
        concentrated over ρ at every γ, and tests are likelihood ratios; else F.
    trim : share of the observations that each outer regime has at least; between two thresholds 5 %.
    grid : values of γ (at most) that tests search. Estimates and confidence sets search every value of q.
    level, scaled : of the confidence sets {LR/η̂² ≤ c}; scaled=False leaves η̂² out (equal variances).
    bootstrap : "spatial" (default): residuals times normal multipliers that are correlated between near regions, so
        that dependence in space survives; needs a map. "period": one multiplier for all regions of a period, ten
        periods or more. "hansen": whole residual paths exchanged between regions, which is invalid under correlation
        in space and under heteroskedasticity in the regressors. None: no test.
    draws : bootstrap samples, at least 99. seed : the same seed gives the same p-values.
    reach_km : beyond which errors are independent; by default six times the range of the residual correlation, or 0
        where none is found.
    with_level : whether q itself is a regressor, where it is none yet and the effects leave something of it.
    centred : whether what switches is taken about its mean, so that the lines of the regimes meet there. False is
        Hansen's model, in which the level of y jumps at γ by Δβ·x̄: for a logarithm, the unit inside it then has a say
        in where the threshold lies. Without effects and intercept nothing is centred.
    effects, covariance, lagged, weights_x, cutoff_km, time_lags, groups, segments : as in `spillover.fit`.

    Returns
    -------
    ThresholdFit.

    Raises
    ------
    DesignError : q has too few distinct values (ties everywhere); a regime with too few observations.
    OptionError : terms or options that do not exist. Everything that `spillover.fit` raises.

    Notes
    -----
    The level of q itself does not switch: put q among the regressors (`with_level`) if it matters, or a slope that
    changes with it will be found where there is none.
    Cost: one pass over the sorted observations for all γ; the bootstrap one product of the grid's columns with all
    samples.
    Sources: Hansen (1999), Journal of Econometrics 93:345; Hansen (2000), Econometrica 68:575.
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
        groups=groups,
        segments=segments,
    )
    asked = Asked(thresholds, side, trim, grid, level, scaled, bootstrap, draws, reach_km, seed, with_level, centred)
    plan = plan_threshold(
        spec, panel, weights, threshold=threshold, switching=switching, asked=asked, weights_x=weights_x
    )
    return plan.fit(progress)


@dataclass(frozen=True)
class Asked:
    """Options of a search and its tests; see `fit_threshold`."""

    thresholds: int = 1
    side: Literal["receiver", "sender"] = "receiver"
    trim: float = 0.10
    grid: int = 300
    level: float = 0.95
    scaled: bool = True
    bootstrap: Bootstrap | None = "spatial"
    draws: int = 1_000
    reach_km: float | None = None
    seed: int = 0
    with_level: bool = False
    centred: bool = False


@dataclass(frozen=True, eq=False)
class ThresholdPlan:
    """Everything of a threshold model that can be known without estimating.

    Attributes
    ----------
    columns : the regressors. chosen : positions of those that switch. q : the threshold variable.
    candidates : values of q that may be thresholds.
    """

    spec: ModelSpec
    panel: Panel
    weights: SpatialWeights | None
    weights_x: SpatialWeights | None
    columns: tuple[Column, ...]
    chosen: tuple[int, ...]
    q: Moderator
    candidates: FloatArray
    asked: Asked

    def check(self) -> None:
        """Raise what `fit` would raise before it estimates."""
        check_columns(self.spec, self.columns, self.panel, self.weights)

    def fit(self, progress: Progress = no_progress) -> ThresholdFit:
        """The estimates."""
        asked, columns, panel = self.asked, self.columns, self.panel
        null = fit_columns(self.spec, columns, panel, self.weights, weights_x=self.weights_x)
        problem = ThresholdProblem.of(
            null, columns, self.chosen, self.q.values, asked.side, self.weights_x, centred=asked.centred
        )
        estimated = estimate_thresholds(problem, self.candidates, asked.thresholds)
        gammas = thin(self.candidates, _grid_size(problem, asked.grid))
        tests = threshold_tests(
            problem,
            build_grid(problem.switch, problem.basis, gammas, LEAST_BETWEEN),
            asked.thresholds,
            asked.bootstrap,
            asked.draws,
            asked.reach_km,
            asked.seed,
            panel,
            progress,
        )
        name = self.q.name
        found, counts = describe_thresholds(problem, self.candidates, estimated, name, asked.level, asked.scaled)
        values = [each.value for each in found]
        regimes = regime_names(name, values)
        split = _split(columns, self.chosen, problem.switch, values, regimes)
        fitted = fit_columns(self.spec, split, panel, self.weights, weights_x=self.weights_x)
        variables = tuple(dict.fromkeys(columns[i].variable for i in self.chosen))
        notes = (*_notes(found, tests, asked.bootstrap), *([] if asked.centred else self._jumps(problem)))
        return ThresholdFit(found, regimes, fitted, null, tuple(split), variables, tests, counts, notes)

    def _jumps(self, problem: ThresholdProblem) -> list[str]:
        """A note where the level of y jumps at γ, because what switches is far from zero."""
        if not problem.takes_up_a_constant:
            return []
        raw = problem.switch.columns
        far = [self.columns[i].name for i, c in zip(self.chosen, raw, strict=True) if abs(c.mean()) > c.std()]
        return [
            f"{name} is far from zero, so that a change of its slope also moves the level at the threshold: whatever "
            "else goes with the threshold variable may be taken for it. centred=True keeps the lines together."
            for name in far
        ]


def plan_threshold(
    spec: ModelSpec,
    panel: Panel,
    weights: SpatialWeights | None,
    *,
    threshold: str | Mapping[str, str],
    switching: str | Sequence[str],
    asked: Asked,
    weights_x: SpatialWeights | None = None,
) -> ThresholdPlan:
    """`fit_threshold` up to its search; parameters and errors as there."""
    _check_options(spec, asked)
    if asked.bootstrap == "period" and panel.shape[1] < FEWEST_PERIODS:
        raise OptionError(
            "one multiplier per period needs ten periods or more",
            got=f"{panel.shape[1]} periods",
            fix='use bootstrap="spatial", which draws on many regions instead',
        )
    if asked.bootstrap == "spatial" and asked.reach_km is None:
        require_map(panel)
    w = lag_weights(panel, weights, weights_x)
    parsed = parse_formula(spec.formula)
    columns = plain_columns(parsed, panel, w, spec.model, spec.lagged)
    chosen = find_switching(columns, [switching] if isinstance(switching, str) else list(switching))
    q = read_one(panel, threshold, outcome=parsed.response)
    candidates = find_candidates(q.name, q.values, asked.trim)
    if asked.with_level and not any(np.array_equal(q.values, column.values) for column in columns):
        columns += without_absorbed([Column(q.name, q.values, q.name, "own")], spec, panel)[0]
    return ThresholdPlan(spec, panel, weights, w, tuple(columns), chosen, q, candidates, asked)


def _check_options(spec: ModelSpec, asked: Asked) -> None:
    check_option("side", asked.side, ("receiver", "sender"))
    check_seed(asked.seed)
    if spec.has_spatial_error:
        raise OptionError(
            f"thresholds are searched in ols, slx, sar and sdm models, not in {spec.model}",
            fix="dependence of the errors is the bootstrap's business (bootstrap='spatial')",
        )
    if asked.thresholds not in (1, 2, 3):
        raise OptionError("one, two or three thresholds can be estimated", got=repr(asked.thresholds))
    if not 0.01 <= asked.trim <= 0.40:
        raise OptionError("trim is a share of the observations", got=repr(asked.trim), expected="0.01 to 0.40")
    if not isinstance(asked.grid, int) or asked.grid < 20:
        raise OptionError("a grid has at least 20 values", got=repr(asked.grid))
    if not 0.0 < asked.level < 1.0:
        raise OptionError(
            "a confidence level is a share between 0 and 1", got=str(asked.level), fix="use 0.95 for 95 %"
        )
    if asked.bootstrap is not None:
        check_option("bootstrap", asked.bootstrap, get_args(Bootstrap))
        if asked.draws < 99:
            raise OptionError("too few draws for a p-value", got=str(asked.draws), expected="at least 99")
        if not isinstance(asked.draws, int) or asked.draws > MOST_DRAWS:
            raise OptionError(
                "that many draws are no number to wait for", got=repr(asked.draws), expected=f"at most {MOST_DRAWS:,}"
            )


def find_switching(columns: Sequence[Column], asked: Sequence[str]) -> tuple[int, ...]:
    """Positions of the switching regressors."""
    names = [column.name for column in columns]
    found = []
    for name in asked:
        spelt = f"W*{term_name(name[2:])}" if name.startswith("W*") else term_name(name)
        if spelt not in names:
            raise UnknownColumnError(
                f"{name!r} is to switch but is not a regressor of the model",
                expected=show_labels(names, 12),
                fix=did_you_mean(spelt, names) or "a spillover is written W*log(lq), and needs model='slx' or 'sdm'",
            )
        found.append(names.index(spelt))
    if not found or len(set(found)) != len(found):
        raise OptionError("name each switching regressor once", got=repr(list(asked)), fix='switching="log(lq)"')
    return tuple(found)


def find_candidates(name: str, q: FloatArray, trim: float) -> FloatArray:
    """Values of q that may be thresholds; `DesignError` where ties leave too few."""
    found = candidate_values(q, trim)
    if found.size >= FEWEST_VALUES:
        return found
    distinct = np.unique(q)
    raise DesignError(
        f"the threshold variable {name!r} has too few distinct values to search for a threshold",
        got=f"{found.size} admissible values ({distinct.size} distinct values in {q.size} observations)",
        expected=f"at least {FEWEST_VALUES} values that leave {100 * trim:g} % of the observations on either side",
        causes=("ties everywhere: a dummy, a rating, a rounded index", "a few extreme values hold the whole range"),
        fix="use spillover.fit_regimes with groups chosen beforehand, or a finer variable",
    )


def _grid_size(problem: ThresholdProblem, asked: int) -> int:
    """The grid that memory allows."""
    return int(np.clip(GRID_NUMBERS // (problem.right.shape[0] * problem.switch.p), 20, asked))


def _split(
    columns: Sequence[Column],
    chosen: Sequence[int],
    switch: Switch,
    values: Sequence[float],
    regimes: Sequence[str],
) -> list[Column]:
    """The regressors, each switching one once per regime."""
    edges = [-np.inf, *values, np.inf]
    found = []
    for i, column in enumerate(columns):
        if i not in chosen:
            found.append(column)
            continue
        at = list(chosen).index(i)
        for (low, high), regime in zip(pairwise(edges), regimes, strict=True):
            part = switch.between(low, high)[at]
            found.append(Column(f"{column.name} [{regime}]", part, column.variable, column.part, regime, "regime"))
    return found


def _notes(found: Sequence[Threshold], tests: Sequence[ThresholdTest], bootstrap: Bootstrap | None) -> tuple[str, ...]:
    notes = ["Errors of the slopes hold the thresholds at their estimates."]
    for each in found:
        if each.at_edge:
            notes.append(
                f"The confidence set of the threshold at {each.value:.4g} reaches the end of the values searched: "
                "the data bound it on one side at most."
            )
    for test in tests:
        if bootstrap == "spatial" and test.reach_km > 0:
            notes.append(
                f"Threshold {test.number}: multipliers correlated over {test.reach_km:.0f} km (range of the residual "
                f"correlation {test.dependence.range_km:.0f} km), blocks of {test.block} periods."
            )
        if bootstrap == "spatial" and test.reach_km == 0 and test.block > 1:
            notes.append(
                f"Threshold {test.number}: errors persist in time and show no correlation in space, so that each "
                "region has one multiplier for all periods."
            )
        if bootstrap == "hansen":
            notes.append(
                "Hansen's scheme exchanges residuals between regions: it rejects too often under correlation in space "
                "or heteroskedasticity in the regressors."
            )
    return tuple(dict.fromkeys(notes))
