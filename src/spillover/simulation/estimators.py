"""Ready-made estimators for the recovery harness: small frozen callables that travel to worker processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from spillover.panel.panel import Panel
from spillover.typing import Correction, CovarianceName, Effects, ModelName
from spillover.weights.weights import SpatialWeights

if TYPE_CHECKING:
    import pandas as pd

    from spillover.inference.estimates import Estimates
    from spillover.models.result import SpatialFit

Estimator: TypeAlias = Callable[[Panel, SpatialWeights | None], Any]
"""Panel, W → an object with `.estimates` (and `.effects()`), or a mapping of labels to several of them."""


@dataclass(frozen=True)
class FitEstimator:
    """`spillover.fit`: one fit a panel, with one or several covariances.

    weights_error : W of the error where it is another one.
    draws : also the effects by simulation with so many draws, labelled "<covariance>, simulated"; 0 for none.
    """

    formula: str
    model: ModelName = "sdm"
    effects: Effects = "two-way"
    correction: Correction = "lee-yu"
    covariances: tuple[CovarianceName, ...] = ("default",)
    weights_error: SpatialWeights | None = None
    lagged: tuple[str, ...] | None = None
    draws: int = 0

    def __call__(self, panel: Panel, weights: SpatialWeights | None) -> dict[str, Any]:
        """Covariance → the fit with it."""
        from spillover.models.fit import fit

        fitted = fit(
            self.formula,
            panel,
            weights,
            model=self.model,
            effects=self.effects,
            correction=self.correction,
            covariance=self.covariances[0],
            weights_error=self.weights_error,
            lagged=self.lagged,
        )
        first, *others = self.covariances
        found: dict[str, Any] = {first: fitted}
        found |= {name: fitted.with_covariance(name) for name in others}
        if self.draws:
            found |= {f"{name}, simulated": Simulated(one, self.draws) for name, one in found.items()}
        return found


@dataclass(frozen=True, eq=False)
class Simulated:
    """A fit whose effects come by simulation."""

    fit: SpatialFit
    draws: int

    @property
    def estimates(self) -> Estimates:
        """Those of the fit."""
        return self.fit.estimates

    def effects(self, level: float) -> pd.DataFrame:
        """Effects with percentile intervals."""
        return self.fit.effects(level=level, method="simulation", draws=self.draws)


@dataclass(frozen=True)
class TwoStageEstimator:
    """`spillover.fit_two_stage`, for example with "y ~ 1 | x0 ~ instrument" on a panel with the endogeneity dial."""

    formula: str
    model: Literal["ols", "slx", "sar", "sdm"] = "sdm"
    effects: Effects = "two-way"
    estimator: Literal["2sls", "gmm"] = "2sls"

    def __call__(self, panel: Panel, weights: SpatialWeights | None) -> Any:
        """The fit."""
        from spillover.models.instruments import fit_two_stage

        return fit_two_stage(
            self.formula, panel, weights, model=self.model, effects=self.effects, estimator=self.estimator
        )


@dataclass(frozen=True)
class RandomEstimator:
    """`spillover.fit_random`: random region effects."""

    formula: str
    model: Literal["ols", "slx", "sar", "sdm", "sem", "sdem"] = "sdm"
    error: Literal["idiosyncratic", "both"] = "idiosyncratic"
    correlated: bool = False
    time_effects: bool = False

    def __call__(self, panel: Panel, weights: SpatialWeights | None) -> Any:
        """The fit."""
        from spillover.models.random_effects import fit_random

        return fit_random(
            self.formula,
            panel,
            weights,
            model=self.model,
            error=self.error,
            correlated=self.correlated,
            time_effects=self.time_effects,
        )


@dataclass(frozen=True)
class CountEstimator:
    """`spillover.fit_counts`: Poisson with W x; effects are of the logarithm of the mean."""

    formula: str
    effects: Effects = "two-way"
    cluster: Literal["region", "period", "none"] = "region"

    def __call__(self, panel: Panel, weights: SpatialWeights | None) -> Any:
        """The fit."""
        from spillover.models.counts import fit_counts

        return fit_counts(self.formula, panel, weights, effects=self.effects, cluster=self.cluster)


@dataclass(frozen=True)
class StudyEstimator:
    """The recommended study of the reference system; W comes from the panel's own map."""

    def __call__(self, panel: Panel, weights: SpatialWeights | None) -> Any:
        """The fit."""
        from spillover.simulation.recovery import fit_recommended

        return fit_recommended(panel)
