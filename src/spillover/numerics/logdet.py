"""ln|I − ρW| and its derivatives, by eigenvalues or by sparse factors at Chebyshev nodes.

The derivatives are the traces that everything else needs: with G = W(I − ρW)^{-1},
LD' = −tr G and LD'' = −tr G². Sources: Ord (1975) for the eigenvalues; Pace & Barry (1997) for
sparse factorisations. The Chebyshev variable is u with ρ = mid + half·tanh(u), because the
singularities of LD lie at the ends of the admissible interval: as a function of u, LD of a W with real
eigenvalues is analytic in the strip |Im u| < π/2, so that few nodes serve a short stretch of u.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.polynomial import chebyshev
from scipy.fft import dct

from spillover.numerics.quadrature import SpectralQuadrature
from spillover.typing import FloatArray

INNER_SHARE = 0.999  # tanh(u) at the outermost node; ρ beyond it counts as "at the bound"
MOST_NODES = 257
SHORT = 20  # nodes up to which the decline of the series is regular enough to be read off
STRETCH = 8.0  # half-width of a stretch of u, in units of 1/sqrt(n): about six standard errors of ρ
MOST_STRETCHES = 4
MOST_PROBES = 512


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
    """Interpolant in u = artanh((ρ − middle)/half) of log-determinants at Chebyshev nodes on |u − centre| ≤ reach."""

    coefficients: FloatArray
    middle: float
    half: float
    reach: float
    interval: tuple[float, float]
    method: str
    error: float
    centre: float = 0.0

    @cached_property
    def _slopes(self) -> tuple[FloatArray, FloatArray]:
        first = chebyshev.chebder(self.coefficients)
        return np.asarray(first / self.reach), np.asarray(chebyshev.chebder(first) / self.reach**2)

    def value(self, rho: FloatArray | float) -> FloatArray:
        """ln|I − ρW|; O(nodes) for each ρ inside `interval`."""
        u = np.arctanh((np.asarray(rho, dtype=float) - self.middle) / self.half)
        return np.asarray(chebyshev.chebval((u - self.centre) / self.reach, self.coefficients))

    def derivatives(self, rho: float) -> tuple[float, float]:
        """(−tr G, −tr G²) by the chain rule in u."""
        share = (rho - self.middle) / self.half
        x = (math.atanh(share) - self.centre) / self.reach
        first, second = self._slopes
        f_u, f_uu = float(chebyshev.chebval(x, first)), float(chebyshev.chebval(x, second))
        slope = self.half * (1.0 - share * share)  # dρ/du
        bend = -2.0 * share * slope  # d²ρ/du²
        derivative = f_u / slope
        return derivative, (f_uu - derivative * bend) / slope**2


def interpolate_log_determinant(
    evaluate: Callable[[float], float],
    bounds: tuple[float, float],
    n: int,
    method: str,
    *,
    share: float = 1e-12,
    nodes: int = 33,
    stretch: tuple[float, float] | None = None,
) -> ChebyshevLogDeterminant:
    """Interpolant of `evaluate(ρ)`; nodes are doubled until the series has converged.

    Parameters
    ----------
    evaluate : exact ln|I − ρW| at one ρ.
    bounds : open admissible interval of ρ.
    n : number of regions.
    share : accepted truncation per region; 1e-12·n is the size of rounding in a sum of n logs.
    nodes : number of nodes to begin with.
    stretch : (centre, reach) in u; the whole of `bounds` by default.
    """
    middle, half = (bounds[0] + bounds[1]) / 2.0, (bounds[1] - bounds[0]) / 2.0
    centre, reach = stretch or (0.0, float(np.arctanh(INNER_SHARE)))
    known: dict[float, float] = {}

    def at(x: float) -> float:
        key = round(x, 14)
        if key not in known:
            known[key] = evaluate(middle + half * float(np.tanh(centre + reach * x)))
        return known[key]

    while True:
        # Chebyshev points of the second kind are nested: doubling reuses every factorisation.
        points = np.cos(np.pi * np.arange(nodes) / (nodes - 1))
        values = np.array([at(float(x)) for x in points])
        coefficients = dct(values, type=1) / (nodes - 1)
        coefficients[0] /= 2.0
        coefficients[-1] /= 2.0
        tail = _tail(coefficients)
        if tail <= share * max(n, 100) or 2 * nodes - 1 > MOST_NODES:
            break
        nodes = 2 * nodes - 1
    ends = middle + half * np.tanh([centre - reach, centre + reach])
    return ChebyshevLogDeterminant(
        coefficients=coefficients,
        middle=middle,
        half=half,
        reach=reach,
        interval=(float(ends[0]), float(ends[1])),
        method=f"{method} at {nodes} Chebyshev nodes",
        error=nodes * tail,
        centre=centre,
    )


def _tail(coefficients: FloatArray) -> float:
    """Size of what a Chebyshev series leaves out: its last terms, times their rate of decline in a short series."""
    size = np.maximum(np.abs(coefficients), 2e-16 * np.abs(coefficients).max())
    if size.size > SHORT:
        return float(size[-4:].max())
    decline = (size[-1] / size[1]) ** (1.0 / (size.size - 2)) if size[1] > 0 else 0.0
    return float(max(size[-1], size[-2] * decline) * min(decline, 1.0))


@dataclass(eq=False)
class LocalLogDeterminant:
    """Exact log-determinants for any ρ, factorised only where a search has led; for large n.

    A maximum of a likelihood with n regions is known to about 1/√n before anything is factorised, from `rough`.
    A stretch of u that wide needs five to nine exact factorisations. Stretches lie on a fixed lattice of u, and are
    kept; after `MOST_STRETCHES` of them one interpolant of the whole interval takes over.

    Attributes
    ----------
    evaluate : exact ln|I − ρW| at one ρ.
    bounds : open admissible interval of ρ.
    backend : what factorises, in words.
    symmetric : W is similar to a symmetric matrix.
    rough : an inexact log-determinant of the whole interval, to find where to be exact.
    """

    evaluate: Callable[[float], float]
    bounds: tuple[float, float]
    n: int
    backend: str
    symmetric: bool
    rough: LogDeterminant
    interval: tuple[float, float] = field(init=False)
    _stretches: list[ChebyshevLogDeterminant] = field(default_factory=list)
    _whole: ChebyshevLogDeterminant | None = None

    def __post_init__(self) -> None:
        self._middle = (self.bounds[0] + self.bounds[1]) / 2.0
        self._half = (self.bounds[1] - self.bounds[0]) / 2.0
        self.interval = (self._middle - INNER_SHARE * self._half, self._middle + INNER_SHARE * self._half)
        self._reach = float(np.clip(STRETCH / np.sqrt(self.n), 0.01, 0.5))

    @property
    def method(self) -> str:
        """How it is computed, in words."""
        if self._whole is not None:
            return self._whole.method
        nodes = sum(stretch.coefficients.size for stretch in self._stretches)
        return f"{self.backend} at {nodes} Chebyshev nodes" if nodes else self.backend

    @property
    def error(self) -> float:
        """Bound on the absolute error of the values computed so far."""
        if self._whole is not None:
            return self._whole.error
        return max((stretch.error for stretch in self._stretches), default=0.0)

    def value(self, rho: FloatArray | float) -> FloatArray:
        """ln|I − ρW|, elementwise; one stretch of nodes for each new part of the interval."""
        grid = np.asarray(rho, dtype=float)
        if grid.ndim == 0:
            return self._covering(float(grid)).value(grid)
        if grid.size > MOST_STRETCHES:
            ends = (self._covering(float(end)) for end in (grid.min(), grid.max()))
            if len({id(end) for end in ends}) > 1:
                return self._everywhere().value(grid)
        return np.array([float(self._covering(float(r)).value(r)) for r in grid.ravel()]).reshape(grid.shape)

    def derivatives(self, rho: float) -> tuple[float, float]:
        """(−tr G, −tr G²) at ρ."""
        return self._covering(rho).derivatives(rho)

    def _covering(self, rho: float) -> ChebyshevLogDeterminant:
        if self._whole is not None:
            return self._whole
        u = math.atanh((rho - self._middle) / self._half)
        for stretch in self._stretches:
            if abs(u - stretch.centre) <= stretch.reach:
                return stretch
        if len(self._stretches) == MOST_STRETCHES:
            return self._everywhere()
        stretch = self._build(round(u / self._reach) * self._reach)
        self._stretches.append(stretch)
        return stretch

    def _build(self, centre: float) -> ChebyshevLogDeterminant:
        wide = (math.pi / 2 if self.symmetric else math.pi / 4) / self._reach
        rate = wide + math.sqrt(1.0 + wide * wide)
        nodes = next(q for q in range(5, MOST_NODES) if rate**-q <= 1e-13 * q)
        return interpolate_log_determinant(
            self.evaluate, self.bounds, self.n, self.backend, nodes=nodes, stretch=(centre, self._reach)
        )

    def _everywhere(self) -> ChebyshevLogDeterminant:
        if self._whole is None:
            self._whole = interpolate_log_determinant(self.evaluate, self.bounds, self.n, self.backend)
        return self._whole


@dataclass(eq=False)
class StochasticLogDeterminant:
    """Lanczos or Arnoldi quadrature with control variates, for W whose factors would fill up; never exact.

    Attributes
    ----------
    quadrature : the probes so far.
    draw : (number of probes, number drawn before) → more probes.
    interval : closed interval of ρ that may be searched.
    backend : the kind of quadrature, in words.
    """

    quadrature: SpectralQuadrature
    draw: Callable[[int, int], SpectralQuadrature]
    interval: tuple[float, float]
    backend: str

    @property
    def method(self) -> str:
        """How it is computed, in words."""
        return f"{self.backend} with control variates, {self.quadrature.probes} probes"

    @property
    def error(self) -> float:
        """The standard error of the value nine tenths of the way to the end of the interval."""
        return max(self.standard_error(0.9 * end) for end in self.interval)

    def value(self, rho: FloatArray | float) -> FloatArray:
        """An estimate of ln|I − ρW|, elementwise and smooth in ρ."""
        grid = np.asarray(rho, dtype=float)
        return np.array([self._at(float(r))[0] for r in grid.ravel()]).reshape(grid.shape)

    def derivatives(self, rho: float) -> tuple[float, float]:
        """Estimates of (−tr G, −tr G²); the derivatives of `value`."""
        first = self.quadrature.sums(lambda x: x / (1.0 - rho * x))[0]
        return -first, -self.quadrature.sums(lambda x: (x / (1.0 - rho * x)) ** 2)[0]

    def standard_error(self, rho: float) -> float:
        """The standard error of `value` at ρ, between probes."""
        return self._at(rho)[1]

    def _at(self, rho: float) -> tuple[float, float]:
        return self.quadrature.sums(lambda x: np.log(1.0 - rho * x))

    def trace_error(self, rho: float) -> float:
        """The standard error of tr G at ρ, between probes."""
        return self.quadrature.sums(lambda x: x / (1.0 - rho * x))[1]

    def sharpen(self) -> bool:
        """Twice as many probes; False when there are as many as allowed."""
        probes = self.quadrature.probes
        if 2 * probes > MOST_PROBES:
            return False
        self.quadrature = self.quadrature.extended(self.draw(probes, probes))
        return True
