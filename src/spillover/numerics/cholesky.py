"""Sparse Cholesky factors of I − ρW for W similar to a symmetric matrix, by CHOLMOD (the extra `cholmod`).

CHOLMOD comes in the wheel of cvxopt (licences GPL and LGPL, hence an extra): Chen, Davis, Hager & Rajamanickam
(2008, ACM Trans. Math. Softw. 35:22). One symbolic analysis serves every ρ.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from typing import Any

import numpy as np
import scipy.sparse as sp

from spillover.errors import EstimationError
from spillover.numerics.similarity import Similarity
from spillover.typing import FloatArray

ADVICE = "pip install 'spillover[cholmod]' factorises a W like this one several times faster"
HELD = 2  # factors kept for solves


@lru_cache(maxsize=1)
def load_cholmod() -> tuple[Any, Any] | None:
    """(cvxopt, cvxopt.cholmod), or None when the extra is not installed."""
    try:
        return import_module("cvxopt"), import_module("cvxopt.cholmod")
    except ImportError:
        return None


@dataclass(eq=False)
class _Slot:
    """One factor: CHOLMOD's object, the ρ it holds, and whether a multiplier relies on it."""

    factor: Any
    rho: float | None = None
    claimed: bool = False


@dataclass(frozen=True, eq=False)
class CholeskyFactory:
    """Factors of I − ρŴ, Ŵ = D^{1/2} W D^{-1/2}; determinants overwrite one another, factors for solves are kept.

    Attributes
    ----------
    root : (n,) diagonal of D^{1/2}.
    lower : entries of the lower triangle of Ŵ by columns, with a place for each diagonal entry.
    """

    root: FloatArray
    lower: FloatArray
    diagonal: np.ndarray
    system: Any
    cvxopt: Any
    cholmod: Any
    slots: list[_Slot] = field(default_factory=list)

    @classmethod
    def of(cls, similarity: Similarity) -> CholeskyFactory | None:
        """None when CHOLMOD is not installed."""
        loaded = load_cholmod()
        if loaded is None:
            return None
        cvxopt, cholmod = loaded
        n = similarity.matrix.shape[0]
        lower = sp.csc_matrix(sp.tril(similarity.matrix, k=-1) + sp.identity(n))
        lower.sort_indices()
        rows = cvxopt.matrix(lower.indices.astype(np.int64))
        columns = cvxopt.matrix(np.repeat(np.arange(n), np.diff(lower.indptr)))
        diagonal = lower.indptr[:-1].astype(np.int64)
        system = cvxopt.spmatrix(cvxopt.matrix(lower.data), rows, columns, (n, n))
        return cls(similarity.root, lower.data, diagonal, system, cvxopt, cholmod)

    def log_determinant(self, rho: float) -> float:
        """ln|I − ρW|."""
        slot = self._factorised(rho, claim=False)
        return 2.0 * float(np.log(np.asarray(self.cholmod.diag(slot.factor))).sum())

    def solve(self, rho: float, right: FloatArray, transposed: bool) -> FloatArray:
        """S^{-1} B = D^{-1/2} Ŝ^{-1} D^{1/2} B, or with S' (D and its inverse change places)."""
        slot = self._factorised(rho, claim=True)
        scale = self.root if right.ndim == 1 else self.root[:, None]
        before, after = (1.0 / scale, scale) if transposed else (scale, 1.0 / scale)
        columns = self.cvxopt.matrix(np.asfortranarray(before * right))
        self.cholmod.solve(slot.factor, columns)
        return after * np.array(columns).reshape(right.shape)

    def _factorised(self, rho: float, claim: bool) -> _Slot:
        slot = next((slot for slot in self.slots if slot.rho == rho), None)
        if slot is None:
            slot = self._free_slot()
            values = -rho * self.lower
            values[self.diagonal] = 1.0
            self.system.V = self.cvxopt.matrix(values)
            slot.rho = None
            try:
                self.cholmod.numeric(self.system, slot.factor)
            except ArithmeticError:
                raise EstimationError(
                    "I − ρW is not positive definite",
                    got=f"ρ = {rho:.6g}",
                    causes=("ρ outside the interval on which I − ρW is invertible",),
                    fix="keep ρ inside the bounds of W (weights.bounds())",
                ) from None
            slot.rho, slot.claimed = rho, False
        slot.claimed = slot.claimed or claim
        return slot

    def _free_slot(self) -> _Slot:
        slot = next((slot for slot in self.slots if not slot.claimed), None)
        if slot is None and len(self.slots) < HELD:
            slot = _Slot(self.cholmod.symbolic(self.system))
            self.slots.append(slot)
        if slot is None:
            slot = self.slots.pop(0)
            self.slots.append(slot)
        return slot
