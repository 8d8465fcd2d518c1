"""The audit of a study on its page: verdicts first, then every part with its sentences, figures and table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spillover.audit.evidence import number
from spillover.report.charts import Chart, Panel, axis, interval_chart
from spillover.report.palette import EFFECTS, INK
from spillover.study.numbers import compact, decimals_for, fixed, p_value
from spillover.study.result import StudyResult
from spillover.study.scale import scale_of

Row = Mapping[str, Any]

EFFECT = {"own": "direct", "spillover": "indirect"}
TITLES = {"own": "At home", "spillover": "Next door"}
MEANINGS = {
    "stands": "every check that these data allow was passed",
    "fragile": "it holds in some of the checks and not in others",
    "not supported": "the data speak against it",
    "not detectable": "these data neither show it nor rule it out",
}
CHARTS = {
    "errors": "Effects with every kind of error bar",
    "size": "Effects in simulated samples",
    "common-shock": "Effects with what regions share left in and taken out",
    "reach": "Effects with W of growing reach",
    "timing": "Effects beside the future, the past and trends",
    "influence": "Effects without one region, period or group",
    "weights": "Effects with this W and with others",
    "measures": "Effects with other measures and controls",
    "detectable": "Effects and what could have been seen",
}
"""What the chart of a part shows; the question stands above it."""
SHUFFLES = {"whole_map": "over the whole map", "within_groups": "inside groups"}
AXIS = "effect, on the scale of the coefficients"
MOST_LANES = 14
BINS = 41
_KINDS = {
    "information": "information matrix",
    "hessian": "observed Hessian",
    "sandwich": "quasi-maximum likelihood",
    "hc": "heteroskedasticity-robust",
    "cluster": "clustered by region",
    "cluster-group": "clustered by group",
    "two-way-cluster": "clustered by region and period",
    "driscoll-kraay": "Driscoll–Kraay",
}
_NUMBERS = ("estimate", "std_error", "conf_low", "conf_high")


@dataclass(frozen=True)
class VerdictCard:
    """One verdict as a card: `effect` is direct or indirect, `kind` a class name, `reasons` its two or three facts.

    scale : what the estimate is on the scale of the headline; empty where both scales are one.
    """

    effect: str
    title: str
    verdict: str
    kind: str
    meaning: str
    reasons: tuple[str, ...]
    scale: str
    also: str


@dataclass(frozen=True)
class PartView:
    """One part: its question, what it says, what could not be done, and the table as text."""

    name: str
    question: str
    sentences: tuple[str, ...]
    skipped: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    figures: tuple[str, ...]


def was_audited(result: StudyResult) -> bool:
    """There are verdicts to show."""
    return bool((result.audit or {}).get("verdicts"))


def sentence(result: StudyResult) -> str:
    """What is said where there are no verdicts; nothing where there are."""
    if was_audited(result):
        return ""
    if result.audit is not None:
        return f"The audit could not be done: {result.audit.get('not_done', 'its main parts do not apply')}."
    return (
        "This study has not been audited: whether the association is a spillover, or common shocks, the choice of "
        "neighbours or chance, was not examined by placebo, permutation or leave-one-out runs, so the numbers "
        "above are to be quoted as associations only."
    )


def verdict_cards(result: StudyResult) -> tuple[VerdictCard, ...]:
    """The verdicts, at home first."""
    if not was_audited(result):
        return ()
    assert result.audit is not None
    return tuple(
        VerdictCard(
            effect=EFFECT[effect],
            title=TITLES[effect],
            verdict=found["verdict"],
            kind=found["verdict"].replace(" ", "-"),
            meaning=f"{MEANINGS[found['verdict']]} ({found['rule']})",
            reasons=tuple(found["reasons"]),
            scale=_on_scale(result, effect),
            also="; ".join(found["also"]),
        )
        for effect, found in result.audit["verdicts"].items()
    )


def _on_scale(result: StudyResult, effect: str) -> str:
    """ "0.68 is here what the cards below tell as +6.7 % with a 10 % higher share"."""
    assert result.audit is not None
    facts = result.audit["parts"].get("errors", {}).get("facts", {})
    estimate = facts.get(f"errors.estimate.{effect}")
    model = result.model()
    scale = scale_of(result, model)
    if estimate is None or result.audit["variable"] != model.treatment or scale.convert(1.0) == 1.0:
        return ""
    told = fixed(scale.convert(estimate), decimals_for(scale.convert(estimate), significant=2), sign=True)
    return f"An effect of {number(estimate)} is {told}{scale.unit} with {scale.shock}."


def verdict_sentences(result: StudyResult) -> tuple[str, ...]:
    """The verdicts with their facts, one sentence each, to be quoted and shown on screen; why there is none."""
    if result.audit is not None and not was_audited(result):
        return (f"Audit: {sentence(result)}",)
    return tuple(f"Audit, {c.title.lower()}: {c.verdict}. {' '.join(c.reasons)}" for c in verdict_cards(result))


def part_views(result: StudyResult) -> tuple[PartView, ...]:
    """Every part in the order in which it is read."""
    keys = set(audit_figures(result))
    return tuple(
        PartView(
            name=name,
            question=part["question"],
            sentences=tuple(part["sentences"]),
            skipped=tuple(part["skipped"]),
            columns=tuple(key.replace("_", " ") for key in part["table"][0]) if part["table"] else (),
            rows=tuple(tuple(_cell(key, row[key]) for key in row) for row in part["table"]),
            figures=tuple(key for key in _keys(name, part) if key in keys),
        )
        for name, part in _parts(result)
    )


def audit_figures(result: StudyResult) -> dict[str, Chart]:
    """Intervals and histograms of the parts, by key."""
    charts = [chart for name, part in _parts(result) for chart in _charts(name, part)]
    return {chart.key: chart for chart in charts}


def interval_panels(result: StudyResult) -> Iterator[tuple[str, Panel]]:
    """(name, panel) of every part whose table holds estimates with intervals."""
    for name, part in _parts(result):
        panel, _ = _panel(part)
        if panel is not None:
            yield name, panel


def shuffles(result: StudyResult) -> Iterator[tuple[str, str, tuple[float, ...], float]]:
    """(name, title, values of all shuffles, value with the real neighbours); t-ratios are left out."""
    for name, part in _parts(result):
        yield from ((f"{name}-{i}", *rest) for i, rest in enumerate(_histograms(part)))


def _parts(result: StudyResult) -> Iterator[tuple[str, dict[str, Any]]]:
    if was_audited(result):
        assert result.audit is not None
        yield from result.audit["parts"].items()


def _keys(name: str, part: Mapping[str, Any]) -> tuple[str, ...]:
    return (f"audit-{name}", *(f"audit-{name}-{i}" for i, _ in enumerate(_histograms(part))))


def _charts(name: str, part: Mapping[str, Any]) -> Iterator[Chart]:
    panel, remark = _panel(part)
    if panel is not None:
        caption = f"Lines: 95 % intervals; hollow marks: the interval contains zero.{remark}"
        yield interval_chart(f"audit-{name}", CHARTS[name], (panel,), caption)
    for i, (title, values, observed) in enumerate(_histograms(part)):
        yield _histogram(f"audit-{name}-{i}", title, values, observed)


# -- intervals ------------------------------------------------------------------------------------


def _panel(part: Mapping[str, Any]) -> tuple[Panel | None, str]:
    """One lane per row label; of very many the first, and those with the lowest and highest spillovers."""
    rows = [row for row in part["table"] if all(row.get(key) is not None for key in _NUMBERS) and "effect" in row]
    lanes: dict[str, dict[str, Row]] = {}
    for row in rows:
        if row["effect"] in EFFECT:
            lanes.setdefault(_label(row, rows), {})[EFFECT[row["effect"]]] = row
    if len(lanes) < 2:
        return None, ""
    chosen, remark = list(lanes.items()), ""
    if len(chosen) > MOST_LANES:
        half = (MOST_LANES - 2) // 2
        ranked = sorted(chosen[1:], key=lambda lane: next(iter(reversed(lane[1].values())))["estimate"])
        chosen = [chosen[0], *ranked[:half], *ranked[-half:]]
        remark = f" Of {len(lanes)} the first, and the {half} with the lowest and the highest estimates."
    return Panel(AXIS, tuple((label, label, found) for label, found in chosen)), remark


def _label(row: Row, rows: Sequence[Row]) -> str:
    """The texts of a row that tell it from the others; effect names the mark, and the usual regressor goes unsaid."""
    texts = [key for key, value in rows[0].items() if isinstance(value, str) and key != "effect"]
    telling = [key for key in texts if len({str(other.get(key)) for other in rows}) > 1]
    shown = [key for key in telling if row.get(key) and (key != "regressor" or row[key] != rows[0][key])]
    return ", ".join(_word(str(row[key])) for key in shown) or "all"


def _word(text: str) -> str:
    if text.startswith("conley "):
        return f"Conley, {text.removeprefix('conley ')}"
    return _KINDS.get(text, text)


# -- shuffles -------------------------------------------------------------------------------------


def _histograms(part: Mapping[str, Any]) -> Iterator[tuple[str, tuple[float, ...], float]]:
    """(title, drawn values, observed value) of every shuffled spillover and ρ."""
    observed = {
        f"permutation_{row['shuffle']}.{row['statistic']}": row["observed"]
        for row in part["table"]
        if "shuffle" in row and row["statistic"] != "t_ratio"
    }
    for key, value in observed.items():
        values = tuple(v for v in part["draws"].get(key, ()) if v is not None)
        if len(values) >= 20 and value is not None:
            shuffle, statistic = key.removeprefix("permutation_").split(".")
            what = "ρ" if statistic == "rho" else statistic.replace("_", " ")
            what = what if what == "ρ" else what.capitalize()
            where = SHUFFLES.get(shuffle, shuffle.replace("_", " "))
            yield f"{what} with neighbours shuffled {where}", values, float(value)


def bins(values: Sequence[float], observed: float) -> tuple[list[float], list[int]]:
    """(middles, counts) of equal bins that hold all values and the observed one."""
    low, high = min(*values, observed), max(*values, observed)
    step = (high - low) / (BINS - 1) or 1.0
    counts = [0] * BINS
    for value in values:
        counts[min(int((value - low) / step + 0.5), BINS - 1)] += 1
    return [low + i * step for i in range(BINS)], counts


def _histogram(key: str, title: str, values: Sequence[float], observed: float) -> Chart:
    middles, counts = bins(values, observed)
    top = 1.05 * max(counts)
    bar_texts = [f"about {compact(m)}: {count} shuffles" for m, count in zip(middles, counts, strict=True)]
    real = f"the real neighbours: {compact(observed)}"
    above = sum(1 for value in values if value >= observed)
    below = sum(1 for value in values if value <= observed)
    beyond = min(above, below)
    bars = {
        "type": "bar", "name": f"{len(values)} shuffles", "x": middles, "y": counts,
        "marker": {"color": EFFECTS["indirect"], "opacity": 0.55},
        "hoverinfo": "text", "hovertext": bar_texts,
    }  # fmt: skip
    line = {
        "type": "scatter", "mode": "lines", "name": "the real neighbours", "x": [observed, observed], "y": [0, top],
        "line": {"color": INK, "width": 3}, "hoverinfo": "text", "hovertext": [real, real],
    }  # fmt: skip
    return Chart(
        key=key,
        title=title,
        alt=f"{title}: histogram of {len(values)} shuffles between {compact(min(values))} and {compact(max(values))}; "
        f"with the real neighbours {compact(observed)}.",
        caption="Bars: who is whose neighbour drawn by lot. Line: the real map. "
        f"{beyond} of {len(values)} shuffles give as much or more on the same side; p is twice their share.",
        data=(bars, line),
        layout={
            "xaxis": axis("ρ" if title.startswith("ρ") else AXIS, zeroline=True),
            "yaxis": axis("shuffles"),
            "bargap": 0.04,
        },
        height=320,
    )


def _cell(key: str, value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):  # a table may hold 5 as 5 and as 5.0
        return p_value(float(value)) if key == "p_value" else compact(value)
    return str(value).replace("_", " ")
