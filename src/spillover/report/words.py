"""Results in plain English: what a person would quote, how sure it is, and what is not shown.

Associations are called associations. An interval that contains zero is told as "not visible", with the size of what
cannot be excluded. Every number comes from the result; nothing is estimated here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spillover.study.numbers import decimals_for, fixed, heading, interval, p_sentence
from spillover.study.result import ModelResult, StudyResult, TruthRow
from spillover.study.scale import Scale, scale_of

Row = Mapping[str, Any]

MODEL_NAMES = {
    "ols": "linear model without spatial terms (OLS)",
    "slx": "spatial lag of X model (SLX)",
    "sar": "spatial autoregressive model (SAR)",
    "sdm": "spatial Durbin model (SDM)",
    "sem": "spatial error model (SEM)",
    "sdem": "spatial Durbin error model (SDEM)",
    "sac": "spatial lag and error model (SAC)",
    "gns": "general nesting spatial model (GNS)",
}
EFFECT_NAMES = {
    "none": "no fixed effects",
    "individual": "region fixed effects",
    "time": "period fixed effects",
    "two-way": "region and period fixed effects",
    "random": "random region effects",
}
COVARIANCE_NAMES = {
    "cluster": "standard errors clustered by region",
    "cluster-group": "standard errors clustered by group",
    "information": "standard errors from the information matrix",
    "hessian": "standard errors from the observed Hessian",
    "sandwich": "quasi-maximum-likelihood standard errors",
    "hc": "heteroskedasticity-robust standard errors",
    "two-way-cluster": "standard errors clustered by region and period",
    "driscoll-kraay": "Driscoll–Kraay standard errors",
    "conley": "Conley standard errors",
    "default": "the default standard errors of the model",
}
PLACES = {"direct": "At home", "indirect": "Next door", "total": "In all"}


@dataclass(frozen=True)
class Card:
    """One headline number: `effect` is direct, indirect or total; `verdict` is higher, lower, unclear or absent."""

    effect: str
    title: str
    value: str
    interval: str
    verdict: str
    chip: str
    sentence: str


def headlines(result: StudyResult) -> tuple[str, ...]:
    """What the study says, in sentences that can be quoted; the same at the top of the report and on screen."""
    sentences = [card.sentence for card in cards(result)]
    sentences += [basis(result), *_givers(result), *_reach(result), *_truth(result), not_shown(result)]
    return tuple(sentences)


def _reach(result: StudyResult) -> list[str]:
    """How fast the spillover falls, or that the data do not say."""
    if result.distance is None:
        return []
    return [f"How far: {result.distance.sentences[0].partition(': ')[2]}"]


def cards(result: StudyResult) -> tuple[Card, ...]:
    """The headline numbers of the main model: at home, next door, in all."""
    model = result.model()
    scale = scale_of(result, model)
    found = ((effect, effect_row(model, effect)) for effect in ("direct", "indirect", "total"))
    if not model.has_spillover:
        return tuple(_card(scale, effect, row) if effect == "direct" else _absent(effect)
                     for effect, row in found if effect != "total")  # fmt: skip
    return tuple(_card(scale, effect, row) for effect, row in found if row is not None)


def effect_row(model: ModelResult, effect: str, variable: str | None = None) -> Row | None:
    """The row of `effect` for the treatment; the long run when a model has two horizons; None when there is none.

    A model without spillovers has a direct effect only: its coefficient, when it carries no effect rows.
    """
    if not model.has_spillover and effect != "direct":
        return None  # zero by construction is not a finding
    wanted = model.treatment if variable is None else variable
    rows = [row for row in model.impacts if row.get("effect") == effect and row.get("variable") == wanted]
    if rows:
        return next((row for row in rows if row.get("horizon") == "long"), rows[0])
    if effect == "direct" and model.model in ("ols", "slx", "sem", "sdem"):
        return next((row for row in model.coefficients if row.get("term") == wanted), None)
    return None


def contains_zero(row: Row) -> bool:
    """Whether the interval of `row` contains zero, or has no limits at all."""
    low, high = row.get("conf_low"), row.get("conf_high")
    return low is None or high is None or low <= 0.0 <= high


def _absent(effect: str) -> Card:
    sentence = (
        f"{PLACES[effect]}: nothing can be said; a model without W y and W x has no spillover by construction, "
        "so its absence here is an assumption and not a finding."
    )
    return Card(effect, PLACES[effect], "–", "not part of this model", "absent", "not estimated", sentence)


def _card(scale: Scale, effect: str, row: Row | None) -> Card:
    if row is None or row.get("estimate") is None:
        return _absent(effect)
    value = scale.convert(float(row["estimate"]))
    if row.get("conf_low") is None or row.get("conf_high") is None:
        shown = fixed(value, decimals_for(value), sign=True) + scale.unit
        sentence = (
            f"{PLACES[effect]}: the estimate is {shown}, but it has no interval, so nothing is concluded from it."
        )
        return Card(effect, PLACES[effect], shown, "no interval", "unclear", "no interval", sentence)
    low, high = scale.convert(float(row["conf_low"])), scale.convert(float(row["conf_high"]))
    places = decimals_for(low, high)
    verdict = "unclear" if low <= 0.0 <= high else ("higher" if low > 0.0 else "lower")
    chip = {"unclear": "interval contains zero", "higher": "above zero", "lower": "below zero"}[verdict]
    return Card(
        effect=effect,
        title=PLACES[effect],
        value=fixed(value, places, sign=True) + scale.unit,
        interval=f"95 % interval {interval(low, high, places)}{scale.unit}",
        verdict=verdict,
        chip=chip,
        sentence=_effect_sentence(scale, effect, value, low, high, verdict),
    )


def _effect_sentence(scale: Scale, effect: str, value: float, low: float, high: float, verdict: str) -> str:
    places = decimals_for(low, high)
    limits = f"95 % interval {interval(low, high, places)}{scale.unit}"
    where = {"direct": "in the same region", "indirect": "in all other regions", "total": "in every region"}[effect]
    shock, outcome = f"{scale.shock} {where}", scale.outcome.phrase
    if verdict == "unclear":
        what = {"direct": "no association at home", "indirect": "no spillover", "total": "no overall association"}
        return (
            f"{PLACES[effect]}: {what[effect]} is visible. For {shock} the estimate for {outcome} is "
            f"{fixed(value, places, sign=True)}{scale.unit}, and the {limits} contains zero; effects between "
            f"{fixed(low, places, sign=True)}{scale.unit} and {fixed(high, places, sign=True)}{scale.unit} cannot be "
            "excluded."
        )
    size = f"{fixed(abs(value), places)}{scale.unit}"
    verb = "are" if scale.is_plural else "is"
    return f"{PLACES[effect]}: {shock} {verb} associated with {outcome} {verdict} by {size} ({limits})."


def basis(result: StudyResult) -> str:
    """On what the numbers rest: data, model, weights, standard errors."""
    model = result.model()
    n, t = len(result.panel.regions), len(result.panel.periods)
    span = (
        f"{result.panel.periods[0]}" if t == 1 else f"{t} periods, {result.panel.periods[0]}–{result.panel.periods[-1]}"
    )
    correction = ", Lee–Yu transformation" if model.correction == "lee-yu" else ""
    matrix = "" if model.model == "ols" else f", neighbours: {describe_weights(result, model.weights)}"
    return (
        f"Basis: {n:,} regions, {span}; {MODEL_NAMES.get(model.model, model.model)} with "
        f"{describe_effects(model)}{correction}{matrix}; "
        f"{COVARIANCE_NAMES.get(model.covariance, model.covariance)}."
    )


def describe_effects(model: ModelResult) -> str:
    """The effects of a model in words, with what they belong to: region × segment and country × period."""
    words = EFFECT_NAMES.get(model.effects, model.effects)
    if model.segments:
        words = words.replace("region", "region × segment")
    return words.replace("period", f"{model.groups} × period") if model.groups else words


def describe_weights(result: StudyResult, name: str) -> str:
    """A W in a few words: its kind and how it is standardised."""
    facts = next((w.facts for w in result.weights if w.name == name), {})
    kind, scaled = facts.get("kind", name), facts.get("standardisation")
    return f"{kind}, {scaled}-standardised" if scaled and scaled != "none" else str(kind)


def _givers(result: StudyResult) -> tuple[str, ...]:
    """Who gives most, with the warnings that a ranking of noise is noise and that W decides much of it."""
    regional = result.regional
    if regional is None or not regional.emitted:
        return ()
    names, scale = display_names(result), scale_of(result, result.model())
    top = max(range(len(regional.emitted)), key=lambda i: abs(regional.emitted[i]))
    giver, effect = names[result.panel.regions[top]], regional.emitted[top]
    value, error = scale.convert(effect), scale.convert_error(effect, regional.emitted_se[top])
    places = decimals_for(value, error)
    text = (
        f"Who gives to whom: by size, the largest sum of changes in other regions goes with {giver}: "
        f"{fixed(value, places, sign=True)}{scale.unit} for {scale.shock} there (standard error {fixed(error, places)})"
    )
    link = max(regional.links, key=lambda row: abs(float(row["effect"])), default=None)
    if link is not None:
        sender, receiver = str(link["sender"]), str(link["receiver"])
        how = added_links(result).get(frozenset((sender, receiver)), "")
        text += f"; the strongest single link runs from {_name(names, sender)} to {_name(names, receiver)}"
        text += f" ({how})" if how else ""
    said = [text]
    if rows_are_averages(result):
        said.append(_AVERAGES)
    row = effect_row(result.model(), "indirect")
    if row is not None and contains_zero(row):
        said.append(
            "The average spillover is not told apart from zero, so read this as the shape of the network and not as "
            "evidence that anything is passed on"
        )
    return (". ".join(said) + ".",)


_AVERAGES = (
    "W is row-standardised: every region receives an average over its neighbours, so all receive nearly the same, and "
    "who emits much is a region that many others with few neighbours lean on; that is a property of the chosen W"
)


def rows_are_averages(result: StudyResult) -> bool:
    """Whether the W of the main model is row-standardised."""
    name = result.model().weights
    return any(w.name == name and w.facts.get("standardisation") == "row" for w in result.weights)


def added_links(result: StudyResult) -> dict[frozenset[str], str]:
    """Pairs of regions that are linked in the main W because someone chose so, and how that came."""
    told = {"by hand": "a link added by hand", "nearest": "a link added because a region had no neighbour"}
    name = result.model().weights
    facts = next((w.facts for w in result.weights if w.name == name), {})
    return {frozenset((a, b)): told.get(how, how) for a, b, how in facts.get("added") or ()}


def regional_remarks(result: StudyResult) -> tuple[str, ...]:
    """What a reader must know before reading the maps of who gives to whom, one sentence each."""
    if result.regional is None:
        return ()
    remarks = [_AVERAGES + ", not a measured flow."] if rows_are_averages(result) else []
    names = display_names(result)
    pairs = [
        f"{' and '.join(_name(names, region) for region in sorted(pair))} ({how})"
        for pair, how in added_links(result).items()
    ]
    if pairs:
        remarks.append(f"Not neighbours on the map but linked in W: {'; '.join(pairs[:12])}.")
    return tuple(remarks)


def truth_rows(result: StudyResult) -> tuple[TruthRow, ...]:
    """Known truth and estimates on the scale of the headline."""
    scale = scale_of(result, result.model())
    return tuple(
        row.model_copy(
            update={key: scale.convert(getattr(row, key)) for key in ("truth", "estimate", "conf_low", "conf_high")}
            | {"unit": scale.unit.strip()}
        )
        for row in result.truth
    )


def _truth(result: StudyResult) -> tuple[str, ...]:
    if not result.truth:
        return ()
    inside = sum(row.covered for row in result.truth)
    missed = [row.quantity for row in result.truth if not row.covered]
    text = (
        f"Known truth: the data are drawn from a system whose true values are known; {inside} of {len(result.truth)} "
        "lie inside their 95 % intervals"
    )
    return (text + (f"; outside: {', '.join(missed)}." if missed else "."),)


def not_shown(result: StudyResult) -> str:
    """What the study does not show."""
    if result.kind == "demo":
        return (
            "Not shown: anything about real regions. The system is an illustrative calibration; the estimates show how "
            "well the method finds what was put in, and nothing else."
        )
    return (
        "Not shown: that agglomeration is the cause. These are associations in observed data after the controls and "
        "fixed effects named; shared shocks, sorting of firms and reverse influence can produce the same numbers, and "
        "clustering on a map is not by itself a spillover."
    )


def display_names(result: StudyResult) -> dict[str, str]:
    """Region id → display name."""
    return dict(zip(result.panel.regions, result.panel.names, strict=True))


def _name(names: Mapping[str, str], region: object) -> str:
    return names.get(str(region), str(region))


# -- diagnostics and tests ------------------------------------------------------------------------


def moran_sentences(result: StudyResult) -> tuple[str, ...]:
    """What Moran's I says for each variable and transform, over all periods."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in result.diagnostics.moran:
        variable = str(row["variable"])
        key = (variable, str(row.get("label") or variable), str(row.get("transform", "level")))
        groups.setdefault(key, []).append(row)
    sentences = []
    for (variable, label, transform), rows in groups.items():
        values = [float(row["statistic"]) for row in rows if row.get("statistic") is not None]
        if not values:
            continue
        clear = sum(1 for row in rows if row.get("p_value") is not None and row["p_value"] < 0.05)
        span = fixed(values[0], 3) if len(values) == 1 else interval(min(values), max(values), 3)
        what = "levels" if transform == "level" else "deviations from region and period means"
        sentences.append(
            f"{heading(label, variable)}, {what}: Moran’s I {span}; distinguishable from no spatial pattern "
            f"(5 % level) in {clear} of {len(rows)} periods."
        )
    return tuple(sentences)


# Words that a test's name contains, what a rejection means, what it means when there is none. The null is not looked
# at: that of the robust LM error test speaks of a spatial lag.
_TESTS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("robust", "lag"),
        "even allowing for a spatial error process, neighbours’ outcomes move together",
        "once a spatial error process is allowed for, no lag of the outcome is called for",
    ),
    (
        ("robust", "error"),
        "even allowing for a spatial lag, the unexplained parts of neighbours are correlated",
        "once a spatial lag is allowed for, no spatial error process is called for",
    ),
    (
        ("lm", "lag"),
        "neighbours’ outcomes move together beyond what the regressors explain",
        "no sign that neighbours’ outcomes move together beyond what the regressors explain",
    ),
    (
        ("lm", "error"),
        "the unexplained parts of neighbours are correlated",
        "no sign that the unexplained parts of neighbours are correlated",
    ),
    (
        ("common factor",),
        "the pattern is more than correlated errors: the neighbours’ values matter in their own right",
        "the data are compatible with correlated errors and no spillover of substance",
    ),
    (
        ("θ = 0",),
        "what the neighbours have matters for a region’s outcome",
        "no sign that what the neighbours have matters for a region’s outcome",
    ),
    (
        ("ρ = 0",),
        "outcomes feed on neighbours’ outcomes",
        "no sign that outcomes feed on neighbours’ outcomes",
    ),
    (
        ("hausman",),
        "random effects would be biased: fixed effects are called for",
        "random and fixed effects agree within sampling error",
    ),
)


def test_sentence(row: Row) -> str:
    """What a test says, in words: its verdict about the null, then what that means for the study."""
    p = row.get("p_value")
    if p is None:
        return str(row.get("says") or row.get("reason") or "The test does not apply here.")
    says = str(row.get("says") or f"“{row.get('null', 'the null')}”: {p_sentence(p)}.")
    name = str(row.get("test", "")).lower()
    for keys, rejected, kept in _TESTS:
        if all(key in name for key in keys):
            meaning = rejected if p < 0.05 else kept
            return f"{says} In words: {meaning}."
    return says


# A public name that begins with "test" must not be collected by pytest where it is imported.
test_sentence.__test__ = False  # type: ignore[attr-defined]
