"""Solve (I − ρW) X = B for many columns at once without a factor, for W whose factors would fill up."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from spillover.errors import EstimationError
from spillover.numerics.similarity import Similarity
from spillover.typing import FloatArray

TOLERANCE = 1e-11  # of the length of each right-hand side
MOST_STEPS = 2_000


def solve_symmetric(similarity: Similarity, rho: float, right: FloatArray, transposed: bool) -> FloatArray:
    """S^{-1} B (or S^{-T} B) by conjugate gradients on the symmetric form; B is (n, q)."""
    scale = 1.0 / similarity.root[:, None] if transposed else similarity.root[:, None]
    target = scale * right
    solution = np.zeros_like(target)
    residual = target.copy()
    direction = residual.copy()
    squares = _squares(residual)
    goal = TOLERANCE**2 * squares
    for _ in range(MOST_STEPS):
        if (squares <= goal).all():
            return solution / scale
        image = direction - rho * (similarity.matrix @ direction)
        step = _ratio(squares, np.einsum("ij,ij->j", direction, image))
        solution += step * direction
        residual -= step * image
        after = _squares(residual)
        direction = residual + _ratio(after, squares) * direction
        squares = after
    raise _not_converged(rho)


def solve_general(matrix: sp.csr_matrix, rho: float, right: FloatArray) -> FloatArray:
    """S^{-1} B for any W by BiCGSTAB (van der Vorst 1992), columns in parallel; B is (n, q)."""
    solution = np.zeros_like(right)
    residual = right.copy()
    shadow = residual.copy()
    goal = TOLERANCE**2 * _squares(right)
    direction = residual.copy()
    product = np.einsum("ij,ij->j", shadow, residual)
    for _ in range(MOST_STEPS):
        if (_squares(residual) <= goal).all():
            return solution
        image = direction - rho * (matrix @ direction)
        alpha = _ratio(product, np.einsum("ij,ij->j", shadow, image))
        half = residual - alpha * image
        second = half - rho * (matrix @ half)
        omega = _ratio(np.einsum("ij,ij->j", second, half), _squares(second))
        solution += alpha * direction + omega * half
        residual = half - omega * second
        after = np.einsum("ij,ij->j", shadow, residual)
        direction = residual + _ratio(after * alpha, product * omega) * (direction - omega * image)
        product = after
    raise _not_converged(rho)


def _squares(columns: FloatArray) -> FloatArray:
    return np.asarray(np.einsum("ij,ij->j", columns, columns))


def _ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    """above/below, 0 where a column has already converged to zero."""
    safe = np.where(below == 0.0, 1.0, below)
    return np.asarray(np.where(below == 0.0, 0.0, above / safe))


def _not_converged(rho: float) -> EstimationError:
    return EstimationError(
        "the iterative solution of (I − ρW) x = b did not converge",
        got=f"ρ = {rho:.6g} after {MOST_STEPS} steps",
        causes=("ρ very close to the end of its interval", "a W far from row-standardised"),
        fix="row-standardise W, or use a sparser W, whose factors fit into memory",
    )
