"""`SpatialFit`: a fitted model, frozen; every view derives from its estimates."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from spillover import __version__
from spillover.errors import OptionError, check_option
from spillover.inference.estimates import Estimates
from spillover.models.covariance import Point, cluster_covariance, information_covariance
from spillover.models.likelihood import Solution
from spillover.models.spec import ModelSpec
from spillover.typing import CovarianceName, FloatArray
from spillover.weights.weights import SpatialWeights

if TYPE_CHECKING:
    import pandas as pd

    from spillover.models.design import Design


@dataclass(frozen=True, eq=False, repr=False)
class SpatialFit:
    """A fitted spatial model.

    Attributes
    ----------
    spec : what was asked for.
    estimates : slopes (own, then W*), and `rho` last where the model has it, with their covariance.
    statistics : log_likelihood, sigma2, aic, bic, counts, … by name.
    solution : how the maximum was found; None for OLS and SLX.
    weights : the W that was used, aligned to the panel; None for OLS.
    notes : what a careful reader should know about this fit.
    """

    spec: ModelSpec
    estimates: Estimates
    statistics: Mapping[str, Any]
    solution: Solution | None
    weights: SpatialWeights | None
    point: Point
    notes: tuple[str, ...]

    @property
    def design(self) -> Design:
        """The arrays the model was estimated on."""
        return self.point.design

    @property
    def rho(self) -> float:
        """Coefficient of W y; 0 for models without it."""
        return self.point.rho or 0.0

    @cached_property
    def provenance(self) -> dict[str, str]:
        """Version and hashes of the data and of W that the fit used."""
        design = self.design
        keys = "\x1f".join([*design.regions, *map(str, design.periods), *design.terms])
        found = {"version": __version__, "data_sha256": _digest(keys, design.y_raw, design.x_raw)}
        if self.weights is not None:
            matrix = self.weights.matrix
            found["weights_sha256"] = _digest(
                "\x1f".join(self.weights.regions), matrix.indptr, matrix.indices, matrix.data
            )
        return found

    @property
    def residuals(self) -> FloatArray:
        """(n, t) residuals, demeaned."""
        return self.point.residuals

    def coefficients(self, level: float = 0.95) -> pd.DataFrame:
        """Tidy table of the coefficients with their intervals."""
        return self.estimates.tidy(level)

    def effects(
        self, by: str | None = None, *, variables: Sequence[str] | None = None, level: float = 0.95
    ) -> pd.DataFrame:
        """Direct, indirect and total effects (by=None), or what each region receives and emits (by="region")."""
        from spillover.effects.impacts import average_effects
        from spillover.effects.regional import regional_table

        check_option("by", by or "average", ("average", "region"))
        if by == "region":
            return regional_table(self, variables, level)
        return average_effects(self, variables).tidy(level)

    def tests(self, form: str = "all") -> pd.DataFrame:
        """Specification tests, one row each: "valid", "conventional" or "all" forms of the LM tests."""
        import pandas as pd

        from spillover.models.specification import specification_tests

        check_option("form", form, ("all", "valid", "conventional"))
        rows = [test.row() for test in specification_tests(self)]
        if form != "all":
            rows = [row for row in rows if row["form"] in (form, "")]
        return pd.DataFrame(rows)

    def with_covariance(self, covariance: CovarianceName) -> SpatialFit:
        """The same fit with another covariance: "information" or "cluster"."""
        spec = self.spec.with_changes(covariance=covariance)
        return replace(self, spec=spec, estimates=estimates_at(spec, self.point, self.estimates.values))

    def predict(self) -> FloatArray:
        """(n, t) fitted values of the demeaned outcome in reduced form, S^{-1} Z δ."""
        mean = self.design.fitted(self.estimates.values[: self.design.k])
        if self.point.engine is None:
            return mean
        return self.point.engine.multiplier(self.rho).solve(mean)

    def summary(self) -> str:
        """The fit on one screen, as text."""
        from spillover.effects.summary import summarise

        return summarise(self)

    def __repr__(self) -> str:
        return (
            f"SpatialFit: {self.spec.model} with {self.spec.effects} effects, {self.spec.formula}; "
            f"{self.statistics['n_regions']} regions × {self.statistics['n_periods']} periods"
        )


def estimates_at(spec: ModelSpec, point: Point, values: FloatArray) -> Estimates:
    """Estimates with the covariance that the specification asks for."""
    n = point.residuals.shape[0]
    terms = (*point.design.terms, "rho") if point.engine is not None else point.design.terms
    kind = spec.resolved_covariance
    if kind == "cluster":
        # t(n − 1): with few clusters the normal quantile is too short.
        return Estimates(terms, values, cluster_covariance(point), float(n - 1), "clustered by region")
    if kind == "information":
        free = point.design.transformation.free_observations - point.design.k
        df = float(free) if point.engine is None else None
        return Estimates(terms, values, information_covariance(point), df, "information matrix")
    raise OptionError("unknown covariance", got=kind)


def _digest(keys: str, *arrays: np.ndarray) -> str:
    """First 16 hexadecimal digits of the SHA-256 of labels and arrays."""
    digest = hashlib.sha256(keys.encode())
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
