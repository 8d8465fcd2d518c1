"""Whether W is similar to a symmetric matrix, as every row-standardised symmetric W is.

If d_i w_ij = d_j w_ji for some positive d, then D^{1/2} W D^{-1/2} is symmetric with entries
sqrt(w_ij w_ji): all eigenvalues are real and the symmetric algorithms apply.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.sparse import csgraph

from spillover.typing import FloatArray, IntArray

TOLERANCE = 1e-9  # of a logarithm of weights


@dataclass(frozen=True, eq=False)
class Similarity:
    """D^{1/2} W D^{-1/2} is symmetric.

    Attributes
    ----------
    matrix : (n, n) CSR, symmetric.
    root : (n,) the diagonal of D^{1/2}.
    """

    matrix: sp.csr_matrix
    root: FloatArray


@dataclass(frozen=True, eq=False)
class Tree:
    """Breadth-first trees of all components of an undirected graph, roots included.

    Attributes
    ----------
    order : (n,) regions in the order in which they are met, component after component.
    parents : (n,) parent of each region; a root is its own parent.
    """

    order: IntArray
    parents: IntArray

    def accumulate(self, increments: FloatArray) -> FloatArray:
        """(n,) sums of `increments` (n,) from each region up to its root, in O(n log depth) by pointer jumping."""
        total, above = increments.copy(), self.parents
        total[above == np.arange(above.size)] = 0.0
        while True:
            further = above[above]
            total = total + total[above]
            if np.array_equal(further, above):
                return total
            above = further


def find_similarity(matrix: sp.csr_matrix) -> Similarity | None:
    """The symmetric matrix similar to W and its scaling, or None when there is none.

    W symmetric, and rows of equal weights (a row-standardised 0/1 matrix), are seen at once; otherwise a
    breadth-first tree fixes d in every component and all links are then checked. Cost O(nnz + n log n).
    """
    matrix = _sorted(matrix)
    transposed = _sorted(sp.csr_matrix(matrix.T))
    if not (np.array_equal(matrix.indptr, transposed.indptr) and np.array_equal(matrix.indices, transposed.indices)):
        return None
    if not (matrix.data > 0).all():
        return None
    ratio = np.log(matrix.data) - np.log(transposed.data)  # log w_ij - log w_ji = log d_j - log d_i
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    log_d = _potential_of_equal_rows(matrix, rows)
    if log_d is None or not _fits(log_d, ratio, rows, matrix.indices):
        log_d = _potential(matrix, ratio, rows)
        if not _fits(log_d, ratio, rows, matrix.indices):
            return None
    symmetric = sp.csr_matrix((np.sqrt(matrix.data * transposed.data), matrix.indices, matrix.indptr), matrix.shape)
    return Similarity(symmetric, np.exp(0.5 * log_d))


def symmetric_form(matrix: sp.csr_matrix) -> sp.csr_matrix | None:
    """The symmetric matrix similar to W, (n, n) CSR, or None when there is none."""
    found = find_similarity(matrix)
    return None if found is None else found.matrix


def breadth_first_tree(matrix: sp.csr_matrix) -> Tree:
    """One tree per component, from the first region of each; O(nnz)."""
    n = matrix.shape[0]
    _, component = csgraph.connected_components(matrix, directed=False)
    roots = np.unique(component, return_index=True)[1]
    # A region n above all roots makes one tree of the forest, so that one search serves any number of components.
    ones = np.ones(roots.size)
    links = sp.csr_matrix((np.ones(matrix.nnz), matrix.indices, matrix.indptr), shape=matrix.shape)
    top = sp.csr_matrix((ones, (np.zeros(roots.size, dtype=int), roots)), shape=(1, n))
    rooted = sp.bmat([[links, None], [top, sp.csr_matrix((1, 1))]], format="csr")
    order, parents = csgraph.breadth_first_order(rooted, n, directed=False, return_predecessors=True)
    above = parents[:n].astype(np.int64)
    above[roots] = roots
    return Tree(order[1:].astype(np.int64), above)


def _sorted(matrix: sp.csr_matrix) -> sp.csr_matrix:
    if matrix.has_sorted_indices:
        return matrix
    copy = matrix.copy()
    copy.sort_indices()
    return copy


def _potential_of_equal_rows(matrix: sp.csr_matrix, rows: IntArray) -> FloatArray | None:
    """log d = −log w where all weights of a row are the same w."""
    linked = np.diff(matrix.indptr) > 0
    first = np.ones(matrix.shape[0])
    first[linked] = matrix.data[matrix.indptr[:-1][linked]]
    return -np.log(first) if np.array_equal(matrix.data, first[rows]) else None


def _potential(matrix: sp.csr_matrix, ratio: FloatArray, rows: IntArray) -> FloatArray:
    """log d along a breadth-first tree of every component; d = 1 at each root."""
    n = matrix.shape[0]
    tree = breadth_first_tree(matrix)
    keys = rows.astype(np.int64) * n + matrix.indices
    wanted = tree.parents * n + np.arange(n)
    found = np.minimum(np.searchsorted(keys, wanted), max(keys.size - 1, 0))
    steps = np.where(keys[found] == wanted, ratio[found], 0.0) if keys.size else np.zeros(n)
    return tree.accumulate(steps)


def _fits(log_d: FloatArray, ratio: FloatArray, rows: IntArray, columns: IntArray) -> bool:
    gap = log_d[columns] - log_d[rows] - ratio
    return not gap.size or float(np.abs(gap).max()) <= TOLERANCE
