"""The channels of a study for print: the flow diagram and the curves of what it would take, drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from spillover.report.channels import PLACES, Flow, band_of, flows
from spillover.report.palette import EFFECTS, INK, MUTED
from spillover.study.result import Mechanisms

Write = Callable[[object, int], str]
"""(text, most characters) → text in characters that can be printed."""

GAP = 0.06  # between nodes, as a share of the height of all bands
NODE = 0.025  # width of a node


@dataclass(frozen=True)
class FlowDrawing:
    """Draws the flow diagram."""

    found: Mechanisms
    write: Write

    @property
    def size(self) -> tuple[float, float]:
        """Inches."""
        return 6.3, 1.6 + 0.5 * len({band.channel for band in flows(self.found)})

    def __call__(self, figure: Any) -> None:
        axes = figure.add_subplot()
        bands = flows(self.found)
        whole = sum(band.size for band in bands)
        gap = GAP * whole
        channels = list(dict.fromkeys(band.channel for band in bands))
        places = [effect for effect in PLACES if any(band.effect == effect for band in bands)][::-1]
        top = whole + gap * (len(channels) - 1)
        left = _stack(axes, 0.0, [(whole, INK, self.write(self.found.treatment_label, 26))], gap, top, "right")
        middle = [(_sum(bands, "channel", c), MUTED, self.write(c, 26)) for c in channels]
        inner = _stack(axes, 0.5, middle, gap, top, "right")
        ends = [
            (_sum(bands, "effect", e), EFFECTS[{"own": "direct", "spillover": "indirect"}[e]], f"outcome {PLACES[e]}")
            for e in places
        ]
        outer = _stack(axes, 1.0, ends, gap, top, "left")
        starts, arrivals, leaves = [left[0]], list(inner), list(inner)
        for band in bands:
            c, e = channels.index(band.channel), places.index(band.effect)
            _ribbon(axes, NODE, starts[0], 0.5, arrivals[c], band)
            _ribbon(axes, 0.5 + NODE, leaves[c], 1.0, outer[e], band)
            starts[0] -= band.size
            arrivals[c] -= band.size
            leaves[c] -= band.size
            outer[e] -= band.size
        axes.set_xlim(-0.01, 1.0 + NODE + 0.01)
        axes.set_ylim(-0.02 * top, 1.02 * top)
        axes.set_axis_off()


def _sum(bands: tuple[Flow, ...], key: str, value: str) -> float:
    return sum(band.size for band in bands if getattr(band, key) == value)


def _stack(axes: Any, x: float, nodes: list[tuple[float, str, str]], gap: float, top: float, side: str) -> list[float]:
    """Draw nodes from top to bottom, in the middle of the height; returns their upper ends."""
    from matplotlib.patches import Rectangle

    height = sum(size for size, _, _ in nodes) + gap * (len(nodes) - 1)
    y, upper = (top + height) / 2.0, []
    for size, colour, label in nodes:
        upper.append(y)
        axes.add_patch(Rectangle((x, y - size), NODE, size, facecolor=colour, linewidth=0))
        at, align = (x + NODE + 0.01, "left") if side == "right" else (x - 0.01, "right")
        axes.text(at, y - size / 2.0, label, ha=align, va="center", fontsize=8, zorder=5)
        y -= size + gap
    return upper


def _ribbon(axes: Any, x0: float, y0: float, x1: float, y1: float, band: Flow) -> None:
    """A band from (x0, y0) to (x1, y1), both upper ends, with the width of the flow."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Outline

    middle, size = (x0 + x1) / 2.0, band.size
    points = [(x0, y0), (middle, y0), (middle, y1), (x1, y1), (x1, y1 - size), (middle, y1 - size),
              (middle, y0 - size), (x0, y0 - size), (x0, y0)]  # fmt: skip
    curve = Outline.CURVE4
    codes = [Outline.MOVETO, curve, curve, curve, Outline.LINETO, curve, curve, curve, Outline.CLOSEPOLY]
    opacity = 0.55 if band.visible else 0.18
    axes.add_patch(PathPatch(Outline(points, codes), facecolor=band.colour, alpha=opacity, linewidth=0))


@dataclass(frozen=True)
class CurveDrawing:
    """Draws the confounding curves of all channels side by side."""

    found: Mechanisms
    write: Write

    @property
    def size(self) -> tuple[float, float]:
        """Inches."""
        return 6.3, 0.4 + 2.2 * ((len(self.found.curves) + 1) // 2)

    def __call__(self, figure: Any) -> None:
        curves = self.found.curves
        rows = (len(curves) + 1) // 2
        grid = figure.subplots(rows, 2, squeeze=False).ravel()
        for axes, curve in zip(grid, curves, strict=False):
            low, high = band_of(curve)
            axes.fill_between(curve.correlations, low, high, color=EFFECTS["total"], alpha=0.18, linewidth=0)
            axes.plot(curve.correlations, curve.effects["total"], color=EFFECTS["total"], linewidth=1.6)
            axes.axhline(0.0, color=MUTED, linewidth=0.8)
            axes.axvline(0.0, color=MUTED, linewidth=0.8)
            even = curve.break_even["total"]
            if even is not None:
                axes.axvline(even, color=EFFECTS["indirect"], linewidth=1.4, linestyle=":")
            axes.set_title(self.write(curve.channel, 40), loc="left", fontsize=9)
            axes.set_xlabel("correlation of what is unmeasured", fontsize=8)
        for axes in grid[len(curves) :]:
            axes.set_axis_off()
