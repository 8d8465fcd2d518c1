"""The answer to "how many regions and years do I need?", in one sentence and in numbers. `spillover power` shows it."""

from __future__ import annotations

import math
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from typing import Any

from spillover.errors import OptionError
from spillover.simulation.designs import size_of, weights_of
from spillover.simulation.estimators import Estimator
from spillover.simulation.power import (
    PowerQuestion,
    PowerResult,
    compute_power,
    simulate_power,
    without_closed_form,
)
from spillover.simulation.power_grid import PowerGrid, power_grid
from spillover.simulation.power_search import Along, SizeSearch, find_size, usual_limits
from spillover.simulation.recovery_file import without_nan
from spillover.simulation.recovery_round import Truths
from spillover.typing import Progress, no_progress
from spillover.weights.weights import SpatialWeights

ROUNDS = 200
"""Panels of each design where there is no closed form and no other number is asked for."""

LARGEST_DRAWN = 20_000_000
"""Regions × periods × panels that are drawn without being asked for: about an hour."""

_WORDS = {
    "indirect": "a spillover",
    "direct": "a direct effect",
    "total": "a total effect",
    "rho": "a spatial lag coefficient ρ",
}
_SHARES = {
    "share of own": "the effect at home",
    "share of spillover": "the spillover",
    "share of total": "the total effect",
}
_UNITS = {"n_regions": "regions", "n_periods": "years"}
_OTHERS = {"n_regions": "the same years", "n_periods": "the same regions"}


@dataclass(frozen=True)
class PowerAnswer:
    """Power of a design, what it would take, and optionally drawn panels and a grid.

    Attributes
    ----------
    closed : power in closed form, or None where there is none. drawn : the same by drawn panels, or None.
    searches : the smallest number of years, and of regions where they are cheap to vary. grid : power by design.
    reasons : why there is no closed form, in words.
    """

    closed: PowerResult | None
    drawn: PowerResult | None
    searches: tuple[SizeSearch, ...]
    grid: PowerGrid | None
    reasons: tuple[str, ...] = ()

    @property
    def best(self) -> PowerResult:
        """By drawn panels where there are any, else in closed form."""
        found = self.drawn or self.closed
        assert found is not None
        return found

    @property
    def sentence(self) -> str:
        """The answer in words."""
        return power_sentence(self.best, self.searches)

    def text(self) -> str:
        """The answer for the screen."""
        lines = [self.sentence, ""]
        if self.closed is not None:
            lines.append(_numbers_in_words(self.closed) + " (closed form)")
        else:
            lines.append(f"no closed form: {'; '.join(self.reasons)}. Panels were drawn and estimated instead.")
            lines.append(_numbers_in_words(self.best))
        if self.drawn is not None and self.drawn.power_low is not None:
            lost = self.drawn.refused
            refused = f"; {lost} more {'was' if lost == 1 else 'were'} refused" if lost else ""
            error = f"standard error {self.drawn.std_error:.3g}, " if math.isfinite(self.drawn.std_error) else ""
            lines.append(
                f"{self.drawn.panels} drawn panels: {error}power {self.drawn.power:.2f} "
                f"(95 % band {self.drawn.power_low:.2f}–{self.drawn.power_high:.2f}){refused}"
            )
        lines += ["", self.grid.to_markdown()] if self.grid is not None else []
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON; null where there is no number."""
        return {
            "sentence": self.sentence,
            "closed_form": None if self.closed is None else without_nan(asdict(self.closed)),
            "no_closed_form": list(self.reasons),
            "drawn": None if self.drawn is None else without_nan(asdict(self.drawn)),
            "searches": [without_nan(asdict(search)) for search in self.searches],
            "grid": [] if self.grid is None else [without_nan(asdict(result)) for result in self.grid.results],
        }


def answer_power(
    config: Any,
    question: PowerQuestion | None = None,
    *,
    rounds: int = 0,
    grid_regions: tuple[int, ...] = (),
    grid_periods: tuple[int, ...] = (),
    estimator: Estimator | None = None,
    truths: Truths | None = None,
    seed: int = 1,
    executor: Executor | None = None,
    progress: Progress = no_progress,
) -> PowerAnswer:
    """Power of a design and the smallest designs that reach the target.

    Parameters
    ----------
    config, question : the design and what is to be seen.
    rounds : draw so many panels of the design. Beside a closed form they are a check; where there is none every number
        comes from drawn panels, 200 of each design unless said otherwise.
    grid_regions, grid_periods : also a grid of designs; the target must be reached on it.
    estimator, truths : of drawn panels, as in `simulate_power`.

    Raises OptionError as `simulate_power` does; and when no design of the grid reaches the target.
    """
    question = question or PowerQuestion()
    reasons = without_closed_form(config, question, estimator)
    if reasons and not rounds:
        _require_feasible(config)
    each = (rounds or ROUNDS) if reasons else 0
    common: dict[str, Any] = {"estimator": estimator, "truths": truths, "seed": seed, "executor": executor}
    progress("the design itself", 0.0)
    first = compute_power(config, question, rounds=each, **common)
    grid = None
    if grid_regions or grid_periods:
        n_regions, n_periods = size_of(config)
        chosen = (grid_regions or (n_regions,), grid_periods or (n_periods,))
        grid = power_grid(config, *chosen, question, rounds=each, progress=progress, **common).require(question.target)
    searches = () if first.reached or first.value == 0 else _searches(config, question, each, common, progress)
    if reasons:
        return PowerAnswer(None, first, searches, grid, tuple(reasons))
    drawn = None
    if rounds:
        drawn = simulate_power(config, question, rounds=rounds, progress=progress, **{**common, "estimator": None})
    return PowerAnswer(first, drawn, searches, grid)


def _require_feasible(config: Any) -> None:
    """Refuse to draw hundreds of panels that nobody asked for when they would take hours."""
    n, t = size_of(config)
    if n * t * ROUNDS > LARGEST_DRAWN:
        raise OptionError(
            "this design has no closed form, and drawing it by default would take hours",
            got=f"{ROUNDS} panels of {n} regions × {t} periods",
            fix="say how many panels to draw (rounds), or ask for a smaller design",
        )


def _searches(
    config: Any, question: PowerQuestion, rounds: int, common: dict[str, Any], progress: Progress
) -> tuple[SizeSearch, ...]:
    """Along years; along regions too where that is a matter of the closed form."""
    ways: tuple[Along, ...] = ("n_periods", "n_regions")
    if rounds or isinstance(weights_of(config), SpatialWeights):
        ways = ("n_periods",)
    found = []
    for way in ways:
        low, high = usual_limits(config, way)
        if rounds:  # the design itself does not reach the target, so fewer years do not either
            low = max(low, size_of(config)[1])
        found.append(find_size(config, question, way, limits=(low, high), rounds=rounds, progress=progress, **common))
    return tuple(found)


def _numbers_in_words(result: PowerResult) -> str:
    detectable = (
        f"; {100 * result.target:g} % power would see {result.detectable:.3g} or more"
        if math.isfinite(result.detectable)
        else ""
    )
    error = f", standard error {result.std_error:.3g}" if math.isfinite(result.std_error) else ""
    return f"true value {result.value:.3g}{error}, power {result.power:.2f} at {100 * result.alpha:g} %{detectable}"


def power_sentence(result: PowerResult, searches: tuple[SizeSearch, ...] = ()) -> str:
    """ "With 30 regions and 10 years a spillover of 0.33 is seen in 19 of 100 samples; 80 of 100 need 40 years …"."""
    seen = _in_hundred(result.power)
    start = (
        f"With {result.n_regions} regions and {result.n_periods} year{'s' * (result.n_periods > 1)} {_what(result)} is "
        f"seen in {seen} of 100 samples"
    )
    if result.value == 0:
        return f"The true value is 0: there is nothing to see, and {seen} of 100 samples show something by chance."
    if result.reached:
        return f"{start}: enough for the target of {100 * result.target:.4g}."
    found = [search for search in searches if search.size is not None]
    if found:
        needs = [
            f"{_about(search)}{search.size} {_UNITS[search.along]} with {_OTHERS[search.along]}" for search in found
        ]
        lost = [
            f"no number of {_UNITS[search.along]} up to {search.limits[1]} with {_OTHERS[search.along]} is enough"
            for search in searches
            if search.size is None
        ]
        return "; ".join([start, f"{100 * result.target:.4g} of 100 need {' or '.join(needs)}", *lost]) + "."
    if not searches:
        return f"{start}."
    tried = " and ".join(
        f"up to {search.limits[1]} {_UNITS[search.along]} with {_OTHERS[search.along]} (at best "
        f"{_in_hundred(search.best.power)})"
        for search in searches
    )
    return f"{start}; nothing that was tried reaches {100 * result.target:.4g} of 100: {tried}."


def _what(result: PowerResult) -> str:
    """ "a spillover of 0.33", "a share of 46 % of the spillover through talent", ….

    >>> from types import SimpleNamespace
    >>> _what(SimpleNamespace(effect="shift: W*x", value=0.5))
    'a threshold beyond which the coefficient of W*x differs by 0.5'
    """
    kind, _, name = result.effect.partition(": ")
    if kind in _SHARES and name:
        return f"a share of {100 * result.value:.0f} % of {_SHARES[kind]} through {name}"
    if kind == "shift" and name:
        return f"a threshold beyond which the coefficient of {name} differs by {result.value:.2g}"
    return f"{_WORDS.get(result.effect, result.effect)} of {result.value:.2g}"


def _about(search: SizeSearch) -> str:
    return "about " if search.tried[0].panels else ""


def _in_hundred(power: float) -> str:
    rounded = round(100 * float(f"{power:.2f}"))  # as the figures below the sentence are rounded
    return "more than 99" if rounded == 100 and power < 1 else f"{rounded}"
