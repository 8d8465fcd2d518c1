"""What a dose of a channel is worth, from a table of output ranges by dose band."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import stats
from scipy.optimize import brentq, minimize_scalar

from spillover.errors import EstimationError, OptionError, check_option
from spillover.moderators.decay_fits import LABEL
from spillover.moderators.range_table import RangeTable, read_table
from spillover.typing import FloatArray

DoseReading = Literal["edge", "midpoint", "interval", "set"]

READINGS = ("edge", "midpoint", "interval", "set")
_Z_95 = float(stats.norm.isf(0.025))
_CHI2_95 = float(stats.chi2.isf(0.05, 1))


@dataclass(frozen=True)
class DoseTableFit:
    """Dose and output of one channel: output = intercept + slope × dose.

    Attributes
    ----------
    channel, dose_unit, output_unit : labels.
    reading : how the ranges were read.
    slope, intercept : output per unit of dose, and at dose 0 with the other channels where the table left them; None
        for the set reading.
    low, high, interval : 95 % interval of the slope, or the identified set, and how it was obtained. The edge reading
        is exact when the edges lie on a line; its interval is then that of the counts.
    linear : whether the values at the edges lie on one line; None where the ranges do not tile.
    count_se, count_low, count_high : standard error and 95 % Wald interval of the slope if each row were one Poisson
        count at the middle of its range; for two bands √(y₁ + y₂) / Δdose.
    set_low, set_high : slopes that put all band means inside their ranges, without the edge reading.
    log_elasticity : ln(y_B/y₁) / ln(x_B/x₁) between the middles of the first and the last band.
    arc_elasticity : (Δy / ȳ) / (Δx / x̄) between them, midpoint formula.
    ratio : middle of the last row over middle of the first row.
    """

    channel: str
    dose_unit: str
    output_unit: str
    reading: str
    slope: float | None
    intercept: float | None
    low: float | None
    high: float | None
    interval: str
    linear: bool | None
    count_se: float
    count_low: float
    count_high: float
    set_low: float
    set_high: float
    log_elasticity: float
    arc_elasticity: float
    ratio: float
    label: str = LABEL

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dict(vars(self))


@dataclass(frozen=True)
class ReferenceDoses:
    """Additive reading of all rows: patents = base + Σ slope × dose, the other channels at these doses.

    A table of this kind leaves one number free: every `base` above `base_low` and up to `base_high` gives
    doses in the low bands that reproduce it. `output` is the output at the reference doses.
    """

    base: float
    doses: tuple[float, ...]
    output: float
    base_low: float
    base_high: float


def fit_dose_table(
    doses: Sequence[tuple[float, float]],
    low: Sequence[float],
    high: Sequence[float],
    *,
    reading: DoseReading = "edge",
    channel: str = "channel",
    dose_unit: str = "unit",
    output_unit: str = "patents",
) -> DoseTableFit:
    """The slope of one channel.

    Parameters
    ----------
    doses : (from, to) of b ≥ 2 dose bands, increasing.
    low, high : (b,) range of the output in each band.
    reading : how the ranges are read
        "edge" : values at the dose edges; bands are adjacent and ranges tile (the upper end of a row is the lower end
        of the next, or the other way round where output falls). Least squares; exact when the edges lie on a line.
        "midpoint" : one Poisson count per band at the middle of its range; weighted least squares, Wald interval.
        "interval" : one Poisson count per band, known only to lie in its range; profile-likelihood interval.
        "set" : all slopes for which some intercept puts the band means inside all ranges; no distribution.

    Raises
    ------
    OptionError : not such a table, or ranges that cannot be read this way. EstimationError : no admissible solution.

    Examples
    --------
    >>> fit = fit_dose_table([(0, 50), (50, 100)], [100, 150], [150, 200])
    >>> fit.slope, fit.intercept, round(fit.count_se, 3)
    (1.0, 100.0, 0.346)
    """
    check_option("reading", reading, READINGS)
    table = read_table(doses, low, high, what="dose", ends="(from, to)", least=2)
    x, y = table.midpoints, table.middles
    count_slope, count_intercept, error = _counts(x, y)
    counts = (count_slope - _Z_95 * error, count_slope + _Z_95 * error)
    feasible = _slopes_in_set(table)
    edges = _edges(table)
    slope: float | None = count_slope
    intercept: float | None = count_intercept
    limits: tuple[float | None, float | None] = counts
    how = "Wald, one Poisson count per band"
    if reading == "edge":
        if edges is None:
            table.edge_values(falling=bool(y[-1] < y[0]))  # raises and says what does not tile
            raise AssertionError("ranges that tile have edges")
        slope, intercept = edges[:2]
    elif reading == "interval":
        slope, intercept, limits = _intervals(table, count_slope, error)
        how = "profile likelihood, chi2(1)"
    elif reading == "set":
        if feasible[0] > feasible[1]:
            raise EstimationError("no line has its band means inside all ranges", fix='use reading="interval"')
        slope, intercept, limits, how = None, None, feasible, "identified set, no distribution"
    return DoseTableFit(
        channel=channel,
        dose_unit=dose_unit,
        output_unit=output_unit,
        reading=reading,
        slope=slope,
        intercept=intercept,
        low=limits[0],
        high=limits[1],
        interval=how,
        linear=None if edges is None else edges[2],
        count_se=error,
        count_low=counts[0],
        count_high=counts[1],
        set_low=feasible[0],
        set_high=feasible[1],
        log_elasticity=float(np.log(y[-1] / y[0]) / np.log(x[-1] / x[0])),
        arc_elasticity=float((y[-1] - y[0]) / (y[-1] + y[0]) / ((x[-1] - x[0]) / (x[-1] + x[0]))),
        ratio=float(y[-1] / y[0]),
    )


def reference_doses(
    fits: Sequence[DoseTableFit], dose_tops: Sequence[float], base: float | None = None
) -> ReferenceDoses:
    """Where the other channels stand in each row, if outputs add up over channels.

    With intercept c_k = base + Σ_{l≠k} slope_l dose_l for every channel k, the contributions are
    slope_k dose_k = Σ_l (c_l − base) / (K − 1) − (c_k − base).

    Parameters
    ----------
    fits : K ≥ 2 channels with the same output, of a reading that has a slope.
    dose_tops : (K,) top of each low dose band; reference doses lie at 0 or above, and below it.
    base : output with all doses at zero; the middle of the admissible range by default.
    """
    if len(fits) < 2 or len(dose_tops) != len(fits):
        raise OptionError("reference doses need at least two channels, and one low-band top for each")
    if any(fit.slope is None or fit.intercept is None for fit in fits):
        raise OptionError("reference doses need slopes, and the set reading has none", fix='use reading="edge"')
    slopes = np.array([fit.slope for fit in fits], dtype=float)
    intercepts = np.array([fit.intercept for fit in fits], dtype=float)
    others = len(fits) - 1
    # contribution_k = constant_k − base / (K − 1), decreasing in base
    constant = intercepts.sum() / others - intercepts
    base_high = float((constant * others).min())
    base_low = float(((constant - slopes * np.asarray(dose_tops)) * others).max())
    chosen = (base_low + base_high) / 2.0 if base is None else base
    if not base_low < chosen <= base_high:
        raise OptionError(
            "no reference doses inside the low dose bands belong to this base",
            got=f"base = {chosen:g}",
            expected=f"above {base_low:g} and at most {base_high:g}",
        )
    contributions = constant - chosen / others
    return ReferenceDoses(
        base=chosen,
        doses=tuple((contributions / slopes).tolist()),
        output=float(chosen + contributions.sum()),
        base_low=base_low,
        base_high=base_high,
    )


def _edges(table: RangeTable) -> tuple[float, float, bool] | None:
    """(slope, intercept, on one line) of the values at the edges; None where the ranges do not tile."""
    try:
        y = table.edge_values(falling=bool(table.middles[-1] < table.middles[0]))
    except OptionError:
        return None
    x = table.edges
    deviation = x - x.mean()
    slope = float(deviation @ y / (deviation @ deviation))
    steps = np.diff(y) / np.diff(x)
    return slope, float(y.mean() - slope * x.mean()), bool(np.allclose(steps, steps[0]))


def _counts(x: FloatArray, y: FloatArray) -> tuple[float, float, float]:
    """(slope, intercept, standard error) of Poisson counts with a mean linear in dose: weights 1 / y."""
    design = np.column_stack([np.ones_like(x), x])
    information = design.T @ (design / y[:, None])
    covariance = np.linalg.inv(information)
    intercept, slope = covariance @ (design.T @ np.ones_like(y))
    return float(slope), float(intercept), float(np.sqrt(covariance[1, 1]))


def _slopes_in_set(table: RangeTable) -> tuple[float, float]:
    """Slopes b with an intercept a such that low ≤ a + b x ≤ high at all middles: every pair of bands is a bound."""
    x = table.midpoints
    pairs = [(i, j) for i in range(len(x)) for j in range(i + 1, len(x))]
    low = max((table.low[j] - table.high[i]) / (x[j] - x[i]) for i, j in pairs)
    high = min((table.high[j] - table.low[i]) / (x[j] - x[i]) for i, j in pairs)
    return float(low), float(high)


def _intervals(table: RangeTable, start: float, error: float) -> tuple[float, float, tuple[float | None, float | None]]:
    """(slope, intercept, limits) of Poisson counts known to lie in their ranges; their level is profiled out."""
    table.require_counts()
    x, centre = table.midpoints, float(table.midpoints.mean())
    level = float(table.middles.mean())

    def at(slope: float) -> tuple[float, float]:
        def loss(middle: float) -> float:
            mean = middle + slope * (x - centre)
            if (mean <= 0).any():
                return 1e6 + float(-mean.min())
            inside = stats.poisson.cdf(table.high, mean) - stats.poisson.cdf(table.low - 1.0, mean)
            return float(-np.sum(np.log(np.maximum(inside, 1e-300))))

        bounds = (0.2 * level, 3.0 * level)
        found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-9 * level})
        return float(found.fun), float(found.x)

    found = minimize_scalar(
        lambda b: at(b)[0], bounds=(start - 6.0 * error, start + 6.0 * error), method="bounded", options={"xatol": 1e-9}
    )
    slope = float(found.x)
    value, middle = at(slope)

    def gap(b: float) -> float:
        return at(b)[0] - value - _CHI2_95 / 2.0

    ends = (slope - 8.0 * error, slope + 8.0 * error)
    limits = tuple(float(brentq(gap, *sorted((slope, end)))) if gap(end) > 0 else None for end in ends)
    return slope, middle - slope * centre, (limits[0], limits[1])
