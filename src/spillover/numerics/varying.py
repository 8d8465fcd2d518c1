"""A spatial lag whose strength differs between regions: S = I − Σ_k ρ_k B_k with B_k = D_k W or W D_k, D_k diagonal.

ln|S| is no function of W's eigenvalues, so it is computed as it is. Where period means are removed the data are
F'y_t with F orthonormal and F'ι = 0, and what matters is F'SF. By Jacobi's complementary minor
    ln|F'SF| = ln|S| + ln(ι'S^{-1}ι / n),    R = F(F'SF)^{-1}F' = S^{-1} − S^{-1}ιι'S^{-1} / ι'S^{-1}ι,
and ∂ ln|F'SF| / ∂ρ_k = −tr B_k R. With D = I and W ι = ι this is ln|S| − ln(1 − ρ).

Where more than period means is removed (P = I − QQ', Q orthonormal with ι in its span and S not keeping that span)
there is no determinant whose derivative is what the score needs, −tr P B_k S^{-1}; the derivatives are given all the
same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import SuperLU, splu

from spillover.numerics.engine import DENSE_LIMIT
from spillover.typing import FloatArray

STEP = 1e-4  # of central differences of an exact ln|S|, where n is too large for an inverse


@dataclass(frozen=True, eq=False)
class VaryingMultiplier:
    """S^{-1}, or R where period means are removed, at one point.

    Attributes
    ----------
    matrices : K matrices B_k (n, n) CSR.
    rhos : (K,).
    compressed : whether period means are removed.
    stack : (K, n, n) the same matrices as arrays, shared by all points of a search; made here where it is missing.
    removed : (n, d) Q of the directions that every period loses, or None.
    """

    matrices: tuple[sp.csr_matrix, ...]
    rhos: FloatArray
    compressed: bool
    stack: FloatArray | None = None
    removed: FloatArray | None = None

    @property
    def n(self) -> int:
        """Number of regions."""
        return int(self.matrices[0].shape[0])

    @property
    def small(self) -> bool:
        """n × n work is affordable."""
        return self.n <= DENSE_LIMIT

    @cached_property
    def pull(self) -> sp.csr_matrix:
        """Σ ρ_k B_k."""
        return sp.csr_matrix(sum(float(rho) * matrix for rho, matrix in zip(self.rhos, self.matrices, strict=True)))

    @cached_property
    def _lu(self) -> SuperLU:
        return splu(sp.csc_matrix(sp.identity(self.n, format="csc") - self.pull))

    @cached_property
    def _arrays(self) -> FloatArray:
        return dense_stack(self.matrices) if self.stack is None else self.stack

    @cached_property
    def _system(self) -> FloatArray:
        return np.asarray(np.eye(self.n) - np.tensordot(self.rhos, self._arrays, axes=1))

    @cached_property
    def _inverse(self) -> FloatArray:
        return np.asarray(np.linalg.inv(self._system), dtype=float)

    @cached_property
    def _ends(self) -> tuple[FloatArray, FloatArray, float]:
        """(S^{-1}ι, S^{-T}ι, ι'S^{-1}ι)."""
        ones = np.ones(self.n)
        right, left = self._plain(ones, False), self._plain(ones, True)
        return right, left, float(right.sum())

    def log_determinant(self) -> float:
        """ln|S| or ln|F'SF|; −∞ where the determinant is not positive."""
        if self.small:
            sign, value = np.linalg.slogdet(self._system)
            if sign <= 0:
                return -np.inf
        else:
            value = float(np.log(np.abs(self._lu.U.diagonal())).sum())
        if not self.compressed:
            return float(value)
        middle = self._ends[2] / self.n
        return float(value + np.log(middle)) if middle > 0 else -np.inf

    def derivatives(self) -> tuple[FloatArray, FloatArray]:
        """((K,) first, (K, K) second) derivatives of the log-determinant, −tr B_kR and −tr B_kRB_lR.

        With directions removed −tr PB_kS^{-1} and its derivatives −tr PB_kS^{-1}B_lS^{-1}, which are not symmetric.
        """
        first, second = self._exact_derivatives() if self.small else self._differences()
        if self.removed is None:
            return first, second
        q = self.removed
        inner = [self.solve(q)]
        images = [np.asarray(matrix @ inner[0]) for matrix in self.matrices]
        first = first + np.array([np.sum(q * image) for image in images])
        again = [self.solve(image) for image in images]
        second = second + np.array(
            [[np.sum(q * np.asarray(matrix @ each)) for each in again] for matrix in self.matrices]
        )
        return first, second

    def _exact_derivatives(self) -> tuple[FloatArray, FloatArray]:
        images = [np.asarray(matrix @ self.dense) for matrix in self.matrices]
        second = -np.array([[np.sum(a * b.T) for b in images] for a in images])
        return np.array([-np.trace(image) for image in images]), second

    def _differences(self) -> tuple[FloatArray, FloatArray]:
        """Central differences of the exact log-determinant."""
        count = self.rhos.size
        h = STEP * np.eye(count)

        def at(shift: FloatArray) -> float:
            return VaryingMultiplier(self.matrices, self.rhos + shift, self.compressed).log_determinant()

        centre = self.log_determinant()
        up, down = np.array([at(d) for d in h]), np.array([at(-d) for d in h])
        second = np.diag((up + down - 2.0 * centre) / STEP**2)
        for k in range(count):
            for other in range(k):
                corners = at(h[k] + h[other]) + at(-h[k] - h[other]) - at(h[k] - h[other]) - at(h[other] - h[k])
                second[k, other] = second[other, k] = corners / (4.0 * STEP**2)
        return (up - down) / (2.0 * STEP), second

    @cached_property
    def dense(self) -> FloatArray:
        """S^{-1} or R as an (n, n) array."""
        if not self.compressed:
            return self._inverse
        right, left, middle = self._ends
        return self._inverse - np.outer(right, left) / middle

    def _plain(self, right: FloatArray, transposed: bool) -> FloatArray:
        if self.small:
            return np.asarray((self._inverse.T if transposed else self._inverse) @ right)
        return np.asarray(self._lu.solve(np.asfortranarray(right), trans="T" if transposed else "N"))

    def solve(self, right: FloatArray) -> FloatArray:
        """S^{-1} X or R X."""
        return self._compressed(self._plain(right, False), right, False)

    def solve_transposed(self, right: FloatArray) -> FloatArray:
        """S^{-T} X or R' X."""
        return self._compressed(self._plain(right, True), right, True)

    def _compressed(self, plain: FloatArray, right: FloatArray, transposed: bool) -> FloatArray:
        if not self.compressed:
            return plain
        first, second, middle = self._ends
        out, inward = (second, first) if transposed else (first, second)
        share = inward @ right / middle
        return plain - (np.outer(out, share) if right.ndim == 2 else out * share)

    def spectral_radius(self) -> float:
        """Largest |eigenvalue| of Σ ρ_k B_k; below 1 shocks die out from round to round of the feedback."""
        if self.small:
            return float(np.abs(np.linalg.eigvals(np.eye(self.n) - self._system)).max())
        # that of the absolute values bounds it from above, and power iterations find it safely
        size, vector, value = abs(self.pull), np.ones(self.n), 0.0
        for _ in range(500):
            image = np.asarray(size @ vector)
            length = float(np.linalg.norm(image))
            if length == 0.0 or abs(length / float(np.linalg.norm(vector)) - value) < 1e-10 * value:
                break
            value, vector = length / float(np.linalg.norm(vector)), image / length
        return value


def dense_stack(matrices: tuple[sp.csr_matrix, ...]) -> FloatArray:
    """(K, n, n) arrays of sparse matrices."""
    return np.stack([matrix.toarray() for matrix in matrices])


@dataclass(frozen=True, eq=False)
class VaryingOperator:
    """B_k R, or PB_kS^{-1}P where directions are removed: the score of ρ_k."""

    multiplier: VaryingMultiplier
    index: int

    @property
    def n(self) -> int:
        """Number of regions."""
        return self.multiplier.n

    @property
    def small(self) -> bool:
        """n × n work is affordable."""
        return self.multiplier.small

    def trace(self) -> float:
        """Its trace, as exact as the derivatives of the log-determinant."""
        return float(-self.multiplier.derivatives()[0][self.index])

    @cached_property
    def dense(self) -> FloatArray:
        """The operator as an (n, n) array."""
        found = np.asarray(self.multiplier.matrices[self.index] @ self.multiplier.dense)
        q = self.multiplier.removed
        if q is None:
            return found
        found = found - q @ (q.T @ found)
        return np.asarray(found - (found @ q) @ q.T)

    def apply(self, right: FloatArray) -> FloatArray:
        """A X."""
        return self._less(self.multiplier.matrices[self.index] @ self.multiplier.solve(self._less(right)))

    def apply_transposed(self, right: FloatArray) -> FloatArray:
        """A' X."""
        inner = np.asarray(self.multiplier.matrices[self.index].T @ self._less(right))
        return self._less(self.multiplier.solve_transposed(inner))

    def _less(self, values: FloatArray) -> FloatArray:
        """P X."""
        q = self.multiplier.removed
        return np.asarray(values) if q is None else np.asarray(values - q @ (q.T @ values))
