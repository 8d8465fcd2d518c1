"""What one edge is worth: which pairs a quicker edge brings together, and which pairs travel over each edge."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from spillover.errors import OptionError, WeightsError
from spillover.typing import FloatArray, IntArray, Progress, no_progress
from spillover.weights.transport.connect import Connectors
from spillover.weights.transport.graph import NetworkGraph, build_graph
from spillover.weights.transport.network import TransportNetwork
from spillover.weights.transport.quickest import CHUNK
from spillover.weights.transport.times import TravelTimes


def improve_edge(
    times: TravelTimes,
    network: TransportNetwork,
    connectors: Connectors,
    start: Any,
    end: Any,
    *,
    minutes: float,
    mode: str | None = None,
    both_ways: bool = True,
) -> tuple[TransportNetwork, TravelTimes]:
    """The network with a new or quicker edge, and the times over it, without searching the whole network again.

    The pair (i, j) gains if and only if t(i, start) + minutes + t(end, j) < t(i, j), or the other way round: two
    searches from the ends of the edge and two towards them say it for all pairs.

    Parameters
    ----------
    times : of `network` and `connectors`, without cut-off: a pair beyond it could come within.
    start, end, minutes, mode, both_ways : of the edge, as in `network.with_edge`; an edge between the two nodes stays.

    Raises
    ------
    OptionError : times with a cut-off. AlignmentError : other regions.

    Cost: four searches and n² comparisons.
    """
    from scipy.sparse.csgraph import dijkstra

    if times.cutoff is not None:
        raise OptionError(
            "times with a cut-off do not say which pairs a new edge brings within it",
            got=f"cutoff {times.cutoff:g}",
            fix="find the times without cut-off, or find them anew over the changed network",
        )
    changed = network.with_edge(start, end, minutes=minutes, mode=mode, both_ways=both_ways)
    graph = build_graph(changed, connectors)
    code = int(changed.edges.mode[-1])
    ends = [graph.state_of(int(node), code) for node in (changed.edges.start[-1], changed.edges.end[-1])]
    away = graph.arrive(np.atleast_2d(dijkstra(graph.matrix, directed=True, indices=ends)))  # (2, n) to regions
    towards = np.atleast_2d(dijkstra(sp.csr_matrix(graph.matrix.T), directed=True, indices=ends))[:, graph.origins()]
    before = times.align(connectors.regions).dense()
    after = np.minimum(before, towards[0][:, None] + minutes + away[1][None, :])
    if both_ways:
        after = np.minimum(after, towards[1][:, None] + minutes + away[0][None, :])
    np.fill_diagonal(after, np.inf)
    i, j = np.nonzero(np.isfinite(after))
    matrix = sp.csr_matrix((after[i, j], (i, j)), shape=after.shape)
    notes = (*times.notes, changed.notes[-1])
    found = replace(times, regions=connectors.regions, matrix=matrix, notes=notes)
    return changed, found


def load_edges(
    network: TransportNetwork,
    connectors: Connectors,
    values: sp.sparray | sp.spmatrix | FloatArray,
    *,
    progress: Progress = no_progress,
) -> FloatArray:
    """(e,) sum of the values of the pairs whose quickest way uses each edge.

    With values 1 it counts pairs (betweenness). With values ∂V/∂t_ij, what a minute of a pair is worth to some aim V,
    it is ∂V/∂c_e, what a minute on the edge is worth; exact where quickest ways are unique (Danskin's theorem).

    Parameters
    ----------
    values : (n, n); row = origin, column = destination, in the order of `connectors.regions`; the diagonal is ignored.

    Raises
    ------
    WeightsError : values of another shape, or of pairs that cannot reach each other.

    Cost: n searches, each with one pass over its tree of quickest ways; memory as in `find_travel_times`.
    """
    from scipy.sparse.csgraph import dijkstra

    n = len(connectors.regions)
    table = sp.csr_matrix(values, dtype=float)
    if table.shape != (n, n):
        raise WeightsError("values are not of the regions", got=f"shape {table.shape}", expected=f"({n}, {n})")
    graph = build_graph(network, connectors)
    loads = np.zeros(len(network.edges))
    keys = np.repeat(np.arange(graph.matrix.shape[0]), np.diff(graph.matrix.indptr)) * graph.matrix.shape[0]
    keys = keys + graph.matrix.indices
    origins = graph.origins()
    step = max(CHUNK // (2 * graph.matrix.shape[0]), 1)
    for first in range(0, n, step):
        part = origins[first : first + step]
        times, parents = dijkstra(graph.matrix, directed=True, indices=part, return_predecessors=True)
        for row, origin in enumerate(range(first, first + len(part))):
            wanted = table[[origin]]
            _add_tree(graph, keys, times[row], parents[row], wanted, origin, loads, connectors.regions)
        progress("loads of edges", min(first + step, n) / n)
    return loads


def _add_tree(
    graph: NetworkGraph,
    keys: IntArray,
    times: FloatArray,
    parents: IntArray,
    wanted: sp.csr_matrix,
    origin: int,
    loads: FloatArray,
    regions: tuple[str, ...],
) -> None:
    """Values of one origin's pairs added to the edges of its tree of quickest ways."""
    others = wanted.indices != origin
    destinations, value = wanted.indices[others], wanted.data[others]
    if not len(destinations):
        return
    exits = graph.exit_state[graph.chosen_exit(times)[destinations]]
    lost = ~np.isfinite(times[exits])
    if lost.any():
        raise WeightsError(
            "a value was given to a pair that cannot reach each other",
            got=f"{regions[origin]} → {regions[destinations[lost][0]]}",
        )
    size = graph.matrix.shape[0]
    carried = np.bincount(exits, weights=value, minlength=size)
    depth = _depths(parents)
    order = np.argsort(-depth, kind="stable")
    order = order[(depth[order] > 0)]
    levels = np.flatnonzero(np.diff(depth[order])) + 1
    for group in np.split(order, levels):
        active = group[carried[group] != 0.0]
        if len(active):
            np.add.at(carried, parents[active], carried[active])
    used = np.flatnonzero((carried != 0.0) & (depth > 0))
    arcs = np.searchsorted(keys, parents[used].astype(np.int64) * size + used)
    edges = graph.arc_edge[arcs]
    real = edges >= 0
    np.add.at(loads, edges[real], carried[used][real])


def _depths(parents: IntArray) -> IntArray:
    """(s + n,) arcs between the root and each vertex of a tree of predecessors; 0 for the root and what is not reached.

    By doubling: after k rounds every vertex knows its ancestor 2^k steps up.
    """
    size = len(parents)
    root = size  # one more vertex above everything
    jump = np.where(parents < 0, root, parents).astype(np.int64)
    jump = np.r_[jump, root]
    depth = (jump != root).astype(np.int64)
    while True:
        further = depth[jump]
        if not further.any():
            return depth[:size]
        depth = depth + further
        jump = jump[jump]
