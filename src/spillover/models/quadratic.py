"""The quadratic forms e'Ae of the scores of spatial parameters, when regions are the clusters.

Terms of different pairs of regions are uncorrelated when regions are independent, so their variance is a sum over
pairs: docs/decisions/003.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spillover.numerics.operators import Operator, Traces
from spillover.numerics.pairs import weighted_squares
from spillover.numerics.within import Centring
from spillover.typing import FloatArray


@dataclass(frozen=True, eq=False)
class QuadraticParts:
    """Of H_k = (A_k + A_k')/2: diagonals (q, n); `matrices` when n × n work is affordable, else products over pairs."""

    diagonals: FloatArray
    matrices: tuple[FloatArray, ...] | None
    products: FloatArray | None  # (q, q) Σ_{i≠j} H_k,ij H_l,ij v_i v_j, v_i the sum of squares of region i


def quadratic_parts(
    operators: tuple[Operator, ...], residuals: FloatArray, centring: Centring, known: Traces
) -> QuadraticParts:
    """Exact for small n; for large n with the serial correlation of the errors common to the regions.

    Parameters
    ----------
    residuals : (n, t) e.
    known : traces of the operators, centred.
    """
    if all(operator.small for operator in operators):
        matrices = tuple((a + a.T) / 2.0 for a in (centring.both(operator.dense) for operator in operators))
        return QuadraticParts(np.array([np.diag(h) for h in matrices]), matrices, None)
    squares = np.sum(residuals**2, axis=1)
    total, diagonals = weighted_squares(operators, squares, centring, known)
    weighted = diagonals * squares
    return QuadraticParts(diagonals, None, total - weighted @ weighted.T)


def off_diagonal_variance(
    parts: QuadraticParts, residuals: FloatArray, sigma2: float, kernel: FloatArray
) -> FloatArray:
    """(q, q) 2 Σ_{i≠j} H_k,ij H_l,ij Σ_tu K(t, u) e_it e_iu e_jt e_ju / σ⁴ for a (t, t) kernel K in time."""
    e = residuals
    if parts.matrices is None:
        assert parts.products is not None
        # Every region counts alike for the common serial correlation: a few volatile ones would bias tr Γ² upwards.
        length = np.sqrt(np.sum(e**2, axis=1, keepdims=True))
        unit = e / np.where(length > 0, length, 1.0)
        shape = unit.T @ unit / np.count_nonzero(length)
        return 2.0 * parts.products * float(np.sum(kernel * shape**2)) / sigma2**2
    pairs = _pairs(e, kernel)
    return 2.0 * np.array([[np.sum(a * b * pairs) for b in parts.matrices] for a in parts.matrices]) / sigma2**2


def _pairs(e: FloatArray, kernel: FloatArray) -> FloatArray:
    """(n, n) Σ_tu K(t, u) e_it e_iu e_jt e_ju for i ≠ j, zero for i = j."""
    if np.all(kernel == 1.0):
        products = (e @ e.T) ** 2
    else:
        products = np.zeros((e.shape[0], e.shape[0]))
        for lag in range(e.shape[1]):
            weight = kernel[0, lag]
            if weight == 0.0:
                continue
            for s in range(e.shape[1] - lag):
                now, later = np.outer(e[:, s], e[:, s]), np.outer(e[:, s + lag], e[:, s + lag])
                products += weight * (1.0 if lag == 0 else 2.0) * now * later
    np.fill_diagonal(products, 0.0)
    return products
