"""Where products of spatial matrices become numbers: direct = tr P / n and total = ι'Pι / n of P = … S^{-1} W ….

Three spaces do the same arithmetic on different vectors. With one W everything is a function of W, so that its
eigenvalues suffice (`EigenSpace`). When all rows of all W sum to one, ι is an eigenvector of every factor and each is
one number (`EigenSpace` of the eigenvalue one). Else vectors are vectors (`MatrixSpace`): all n unit vectors, so that
traces are exact, or random vectors of ±1 on large maps, with the error of the average (Hutchinson).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from spillover.mechanisms.exposure import Diagonal
from spillover.numerics.engine import DENSE_LIMIT
from spillover.numerics.multiplier import Multiplier
from spillover.typing import FloatArray
from spillover.weights.weights import SpatialWeights

PROBES = 128
CHUNK_NUMBERS = 1_500_000  # of one stack of vectors: 12 MB


class Space(Protocol):
    """Vectors of shape (n, g, p): g of them for each of p columns."""

    scale: float

    def chunks(self, stacks: int) -> Iterator[np.ndarray]:
        """Starting vectors (n, 1, p), so few columns at a time that `stacks` copies fit into memory."""
        ...

    def lag(self, operator: SpatialWeights | Diagonal, v: np.ndarray, transposed: bool) -> np.ndarray:
        """W v or W' v."""
        ...

    def solve(self, weights: SpatialWeights, rho: float, v: np.ndarray, transposed: bool) -> np.ndarray:
        """(I − ρW)^{-1} v or its transpose's."""
        ...


class EigenSpace:
    """Functions of one matrix, by its eigenvalues; every operator is that matrix."""

    def __init__(self, eigenvalues: np.ndarray) -> None:
        self.values = np.asarray(eigenvalues)[:, None, None]
        self.scale = 1.0 / len(eigenvalues)

    def chunks(self, stacks: int) -> Iterator[np.ndarray]:
        """One column of ones."""
        yield np.ones_like(self.values)

    def lag(self, operator: SpatialWeights | Diagonal, v: np.ndarray, transposed: bool) -> np.ndarray:
        """ω v."""
        return self.values * v

    def solve(self, weights: SpatialWeights, rho: float, v: np.ndarray, transposed: bool) -> np.ndarray:
        """v / (1 − ρω)."""
        return v / (1.0 - rho * self.values)


class MatrixSpace:
    """Any matrices, applied to columns Z (n, p); with Z the identity z'Pz sums to the trace.

    exact : many columns follow, so that for small n an inverse is worth its cost.
    """

    def __init__(self, columns: FloatArray, scale: float, exact: bool) -> None:
        self.columns = columns
        self.scale = scale
        self._exact = exact and len(columns) <= DENSE_LIMIT
        self._inverses: dict[tuple[int, float], FloatArray | Multiplier] = {}

    def chunks(self, stacks: int) -> Iterator[np.ndarray]:
        """Some columns of Z at a time."""
        n, p = self.columns.shape
        width = int(np.clip(CHUNK_NUMBERS // (n * max(stacks, 1)), 1, p))
        for start in range(0, p, width):
            yield self.columns[:, None, start : start + width]

    def lag(self, operator: SpatialWeights | Diagonal, v: np.ndarray, transposed: bool) -> np.ndarray:
        """W v or W' v."""
        matrix = operator.matrix.T if transposed else operator.matrix
        return np.asarray(matrix @ v.reshape(len(v), -1)).reshape(v.shape)

    def solve(self, weights: SpatialWeights, rho: float, v: np.ndarray, transposed: bool) -> np.ndarray:
        """(I − ρW)^{-1} v or its transpose's."""
        flat = v.reshape(len(v), -1)
        found = self._inverse(weights, rho)
        if isinstance(found, Multiplier):
            solved = found.solve_transposed(flat) if transposed else found.solve(flat)
        else:
            solved = (found.T if transposed else found) @ flat
        return np.asarray(solved).reshape(v.shape)

    def _inverse(self, weights: SpatialWeights, rho: float) -> FloatArray | Multiplier:
        key = id(weights), rho
        if key not in self._inverses:
            self._inverses[key] = (
                np.linalg.inv(np.eye(weights.n) - rho * weights.matrix.toarray())
                if self._exact
                else Multiplier(weights.matrix, rho, weights.engine.solver)
            )
        return self._inverses[key]


def draw_probes(n: int, count: int = PROBES) -> FloatArray:
    """(n, count) vectors of ±1 from a fixed seed."""
    rng = np.random.Generator(np.random.PCG64(20_260_101))
    return np.asarray(rng.integers(0, 2, size=(n, count)) * 2.0 - 1.0)
