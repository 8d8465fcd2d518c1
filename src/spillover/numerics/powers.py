"""Inner products of I, W and W², with or without removing means: what a W can tell apart."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from spillover.typing import FloatArray

PRODUCT_LIMIT = 200_000_000
"""Multiplications of W by W up to which W² is formed; beyond, its products are estimated with probes."""

DENSE_LIMIT = 2_000
"""Regions up to which a filled W is multiplied as a dense one."""

PROBES = 256


@dataclass(frozen=True)
class PowerProducts:
    """With P = I, or P = J = I − ιι'/n where period means are removed.

    Attributes
    ----------
    gram : (3, 3) tr(A'B) of P, P W P and P W² P.
    information : K = ‖PWP‖² + tr (PWP)² − 2 (tr PWP)²/n*, what one period of pure noise tells about ρ at ρ = 0.
    exact : whether W² was formed.
    """

    gram: FloatArray
    information: float
    exact: bool

    @property
    def pair(self) -> float:
        """Smallest singular value of P and P W P at unit length: 0 where W y is a multiple of y."""
        return self._smallest(2)

    @property
    def triple(self) -> float:
        """The same with P W² P: 0 where slopes cannot tell ρ from θ."""
        return self._smallest(3)

    def _smallest(self, size: int) -> float:
        part = self.gram[:size, :size]
        length = np.sqrt(np.maximum(np.diag(part), 0.0))
        if (length <= 1e-14 * length.max()).any():
            return 0.0
        lowest = float(np.linalg.eigvalsh(part / np.outer(length, length))[0])
        return math.sqrt(max(lowest, 0.0))


def power_products(matrix: sp.csr_matrix, centred: bool) -> PowerProducts:
    """The products of one W.

    ⟨JAJ, JBJ⟩ = tr A'B − (Aι)'(Bι)/n − (A'ι)'(B'ι)/n + (ι'Aι)(ι'Bι)/n², so that no n × n table is needed.

    Cost: one sparse product W W, or 256 probes where that has more than 2·10⁸ multiplications.
    """
    n = matrix.shape[0]
    ones = np.ones(n)
    rows, columns = matrix @ ones, matrix.T @ ones
    into, out = np.diff(matrix.indptr), np.bincount(matrix.indices, minlength=n)
    exact = float(into.astype(float) @ out) <= PRODUCT_LIMIT
    returned = float(matrix.multiply(matrix.T).sum())  # tr W²
    size = float(matrix.multiply(matrix).sum())
    if n <= DENSE_LIMIT and matrix.nnz > 0.05 * n * n:  # a filled W: dense algebra is ten times faster
        dense = matrix.toarray()
        product = dense @ dense
        exact, cross, large = True, float((dense * product).sum()), float((product * product).sum())
    elif exact:
        square = sp.csr_matrix(matrix @ matrix)
        cross, large = float(matrix.multiply(square).sum()), float(square.multiply(square).sum())
    else:
        cross, large = _by_probes(matrix)
    rows2, columns2 = matrix @ rows, matrix.T @ columns
    gram = np.array([[n, 0.0, returned], [0.0, size, cross], [returned, cross, large]])
    trace, wwtrace, star = 0.0, returned, float(n)
    if centred:
        right = np.column_stack([ones, rows, rows2])
        left = np.column_stack([ones, columns, columns2])
        total = right.sum(axis=0)
        gram = gram - (right.T @ right + left.T @ left) / n + np.outer(total, total) / n**2
        trace = -float(total[1]) / n
        wwtrace = returned - 2.0 * float(total[2]) / n + (float(total[1]) / n) ** 2
        star = n - 1.0
    information = float(gram[1, 1]) + wwtrace - 2.0 * trace**2 / max(star, 1.0)
    return PowerProducts(gram, max(information, 0.0), exact)


def _by_probes(matrix: sp.csr_matrix) -> tuple[float, float]:
    """(tr W'W², ‖W²‖²) by Rademacher vectors from a fixed seed."""
    rng = np.random.Generator(np.random.PCG64(20_260_707))
    z = rng.integers(0, 2, size=(matrix.shape[0], PROBES)) * 2.0 - 1.0
    first = matrix @ z
    second = matrix @ first
    return float((first * second).sum()) / PROBES, float((second * second).sum()) / PROBES
