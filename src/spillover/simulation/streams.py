"""One independent random stream per component, so that changing one component leaves the draws of the others alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spillover.inference.seeds import check_seed as check_seed

_COMPONENTS = (  # a new component goes to the end: children are numbered
    "geography",
    "hti",
    "environment",
    "linkage",
    "universities",
    "firms",
    "population",
    "region effects",
    "period effects",
    "instrument",
    "talent",
    "transfers",
    "cooperation",
    "informal",
    "patents",
    "revenue",
)

Streams = Mapping[str, np.random.Generator]


def component_names() -> tuple[str, ...]:
    """The components in the order of their children."""
    return _COMPONENTS


def spawn_streams(seed: int) -> Streams:
    """Component → generator, by SeedSequence.spawn from one seed (a whole number of zero or more)."""
    children = np.random.SeedSequence(check_seed(seed)).spawn(len(_COMPONENTS))
    return {name: np.random.default_rng(child) for name, child in zip(_COMPONENTS, children, strict=True)}
