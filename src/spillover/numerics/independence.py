"""Whether W, seen from within groups, can tell a spatial parameter from a scale."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from spillover.numerics.within import Centring
from spillover.typing import FloatArray

DENSE_GROUP = 2_000  # a larger group informs unless W is complete in it


@dataclass(frozen=True)
class Independence:
    """Linear independence of J, J W J and J W² J over all groups together.

    Attributes
    ----------
    pair : smallest singular value of J and J W J with unit length; 0 when J W J is a multiple of J.
    triple : the same with J W² J; 0 when slopes of X and W X leave ρ to the error variance alone.
    uninformative : positions, in `groups`, of the groups in which J W J is a multiple of J (complete W).
    """

    pair: float
    triple: float
    uninformative: tuple[int, ...]


def measure_independence(matrix: sp.csr_matrix, centring: Centring) -> Independence:
    """Independence of a W that links no two groups; O(Σ n_g³) over groups of up to 2,000 regions."""
    gram, large = np.zeros((3, 3)), False
    flat = []
    for position, block in enumerate(_blocks(matrix, centring)):
        size = block.shape[0]
        if size > DENSE_GROUP:
            complete = block.nnz == size * (size - 1) and float(np.ptp(block.data)) < 1e-12
            large = large or not complete
            if complete:
                flat.append(position)
            continue
        dense = Centring(size, (np.arange(size),)).both(block.toarray())
        free = size - 1
        mean = np.trace(dense) / free
        if float(np.sum(dense * dense)) - free * mean**2 <= 1e-16 * max(free, 1):
            flat.append(position)
        gram += _gram(free, dense, dense @ dense)
    if large:  # what is independent in one group is so over all
        return Independence(1.0, 1.0, tuple(flat))
    length = np.sqrt(np.maximum(np.diag(gram), 1e-300))
    scaled = gram / np.outer(length, length)
    return Independence(_smallest(scaled[:2, :2]), _smallest(scaled), tuple(flat))


def _blocks(matrix: sp.csr_matrix, centring: Centring) -> Iterator[sp.csr_matrix]:
    """W of each group; the regions are ordered by group once."""
    order = np.concatenate(centring.groups)
    ordered = sp.csr_matrix(matrix[order][:, order])
    start = 0
    for members in centring.groups:
        end = start + members.size
        starts = ordered.indptr[start : end + 1]
        inside = slice(starts[0], starts[-1])
        parts = (ordered.data[inside], ordered.indices[inside] - start, starts - starts[0])
        yield sp.csr_matrix(parts, shape=(members.size, members.size))
        start = end


def _gram(free: int, block: FloatArray, square: FloatArray) -> FloatArray:
    first, second = float(np.trace(block)), float(np.trace(square))
    cross = float(np.sum(block * square))
    return np.array(
        [
            [free, first, second],
            [first, float(np.sum(block * block)), cross],
            [second, cross, float(np.sum(square * square))],
        ]
    )


def _smallest(gram: FloatArray) -> float:
    return float(np.sqrt(max(float(np.linalg.eigvalsh(gram)[0]), 0.0)))
