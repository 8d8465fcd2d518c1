"""How far and how fast, in sentences."""

from __future__ import annotations

import numpy as np

from spillover.errors import show_labels
from spillover.inference.hypotheses import HypothesisTest
from spillover.moderators.boundary import BoundaryFit
from spillover.moderators.compare_kernels import KernelComparison
from spillover.moderators.decay_result import DecayFit
from spillover.moderators.kernel_spline import KernelSpline
from spillover.moderators.rings import RingFit
from spillover.study.numbers import compact, fixed, interval, p_sentence
from spillover.study.scale import split_term
from spillover.typing import FloatArray

ALIKE = 2.0
"""Difference in AIC up to which two laws are not told apart; a parameter that changes nothing costs as much."""


def distance_sentences(
    decay: DecayFit,
    rings: RingFit,
    boundary: BoundaryFit | None,
    spline: KernelSpline,
    laws: KernelComparison | None,
    labels: tuple[str, ...],
) -> tuple[str, ...]:
    """What a reader takes home, one sentence or two for each estimator; each begins with its question."""
    found = [f"How fast it falls: {_small(decay.sentence())}", *_strength(decay, labels), *_any(decay)]
    found.append(f"By rings: {_rings(rings, _unit(decay))}")
    if boundary is not None:
        found.append(f"How far it is visible: {_small(boundary.visible())}")
    found.append(f"Without a law: {_free(spline)}")
    if laws is not None:
        found.append(f"Which law: {_laws(laws)}")
    return tuple(found)


def _strength(decay: DecayFit, labels: tuple[str, ...]) -> list[str]:
    """The spillover from all other regions together."""
    if decay.profile.at_edge:
        return []
    effects = decay.effect_estimates
    name = f"indirect: {decay.treatment}"
    low, high = effects.confint()[effects.index(name)]
    step, unit = _unit(decay)
    step = f"{step} more of {labels[0]}"
    told = f"{compact(effects[name])}{unit} (95 % {interval(float(low), float(high))})"
    return [f"How much: {step} in all other regions together goes with a change of {labels[1]} by {told}."]


def _any(decay: DecayFit) -> list[str]:
    test = decay.null_test
    if not isinstance(test, HypothesisTest):
        return [f"Any at all: not tested, because {test.reason}."]
    verdict = "is rejected" if test.rejects() else "is not rejected"
    said = f"Any at all: that there is none, at whatever decay, {verdict} ({p_sentence(test.p_value)})."
    if decay.model != "slx" and test.rejects():
        said += " Errors that are related over space would be rejected as well: compare with an SLX model."
    return [said]


def _unit(decay: DecayFit) -> tuple[str, str]:
    """(one step of the treatment, unit of the outcome): percent where both are logarithms."""
    logs = [split_term(term)[1] for term in (decay.treatment, decay.formula.partition("~")[0])]
    return (
        ("1 %", " %") if all(logs) else ("one log point" if logs[0] else "one unit", " log points" if logs[1] else "")
    )


def _rings(fit: RingFit, scale: tuple[str, str]) -> str:
    part = fit["sum"]
    limits, names = part.band.limits(), fit.rings.names
    seen = [name for name, (low, high) in zip(names, limits, strict=True) if low > 0 or high < 0]
    tests = {test.name: test for test in part.tests}
    if not seen:
        half = part.band.critical * part.received.std_errors
        low, high = float(part.received.values[0] - half[0]), float(part.received.values[0] + half[0])
        range_ = f"{interval(low, high)}{scale[1]}"
        said = (
            "in no ring does the band that holds for all of them exclude zero; from the nearest alone, "
            f"{names[0]}, a region may still receive {range_} for {scale[0]} more everywhere in it."
        )
    else:
        said = f"the band that holds for all rings together excludes zero at {show_labels(seen, 8)}."
        quiet = [
            (edge, tests[f"zero beyond {edge:g} {fit.rings.unit}, sup-t"])
            for edge in fit.rings.edges[:-1]
            if not tests[f"zero beyond {edge:g} {fit.rings.unit}, sup-t"].rejects()
        ]
        if quiet:
            edge, test = quiet[0]
            said += (
                f" That there is none beyond {edge:g} {fit.rings.unit} is not rejected ({p_sentence(test.p_value)})."
            )
    falls = tests["monotone decay"]
    if falls.rejects():
        said += f" That it nowhere rises from one ring to the next is rejected ({p_sentence(falls.p_value)})."
    return said


def _free(spline: KernelSpline) -> str:
    limits = spline.band.limits()
    seen = spline.distances[(limits[:, 0] > 0) | (limits[:, 1] < 0)]
    if not seen.size:
        return "the band of the smooth curve holds zero everywhere."
    unit = spline.design.unit
    where = (
        f"the band of the smooth curve excludes zero from {seen.min():.0f} to {seen.max():.0f} {unit}"
        if _is_one_stretch(spline, seen)
        else f"the band of the smooth curve excludes zero in parts between {seen.min():.0f} and {seen.max():.0f} {unit}"
    )
    verdict = "is rejected" if spline.test.rejects() else "is not rejected"
    direction = "falls" if spline.direction == "falling" else "rises"
    return f"{where}; that it {direction} with distance everywhere {verdict} ({p_sentence(spline.test.p_value)})."


def _is_one_stretch(spline: KernelSpline, seen: FloatArray) -> bool:
    inside = np.isin(spline.distances, seen)
    return int(np.sum(np.diff(inside.astype(int)) == 1) + int(inside[0])) == 1


def _laws(laws: KernelComparison) -> str:
    table = laws.table().sort_values("delta_aic")
    others = [f"{row.kernel} +{fixed(row.delta_aic, 1)}" for row in table.itertuples() if row.kernel != laws.best]
    said = f"the {laws.best} law has the lowest AIC ({', '.join(others)})."
    alike = [str(row.kernel) for row in table.itertuples() if row.kernel != laws.best and row.delta_aic <= ALIKE + 1e-6]
    if alike:
        said += f" It cannot be told from {show_labels(alike, 4)}: a difference of {ALIKE:g} or less says nothing."
    return said


def _small(sentence: str) -> str:
    """With a small first letter, behind a colon."""
    return sentence[:1].lower() + sentence[1:]
