"""Grouped effects: country × year, macro-region × year, region × segment, with the exact transformation."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from spillover.errors import (
    AssumptionWarning,
    DesignError,
    EstimationError,
    OptionError,
    UnknownColumnError,
    WeakIdentificationWarning,
    WeightsError,
    check_option,
    did_you_mean,
    show_labels,
)
from spillover.inference.estimates import Estimates
from spillover.models.columns import MODELS, Columns, build_columns, least_squares
from spillover.models.grouped_covariance import GroupedPoint, cluster_covariance, information_covariance
from spillover.models.likelihood import ConcentratedLikelihood, Solution, maximise
from spillover.models.static_fit import FittedPoint, StaticFit, check_solution, check_variance, fit_statistics
from spillover.numerics.engine import WeightsEngine
from spillover.numerics.grouped import (
    GroupedTransformation,
    TrimmedLogDeterminant,
    measure_independence,
    positions_by_label,
)
from spillover.numerics.least_squares import Projection
from spillover.panel.panel import Panel, Period
from spillover.weights.groups import crossing_links, labels_of
from spillover.weights.weights import SpatialWeights

LARGEST_GROUP = 5_000  # a dense block of it takes 0.2 GB
COVARIANCES = ("default", "information", "cluster", "cluster-group")
INDEPENDENT = 1e-7  # singular value of unit-length matrices; squares of it are rounding
EMPTY_FIX = 'use larger groups (macro-regions), ordinary period effects, or model="slx"'

Groups = str | Mapping[str, str] | None
Segments = Mapping[Period, str] | Sequence[str] | None


def fit_grouped(
    formula: str,
    panel: Panel,
    weights: SpatialWeights | None = None,
    *,
    groups: Groups = None,
    by: str | None = "period",
    segments: Segments = None,
    region_effects: bool | None = None,
    model: str = "sdm",
    covariance: str = "default",
    lagged: Sequence[str] | None = None,
) -> StaticFit:
    """Fit  y = ρ W y + X β + W X θ + μ_{i,s} + α_{g,t} + ε  by exact maximum likelihood.

    Parameters
    ----------
    formula, panel : as in `fit`. Periods are used as they are: a gap in the years is a gap, lag(x) over it is missing.
    weights : W with links inside groups only (`within_groups`), rows of sum one; not needed by model="ols".
    groups : column of `panel.groups`, or region → group; None is one group of all regions.
    by : "period" removes one effect per group and period; None removes none (then W may cross groups).
    segments : period → name of its segment, or t names: one effect per region and segment; None is one segment.
    region_effects : whether region effects are removed; by default with two periods or more.
    model : "ols", "slx", "sar" or "sdm".
    covariance : "default" (by region with region effects, else information), "information", "cluster",
        "cluster-group".
    lagged : regressors that also enter as W x; all by default.

    Returns
    -------
    StaticFit; `spillover.effects.impacts.average_effects` reads it as it reads a SpatialFit.

    Raises
    ------
    WeightsError : W crosses groups (number, examples and `within_groups` in the message), or its rows do not sum to 1.
    DesignError : groups of one region; W in which ρ cannot be told from a scale (all groups complete and of one size,
        Lee 2007); too few observations; collinear or absorbed regressors.
    EstimationError : the maximum is at the bound of ρ; a group too large for its dense block.

    One unit eigenvalue of W is removed per group and period: ln-determinant T*·Σ_g [ln|S_g| − ln(1 − ρ)], n* = n − G,
    T* = t − number of segments. Cost O(Σ n_g³) once beside the least squares.
    Sources: Lee & Yu (2010), J. Econometrics 154:165, group by group; Lee (2007), J. Econometrics 140:333.
    """
    check_option("model", model, MODELS)
    check_option("covariance", covariance, COVARIANCES)
    check_option("by", by, ("period", None))  # type: ignore[arg-type]
    labels = _labels(panel, groups)
    transformation = _transformation(panel, labels if by == "period" else None, segments, region_effects)
    w = None if weights is None or model == "ols" else weights.align(panel.regions)
    cautions: tuple[str, ...] = ()
    if by == "period":
        cautions = _check_groups(panel, labels, transformation, w, model)
    elif model in ("sar", "sdm"):
        _check_memory(transformation)
    columns = build_columns(formula, panel, w, model=model, transformation=transformation, lagged=lagged)
    _check_size(columns, transformation)
    names, clusters = positions_by_label(labels)
    found, solution, loglik = _maximum(columns, w if model in ("sar", "sdm") else None, transformation)
    estimates = _estimates(columns, found, covariance, clusters)
    point = FittedPoint(columns, found.residuals, found.sigma2, found.engine, found.rho)
    statistics = fit_statistics(columns, loglik, found.sigma2, transformation.m, solution, found.engine)
    statistics |= {"n_groups": len(transformation.groups), "n_segments": len(transformation.segments)}
    return StaticFit(
        title=f"{model} with {_effects_in_words(transformation, groups)}",
        model=model,
        estimates=estimates,
        statistics=statistics,
        solution=solution,
        weights=w,
        point=point,
        notes=(*cautions, *_notes(panel, transformation, names if by == "period" else (), w)),
    )


def _labels(panel: Panel, groups: Groups) -> tuple[str, ...]:
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


def _transformation(
    panel: Panel, labels: tuple[str, ...] | None, segments: Segments, region_effects: bool | None
) -> GroupedTransformation:
    n, t = panel.shape
    with_regions = (t > 1 or segments is not None) if region_effects is None else region_effects
    if segments is not None and not with_regions:
        raise OptionError("segments are for region effects, which are switched off", fix="leave out segments=…")
    parts: tuple = ()
    if with_regions:
        names = _segment_names(panel, segments)
        parts = positions_by_label(names)[1]
        if len(parts) == t:
            raise DesignError(
                "every period is a segment of its own: region × segment effects absorb the whole panel",
                got=f"{t} periods, {len(parts)} segments",
                expected="segments of two periods or more",
            )
    return GroupedTransformation(n, t, positions_by_label(labels)[1] if labels is not None else (), parts)


def _segment_names(panel: Panel, segments: Segments) -> tuple[str, ...]:
    if segments is None:
        return ("all",) * len(panel.periods)
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


def _check_groups(
    panel: Panel,
    labels: tuple[str, ...],
    transformation: GroupedTransformation,
    w: SpatialWeights | None,
    model: str,
) -> tuple[str, ...]:
    """Refuse single groups, links across groups, row sums other than one, a W that cannot identify ρ; cautions."""
    names, members = positions_by_label(labels)
    if w is not None:
        _check_crossing(w, labels, model)
    single = [str(name) for name, at in zip(names, members, strict=True) if at.size == 1]
    if single:
        alone = [panel.regions[at[0]] for at in members if at.size == 1]
        raise DesignError(
            f"{len(single)} groups have one region, which their group × period effects absorb completely",
            got=f"{show_labels(single)} (regions {show_labels(alone)})",
            expected="two regions or more in every group",
            fix="W = within_groups(weights, groups) drops and names them; then panel.select(regions=W.regions)",
        )
    if w is None or model not in ("sar", "sdm"):
        return ()
    if not w.rows_sum_to_one:
        raise WeightsError(
            "exact group × period effects need a W whose rows sum to one within groups",
            got=f"row sums from {w.row_sums.min():.4g} to {w.row_sums.max():.4g}"
            + (f"; without neighbours: {show_labels(w.islands)}" if w.islands else ""),
            fix='use within_groups(weights, groups), which standardises by row, or model="slx"',
        )
    _check_memory(transformation)
    return _check_identification(w, names, members, transformation)


def _check_crossing(w: SpatialWeights, labels: tuple[str, ...], model: str) -> None:
    cut = crossing_links(w, labels)
    if not len(cut.receivers):
        return
    said = f"{len(cut.receivers)} of {cut.total} links, such as {cut.examples(w.regions, labels)}"
    if model == "slx":
        warnings.warn(
            f"W crosses groups ({said}): group × period effects absorb what is common to a group, so θ rests on "
            "differences between the regions of one group in what they get from elsewhere",
            AssumptionWarning,
            stacklevel=4,
        )
        return
    raise WeightsError(
        "W links regions of different groups: with group × period effects W y then holds the effects of other "
        "groups, and its coefficient is an artefact",
        got=said,
        expected="links inside groups only",
        fix="use within_groups(weights, groups), which cuts them and standardises the rest by row; "
        'for spillovers across borders use fit(…, effects="two-way")',
    )


def _check_memory(transformation: GroupedTransformation) -> None:
    largest = max(at.size for at in transformation.blocks())
    if largest > LARGEST_GROUP:
        raise EstimationError(
            "a group is too large for the exact variance of grouped effects",
            got=f"{largest} regions in one group: {largest**2 * 8 / 2**30:.1f} GB for its block",
            expected=f"at most {LARGEST_GROUP}",
            fix='use fit(…, effects="two-way") when there is one group, or smaller groups',
        )


def _check_identification(
    w: SpatialWeights, names: tuple, members: tuple, transformation: GroupedTransformation
) -> tuple[str, ...]:
    found = measure_independence(w.matrix, transformation)
    flat = [f"{names[g]} ({members[g].size} regions)" for g in found.uninformative]
    if found.pair < INDEPENDENT:
        raise DesignError(
            "the groups are too small or too dense to identify ρ: within every group W makes all regions each other's "
            "neighbours with equal weight, so W y differs from y only by a factor",
            got=show_labels(flat, 12),
            expected="groups of different sizes, or neighbours that are a part of the group",
            causes=("k nearest neighbours with k as large as the group", "groups of two regions"),
            fix=f"use fewer neighbours (3 or 4); {EMPTY_FIX}",
        )
    if len(flat) == len(names):
        warnings.warn(
            "in every group all regions are each other's neighbours: ρ is identified only by the differences between "
            f"the sizes of {show_labels(flat)} (Lee 2007), which is weak",
            WeakIdentificationWarning,
            stacklevel=4,
        )
    elif found.triple < INDEPENDENT:
        warnings.warn(
            "W within groups has two distinct eigenvalues only: slopes cannot tell ρ from θ, so that ρ rests on the "
            "variances of the errors alone",
            WeakIdentificationWarning,
            stacklevel=4,
        )
    if not flat:
        return ()
    return (f"Groups whose regions all neighbour each other inform ρ only by their size: {show_labels(flat, 60)}.",)


def _check_size(columns: Columns, transformation: GroupedTransformation) -> None:
    n, t = columns.shape
    if n < 10:
        raise DesignError("too few regions for a spatial model", got=f"{n} regions", expected="at least 10")
    if transformation.m < columns.k + 10:
        raise DesignError(
            "fewer observations than the model needs once the grouped effects are removed",
            got=f"{n} regions less {len(transformation.groups)} groups, {t} periods less "
            f"{len(transformation.segments)} segments: {transformation.m} free observations for {columns.k} slopes",
            expected=f"at least {columns.k + 10}",
            fix="use larger groups, fewer segments, or fewer regressors",
        )


def _maximum(
    columns: Columns, w: SpatialWeights | None, transformation: GroupedTransformation
) -> tuple[GroupedPoint, Solution | None, float]:
    """The maximum of the likelihood, with everything that covariances need."""
    z = transformation.apply(columns.z_raw)
    y = transformation.apply(columns.y_raw)
    wy = transformation.remove_means(w.lag(columns.y_raw)) if w is not None else np.zeros_like(y)
    projection = least_squares(np.stack([*z, y, wy]).reshape(columns.k + 2, -1).T, columns.terms)
    engine = None if w is None else w.engine
    solution = None if engine is None else _solve(projection, transformation, engine)
    rho = 0.0 if solution is None else solution.value
    slopes = projection.coefficients[:, 0] - rho * projection.coefficients[:, 1]
    residuals = y - rho * wy - np.tensordot(slopes, z, axes=1)
    m = transformation.m
    sigma2 = float(np.sum(residuals**2)) / m
    check_variance(sigma2, columns.y_raw)
    loglik = -0.5 * m * (np.log(2 * np.pi * sigma2) + 1.0)
    if engine is not None:
        unit = transformation.drops_unit_root * np.log1p(-rho)
        loglik += transformation.t_star * (float(engine.log_determinant.value(rho)) - unit)
    point = GroupedPoint(
        transformation,
        z,
        wy,
        residuals,
        slopes,
        projection.inverse_gram,
        sigma2,
        engine,
        None if solution is None else rho,
    )
    return point, solution, float(loglik)


def _solve(projection: Projection, transformation: GroupedTransformation, engine: WeightsEngine) -> Solution:
    likelihood = ConcentratedLikelihood(
        projection.residual_products, transformation.m, transformation.t_star, _trimmed(engine, transformation), False
    )
    solution = maximise(likelihood)
    check_solution(solution, engine, "use larger groups, a sparser W, or model='slx', which has no ρ")
    return solution


def _trimmed(engine: WeightsEngine, transformation: GroupedTransformation) -> WeightsEngine:
    """The engine with the unit roots of the groups taken out of its log-determinant."""
    trimmed = TrimmedLogDeterminant(engine.log_determinant, transformation.drops_unit_root)
    return replace(engine, log_determinant=trimmed)


def _estimates(columns: Columns, found: GroupedPoint, covariance: str, clusters: tuple) -> Estimates:
    terms = columns.terms if found.rho is None else (*columns.terms, "rho")
    values = found.slopes if found.rho is None else np.append(found.slopes, found.rho)
    default = "cluster" if found.transformation.removes_regions else "information"
    kind = default if covariance == "default" else covariance
    if kind == "information":
        df = float(found.transformation.m - columns.k) if found.engine is None else None
        return Estimates(terms, values, information_covariance(found), df, "information matrix")
    if kind == "cluster":
        return Estimates(
            terms, values, cluster_covariance(found, None), float(columns.shape[0] - 1), "clustered by region"
        )
    if len(clusters) < 10:
        raise OptionError(
            "too few groups to cluster by group",
            got=f"{len(clusters)} groups",
            expected="at least 10",
            fix='use covariance="cluster" (by region)',
        )
    return Estimates(terms, values, cluster_covariance(found, clusters), float(len(clusters) - 1), "clustered by group")


def _effects_in_words(transformation: GroupedTransformation, groups: Groups) -> str:
    name = groups if isinstance(groups, str) else "group"
    parts = []
    if transformation.removes_regions:
        parts.append("region × segment" if len(transformation.segments) > 1 else "region")
    if transformation.removes_periods:
        parts.append(f"{name} × period" if len(transformation.groups) > 1 else "period")
    return " and ".join(parts) + " effects" if parts else "no effects"


def _notes(
    panel: Panel,
    transformation: GroupedTransformation,
    names: tuple,
    w: SpatialWeights | None,
) -> tuple[str, ...]:
    notes = []
    if names:
        sizes = [f"{name} {at.size}" for name, at in zip(names, transformation.groups, strict=True)]
        notes.append(f"{len(names)} groups (regions): {show_labels(sizes, 60)}.")
    alone = [panel.periods[at[0]] for at in transformation.segments if at.size == 1]
    if alone:
        notes.append(f"Periods alone in their segment are absorbed: {show_labels(alone, 20)}.")
    if w is not None:
        notes += [f"W: {note}" for note in w.notes]
    return tuple(notes)
