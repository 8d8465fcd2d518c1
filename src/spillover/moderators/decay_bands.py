"""A table of ranges read through band averages of a decay law: counts at midpoints, counts in intervals, sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats
from scipy.optimize import brentq, minimize_scalar

from spillover.errors import EstimationError
from spillover.moderators.decay_fits import DecayTableFit, JointDecayTableFit, half_distance, joint_fit
from spillover.moderators.kernels import Kernel
from spillover.moderators.range_table import RangeTable
from spillover.typing import FloatArray

_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(40)  # exact to rounding for e^−δd over one band
_DECAY_RANGE = (1e-5, 0.2)  # per km: half-distances from 3.5 km to 69,000 km
_CHI2_95 = float(stats.chi2.isf(0.05, 1))
_SHAPE_GRID = 41


@dataclass(frozen=True, eq=False)
class BandLaw:
    """Band averages of a law with scale 1.

    Attributes
    ----------
    average : (parameter, shape) → (b,) averages.
    admissible : where the parameter is searched.
    shapes : values of the shape that are tried; one for laws without a shape.
    """

    law: str
    average: Callable[[float, float], FloatArray]
    admissible: tuple[float, float]
    shapes: FloatArray


def band_law(table: RangeTable, law: str, averaging: str) -> BandLaw:
    """Averages of a law over the bands of a table; those of a power law exist below α = 1 (distance) or 2 (area)."""
    near, far = table.near, table.far
    if law == "power":
        top = {"distance": 0.999, "area": 1.999, "midpoint": 5.0}[averaging]
        return BandLaw(law, _power_average(table, averaging), (1e-3, top), np.zeros(1))
    kernel = Kernel(law)  # type: ignore[arg-type]
    shapes = np.zeros(1) if kernel.shapes is None else np.linspace(*kernel.shapes, _SHAPE_GRID)
    if averaging == "midpoint":
        return BandLaw(law, lambda p, s: kernel.value(table.midpoints, p, s), _DECAY_RANGE, shapes)
    nodes = near[:, None] + (far - near)[:, None] * (_NODES + 1.0) / 2.0
    weight = _NODE_WEIGHTS * nodes ** (1.0 if averaging == "area" else 0.0)
    weight = weight / weight.sum(axis=1, keepdims=True)
    return BandLaw(law, lambda p, s: np.sum(weight * kernel.value(nodes, p, s), axis=1), _DECAY_RANGE, shapes)


def _power_average(table: RangeTable, averaging: str) -> Callable[[float, float], FloatArray]:
    near, far = table.near, table.far
    if averaging == "midpoint":
        return lambda alpha, _: np.asarray(table.midpoints**-alpha)
    dimension = 2.0 if averaging == "area" else 1.0
    return lambda alpha, _: np.asarray(
        (dimension / (dimension - alpha))
        * (far ** (dimension - alpha) - near ** (dimension - alpha))
        / (far**dimension - near**dimension)
    )


# -- counts at midpoints ------------------------------------------------------------------------------


def fit_midpoints(table: RangeTable, law: BandLaw) -> DecayTableFit:
    """Poisson likelihood of the range middles (not whole numbers, so a quasi-likelihood); the scale is profiled out."""
    y = table.middles

    def loss(parameter: float, shape: float) -> float:
        average = law.average(parameter, shape)
        mean = np.maximum(y.sum() * average / average.sum(), 1e-300)
        return float(mean.sum() - y @ np.log(mean))

    best, shape = _minimise(loss, law)
    average = law.average(best, shape)
    scale = float(y.sum() / average.sum())
    mean = scale * average
    deviance = float(2.0 * np.sum(y * np.log(y / mean) - (y - mean)))
    statistics = {"deviance": deviance} | _wald_on_log(lambda p: loss(p, shape), best)
    return _banded_fit("midpoint", law, scale, best, shape, _profile_limits(loss, law, best), statistics, mean)


def _wald_on_log(loss: Callable[[float], float], best: float) -> dict[str, float]:
    """The interval that is symmetric in the log of the parameter, beside the profile one."""
    step = 1e-3
    around = [loss(best * np.exp(k * step)) for k in (-1, 0, 1)]
    bend = (around[0] - 2.0 * around[1] + around[2]) / step**2
    if not bend > 0:
        return {}
    reach = float(stats.norm.isf(0.025) / np.sqrt(bend))
    return {"wald_log_low": float(best * np.exp(-reach)), "wald_log_high": float(best * np.exp(reach))}


# -- counts in intervals ------------------------------------------------------------------------------


def _interval_loss(
    table: RangeTable, law: BandLaw, size: float | None, parameter: float, shape: float
) -> tuple[float, float]:
    """−log likelihood of P(low ≤ count ≤ high) maximised over the scale, and that scale."""
    average = np.maximum(law.average(parameter, shape), 1e-300)
    guess = table.middles.sum() / average.sum()

    def below(count: FloatArray, mean: FloatArray) -> FloatArray:
        if size is None:
            return np.asarray(stats.poisson.cdf(count, mean))
        return np.asarray(stats.nbinom.cdf(count, size, size / (size + mean)))

    def loss(log_scale: float) -> float:
        mean = np.exp(log_scale) * average
        inside = below(table.high, mean) - below(table.low - 1.0, mean)
        return float(-np.sum(np.log(np.maximum(inside, 1e-300))))

    found = minimize_scalar(
        loss, bounds=(np.log(guess) - 1.5, np.log(guess) + 1.5), method="bounded", options={"xatol": 1e-9}
    )
    return float(found.fun), float(np.exp(found.x))


def fit_intervals(table: RangeTable, law: BandLaw, size: float | None) -> DecayTableFit:
    """Poisson counts (negative binomial with `size`) that are known to lie in their ranges."""
    table.require_counts()

    def loss(parameter: float, shape: float) -> float:
        return _interval_loss(table, law, size, parameter, shape)[0]

    best, shape = _minimise(loss, law)
    value, scale = _interval_loss(table, law, size, best, shape)
    count = 2 + int(law.shapes.size > 1)
    statistics = {"log_likelihood": -value, "aic": 2.0 * (value + count)}
    limits = _profile_limits(loss, law, best)
    return _banded_fit("interval", law, scale, best, shape, limits, statistics, scale * law.average(best, shape))


def fit_joint_intervals(tables: Mapping[str, RangeTable]) -> JointDecayTableFit:
    """One exponential decay for several columns of counts in intervals."""
    for table in tables.values():
        table.require_counts()
    laws = {name: band_law(table, "exponential", "distance") for name, table in tables.items()}

    def loss(decay: float, shape: float) -> float:
        return sum(_interval_loss(table, laws[name], None, decay, shape)[0] for name, table in tables.items())

    law = next(iter(laws.values()))
    best, _ = _minimise(loss, law)
    low, high = _profile_limits(loss, law, best)
    if low is None or high is None:
        raise EstimationError("the joint decay of these columns has no closed interval")
    scales = tuple(_interval_loss(table, laws[name], None, best, 0.0)[1] for name, table in tables.items())
    return joint_fit("interval", tuple(tables), scales, best, None, (low, high), "profile likelihood, chi2(1)", None)


# -- identified set -----------------------------------------------------------------------------------


def fit_set(table: RangeTable, law: BandLaw) -> DecayTableFit:
    """Ends of {parameter: max_b low_b / g_b ≤ min_b high_b / g_b}: some scale puts every band inside its range."""

    def slack(parameter: float) -> float:
        return max(_slack(table, law.average(parameter, float(shape))) for shape in law.shapes)

    grid = np.geomspace(law.admissible[0], law.admissible[1], 2000 if law.shapes.size == 1 else 300)
    inside = np.flatnonzero([slack(float(p)) >= 0 for p in grid])
    if not inside.size:
        raise EstimationError(
            f"no {law.law} law has its band averages inside all ranges", fix='use reading="interval", or another law'
        )
    first, last = inside[0], inside[-1]
    low = float(brentq(slack, grid[first - 1], grid[first])) if first > 0 else None
    high = float(brentq(slack, grid[last], grid[last + 1])) if last < len(grid) - 1 else None
    return _in_words("set", law, None, None, 0.0, (low, high), "identified set, no distribution", {}, ())


def _slack(table: RangeTable, average: FloatArray) -> float:
    average = np.maximum(average, 1e-300)
    floor = float((table.low / average).max())
    ceiling = float((table.high / average).min())
    return np.inf if floor == 0 else float(np.log(ceiling) - np.log(floor))


# -- search -------------------------------------------------------------------------------------------

Loss = Callable[[float, float], float]


def _over_shapes(loss: Loss, law: BandLaw, parameter: float) -> tuple[float, float]:
    """(loss minimised over the shape, that shape)."""
    if law.shapes.size == 1:
        shape = float(law.shapes[0])
        return loss(parameter, shape), shape
    values = [loss(parameter, float(shape)) for shape in law.shapes]
    at = int(np.argmin(values))
    low, high = law.shapes[max(at - 1, 0)], law.shapes[min(at + 1, law.shapes.size - 1)]
    found = minimize_scalar(
        lambda s: loss(parameter, float(s)), bounds=(low, high), method="bounded", options={"xatol": 1e-6}
    )
    return (float(found.fun), float(found.x)) if found.fun < values[at] else (values[at], float(law.shapes[at]))


def _minimise(loss: Loss, law: BandLaw) -> tuple[float, float]:
    """(parameter, shape) of the minimum: a grid on the log of the parameter, then Brent around the best point."""
    grid = np.linspace(np.log(law.admissible[0]), np.log(law.admissible[1]), 60)
    best = int(np.argmin([_over_shapes(loss, law, float(np.exp(u)))[0] for u in grid]))
    if best in (0, len(grid) - 1):
        raise EstimationError(
            "the decay of this table has no estimate inside the admissible range",
            expected=f"a parameter between {law.admissible[0]:g} and {law.admissible[1]:g}",
            causes=("the values do not fall with distance", "they fall to nothing within the first band"),
        )
    found = minimize_scalar(
        lambda u: _over_shapes(loss, law, float(np.exp(u)))[0],
        bounds=(grid[best - 1], grid[best + 1]),
        method="bounded",
        options={"xatol": 1e-10},
    )
    parameter = float(np.exp(found.x))
    return parameter, _over_shapes(loss, law, parameter)[1]


def _profile_limits(loss: Loss, law: BandLaw, best: float) -> tuple[float | None, float | None]:
    """Where twice the loss has risen by the χ²(1) quantile; None on a side on which it never does."""
    target = _over_shapes(loss, law, best)[0] + _CHI2_95 / 2.0

    def gap(u: float) -> float:
        return _over_shapes(loss, law, float(np.exp(u)))[0] - target

    centre, ends = np.log(best), np.log(law.admissible)
    low = float(np.exp(brentq(gap, ends[0], centre))) if gap(ends[0]) > 0 else None
    high = float(np.exp(brentq(gap, centre, ends[1]))) if gap(ends[1]) > 0 else None
    return low, high


def _banded_fit(
    reading: str,
    law: BandLaw,
    scale: float,
    value: float,
    shape: float,
    limits: tuple[float | None, float | None],
    statistics: dict[str, float],
    fitted: FloatArray,
) -> DecayTableFit:
    return _in_words(
        reading, law, scale, value, shape, limits, "profile likelihood, chi2(1)", statistics, tuple(fitted.tolist())
    )


def _in_words(
    reading: str,
    law: BandLaw,
    scale: float | None,
    value: float | None,
    shape: float,
    limits: tuple[float | None, float | None],
    interval: str,
    statistics: dict[str, float],
    fitted: tuple[float, ...],
) -> DecayTableFit:
    """The result; the parameter of laws with a shape is their half-distance, whose limits change places."""
    low, high = limits
    halves: dict[str, Any] = {}
    if law.law != "power":
        halves = {
            "half_distance_km": None if value is None else half_distance(value),
            "half_low_km": half_distance(high) if high else None,
            "half_high_km": half_distance(low) if low else None,
        }
    parameter = {"power": "exponent", "exponential": "decay_per_km"}.get(law.law, "half_distance_km")
    if parameter == "half_distance_km":
        if value is not None:
            statistics = {**statistics, **Kernel(law.law).parameters(value, shape)}  # type: ignore[arg-type]
        value, low, high = halves["half_distance_km"], halves["half_low_km"], halves["half_high_km"]
    return DecayTableFit(
        reading=reading,
        law=law.law,
        scale=scale,
        parameter=parameter,
        value=value,
        std_error=None,
        low=low,
        high=high,
        interval=interval,
        statistics=statistics,
        fitted=fitted,
        **halves,
    )
