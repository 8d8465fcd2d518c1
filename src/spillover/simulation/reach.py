"""Whether a map and a configuration go together: is anybody within reach of anybody, and do all the links fit?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from spillover.errors import show_labels
from spillover.simulation.config import TRUNCATION, SystemConfig
from spillover.simulation.geography import CLOSEST_KM, SPACING_KM

if TYPE_CHECKING:
    from spillover.simulation.geography import Geography

LARGEST_LINKS = 100_000_000
"""Links of one kernel beyond which a system needs more than 4 GB."""

_SAME_PLACE_KM = 1e-6


def reach_km(config: SystemConfig) -> float:
    """Distance beyond which no kernel reaches."""
    return TRUNCATION / min(config.decay_per_km, config.informal_decay_per_km)


def geography_problems(config: SystemConfig, geography: Geography | None = None) -> list[str]:
    """Why a system cannot live on a map, one sentence each; None is the synthetic map, before it is drawn."""
    if geography is None:
        return _synthetic_problems(config)
    problems = same_place_problems(geography)
    n = len(geography.regions)
    if n != config.n_regions:
        problems.append(f"n_regions = {config.n_regions}, but the map has {n} regions")
    if n > 1 and not problems and (apart := _nearest_km(geography)) > reach_km(config):
        problems.append(
            f"decay_per_km = {config.decay_per_km:g} ends every kernel at {reach_km(config):.3g} km, and the two "
            f"regions nearest to each other are {apart:.3g} km apart: no region reaches another "
            "(a map in metres without its coordinate system is taken for km)"
        )
    return problems


def same_place_problems(geography: Geography) -> list[str]:
    """Regions with the same centre: a shape that is on the map twice."""
    _, group, size = np.unique(
        np.round(geography.points / _SAME_PLACE_KM), axis=0, return_inverse=True, return_counts=True
    )
    twice = [
        " and ".join(geography.regions[i] for i in np.flatnonzero(group == place)[:3])
        for place in np.flatnonzero(size > 1)
    ]
    return [f"regions with one and the same centre: {show_labels(twice)}"] if twice else []


def _synthetic_problems(config: SystemConfig) -> list[str]:
    reach = reach_km(config)
    if reach < CLOSEST_KM and config.distance == "straight":
        return [
            f"decay_per_km = {config.decay_per_km:g} ends every kernel at {reach:.3g} km, and neighbours on the "
            f"synthetic map are about {SPACING_KM:.0f} km apart: no region would reach another"
        ]
    links = config.n_regions * min(config.n_regions - 1.0, math.pi * (reach / SPACING_KM) ** 2)
    if links > LARGEST_LINKS:
        return [
            f"n_regions = {config.n_regions} with decay_per_km = {config.decay_per_km:g} makes about {links:.2g} "
            f"links between regions, more than {LARGEST_LINKS:.0e}"
        ]
    return []


def _nearest_km(geography: Geography) -> float:
    """Distance of the two regions that are nearest to each other."""
    if geography.travel is not None:
        apart = ~np.eye(len(geography.regions), dtype=bool)
        return float(geography.travel[apart].min())
    return float(geography.distances(*geography.located.nearest(1)).min())
