"""`fit_kernel_spline`: the spillover as a free function of distance, smoothed, and made monotone for comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy.interpolate import BSpline
from scipy.optimize import minimize_scalar

from spillover.errors import DesignError, OptionError, check_level
from spillover.inference.estimates import Estimates
from spillover.inference.hypotheses import HypothesisTest
from spillover.inference.multiplicity import SimultaneousBand, simultaneous_band
from spillover.models.columns import least_squares
from spillover.models.spec import Groups, Segments
from spillover.moderators.cautions import cutoff_of, differencing_of, resolve_errors, tell_residuals
from spillover.moderators.decay_null import check_draws
from spillover.moderators.distance_design import DistanceDesign, build_distance_design
from spillover.moderators.monotone import REFERENCE
from spillover.moderators.residual_checks import ResidualChecks, check_residuals
from spillover.moderators.stacked import DistanceCovariance, ErrorModel, stacked_covariance
from spillover.numerics.cone import FallingCone, distance_draws
from spillover.panel.panel import Panel
from spillover.typing import Effects, FloatArray

if TYPE_CHECKING:
    import pandas as pd

DEGREE = 3
GRID = 60
SMOOTHING = (-12.0, 12.0)  # logs of the penalty that are searched, in units of the design
UNDERSMOOTH = 0.1
"""Share of the penalty of highest restricted likelihood that is used. At the full penalty the curve is too low nearby,
where it is steepest and pairs are few, and the band holds an exponential kernel in seven samples of ten; at a tenth the
band is a sixth wider and does what it says."""


@dataclass(frozen=True, eq=False, repr=False)
class KernelSpline:
    """θ(d), what one more unit of the treatment at distance d adds, as a cubic P-spline.

    Attributes
    ----------
    distances : (g,) where the curve is evaluated: from the shortest distance between regions to the reach.
    estimates : (g,) the smoothed curve, with a covariance that counts smoothing bias (Nychka 1988) and related errors.
    band : sup-t band over the whole curve.
    monotone : (g,) the non-increasing curve nearest to it, or the non-decreasing one where that is nearer.
    direction : "falling" or "rising": which of the two it is.
    test : of the null that the curve moves in that direction only.
    basis_values : (b,) spline coefficients.
    penalty : a tenth of the λ of highest restricted likelihood, so that smoothing bias does not spoil the band.
    edf : effective number of parameters of the curve.
    """

    formula: str
    treatment: str
    distances: FloatArray
    estimates: Estimates
    band: SimultaneousBand
    monotone: FloatArray
    direction: Literal["falling", "rising"]
    test: HypothesisTest
    basis_values: FloatArray
    penalty: float
    edf: float
    residuals: FloatArray
    checks: ResidualChecks
    design: DistanceDesign
    notes: tuple[str, ...]

    def table(self) -> pd.DataFrame:
        """One row per distance: smoothed curve with pointwise and simultaneous limits, and the monotone one."""
        return self.band.tidy().assign(distance=self.distances, monotone=self.monotone)

    def holds(self, curve: Any) -> bool:
        """Whether the band holds a function of distance everywhere."""
        limits, values = self.band.limits(), np.asarray(curve(self.distances))
        return bool(((limits[:, 0] <= values) & (values <= limits[:, 1])).all())

    def __repr__(self) -> str:
        n, t = self.design.shape
        return f"KernelSpline: {self.formula}, {self.edf:.1f} effective parameters; {n} regions × {t} periods"


def fit_kernel_spline(
    formula: str,
    panel: Panel,
    *,
    reach_km: float | None = None,
    knots: int = 10,
    distances: Any = None,
    treatment: str | None = None,
    effects: Effects | None = None,
    groups: Groups = None,
    segments: Segments = None,
    covariance: DistanceCovariance | None = None,
    cutoff_km: float | None = None,
    time_lags: int | None = None,
    quasi_difference: float | Literal["auto"] | None = None,
    level: float = 0.95,
    draws: int = 10_000,
    seed: int = 1,
) -> KernelSpline:
    """y = X β + Σ_j θ(d_ij) x_j + effects + u with θ a penalised cubic spline: the free-form check of a law of decay.

    The curve is smooth: where the truth jumps it overshoots, its band misses, and the test of monotone decay rejects.

    Parameters
    ----------
    formula, panel, distances, treatment, effects, groups, segments, quasi_difference : as in `fit_rings`.
    reach_km : distance up to which the curve is fitted, nothing is assumed to come from beyond; three quarters of all
        pairs lie within by default.
    knots : pieces of the spline, 4 to 40.
    covariance : by default clusters by region, and Conley's with four times the residual range where residuals of near
        regions are related.

    Returns
    -------
    KernelSpline. No sign is imposed; the band is that of the smoothed curve without the constraint.

    Cost: one product of n × n with (n, t) per basis function.
    Sources: Eilers & Marx (1996), Statistical Science 11:89; Wood (2011), J. Royal Statistical Society B 73:3, for the
    penalty; Nychka (1988), J. American Statistical Association 83:1134, for the band.
    """
    if isinstance(knots, bool) or not isinstance(knots, int) or not 4 <= knots <= 40:
        raise OptionError("knots", got=repr(knots), expected="a whole number from 4 to 40")
    options: dict[str, Any] = {"treatment": treatment, "effects": effects, "groups": groups, "segments": segments}
    check_draws(draws, seed)
    check_level(level)
    design = build_distance_design(formula, panel, distances, **options)
    reach = _reach(reach_km, design)
    smooth = _smooth(design, reach, knots)
    a = differencing_of(quasi_difference, smooth.residuals, design)
    if a:
        design = build_distance_design(formula, panel, design.distances, **options, differencing=a)
        smooth = _smooth(design, reach, knots)
    z = _independent(np.concatenate([design.x, smooth.columns]))
    checks = check_residuals(smooth.residuals, z, design.geography, design.transformation, design.periods)
    errors = ErrorModel(covariance or "cluster", cutoff_km, time_lags)
    if covariance is None and checks.spatial and checks.range_km > 0:
        errors = ErrorModel("conley", cutoff_km, time_lags)
    errors = resolve_errors(errors, cutoff_of(checks, design.geography), checks)
    cov, df, method = _covariance(smooth, errors, design)
    grid = np.linspace(max(design.distances.shortest, 0.0), reach, GRID)
    basis = _basis(smooth.edges, grid)
    digits = 4 if len({f"{d:.4g}" for d in grid}) == GRID else 12
    names = tuple(f"θ({d:.{digits}g} {design.unit})" for d in grid)
    curve = Estimates(names, basis @ smooth.values, basis @ cov @ basis.T, df, f"smoothed, {method}")
    monotone, direction, test = _monotone(smooth.values, cov, df, seed)
    return KernelSpline(
        formula=formula,
        treatment=design.treatment,
        distances=grid,
        estimates=curve,
        band=simultaneous_band(curve, level=level, draws=draws, seed=seed),
        monotone=basis @ monotone,
        direction=direction,
        test=test,
        basis_values=smooth.values,
        penalty=smooth.penalty,
        edf=smooth.edf,
        residuals=smooth.residuals,
        checks=checks,
        design=design,
        notes=(
            f"Distances: {design.distances.what}, in {design.unit}.",
            *design.distances.notes,
            f"Nothing is assumed to come from beyond {reach:.4g} {design.unit}.",
            *tell_residuals(design, errors, checks),
        ),
    )


@dataclass(frozen=True, eq=False)
class _Smooth:
    """A penalised fit: columns (b, n, t) demeaned, freed of X in `freed` (b, n t)."""

    edges: FloatArray
    columns: FloatArray
    freed: FloatArray
    values: FloatArray
    inverse: FloatArray
    penalty: float
    penalty_matrix: FloatArray
    sigma2: float
    edf: float
    residuals: FloatArray


def _reach(given: float | None, design: DistanceDesign) -> float:
    distances = design.distances
    if given is None:
        return float(np.quantile(distances.links.data, 0.75))
    if not (np.isfinite(given) and distances.shortest < given <= min(distances.longest, distances.reach)):
        raise OptionError(
            "reach_km is out of range",
            got=repr(given),
            expected=f"a distance between {distances.shortest:.4g} and {distances.longest:.4g} {design.unit}",
        )
    return float(given)


def _knot_edges(reach: float, knots: int) -> FloatArray:
    """Equally spaced knots over [0, reach] and three beyond each end."""
    step = reach / knots
    return np.asarray(np.arange(-DEGREE, knots + DEGREE + 1) * step, dtype=float)


def _basis(edges: FloatArray, d: FloatArray) -> FloatArray:
    """(m, b) B-splines at distances inside the knots."""
    flat = np.clip(np.asarray(d, dtype=float), edges[DEGREE], edges[-DEGREE - 1])
    return np.asarray(BSpline.design_matrix(flat, edges, DEGREE).toarray())


def _smooth(design: DistanceDesign, reach: float, knots: int) -> _Smooth:
    edges = _knot_edges(reach, knots)
    count = knots + DEGREE
    treatment = design.senders[0]
    columns = np.empty((count, *design.shape))
    for b in range(count):
        piece = BSpline.basis_element(edges[b : b + DEGREE + 2], extrapolate=False)

        def value(d: FloatArray, piece: BSpline = piece) -> FloatArray:
            return np.where(d <= reach, np.nan_to_num(piece(d)), 0.0)

        columns[b] = design.distances.weigh(value) @ treatment
    columns = design.transformation.remove_means(columns)
    flat = design.x.reshape(len(design.x), -1).T
    y = design.y.ravel()
    least_squares(np.column_stack([flat, y]), design.own_terms)
    q = np.linalg.qr(flat)[0]
    y = y - q @ (q.T @ y)
    freed = columns.reshape(count, -1)
    freed = freed - (freed @ q) @ q.T
    # a basis function without pairs has no column: the penalty alone carries it
    size = float(np.max(np.linalg.norm(freed, axis=1)))
    if not size > 0:
        raise DesignError("the effects absorb every exposure over distance", fix="use other effects")
    unit = freed / size
    gram, cross = unit @ unit.T, unit @ y
    steps = np.diff(np.eye(count), 2, axis=0)
    penalty_matrix = steps.T @ steps
    total = float(y @ y)
    free = design.transformation.free_observations - len(design.x) - 2

    def restricted(log_penalty: float) -> float:
        weight = float(np.exp(log_penalty))
        system = gram + weight * penalty_matrix
        sign, logdet = np.linalg.slogdet(system)
        if sign <= 0:
            return np.inf
        left = total - float(cross @ np.linalg.solve(system, cross))
        return free * np.log(max(left, 1e-300)) + float(logdet) - (count - 2) * log_penalty

    found = minimize_scalar(restricted, bounds=SMOOTHING, method="bounded")
    weight = UNDERSMOOTH * float(np.exp(found.x))
    inverse = np.linalg.inv(gram + weight * penalty_matrix)
    scaled = inverse @ cross
    residuals = (y - unit.T @ scaled).reshape(design.shape)
    edf = float(np.trace(inverse @ gram))
    sigma2 = float(np.sum(residuals**2)) / (free + 2 - edf)
    return _Smooth(
        edges=edges,
        columns=columns,
        freed=freed,
        values=scaled / size,
        inverse=inverse / size**2,
        penalty=weight * size**2,
        penalty_matrix=penalty_matrix,
        sigma2=sigma2,
        edf=edf,
        residuals=residuals,
    )


def _independent(z: FloatArray) -> FloatArray:
    """(r, n, t) orthonormal columns with the span of z: a basis function without pairs is zero."""
    flat = z.reshape(len(z), -1)
    length = np.linalg.norm(flat, axis=1)
    good = length > 1e-12 * length.max()
    left, size, _ = np.linalg.svd((flat[good] / length[good][:, None]).T, full_matrices=False)
    return np.asarray(left[:, size > 1e-9 * size[0]].T.reshape(-1, *z.shape[1:]))


def _covariance(smooth: _Smooth, errors: ErrorModel, design: DistanceDesign) -> tuple[FloatArray, float, str]:
    """A^{-1}(M + σ²λP)A^{-1}: a robust M in the place of σ²G; smoothing bias is counted as in a Bayes band."""
    n, t = design.shape
    weights = smooth.inverse @ smooth.freed
    rows = np.moveaxis(weights.reshape(-1, n, t) * smooth.residuals, 0, -1)
    cov, df, method = stacked_covariance(np.ascontiguousarray(rows), errors, design.geography)
    bias = smooth.inverse @ (smooth.sigma2 * smooth.penalty * smooth.penalty_matrix) @ smooth.inverse
    return cov + bias, df, method


def _monotone(
    values: FloatArray, cov: FloatArray, df: float, seed: int, draws: int = 1_000
) -> tuple[FloatArray, Literal["falling", "rising"], HypothesisTest]:
    """The nearest non-increasing (or non-decreasing) coefficients, which make a spline that is so, and their test."""
    cone = FallingCone(cov)
    (falling, down), (rising, up) = cone.project(values), cone.project(-values)
    direction: Literal["falling", "rising"] = "falling" if down <= up else "rising"
    statistic = min(down, up)
    null = distance_draws(cone, cov, df, draws, np.random.default_rng(seed))
    test = HypothesisTest(
        name=f"{direction} curve",
        statistic=statistic,
        null=f"the spillover is {direction} with distance everywhere",
        distribution=f"chi-bar-square, t({df:g})",
        p_value=float((1.0 + np.sum(null >= statistic * (1.0 - 1e-12))) / (1.0 + draws)),
        reference=REFERENCE,
    )
    return (falling if down <= up else -rising), direction, test


def evaluate_spline(spline: KernelSpline, distances: Sequence[float] | FloatArray) -> FloatArray:
    """θ(d) at other distances within the reach."""
    d = np.asarray(distances, dtype=float)
    reach = spline.distances[-1]
    if (d < 0).any() or (d > reach).any():
        raise OptionError("the curve is fitted up to its reach", got=f"{d.max():g}", expected=f"0 to {reach:g}")
    edges = _knot_edges(reach, len(spline.basis_values) - DEGREE)
    return np.asarray(_basis(edges, d) @ spline.basis_values)
