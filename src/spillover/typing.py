"""Array aliases and option sets that more than one step uses.

Shapes are written in the docstrings: n regions, t periods, k regressors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]
BoolArray: TypeAlias = NDArray[np.bool_]

Standardisation: TypeAlias = Literal["none", "row", "spectral", "scalar", "min-max"]
IslandPolicy: TypeAlias = Literal["error", "keep", "nearest", "drop"]
ModelName: TypeAlias = Literal["ols", "slx", "sar", "sdm", "sem", "sdem", "sac", "gns"]
Effects: TypeAlias = Literal["none", "individual", "time", "two-way"]
Correction: TypeAlias = Literal["lee-yu", "none"]
CovarianceName: TypeAlias = Literal[
    "default",
    "information",
    "hessian",
    "sandwich",
    "hc",
    "cluster",
    "cluster-group",
    "two-way-cluster",
    "driscoll-kraay",
    "conley",
]

Progress: TypeAlias = Callable[[str, float], None]
"""Called with a short text and the share done in [0, 1]; long work reports through it."""


def no_progress(text: str, share: float) -> None:
    """The silent progress callback."""
