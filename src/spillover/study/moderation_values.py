"""Moderated models as plain values: curves with bands, effects, tests and sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from spillover.effects.impacts import KINDS
from spillover.inference.multiplicity import holm
from spillover.inference.wording import chance
from spillover.models.formula import inside_log
from spillover.moderators.words import (
    curve_sentence,
    limits,
    moderation_sentences,
    name_of,
    strength_sentences,
    threshold_sentences,
)
from spillover.study.moderators import Plans, located
from spillover.study.phrasing import phrase
from spillover.study.result import (
    EffectCurve,
    Environment,
    Moderation,
    Moderators,
    Row,
    Strengths,
    ThresholdProfile,
    Thresholds,
)
from spillover.study.rows import plain_numbers, plain_rows
from spillover.typing import FloatArray, Progress

if TYPE_CHECKING:
    import pandas as pd

    from spillover.inference.hypotheses import HypothesisTest
    from spillover.models.spec import ModelSpec
    from spillover.moderators.environment import EnvironmentFit
    from spillover.moderators.moderated import ModeratedFit
    from spillover.moderators.strength_result import StrengthFit
    from spillover.moderators.threshold_result import ThresholdFit
    from spillover.moderators.threshold_set import Threshold

SIGNIFICANT = 0.05
POINTS = 61  # of a curve
MOST_VALUES = 400  # of a likelihood-ratio profile in results and figures
TWENTIETHS = tuple(i / 20 for i in range(21))


def describe_moderators(plans: Plans, seed: int, progress: Progress) -> Moderators:
    """Fit every plan; results as plain values."""
    setting, spec = plans.setting, plans.setting.spec
    labels = setting.panel.labels
    interactions, thresholds, strengths, environment = [], [], [], None
    for item, plan in plans.interactions:
        with located(f"[[moderators.interactions]] {item.name!r}"):
            moderator = item.moderator or item.linkage or ""
            interactions.append(_moderation(plan.fit(), item.name, moderator, item.side or "", seed))
    if plans.environment is not None:
        with located("[moderators.environment]"):
            environment = _environment(plans, seed)
    index = [] if environment is None else [environment.index]
    adjusted = _adjusted([*interactions, *index])
    for threshold, planned in plans.thresholds:
        name = threshold.name
        with located(f"[[moderators.thresholds]] {name!r}"):
            fitted = planned.fit(lambda text, share, name=name: progress(f"{name}: {text}", 0.745))  # type: ignore[misc]
            thresholds.append(_thresholds(fitted, name, threshold.variable))
    for asked, strength in plans.strengths:
        base = "" if asked.base is None else str(asked.base)
        with located(f"[[moderators.strengths]] {asked.name!r}"):
            found = strength.fit()
            notes = _differences(spec, strength.spec)
            strengths.append(_strengths(found, asked.name, asked.moderator, base, setting.treatment, seed, notes))
    if environment is not None:
        environment = environment.model_copy(update={"index": adjusted[-1]})
    count = len(interactions) + len(index)
    n, t = setting.panel.shape
    response = plans.model.formula.split("~")[0].strip()
    return Moderators(
        treatment=setting.treatment,
        outcome=response,
        treatment_label=name_of(setting.treatment, labels),
        outcome_label=name_of(response, labels),
        formula=plans.model.formula,
        model=spec.model,
        weights=plans.weights_name,
        covariance=spec.resolved_covariance,
        n_regions=n,
        n_periods=t,
        interactions=tuple(adjusted[: len(interactions)]),
        environment=environment,
        thresholds=tuple(thresholds),
        strengths=tuple(strengths),
        limits=limits(
            interactions=count,
            thresholds=bool(thresholds),
            strengths=bool(strengths),
            n_regions=n if spec.resolved_covariance == "cluster" else None,
        ),
    )


def _adjusted(found: Sequence[Moderation]) -> list[Moderation]:
    """With p-values adjusted for the number of moderators."""
    if not found:
        return []
    p = holm(np.array([np.nan if each.p_value is None else each.p_value for each in found]))
    return [_with_adjusted(each, float(value), len(found)) for each, value in zip(found, p, strict=True)]


def _with_adjusted(found: Moderation, p_adjusted: float, count: int) -> Moderation:
    told = found.sentences
    seen = found.p_value is not None and found.p_value < SIGNIFICANT
    if seen and p_adjusted >= SIGNIFICANT:
        told += (f"One of {count} moderators looked at: adjusted for that, {chance(p_adjusted)}; it may be chance.",)
    return found.model_copy(update={"p_adjusted": p_adjusted, "sentences": told})


def _moderation(
    fit: ModeratedFit, name: str, moderator: str, side: str, seed: int, *, logged: bool | None = None
) -> Moderation:
    z = fit.find_moderator(name)
    logged = inside_log(moderator) is not None if logged is None else logged
    shown = inside_log(name) or name
    effects = plain_rows(fit.effects(moderator=name, seed=seed))
    kinds = [kind for kind in KINDS if any(row["std_error"] for row in effects if row["effect"] == kind)]
    curves = {
        kind: replace(fit.curve(kind, moderator=name, points=POINTS, seed=seed), moderator=shown) for kind in kinds
    }
    tests = [test for test in fit.hypothesis_tests() if test.name.endswith(f": {name}")]
    whole = next((test for test in tests if test.name.startswith("all sides")), tests[0])
    sides = {column.side for column in fit.columns if column.moderator == name}
    return Moderation(
        name=shown,
        moderator=moderator,
        logged=logged,
        side=side or ("both" if {"sender", "receiver"} <= sides else next(iter(sides - {"own"}), "none")),
        centre=z.centre,
        quantiles=plain_numbers(z.quantiles(TWENTIETHS)),
        curves=tuple(
            _curve(kind, curve.values, curve.tidy(), plain_rows(curve.ranges()), curve_sentence(kind, curve, logged))
            for kind, curve in curves.items()
        ),
        effects=effects,
        tests=_test_rows(tests),
        p_value=float(whole.p_value),
        p_adjusted=None,
        coefficients=plain_rows(fit.coefficients()),
        sentences=moderation_sentences(fit, name, curves, logged=logged),
        notes=_notes(fit.notes),
    )


def _curve(kind: str, values: FloatArray, table: pd.DataFrame, ranges: tuple[Row, ...], sentence: str) -> EffectCurve:
    def column(name: str) -> tuple[float, ...]:
        return plain_numbers(table[name].to_numpy())

    return EffectCurve(
        effect=kind,
        values=plain_numbers(values),
        estimates=column("estimate"),
        conf_low=column("conf_low"),
        conf_high=column("conf_high"),
        band_low=column("band_low"),
        band_high=column("band_high"),
        ranges=ranges,
        sentence=sentence,
    )


def _environment(plans: Plans, seed: int) -> Environment:
    from spillover.moderators.environment import EnvironmentFit

    assert plans.environment is not None
    section, apart, together = plans.environment
    names = tuple(z.name for z in apart.moderators)
    found = EnvironmentFit(apart.fit(), together.fit(), section.name, names)
    written = dict(zip(names, section.parts.values(), strict=True))
    side, logged = section.side or "", section.scale == "log"
    parts = [_moderation(found.apart, name, written[name], side, seed, logged=logged) for name in names]
    index = _moderation(found.together, section.name, f"mean of {', '.join(names)}", side, seed, logged=logged)
    return Environment(
        name=section.name,
        scale=section.scale,
        parts=tuple(_adjusted(parts)),
        index=index,
        tests=_test_rows(found.hypothesis_tests()),
        sentences=(_one_index(found),),
    )


def _one_index(found: EnvironmentFit) -> str:
    wald = found.hypothesis_tests()[0]
    parts = ", ".join(inside_log(part) or part for part in found.parts)
    if wald.p_value < SIGNIFICANT:
        return f"One index is not enough: {parts} do not moderate alike ({chance(wald.p_value)}). Read the parts."
    return (
        f"That {parts} moderate alike, so that one index is enough, is not rejected ({chance(wald.p_value)}); with "
        "wide intervals that says little."
    )


def _thresholds(fit: ThresholdFit, name: str, variable: str) -> Thresholds:
    return Thresholds(
        name=name,
        variable=variable,
        switching=fit.switching,
        supported=fit.supported(),
        profiles=tuple(_profile(each) for each in fit.thresholds),
        regimes=fit.regimes,
        counts=fit.counts,
        effects=plain_rows(fit.effects()),
        tests=plain_rows(fit.tests()),
        sentences=threshold_sentences(fit),
        notes=_notes(fit.notes),
    )


def _profile(found: Threshold) -> ThresholdProfile:
    from spillover.moderators.threshold_set import critical_value

    profile = found.profile
    kept = np.unique(np.linspace(0, profile.size - 1, min(profile.size, MOST_VALUES)).round().astype(int))
    edges = np.searchsorted(found.gammas, [found.value, *found.hull])
    kept = np.union1d(kept, np.clip(edges, 0, profile.size - 1))
    return ThresholdProfile(
        value=found.value,
        low=found.hull[0],
        high=found.hull[1],
        share_below=found.share_below,
        eta2=found.eta2,
        at_edge=found.at_edge,
        critical=critical_value(found.level),
        gammas=plain_numbers(found.gammas[kept]),
        ratio=plain_numbers(profile[kept]),
    )


def _strengths(
    fit: StrengthFit, name: str, moderator: str, base: str, treatment: str, seed: int, notes: tuple[str, ...]
) -> Strengths:
    z = fit.moderators[0]
    values = np.linspace(*z.range, POINTS)
    logged = inside_log(moderator) is not None
    sentences = strength_sentences(fit, treatment, logged=logged)
    return Strengths(
        name=name,
        moderator=moderator,
        logged=logged,
        side=fit.side,
        base=base,
        curve=_curve("rho", values, fit.strength_at(list(values), seed=seed), (), sentences[0]),
        regions=plain_rows(fit.strengths(seed=seed)),
        effects=plain_rows(fit.effects(variables=[treatment], seed=seed)),
        tests=_test_rows(fit.hypothesis_tests()),
        coefficients=plain_rows(fit.coefficients()),
        sentences=sentences,
        notes=(*notes, *_notes(fit.notes)),
    )


def _differences(spec: ModelSpec, used: ModelSpec) -> tuple[str, ...]:
    """How the model of a strength differs from the others of the section."""
    told = []
    if used.model != spec.model:
        told.append(f"A strength of the feedback needs W y: this model is {used.model}, the others are {spec.model}.")
    if spec.groups is not None or spec.segments is not None:
        told.append(f"The others have {spec.effects_in_words} effects; this one has ordinary {used.effects} effects.")
    return tuple(told)


def _test_rows(tests: Iterable[HypothesisTest]) -> tuple[Row, ...]:
    return tuple(
        {key: value for key, value in test.row().items() if key not in ("form", "null_model")} for test in tests
    )


def _notes(notes: Iterable[str]) -> tuple[str, ...]:
    return tuple(phrase(note, "study file") for note in notes)
