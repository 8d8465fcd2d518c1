"""The model of a fit with something of another period beside its regressors, on the periods that have it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from spillover.audit.refit import refit
from spillover.errors import OptionError, show_labels
from spillover.models.formula import parse_formula
from spillover.models.result import SpatialFit
from spillover.panel.panel import Panel, Period
from spillover.panel.periods import count_periods
from spillover.typing import FloatArray

DURBIN = ("slx", "sdm", "sdem", "gns")


@dataclass(frozen=True, eq=False)
class Shift:
    """Where each period's value `steps` later (or earlier, for negative steps) is found.

    periods : the periods that have one.   sources : position of that value, for each of them.
    """

    steps: int
    periods: tuple[Period, ...]
    sources: tuple[int, ...]

    def take(self, values: FloatArray) -> FloatArray:
        """(n, len(periods)) of (n, t) values."""
        return values[:, list(self.sources)]


def find_shift(periods: tuple[Period, ...], steps: int) -> Shift:
    """Values `steps` periods later; a gap in the years stays a gap.

    One step is the smallest distance between two periods.

    Raises
    ------
    OptionError : the order of the periods is not known; no period has a value that far away (leads beyond the panel).
    """
    counts = count_periods(periods)
    if counts is None:
        raise OptionError(
            "which period follows which cannot be told from their names",
            got=show_labels(periods, 12),
            fix="write the periods as whole numbers (2010) or texts such as 2010Q1",
        )
    if len(counts) < 2:
        raise OptionError("a single period has no earlier or later one", got=show_labels(periods))
    step = min(b - a for a, b in zip(sorted(counts), sorted(counts)[1:], strict=False))
    column = {count: j for j, count in enumerate(counts)}
    pairs = [(j, column[count + steps * step]) for j, count in enumerate(counts) if count + steps * step in column]
    if not pairs:
        word = "later" if steps > 0 else "earlier"
        raise OptionError(
            f"no period of the panel has a value {abs(steps)} {'period' if abs(steps) == 1 else 'periods'} {word}",
            got=f"periods {show_labels(periods, 30)}, {abs(steps)} × {step} {word}",
            expected=f"fewer than {(max(counts) - min(counts)) // step + 1} periods away",
            fix="use a shorter lead or lag",
        )
    return Shift(steps, tuple(periods[j] for j, _ in pairs), tuple(source for _, source in pairs))


def refit_periods(fit: SpatialFit, periods: tuple[Period, ...], **changes: Any) -> SpatialFit:
    """The same model on some of its periods."""
    segments = fit.spec.segments
    if isinstance(segments, tuple):
        changes.setdefault("segments", dict(zip(fit.panel.periods, segments, strict=True)))
    return refit(fit, panel=fit.panel.select(periods=periods), **changes)


def refit_with(
    fit: SpatialFit,
    shift: Shift,
    added: dict[str, FloatArray],
    *,
    lagged: tuple[str, ...] = (),
    without: str | None = None,
    outcome: FloatArray | None = None,
) -> SpatialFit:
    """The model on the periods of a shift with regressors added.

    Parameters
    ----------
    added : name → (n, periods of the shift).
    lagged : those of them that also enter as W x, where the model has W x.
    without : a regressor that is left out.
    outcome : (n, periods of the shift) another outcome.
    """
    spec, formula = fit.spec, parse_formula(fit.spec.formula)
    panel = fit.panel.select(periods=shift.periods)
    kept = [name for name in formula.names if name != without]
    left = formula.response
    if outcome is not None:
        left, added = "outcome_of_audit", {**added, "outcome_of_audit": outcome}
    panel = _with(panel, added)
    right = " + ".join([*kept, *(name for name in added if name != left)])
    names = None
    if spec.model in DURBIN:
        names = tuple(name for name in fit.design.neighbour if name != without) + lagged
    changes: dict[str, Any] = {"formula": f"{left} ~ {right}" + ("" if formula.intercept else " - 1"), "lagged": names}
    if isinstance(spec.segments, tuple):
        changes["segments"] = dict(zip(fit.panel.periods, spec.segments, strict=True))
    return refit(fit, panel=panel, **changes)


def _with(panel: Panel, added: dict[str, FloatArray]) -> Panel:
    return panel.with_variables({name: np.array(values) for name, values in added.items()})
