"""Tidy tables of a study: one list of rows per file in `tables/`, and their text as CSV that is safe to open."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from spillover.report import moderators
from spillover.report.reach import reach_tables
from spillover.report.words import display_names
from spillover.study.result import StudyResult

Rows = list[dict[str, Any]]

# A spreadsheet takes a cell that begins with one of these for a formula; East Asian locales read the wide forms so.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

ABOUT = {
    "panel": "The variables that were read: unit, missing cells, range, share of variance within regions.",
    "weights": "Each spatial weights matrix: kind, links, neighbours, standardisation, admissible interval of rho.",
    "measures": "Agglomeration and innovation, region by period.",
    "index_weights": "Indicators of the innovation-capability index with their weights and goalposts.",
    "index_dimensions": "Scores of the dimensions of the index, region by period.",
    "moran": "Moran’s I by variable, period and transform.",
    "moran_scatter": "Standardised values and their spatial lags.",
    "coefficients": "Coefficients of every model.",
    "effects": "Direct, indirect and total effects of every model.",
    "effects_information": "Effects with information-matrix errors, where these differ by more than a third.",
    "statistics": "Fit statistics of every model.",
    "tests": "Specification tests of every model.",
    "regional_effects": "Effects received and emitted by each region, main model.",
    "links": "The strongest links from sender to receiver, main model.",
    "distance": "The decay of the spillover: law, half-distance with its interval, what the residuals say.",
    "distance_effects": "Effects with the estimated decay; its uncertainty is in their errors.",
    "distance_curve": "The law of decay with its band.",
    "distance_smooth": "The smooth curve without a law, with its simultaneous band, and the nearest monotone one.",
    "distance_profile": "How much worse every other half-distance fits: twice the loss in log-likelihood.",
    "distance_rings": "Effects by ring of distance, with intervals that hold for all rings together.",
    "distance_tests": "Tests of no spillover at all, of none beyond each edge, and of monotone decay.",
    "distance_boundary": "The spillover from beyond each threshold, with its simultaneous band and step-down p-values.",
    "distance_laws": "Laws of decay on the same data.",
    "distance_links": "The strongest links from sender to receiver by the estimated law.",
    "channels": "Own effect, spillover and total effect by channel.",
    "channel_paths": "The same by path, serial ones too.",
    "channel_attribution": "Where the spillover of each path happens: Shapley values of its spatial terms.",
    "channel_joint": "Effects by channel with intervals that hold for all of them together.",
    "channel_shares": "Shares of the effect by channel, where they are defined.",
    "channel_confounding": "Effects of each channel for every correlation of the errors of mediator and outcome.",
    "channel_robustness": "Robustness values of the slopes on the treatment and on the mediators.",
    "moderation": "Effects at quantiles of each moderator, with bands for all values of one moderator together.",
    "moderation_curves": "Effects over the whole range of each moderator.",
    "moderation_ranges": "Where an effect can be told from zero (Johnson–Neyman), pointwise and by the band.",
    "moderation_tests": "Tests of each moderator.",
    "thresholds": "Thresholds with their confidence sets and tests.",
    "threshold_profiles": "Likelihood ratio of the values searched.",
    "threshold_effects": "Effects on each side of the thresholds.",
    "strengths": "Strength of the feedback by region, as a function of a moderator.",
    "truth": "Known truth beside the estimates.",
    "audit_verdicts": "Is it a spillover? The verdict on each effect of the main model, with what decides it.",
    "audit_facts": "Every number that the rules of the verdict may read.",
}


def study_tables(result: StudyResult) -> dict[str, Rows]:
    """Name → rows, in the order of the steps; steps that found nothing have no table."""
    tables = {
        "panel": [dict(row) for row in result.panel.variables],
        "weights": _weights(result),
        "measures": _measures(result),
        "index_weights": [] if result.index is None else [dict(row) for row in result.index.weights],
        "index_dimensions": _dimensions(result),
        "moran": [dict(row) for row in result.diagnostics.moran],
        "moran_scatter": _scatters(result),
        "coefficients": [{"model": m.name, **row} for m in result.models for row in m.coefficients],
        "effects": [{"model": m.name, **row} for m in result.models for row in m.impacts],
        "effects_information": [{"model": m.name, **row} for m in result.models for row in m.information_errors],
        "statistics": [{"model": m.name, "statistic": key, "value": value}
                       for m in result.models for key, value in m.statistics.items()],
        "tests": [{"model": m.name, **row} for m in result.models for row in m.tests],
        "regional_effects": _regional(result),
        "links": _links(result),
        **reach_tables(result.distance),
        **_channels(result),
        **_moderators(result),
        "truth": [row.model_dump() for row in result.truth],
        **_audit(result),
    }  # fmt: skip
    return {name: rows for name, rows in tables.items() if rows}


def _channels(result: StudyResult) -> dict[str, Rows]:
    """Everything of the mechanisms that is a table."""
    found = result.mechanisms
    if found is None:
        return {}
    return {
        "channels": [dict(row) for row in found.effects],
        "channel_paths": [dict(row) for row in found.paths],
        "channel_attribution": [dict(row) for row in found.attribution],
        "channel_joint": [dict(row) for row in found.simultaneous],
        "channel_shares": [dict(row) for rows in found.shares.values() for row in rows],
        "channel_confounding": [
            {
                "channel": curve.channel,
                "correlation": r,
                **{kind: values[i] for kind, values in curve.effects.items()},
                **{f"{kind}_std_error": values[i] for kind, values in curve.std_errors.items()},
            }
            for curve in found.curves
            for i, r in enumerate(curve.correlations)
        ],
        "channel_robustness": [dict(row) for row in found.robustness],
    }


def _moderators(result: StudyResult) -> dict[str, Rows]:
    """Everything of the moderators that is a table; values of a logged moderator as they were estimated."""
    found = result.moderators
    if found is None:
        return {}
    every = moderators.moderations(found)
    return {
        "moderation": [dict(row) for each in every for row in each.effects],
        "moderation_curves": [
            {
                "moderator": each.name,
                "logged": each.logged,
                "effect": curve.effect,
                "value": curve.values[i],
                "estimate": curve.estimates[i],
                "conf_low": curve.conf_low[i],
                "conf_high": curve.conf_high[i],
                "band_low": curve.band_low[i],
                "band_high": curve.band_high[i],
            }
            for each in every
            for curve in each.curves
            for i in range(len(curve.values))
        ],
        "moderation_ranges": [
            {**row, "moderator": each.name, "effect": curve.effect}
            for each in every
            for curve in each.curves
            for row in curve.ranges
        ],
        "moderation_tests": [{"moderator": each.name, **row} for each in every for row in each.tests],
        "thresholds": [
            {
                "variable": each.name,
                "threshold": i + 1,
                "value": profile.value,
                "set_low": profile.low,
                "set_high": profile.high,
                "share_below": profile.share_below,
                "eta2": profile.eta2,
                "p_value": each.tests[i]["p_value"] if i < len(each.tests) else None,
            }
            for each in found.thresholds
            for i, profile in enumerate(each.profiles)
        ],
        "threshold_profiles": [
            {"variable": each.name, "threshold": i + 1, "gamma": gamma, "ratio": ratio, "critical": profile.critical}
            for each in found.thresholds
            for i, profile in enumerate(each.profiles)
            for gamma, ratio in zip(profile.gammas, profile.ratio, strict=True)
        ],
        "threshold_effects": [
            {"threshold_variable": each.name, **row} for each in found.thresholds for row in each.effects
        ],
        "strengths": [{"moderator": each.name, **row} for each in found.strengths for row in each.regions],
    }


def _audit(result: StudyResult) -> dict[str, Rows]:
    """Verdicts, facts, and one table per part: audit_errors, audit_permutation, …."""
    found = result.audit
    if not found or "verdicts" not in found:
        return {}
    verdicts = [
        {
            "effect": effect,
            "verdict": verdict["verdict"],
            "rule": verdict["rule"],
            "because": " ".join(verdict["reasons"]),
        }
        for effect, verdict in found["verdicts"].items()
    ]
    facts = [
        {"part": name, "fact": fact, "value": value}
        for name, part in found["parts"].items()
        for fact, value in part["facts"].items()
    ]
    parts = {
        f"audit_{name.replace('-', '_')}": [dict(row) for row in part["table"]] for name, part in found["parts"].items()
    }
    return {"audit_verdicts": verdicts, "audit_facts": facts, **parts}


def _weights(result: StudyResult) -> Rows:
    return [
        {"name": w.name, **w.facts, "rho_min": w.bounds[0], "rho_max": w.bounds[1]} for w in result.weights
    ]  # fmt: skip


def _measures(result: StudyResult) -> Rows:
    cells = _cells(result, {measure.name: measure.values for measure in result.measures})
    about = {measure.name: measure for measure in result.measures}
    return [{**row, "unit": about[row["variable"]].unit, "role": about[row["variable"]].role} for row in cells]


def _dimensions(result: StudyResult) -> Rows:
    return [] if result.index is None else _cells(result, result.index.dimensions)


def _cells(result: StudyResult, columns: Mapping[str, Sequence[Sequence[float | None]]]) -> Rows:
    """Long rows of (n, t) columns."""
    return [
        {"region": region, "name": name, "period": period, "variable": variable, "value": values[i][j]}
        for variable, values in columns.items()
        for i, (region, name) in enumerate(zip(result.panel.regions, result.panel.names, strict=True))
        for j, period in enumerate(result.panel.periods)
    ]


def _scatters(result: StudyResult) -> Rows:
    names = display_names(result)
    return [
        {"variable": s.variable, "period": s.period, "region": region, "name": names.get(region, region),
         "z": z, "lag": lag}
        for s in result.diagnostics.scatters
        for region, z, lag in zip(s.regions, s.z, s.lag, strict=True)
    ]  # fmt: skip


def _regional(result: StudyResult) -> Rows:
    r = result.regional
    if r is None:
        return []
    columns = zip(result.panel.regions, result.panel.names, r.own, r.received, r.received_se, r.emitted, r.emitted_se,
                  strict=True)  # fmt: skip
    keys = ("region", "name", "own", "received", "received_se", "emitted", "emitted_se")
    return [{"variable": r.variable, **dict(zip(keys, row, strict=True))} for row in columns]


def _links(result: StudyResult) -> Rows:
    names = display_names(result)
    if result.regional is None:
        return []
    return [
        {**row, "sender_name": names.get(str(row["sender"]), str(row["sender"])),
         "receiver_name": names.get(str(row["receiver"]), str(row["receiver"]))}
        for row in result.regional.links
    ]  # fmt: skip


# -- CSV ------------------------------------------------------------------------------------------


def columns_of(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """All keys of some rows, in order of first appearance."""
    return list(dict.fromkeys(key for row in rows for key in row))


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV text with a byte order mark, so that spreadsheets read it as UTF-8.

    Text that a spreadsheet would run as a formula gets an apostrophe in front; numbers never do. Missing is empty.

    >>> csv_text([{"region": "=1+1", "value": -2.5}]).lstrip("\\ufeff").splitlines()
    ['region,value', "'=1+1,-2.5"]
    """
    names = columns_of(rows)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow([_cell(name) for name in names])
    writer.writerows([_cell(row.get(name)) for name in names] for row in rows)
    return "\ufeff" + stream.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    text = "; ".join(str(part) for part in value) if isinstance(value, list | tuple) else str(value)
    return "'" + text if text.startswith(_FORMULA_STARTS) else text
