"""`SpatialFit`: a fitted model, frozen; every view derives from its estimates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from spillover.errors import OptionError, ValueDomainError, check_option, show_labels
from spillover.inference.estimates import Estimates
from spillover.models.covariance import (
    Point,
    hessian_covariance,
    information_covariance,
    sandwich_covariance,
)
from spillover.models.groups import check_crossing
from spillover.models.likelihood import Solution
from spillover.models.robust import (
    cluster_covariance,
    conley_covariance,
    driscoll_kraay_covariance,
    group_cluster_covariance,
    hc_covariance,
    two_way_cluster_covariance,
)
from spillover.models.spec import ModelSpec, Roles
from spillover.models.views import FitViews
from spillover.panel.panel import Panel
from spillover.typing import CovarianceName, FloatArray
from spillover.weights.weights import SpatialWeights

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class SpatialFit(FitViews):
    """A fitted spatial model.

    Attributes
    ----------
    spec : what was asked for.
    estimates : slopes (own, then W*), and `rho` last where the model has it, with their covariance.
    statistics : log_likelihood, sigma2, aic, bic, counts, … by name.
    solution : how the maximum was found; None for OLS and SLX.
    roles : which W lags the outcome, the regressors and the error, aligned to the panel.
    notes : what a careful reader should know about this fit.
    """

    spec: ModelSpec
    estimates: Estimates
    statistics: Mapping[str, Any]
    solution: Solution | None
    roles: Roles
    point: Point
    notes: tuple[str, ...]
    panel: Panel

    @property
    def weights(self) -> SpatialWeights | None:
        """The W a reader would call "the W": of the outcome, else of the regressors, else of the error."""
        return self.roles.main

    @property
    def rho(self) -> float:
        """Coefficient of W y; 0 for models without it, an error for several."""
        if len(self.roles.outcome) > 1:
            raise OptionError("the outcome has several spatial lags", expected=", ".join(self.roles.rho_names))
        return next((term.value for term in self.point.terms if term.lag_column is not None), 0.0)

    def effects(
        self,
        by: str | None = None,
        *,
        variables: Sequence[str] | None = None,
        level: float = 0.95,
        average: str | None = None,
        method: str = "delta",
        draws: int = 2_000,
        seed: int = 1,
        steps: int = 5,
    ) -> pd.DataFrame:
        """Effects of the regressors with intervals.

        by : None for direct, indirect and total; "region" for what each region has of its own, receives and emits;
            "order" for steps in W.
        average : panel variable (population, GDP) that weights the regions as receivers; equal weights by default.
        method : "delta" or "simulation" (seeded draws; the discarded ones are counted).
        """
        from spillover.effects.impacts import average_effects, simulated_effects
        from spillover.effects.orders import effects_by_order
        from spillover.effects.regional import regional_table

        check_option("by", by or "average", ("average", "region", "order"))
        check_option("method", method, ("delta", "simulation"))
        if by is not None and (average is not None or method != "delta"):
            raise OptionError(f'average and method are for by=None and do not apply to by="{by}"', fix="leave them out")
        if by == "region":
            return regional_table(self, variables, level)
        if by == "order":
            return effects_by_order(self, variables, steps).tidy(level)
        shares = None if average is None else self._shares(average)
        if method == "simulation":
            estimates, found = simulated_effects(self, variables, shares, draws=draws, seed=seed)
            limits = found.limits(level)
            columns = {"p_value": found.p_values(), "conf_low": limits[:, 0], "conf_high": limits[:, 1]}
            return estimates.tidy(level).assign(**columns)
        return average_effects(self, variables, shares).tidy(level)

    def _shares(self, name: str) -> FloatArray:
        """(n,) shares of a positive panel variable, averaged over the periods of the fit."""
        values = self.panel[name].mean(axis=1)
        if not (np.isfinite(values).all() and (values >= 0).all() and values.sum() > 0):
            bad = [self.panel.regions[i] for i in np.flatnonzero(~(np.isfinite(values) & (values >= 0)))]
            raise ValueDomainError(
                f"{name!r} cannot weight the regions",
                got=show_labels(bad),
                expected="values of zero or more in all cells",
            )
        return values / values.sum()

    def tests(self, form: str = "all") -> pd.DataFrame:
        """Specification tests, one row each: "valid", "conventional" or "all" forms of the LM tests."""
        import pandas as pd

        from spillover.models.specification import specification_tests

        check_option("form", form, ("all", "valid", "conventional"))
        rows = [test.row() for test in specification_tests(self)]
        if form != "all":
            rows = [row for row in rows if row["form"] in (form, "")]
        return pd.DataFrame(rows)

    def all_tests(self) -> pd.DataFrame:
        """`tests` and the Koley–Bera family, Hausman tests and tests of the residuals; what does not apply says why."""
        from spillover.models.all_tests import all_tests

        return all_tests(self)

    def with_covariance(
        self, covariance: CovarianceName, *, cutoff_km: float | None = None, time_lags: int | None = None
    ) -> SpatialFit:
        """The same fit with another covariance."""
        spec = self.spec.with_changes(covariance=covariance, cutoff_km=cutoff_km, time_lags=time_lags)
        if spec.groups is not None:
            check_crossing(spec, self.panel, self.roles)
        estimates = estimates_at(spec, self.point, self.estimates.values, self.panel)
        statistics = {**self.statistics, "covariance": spec.resolved_covariance}
        return replace(self, spec=spec, estimates=estimates, statistics=statistics)

    def with_note(self, note: str, **statistics: float) -> SpatialFit:
        """A copy with a note and statistics added."""
        return replace(self, notes=(*self.notes, note), statistics={**self.statistics, **statistics})

    def __repr__(self) -> str:
        return (
            f"SpatialFit: {self.spec.model} with {self.spec.effects_in_words} effects, {self.spec.formula}; "
            f"{self.statistics['n_regions']} regions × {self.statistics['n_periods']} periods"
        )


METHODS = {
    "information": "information matrix",
    "hessian": "observed Hessian",
    "sandwich": "QML sandwich",
    "hc": "heteroskedasticity-robust",
    "cluster": "clustered by region",
    "cluster-group": "clustered by group",
    "two-way-cluster": "clustered by region and period",
    "driscoll-kraay": "Driscoll–Kraay",
    "conley": "Conley",
}


def estimates_at(spec: ModelSpec, point: Point, values: FloatArray, panel: Panel) -> Estimates:
    """Estimates with the covariance that the specification asks for."""
    terms = (*point.design.terms, *(term.name for term in point.terms))
    kind = spec.resolved_covariance
    free = float(point.design.transformation.free_observations - point.k)
    df: float | None = None if point.terms else free
    if kind == "information":
        covariance = information_covariance(point)
    elif kind == "hessian":
        covariance = hessian_covariance(point)
    elif kind == "sandwich":
        covariance = sandwich_covariance(point)
    elif kind == "hc":
        covariance, df = hc_covariance(point)
    elif kind == "cluster":
        covariance, df = cluster_covariance(point)
    elif kind == "cluster-group":
        covariance, df = group_cluster_covariance(point)
    elif kind == "two-way-cluster":
        covariance, df = two_way_cluster_covariance(point)
    elif kind == "driscoll-kraay":
        covariance, df = driscoll_kraay_covariance(point, spec.time_lags)
    else:
        assert spec.cutoff_km is not None
        covariance, df = conley_covariance(point, distances_of(panel), spec.cutoff_km, spec.time_lags)
    return Estimates(terms, values, covariance, df, METHODS[kind])


def distances_of(panel: Panel) -> Callable[[float], sp.csr_matrix]:
    """Cut-off → sparse (n, n) distances in km between the regions' centroids, up to the cut-off."""
    from spillover.panel.geometry import centroids
    from spillover.weights.points import Points

    coordinates, lonlat = centroids(panel)
    points = Points(panel.regions, coordinates, lonlat)

    def within(cutoff_km: float) -> sp.csr_matrix:
        i, j, km = points.pairs_within(cutoff_km)
        n = len(panel.regions)
        upper = sp.csr_matrix((km, (i, j)), shape=(n, n))
        return sp.csr_matrix(upper + upper.T)

    return within
