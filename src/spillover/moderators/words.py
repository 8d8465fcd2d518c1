"""What moderates an effect, where, and how surely: in plain sentences, with what cannot be said.

Every sentence about a range of values rests on a band that holds for all values together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

from spillover.inference.wording import chance, in_text, percent, with_interval
from spillover.models.formula import inside_log
from spillover.moderators.neyman import SignificantRange

if TYPE_CHECKING:
    from spillover.inference.hypotheses import HypothesisTest
    from spillover.moderators.curve import ModerationCurve
    from spillover.moderators.moderated import ModeratedFit
    from spillover.moderators.strength_result import StrengthFit
    from spillover.moderators.threshold_result import ThresholdFit

PLACES = {"direct": "At home", "indirect": "Next door", "total": "In all"}
NOUNS = {"direct": "the effect", "indirect": "the spillover", "total": "the whole effect"}
SIGNS = {1: "positive", -1: "negative"}
FEW_REGIONS = 50  # below it clustered errors are too small to be told without a word
ENDS = (0.10, 0.90)  # quantiles between which a change is told

LIMITS = (
    "A moderator says where an effect differs, not what would happen if the moderator were changed: whatever goes with "
    "it over the map or over time moderates as well.",
    "It must not itself answer to the treatment or to the outcome; one dated before them is safer.",
    "Effects are told as if every region had the value; outside the observed range nothing is said.",
)
LINEAR = "Between its ends an effect is a straight line in the moderator, by assumption."
SEARCHED = (
    "A threshold is searched for: without support by its test, the best split of pure noise looks much like this one. "
    "Intervals of the effects on either side take the threshold as known."
)
FEEDBACK = (
    "A strength that differs between regions is told from the spatial pattern of the outcome alone: errors whose "
    "variance goes with the moderator, or a wrong W, look the same."
)


def name_of(expression: str, labels: Mapping[str, str]) -> str:
    """A variable by its label, without the logarithm; an expression as it is written.

    >>> name_of("log(lq)", {"lq": "location quotient"}), name_of("a / b", {})
    ('location quotient', 'a / b')
    """
    bare = inside_log(expression) or expression
    return labels.get(bare.strip("`"), bare)


# -- interactions ---------------------------------------------------------------------------------


def moderation_sentences(
    fit: ModeratedFit,
    moderator: str,
    curves: Mapping[str, ModerationCurve],
    *,
    logged: bool = False,
    level: float = 0.95,
) -> tuple[str, ...]:
    """Where the effect at home and the spillover can be told from zero, and whether the moderator changes them.

    curves : kind of effect → its curve, as `fit.curve` gives it. logged : whether the moderator is a logarithm, whose
    values are told without it.
    """
    told = [curve_sentence(kind, curve, logged) for kind, curve in curves.items() if kind != "total"]
    tests = [test for test in fit.hypothesis_tests() if test.name.endswith(f": {moderator}")]
    if tests:
        told.append(_joint(tests, curves["direct"].moderator, level))
    return tuple(told)


def _joint(tests: list[HypothesisTest], moderator: str, level: float) -> str:
    whole = next((test for test in tests if test.name.startswith("all sides")), tests[0])
    found = "changes" if whole.p_value < 1.0 - level else "is not shown to change"
    parts = [f"{test.name.split(':')[0]} {chance(test.p_value)}" for test in tests if test is not whole]
    apart = f" ({', '.join(parts)})" if parts else ""
    return f"All sides together: {moderator} {found} the effect, {chance(whole.p_value)}{apart}."


def curve_sentence(kind: str, curve: ModerationCurve, logged: bool = False) -> str:
    """One effect over the range of its moderator: where it has a sign, and how it changes."""
    first, last = float(curve.values[0]), float(curve.values[-1])
    ranges, noun = curve.simultaneous, NOUNS[kind]
    if curve.band.estimates.std_errors.max() == 0.0:
        return f"{PLACES[kind]}: the model has no such effect."
    observed = f"{curve.moderator} in the data ({_value(first, logged)} to {_value(last, logged)})"
    if not ranges:
        said = f"at no value of {observed} can {noun} be told from zero."
    elif len(ranges) == 1 and ranges[0].low <= first and ranges[0].high >= last:
        said = f"{noun} is {SIGNS[ranges[0].sign]} at every value of {observed}."
    else:
        rest = "elsewhere"
        if len(ranges) == 1 and (ranges[0].high >= last or ranges[0].low <= first):
            rest = "below that" if ranges[0].high >= last else "above that"
        parts = "; ".join(_range(kind, found, curve, logged) for found in ranges)
        said = f"{parts}; {rest} it cannot be told from zero."
    return f"{PLACES[kind]}: {said} {_change(curve, logged)}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _value(value: float, logged: bool) -> str:
    """A value of a moderator; without its logarithm where it has one."""
    return in_text(math.exp(value) if logged else value)


def _range(kind: str, found: SignificantRange, curve: ModerationCurve, logged: bool) -> str:
    low, high = _value(found.low, logged), _value(found.high, logged)
    where = f"between {low} and {high}"
    if found.high >= float(curve.values[-1]):
        where = f"above {low}"
    elif found.low <= float(curve.values[0]):
        where = f"below {high}"
    share = f"{percent(found.share)} of the observations"
    return f"where {curve.moderator} is {where} ({share}) {NOUNS[kind]} is {SIGNS[found.sign]}"


def _change(curve: ModerationCurve, logged: bool) -> str:
    """How the effect changes from low to high values of the moderator."""
    low, high = curve.quantiles
    step = high - low
    slope, (start, end) = float(curve.slope.values[0]), curve.slope.confint()[0]
    shown = with_interval(step * slope, step * float(start), step * float(end))
    ends = f"from {_value(low, logged)} to {_value(high, logged)} (10 % and 90 % quantile)"
    verb = "it rises" if start > 0 else "it falls" if end < 0 else "whether it rises or falls is open"
    return f"{_capital(verb)} {ends}: {shown}." if verb.startswith("it") else f"{_capital(verb)}: {shown} {ends}."


# -- thresholds -----------------------------------------------------------------------------------


def threshold_sentences(fit: ThresholdFit, level: float = 0.95) -> tuple[str, ...]:
    """Whether there is a threshold, where, and what holds on its sides."""
    variable = fit.thresholds[0].variable
    supported = fit.supported(1.0 - level)
    told = [_verdict(fit, variable, supported)]
    if len(fit.thresholds) == max(supported, 1):
        told += _sides(fit, descriptive=not supported)
    else:
        told.append("The sides of a split into more regimes than the tests support are not told here.")
    return tuple(told)


def _verdict(fit: ThresholdFit, variable: str, supported: int) -> str:
    below = [f"{percent(each.share_below)} of the observations are at or below it" for each in fit.thresholds]
    tests = "; ".join(f"threshold {test.number}: {chance(test.test.p_value)}" for test in fit.threshold_tests)
    if fit.threshold_tests and not supported:
        best = " and ".join(f"{in_text(each.value)} ({told})" for each, told in zip(fit.thresholds, below, strict=True))
        return (
            f"No threshold in {variable} is supported ({tests}): the split that fits best is at {best}, and it is no "
            "finding."
        )
    sets = [
        f"{in_text(each.value)} (95 % set {in_text(each.hull[0])} to {in_text(each.hull[1])}"
        f"{', with gaps' if len(each.intervals) > 1 else ''}; {told})"
        for each, told in zip(fit.thresholds, below, strict=True)
    ]
    where = " and ".join(sets)
    if not fit.threshold_tests:
        return f"The best split of {variable} is at {where}; it was not tested."
    edge = any(each.at_edge for each in fit.thresholds)
    open_end = " The set reaches the end of the values searched: the data bound it on one side at most." * edge
    count = {1: "one threshold", 2: "two thresholds", 3: "three thresholds"}[supported]
    return f"The tests support {count} in {variable} ({tests}). Fitted: {where}.{open_end}"


def _sides(fit: ThresholdFit, *, descriptive: bool) -> list[str]:
    table, told = fit.effects(), []
    values = [in_text(each.value) for each in fit.thresholds]
    middle = [f"between {low} and {high}" for low, high in pairwise(values)]
    places = [f"at or below {values[0]}", *middle, f"above {values[-1]}"]
    for variable in fit.switching:
        for kind in ("direct", "indirect"):
            rows = table[(table["effect"] == kind) & (table["variable"] == variable)]
            if not (rows["std_error"] > 0).any():
                continue
            parts = [f"{_told(row)} {where}" for row, where in zip(rows.itertuples(), places, strict=True)]
            of = f" of {variable}" if len(fit.switching) > 1 else ""
            told.append(f"{PLACES[kind]}: {NOUNS[kind]}{of} is {', '.join(parts)}.")
    return [f"{line} (Description of the best split.)" for line in told] if descriptive else told


# -- strength -------------------------------------------------------------------------------------


def strength_sentences(
    fit: StrengthFit, variable: str, *, logged: bool = False, level: float = 0.95
) -> tuple[str, ...]:
    """How strong the feedback between neighbours is, how it goes with the moderators, what that does to the spillover.

    variable : the treatment whose spillover is told at the ends of each moderator.
    """
    side = {"receiver": "of the region that receives", "sender": "of the region that sends"}[fit.side]
    tests = {test.name: test for test in fit.hypothesis_tests()}
    told = []
    for z in fit.moderators:
        low, high = (float(v) for v in z.quantiles(ENDS))
        rho = fit.strength_at([low, high], moderator=z.name)
        ends = [_told(row) for row in rho.itertuples()]
        told.append(
            f"The strength ρ of the feedback is {ends[0]} where {z.name} is {_value(low, logged)} (10 % quantile) and "
            f"{ends[1]} where it is {_value(high, logged)} (90 %); {z.name} is that {side}."
        )
        spill = fit.effects([low, high], moderator=z.name, variables=[variable])
        rows = spill[spill["effect"] == "indirect"]
        parts = [_told(row) for row in rows.itertuples()]
        said = f"{parts[0]} if all regions had the low value, {parts[1]} if they had the high one"
        told.append(f"Next door: the spillover would be {said}.")
    wald, score = tests["Wald one strength"], tests["LM one strength"]
    differs = "differs" if wald.p_value < 1.0 - level else "is not shown to differ"
    told.append(
        f"The strength {differs} between regions: {chance(wald.p_value)} (Wald), {chance(score.p_value)} (score test)."
    )
    state, panel = fit.stability, fit.null.panel
    strongest = dict(zip(panel.regions, panel.names, strict=True))[state.strongest]
    told.append(
        f"The feedback dies out: its spectral radius is {in_text(state.spectral_radius, 2)}; strongest is {strongest} "
        f"with {in_text(state.largest, 2)}."
    )
    return tuple(told)


def _told(row) -> str:  # type: ignore[no-untyped-def]
    return with_interval(row.estimate, row.conf_low, row.conf_high)


def limits(*, interactions: int, thresholds: bool, strengths: bool, n_regions: int | None = None) -> tuple[str, ...]:
    """What a section on moderators rests on.

    interactions : moderators looked at. n_regions : by which errors are clustered; None for other errors.
    """
    several = (
        f"{interactions} moderators were looked at, each in a model of its own; read the p-values that are adjusted "
        "for their number (Holm)."
    )
    few = (
        f"Errors are clustered by {n_regions} regions, which are few: with 31, tests of a moderator that changes "
        "nothing reject in 14 of 100 panels, not in 5. Read a p-value near 0.05 as open."
    )
    chosen = [LIMITS[0], LIMITS[1], LIMITS[2]]
    chosen += [LINEAR] * bool(interactions) + [several] * (interactions > 1)
    chosen += [few] * (bool(interactions) and n_regions is not None and n_regions < FEW_REGIONS)
    return (*chosen, *[SEARCHED] * thresholds, *[FEEDBACK] * strengths)
