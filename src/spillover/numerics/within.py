"""Within transformations of (…, n, t) arrays, and the effective sizes of Lee & Yu (2010).

Means are removed by region and by period; with groups by region and by group × period, with segments by region ×
segment of the periods. On a balanced panel the two commute. With W block-diagonal within G groups and W ι_g = ι_g the
transformed W has the spectrum of W without one unit eigenvalue per group:

    n* = n − G,  T* = t − S,  T*·[ln|S(ρ)| − G ln(1 − ρ)] = T*·Σ_g [ln|S_g(ρ)| − ln(1 − ρ)],

the argument of Lee & Yu (2010, J. Econometrics 154:165) group by group; see also Lee (2007, J. Econometrics 140:333).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
import scipy.sparse as sp

from spillover.typing import Correction, Effects, FloatArray, IntArray

Positions = tuple[IntArray, ...]


@dataclass(frozen=True, eq=False)
class Transformation:
    """Which means are removed, and how many regions and periods remain.

    With orthonormal transformations F the errors stay independent and every quadratic form equals
    that of demeaned data, so F is never built: demean and count (n*, T*).

    Attributes
    ----------
    n, t : regions and periods.
    groups : positions of the regions of each group, which period means belong to; None is one group of all.
    segments : positions of the periods of each segment, which region means belong to; None is one segment of all.
    """

    effects: Effects
    correction: Correction
    n: int
    t: int
    groups: Positions | None = None
    segments: Positions | None = None

    @property
    def removes_regions(self) -> bool:
        """Region means (one per segment) are removed."""
        return self.effects in ("individual", "two-way")

    @property
    def removes_periods(self) -> bool:
        """Period means (one per group) are removed."""
        return self.effects in ("time", "two-way")

    @property
    def is_plain(self) -> bool:
        """Means are those of all regions and of all periods."""
        return len(self.group_means) < 2 and len(self.segment_means) < 2

    @cached_property
    def group_means(self) -> Positions:
        """Regions of each group whose period means are removed; empty when none are."""
        if not self.removes_periods:
            return ()
        return (np.arange(self.n),) if self.groups is None else self.groups

    @cached_property
    def segment_means(self) -> Positions:
        """Periods of each segment whose region means are removed; empty when none are."""
        if not self.removes_regions:
            return ()
        return (np.arange(self.t),) if self.segments is None else self.segments

    @property
    def n_star(self) -> int:
        """Effective number of regions: n − G when period means are removed, under the Lee–Yu count."""
        return self.n - self.unit_roots

    @property
    def t_star(self) -> int:
        """Effective number of periods: t − S when region means are removed, under the Lee–Yu count."""
        return self.t - len(self.segment_means) * int(self.correction == "lee-yu")

    @property
    def m(self) -> int:
        """Effective number of observations n* T*."""
        return self.n_star * self.t_star

    @property
    def unit_roots(self) -> int:
        """Unit eigenvalues of W that are transformed away, so that ln|S| loses as many ln(1 − ρ): one per group."""
        return len(self.group_means) * int(self.correction == "lee-yu")

    @property
    def free_observations(self) -> int:
        """Observations less the means removed, whatever the correction: degrees of freedom before slopes."""
        return (self.n - len(self.group_means)) * (self.t - len(self.segment_means))

    @cached_property
    def exact(self) -> Transformation:
        """The same means with the Lee–Yu counts."""
        return self if self.correction == "lee-yu" else replace(self, correction="lee-yu")

    @property
    def region_sizes(self) -> FloatArray:
        """(n,) regions that share a region's period mean; infinite when none is removed."""
        return _sizes(self.n, self.group_means)

    @property
    def period_sizes(self) -> FloatArray:
        """(t,) periods that share a period's region mean; infinite when none is removed."""
        return _sizes(self.t, self.segment_means)

    @property
    def region_shares(self) -> FloatArray:
        """(n,) share of its variance that a region counts with: (n_g − 1)/n_g or 1; sums to n*."""
        return 1.0 - int(self.correction == "lee-yu") / self.region_sizes

    @property
    def period_shares(self) -> FloatArray:
        """(t,) share of its variance that a period counts with: (t_s − 1)/t_s or 1; sums to T*."""
        return 1.0 - int(self.correction == "lee-yu") / self.period_sizes

    @cached_property
    def centring(self) -> Centring:
        """J of group means under the Lee–Yu count: operators act between them, A stands for JAJ. Else J = I."""
        return Centring(self.n, self.group_means if self.unit_roots else ())

    def apply(self, values: FloatArray) -> FloatArray:
        """A demeaned copy of an array whose last two axes are regions and periods."""
        return self.remove_means(np.array(values, dtype=float))

    def remove_means(self, values: FloatArray) -> FloatArray:
        """`apply` in place, for an array that nobody else holds."""
        for periods in self.segment_means:
            share = np.full(periods.size, 1.0 / periods.size)
            if periods.size == self.t:
                values -= np.matmul(values, share)[..., None]
            else:
                part = values[..., periods]
                values[..., periods] = part - np.matmul(part, share)[..., None]
        for regions in self.group_means:
            share = np.full(regions.size, 1.0 / regions.size)
            if regions.size == self.n:
                values -= np.matmul(share, values)[..., None, :]
            else:
                part = values[..., regions, :]
                values[..., regions, :] = part - np.matmul(share, part)[..., None, :]
        return values


def _sizes(count: int, parts: Positions) -> FloatArray:
    sizes = np.full(count, np.inf)
    for positions in parts:
        sizes[positions] = positions.size
    return sizes


class SquareOperator(Protocol):
    """An (n, n) operator A that can be applied."""

    def apply(self, right: FloatArray) -> FloatArray:
        """A B for B of shape (n, q)."""
        ...


@dataclass(frozen=True, eq=False)
class Centring:
    """J = I − Σ_g ι_gι_g'/n_g; the identity without groups. Groups are disjoint and cover all n regions."""

    n: int
    groups: Positions = ()

    @property
    def active(self) -> bool:
        """J is not the identity."""
        return bool(self.groups)

    @cached_property
    def sizes(self) -> FloatArray:
        """(n,) n_g of each region's group."""
        return _sizes(self.n, self.groups)

    @cached_property
    def basis(self) -> sp.csr_matrix:
        """(n, G) orthonormal Q with J = I − QQ'."""
        columns = np.concatenate([np.full(at.size, g) for g, at in enumerate(self.groups)] or [np.zeros(0, dtype=int)])
        rows = np.concatenate([*self.groups, np.zeros(0, dtype=int)]).astype(int)
        data = 1.0 / np.sqrt(self.sizes[rows])
        return sp.csr_matrix((data, (rows, columns)), shape=(self.n, len(self.groups)))

    def means(self, values: FloatArray) -> FloatArray:
        """QQ'B: the group mean of each region, for (n, …) arrays of one or two axes."""
        if len(self.groups) == 1:
            return np.broadcast_to(values.mean(axis=0), values.shape)
        return np.asarray(self.basis @ (self.basis.T @ values))

    def left(self, values: FloatArray) -> FloatArray:
        """J B for B of (n, q)."""
        return values - self.means(values) if self.active else values

    def both(self, matrix: FloatArray) -> FloatArray:
        """J A J for A of (n, n)."""
        if not self.active:
            return matrix
        rows = self.means(matrix.T).T
        return np.asarray(matrix - rows - self.means(matrix - rows))

    def trace_loss(self, operator: SquareOperator) -> float:
        """tr A − tr JAJ = Σ_g ι_g'Aι_g/n_g of an operator that links no two groups."""
        if not self.active:
            return 0.0
        return float(np.sum(operator.apply(np.ones((self.n, 1)))[:, 0] / self.sizes))
