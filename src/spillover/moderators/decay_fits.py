"""What is found from a published table: results of `fit_decay_table` and `fit_joint_decay`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

LABEL = "calibration, not evidence"


def half_distance(decay_per_km: float) -> float:
    """ln 2 / δ in km."""
    return float(np.log(2.0) / decay_per_km)


@dataclass(frozen=True)
class DecayTableFit:
    """A decay law fitted to a table.

    Attributes
    ----------
    reading, law : what was asked for.
    scale : a, the value at distance 0 (pure power: at 1 km), in the unit of the table; None for the set reading.
    parameter : "decay_per_km" (δ), "exponent" (α), or, for laws with a shape, "half_distance_km".
    value : its point estimate; None for the set reading, which has none.
    std_error : of `value`, None where only an interval exists.
    low, high : 95 % interval of the parameter, or the ends of the identified set; None where it is open.
    interval : how the interval was obtained, in words.
    half_distance_km, half_low_km, half_high_km : with its interval; None for a pure power law.
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
    label: str = LABEL

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**vars(self), "statistics": dict(self.statistics), "fitted": list(self.fitted)}


@dataclass(frozen=True)
class JointDecayTableFit:
    """One decay common to several columns of a table, each with its own scale.

    `intercepts` are the values at distance 0, one per column; the other fields are as in `DecayTableFit`. The interval
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
    half_high_km: float | None
    residual_correlation: float | None
    label: str = LABEL

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**vars(self), "columns": list(self.columns), "intercepts": list(self.intercepts)}


def joint_fit(
    reading: str,
    columns: tuple[str, ...],
    intercepts: tuple[float, ...],
    decay: float,
    error: float | None,
    limits: tuple[float, float],
    interval: str,
    correlation: float | None,
) -> JointDecayTableFit:
    """The result of a joint fit; half-distances follow from the decay."""
    return JointDecayTableFit(
        reading=reading,
        columns=columns,
        intercepts=intercepts,
        decay_per_km=decay,
        std_error=error,
        low=limits[0],
        high=limits[1],
        interval=interval,
        half_distance_km=half_distance(decay),
        half_low_km=half_distance(limits[1]),
        half_high_km=half_distance(limits[0]) if limits[0] > 0 else None,
        residual_correlation=correlation,
    )
