"""Several spatial lags at once: S = I − Σ ρ_k W_k, its log-determinant, traces and solves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import SuperLU, splu

from spillover.numerics.engine import DENSE_LIMIT, PROBES
from spillover.typing import FloatArray


@dataclass(frozen=True, eq=False)
class JointMultiplier:
    """(I − Σ ρ_k W_k)^{-1} at one point.

    Attributes
    ----------
    matrices : K matrices W_k (n, n) CSR.
    rhos : (K,) coefficients.
    """

    matrices: tuple[sp.csr_matrix, ...]
    rhos: FloatArray

    @property
    def n(self) -> int:
        """Number of regions."""
        return int(self.matrices[0].shape[0])

    @property
    def small(self) -> bool:
        """n × n work is affordable."""
        return self.n <= DENSE_LIMIT

    @cached_property
    def system(self) -> sp.csc_matrix:
        """S as a sparse matrix."""
        total = sp.identity(self.n, format="csc")
        for rho, matrix in zip(self.rhos, self.matrices, strict=True):
            total = total - float(rho) * matrix
        return sp.csc_matrix(total)

    @cached_property
    def _lu(self) -> SuperLU:
        return splu(self.system)

    def log_determinant(self) -> float:
        """ln|det S|: dense when small, else by one sparse LU."""
        if self.small:
            return float(np.linalg.slogdet(self.system.toarray())[1])
        return float(np.log(np.abs(self._lu.U.diagonal())).sum())

    @cached_property
    def dense_inverse(self) -> FloatArray:
        """S^{-1} as an (n, n) array; for small n."""
        return np.linalg.inv(self.system.toarray())

    def trace(self, k: int) -> float:
        """tr W_k S^{-1}: exact when small, else from fixed probes."""
        if self.small:
            return float(self.matrices[k].multiply(self.dense_inverse.T).sum())
        rng = np.random.Generator(np.random.PCG64(20_260_101))
        probes = np.asarray(rng.integers(0, 2, size=(self.n, PROBES)) * 2.0 - 1.0, order="F")
        return float(np.sum(probes * (self.matrices[k] @ self.solve(probes)))) / PROBES

    def solve(self, right: FloatArray) -> FloatArray:
        """S^{-1} B."""
        return np.asarray(self._lu.solve(np.asfortranarray(right)))

    def solve_transposed(self, right: FloatArray) -> FloatArray:
        """S^{-T} B."""
        return np.asarray(self._lu.solve(np.asfortranarray(right), trans="T"))

    def is_admissible(self) -> bool:
        """Whether S is invertible on the whole ray from ρ = 0: no real eigenvalue of Σ ρ_k W_k reaches one.

        Small n: all eigenvalues. Large n: the sign of det S at eight points of the ray, between two of which an even
        number of crossings would go unseen.
        """
        if self.small:
            values = np.linalg.eigvals(np.eye(self.n) - self.system.toarray())
            real = values.real[np.abs(values.imag) < 1e-9 * max(float(np.abs(values).max()), 1e-300)]
            return bool((real < 1.0).all())
        return all(JointMultiplier(self.matrices, share * self.rhos).sign() > 0 for share in np.arange(1, 9) / 8)

    def sign(self) -> float:
        """Sign of det S."""
        if self.small:
            return float(np.linalg.slogdet(self.system.toarray())[0])
        permutations = [_parity(self._lu.perm_r), _parity(self._lu.perm_c)]
        return float(np.prod(permutations) * np.prod(np.sign(self._lu.U.diagonal())))


def _parity(order: np.ndarray) -> int:
    """+1 for an even permutation, −1 for an odd one."""
    seen = np.zeros(order.size, dtype=bool)
    sign = 1
    for start in range(order.size):
        length, at = 0, start
        while not seen[at]:
            seen[at] = True
            at = int(order[at])
            length += 1
        if length and length % 2 == 0:
            sign = -sign
    return sign
