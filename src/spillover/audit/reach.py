"""How the effect depends on how far W reaches, and whether regions beyond W seem to act as well."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from spillover.audit.change import Influence, compare, influence
from spillover.audit.evidence import Findings, effect_facts, effect_rows, number, reason, tell_p, told
from spillover.audit.focus import Effect, FocusEffects, check_spillover, choose_variable, focus_effects, read_effect
from spillover.audit.part import AuditPart
from spillover.audit.refit import refit
from spillover.audit.shifted import DURBIN
from spillover.audit.wording import with_errors
from spillover.errors import OptionError, SpilloverError, SpilloverWarning
from spillover.models.groups import group_labels
from spillover.models.result import SpatialFit
from spillover.typing import Progress, no_progress
from spillover.weights.groups import within_groups
from spillover.weights.locate import locate
from spillover.weights.weights import SpatialWeights

QUESTION = "Does the effect fade beyond the neighbours, or grow with the reach of W?"
REACHES = (3, 5, 8, 12, 18, 27, 40)
STEPS = (1, 2, 3, 4)
WIDEST = 1 / 3  # of the regions that a row may hold
WIDER = 1.75  # times the links of W from which growth is measured
FAR = 4  # the far ring: of this many times as many nearest regions as W links, those that it does not link
FAR_NAME = "beyond_w_of_audit"


@dataclass(frozen=True, eq=False)
class Reached:
    """The model with a W of one reach; `influence` is what each region adds to the errors."""

    label: str
    links: float
    effects: FocusEffects
    influence: Influence

    @property
    def spillover(self) -> Effect:
        """The spillover."""
        assert self.effects.spillover is not None
        return self.effects.spillover


def audit_reach(
    fit: SpatialFit,
    variable: str | None = None,
    *,
    reaches: Sequence[int] | None = None,
    progress: Progress = no_progress,
) -> AuditPart:
    """Estimate with W of growing reach, and add regions beyond W.

    A spillover between neighbours is diluted, and its error grows, when W takes in regions that do not matter; averages
    over more and more regions are better and better measures of what all have in common, so that an effect that grows
    with reach points to a common factor. The second look adds the mean of the regressor over a far ring: regions beyond
    those that W links. W y carries what neighbours pass on; nothing is left for the far ring unless W is too short, or
    the ring stands for a common factor.

    Parameters
    ----------
    fit : a model with W x or W y.
    reaches : numbers of nearest regions (with places), or of steps on the map of W itself (without); those up to a
        third of the regions by default.

    Returns
    -------
    AuditPart "reach". Facts `reach.shortest.spillover`, `reach.longest.spillover`, `reach.growth.spillover` (the
    longest less that of the fit's own W) with `reach.growth_p_value.spillover`, clustered by region over both fits;
    `reach.far.spillover` with `reach.far_p_value.spillover`, `_low`, `_high` (the coefficient of the far ring).

    Raises
    ------
    OptionError : a model without spillover; reaches that are no numbers of neighbours.
    """
    name = choose_variable(fit, variable)
    check_spillover(fit, name)
    found = Findings(name)
    n = len(fit.design.regions)
    families = _with_places(fit, _checked(reaches, n)) if has_places(fit) else None
    if families is None:
        found.skipped.append("Nearest regions: the panel has no map; W is widened by steps on its own links instead.")
        families = _by_steps(fit, _checked(reaches, n) if reaches is not None else STEPS)
    tried = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpilloverWarning)
        for done, (label, w) in enumerate(families):
            progress(f"reach: {label}", done / (len(families) + 1))
            try:
                inside = _inside(fit, w)
                made = refit(fit, panel=fit.panel.select(regions=inside.regions), weights=inside)
            except SpilloverError as error:
                found.skipped.append(f"{label}: {reason(error)}.")
                continue
            effects = focus_effects(made, name)
            links = float(inside.matrix.nnz) / inside.n
            tried.append(Reached(label, links, effects, influence(made, name)))
            found.rows += effect_rows(made, effects, reach=label, links=links)
        _compare(found, fit, tried)
        _look_beyond(found, fit)
    return found.part("reach", QUESTION)


def has_places(fit: SpatialFit) -> bool:
    """Whether the panel has a map."""
    return fit.panel.geometry is not None


def _checked(reaches: Sequence[int] | None, n: int) -> tuple[int, ...]:
    if reaches is None:
        return tuple(k for k in REACHES if k <= max(REACHES[0], WIDEST * n))
    wrong = [k for k in reaches if isinstance(k, bool) or not isinstance(k, int | np.integer) or not 1 <= k < n]
    if wrong or not reaches:
        raise OptionError(
            "reaches are numbers of nearest regions, or of steps",
            got=repr(list(reaches)),
            expected=f"whole numbers from 1 to {n - 1}",
        )
    return tuple(sorted({int(k) for k in reaches}))


# -- W of growing reach --------------------------------------------------------------------------------------


def _with_places(fit: SpatialFit, reaches: Sequence[int]) -> list[tuple[str, SpatialWeights]]:
    points = locate(fit.panel)
    n = len(points.regions)
    made = []
    for k in reaches:
        rows, columns = points.nearest(k)
        matrix = sp.csr_matrix((np.full(len(rows), 1.0 / k), (rows, columns)), shape=(n, n))
        made.append((f"{k} nearest", SpatialWeights(matrix, points.regions, f"{k} nearest neighbours", "row")))
    return made


def _by_steps(fit: SpatialFit, steps: Sequence[int]) -> list[tuple[str, SpatialWeights]]:
    """Regions up to s steps away on the map of W, equal weights; as long as rows hold less than a third of the map."""
    assert fit.weights is not None
    n = fit.weights.n
    pattern = sp.csr_matrix((fit.weights.matrix > 0).astype(float))
    reached, made = sp.identity(n, format="csr"), []
    for step in range(1, max(steps) + 1):
        reached = sp.csr_matrix(((reached + reached @ pattern) > 0).astype(float))
        near = sp.csr_matrix(reached - sp.diags(reached.diagonal()))
        near.eliminate_zeros()
        rows = np.asarray(near.sum(axis=1)).ravel()
        if step > 1 and near.nnz / n > WIDEST * n:
            break
        if step in steps and (rows > 0).all():
            matrix = sp.csr_matrix(sp.diags(1.0 / rows) @ near)
            label = f"{step} step" if step == 1 else f"up to {step} steps"
            made.append((label, SpatialWeights(matrix, fit.weights.regions, f"regions {label} away", "row")))
    return made


def _inside(fit: SpatialFit, w: SpatialWeights) -> SpatialWeights:
    """Links inside groups only, where the fit has effects of groups."""
    if fit.spec.groups is None:
        return w
    labels = group_labels(fit.spec, fit.panel)
    return within_groups(w, dict(zip(fit.panel.regions, labels, strict=True)))


def _compare(found: Findings, fit: SpatialFit, tried: list[Reached]) -> None:
    """From the W of the fit to the longest one, both errors clustered by region together."""
    assert fit.weights is not None
    own = float(fit.weights.matrix.nnz) / fit.weights.n
    base = Reached("its own W", own, focus_effects(fit, found.variable), influence(fit, found.variable))
    last = tried[-1] if tried else base
    if last.links < WIDER * own:
        others = [each for each in tried if not np.isclose(each.links, own)]
        found.skipped.append(
            f"Growth with reach: W links {own:.0f} regions on average, and "
            + ("none of the others reaches much further." if others else "there is no other W to compare.")
        )
        return
    change = compare(base.effects, last.effects, base.influence, last.influence)["spillover"]
    growth, p_value = change.value, change.p_value
    found.facts |= {
        "reach.shortest.spillover": tried[0].spillover.value,
        "reach.longest.spillover": last.spillover.value,
        "reach.growth.spillover": growth,
        "reach.growth_p_value.spillover": p_value,
    }
    parts = [f"{number(each.spillover.value, 0.1)} with {each.label}" for each in tried]
    text = (
        f"The spillover is {number(base.spillover.value, 0.1)} with its own W, {', '.join(parts)} (from its own W to "
        f"the last {number(growth, 0.1)}, {tell_p(p_value)})"
    )
    rising = abs(last.spillover.value) > abs(base.spillover.value)
    if p_value < 0.05 and rising:
        text += ": it grows with the reach of W, the sign of something that far regions share"
    elif p_value < 0.05:
        text += ": it fades as W takes in regions further away"
    found.sentences.append(text + ".")


# -- beyond W ------------------------------------------------------------------------------------------------


def _look_beyond(found: Findings, fit: SpatialFit) -> None:
    """The model with the mean of the regressor over the far ring as one more regressor."""
    if fit.weights is None:
        return
    ring = far_ring(fit)
    if ring is None:
        found.skipped.append("The far ring: W links too many of the regions to leave a ring beyond it.")
        return
    spec, design = fit.spec, fit.design
    far = ring @ design.x_raw[list(design.own).index(found.variable)]
    panel = fit.panel.with_variables({FAR_NAME: far})
    lagged = tuple(design.neighbour) if spec.model in DURBIN else None
    try:
        made = refit(fit, panel=panel, formula=f"{spec.formula} + {FAR_NAME}", lagged=lagged)
    except SpilloverError as error:
        found.skipped.append(f"The far ring: {reason(error)}.")
        return
    effect = read_effect(made.estimates, FAR_NAME)
    near = focus_effects(made, found.variable)
    found.facts |= {
        key.replace(".own", ".spillover"): value
        for key, value in effect_facts("reach.far", FocusEffects(found.variable, effect, None)).items()
    }
    links = float(np.mean(np.diff(ring.indptr)))
    found.rows += effect_rows(made, near, reach="its own W, with the far ring", links=None)
    found.rows += [
        {**row, "effect": "far ring"}
        for row in effect_rows(made, FocusEffects(found.variable, effect, None), reach="the far ring", links=links)
    ]
    text = (
        f"Beside W, the mean of {found.variable} over a ring of further regions, which W does not link, has a "
        f"coefficient of {told(effect)}"
    )
    if effect.p_value < 0.05:
        found.sentences.append(
            f"{text} ({tell_p(effect.p_value)}): W is too short, or far regions share what moves the outcome."
        )
    else:
        found.sentences.append(
            f"{text}; a {with_errors(made)} does not tell it apart from zero, as it should be if only neighbours "
            "matter."
        )


def far_ring(fit: SpatialFit) -> sp.csr_matrix | None:
    """(n, n) rows that average over the regions beyond W; None where W leaves too few.

    With places: of the nearest 4 × k̄ regions, k̄ links per region, those that W does not link. Without: regions two and
    three steps away on the map of W.
    """
    w = fit.weights
    assert w is not None
    n = w.n
    pattern = sp.csr_matrix((w.matrix > 0).astype(float))
    if FAR * pattern.nnz / n > WIDEST * n * 2:
        return None
    if has_places(fit):
        points = locate(fit.panel)
        rows, columns = points.nearest(int(min(round(FAR * pattern.nnz / n), n - 1)))
        wide = sp.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(n, n))
    else:
        two = pattern @ pattern
        wide = sp.csr_matrix(((pattern + two + two @ pattern) > 0).astype(float))
    ring = sp.lil_matrix(wide - wide.multiply(pattern))
    ring.setdiag(0.0)
    ring = sp.csr_matrix(ring)
    ring.eliminate_zeros()
    if fit.spec.groups is not None:
        labels = np.array(group_labels(fit.spec, fit.panel), dtype=object).astype(str)
        links = sp.coo_matrix(ring)
        same = labels[links.row] == labels[links.col]
        ring = sp.csr_matrix((links.data[same], (links.row[same], links.col[same])), shape=(n, n))
    counts = np.diff(ring.indptr)
    if (counts == 0).any():
        return None
    return sp.csr_matrix(sp.diags(1.0 / counts) @ ring)
