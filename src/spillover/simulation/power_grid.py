"""Power over designs: every number of regions with every number of periods."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from spillover.errors import OptionError, show_labels
from spillover.simulation.admissible import Problems, refuse_problems
from spillover.simulation.designs import resize, size_of, weights_of
from spillover.simulation.estimators import Estimator
from spillover.simulation.power import PowerQuestion, PowerResult, compute_power, is_size, say_sizes
from spillover.simulation.recovery_round import Truths
from spillover.typing import Progress, no_progress
from spillover.weights.weights import SpatialWeights

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class PowerGrid:
    """Power of every design of a grid."""

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

    def require(self, target: float) -> PowerGrid:
        """Itself; OptionError with everything that was tried when no design reaches the target."""
        if any(result.reached for result in self.results):
            return self
        best = max(self.results, key=lambda result: result.power)
        raise OptionError(
            f"no design on the grid reaches a power of {target:g}",
            got=say_sizes(self.results),
            expected=f"a design that sees {best.value:.3g}"
            + best.say_detectable("; the best of these would see {:.3g}"),
            fix="try more regions or periods, a larger effect or a lower target",
        )

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
    config: Any,
    n_regions: Sequence[int],
    n_periods: Sequence[int],
    question: PowerQuestion | None = None,
    *,
    rounds: int = 0,
    estimator: Estimator | None = None,
    truths: Truths | None = None,
    seed: int = 1,
    executor: Executor | None = None,
    progress: Progress = no_progress,
) -> PowerGrid:
    """Power of every design; in closed form, or by drawing `rounds` panels of each.

    The designs of a simulated grid share their seed, and each round has its own child of it.

    Raises
    ------
    OptionError : sizes that are none, a given W with another number of regions; then as `compute_power`.
    """
    question = question or PowerQuestion()
    _check_grid(config, n_regions, n_periods)
    problems = Problems()
    sizes = [(n, t) for n in n_regions for t in n_periods]
    designs = [problems.attempt(resize, config, n_regions=n, n_periods=t) for n, t in sizes]
    refuse_problems("the grid has", list(dict.fromkeys(problems.found)))
    results = []
    for i, ((n, t), design) in enumerate(zip(sizes, designs, strict=True)):
        progress(f"{n} regions × {t} periods", i / len(designs))
        results.append(
            compute_power(
                design, question, rounds=rounds, estimator=estimator, truths=truths, seed=seed, executor=executor
            )
        )
    return PowerGrid(tuple(results))


def _check_grid(config: Any, n_regions: Sequence[int], n_periods: Sequence[int]) -> None:
    if not list(n_regions) or not list(n_periods):
        raise OptionError("a grid needs one number of regions and of periods, or more")
    bad = [size for size in (*n_regions, *n_periods) if not is_size(size)]
    if bad:
        raise OptionError("sizes of a grid are whole numbers of 1 or more", got=show_labels(bad))
    if isinstance(weights_of(config), SpatialWeights) and set(n_regions) != {size_of(config)[0]}:
        raise OptionError(
            "a given W has its number of regions", got=show_labels(n_regions), expected=str(size_of(config)[0])
        )
