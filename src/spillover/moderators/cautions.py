"""What every distance estimator says about its errors, and what it does about errors that are related in time."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Literal

import numpy as np

from spillover.errors import AssumptionWarning, DesignError, OptionError
from spillover.moderators.distance_design import DistanceDesign
from spillover.moderators.distances import Distances
from spillover.moderators.residual_checks import ResidualChecks, serial_correlation
from spillover.moderators.stacked import ErrorModel
from spillover.typing import FloatArray

SERIAL = 0.2
"""AR(1) coefficient of the errors above which no covariance over T ≤ 20 periods covers."""

NARROW_MAP = 10.0
"""Widths of the map per cut-off below which Conley's errors lean to the small side."""


def differencing_of(asked: float | Literal["auto"] | None, residuals: FloatArray, design: DistanceDesign) -> float:
    """The coefficient of the quasi-difference: as asked, or the AR(1) coefficient of the errors."""
    if asked is None:
        return 0.0
    if asked != "auto":
        if isinstance(asked, bool) or not isinstance(asked, int | float) or not -1.0 < asked < 1.0:
            raise OptionError(
                "quasi_difference", got=repr(asked), expected='"auto", or a coefficient between −1 and 1, or None'
            )
        return float(asked)
    found = serial_correlation(residuals, design.transformation, design.periods)
    if found is None:
        raise DesignError(
            "the serial correlation of the errors cannot be estimated",
            got=f"{design.shape[1]} periods",
            expected="at least four, three of them following another",
            fix="leave quasi_difference out, or give its coefficient",
        )
    return float(np.clip(found, -0.95, 0.95))


def cutoff_of(checks: ResidualChecks, geography: Distances) -> float:
    """Four times the range of the residual correlation, at most half the map.

    A longer cut-off is not a safer one: demeaned scores add up to zero over the map, and a kernel that covers it finds
    no variance.
    """
    return min(4.0 * max(checks.range_km, float(np.median(geography.nearest))), geography.longest / 2.0)


def resolve_errors(errors: ErrorModel, cutoff: float, checks: ResidualChecks) -> ErrorModel:
    """Conley's cut-off and lags where they were not given; lags only where errors are serially correlated.

    Removing region means makes residuals of unrelated errors correlate negatively, and lags of a kernel then take away
    a part of the variance: at T = 10 two lags take a fifth.
    """
    if errors.kind != "conley":
        return errors
    if errors.cutoff is None:
        errors = replace(errors, cutoff=cutoff)
    if errors.time_lags is None and (checks.serial is None or abs(checks.serial) <= SERIAL):
        errors = replace(errors, time_lags=0)
    return errors


def tell_residuals(design: DistanceDesign, errors: ErrorModel, checks: ResidualChecks) -> tuple[str, ...]:
    """Notes on the residuals, and warnings where intervals cannot be trusted."""
    notes = []
    if design.differencing:
        notes.append(f"All variables were quasi-differenced with coefficient {design.differencing:.2f}.")
    if checks.serial is not None:
        notes.append(f"Errors are serially correlated with coefficient {checks.serial:.2f}.")
        if checks.serial > SERIAL:
            text = (
                f"errors are serially correlated ({checks.serial:.2f}): with errors related over space as well no "
                "covariance covers with 20 periods or fewer"
            )
            warnings.warn(f'{text}; use quasi_difference="auto", or a dynamic model', AssumptionWarning, stacklevel=4)
            notes.append(text[0].upper() + text[1:] + "; quasi-differences or a dynamic model help.")
    if checks.spatial and checks.range_km > 0:
        notes.append(
            f"Residuals of near regions are related (p = {checks.moran.p_value:.2g}), with a range of about "
            f"{checks.range_km:.0f} {design.geography.unit}."
        )
        if errors.kind == "cluster":
            text = "errors are related over space, and clusters by region do not count that: intervals are too short"
            warnings.warn(text + '; use covariance="conley"', AssumptionWarning, stacklevel=4)
            notes.append(text[0].upper() + text[1:] + ".")
    if errors.kind == "conley" and errors.cutoff is not None:
        width = design.geography.longest / errors.cutoff
        if width < NARROW_MAP:
            notes.append(
                f"The map is {width:.1f} times as wide as the cut-off of Conley's errors; below {NARROW_MAP:.0f} they "
                "lean to the small side, which the t distribution with T − 1 degrees of freedom is there to offset."
            )
    return tuple(notes)
