"""How far a spillover reaches, for print: decay, rings and boundary, drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from spillover.report.palette import INK, MUTED
from spillover.report.reach import CHI2, FREE, LAW, Row, effect_title, half_range, holds_zero, profile_ceiling
from spillover.study.result import DistanceReach

Write = Callable[[object, int], str]
"""(text, most characters) → text in characters that can be printed."""


@dataclass(frozen=True)
class ReachDrawing:
    """Draws one of the figures: "decay", "rings", "boundary" or "profile"."""

    found: DistanceReach
    part: str
    write: Write

    @property
    def size(self) -> tuple[float, float]:
        """Inches."""
        return (6.3, 3.6) if self.part == "decay" else (6.3, 3.0)

    def __call__(self, figure: Any) -> None:
        axes = figure.add_subplot()
        {"decay": self._decay, "rings": self._rings, "boundary": self._boundary, "profile": self._profile}[self.part](
            axes
        )

    def _decay(self, axes: Any) -> None:
        found = self.found
        if not found.relative and found.spline:
            _band(axes, found.spline, "distance", ("estimate", "band_low", "band_high"), FREE)
            _line(axes, found.spline, "distance", FREE, "--", "smooth curve, no law")
        if found.curve:
            _band(axes, found.curve, "distance", ("estimate", "conf_low", "conf_high"), LAW)
            _line(axes, found.curve, "distance", LAW, "-", f"{found.decay['law']} law")
            limits = half_range(found)
            if limits is not None:
                axes.axvspan(limits[0], min(limits[1], found.curve[-1]["distance"]), color=MUTED, alpha=0.12, lw=0)
                axes.axvline(found.decay["half_distance"], color=MUTED, linewidth=1.2, linestyle=":")
        axes.axhline(0.0, color=MUTED, linewidth=0.8)
        axes.set_xlim(left=0.0)
        axes.set_xlabel(self.write(f"distance ({found.unit})", 60))
        title = "share of its strength at zero" if found.relative else effect_title(found)
        axes.set_ylabel(self.write(title, 200), fontsize=8, wrap=True)
        axes.legend(frameon=False, fontsize=8, loc="upper right")

    def _rings(self, axes: Any) -> None:
        rows = self.found.rings
        at = range(len(rows))
        for x, row in zip(at, rows, strict=True):
            axes.plot([x, x], [row["band_low"], row["band_high"]], color=LAW, linewidth=1.6)
        fill = ["#ffffff" if holds_zero(row) else LAW for row in rows]
        axes.scatter(at, [row["estimate"] for row in rows], c=fill, edgecolors=LAW, s=34, zorder=3, linewidths=1.4)
        axes.axhline(0.0, color=MUTED, linewidth=0.8)
        axes.set_xticks(list(at), [self.write(row["ring"], 24) for row in rows])
        axes.set_ylabel(self.write("one unit more in one region", 60), fontsize=8)
        axes.set_title("By ring; intervals hold for all rings together", loc="left", fontsize=9)

    def _boundary(self, axes: Any) -> None:
        rows = self.found.boundary
        _band(axes, rows, "threshold", ("estimate", "band_low", "band_high"), FREE)
        _line(axes, rows, "threshold", FREE, "-", "")
        fill = ["#ffffff" if holds_zero(row) else FREE for row in rows]
        axes.scatter([row["threshold"] for row in rows], [row["estimate"] for row in rows], c=fill, edgecolors=FREE,
                     s=30, zorder=3, linewidths=1.4)  # fmt: skip
        axes.axhline(0.0, color=MUTED, linewidth=0.8)
        axes.set_xlabel(self.write(f"threshold ({self.found.unit})", 60))
        axes.set_ylabel("from beyond the threshold", fontsize=8)
        axes.set_title("Where power ends is not where spillover ends", loc="left", fontsize=9)

    def _profile(self, axes: Any) -> None:
        rows = [row for row in self.found.profile if row["deviance"] is not None]
        axes.plot([row["half_distance"] for row in rows], [row["deviance"] for row in rows], color=INK, linewidth=1.5)
        axes.axhline(CHI2, color=LAW, linewidth=1.2, linestyle=":")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")  # powers of ten would be printed as TeX
        axes.xaxis.set_minor_formatter(lambda value, _: "")
        axes.set_ylim(-0.4, profile_ceiling(self.found))
        axes.set_xlabel(self.write(f"half-distance ({self.found.unit}, log scale)", 60))
        axes.set_ylabel("twice the loss in log-likelihood", fontsize=8)


def _band(axes: Any, rows: Sequence[Row], key: str, columns: tuple[str, str, str], colour: str) -> None:
    _, low, high = columns
    x = [row[key] for row in rows]
    axes.fill_between(x, [row[low] for row in rows], [row[high] for row in rows], color=colour, alpha=0.15, linewidth=0)


def _line(axes: Any, rows: Sequence[Row], key: str, colour: str, style: str, label: str) -> None:
    x, y = [row[key] for row in rows], [row["estimate"] for row in rows]
    axes.plot(x, y, color=colour, linestyle=style, linewidth=1.6, label=label or None)
