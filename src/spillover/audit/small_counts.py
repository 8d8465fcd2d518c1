"""Small counts: the model without the regions that have few, and Poisson against logarithms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spillover.audit.evidence import Findings, both, called, effect_facts, effect_rows, reason
from spillover.audit.focus import FocusEffects, focus_effects, has_spillover, read_effect
from spillover.audit.refit import refit
from spillover.audit.wording import is_cross_section, varies
from spillover.errors import SpilloverError, show_labels
from spillover.models.counts import fit_counts
from spillover.models.result import SpatialFit

LEAST_REGIONS = 10


def leave_small(found: Findings, fit: SpatialFit, counts: str | None, small: float) -> None:
    """The model without regions that have fewer than `small` counts per period on average."""
    if counts is None:
        found.skipped.append("Regions with small counts: no variable with the counts was named (option counts).")
        return
    panel = fit.panel
    mean = panel[counts].mean(axis=1)
    few = [region for region, value in zip(panel.regions, mean, strict=True) if not value >= small]
    if not few:
        found.sentences.append(f"No region has fewer than {small:g} {panel.label(counts)} per period on average.")
        return
    kept = [region for region in panel.regions if region not in set(few)]
    design = fit.design
    squares = np.sum(design.y**2, axis=1)
    share = float(squares[[panel.regions.index(region) for region in few]].sum() / squares.sum())
    found.facts["influence.small_regions"] = float(len(few))
    found.facts["influence.small_share"] = share
    made = None
    if len(kept) >= LEAST_REGIONS:
        try:
            made = refit(fit, panel=panel.select(regions=kept))
        except SpilloverError as error:
            found.skipped.append(f"Without regions below {small:g} {counts}: {reason(error)}.")
    many, each = len(few) > 1, "" if is_cross_section(fit) else " per period"
    text = (
        f"{len(few)} of {len(panel.regions)} regions {'have' if many else 'has'} fewer than {small:g} "
        f"{panel.label(counts)}{each} and {'hold' if many else 'holds'} {100 * share:.0f} % of what {varies(fit)} "
        f"in the outcome"
    )
    if made is None:
        found.sentences.append(text + "; too few are left without them.")
        return
    effects = focus_effects(made, found.variable)
    name = f"{len(few)} regions below {small:g} {counts}"
    found.rows += effect_rows(made, effects, without="small counts", name=name)
    found.facts |= effect_facts("influence.without_small", effects)
    lost = [called(panel, region) for region in kept if region not in set(made.panel.regions)]
    also = f"; {show_labels(lost)} had no neighbour left" if lost else ""
    found.sentences.append(f"{text}. Without them ({len(made.panel.regions)} regions left{also}): {both(effects)}.")


def count(found: Findings, fit: SpatialFit, counts: str | None) -> None:
    """Poisson and log-linear SLX of the same regressors."""
    spec, design = fit.spec, fit.design
    inside = design.response[4:-1] if _is_log(design.response) else None
    outcome = counts if counts is not None and _is_count_of(fit, counts) else inside
    if outcome is None:
        found.skipped.append("Poisson: the outcome is not a logarithm of something that could be counted.")
        return
    if spec.groups is not None or spec.segments is not None:
        found.skipped.append("Poisson: it knows region and period effects, not those of groups or segments.")
        return
    right = spec.formula.split("~", 1)[1]
    w = fit.roles.regressors if fit.roles.regressors is not None else fit.weights
    w = w if has_spillover(fit) else None
    lagged = tuple(design.neighbour) or None if spec.has_lagged_regressors else None
    try:
        poisson = fit_counts(f"{outcome} ~{right}", fit.panel, w, effects=spec.effects, lagged=lagged)
        logs = refit(fit, model="slx" if w is not None else "ols", weights=w, lagged=lagged)
    except SpilloverError as error:
        found.skipped.append(f"Poisson: {reason(error)}.")
        return
    estimates = poisson.semi_elasticities()
    own = read_effect(estimates, f"direct: {found.variable}")
    has_lag = found.variable in poisson.design.neighbour
    counted = FocusEffects(
        found.variable, own, read_effect(estimates, f"indirect: {found.variable}") if has_lag else None
    )
    logged = focus_effects(logs, found.variable)
    found.facts |= effect_facts("influence.poisson", counted) | effect_facts("influence.log_slx", logged)
    found.rows += [
        {**row, "rho": None} for row in effect_rows(fit, counted, without="logs", name=f"Poisson, {outcome}")
    ]
    found.rows += effect_rows(logs, logged, without="W y", name="logs, SLX")
    found.sentences.append(
        f"Poisson for {outcome} (large regions count for more, no logarithm): {both(counted)}; the same regressors in "
        f"logs (SLX): {both(logged)}."
    )


def _is_log(response: str) -> bool:
    """Whether the whole response is one logarithm: "log(a / b)", not "log(a) - log(b)"."""
    if not (response.startswith("log(") and response.endswith(")")):
        return False
    depth = 0
    for at, sign in enumerate(response):
        depth += (sign == "(") - (sign == ")")
        if depth == 0 and at >= 4 and at < len(response) - 1:
            return False
    return True


def _is_count_of(fit: SpatialFit, counts: str) -> bool:
    """Whether the counts move with the outcome: the logarithms differ by less than they vary."""
    values = fit.panel[counts]
    if not (values > 0).any() or not _is_log(fit.design.response):
        return False
    plain = replace(fit.design.transformation, groups=None, segments=None)
    logs = plain.apply(np.log(np.maximum(values, 1e-9)))
    return bool(np.corrcoef(logs.ravel(), np.asarray(fit.design.y).ravel())[0, 1] > 0.5)
