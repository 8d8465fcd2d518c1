"""`fit_boundary`: up to which distance is a spillover visible? The curve over thresholds, and what it does not say."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from spillover.errors import AssumptionWarning, DesignError, OptionError, is_amount
from spillover.inference.estimates import Estimates
from spillover.inference.multiplicity import SimultaneousBand, romano_wolf, simultaneous_band
from spillover.models.spec import Groups, Segments
from spillover.moderators.boundary_distance import BoundaryDistance, find_boundary, joint_draws
from spillover.moderators.cautions import differencing_of, resolve_errors, tell_residuals
from spillover.moderators.decay import fit_decay
from spillover.moderators.decay_result import DecayFit
from spillover.moderators.distance_design import DistanceDesign, build_distance_design
from spillover.moderators.distances import Distances
from spillover.moderators.residual_checks import ResidualChecks, check_residuals
from spillover.moderators.ring_exposure import build_rings, expose
from spillover.moderators.stacked import DistanceCovariance, ErrorModel, Regression, regress, stacked_covariance
from spillover.panel.panel import Panel
from spillover.typing import Effects, FloatArray

if TYPE_CHECKING:
    import pandas as pd

THRESHOLDS = (50.0, 100.0, 150.0, 200.0, 250.0, 300.0, 400.0, 500.0, 600.0)
EMPTY_SHARE = 0.2
"""Thresholds beyond which more regions than this have nobody are left out."""

POWER_ENDS = "Where power ends is not where spillover ends."
LEGACY = (
    "The curve of W_{d > h} x alone is negative by construction under region and period effects: what lies nearer is "
    "left out, and the far part is then nearly the common total less the near part. It is no attenuation curve."
)


@dataclass(frozen=True, eq=False, repr=False)
class BoundaryFit:
    """The spillover from beyond each of a row of thresholds.

    Attributes
    ----------
    formula, treatment : what was asked for.
    thresholds : (H,) distances in use.
    estimates : (H,) spillover from beyond each threshold, φ_h · mean row sum of W_{d > h}. Its level inherits the law
        d^(−power) of the far part; read magnitudes from rings and decay, and here only whether it is zero.
    slopes : (H,) φ_h themselves.
    band : sup-t band over all thresholds.
    step_down : (H,) Romano–Wolf p-values.
    boundary : the boundary distance with its interval.
    decay : the decay of the same spillover (None for the legacy curve): how far it reaches is a question of how fast it
        falls, and of power.
    """

    formula: str
    treatment: str
    thresholds: FloatArray
    estimates: Estimates
    slopes: Estimates
    band: SimultaneousBand
    step_down: FloatArray
    boundary: BoundaryDistance
    decay: DecayFit | None
    legacy: bool
    empty: FloatArray
    checks: ResidualChecks
    design: DistanceDesign
    notes: tuple[str, ...]
    level: float

    def table(self) -> pd.DataFrame:
        """One row per threshold: spillover from beyond with pointwise and simultaneous limits, step-down p-value."""
        return self.band.tidy().assign(
            threshold=self.thresholds,
            slope=self.slopes.values,
            p_step_down=self.step_down,
            empty_share=self.empty,
        )

    def sentence(self) -> str:
        """Up to where a spillover is visible, that this is not where it ends, and how fast it falls."""
        return self.visible() + ("" if self.decay is None else " " + self.decay.sentence())

    def visible(self) -> str:
        """Up to where a spillover is visible, and that this is not where it ends."""
        unit = self.design.unit
        if self.legacy:
            return LEGACY
        found = self.boundary
        if found.lower is None:
            said = f"No spillover is visible from beyond {self.thresholds[0]:g} {unit} or any later threshold."
        else:
            band = (
                f"excludes zero up to the last threshold, {self.thresholds[-1]:g} {unit}"
                if found.distance is None
                else f"holds zero from {found.distance:g} {unit} on"
            )
            said = (
                f"A spillover is visible from beyond {found.lower:g} {unit} ({100 * self.level:g} % confidence); the "
                f"band for the whole curve, which asks for more, {band}. Nothing bounds its reach from above."
            )
        return f"{said} {POWER_ENDS}"

    def __repr__(self) -> str:
        n, t = self.design.shape
        kind = "legacy " if self.legacy else ""
        return f"BoundaryFit: {kind}{self.formula}, {len(self.thresholds)} thresholds; {n} regions × {t} periods"


def fit_boundary(
    formula: str,
    panel: Panel,
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    distances: Any = None,
    treatment: str | None = None,
    power: float = 1.0,
    effects: Effects | None = None,
    groups: Groups = None,
    segments: Segments = None,
    covariance: DistanceCovariance = "conley",
    cutoff_km: float | None = None,
    time_lags: int | None = None,
    quasi_difference: float | Literal["auto"] | None = None,
    legacy: bool = False,
    level: float = 0.95,
    draws: int = 10_000,
    seed: int = 1,
) -> BoundaryFit:
    """y = X β + Σ_{rings up to h} θ_b R_b x + φ_h W_{d > h} x + effects + u, for every threshold h.

    The rings up to h are controls. Without them (`legacy=True`, the published practice) the omitted near effect loads
    negatively on the far part under region and period effects, at every threshold.

    Parameters
    ----------
    formula, panel, distances, treatment, effects, groups, segments : as in `fit_rings`.
    thresholds : increasing distances h; rings lie between 0 and the first, and between successive ones. Thresholds
        beyond which a fifth of the regions have nobody are left out, with a note.
    power : w_ij = d_ij^(−power) for d_ij > h, one scale for all thresholds.
    covariance, cutoff_km, time_lags, quasi_difference : as in `fit_rings`; the cut-off is twice the median threshold by
        default.
    legacy : the far part alone, with a warning.
    level, draws, seed : of the sup-t band and of the interval.

    Returns
    -------
    BoundaryFit, with the decay of the same spillover beside it.

    Raises
    ------
    OptionError, DesignError : thresholds that are no distances, or beyond the map; AlignmentError : ids that differ.

    Warns
    -----
    AssumptionWarning : `legacy`.

    Cost: one regression per threshold.
    """
    options: dict[str, Any] = {"treatment": treatment, "effects": effects, "groups": groups, "segments": segments}
    design = build_distance_design(formula, panel, distances, **options)
    used, shares, left_out = thresholds_in_use(thresholds, design.distances)
    far = _Far(used, power, legacy)
    fits, mass = far.regress(design)
    a = differencing_of(quasi_difference, fits[-1].residuals, design)
    if a:
        design = build_distance_design(formula, panel, design.distances, **options, differencing=a)
        fits, mass = far.regress(design)
    last = fits[-1]
    checks = check_residuals(last.residuals, last.z, design.geography, design.transformation, design.periods)
    errors = resolve_errors(ErrorModel(covariance, cutoff_km, time_lags), 2.0 * float(np.median(used)), checks)
    rows = np.concatenate([fit.influence([len(fit.z) - 1]) for fit in fits], axis=2)
    cov, df, method = stacked_covariance(rows, errors, design.geography)
    names = tuple(f"beyond {h:g} {design.unit}" for h in used)
    slopes = Estimates(names, np.array([fit.coefficients[-1] for fit in fits]), cov, df, method)
    estimates = Estimates(names, slopes.values * mass, cov * np.outer(mass, mass), df, method)
    band = simultaneous_band(estimates, level=level, draws=draws, seed=seed)
    null = joint_draws(estimates, draws, seed)
    decay = None
    if legacy:
        warnings.warn(LEGACY, AssumptionWarning, stacklevel=2)
    else:
        decay = _decay_beside(formula, panel, design, options, errors, quasi_difference, level, seed)
    notes = (
        f"Distances: {design.distances.what}, in {design.unit}.",
        *design.distances.notes,
        *([f"Thresholds left out, because a fifth of regions have nobody beyond: {left_out}."] if left_out else []),
        *([LEGACY] if legacy else []),
        *tell_residuals(design, errors, checks),
    )
    return BoundaryFit(
        formula=formula,
        treatment=design.treatment,
        thresholds=used,
        estimates=estimates,
        slopes=slopes,
        band=band,
        step_down=romano_wolf(estimates.values / estimates.std_errors, null),
        boundary=find_boundary(estimates, used, band.critical, null, level),
        decay=decay,
        legacy=legacy,
        empty=shares,
        checks=checks,
        design=design,
        notes=notes,
        level=level,
    )


@dataclass(frozen=True, eq=False)
class _Far:
    """The regressions over thresholds."""

    thresholds: FloatArray
    power: float
    legacy: bool

    def __post_init__(self) -> None:
        if not is_amount(self.power, zero=True):
            raise OptionError("power is out of range", got=repr(self.power), expected="a number of zero or more")

    def weigh(self, design: DistanceDesign, h: float) -> Any:
        """(n, n) d^(−power) of pairs further apart than h."""
        return design.distances.weigh(lambda d: np.where(d > h, np.maximum(d, 1e-300) ** -self.power, 0.0))

    def regress(self, design: DistanceDesign) -> tuple[list[Regression], FloatArray]:
        """(one regression per threshold, the far part as its last column; mean row sums of the far parts)."""
        near = np.zeros((0, *design.shape))
        names: tuple[str, ...] = ()
        first = int(self.thresholds[0] > 0)
        if not self.legacy:
            edges = [*([0.0] if first else []), *self.thresholds]
            rings = build_rings(design.distances, edges)
            near = design.transformation.remove_means(expose(rings, design.senders[0], "sum"))
            names = rings.names
        found, mass = [], []
        for k, h in enumerate(self.thresholds):
            count = 0 if self.legacy else k + first
            weights = self.weigh(design, float(h))
            mass.append(float(weights.sum()) / design.shape[0])
            lag = np.asarray(weights @ design.senders[0])
            scale = float(np.abs(lag).max()) or 1.0
            lag = design.transformation.remove_means(lag / scale)
            z = np.concatenate([design.x, near[:count], lag[None]])
            terms = (*design.own_terms, *names[:count], f"beyond {h:g}")
            found.append(_rescaled(regress(design.y, z, terms), scale))
        return found, np.array(mass)


def _rescaled(fit: Regression, scale: float) -> Regression:
    """The regression as if its last column had not been divided by `scale`."""
    by = np.ones(len(fit.z))
    by[-1] = 1.0 / scale
    z = fit.z.copy()
    z[-1] *= scale
    return Regression(fit.coefficients * by, fit.residuals, fit.inverse_gram * np.outer(by, by), z, fit.rss)


def thresholds_in_use(given: Sequence[float], distances: Distances) -> tuple[FloatArray, FloatArray, str]:
    """(thresholds in use, share of regions with nobody beyond each, those left out in words)."""
    try:
        table = np.asarray(given, dtype=float)
    except (TypeError, ValueError):
        table = np.zeros((0, 0))
    if table.ndim != 1 or table.size < 2 or not np.isfinite(table).all() or table[0] < 0 or (np.diff(table) <= 0).any():
        raise OptionError(
            "thresholds are increasing distances",
            got=repr(given),
            expected="two or more numbers, such as (50, 100, 150, 200, 300)",
        )
    if table[-1] >= distances.reach:
        raise OptionError(
            "the last threshold lies beyond the reach within which distances were measured",
            got=f"{table[-1]:g} and {distances.reach:g} {distances.unit}",
            fix="measure distances with a longer reach_km",
        )
    links = distances.links
    furthest = np.zeros(distances.n)
    np.maximum.at(furthest, links.row, links.data)
    shares = np.array([float((furthest <= h).mean()) for h in table])
    good = shares <= EMPTY_SHARE
    if good.sum() < 2:
        raise DesignError(
            "fewer than two thresholds lie within the map",
            got=f"distances up to {distances.longest:.4g} {distances.unit}",
            expected="thresholds beyond which at least four fifths of the regions have somebody",
            fix="choose shorter thresholds",
        )
    return table[good], shares[good], ", ".join(f"{h:g}" for h in table[~good])


def _decay_beside(
    formula: str,
    panel: Panel,
    design: DistanceDesign,
    options: dict[str, Any],
    errors: ErrorModel,
    quasi_difference: float | Literal["auto"] | None,
    level: float,
    seed: int,
) -> DecayFit:
    """The exponential decay of the same spillover; its warnings are told in its sentence."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return fit_decay(
            formula,
            panel,
            distances=design.distances,
            **options,
            covariance=None if errors.kind == "conley" else errors.kind,
            quasi_difference=quasi_difference,
            level=level,
            seed=seed,
        )
