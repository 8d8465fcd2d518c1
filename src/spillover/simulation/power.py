"""Power before data: does a design show an effect of this size? In closed form, and by drawn panels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from spillover.errors import OptionError, UnknownColumnError, check_option, did_you_mean, show_labels
from spillover.inference.wald_power import detectable_shift, rejection
from spillover.simulation.admissible import is_number, refuse_problems, shown
from spillover.simulation.designs import ready_estimator, size_of
from spillover.simulation.estimators import Estimator
from spillover.simulation.expected import closed_form_problems, expected_estimates, refuse_without_closed_form
from spillover.simulation.harness import recover_estimator
from spillover.simulation.recovery_round import Truths, named_truths
from spillover.simulation.recovery_table import binomial_band
from spillover.simulation.simulate import simulate
from spillover.simulation.spatial_config import DURBIN_MODELS, LAG_MODELS, SpatialPanelConfig
from spillover.simulation.streams import check_seed
from spillover.typing import Progress, no_progress

EffectName = Literal["direct", "indirect", "total", "rho"]
PowerCovariance = Literal["default", "information", "cluster"]

_LEAST_ALPHA = 1e-6


@dataclass(frozen=True)
class PowerQuestion:
    """What is to be seen, and by which test.

    Parameters
    ----------
    effect : "indirect" (the spillover), "direct", "total" or "rho".
    variable : the regressor; the first one by default.
    alpha : level of the two-sided test. target : power that is wanted.
    covariance : "information" tests with the normal distribution, "cluster" with t(n − 1); "default" is what
        `spillover.fit` does: clusters where region means are removed.
    quantity : instead of `effect`, the name of any other quantity that an estimator reports and a truth knows:
        "share of spillover: talent", "threshold", …. It is seen where the estimator's own p-value is below alpha.

    Raises ConfigurationError with every inadmissible value at once.
    """

    effect: EffectName = "indirect"
    variable: str | None = None
    alpha: float = 0.05
    target: float = 0.8
    covariance: PowerCovariance = "default"
    quantity: str | None = None

    def __post_init__(self) -> None:
        alpha_is_share = is_number(self.alpha) and _LEAST_ALPHA <= self.alpha < 1
        least = self.alpha if alpha_is_share else 0.0
        rules = {
            f"effect = {shown(self.effect)} is not one of {', '.join(get_args(EffectName))}": self.effect
            not in get_args(EffectName),
            f"covariance = {shown(self.covariance)} is not one of {', '.join(get_args(PowerCovariance))}": (
                self.covariance not in get_args(PowerCovariance)
            ),
            f"alpha = {shown(self.alpha)} is not a share between {_LEAST_ALPHA:g} and 1": not alpha_is_share,
            f"target = {shown(self.target)} is not a share between alpha and .9999": not (
                is_number(self.target) and least < self.target <= 0.9999
            ),
        }
        problems = [problem for problem, broken in rules.items() if broken]
        refuse_problems("the question about power has", problems, "PowerQuestion()")

    def term(self, config: Any) -> str:
        """Name of the estimate, checked against the configuration."""
        if self.quantity is not None:
            return self.quantity
        if not isinstance(config, SpatialPanelConfig):
            if self.effect == "rho":
                raise OptionError("there is no ρ to be seen", got=f"a {type(config).__name__}")
            return f"{self.effect}: {self.variable or 'hti'}"
        if self.effect == "rho":
            if config.model not in LAG_MODELS:
                raise OptionError(
                    "there is no ρ to be seen", got=f"model {config.model!r}", expected="W y in the model"
                )
            return "rho"
        known = [x.name for x in config.regressors]
        variable = known[0] if self.variable is None else self.variable
        check_option("variable", variable, known)
        if self.effect == "indirect" and config.model not in (*LAG_MODELS, *DURBIN_MODELS):
            raise OptionError(
                "there is no spillover to be seen", got=f"model {config.model!r}, whose effects stay home"
            )
        return f"{self.effect}: {variable}"

    def degrees(self, config: Any) -> float | None:
        """Of the t distribution of the test; None for the normal."""
        removes_means = getattr(config, "has_region_effects", True)
        clustered = self.covariance == "cluster" or (self.covariance == "default" and removes_means)
        return float(size_of(config)[0] - 1) if clustered else None


@dataclass(frozen=True)
class PowerResult:
    """Power of one design.

    Attributes
    ----------
    effect, variable, value : what is to be seen, and its true size (the mean over the panels where it differs).
    std_error : in closed form, or the mean reported one of the drawn panels.
    power : share of samples in which it is seen; power_low, power_high its 95 % band, where panels were drawn. In a
        panel that the estimator refuses nothing is seen.
    detectable : the size that would be seen with power `target`, at this standard error; of effects only, since another
        quantity is seen by a test of its estimator's own.
    panels : that gave an answer, 0 for the closed form. refused : panels that the estimator refused.
    """

    effect: str
    variable: str
    n_regions: int
    n_periods: int
    value: float
    std_error: float
    power: float
    detectable: float
    alpha: float
    target: float
    panels: int = 0
    power_low: float | None = None
    power_high: float | None = None
    refused: int = 0

    @property
    def reached(self) -> bool:
        """Whether the target is met."""
        return self.power >= self.target

    def say_detectable(self, words: str) -> str:
        """The words, with the detectable size at {}; nothing where it is not known."""
        return words.format(self.detectable) if math.isfinite(self.detectable) else ""


def compute_power(
    config: Any,
    question: PowerQuestion | None = None,
    *,
    rounds: int = 0,
    estimator: Estimator | None = None,
    truths: Truths | None = None,
    seed: int = 1,
    executor: Executor | None = None,
    progress: Progress = no_progress,
) -> PowerResult:
    """Power and minimum detectable effect: in closed form from the expected information, or by drawn panels.

    Parameters
    ----------
    config : the design: model, sizes, coefficients, regressors, W; with `rounds` anything that `simulate` knows.
    question : what is to be seen; the spillover of the first regressor by default.
    rounds : draw and estimate so many panels; 0 uses the closed form.
    estimator, truths, seed, executor : of drawn panels, as in `simulate_power`.

    Raises
    ------
    ConfigurationError : without `rounds`, designs without a closed form (each reason named).
    OptionError : an effect or variable that is not there.

    Notes
    -----
    In closed form the Wald statistic is taken as noncentral t (or normal). For a handful of regions and years indirect
    effects are skewed, and their power in samples is a few points away; drawn panels check it. Cost: n³ once per map,
    nothing per number of periods.

    Examples
    --------
    >>> from spillover.simulation.spatial_panel import Regressor
    >>> x = Regressor("x0", 0.3, 0.15, persistence=0.8)
    >>> result = compute_power(SpatialPanelConfig("sdm", 100, 10, regressors=(x,), rho=0.3))
    >>> round(result.std_error, 2), 0.5 < result.power < 0.65
    (0.15, True)
    """
    question = question or PowerQuestion()
    if rounds:
        return simulate_power(
            config,
            question,
            rounds=rounds,
            seed=seed,
            estimator=estimator,
            truths=truths,
            executor=executor,
            progress=progress,
        )
    term = question.term(config)
    refuse_without_closed_form(without_closed_form(config, question, estimator))
    estimates = expected_estimates(config)
    at = estimates.index(term)
    value, error = float(estimates.values[at]), float(estimates.std_errors[at])
    return _result(config, question, value, error, rejection(value / error, question.alpha, question.degrees(config)))


def without_closed_form(config: Any, question: PowerQuestion, estimator: Estimator | None = None) -> list[str]:
    """Why panels have to be drawn, one reason each; empty where there is a closed form."""
    reasons = closed_form_problems(config)
    if question.quantity is not None:
        reasons.append(f"the quantity {shown(question.quantity)}, of which the expected information says nothing")
    if estimator is not None:
        reasons.append("an estimator of your own")
    return reasons


def simulate_power(
    config: Any,
    question: PowerQuestion | None = None,
    *,
    rounds: int = 400,
    seed: int = 1,
    estimator: Estimator | None = None,
    truths: Truths | None = None,
    executor: Executor | None = None,
    resume: Path | str | None = None,
    progress: Progress = no_progress,
) -> PowerResult:
    """Power by drawing and estimating `rounds` panels of any configuration, with any estimator, for any quantity.

    Parameters
    ----------
    config : anything that `simulate` knows. question : an effect, or by its `quantity` any name of the truth.
    estimator : panel, W → an answer, as for `recover_estimator`; by default the one that is right for the
        configuration (`simulation.designs.ready_estimator`).
    truths : names true values that the truth does not name itself, as for `recover_estimator`.
    rounds, seed, executor, resume, progress : as for `recover_estimator`.

    Raises
    ------
    UnknownColumnError : the truth does not know the quantity. OptionError : no ready estimator. EstimationError : every
        panel was refused, or the estimator does not report the quantity.
    """
    question = question or PowerQuestion()
    term = question.term(config)
    chosen = ready_estimator(config, question.covariance, question.quantity) if estimator is None else estimator
    _require_truth(config, term, truths, seed)
    table = recover_estimator(
        config,
        chosen,
        rounds=rounds,
        seed=seed,
        level=1.0 - question.alpha,
        executor=executor,
        resume=resume,
        truths=truths,
        progress=progress,
    )
    line = table.line(term)
    hits = round(line.rejected * line.rounds)
    found = _result(config, question, line.truth, line.mean_std_error, hits / table.rounds)
    low, high = binomial_band(hits, table.rounds)
    return replace(found, panels=line.rounds, refused=table.failed, power_low=low, power_high=high)


def _require_truth(config: Any, term: str, truths: Truths | None, seed: int) -> None:
    """Before hundreds of panels are drawn: does the truth of one know the quantity?"""
    known = named_truths(simulate(config, check_seed(seed))[1], truths)
    if term not in known:
        raise UnknownColumnError(
            f"nothing is known to be true of {term!r}",
            expected=show_labels(known, 12),
            fix=" ".join([did_you_mean(term, known), "Name its true value with truths=…"]).strip(),
        )


def _result(config: Any, question: PowerQuestion, value: float, error: float, power: float) -> PowerResult:
    effect, variable = question.quantity, ""
    if effect is None:
        effect, _, variable = question.term(config).partition(": ")
    shift = detectable_shift(question.alpha, question.target, question.degrees(config))
    n_regions, n_periods = size_of(config)
    return PowerResult(
        effect=effect,
        variable=variable,
        n_regions=n_regions,
        n_periods=n_periods,
        value=value,
        std_error=error,
        power=power,
        detectable=error * shift if question.quantity is None and math.isfinite(error) else float("nan"),
        alpha=question.alpha,
        target=question.target,
    )


def is_size(value: Any) -> bool:
    """A whole number of regions or periods, numpy's included."""
    return bool(isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= 1)


def say_sizes(results: Sequence[PowerResult]) -> str:
    """ "30 regions × 5 periods: 0.09; …" for messages."""
    return "; ".join(f"{r.n_regions} regions × {r.n_periods} periods: {r.power:.2f}" for r in results)
