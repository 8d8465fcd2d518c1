"""Common shock or neighbour? What groups share, exact effects of groups and periods, common factors."""

from __future__ import annotations

import warnings

from spillover.audit.absorbed import absorb_groups
from spillover.audit.change import change_facts
from spillover.audit.common_factors import look_at_factors
from spillover.audit.evidence import Findings, effect_facts, effect_rows, is_lost, reason, tell_p, told
from spillover.audit.focus import FocusEffects, choose_variable
from spillover.audit.group_shares import GroupShare, group_shares
from spillover.audit.grouping import Grouping, resolve_groups
from spillover.audit.part import AuditPart
from spillover.audit.refit import refit
from spillover.audit.wording import cells, is_cross_section, one_effect, varies
from spillover.errors import DesignError, EstimationError, SpilloverError, SpilloverWarning, WeightsError, show_labels
from spillover.models.result import SpatialFit
from spillover.models.spec import Groups
from spillover.panel.panel import Panel
from spillover.typing import Progress, no_progress
from spillover.weights.groups import within_groups
from spillover.weights.weights import SpatialWeights

QUESTION = "A neighbour's influence, or a shock that neighbours share?"
MUCH = 0.10  # share beyond chance from which a variable counts as shared by groups


def audit_common_shock(
    fit: SpatialFit,
    variable: str | None = None,
    *,
    groups: Groups = None,
    within: SpatialWeights | None = None,
    factors: int = 2,
    progress: Progress = no_progress,
) -> AuditPart:
    """Look for what regions share: shocks to a group of regions in a period, and common factors.

    Three pieces of evidence: the share of each variable's within variance that is group × period; the model with links
    inside groups only, once with ordinary period effects and once with one effect per group and period (treated
    exactly, on the same regions with the same W); and the model with common factors whose effect differs by region, by
    averages over all regions (Pesaran 2006) and by principal components (Bai 2009; Shi & Lee 2017).

    Parameters
    ----------
    fit : a panel model.
    groups : column of `panel.groups`, or region → group; those of the fit, else the panel's only grouping.
    within : W for the comparison inside groups, links inside groups only; that of the fit, cut at the borders, by
        default. Few neighbours (3 or 4) leave more to learn from than groups in which all neighbour all.
    factors : principal components that are tried, 1 … factors; from 8 periods on.

    Returns
    -------
    AuditPart "common-shock". Facts `common_shock.group_share.outcome`, `.variable`, `.chance`;
    `common_shock.ordinary.spillover` and `common_shock.exact.spillover`, each also with `_low`, `_high`, `_half_width`,
    `_p_value` and `_smallest` (what would be seen four times out of five) before the dot, and `.own`;
    `common_shock.averages.…`, `common_shock.components_1.…`; `factors.estimate.spillover`, `factors.p_value.spillover`,
    … of as many components as stand out from independent errors, at least one; `factors.needed_p_value`: whether
    the regressor goes with what the model leaves in other periods, as it would under a factor;
    `factors_joint.estimate.spillover`, … without the first course of outcome and regressor together;
    `factors_least.estimate.spillover`, … of the factor model that tells the effect from zero the least.

    Raises
    ------
    DesignError : groups that were asked for and divide nothing. WeightsError : `within` crosses groups (the effect of
    W y beside group × period effects would be an artefact). Where no link of W stays inside a group, the comparison
    with links inside groups is left out, and that with the same W stays.

    Factors are treated as known, so intervals of the factor models are a little short.
    """
    name = choose_variable(fit, variable)
    found = Findings(name)
    as_fitted = found.add(fit, "common_shock.as_fitted", evidence="model", what="as fitted")
    grouping = resolve_groups(fit, groups)
    if grouping is None:
        found.skipped.append("Effects of groups: no groups of regions are known (option groups).")
    else:
        progress("what groups share", 0.1)
        _look_at_shares(found, fit, grouping)
        progress("effects of groups and periods", 0.3)
        _look_inside(found, fit, grouping, within)
        _absorb(found, fit, grouping)
    progress("common factors", 0.6)
    look_at_factors(found, fit, as_fitted, factors)
    return found.part("common-shock", QUESTION)


def _look_at_shares(found: Findings, fit: SpatialFit, grouping: Grouping) -> None:
    shares = group_shares(fit, grouping, found.variable)
    for each in shares:
        found.rows.append(
            {
                "evidence": "group share",
                "what": each.variable,
                "period": "all" if each.period is None else str(each.period),
                "share": each.share,
                "chance": each.chance,
            }
        )
    total = {each.variable: each for each in shares if each.period is None}
    outcome, regressor = total[fit.design.response], total[found.variable]
    found.facts |= {
        "common_shock.group_share.outcome": outcome.share,
        "common_shock.group_share.variable": regressor.share,
        "common_shock.group_share.chance": outcome.chance,
        "common_shock.group_share_beyond.outcome": outcome.beyond,
        "common_shock.group_share_beyond.variable": regressor.beyond,
    }
    lagged = total.get(f"W*{found.variable}")
    text = (
        f"{_title(cells(grouping, fit))} means account for {100 * outcome.share:.0f} % of what "
        f"{varies(fit)} in {outcome.variable} and for {100 * regressor.share:.0f} % in {regressor.variable}; "
        f"{100 * outcome.chance:.0f} % would be chance."
    )
    if lagged is not None:
        found.facts["common_shock.group_share.neighbours"] = lagged.share
        text += f" Of the neighbours' {regressor.variable} it is {100 * lagged.share:.0f} %."
    found.sentences.append(text + _tell_period(shares, outcome))


def _tell_period(shares: list[GroupShare], outcome: GroupShare) -> str:
    """The period that stands out, if one does."""
    by_period = [each for each in shares if each.variable == outcome.variable and each.period is not None]
    if len(by_period) < 3:
        return ""
    ordered = sorted(by_period, key=lambda each: each.share)
    top, middle = ordered[-1], ordered[len(ordered) // 2]
    if top.beyond < MUCH or top.beyond < 1.5 * max(middle.beyond, 0.0):
        return ""
    return (
        f" It is most in {top.period}, {100 * top.share:.0f} % of {top.variable} (half of the periods are at or below "
        f"{100 * middle.share:.0f} %)."
    )


# -- groups ------------------------------------------------------------------------------------------------


def _look_inside(found: Findings, fit: SpatialFit, grouping: Grouping, weights: SpatialWeights | None) -> None:
    if fit.weights is None:
        found.skipped.append("Effects of groups with neighbours: the model has no W.")
        return
    try:
        inside = within_groups(fit.weights, grouping.mapping) if weights is None else weights
        panel = fit.panel.select(regions=inside.regions)
        inside = inside.align(panel.regions)
    except WeightsError as error:
        if weights is not None:
            raise
        found.skipped.append(f"Effects of groups with links inside {grouping.plural} only: {reason(error)}.")
        return
    gone = [region for region in fit.panel.regions if region not in set(panel.regions)]
    said: list[str] = []
    grouped = _try(found, fit, panel, inside, grouping, said)
    if grouped is None:
        return
    model, effects, words = grouped
    ordinary = refit(model, panel=panel, weights=inside, groups=None)
    label = f"links inside {grouping.plural}, {_ordinary(fit)}"
    plain = found.add(ordinary, "common_shock.ordinary", evidence="model", what=label)
    found.sentences.append(_tell_groups(fit, grouping, plain, effects, len(panel.regions), words))
    if gone:
        lost = sorted(set(grouping.labels) - {grouping.mapping[region] for region in panel.regions})
        found.sentences.append(
            f"{len(gone)} regions without a neighbour in their own {grouping.name} dropped out: {show_labels(gone, 30)}"
            + (f"; with them all of {show_labels(lost, 60)}." if lost else ".")
        )
    found.sentences += said


def _try(
    found: Findings,
    fit: SpatialFit,
    panel: Panel,
    inside: SpatialWeights,
    grouping: Grouping,
    said: list[str],
) -> tuple[SpatialFit, FocusEffects, str] | None:
    """Exact group × period effects; without W y where the groups cannot identify ρ."""
    groups = {region: grouping.mapping[region] for region in panel.regions}
    effects = fit.spec.effects if fit.spec.has_period_effects else "two-way" if panel.shape[1] > 1 else "time"
    without_lag = {"sdm": "slx", "sar": "slx", "gns": "slx", "sac": "slx", "sdem": "slx", "sem": "ols"}
    for model in dict.fromkeys((fit.spec.model, without_lag.get(fit.spec.model, fit.spec.model))):
        lagged = fit.spec.lagged if model in ("slx", "sdm", "sdem", "gns") else None
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", SpilloverWarning)
            try:
                made = refit(
                    fit, panel=panel, weights=inside, groups=groups, effects=effects, model=model, lagged=lagged
                )
            except WeightsError:
                raise
            except (DesignError, EstimationError) as error:
                found.skipped.append(
                    f"{_title(cells(grouping, fit))} effects in a {model.upper()} model: {reason(error)}."
                )
                continue
        said += [f"{str(each.message)[:1].upper()}{str(each.message)[1:]}." for each in caught]
        words = f"links inside {grouping.plural}, {cells(grouping, fit)} effects"
        words += "" if model == fit.spec.model else f" ({model.upper()})"
        return made, found.add(made, "common_shock.exact", evidence="model", what=words), model
    return None


def _absorb(found: Findings, fit: SpatialFit, grouping: Grouping) -> None:
    """The same W with ordinary and with group × period effects, in an SLX model."""
    if fit.weights is None:
        return
    try:
        pair = absorb_groups(fit, found.variable, grouping)
    except SpilloverError as error:
        found.skipped.append(f"The same neighbours with {cells(grouping, fit)} effects: {reason(error)}.")
        return
    for key, effects in (("same_w_ordinary", pair.ordinary), ("same_w_grouped", pair.grouped)):
        found.facts |= effect_facts(f"common_shock.{key}", effects)
        words = _ordinary(fit) if key == "same_w_ordinary" else f"{cells(grouping, fit)} effects"
        found.rows += effect_rows(fit, effects, evidence="model", what=f"the same W, {words} (SLX)")
    found.facts |= change_facts("common_shock.same_w", pair.changes)
    if pair.ordinary.spillover is not None and pair.grouped.spillover is not None:
        found.sentences.append(
            f"With all neighbours, across borders too, and no spatial lag of the outcome (SLX), the spillover is "
            f"{told(pair.ordinary.spillover)} with {_ordinary(fit)} and {told(pair.grouped.spillover)} with "
            f"{one_effect(grouping, fit)} ({tell_p(pair.changes['spillover'].p_value)} for the difference)."
        )


def _ordinary(fit: SpatialFit) -> str:
    return "no effects of groups" if is_cross_section(fit) else "ordinary period effects"


def _title(text: str) -> str:
    return text[:1].upper() + text[1:]


def _tell_groups(
    fit: SpatialFit, grouping: Grouping, plain: FocusEffects, exact: FocusEffects, n: int, model: str
) -> str:
    where = f"With links inside {grouping.plural} only ({n} regions, {model.upper()})"
    parts = []
    if plain.spillover is not None and exact.spillover is not None:
        parts.append(
            f"the spillover is {told(plain.spillover)} with {_ordinary(fit)} and {told(exact.spillover)} with "
            f"{one_effect(grouping, fit)}"
        )
    parts.append(f"the effect at home {told(plain.own)} and {told(exact.own)}")
    text = f"{where} " + "; ".join(parts) + "."
    if plain.spillover is None or exact.spillover is None:
        return text
    when = "" if is_cross_section(fit) else " in a period"
    shrunk = abs(exact.spillover.value) < 0.5 * abs(plain.spillover.value)
    if is_lost(plain.spillover, exact.spillover):
        return text + f" What regions of one {grouping.name} share{when} carries the spillover."
    if shrunk:
        return text + f" More than half of it is shared by the regions of a {grouping.name}{when}."
    if exact.spillover.p_value < 0.05:
        return text + f" It is there also between regions of one {grouping.name}."
    return text
