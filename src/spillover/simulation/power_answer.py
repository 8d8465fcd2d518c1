"""The answer to "how many regions and years do I need?", in one sentence and in numbers. `spillover power` shows it."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from typing import Any

from spillover.errors import OptionError
from spillover.simulation.power import (
    Along,
    PowerGrid,
    PowerQuestion,
    PowerResult,
    SizeSearch,
    compute_power,
    find_size,
    power_grid,
    simulate_power,
)
from spillover.simulation.spatial_config import SpatialPanelConfig
from spillover.typing import Progress, no_progress
from spillover.weights.weights import SpatialWeights

_WORDS = {
    "indirect": "a spillover",
    "direct": "a direct effect",
    "total": "a total effect",
    "rho": "a spatial lag coefficient ρ",
}
_UNITS = {"n_regions": "regions", "n_periods": "years"}
_OTHERS = {"n_regions": "the same years", "n_periods": "the same regions"}


@dataclass(frozen=True)
class PowerAnswer:
    """Power of a design, what it would take, and optionally drawn panels and a grid.

    Attributes
    ----------
    closed : power in closed form. drawn : the same by drawn panels, or None.
    searches : the smallest number of years, and of regions where W is synthetic. grid : power by design, or None.
    """

    closed: PowerResult
    drawn: PowerResult | None
    searches: tuple[SizeSearch, ...]
    grid: PowerGrid | None

    @property
    def sentence(self) -> str:
        """The answer in words."""
        return power_sentence(self.drawn or self.closed, self.searches)

    def text(self) -> str:
        """The answer for the screen."""
        closed = self.closed
        lines = [
            self.sentence,
            "",
            f"effect {closed.value:.3g}, standard error {closed.std_error:.3g}, "
            f"power {closed.power:.2f} at {100 * closed.alpha:g} %; "
            f"{100 * closed.target:g} % power would see {closed.detectable:.3g} or more (closed form)",
        ]
        if self.drawn is not None and self.drawn.power_low is not None:
            lines.append(
                f"{self.drawn.panels} drawn panels: standard error {self.drawn.std_error:.3g}, power "
                f"{self.drawn.power:.2f} (95 % band {self.drawn.power_low:.2f}–{self.drawn.power_high:.2f})"
            )
        lines += ["", self.grid.to_markdown()] if self.grid is not None else []
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON."""
        return {
            "sentence": self.sentence,
            "closed_form": asdict(self.closed),
            "drawn": None if self.drawn is None else asdict(self.drawn),
            "searches": [asdict(search) for search in self.searches],
            "grid": [] if self.grid is None else [asdict(result) for result in self.grid.results],
        }


def answer_power(
    config: SpatialPanelConfig,
    question: PowerQuestion | None = None,
    *,
    rounds: int = 0,
    grid_regions: tuple[int, ...] = (),
    grid_periods: tuple[int, ...] = (),
    seed: int = 1,
    executor: Executor | None = None,
    progress: Progress = no_progress,
) -> PowerAnswer:
    """Power of a design and the smallest designs that reach the target.

    Parameters
    ----------
    config, question : the design and what is to be seen. rounds : draw so many panels of the design as a check.
    grid_regions, grid_periods : also a grid of designs, in closed form; the target must be reached on it.

    Raises OptionError as `compute_power` does; and when no design of the grid reaches the target.
    """
    question = question or PowerQuestion()
    closed = compute_power(config, question)
    ways: tuple[Along, ...] = ("n_periods",) if config.is_dynamic else ("n_periods", "n_regions")
    if isinstance(config.weights, SpatialWeights):
        ways = ("n_periods",)
    progress("searching for the smallest design", 0.1)
    searches = () if closed.reached else tuple(find_size(config, question, way) for way in ways)
    grid = None
    if grid_regions or grid_periods:
        chosen = (grid_regions or (config.n_regions,), grid_periods or (config.n_periods,))
        grid = power_grid(config, *chosen, question, progress=progress)
        require_reached(grid, question)
    drawn = None
    if rounds:
        drawn = simulate_power(config, question, rounds=rounds, seed=seed, executor=executor, progress=progress)
    return PowerAnswer(closed, drawn, searches, grid)


def require_reached(grid: PowerGrid, question: PowerQuestion) -> None:
    """Raise OptionError, with what was tried, when no design of a grid reaches the target."""
    if any(result.reached for result in grid.results):
        return
    tried = (f"{r.n_regions} regions × {r.n_periods} periods: {r.power:.2f}" for r in grid.results)
    raise OptionError(
        f"no design on the grid reaches a power of {question.target:g}",
        got="; ".join(tried),
        fix="try more regions or periods, a larger effect or a lower target",
    )


def power_sentence(result: PowerResult, searches: tuple[SizeSearch, ...] = ()) -> str:
    """ "With 30 regions and 10 years a spillover of 0.33 is seen in 19 of 100 samples; 80 of 100 need 40 years …"."""
    seen = _in_hundred(result.power)
    start = (
        f"With {result.n_regions} regions and {result.n_periods} years {_WORDS[result.effect]} of {result.value:.2g} "
        f"is seen in {seen} of 100 samples"
    )
    if result.reached:
        return f"{start}: enough for the target of {100 * result.target:.3g}."
    found = [search for search in searches if search.size is not None]
    if found:
        needs = [f"{search.size} {_UNITS[search.along]} with {_OTHERS[search.along]}" for search in found]
        lost = [
            f"no number of {_UNITS[search.along]} up to {search.limits[1]} with {_OTHERS[search.along]} is enough"
            for search in searches
            if search.size is None
        ]
        return "; ".join([start, f"{100 * result.target:.3g} of 100 need {' or '.join(needs)}", *lost]) + "."
    if not searches:
        return f"{start}."
    tried = " and ".join(
        f"up to {search.limits[1]} {_UNITS[search.along]} with {_OTHERS[search.along]} (at best "
        f"{_in_hundred(search.best.power)})"
        for search in searches
    )
    return f"{start}; nothing that was tried reaches {100 * result.target:.3g} of 100: {tried}."


def _in_hundred(power: float) -> str:
    rounded = round(100 * power)
    return "more than 99" if rounded == 100 and power < 1 else f"{rounded}"
