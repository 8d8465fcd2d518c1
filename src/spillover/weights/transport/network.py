"""`TransportNetwork`: nodes, edges with modes and minutes, transfers; every edit returns a copy and is noted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import permutations
from typing import Any

import numpy as np

from spillover.errors import OptionError, UnknownColumnError, WeightsError, did_you_mean, show_labels
from spillover.panel.wording import count_of
from spillover.typing import BoolArray, FloatArray, IntArray
from spillover.weights.labels import as_text
from spillover.weights.points import Points

ACCESS = "access"
"""The "mode" in which a region reaches its nodes: transfers from it are boardings, transfers to it alightings."""


@dataclass(frozen=True, eq=False)
class EdgeTable:
    """e edges.

    Attributes
    ----------
    start, end : (e,) positions of nodes.
    minutes : (e,) travel time, tolls included where they were turned into minutes; above zero.
    mode : (e,) positions in `modes`.
    modes : names of the modes.
    both_ways : (e,) whether an edge can be used in both directions.
    length_km : (e,) NaN where unknown.
    """

    start: IntArray
    end: IntArray
    minutes: FloatArray
    mode: IntArray
    modes: tuple[str, ...]
    both_ways: BoolArray
    length_km: FloatArray

    def __len__(self) -> int:
        return len(self.start)

    def take(self, which: BoolArray | IntArray) -> EdgeTable:
        """Some of the edges."""
        return replace(
            self,
            start=self.start[which],
            end=self.end[which],
            minutes=self.minutes[which],
            mode=self.mode[which],
            both_ways=self.both_ways[which],
            length_km=self.length_km[which],
        )

    def join(self, other: EdgeTable) -> EdgeTable:
        """These edges and others, whose modes may be new."""
        modes = tuple(dict.fromkeys((*self.modes, *other.modes)))
        code = np.array([modes.index(name) for name in other.modes], dtype=np.int64)
        return EdgeTable(
            np.r_[self.start, other.start],
            np.r_[self.end, other.end],
            np.r_[self.minutes, other.minutes],
            np.r_[self.mode, code[other.mode]],
            modes,
            np.r_[self.both_ways, other.both_ways],
            np.r_[self.length_km, other.length_km],
        )


@dataclass(frozen=True, eq=False, repr=False)
class TransportNetwork:
    """A transport network that can be edited. Made by `spillover.weights.transport.read_network`.

    Attributes
    ----------
    nodes : m node ids, text, unique.
    edges : `EdgeTable`; several edges between two nodes are allowed, the quickest counts.
    places : where the nodes are, or None.
    transfers : minutes lost when changing between modes at a node: one number, or by (mode, mode); "access" stands for
        getting on and off.
    notes : how the network was made and what was edited, one sentence each.
    """

    nodes: tuple[str, ...]
    edges: EdgeTable
    places: Points | None = None
    transfers: float | Mapping[tuple[str, str], float] = 0.0
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        bad = ~(np.isfinite(self.edges.minutes) & (self.edges.minutes > 0.0))
        if bad.any():
            raise WeightsError(
                "edges whose travel time is not above zero",
                got=show_labels(
                    f"{self.tell_edge(k)}: {self.edges.minutes[k]:g} minutes" for k in np.flatnonzero(bad).tolist()
                ),
                expected="finite minutes above zero on every edge",
                causes=("a speed of zero or below", "a length of zero", "blank cells"),
                fix="merge nodes at the same place, or give the edge the time it takes",
            )
        loops = self.edges.start == self.edges.end
        if loops.any():
            raise WeightsError(
                "edges from a node to itself",
                got=show_labels(self.nodes[k] for k in self.edges.start[loops]),
                fix="remove these rows",
            )

    @property
    def modes(self) -> tuple[str, ...]:
        """The modes in use, in order of appearance."""
        used = set(self.edges.mode.tolist())
        return tuple(name for code, name in enumerate(self.edges.modes) if code in used)

    def tell_edge(self, k: int) -> str:
        """An edge as messages show it: "a → b (rail)", "a – b (road)"."""
        sign = "–" if self.edges.both_ways[k] else "→"
        mode = self.edges.modes[self.edges.mode[k]]
        return f"{self.nodes[self.edges.start[k]]} {sign} {self.nodes[self.edges.end[k]]} ({mode})"

    def __repr__(self) -> str:
        return (
            f"TransportNetwork: {len(self.nodes)} nodes, {count_of(len(self.edges), 'edge')}, "
            f"modes: {', '.join(self.modes)}"
        )

    # -- edits return copies --------------------------------------------------------------------

    def with_edge(
        self,
        start: Any,
        end: Any,
        *,
        minutes: float | None = None,
        length_km: float | None = None,
        speed_kmh: float | None = None,
        mode: str | None = None,
        both_ways: bool = True,
    ) -> TransportNetwork:
        """The network with one more edge, of given minutes or of a length and a speed. Its mode may be new.

        mode : the only mode of the network by default. length_km : the great circle between its ends by default, when
            the nodes have places.

        Raises `UnknownColumnError` for nodes that do not exist, `OptionError` without a time.
        """
        i, j = self.position(start), self.position(end)
        km = self._length(i, j) if length_km is None else float(length_km)
        if minutes is None:
            if speed_kmh is None or not np.isfinite(km):
                raise OptionError(
                    "nothing says how long the new edge takes",
                    got=f"{as_text(start)} – {as_text(end)}",
                    fix="give minutes=…, or speed_kmh=… (and length_km=… where nodes have no places)",
                )
            minutes = 60.0 * km / float(speed_kmh)
        name = self._mode(mode, new=True)
        added = EdgeTable(
            np.array([i]), np.array([j]), np.array([float(minutes)]), np.array([0]), (name,),
            np.array([both_ways]), np.array([km]),
        )  # fmt: skip
        made = replace(self, edges=self.edges.join(added))
        return made.with_note(f"edge added: {made.tell_edge(len(made.edges) - 1)}, {minutes:g} minutes")

    def without_edges(self, pairs: Iterable[tuple[Any, Any]], mode: str | None = None) -> TransportNetwork:
        """The network without all edges between the two nodes of each pair, in either direction.

        mode : remove the edges of this mode only.

        Raises `UnknownColumnError` for nodes or a mode that do not exist, `WeightsError` for pairs without an edge.
        """
        found = self._find(pairs, mode)
        told = show_labels((self.tell_edge(k) for k in np.flatnonzero(found).tolist()), 20)
        note = f"{count_of(int(found.sum()), 'edge')} removed: {told}"
        return replace(self, edges=self.edges.take(~found)).with_note(note)

    def with_minutes(
        self, pairs: Iterable[tuple[Any, Any]], minutes: float, mode: str | None = None
    ) -> TransportNetwork:
        """The network in which the edges between the two nodes of each pair take so many minutes."""
        found = self._find(pairs, mode)
        told = show_labels((self.tell_edge(k) for k in np.flatnonzero(found).tolist()), 20)
        changed = replace(self.edges, minutes=np.where(found, float(minutes), self.edges.minutes))
        return replace(self, edges=changed).with_note(f"{told}: now {minutes:g} minutes")

    def with_speed(self, mode: str, speed_kmh: float) -> TransportNetwork:
        """The network in which a whole mode runs at one speed; its edges need lengths."""
        code = self.edges.modes.index(self._mode(mode))
        chosen = self.edges.mode == code
        unknown = chosen & ~np.isfinite(self.edges.length_km)
        if unknown.any():
            raise WeightsError(
                "edges without a length have no speed",
                got=show_labels(self.tell_edge(k) for k in np.flatnonzero(unknown).tolist()),
                fix="read the network with length_km=… or with places of its nodes, or use with_minutes",
            )
        if not speed_kmh > 0.0:
            raise OptionError("a speed is above zero", got=repr(speed_kmh))
        minutes = np.where(chosen, 60.0 * self.edges.length_km / speed_kmh, self.edges.minutes)
        changed = replace(self.edges, minutes=minutes)
        return replace(self, edges=changed).with_note(f"{mode}: now {speed_kmh:g} km/h on all its edges")

    def with_transfers(self, transfers: float | Mapping[tuple[str, str], float]) -> TransportNetwork:
        """The network with other minutes for changing modes: one number for all, or minutes by (from, to)."""
        check_transfers(self.modes, transfers)
        return replace(self, transfers=transfers)

    def only(self, modes: Sequence[str]) -> TransportNetwork:
        """The network of some of its modes."""
        codes = [self.edges.modes.index(self._mode(mode)) for mode in modes]
        kept = np.isin(self.edges.mode, codes)
        return replace(self, edges=self.edges.take(kept)).with_note(f"only {', '.join(modes)}")

    def with_note(self, note: str) -> TransportNetwork:
        """A copy with a note."""
        return replace(self, notes=(*self.notes, note))

    # -- looking things up ----------------------------------------------------------------------

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {name: k for k, name in enumerate(self.nodes)}

    def position(self, node: Any) -> int:
        """Position of a node; `UnknownColumnError` with a suggestion."""
        name = as_text(node)
        try:
            return self._positions[name]
        except KeyError:
            raise UnknownColumnError(
                f"the network has no node {name!r}",
                expected="ids such as " + show_labels(self.nodes),
                fix=did_you_mean(name, self.nodes) or None,
            ) from None

    def _mode(self, mode: str | None, new: bool = False) -> str:
        if mode is None:
            if len(self.modes) != 1:
                raise OptionError("the network has several modes", got="no mode", expected=show_labels(self.modes, 20))
            return self.modes[0]
        if not new and mode not in self.edges.modes:
            raise UnknownColumnError(
                f"the network has no mode {mode!r}",
                expected=show_labels(self.modes, 20),
                fix=did_you_mean(mode, self.modes) or None,
            )
        return mode

    def _find(self, pairs: Iterable[tuple[Any, Any]], mode: str | None) -> BoolArray:
        """(e,) which edges join the two nodes of one of the pairs."""
        code = None if mode is None else self.edges.modes.index(self._mode(mode))
        found = np.zeros(len(self.edges), dtype=bool)
        start, end = self.edges.start, self.edges.end
        for a, b in pairs:
            i, j = self.position(a), self.position(b)
            here = ((start == i) & (end == j)) | ((start == j) & (end == i))
            if code is not None:
                here &= self.edges.mode == code
            if not here.any():
                raise WeightsError(
                    "there is no edge between two nodes that were named",
                    got=f"{as_text(a)} and {as_text(b)}" + ("" if mode is None else f" by {mode}"),
                    expected="neighbours of " + f"{as_text(a)}: {show_labels(sorted(self._beside(i))) or 'none'}",
                )
            found |= here
        return found

    def _beside(self, i: int) -> set[str]:
        ends = np.r_[self.edges.end[self.edges.start == i], self.edges.start[self.edges.end == i]]
        return {self.nodes[k] for k in ends}

    def _length(self, i: int, j: int) -> float:
        if self.places is None:
            return float("nan")
        return float(self.places.distances(np.array([i]), np.array([j]))[0])


def check_transfers(modes: Sequence[str], transfers: float | Mapping[tuple[str, str], float]) -> None:
    """`OptionError` for transfers of modes that do not exist, as well as for what `complete_transfers` refuses."""
    if isinstance(transfers, Mapping):
        strange = sorted({str(name) for pair in transfers for name in pair} - {*modes, ACCESS})
        if strange:
            raise OptionError(
                "transfers name modes that the network does not have",
                got=show_labels(strange),
                expected=show_labels((*modes, ACCESS), 20),
            )
    complete_transfers(modes, transfers)


def complete_transfers(
    modes: Sequence[str], transfers: float | Mapping[tuple[str, str], float]
) -> dict[tuple[str, str], float]:
    """Minutes for every ordered pair of modes; a pair that is given one way counts for both.

    Getting on and off (transfers from and to "access") takes no time unless it is given.

    >>> complete_transfers(("road", "rail"), {("road", "rail"): 15.0})[("rail", "road")]
    15.0

    Raises `OptionError` for numbers below zero and for pairs without a number.
    """
    if isinstance(transfers, Mapping):
        given = {(str(a), str(b)): float(minutes) for (a, b), minutes in transfers.items()}
    else:
        given = dict.fromkeys(permutations(modes, 2), float(transfers))
    wrong = [f"{a} → {b}: {minutes:g}" for (a, b), minutes in given.items() if not 0.0 <= minutes < np.inf]
    if wrong or (not isinstance(transfers, Mapping) and not 0.0 <= float(transfers) < np.inf):
        raise OptionError("transfer minutes are zero or more", got=show_labels(wrong) or f"{transfers}")
    complete, lacking = {}, []
    for a, b in permutations((*modes, ACCESS), 2):
        minutes = given.get((a, b), 0.0 if ACCESS in (a, b) else given.get((b, a)))
        if minutes is None:
            lacking.append(" – ".join(sorted((a, b))))
        else:
            complete[a, b] = minutes
    if lacking:
        raise OptionError(
            "nothing says how long changing between some modes takes",
            got=show_labels(dict.fromkeys(lacking)),
            fix="give one number for all, or minutes for every pair of modes, with network.with_transfers(…)",
        )
    return complete
