"""STEP 1b: spatial weights, from geometry, coordinates, files or other packages.

Every W knows its region ids; row = receiver, column = sender. Importing this package needs numpy and scipy only;
geopandas, libpysal and pandas are loaded by the functions that use them.
"""

from spillover.weights.alike import build_economic, build_institutional, build_same_group
from spillover.weights.borders import build_shared_border
from spillover.weights.contiguity import build_contiguity
from spillover.weights.distance import (
    build_distance_band,
    build_exponential,
    build_gaussian,
    build_inverse_distance,
    build_knn,
)
from spillover.weights.gravity import build_gravity
from spillover.weights.interchange import from_file, from_object, to_edges, to_file, to_graph
from spillover.weights.islands import apply_island_policy
from spillover.weights.orders import neighbours_of_order
from spillover.weights.standardise import standardise
from spillover.weights.weights import SpatialWeights

__all__ = [
    "SpatialWeights",
    "apply_island_policy",
    "build_contiguity",
    "build_distance_band",
    "build_economic",
    "build_exponential",
    "build_gaussian",
    "build_gravity",
    "build_institutional",
    "build_inverse_distance",
    "build_knn",
    "build_same_group",
    "build_shared_border",
    "from_file",
    "from_object",
    "neighbours_of_order",
    "standardise",
    "to_edges",
    "to_file",
    "to_graph",
]
