"""A transport network from tables of nodes and edges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spillover.errors import AlignmentError, OptionError, ValueDomainError, WeightsError, did_you_mean, show_labels
from spillover.panel.clean import to_ids, to_numbers
from spillover.panel.tables import RawTable, open_table
from spillover.typing import BoolArray, FloatArray, IntArray
from spillover.weights.labels import as_region_ids
from spillover.weights.points import Points
from spillover.weights.transport.network import EdgeTable, TransportNetwork, check_transfers

_YES = {"true": True, "1": True, "yes": True, "1.0": True, "false": False, "0": False, "no": False, "0.0": False}


def read_network(
    edges: Any,
    nodes: Any = None,
    *,
    start: str = "from",
    end: str = "to",
    minutes: str | None = None,
    length_km: str | None = None,
    speed_kmh: str | float | Mapping[str, float] | None = None,
    mode: str | None = None,
    both_ways: str | bool = True,
    cost: str | None = None,
    value_of_time: float | None = None,
    transfers: float | Mapping[tuple[str, str], float] = 0.0,
    node: str = "node",
    coordinates: tuple[str, str] = ("lon", "lat"),
    lonlat: bool = True,
    encoding: str | None = None,
) -> TransportNetwork:
    """A network from an edge table and, where lengths or places are needed, a node table.

    Parameters
    ----------
    edges : path or data frame, one row per edge. start, end : its columns with node ids.
    nodes : path or data frame with one row per node, its id in `node`, its place in `coordinates`; None if the edges
        carry their minutes or lengths and regions are connected by a table.
    minutes : column of travel times. Without it 60 × length / speed.
    length_km : column of lengths; great-circle km between the places of the nodes by default.
    speed_kmh : a column, one speed, or a speed by mode.
    mode : column of modes ("road", "rail"); one mode called "road" by default.
    both_ways : whether edges run both ways, or the column that says so (true/false, 1/0, yes/no).
    cost, value_of_time : a column of tolls and fares, and money per hour: 60 × cost / value_of_time is added.
    transfers : minutes for changing between modes at a node: one number, or by (mode, mode). ("access", mode) is
        getting on, (mode, "access") getting off; both take no time unless given.
    lonlat : whether coordinates are degrees (else plane km).

    Raises
    ------
    FileError, UnknownColumnError : files or columns that are not there.
    AlignmentError : edges name nodes that the node table does not have.
    WeightsError : times of zero or below, loops. ValueDomainError : blank or text cells. OptionError : no time, …

    >>> import pandas as pd
    >>> roads = pd.DataFrame({"from": ["a", "b"], "to": ["b", "c"], "km": [60, 30]})
    >>> read_network(roads, length_km="km", speed_kmh=60).edges.minutes.tolist()
    [60.0, 30.0]
    """
    table = open_table(edges, encoding)
    first, _ = to_ids(table, start, "start of an edge")
    last, _ = to_ids(table, end, "end of an edge")
    notes = list(table.notes)
    names, places = (tuple(dict.fromkeys([*first, *last])), None)
    if nodes is not None:
        names, places = _read_nodes(open_table(nodes, encoding), node, coordinates, lonlat)
    i, j = _positions(first, names, table), _positions(last, names, table)
    codes, modes = _read_modes(table, mode)
    km = _lengths(table, length_km, places, i, j)
    time = _minutes(table, minutes, km, speed_kmh, codes, modes)
    if places is not None and length_km is None and minutes is None:
        notes.append("lengths of edges are great circles between their ends")
    if (cost is None) != (value_of_time is None):
        raise OptionError("tolls need a value of time, and a value of time needs tolls", fix="give both or neither")
    if cost is not None:
        assert value_of_time is not None
        time = time + _toll_minutes(table, cost, float(value_of_time))
        notes.append(f"{cost} was turned into minutes at {value_of_time:g} per hour")
    edge_table = EdgeTable(i, j, time, codes, modes, _directions(table, both_ways), km)
    check_transfers(modes, transfers)
    return TransportNetwork(names, edge_table, places, transfers, tuple(notes))


def _read_nodes(
    table: RawTable, node: str, coordinates: tuple[str, str], lonlat: bool
) -> tuple[tuple[str, ...], Points]:
    ids, _ = to_ids(table, node, "node")
    names = as_region_ids(ids, table.source, "node")
    columns = [_numbers(table, name, "coordinate") for name in coordinates]
    return names, Points(names, np.column_stack(columns), lonlat)


def _positions(ids: list[str], names: tuple[str, ...], table: RawTable) -> IntArray:
    position = {name: k for k, name in enumerate(names)}
    unknown = sorted(set(ids) - set(position))
    if unknown:
        raise AlignmentError(
            f"{table.source} has edges to nodes that are not in the node table",
            got=show_labels(unknown),
            expected="ids such as " + show_labels(names),
            causes=("ids read as numbers lost their leading zeros", "a part of the nodes was left out"),
            fix=did_you_mean(unknown[0], names) or None,
        )
    return np.array([position[name] for name in ids], dtype=np.int64)


def _read_modes(table: RawTable, mode: str | None) -> tuple[IntArray, tuple[str, ...]]:
    if mode is None:
        return np.zeros(len(table.lines), dtype=np.int64), ("road",)
    names, _ = to_ids(table, mode, "mode")
    modes = tuple(dict.fromkeys(names))
    return np.array([modes.index(name) for name in names], dtype=np.int64), modes


def _lengths(table: RawTable, length_km: str | None, places: Points | None, i: IntArray, j: IntArray) -> FloatArray:
    if length_km is not None:
        return _numbers(table, length_km, "length")
    if places is not None:
        return places.distances(i, j)
    return np.full(len(i), np.nan)


def _minutes(
    table: RawTable,
    minutes: str | None,
    km: FloatArray,
    speed: str | float | Mapping[str, float] | None,
    codes: IntArray,
    modes: tuple[str, ...],
) -> FloatArray:
    if minutes is not None:
        if speed is not None:
            raise OptionError("minutes= and speed_kmh= both say how long an edge takes", fix="give one of them")
        return _numbers(table, minutes, "minutes")
    if speed is None:
        raise OptionError(
            "nothing says how long the edges take",
            fix='name a column with minutes="…", or give speed_kmh=… (a column, a number, or a speed by mode)',
        )
    if not np.isfinite(km).all():
        raise OptionError(
            "a speed needs lengths",
            fix='name a column with length_km="…", or give the places of the nodes with nodes=…',
        )
    if isinstance(speed, str):
        kmh = _numbers(table, speed, "speed")
    elif isinstance(speed, Mapping):
        lacking = sorted(set(modes) - set(speed))
        if lacking:
            raise OptionError("modes without a speed", got=show_labels(lacking), expected="a speed for every mode")
        kmh = np.array([float(speed[name]) for name in modes])[codes]
    else:
        kmh = np.full(len(km), float(speed))
    slow = ~(kmh > 0.0)
    if slow.any():
        raise WeightsError(
            "speeds that are not above zero",
            got=show_labels(f"{table.row(k)}: {kmh[k]:g} km/h" for k in np.flatnonzero(slow).tolist()),
            expected="km/h above zero",
        )
    return 60.0 * km / kmh


def _toll_minutes(table: RawTable, cost: str, value_of_time: float) -> FloatArray:
    money = _numbers(table, cost, "cost")
    if not value_of_time > 0.0 or (money < 0.0).any():
        raise ValueDomainError(
            "tolls are zero or more, and a value of time is above zero",
            got=f"value_of_time={value_of_time:g}, smallest toll {money.min():g}",
        )
    return 60.0 * money / value_of_time


def _directions(table: RawTable, both_ways: str | bool) -> BoolArray:
    if isinstance(both_ways, bool):
        return np.full(len(table.lines), both_ways)
    cells: NDArray[Any] = table.column(both_ways, "both_ways")
    texts = [str(cell).strip().lower() for cell in cells.tolist()]
    strange = sorted({text for text in texts if text not in _YES})
    if strange:
        raise ValueDomainError(
            f"column {both_ways!r} does not say yes or no",
            got=show_labels(map(repr, strange)),
            expected="true or false, 1 or 0, yes or no",
        )
    return np.array([_YES[text] for text in texts], dtype=bool)


def _numbers(table: RawTable, column: str, role: str) -> FloatArray:
    """A column of numbers without a blank."""
    found = to_numbers(table.column(column, role))
    bad = ~np.isfinite(found.values)
    if bad.any():
        raise ValueDomainError(
            f"column {column!r} of {table.source} has cells that are no finite numbers",
            got=show_labels(table.row(k) for k in np.flatnonzero(bad).tolist()),
            expected=f"a {role} in every row",
        )
    return found.values
