"""STEP 2: panel → agglomeration and innovation-capability columns."""

from spillover.measures.agglomeration import (
    add_density,
    add_industry_sum,
    add_location_quotient,
    add_location_quotient_of,
    density,
    location_quotient,
    location_quotient_of,
    symmetric_location_quotient,
)
from spillover.measures.composite import CompositeIndex, add_index, innovation_index
from spillover.measures.indicators import IndicatorSpec
from spillover.measures.normalise import Goalposts, min_max
from spillover.measures.weighting import entropy_weights, equal_weights

__all__ = [
    "CompositeIndex",
    "Goalposts",
    "IndicatorSpec",
    "add_density",
    "add_index",
    "add_industry_sum",
    "add_location_quotient",
    "add_location_quotient_of",
    "density",
    "entropy_weights",
    "equal_weights",
    "innovation_index",
    "location_quotient",
    "location_quotient_of",
    "min_max",
    "symmetric_location_quotient",
]
