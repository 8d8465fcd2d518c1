"""Rings, boundary, decay, free form and laws of a [distance], estimated and turned into plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from spillover.inference.hypotheses import HypothesisTest
from spillover.moderators.boundary import BoundaryFit, fit_boundary
from spillover.moderators.compare_kernels import KernelComparison, compare_kernels
from spillover.moderators.decay import fit_decay
from spillover.moderators.decay_result import DecayFit
from spillover.moderators.kernel_spline import KernelSpline, fit_kernel_spline
from spillover.moderators.pair_effects import MOST_REGIONS, add_up, pair_effects, treatment_change
from spillover.moderators.rings import RingFit, fit_rings
from spillover.panel.panel import Panel
from spillover.study.distance import DistancePlan
from spillover.study.distance_words import distance_sentences
from spillover.study.estimate import LINKS
from spillover.study.result import DistanceReach, Row
from spillover.study.rows import plain, plain_rows
from spillover.study.scale import split_term
from spillover.typing import FloatArray

POINTS = 61
_TOLD = ("Distances:", "Errors are serially", "Residuals of near", "All variables were")  # of the decay, and much alike


@dataclass(frozen=True, eq=False)
class FoundReach:
    """The fits of a [distance]; boundary and laws are None where they were not asked for or the map has no room."""

    plan: DistancePlan
    decay: DecayFit
    rings: RingFit
    boundary: BoundaryFit | None
    spline: KernelSpline
    laws: KernelComparison | None


def estimate_reach(plan: DistancePlan, whole: Panel, seed: int) -> DistanceReach:
    """Fit everything that a [distance] asks for.

    Parameters
    ----------
    whole : the panel of the study, whose regions the values by region are for.

    Raises
    ------
    SpilloverError : from the estimator that met it.
    """
    section = plan.section
    errors = {"cutoff_km": section.cutoff, "time_lags": section.time_lags}
    common: dict[str, Any] = {
        "distances": plan.design.distances,
        "quasi_difference": section.quasi_difference,
        "seed": seed,
        **plan.options,
        **errors,
    }
    law: dict[str, Any] = {
        **common,
        "model": section.model,
        "lagged": section.lagged or None,
        "standardise": section.standardise,
        "minimum_km": section.minimum,
        "search_km": section.search,
        "covariance": section.covariance,
    }
    args = (plan.formula, plan.panel)
    laws = compare_kernels(*args, kernels=plan.kernels, **law) if len(plan.kernels) > 1 else None  # type: ignore[arg-type]
    known = {} if laws is None else laws.fits
    decay = known[section.kernel] if section.kernel in known else fit_decay(*args, kernel=section.kernel, **law)
    robust = {**common, "covariance": section.covariance or "conley"}
    found = FoundReach(
        plan=plan,
        decay=decay,
        rings=fit_rings(*args, edges=plan.rings, **robust),
        boundary=fit_boundary(*args, thresholds=plan.thresholds, **robust) if len(plan.thresholds) > 1 else None,
        spline=fit_kernel_spline(*args, **common, covariance=section.covariance),
        laws=laws,
    )
    return describe_reach(found, whole)


def describe_reach(found: FoundReach, whole: Panel) -> DistanceReach:
    """The fits as plain values."""
    plan, decay = found.plan, found.decay
    design, panel = plan.design, plan.panel
    outcome = plan.formula.partition("~")[0].strip()
    labels = tuple(panel.label(split_term(term)[0].strip("`")) for term in (decay.treatment, outcome))
    sent, links, why = _network(found, whole)
    periods = panel.periods
    return DistanceReach(
        treatment=decay.treatment,
        outcome=outcome,
        treatment_label=labels[0],
        outcome_label=labels[1],
        formula=plan.formula,
        model=decay.model,
        distances=design.distances.what,
        unit=design.unit,
        n_regions=design.shape[0],
        n_periods=len(decay.design.periods),
        covariance=decay.estimates.method,
        decay=_decay_row(decay),
        effects=plain_rows(decay.effects()),
        curve=_curve(decay, _furthest(plan)),
        relative=decay.model != "slx",
        profile=_profile(decay),
        null_test=_test(decay),
        rings=_rings(found.rings),
        ring_tests=plain_rows(found.rings.tests()),
        boundary=() if found.boundary is None else plain_rows(found.boundary.table()),
        boundary_facts={} if found.boundary is None else plain(vars(found.boundary.boundary)),
        spline=plain_rows(found.spline.table()),
        kernels=() if found.laws is None else plain_rows(found.laws.table()),
        sent=sent,
        links=links,
        span=f"{periods[0]} to {periods[-1]}" if len(periods) > 1 else "",
        no_links=why,
        sentences=distance_sentences(decay, found.rings, found.boundary, found.spline, found.laws, labels),
        notes=_notes(found),
    )


def _decay_row(decay: DecayFit) -> Row:
    low, high = decay.half_interval
    row = {
        "law": decay.kernel.law,
        "formula": decay.kernel.formula,
        **decay.parameters,
        "half_distance": decay.half_distance,
        "half_low": low,
        "half_high": high,
        "level": decay.interval.level,
        "interval_method": decay.interval.method,
        "at_edge": decay.profile.at_edge,
        "identified": decay.identified,
        "serial_correlation": decay.checks.serial,
        "residual_range": decay.checks.range_km,
        "log_likelihood": decay.statistics["log_likelihood"],
        "quasi_difference": decay.design.differencing,
    }
    return dict(plain(row))


def _test(decay: DecayFit) -> Row:
    test = decay.null_test
    if isinstance(test, HypothesisTest):
        return dict(plain(test.row()))
    return {"test": test.name, "says": test.reason}


def _furthest(plan: DistancePlan) -> float:
    """How far curves are drawn: as far as rings and thresholds."""
    return min(max(plan.rings[-1], *plan.thresholds, 0.0), plan.design.distances.longest)


def _curve(decay: DecayFit, furthest: float) -> tuple[Row, ...]:
    """The effect of one more unit at each distance (SLX), or the law with the limits of its rate (lag models)."""
    if decay.profile.at_edge:
        return ()
    d = np.linspace(0.0, furthest, POINTS)
    if decay.kernel.law == "power":
        d = np.maximum(d, decay.kernel.minimum_km)
    frame = decay.curve(d)
    if decay.model == "slx":
        return plain_rows(frame[["distance", "effect", "conf_low", "conf_high"]].rename(columns={"effect": "estimate"}))
    shape = decay.profile.shape
    low, high = decay.interval.low, decay.interval.high
    ends = {
        "conf_low": np.zeros_like(d) if high is None else decay.kernel.value(d, high, shape),
        "conf_high": np.ones_like(d) if low is None else decay.kernel.value(d, low, shape),
    }
    return plain_rows(frame.rename(columns={"relative": "estimate"}).assign(**ends))


def _profile(decay: DecayFit) -> tuple[Row, ...]:
    """The grid, the maximum and the ends of the likelihood interval."""
    frame = decay.profile_frame()
    interval = decay.intervals["likelihood"]
    drop = float(stats.chi2.isf(1.0 - interval.level, 1))
    more = [(decay.profile.rate, 0.0), *((rate, drop) for rate in (interval.low, interval.high) if rate is not None)]
    rows = [{"half_distance": decay.kernel.half_distance(rate), "rate": rate, "deviance": loss} for rate, loss in more]
    whole = pd.concat([frame, pd.DataFrame(rows)], ignore_index=True)
    return plain_rows(whole.sort_values(["half_distance", "deviance"]).drop_duplicates("half_distance"))


def _rings(fit: RingFit) -> tuple[Row, ...]:
    """Rings with what is received on average when every region of the ring has one more unit, and its joint band."""
    part = fit["sum"]
    half = part.band.critical * part.received.std_errors
    frame = fit.table().assign(
        ring=fit.rings.names,
        received_se=part.received.std_errors,
        received_band_low=part.received.values - half,
        received_band_high=part.received.values + half,
    )
    return plain_rows(frame)


def _network(found: FoundReach, whole: Panel) -> tuple[tuple[float | None, ...], tuple[Row, ...], str]:
    """(by region what its own change brought to all others, the strongest links, why there are none)."""
    decay = found.decay
    if not decay.identified:
        return (), (), "The data do not identify how the spillover falls, so it is not said who gives to whom."
    regions = decay.design.distances.regions
    if len(regions) > MOST_REGIONS:
        return (), (), f"With more than {MOST_REGIONS:,} regions it is not told who gives to whom."
    given: FloatArray = pair_effects(decay) * treatment_change(decay)[None, :]
    logarithm = split_term(found.plan.formula.partition("~")[0].strip())[1]
    sent = dict(zip(regions, add_up(given, logarithm).tolist(), strict=True))
    top = np.argsort(-np.abs(given), axis=None, kind="stable")[:LINKS]
    receivers, senders = np.unravel_index(top, given.shape)
    matrix = decay.design.distances.matrix
    links = tuple(
        {
            "sender": regions[j],
            "receiver": regions[i],
            "effect": float(given[i, j]),
            "distance": float(matrix[i, j]),
        }
        for i, j in zip(receivers.tolist(), senders.tolist(), strict=True)
        if given[i, j] != 0.0
    )
    return tuple(sent.get(region) for region in whole.regions), links, ""


def _small(note: str) -> str:
    return note[:1].lower() + note[1:]


def _notes(found: FoundReach) -> tuple[str, ...]:
    notes, told = list(found.decay.notes), (*_TOLD, *found.decay.notes)
    notes += [f"Rings: {_small(note)}" for note in found.rings.notes if not note.startswith(told)]
    notes += [f"Smooth curve: {_small(note)}" for note in found.spline.notes if not note.startswith(told)]
    if found.boundary is None:
        notes.append("The map has no room for a boundary curve: fewer than two thresholds with regions beyond them.")
    else:
        notes += [f"Boundary: {_small(note)}" for note in found.boundary.notes if not note.startswith(told)]
    return tuple(dict.fromkeys(notes))
