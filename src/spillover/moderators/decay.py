"""`fit_decay`: how fast a spillover falls with distance, by profile likelihood in SLX, SAR and SDM panels."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from spillover.errors import (
    OptionError,
    WeakIdentificationWarning,
    WeightsError,
    check_level,
    check_option,
    show_labels,
)
from spillover.inference.estimates import Estimates
from spillover.models.spec import Groups, Segments
from spillover.moderators.cautions import SERIAL, cutoff_of, differencing_of, resolve_errors, tell_residuals
from spillover.moderators.decay_null import check_draws
from spillover.moderators.decay_profile import Interval, Profile
from spillover.moderators.decay_result import DecayFit
from spillover.moderators.decay_search import DecayTask, FoundDecay, search_decay
from spillover.moderators.distance_design import DistanceDesign, build_distance_design
from spillover.moderators.distances import Distances
from spillover.moderators.kernels import Kernel, Law
from spillover.moderators.stacked import DistanceCovariance, ErrorModel
from spillover.numerics.threads import one_blas_thread
from spillover.panel.panel import Panel
from spillover.typing import Effects, Progress, no_progress

DecayModel = Literal["slx", "sar", "sdm"]
Standardise = Literal["scalar", "row"]

EXPONENTS = (0.1, 8.0)
"""Exponents of the power law that are searched."""


def fit_decay(
    formula: str,
    panel: Panel,
    *,
    model: DecayModel = "slx",
    kernel: Law = "exponential",
    distances: Any = None,
    treatment: str | None = None,
    lagged: Sequence[str] | None = None,
    effects: Effects | None = None,
    groups: Groups = None,
    segments: Segments = None,
    standardise: Standardise = "scalar",
    minimum_km: float | None = None,
    search_km: tuple[float, float] | None = None,
    covariance: DistanceCovariance | None = None,
    cutoff_km: float | None = None,
    time_lags: int | None = None,
    quasi_difference: float | Literal["auto"] | None = None,
    level: float = 0.95,
    draws: int = 999,
    seed: int = 1,
    progress: Progress = no_progress,
) -> DecayFit:
    """y = ρ W y + X β + θ W x + effects + u with w_ij = κ(d_ij): the law's parameters are estimated with the others.

    Parameters
    ----------
    formula, panel : "log(patents) ~ log(lq) + log(rd)".
    model : "slx" (W x; exact for every W), "sar" (W y) or "sdm" (both).
    kernel : "exponential", "power", "shifted" or "stretched"; see `moderators.kernels`.
    distances : `Distances`, `TravelTimes`, a table of rail km or travel minutes, or its path; great circles between
        the centroids of the panel's map by default.
    treatment : the regressor whose spillover is asked for; the first one by default.
    lagged : regressors that are lagged over distance with the same law; the treatment alone by default.
    effects, groups, segments : as in `fit`; groups in SLX only.
    standardise : "scalar" keeps absolute distance: any constant leaves the decay, its interval and all effects as they
        are. "row" is another model, in which a remote region receives as much as a central one.
    minimum_km : d_min of the power law; the shortest distance by default.
    search_km : half-distances that are searched; an eighth of the median distance to the nearest region to twice the
        longest distance by default.
    covariance : of the estimates and the Wald interval. By default clusters by region, and Conley's where residuals of
        near regions are related; then the profile-likelihood interval does not hold and the Wald interval is used.
    cutoff_km : of Conley's kernel; four times the range of the residual correlogram, at most half the map, by default.
    time_lags, quasi_difference : as in `fit_rings`.
    level : of intervals.
    draws, seed : of the test of "no spillover at any decay".
    progress : called with a text and the share done.

    Returns
    -------
    DecayFit. Read `sentence()` first; `effects()`, not θ or ρ, whose unit is that of the kernel.

    Raises
    ------
    WeightsError : regions at the same place under the power law. OptionError : groups in a lag model, an impossible
    search. AlignmentError : ids of the distances that differ. EstimationError : ρ at its bound.

    Warns
    -----
    WeakIdentificationWarning : the data do not identify the decay; the open interval is in the result.

    Cost: SLX about 60 products of n × n with (n, t). SAR and SDM an eigenvalue problem per trial up to 800 regions,
    nine in all beyond.
    Source: profile likelihood of NSLX as in Halleck Vega & Elhorst (2015), J. Regional Science 55:339.
    """
    check_option("model", model, ("slx", "sar", "sdm"))
    check_option("standardise", standardise, ("scalar", "row"))
    if model != "slx" and (groups is not None or segments is not None):
        raise OptionError(
            "groups and segments need a W with links inside groups, which a kernel of distance has not",
            fix='use model="slx", which takes both',
        )
    check_draws(draws, seed)
    check_level(level)
    options: dict[str, Any] = {
        "treatment": treatment,
        "lagged": lagged,
        "effects": effects,
        "groups": groups,
        "segments": segments,
    }
    design = build_distance_design(formula, panel, distances, **options)
    law = Kernel(kernel, minimum_of(kernel, minimum_km, design.distances))
    limits = search_limits(law, search_km, design.distances)
    task = DecayTask(model, law, standardise == "row", limits, level, draws, seed, progress)
    with one_blas_thread():
        found = search_decay(task, design)
        a = differencing_of(quasi_difference, found.residuals, design)
        if a:
            design = build_distance_design(formula, panel, design.distances, **options, differencing=a)
            found = search_decay(task, design)
        return _report(
            task, found, formula, ErrorModel(covariance or "cluster", cutoff_km, time_lags), covariance is None
        )


def _report(task: DecayTask, found: FoundDecay, formula: str, errors: ErrorModel, choose: bool) -> DecayFit:
    design, profile = found.design, found.profile
    checks = found.checks
    if choose and checks.spatial and checks.range_km > 0:
        errors = replace(errors, kind="conley")
    errors = resolve_errors(errors, cutoff_of(checks, design.geography), checks)
    estimates = found.estimates(errors)
    intervals = {"likelihood": found.interval, "wald": _wald(estimates, task, design, profile)}
    chosen = "wald" if errors.kind != "cluster" or (checks.spatial and checks.range_km > 0) else "likelihood"
    task.progress("test of no spillover", 0.9)
    null_test = found.null_test(task)
    fit = DecayFit(
        formula=formula,
        model=task.model,
        treatment=design.treatment,
        kernel=task.kernel,
        profile=profile,
        intervals=intervals,
        interval=intervals[chosen],
        estimates=estimates,
        effect_estimates=found.effects(estimates),
        null_test=null_test,
        residuals=found.residuals,
        checks=checks,
        statistics=found.statistics(),
        design=design,
        notes=(*_notes(task, found, chosen), *tell_residuals(design, errors, checks)),
        row=task.row,
    )
    task.progress("decay", 1.0)
    if not fit.identified:
        warnings.warn(fit.sentence(), WeakIdentificationWarning, stacklevel=3)
    return fit


def _wald(estimates: Estimates, task: DecayTask, design: DistanceDesign, profile: Profile) -> Interval:
    """Rate ± t · se; open where it reaches zero, and on both sides where the rate is at the edge of the search."""
    name = task.kernel.searched(design.unit)[0]
    method = f"Wald, {estimates.method}"
    if name not in estimates.names:
        return Interval(None, None, task.level, method)
    at = estimates.index(name)
    low, high = estimates.confint(task.level)[at]
    return Interval(float(low) if low > 0 else None, float(high), task.level, method)


def minimum_of(kernel: Law, given: float | None, distances: Distances) -> float:
    """d_min of the power law: as given, or the shortest distance; refused where regions are at the same place."""
    if kernel != "power":
        return 1.0
    links = distances.links
    same = np.flatnonzero(links.data == 0)
    if same.size and given is None:
        told = [f"{distances.regions[links.row[k]]} and {distances.regions[links.col[k]]}" for k in same]
        raise WeightsError(
            "regions at the same place have no power of their distance",
            got=show_labels(told),
            expected="a distance above zero between any two regions",
            causes=("the same coordinates were given to two regions", "a travel time of zero"),
            fix="give an internal distance (minimum_km), or use kernel='exponential'",
        )
    return distances.shortest if given is None else given


def search_limits(kernel: Kernel, given: tuple[float, float] | None, distances: Distances) -> tuple[float, float]:
    """Rates between which the decay is searched, increasing."""
    if given is None:
        if kernel.law == "power":
            return EXPONENTS
        near = float(np.median(distances.nearest[np.isfinite(distances.nearest)]))
        given = (max(near, distances.shortest) / 8.0, 2.0 * distances.longest)
    try:
        low, high = (float(each) for each in given)
    except (TypeError, ValueError):
        low = high = np.nan
    floor = kernel.minimum_km if kernel.law == "power" else 0.0
    if not (np.isfinite(high) and floor < low < high):
        raise OptionError(
            "search_km is not a range of half-distances",
            got=repr(given),
            expected=f"two increasing distances above {floor:g} {distances.unit}",
        )
    return kernel.rate_of(high), kernel.rate_of(low)


def _notes(task: DecayTask, found: FoundDecay, chosen: str) -> tuple[str, ...]:
    design, distances = found.design, found.design.distances
    notes = [f"Distances: {distances.what}, in {design.unit}.", f"Kernel: {task.kernel.formula}.", *distances.notes]
    if np.isfinite(distances.reach):
        x = found.profile.rate * distances.reach
        notes.append(
            f"Pairs beyond {distances.reach:g} {design.unit} are left out"
            + (
                f": {100 * (1 + x) * np.exp(-x):.2g} % of the kernel mass on a uniform plane."
                if task.kernel.law == "exponential"
                else "."
            )
        )
    if task.row:
        notes.append("Rows of W sum to one: a remote region receives as much as a central one, which is another model.")
    if found.lag is not None and found.lag.determinants.centred:
        notes.append("Rows of W do not sum to one: period effects are removed with a centred score of ρ.")
    if found.lag is not None:
        notes.append(
            "In a lag model errors that are related over space look like a spillover; SLX tells the two apart."
        )
    if chosen == "wald" and found.checks.spatial:
        notes.append(
            "Residuals of near regions are related: the profile-likelihood interval would be too short, and the Wald "
            "interval is used."
        )
    if not found.interval.single:
        notes.append("The decays that are not rejected are not one interval; its limits are those of their hull.")
    if found.checks.serial is not None and found.checks.serial > SERIAL:
        notes.append("The test of no spillover multiplies whole periods, which takes them as unrelated; they are not.")
    if found.shape_fixed:
        notes.append(
            "The shape of the law is at the end of its range, or is not told from its rate, and counts as fixed."
        )
    if found.rate_fixed:
        why = "is not told from the strength, because all pairs that count are equally far" if found.alike else ""
        why = why or "is at the edge of the search"
        notes.append(f"The decay {why}; errors of the other estimates take it as known.")
    return tuple(notes)
