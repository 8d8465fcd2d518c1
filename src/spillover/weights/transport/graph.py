"""A network and its connectors as one directed graph, in which changing the mode is an edge of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from spillover.errors import DisconnectedError, show_labels
from spillover.typing import FloatArray, IntArray
from spillover.weights.transport.connect import Connectors
from spillover.weights.transport.network import ACCESS, TransportNetwork, complete_transfers


@dataclass(frozen=True, eq=False)
class NetworkGraph:
    """Arcs between s states and n origins.

    A state is a node, or a node in a mode where changing takes time. Origins are the regions as starting points only:
    nobody travels through a region's centre to change trains. Destinations are no vertices: the time to region r is the
    smallest time to a state in `exit_state` plus `exit_minutes`.

    Attributes
    ----------
    matrix : (s + n, s + n) CSR of minutes; row to column; explicit zeros are arcs that take no time.
    arc_edge : (arcs,) which edge of the network an arc of `matrix` belongs to; −1 for changes and access.
    states : s.
    state_node, state_mode : (s,) node and mode of a state; mode −1 where states are nodes.
    exit_state, exit_minutes : (x,) states at which regions can be entered, by region.
    exit_start : (n + 1,) where the exits of each region start.
    """

    matrix: sp.csr_matrix
    arc_edge: IntArray
    states: int
    state_node: IntArray
    state_mode: IntArray
    exit_state: IntArray
    exit_minutes: FloatArray
    exit_start: IntArray

    def origins(self) -> IntArray:
        """(n,) vertices of the origins."""
        return np.arange(self.states, self.matrix.shape[0])

    def arrive(self, times: FloatArray) -> FloatArray:
        """(m, n) minutes to every region from (m, s + n) minutes to every vertex."""
        return np.asarray(
            np.minimum.reduceat(times[:, self.exit_state] + self.exit_minutes, self.exit_start[:-1], axis=1)
        )

    def chosen_exit(self, times: FloatArray) -> IntArray:
        """(n,) the exit, as a position in `exit_state`, at which each region is reached first; (s + n,) minutes."""
        minutes = times[self.exit_state] + self.exit_minutes
        region = np.repeat(np.arange(len(self.exit_start) - 1), np.diff(self.exit_start))
        order = np.lexsort((minutes, region))
        return order[self.exit_start[:-1]]

    def state_of(self, node: int, mode: int) -> int:
        """The state of a node in a mode."""
        found = np.flatnonzero((self.state_node == node) & np.isin(self.state_mode, (-1, mode)))
        return int(found[0])


def build_graph(network: TransportNetwork, connectors: Connectors) -> NetworkGraph:
    """The graph of a network; states are nodes in modes only where changing, getting on or getting off takes time."""
    edges, modes = network.edges, network.modes
    minutes = complete_transfers(modes, network.transfers)
    m, several = len(network.nodes), any(minutes.values())
    width = len(edges.modes)
    if several:
        keys = np.unique(np.r_[edges.start * width + edges.mode, edges.end * width + edges.mode])
        state_node, state_mode = np.divmod(keys, width)
        tail = np.searchsorted(keys, edges.start * width + edges.mode)
        head = np.searchsorted(keys, edges.end * width + edges.mode)
    else:
        state_node, state_mode = np.arange(m), np.full(m, -1)
        tail, head = edges.start, edges.end
    back = edges.both_ways
    number = np.arange(len(edges))
    parts = [(tail, head, edges.minutes, number), (head[back], tail[back], edges.minutes[back], number[back])]
    if several:
        parts += _changes(state_node, state_mode, edges.modes, minutes)
    states = len(state_node)
    region, state, access, leave = _access(network, connectors, state_node, state_mode, minutes)
    parts.append((states + region, state, access, np.full(len(region), -1)))
    start, end, time, edge = (np.concatenate(each) for each in zip(*parts, strict=True))
    matrix, kept = _quickest_arcs(start, end, time, states + len(connectors.regions))
    counts = np.bincount(region, minlength=len(connectors.regions))
    return NetworkGraph(matrix, edge[kept], states, state_node, state_mode, state, leave, np.r_[0, np.cumsum(counts)])


def _changes(
    state_node: IntArray, state_mode: IntArray, modes: tuple[str, ...], minutes: dict[tuple[str, str], float]
) -> list[tuple[IntArray, IntArray, FloatArray, IntArray]]:
    """Arcs between the states of one node."""
    parts = []
    for (a, b), lost in minutes.items():
        if ACCESS in (a, b):
            continue
        out, into = (np.flatnonzero(state_mode == modes.index(name)) for name in (a, b))
        _, at, to = np.intersect1d(state_node[out], state_node[into], assume_unique=True, return_indices=True)
        parts.append((out[at], into[to], np.full(len(at), lost), np.full(len(at), -1)))
    return parts


def _access(
    network: TransportNetwork,
    connectors: Connectors,
    state_node: IntArray,
    state_mode: IntArray,
    minutes: dict[tuple[str, str], float],
) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
    """Region, state, minutes in and minutes out of every way between a region and a state, by region."""
    order = np.argsort(state_node, kind="stable")
    first = np.searchsorted(state_node[order], connectors.node, side="left")
    last = np.searchsorted(state_node[order], connectors.node, side="right")
    counts = last - first
    empty = counts == 0
    if empty.any():
        _raise_unused(network, connectors, np.flatnonzero(empty))
    which = np.repeat(np.arange(len(counts)), counts)
    state = order[np.arange(len(which)) - np.repeat(np.r_[0, np.cumsum(counts)[:-1]], counts) + first[which]]
    on, off = np.zeros(len(which)), np.zeros(len(which))
    for code, name in enumerate(network.edges.modes):
        here = state_mode[state] == code
        on[here], off[here] = minutes.get((ACCESS, name), 0.0), minutes.get((name, ACCESS), 0.0)
    access = connectors.minutes[which]
    return connectors.region[which], state, access + on, access + off


def _raise_unused(network: TransportNetwork, connectors: Connectors, where: IntArray) -> None:
    told = [f"{connectors.regions[connectors.region[k]]} at {network.nodes[connectors.node[k]]}" for k in where]
    raise DisconnectedError(
        "regions are connected with nodes that have no edge",
        got=show_labels(told),
        causes=("the last edge of the node was removed", "the node belongs to another mode"),
        fix="connect these regions with another node, or add an edge",
    )


def _quickest_arcs(start: IntArray, end: IntArray, time: FloatArray, size: int) -> tuple[sp.csr_matrix, IntArray]:
    """CSR with the quickest of parallel arcs, and which arc each entry is."""
    order = np.lexsort((time, end, start))
    first = np.r_[True, (np.diff(start[order]) != 0) | (np.diff(end[order]) != 0)]
    kept = order[first]
    indptr = np.r_[0, np.cumsum(np.bincount(start[kept], minlength=size))]
    parts = (time[kept], end[kept].astype(np.int32), indptr.astype(np.int32))
    return sp.csr_matrix(parts, shape=(size, size)), kept
