"""ln|I − ρW| and its derivatives, by eigenvalues or by sparse LU at Chebyshev nodes.

The derivatives are the traces that everything else needs: with G = W(I − ρW)^{-1},
LD' = −tr G and LD'' = −tr G². Sources: Ord (1975) for the eigenvalues; Pace & Barry (1997) for
sparse factorisations. The Chebyshev variable is u with ρ = mid + half·tanh(u), because the
singularities of LD lie at the ends of the admissible interval.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.polynomial import chebyshev
from scipy.fft import dct

from spillover.typing import FloatArray

INNER_SHARE = 0.999  # tanh(u) at the outermost node; ρ beyond it counts as "at the bound"
MOST_NODES = 257


class LogDeterminant(Protocol):
    """What likelihoods, effects and tests ask of a log-determinant."""

    @property
    def method(self) -> str:
        """How it is computed, in words."""
        ...

    @property
    def error(self) -> float:
        """Bound on the absolute error of the value."""
        ...

    @property
    def interval(self) -> tuple[float, float]:
        """Closed interval of ρ that may be searched."""
        ...

    def value(self, rho: FloatArray | float) -> FloatArray:
        """ln|I − ρW|, elementwise in ρ."""
        ...

    def derivatives(self, rho: float) -> tuple[float, float]:
        """(LD', LD'') = (−tr G, −tr G²) at ρ."""
        ...


@dataclass(frozen=True, eq=False)
class SpectralLogDeterminant:
    """Exact, from all eigenvalues (real or in conjugate pairs)."""

    eigenvalues: np.ndarray
    interval: tuple[float, float]
    method: str = "all eigenvalues"
    error: float = 0.0

    def value(self, rho: FloatArray | float) -> FloatArray:
        """ln|I − ρW|; O(n) for each ρ."""
        grid = np.atleast_1d(np.asarray(rho, dtype=float))
        result = np.log(np.abs(1.0 - grid[:, None] * self.eigenvalues[None, :])).sum(axis=1)
        return np.asarray(result.reshape(np.shape(rho)))

    def derivatives(self, rho: float) -> tuple[float, float]:
        """(−tr G, −tr G²)."""
        g = self.eigenvalues / (1.0 - rho * self.eigenvalues)
        return float(-g.sum().real), float(-(g * g).sum().real)


@dataclass(frozen=True, eq=False)
class ChebyshevLogDeterminant:
    """Interpolant in u = artanh((ρ − mid)/half) of exact log-determinants at Chebyshev nodes."""

    coefficients: FloatArray
    middle: float
    half: float
    reach: float
    interval: tuple[float, float]
    method: str
    error: float

    def value(self, rho: FloatArray | float) -> FloatArray:
        """ln|I − ρW|; O(nodes) for each ρ inside `interval`."""
        u = np.arctanh((np.asarray(rho, dtype=float) - self.middle) / self.half)
        return np.asarray(chebyshev.chebval(u / self.reach, self.coefficients))

    def derivatives(self, rho: float) -> tuple[float, float]:
        """(−tr G, −tr G²) by the chain rule in u."""
        share = (rho - self.middle) / self.half
        x = np.arctanh(share) / self.reach
        first = chebyshev.chebder(self.coefficients)
        f_u = float(chebyshev.chebval(x, first)) / self.reach
        f_uu = float(chebyshev.chebval(x, chebyshev.chebder(first))) / self.reach**2
        slope = self.half * (1.0 - share * share)  # dρ/du
        bend = -2.0 * share * slope  # d²ρ/du²
        derivative = f_u / slope
        return derivative, (f_uu - derivative * bend) / slope**2


def interpolate_log_determinant(
    evaluate: Callable[[float], float], bounds: tuple[float, float], n: int, method: str
) -> ChebyshevLogDeterminant:
    """Interpolant of `evaluate(ρ)` on `bounds`; nodes are doubled until the series has converged.

    Parameters
    ----------
    evaluate : exact ln|I − ρW| at one ρ.
    bounds : open admissible interval of ρ.
    n : number of regions; the accepted truncation is 1e-12·n, the size of rounding in a sum of n logs.
    """
    middle, half = (bounds[0] + bounds[1]) / 2.0, (bounds[1] - bounds[0]) / 2.0
    reach = float(np.arctanh(INNER_SHARE))
    known: dict[float, float] = {}

    def at(x: float) -> float:
        key = round(x, 14)
        if key not in known:
            known[key] = evaluate(middle + half * float(np.tanh(reach * x)))
        return known[key]

    nodes = 33
    while True:
        # Chebyshev points of the second kind are nested: doubling reuses every factorisation.
        points = np.cos(np.pi * np.arange(nodes) / (nodes - 1))
        values = np.array([at(float(x)) for x in points])
        coefficients = dct(values, type=1) / (nodes - 1)
        coefficients[0] /= 2.0
        coefficients[-1] /= 2.0
        tail = float(np.abs(coefficients[-4:]).max())
        if tail <= 1e-12 * max(n, 100) or 2 * nodes - 1 > MOST_NODES:
            break
        nodes = 2 * nodes - 1
    return ChebyshevLogDeterminant(
        coefficients=coefficients,
        middle=middle,
        half=half,
        reach=reach,
        interval=(middle - half * INNER_SHARE, middle + half * INNER_SHARE),
        method=f"{method} at {nodes} Chebyshev nodes",
        error=nodes * tail,
    )
