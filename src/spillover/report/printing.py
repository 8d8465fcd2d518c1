"""Figures for print: the figures of the page as SVG and PDF, drawn with matplotlib.

Text is drawn as it is: no TeX, and a character that no installed font has is never printed as an empty box. It becomes
a question mark, and the notice that `write_figures` returns says so.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from spillover.errors import show_labels
from spillover.report import audit, channels, charts, maps, reach
from spillover.report.channel_printing import CurveDrawing, FlowDrawing
from spillover.report.moderator_printing import moderator_drawings
from spillover.report.palette import EFFECTS, GRID, INK, MUTED, NO_DATA
from spillover.report.reach_printing import ReachDrawing
from spillover.report.words import contains_zero, display_names
from spillover.study.numbers import MINUS
from spillover.study.result import MoranScatter, StudyResult

Row = Mapping[str, Any]

# Families with Chinese, Japanese and Korean characters, in the order of preference; the first one installed is used.
_WIDE_FAMILIES = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "Microsoft YaHei",
    "PingFang SC",
    "Hiragino Sans GB",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "SimHei",
    "Noto Sans CJK JP",
    "Arial Unicode MS",
)


@dataclass
class Lettering:
    """The fonts of the print figures, and the characters they turned out not to have."""

    lost: set[str] = field(default_factory=set)

    @cached_property
    def families(self) -> list[str]:
        """Font families in the order in which a character is looked up."""
        from matplotlib import font_manager

        installed = {entry.name for entry in font_manager.fontManager.ttflist}
        return ["DejaVu Sans", *[name for name in _WIDE_FAMILIES if name in installed][:1]]

    @cached_property
    def characters(self) -> frozenset[int]:
        """Code points that the fonts have."""
        from matplotlib import font_manager

        found: set[int] = set()
        for family in self.families:
            path = font_manager.findfont(font_manager.FontProperties(family=[family]), fallback_to_default=True)
            found |= set(font_manager.get_font(path).get_charmap())
        return frozenset(found)

    def text(self, value: object, limit: int = 60) -> str:
        """`value` in characters that can be printed, at most `limit` of them."""
        whole = " ".join(str(value).split())
        whole = whole if len(whole) <= limit else whole[: limit - 1] + "…"
        missing = {c for c in whole if ord(c) not in self.characters}
        self.lost |= missing
        for character in missing:
            whole = whole.replace(character, "?")
        return whole

    def notices(self) -> tuple[str, ...]:
        """One sentence when characters were lost."""
        if not self.lost:
            return ()
        return (
            "The print figures show “?” for characters that no installed font has "
            f"({show_labels(sorted(self.lost), 8)}); install a font such as Noto Sans CJK and write the report again. "
            "The page and the tables are not affected.",
        )


def print_style(letters: Lettering) -> dict[Any, Any]:
    """Settings of matplotlib that all print figures share."""
    return {
        "font.family": letters.families,
        "font.size": 9,
        "axes.edgecolor": MUTED,
        "axes.labelcolor": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": GRID,
        "text.color": INK,
        "text.parse_math": False,  # a region may be called "$x_1$"
        "axes.formatter.use_mathtext": False,
        "svg.fonttype": "path",  # the file looks the same where the fonts are missing
        "svg.hashsalt": "spillover",  # the same study gives the same file
        "pdf.fonttype": 3,  # the kind that takes the outlines of every font, OpenType collections too
    }


def write_figures(result: StudyResult, folder: Path) -> tuple[str, ...]:
    """Write every figure as `<name>.svg` and `<name>.pdf` into `folder`; returns notices, one sentence each."""
    import matplotlib
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    letters = Lettering()
    with matplotlib.rc_context(print_style(letters)):
        for name, size, draw in _plan(result, letters):
            figure = Figure(figsize=size, layout="constrained")
            draw(figure)
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None, "Creator": "spillover"})
            figure.savefig(folder / f"{name}.pdf", metadata={"CreationDate": None, "Creator": "spillover"})
    return letters.notices()


def _plan(result: StudyResult, letters: Lettering) -> Iterator[tuple[str, tuple[float, float], Any]]:
    """Name, size in inches and drawing function of every figure that this study has."""
    shapes = maps.shapes_of(result)
    if shapes is not None:
        regional = (*maps.regional_maps(result), *reach.network_map(result))
        for drawn in (*maps.measure_maps(result), *maps.change_maps(result), *regional):
            ratio = min(max(shapes.height / max(shapes.width, 1e-9), 0.4), 1.4)
            yield f"map-{drawn.key}", (6.3, 6.3 * ratio + 1.0), _Map(result, shapes, drawn, letters)
    if result.diagnostics.moran:
        yield "moran", (6.3, 3.8), lambda figure: _draw_moran(figure, result, letters)
    for number, scatter in enumerate(result.diagnostics.scatters):
        yield f"moran-scatter-{number}", (4.2, 4.2), _Scatter(result, scatter, letters)
    panels = charts.effect_panels(result)
    if panels:
        yield "effects", _size(panels), lambda figure: _draw_panels(figure, panels, letters)
    forest = charts.forest_panel(result)
    if forest is not None:
        yield "forest", _size(forest[:1]), lambda figure: _draw_panels(figure, forest[:1], letters)
    yield from _reach(result, letters)
    yield from _channels(result, letters)
    yield from moderator_drawings(result, letters.text)
    for name, panel in audit.interval_panels(result):
        yield f"audit-{name}", _size((panel,)), _Panels((panel,), letters)
    for name, title, values, observed in audit.shuffles(result):
        yield f"audit-{name}", (6.3, 3.2), _Shuffles(title, values, observed, letters)
    if result.truth:
        yield "truth", (6.3, 1.2 + 0.42 * len(result.truth)), lambda figure: _draw_truth(figure, result, letters)


def _reach(result: StudyResult, letters: Lettering) -> Iterator[tuple[str, tuple[float, float], Any]]:
    """The figures of the distance, those that the page has."""
    if result.distance is None:
        return
    for key in reach.reach_figures(result):
        drawing = ReachDrawing(result.distance, key.removeprefix("distance-"), letters.text)
        yield key, drawing.size, drawing


def _channels(result: StudyResult, letters: Lettering) -> Iterator[tuple[str, tuple[float, float], Any]]:
    """The figures of the mechanisms."""
    found = result.mechanisms
    if found is None:
        return
    flow, curves = FlowDrawing(found, letters.text), CurveDrawing(found, letters.text)
    if channels.flows(found):
        yield "channel-flow", flow.size, flow
    panels = (channels.channel_panel(found),)
    yield "channel-effects", _size(panels), _Panels(panels, letters)
    if found.curves:
        yield "channel-confounding", curves.size, curves


# -- maps -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Map:
    """Draws one map in its last frame."""

    result: StudyResult
    shapes: maps.Shapes
    drawn: maps.Choropleth
    letters: Lettering

    def __call__(self, figure: Any) -> None:
        axes = figure.add_subplot()
        self._regions(axes)
        self._arrows(axes)
        axes.set_aspect("equal")
        axes.set_axis_off()
        axes.autoscale_view()
        period = self.drawn.frames[-1]
        title = ", ".join(part for part in (self.drawn.title, period) if part)
        axes.set_title(self.letters.text(title, 70), loc="left", fontsize=11, fontweight="bold")
        self._legend(axes)

    def _regions(self, axes: Any) -> None:
        from matplotlib.collections import PathCollection
        from matplotlib.path import Path as Outline

        paths, colours = [], []
        for rings, value in zip(self.shapes.rings, self.drawn.values[-1], strict=True):
            if not rings:
                continue
            paths.append(Outline.make_compound_path(*[Outline(ring, closed=True) for ring in rings]))
            colours.append(NO_DATA if value is None else self.drawn.classes.colours[self.drawn.classes.place(value)])
        axes.add_collection(PathCollection(paths, facecolors=colours, edgecolors="#ffffff", linewidths=0.4))
        axes.update_datalim([(0, 0), (self.shapes.width, self.shapes.height)])

    def _arrows(self, axes: Any) -> None:
        position = {region: i for i, region in enumerate(self.result.panel.regions)}
        largest = max((abs(effect) for _, _, effect in self.drawn.links), default=1.0) or 1.0
        for sender, receiver, effect in self.drawn.links:
            start, end = (self.shapes.centres[position[r]] if r in position else None for r in (sender, receiver))
            if start is not None and end is not None:
                look = {"arrowstyle": "-|>", "color": INK, "lw": 0.6 + 1.2 * abs(effect) / largest, "alpha": 0.85,
                        "shrinkA": 2, "shrinkB": 2, "mutation_scale": 8}  # fmt: skip
                axes.annotate("", xy=end, xytext=start, arrowprops=look)

    def _legend(self, axes: Any) -> None:
        from matplotlib.patches import Patch

        classes = self.drawn.classes
        handles = [Patch(facecolor=c, edgecolor=MUTED, linewidth=0.4, label=t)
                   for c, t in zip(classes.colours, classes.texts, strict=False)]  # fmt: skip
        if self.drawn.has_missing:
            handles.append(Patch(facecolor=NO_DATA, edgecolor=MUTED, linewidth=0.4, label="no data"))
        legend = axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=4, frameon=False,
                             fontsize=7.5, title=self.letters.text(self.drawn.unit))  # fmt: skip
        legend.get_title().set_fontsize(8)


# -- Moran ----------------------------------------------------------------------------------------


def _draw_moran(figure: Any, result: StudyResult, letters: Lettering) -> None:
    axes = figure.add_subplot()
    colours = charts.variable_colours(result)
    place = {str(period): i for i, period in enumerate(result.panel.periods)}
    for rows in charts.group_rows(result.diagnostics.moran, ("variable", "transform")).values():
        rows = [row for row in rows if row.get("statistic") is not None and str(row["period"]) in place]
        if not rows:
            continue
        colour, within = colours.get(str(rows[0]["variable"]), MUTED), rows[0].get("transform") == "within"
        x, y = [place[str(row["period"])] for row in rows], [row["statistic"] for row in rows]
        label = f"{rows[0].get('label') or rows[0]['variable']}, {'within' if within else 'level'}"
        axes.plot(x, y, color=colour, linestyle="--" if within else "-", linewidth=1.5, label=letters.text(label))
        fill = [colour if (row.get("p_value") or 1.0) < 0.05 or row.get("p_value") == 0 else "#ffffff" for row in rows]
        axes.scatter(x, y, c=fill, edgecolors=colour, s=28, zorder=3, linewidths=1.2)
    axes.axhline(0.0, color=MUTED, linewidth=0.8)
    axes.set_xticks(list(place.values()), [letters.text(p, 12) for p in place], rotation=45 if len(place) > 12 else 0)
    axes.set_xlabel("period")
    axes.set_ylabel("Moran’s I")
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=8)


@dataclass(frozen=True)
class _Scatter:
    """Draws one Moran scatter."""

    result: StudyResult
    scatter: MoranScatter
    letters: Lettering

    def __call__(self, figure: Any) -> None:
        axes = figure.add_subplot()
        measure = next((m for m in self.result.measures if m.name == self.scatter.variable), None)
        colour = charts.variable_colours(self.result).get(self.scatter.variable, MUTED)
        axes.scatter(self.scatter.z, self.scatter.lag, color=colour, s=24, alpha=0.75, edgecolors="#ffffff")
        row = charts.moran_row(self.result, self.scatter)
        if row is not None and row.get("statistic") is not None:
            axes.axline((0.0, 0.0), slope=float(row["statistic"]), color=INK, linestyle="--", linewidth=1.0)
        axes.axhline(0.0, color=MUTED, linewidth=0.8)
        axes.axvline(0.0, color=MUTED, linewidth=0.8)
        names = display_names(self.result)
        # the two most unusual regions are named; more would cover each other
        order = sorted(range(len(self.scatter.z)), key=lambda i: -abs(self.scatter.z[i]))[:2]
        for i in order:
            label = self.letters.text(names.get(self.scatter.regions[i], self.scatter.regions[i]), 24)
            axes.annotate(label, (self.scatter.z[i], self.scatter.lag[i]), fontsize=7, xytext=(0, 6),
                          textcoords="offset points", ha="right" if self.scatter.z[i] > 0 else "left")  # fmt: skip
        label = measure.label if measure is not None and measure.label else self.scatter.variable
        axes.set_title(self.letters.text(f"{label}, {self.scatter.period}", 48), loc="left", fontsize=10)
        axes.set_xlabel("own value (standard deviations)")
        axes.set_ylabel("neighbours’ mean (standard deviations)")


# -- intervals ------------------------------------------------------------------------------------


def _size(panels: Sequence[charts.Panel]) -> tuple[float, float]:
    """Size in inches: every lane the same height, every panel an axis."""
    return 6.3, 0.5 + 0.8 * len(panels) + 0.62 * sum(len(panel.lanes) for panel in panels)


def _draw_panels(figure: Any, panels: Sequence[charts.Panel], letters: Lettering) -> None:
    ratios = [len(panel.lanes) + 0.4 for panel in panels]
    axes = figure.subplots(len(panels), 1, squeeze=False, gridspec_kw={"height_ratios": ratios})[:, 0]
    for each, panel in zip(axes, panels, strict=True):
        _draw_lanes(each, panel, letters)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False, fontsize=8)


def _draw_lanes(axes: Any, panel: charts.Panel, letters: Lettering) -> None:
    marks = {"direct": ("o", 0.22), "indirect": ("s", 0.0), "total": ("D", -0.22)}
    count = len(panel.lanes)
    for effect, (marker, offset) in marks.items():
        shown = [(count - 1 - i + offset, rows[effect]) for i, (_, _, rows) in enumerate(panel.lanes) if effect in rows]
        if not shown:
            continue
        for y, row in shown:
            if row.get("conf_low") is not None and row.get("conf_high") is not None:
                axes.plot([row["conf_low"], row["conf_high"]], [y, y], color=EFFECTS[effect], linewidth=1.6)
        fill = ["#ffffff" if contains_zero(row) else EFFECTS[effect] for _, row in shown]
        axes.scatter([row["estimate"] for _, row in shown], [y for y, _ in shown], c=fill, marker=marker, s=34,
                     zorder=3, edgecolors=EFFECTS[effect], linewidths=1.4, label=effect)  # fmt: skip
    axes.axvline(0.0, color=MUTED, linewidth=1.0)
    names = ["\n".join(textwrap.wrap(letters.text(name, 90), 28)) for name, _, _ in panel.lanes]
    axes.set_yticks(range(count - 1, -1, -1), names)
    axes.set_ylim(-0.6, count - 0.4)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(letters.text(panel.title, 90))


@dataclass(frozen=True)
class _Panels:
    """Draws an interval chart."""

    panels: tuple[charts.Panel, ...]
    letters: Lettering

    def __call__(self, figure: Any) -> None:
        _draw_panels(figure, self.panels, self.letters)


@dataclass(frozen=True)
class _Shuffles:
    """Draws shuffled values as a histogram, the real map as a line."""

    title: str
    values: tuple[float, ...]
    observed: float
    letters: Lettering

    def __call__(self, figure: Any) -> None:
        axes = figure.add_subplot()
        middles, counts = audit.bins(self.values, self.observed)
        label = f"{len(self.values)} shuffles"
        axes.bar(
            middles, counts, width=(middles[1] - middles[0]) * 0.95, color=EFFECTS["indirect"], alpha=0.55, label=label
        )
        axes.axvline(self.observed, color=INK, linewidth=2.0, label="the real neighbours")
        axes.set_xlabel(self.letters.text(self.title, 90))
        axes.set_ylabel("shuffles")
        figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=8)


def _draw_truth(figure: Any, result: StudyResult, letters: Lettering) -> None:
    axes = figure.add_subplot()
    rows = list(reversed(result.truth))
    for y, row in enumerate(rows):
        half = max((row.conf_high - row.conf_low) / 2, 1e-300)
        limits = [(row.conf_low - row.estimate) / half, (row.conf_high - row.estimate) / half]
        axes.plot(limits, [y, y], color=EFFECTS["direct"], linewidth=1.8)
        axes.plot(
            [0.0],
            [y],
            "o",
            color=EFFECTS["direct"],
            markersize=5,
            label="estimate with 95 % interval" if y == 0 else None,
        )
        axes.plot([(row.truth - row.estimate) / half], [y], "|", color=INK, markersize=13, markeredgewidth=2,
                  label="truth" if y == 0 else None)  # fmt: skip
    axes.set_yticks(range(len(rows)), [letters.text(row.quantity, 32) for row in rows])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(f"distance from the estimate (half-widths of the 95 % interval: {MINUS}1 to 1)")
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=8)
