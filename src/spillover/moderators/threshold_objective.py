"""What a threshold search minimises: the sum of squares, or −2ℓ with ρ concentrated out, for many samples at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.interpolate import CubicHermiteSpline

from spillover.models.likelihood import determinant_slopes, gaussian
from spillover.numerics.engine import WeightsEngine
from spillover.typing import FloatArray

NODES = 65
NEWTON_STEPS = 8


class Objective(Protocol):
    """A function of residual cross-products; smaller is better."""

    def value(self, products: FloatArray) -> FloatArray:
        """(…,) for products (…, s, s)."""
        ...

    def statistic(self, before: FloatArray, after: FloatArray) -> FloatArray:
        """The test of one threshold more, from the values without and with it."""
        ...


@dataclass(frozen=True)
class SumOfSquares:
    """S, and F = (S_0 − S_1) / (S_1 / m)."""

    m: int

    def value(self, products: FloatArray) -> FloatArray:
        """The residual sum of squares."""
        return np.asarray(products[..., 0, 0])

    def statistic(self, before: FloatArray, after: FloatArray) -> FloatArray:
        """F."""
        return np.asarray((before - after) / (after / self.m))


@dataclass(frozen=True, eq=False)
class ConcentratedLikelihoods:
    """−2 max_ρ ℓ(ρ), and the likelihood ratio.

    Attributes
    ----------
    slope : LD'(ρ) as a piecewise cubic on `interval`; `level` its integral, so that LD(ρ) = level(ρ) − level(start).
    interval : of ρ, wide enough for every sample that is drawn.
    start : ρ from which Newton's steps begin.
    """

    m: int
    t_star: int
    slope: CubicHermiteSpline
    level: CubicHermiteSpline
    interval: tuple[float, float]
    start: float

    def value(self, products: FloatArray) -> FloatArray:
        """−2ℓ at the best ρ; a ρ that would leave the interval stays at its end."""
        rho = self.best_rho(products)
        squares = products[..., 0, 0] - 2.0 * rho * products[..., 0, 1] + rho**2 * products[..., 1, 1]
        determinant = self.level(rho) - self.level(self.start)
        return np.asarray(-2.0 * (gaussian(squares, self.m) + self.t_star * determinant))

    def best_rho(self, products: FloatArray) -> FloatArray:
        """ρ̂ by Newton's steps, all samples at once."""
        low, high = self.interval
        bend = self.slope.derivative()
        cross, square = products[..., 0, 1], products[..., 1, 1]
        rho = np.full(cross.shape, self.start)
        for _ in range(NEWTON_STEPS):
            q = products[..., 0, 0] - 2.0 * rho * cross + rho**2 * square
            lean = cross - rho * square
            first = self.m * lean / q + self.t_star * self.slope(rho)
            second = self.m * (2.0 * lean**2 / q**2 - square / q) + self.t_star * bend(rho)
            step = first / np.where(second < 0, -second, np.abs(second) + 1e-300)
            moved = np.clip(rho + step, low, high)
            if np.abs(moved - rho).max(initial=0.0) < 1e-12:
                return moved
            rho = moved
        return rho

    def statistic(self, before: FloatArray, after: FloatArray) -> FloatArray:
        """2(ℓ_1 − ℓ_0)."""
        return np.asarray(before - after)


def concentrated(
    engine: WeightsEngine, m: int, t_star: int, unit_roots: int, rho: float, std_error: float
) -> ConcentratedLikelihoods:
    """The objective with LD'(ρ) interpolated within ten standard errors of ρ̂, so that it costs the same for any W."""
    low, high = engine.log_determinant.interval
    inside = (max(low, rho - 10.0 * std_error), min(high, rho + 10.0 * std_error))
    middle, half = (inside[0] + inside[1]) / 2.0, (inside[1] - inside[0]) / 2.0
    nodes = middle + half * np.sin(np.linspace(-np.pi / 2.0, np.pi / 2.0, NODES))
    slopes = np.array([determinant_slopes(engine, float(node), unit_roots) for node in nodes])
    slope = CubicHermiteSpline(nodes, slopes[:, 0], slopes[:, 1])
    return ConcentratedLikelihoods(m, t_star, slope, slope.antiderivative(), inside, rho)
