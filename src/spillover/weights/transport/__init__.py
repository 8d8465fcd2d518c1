"""Travel times over a network of roads, railways, …: read it, edit it, find the quickest ways, make W of them."""

from spillover.weights.transport.build import build_travel_time
from spillover.weights.transport.change import improve_edge, load_edges
from spillover.weights.transport.connect import Connectors, connect_at, connect_nearest, read_connectors
from spillover.weights.transport.modes import combine_modes
from spillover.weights.transport.network import TransportNetwork
from spillover.weights.transport.quickest import find_travel_times
from spillover.weights.transport.read import read_network
from spillover.weights.transport.times import TravelTimes, read_travel_times

__all__ = [
    "Connectors",
    "TransportNetwork",
    "TravelTimes",
    "build_travel_time",
    "combine_modes",
    "connect_at",
    "connect_nearest",
    "find_travel_times",
    "improve_edge",
    "load_edges",
    "read_connectors",
    "read_network",
    "read_travel_times",
]
