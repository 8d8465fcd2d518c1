"""How much memory a sparse factor of I − ρW would take, and how much there is, before anything is factorised."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from scipy.sparse import csgraph

from spillover.numerics.similarity import breadth_first_tree

PER_SEPARATOR = 2.0  # entries of the factor per (separator)² and per halving of the map
PER_LINK = 4.0  # entries of the factor per link of W that do not depend on the separator


def predict_fill(matrix: sp.csr_matrix) -> float:
    """Expected number of non-zeros in a triangular factor of I − ρW under a good ordering.

    Nested dissection needs of the order of s² log₂(n/s) numbers, s the size of a separator (George 1973); s is
    read from the smallest level in the middle half of a breadth-first search from the edge of the map. An estimate:
    within a factor of two for lattices, and up to five times too large for Delaunay maps, nearest neighbours and
    random graphs. Cost O(nnz).
    """
    n = matrix.shape[0]
    pattern = sp.csr_matrix(matrix + matrix.T) if matrix.nnz < 20_000_000 else matrix
    separator = _separator(pattern)
    fill = PER_LINK * pattern.nnz / 2.0 + PER_SEPARATOR * separator**2 * np.log2(n / max(separator, 1.0) + 1.0)
    return float(min(fill, n * (n + 1) / 2.0))


def available_memory() -> float:
    """Bytes of memory that a new computation can use now; infinite where the system does not tell."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return float(line.split()[1]) * 1024.0
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (OSError, ValueError, AttributeError):
        return float("inf")


def _separator(pattern: sp.csr_matrix) -> float:
    """Regions in the narrowest level of a breadth-first search that splits off at least a quarter of the map."""
    n = pattern.shape[0]
    last = int(breadth_first_tree(pattern).order[-1])
    order, parents = csgraph.breadth_first_order(pattern, last, directed=False, return_predecessors=True)
    depth = _depths(order, parents)
    widths = np.bincount(depth)
    passed = np.cumsum(widths)
    middle = (passed > 0.25 * order.size) & (passed - widths < 0.75 * order.size)
    # A level of a dense graph is as thick as its links are long; no separator is larger than half of the map.
    return float(min(widths[middle].min(), n / 2.0)) if order.size > 2 else 1.0


def _depths(order: np.ndarray, parents: np.ndarray) -> np.ndarray:
    """(m,) level of each region of `order`, by pointer jumping."""
    place = np.full(parents.size, 0)
    place[order] = np.arange(order.size)
    above = np.concatenate([[0], place[parents[order[1:]]]])
    depth = (np.arange(order.size) > 0).astype(np.int64)
    while above.any():
        depth = depth + depth[above]
        above = above[above]
    return depth
