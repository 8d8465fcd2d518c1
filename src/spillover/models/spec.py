"""`ModelSpec`: what to fit, as configuration only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, get_args

from spillover.errors import OptionError, check_option
from spillover.typing import Correction, CovarianceName, Effects, ModelName

LATER_MODELS = ("sem", "sdem", "sac", "gns")


@dataclass(frozen=True)
class ModelSpec:
    """A model of  y = ρ W y + X β + W X θ + effects + ε  with some of its terms.

    Parameters
    ----------
    formula : "log(patents) ~ log(lq) + log(rd)".
    model : "ols" (no W), "slx" (W X), "sar" (W y) or "sdm" (both).
    effects : "none", "individual" (regions), "time" (periods) or "two-way".
    correction : "lee-yu" (transformation; consistent variance and ρ) or "none" (dummies, counts n and t).
    covariance : "default" (clustered by region when region means are removed, information matrix
        otherwise), "information" or "cluster".
    lagged : the regressors that also enter as W x in slx and sdm; None for all of them.
    """

    formula: str
    model: ModelName = "sdm"
    effects: Effects = "two-way"
    correction: Correction = "lee-yu"
    covariance: CovarianceName = "default"
    lagged: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.model in LATER_MODELS or self.effects == "random":
            raise OptionError(
                f"{self.model if self.model in LATER_MODELS else 'random effects'} is not available in this version",
                expected="model ols, slx, sar or sdm; effects none, individual, time or two-way",
            )
        check_option("model", self.model, get_args(ModelName))
        check_option("effects", self.effects, get_args(Effects))
        check_option("correction", self.correction, get_args(Correction))
        check_option("covariance", self.covariance, get_args(CovarianceName))
        if self.lagged is not None and self.model in ("ols", "sar"):
            raise OptionError(
                f"a {self.model} model has no W x terms, so 'lagged' does not apply", fix="use model='slx' or 'sdm'"
            )

    @property
    def has_spatial_lag(self) -> bool:
        """W y is in the model."""
        return self.model in ("sar", "sdm")

    @property
    def has_lagged_regressors(self) -> bool:
        """W X is in the model."""
        return self.model in ("slx", "sdm")

    @property
    def uses_weights(self) -> bool:
        """The model needs a W."""
        return self.model != "ols"

    @property
    def resolved_covariance(self) -> str:
        """The covariance that "default" stands for."""
        if self.covariance != "default":
            return self.covariance
        return "cluster" if self.effects in ("individual", "two-way") else "information"

    def with_changes(self, **changes: Any) -> ModelSpec:
        """A copy with some settings changed."""
        return replace(self, **changes)
