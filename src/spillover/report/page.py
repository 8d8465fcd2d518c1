"""`report.html`: one self-contained page from a finished study; opens without a network.

Templates escape everything by default. Data for the charts travel as JSON inside `<script type="application/json">`
with every `<` written as an escape, so no name can end the block; a content security policy forbids any load from a
network and any script but the page's own.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from spillover.report import audit, channels, charts, maps, moderators, reach, references, words
from spillover.report.charts import Chart
from spillover.report.maps import Choropleth, Shapes
from spillover.report.palette import NO_DATA
from spillover.study import numbers
from spillover.study.result import ModelResult, StudyResult
from spillover.study.scale import scale_of

Row = Mapping[str, Any]
_TOP = 10  # regions and links in the tables of the page; all of them are in tables/


def render_html(result: StudyResult, *, notices: tuple[str, ...] = ()) -> str:
    """The whole report as HTML text.

    Parameters
    ----------
    result : a finished study; nothing else is read.
    notices : remarks about the files of this report, shown with the provenance ("no font with Chinese …").
    """
    from plotly.offline import get_plotlyjs

    environment = _environment()
    shapes = maps.shapes_of(result)
    figures = _figures(result) | reach.reach_figures(result)
    figures |= channels.channel_figures(result) | moderators.moderator_figures(result) | audit.audit_figures(result)
    payload = {
        "charts": {chart.key: chart.payload for chart in figures.values()},
        "shapes": None if shapes is None else shapes.payload,
        "maps": {m.key: _map_payload(result, m, shapes) for m in _maps(result)} if shapes is not None else {},
        "regions": [charts.safe(name) for name in result.panel.names],
        "noData": NO_DATA,
    }
    context = {
        "result": result,
        "figures": figures,
        "shapes": shapes,
        "plotly": get_plotlyjs(),
        "style": _source("report.css"),
        "script": _source("report.js"),
        "payload": embed_json(payload),
        # a nonce lets the page's own scripts run and no other; made from the content, so equal studies give equal files
        "nonce": hashlib.sha256(result.to_json().encode()).hexdigest()[:24],
        "notices": notices,
        "no_data": NO_DATA,
        **_sections(result),
    }
    return environment.get_template("report.html.j2").render(context)


def embed_json(value: Any) -> str:
    """JSON that is safe inside a script element: no `<`, `>` or `&`, no line separators, no NaN.

    >>> embed_json({"name": "</script>"})
    '{"name":"\\\\u003c/script\\\\u003e"}'
    """
    text = json.dumps(_finite(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _finite(value: Any) -> Any:
    """`value` with null for numbers that are not finite: JSON has no others, and a chart leaves a gap."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def _source(name: str) -> str:
    from importlib.resources import files

    return (files("spillover.report") / "templates" / name).read_text(encoding="utf-8")


def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("spillover.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "compact": numbers.compact,
        "fixed": numbers.fixed,
        "pvalue": numbers.p_value,
        "statistic": numbers.statistic,
        "fit_facts": _fit_facts,
        "test_sentence": words.test_sentence,
    }
    environment.globals |= {"ci": _interval_cells}
    return environment


def _interval_cells(row: Row) -> dict[str, str]:
    """Estimate, interval and standard error of a tidy row, all with the same decimals."""
    low, high, value = row.get("conf_low"), row.get("conf_high"), row.get("estimate")
    places = numbers.decimals_for(low, high, value)
    return {
        "estimate": numbers.fixed(value, places),
        "interval": numbers.MISSING if low is None or high is None else numbers.interval(low, high, places),
        "error": numbers.fixed(row.get("std_error"), places + 1),
    }


# -- what the page shows --------------------------------------------------------------------------


def _figures(result: StudyResult) -> dict[str, Chart]:
    found = [charts.moran_chart(result), *charts.scatter_charts(result), charts.effects_chart(result),
             charts.forest_chart(result), charts.truth_chart(result)]  # fmt: skip
    return {chart.key: chart for chart in found if chart is not None}


def _maps(result: StudyResult) -> tuple[Choropleth, ...]:
    regional = (*maps.regional_maps(result), *reach.network_map(result))
    return (*maps.measure_maps(result), *maps.change_maps(result), *regional)


def _map_payload(result: StudyResult, drawn: Choropleth, shapes: Shapes | None) -> dict[str, Any]:
    """Class number and hover text of every region in every frame, and the arrows."""
    position = {region: i for i, region in enumerate(result.panel.regions)}
    unit = f" {drawn.unit}" if drawn.unit and not drawn.unit.startswith("in ") else ""
    values = [[numbers.compact(v) + (unit if v is not None else "") for v in frame] for frame in drawn.values]
    if drawn.errors:
        errors = [numbers.compact(error) for error in drawn.errors]
        values = [[f"{v} (standard error {e})" for v, e in zip(frame, errors, strict=True)] for frame in values]
    largest = max((abs(effect) for _, _, effect in drawn.links), default=1.0) or 1.0
    return {
        "frames": list(drawn.frames),
        "classes": [[drawn.classes.place(value) for value in frame] for frame in drawn.values],
        "colours": list(drawn.classes.colours),
        "texts": [[charts.safe(v) for v in frame] for frame in values],
        "arrows": [
            [position[sender], position[receiver], round(abs(effect) / largest, 3)]
            for sender, receiver, effect in drawn.links
            if sender in position and receiver in position
        ],
    }


def _sections(result: StudyResult) -> dict[str, Any]:
    """Everything the template needs beside figures and the result itself."""
    main = result.model()
    return {
        "cards": words.cards(result),
        "headlines": words.headlines(result),
        "level_maps": maps.measure_maps(result),
        "change_maps": maps.change_maps(result),
        "regional_maps": maps.regional_maps(result),
        "moran_sentences": words.moran_sentences(result),
        "moran_table": _moran_table(result),
        "main": main,
        "others": tuple(model for model in result.models if model.name != main.name),
        "scale": scale_of(result, main),
        "effect_rows": _effect_rows,
        "impacts": _impacts,
        "describe": lambda model: _describe_model(result, model),
        "ranking": _ranking(result),
        "links": _links(result),
        "regional_remarks": words.regional_remarks(result),
        "truth_rows": words.truth_rows(result),
        "channel_rows": () if result.mechanisms is None else channels.effect_rows(result.mechanisms),
        "moderator_parts": [] if result.moderators is None else moderators.parts_of(result.moderators),
        "moderator_overview": [] if result.moderators is None else moderators.overview_rows(result.moderators),
        "regime_rows": moderators.regime_rows,
        **_reach(result),
        "audit_sentence": audit.sentence(result),
        "verdicts": audit.verdict_cards(result),
        "audit_parts": audit.part_views(result),
        "audit_elsewhere": (result.audit or {}).get("elsewhere", ""),
        "references": references.references(result),
        "methods": references.methods_text(result),
        "citation": references.citation(result),
        "top": _TOP,
        "extremes": _extremes(result),
    }


def _reach(result: StudyResult) -> dict[str, Any]:
    """What the section on distance needs."""
    found = result.distance
    return {
        "reach_maps": reach.network_map(result),
        "reach_links": reach.link_rows(result),
        "reach_unit": "" if found is None else reach.unit_of(found),
        "reach_effects": () if found is None else tuple(row for row in found.effects if row["std_error"]),
        "half_text": reach.half_text,
    }


def _impacts(model: ModelResult) -> tuple[Row, ...]:
    """The effect rows that are estimates: those of a model without spillovers are zero by construction next door."""
    return tuple(row for row in model.impacts if model.has_spillover or row.get("effect") == "direct")


def _effect_rows(rows: tuple[Row, ...]) -> list[Row]:
    """Effect rows grouped by variable: direct, indirect, total."""
    order = {"direct": 0, "indirect": 1, "total": 2}
    variables = list(dict.fromkeys(str(row.get("variable", "")) for row in rows))
    return sorted(
        rows,
        key=lambda row: (
            variables.index(str(row.get("variable", ""))),
            str(row.get("horizon", "")),
            order.get(str(row.get("effect")), 3),
        ),
    )


def _describe_model(result: StudyResult, model: ModelResult) -> str:
    correction = ", Lee–Yu transformation" if model.correction == "lee-yu" else ""
    matrix = "" if model.model == "ols" else f"; W: {words.describe_weights(result, model.weights)}"
    return (
        f"{words.MODEL_NAMES.get(model.model, model.model)}, {words.describe_effects(model)}"
        f"{correction}{matrix}; {words.COVARIANCE_NAMES.get(model.covariance, model.covariance)}"
    )


def _moran_table(result: StudyResult) -> list[dict[str, Any]]:
    """One line per period, one cell per variable and transform."""
    groups = charts.group_rows(result.diagnostics.moran, ("variable", "transform"))
    return [
        {
            "label": str(rows[0].get("label") or rows[0]["variable"]),
            "heading": numbers.heading(str(rows[0].get("label") or ""), str(rows[0]["variable"])),
            "transform": str(rows[0].get("transform", "level")),
            "number": number,
            "cells": {str(row["period"]): row for row in rows},
        }
        for number, rows in enumerate(groups.values())
    ]


def _fit_facts(model: ModelResult) -> str:
    """The statistics that a reader compares models by, on one line."""
    found = model.statistics
    shown = (
        ("log_likelihood", "log-likelihood"),
        ("sigma2", "σ²"),
        ("aic", "AIC"),
        ("bic", "BIC"),
        ("r_squared", "R²"),
    )
    parts = [f"{label} {numbers.compact(found[key], 5)}" for key, label in shown if found.get(key) is not None]
    if found.get("n_regions") is not None and found.get("n_periods") is not None:
        parts.append(f"{found['n_regions']:,} regions × {found['n_periods']} periods")
    return "; ".join(parts)


def _ranking(result: StudyResult) -> list[dict[str, str]]:
    """The regions with the largest effects on others by size, on the scale of the headline; own decimals per column."""
    regional = result.regional
    if regional is None:
        return []
    order = sorted(range(len(regional.emitted)), key=lambda i: -abs(regional.emitted[i]))[:_TOP]
    columns: dict[str, list[str]] = {"name": [result.panel.names[i] for i in order]}
    scale = scale_of(result, result.model())
    for key, values in (("emitted", regional.emitted), ("received", regional.received), ("own", regional.own)):
        told = [scale.convert(values[i]) for i in order]
        places = numbers.decimals_for(*told)
        columns[key] = [numbers.fixed(value, places, sign=True) for value in told]
        errors = {"emitted": regional.emitted_se, "received": regional.received_se}.get(key)
        if errors is not None:
            columns[f"{key}_se"] = [numbers.fixed(scale.convert_error(values[i], errors[i]), places) for i in order]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _links(result: StudyResult) -> list[dict[str, str]]:
    names = words.display_names(result)
    added = words.added_links(result)
    strongest = sorted(maps.strongest_links(result), key=lambda link: -abs(link[2]))[:_TOP]
    places = numbers.decimals_for(*(effect for _, _, effect in strongest))
    return [
        {
            "sender": names.get(s, s),
            "receiver": names.get(r, r),
            "effect": numbers.fixed(effect, places, sign=True),
            "note": added.get(frozenset((s, r)), ""),
        }
        for s, r, effect in strongest
    ]


def _extremes(result: StudyResult) -> list[dict[str, Any]]:
    """For every measure: the highest and lowest regions of the last period, by name."""
    found = []
    for measure in result.measures:
        last = [
            (row[-1], name) for row, name in zip(measure.values, result.panel.names, strict=True) if row[-1] is not None
        ]
        ordered = sorted(((v, name) for v, name in last if v is not None), key=lambda pair: -pair[0])
        count = min(3, len(ordered) // 2)
        found.append(
            {
                "label": numbers.heading(measure.label, measure.name),
                "unit": measure.unit,
                "highest": [f"{name} ({numbers.compact(v)})" for v, name in ordered[:count]],
                "lowest": [f"{name} ({numbers.compact(v)})" for v, name in ordered[len(ordered) - count :]],
            }
        )
    return [entry for entry in found if entry["highest"]]
