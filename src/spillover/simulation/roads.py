"""Distances that people travel: along a grid of roads, or shortened by a railway.

A kernel decays with km, and the tables it is fitted to speak of km. So travel times are turned back into km at one
reference speed: a kilometre on an ordinary road stays a kilometre, a motorway and a railway shorten it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import dijkstra

from spillover.errors import ConfigurationError, show_labels
from spillover.simulation.admissible import is_number, shown
from spillover.simulation.config import FIELD_LIMIT
from spillover.simulation.geography import Geography
from spillover.typing import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class RoadNetwork:
    """Roads between n regional centres and the junctions of a grid.

    Attributes
    ----------
    nodes : (m, 2) plane km; the first n are the centres.
    minutes : (m, m) sparse, symmetric: travel time of every piece of road, minutes.
    centres : n.
    reference_kmh : the speed at which minutes are turned into km.
    """

    nodes: FloatArray
    minutes: sp.csr_matrix
    centres: int
    reference_kmh: float

    def travel_minutes(self, limit: float = np.inf) -> FloatArray:
        """(n, n) quickest minutes between centres by Dijkstra's algorithm; inf beyond `limit`."""
        minutes = dijkstra(self.minutes, directed=True, indices=np.arange(self.centres), limit=limit)
        between = np.asarray(minutes[:, : self.centres])
        return np.minimum(between, between.T)  # equal but for the order of additions

    def distances(self, limit_km: float = np.inf) -> FloatArray:
        """(n, n) travel time in km at the reference speed; inf beyond `limit_km`."""
        per_km = 60.0 / self.reference_kmh
        return self.travel_minutes(limit_km * per_km) / per_km


def build_road_grid(
    geography: Geography,
    *,
    spacing_km: float | None = None,
    road_kmh: float = 60.0,
    motorway_kmh: float = 110.0,
    motorway_every: int = 4,
) -> RoadNetwork:
    """A square grid of roads over the map, every so-manieth line a motorway; a centre joins its cell's four corners.

    Parameters
    ----------
    geography : a plane map.
    spacing_km : between lines; the mean spacing of regions, side / √n, by default.
    road_kmh, motorway_kmh : speeds; ways from a centre to its junctions are ordinary roads.
    motorway_every : 1 makes all lines motorways.

    Raises
    ------
    OptionError : a map in degrees, or numbers out of range; all of them together.
    """
    spacing = geography.side / np.sqrt(len(geography.regions)) if spacing_km is None else spacing_km
    _check_grid(geography, spacing, road_kmh, motorway_kmh, motorway_every)
    n, low = len(geography.points), geography.points.min(axis=0)
    steps = np.maximum(np.ceil((geography.points.max(axis=0) - low) / spacing).astype(int), 1)
    columns, rows = steps + 1
    number = n + np.arange(columns * rows).reshape(columns, rows)
    corners = np.stack(np.meshgrid(np.arange(columns), np.arange(rows), indexing="ij"), axis=-1).reshape(-1, 2)
    nodes = np.vstack([geography.points, low + spacing * corners])
    speed = np.where(np.arange(max(columns, rows)) % motorway_every == 0, motorway_kmh, road_kmh)
    along_x = _line_pieces(number[:-1], number[1:], np.broadcast_to(speed[None, :rows], (columns - 1, rows)))
    along_y = _line_pieces(number[:, :-1], number[:, 1:], np.broadcast_to(speed[:columns, None], (columns, rows - 1)))
    cell = np.clip(np.floor((geography.points - low) / spacing).astype(int), 0, steps - 1)
    access = [
        (np.arange(n), number[cell[:, 0] + dx, cell[:, 1] + dy], np.full(n, road_kmh)) for dx in (0, 1) for dy in (0, 1)
    ]
    start, end, kmh = (np.concatenate(each) for each in zip(along_x, along_y, *access, strict=True))
    minutes = 60.0 * np.linalg.norm(nodes[start] - nodes[end], axis=1) / kmh
    # a centre on a junction is a way of no length; a stored zero would be read as no way
    one_way = sp.coo_matrix((np.maximum(minutes, 1e-9), (start, end)), shape=(len(nodes), len(nodes)))
    return RoadNetwork(nodes, sp.csr_matrix(one_way + one_way.T), n, road_kmh)


def along_roads(geography: Geography, roads: RoadNetwork, limit_km: float = np.inf) -> Geography:
    """The same map with distances along the roads; pairs beyond `limit_km` are out of reach."""
    travel = roads.distances(limit_km)
    np.fill_diagonal(travel, 0.0)
    return replace(geography, travel=travel)


def with_railway(geography: Geography, stops: Sequence[str], time_ratio: float = 0.5) -> Geography:
    """The same map with a railway: between stops that follow each other, distance falls to `time_ratio` of itself.

    Every other pair gains where the way over the railway is shorter: d'_ij = min(d_ij, d_ia + r + d_bj, d_ib + r +
    d_aj) for each piece a–b of length r. Distances never grow.

    Parameters
    ----------
    stops : at least two ids, in order.
    time_ratio : above 0 and below 1; 0.5 halves the distance.

    Raises
    ------
    OptionError : fewer than two stops, stops that are no regions, or a ratio out of range; all together.
    """
    _check_railway(geography, stops, time_ratio)
    n = len(geography.regions)
    i, j = np.divmod(np.arange(n * n), n)
    travel = geography.distances(i, j).reshape(n, n).copy()
    position = {region: k for k, region in enumerate(geography.regions)}
    lengths = [time_ratio * travel[position[a], position[b]] for a, b in pairwise(stops)]
    for (a, b), length in zip(pairwise(stops), lengths, strict=True):
        from_a, from_b = travel[:, position[a]].copy(), travel[:, position[b]].copy()
        one_way = from_a[:, None] + (length + from_b)[None, :]
        travel = np.minimum(travel, np.minimum(one_way, one_way.T))
    np.fill_diagonal(travel, 0.0)
    return replace(geography, travel=travel)


def _line_pieces(start: IntArray, end: IntArray, kmh: FloatArray) -> tuple[IntArray, IntArray, FloatArray]:
    return start.ravel(), end.ravel(), kmh.ravel()


def _check_grid(geography: Geography, spacing: float, road: float, motorway: float, every: int) -> None:
    rules = {
        "the map is in degrees, and a square grid needs plane km": geography.lonlat,
        f"spacing_km = {spacing:g} is not positive": not 0 < spacing < np.inf,
        f"road_kmh = {road:g} is not positive": not 0 < road < np.inf,
        f"motorway_kmh = {motorway:g} is below road_kmh = {road:g}": motorway < road,
        f"motorway_every = {every!r} is not a whole number of 1 or more": not isinstance(every, int) or every < 1,
        f"{len(geography.regions)} regions are more than {FIELD_LIMIT}": len(geography.regions) > FIELD_LIMIT,
    }
    _raise([problem for problem, broken in rules.items() if broken], "a road grid cannot be built")


def _check_railway(geography: Geography, stops: Sequence[str], ratio: float) -> None:
    if isinstance(stops, str) or not isinstance(stops, Sequence):
        _raise([f"railway = {shown(stops)} is not a list of ids"], "a railway cannot be built")
    unknown = [stop for stop in stops if stop not in geography.regions]
    rules = {
        f"railway has {len(stops)} stops: it needs at least two": len(stops) < 2,
        f"railway stops that are no regions: {show_labels(unknown)}": bool(unknown),
        "railway: a stop follows itself": any(a == b for a, b in pairwise(stops)),
        f"time_ratio = {shown(ratio)} is not between 0 and 1": not (is_number(ratio) and 0 < ratio < 1),
        f"{len(geography.regions)} regions are more than {FIELD_LIMIT}": len(geography.regions) > FIELD_LIMIT,
    }
    _raise([problem for problem, broken in rules.items() if broken], "a railway cannot be built")


def _raise(problems: list[str], what: str) -> None:
    if problems:
        raise ConfigurationError(what, problems=problems, fix="change what is named above")
