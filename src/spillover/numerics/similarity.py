"""Whether W is similar to a symmetric matrix, as every row-standardised symmetric W is.

If d_i w_ij = d_j w_ji for some positive d, then D^{1/2} W D^{-1/2} is symmetric with entries
sqrt(w_ij w_ji): all eigenvalues are real and the symmetric algorithms apply.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse import csgraph


def symmetric_form(matrix: sp.csr_matrix) -> sp.csr_matrix | None:
    """The symmetric matrix similar to W, (n, n) CSR, or None when there is none.

    Cost O(nnz): a breadth-first tree fixes d in every component, all links are then checked.
    """
    transposed = sp.csr_matrix(matrix.T)
    transposed.sort_indices()
    if not (np.array_equal(matrix.indptr, transposed.indptr) and np.array_equal(matrix.indices, transposed.indices)):
        return None
    ratio = np.log(matrix.data) - np.log(transposed.data)  # log w_ij - log w_ji = log d_j - log d_i
    log_d = _potential(matrix, ratio)
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    gap = log_d[matrix.indices] - log_d[rows] - ratio
    if gap.size and np.abs(gap).max() > 1e-9:
        return None
    return sp.csr_matrix(
        (np.sqrt(matrix.data * transposed.data), matrix.indices.copy(), matrix.indptr.copy()), shape=matrix.shape
    )


def _potential(matrix: sp.csr_matrix, ratio: np.ndarray) -> np.ndarray:
    """log d along a breadth-first tree of every component; d = 1 at each root."""
    n = matrix.shape[0]
    log_d = np.zeros(n)
    steps = sp.csr_matrix((np.arange(1, ratio.size + 1), matrix.indices, matrix.indptr), shape=matrix.shape)
    _, component = csgraph.connected_components(matrix, directed=False)
    _, roots = np.unique(component, return_index=True)
    for root in roots:
        order, parents = csgraph.breadth_first_order(matrix, root, directed=True, return_predecessors=True)
        if order.size < 2:
            continue
        children = order[1:]
        tree = parents[children]
        increments = ratio[np.asarray(steps[tree, children]).ravel() - 1]
        for child, parent, increment in zip(children, tree, increments, strict=True):
            log_d[child] = log_d[parent] + increment
    return log_d
