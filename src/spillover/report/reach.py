"""How far a spillover reaches, on the page: the decay with its band, rings, the boundary curve, who gives to whom."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from spillover.report.charts import Chart, axis, safe
from spillover.report.maps import Choropleth
from spillover.report.palette import EFFECTS, INK, MUTED, ROLES, signed_classes
from spillover.report.words import display_names
from spillover.study.numbers import compact, decimals_for, fixed, interval
from spillover.study.result import DistanceReach, StudyResult
from spillover.study.scale import split_term

Row = Mapping[str, Any]

LAW = EFFECTS["indirect"]
FREE = ROLES["agglomeration"][0]
FAINT = {LAW: "rgba(192,90,18,0.16)", FREE: "rgba(27,94,147,0.13)"}
CHI2 = 3.841  # 95 % quantile of χ²(1)
ARROWS = 20
TOP = 10


def reach_figures(result: StudyResult) -> dict[str, Chart]:
    """Every figure of the section by its key."""
    found = result.distance
    if found is None:
        return {}
    charts = (decay_chart(found), rings_chart(found), boundary_chart(found), profile_chart(found))
    return {chart.key: chart for chart in charts if chart is not None}


# -- the decay ------------------------------------------------------------------------------------


def effect_title(found: DistanceReach) -> str:
    """What the curves of effects are in: the effect of one unit more in one region at a distance."""
    return f"{found.outcome} per unit of {found.treatment} in one region at that distance"


def half_range(found: DistanceReach) -> tuple[float, float] | None:
    """Both limits of the half-distance where they are closed and within the curve."""
    low, high = found.decay["half_low"], found.decay["half_high"]
    return None if low is None or high is None else (float(low), float(high))


def decay_chart(found: DistanceReach) -> Chart | None:
    """The law with its band, and the smooth curve that follows no law."""
    data: list[dict[str, Any]] = []
    if not found.relative and found.spline:
        data += _band_and_line(found.spline, "distance", ("estimate", "band_low", "band_high"), FREE,
                               "smooth curve, no law", found.unit, dash="dash")  # fmt: skip
    if found.curve:
        data += _band_and_line(found.curve, "distance", ("estimate", "conf_low", "conf_high"), LAW,
                               f"{found.decay['law']} law", found.unit)  # fmt: skip
    if not data:
        return None
    shapes = [_line_at_zero()]
    limits = half_range(found)
    if found.curve and limits is not None:
        end = float(found.curve[-1]["distance"])
        shapes.append({"type": "rect", "x0": limits[0], "x1": min(limits[1], end), "yref": "paper", "y0": 0, "y1": 1,
                       "fillcolor": "rgba(91,104,117,0.12)", "line": {"width": 0}, "layer": "below"})  # fmt: skip
        half = float(found.decay["half_distance"])
        shapes.append({"type": "line", "x0": half, "x1": half, "yref": "paper", "y0": 0, "y1": 1,
                       "line": {"color": MUTED, "width": 1.5, "dash": "dot"}})  # fmt: skip
    title = "share of its strength at distance zero" if found.relative else effect_title(found)
    return Chart(
        key="distance-decay",
        title="How fast the spillover falls with distance",
        alt=f"Curve of the spillover over distance with its band. {found.sentences[0]}",
        caption=decay_caption(found),
        data=tuple(data),
        layout={
            "xaxis": axis(f"distance ({found.unit})", rangemode="tozero"),
            "yaxis": axis(title, 44),
            "shapes": shapes,
        },
        height=400,
    )


def decay_caption(found: DistanceReach) -> str:
    """What the lines and bands are."""
    parts = []
    if found.curve and found.relative:
        parts.append("Line: the estimated law, one at distance zero; band: the law at both limits of its decay.")
    elif found.curve:
        parts.append("Solid: the estimated law, with 95 % intervals at each distance.")
    else:
        parts.append("No law is drawn, because no decay was found.")
    if not found.relative and found.spline:
        parts.append("Dashed: a smooth curve without a law; its band holds for the whole curve.")
    if found.curve and half_range(found) is not None:
        parts.append("Dotted: the half-distance; grey: its 95 % interval.")
    elif found.curve:
        parts.append("The half-distance has no closed interval, so none is drawn.")
    return " ".join(parts)


def _band_and_line(
    rows: Sequence[Row], key: str, columns: tuple[str, str, str], colour: str, name: str, unit: str, dash: str = "solid"
) -> list[dict[str, Any]]:
    middle, low, high = columns
    x = [float(row[key]) for row in rows]
    texts = [
        f"{compact(row[key])} {safe(unit)}: {compact(row[middle])} (95 %: {interval(row[low], row[high])})"
        for row in rows
    ]
    band = {
        "type": "scatter", "mode": "lines", "x": [*x, *x[::-1]], "fill": "toself", "fillcolor": FAINT[colour],
        "y": [*(row[high] for row in rows), *(row[low] for row in rows[::-1])], "line": {"width": 0},
        "hoverinfo": "skip", "showlegend": False,
    }  # fmt: skip
    line = {
        "type": "scatter", "mode": "lines", "name": safe(name), "x": x, "y": [row[middle] for row in rows],
        "line": {"color": colour, "width": 2.5, "dash": dash}, "hoverinfo": "text", "hovertext": texts,
    }  # fmt: skip
    return [band, line]


def _line_at_zero() -> dict[str, Any]:
    return {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 0, "y1": 0, "line": {"color": MUTED, "width": 1}}


# -- rings ----------------------------------------------------------------------------------------


def rings_chart(found: DistanceReach) -> Chart | None:
    """The effect by ring, with a band that holds for all rings."""
    if not found.rings:
        return None
    hollow = [holds_zero(row) for row in found.rings]
    values = [float(row["estimate"]) for row in found.rings]
    marks = {
        "type": "scatter", "mode": "markers", "x": [safe(row["ring"]) for row in found.rings], "y": values,
        "marker": {"size": 10, "color": ["#ffffff" if empty else LAW for empty in hollow],
                   "line": {"color": LAW, "width": 2}},
        "error_y": {"type": "data", "symmetric": False, "color": LAW, "thickness": 2, "width": 0,
                    "array": [row["band_high"] - row["estimate"] for row in found.rings],
                    "arrayminus": [row["estimate"] - row["band_low"] for row in found.rings]},
        "hoverinfo": "text", "showlegend": False,
        "hovertext": [f"{safe(row['ring'])}: {compact(row['estimate'])} "
                      f"(95 % for all rings: {interval(row['band_low'], row['band_high'])})" for row in found.rings],
    }  # fmt: skip
    return Chart(
        key="distance-rings",
        title="By ring of distance, without a law",
        alt="Effect of one more unit in one region of each ring with its joint interval; the values are in the table.",
        caption="What one unit more of the treatment in one region of the ring adds. Intervals hold for all rings "
        "together; hollow: contains zero.",
        data=(marks,),
        layout={
            "xaxis": axis("ring", type="category"),
            "yaxis": axis(f"{found.outcome} per unit in one region", 34, zeroline=True, zerolinewidth=1.5),
        },
        height=340,
    )


def holds_zero(row: Row) -> bool:
    """Whether the joint band of a row holds zero."""
    return bool(row["band_low"] <= 0.0 <= row["band_high"])


# -- the boundary ---------------------------------------------------------------------------------


def boundary_chart(found: DistanceReach) -> Chart | None:
    """What comes from beyond each threshold, with its band."""
    if not found.boundary:
        return None
    data = _band_and_line(found.boundary, "threshold", ("estimate", "band_low", "band_high"), FREE, "from beyond",
                          found.unit)  # fmt: skip
    data[1] |= {"mode": "lines+markers", "showlegend": False}
    data[1]["marker"] = {
        "size": 9,
        "color": ["#ffffff" if holds_zero(row) else FREE for row in found.boundary],
        "line": {"color": FREE, "width": 2},
    }
    return Chart(
        key="distance-boundary",
        title="Where power ends is not where spillover ends",
        alt="Spillover from beyond each threshold with its band. " + boundary_says(found),
        caption="Spillover from beyond each threshold, with the nearer rings as controls; the band holds for the whole "
        "curve, and hollow marks are where it holds zero. From there on nothing can be seen, which is no proof that "
        "nothing is there. Read its sign, not its size.",
        data=tuple(data),
        layout={
            "xaxis": axis(f"threshold ({found.unit})", rangemode="tozero"),
            "yaxis": axis(f"{found.outcome} per unit everywhere beyond", 34, zeroline=True, zerolinewidth=1.5),
        },
        height=340,
    )


def boundary_says(found: DistanceReach) -> str:
    """The sentence about the boundary."""
    return next((text for text in found.sentences if text.startswith("How far it is visible")), "")


# -- the profile ----------------------------------------------------------------------------------


def profile_chart(found: DistanceReach) -> Chart | None:
    """How much worse every other half-distance fits."""
    rows = [row for row in found.profile if row["deviance"] is not None]
    if len(rows) < 2:
        return None
    ceiling = profile_ceiling(found)
    line = {
        "type": "scatter", "mode": "lines+markers", "x": [row["half_distance"] for row in rows],
        "y": [row["deviance"] for row in rows], "line": {"color": INK, "width": 2},
        "marker": {"size": 5, "color": INK}, "showlegend": False, "hoverinfo": "text",
        "hovertext": [f"half-distance {compact(row['half_distance'])} {safe(found.unit)}: "
                      f"{compact(row['deviance'])} worse" for row in rows],
    }  # fmt: skip
    limit = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": CHI2, "y1": CHI2,
             "line": {"color": LAW, "width": 1.5, "dash": "dot"}}  # fmt: skip
    return Chart(
        key="distance-profile",
        title="How much worse every other half-distance fits",
        alt=f"Profile of the likelihood over the half-distance. {found.sentences[0]}",
        caption=profile_caption(found),
        data=(line,),
        layout={
            "xaxis": axis(f"half-distance ({found.unit}, log scale)", type="log", dtick="D2"),
            "yaxis": axis("twice the loss in log-likelihood", 34, range=[-0.4, ceiling * 1.04]),
            "shapes": [limit],
        },
        height=320,
    )


def profile_ceiling(found: DistanceReach) -> float:
    """Upper end of the axis: a flat profile is drawn larger."""
    largest = max(float(row["deviance"]) for row in found.profile if row["deviance"] is not None)
    return (2.0 if largest < 2.0 * CHI2 else 4.0) * CHI2


def profile_caption(found: DistanceReach) -> str:
    """What the line says, and when it is not the interval that is quoted."""
    said = (
        "Below the dotted line a half-distance is not rejected by the likelihood at 5 %; a curve that stays below it "
        "towards an end leaves the interval open there. Losses beyond the frame are cut."
    )
    if "likelihood" not in str(found.decay["interval_method"]):
        said += f" The interval that is quoted is another ({found.decay['interval_method']}): residuals are related."
    return said


# -- who gives to whom ----------------------------------------------------------------------------


def network_map(result: StudyResult) -> tuple[Choropleth, ...]:
    """What each region's own change brought to all others, with the strongest links; none without a decay."""
    found = result.distance
    if found is None or not any(value is not None for value in found.sent):
        return ()
    times = 100.0 if split_term(found.outcome)[1] else 1.0  # shares of the outcome to percent
    values = tuple(None if value is None else times * float(value) for value in found.sent)
    links = tuple((str(row["sender"]), str(row["receiver"]), float(row["effect"])) for row in found.links[:ARROWS])
    return (
        Choropleth(
            key="distance-sent",
            title=f"Sent by each region’s own change{', ' + found.span if found.span else ''}",
            unit=unit_of(found),
            frames=("",),
            values=(values,),
            classes=signed_classes(values),
            caption=f"{sent_caption(found)} Arrows: the {len(links)} strongest links, from sender to receiver; wider "
            "is stronger. What the estimated law implies, not measured flows.",
            links=links,
        ),
    )


def sent_caption(found: DistanceReach) -> str:
    """What the map shows."""
    change = f"the change of its own {found.treatment_label} from {found.span}"
    if not found.span:
        change = f"the distance of its own {found.treatment_label} from the mean"
    return f"Change of {found.outcome_label}, summed over all other regions, that goes with {change}."


def unit_of(found: DistanceReach) -> str:
    """Unit of what is sent."""
    return "%" if split_term(found.outcome)[1] else f"in units of {found.outcome_label}"


def told(found: DistanceReach, value: float | None) -> float | None:
    """A change of the outcome's term as a reader wants it: percent where the outcome is a logarithm."""
    if value is None or not split_term(found.outcome)[1]:
        return value
    return 100.0 * math.expm1(value)


def link_rows(result: StudyResult) -> list[dict[str, str]]:
    """The strongest links by name."""
    found = result.distance
    if found is None:
        return []
    names = display_names(result)
    rows = found.links[:TOP]
    values = [told(found, float(row["effect"])) for row in rows]
    places = decimals_for(*values)
    return [
        {
            "sender": names.get(str(row["sender"]), str(row["sender"])),
            "receiver": names.get(str(row["receiver"]), str(row["receiver"])),
            "effect": fixed(value, places, sign=True),
            "distance": f"{compact(row['distance'])} {found.unit}",
        }
        for row, value in zip(rows, values, strict=True)
    ]


# -- tables ---------------------------------------------------------------------------------------


def half_text(row: Row) -> str:
    """A half-distance with its limits, – for an open one."""
    low, high = row.get("half_low"), row.get("half_high")
    ends = "open on both sides" if low is None and high is None else f"{_end(low)} to {_end(high)}"
    return f"{compact(row['half_distance'])} ({ends})"


def _end(value: float | None) -> str:
    return "open" if value is None else compact(value)


def reach_tables(found: DistanceReach | None) -> dict[str, list[dict[str, Any]]]:
    """Every table of the section, for the folder of results."""
    if found is None:
        return {}
    return {
        "distance": [{**found.decay, "distances": found.distances, "unit": found.unit, "errors": found.covariance}],
        "distance_effects": [dict(row) for row in found.effects],
        "distance_curve": [dict(row) for row in found.curve],
        "distance_smooth": [dict(row) for row in found.spline],
        "distance_profile": [dict(row) for row in found.profile],
        "distance_rings": [dict(row) for row in found.rings],
        "distance_tests": [dict(row) for row in (found.null_test, *found.ring_tests)],
        "distance_boundary": [dict(row) for row in found.boundary],
        "distance_laws": [dict(row) for row in found.kernels],
        "distance_links": [dict(row) for row in found.links],
    }
