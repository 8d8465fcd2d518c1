"""Moderated models as text, on one screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from spillover.effects.summary import tell_table

if TYPE_CHECKING:
    import pandas as pd

    from spillover.inference.estimates import Estimates


class Summarised(Protocol):
    """What every moderated model shows."""

    @property
    def estimates(self) -> Estimates:
        """Coefficients."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What a careful reader should know."""
        ...


def summarise(title: str, fit: Summarised, parts: Sequence[tuple[str, pd.DataFrame]]) -> str:
    """Title, coefficients, further tables (effects with intervals, or tests), notes."""
    lines = [title, f"errors: {fit.estimates.method}", "", "Coefficients", tell_table(fit.estimates.tidy())]
    for name, frame in parts:
        if frame.empty:
            continue
        lines += ["", name, _tests(frame) if "null" in frame.columns else tell_table(frame)]
    lines += ["", *(f"note: {note}" for note in fit.notes)] if fit.notes else []
    return "\n".join(lines)


def _tests(frame: pd.DataFrame) -> str:
    width = max(len(name) for name in frame["test"]) + 2
    lines = [f"{'':{width}}{'statistic':>11}{'p-value':>10}   {'distribution':28}null hypothesis"]
    for row in frame.itertuples():
        p = "< 0.001" if row.p_value < 0.001 else f"{row.p_value:.3f}"
        lines.append(f"{row.test:{width}}{row.statistic:>11.4g}{p:>10}   {row.distribution:28}{row.null}")
    return "\n".join(lines)
