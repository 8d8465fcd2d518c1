"""The channels of a study on its page: how the effect flows, channel by channel, and what it would take to undo it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from spillover.report.charts import Chart, Panel, axis, interval_chart, safe, short
from spillover.report.palette import EFFECTS, INK, MUTED, NEGATIVE, faded
from spillover.report.words import contains_zero
from spillover.study.numbers import compact, interval
from spillover.study.result import ConfoundingCurve, Mechanisms, StudyResult

Row = Mapping[str, Any]

MARKS = {"own": "direct", "spillover": "indirect", "total": "total"}
PLACES = {"own": "at home", "spillover": "next door"}
SUMS = ("all channels", "total")
AGAINST = NEGATIVE[1]


@dataclass(frozen=True)
class Flow:
    """One band: how much of the effect passes through a channel to one place, whether against it, whether visible."""

    channel: str
    effect: str  # own or spillover
    row: Row

    @property
    def size(self) -> float:
        """Width."""
        return abs(float(self.row["estimate"]))

    @property
    def colour(self) -> str:
        """Blue at home, orange next door, purple where it works against the outcome."""
        return AGAINST if float(self.row["estimate"]) < 0 else EFFECTS[MARKS[self.effect]]

    @property
    def visible(self) -> bool:
        """The interval excludes zero."""
        return not contains_zero(self.row)

    @property
    def text(self) -> str:
        """What the band stands for, with its interval."""
        told = f"{compact(self.row['estimate'])} (95 %: {interval(self.row['conf_low'], self.row['conf_high'])})"
        return f"{self.channel}, {PLACES[self.effect]}: {told}" + ("" if self.visible else ", not visible")


def flows(found: Mechanisms) -> tuple[Flow, ...]:
    """All bands in the order of the channels; what is exactly zero has none."""
    rows = [row for row in found.effects if row["channel"] not in SUMS and row["effect"] in PLACES]
    return tuple(Flow(str(row["channel"]), str(row["effect"]), row) for row in rows if row["estimate"])


def channel_figures(result: StudyResult) -> dict[str, Chart]:
    """Every figure of the section by its key."""
    found = result.mechanisms
    if found is None:
        return {}
    charts = [flow_chart(found), channel_chart(found), *confounding_charts(found)]
    return {chart.key: chart for chart in charts if chart is not None}


# -- the flow -------------------------------------------------------------------------------------


def flow_chart(found: Mechanisms) -> Chart | None:
    """A flow diagram (Sankey) from the treatment through the channels to the outcome at home and next door."""
    bands = flows(found)
    if not bands:
        return None
    channels = list(dict.fromkeys(band.channel for band in bands))
    places = [place for effect, place in PLACES.items() if any(band.effect == effect for band in bands)]
    ends = {effect: 1 + len(channels) + places.index(place) for effect, place in PLACES.items() if place in places}
    links: dict[str, list[Any]] = {"source": [], "target": [], "value": [], "color": [], "customdata": []}
    for band in bands:
        middle = 1 + channels.index(band.channel)
        for source, target in ((0, middle), (middle, ends[band.effect])):
            links["source"].append(source)
            links["target"].append(target)
            links["value"].append(band.size)
            links["color"].append(faded(band.colour, 0.55 if band.visible else 0.18))
            links["customdata"].append(safe(band.text))
    data = {
        "type": "sankey",
        "arrangement": "snap",
        "node": {
            "label": [short(found.treatment_label, 30), *map(short, channels), *(f"outcome {p}" for p in places)],
            "color": [INK, *([MUTED] * len(channels)), *(EFFECTS[MARKS[e]] for e, p in PLACES.items() if p in places)],
            "pad": 18,
            "thickness": 14,
            "hoverinfo": "none",
        },
        "link": {**links, "hovertemplate": "%{customdata}<extra></extra>"},
    }
    return Chart(
        key="channel-flow",
        title="Through which channels, at home and next door",
        alt=f"Flow diagram from {found.treatment_label} through {', '.join(channels)} to the outcome at home and next "
        "door; the numbers are in the table below.",
        caption="Width: size of the effect per unit of the treatment, in the region itself (blue) and from all other "
        "regions together (orange). Purple: works against the outcome. Pale: the 95 % interval contains zero, so that "
        f"even the direction is open.{_bent(found)}",
        data=(data,),
        height=160 + 56 * len(channels),
    )


def _bent(found: Mechanisms) -> str:
    """A sentence about channels whose curve turns: their band is that of one point of it."""
    names = [str(row["channel"]) for row in found.turning_points]
    if not names:
        return ""
    return f" At the mean of {' and of '.join(names)}, whose effect is another at each value."


# -- intervals ------------------------------------------------------------------------------------


def channel_panel(found: Mechanisms) -> Panel:
    """One lane per channel, with the effect at home, next door and in all."""
    lanes: dict[str, dict[str, Row]] = {}
    for row in found.effects:
        if row["conf_low"] is not None:
            lanes.setdefault(str(row["channel"]), {})[MARKS[str(row["effect"])]] = row
    skipped = () if any(row["channel"] == "not through a channel" for row in found.effects) else ("all channels",)
    return Panel(
        f"{found.outcome} per unit of {found.treatment}",
        tuple((name, name, rows) for name, rows in lanes.items() if name not in skipped),
    )


def channel_chart(found: Mechanisms) -> Chart:
    """Effects by channel with intervals."""
    return interval_chart(
        "channel-effects",
        "Effects by channel",
        (channel_panel(found),),
        "Lines: 95 % intervals, each by itself; those that hold for all channels together are in the table. Hollow "
        "marks: the interval contains zero. Direct: at home; indirect: next door.",
    )


def effect_rows(found: Mechanisms) -> tuple[dict[str, Any], ...]:
    """Rows of the table: the tidy row, its joint interval where it has one, and its share."""
    joint = {str(row["term"]): row for row in found.simultaneous}
    shares = {
        (str(row["channel"]), kind): row for kind, rows in found.shares.items() for row in rows if row["std_error"]
    }
    return tuple(
        {
            "row": row,
            "place": {"own": "at home", "spillover": "next door", "total": "in all"}[str(row["effect"])],
            "joint": joint.get(str(row["term"])),
            "share": shares.get((str(row["channel"]), str(row["effect"]))),
        }
        for row in found.effects
    )


# -- sensitivity ----------------------------------------------------------------------------------


def confounding_charts(found: Mechanisms) -> Iterator[Chart]:
    """One chart per channel: its total effect for every correlation of the errors of mediator and outcome."""
    for number, curve in enumerate(found.curves):
        yield _confounding_chart(number, curve)


def band_of(curve: ConfoundingCurve) -> tuple[list[float], list[float]]:
    """Lower and upper end of the 95 % intervals of the total effect."""
    pairs = zip(curve.effects["total"], curve.std_errors["total"], strict=True)
    ends = [(value - 1.96 * error, value + 1.96 * error) for value, error in pairs]
    return [low for low, _ in ends], [high for _, high in ends]


def _confounding_chart(number: int, curve: ConfoundingCurve) -> Chart:
    low, high = band_of(curve)
    x = list(curve.correlations)
    texts = [f"r = {r:.2f}: {compact(value)}" for r, value in zip(x, curve.effects["total"], strict=True)]
    colour = EFFECTS["total"]
    band = {
        "type": "scatter", "x": [*x, *x[::-1]], "y": [*high, *low[::-1]], "fill": "toself", "mode": "lines",
        "line": {"width": 0}, "fillcolor": faded(colour, 0.18), "hoverinfo": "skip", "name": "95 % interval",
    }  # fmt: skip
    line = {
        "type": "scatter", "mode": "lines", "x": x, "y": list(curve.effects["total"]), "name": "total effect",
        "line": {"color": colour, "width": 2.5}, "hoverinfo": "text", "hovertext": texts,
    }  # fmt: skip
    shapes = [
        {"type": "line", "x0": 0, "x1": 0, "yref": "paper", "y0": 0, "y1": 1, "line": {"color": MUTED, "width": 1}}
    ]
    even = curve.break_even["total"]
    if even is not None:
        dash = {"color": EFFECTS["indirect"], "width": 2, "dash": "dot"}
        shapes.append({"type": "line", "x0": even, "x1": even, "yref": "paper", "y0": 0, "y1": 1, "line": dash})
    return Chart(
        key=f"channel-confounding-{number}",
        title=curve.channel,
        alt=curve.sentence,
        caption=curve.sentence,
        data=(band, line),
        layout={
            "xaxis": axis("correlation of what is unmeasured", 30, zeroline=False),
            "yaxis": axis("total effect", zeroline=True, zerolinewidth=1.5),
            "shapes": shapes,
            "showlegend": False,
        },
        height=300,
    )
