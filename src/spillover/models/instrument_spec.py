"""`InstrumentSpec`: what to fit by instruments, as configuration only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias, get_args

from spillover.errors import OptionError, check_option
from spillover.models.lagged import check_lagged
from spillover.typing import Effects

InstrumentModel: TypeAlias = Literal["ols", "slx", "sar", "sdm"]
MomentCovariance: TypeAlias = Literal["default", "cluster", "hc", "hc0", "hc1", "homoskedastic"]
Estimator: TypeAlias = Literal["2sls", "gmm"]


@dataclass(frozen=True)
class InstrumentSpec:
    """A model of  y = ρ W y + X β + A α + W X θ + W A ϑ + effects + ε  with A and W y endogenous.

    Parameters
    ----------
    formula : "y ~ x | a ~ z".
    model : "ols" (no W), "slx" (W x and W a), "sar" (W y) or "sdm" (all).
    effects : "none", "individual", "time" or "two-way"; means are removed after lagging.
    covariance : "default" (clustered by region when region means are removed, "hc" otherwise),
        "cluster", "hc0", "hc1" ("hc" is hc1) or "homoskedastic".
    lagged : the regressors, exogenous or endogenous, that also enter as W x in slx and sdm; None for all.
    instrument_orders : highest power of W on the exogenous regressors among the instruments of W y
        (2 in sar, 3 in sdm by default), or a pair with the highest power on z (2 with W y, else 1 or 0).
    estimator : "2sls" or "gmm" (two-step, robust weight).
    """

    formula: str
    model: InstrumentModel = "sdm"
    effects: Effects = "two-way"
    covariance: MomentCovariance = "default"
    lagged: tuple[str, ...] | None = None
    instrument_orders: int | tuple[int, int] | None = None
    estimator: Estimator = "2sls"

    def __post_init__(self) -> None:
        check_option("model", self.model, get_args(InstrumentModel))
        check_option("effects", self.effects, ("none", "individual", "time", "two-way"))
        check_option("covariance", self.covariance, get_args(MomentCovariance))
        check_option("estimator", self.estimator, get_args(Estimator))
        check_lagged(self.model, self.lagged)
        orders = self.instrument_orders
        if orders is not None and min(orders if isinstance(orders, tuple) else (orders,)) < 0:
            raise OptionError("instrument_orders are powers of W, zero or more", got=str(orders))

    @property
    def has_spatial_lag(self) -> bool:
        """W y is in the model."""
        return self.model in ("sar", "sdm")

    @property
    def has_lagged_regressors(self) -> bool:
        """W x is in the model."""
        return self.model in ("slx", "sdm")

    @property
    def uses_weights(self) -> bool:
        """The model needs a W."""
        return self.model != "ols"

    @property
    def removes_regions(self) -> bool:
        """Region means are removed."""
        return self.effects in ("individual", "two-way")

    @property
    def resolved_covariance(self) -> str:
        """The covariance that "default" and "hc" stand for."""
        if self.covariance == "default":
            return "cluster" if self.removes_regions else "hc1"
        return "hc1" if self.covariance == "hc" else self.covariance

    @property
    def correction(self) -> str:
        """No likelihood, hence no Lee–Yu count; for views that print it."""
        return "none"

    def orders(self, lags_endogenous: bool) -> tuple[int, int]:
        """Highest powers of W on x and on z among the instruments."""
        own = {"sar": 2, "sdm": 3}.get(self.model, 0)
        external = 2 if self.has_spatial_lag else int(lags_endogenous)
        if isinstance(self.instrument_orders, tuple):
            return self.instrument_orders
        return (own if self.instrument_orders is None else self.instrument_orders), external

    def with_changes(self, **changes: Any) -> InstrumentSpec:
        """A copy with some settings changed."""
        return replace(self, **changes)
