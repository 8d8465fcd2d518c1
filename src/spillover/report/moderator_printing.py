"""The moderators of a study for print: bands, likelihood-ratio profiles and strengths, drawn with matplotlib."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from spillover.report.moderators import Band, bands, moderations, round_values, strength_band
from spillover.report.palette import EFFECTS, INK, MUTED
from spillover.study.numbers import compact
from spillover.study.result import StudyResult, ThresholdProfile, Thresholds

Write = Callable[[object, int], str]
"""(text, most characters) → text in characters that can be printed."""

Drawing = tuple[str, tuple[float, float], Callable[[Any], None]]
"""Name, size in inches, what draws it."""


def moderator_drawings(result: StudyResult, write: Write) -> Iterator[Drawing]:
    """Every figure of the section."""
    found = result.moderators
    if found is None:
        return
    for i, moderation in enumerate(moderations(found)):
        drawn = bands(moderation)
        if drawn:
            yield f"moderation-{i}", (3.2 * len(drawn), 2.9), BandDrawing(drawn, f"effect of {found.treatment}", write)
    for i, thresholds in enumerate(found.thresholds):
        yield f"threshold-{i}", (3.2 * max(len(thresholds.profiles), 2), 2.9), ProfileDrawing(thresholds, write)
    for i, strengths in enumerate(found.strengths):
        yield f"strength-{i}", (4.2, 2.9), BandDrawing((strength_band(strengths),), "ρ", write)


@dataclass(frozen=True)
class BandDrawing:
    """Draws effects over a moderator side by side, with where they can be told from zero."""

    drawn: tuple[Band, ...]
    unit: str
    write: Write

    def __call__(self, figure: Any) -> None:
        grid = figure.subplots(1, len(self.drawn), squeeze=False)[0]
        for axes, band in zip(grid, self.drawn, strict=True):
            for low, high in band.sure:
                axes.axvspan(low, high, color=band.colour, alpha=0.09, linewidth=0)
            axes.fill_between(band.x, band.low, band.high, color=band.colour, alpha=0.18, linewidth=0)
            axes.plot(band.x, band.y, color=band.colour, linewidth=1.8)
            axes.axhline(0.0, color=MUTED, linewidth=0.8)
            if band.logged:
                axes.set_xscale("log")
            if band.rug:
                bottom = axes.get_ylim()[0]
                axes.plot(band.rug, [bottom] * len(band.rug), "|", color=MUTED, markersize=6)
            axes.set_title("\n".join(textwrap.wrap(self.write(band.title, 90), 34)), loc="left", fontsize=9)
            axes.set_xlabel(self.write(band.label, 40), fontsize=8)
            axes.set_ylabel(self.write(self.unit, 34), fontsize=8)
            _plain_ticks(axes, band)


def _plain_ticks(axes: Any, band: Band) -> None:
    """Few ticks, as numbers without powers of ten."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

    if band.logged:
        axes.xaxis.set_major_locator(FixedLocator(list(round_values(band.x[0], band.x[-1], 5))))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: compact(value, 2)))
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5))


@dataclass(frozen=True)
class ProfileDrawing:
    """Draws the likelihood ratio of every threshold over the values searched."""

    found: Thresholds
    write: Write

    def __call__(self, figure: Any) -> None:
        from matplotlib.ticker import MaxNLocator

        profiles: tuple[ThresholdProfile, ...] = self.found.profiles
        for axes, profile in zip(figure.subplots(1, len(profiles), squeeze=False)[0], profiles, strict=True):
            axes.axvspan(profile.low, profile.high, color=EFFECTS["direct"], alpha=0.12, linewidth=0)
            axes.step(profile.gammas, profile.ratio, where="post", color=EFFECTS["direct"], linewidth=1.4)
            axes.axhline(profile.critical, color=EFFECTS["indirect"], linewidth=1.4, linestyle="--")
            axes.axvline(profile.value, color=INK, linewidth=1.1, linestyle=":")
            axes.set_ylim(bottom=0.0)
            axes.set_xlabel(self.write(self.found.name, 40), fontsize=8)
            axes.set_ylabel("likelihood ratio", fontsize=8)
            axes.xaxis.set_major_locator(MaxNLocator(5))
