"""The near part of G, exactly: G = W + ρW² + … + ρ^{K−1}W^K + ρ^K W^K G on the sparse pattern of the powers of W.

Sums over pairs of regions that involve G_ij² are dominated by near pairs. Taking those exactly and only the rest by
probes keeps the error small whatever weights the pairs carry.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from spillover.typing import FloatArray, IntArray

MOST_POWERS = 4
MOST_LINKS = 120  # non-zeros per region that the pattern may have


@dataclass(frozen=True, eq=False)
class NearPowers:
    """Symmetrised powers (W^q + W^q')/2, q = 1, …, K, on one sparse pattern.

    Attributes
    ----------
    rows, columns : (nnz,) positions of the pattern, the diagonal included, row by row.
    starts : (n + 1,) first entry of each row.
    values : (K, nnz) entries of the symmetrised powers.
    """

    n: int
    rows: IntArray
    columns: IntArray
    starts: IntArray
    values: FloatArray

    @property
    def count(self) -> int:
        """K."""
        return len(self.values)

    @cached_property
    def diagonal(self) -> IntArray:
        """(n,) where the diagonal stands among the entries."""
        return np.flatnonzero(self.rows == self.columns)

    def combine(self, rho: float) -> FloatArray:
        """(nnz,) entries of Σ_q ρ^{q−1}(W^q + W^q')/2."""
        return np.asarray(rho ** np.arange(self.count) @ self.values)

    def matrix(self, data: FloatArray) -> sp.csr_matrix:
        """(n, n) CSR with these entries."""
        return sp.csr_matrix((data, self.columns, self.starts), shape=(self.n, self.n))


def near_powers(matrix: sp.csr_matrix) -> NearPowers:
    """As many powers, up to four, as keep the pattern below 120 non-zeros per region."""
    n = matrix.shape[0]
    powers = [sp.csr_matrix(matrix)]
    while len(powers) < MOST_POWERS:
        guess = powers[-1].nnz * matrix.nnz / n
        if guess > 4 * MOST_LINKS * n:  # the product itself would be large
            break
        step = sp.csr_matrix(powers[-1] @ matrix)
        if step.nnz > MOST_LINKS * n:
            break
        powers.append(step)
    symmetric = [sp.csr_matrix((power + power.T) / 2.0) for power in powers]
    pattern = sp.csr_matrix(sum(abs(part) for part in symmetric) + sp.identity(n, format="csr"))
    pattern.sort_indices()
    rows = np.repeat(np.arange(n), np.diff(pattern.indptr))
    columns = pattern.indices.astype(np.int64)
    slot = sp.csr_matrix((np.arange(1, pattern.nnz + 1), pattern.indices, pattern.indptr), shape=pattern.shape)
    values = np.zeros((len(symmetric), pattern.nnz))
    for q, part in enumerate(symmetric):
        entries = sp.coo_matrix(part)
        values[q, np.asarray(slot[entries.row, entries.col]).ravel() - 1] = entries.data
    return NearPowers(n, rows, columns, pattern.indptr.astype(np.int64), values)
