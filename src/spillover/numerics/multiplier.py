"""Apply (I − ρW)^{-1} and its transpose without an n × n inverse."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import SuperLU, splu

from spillover.typing import FloatArray


def factorise(matrix: sp.csr_matrix, rho: float, symmetric_pattern: bool) -> SuperLU:
    """Sparse LU of I − ρW."""
    system = sp.csc_matrix(sp.identity(matrix.shape[0], format="csc") - rho * matrix)
    if symmetric_pattern:
        return splu(system, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    return splu(system, permc_spec="COLAMD")


class Multiplier:
    """The spatial multiplier S^{-1} = (I − ρW)^{-1} at one ρ, and G = W S^{-1} = S^{-1} W."""

    def __init__(self, matrix: sp.csr_matrix, rho: float, symmetric_pattern: bool) -> None:
        self.matrix = matrix
        self.rho = rho
        self._symmetric_pattern = symmetric_pattern

    @cached_property
    def _lu(self) -> SuperLU:
        return factorise(self.matrix, self.rho, self._symmetric_pattern)

    def solve(self, right: FloatArray) -> FloatArray:
        """S^{-1} B for B of shape (n,) or (n, q)."""
        return np.asarray(self._lu.solve(np.asfortranarray(right)))

    def solve_transposed(self, right: FloatArray) -> FloatArray:
        """S^{-T} B for B of shape (n,) or (n, q)."""
        return np.asarray(self._lu.solve(np.asfortranarray(right), trans="T"))

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
