"""Within transformations by group and period and by region and segment, with the exact effective sizes.

Group × period effects remove one mean per group g and period t, region × segment effects one mean per region
and segment s of the periods. On a balanced panel the two commute, and with W block-diagonal within groups and
W ι_g = ι_g the transformed W has the spectrum of W without one unit eigenvalue per group:

    n* = n − G,  T* = t − S,  T*·[ln|S(ρ)| − G ln(1 − ρ)] = T*·Σ_g [ln|S_g(ρ)| − ln(1 − ρ)].

This is the argument of Lee & Yu (2010, J. Econometrics 154:165) group by group; see also Lee (2007, J. Econometrics
140:333) for group effects.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from spillover.numerics.logdet import LogDeterminant
from spillover.typing import Correction, Effects, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class GroupedTransformation:
    """Which means are removed, and how many regions and periods remain; the interface of `within.Transformation`.

    Attributes
    ----------
    n, t : regions and periods.
    groups : positions of the regions of each group; empty when no group × period means are removed.
    segments : positions of the periods of each segment; empty when no region means are removed.
    """

    n: int
    t: int
    groups: tuple[IntArray, ...] = ()
    segments: tuple[IntArray, ...] = ()

    @property
    def effects(self) -> Effects:
        """The ordinary effects that these refine."""
        if self.removes_regions:
            return "two-way" if self.removes_periods else "individual"
        return "time" if self.removes_periods else "none"

    @property
    def correction(self) -> Correction:
        """Always the exact transformation."""
        return "lee-yu"

    @property
    def removes_regions(self) -> bool:
        """Region means, one per segment, are removed."""
        return bool(self.segments)

    @property
    def removes_periods(self) -> bool:
        """Period means, one per group, are removed."""
        return bool(self.groups)

    @property
    def n_star(self) -> int:
        """Effective number of regions, n − G."""
        return self.n - len(self.groups)

    @property
    def t_star(self) -> int:
        """Effective number of periods, t − S."""
        return self.t - len(self.segments)

    @property
    def m(self) -> int:
        """Effective number of observations n* T*."""
        return self.n_star * self.t_star

    @property
    def drops_unit_root(self) -> int:
        """How many unit eigenvalues of W are transformed away: one per group, 0 without group × period effects."""
        return len(self.groups)

    @property
    def free_observations(self) -> int:
        """Observations less the means removed."""
        return self.m

    def apply(self, values: FloatArray) -> FloatArray:
        """A demeaned copy of an array whose last two axes are regions and periods."""
        return self.remove_means(np.array(values, dtype=float))

    def remove_means(self, values: FloatArray) -> FloatArray:
        """`apply` in place, for an array that nobody else holds."""
        for periods in self.segments:
            if periods.size == self.t:
                values -= values.mean(axis=-1, keepdims=True)
            else:
                values[..., periods] -= values[..., periods].mean(axis=-1, keepdims=True)
        for regions in self.groups:
            if regions.size == self.n:
                values -= values.mean(axis=-2, keepdims=True)
            else:
                values[..., regions, :] -= values[..., regions, :].mean(axis=-2, keepdims=True)
        return values

    def blocks(self) -> tuple[IntArray, ...]:
        """Sets of regions that J W J never links: the groups, or one set of all regions."""
        return self.groups or (np.arange(self.n),)

    def centre(self, block: FloatArray) -> FloatArray:
        """J A J for a square block of one group; A itself when no group × period means are removed."""
        if not self.removes_periods:
            return block
        return block - block.mean(axis=0) - block.mean(axis=1, keepdims=True) + block.mean()


@dataclass(frozen=True, eq=False)
class TrimmedLogDeterminant:
    """LD(ρ) = ln|I − ρW| − c ln(1 − ρ): the log-determinant of W without c of its unit eigenvalues."""

    base: LogDeterminant
    unit_roots: int

    @property
    def method(self) -> str:
        """How the determinant of the whole W is computed."""
        return self.base.method

    @property
    def error(self) -> float:
        """Bound on the absolute error of the value."""
        return self.base.error

    @property
    def interval(self) -> tuple[float, float]:
        """Closed interval of ρ that may be searched."""
        return self.base.interval

    def value(self, rho: FloatArray | float) -> FloatArray:
        """LD, elementwise in ρ."""
        return np.asarray(self.base.value(rho) - self.unit_roots * np.log1p(-np.asarray(rho, dtype=float)))

    def derivatives(self, rho: float) -> tuple[float, float]:
        """(LD', LD'')."""
        first, second = self.base.derivatives(rho)
        unit = 1.0 / (1.0 - rho)
        return first + self.unit_roots * unit, second + self.unit_roots * unit**2


def transformed_blocks(
    matrix: sp.csr_matrix, transformation: GroupedTransformation, rho: float | None = None
) -> Iterator[tuple[IntArray, FloatArray]]:
    """(regions, J A J) of each block, A = W, or A = G = (I − ρW)^{-1}W when ρ is given; O(Σ n_g³)."""
    for regions in transformation.blocks():
        dense = matrix[regions][:, regions].toarray()
        if rho is not None:
            dense = np.linalg.solve(np.eye(regions.size) - rho * dense, dense)
        yield regions, transformation.centre(dense)


@dataclass(frozen=True)
class Independence:
    """Whether the within-group W can tell ρ from a scale.

    Attributes
    ----------
    pair : smallest singular value of J and J W J with unit length; 0 when J W J is a multiple of J.
    triple : the same with J W² J; 0 when slopes of X and W X leave ρ to the error variance alone.
    uninformative : positions, in `groups`, of the groups in which J W J is a multiple of J (complete W).
    """

    pair: float
    triple: float
    uninformative: tuple[int, ...]


def measure_independence(matrix: sp.csr_matrix, transformation: GroupedTransformation) -> Independence:
    """Linear independence of J, J W J and J W² J over all groups together: dependent, ρ is not identified."""
    gram = np.zeros((3, 3))
    flat = []
    for position, (regions, block) in enumerate(transformed_blocks(matrix, transformation)):
        free = regions.size - 1
        square = block @ block
        mean = np.trace(block) / free
        spread = float(np.sum(block * block)) - free * mean**2
        if spread <= 1e-16 * max(free, 1):
            flat.append(position)
        gram += _gram(free, block, square)
    length = np.sqrt(np.maximum(np.diag(gram), 1e-300))
    scaled = gram / np.outer(length, length)
    return Independence(_smallest(scaled[:2, :2]), _smallest(scaled), tuple(flat))


def _gram(free: int, block: FloatArray, square: FloatArray) -> FloatArray:
    first, second = float(np.trace(block)), float(np.trace(square))
    cross = float(np.sum(block * square))
    return np.array(
        [
            [free, first, second],
            [first, float(np.sum(block * block)), cross],
            [second, cross, float(np.sum(square * square))],
        ]
    )


def _smallest(gram: FloatArray) -> float:
    return float(np.sqrt(max(float(np.linalg.eigvalsh(gram)[0]), 0.0)))


def positions_by_label(labels: Sequence[object]) -> tuple[tuple[object, ...], tuple[IntArray, ...]]:
    """(distinct labels in order of first appearance, positions of each)."""
    distinct = tuple(dict.fromkeys(labels))
    found: dict[object, list[int]] = {label: [] for label in distinct}
    for i, label in enumerate(labels):
        found[label].append(i)
    return distinct, tuple(np.array(found[label], dtype=np.int64) for label in distinct)
