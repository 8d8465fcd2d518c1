"""A table of ranges read as values at the band edges, or as totals of rings: regressions on logarithms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import stats
from scipy.optimize import least_squares

from spillover.errors import EstimationError, OptionError
from spillover.moderators.decay_fits import DecayTableFit, JointDecayTableFit, half_distance, joint_fit
from spillover.moderators.range_table import RangeTable
from spillover.typing import FloatArray


def fit_edges(table: RangeTable, law: str) -> DecayTableFit:
    """Least squares on the logs of the values at the edges."""
    distance, values = table.edges, table.edge_values()
    if (values <= 0).any():
        raise OptionError(
            "a value of zero has no logarithm, so the edges cannot be read",
            got=table.show_ranges(),
            fix='use reading="interval" or "set"',
        )
    if law == "power":
        beyond = distance > 0
        return log_regression("edge", law, np.log(distance[beyond]), values[beyond])
    if law == "exponential":
        return log_regression("edge", law, distance, values)
    return _nonlinear(distance, values, law)


def log_regression(reading: str, law: str, x: FloatArray, values: FloatArray) -> DecayTableFit:
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
    if law == "exponential" and slope < 0:
        halves = {
            "half_distance_km": half_distance(-slope),
            "half_low_km": half_distance(high),
            "half_high_km": half_distance(low) if low > 0 else None,
        }
    return DecayTableFit(
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


def _nonlinear(distance: FloatArray, values: FloatArray, law: str) -> DecayTableFit:
    """Shifted power or stretched exponential on logs; both contain the exponential law as a limit or at κ = 1.

    The shifted law is written with δ = α/d0 and 1/d0, so that the exponential limit d0 → ∞ is the point 1/d0 = 0.
    """
    y = np.log(values)
    start = log_regression("edge", "exponential", distance, values)
    log_scale, decay = np.log(start.scale or 1.0), max(float(start.value or 0.01), 1e-6)

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
    return DecayTableFit(
        reading="edge",
        law=law,
        scale=float(np.exp(solution.x[0])),
        parameter="decay_per_km",
        value=decay,
        std_error=None,
        low=None,
        high=None,
        interval=f"none: three parameters on {len(y)} points",
        half_distance_km=_half_distance_of(law, decay, shape),
        statistics={"rss": rss, "shape" if law == "stretched" else "inverse_d0_per_km": shape},
        fitted=tuple(np.exp(predict(solution.x)).tolist()),
    )


def _half_distance_of(law: str, decay: float, shape: float) -> float:
    if law == "stretched":
        return float(np.log(2.0) ** (1.0 / shape) / decay)
    return half_distance(decay) if shape < 1e-9 else float(np.expm1(shape / decay * np.log(2.0)) / shape)


def fit_rings_of_table(table: RangeTable) -> DecayTableFit:
    """Log-log slope of the density per km² over ring midpoints, and cumulative shares of the ring totals."""
    area = np.pi * (table.far**2 - table.near**2)
    fit = log_regression("ring", "power", np.log(table.midpoints), table.middles / area)
    shares = np.cumsum(table.middles) / table.middles.sum()
    cumulative = {f"share_within_{edge:g}_km": float(share) for edge, share in zip(table.far, shares, strict=True)}
    return replace(fit, statistics={**fit.statistics, **cumulative})


def fit_joint_edges(tables: Mapping[str, RangeTable]) -> JointDecayTableFit:
    """One exponential decay for all columns, each with its own intercept; t interval as if points were independent."""
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
    return joint_fit(
        "edge", tuple(tables), intercepts, decay, error, (decay - reach, decay + reach), f"t({df})", correlation
    )
