"""What could have been seen: the smallest effects that this design detects, and what it would take to see more."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import brentq

from spillover.audit.evidence import number
from spillover.audit.focus import Effect, FocusEffects, choose_variable, focus_effects
from spillover.audit.part import AuditPart
from spillover.audit.residuals import measure_serial
from spillover.errors import OptionError, SpilloverError
from spillover.inference.wald_power import detectable_shift, rejection
from spillover.models.result import SpatialFit
from spillover.numerics.within import Transformation
from spillover.simulation.power import PowerQuestion, compute_power
from spillover.simulation.spatial_config import ErrorLaw, Regressor, SpatialPanelConfig
from spillover.simulation.spatial_world import DENSE_LIMIT
from spillover.typing import FloatArray
from spillover.weights.weights import SpatialWeights

QUESTION = "What could have been seen?"
ALPHA, TARGET = 0.05, 0.8
SMALL = 0.1
"""The smallest effect at home that matters by default: standard deviations of the outcome per standard deviation of the
regressor, both net of the effects: a small correlation by the convention of Cohen (1988)."""
MOST_PERIODS = 60
MOST_REGIONS = 10_000
MOST_SPATIAL = 0.9


def audit_detectable(
    fit: SpatialFit,
    variable: str | None = None,
    *,
    relevant_own: float | None = None,
    relevant_spillover: float | None = None,
) -> AuditPart:
    """The smallest effect at home and spillover that a 5 % test sees four times out of five.

    Parameters
    ----------
    fit : any model.   variable : the regressor; the first by default.
    relevant_own : size of an effect at home that would matter, in the units of the effect (an elasticity in a model of
        logs); by default 0.1 standard deviations of the outcome per standard deviation of the regressor, both net of
        the effects of the model.
    relevant_spillover : the same for the spillover; by default as large as the effect at home surely is (the end of its
        95 % interval that is nearer to zero), and at least `relevant_own`: all neighbours together matter as much as
        the region itself.

    Returns
    -------
    AuditPart "detectable"; table: one row per effect. Facts `detectable.smallest.{effect}`,
    `detectable.relevant.{effect}`, `detectable.power.{effect}` (of the relevant size), `detectable.share.{effect}`
    (smallest over relevant), `detectable.plausible.{effect}` with `detectable.power_plausible.{effect}` (of a spillover
    as large as the estimated effect at home, or of the relevant size where one was given), and
    `detectable.periods.{effect}`, `detectable.regions.{effect}`: how many of them, with everything else as it is, would
    see the relevant size.

    Raises OptionError for a relevant size that is not positive.

    Errors are clustered by region. Periods: the standard error that the closed form gives for regressors and W like
    these, scaled to the clustered one here. Regions: standard errors fall with the square root of their number.
    """
    name = choose_variable(fit, variable)
    effects = focus_effects(fit.with_covariance("cluster"), name)
    relevant = _relevant(fit, effects, relevant_own, relevant_spillover)
    plausible = dict(relevant)
    if relevant_spillover is None:
        plausible["spillover"] = max(abs(effects.own.value), relevant["own"])
    rows: list[dict[str, Any]] = []
    facts: dict[str, float] = {}
    sentences: list[str] = []
    skipped: list[str] = []
    for kind, effect in effects.items():
        row = _row(fit, kind, effect, relevant[kind], plausible[kind])
        periods = _periods(fit, name, kind, effect, relevant[kind], skipped)
        row["periods"] = periods
        rows.append(row)
        for key in ("smallest", "relevant", "power", "share", "regions", "plausible", "power_plausible"):
            if row[key] is not None:
                facts[f"detectable.{key}.{kind}"] = float(row[key])
        if periods is not None:
            facts[f"detectable.periods.{kind}"] = float(periods)
        sentences.insert(0, _sentence(fit, kind, row))
    import pandas as pd

    return AuditPart("detectable", QUESTION, pd.DataFrame(rows), facts, tuple(sentences), tuple(skipped))


def _relevant(fit: SpatialFit, effects: FocusEffects, own: float | None, spillover: float | None) -> dict[str, float]:
    for given in (own, spillover):
        if given is not None and not (np.isfinite(given) and given > 0):
            raise OptionError("a relevant effect is a positive size", got=repr(given), fix="leave it out for a default")
    chosen_own = own if own is not None else small_effect(fit, effects.variable)
    low, high = sorted((abs(effects.own.low), abs(effects.own.high)))
    sure = low if effects.own.low * effects.own.high > 0.0 and high > 0.0 else 0.0
    chosen_spillover = spillover if spillover is not None else max(sure, chosen_own)
    return {"own": chosen_own, "spillover": chosen_spillover}


def small_effect(fit: SpatialFit, variable: str) -> float:
    """`SMALL` sd of the outcome per sd of the regressor, both net of the effects."""
    design = fit.design
    regressor = design.transformation.apply(design.x_raw[list(design.own).index(variable)])
    outcome = design.transformation.apply(design.y_raw)
    return float(SMALL * np.sqrt(np.sum(outcome**2) / np.sum(regressor**2)))


def _row(fit: SpatialFit, kind: str, effect: Effect, relevant: float, plausible: float) -> dict[str, Any]:
    shift = detectable_shift(ALPHA, TARGET, effect.df)
    smallest = shift * effect.std_error
    n = len(fit.design.regions)
    # More regions also mean more clusters; from a few dozen on that changes the quantile by little.
    regions = int(np.ceil(n * (smallest / relevant) ** 2))
    return {
        "effect": kind,
        "estimate": effect.value,
        "std_error": effect.std_error,
        "smallest": smallest,
        "relevant": relevant,
        "share": smallest / relevant,
        "power": rejection(relevant / effect.std_error, ALPHA, effect.df),
        "plausible": plausible,
        "power_plausible": rejection(plausible / effect.std_error, ALPHA, effect.df),
        "regions": max(n, regions) if regions <= MOST_REGIONS else None,
    }


def _periods(fit: SpatialFit, name: str, kind: str, effect: Effect, relevant: float, skipped: list[str]) -> int | None:
    """Periods from which the relevant size is seen; None where that is not known, or they are too many or but one."""
    shift = detectable_shift(ALPHA, TARGET, effect.df)
    t = len(fit.design.periods)
    if not fit.panel.is_panel:
        return None  # a cross-section has no more of them
    if shift * effect.std_error <= relevant:
        return t
    try:
        config = describe_design(fit)
        question = PowerQuestion("direct" if kind == "own" else "indirect", _names(fit)[name])
        here = compute_power(config, question).std_error
        ratio = effect.std_error / here

        def reaches(periods: int) -> bool:
            error = ratio * compute_power(config.with_changes(n_periods=periods), question).std_error
            return shift * error <= relevant

        if not reaches(MOST_PERIODS):
            return None
        low, high = t, MOST_PERIODS
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if reaches(middle) else (middle, high)
        return high
    except SpilloverError as error:
        skipped.append(f"Periods that it would take: {error.what}.")
        return None


def _names(fit: SpatialFit) -> dict[str, str]:
    """Regressors under the plain names that a configuration accepts."""
    return {name: f"x{j}" for j, name in enumerate(fit.design.own)}


def describe_design(fit: SpatialFit) -> SpatialPanelConfig:
    """The fit as an exact spatial panel: its W, slopes and error variance, and regressors as persistent and as
    clustered on the map as these are within regions.

    Raises OptionError for what has no such description: several W, groups, error models with another W.
    """
    design, roles = fit.design, fit.roles
    if len(roles.outcome) > 1 or fit.spec.groups is not None or fit.spec.segments is not None:
        raise OptionError("several W, groups and segments have no closed form of power")
    estimates = dict(zip(fit.estimates.names, fit.estimates.values, strict=True))
    regressors = []
    for j, name in enumerate(design.own):
        within = design.transformation.apply(design.x_raw[j])
        regressors.append(
            Regressor(
                f"x{j}",
                beta=float(estimates[name]),
                theta=float(estimates.get(f"W*{name}", 0.0)),
                **_time_and_space(fit, within),
                region_sd=float(design.x_raw[j].mean(axis=1).std()),
            )
        )
    w = roles.main
    options: dict[str, Any] = {} if w is None else {"weights": w}
    return SpatialPanelConfig(
        fit.spec.model,
        len(design.regions),
        len(design.periods),
        regressors=tuple(regressors),
        rho=float(estimates.get("rho", 0.0)),
        lam=float(estimates.get("lambda", 0.0)),
        effects=fit.spec.effects,
        errors=ErrorLaw(sigma=float(np.sqrt(fit.statistics["sigma2"]))),
        **options,
    )


def _time_and_space(fit: SpatialFit, within: FloatArray) -> dict[str, float]:
    """persistence, spatial and sd of a regressor, from what is left of it net of the effects."""
    transformation: Transformation = fit.design.transformation
    t = within.shape[1]
    serial = measure_serial(within, transformation, fit.design.periods)
    persistence = float(np.clip(serial.corrected if serial is not None else 0.0, 0.0, 0.95))
    spatial = 0.0 if fit.roles.main is None else _spatial(fit.roles.main, transformation, within)
    steps = np.arange(1, t)
    mean_square = (t + 2.0 * float(np.sum((t - steps) * persistence**steps))) / t
    left = t - mean_square if transformation.removes_regions else float(t)
    sd = float(np.sqrt(np.sum(within**2) / (transformation.exact.n_star * left)))
    return {"persistence": persistence, "spatial": spatial, "sd": sd}


def _spatial(w: SpatialWeights, transformation: Transformation, within: FloatArray) -> float:
    """s of a regressor (I − sW)⁻¹z that gives the measured Σ x'Wx/Σ x'x; 0 where that is negative or n > 1,500."""
    if w.n > DENSE_LIMIT:
        return 0.0
    measured = float(np.sum(within * w.lag(within)) / np.sum(within**2))
    dense, centring = w.matrix.toarray(), transformation.exact.centring

    def gap(s: float) -> float:
        spread = centring.left(np.linalg.inv(np.eye(w.n) - s * dense))
        return float(np.sum(spread * (dense @ spread)) / np.sum(spread**2)) - measured

    top = MOST_SPATIAL * w.engine.bounds[1]
    if gap(0.0) >= 0.0:
        return 0.0
    return top if gap(top) <= 0.0 else float(brentq(gap, 0.0, top, xtol=1e-3))


def _sentence(fit: SpatialFit, kind: str, row: dict[str, Any]) -> str:
    what = "spillover" if kind == "spillover" else "effect at home"
    told = (
        f"The smallest {what} that this design sees four times out of five is {number(row['smallest'])} (estimate "
        f"{number(row['estimate'])}); one of {number(row['relevant'])}, which would matter, is seen in "
        f"{100 * row['power']:.0f} of 100 samples."
    )
    if row["share"] <= 1.0:
        return told
    ways = []
    if row["periods"] is not None:
        ways.append(f"{row['periods']} periods")
    if row["regions"] is not None:
        ways.append(f"about {row['regions']} regions like these")
    if not ways:
        periods = f"of periods up to {MOST_PERIODS} or " if fit.panel.is_panel else ""
        return f"{told} No number {periods}of regions up to {MOST_REGIONS:,} would do."
    return f"{told} It would take {' or '.join(ways)}."
