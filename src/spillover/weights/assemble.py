"""The last steps that every builder and reader shares: links by hand, islands, standardisation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import get_args

import numpy as np

from spillover.errors import WeightsError, check_option, show_labels
from spillover.panel.wording import count_of
from spillover.typing import IslandPolicy, Standardisation
from spillover.weights.islands import Kernel, apply_island_policy, join_both_ways
from spillover.weights.labels import positions_of
from spillover.weights.points import Points
from spillover.weights.standardise import standardise as scale
from spillover.weights.weights import SpatialWeights

Links = Sequence[tuple[str, str]]
"""Pairs of region ids that are linked by hand, both ways."""


def check_choices(islands: IslandPolicy, standardise: Standardisation) -> None:
    """`OptionError` for a policy or a standardisation that does not exist, before any work is done."""
    check_option("islands", islands, get_args(IslandPolicy))
    check_option("standardise", standardise, get_args(Standardisation))


def assemble(
    raw: SpatialWeights,
    *,
    links: Links = (),
    islands: IslandPolicy = "error",
    standardise: Standardisation = "row",
    place: Callable[[], Points] | None = None,
    kernel: Kernel | None = None,
    names: Mapping[str, str] | None = None,
) -> SpatialWeights:
    """W from raw weights that keep their islands: links by hand, then the island policy, then the standardisation.

    place : gives the points of the regions, asked for only when a distance is needed.
    kernel : weight of an added link from its km; without it, the median of the other weights.
    names : id → display name, for notes and messages.
    """
    raw = replace(raw, names=names) if names else raw
    made = add_links(raw, links, place, kernel) if links else raw
    if made.islands and islands == "nearest" and place is not None:
        points = place()
        order = np.array(positions_of(made.regions, points.regions, "places of the regions of W"))
        coordinates = points.coordinates[order]
        made = apply_island_policy(made, islands, coordinates, points.lonlat, kernel=kernel)
        made = replace(made, notes=(*made.notes, *(note for note in points.notes if note not in made.notes)))
    else:
        made = apply_island_policy(made, islands)
    return scale(made, standardise)


def _is_pair(link: object) -> bool:
    """Whether a link is a pair of two different ids."""
    if isinstance(link, str) or not isinstance(link, Sequence | np.ndarray):
        return False
    return len(link) == 2 and bool(link[0] != link[1])


def add_links(
    weights: SpatialWeights, links: Links, place: Callable[[], Points] | None = None, kernel: Kernel | None = None
) -> SpatialWeights:
    """W with pairs of regions linked both ways; a pair that is linked already keeps its weight. All are noted.

    Raises `WeightsError` for what is not a pair or a region linked with itself, `AlignmentError` for unknown ids.
    """
    wrong = [str(link) for link in links if not _is_pair(link)]
    if wrong:
        raise WeightsError(
            "links= holds something that is not a pair of two different regions",
            got=show_labels(wrong),
            expected='pairs of ids, such as links=[("460000", "440000")]',
        )
    i = np.array(positions_of([a for a, _ in links], weights.regions, "links="), dtype=np.int64)
    j = np.array(positions_of([b for _, b in links], weights.regions, "links="), dtype=np.int64)
    values = None
    if kernel is not None and place is not None:
        values = kernel(place().distances(i, j))
    pairs = [(weights.regions[a], weights.regions[b]) for a, b in zip(i, j, strict=True)]
    told = show_labels((f"{weights.told(a)} with {weights.told(b)}" for a, b in pairs), 60)
    note = f"{count_of(len(links), 'link was', 'links were')} added by hand, both ways: {told}"
    joined = join_both_ways(weights, i, j, values)
    return replace(
        joined,
        notes=(*joined.notes, note),
        added=(*joined.added, *((a, b, "by hand") for a, b in pairs)),
    )
