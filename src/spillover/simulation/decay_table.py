"""How fast a quantity falls with distance, from a table of ranges by distance band.

The ranges of such a table can be read in five ways; each is an estimator of its own, with its own uncertainty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from scipy import stats
from scipy.optimize import brentq, least_squares, minimize_scalar

from spillover.errors import EstimationError, OptionError, check_option
from spillover.typing import FloatArray

Reading = Literal["edge", "midpoint", "interval", "set", "ring"]
Law = Literal["exponential", "power", "shifted", "stretched"]
Averaging = Literal["distance", "area", "midpoint"]

READINGS = ("edge", "midpoint", "interval", "set", "ring")
LAWS = ("exponential", "power", "shifted", "stretched")

_NODES, _NODE_WEIGHTS = np.polynomial.legendre.leggauss(40)  # exact to rounding for e^-δd over one band
_DECAY_RANGE = (1e-5, 0.2)  # per km: half-distances from 3.5 km to 69,000 km
_CHI2_95 = float(stats.chi2.isf(0.05, 1))


@dataclass(frozen=True)
class DecayFit:
    """A decay law fitted to a table.

    Attributes
    ----------
    reading, law : what was asked for.
    scale : a, the value at distance 0 (pure power: at 1 km), in the unit of the table; None for the set reading.
    parameter : "decay_per_km" (δ) or "exponent" (α).
    value : its point estimate; None for the set reading, which has none.
    std_error : of `value`, None where only an interval exists.
    low, high : 95 % interval of the parameter, or the ends of the identified set.
    interval : how the interval was obtained, in words.
    half_distance_km, half_low_km, half_high_km : ln 2 / δ with its interval; None for a power law.
    statistics : further numbers: r_squared, rss, residual_se, deviance, aic, shape, …
    fitted : fitted values where the reading has points.
    label : what these numbers are.
    """

    reading: str
    law: str
    scale: float | None
    parameter: str
    value: float | None
    std_error: float | None
    low: float | None
    high: float | None
    interval: str
    half_distance_km: float | None = None
    half_low_km: float | None = None
    half_high_km: float | None = None
    statistics: Mapping[str, float] = field(default_factory=dict)
    fitted: tuple[float, ...] = ()
    label: str = "calibration, not evidence"

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**vars(self), "statistics": dict(self.statistics), "fitted": list(self.fitted)}


@dataclass(frozen=True)
class JointDecayFit:
    """One decay common to several columns of a table, each with its own scale.

    `intercepts` are the values at distance 0, one per column; the other fields are as in `DecayFit`. The interval
    treats the columns as independent; columns that move together carry less information than it says.
    """

    reading: str
    columns: tuple[str, ...]
    intercepts: tuple[float, ...]
    decay_per_km: float
    std_error: float | None
    low: float
    high: float
    interval: str
    half_distance_km: float
    half_low_km: float
    half_high_km: float
    residual_correlation: float | None
    label: str = "calibration, not evidence"

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**vars(self), "columns": list(self.columns), "intercepts": list(self.intercepts)}


def fit_decay_table(
    bands: Sequence[tuple[float, float]],
    low: Sequence[float],
    high: Sequence[float],
    reading: Reading = "edge",
    law: Law = "exponential",
    averaging: Averaging | None = None,
) -> DecayFit:
    """Fit a decay law to ranges by distance band.

    Parameters
    ----------
    bands : (nearest, farthest) km of each of b ≥ 3 bands, adjacent and increasing.
    low, high : (b,) the range of the quantity in each band, 0 < low < high.
    reading : how the ranges are read
        "edge" : values of a decreasing function at the band edges; the ranges must tile (the upper end of a band
        is the lower end of the next nearer one). Least squares on logs, t interval.
        "midpoint" : one Poisson count per band at the middle of its range, whose mean is the band average of the law.
        "interval" : one Poisson count per band, known only to lie in its range; profile-likelihood interval.
        "set" : all decays for which some scale puts the band averages inside all ranges; no distribution.
        "ring" : totals of a whole ring, divided by its area; log-log slope of the density over ring midpoints.
    law : "exponential" a e^(−δd); "power" a d^(−α), which leaves out d = 0; "shifted" a (1 + d/d0)^(−α) and
        "stretched" a e^(−(δd)^κ), both for the edge reading only.
    averaging : how a band average is taken for the "midpoint", "interval" and "set" readings: over "distance", over
        "area" (of the ring), or as the value at the "midpoint" of the band. By default over distance, and at midpoints
        for the power law, whose average over the first band is infinite from α = 1 (area: 2) on.

    Raises
    ------
    OptionError : an unknown or impossible combination, or a table that cannot be read this way.
    EstimationError : no admissible solution.

    Examples
    --------
    >>> bands = [(0, 50), (50, 100), (100, 200), (200, 300)]
    >>> fit = fit_decay_table(bands, [50, 30, 15, 5], [80, 50, 30, 15])
    >>> round(fit.value, 5), round(fit.half_distance_km, 1)
    (0.00899, 77.1)
    """
    check_option("reading", reading, READINGS)
    check_option("law", law, LAWS)
    averaging = averaging or ("midpoint" if law == "power" else "distance")
    check_option("averaging", averaging, ("distance", "area", "midpoint"))
    table = read_table(bands, low, high)
    if law in ("shifted", "stretched") and reading != "edge":
        raise OptionError(
            f"the {law} law has more parameters than the {reading!r} reading can carry",
            expected='reading="edge" for "shifted" and "stretched"',
        )
    if reading == "edge":
        return _fit_edges(table, law)
    if reading == "ring":
        return _fit_rings(table)
    estimator = {"midpoint": _fit_midpoints, "interval": _fit_intervals, "set": _fit_set}[reading]
    return estimator(table, law, _band_average(table, law, averaging), _parameter_range(law, averaging))


def fit_joint_decay(
    bands: Sequence[tuple[float, float]],
    columns: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    reading: Literal["edge", "interval"] = "edge",
) -> JointDecayFit:
    """One exponential decay for several columns (name → low, high), read at the edges or as intervals.

    The t interval of the edge reading counts every point of every column as independent. `residual_correlation`
    says how far that is from true for two columns.
    """
    check_option("reading", reading, ("edge", "interval"))
    tables = {name: read_table(bands, low, high) for name, (low, high) in columns.items()}
    return _joint_edges(tables) if reading == "edge" else _joint_intervals(tables)


# -- the table ----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class DecayTable:
    """A checked table: band edges (b + 1,) in km, low and high (b,)."""

    edges: FloatArray
    low: FloatArray
    high: FloatArray

    @property
    def midpoints(self) -> FloatArray:
        """(b,) middle of each band, km."""
        return (self.edges[:-1] + self.edges[1:]) / 2.0

    @property
    def middles(self) -> FloatArray:
        """(b,) middle of each range."""
        return (self.low + self.high) / 2.0

    def edge_values(self) -> FloatArray:
        """(b + 1,) values at the edges when the ranges tile; `OptionError` when they do not."""
        if not np.array_equal(self.low[:-1], self.high[1:]):
            raise OptionError(
                "these ranges cannot be read as values at the band edges",
                got=", ".join(f"{a:g}–{b:g}" for a, b in zip(self.low, self.high, strict=True)),
                expected="the upper end of each band equal to the lower end of the next nearer band",
                fix='use reading="interval" or "midpoint"',
            )
        return np.concatenate([self.high[:1], self.low])


def read_table(bands: Sequence[tuple[float, float]], low: Sequence[float], high: Sequence[float]) -> DecayTable:
    """Check a table and turn it into arrays; every problem is reported at once."""
    problems = []
    try:
        pairs = np.asarray(bands, dtype=float)
        lows, highs = np.asarray(low, dtype=float), np.asarray(high, dtype=float)
    except (TypeError, ValueError):
        raise OptionError(
            "this is not a table of ranges by distance band",
            got=f"bands {bands!r}, low {low!r}, high {high!r}",
            expected="numbers: one (nearest, farthest) pair, one low and one high value per band",
        ) from None
    if pairs.ndim != 2 or pairs.shape[1] != 2 or len(pairs) < 3:
        problems.append(f"bands of shape {pairs.shape}: at least three (nearest, farthest) pairs are needed")
    elif not np.isfinite(pairs).all() or (pairs < 0).any() or (pairs[:, 0] >= pairs[:, 1]).any():
        problems.append("bands are finite distances, nearest below farthest")
    elif not np.array_equal(pairs[1:, 0], pairs[:-1, 1]):
        problems.append("bands are adjacent and increasing")
    if lows.shape != (len(pairs),) or highs.shape != (len(pairs),):
        problems.append(f"{len(pairs)} bands but {lows.size} low and {highs.size} high values")
    elif not (np.isfinite(lows).all() and np.isfinite(highs).all() and (lows > 0).all() and (lows < highs).all()):
        problems.append("ranges are finite, with 0 < low < high")
    if problems:
        raise OptionError("this is not a table of ranges by distance band", got="; ".join(problems))
    return DecayTable(np.append(pairs[:, 0], pairs[-1, 1]), lows, highs)


def _half(decay: float) -> float:
    return float(np.log(2.0) / decay)


# -- edge reading -------------------------------------------------------------------------------------


def _fit_edges(table: DecayTable, law: str) -> DecayFit:
    distance, values = table.edges, table.edge_values()
    if law == "power":
        beyond = distance > 0
        return _log_regression("edge", law, np.log(distance[beyond]), values[beyond])
    if law == "exponential":
        return _log_regression("edge", law, distance, values)
    return _nonlinear_edges(distance, values, law)


def _log_regression(reading: str, law: str, x: FloatArray, values: FloatArray) -> DecayFit:
    """ln(value) = ln a − slope · x by least squares, with a t interval."""
    y, df = np.log(values), len(x) - 2
    deviation = x - x.mean()
    slope = float(deviation @ y / (deviation @ deviation))
    fitted = y.mean() + slope * deviation
    rss = float(np.sum((y - fitted) ** 2))
    error = float(np.sqrt(rss / df / (deviation @ deviation)))
    reach = float(stats.t.isf(0.025, df)) * error
    low, high = -slope - reach, -slope + reach
    halves: dict[str, Any] = {}
    if law == "exponential":
        halves = {
            "half_distance_km": _half(-slope),
            "half_low_km": _half(high),
            "half_high_km": _half(low) if low > 0 else None,
        }
    return DecayFit(
        reading=reading,
        law=law,
        scale=float(np.exp(y.mean() - slope * x.mean())),
        parameter="decay_per_km" if law == "exponential" else "exponent",
        value=-slope,
        std_error=error,
        low=low,
        high=high,
        interval=f"t({df}), least squares on logs",
        statistics={
            "r_squared": 1.0 - rss / float(np.sum((y - y.mean()) ** 2)),
            "rss": rss,
            "residual_se": float(np.sqrt(rss / df)),
            "rmse": float(np.sqrt(rss / len(x))),
        },
        fitted=tuple(np.exp(fitted).tolist()),
        **halves,
    )


def _nonlinear_edges(distance: FloatArray, values: FloatArray, law: str) -> DecayFit:
    """Shifted power or stretched exponential on logs; both contain the exponential law as a limit or at κ = 1.

    The shifted law is written with δ = α/d0 and 1/d0, so that the exponential limit d0 → ∞ is the point 1/d0 = 0.
    """
    y = np.log(values)
    start = _log_regression("edge", "exponential", distance, values)
    log_scale, decay = np.log(start.scale or 1.0), float(start.value or 0.01)

    def predict(theta: FloatArray) -> FloatArray:
        if law == "stretched":
            return np.asarray(theta[0] - (np.exp(theta[1]) * distance) ** np.exp(theta[2]))
        curvature = theta[2]
        if curvature < 1e-9:
            return np.asarray(theta[0] - np.exp(theta[1]) * distance)
        return np.asarray(theta[0] - np.exp(theta[1]) / curvature * np.log1p(curvature * distance))

    third = 0.0 if law == "stretched" else 1e-3
    bounds = ([-np.inf, -np.inf, -5.0 if law == "stretched" else 0.0], np.inf)
    solution = least_squares(
        lambda theta: predict(theta) - y, [log_scale, np.log(decay), third], bounds=bounds, xtol=1e-14, ftol=1e-14
    )
    if not solution.success:
        raise EstimationError(f"the {law} law did not converge on this table", got=str(solution.message))
    rss = float(2.0 * solution.cost)
    decay = float(np.exp(solution.x[1]))
    shape = float(np.exp(solution.x[2])) if law == "stretched" else float(solution.x[2])
    return DecayFit(
        reading="edge",
        law=law,
        scale=float(np.exp(solution.x[0])),
        parameter="decay_per_km",
        value=decay,
        std_error=None,
        low=None,
        high=None,
        interval="none: three parameters on five points",
        half_distance_km=_half_distance_of(law, decay, shape),
        statistics={"rss": rss, "shape" if law == "stretched" else "inverse_d0_per_km": shape},
        fitted=tuple(np.exp(predict(solution.x)).tolist()),
    )


def _half_distance_of(law: str, decay: float, shape: float) -> float:
    if law == "stretched":
        return float(np.log(2.0) ** (1.0 / shape) / decay)
    return _half(decay) if shape < 1e-9 else float(np.expm1(shape / decay * np.log(2.0)) / shape)


def _joint_edges(tables: Mapping[str, DecayTable]) -> JointDecayFit:
    y = [np.log(table.edge_values()) for table in tables.values()]
    x = [table.edges for table in tables.values()]
    deviations = [column - column.mean() for column in x]
    squares = sum(float(d @ d) for d in deviations)
    decay = -sum(float(d @ column) for d, column in zip(deviations, y, strict=True)) / squares
    residuals = [b - b.mean() + decay * d for d, b in zip(deviations, y, strict=True)]
    df = sum(len(column) for column in y) - len(y) - 1
    error = float(np.sqrt(sum(float(r @ r) for r in residuals) / df / squares))
    reach = float(stats.t.isf(0.025, df)) * error
    correlation = float(np.corrcoef(residuals[0], residuals[1])[0, 1]) if len(y) == 2 else None
    intercepts = tuple(float(np.exp(b.mean() + decay * a.mean())) for a, b in zip(x, y, strict=True))
    return _joint("edge", tables, intercepts, decay, error, (decay - reach, decay + reach), f"t({df})", correlation)


def _joint(
    reading: str,
    tables: Mapping[str, DecayTable],
    intercepts: tuple[float, ...],
    decay: float,
    error: float | None,
    limits: tuple[float, float],
    interval: str,
    correlation: float | None,
) -> JointDecayFit:
    return JointDecayFit(
        reading=reading,
        columns=tuple(tables),
        intercepts=intercepts,
        decay_per_km=decay,
        std_error=error,
        low=limits[0],
        high=limits[1],
        interval=interval,
        half_distance_km=_half(decay),
        half_low_km=_half(limits[1]),
        half_high_km=_half(limits[0]),
        residual_correlation=correlation,
    )


# -- band averages ------------------------------------------------------------------------------------


def _band_average(table: DecayTable, law: str, averaging: str) -> Callable[[float], FloatArray]:
    """g(parameter) → (b,) average of the law with scale 1 over each band."""
    near, far = table.edges[:-1], table.edges[1:]
    if averaging == "midpoint":
        middle = table.midpoints
        return (lambda alpha: middle**-alpha) if law == "power" else (lambda decay: np.exp(-decay * middle))
    dimension = 2.0 if averaging == "area" else 1.0
    if law == "power":
        return lambda alpha: (
            (dimension / (dimension - alpha))
            * (far ** (dimension - alpha) - near ** (dimension - alpha))
            / (far**dimension - near**dimension)
        )
    nodes = near[:, None] + (far - near)[:, None] * (_NODES + 1.0) / 2.0
    weight = _NODE_WEIGHTS * nodes ** (dimension - 1.0)
    weight = weight / weight.sum(axis=1, keepdims=True)
    return lambda decay: np.sum(weight * np.exp(-decay * nodes), axis=1)


def _parameter_range(law: str, averaging: str) -> tuple[float, float]:
    """Where the parameter is searched; band averages of a power law exist below α = 1 (distance) or 2 (area)."""
    if law != "power":
        return _DECAY_RANGE
    return 1e-3, {"distance": 0.999, "area": 1.999, "midpoint": 5.0}[averaging]


# -- midpoint reading ---------------------------------------------------------------------------------


def _fit_midpoints(
    table: DecayTable, law: str, average: Callable[[float], FloatArray], admissible: tuple[float, float]
) -> DecayFit:
    """Poisson likelihood of the range middles (not whole numbers, so a quasi-likelihood); the scale is profiled out."""
    y = table.middles

    def loss(parameter: float) -> float:
        mean = y.sum() * average(parameter) / average(parameter).sum()
        return float(mean.sum() - y @ np.log(mean))

    best = _minimise(loss, admissible)
    limits = _profile_limits(loss, best, admissible)
    shape = average(best)
    scale = float(y.sum() / shape.sum())
    mean = scale * shape
    deviance = float(2.0 * np.sum(y * np.log(y / mean) - (y - mean)))
    statistics = {"deviance": deviance} | _wald_on_log(loss, best)
    return _banded_fit("midpoint", law, scale, best, limits, statistics, tuple(mean.tolist()))


def _banded_fit(
    reading: str,
    law: str,
    scale: float,
    value: float,
    limits: tuple[float | None, float | None],
    statistics: dict[str, float],
    fitted: tuple[float, ...],
) -> DecayFit:
    low, high = limits
    exponential = law == "exponential"
    return DecayFit(
        reading=reading,
        law=law,
        scale=scale,
        parameter="decay_per_km" if exponential else "exponent",
        value=value,
        std_error=None,
        low=low,
        high=high,
        interval="profile likelihood, chi2(1)",
        half_distance_km=_half(value) if exponential else None,
        half_low_km=_half(high) if exponential and high else None,
        half_high_km=_half(low) if exponential and low else None,
        statistics=statistics,
        fitted=fitted,
    )


def _wald_on_log(loss: Callable[[float], float], best: float) -> dict[str, float]:
    """The interval that is symmetric in the log of the parameter, beside the profile one."""
    step = 1e-3
    around = [loss(best * np.exp(k * step)) for k in (-1, 0, 1)]
    error = 1.0 / np.sqrt((around[0] - 2.0 * around[1] + around[2]) / step**2)
    reach = float(stats.norm.isf(0.025) * error)
    return {"wald_log_low": float(best * np.exp(-reach)), "wald_log_high": float(best * np.exp(reach))}


def _minimise(loss: Callable[[float], float], limits: tuple[float, float]) -> float:
    """Minimum over a positive parameter: a grid on its log, then Brent around the best point."""
    grid = np.linspace(np.log(limits[0]), np.log(limits[1]), 60)
    best = int(np.argmin([loss(float(np.exp(u))) for u in grid]))
    if best in (0, len(grid) - 1):
        raise EstimationError(
            "the decay of this table has no estimate inside the admissible range",
            expected=f"a parameter between {limits[0]:g} and {limits[1]:g}",
            causes=("the values do not fall with distance", "they fall to nothing within the first band"),
        )
    found = minimize_scalar(
        lambda u: loss(float(np.exp(u))),
        bounds=(grid[best - 1], grid[best + 1]),
        method="bounded",
        options={"xatol": 1e-10},
    )
    return float(np.exp(found.x))


def _profile_limits(
    loss: Callable[[float], float], best: float, limits: tuple[float, float]
) -> tuple[float | None, float | None]:
    """Where twice the loss has risen by the χ²(1) quantile; None on a side on which it never does."""
    target = loss(best) + _CHI2_95 / 2.0

    def gap(u: float) -> float:
        return loss(float(np.exp(u))) - target

    centre, ends = np.log(best), np.log(limits)
    low = float(np.exp(brentq(gap, ends[0], centre))) if gap(ends[0]) > 0 else None
    high = float(np.exp(brentq(gap, centre, ends[1]))) if gap(ends[1]) > 0 else None
    return low, high


# -- interval reading ---------------------------------------------------------------------------------


def _interval_loss(table: DecayTable, average: Callable[[float], FloatArray], parameter: float) -> tuple[float, float]:
    """−log likelihood of P(low ≤ count ≤ high) maximised over the scale, and that scale."""
    shape = average(parameter)
    guess = table.middles.sum() / shape.sum()

    def loss(log_scale: float) -> float:
        mean = np.exp(log_scale) * shape
        inside = stats.poisson.cdf(table.high, mean) - stats.poisson.cdf(table.low - 1.0, mean)
        return float(-np.sum(np.log(np.maximum(inside, 1e-300))))

    found = minimize_scalar(
        loss, bounds=(np.log(guess) - 1.5, np.log(guess) + 1.5), method="bounded", options={"xatol": 1e-9}
    )
    return float(found.fun), float(np.exp(found.x))


def _fit_intervals(
    table: DecayTable, law: str, average: Callable[[float], FloatArray], admissible: tuple[float, float]
) -> DecayFit:
    _require_counts(table)

    def loss(parameter: float) -> float:
        return _interval_loss(table, average, parameter)[0]

    best = _minimise(loss, admissible)
    limits = _profile_limits(loss, best, admissible)
    value, scale = _interval_loss(table, average, best)
    statistics = {"log_likelihood": -value, "aic": 2.0 * value + 4.0}
    return _banded_fit("interval", law, scale, best, limits, statistics, tuple((scale * average(best)).tolist()))


def _joint_intervals(tables: Mapping[str, DecayTable]) -> JointDecayFit:
    for table in tables.values():
        _require_counts(table)
    averages = {name: _band_average(table, "exponential", "distance") for name, table in tables.items()}

    def loss(decay: float) -> float:
        return sum(_interval_loss(table, averages[name], decay)[0] for name, table in tables.items())

    best = _minimise(loss, _DECAY_RANGE)
    low, high = _profile_limits(loss, best, _DECAY_RANGE)
    if low is None or high is None:
        raise EstimationError("the joint decay of these columns has no closed interval")
    scales = tuple(_interval_loss(table, averages[name], best)[1] for name, table in tables.items())
    return _joint("interval", tables, scales, best, None, (low, high), "profile likelihood, chi2(1)", None)


def _require_counts(table: DecayTable) -> None:
    both = np.concatenate([table.low, table.high])
    if not np.array_equal(both, np.rint(both)):
        raise OptionError(
            "the interval reading needs ranges of whole numbers, because it treats them as counts",
            got=", ".join(f"{value:g}" for value in both[both != np.rint(both)]),
            fix='use reading="midpoint"',
        )


# -- identified set and rings -------------------------------------------------------------------------


def _fit_set(
    table: DecayTable, law: str, average: Callable[[float], FloatArray], admissible: tuple[float, float]
) -> DecayFit:
    """Ends of {parameter: max_b low_b / g_b ≤ min_b high_b / g_b}: some scale puts every band inside its range."""

    def slack(parameter: float) -> float:
        shape = average(parameter)
        return float(np.log((table.high / shape).min()) - np.log((table.low / shape).max()))

    grid = np.geomspace(admissible[0], admissible[1], 2000)
    inside = np.flatnonzero([slack(float(p)) >= 0 for p in grid])
    if not inside.size:
        raise EstimationError(
            f"no {law} law has its band averages inside all ranges", fix='use reading="interval", or another law'
        )
    first, last = inside[0], inside[-1]
    low = float(brentq(slack, grid[first - 1], grid[first])) if first > 0 else None
    high = float(brentq(slack, grid[last], grid[last + 1])) if last < len(grid) - 1 else None
    exponential = law == "exponential"
    return DecayFit(
        reading="set",
        law=law,
        scale=None,
        parameter="decay_per_km" if exponential else "exponent",
        value=None,
        std_error=None,
        low=low,
        high=high,
        interval="identified set, no distribution",
        half_low_km=_half(high) if exponential and high else None,
        half_high_km=_half(low) if exponential and low else None,
    )


def _fit_rings(table: DecayTable) -> DecayFit:
    """Log-log slope of the density per km² over ring midpoints, and cumulative shares of the ring totals."""
    from dataclasses import replace

    area = np.pi * (table.edges[1:] ** 2 - table.edges[:-1] ** 2)
    fit = _log_regression("ring", "power", np.log(table.midpoints), table.middles / area)
    shares = np.cumsum(table.middles) / table.middles.sum()
    cumulative = {
        f"share_within_{edge:g}_km": float(share) for edge, share in zip(table.edges[1:], shares, strict=True)
    }
    return replace(fit, statistics={**fit.statistics, **cumulative})
