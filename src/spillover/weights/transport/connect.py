"""How regions reach a network: access minutes from each region to one node or several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spillover.errors import AlignmentError, OptionError, WeightsError, show_labels
from spillover.panel.clean import to_ids, to_numbers
from spillover.panel.tables import open_table
from spillover.typing import FloatArray, IntArray
from spillover.weights.labels import as_text
from spillover.weights.locate import locate
from spillover.weights.pairs import positive
from spillover.weights.points import Points
from spillover.weights.transport.network import TransportNetwork


@dataclass(frozen=True, eq=False, repr=False)
class Connectors:
    """c ways between regions and nodes.

    Attributes
    ----------
    regions : n region ids; each has at least one connector.
    region, node : (c,) positions in `regions` and in the nodes of the network, by region.
    minutes : (c,) access time, zero or more; the same on the way out as on the way in.
    notes : how they were made.
    """

    regions: tuple[str, ...]
    region: IntArray
    node: IntArray
    minutes: FloatArray
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        order = np.argsort(self.region, kind="stable")
        for name in ("region", "node", "minutes"):
            object.__setattr__(self, name, np.asarray(getattr(self, name))[order])
        bad = ~(np.isfinite(self.minutes) & (self.minutes >= 0.0))
        if bad.any():
            raise WeightsError(
                "access minutes are zero or more",
                got=show_labels(f"{self.regions[self.region[k]]}: {self.minutes[k]:g}" for k in np.flatnonzero(bad)),
            )
        lost = sorted(set(range(len(self.regions))) - set(self.region.tolist()))
        if lost:
            raise AlignmentError(
                f"{len(lost)} regions are not connected with the network",
                got=show_labels(self.regions[k] for k in lost),
                expected="at least one node for every region",
            )

    def __repr__(self) -> str:
        return (
            f"Connectors: {len(self.regions)} regions, {len(self.region)} connectors, "
            f"mean access {self.minutes.mean():.1f} minutes"
        )


def connect_nearest(
    source: Any,
    network: TransportNetwork,
    access_kmh: float,
    count: int = 1,
    *,
    limit_km: float | None = None,
    mode: str | None = None,
    coordinates: Sequence[str] | None = None,
    regions: str | Sequence[Any] | None = None,
    lonlat: bool | None = None,
) -> Connectors:
    """Each region joined with its nearest nodes, at a speed of access along the great circle.

    Parameters
    ----------
    source, coordinates, regions, lonlat : where the regions are (population centres, capitals, centroids); see
        `spillover.weights.locate`.
    network : its nodes need places; only nodes with an edge are taken.
    access_kmh : speed from the region to the node.
    count : nodes per region, so that a region may choose between stations.
    limit_km : a region whose nearest node is further is an error, by name.
    mode : take nodes of this mode only.

    Raises
    ------
    WeightsError : nodes without places, a network in degrees and regions in plane km, regions beyond limit_km.
    """
    speed = positive("access_kmh", access_kmh)
    points = locate(source, coordinates=coordinates, regions=regions, lonlat=lonlat)
    chosen = _usable(network, mode)
    if isinstance(count, bool) or not isinstance(count, int | np.integer) or not 1 <= count <= len(chosen):
        raise OptionError(
            "count is not a possible number of nodes", got=repr(count), expected=f"from 1 to {len(chosen)}"
        )
    assert network.places is not None
    if network.places.lonlat != points.lonlat:
        raise WeightsError(
            "regions and network are not in the same kind of coordinates",
            got=f"regions in {_kind(points)}, nodes in {_kind(network.places)}",
            fix="give both in degrees or both in plane km",
        )
    nodes = Points(tuple(network.nodes[k] for k in chosen), network.places.coordinates[chosen], points.lonlat)
    _, nearest = nodes.tree.query(points.positions, k=list(range(1, count + 1)))
    region, node = np.repeat(np.arange(len(points.regions)), count), chosen[nearest.ravel()]
    km = _distances(points, network.places, region, node)
    _check_overlap(points, nodes, km.reshape(-1, count)[:, 0])
    if limit_km is not None:
        _check_near(points.regions, km.reshape(-1, count)[:, 0], float(limit_km))
    places = "node" if count == 1 else f"{count} nodes"
    note = f"regions reach the nearest {places} at {speed:g} km/h along the great circle"
    return Connectors(points.regions, region, node, 60.0 * km / speed, (*points.notes, note))


def read_connectors(
    table: Any,
    network: TransportNetwork,
    *,
    region: str = "region",
    node: str = "node",
    minutes: str = "minutes",
    encoding: str | None = None,
) -> Connectors:
    """Connectors from a table with one row per region and node.

    Raises
    ------
    UnknownColumnError : columns that are not there. AlignmentError : nodes that the network does not have.
    """
    raw = open_table(table, encoding)
    ids, _ = to_ids(raw, region, "region")
    names, _ = to_ids(raw, node, "node")
    position = {name: k for k, name in enumerate(network.nodes)}
    unknown = sorted(set(names) - set(position))
    if unknown:
        raise AlignmentError(
            f"{raw.source} connects regions with nodes that the network does not have",
            got=show_labels(unknown),
            expected="ids such as " + show_labels(network.nodes),
        )
    regions = tuple(dict.fromkeys(ids))
    place = {name: k for k, name in enumerate(regions)}
    return Connectors(
        regions,
        np.array([place[name] for name in ids], dtype=np.int64),
        np.array([position[name] for name in names], dtype=np.int64),
        to_numbers(raw.column(minutes, "minutes")).values,
        raw.notes,
    )


def connect_at(network: TransportNetwork, nodes: dict[Any, Any] | Sequence[Any]) -> Connectors:
    """Regions that are nodes, without access time: region → node, or a list of nodes whose ids are the regions'."""
    pairs = nodes if isinstance(nodes, dict) else {node: node for node in nodes}
    where = np.array([network.position(node) for node in pairs.values()], dtype=np.int64)
    regions = tuple(as_text(region) for region in pairs)
    return Connectors(regions, np.arange(len(regions)), where, np.zeros(len(regions)))


def _usable(network: TransportNetwork, mode: str | None) -> IntArray:
    """Positions of the nodes that have an edge (of the mode)."""
    if network.places is None:
        raise WeightsError(
            "the network does not say where its nodes are",
            got=repr(network),
            fix="read it with nodes=…, or connect regions by a table with read_connectors",
        )
    edges = network.edges if mode is None else network.only([mode]).edges
    return np.unique(np.r_[edges.start, edges.end])


def _distances(regions: Points, nodes: Points, region: IntArray, node: IntArray) -> FloatArray:
    """(c,) km between regions and nodes."""
    ids = tuple(f"r{k}" for k in range(len(region))) + tuple(f"n{k}" for k in range(len(node)))
    joint = Points(ids, np.vstack([regions.coordinates[region], nodes.coordinates[node]]), regions.lonlat)
    half = len(region)
    return joint.distances(np.arange(half), half + np.arange(half))


def _check_overlap(regions: Points, nodes: Points, km: FloatArray) -> None:
    """All regions further from the network than regions and network are wide: they lie in different places."""
    wide = max(float(np.linalg.norm(np.ptp(each.positions, axis=0))) for each in (regions, nodes))
    if len(regions.regions) > 1 and len(nodes.regions) > 1 and km.min() > wide:
        raise WeightsError(
            "regions and network lie in different places",
            got=f"the region nearest to a node, {regions.regions[int(km.argmin())]}, is {km.min():.0f} km away; "
            f"regions and network are at most {wide:.0f} km wide",
            causes=("longitude and latitude are swapped in one of them", "the network of another country"),
            fix="look at the coordinates of the nodes",
        )


def _check_near(regions: tuple[str, ...], km: FloatArray, limit: float) -> None:
    far = np.flatnonzero(km > limit)
    if len(far):
        raise WeightsError(
            f"regions without a node within {limit:g} km",
            got=show_labels(f"{regions[k]} ({km[k]:.0f} km)" for k in far.tolist()),
            causes=("longitude and latitude are swapped", "the network does not cover all regions"),
            fix="add the missing part of the network, or raise limit_km",
        )


def _kind(points: Points) -> str:
    return "degrees" if points.lonlat else "plane km"
