"""Apply (I − ρW)^{-1} and its transpose without an n × n inverse."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import SuperLU, splu

from spillover.typing import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class OrderedMatrix:
    """W with its regions in an order that keeps the factors of I − ρW sparse; found once per W.

    Attributes
    ----------
    matrix : (n, n) CSR, W with rows and columns permuted by `order`.
    order : (n,) position in W of each permuted region, or None for W as it is.
    """

    matrix: sp.csr_matrix
    order: IntArray | None

    @classmethod
    def of(cls, matrix: sp.csr_matrix, symmetric_pattern: bool) -> OrderedMatrix:
        """Minimum-degree order for W with a symmetric pattern; others are ordered by columns in each LU."""
        if not symmetric_pattern:
            return cls(matrix, None)
        system = sp.csc_matrix(sp.identity(matrix.shape[0], format="csc") - 0.1 * matrix)
        symbolic = splu(system, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
        order = np.argsort(symbolic.perm_c)
        return cls(sp.csr_matrix(matrix[order][:, order]), order)

    def factorise(self, rho: float) -> SuperLU:
        """Sparse LU of I − ρW in this order."""
        system = sp.csc_matrix(sp.identity(self.matrix.shape[0], format="csc") - rho * self.matrix)
        if self.order is None:
            return splu(system, permc_spec="COLAMD")
        # I − ρW is diagonally dominant for row-standardised W, so pivots stay on the diagonal.
        options = {"SymmetricMode": True}
        return splu(system, permc_spec="NATURAL", diag_pivot_thresh=0.0, panel_size=1, options=options)


class Multiplier:
    """The spatial multiplier S^{-1} = (I − ρW)^{-1} at one ρ, and G = W S^{-1} = S^{-1} W."""

    def __init__(self, matrix: sp.csr_matrix, rho: float, ordered: OrderedMatrix) -> None:
        self.matrix = matrix
        self.rho = rho
        self._ordered = ordered

    @cached_property
    def _lu(self) -> SuperLU:
        return self._ordered.factorise(self.rho)

    def solve(self, right: FloatArray) -> FloatArray:
        """S^{-1} B for B of shape (n,) or (n, q)."""
        return self._solve(right, "N")

    def solve_transposed(self, right: FloatArray) -> FloatArray:
        """S^{-T} B for B of shape (n,) or (n, q)."""
        return self._solve(right, "T")

    def _solve(self, right: FloatArray, form: str) -> FloatArray:
        order = self._ordered.order
        if order is None:
            return np.asarray(self._lu.solve(np.asfortranarray(right), trans=form))
        solution = np.empty(right.shape)
        solution[order] = self._lu.solve(np.asfortranarray(right[order]), trans=form)
        return solution

    def apply_g(self, right: FloatArray) -> FloatArray:
        """G B = W S^{-1} B."""
        return np.asarray(self.matrix @ self.solve(right))

    def apply_g_transposed(self, right: FloatArray) -> FloatArray:
        """G' B = W' S^{-T} B."""
        return np.asarray(self.matrix.T @ self.solve_transposed(right))

    @cached_property
    def dense_g(self) -> FloatArray:
        """G as an (n, n) array; only for n small enough that n² numbers do not matter."""
        n = self.matrix.shape[0]
        system = np.eye(n) - self.rho * self.matrix.toarray()
        return np.asarray(np.linalg.solve(system, self.matrix.toarray()))
