"""Interactive charts as plain plotly specifications: dictionaries of data and layout, ready for JSON.

Plotly reads a few HTML tags in texts (`<b>`, `<a href>`), so every text that comes from data passes `safe`.
"""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spillover.report.palette import EFFECTS, GRID, INK, MUTED, ROLES, TRUTH
from spillover.report.words import contains_zero, display_names, effect_row
from spillover.study.numbers import compact, decimals_for, fixed, heading, interval, p_sentence
from spillover.study.result import ModelResult, MoranScatter, StudyResult
from spillover.study.scale import Scale, scale_of

Row = Mapping[str, Any]
# Latin families before the Chinese ones, whose apostrophes and dashes are a whole character wide.
FONT = (
    'system-ui, "Segoe UI", "Helvetica Neue", "Noto Sans", Arial, "DejaVu Sans", '
    '"Noto Sans CJK SC", "Microsoft YaHei", "PingFang SC", sans-serif'
)


@dataclass(frozen=True)
class Chart:
    """One chart: a key for its place in the page, title, its content in words, plotly data and layout, height in px."""

    key: str
    title: str
    alt: str
    caption: str
    data: tuple[dict[str, Any], ...]
    layout: dict[str, Any] = field(default_factory=dict)
    height: int = 380

    @property
    def payload(self) -> dict[str, Any]:
        """What the page hands to plotly."""
        return {"data": list(self.data), "layout": {**_base_layout(), **self.layout, "height": self.height}}


def safe(text: object) -> str:
    """A text from data that plotly shows as it is, whatever tags it contains.

    >>> safe("<b>x</b>")
    '&lt;b&gt;x&lt;/b&gt;'
    """
    return html.escape(str(text), quote=False)


def short(text: object, limit: int = 28) -> str:
    """A label that fits an axis; the whole of it is in the hover text and in the table."""
    whole = str(text)
    return safe(whole if len(whole) <= limit else whole[: limit - 1] + "…")


def wrapped(text: str, width: int = 40) -> str:
    """An axis title in lines of at most `width` characters, so that it fits a narrow window."""
    return "<br>".join(safe(line) for line in textwrap.wrap(text, width))


def _base_layout() -> dict[str, Any]:
    return {
        "font": {"family": FONT, "size": 13, "color": INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 56, "r": 16, "t": 44, "b": 52},
        "hoverlabel": {"bgcolor": "#ffffff", "bordercolor": "#b8c2cc", "font": {"color": INK, "family": FONT}},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"size": 12}},
        "hovermode": "closest",
    }


def axis(title: str, width: int = 40, **more: Any) -> dict[str, Any]:
    """An axis with a light grid and a title in lines of at most `width` characters."""
    return {
        "title": {"text": wrapped(title, width), "standoff": 10},
        "gridcolor": GRID,
        "zerolinecolor": MUTED,
        "linecolor": MUTED,
        "automargin": True,
        **more,
    }


# -- Moran's I ------------------------------------------------------------------------------------


def moran_chart(result: StudyResult) -> Chart | None:
    """Moran's I by period: one line per variable and transform; filled marks differ from no pattern at 5 %."""
    groups = group_rows(result.diagnostics.moran, ("variable", "transform"))
    if not groups:
        return None
    colours = variable_colours(result)
    data = [_moran_line(rows, colours) for rows in groups.values()]
    expected = next((row["expected"] for row in result.diagnostics.moran if row.get("expected") is not None), None)
    layout: dict[str, Any] = {
        "xaxis": axis("period", type="category", categoryorder="array",
                      categoryarray=[str(p) for p in result.panel.periods]),
        "yaxis": axis("Moran’s I"),
    }  # fmt: skip
    if expected is not None:
        line = {"color": MUTED, "dash": "dot", "width": 1}
        layout["shapes"] = [
            {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": expected, "y1": expected, "line": line}
        ]
    return Chart(
        key="moran",
        title="Moran’s I by period: levels against deviations from region and period means",
        alt="Line chart of Moran’s I by period for each variable; the values are in the table below it.",
        caption="Solid: levels. Dashed: within, after removing region and period means. Filled marks: p < 0.05; "
        "hollow: not. Dotted line: the value expected without any spatial pattern. Clustering of levels says nothing "
        "about changes.",
        data=tuple(data),
        layout=layout,
    )


def group_rows(rows: Iterable[Row], keys: Sequence[str]) -> dict[tuple[str, ...], list[Row]]:
    """Rows by the values of some columns, in order of appearance."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(str(row.get(key, "")) for key in keys), []).append(row)
    return groups


def variable_colours(result: StudyResult) -> dict[str, str]:
    """The colour of every measured variable, by its role in the study and its order within the role."""
    seen: dict[str, int] = {}
    colours = {}
    for measure in result.measures:
        choice = ROLES.get(measure.role, (MUTED,))
        number = seen[measure.role] = seen.get(measure.role, -1) + 1
        colours[measure.name] = choice[min(number, len(choice) - 1)]
    return colours


def _moran_line(rows: Sequence[Row], colours: Mapping[str, str]) -> dict[str, Any]:
    first = rows[0]
    colour = colours.get(str(first["variable"]), MUTED)
    within = first.get("transform") == "within"
    whole, part = str(first.get("label") or first["variable"]), "within" if within else "level"
    label = f"{whole}, {part}"
    clear = [row.get("p_value") is not None and row["p_value"] < 0.05 for row in rows]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": f"{short(whole, 36)}, {part}",
        "x": [str(row["period"]) for row in rows],
        "y": [row.get("statistic") for row in rows],
        "line": {"color": colour, "dash": "dash" if within else "solid", "width": 2},
        "marker": {
            "size": 9,
            "color": [colour if yes else "#ffffff" for yes in clear],
            "line": {"color": colour, "width": 1.5},
        },
        "hoverinfo": "text",
        "hovertext": [
            f"{safe(label)}, {safe(row['period'])}<br>I = {compact(row.get('statistic'))}, "
            + p_sentence(row.get("p_value"))
            for row in rows
        ],
    }


def scatter_charts(result: StudyResult) -> tuple[Chart, ...]:
    """Moran scatters: each region's standardised value against the mean of its neighbours'."""
    names = display_names(result)
    return tuple(_scatter(result, scatter, names, i) for i, scatter in enumerate(result.diagnostics.scatters))


def _scatter(result: StudyResult, scatter: MoranScatter, names: Mapping[str, str], number: int) -> Chart:
    measure = next((m for m in result.measures if m.name == scatter.variable), None)
    label = measure.label if measure is not None and measure.label else scatter.variable
    row = moran_row(result, scatter)
    slope = None if row is None else row.get("statistic")
    reach = max((abs(z) for z in scatter.z), default=1.0) * 1.08
    data: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "markers",
            "x": list(scatter.z),
            "y": list(scatter.lag),
            "marker": {"size": 9, "color": variable_colours(result).get(scatter.variable, MUTED), "opacity": 0.75,
                       "line": {"color": "#ffffff", "width": 1}},
            "hoverinfo": "text",
            "hovertext": [f"{safe(names.get(r, r))}<br>own {fixed(z, 2)}, neighbours {fixed(lag, 2)}"
                          for r, z, lag in zip(scatter.regions, scatter.z, scatter.lag, strict=True)],
            "showlegend": False,
        }
    ]  # fmt: skip
    if slope is not None:
        # a line through the origin with slope I: the definition of the statistic when the rows of W sum to one
        data.append({"type": "scatter", "mode": "lines", "x": [-reach, reach], "y": [-reach * slope, reach * slope],
                     "line": {"color": INK, "width": 1.5, "dash": "dash"}, "hoverinfo": "skip",
                     "showlegend": False})  # fmt: skip
    statistic = "" if row is None else f" (I = {compact(slope, 2)}, {p_sentence(row.get('p_value'))})"
    return Chart(
        key=f"moran-scatter-{number}",
        title=f"{heading(label, scatter.variable)}, {scatter.period}{statistic}",
        alt=f"Scatter of {label} against the neighbours’ mean in {scatter.period}{statistic}.",
        caption="Each point is a region; both axes in standard deviations. Upper right: high among high; lower left: "
        "low among low.",
        data=tuple(data),
        layout={
            "xaxis": axis("own value (std. dev.)"),
            "yaxis": axis("neighbours’ mean (std. dev.)"),
        },
    )


def moran_row(result: StudyResult, scatter: MoranScatter) -> Row | None:
    """Moran's I of the levels that a scatter shows."""
    for row in result.diagnostics.moran:
        same = row.get("variable") == scatter.variable and str(row.get("period")) == str(scatter.period)
        if same and row.get("transform", "level") == "level":
            return row
    return None


# -- effects --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Panel:
    """A part of an interval chart with an axis of its own: its title and its lanes (name, label, effect → row)."""

    title: str
    lanes: tuple[tuple[str, str, Mapping[str, Row]], ...]


def effect_panels(result: StudyResult) -> tuple[Panel, ...]:
    """The effects of the main model by unit: what cannot be compared does not share an axis."""
    model = result.model()
    rows = [row for row in model.impacts if row.get("estimate") is not None]
    if not model.has_spillover:
        rows = [row for row in rows if row.get("effect") == "direct"]
    panels: dict[str, list[tuple[str, str, Mapping[str, Row]]]] = {}
    for variable in dict.fromkeys(str(row.get("variable", "")) for row in rows):
        effects = {str(r["effect"]): r for r in reversed(rows) if str(r.get("variable")) == variable}
        unit = scale_of(result, model, variable).effect_unit
        panels.setdefault(unit, []).append((variable, variable, effects))
    return tuple(Panel(unit, tuple(lanes)) for unit, lanes in panels.items())


def effects_chart(result: StudyResult) -> Chart | None:
    """Direct, indirect and total effects of every variable of the main model, with intervals."""
    panels = effect_panels(result)
    if not panels:
        return None
    return interval_chart(
        "effects",
        f"Effects in the main model: {result.model().name}",
        panels,
        "Marks: estimates; lines: 95 % intervals. Hollow marks: the interval contains zero."
        + (" Effects in different units have axes of their own." if len(panels) > 1 else ""),
    )


def forest_panel(result: StudyResult) -> tuple[Panel, str] | None:
    """The treatment's effects in every model on the scale of the headline, and a remark where models differ in it."""
    main = scale_of(result, result.model())
    lanes, others = [], []
    for model in result.models:
        scale = scale_of(result, model)
        if scale.outcome.logged != main.outcome.logged or (not main.outcome.logged and scale.unit != main.unit):
            continue  # another unit than that of the axis
        rows = {e: _told(scale, row) for e in EFFECTS if (row := effect_row(model, e)) is not None}
        if rows:
            lanes.append((model.name, _model_label(model), rows))
        if (scale.outcome, scale.shock) != (main.outcome, main.shock):
            others.append(model.name)
    if not lanes:
        return None
    remark = f" Another outcome or treatment, each on its own: {'; '.join(others)}." if others else ""
    return Panel(main.change, tuple(lanes)), remark


def _told(scale: Scale, row: Row) -> Row:
    """A row with estimate and limits on the scale of the headline."""
    changed = {
        key: scale.convert(float(row[key])) for key in ("estimate", "conf_low", "conf_high") if row.get(key) is not None
    }
    return {**row, **changed}


def forest_chart(result: StudyResult) -> Chart | None:
    """The treatment's direct, indirect and total effect in every model, side by side."""
    found = forest_panel(result)
    if found is None:
        return None
    panel, remark = found
    return interval_chart(
        "forest",
        f"Does it depend on the model? What goes with {scale_of(result, result.model()).shock}",
        (panel,),
        "One block per model. Lines: 95 % intervals; hollow marks: the interval contains zero. A conclusion that only "
        f"one block supports is fragile.{remark}",
    )


def _model_label(model: ModelResult) -> str:
    parts = [model.model.upper(), model.effects, model.groups, model.weights if model.model != "ols" else ""]
    return f"{model.name}: {', '.join(part for part in parts if part)}"


_LANE, _AXIS = 64, 92  # pixels of one lane, and of the axis with its title below each panel


def interval_chart(key: str, title: str, panels: Sequence[Panel], caption: str) -> Chart:
    """Panels from top to bottom, lanes within each, three marks in each lane."""
    offsets = {"direct": 0.22, "indirect": 0.0, "total": -0.22}
    heights = [_LANE * len(panel.lanes) for panel in panels]
    inside = sum(heights) + _AXIS * (len(panels) - 1)
    data: list[dict[str, Any]] = []
    layout: dict[str, Any] = {"margin": {"l": 16, "r": 16, "t": 44, "b": 60}}
    top = float(inside)
    for number, (panel, height) in enumerate(zip(panels, heights, strict=True), start=1):
        tag = "" if number == 1 else str(number)
        count = len(panel.lanes)
        lanes = [(count - 1 - i, lane) for i, lane in enumerate(panel.lanes)]
        for effect, offset in offsets.items():
            trace = _interval_trace(effect, offset, lanes)
            if trace["x"]:
                place = {"xaxis": f"x{tag}", "yaxis": f"y{tag}", "legendgroup": effect, "showlegend": number == 1}
                data.append({**trace, **place})
        layout[f"xaxis{tag}"] = axis(panel.title, 26, zeroline=True, zerolinewidth=1.5, anchor=f"y{tag}", nticks=6)
        layout[f"yaxis{tag}"] = {
            **axis(""),
            "tickmode": "array",
            "tickvals": list(range(count - 1, -1, -1)),
            "ticktext": [wrapped(name, 24) for name, _, _ in panel.lanes],
            "zeroline": False,
            "range": [-0.6, count - 0.4],
            "showgrid": False,
            "anchor": f"x{tag}",
            "domain": [max(top - height, 0.0) / inside, min(top / inside, 1.0)],
        }
        top -= height + _AXIS
    return Chart(
        key=key,
        title=title,
        alt=f"{title}: estimates with 95 % intervals; the values are in the tables.",
        caption=caption,
        data=tuple(data),
        layout=layout,
        height=int(inside + 120),
    )


def _interval_trace(
    effect: str, offset: float, lanes: Sequence[tuple[int, tuple[str, str, Mapping[str, Row]]]]
) -> dict[str, Any]:
    colour = EFFECTS[effect]
    symbol = {"direct": "circle", "indirect": "square", "total": "diamond"}[effect]
    shown = [(y + offset, label, rows[effect]) for y, (_, label, rows) in lanes if effect in rows]
    values = [float(row["estimate"]) for _, _, row in shown]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": effect,
        "x": values,
        "y": [y for y, _, _ in shown],
        "marker": {
            "size": 10,
            "symbol": symbol,
            "color": ["#ffffff" if contains_zero(row) else colour for _, _, row in shown],
            "line": {"color": colour, "width": 2},
        },
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [_gap(row, "conf_high") for _, _, row in shown],
            "arrayminus": [_gap(row, "conf_low") for _, _, row in shown],
            "color": colour,
            "thickness": 2,
            "width": 0,
        },
        "hoverinfo": "text",
        "hovertext": [f"{safe(label)}<br>{effect}: {estimate_text(row)}" for _, label, row in shown],
    }


def _gap(row: Row, limit: str) -> float:
    return 0.0 if row.get(limit) is None else abs(float(row[limit]) - float(row["estimate"]))


def estimate_text(row: Row) -> str:
    """Estimate and interval with the same decimals."""
    places = decimals_for(row.get("conf_low"), row.get("conf_high"), row.get("estimate"))
    return f"{fixed(row.get('estimate'), places)} (95 %: {interval(row.get('conf_low'), row.get('conf_high'), places)})"


# -- truth ----------------------------------------------------------------------------------------


def truth_chart(result: StudyResult) -> Chart | None:
    """Estimates with intervals beside the known truth, each scaled to its interval so that one axis serves all."""
    if not result.truth:
        return None
    rows = list(reversed(result.truth))
    half = [max((row.conf_high - row.conf_low) / 2, 1e-300) for row in rows]
    truths = [(row.truth - row.estimate) / h for row, h in zip(rows, half, strict=True)]
    text = [
        f"{safe(row.quantity)}<br>truth {compact(row.truth)} {safe(row.unit)}<br>estimate {compact(row.estimate)} "
        f"(95 %: {interval(row.conf_low, row.conf_high)})"
        for row in rows
    ]
    lanes = list(range(len(rows)))
    low = [(row.estimate - row.conf_low) / h for row, h in zip(rows, half, strict=True)]
    high = [(row.conf_high - row.estimate) / h for row, h in zip(rows, half, strict=True)]
    estimates = {
        "type": "scatter", "mode": "markers", "name": "estimate with 95 % interval", "x": [0.0] * len(rows), "y": lanes,
        "marker": {"size": 9, "color": EFFECTS["direct"]}, "hoverinfo": "text", "hovertext": text,
        "error_x": {"type": "data", "symmetric": False, "array": high, "arrayminus": low,
                    "color": EFFECTS["direct"], "thickness": 2, "width": 4},
    }  # fmt: skip
    true = {"type": "scatter", "mode": "markers", "name": "truth", "x": truths, "y": lanes, "hoverinfo": "text",
            "marker": {"size": 15, "symbol": "line-ns", "line": {"color": TRUTH, "width": 3}},
            "hovertext": text}  # fmt: skip
    ticks = {"tickmode": "array", "tickvals": lanes, "ticktext": [short(row.quantity) for row in rows],
             "zeroline": False, "range": [-0.6, len(rows) - 0.4], "showgrid": False}  # fmt: skip
    return Chart(
        key="truth",
        title="Distance of the truth from each estimate",
        alt="Estimates with 95 % intervals and the true values; the values are in the table.",
        caption="Distances are in half-widths of each interval: the interval runs from −1 to 1, and a truth inside it "
        "is covered. On average 95 of 100 intervals cover.",
        data=(estimates, true),
        layout={"xaxis": axis("distance from the estimate (half-widths of the 95 % interval)"),
                "yaxis": {**axis(""), **ticks}},
        height=140 + 44 * len(rows),
    )  # fmt: skip
