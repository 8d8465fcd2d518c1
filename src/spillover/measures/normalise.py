"""Min–max normalisation with goalposts that are the same for all periods."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from spillover.errors import OptionError, ValueDomainError
from spillover.typing import FloatArray

Direction = Literal[1, -1]


@dataclass(frozen=True)
class Goalposts:
    """The values that become 0 and 1 (1 and 0 for direction −1), in the unit of the indicator.

    `source` is "pooled" (extremes over all regions and periods) or "fixed" (given by the user).
    """

    low: float
    high: float
    source: Literal["pooled", "fixed"]


def pooled_goalposts(values: FloatArray, name: str = "indicator") -> Goalposts:
    """Minimum and maximum over all regions and periods, so that scores of two years can be compared.

    Errors
    ------
    ValueDomainError : missing or infinite cells, or a constant column, which has no scale.
    """
    _require_finite(values, name)
    low, high = float(values.min()), float(values.max())
    # A spread at the level of rounding error is noise, not information.
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        raise ValueDomainError(
            f"indicator {name!r} is constant over all regions and periods and cannot be normalised",
            got=f"{low:g} everywhere",
            expected="values that differ",
            causes=("a column that was filled with one value", "the wrong column"),
            fix=f"leave {name!r} out of the index",
        )
    return Goalposts(low, high, "pooled")


def fixed_goalposts(low: float, high: float, name: str = "indicator") -> Goalposts:
    """Goalposts chosen by the user; low must be below high, the direction is given apart from them."""
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise OptionError(
            f"goalposts of {name!r} are not a lower and a higher number",
            got=f"({low}, {high})",
            expected="(low, high) with low < high, in the unit of the indicator",
            fix="for an indicator of which less is better keep low < high and set direction=-1",
        )
    return Goalposts(float(low), float(high), "fixed")


def min_max(values: FloatArray, goalposts: Goalposts, direction: int = 1, name: str = "indicator") -> FloatArray:
    """z = (x − low) / (high − low), or (high − x) / (high − low) for direction −1.

    Parameters
    ----------
    values : (n, t), finite, in the unit of the goalposts.
    direction : 1 if more is better, −1 if less is.

    Returns
    -------
    (n, t) without unit. In [0, 1] under pooled goalposts; beyond where values lie outside fixed ones, so that
    a new year never rescales the old ones.

    Source: OECD & JRC (2008), Handbook on Constructing Composite Indicators, step 5.

    >>> min_max(np.array([[2.0, 4.0]]), Goalposts(0.0, 8.0, "fixed"), direction=-1)
    array([[0.75, 0.5 ]])
    """
    if direction not in (1, -1):
        raise OptionError(
            f"the direction of {name!r} is not known",
            got=repr(direction),
            expected="1 (more is better) or -1 (less is)",
        )
    _require_finite(values, name)
    span = goalposts.high - goalposts.low
    gap = values - goalposts.low if direction == 1 else goalposts.high - values
    return np.asarray(gap / span)


def _require_finite(values: FloatArray, name: str) -> None:
    bad = int((~np.isfinite(values)).sum())
    if bad:
        raise ValueDomainError(
            f"indicator {name!r} has {bad} missing or infinite cells",
            expected="a number in every cell; none is ever filled with zero",
            fix=f"panel.missing_cells([{name!r}]) lists the missing ones",
        )
