"""Power before data: how many regions and years show an effect of this size, in closed form and by simulation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from scipy import stats
from scipy.optimize import brentq

from spillover.errors import OptionError, check_option, show_labels
from spillover.simulation.estimators import Estimator, FitEstimator
from spillover.simulation.expected import expected_estimates
from spillover.simulation.harness import recover_estimator
from spillover.simulation.spatial_config import (
    DURBIN_MODELS,
    ERROR_MODELS,
    LAG_MODELS,
    SpatialPanelConfig,
    SyntheticWeights,
)
from spillover.typing import Progress, no_progress
from spillover.weights.weights import SpatialWeights

if TYPE_CHECKING:
    import pandas as pd

EffectName = Literal["direct", "indirect", "total", "rho"]
PowerCovariance = Literal["default", "information", "cluster"]
Along = Literal["n_regions", "n_periods"]

LIMITS: dict[str, tuple[int, int]] = {"n_periods": (3, 60), "n_regions": (10, 1000)}
"""The sizes among which `find_size` looks by default."""

_SURE = 12.0
"""Standard errors from zero at which every test rejects: power is 1 to 1e-10 from four degrees of freedom on."""


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

    Raises OptionError with every inadmissible value at once.
    """

    effect: EffectName = "indirect"
    variable: str | None = None
    alpha: float = 0.05
    target: float = 0.8
    covariance: PowerCovariance = "default"

    def __post_init__(self) -> None:
        rules = {
            f"effect = {self.effect!r} is not one of {', '.join(get_args(EffectName))}": self.effect
            not in get_args(EffectName),
            f"covariance = {self.covariance!r} is not one of {', '.join(get_args(PowerCovariance))}": self.covariance
            not in get_args(PowerCovariance),
            f"alpha = {self.alpha!r} is not a share between 0 and 1": not 0 < self.alpha < 1,
            f"target = {self.target!r} is not a share between alpha and .9999": not self.alpha < self.target <= 0.9999,
        }
        problems = [problem for problem, broken in rules.items() if broken]
        if problems:
            raise OptionError("power cannot be asked like this", got="; ".join(problems), fix="PowerQuestion() works")

    def term(self, config: SpatialPanelConfig) -> str:
        """Name of the estimate, checked against the configuration."""
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

    def degrees(self, config: SpatialPanelConfig) -> float | None:
        """Of the t distribution of the test; None for the normal."""
        clustered = self.covariance == "cluster" or (self.covariance == "default" and config.has_region_effects)
        return float(config.n_regions - 1) if clustered else None


@dataclass(frozen=True)
class PowerResult:
    """Power of one design.

    Attributes
    ----------
    effect, variable, value : what is to be seen, and its true size.
    std_error : in closed form, or the mean reported one of the drawn panels.
    power : share of samples in which it is seen; power_low, power_high its 95 % band, where panels were drawn.
    detectable : the size that would be seen with power `target`, at this standard error.
    panels : drawn, 0 for the closed form.
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

    @property
    def reached(self) -> bool:
        """Whether the target is met."""
        return self.power >= self.target


def compute_power(config: SpatialPanelConfig, question: PowerQuestion | None = None) -> PowerResult:
    """Power and minimum detectable effect in closed form, from the expected information at the truth.

    Parameters
    ----------
    config : the design: model, sizes, coefficients, regressors, W. question : what is to be seen; the spillover of the
        first regressor by default.

    Raises
    ------
    OptionError : designs without a closed form (each reason named); an effect or variable that is not there.

    Notes
    -----
    The Wald statistic is taken as noncentral t (or normal). For a handful of regions and years indirect effects are
    skewed, and their power in samples is a few points away; `simulate_power` checks it. Cost: n³ once per map, nothing
    per number of periods.

    Examples
    --------
    >>> from spillover.simulation.spatial_panel import Regressor
    >>> x = Regressor("x0", 0.3, 0.15, persistence=0.8)
    >>> result = compute_power(SpatialPanelConfig("sdm", 100, 10, regressors=(x,), rho=0.3))
    >>> round(result.std_error, 2), 0.5 < result.power < 0.65
    (0.15, True)
    """
    question = question or PowerQuestion()
    term = question.term(config)
    estimates = expected_estimates(config)
    at = estimates.index(term)
    value, error = float(estimates.values[at]), float(estimates.std_errors[at])
    return _result(config, question, value, error, rejection(value / error, question.alpha, question.degrees(config)))


def simulate_power(
    config: SpatialPanelConfig,
    question: PowerQuestion | None = None,
    *,
    rounds: int = 400,
    seed: int = 1,
    estimator: Estimator | None = None,
    executor: Executor | None = None,
    progress: Progress = no_progress,
) -> PowerResult:
    """Power by drawing and estimating `rounds` panels of any configuration, with any estimator.

    estimator : `spillover.fit` of the configured model by default. Otherwise as `recover_estimator`.
    """
    question = question or PowerQuestion()
    table = recover_estimator(
        config,
        estimator or default_estimator(config, question),
        rounds=rounds,
        seed=seed,
        level=1.0 - question.alpha,
        executor=executor,
        progress=progress,
    )
    line = table.line(question.term(config))
    found = _result(config, question, line.truth, line.mean_std_error, line.rejected)
    return replace(found, panels=line.rounds, power_low=line.rejected_low, power_high=line.rejected_high)


def default_estimator(config: SpatialPanelConfig, question: PowerQuestion) -> FitEstimator:
    """`spillover.fit` of the model that the configuration has."""
    own = config.weights_error if isinstance(config.weights_error, SpatialWeights) else None
    if config.counts or config.is_dynamic or (config.weights_error is not None and own is None):
        raise OptionError(
            "this configuration has no ready estimator",
            fix="give estimator=… (simulation.estimators), or weights_error as a SpatialWeights",
        )
    return FitEstimator(
        config.formula,
        config.model,
        config.effects,
        covariances=(question.covariance,),
        weights_error=own if config.model in ERROR_MODELS else None,
    )


def rejection(shift: float, alpha: float, df: float | None) -> float:
    """P(|statistic| > critical value) for a mean shift of the statistic, two-sided.

    >>> round(rejection(2.8016, 0.05, None), 3), round(rejection(0.0, 0.05, 29.0), 3)
    (0.8, 0.05)
    """
    if df is None:
        cut = stats.norm.isf(alpha / 2.0)
        return float(stats.norm.sf(cut - shift) + stats.norm.cdf(-cut - shift))
    cut, shift = stats.t.isf(alpha / 2.0, df), min(abs(shift), _SURE)
    wrong = stats.nct.cdf(-cut, df, shift) if shift < _SURE / 2 else 0.0  # below 1e-9, where scipy gives nan
    return float(stats.nct.sf(cut, df, shift) + wrong)


@lru_cache(maxsize=256)
def detectable_shift(alpha: float, target: float, df: float | None) -> float:
    """Standard errors away from zero at which the test has its target power: 2.80 for 5 % and 80 %.

    >>> round(detectable_shift(0.05, 0.8, None), 2)
    2.8
    """
    return float(brentq(lambda shift: rejection(shift, alpha, df) - target, 0.0, _SURE, xtol=1e-10))


def _result(
    config: SpatialPanelConfig, question: PowerQuestion, value: float, error: float, power: float
) -> PowerResult:
    variable = "" if question.effect == "rho" else question.term(config).split(": ", 1)[1]
    return PowerResult(
        effect=question.effect,
        variable=variable,
        n_regions=config.n_regions,
        n_periods=config.n_periods,
        value=value,
        std_error=error,
        power=power,
        detectable=error * detectable_shift(question.alpha, question.target, question.degrees(config)),
        alpha=question.alpha,
        target=question.target,
    )


# -- the smallest design ------------------------------------------------------------------------------


@dataclass(frozen=True)
class SizeSearch:
    """The smallest number of regions or periods that reaches the target.

    Attributes
    ----------
    along : "n_regions" or "n_periods". limits : the sizes looked at.
    size : the smallest one that reaches the target, or None. tried : results by size, in increasing order.
    checked : the same design by drawn panels, where asked for.
    """

    along: Along
    limits: tuple[int, int]
    target: float
    size: int | None
    tried: tuple[PowerResult, ...]
    checked: PowerResult | None = None

    @property
    def best(self) -> PowerResult:
        """The result with the highest power."""
        return max(self.tried, key=lambda result: result.power)

    def require(self) -> SizeSearch:
        """Itself; OptionError with what was tried where no size reaches the target."""
        if self.size is not None:
            return self
        word = "regions" if self.along == "n_regions" else "periods"
        sizes = [f"{getattr(result, self.along)} {word}: {result.power:.2f}" for result in self.tried]
        best = self.best
        raise OptionError(
            f"no design on the grid reaches a power of {self.target:g}",
            got=f"{show_labels(sizes, 12)}; {best.n_regions} regions × {best.n_periods} periods come closest, "
            f"and would see {best.detectable:.3g} where the truth is {best.value:.3g}",
            expected=f"a number of {word} between {self.limits[0]} and {self.limits[1]}",
            fix="look further with limits=…, along the other size, for a larger effect or a lower target",
        )


def _usual_limits(config: SpatialPanelConfig, along: Along) -> tuple[int, int]:
    """`LIMITS`, from the fewest regions that have as many neighbours as the map asks for."""
    low, high = LIMITS[along]
    if along == "n_regions" and isinstance(config.weights, SyntheticWeights) and config.weights.kind == "knn":
        low = max(low, config.weights.neighbours + 1)
    return low, high


def find_size(
    config: SpatialPanelConfig,
    question: PowerQuestion | None = None,
    along: Along = "n_periods",
    *,
    limits: tuple[int, int] | None = None,
    check_rounds: int = 0,
    seed: int = 1,
    executor: Executor | None = None,
) -> SizeSearch:
    """The smallest number of periods (or regions) with the target power, by bisection on the closed form.

    Parameters
    ----------
    along : what varies; the other size stays as configured. limits : smallest and largest size, both included.
    check_rounds : draw so many panels of the design that was found; 0 for none.

    Returns
    -------
    SizeSearch; its `size` is None where the largest size does not reach the target (`.require()` then says what was
    tried). Along regions every size has its own synthetic map, so that power rises with small steps back.

    Raises OptionError for a given W along regions, and for limits that are no range.
    """
    question = question or PowerQuestion()
    check_option("along", along, get_args(Along))
    limits = limits or _usual_limits(config, along)
    _check_limits(config, along, limits)
    tried: dict[int, PowerResult] = {}

    def reaches(size: int) -> bool:
        tried[size] = compute_power(_sized(config, along, size), question)
        return tried[size].reached

    size = _smallest(reaches, *limits)
    checked = None
    if size is not None and check_rounds:
        design = _sized(config, along, size)
        checked = simulate_power(design, question, rounds=check_rounds, seed=seed, executor=executor)
    results = tuple(tried[each] for each in sorted(tried))
    return SizeSearch(along, limits, question.target, size, results, checked)


def _sized(config: SpatialPanelConfig, along: Along, size: int) -> SpatialPanelConfig:
    return config.with_changes(**{along: size})


def _smallest(reaches: Callable[[int], bool], low: int, high: int) -> int | None:
    """Bisection: the sizes just above and below the crossing have been tried. None when `high` does not reach."""
    if not reaches(high):
        reaches(low)
        return None
    if reaches(low):
        return low
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high


def _check_limits(config: SpatialPanelConfig, along: Along, limits: tuple[int, int]) -> None:
    if along == "n_regions" and isinstance(config.weights, SpatialWeights):
        raise OptionError(
            "a given W has its number of regions",
            got=f"{config.n_regions} regions",
            fix='search along="n_periods", or use SyntheticWeights',
        )
    low, high = limits
    whole = all(isinstance(limit, int | np.integer) and not isinstance(limit, bool) for limit in limits)
    if not whole or not 1 <= low < high:
        raise OptionError("limits are no range of sizes", got=str(limits), expected="(smallest, largest)")


# -- curves and surfaces ------------------------------------------------------------------------------


@dataclass(frozen=True)
class PowerGrid:
    """Power over designs: every number of regions with every number of periods."""

    results: tuple[PowerResult, ...]

    def to_frame(self) -> pd.DataFrame:
        """One row per design, the columns of `PowerResult`."""
        import pandas as pd

        return pd.DataFrame([asdict(result) for result in self.results])

    def at(self, n_regions: int, n_periods: int) -> PowerResult:
        """The result of one design."""
        for result in self.results:
            if (result.n_regions, result.n_periods) == (n_regions, n_periods):
                return result
        raise OptionError("this design is not on the grid", got=f"{n_regions} regions × {n_periods} periods")

    def to_markdown(self) -> str:
        """Regions down, periods across; power as a share, with half the width of its band where panels were drawn."""
        periods = sorted({result.n_periods for result in self.results})
        rows = ["| regions | " + " | ".join(f"{t} periods" for t in periods) + " |", "|" + "---|" * (len(periods) + 1)]
        for n in sorted({result.n_regions for result in self.results}):
            cells = " | ".join(_cell(self.at(n, t)) for t in periods)
            rows.append(f"| {n} | {cells} |")
        return "\n".join(rows)


def _cell(result: PowerResult) -> str:
    text = f"{result.power:.2f}"
    if result.power_low is None or result.power_high is None:
        return text
    return f"{text} ± {(result.power_high - result.power_low) / 2:.2f}"


def power_grid(
    config: SpatialPanelConfig,
    n_regions: Sequence[int],
    n_periods: Sequence[int],
    question: PowerQuestion | None = None,
    *,
    rounds: int = 0,
    seed: int = 1,
    executor: Executor | None = None,
    progress: Progress = no_progress,
) -> PowerGrid:
    """Power of every design; in closed form, or by drawing `rounds` panels of each.

    The designs of a simulated grid share their seed, and each round has its own child of it.
    """
    question = question or PowerQuestion()
    designs = [config.with_changes(n_regions=n, n_periods=t) for n in n_regions for t in n_periods]
    _check_grid(config, n_regions, n_periods)
    results = []
    for i, design in enumerate(designs):
        progress(f"{design.n_regions} regions × {design.n_periods} periods", i / len(designs))
        if rounds:
            results.append(simulate_power(design, question, rounds=rounds, seed=seed, executor=executor))
        else:
            results.append(compute_power(design, question))
    return PowerGrid(tuple(results))


def _check_grid(config: SpatialPanelConfig, n_regions: Iterable[int], n_periods: Iterable[int]) -> None:
    if not list(n_regions) or not list(n_periods):
        raise OptionError("a grid needs one number of regions and of periods, or more")
    if isinstance(config.weights, SpatialWeights) and set(n_regions) != {config.n_regions}:
        raise OptionError(
            "a given W has its number of regions", got=show_labels(n_regions), expected=str(config.n_regions)
        )
