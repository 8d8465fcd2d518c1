"""Within transformations of (…, n, t) arrays, and the effective sizes of Lee & Yu (2010)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spillover.typing import Correction, Effects, FloatArray


@dataclass(frozen=True)
class Transformation:
    """Which means are removed, and how many regions and periods remain.

    With orthonormal transformations F the errors stay independent and every quadratic form equals
    that of demeaned data, so F is never built: demean and count (n*, T*).
    Lee & Yu (2010, J. Econometrics 154:165).
    """

    effects: Effects
    correction: Correction
    n: int
    t: int

    @property
    def removes_regions(self) -> bool:
        """Region means are removed."""
        return self.effects in ("individual", "two-way")

    @property
    def removes_periods(self) -> bool:
        """Period means are removed."""
        return self.effects in ("time", "two-way")

    @property
    def n_star(self) -> int:
        """Effective number of regions: n − 1 when period means are removed, under the Lee–Yu count."""
        return self.n - int(self.removes_periods and self.correction == "lee-yu")

    @property
    def t_star(self) -> int:
        """Effective number of periods: t − 1 when region means are removed, under the Lee–Yu count."""
        return self.t - int(self.removes_regions and self.correction == "lee-yu")

    @property
    def m(self) -> int:
        """Effective number of observations n* T*."""
        return self.n_star * self.t_star

    @property
    def drops_unit_root(self) -> bool:
        """Whether the log-determinant loses ln(1 − ρ): one unit eigenvalue of W is transformed away."""
        return self.removes_periods and self.correction == "lee-yu"

    @property
    def free_observations(self) -> int:
        """Observations less the means removed, whatever the correction: degrees of freedom before slopes."""
        return (self.n - int(self.removes_periods)) * (self.t - int(self.removes_regions))

    def apply(self, values: FloatArray) -> FloatArray:
        """A demeaned copy of an array whose last two axes are regions and periods."""
        return self.remove_means(np.array(values, dtype=float))

    def remove_means(self, values: FloatArray) -> FloatArray:
        """`apply` in place, for an array that nobody else holds."""
        if self.removes_regions:
            values -= values.mean(axis=-1, keepdims=True)
        if self.removes_periods:
            values -= values.mean(axis=-2, keepdims=True)
        return values
