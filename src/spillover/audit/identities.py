"""Variables that are bound to each other by arithmetic: parts of sums, and variables that two expressions share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from spillover.errors import SpilloverError
from spillover.models.formula import evaluate_term
from spillover.panel.expressions import names_in
from spillover.panel.panel import Panel
from spillover.typing import FloatArray

EXACT = 1e-6  # of the whole, in every cell: rounding in published tables is coarser, chance is not as fine
OBSERVED = 0.8  # share of the cells that must be there
NUDGE = 1e-4  # relative change of a variable that shows whether an expression moves with it


@dataclass(frozen=True)
class Identity:
    """`whole` is the sum of `part` and of `rest` in every cell."""

    whole: str
    part: str
    rest: tuple[str, ...]

    def words(self) -> str:
        """ "revenue = sales + other"."""
        return f"{self.whole} = {' + '.join((self.part, *self.rest))}"


@dataclass(frozen=True)
class Shared:
    """A variable that moves both the outcome and a regressor by construction.

    of_outcome, of_regressor : change of each per relative change of the variable (−1 for a divisor inside a logarithm).
    slope : the coefficient that this alone would give if the variable were noise unrelated to everything else.
    """

    variable: str
    of_outcome: float
    of_regressor: float
    slope: float


def find_identities(panel: Panel, one: str, other: str) -> tuple[Identity, ...]:
    """Whether one variable is a part of the other, with one or two further variables making up the whole.

    Compared where all are observed, which must be most of the cells.
    """
    for part, whole in ((one, other), (other, one)):
        gap, size = panel[whole] - panel[part], np.abs(panel[whole]) + 1e-300
        known = np.isfinite(gap)
        if known.mean() < OBSERVED or (gap[known] < -EXACT * size[known]).any() or not (gap > EXACT * size).any():
            continue
        rest = {}
        for name, values in panel.variables.items():
            seen = known & np.isfinite(values)
            fits = (values[seen] >= 0).all() and (values[seen] <= (gap + EXACT * size)[seen]).all()
            if name not in (part, whole) and seen.mean() >= OBSERVED and fits and (values[seen] > 0).any():
                rest[name] = values
        for count in (1, 2):
            found = [names for names in combinations(rest, count) if _adds_up(gap, [rest[n] for n in names], size)]
            if found:
                return tuple(Identity(whole, part, names) for names in found)
    return ()


def _adds_up(gap: FloatArray, parts: list[FloatArray], size: FloatArray) -> bool:
    left = gap - np.sum(parts, axis=0)
    known = np.isfinite(left)
    return bool(known.mean() >= OBSERVED and (np.abs(left[known]) <= EXACT * size[known]).all())


def variables_of(factors: tuple[str, ...]) -> tuple[str, ...]:
    """Panel variables of a term."""
    return tuple(dict.fromkeys(name for factor in factors for name in names_in(factor)))


def find_shared(
    panel: Panel, outcome: tuple[str, ...], regressor: tuple[str, ...], within: FloatArray, demean: object
) -> tuple[Shared, ...]:
    """Variables that stand in both expressions and move both.

    Parameters
    ----------
    within : (n, t) the regressor net of effects.   demean : removes the effects from an (n, t) array.
    """
    found = []
    for name in variables_of(outcome):
        if name not in variables_of(regressor):
            continue
        responses = [_response(panel, factors, name) for factors in (outcome, regressor)]
        if any(each is None or abs(each) < 1e-3 for each in responses):
            continue
        values = panel[name]
        if not (values > 0).all():
            continue
        course = demean(np.log(values))  # type: ignore[operator]
        of_outcome, of_regressor = (float(each) for each in responses if each is not None)
        share = float(np.sum(course**2) / np.sum(within**2))
        found.append(Shared(name, of_outcome, of_regressor, of_outcome * of_regressor * share))
    return tuple(found)


def _response(panel: Panel, factors: tuple[str, ...], name: str) -> float | None:
    """Mean change of a term per relative change of a variable; None where it cannot be evaluated."""
    moved = replace(panel, variables={**panel.variables, name: panel[name] * (1.0 + NUDGE)})
    try:
        gap = evaluate_term(factors, moved) - evaluate_term(factors, panel)
    except SpilloverError:
        return None
    return float(np.nanmean(gap) / np.log1p(NUDGE))
