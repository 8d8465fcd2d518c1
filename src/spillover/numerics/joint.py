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

    def spectral_radius(self) -> float:
        """Largest |eigenvalue| of Σ ρ_k W_k: below one, S is invertible on the whole ray from zero."""
        total = sp.identity(self.n, format="csr") - self.system
        if self.small:
            return float(np.abs(np.linalg.eigvals(total.toarray())).max())
        from scipy.sparse.linalg import eigs

        start = np.random.Generator(np.random.PCG64(7)).normal(size=self.n)
        return float(np.abs(eigs(sp.csr_matrix(total), k=1, v0=start, tol=1e-6, return_eigenvectors=False)[0]))
