"""Least squares by QR for one design and several right-hand sides; names what is collinear."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg

from spillover.typing import FloatArray

BLOCK_ROWS = 1_024  # 12 columns of it are 100 kB
WELL_CONDITIONED = 1e-3  # smallest eigenvalue of a Gram matrix with ones on its diagonal: digits lost are below three
RANK_TOLERANCE = 1e-9  # of columns of length one; below it fewer than six digits of a coefficient may be left


@dataclass(frozen=True, eq=False)
class Projection:
    """Least squares of q right-hand sides on a design Z (m, k).

    Attributes
    ----------
    coefficients : (k, q).
    residual_products : (q, q) cross-products of the residuals, from the triangular factor and
        not from differences of sums of squares.
    inverse_gram : (k, k) (Z'Z)^{-1}.
    condition : condition number of Z with columns scaled to length one.
    """

    coefficients: FloatArray
    residual_products: FloatArray
    inverse_gram: FloatArray
    condition: float


@dataclass(frozen=True)
class Collinearity:
    """Column `column` is a combination of the columns `of` (positions in the design)."""

    column: int
    of: tuple[int, ...]


def project(columns: FloatArray, k: int) -> Projection | tuple[Collinearity, ...]:
    """Least squares, or the columns that are combinations of others.

    Parameters
    ----------
    columns : (m, k + q) the design Z in the first k columns, the right-hand sides behind them.

    From the triangular factor of all columns; an orthogonal factor is never formed, and the triangle is scaled to
    columns of length one afterwards, so that rescaling a column changes only its own coefficient.
    Cost O(m (k + q)²).
    """
    triangle = triangle_of(columns)
    lengths = np.sqrt(np.einsum("ij,ij->j", triangle, triangle))
    lengths[lengths == 0.0] = 1.0
    triangle = triangle / lengths
    top = triangle[:k, :k]
    broken = find_collinear(top)
    if broken:
        return broken
    scale, out = lengths[:k], lengths[k:]
    inverse = scipy.linalg.solve_triangular(top, np.eye(k), check_finite=False) if k else np.zeros((0, 0))
    rest = triangle[k:, k:] * out
    return Projection(
        coefficients=(inverse @ triangle[:k, k:]) * out / scale[:, None],
        residual_products=rest.T @ rest,
        inverse_gram=(inverse @ inverse.T) / np.outer(scale, scale),
        condition=float(np.linalg.cond(top)) if k else 1.0,
    )


def triangle_of(columns: FloatArray) -> FloatArray:
    """The triangular factor of a tall matrix.

    Of a very tall one by Cholesky's factor of the cross-products where they lose fewer than three of sixteen digits,
    else by Householder QR, by blocks of rows that stay in cache (tall-skinny QR).
    """
    m, p = columns.shape
    block = max(4 * p, BLOCK_ROWS)
    if m <= 4 * block:
        return np.asarray(np.linalg.qr(columns, mode="r"))
    factor = _cholesky(columns)
    if factor is not None:
        return factor
    full = m // block * block
    blocks = columns.T[:, :full].reshape(p, -1, block).transpose(1, 2, 0)
    factors = np.asarray(np.linalg.qr(blocks, mode="r")).reshape(-1, p)
    return np.asarray(np.linalg.qr(np.concatenate([factors, columns[full:]]), mode="r"))


def _cholesky(columns: FloatArray) -> FloatArray | None:
    """The triangular factor from the cross-products, or None where their condition forbids it."""
    gram = columns.T @ columns
    lengths = np.sqrt(np.diag(gram))
    if not (np.isfinite(lengths).all() and lengths.all()):
        return None
    scaled = gram / np.outer(lengths, lengths)
    if np.linalg.eigvalsh(scaled)[0] < WELL_CONDITIONED:
        return None
    return np.asarray(np.linalg.cholesky(scaled).T * lengths)


def find_collinear(triangle: FloatArray) -> tuple[Collinearity, ...]:
    """Columns of a (k, k) triangular factor of unit-length columns that depend on others."""
    k = triangle.shape[1]
    if k == 0:
        return ()
    _, sizes, directions = np.linalg.svd(triangle)
    if sizes[-1] > RANK_TOLERANCE * np.sqrt(k):
        return ()
    factor, pivots = scipy.linalg.qr(triangle, mode="r", pivoting=True)
    diagonal = np.abs(np.diag(factor))
    rank = int((diagonal > RANK_TOLERANCE * np.sqrt(k)).sum())
    if rank == k:  # many columns together are dependent though none is on the few before it: polynomials
        return (_from_direction(directions[-1]),)
    mixture = scipy.linalg.solve_triangular(factor[:rank, :rank], factor[:rank, rank:])
    return tuple(
        Collinearity(
            int(pivots[rank + j]), tuple(sorted(int(pivots[i]) for i in np.flatnonzero(np.abs(mixture[:, j]) > 1e-6)))
        )
        for j in range(k - rank)
    )


def _from_direction(weights: FloatArray) -> Collinearity:
    """The combination Σ w_j z_j ≈ 0: its heaviest column, and the others with a share in it."""
    column = int(np.argmax(np.abs(weights)))
    others = np.flatnonzero(np.abs(weights) > 1e-6 * np.abs(weights[column]))
    return Collinearity(column, tuple(int(j) for j in others if j != column))
