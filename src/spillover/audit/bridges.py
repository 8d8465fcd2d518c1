"""What holds a map together: components, and single links without which it falls apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from spillover.weights.weights import SpatialWeights


@dataclass(frozen=True)
class Bridge:
    """A link between two regions whose removal cuts the map in two; `behind` regions are on the smaller side."""

    one: str
    other: str
    behind: int


def find_bridges(weights: SpatialWeights) -> tuple[Bridge, ...]:
    """Bridges of the undirected graph of W, those with most regions behind them first. O(n + links).

    Depth-first search with low points (Tarjan 1974): a tree edge is a bridge when nothing below it reaches above it.
    """
    links = sp.csr_matrix(weights.matrix + weights.matrix.T)
    n = weights.n
    order, low, size = np.full(n, -1), np.zeros(n, dtype=int), np.ones(n, dtype=int)
    parent = np.full(n, -1)
    _, component = sp.csgraph.connected_components(links, directed=False)
    members = np.bincount(component)
    found = []
    count = 0
    for root in range(n):
        if order[root] >= 0:
            continue
        order[root] = low[root] = count
        count += 1
        stack = [(root, iter(links.indices[links.indptr[root] : links.indptr[root + 1]]))]
        while stack:
            at, neighbours = stack[-1]
            step = next(neighbours, None)
            if step is None:
                stack.pop()
                above = parent[at]
                if above >= 0:
                    size[above] += size[at]
                    low[above] = min(low[above], low[at])
                    if low[at] > order[above]:
                        behind = int(min(size[at], members[component[at]] - size[at]))
                        found.append(Bridge(weights.regions[above], weights.regions[at], behind))
            elif order[step] < 0:
                parent[step] = at
                order[step] = low[step] = count
                count += 1
                stack.append((step, iter(links.indices[links.indptr[step] : links.indptr[step + 1]])))
            elif step != parent[at]:
                low[at] = min(low[at], order[step])
    return tuple(sorted(found, key=lambda bridge: (-bridge.behind, bridge.one, bridge.other)))


def component_sizes(weights: SpatialWeights) -> tuple[int, ...]:
    """Numbers of regions that hang together, largest first."""
    _, labels = sp.csgraph.connected_components(weights.matrix, directed=False)
    return tuple(sorted((int(size) for size in np.bincount(labels)), reverse=True))
