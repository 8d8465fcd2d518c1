"""Effects of groups and segments: country × year, macro-region × year, region × segment; what they need of W."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from spillover.errors import (
    AssumptionWarning,
    DesignError,
    OptionError,
    UnknownColumnError,
    WeakIdentificationWarning,
    WeightsError,
    did_you_mean,
    show_labels,
)
from spillover.models.spec import ModelSpec, Roles
from spillover.numerics.independence import measure_independence
from spillover.numerics.within import Positions, Transformation
from spillover.panel.panel import Panel
from spillover.weights.groups import crossing_links, labels_of
from spillover.weights.weights import SpatialWeights

INDEPENDENT = 1e-7  # singular value of unit-length matrices; squares of it are rounding


def transformation_of(spec: ModelSpec, panel: Panel) -> Transformation:
    """The means that a specification removes from a panel."""
    groups = None if spec.groups is None else _positions(group_labels(spec, panel))[1]
    segments = None
    if spec.segments is not None:
        segments = _positions(_segment_names(spec, panel))[1]
        if len(segments) == panel.shape[1]:
            raise DesignError(
                "every period is a segment of its own: region × segment effects absorb the whole panel",
                got=f"{panel.shape[1]} periods, {len(segments)} segments",
                expected="segments of two periods or more",
            )
    return Transformation(spec.effects, spec.correction, *panel.shape, groups, segments)


def group_labels(spec: ModelSpec, panel: Panel) -> tuple[str, ...]:
    """The group of each region."""
    groups = spec.groups
    if groups is None:
        return ("all",) * len(panel.regions)
    if isinstance(groups, str):
        if groups not in panel.groups:
            raise UnknownColumnError(
                f"the panel has no grouping {groups!r}",
                expected=show_labels(panel.groups) or "a grouping named when the panel was read",
                fix=did_you_mean(groups, panel.groups) or "give groups={region: group}",
            )
        groups = dict(zip(panel.regions, panel.groups[groups], strict=True))
    return labels_of(panel.regions, groups)


def _segment_names(spec: ModelSpec, panel: Panel) -> tuple[str, ...]:
    segments = spec.segments
    assert segments is not None
    if isinstance(segments, Mapping):
        lost = [period for period in panel.periods if period not in segments]
        if lost:
            raise OptionError("some periods have no segment", got=show_labels(lost), fix="name all periods")
        return tuple(str(segments[period]) for period in panel.periods)
    if len(segments) != len(panel.periods):
        raise OptionError(
            "segments do not have one name per period",
            got=f"{len(segments)} names",
            expected=f"{len(panel.periods)} names, for {show_labels(panel.periods, 30)}",
        )
    return tuple(str(name) for name in segments)


def _positions(labels: Sequence[str]) -> tuple[tuple[str, ...], Positions]:
    """(distinct labels in order of first appearance, positions of each)."""
    found: dict[str, list[int]] = {}
    for i, label in enumerate(labels):
        found.setdefault(label, []).append(i)
    return tuple(found), tuple(np.array(at, dtype=np.int64) for at in found.values())


def check_groups(
    spec: ModelSpec, panel: Panel, roles: Roles, check_rows: Callable[[], None] = lambda: None
) -> tuple[str, ...]:
    """Refuse single groups, links across groups and a W that cannot identify ρ or λ; what is weak comes back in words.

    check_rows : refuses a W whose rows do not sum to one; called in between, because cutting links is the first cure.
    """
    if spec.groups is None:
        check_rows()
        return ()
    labels = group_labels(spec, panel)
    names, members = _positions(labels)
    check_crossing(spec, panel, roles)
    if not spec.has_period_effects:
        check_rows()
        return ()
    inner = _inner(roles)
    if spec.has_lagged_regressors and roles.regressors is not None and all(roles.regressors is not w for w in inner):
        _warn_of_crossing(roles.regressors, labels)
    single = [name for name, at in zip(names, members, strict=True) if at.size == 1]
    if single:
        alone = [panel.regions[at[0]] for at in members if at.size == 1]
        raise DesignError(
            f"{len(single)} groups have one region, which their group × period effects absorb completely",
            got=f"{show_labels(single)} (regions {show_labels(alone)})",
            expected="two regions or more in every group",
            fix="W = within_groups(weights, groups) drops and names them; then panel.select(regions=W.regions)",
        )
    check_rows()
    if spec.correction != "lee-yu":
        return ()
    cautions = [_check_identification(spec, w, names, members) for w in inner]
    return tuple(dict.fromkeys(caution for caution in cautions if caution))


def _inner(roles: Roles) -> tuple[SpatialWeights, ...]:
    """The W of the outcome and of the error, each once."""
    return tuple({id(w): w for w in [*(w for _, w in roles.outcome), roles.error] if w is not None}.values())


def check_crossing(spec: ModelSpec, panel: Panel, roles: Roles) -> None:
    """Refuse links across groups where W y or W u stands beside group effects or group clusters."""
    if spec.has_period_effects or spec.covariance == "cluster-group":
        labels = group_labels(spec, panel)
        for w in _inner(roles):
            _refuse_crossing(spec, w, labels)


def _said(w: SpatialWeights, labels: tuple[str, ...]) -> str:
    """How many links cross groups, with examples; empty when none does."""
    cut = crossing_links(w, labels)
    if not len(cut.receivers):
        return ""
    return f"{len(cut.receivers)} of {cut.total} links, such as {cut.examples(w.regions, labels)}"


def _refuse_crossing(spec: ModelSpec, w: SpatialWeights, labels: tuple[str, ...]) -> None:
    said = _said(w, labels)
    if not said:
        return
    raise WeightsError(
        "W links regions of different groups: with group × period effects W y then holds the effects of other "
        "groups, and its coefficient is an artefact"
        if spec.has_period_effects
        else "W links regions of different groups, so that their scores are not independent between groups",
        got=said,
        expected="links inside groups only",
        fix="use within_groups(weights, groups), which cuts them and standardises the rest by row; "
        + (
            'for spillovers across borders leave out groups=… and use effects="two-way"'
            if spec.has_period_effects
            else 'or covariance="cluster" (by region)'
        ),
    )


def _warn_of_crossing(w: SpatialWeights, labels: tuple[str, ...]) -> None:
    said = _said(w, labels)
    if said:
        warnings.warn(
            f"W crosses groups ({said}): group × period effects absorb what is common to a group, so θ rests on "
            "differences between the regions of one group in what they get from elsewhere",
            AssumptionWarning,
            stacklevel=5,
        )


def _check_identification(spec: ModelSpec, w: SpatialWeights, names: tuple[str, ...], members: Positions) -> str:
    symbol = "ρ" if spec.has_spatial_lag else "λ"
    exact = Transformation("time", "lee-yu", w.n, 1, members)
    found = measure_independence(w.matrix, exact.centring)
    flat = [f"{names[g]} ({members[g].size} regions)" for g in found.uninformative]
    if found.pair < INDEPENDENT:
        raise DesignError(
            f"the groups are too small or too dense to identify {symbol}: within every group W makes all regions each "
            "other's neighbours with equal weight, so W y differs from y only by a factor",
            got=show_labels(flat, 12),
            expected="groups of different sizes, or neighbours that are a part of the group",
            causes=("k nearest neighbours with k as large as the group", "groups of two regions"),
            fix='use fewer neighbours (3 or 4); larger groups (macro-regions), ordinary period effects, or model="slx"',
        )
    if len(flat) == len(names):
        warnings.warn(
            f"in every group all regions are each other's neighbours: {symbol} is identified only by the differences "
            f"between the sizes of {show_labels(flat)} (Lee 2007), which is weak",
            WeakIdentificationWarning,
            stacklevel=5,
        )
    elif found.triple < INDEPENDENT:
        warnings.warn(
            f"W within groups has two distinct eigenvalues only: slopes cannot tell {symbol} from θ, so that {symbol} "
            "rests on the variances of the errors alone",
            WeakIdentificationWarning,
            stacklevel=5,
        )
    if not flat:
        return ""
    return f"Groups whose regions all neighbour each other inform {symbol} only by their size: {show_labels(flat, 60)}."


def describe_groups(panel: Panel, spec: ModelSpec, transformation: Transformation) -> tuple[str, ...]:
    """Groups with their sizes, and periods that are absorbed, for the notes of a fit."""
    notes = []
    if spec.groups is not None:
        names, members = _positions(group_labels(spec, panel))
        sizes = [f"{name} {at.size}" for name, at in zip(names, members, strict=True)]
        notes.append(f"{len(names)} groups (regions): {show_labels(sizes, 60)}.")
    alone = [panel.periods[at[0]] for at in transformation.segments or () if at.size == 1]
    if alone:
        notes.append(f"Periods alone in their segment are absorbed: {show_labels(alone, 20)}.")
    return tuple(notes)
