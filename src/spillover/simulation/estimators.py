"""Ready-made estimators for the recovery harness: small frozen callables that travel to worker processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from spillover.inference.estimates import Estimates
from spillover.panel.panel import Panel
from spillover.simulation.reference import DEMO_STUDY, RecommendedStudy
from spillover.simulation.spatial_config import DURBIN_MODELS, ERROR_MODELS
from spillover.typing import Correction, CovarianceName, Effects, ModelName
from spillover.weights.weights import SpatialWeights

if TYPE_CHECKING:
    import pandas as pd

    from spillover.models.result import SpatialFit

Estimator: TypeAlias = Callable[..., Any]
"""Panel, W → an answer: an object with `.estimates` (and `.effects()`), `Estimates`, `Finding`s, or labels → answers.

One that has a parameter `weights_error` is also given the W of the error, where the design has another one.
"""


@dataclass(frozen=True)
class FitEstimator:
    """`spillover.fit`: one fit a panel, with one or several covariances.

    weights_error : W of the error; by default the one of the design, where it has another than W.
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

    def __call__(
        self, panel: Panel, weights: SpatialWeights | None, weights_error: SpatialWeights | None = None
    ) -> dict[str, Any]:
        """Covariance → the fit with it."""
        from spillover.models.fit import fit

        error = self.weights_error if self.weights_error is not None else weights_error
        fitted = fit(
            self.formula,
            panel,
            weights,
            model=self.model,
            effects=self.effects,
            correction=self.correction,
            covariance=self.covariances[0],
            weights_error=error if self.model in ERROR_MODELS else None,
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
class LaggedOutcomeEstimator:
    """`spillover.fit` of a dynamic panel with last year's outcome as one regressor more, and no bias correction.

    τ is biased downwards by about (1 + τ)/T (Nickell 1981, Econometrica 49:1417), and the effects of x with it:
    docs/power.md has measured them. The first year is used up. Names are those of the truth: "tau", "eta", "rho",
    "direct: x0", ….

    regressors : names, all of them with W x in Durbin models. space_lag : whether W y_{t−1} is in the model as well.
    """

    regressors: tuple[str, ...]
    model: ModelName = "sdm"
    effects: Effects = "two-way"
    space_lag: bool = False
    covariance: CovarianceName = "default"

    def __call__(
        self, panel: Panel, weights: SpatialWeights | None, weights_error: SpatialWeights | None = None
    ) -> DynamicAnswer:
        """The fit of all years but the first."""
        from spillover.models.fit import fit

        before = panel["y"][:, :-1]
        rest = panel.select(periods=panel.periods[1:]).with_variables({"tau": before})
        durbin = self.regressors if self.model in DURBIN_MODELS else ()
        lagged = (*(("tau",) if self.space_lag else ()), *durbin)
        fitted = fit(
            "y ~ " + " + ".join(("tau", *self.regressors)),
            rest,
            weights,
            model=WITH_W_X.get(self.model, self.model) if lagged else self.model,
            effects=self.effects,
            covariance=self.covariance,
            weights_error=weights_error if self.model in ERROR_MODELS else None,
            lagged=lagged or None,
        )
        return DynamicAnswer(fitted)


WITH_W_X: dict[ModelName, ModelName] = {"ols": "slx", "sar": "sdm", "sem": "sdem", "sac": "gns"}
"""Models without W x → the same with W x, which W of last year's outcome needs."""


@dataclass(frozen=True, eq=False)
class DynamicAnswer:
    """A fit in which "tau" is a regressor: short-run effects of the others."""

    fitted: Any

    @property
    def estimates(self) -> Estimates:
        """Coefficients; W of last year's outcome is "eta"."""
        found: Estimates = self.fitted.estimates
        return replace(found, names=tuple("eta" if name == "W*tau" else name for name in found.names))

    def effects(self, level: float = 0.95) -> Any:
        """Short-run effects of the regressors."""
        table = self.fitted.effects(level=level)
        return table[table["variable"] != "tau"]


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
    """`spillover.fit_counts`: Poisson, with W x unless `model` is "ols"; effects are of the logarithm of the mean."""

    formula: str
    model: Literal["ols", "slx"] = "slx"
    effects: Effects = "two-way"
    cluster: Literal["region", "period", "none"] = "region"

    def __call__(self, panel: Panel, weights: SpatialWeights | None) -> Any:
        """The fit."""
        from spillover.models.counts import fit_counts

        w = weights if self.model == "slx" else None
        return fit_counts(self.formula, panel, w, effects=self.effects, cluster=self.cluster)


@dataclass(frozen=True)
class StudyEstimator:
    """The recommended study of the reference system; W comes from the panel's own map."""

    study: RecommendedStudy = DEMO_STUDY

    def __call__(self, panel: Panel, weights: SpatialWeights | None) -> Any:
        """The fit."""
        from spillover.simulation.recovery import fit_recommended

        return fit_recommended(panel, self.study)
