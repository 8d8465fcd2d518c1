"""What a region receives from rings of distance around it: sums, means and mass-weighted means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

import numpy as np
import scipy.sparse as sp

from spillover.errors import DesignError, OptionError, ValueDomainError, show_labels
from spillover.moderators.distances import Distances
from spillover.panel.panel import Panel
from spillover.typing import FloatArray

Exposure: TypeAlias = Literal["sum", "mean", "mass"]

FEW_PAIRS_SHARE = 0.2
"""A ring in which fewer regions than this have anybody says little about the others; it is told."""


@dataclass(frozen=True, eq=False)
class Rings:
    """Rings of distance, near < d ≤ far (the first with its inner edge).

    Attributes
    ----------
    edges : (B + 1,) increasing distances from 0 or above.
    patterns : B (n, n) 0/1 matrices; row = receiver.
    regions : n ids.
    unit : of the edges.
    """

    edges: FloatArray
    patterns: tuple[sp.csr_matrix, ...]
    regions: tuple[str, ...]
    unit: str

    @property
    def names(self) -> tuple[str, ...]:
        """ "0–50 km", …"""
        return tuple(f"{a:g}–{b:g} {self.unit}" for a, b in pairwise(self.edges))

    @property
    def counts(self) -> FloatArray:
        """(B, n) regions in each ring of each receiver."""
        return np.array([np.asarray(pattern.sum(axis=1)).ravel() for pattern in self.patterns])

    @property
    def pairs(self) -> tuple[int, ...]:
        """Ordered pairs of regions in each ring."""
        return tuple(int(pattern.nnz) for pattern in self.patterns)

    @property
    def empty(self) -> FloatArray:
        """(B,) share of receivers with nobody in the ring."""
        return np.asarray((self.counts == 0).mean(axis=1))


def build_rings(distances: Distances, edges: Sequence[float]) -> Rings:
    """The rings between successive edges; `DesignError` for a ring without any pair."""
    try:
        table = np.asarray(edges, dtype=float)
    except (TypeError, ValueError):
        table = np.zeros((0, 0))
    good = table.ndim == 1 and table.size >= 2 and np.isfinite(table).all()
    if not good or table[0] < 0 or (np.diff(table) <= 0).any():
        raise OptionError(
            "edges of rings are increasing distances",
            got=repr(edges),
            expected="two or more numbers, such as (0, 50, 100, 200, 300, 500)",
        )
    if table[-1] > distances.reach:
        raise OptionError(
            "the outer ring lies beyond the reach within which distances were measured",
            got=f"{table[-1]:g} and {distances.reach:g} {distances.unit}",
            fix="measure distances with a longer reach_km",
        )
    patterns = tuple(distances.ring(float(a), float(b)) for a, b in pairwise(table))
    rings = Rings(table, patterns, distances.regions, distances.unit)
    void = [name for name, count in zip(rings.names, rings.pairs, strict=True) if count == 0]
    if void:
        raise DesignError(
            "rings in which no region has any other",
            got=show_labels(void),
            expected=f"pairs in every ring; distances run from {distances.shortest:.4g} to {distances.longest:.4g} "
            f"{distances.unit}",
            causes=("edges in another unit than the distances", "rings narrower than regions are apart"),
            fix="choose wider rings",
        )
    return rings


def expose(rings: Rings, senders: FloatArray, kind: Exposure, mass: FloatArray | None = None) -> FloatArray:
    """(B, n, t) exposure to one variable (n, t): its sum over the ring, its mean, or its mean weighted with mass (n,).

    Where nobody is in a ring, a sum is zero and a mean does not exist: it is set to zero, and `empty_columns` tells the
    two apart.
    """
    out = np.empty((len(rings.patterns), *senders.shape))
    for b, pattern in enumerate(rings.patterns):
        if kind == "sum":
            out[b] = pattern @ senders
            continue
        weight = np.ones(senders.shape[0]) if mass is None else mass
        total = pattern @ weight
        with np.errstate(divide="ignore", invalid="ignore"):
            out[b] = np.where(total[:, None] > 0, (pattern @ (weight[:, None] * senders)) / total[:, None], 0.0)
    return out


def empty_columns(rings: Rings) -> tuple[FloatArray, tuple[str, ...]]:
    """((e, n) indicators of "no region in the ring", names) of rings that are empty for some receivers but not all."""
    void = rings.counts == 0
    some = [b for b, row in enumerate(void) if row.any() and not row.all()]
    return void[some].astype(float), tuple(f"no region at {rings.names[b]}" for b in some)


def mass_of(panel: Panel, name: str) -> FloatArray:
    """(n,) mass of the senders: the time mean of a panel variable that is positive everywhere."""
    values = panel[name]
    bad = ~(np.isfinite(values) & (values > 0)).all(axis=1)
    if bad.any():
        raise ValueDomainError(
            f"{name!r} cannot be the mass of regions",
            got=show_labels(panel.regions[i] for i in np.flatnonzero(bad)),
            expected="positive numbers in every cell",
        )
    return np.asarray(values.mean(axis=1))
