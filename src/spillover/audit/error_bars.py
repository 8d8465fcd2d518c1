"""Do the error bars tell the truth? Every kind of standard error that the data allow, side by side."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from spillover.audit.evidence import number, tell_p
from spillover.audit.focus import Effect, FocusEffects, choose_variable, focus_effects
from spillover.audit.grouping import Grouping, resolve_groups
from spillover.audit.null import EffectKind
from spillover.audit.part import AuditPart
from spillover.audit.replay import Replay, can_replay
from spillover.audit.residuals import measure_component, measure_serial, measure_shared, variance_shares
from spillover.audit.wild import LEAST_CLUSTERS, WildTest, wild_test
from spillover.audit.wording import is_cross_section
from spillover.diagnostics.dependence import weighted_cd_test
from spillover.diagnostics.panel_tests import heteroskedasticity_test, serial_correlation_test
from spillover.errors import SpilloverError, SpilloverWarning
from spillover.inference.hypotheses import HypothesisTest
from spillover.models.result import SpatialFit
from spillover.models.spec import Groups
from spillover.typing import CovarianceName, Progress, no_progress

QUESTION = "Do the error bars tell the truth?"
LEVEL = 0.05
LEAST_GROUPS = 10
"""Groups from which shocks that they share are a matter for clusters by group."""
SHARED_LEVEL = 0.01
"""Sharing inside groups counts where chance would give as much in one regrouping of a hundred."""
KINDS: dict[str, str] = {
    "information": "information matrix (independent errors of equal variance)",
    "sandwich": "QML sandwich (independent, not normal)",
    "hc": "heteroskedasticity-robust",
    "cluster": "clustered by region",
    "cluster-group": "clustered by group",
    "two-way-cluster": "clustered by region and period",
    "driscoll-kraay": "Driscoll–Kraay",
}
NAMES = {"own": "effect at home", "spillover": "spillover"}


def audit_errors(
    fit: SpatialFit,
    variable: str | None = None,
    *,
    groups: Groups = None,
    cutoffs_km: tuple[float, ...] | None = None,
    draws: int = 999,
    seed: int = 1,
    progress: Progress = no_progress,
) -> AuditPart:
    """Autocorrelation, sharing and unequal variances of the residuals, and what they do to the two effects' errors.

    Parameters
    ----------
    fit : any model by maximum likelihood or least squares.   variable : the regressor; the first by default.
    groups : column of `panel.groups`, or region → group; those of the fit, else the panel's only grouping.
    cutoffs_km : of Conley's kernel; by default 2, 4 and 8 times the usual distance to the nearest region.
    draws, seed : of the wild bootstrap.

    Returns
    -------
    AuditPart "errors"; table: one row per effect and kind (estimate, std_error, df, statistic, p_value, conf_low,
    conf_high, ratio to the information matrix). Fact `errors.p_value.{effect}` is the p-value to believe: that of the
    wild bootstrap by region, the larger one of it and the bootstrap by group where there are ten groups or more whose
    regions share shocks, and the clustered one where no bootstrap is possible. `errors.p_value_{kind}.{effect}`,
    `errors.p_value_textbook.{effect}` (the smaller one of information matrix and clusters), `errors.ratio.{effect}`
    (clustered to information), `errors.serial_correlation`, `errors.group_share`, `errors.largest_region`, … hold the
    rest.
    """
    name = choose_variable(fit, variable)
    grouping = resolve_groups(fit, groups)
    told: list[str] = []
    facts, sentences, skipped = _describe_residuals(fit, grouping, seed)
    progress("standard errors of every kind", 0.1)
    rows, found = _table(fit, name, cutoffs_km, skipped)
    wild = _wild_tests(fit, name, grouping, facts, draws, seed, progress, skipped)
    base = dict(found["information"].items())
    for effect, clustered in found["cluster"].items():
        facts[f"errors.estimate.{effect}"] = clustered.value
        facts[f"errors.std_error.{effect}"] = clustered.std_error
        facts[f"errors.low.{effect}"], facts[f"errors.high.{effect}"] = clustered.low, clustered.high
        facts[f"errors.half_width.{effect}"] = (clustered.high - clustered.low) / 2.0
        textbook = min(clustered.p_value, base[effect].p_value)
        facts[f"errors.p_value_textbook.{effect}"] = textbook
        facts[f"errors.ratio.{effect}"] = clustered.std_error / base[effect].std_error
        for kind, effects in found.items():
            facts[f"errors.p_value_{_key(kind)}.{effect}"] = dict(effects.items())[effect].p_value
        believed = []
        for (what, clusters), test in wild.items():
            if what == effect:
                facts[f"errors.p_value_wild_{clusters}.{effect}"] = test.p_value
                rows.append(_wild_row(effect, clusters, clustered, test))
                believed.append(test.p_value)
        facts[f"errors.p_value.{effect}"] = max(believed, default=clustered.p_value)
        told.insert(0, _sentence(effect, clustered, base[effect], facts))
    import pandas as pd

    kept = {f"errors.wild_{clusters}.{effect}": test.draws for (effect, clusters), test in wild.items()}
    return AuditPart("errors", QUESTION, pd.DataFrame(rows), facts, (*told, *sentences), tuple(skipped), kept)


def _key(kind: str) -> str:
    return kind.replace("-", "_").replace(" ", "_")


# -- residuals ----------------------------------------------------------------------------------------


def _describe_residuals(
    fit: SpatialFit, grouping: Grouping | None, seed: int
) -> tuple[dict[str, float], list[str], list[str]]:
    facts: dict[str, float] = {}
    sentences: list[str] = []
    skipped: list[str] = []
    design, residuals = fit.design, fit.residuals
    serial = measure_serial(residuals, design.transformation, design.periods)
    if serial is None:
        if len(design.periods) > 1:
            skipped.append("Serial correlation: four neighbouring periods are needed.")
    else:
        facts["errors.serial_correlation"] = serial.corrected
        facts["errors.serial_correlation_raw"] = serial.raw
        test = serial_correlation_test(residuals, design.transformation, design.periods)
        if isinstance(test, HypothesisTest):
            facts["errors.serial_p_value"] = test.p_value
        sentences.append(_serial_sentence(serial.corrected))
    component = measure_component(residuals, design.transformation, design.periods, seed=seed)
    if component is not None:
        facts["errors.component_share"], facts["errors.component_usual"] = component.share, component.usual
        facts["errors.component_p_value"] = component.p_value
        if component.p_value <= SHARED_LEVEL:
            sentences.append(
                f"Residuals move together over the map: {100 * component.share:.0f} % of them are one course of time, "
                f"where unrelated regions as persistent as these would have {100 * component.usual:.0f} %."
            )
    if grouping is not None:
        codes = np.unique(np.array(grouping.labels, dtype=object).astype(str), return_inverse=True)[1]
        grouped = fit.spec.groups is not None and fit.spec.has_period_effects
        if grouped:
            skipped.append(f"Shocks shared inside {grouping.plural}: the effects of the model remove them.")
        else:
            shared = measure_shared(residuals, codes, seed=seed)
            when = "" if is_cross_section(fit) else " in a period"
            facts["errors.group_share"], facts["errors.group_p_value"] = shared.share, shared.p_value
            if shared.p_value <= SHARED_LEVEL:
                sentences.append(
                    f"Regions of one {grouping.name} share shocks: {100 * shared.share:.0f} % of the residual variance "
                    f"is common to a {grouping.name}{when}."
                )
    shares = np.sort(variance_shares(residuals))[::-1]
    largest = fit.panel.names[int(np.argmax(variance_shares(residuals)))]
    facts["errors.largest_region"] = float(shares[0])
    facts["errors.effective_regions"] = float(1.0 / np.sum(shares**2))
    if shares[0] > 3.0 / len(shares) and shares[0] > 0.1:
        sentences.append(f"{largest} alone has {100 * shares[0]:.0f} % of the squared residuals.")
    for key, test in (
        ("errors.heteroskedasticity_p_value", _variances(fit)),
        ("errors.cross_section_p_value", weighted_cd_test(residuals, design.transformation, seed)),
    ):
        if isinstance(test, HypothesisTest):
            facts[key] = test.p_value
        else:
            skipped.append(f"{test.name}: {test.reason}.")
    return facts, sentences, skipped


def _variances(fit: SpatialFit) -> Any:
    columns = np.column_stack([values.ravel() for values in fit.design.x_raw])
    return heteroskedasticity_test(fit.residuals, columns)


def _serial_sentence(phi: float) -> str:
    size = f"autocorrelation {number(phi, 1.0)}"
    if abs(phi) < 0.2:
        return f"Errors of a region are nearly unrelated from one period to the next ({size})."
    return (
        f"Errors of a region are correlated from one period to the next ({size} once the effect of demeaning is "
        "undone): standard errors that take them as independent do not tell the truth."
    )


# -- standard errors ------------------------------------------------------------------------------------


def _table(
    fit: SpatialFit, name: str, cutoffs_km: tuple[float, ...] | None, skipped: list[str]
) -> tuple[list[dict[str, Any]], dict[str, FocusEffects]]:
    found: dict[str, FocusEffects] = {}
    rows: list[dict[str, Any]] = []
    for kind, cutoff in _kinds(fit, cutoffs_km, skipped):
        label = kind if cutoff is None else f"conley {cutoff:.0f} km"
        words = KINDS.get(kind, f"Conley, {cutoff or 0:.0f} km")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SpilloverWarning)
                effects = focus_effects(fit.with_covariance(kind, cutoff_km=cutoff), name)
        except SpilloverError as error:
            skipped.append(f"Errors {words}: {error.what}.")
            continue
        found[label] = effects
    base = dict(found["information"].items())
    for label, effects in found.items():
        for effect, value in effects.items():
            rows.append(_row(effect, label, value, base[effect].std_error))
    return rows, found


def _kinds(
    fit: SpatialFit, cutoffs_km: tuple[float, ...] | None, skipped: list[str]
) -> Iterator[tuple[CovarianceName, float | None]]:
    for kind in KINDS:
        if kind == "cluster-group" and fit.spec.groups is None:
            continue
        if kind in ("two-way-cluster", "driscoll-kraay") and is_cross_section(fit):
            continue
        yield kind, None  # type: ignore[misc]
    if fit.panel.geometry is None:
        skipped.append("Conley errors: the panel has no map.")
        return
    for cutoff in cutoffs_km or usual_cutoffs(fit):
        yield "conley", cutoff


def usual_cutoffs(fit: SpatialFit) -> tuple[float, ...]:
    """2, 4 and 8 times the median distance to the nearest region, in km."""
    from spillover.panel.geometry import centroids
    from spillover.weights.points import Points

    coordinates, lonlat = centroids(fit.panel)
    points = Points(fit.panel.regions, coordinates, lonlat)
    receivers, senders = points.nearest(1)
    spacing = float(np.median(points.distances(receivers, senders)))
    return tuple(factor * spacing for factor in (2.0, 4.0, 8.0))


def _row(effect: str, kind: str, value: Effect, base: float) -> dict[str, Any]:
    return {
        "effect": effect,
        "kind": kind,
        "estimate": value.value,
        "std_error": value.std_error,
        "statistic": value.t_ratio,
        "df": value.df,
        "p_value": value.p_value,
        "conf_low": value.low,
        "conf_high": value.high,
        "ratio": value.std_error / base,
    }


def _wild_row(effect: str, clusters: str, value: Effect, test: WildTest) -> dict[str, Any]:
    """The interval of a bootstrapped t-ratio: estimate ± its critical value × clustered error."""
    half = test.critical_value * value.std_error
    return {
        "effect": effect,
        "kind": f"wild bootstrap by {clusters}",
        "estimate": value.value,
        "std_error": value.std_error,
        "statistic": test.statistic,
        "df": float(test.clusters - 1),
        "p_value": test.p_value,
        "conf_low": value.value - half,
        "conf_high": value.value + half,
        "ratio": float("nan"),
    }


def _wild_tests(
    fit: SpatialFit,
    name: str,
    grouping: Grouping | None,
    facts: dict[str, float],
    draws: int,
    seed: int,
    progress: Progress,
    skipped: list[str],
) -> dict[tuple[str, str], WildTest]:
    """By region always; by group where ten groups or more share shocks."""
    if not can_replay(fit):
        skipped.append(f"Wild bootstrap: it is for OLS, SLX, SAR and SDM with one W, not for {fit.spec.model.upper()}.")
        return {}
    replay = Replay.of(fit, name)
    effects: list[EffectKind] = ["own"]
    if focus_effects(fit, name).spillover is not None:
        effects.append("spillover")
    ways: list[tuple[str, tuple[str, ...] | None]] = [("region", None)]
    if grouping is not None and facts.get("errors.group_p_value", 1.0) <= SHARED_LEVEL:
        count = len(grouping.members)
        if count >= LEAST_GROUPS:
            ways.append(("group", grouping.labels))
        else:
            skipped.append(
                f"Wild bootstrap by {grouping.name}: {count} {grouping.plural} are too few "
                f"({LEAST_CLUSTERS} are the least that can be drawn, {LEAST_GROUPS} the least that can be relied on)."
            )
    found: dict[tuple[str, str], WildTest] = {}
    for i, (way, labels) in enumerate(ways):
        for effect in effects:
            progress(f"wild bootstrap by {way}, {effect}", 0.2 + 0.8 * i / len(ways))
            try:
                found[effect, way] = wild_test(
                    fit, name, effect=effect, clusters=labels, draws=draws, seed=seed, replay=replay
                )
            except SpilloverError as error:
                skipped.append(f"Wild bootstrap by {way} of the {NAMES[effect]}: {error.what}.")
    return found


def _sentence(effect: str, clustered: Effect, base: Effect, facts: dict[str, float]) -> str:
    p = facts[f"errors.p_value.{effect}"]
    ratio = clustered.std_error / base.std_error
    told = (
        f"{NAMES[effect].capitalize()}: {number(clustered.value, clustered.std_error)}, standard error "
        f"{number(clustered.std_error)} clustered by region, {ratio:.1f} times that of the information matrix "
        f"({number(base.std_error)})"
    )
    if base.p_value <= LEVEL < p:
        return (
            f"{told}. The information matrix would call it significant ({tell_p(base.p_value)}); honest errors do not "
            f"({tell_p(p)})."
        )
    verdict = "told apart from zero" if p <= LEVEL else "not told apart from zero"
    wild = [name for name in ("region", "group") if f"errors.p_value_wild_{name}.{effect}" in facts]
    test = f"a wild bootstrap by {' and by '.join(wild)}" if wild else "errors clustered by region"
    return f"{told}; by {test} it is {verdict} ({tell_p(p)})."
