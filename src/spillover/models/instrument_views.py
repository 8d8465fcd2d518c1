"""What fits by instruments share: the parts the effects read, provenance, the interval of ρ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from spillover.errors import EstimationError
from spillover.models.instrument_design import InstrumentDesign
from spillover.models.instrument_spec import InstrumentSpec
from spillover.models.views import FitViews, describe_origin
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


class MomentViews(FitViews):
    """`FitViews` of fits by moments, where ρ is not constrained and one outside its interval has no effects."""

    if TYPE_CHECKING:
        spec: InstrumentSpec

    @property
    def rho(self) -> float:
        """Coefficient of W y; 0 for models without it."""
        return self.point.rho or 0.0

    @property
    def roles(self) -> WeightRoles:
        """W of the outcome and of the regressors, as the effects read them."""
        return roles_of(self.spec, self.weights)

    @cached_property
    def provenance(self) -> dict[str, str]:
        """Version and hashes of the data, instruments included, and of W."""
        design = self.design
        return describe_origin(
            [*design.regions, *map(str, design.periods), *design.raw], design.raw.values(), self.weights
        )

    def effects(
        self, by: str | None = None, *, variables: Sequence[str] | None = None, level: float = 0.95
    ) -> pd.DataFrame:
        """As for every fit; raises EstimationError when ρ̂ is outside the interval on which the multiplier exists."""
        _require_admissible(self.point)
        return super().effects(by, variables=variables, level=level)


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


def cheap_bounds(weights: SpatialWeights) -> tuple[float, float]:
    """The admissible interval of ρ where it costs little, else the safe ±1/‖W‖."""
    if weights.n <= DENSE_LIMIT:
        return weights.bounds()
    norm = float(weights.row_sums.max())
    return -1.0 / norm, 1.0 / norm
