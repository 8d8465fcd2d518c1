"""The same model over a list of W of the same regions; what each W can identify; islands and bridges by name."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from spillover.audit.bridges import component_sizes, find_bridges
from spillover.audit.evidence import Findings, effect_rows, number, reason, told
from spillover.audit.focus import Effect, FocusEffects, choose_variable, focus_effects
from spillover.audit.part import AuditPart
from spillover.audit.refit import refit
from spillover.audit.wording import with_errors
from spillover.errors import (
    AlignmentError,
    DesignError,
    EstimationError,
    OptionError,
    SpilloverWarning,
    WeightsError,
    show_labels,
)
from spillover.models.result import SpatialFit
from spillover.numerics.independence import measure_independence
from spillover.panel.panel import Panel
from spillover.typing import Progress, no_progress
from spillover.weights.weights import SpatialWeights

QUESTION = "Does the result depend on which W was chosen?"
WEAK = 0.05  # smallest singular value of I, W, W² with unit length below which ρ and θ are hard to tell apart
NAMED = 12


def audit_specifications(
    fit: SpatialFit,
    variable: str | None = None,
    *,
    weights: Mapping[str, SpatialWeights] | None = None,
    common: bool = False,
    progress: Progress = no_progress,
) -> AuditPart:
    """Set the model with other W beside it, all of the same regions; say what W rests on.

    Parameters
    ----------
    fit : a model with W.
    weights : name → W. Rows that sum to one are needed where the fit needed them.
    common : restrict everything (the fit's own W too) to the regions that all W have, and say so; W of other regions
        are refused otherwise, because a difference between samples would pass for one between maps.

    Returns
    -------
    AuditPart "weights"; table: one row per W and effect with links, islands, identification and log-likelihood. Facts
    `weights.low.spillover`, `weights.high.spillover` (range of the estimates), `weights.rejecting.spillover` (how many
    W tell it apart from zero), `weights.other_sign.spillover`, `weights.count`, `weights.identification` (smallest
    singular value of I, W, W² with unit length, as the effects leave them; 0: ρ and θ cannot be told apart),
    `weights.components`, `weights.bridges`, `weights.islands`.

    Raises
    ------
    AlignmentError : W of different regions (both sides named). OptionError : a list that is no mapping of W.
    """
    name = choose_variable(fit, variable)
    if fit.weights is None:
        raise OptionError(f"a {fit.spec.model} model has no W to compare", fix='audit a model="slx" or "sdm"')
    others = dict(weights or {})
    check_list(others, fit, common=common)
    found = Findings(name)
    panel, own = fit.panel, fit.weights
    if common and others:
        panel, own, others = _in_common(found, fit, others)
    base = fit if panel is fit.panel else refit(fit, panel=panel)
    effects = focus_effects(base, name)
    key = next((key for key, w in others.items() if w is own), own.kind)
    tried = [(key, base, effects)]
    _row(found, key, own, base, effects)
    for done, (label, w) in enumerate(others.items()):
        progress(f"W: {label}", (done + 1) / (len(others) + 1))
        if w is own:
            continue
        made = _try(found, fit, panel, label, w)
        if made is not None:
            tried.append((label, made, focus_effects(made, name)))
            _row(found, label, w, made, tried[-1][2])
    _compare(found, tried)
    if not others:
        found.skipped.append(
            "Other W: none were given; other W of the same regions are set side by side (option weights)."
        )
    _describe(found, own.align(panel.regions), base)
    return found.part("weights", QUESTION)


def check_list(others: Mapping[str, Any], fit: SpatialFit, *, common: bool) -> None:
    """Refuse what is no W, and W of other regions than the fit unless only the common ones are compared."""
    for label, w in others.items():
        if not isinstance(w, SpatialWeights):
            raise OptionError(
                f"the W called {label!r} is not a SpatialWeights",
                got=type(w).__name__,
                fix="spillover.weights.from_object(W, regions=[…])",
            )
    if common:
        return
    regions = set(fit.panel.regions)
    wrong = []
    for label, w in others.items():
        lacking, surplus = sorted(regions - set(w.regions)), sorted(set(w.regions) - regions)
        if lacking or surplus:
            parts = [f"without {show_labels(lacking)}"] if lacking else []
            parts += [f"with {show_labels(surplus)} besides"] if surplus else []
            wrong.append(f"{label} ({' and '.join(parts)})")
    if wrong:
        raise AlignmentError(
            "the list of W is of different regions: their results would differ because the samples do",
            got="; ".join(wrong),
            expected=f"the {len(regions)} regions of the fit in every W",
            fix="use common=True to compare all W on the regions they share, or W.subset(panel.regions)",
        )


def _in_common(
    found: Findings, fit: SpatialFit, others: dict[str, SpatialWeights]
) -> tuple[Panel, SpatialWeights, dict[str, SpatialWeights]]:
    """Panel and every W on the regions that all share and in which each keeps a neighbour."""
    assert fit.weights is not None
    every = {"": fit.weights, **others}
    shared = set(fit.panel.regions).intersection(*(w.regions for w in every.values()))
    while True:
        regions = [region for region in fit.panel.regions if region in shared]
        if not regions:
            raise AlignmentError("the list of W has no region in common", got=show_labels(others))
        cut = {key: w if tuple(regions) == w.regions else w.subset(regions, islands="drop") for key, w in every.items()}
        left = shared.intersection(*(w.regions for w in cut.values()))
        if left == shared:
            break
        shared = left
    gone = [region for region in fit.panel.regions if region not in shared]
    panel = fit.panel.select(regions=regions) if gone else fit.panel
    if gone:
        found.sentences.append(
            f"All W are compared on the {len(regions)} regions they share; without {show_labels(gone, 30)}, and so the "
            "first row differs from the fit as well."
        )
        found.facts["weights.regions_left_out"] = float(len(gone))
    aligned = {key: w.align(panel.regions) for key, w in cut.items()}
    return panel, aligned.pop(""), aligned


def _try(found: Findings, fit: SpatialFit, panel: Panel, label: str, w: SpatialWeights) -> SpatialFit | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SpilloverWarning)
            return refit(fit, panel=panel, weights=w)
    except (DesignError, EstimationError, OptionError, WeightsError) as error:
        found.skipped.append(f"W {label!r}: {reason(error)}.")
        return None


def _row(found: Findings, label: str, w: SpatialWeights, fit: SpatialFit, effects: FocusEffects) -> None:
    w = w.align(fit.panel.regions)
    facts = {
        "kind": w.kind,
        "links": float(w.matrix.nnz) / w.n,
        "islands": len(w.islands),
        "identification": identification(w, fit),
        "log_likelihood": float(fit.statistics["log_likelihood"]),
    }
    found.rows += [{**row, **facts} for row in effect_rows(fit, effects, weights=label)]


def identification(w: SpatialWeights, fit: SpatialFit) -> float:
    """Smallest singular value of I, W and W² with unit length, between the means that the effects remove.

    Bramoullé, Djebbari & Fortin (2009, J. Econometrics 150:41): linearly independent matrices let slopes of neighbours
    be told from the feedback of the outcome. Between period means J W J takes the place of W.
    """
    centring = fit.design.transformation.centring
    if centring.active:
        return measure_independence(w.matrix, centring).triple
    w1, w2 = w.matrix, w.matrix @ w.matrix
    gram = np.array(
        [
            [float(w.n), 0.0, float(w2.diagonal().sum())],
            [0.0, float(w1.multiply(w1).sum()), float(w1.multiply(w2).sum())],
            [0.0, 0.0, float(w2.multiply(w2).sum())],
        ]
    )
    gram = np.triu(gram) + np.triu(gram, 1).T
    length = np.sqrt(np.maximum(np.diag(gram), 1e-300))
    return float(np.sqrt(max(float(np.linalg.eigvalsh(gram / np.outer(length, length))[0]), 0.0)))


# -- side by side --------------------------------------------------------------------------------------------


def _compare(found: Findings, tried: list[tuple[str, SpatialFit, FocusEffects]]) -> None:
    found.facts["weights.count"] = float(len(tried))
    if len(tried) < 2:
        return
    for effect, base in tried[0][2].items():
        values = [(getattr(each, effect), label) for label, _, each in tried]
        low, high = min(values, key=lambda pair: pair[0].value), max(values, key=lambda pair: pair[0].value)
        rejecting = [label for value, label in values if value.p_value < 0.05]
        turned = [label for value, label in values if value.value * base.value < 0]
        found.facts |= {
            f"weights.low.{effect}": low[0].value,
            f"weights.high.{effect}": high[0].value,
            f"weights.rejecting.{effect}": float(len(rejecting)),
            f"weights.other_sign.{effect}": float(len(turned)),
        }
        found.sentences.append(_tell(effect, low, high, rejecting, len(values), with_errors(tried[0][1])))
    best = max(tried, key=lambda each: float(each[1].statistics["log_likelihood"]))
    gap = float(best[1].statistics["log_likelihood"]) - float(tried[0][1].statistics["log_likelihood"])
    if best[0] != tried[0][0]:
        found.sentences.append(f"The likelihood is highest with {best[0]}, {number(gap, 1.0)} above {tried[0][0]}.")


def _tell(
    effect: str, low: tuple[Effect, str], high: tuple[Effect, str], rejecting: list[str], count: int, test: str
) -> str:
    what = "The effect at home" if effect == "own" else "The spillover"
    text = f"{what} lies between {told(low[0])} with {low[1]} and {told(high[0])} with {high[1]}, over {count} W"
    if len(rejecting) == count:
        return f"{text}; a {test} tells it apart from zero with every one."
    if not rejecting:
        return f"{text}; a {test} tells it apart from zero with none."
    return f"{text}; a {test} tells it apart from zero with {show_labels(rejecting, NAMED)} only."


# -- what W rests on -----------------------------------------------------------------------------------------


def _describe(found: Findings, w: SpatialWeights, fit: SpatialFit) -> None:
    bridges, sizes = find_bridges(w), component_sizes(w)
    strength = identification(w, fit)
    found.facts |= {
        "weights.identification": strength,
        "weights.bridges": float(len(bridges)),
        "weights.components": float(len(sizes)),
        "weights.islands": float(len(w.islands)),
    }
    if fit.roles.outcome and strength < WEAK:
        found.sentences.append(
            f"I, W and W² are nearly dependent (smallest singular value {strength:.3f}): ρ and the neighbours' slopes "
            "are hard to tell apart with this W."
        )
    if len(sizes) > 1:
        found.sentences.append(f"W falls into {len(sizes)} parts of {show_labels(sizes, NAMED)} regions.")
    if w.islands:
        found.sentences.append(f"Islands without a neighbour: {w.tell(w.islands, NAMED)}.")
    if w.added:
        told_links = [f"{w.told(one)} and {w.told(other)} ({how})" for one, other, how in w.added]
        found.sentences.append(f"Links that somebody chose: {show_labels(told_links, NAMED)}.")
    if bridges:
        parts = [
            f"{w.told(each.one)} and {w.told(each.other)} ({each.behind} {'region' if each.behind == 1 else 'regions'})"
            for each in bridges
        ]
        found.sentences.append(
            f"Single links that hold the map together, with the regions behind them: {show_labels(parts, NAMED)}."
        )
