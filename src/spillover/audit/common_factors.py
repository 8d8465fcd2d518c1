"""Common factors: courses of time that regions follow in their own measure, taken out, and whether that is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spillover.audit.change import Change, change_facts, compare, influence
from spillover.audit.evidence import Findings, effect_facts, number, reason, tell_p, told
from spillover.audit.focus import KINDS, FocusEffects
from spillover.audit.other_periods import other_periods_p_value
from spillover.audit.refit import refit
from spillover.audit.residuals import measure_component
from spillover.audit.rotate import averages, components, first_share, fit_without, joint_components, standing_out
from spillover.audit.wording import too_few
from spillover.errors import SpilloverError
from spillover.models.result import SpatialFit

LEAST_PERIODS = 8  # below it loadings and factors of a region rest on a handful of numbers
LEAST_LEFT = 4  # periods that the averages of all variables must leave
JOINT = 3  # courses of outcome and regressor together that are tried, one after the other
TOGETHER = 0.05  # p-value from which the regressor counts as moving together over the map
NEEDED = 0.05  # p-value from which it is said that the regressor goes with errors of other periods


def look_at_factors(found: Findings, fit: SpatialFit, as_fitted: FocusEffects, factors: int) -> None:
    """The model with common factors of the errors, and what says that it needs them.

    as_fitted : its effects.   factors : principal components that are tried, 1 … factors.
    """
    t = fit.design.shape[1]
    segments = len(fit.design.transformation.segment_means)
    if t < LEAST_PERIODS or not fit.spec.has_region_effects:
        found.skipped.append(
            f"Common factors with loadings by region: {too_few(t, LEAST_PERIODS)}."
            if t < LEAST_PERIODS
            else "Common factors with loadings by region: the model has no region effects."
        )
        return
    share, chance = first_share(fit)
    found.facts |= {"common_shock.first_component_share": share, "common_shock.first_component_chance": chance}
    told_rows, tried = [], []
    before = influence(fit, found.variable)
    chosen = f"components_{min(max(standing_out(fit), 1), factors)}"
    _look_at_movement(found, fit)
    _look_at_other_periods(found, fit)
    for key, words, make in _factor_models(fit, found.variable, factors):
        if key == "averages" and t - segments - 1 - len(fit.design.own) < LEAST_LEFT:
            found.skipped.append(f"Averages over all regions as factors: {t} periods do not leave {LEAST_LEFT}.")
            continue
        try:
            rotated = make()
        except SpilloverError as error:
            found.skipped.append(f"{words}: {reason(error)}.")
            continue
        short = rotated.names[found.variable]
        effects = found.add(rotated.fit, f"common_shock.{key}", short, evidence="model", what=words)
        changes = compare(as_fitted, effects, before, influence(rotated.fit, short))
        told_rows.append((words, effects))
        if key == chosen or key.startswith("joint_"):
            tried.append((effects, changes))
        for name, prefix in ((chosen, "factors"), ("joint_1", "factors_joint")):
            if key == name:
                found.facts |= _named(prefix, effects, changes)
    found.facts |= _least(tried)
    text = (
        f"The first component over time of what the own regressors leave holds {100 * share:.0f} % of its variance; "
        f"independent errors would give up to about {100 * chance:.0f} %, persistent ones more."
    )
    found.sentences.append(text + _tell_factors(as_fitted, told_rows))


def _named(prefix: str, effects: FocusEffects, changes: Mapping[str, Change]) -> dict[str, float]:
    """`factors.estimate.own`, `factors.p_value.own`, `factors.change_p_value.own`, …"""
    facts = effect_facts(prefix, effects) | change_facts(prefix, changes)
    return {
        name.replace(f"{prefix}.", f"{prefix}.estimate.").replace(f"{prefix}_", f"{prefix}."): value
        for name, value in facts.items()
    }


def _least(tried: Sequence[tuple[FocusEffects, Mapping[str, Change]]]) -> dict[str, float]:
    """`factors_least.estimate.own`, …: of each effect, the facts of the model that tells it from zero the least."""
    found: dict[str, float] = {}
    for kind in KINDS:
        told_by = {at: dict(effects.items()).get(kind) for at, (effects, _) in enumerate(tried)}
        p_values = {at: effect.p_value for at, effect in told_by.items() if effect is not None}
        if p_values:
            facts = _named("factors_least", *tried[max(p_values, key=p_values.__getitem__)])
            found |= {name: value for name, value in facts.items() if name.endswith(f".{kind}")}
    return found


def _look_at_movement(found: Findings, fit: SpatialFit) -> None:
    """Whether the regressor moves together over the map: a factor that it does not follow cannot pass for an effect."""
    design = fit.design
    regressor = np.asarray(design.block[design.own[found.variable]])
    component = measure_component(regressor, design.transformation, design.periods)
    if component is None:
        return
    found.facts |= {
        "factors.regressor_share": component.share,
        "factors.regressor_usual": component.usual,
        "factors.regressor_p_value": component.p_value,
    }
    if component.p_value <= TOGETHER:
        found.sentences.append(
            f"{found.variable} moves together over the map: one course of time holds {100 * component.share:.0f} % of "
            f"it, where unrelated regions as persistent as these would have {100 * component.usual:.0f} %."
        )


def _look_at_other_periods(found: Findings, fit: SpatialFit) -> None:
    """In a model with W y where there is a W, so that errors which neighbours share are no sign of a factor."""
    richer = {"ols": "sar", "slx": "sdm"}.get(fit.spec.model) if fit.weights is not None else None
    try:
        tested = fit if richer is None else refit(fit, model=richer)
    except SpilloverError:  # ρ at its bound: the plain model is what there is
        tested = fit
    p_value = other_periods_p_value(tested, found.variable)
    found.facts["factors.needed_p_value"] = p_value
    if p_value <= NEEDED:
        found.sentences.append(
            f"{found.variable} of one period goes with what the model leaves of the same region in other periods "
            f"({tell_p(p_value)}): regions follow a common course of time in their own measure, effects take several "
            "periods, or the regressor answers to the outcome."
        )


def _factor_models(fit: SpatialFit, variable: str, factors: int) -> list[tuple[str, str, Any]]:
    made: list[tuple[str, str, Any]] = [
        ("averages", "averages over all regions as factors", lambda: fit_without(fit, averages(fit)))
    ]
    for count in range(1, factors + 1):
        words = f"{count} principal component{'s' if count > 1 else ''} as factors"
        made.append((f"components_{count}", words, lambda count=count: components(fit, count)))
    for count in range(1, JOINT + 1):
        words = f"{count} component{'s' if count > 1 else ''} of outcome and regressor together as factors"
        made.append((f"joint_{count}", words, lambda count=count: joint_components(fit, variable, count)))
    return made


def _tell_factors(as_fitted: FocusEffects, rows: list[tuple[str, FocusEffects]]) -> str:
    parts = [f"{told(each.spillover)} with {words}" for words, each in rows if each.spillover is not None]
    if not parts or as_fitted.spillover is None:
        return ""
    base = as_fitted.spillover
    text = f" The spillover is {number(base.value)} as fitted; " + "; ".join(parts) + "."
    if base.p_value < 0.05 and all(each.spillover.p_value >= 0.05 for _, each in rows if each.spillover is not None):
        text += f" It was distinguishable from zero ({tell_p(base.p_value)}) and is not once factors are allowed for."
    return text
