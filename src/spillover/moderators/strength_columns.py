"""The arrays of a model with several moderated lags of the outcome: one B_k and one column B_k y per coefficient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
import scipy.sparse as sp

from spillover.errors import DesignError, OptionError, show_labels
from spillover.models.columns import least_squares
from spillover.models.covariance import Point, SpatialTerm
from spillover.models.design import Design
from spillover.models.result import SpatialFit
from spillover.moderators.strength_likelihood import StrengthLikelihood
from spillover.numerics.least_squares import Projection
from spillover.numerics.varying import VaryingMultiplier, VaryingOperator
from spillover.numerics.within import Centring, Transformation
from spillover.typing import FloatArray
from spillover.weights.weights import SpatialWeights

LEFT = 1e-9  # share of a lag that effects, trends and regressors leave; less is rounding
SAME = 1e-12  # smallest eigenvalue of the correlations of the lags; less is the same lag twice

Whose: TypeAlias = Literal["receiver", "sender"]


@dataclass(frozen=True, eq=False)
class WithoutDirections(Transformation):
    """A transformation that also removes fixed directions from every period.

    directions : (n, d) orthonormal, ι in their span.
    """

    directions: FloatArray = None  # type: ignore[assignment]

    @property
    def n_star(self) -> int:
        """n − d."""
        return self.n - self.directions.shape[1]

    @property
    def free_observations(self) -> int:
        """(n − d)(t − segments)."""
        return self.n_star * (self.t - len(self.segment_means))

    @property
    def region_sizes(self) -> FloatArray:
        """(n,) one over the share of its variance that a region loses."""
        return np.asarray(1.0 / np.maximum(np.sum(self.directions**2, axis=1), 1e-300))

    @cached_property
    def centring(self) -> Centring:
        """None: the operators remove the directions themselves."""
        return Centring(self.n)

    def remove_means(self, values: FloatArray) -> FloatArray:
        """Region means, then the directions, in place."""
        for periods in self.segment_means:
            values[..., periods] -= values[..., periods].mean(axis=-1, keepdims=True)
        values -= self.directions @ (self.directions.T @ values)
        return values


@dataclass(frozen=True, eq=False)
class StrengthColumns:
    """A null fit's design with K lags of the outcome in the place of one.

    Attributes
    ----------
    design : its block holds k regressors, y, and the K lags.
    matrices : B_k (n, n). names : of their coefficients. loads : (K, n) diagonals of D_k.
    compressed : period means are removed exactly. removed : (n, d) directions that every period loses, or None.
    sizes : (K,) norms of the lags before anything is removed.
    """

    design: Design
    matrices: tuple[sp.csr_matrix, ...]
    names: tuple[str, ...]
    loads: FloatArray
    compressed: bool
    removed: FloatArray | None
    sizes: FloatArray

    @property
    def count(self) -> int:
        """K."""
        return len(self.matrices)

    def projection(self) -> Projection:
        """Least squares of y and its lags on Z.

        Raises `DesignError`, naming regressors that the trends absorb, or lags that cannot be told apart.
        """
        found = least_squares(self.design.columns, self.design.terms)
        products = found.residual_products[1:, 1:]
        sizes = np.sqrt(np.diag(products))
        lost = [name for name, size, before in zip(self.names, sizes, self.sizes, strict=True) if size <= LEFT * before]
        if not lost:
            values, directions = np.linalg.eigh(products / np.outer(sizes, sizes))
            weight = np.abs(directions[:, 0])
            lost = [n for n, w in zip(self.names, weight, strict=True) if w > 0.1] if values[0] < SAME else []
        if lost:
            raise DesignError(
                "the strength of the feedback cannot be told for these moderators",
                got=show_labels(lost),
                causes=(
                    "a moderator that marks one region only: z × period effects take that region out",
                    "the same moderator under two names",
                ),
                fix="choose moderators that differ between many regions, each in its own way",
            )
        return found

    def likelihood(self, projection: Projection) -> StrengthLikelihood:
        """The score equations of ρ, and ℓ where there is one."""
        transformation = self.design.transformation
        return StrengthLikelihood(
            projection.residual_products,
            self.matrices,
            transformation.m,
            transformation.t_star,
            self.compressed,
            self.removed,
        )

    def multiplier(self, rhos: FloatArray) -> VaryingMultiplier:
        """S^{-1} (or R) at ρ."""
        return VaryingMultiplier(self.matrices, rhos, self.compressed, removed=self.removed)

    def point(self, projection: Projection, rhos: FloatArray) -> tuple[Point, FloatArray]:
        """(what a covariance needs, (k + K,) parameters) at ρ."""
        design = self.design
        k = design.k
        delta = projection.coefficients[:, 0] - projection.coefficients[:, 1:] @ rhos
        residuals = design.y - np.tensordot(rhos, design.block[k + 1 :], axes=1) - design.fitted(delta)
        sigma2 = float(np.sum(residuals**2)) / design.transformation.m
        multiplier = self.multiplier(rhos)
        terms = tuple(
            SpatialTerm(name, float(rho), VaryingOperator(multiplier, i), k + 1 + i)
            for i, (name, rho) in enumerate(zip(self.names, rhos, strict=True))
        )
        hessian = self._observed(multiplier, residuals, sigma2)
        point = Point(design, design.block, residuals, projection.inverse_gram, sigma2, terms, hessian)
        return point, np.concatenate([delta, rhos])

    def _observed(self, multiplier: VaryingMultiplier, residuals: FloatArray, sigma2: float) -> FloatArray:
        """(k + K + 1, ·) negative derivatives of the score in (δ, ρ, σ²)."""
        k, transformation = self.design.k, self.design.transformation
        columns = self.design.columns
        d = np.delete(columns, k, axis=1)
        second = multiplier.derivatives()[1]
        full = np.zeros((d.shape[1] + 1, d.shape[1] + 1))
        full[:-1, :-1] = d.T @ d / sigma2
        full[k:-1, k:-1] -= transformation.t_star * (second + second.T) / 2.0
        full[:-1, -1] = full[-1, :-1] = d.T @ residuals.ravel() / sigma2**2
        full[-1, -1] = transformation.m / (2.0 * sigma2**2)
        return full


def strength_columns(
    null: SpatialFit, loads: FloatArray, names: Sequence[str], whose: Whose, *, trends: bool = False
) -> StrengthColumns:
    """Columns B_k y for the diagonals `loads` (K, n) of D_k, on the regressors of a fit with one lag of the outcome.

    trends : every period also loses the diagonals of D_k (shocks that load on z) and the directions B_kι.

    Raises
    ------
    OptionError : a W whose rows do not sum to one beside period effects; effects of groups.
    """
    w = null.roles.outcome[0][1]
    transformation = null.design.transformation
    periods = transformation.removes_periods
    _check(w, null, periods)
    matrices = tuple(
        sp.csr_matrix(sp.diags(load) @ w.matrix if whose == "receiver" else w.matrix @ sp.diags(load)) for load in loads
    )
    removed = _directions(matrices, loads) if trends and periods else None
    y = null.design.y_raw
    if removed is not None:
        transformation = WithoutDirections(
            effects=transformation.effects,
            correction="lee-yu",
            n=y.shape[0],
            t=y.shape[1],
            segments=transformation.segments,
            directions=removed,
        )
    elif periods:
        y = y - y.mean(axis=0)
    k = null.design.k
    block = np.empty((k + 1 + len(matrices), *y.shape))
    block[: k + 1] = null.design.block[: k + 1]
    for i, matrix in enumerate(matrices):
        block[k + 1 + i] = matrix @ y
    sizes = np.sqrt(np.sum(block[k + 1 :] ** 2, axis=(1, 2)))
    transformation.remove_means(block if removed is not None else block[k + 1 :])
    design = replace(null.design, block=block, transformation=transformation)
    return StrengthColumns(
        design, matrices, tuple(names), np.asarray(loads), periods and removed is None, removed, sizes
    )


def _directions(matrices: tuple[sp.csr_matrix, ...], loads: FloatArray) -> FloatArray:
    """(n, d) orthonormal basis of ι, the diagonals of D_k, and the B_kι."""
    n = matrices[0].shape[0]
    sums = [np.asarray(matrix.sum(axis=1)).ravel() for matrix in matrices]
    columns = np.column_stack([np.ones(n), *loads, *sums])
    left, sizes, _ = np.linalg.svd(columns / np.linalg.norm(columns, axis=0), full_matrices=False)
    return np.asarray(left[:, sizes > 1e-9 * sizes[0]])


def _check(w: SpatialWeights, null: SpatialFit, periods: bool) -> None:
    if null.spec.groups is not None or null.spec.correction != "lee-yu":
        raise OptionError(
            "a moderated ρ is estimated with effects of regions and periods, exactly transformed",
            got=f"groups={null.spec.groups!r}, correction={null.spec.correction!r}",
            fix="leave out groups=… and correction=…",
        )
    if periods and not w.rows_sum_to_one:
        raise OptionError(
            "a moderated ρ with period effects needs a W whose rows sum to one",
            got=f"row sums from {w.row_sums.min():.4g} to {w.row_sums.max():.4g}",
            fix='use weights.standardise("row"), or effects="individual"',
        )
