"""Does the cause come before the effect? Leads as a placebo, lags, the outcome's own past, trends, earlier growth."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from spillover.audit.change import change_facts, compare, influence
from spillover.audit.evidence import Findings, effect_rows, is_lost, number, reason, tell_p, told
from spillover.audit.focus import FocusEffects, choose_variable, focus_effects
from spillover.audit.grouping import resolve_groups
from spillover.audit.part import AuditPart
from spillover.audit.rotate import fit_without, trend
from spillover.audit.shifted import DURBIN, Shift, find_shift, refit_periods, refit_with
from spillover.audit.wording import too_few, with_errors
from spillover.errors import OptionError, SpilloverError, SpilloverWarning
from spillover.models.fit import fit_spec
from spillover.models.result import SpatialFit
from spillover.models.spec import Groups, ModelSpec
from spillover.panel.panel import Panel
from spillover.typing import Progress, no_progress

QUESTION = "Does the cause come before the effect?"
NEXT, BEFORE, PAST = "next_period_of_audit", "period_before_of_audit", "outcome_before_of_audit"
LEAST_FOR_GROWTH = 5  # periods for an earlier and a later change that share none


def audit_timing(
    fit: SpatialFit,
    variable: str | None = None,
    *,
    groups: Groups = None,
    lead: int = 1,
    progress: Progress = no_progress,
) -> AuditPart:
    """Set the regressor's future and past, the outcome's past and trends of regions beside the model.

    - Next period's regressor beside this one's: a placebo. The future cannot cause the present; where it seems to, the
      outcome came first, or both follow something else.
    - Last period's regressor in place of this one's.
    - The outcome of the period before among the regressors (with region effects its coefficient is too small; it is
      corrected by Nickell 1981, Econometrica 49:1417, eq. 18, and the effects are shown at both values).
    - A trend of its own for every region.
    - Does the outcome's earlier growth, at home or next door, predict the regressor's later growth? Among regions of
      one group where groups are known and each has several: growth that a country shares is no reply to an outcome.

    Parameters
    ----------
    fit : a panel model.
    groups : column of `panel.groups`, or region → group; those of the fit, else the panel's only grouping.
    lead : how many periods ahead the placebo looks, 1 or more. Gaps between periods stay gaps.

    Returns
    -------
    AuditPart "timing". Facts `timing.lead.own`, `timing.lead.spillover` (effects of the future regressor, with
    `timing.lead_p_value.…`), `timing.lead_joint_p_value`, `timing.lag.…`, `timing.dynamic.…`,
    `timing.dynamic_corrected.…`, `timing.persistence`, `timing.persistence_corrected`, `timing.trend.…`,
    `timing.growth_p_value.own`, `timing.growth_p_value.spillover`.

    Raises
    ------
    OptionError : a lead that no period of the panel has. What a short panel does not allow is said in `skipped`.
    """
    name = choose_variable(fit, variable)
    if isinstance(lead, bool) or not isinstance(lead, int | np.integer) or lead < 1:
        raise OptionError("lead is a number of periods", got=repr(lead), expected="a whole number of 1 or more")
    found = Findings(name)
    base = _add(found, fit, "as_fitted", "as fitted")
    if len(fit.design.periods) == 1:
        found.skipped.append("A cross-section has no before and no after.")
        return found.part("timing", QUESTION)
    if lead > 1:
        find_shift(fit.design.periods, int(lead))
    steps = (
        ("the placebo", lambda: _look_ahead(found, fit, int(lead))),
        ("the lagged regressor", lambda: _look_back(found, fit)),
        ("the outcome's past", lambda: _add_past(found, fit, base)),
        ("trends of regions", lambda: _take_trends(found, fit, base)),
        ("earlier growth", lambda: _compare_growth(found, fit, groups)),
    )
    for at, (words, step) in enumerate(steps):
        progress(words, at / len(steps))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SpilloverWarning)
                step()
        except SpilloverError as error:
            found.skipped.append(f"{words[:1].upper()}{words[1:]}: {reason(error)}.")
    return found.part("timing", QUESTION)


def _add(
    found: Findings, fit: SpatialFit, key: str, words: str, of: str | None = None, label: str = ""
) -> FocusEffects:
    return found.add(fit, f"timing.{key}", of, model=words, regressor=label or found.variable)


# -- the future ----------------------------------------------------------------------------------------------


def _look_ahead(found: Findings, fit: SpatialFit, lead: int) -> None:
    shift = find_shift(fit.design.periods, lead)
    same = refit_periods(fit, shift.periods)
    _add(found, same, "same_periods", f"the periods that have one {lead} later")
    made = refit_with(fit, shift, {NEXT: _shifted(fit, found.variable, shift)}, lagged=_lag_too(fit, found, NEXT))
    words = f"beside its value {_ahead(lead)}"
    _add(found, made, "beside_lead", words)
    ahead = _add(found, made, "lead", words, NEXT, f"{found.variable} {_ahead(lead)}")
    terms = [term for term in (NEXT, f"W*{NEXT}") if term in made.design.terms]
    restriction = np.zeros((len(terms), made.estimates.values.size))
    for row, term in enumerate(terms):
        restriction[row, made.estimates.index(term)] = 1.0
    joint = made.estimates.wald(restriction, "the future regressor does not matter")
    found.facts["timing.lead_joint_p_value"] = joint.p_value
    found.sentences.append(_tell_lead(found.variable, lead, ahead, joint.p_value, with_errors(made)))


def _ahead(lead: int) -> str:
    return "of the next period" if lead == 1 else f"{lead} periods later"


def _tell_lead(variable: str, lead: int, ahead: FocusEffects, joint: float, test: str) -> str:
    parts = [f"{told(ahead.own)} at home"]
    if ahead.spillover is not None:
        parts.append(f"{told(ahead.spillover)} next door")
    text = f"Placebo: {variable} {_ahead(lead)}, beside this period's, has an effect of {' and '.join(parts)}"
    early = [
        word
        for word, effect in (("home", ahead.own), ("next door", ahead.spillover))
        if effect is not None and effect.p_value < 0.05
    ]
    if early:
        where = " and ".join(early)
        return (
            f"{text}. By a {test} the future seems to act {where}: the outcome moved first, or both follow something "
            "else."
        )
    if joint < 0.05:
        return f"{text}; together they are not zero ({tell_p(joint)})."
    return f"{text}; a {test} tells neither apart from zero, as it should be (joint {tell_p(joint)})."


# -- the past ------------------------------------------------------------------------------------------------


def _look_back(found: Findings, fit: SpatialFit) -> None:
    shift = find_shift(fit.design.periods, -1)
    lags = _lag_too(fit, found, BEFORE)
    made = refit_with(fit, shift, {BEFORE: _shifted(fit, found.variable, shift)}, lagged=lags, without=found.variable)
    effects = _add(found, made, "lag", "with its value of the period before", BEFORE, f"{found.variable} one earlier")
    parts = [f"{told(effects.own)} at home"]
    if effects.spillover is not None:
        parts.append(f"{told(effects.spillover)} next door")
    found.sentences.append(f"With {found.variable} of the period before in its place: {', '.join(parts)}.")


def _add_past(found: Findings, fit: SpatialFit, base: FocusEffects) -> None:
    shift = find_shift(fit.design.periods, -1)
    past = shift.take(fit.design.y_raw)
    made = refit_with(fit, shift, {PAST: past})
    tau = made.estimates[PAST]
    effects = _add(found, made, "dynamic", "with the outcome of the period before")
    found.facts["timing.persistence"] = tau
    text = (
        f"Once the outcome of the period before enters (coefficient {number(tau)}), the effect at home is "
        f"{told(effects.own)} instead of {number(base.own.value)}"
    )
    if effects.spillover is not None and base.spillover is not None:
        text += f" and the spillover {told(effects.spillover)} instead of {number(base.spillover.value)}"
    if not fit.spec.has_region_effects:
        found.sentences.append(text + ".")
        return
    corrected = correct_persistence(tau, len(shift.periods))
    now = fit.design.y_raw[:, [fit.design.periods.index(period) for period in shift.periods]]
    fixed = refit_with(fit, shift, {}, outcome=now - corrected * past)
    again = _add(found, fixed, "dynamic_corrected", f"with {number(corrected)} × the outcome of the period before")
    found.facts["timing.persistence_corrected"] = corrected
    text += (
        f". Region effects make that coefficient too small; corrected, it is {_tell_corrected(corrected)}, and the "
        f"effect at home {told(again.own)}"
    )
    if again.spillover is not None:
        text += f", the spillover {told(again.spillover)}"
    if is_lost(base.own, again.own):
        text += ". The effect at home does not outlast the outcome's own past"
    found.sentences.append(text + ".")


def _tell_corrected(corrected: float) -> str:
    return "one or nearly so" if corrected > 0.99 else f"about {number(corrected)}"


def correct_persistence(estimate: float, periods: int) -> float:
    """The τ whose within estimate over this many periods is `estimate`; at most 1.

    plim τ̂ − τ = −(1 + τ)/(T − 1) · A / {1 − 2τ A/[(1 − τ)(T − 1)]}, A = 1 − (1 − τ^T)/[T(1 − τ)] (Nickell 1981, eq. 18;
    without other regressors, many regions).
    """
    from scipy.optimize import brentq

    def gap(tau: float) -> float:
        return within_persistence(tau, periods) - estimate

    low, high = -0.999, 0.999
    if gap(high) <= 0:
        return 1.0
    if gap(low) >= 0:
        return estimate
    return float(brentq(gap, low, high, xtol=1e-10))


def within_persistence(tau: float, periods: int) -> float:
    """What the within estimator of an autoregression tends to as regions become many (Nickell 1981)."""
    share = 1.0 - (1.0 - tau**periods) / (periods * (1.0 - tau))
    bias = -(1.0 + tau) / (periods - 1) * share / (1.0 - 2.0 * tau * share / ((1.0 - tau) * (periods - 1)))
    return float(tau + bias)


# -- trends --------------------------------------------------------------------------------------------------


def _take_trends(found: Findings, fit: SpatialFit, base: FocusEffects) -> None:
    if not fit.spec.has_region_effects:
        found.skipped.append("Trends of regions: the model has no region effects.")
        return
    rotated = fit_without(fit, trend(fit))
    effects = _add(
        found,
        rotated.fit,
        "trend",
        "with a trend for every region",
        short := rotated.names[found.variable],
        found.variable,
    )
    changes = compare(base, effects, influence(fit, found.variable), influence(rotated.fit, short))
    found.facts |= change_facts("timing.trend", changes)
    text = f"With a trend of its own for every region the effect at home is {told(effects.own)}"
    if effects.spillover is not None:
        text += f" and the spillover {told(effects.spillover)}"
    lost = [
        word
        for word, before, after in (
            ("the effect at home", base.own, effects.own),
            ("the spillover", base.spillover, effects.spillover),
        )
        if before is not None and after is not None and is_lost(before, after)
    ]
    found.sentences.append(text + (f": {' and '.join(lost)} rested on trends." if lost else "."))


# -- growth --------------------------------------------------------------------------------------------------


def _compare_growth(found: Findings, fit: SpatialFit, groups: Groups) -> None:
    """Later change of the regressor on the earlier change of the outcome, at home and next door; one period left."""
    design = fit.design
    t = design.shape[1]
    if t < LEAST_FOR_GROWTH:
        found.skipped.append(f"Earlier growth: {too_few(t, LEAST_FOR_GROWTH)}.")
        return
    middle = t // 2
    x = design.x_raw[list(design.own).index(found.variable)]
    variables = {
        "later": (x[:, -1] - x[:, middle + 1])[:, None],
        "earlier_outcome": (design.y_raw[:, middle] - design.y_raw[:, 0])[:, None],
        "earlier": (x[:, middle] - x[:, 0])[:, None],
    }
    panel = Panel(design.regions, (0,), variables, groups=fit.panel.groups, is_panel=False)
    w = fit.weights
    grouping = resolve_groups(fit, groups)
    inside = None if grouping is None or grouping.single else grouping
    spec = ModelSpec(
        "later ~ earlier_outcome + earlier",
        model="ols" if w is None else "slx",
        effects="none" if inside is None else "time",
        covariance="hc",
        groups=None if inside is None else inside.mapping,
    )
    made = fit_spec(spec, panel, w)
    effects = focus_effects(made, "earlier_outcome")
    found.rows += effect_rows(made, effects, model="later growth of the regressor", regressor="earlier growth, outcome")
    for kind, effect in effects.items():
        found.facts[f"timing.growth.{kind}"] = effect.value
        found.facts[f"timing.growth_p_value.{kind}"] = effect.p_value
    among = "" if inside is None else f", among regions of one {inside.name}"
    periods = design.periods
    span = f"{periods[0]} to {periods[middle]}", f"{periods[middle + 1]} to {periods[-1]}"
    early = [
        f"{place} ({told(effect)})"
        for place, effect in (("at home", effects.own), ("next door", effects.spillover))
        if effect is not None and effect.p_value < 0.05
    ]
    if early:
        found.sentences.append(
            f"Growth of the outcome from {span[0]} {' and '.join(early)} goes before growth of {found.variable} from "
            f"{span[1]}{among} (5 % tests, heteroskedasticity-robust errors): the regressor follows the outcome."
        )
    else:
        found.sentences.append(
            f"Growth of the outcome from {span[0]} does not tell growth of {found.variable} from {span[1]}{among} (5 % "
            "tests, heteroskedasticity-robust errors)."
        )


def _shifted(fit: SpatialFit, name: str, shift: Shift) -> Any:
    return shift.take(fit.design.x_raw[list(fit.design.own).index(name)])


def _lag_too(fit: SpatialFit, found: Findings, name: str) -> tuple[str, ...]:
    """The added regressor enters as W x where the examined one does."""
    return (name,) if fit.spec.model in DURBIN and found.variable in fit.design.neighbour else ()
