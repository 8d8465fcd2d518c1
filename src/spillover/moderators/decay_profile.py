"""The profile likelihood of a law of decay: where it is highest, and how far around it is not much lower."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.optimize import brentq, minimize_scalar

from spillover.moderators.kernels import Kernel
from spillover.typing import FloatArray, Progress

GRID = 25
SHAPES = 7
_LEAST_SPREAD = 1e-6

Likelihood = Callable[[float, float], float]
"""(rate, shape) → ℓ maximised over all other parameters."""


@dataclass(frozen=True, eq=False)
class Profile:
    """The profile over the rate.

    Attributes
    ----------
    kernel : the law.
    rate, shape : where ℓ is highest.
    value : ℓ there.
    rates, values, shapes : (g,) the grid that was searched, increasing in the rate, ℓ and the best shape at each.
    limits : of the rates that were searched.
    evaluations : of the likelihood.
    """

    kernel: Kernel
    rate: float
    shape: float
    value: float
    rates: FloatArray
    values: FloatArray
    shapes: FloatArray
    limits: tuple[float, float]
    evaluations: int

    @property
    def half_distance(self) -> float:
        """In km."""
        return self.kernel.half_distance(self.rate)

    @property
    def at_edge(self) -> bool:
        """Whether ℓ was still rising at an end of the search."""
        ends = np.log(self.limits)
        return bool(np.min(np.abs(np.log(self.rate) - ends)) < 1e-4 * (ends[1] - ends[0]))

    @property
    def halves(self) -> FloatArray:
        """(g,) half-distances of the grid."""
        return np.array([self.kernel.half_distance(float(rate)) for rate in self.rates])


@dataclass(frozen=True)
class Interval:
    """Limits of the rate; None where it is open.

    single : whether the set of rates that are not rejected is one interval; otherwise the limits are its hull.
    """

    low: float | None
    high: float | None
    level: float
    method: str
    single: bool = True

    def contains(self, rate: float) -> bool:
        """Whether a rate is inside."""
        return (self.low is None or rate >= self.low) and (self.high is None or rate <= self.high)


class ProfileSearch:
    """ℓ_p(rate) with the shape profiled out, remembered."""

    def __init__(self, likelihood: Likelihood, kernel: Kernel) -> None:
        self.kernel = kernel
        self.evaluations = 0
        self._likelihood = likelihood
        self._known: dict[float, tuple[float, float]] = {}

    def at(self, log_rate: float) -> tuple[float, float]:
        """(ℓ maximised over the shape, that shape)."""
        if log_rate not in self._known:
            self._known[log_rate] = self._over_shapes(float(np.exp(log_rate)))
        return self._known[log_rate]

    def value(self, log_rate: float) -> float:
        """ℓ maximised over the shape."""
        return self.at(log_rate)[0]

    def _evaluate(self, rate: float, shape: float) -> float:
        self.evaluations += 1
        return self._likelihood(rate, shape)

    def _over_shapes(self, rate: float) -> tuple[float, float]:
        if self.kernel.shapes is None:
            return self._evaluate(rate, 0.0), 0.0
        low, high = self.kernel.shapes
        grid = np.linspace(np.sqrt(low), np.sqrt(high), SHAPES) ** 2
        grid = np.unique(np.append(grid, self.kernel.plain_shape))
        values = [self._evaluate(rate, float(shape)) for shape in grid]
        best = int(np.argmax(values))
        bounds = (float(grid[max(best - 1, 0)]), float(grid[min(best + 1, grid.size - 1)]))
        found = minimize_scalar(
            lambda s: -self._evaluate(rate, float(s)), bounds=bounds, method="bounded", options={"xatol": 1e-4}
        )
        if -found.fun > values[best]:
            return float(-found.fun), float(found.x)
        return float(values[best]), float(grid[best])

    def maximise(self, limits: tuple[float, float], progress: Progress) -> Profile:
        """A grid on the log of the rate, because ℓ_p can have several maxima, then Brent around the best point."""
        grid = np.linspace(np.log(limits[0]), np.log(limits[1]), GRID)
        values, shapes = np.empty(GRID), np.empty(GRID)
        for i, u in enumerate(grid):
            values[i], shapes[i] = self.at(float(u))
            progress("searching the decay", 0.6 * (i + 1) / GRID)
        best = int(np.argmax(values))
        bounds = (float(grid[max(best - 1, 0)]), float(grid[min(best + 1, GRID - 1)]))
        found = minimize_scalar(
            lambda u: -self.value(float(u)), bounds=bounds, method="bounded", options={"xatol": 1e-7}
        )
        top = float(found.x) if -found.fun >= values[best] else float(grid[best])
        value, shape = self.at(top)
        progress("found the decay", 0.7)
        return Profile(
            kernel=self.kernel,
            rate=float(np.exp(top)),
            shape=shape,
            value=value,
            rates=np.exp(grid),
            values=values,
            shapes=shapes,
            limits=limits,
            evaluations=self.evaluations,
        )

    def interval(self, profile: Profile, level: float) -> Interval:
        """{rate : 2[ℓ_p(max) − ℓ_p(rate)] ≤ χ²(1) quantile}, by root finding; open where the search ends inside it.

        Where the grid shows several stretches the limits are those of their hull.
        """
        drop = float(stats.chi2.isf(1.0 - level, 1)) / 2.0
        target = profile.value - drop
        grid, values = np.log(profile.rates), profile.values
        inside = np.flatnonzero(values >= target)
        top = float(np.log(profile.rate))
        first = min(float(grid[inside[0]]), top) if inside.size else top
        last = max(float(grid[inside[-1]]), top) if inside.size else top
        low = self._crossing(grid[grid < first], first, target, rising=True)
        high = self._crossing(grid[grid > last], last, target, rising=False)
        between = (grid >= first) & (grid <= last)
        single = bool((values[between] >= target).all())
        return Interval(
            None if low is None else float(np.exp(low)),
            None if high is None else float(np.exp(high)),
            level,
            "profile likelihood, chi2(1)",
            single,
        )

    def _crossing(self, outside: FloatArray, inner: float, target: float, *, rising: bool) -> float | None:
        """Where ℓ_p crosses the target between the last point inside and the next grid point; None without one."""
        if not outside.size:
            return None
        outer = float(outside[-1] if rising else outside[0])
        if abs(outer - inner) < _LEAST_SPREAD:
            return inner
        return float(brentq(lambda u: self.value(float(u)) - target, *sorted((outer, inner)), xtol=1e-7))
