"""What if something unmeasured drives a mediator and the outcome? Effects as functions of the correlation it leaves.

Let û_k and ε̂ be the residuals of the mediator's and of the outcome's equation (filtered by S, means removed), and
ε₁ = b̂_k û_k + ε̂. If the errors of the two equations correlate by r, the mediator's own slope is

    b_k(r) = (σ₁/σ₂) [ρ̃ − r √((1 − ρ̃²)/(1 − r²))],   σ₁ = sd(ε₁), σ₂ = sd(û_k), ρ̃ = corr(ε₁, û_k),

and b_k(0) = b̂_k. Only the slope on the own mediator moves; that on the neighbours' mediator is held, so that the
spillover part is approximate. σ₁, σ₂ and ρ̃ are taken as known in the intervals.

Source: Imai, Keele & Yamamoto (2010), Statistical Science 25:51, on filtered residuals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from spillover.errors import OptionError
from spillover.inference.hypotheses import NotApplicable
from spillover.mechanisms.decomposition import PathNumbers
from spillover.mechanisms.system import System
from spillover.typing import FloatArray

if TYPE_CHECKING:
    from spillover.inference.estimates import Estimates
    from spillover.models.result import SpatialFit

GRID = np.round(np.arange(-0.9, 0.901, 0.05), 2)


@dataclass(frozen=True, eq=False)
class ConfoundingCurve:
    """The effects of one channel for every correlation of the errors.

    Attributes
    ----------
    correlations : (r,) grid. slopes : (r,) b_k(r). effects, std_errors : (r, 3) own, spillover, total.
    break_even : (3,) correlation at which each effect would be zero; NaN where none makes it so.
    explained : (3,) product of the shares of variance that the unmeasured would have to explain in the mediator and in
        the outcome for that, of their variances once effects are removed.
    """

    channel: str
    correlations: FloatArray
    slopes: FloatArray
    effects: FloatArray
    std_errors: FloatArray
    break_even: FloatArray
    explained: FloatArray
    visible: bool

    def sentence(self) -> str:
        """What the curve says, in words."""
        at = self.break_even[2]
        if not self.visible:
            return f"{self.channel}: the total effect is not visible to begin with, so there is nothing to undo."
        if not np.isfinite(at):
            return f"{self.channel}: no correlation of the errors makes the total effect zero."
        return (
            f"{self.channel}: the total effect would be zero if the errors of mediator and outcome correlated by "
            f"{at:+.2f}; what is unmeasured would have to explain shares of their variances whose product is "
            f"{self.explained[2]:.3f}."
        )


def confounding_curve(
    system: System,
    fits: tuple[SpatialFit, ...],
    numbers: PathNumbers,
    estimates: Estimates,
    channel: str,
    correlations: FloatArray | None = None,
) -> ConfoundingCurve | NotApplicable:
    """The curve of one channel on a grid of correlations inside (−1, 1)."""
    grid = np.asarray(GRID if correlations is None else correlations, dtype=float)
    if grid.ndim != 1 or not (np.abs(grid) < 1.0).all():
        raise OptionError("correlations are a list of numbers between −1 and 1", got=str(correlations))
    mediator = system.equation(channel)
    name = f"{system.outcome.name}: {mediator.response}"
    if name not in estimates.names:
        return NotApplicable(channel, "its mediator does not act on the own region's outcome by a slope of its own")
    position, theta = estimates.index(name), estimates.values
    link = numbers.wiring.links[channel, system.outcome.name]
    slope = float(link.loadings[link.at_home].sum(axis=0) @ theta)
    inner, outer = fits[system.equations.index(mediator)], fits[-1]
    left_of_inner = outer.design.transformation.apply(inner.residuals)  # the same where both have the same effects
    sigmas = _moments(slope, left_of_inner.ravel(), outer.residuals.ravel())
    slopes = slope_at(grid, *sigmas)
    rows = [i for i, path in enumerate(numbers.paths) if path.channel == channel]

    def effect(value: float) -> tuple[FloatArray, FloatArray]:
        moved = theta.copy()
        moved[position] += value - slope
        return numbers.values(moved)[rows].sum(axis=0), numbers.gradients(moved)[rows].sum(axis=0)

    found = [effect(value) for value in slopes]
    errors = [np.sqrt(np.maximum(np.diag(g @ estimates.cov @ g.T), 0.0)) for _, g in found]
    at_slope, at_zero = effect(slope)[0], effect(0.0)[0]
    spread = effect(slope)[1][2]
    error = float(np.sqrt(max(spread @ estimates.cov @ spread, 0.0)))
    quantile = float(stats.norm.isf(0.025) if estimates.df is None else stats.t.isf(0.025, estimates.df))
    with np.errstate(divide="ignore", invalid="ignore"):
        zeros = np.where(at_slope != at_zero, slope * at_zero / (at_zero - at_slope), np.nan)
    even = np.array([correlation_at(value, *sigmas) for value in zeros])
    left = (1.0 - within_r_squared(inner)) * (1.0 - within_r_squared(outer))
    return ConfoundingCurve(
        channel=channel,
        correlations=grid,
        slopes=slopes,
        effects=np.array([v for v, _ in found]),
        std_errors=np.array(errors),
        break_even=even,
        explained=even**2 * left,
        visible=bool(abs(at_slope[2]) > quantile * error),
    )


def _moments(slope: float, inner: FloatArray, outer: FloatArray) -> tuple[float, float, float]:
    """(σ₁, σ₂, ρ̃); what ε̂ has in common with û where the outcome's equation lacks regressors is left out."""
    outer = outer - inner * (inner @ outer) / (inner @ inner)
    combined = slope * inner + outer
    first, second = float(np.sqrt(np.mean(combined**2))), float(np.sqrt(np.mean(inner**2)))
    return first, second, float(np.mean(combined * inner) / (first * second))


def slope_at(r: FloatArray, sigma1: float, sigma2: float, correlation: float) -> FloatArray:
    """b(r)."""
    return np.asarray(sigma1 / sigma2 * (correlation - r * np.sqrt((1.0 - correlation**2) / (1.0 - r**2))))


def correlation_at(slope: float, sigma1: float, sigma2: float, correlation: float) -> float:
    """r with b(r) = slope: r/√(1 − r²) = (ρ̃ − slope σ₂/σ₁)/√(1 − ρ̃²)."""
    ratio = (correlation - slope * sigma2 / sigma1) / np.sqrt(1.0 - correlation**2)
    return float(ratio / np.sqrt(1.0 + ratio**2))


def within_r_squared(fit: SpatialFit) -> float:
    """Share of the variance of S y, means removed, that the regressors explain."""
    response = filtered_response(fit)
    return 1.0 - float(np.sum(fit.residuals**2) / np.sum(response**2))


def filtered_response(fit: SpatialFit) -> FloatArray:
    """(n, t) S y with means removed."""
    rho = fit.rho
    return np.asarray(fit.design.y - rho * fit.design.wy if rho else fit.design.y)
