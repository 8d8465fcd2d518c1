"""STEP 1b: spatial weights, from geometry, coordinates, files or other packages.

Every W knows its region ids; row = receiver, column = sender. Importing this package needs numpy and scipy only;
geopandas, libpysal and pandas are loaded by the functions that use them.
"""

from spillover.weights.contiguity import build_contiguity
from spillover.weights.distance import build_distance_band, build_exponential, build_inverse_distance, build_knn
from spillover.weights.interchange import from_file, from_object, to_edges, to_file, to_graph
from spillover.weights.islands import apply_island_policy
from spillover.weights.standardise import standardise
from spillover.weights.weights import SpatialWeights

__all__ = [
    "SpatialWeights",
    "apply_island_policy",
    "build_contiguity",
    "build_distance_band",
    "build_exponential",
    "build_inverse_distance",
    "build_knn",
    "from_file",
    "from_object",
    "standardise",
    "to_edges",
    "to_file",
    "to_graph",
]
