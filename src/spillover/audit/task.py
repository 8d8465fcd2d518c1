"""A fit as a task that another process can do: what it takes to estimate it again, without anything computed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from spillover.models.fit import fit_spec
from spillover.models.result import SpatialFit
from spillover.models.spec import ModelSpec
from spillover.panel.panel import Panel
from spillover.weights.weights import SpatialWeights


@dataclass(frozen=True, eq=False)
class FitTask:
    """Panel, specification and every W of a fit, each W once and without its engine."""

    spec: ModelSpec
    panel: Panel
    outcome: dict[str, SpatialWeights]
    regressors: SpatialWeights | None
    error: SpatialWeights | None

    @classmethod
    def of(cls, fit: SpatialFit) -> FitTask:
        """What `estimate` needs to give the fit again."""
        bare: dict[int, SpatialWeights] = {}

        def fresh(w: SpatialWeights | None) -> SpatialWeights | None:
            return None if w is None else bare.setdefault(id(w), replace(w))

        outcome = {name: made for name, w in fit.roles.outcome if (made := fresh(w)) is not None}
        return cls(fit.spec, fit.panel, outcome, fresh(fit.roles.regressors), fresh(fit.roles.error))

    def estimate(self) -> SpatialFit:
        """The fit."""
        return fit_spec(
            self.spec,
            self.panel,
            self.outcome or self.regressors or self.error,
            weights_x=self.regressors if self.spec.has_lagged_regressors else None,
            weights_error=self.error,
        )
