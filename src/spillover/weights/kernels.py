"""A kernel of distance on pairs, with what its threshold loses, and the last steps of every builder."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from spillover.typing import FloatArray, IntArray, IslandPolicy, Standardisation
from spillover.weights.assemble import Links, assemble
from spillover.weights.islands import Kernel
from spillover.weights.labels import names_of
from spillover.weights.pairs import from_pairs
from spillover.weights.points import Points
from spillover.weights.truncation import loss_note
from spillover.weights.weights import SpatialWeights


def weigh_pairs(
    source: Any,
    points: Points,
    pairs: tuple[IntArray, IntArray, FloatArray],
    kernel: Kernel,
    kind: str,
    notes: tuple[str, ...] = (),
    *,
    threshold: float | None,
    zero_is_fine: bool,
    links: Links,
    islands: IslandPolicy,
    standardise: Standardisation,
) -> SpatialWeights:
    """W from pairs i < j, their km and a symmetric kernel; the mass beyond a threshold is measured and noted."""
    names = names_of(source)
    raw = from_pairs(points, pairs, kernel, kind, notes, zero_is_fine=zero_is_fine)
    if threshold is not None:
        raw = replace(raw, notes=(*raw.notes, *loss_note(points, kernel, threshold, len(pairs[0]), names)))
    return assemble(
        raw,
        links=links,
        islands=islands,
        standardise=standardise,
        place=lambda: points,
        kernel=kernel,
        names=names,
    )
