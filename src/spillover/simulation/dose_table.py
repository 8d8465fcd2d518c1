"""What a dose of a channel is worth, from a table of output ranges by low and high dose band."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spillover.errors import OptionError

_Z_95 = 1.959963984540054


@dataclass(frozen=True)
class DoseFit:
    """Dose and output of one channel, read at the edges of two adjacent dose bands.

    Attributes
    ----------
    channel, dose_unit, output_unit : labels.
    slope : output per unit of dose; the edge reading makes it exact, hence without an error of its own.
    intercept : output at dose 0 with the other channels where the table left them.
    linear : whether the values at the three edges lie on one line.
    count_se, count_low, count_high : standard error and 95 % Wald interval of the slope if each row were one Poisson
        count at the middle of its range: √(y₁ + y₂) / Δdose.
    set_low, set_high : slopes that put both band means inside their ranges, without the edge reading.
    log_elasticity : ln(y₂/y₁) / ln(x₂/x₁) between the middles of the bands.
    arc_elasticity : (Δy / ȳ) / (Δx / x̄), midpoint formula.
    ratio : middle of the high row over middle of the low row.
    """

    channel: str
    dose_unit: str
    output_unit: str
    slope: float
    intercept: float
    linear: bool
    count_se: float
    count_low: float
    count_high: float
    set_low: float
    set_high: float
    log_elasticity: float
    arc_elasticity: float
    ratio: float
    label: str = "calibration, not evidence"

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
    channel: str = "channel",
    dose_unit: str = "unit",
    output_unit: str = "patents",
) -> DoseFit:
    """The slope of one channel.

    Parameters
    ----------
    doses : two adjacent dose bands, ((x0, x1), (x1, x2)).
    low, high : (2,) range of the output in each band; the ranges tile, upper end of the low row = lower end of the
        high row, so that they read as values at the dose edges.

    Raises
    ------
    OptionError : not two adjacent increasing bands with tiling ranges.

    Examples
    --------
    >>> fit = fit_dose_table([(0, 50), (50, 100)], [100, 150], [150, 200])
    >>> fit.slope, fit.intercept, round(fit.count_se, 3)
    (1.0, 100.0, 0.346)
    """
    _check(doses, low, high)
    x = np.array([doses[0][0], doses[0][1], doses[1][1]], dtype=float)
    y = np.array([low[0], high[0], high[1]], dtype=float)
    x_mid, y_mid = (x[:-1] + x[1:]) / 2.0, (y[:-1] + y[1:]) / 2.0
    step = float(x_mid[1] - x_mid[0])
    deviation = x - x.mean()
    slope = float(deviation @ y / (deviation @ deviation))
    error = float(np.sqrt(y_mid.sum()) / step)
    middle_slope = float((y_mid[1] - y_mid[0]) / step)
    return DoseFit(
        channel=channel,
        dose_unit=dose_unit,
        output_unit=output_unit,
        slope=slope,
        intercept=float(y.mean() - slope * x.mean()),
        linear=bool(np.isclose((y[1] - y[0]) * (x[2] - x[1]), (y[2] - y[1]) * (x[1] - x[0]))),
        count_se=error,
        count_low=middle_slope - _Z_95 * error,
        count_high=middle_slope + _Z_95 * error,
        set_low=max(0.0, float(low[1] - high[0]) / step),
        set_high=float(high[1] - low[0]) / step,
        log_elasticity=float(np.log(y_mid[1] / y_mid[0]) / np.log(x_mid[1] / x_mid[0])),
        arc_elasticity=float((y_mid[1] - y_mid[0]) / y_mid.mean() / (step / x_mid.mean())),
        ratio=float(y_mid[1] / y_mid[0]),
    )


def reference_doses(fits: Sequence[DoseFit], dose_tops: Sequence[float], base: float | None = None) -> ReferenceDoses:
    """Where the other channels stand in each row, if outputs add up over channels.

    With intercept c_k = base + Σ_{l≠k} slope_l dose_l for every channel k, the contributions are
    slope_k dose_k = Σ_l (c_l − base) / (K − 1) − (c_k − base).

    Parameters
    ----------
    fits : K ≥ 2 channels with the same output.
    dose_tops : (K,) top of each low dose band; reference doses lie at 0 or above, and below it.
    base : output with all doses at zero; the middle of the admissible range by default.
    """
    if len(fits) < 2 or len(dose_tops) != len(fits):
        raise OptionError("reference doses need at least two channels, and one low-band top for each")
    slopes = np.array([fit.slope for fit in fits])
    intercepts = np.array([fit.intercept for fit in fits])
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


def _check(doses: Sequence[tuple[float, float]], low: Sequence[float], high: Sequence[float]) -> None:
    problems = []
    try:
        shapes = [np.asarray(part, dtype=float).shape for part in (doses, low, high)]
    except (TypeError, ValueError):
        shapes = []
    if shapes != [(2, 2), (2,), (2,)]:
        problems.append("two dose bands (pairs of numbers) with one range each are needed")
    else:
        numbers = np.array([*doses[0], *doses[1], *low, *high], dtype=float)
        if not np.isfinite(numbers).all() or (numbers < 0).any():
            problems.append("doses and ranges are finite and not negative")
        if doses[0][1] != doses[1][0] or not doses[0][0] < doses[0][1] < doses[1][1]:
            problems.append("the dose bands are adjacent and increasing")
        if not (0 < low[0] < high[0] and low[1] < high[1]):
            problems.append("each range has 0 < low < high")
        elif high[0] != low[1]:
            problems.append("the ranges do not tile: the top of the low row is not the bottom of the high row")
    if problems:
        raise OptionError("this is not a table of ranges by dose band", got="; ".join(problems))
