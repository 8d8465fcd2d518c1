"""Positive definite kernels in distance, and draws of normal vectors that are correlated by them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from scipy.spatial import cKDTree

from spillover.typing import FloatArray

DENSE_ROOT = 3_000  # regions up to which K is factorised: 72 MB and a second
NUGGET = 1e-9  # of the diagonal: K has eigenvalues near zero where regions are close


def wendland(x: FloatArray) -> FloatArray:
    """(1 − x)⁴(4x + 1) for x < 1, else 0: positive definite in up to three dimensions (Wendland 1995)."""
    inside = np.minimum(np.asarray(x, dtype=float), 1.0)
    return np.asarray((1.0 - inside) ** 4 * (4.0 * inside + 1.0))


@dataclass(frozen=True, eq=False)
class KernelRoot:
    """A with AA' = K (up to a nugget) or close to it, so that A z ~ N(0, K) for standard normal z.

    Attributes
    ----------
    matrix : (n, r) dense or sparse; None for K = I.
    """

    matrix: FloatArray | sp.csr_matrix | None
    n: int

    def draw(self, rng: np.random.Generator, count: int) -> FloatArray:
        """(n, count) draws with unit variances."""
        if self.matrix is None:
            return rng.standard_normal((self.n, count))
        return np.asarray(self.matrix @ rng.standard_normal((self.matrix.shape[1], count)))


def kernel_root(positions: FloatArray, reach: float) -> KernelRoot:
    """The root of Wendland's kernel K_ij = w(d_ij / reach).

    Parameters
    ----------
    positions : (n, 2) in the plane or (n, 3) on a sphere, in km. Straight lines are used, for which K is positive
        definite; over the distances where K matters they differ from arcs by far less than regions have width.
    reach : distance in km beyond which regions are independent; 0 for independence everywhere.

    Up to 3,000 regions by Cholesky. Beyond, a sparse moving average of white noise over reach/2: its correlations are
    positive definite by construction, reach zero at the same distance and are close to K in between.
    """
    n = positions.shape[0]
    if reach <= 0.0:
        return KernelRoot(None, n)
    if n <= DENSE_ROOT:
        gap = positions[:, None, :] - positions[None, :, :]
        kernel = wendland(np.sqrt(np.einsum("ijk,ijk->ij", gap, gap)) / reach)
        kernel[np.diag_indices(n)] += NUGGET
        return KernelRoot(scipy.linalg.cholesky(kernel, lower=True, check_finite=False), n)
    pairs = cKDTree(positions).query_pairs(reach / 2.0, output_type="ndarray")
    rows = np.concatenate([pairs[:, 0], pairs[:, 1], np.arange(n)])
    columns = np.concatenate([pairs[:, 1], pairs[:, 0], np.arange(n)])
    distance = np.sqrt(((positions[rows] - positions[columns]) ** 2).sum(axis=1))
    average = sp.csr_matrix((wendland(distance / (reach / 2.0)), (rows, columns)), shape=(n, n))
    length = np.sqrt(np.asarray(average.multiply(average).sum(axis=1)).ravel())
    return KernelRoot(sp.csr_matrix(sp.diags(1.0 / length) @ average), n)
