"""Measures that are not different, outcomes that are part of a regressor, controls that are channels."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from spillover.audit.evidence import Findings, effect_facts, effect_rows, number, reason, told
from spillover.audit.focus import FocusEffects, choose_variable, focus_effects
from spillover.audit.identities import Shared, find_identities, find_shared, variables_of
from spillover.audit.part import AuditPart
from spillover.audit.refit import refit
from spillover.errors import (
    FormulaError,
    SpilloverError,
    SpilloverWarning,
    UnknownColumnError,
    did_you_mean,
    show_labels,
)
from spillover.models.formula import evaluate_term, parse_formula, term_name
from spillover.models.result import SpatialFit
from spillover.panel.expressions import names_in
from spillover.typing import FloatArray, Progress, no_progress

QUESTION = "Are outcome, regressor and its alternatives different things?"
SAME = 1e-6  # 1 − correlation below which two measures are one
CLOSE = 0.98  # correlation from which they are hardly two
LARGE_SHARE = 0.25  # of the estimate that a shared variable alone would give


def audit_measures(
    fit: SpatialFit,
    variable: str | None = None,
    *,
    measures: Sequence[str] = (),
    channels: Sequence[str] = (),
    progress: Progress = no_progress,
) -> AuditPart:
    """Compare what was measured, once logarithms are taken and effects removed.

    Parameters
    ----------
    measures : other measures of the regressor, as terms of a formula: "log(revenue_share)". "Robust across measures"
        says something only about measures that differ after the effects and controls of the model.
    channels : terms or variables through which the regressor works, as the study itself declares (R&D, mobility). As
        controls they take away part of the effect: a bad control, not a sign that the effect is not there.

    Returns
    -------
    AuditPart "measures". Facts `measures.mechanical` (accounting identities between outcome and regressor, and
    regressors that are the outcome), `measures.shared` (variables in both that alone would give a quarter of the
    estimate or more), `measures.same` (alternatives that are the same regressor), `measures.different`,
    `measures.channels` (channels among the controls), `measures.without_channels.own`, ….

    Raises
    ------
    UnknownColumnError, FormulaError : a measure or channel that the panel does not have or that is no expression.
    """
    name = choose_variable(fit, variable)
    found = Findings(name)
    terms = _checked(fit, measures, "measures")
    declared = _channels(fit, channels)
    base = focus_effects(fit, name)
    found.rows += effect_rows(fit, base, what=name, kind="as fitted")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpilloverWarning)
        progress("accounting", 0.1)
        _look_for_accounting(found, fit, base)
        progress("alternatives", 0.4)
        _compare_measures(found, fit, terms)
        progress("channels", 0.8)
        _drop_channels(found, fit, declared, base)
    if not measures:
        found.skipped.append("Alternative measures: none were named (option measures).")
    if not channels:
        found.skipped.append("Bad controls: no control is declared to be a channel (option channels).")
    return found.part("measures", QUESTION)


def _checked(fit: SpatialFit, given: Sequence[str], option: str) -> dict[str, tuple[str, ...]]:
    """Term name → factors, each of which the panel can evaluate."""
    if isinstance(given, str):
        given = (given,)
    found = {}
    for text in given:
        formula = parse_formula(f"{parse_formula(fit.spec.formula).response} ~ {text}")
        if len(formula.terms) != 1:
            raise FormulaError(f"{option} are single terms", got=text, expected='such as "log(revenue / gdp)"')
        evaluate_term(formula.terms[0], fit.panel)
        found[formula.names[0]] = formula.terms[0]
    return found


def _channels(fit: SpatialFit, given: Sequence[str]) -> tuple[str, ...]:
    """Names of variables that the channels are made of."""
    if isinstance(given, str):
        given = (given,)
    names: list[str] = []
    for text in given:
        for name in names_in(text):
            if name not in fit.panel:
                raise UnknownColumnError(
                    f"the channel {text!r} uses {name!r}, which the panel does not have",
                    expected="one of " + show_labels(fit.panel.variables, 12),
                    fix=did_you_mean(name, fit.panel.variables) or None,
                )
            names.append(name)
    return tuple(dict.fromkeys(names))


# -- accounting ----------------------------------------------------------------------------------------------


def _look_for_accounting(found: Findings, fit: SpatialFit, base: FocusEffects) -> None:
    formula, panel, design = parse_formula(fit.spec.formula), fit.panel, fit.design
    factors = dict(zip(formula.names, formula.terms, strict=True))[found.variable]
    outcome = (formula.response,)
    mechanical = []
    for one in variables_of(outcome):
        for other in variables_of(factors):
            if one != other:
                mechanical += [each.words() for each in find_identities(panel, one, other)]
    within = _within(fit, design.x_raw[list(design.own).index(found.variable)])
    close = _correlation(within, np.asarray(design.y))
    if 1.0 - abs(close) < SAME:
        mechanical.append(f"{design.response} and {found.variable} are the same once effects are removed")
    found.facts["measures.mechanical"] = float(len(mechanical))
    if mechanical:
        found.sentences.append(
            f"The outcome and {found.variable} are bound by accounting ({'; '.join(mechanical)}): part of the effect "
            "at home is an identity."
        )
    shared = find_shared(panel, outcome, factors, within, lambda values: _within(fit, values))
    large = [each for each in shared if abs(each.slope) >= LARGE_SHARE * abs(base.own.value)]
    found.facts["measures.shared"] = float(len(large))
    for each in shared:
        found.rows.append(
            {"what": each.variable, "kind": "in outcome and regressor", "effect": "own", "estimate": each.slope}
        )
        found.sentences.append(_tell_shared(found.variable, each, each in large, base))


def _tell_shared(variable: str, each: Shared, large: bool, base: FocusEffects) -> str:
    text = (
        f"{each.variable} stands in the outcome and in {variable}: as noise it would give an effect at home of "
        f"{number(each.slope, 0.1)} by itself (estimate {number(base.own.value, 0.1)})"
    )
    return text + (": much of the estimate may be that." if large else ", which is little.")


# -- alternatives --------------------------------------------------------------------------------------------


def _compare_measures(found: Findings, fit: SpatialFit, terms: dict[str, tuple[str, ...]]) -> None:
    design = fit.design
    own = _within(fit, design.x_raw[list(design.own).index(found.variable)])
    controls = [_within(fit, x) for name, x in zip(design.own, design.x_raw, strict=True) if name != found.variable]
    kinds: dict[str, list[tuple[str, float]]] = {"same": [], "close": [], "different": []}
    for name, factors in terms.items():
        if name == found.variable:
            continue
        values = evaluate_term(factors, fit.panel)
        if not np.isfinite(values).all():
            found.skipped.append(f"{name}: it has missing cells in the periods of the fit.")
            continue
        left = _within(fit, values)
        plain = _correlation(own, left)
        given = _correlation(_net(own, controls), _net(left, controls))
        kind = "same" if 1.0 - abs(given) < SAME else "close" if abs(given) >= CLOSE else "different"
        kinds[kind].append((name, given))
        row = {"kind": kind, "correlation": plain, "correlation_given_controls": given}
        made = _replace(found, fit, name)
        if made is None:
            found.rows.append({"what": name, **row})
            continue
        effects = focus_effects(made, term_name(name))
        found.rows += effect_rows(made, effects, what=name, **row)
        if kind == "different":
            parts = [f"{told(effects.own)} at home"]
            if effects.spillover is not None:
                parts.append(f"spillover {told(effects.spillover)}")
            found.sentences.append(
                f"{name} is another measure (correlation {number(given, 1.0)} with {found.variable}, net of effects "
                f"and controls): {', '.join(parts)}."
            )
    if terms:
        found.facts |= {f"measures.{kind}": float(len(names)) for kind, names in kinds.items()}
    if kinds["same"]:
        found.sentences.insert(
            0,
            f"{show_labels(name for name, _ in kinds['same'])} and {found.variable} are one regressor once effects and "
            "controls are removed: that they agree shows nothing.",
        )
    for name, given in kinds["close"]:
        found.sentences.append(f"{name} is nearly the same regressor (correlation {given:.3f}): little can be learnt.")


def _replace(found: Findings, fit: SpatialFit, name: str) -> SpatialFit | None:
    """The model with another measure in the place of the regressor."""
    formula = parse_formula(fit.spec.formula)
    if name in formula.names:
        found.skipped.append(f"{name}: it is in the model already.")
        return None
    names = [name if each == found.variable else each for each in formula.names]
    lagged = None
    if fit.spec.lagged is not None:
        lagged = tuple(name if each == found.variable else each for each in fit.design.neighbour)
    try:
        return refit(fit, formula=_formula(fit, names), lagged=lagged)
    except SpilloverError as error:
        found.skipped.append(f"{name}: {reason(error)}.")
        return None


def _formula(fit: SpatialFit, names: Sequence[str]) -> str:
    formula = parse_formula(fit.spec.formula)
    return f"{formula.response} ~ {' + '.join(names)}" + ("" if formula.intercept else " - 1")


# -- channels ------------------------------------------------------------------------------------------------


def _drop_channels(found: Findings, fit: SpatialFit, declared: tuple[str, ...], base: FocusEffects) -> None:
    if not declared:
        return
    formula = parse_formula(fit.spec.formula)
    bad = [
        name
        for name, factors in zip(formula.names, formula.terms, strict=True)
        if name != found.variable and set(variables_of(factors)) & set(declared)
    ]
    found.facts["measures.channels"] = float(len(bad))
    if not bad:
        found.sentences.append("None of the controls is a channel that the study declares.")
        return
    names = [name for name in formula.names if name not in bad]
    lagged = None if fit.spec.lagged is None else tuple(name for name in fit.design.neighbour if name not in bad)
    try:
        made = refit(fit, formula=_formula(fit, names), lagged=lagged or None)
    except SpilloverError as error:
        found.skipped.append(f"Without {show_labels(bad)}: {reason(error)}.")
        return
    effects = focus_effects(made, found.variable)
    found.rows += effect_rows(made, effects, what=found.variable, kind="without channels")
    found.facts |= effect_facts("measures.without_channels", effects)
    it, is_one = ("it", "is a channel") if len(bad) == 1 else ("them", "are channels")
    text = (
        f"{show_labels(bad)} {is_one} that the study itself declares: controlling for {it} takes part of the effect "
        f"away. Without, the effect at home is {told(effects.own)} instead of {number(base.own.value, 0.1)}"
    )
    if effects.spillover is not None and base.spillover is not None:
        text += f", the spillover {told(effects.spillover)} instead of {number(base.spillover.value, 0.1)}"
    found.sentences.append(text + ".")


# -- arithmetic ----------------------------------------------------------------------------------------------


def _within(fit: SpatialFit, values: FloatArray) -> FloatArray:
    """Net of the effects of the model; of the mean where it has none."""
    left = fit.design.transformation.apply(values)
    return left - left.mean() if fit.spec.effects == "none" else left


def _net(values: FloatArray, controls: Sequence[FloatArray]) -> FloatArray:
    if not controls:
        return values
    z = np.stack([each.ravel() for each in controls], axis=1)
    y = values.ravel()
    return np.asarray(y - z @ np.linalg.lstsq(z, y, rcond=None)[0])


def _correlation(one: FloatArray, other: FloatArray) -> float:
    """Uncentred, because means are removed already; 0 where nothing is left of one."""
    a, b = one.ravel(), other.ravel()
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / size if size > 0 else 0.0
