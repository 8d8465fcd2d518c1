"""Linear moment conditions E h'(y − Qb) = 0 on an orthonormal basis of the instruments.

With H = basis (m, p), Γ = H'Q and γ = H'y every linear instrumental estimator is least squares of γ on Γ
in some metric: two-stage least squares in the identity, efficient moments in S^{-1}, S = var(H'ε).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg

from spillover.numerics.within import Transformation
from spillover.typing import FloatArray

RANK_TOLERANCE = 1e-9  # of a column's length that must be left beyond the columns before it


@dataclass(frozen=True, eq=False)
class MomentSystem:
    """Regressors, outcome and instruments, means removed, rows ordered by region, then period.

    Attributes
    ----------
    regressors : (m, k) Q. outcome : (m,) y.
    basis : (m, p) orthonormal H; the first `included` columns span the exogenous regressors of the model.
    endogenous : positions in Q of the regressors that are not exogenous.
    transformation : n, t and the means that were removed.
    """

    regressors: FloatArray
    outcome: FloatArray
    basis: FloatArray
    included: int
    endogenous: tuple[int, ...]
    transformation: Transformation

    @property
    def shape(self) -> tuple[int, int]:
        """(n, t)."""
        return self.transformation.n, self.transformation.t

    @property
    def gamma(self) -> FloatArray:
        """(p, k) H'Q."""
        return np.asarray(self.basis.T @ self.regressors)

    @property
    def excluded(self) -> FloatArray:
        """(m, q) orthonormal basis of the excluded instruments, the exogenous regressors partialled out."""
        return self.basis[:, self.included :]

    @property
    def free(self) -> int:
        """Observations less the means removed."""
        return self.transformation.free_observations

    def partialled(self) -> FloatArray:
        """(m, 1 + k₂) outcome and endogenous regressors, the exogenous regressors partialled out."""
        columns = np.column_stack([self.outcome, self.regressors[:, list(self.endogenous)]])
        inside = self.basis[:, : self.included]
        for _ in range(2):  # the second pass removes what rounding left
            columns = columns - inside @ (inside.T @ columns)
        return columns

    def residuals(self, values: FloatArray) -> FloatArray:
        """(m,) y − Qb."""
        return np.asarray(self.outcome - self.regressors @ values)


def orthonormalise(columns: FloatArray, before: FloatArray | None = None) -> tuple[FloatArray, list[int], list[int]]:
    """Orthonormal basis of columns (m, p) beyond `before` (m, b), with the positions kept and dropped.

    Columns are taken in order and dropped when less than 1e-9 of their length is left; Gram–Schmidt twice.
    Cost O(m p (p + b)).
    """
    m, p = columns.shape
    first = 0 if before is None else before.shape[1]
    basis = np.empty((m, first + p), order="F")
    if before is not None:
        basis[:, :first] = before
    filled, kept, dropped = first, [], []
    for j in range(p):
        length = float(np.linalg.norm(columns[:, j]))
        rest = columns[:, j] / (length or 1.0)
        for _ in range(2):
            rest = rest - basis[:, :filled] @ (basis[:, :filled].T @ rest)
        left = float(np.linalg.norm(rest))
        if length == 0.0 or left < RANK_TOLERANCE:
            dropped.append(j)
            continue
        rest = rest / left
        rest = rest - basis[:, :filled] @ (basis[:, :filled].T @ rest)
        basis[:, filled] = rest / np.linalg.norm(rest)
        filled += 1
        kept.append(j)
    return basis[:, first:filled], kept, dropped


def solve_moments(
    gamma: FloatArray, target: FloatArray, root: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """(b, bread): least squares of γ on Γ in the metric S^{-1}, and (Γ'S^{-1}Γ)^{-1}.

    Parameters
    ----------
    gamma, target : (p, k) and (p,) or (p, r).
    root : (p, p) lower Cholesky factor of S; None for the identity.
    """
    if root is not None:
        gamma = scipy.linalg.solve_triangular(root, gamma, lower=True)
        target = scipy.linalg.solve_triangular(root, target, lower=True)
    lengths = np.linalg.norm(gamma, axis=0)
    lengths[lengths == 0.0] = 1.0
    factor, triangle = np.linalg.qr(gamma / lengths)
    inverse = scipy.linalg.solve_triangular(triangle, np.eye(gamma.shape[1]))
    values = ((inverse @ (factor.T @ target)).T / lengths).T
    return values, (inverse @ inverse.T) / np.outer(lengths, lengths)


def cluster_sums(rows: FloatArray, system: MomentSystem, kind: str) -> FloatArray:
    """Rows (m, p) summed within regions when `kind` is "cluster", else as they are."""
    if kind != "cluster":
        return rows
    n, t = system.shape
    return np.asarray(rows.reshape(n, t, -1).sum(axis=1))


def moment_covariance(columns: FloatArray, residuals: FloatArray, system: MomentSystem, kind: str) -> FloatArray:
    """Σ s s' of the scores s = column × residual without small-sample factor; (p, p).

    columns : (m, p) orthonormal (for "homoskedastic" S is then σ̂² I with σ̂² = e'e / m).
    """
    if kind == "homoskedastic":
        return np.eye(columns.shape[1]) * float(residuals @ residuals) / system.free
    sums = cluster_sums(columns * residuals[:, None], system, kind)
    return np.asarray(sums.T @ sums)


def sample_factor(system: MomentSystem, kind: str, parameters: int) -> float:
    """Small-sample factor of a covariance: N/(N − 1) by region, (free)/(free − k) for hc1 and homoskedastic.

    With region means removed squared residuals are too small; T/(T − 1) repairs the homoskedastic case
    (Stock & Watson 2008).
    """
    n, t = system.shape
    if kind == "cluster":
        return n / (n - 1)
    within = t / (t - 1) if system.transformation.removes_regions and kind != "homoskedastic" else 1.0
    total = n * t if kind != "homoskedastic" else system.free
    count = (total - (total - system.free) * (kind == "homoskedastic")) if kind == "homoskedastic" else total
    return within * (1.0 if kind == "hc0" else count / (count - parameters))


def degrees_of_freedom(system: MomentSystem, kind: str, parameters: int) -> float:
    """Second degrees of freedom of F statistics: N − 1 by region, else observations less parameters."""
    return float(system.shape[0] - 1 if kind == "cluster" else system.free - parameters)
