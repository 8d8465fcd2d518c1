"""Apply (I − ρW)^{-1} and its transpose without an n × n inverse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, TypeAlias

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import SuperLU, splu

from spillover.numerics.cholesky import CholeskyFactory
from spillover.numerics.iterative import solve_general, solve_symmetric
from spillover.numerics.similarity import Similarity
from spillover.typing import FloatArray, IntArray

Solve: TypeAlias = Callable[[FloatArray, bool], FloatArray]
"""(right-hand sides (n,) or (n, q), transposed) → solution of the same shape."""


class Solver(Protocol):
    """What solves (I − ρW) x = b: sparse LU, sparse Cholesky, or iterations."""

    def at(self, rho: float) -> Solve:
        """The solve at one ρ; whatever is factorised is factorised here."""
        ...


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

    def log_determinant(self, rho: float) -> float:
        """ln|I − ρW|."""
        return float(np.log(np.abs(self.factorise(rho).U.diagonal())).sum())

    def at(self, rho: float) -> Solve:
        """Solves with one LU."""
        lu = self.factorise(rho)

        def solve(right: FloatArray, transposed: bool) -> FloatArray:
            form = "T" if transposed else "N"
            if self.order is None:
                return np.asarray(lu.solve(np.asfortranarray(right), trans=form))
            solution = np.empty(right.shape)
            solution[self.order] = lu.solve(np.asfortranarray(right[self.order]), trans=form)
            return solution

        return solve


@dataclass(frozen=True, eq=False)
class CholeskySolver:
    """Solves with CHOLMOD's factor of the symmetric form."""

    factory: CholeskyFactory

    def at(self, rho: float) -> Solve:
        """Solves at ρ; the last two factors are kept."""

        def solve(right: FloatArray, transposed: bool) -> FloatArray:
            return self.factory.solve(rho, right, transposed)

        return solve


@dataclass(frozen=True, eq=False)
class IterativeSolver:
    """Solves without a factor: conjugate gradients when W has a symmetric form, else BiCGSTAB."""

    matrix: sp.csr_matrix
    similarity: Similarity | None

    def at(self, rho: float) -> Solve:
        """Iterations at ρ."""

        def solve(right: FloatArray, transposed: bool) -> FloatArray:
            columns = np.ascontiguousarray(right.reshape(right.shape[0], -1), dtype=float)
            if self.similarity is not None:
                solution = solve_symmetric(self.similarity, rho, columns, transposed)
            else:
                matrix = sp.csr_matrix(self.matrix.T) if transposed else self.matrix
                solution = solve_general(matrix, rho, columns)
            return solution.reshape(right.shape)

        return solve


class Multiplier:
    """The spatial multiplier S^{-1} = (I − ρW)^{-1} at one ρ, and G = W S^{-1} = S^{-1} W."""

    def __init__(self, matrix: sp.csr_matrix, rho: float, solver: Solver) -> None:
        self.matrix = matrix
        self.rho = rho
        self._solver = solver

    @cached_property
    def _solve(self) -> Solve:
        return self._solver.at(self.rho)

    def solve(self, right: FloatArray) -> FloatArray:
        """S^{-1} B for B of shape (n,) or (n, q)."""
        return self._solve(right, False)

    def solve_transposed(self, right: FloatArray) -> FloatArray:
        """S^{-T} B for B of shape (n,) or (n, q)."""
        return self._solve(right, True)

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
