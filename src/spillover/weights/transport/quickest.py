"""The quickest ways between all regions: Dijkstra's algorithm, a few origins at a time."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Literal

import numpy as np
import scipy.sparse as sp

from spillover.errors import DisconnectedError, WeightsError, check_option, show_labels
from spillover.panel.wording import count_of
from spillover.typing import FloatArray, IntArray, Progress, no_progress
from spillover.weights.pairs import ALL_PAIRS_LIMIT, LINK_LIMIT, positive
from spillover.weights.transport.connect import Connectors
from spillover.weights.transport.graph import NetworkGraph, build_graph
from spillover.weights.transport.network import TransportNetwork
from spillover.weights.transport.times import TravelTimes

CHUNK = 4_000_000
"""Times to all vertices held at once: 32 MB."""

Disconnected = Literal["error", "keep"]


def find_travel_times(
    network: TransportNetwork,
    connectors: Connectors,
    *,
    cutoff_minutes: float | None = None,
    disconnected: Disconnected = "error",
    workers: int = 1,
    progress: Progress = no_progress,
) -> TravelTimes:
    """Quickest minutes from every region to every other, access and changes included.

    Parameters
    ----------
    network, connectors : the same nodes.
    cutoff_minutes : pairs further apart are left out; needed above 5,000 regions. It saves most of the time, too.
    disconnected : "error", or "keep" to leave out pairs that cannot reach each other.
    workers : processes; the numbers are the same for any.

    Returns
    -------
    TravelTimes; row = origin, column = destination.

    Raises
    ------
    DisconnectedError : regions that cannot reach each other, with the parts into which they fall.
    WeightsError : too many pairs to hold.

    Cost: n Dijkstra searches, O(edges + nodes log nodes) each, less with a cut-off; memory for the pairs that are kept
    and 32 MB per worker, whatever n × nodes is.
    """
    check_option("disconnected", disconnected, ("error", "keep"))
    cutoff = None if cutoff_minutes is None else positive("cutoff_minutes", cutoff_minutes)
    n = len(connectors.regions)
    if cutoff is None and n > ALL_PAIRS_LIMIT:
        raise WeightsError(
            "travel times between all pairs of so many regions do not fit in memory",
            got=f"{n:,} regions, {n * (n - 1):,} pairs",
            expected=f"at most {ALL_PAIRS_LIMIT:,} regions without a cut-off",
            fix="say beyond which time pairs are left out, with cutoff_minutes=…",
        )
    graph = build_graph(network, connectors)
    if disconnected == "error":
        _check_parts(graph, connectors)
    found = _search_all(graph, np.inf if cutoff is None else cutoff, workers, progress)
    times = TravelTimes(
        connectors.regions,
        found,
        cutoff,
        f"travel times by {' and '.join(network.modes)}",
        notes=(*network.notes, *connectors.notes),
    )
    missing = n * (n - 1) - found.nnz
    if cutoff is None and missing:
        if disconnected == "error":
            _raise_one_way(times)
        note = f"{count_of(missing, 'pair')} cannot reach each other and are left out"
        times = replace(times, notes=(*times.notes, note))
    return times


def _search_all(graph: NetworkGraph, limit: float, workers: int, progress: Progress) -> sp.csr_matrix:
    """(n, n) CSR of minutes up to the limit, without the diagonal."""
    origins = graph.origins()
    n, step = len(origins), max(CHUNK // graph.matrix.shape[0], 1)
    parts = [origins[start : start + step] for start in range(0, n, step)]
    columns, minutes, counts, total = [], [], [], 0
    for number, (cols, time, each) in enumerate(_run(graph, parts, limit, workers)):
        columns.append(cols)
        minutes.append(time)
        counts.append(each)
        total += len(cols)
        if total > LINK_LIMIT:
            raise WeightsError(
                "more pairs within the cut-off than can be held",
                got=f"{total:,} pairs after {100 * (number + 1) // len(parts)} % of the regions",
                expected=f"at most {LINK_LIMIT:,}",
                fix="choose a shorter cutoff_minutes",
            )
        progress("quickest ways", (number + 1) / len(parts))
    indptr = np.r_[0, np.cumsum(np.concatenate(counts))]
    return sp.csr_matrix((np.concatenate(minutes), np.concatenate(columns), indptr), shape=(n, n))


def _run(
    graph: NetworkGraph, parts: list[IntArray], limit: float, workers: int
) -> Iterator[tuple[IntArray, FloatArray, IntArray]]:
    search = partial(search_from, graph, limit=limit)
    if workers <= 1 or len(parts) < 2:
        yield from map(search, parts)
        return
    with ProcessPoolExecutor(workers, initializer=_take, initargs=(graph,)) as pool:
        yield from pool.map(partial(_search_taken, limit=limit), parts)


_TAKEN: list[NetworkGraph] = []  # the graph of a worker process, sent once


def _take(graph: NetworkGraph) -> None:
    _TAKEN[:] = [graph]


def _search_taken(origins: IntArray, limit: float) -> tuple[IntArray, FloatArray, IntArray]:
    return search_from(_TAKEN[0], origins, limit)


def search_from(graph: NetworkGraph, origins: IntArray, limit: float) -> tuple[IntArray, FloatArray, IntArray]:
    """Destinations and minutes of the regions reached from some origins, row after row, and how many in each row."""
    from scipy.sparse.csgraph import dijkstra

    times = dijkstra(graph.matrix, directed=True, indices=origins, limit=limit)
    minutes = graph.arrive(times)
    minutes[np.arange(len(origins)), origins - graph.states] = np.inf
    reached = np.isfinite(minutes) & (minutes <= limit)
    return np.nonzero(reached)[1], minutes[reached], reached.sum(axis=1)


def _check_parts(graph: NetworkGraph, connectors: Connectors) -> None:
    """`DisconnectedError` unless all regions are connected with one part of the network, whatever its directions."""
    from scipy.sparse.csgraph import connected_components

    inner = graph.matrix[: graph.states, : graph.states]
    _, labels = connected_components(inner, directed=True, connection="weak")
    region = np.repeat(np.arange(len(connectors.regions)), np.diff(graph.exit_start))
    part = labels[graph.exit_state]
    pairs = np.unique(np.column_stack([region, part]), axis=0)
    found, sizes = np.unique(pairs[:, 1], return_counts=True)
    if sizes.max() == len(connectors.regions):
        return
    order = np.lexsort((found, -sizes))
    told = []
    placed = set(pairs[pairs[:, 1] == found[order[0]], 0].tolist())
    for each in found[order[1:]]:
        members = [k for k in pairs[pairs[:, 1] == each, 0].tolist() if k not in placed]
        placed |= set(members)
        if members:
            told.append(show_labels(connectors.regions[k] for k in members))
    raise DisconnectedError(
        "the network falls into parts without a way between them",
        got=f"{len(told) + 1} parts; {count_of(int(sizes.max()), 'region')} in the largest; "
        f"apart from it: {'; '.join(told[:3])}" + (" …" if len(told) > 3 else ""),
        expected="a way between any two regions",
        causes=("a bridge or a ferry is missing", "nodes at the same place with different ids", "an edge was removed"),
        fix='add the missing edge with network.with_edge(…), or choose disconnected="keep": such pairs get no link',
    )


def _raise_one_way(times: TravelTimes) -> None:
    """All regions hang together, but some can only be left or only be entered."""
    full = times.n - 1
    out, into = np.diff(times.matrix.indptr), np.bincount(times.matrix.indices, minlength=times.n)
    stuck = [times.regions[k] for k in np.flatnonzero(out < full)]
    shut = [times.regions[k] for k in np.flatnonzero(into < full)]
    raise DisconnectedError(
        "some regions cannot be reached from others",
        got=f"ways out are missing from {show_labels(stuck)}; ways in to {show_labels(shut)}",
        expected="a way between any two regions in both directions",
        causes=("edges that run one way only (both_ways=False)",),
        fix='add the missing direction with network.with_edge(…), or choose disconnected="keep"',
    )
