"""SLX with a law of decay: all but the law is linear, so a trial costs one product and one small regression."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from spillover.models.columns import least_squares
from spillover.models.likelihood import gaussian
from spillover.moderators.distance_design import DistanceDesign
from spillover.moderators.distances import Pattern
from spillover.moderators.kernels import Kernel
from spillover.moderators.stacked import Regression, regress
from spillover.typing import FloatArray

COLLINEAR = 1e-10
"""Share of an exposure's length that must be left after projecting on X, or the exposure adds nothing."""

NOTHING = 1e-30
"""Length of an exposure, relative to the regressor, below which nobody is within reach of the law: κ underflows."""


@dataclass(frozen=True, eq=False)
class SlxLikelihood:
    """ℓ_p(rate, shape) of  y = X β + θ Σ_j κ(d_ij) x_j + effects + ε.

    Attributes
    ----------
    row : whether exposures are divided by the row sums of κ, which makes another model: a mean over all distances.
    """

    design: DistanceDesign
    kernel: Kernel
    row: bool = False

    @property
    def m(self) -> int:
        """Effective number of observations."""
        return self.design.transformation.m

    @cached_property
    def _basis(self) -> FloatArray:
        """(n t, k) orthonormal basis of the own regressors; collinear ones are refused by name."""
        x = self.design.x
        flat = x.reshape(len(x), -1).T
        least_squares(np.column_stack([flat, self.design.y.ravel()]), self.design.own_terms)
        return np.asarray(np.linalg.qr(flat)[0])

    @cached_property
    def outcome(self) -> FloatArray:
        """(n t,) y freed of the own regressors."""
        return self.free(self.design.y.reshape(1, -1))[0]

    @cached_property
    def null_value(self) -> float:
        """ℓ without a spillover."""
        return float(gaussian(float(self.outcome @ self.outcome), self.m))

    def free(self, columns: FloatArray) -> FloatArray:
        """(q, n t) columns freed of the own regressors."""
        q = self._basis
        return np.asarray(columns - (columns @ q) @ q.T)

    def weigh(self, rate: float, shape: float) -> Pattern:
        """(n, n) κ(d_ij), divided by its row sums where `row`."""
        return normalise(self.design.distances.weigh(lambda d: self.kernel.value(d, rate, shape)), self.row)

    def exposures(self, rate: float, shape: float) -> FloatArray:
        """(q, n, t) demeaned."""
        return self.design.expose(self.weigh(rate, shape))

    def freed_exposures(self, rate: float, shape: float) -> FloatArray | None:
        """(q, n t) exposures freed of X; None where nothing is left of one of them."""
        whole = self.exposures(rate, shape)
        flat = whole.reshape(len(whole), -1)
        left = self.free(flat)
        size = np.linalg.norm(flat, axis=1)
        if (np.linalg.norm(left, axis=1) <= COLLINEAR * size).any():
            return None
        if (size <= NOTHING * np.linalg.norm(self.design.senders.reshape(len(size), -1), axis=1)).any():
            return None
        return left

    def __call__(self, rate: float, shape: float) -> float:
        """ℓ maximised over β, θ and σ²."""
        left = self.freed_exposures(rate, shape)
        if left is None:
            return self.null_value
        left = left / np.linalg.norm(left, axis=1, keepdims=True)
        gram, cross = left @ left.T, left @ self.outcome
        explained = float(cross @ np.linalg.lstsq(gram, cross, rcond=1e-12)[0])
        return float(gaussian(max(float(self.outcome @ self.outcome) - explained, 1e-300), self.m))

    def regression(self, rate: float, shape: float, free: int) -> Regression:
        """Least squares at a law, with the columns of ∂(θ κ x)/∂rate (and ∂shape) behind: the Gauss–Newton columns.

        free : how many parameters of the law have such a column.

        Coefficients are of X and of the exposures; those of the derivative columns are zero at the maximum.
        """
        design = self.design
        exposures = self.exposures(rate, shape)
        names = (*design.own_terms, *(f"W*{name}" for name in design.lagged))
        linear = regress(design.y, np.concatenate([design.x, exposures]), names)
        theta = linear.coefficients[len(design.x) :]
        slopes = [np.tensordot(theta, design.expose(part), axes=1) for part in self.slopes(rate, shape, free)]
        z = np.concatenate([linear.z, *(slope[None] for slope in slopes)])
        flat = z.reshape(len(z), -1)
        scale = 1.0 / np.linalg.norm(flat, axis=1)
        inverse = np.linalg.inv((flat * scale[:, None]) @ (flat * scale[:, None]).T) * np.outer(scale, scale)
        coefficients = np.concatenate([linear.coefficients, np.zeros(len(slopes))])
        return Regression(coefficients, linear.residuals, inverse, z, linear.rss)

    def law_shares(self, rate: float, shape: float) -> list[float]:
        """Of ∂(κ x)/∂rate and ∂(κ x)/∂shape: the share of the length that X, the exposures and the one before leave."""
        slopes = self.slopes(rate, shape, self.kernel.count)
        freed = self.freed_exposures(rate, shape)
        if freed is None:
            return [0.0] * len(slopes)
        basis = np.linalg.qr((freed / np.linalg.norm(freed, axis=1, keepdims=True)).T)[0]
        shares = []
        for slope in slopes:
            column = self.design.expose(slope)[0].ravel()
            left = self.free(column[None])[0]
            left = left - basis @ (basis.T @ left)
            whole, rest = float(np.linalg.norm(column)), float(np.linalg.norm(left))
            shares.append(rest / whole if whole > 0.0 else 0.0)
            basis = np.column_stack([basis, left / max(rest, 1e-300)])
        return shares

    def slopes(self, rate: float, shape: float, free: int) -> list[Pattern]:
        """∂W/∂rate and ∂W/∂shape, as many as are free."""
        kernel, distances = self.kernel, self.design.distances
        parts = [distances.weigh(lambda d: kernel.rate_slope(d, rate, shape) / rate)] if free else []
        if free > 1:
            parts.append(distances.weigh(lambda d: kernel.shape_slope(d, rate, shape)))
        if not self.row:
            return parts
        plain = distances.weigh(lambda d: kernel.value(d, rate, shape))
        return [normalised_slope(plain, part) for part in parts]


def normalise(matrix: Pattern, row: bool) -> Pattern:
    """A matrix with rows of sum one, or as it is."""
    if not row:
        return matrix
    sums = np.asarray(matrix.sum(axis=1)).ravel()
    inverse = np.divide(1.0, sums, out=np.zeros_like(sums), where=sums > 0)
    return scale_rows(matrix, inverse)


def scale_rows(matrix: Pattern, by: FloatArray) -> Pattern:
    """diag(by) M."""
    return matrix * by[:, None] if isinstance(matrix, np.ndarray) else sp.csr_matrix(sp.diags(by) @ matrix)


def normalised_slope(matrix: Pattern, slope: Pattern) -> Pattern:
    """Derivative of diag(s)^{-1} M, s the row sums: M'/s − diag(s'/s²) M."""
    sums = np.asarray(matrix.sum(axis=1)).ravel()
    change = np.asarray(slope.sum(axis=1)).ravel()
    inverse = np.divide(1.0, sums, out=np.zeros_like(sums), where=sums > 0)
    return scale_rows(slope, inverse) - scale_rows(matrix, change * inverse**2)
