"""STEP 1b: spatial weights, from geometry, coordinates, files or other packages.

Every W knows its region ids; row = receiver, column = sender. Importing this package needs numpy and scipy only;
geopandas, libpysal and pandas are loaded by the functions that use them.
"""

from spillover.weights.alike import build_economic, build_institutional, build_same_group
from spillover.weights.borders import build_shared_border
from spillover.weights.combine import combine
from spillover.weights.contiguity import build_contiguity
from spillover.weights.distance import (
    build_distance_band,
    build_exponential,
    build_gaussian,
    build_inverse_distance,
    build_knn,
)
from spillover.weights.gravity import build_gravity
from spillover.weights.groups import within_groups
from spillover.weights.identification import Identification, examine_identification
from spillover.weights.interchange import from_file, from_object, to_edges, to_file, to_graph
from spillover.weights.islands import apply_island_policy
from spillover.weights.linkage import add_linkage, build_input_output, link_sectors, read_input_output
from spillover.weights.orders import neighbours_of_order
from spillover.weights.path import WeightsPath, standardise_path
from spillover.weights.portfolios import Portfolio, read_portfolio
from spillover.weights.standardise import standardise
from spillover.weights.technological import build_technological
from spillover.weights.ties import build_university_ties, read_ties
from spillover.weights.transport import (
    TransportNetwork,
    TravelTimes,
    build_travel_time,
    combine_modes,
    connect_at,
    connect_nearest,
    find_travel_times,
    improve_edge,
    load_edges,
    read_connectors,
    read_network,
    read_travel_times,
)
from spillover.weights.weights import SpatialWeights

__all__ = [
    "Identification",
    "Portfolio",
    "SpatialWeights",
    "TransportNetwork",
    "TravelTimes",
    "WeightsPath",
    "add_linkage",
    "apply_island_policy",
    "build_contiguity",
    "build_distance_band",
    "build_economic",
    "build_exponential",
    "build_gaussian",
    "build_gravity",
    "build_input_output",
    "build_institutional",
    "build_inverse_distance",
    "build_knn",
    "build_same_group",
    "build_shared_border",
    "build_technological",
    "build_travel_time",
    "build_university_ties",
    "combine",
    "combine_modes",
    "connect_at",
    "connect_nearest",
    "examine_identification",
    "find_travel_times",
    "from_file",
    "from_object",
    "improve_edge",
    "link_sectors",
    "load_edges",
    "neighbours_of_order",
    "read_connectors",
    "read_input_output",
    "read_network",
    "read_portfolio",
    "read_ties",
    "read_travel_times",
    "standardise",
    "standardise_path",
    "to_edges",
    "to_file",
    "to_graph",
    "within_groups",
]
