"""Plain values for results: what is missing or not finite is None, numpy numbers are numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from spillover.study.result import Number, Row
from spillover.typing import FloatArray

if TYPE_CHECKING:
    import pandas as pd


def plain(value: Any) -> Any:
    """A value that JSON can hold without NaN.

    >>> plain(float("nan")), plain(np.float64(2.0)), plain((1, np.int64(2)))
    (None, 2.0, [1, 2])
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return None if value != value else str(value)  # pandas.NA and NaT are not equal to themselves


def plain_rows(frame: pd.DataFrame) -> tuple[Row, ...]:
    """One dictionary for each row of a table."""
    return tuple({str(key): plain(value) for key, value in row.items()} for row in frame.to_dict(orient="records"))


def plain_table(values: FloatArray) -> tuple[tuple[Number, ...], ...]:
    """(n, t) nested tuples, None for missing cells."""
    return tuple(tuple(plain(float(value)) for value in row) for row in np.asarray(values))


def plain_numbers(values: FloatArray) -> tuple[float, ...]:
    """(n,) numbers."""
    return tuple(float(value) for value in np.asarray(values))
