"""The smallest number of regions or periods that reaches a power: by bisection, in closed form or on drawn panels."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Literal, get_args

from spillover.errors import DesignError, EstimationError, OptionError, check_option, show_labels
from spillover.simulation.designs import resize, size_of, weights_of
from spillover.simulation.estimators import Estimator
from spillover.simulation.power import PowerQuestion, PowerResult, compute_power, is_size, simulate_power
from spillover.simulation.recovery_round import Truths
from spillover.simulation.spatial_config import SpatialPanelConfig, SyntheticWeights
from spillover.simulation.spatial_world import DENSE_LIMIT
from spillover.typing import Progress, no_progress
from spillover.weights.weights import SpatialWeights

Along = Literal["n_regions", "n_periods"]

LIMITS: dict[str, tuple[int, int]] = {"n_periods": (3, 60), "n_regions": (10, 1000)}
"""The sizes among which `find_size` looks by default; at least up to twice the size of the design."""


@dataclass(frozen=True)
class SizeSearch:
    """The smallest number of regions or periods that reaches the target.

    Attributes
    ----------
    along : "n_regions" or "n_periods". limits : the sizes looked at.
    size : the smallest one that reaches the target, or None. tried : results by size, in increasing order.
    checked : the same design by drawn panels, where asked for.
    refused : sizes that are too small for the model or its estimator.
    """

    along: Along
    limits: tuple[int, int]
    target: float
    size: int | None
    tried: tuple[PowerResult, ...]
    checked: PowerResult | None = None
    refused: tuple[int, ...] = ()

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
            got=f"{show_labels(sizes, 12)}; {best.n_regions} regions × {best.n_periods} periods come closest"
            + best.say_detectable(f", and would see {{:.3g}} where the truth is {best.value:.3g}"),
            expected=f"a number of {word} between {self.limits[0]} and {self.limits[1]}",
            fix="look further with limits=…, along the other size, for a larger effect or a lower target",
        )


def find_size(
    config: Any,
    question: PowerQuestion | None = None,
    along: Along = "n_periods",
    *,
    limits: tuple[int, int] | None = None,
    rounds: int = 0,
    estimator: Estimator | None = None,
    truths: Truths | None = None,
    check_rounds: int = 0,
    seed: int = 1,
    executor: Executor | None = None,
    progress: Progress = no_progress,
) -> SizeSearch:
    """The smallest number of periods (or regions) with the target power, by bisection.

    Parameters
    ----------
    along : what varies; the other size stays as configured. limits : smallest and largest size, both included.
    rounds : draw so many panels at every size that is tried; 0 uses the closed form. The answer then has the Monte
        Carlo error of its power (near 80 % a standard error of .02 with 400 panels), and is sought to a tenth only.
    estimator, truths : of drawn panels, as in `simulate_power`.
    check_rounds : draw so many panels of the design that was found; 0 for none.

    Returns
    -------
    SizeSearch; its `size` is None where the largest size does not reach the target (`.require()` then says what was
    tried). Along regions every size has its own synthetic map, so that power rises with small steps back.

    Raises
    ------
    ConfigurationError : without `rounds`, designs without a closed form. OptionError : a given W along regions, limits
        that are no range. EstimationError : no size of the range could be estimated.
    """
    question = question or PowerQuestion()
    check_option("along", along, get_args(Along))
    limits = limits or usual_limits(config, along)
    _check_limits(config, along, limits)
    tried: dict[int, PowerResult] = {}
    refused: list[int] = []

    def reaches(size: int) -> bool:
        design = resize(config, **{along: size})
        progress(f"{along.removeprefix('n_')}: {size}", (len(tried) + len(refused)) / 12)
        try:
            tried[size] = compute_power(
                design, question, rounds=rounds, estimator=estimator, truths=truths, seed=seed, executor=executor
            )
        except (EstimationError, DesignError, OptionError):
            if size == limits[1]:
                raise
            refused.append(size)  # too small for the model or its estimator, hence not enough
            return False
        return tried[size].reached

    size = _smallest(reaches, *limits, coarse=bool(rounds))
    checked = None
    if size is not None and check_rounds:
        checked = simulate_power(
            resize(config, **{along: size}),
            question,
            rounds=check_rounds,
            seed=seed,
            estimator=estimator,
            truths=truths,
            executor=executor,
        )
    results = tuple(tried[each] for each in sorted(tried))
    return SizeSearch(along, limits, question.target, size, results, checked, tuple(sorted(refused)))


def usual_limits(config: Any, along: Along) -> tuple[int, int]:
    """`LIMITS`, from the fewest regions that have as many neighbours as the map asks for, to twice the design."""
    low, high = LIMITS[along]
    n_regions, n_periods = size_of(config)
    if along == "n_periods":
        return low, max(high, 2 * n_periods)
    weights = weights_of(config)
    if isinstance(weights, SyntheticWeights) and weights.kind == "knn":
        low = max(low, weights.neighbours + 2)  # one more than a map on which everybody is linked to everybody
    most = DENSE_LIMIT if isinstance(config, SpatialPanelConfig) else 2 * n_regions
    return low, max(high, min(2 * n_regions, most))


def _smallest(reaches: Callable[[int], bool], low: int, high: int, coarse: bool = False) -> int | None:
    """Bisection: the sizes just above and below the crossing have been tried; `coarse` stops at a tenth between them.

    None when `high` does not reach.
    """
    if not reaches(high):
        reaches(low)
        return None
    if reaches(low):
        return low
    while high - low > max(1, 0.1 * high * coarse):
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high


def _check_limits(config: Any, along: Along, limits: tuple[int, int]) -> None:
    if along == "n_regions" and isinstance(weights_of(config), SpatialWeights):
        raise OptionError(
            "a given W has its number of regions",
            got=f"{size_of(config)[0]} regions",
            fix='search along="n_periods", or use SyntheticWeights',
        )
    if not (isinstance(limits, tuple) and len(limits) == 2 and all(map(is_size, limits)) and limits[0] < limits[1]):
        raise OptionError("limits are no range of sizes", got=str(limits), expected="(smallest, largest)")
