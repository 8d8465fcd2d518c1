"""What fits by instruments share: the parts the effects read, provenance, the interval of ρ."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spillover import __version__
from spillover.errors import EstimationError, check_option
from spillover.models.instrument_design import InstrumentDesign
from spillover.models.instrument_spec import InstrumentSpec
from spillover.numerics.engine import DENSE_LIMIT, WeightsEngine
from spillover.typing import FloatArray
from spillover.weights.weights import SpatialWeights

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class LagTerm:
    """ρ as the effects read it: its name and value; `lag_column` says that it belongs to a lag of y."""

    name: str
    value: float
    lag_column: int


@dataclass(frozen=True, eq=False)
class WeightRoles:
    """Which W lags the outcome and which the regressors, as the effects read it."""

    outcome: tuple[tuple[str, SpatialWeights], ...]
    regressors: SpatialWeights | None
    error: None = None


@dataclass(frozen=True, eq=False)
class InstrumentPoint:
    """What the effects need of a fit: ρ (None without W y), the engine of its W, the residuals."""

    design: InstrumentDesign
    residuals: FloatArray
    weights: SpatialWeights | None
    rho: float | None

    @property
    def engine(self) -> WeightsEngine | None:
        """Log-determinant, traces and solves of I − ρW; prepared when an effect is first asked for."""
        return self.weights.engine if self.weights is not None and self.rho is not None else None

    @property
    def terms(self) -> tuple[LagTerm, ...]:
        """The spatial parameters behind the slopes."""
        return () if self.rho is None else (LagTerm("rho", self.rho, self.design.k + 1),)


def roles_of(spec: InstrumentSpec, weights: SpatialWeights | None) -> WeightRoles:
    """The same W for the outcome and the regressors, where the model has them."""
    lags = (("W", weights),) if weights is not None and spec.has_spatial_lag else ()
    return WeightRoles(lags, weights if spec.has_lagged_regressors else None)


def effects_table(fit: Any, by: str | None, variables: Sequence[str] | None, level: float) -> pd.DataFrame:
    """Average or regional effects of a fit by instruments; refused when ρ̂ has no multiplier."""
    from spillover.effects.impacts import average_effects
    from spillover.effects.regional import regional_table

    check_option("by", by or "average", ("average", "region"))
    _require_admissible(fit.point)
    if by == "region":
        return regional_table(fit, variables, level)
    return average_effects(fit, variables).tidy(level)


def _require_admissible(point: InstrumentPoint) -> None:
    if point.engine is None or point.rho is None:
        return
    low, high = point.engine.bounds
    if not low < point.rho < high:
        raise EstimationError(
            "ρ̂ is outside the interval on which a spatial multiplier exists: do not use it for effects",
            got=f"{point.rho:.4f}",
            expected=f"inside ({low:.4f}, {high:.4f})",
            causes=("weak instruments for W y", "invalid instruments", "a common shock in the data"),
            fix="see fit.first_stage and fit.confidence_set(), add time effects, or use model='slx'",
        )


def provenance_of(design: InstrumentDesign, weights: SpatialWeights | None) -> dict[str, str]:
    """Version and hashes of the data and of W."""
    labels = "\x1f".join([*design.regions, *map(str, design.periods), *design.raw])
    found = {"version": __version__, "data_sha256": _digest(labels, *design.raw.values())}
    if weights is not None:
        matrix = weights.matrix
        found["weights_sha256"] = _digest("\x1f".join(weights.regions), matrix.indptr, matrix.indices, matrix.data)
    return found


def cheap_bounds(weights: SpatialWeights) -> tuple[float, float]:
    """The admissible interval of ρ where it costs little, else the safe ±1/‖W‖."""
    if weights.n <= DENSE_LIMIT:
        return weights.bounds()
    norm = float(weights.row_sums.max())
    return -1.0 / norm, 1.0 / norm


def _digest(labels: str, *arrays: np.ndarray) -> str:
    digest = hashlib.sha256(labels.encode())
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
