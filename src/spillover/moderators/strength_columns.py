"""The arrays of a model with several moderated lags of the outcome: one B_k and one column B_k y per coefficient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import scipy.sparse as sp

from spillover.errors import OptionError
from spillover.models.covariance import Point, SpatialTerm
from spillover.models.design import Design
from spillover.models.result import SpatialFit
from spillover.moderators.strength_likelihood import StrengthLikelihood
from spillover.numerics.least_squares import Projection, project
from spillover.numerics.varying import VaryingMultiplier, VaryingOperator
from spillover.typing import FloatArray
from spillover.weights.weights import SpatialWeights

Whose: TypeAlias = Literal["receiver", "sender"]


@dataclass(frozen=True, eq=False)
class StrengthColumns:
    """A null fit's design with K lags of the outcome in the place of one.

    Attributes
    ----------
    design : its block holds k regressors, y, and the K lags.
    matrices : B_k (n, n). names : of their coefficients. loads : (K, n) diagonals of D_k.
    """

    design: Design
    matrices: tuple[sp.csr_matrix, ...]
    names: tuple[str, ...]
    loads: FloatArray
    compressed: bool

    @property
    def count(self) -> int:
        """K."""
        return len(self.matrices)

    def projection(self) -> Projection:
        """Least squares of y and its lags on Z."""
        found = project(self.design.columns, self.design.k)
        assert isinstance(found, Projection)  # the null fit has refused collinear columns
        return found

    def likelihood(self, projection: Projection) -> StrengthLikelihood:
        """ℓ(ρ)."""
        transformation = self.design.transformation
        return StrengthLikelihood(
            projection.residual_products, self.matrices, transformation.m, transformation.t_star, self.compressed
        )

    def point_multiplier(self, rhos: FloatArray) -> VaryingMultiplier:
        """S^{-1} (or R) at ρ."""
        return VaryingMultiplier(self.matrices, rhos, self.compressed)

    def point(self, projection: Projection, rhos: FloatArray) -> tuple[Point, FloatArray]:
        """(what a covariance needs, (k + K,) parameters) at ρ."""
        design = self.design
        k = design.k
        delta = projection.coefficients[:, 0] - projection.coefficients[:, 1:] @ rhos
        residuals = design.y - np.tensordot(rhos, design.block[k + 1 :], axes=1) - design.fitted(delta)
        sigma2 = float(np.sum(residuals**2)) / design.transformation.m
        multiplier = self.point_multiplier(rhos)
        terms = tuple(
            SpatialTerm(name, float(rho), VaryingOperator(multiplier, i), k + 1 + i)
            for i, (name, rho) in enumerate(zip(self.names, rhos, strict=True))
        )
        hessian = self._observed(multiplier, residuals, sigma2)
        point = Point(design, design.block, residuals, projection.inverse_gram, sigma2, terms, hessian)
        return point, np.concatenate([delta, rhos])

    def _observed(self, multiplier: VaryingMultiplier, residuals: FloatArray, sigma2: float) -> FloatArray:
        """(k + K + 1, ·) negative second derivatives of ℓ in (δ, ρ, σ²)."""
        k, transformation = self.design.k, self.design.transformation
        columns = self.design.columns
        d = np.delete(columns, k, axis=1)
        full = np.zeros((d.shape[1] + 1, d.shape[1] + 1))
        full[:-1, :-1] = d.T @ d / sigma2
        full[k:-1, k:-1] -= transformation.t_star * multiplier.derivatives()[1]
        full[:-1, -1] = full[-1, :-1] = d.T @ residuals.ravel() / sigma2**2
        full[-1, -1] = transformation.m / (2.0 * sigma2**2)
        return full


def strength_columns(null: SpatialFit, loads: FloatArray, names: Sequence[str], whose: Whose) -> StrengthColumns:
    """Columns B_k y for the diagonals `loads` (K, n) of D_k, on the regressors of a fit with one lag of the outcome.

    Raises
    ------
    OptionError : a W whose rows do not sum to one beside period effects; effects of groups.
    """
    w = null.roles.outcome[0][1]
    transformation = null.design.transformation
    compressed = transformation.removes_periods
    _check(w, null, compressed)
    matrices = tuple(
        sp.csr_matrix(sp.diags(load) @ w.matrix if whose == "receiver" else w.matrix @ sp.diags(load)) for load in loads
    )
    y = null.design.y_raw
    lagged = y - y.mean(axis=0) if compressed else y
    k = null.design.k
    block = np.empty((k + 1 + len(matrices), *y.shape))
    block[: k + 1] = null.design.block[: k + 1]
    for i, matrix in enumerate(matrices):
        block[k + 1 + i] = matrix @ lagged
    transformation.remove_means(block[k + 1 :])
    return StrengthColumns(replace(null.design, block=block), matrices, tuple(names), np.asarray(loads), compressed)


def _check(w: SpatialWeights, null: SpatialFit, compressed: bool) -> None:
    if null.spec.groups is not None or null.spec.correction != "lee-yu":
        raise OptionError(
            "a moderated ρ is estimated with effects of regions and periods, exactly transformed",
            got=f"groups={null.spec.groups!r}, correction={null.spec.correction!r}",
            fix="leave out groups=… and correction=…",
        )
    if compressed and not w.rows_sum_to_one:
        raise OptionError(
            "a moderated ρ with period effects needs a W whose rows sum to one",
            got=f"row sums from {w.row_sums.min():.4g} to {w.row_sums.max():.4g}",
            fix='use weights.standardise("row"), or effects="individual"',
        )
