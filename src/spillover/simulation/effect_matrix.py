"""`EffectMatrix`: what every region's A does to every region's patents, as a sparse part minus a low-rank part."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from spillover.typing import FloatArray


@dataclass(frozen=True, eq=False)
class EffectMatrix:
    """The (n, n) matrix `sparse − left @ right.T`; row receives, column sends; patents a year per unit of A.

    Knowledge fades with distance and is sparse; what is redistributed between all regions (capital, and a feedback
    that depends on relative innovation) is dense but of low rank r. No n × n array is formed.

    Attributes
    ----------
    sparse : (n, n) CSR.
    left, right : (n, r) factors; r = 0 when nothing is redistributed.
    """

    sparse: sp.csr_matrix
    left: FloatArray
    right: FloatArray

    @cached_property
    def own(self) -> FloatArray:
        """(n,) effect of each region's own A on its own patents: the diagonal."""
        return np.asarray(self.sparse.diagonal() - np.einsum("ij,ij->i", self.left, self.right))

    @cached_property
    def received(self) -> FloatArray:
        """(n,) effect on each region of raising A by 1 in all the others."""
        sums = np.asarray(self.sparse.sum(axis=1)).ravel() - self.left @ self.right.sum(axis=0)
        return np.asarray(sums - self.own)

    @cached_property
    def emitted(self) -> FloatArray:
        """(n,) effect on all the others together of raising A by 1 in each region."""
        sums = np.asarray(self.sparse.sum(axis=0)).ravel() - self.right @ self.left.sum(axis=0)
        return np.asarray(sums - self.own)

    def apply(self, change: FloatArray) -> FloatArray:
        """(n,) the matrix times a change (n,) of A."""
        return np.asarray(self.sparse @ change - self.left @ (self.right.T @ change))

    def to_array(self) -> FloatArray:
        """The dense (n, n) matrix, for small n."""
        return np.asarray(self.sparse.toarray() - self.left @ self.right.T)


def from_sparse(matrix: sp.spmatrix) -> EffectMatrix:
    """A matrix without a low-rank part."""
    nothing = np.zeros((matrix.shape[0], 0))
    return EffectMatrix(sp.csr_matrix(matrix), nothing, nothing)


def add_up(parts: Iterable[EffectMatrix]) -> EffectMatrix:
    """The sum of at least one matrix; low-rank parts are put side by side."""
    chosen = list(parts)
    return EffectMatrix(
        sparse=sp.csr_matrix(sum(part.sparse for part in chosen)),
        left=np.hstack([part.left for part in chosen]),
        right=np.hstack([part.right for part in chosen]),
    )
