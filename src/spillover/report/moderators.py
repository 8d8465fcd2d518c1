"""The moderators of a study on its page: effects over the values of a moderator, thresholds, strengths."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from spillover.report.charts import Chart, axis, safe
from spillover.report.palette import EFFECTS, INK, MUTED, faded
from spillover.study.numbers import capital, compact, decimals_for, fixed, interval
from spillover.study.result import (
    EffectCurve,
    Moderation,
    Moderators,
    Strengths,
    StudyResult,
    ThresholdProfile,
    Thresholds,
)

Row = Mapping[str, Any]

PLACES = {"direct": "at home", "indirect": "next door"}
MARGIN = {"l": 56, "r": 16, "t": 12, "b": 52}
COLOURS = {**EFFECTS, "rho": INK}
SIDES = {
    "both": "the region’s own and the neighbours’",
    "receiver": "the region’s own",
    "sender": "the neighbours’",
    "none": "the region’s own, for the effect at home only",
    "pair": "that of the link between two regions",
}


@dataclass(frozen=True)
class Band:
    """An effect over a moderator as it is drawn: values without their logarithm.

    Attributes
    ----------
    x, y, low, high : the line and the band for all values together.
    sure : stretches of x on which the band excludes zero, in one sign each.
    rug : quantiles of what was observed.
    """

    label: str
    title: str
    colour: str
    logged: bool
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    sure: tuple[tuple[float, float], ...]
    rug: tuple[float, ...]
    sentence: str


def moderations(found: Moderators) -> tuple[Moderation, ...]:
    """Every moderator: those on their own, then the index of an environment and its parts."""
    environment = [] if found.environment is None else [found.environment.index, *found.environment.parts]
    return (*found.interactions, *environment)


def bands(found: Moderation) -> tuple[Band, ...]:
    """At home and next door; what the model does not have is left out."""
    return tuple(
        _band(curve, found.name, found.logged, f"{capital(PLACES[curve.effect])}, by {found.name}", found.quantiles)
        for curve in found.curves
        if curve.effect in PLACES and max(curve.band_high) > min(curve.band_low)
    )


def strength_band(found: Strengths) -> Band:
    """The strength of the feedback over its moderator."""
    return _band(found.curve, found.name, found.logged, f"Strength of the feedback, by {found.name}", ())


def _band(curve: EffectCurve, label: str, logged: bool, title: str, rug: Sequence[float]) -> Band:
    def shown(values: Sequence[float]) -> tuple[float, ...]:
        return tuple(math.exp(value) for value in values) if logged else tuple(values)

    sure = [(row["low"], row["high"]) for row in curve.ranges if row["kind"] == "simultaneous"]
    return Band(
        label=label,
        title=title,
        colour=COLOURS[curve.effect],
        logged=logged,
        x=shown(curve.values),
        y=curve.estimates,
        low=curve.band_low,
        high=curve.band_high,
        sure=tuple((a, b) for a, b in map(shown, sure)),
        rug=shown(rug),
        sentence=curve.sentence,
    )


def moderator_figures(result: StudyResult) -> dict[str, Chart]:
    """Every figure of the section by its key."""
    return {chart.key: chart for chart in ([] if result.moderators is None else _charts(result.moderators))}


def _charts(found: Moderators) -> Iterator[Chart]:
    for i, moderation in enumerate(moderations(found)):
        for j, band in enumerate(bands(moderation)):
            yield _band_chart(f"moderation-{i}-{j}", band, f"effect of {found.treatment}")
    for i, thresholds in enumerate(found.thresholds):
        for j, profile in enumerate(thresholds.profiles):
            yield _profile_chart(f"threshold-{i}-{j}", thresholds, profile, j)
    for i, strengths in enumerate(found.strengths):
        yield _band_chart(f"strength-{i}", strength_band(strengths), "ρ")


def _band_chart(key: str, band: Band, unit: str) -> Chart:
    x = list(band.x)
    texts = [
        f"{safe(band.label)} {compact(v)}: {compact(y)} (band {interval(a, b)})"
        for v, y, a, b in zip(band.x, band.y, band.low, band.high, strict=True)
    ]
    floor, top = min(0.0, *band.low), max(0.0, *band.high)
    area = {
        "type": "scatter", "mode": "lines", "x": [*x, *x[::-1]], "y": [*band.high, *band.low[::-1]], "fill": "toself",
        "line": {"width": 0}, "fillcolor": faded(band.colour, 0.18), "hoverinfo": "skip",
    }  # fmt: skip
    line = {
        "type": "scatter", "mode": "lines", "x": x, "y": list(band.y), "line": {"color": band.colour, "width": 2.5},
        "hoverinfo": "text", "hovertext": texts,
    }  # fmt: skip
    rug = {
        "type": "scatter", "mode": "markers", "x": list(band.rug), "y": [floor - 0.04 * (top - floor)] * len(band.rug),
        "marker": {"symbol": "line-ns-open", "size": 9, "color": MUTED}, "hoverinfo": "skip",
    }  # fmt: skip
    sure = [
        {
            "type": "rect", "x0": low, "x1": high, "yref": "paper", "y0": 0, "y1": 1, "layer": "below",
            "fillcolor": faded(band.colour, 0.09), "line": {"width": 0},
        }
        for low, high in band.sure
    ]  # fmt: skip
    ends = f"{compact(band.x[0])} to {compact(band.x[-1])}"
    return Chart(
        key=key,
        title=band.title,
        alt=f"{unit} over {band.label} from {ends}, with a band. {band.sentence}",
        caption="",  # the sentence stands above the figures
        data=(area, line, *([rug] if band.rug else [])),
        layout={
            "xaxis": axis(band.label, 30, zeroline=False, **_ticks(band)),
            "yaxis": axis(unit, 30, zeroline=True, zerolinewidth=1.5),
            "shapes": sure,
            "showlegend": False,
            "margin": MARGIN,
        },
        height=280,
    )


def _ticks(band: Band) -> dict[str, Any]:
    """Settings of the moderator's axis: for a logarithm a few round values, in full."""
    if not band.logged:
        return {"exponentformat": "none", "separatethousands": True, "nticks": 6}
    values = round_values(band.x[0], band.x[-1])
    texts = [compact(value, 2) for value in values]
    return {"type": "log", "tickmode": "array", "tickvals": list(values), "ticktext": texts}


def round_values(low: float, high: float, most: int = 6) -> tuple[float, ...]:
    """Round values between two positive ones, at most `most`, apart by about equal ratios.

    >>> round_values(0.3, 40.0)
    (0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0), (1.0, 1.5, 2.0, 3.0, 5.0, 7.0),
                  (1.0, 2.0, 5.0), (1.0, 3.0), (1.0,)):  # fmt: skip
        inside = [round(step * 10.0**k, 12) for k in powers for step in steps if low <= step * 10.0**k <= high]
        if len(inside) <= most:
            return tuple(inside) if len(inside) > 1 else (low, high)
    kept = range(0, len(inside), -(-len(inside) // most))
    return tuple(inside[i] for i in kept)


def _profile_chart(key: str, found: Thresholds, profile: ThresholdProfile, number: int) -> Chart:
    texts = [
        f"{safe(found.name)} {compact(g)}: {compact(r)}" for g, r in zip(profile.gammas, profile.ratio, strict=True)
    ]
    line = {
        "type": "scatter", "mode": "lines", "x": list(profile.gammas), "y": list(profile.ratio),
        "line": {"color": EFFECTS["direct"], "width": 2, "shape": "hv"}, "hoverinfo": "text", "hovertext": texts,
    }  # fmt: skip
    shapes: list[dict[str, Any]] = [
        {
            "type": "rect", "x0": profile.low, "x1": profile.high, "yref": "paper", "y0": 0, "y1": 1, "layer": "below",
            "fillcolor": faded(EFFECTS["direct"], 0.12), "line": {"width": 0},
        },
        {
            "type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": profile.critical, "y1": profile.critical,
            "line": {"color": EFFECTS["indirect"], "width": 2, "dash": "dash"},
        },
        {
            "type": "line", "x0": profile.value, "x1": profile.value, "yref": "paper", "y0": 0, "y1": 1,
            "line": {"color": INK, "width": 1.5, "dash": "dot"},
        },
    ]  # fmt: skip
    which = "" if len(found.profiles) == 1 else f", number {number + 1}"
    ends = interval(profile.low, profile.high, decimals_for(profile.low, profile.high))
    told = (
        f"Where the line is below the dashed one ({fixed(profile.critical, 2)}) a threshold is not rejected: {ends} "
        f"(shaded). Dotted: the estimate, {compact(profile.value)}."
    )
    if found.supported <= number:
        told += " The tests do not support one, and the set says only where it would be if there were."
    return Chart(
        key=key,
        title=f"Where a threshold in {found.name} may be{which}",
        alt=f"Likelihood ratio of every value of {found.name} as the threshold. {told}",
        caption=told,
        data=(line,),
        layout={
            "xaxis": axis(found.name, 40, zeroline=False, exponentformat="none", separatethousands=True),
            "yaxis": axis("likelihood ratio", 30, rangemode="tozero"),
            "shapes": shapes,
            "showlegend": False,
            "margin": MARGIN,
        },
        height=300,
    )


# -- tables ---------------------------------------------------------------------------------------


def moderation_rows(found: Moderation) -> list[dict[str, Any]]:
    """Effects at home and next door at quantiles of the moderator."""
    return [
        {
            "row": row,
            "place": place,
            "value": compact(math.exp(row["value"]) if found.logged else row["value"]),
        }
        for effect, place in PLACES.items()
        for row in found.effects
        if row["effect"] == effect and row["std_error"]
    ]


def regime_rows(found: Thresholds) -> list[dict[str, Any]]:
    """Effects at home and next door on each side of the thresholds."""
    counts = dict(zip(found.regimes, found.counts, strict=True))
    edges = [compact(profile.value) for profile in found.profiles]
    middle = [f"{low} to {high}" for low, high in pairwise(edges)]
    names = dict(zip(found.regimes, (f"up to {edges[0]}", *middle, f"above {edges[-1]}"), strict=True))
    return [
        {"row": row, "place": place, "regime": names[row["regime"]], "count": counts[row["regime"]]}
        for effect, place in PLACES.items()
        for row in found.effects
        if row["effect"] == effect and row["std_error"]
    ]


def overview_rows(found: Moderators) -> list[dict[str, Any]]:
    """One line per moderator: whether it changes the effect, with the p-value for their number."""
    return [
        {"name": each.name, "side": SIDES.get(each.side, ""), "p": each.p_value, "p_adjusted": each.p_adjusted}
        for each in (*found.interactions, *([] if found.environment is None else [found.environment.index]))
    ]


def parts_of(found: Moderators) -> list[dict[str, Any]]:
    """Each moderator with the keys of its figures, in the order of the page."""
    return [
        {
            "moderation": each,
            "keys": [f"moderation-{i}-{j}" for j, _ in enumerate(bands(each))],
            "rows": moderation_rows(each),
            "side": SIDES.get(each.side, ""),
        }
        for i, each in enumerate(moderations(found))
    ]
