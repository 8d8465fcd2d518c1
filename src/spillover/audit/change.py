"""Did an alternative change the effect? The difference between two estimates from the same regions, with its error.

Both estimates are sums over regions of what each region adds to their error, to first order; so is their difference,
whatever the two models have in common. It is the comparison of Hausman (1978, Econometrica 46:1251) without his
assumption that one of the two is efficient.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from spillover.audit.focus import KINDS, FocusEffects, has_spillover
from spillover.effects.impacts import effects_at
from spillover.effects.kernel import EffectKernel
from spillover.models.covariance import Point, bread, region_scores
from spillover.models.result import SpatialFit
from spillover.models.robust import cluster_factor
from spillover.typing import FloatArray

Influence = Mapping[str, Mapping[str, float]]
"""Effect ("own", "spillover") → region → what it adds to the error of the estimate."""


@dataclass(frozen=True)
class Change:
    """An effect after less the effect before; error clustered by region over both estimates."""

    value: float
    std_error: float
    regions: int

    @property
    def p_value(self) -> float:
        """Two-sided, t(regions − 1)."""
        if self.std_error == 0.0:
            return 1.0
        return float(2.0 * stats.t.sf(abs(self.value) / self.std_error, self.regions - 1))


def influence(fit: SpatialFit, variable: str) -> Influence:
    """What each region adds to the errors of the two effects; squares sum to the variances clustered by region.

    Exactly so without spatial lags and errors, in expectation with them: see `_with_pairs`.
    """
    kernel = EffectKernel(fit)
    gradients = effects_at(fit, [variable], (kernel.direct, kernel.total), fit.estimates.values)[1]
    rows = _with_pairs(fit.point) @ bread(fit.point).T @ gradients[:2].T
    rows = rows * np.sqrt(cluster_factor(fit.design.transformation, fit.design.k))
    kinds = KINDS if has_spillover(fit) else ("own",)
    return {kind: by_region(fit.design.regions, rows[:, i]) for i, kind in enumerate(kinds)}


def _with_pairs(point: Point) -> FloatArray:
    """(n, ·) scores by region, with what pairs of regions add to the scores e'Ae of spatial parameters.

    A pair is shared out evenly, e_i'(A + A')_ij e_j/2 to each of the two. Squares of such sums are half of the variance
    in expectation, because every pair stands in two of them; √2 makes up for it.
    """
    rows, e = region_scores(point), point.residuals
    for i, term in enumerate(point.terms):
        both = 0.5 * np.sum(e * (term.operator.apply(e) + term.operator.apply_transposed(e)), axis=1)
        own = point.quadratic.diagonals[i] * np.sum(e**2, axis=1)
        rows[:, point.k + i] += np.sqrt(2.0) * (both - own) / point.sigma2
    return rows


def by_region(regions: tuple[str, ...], values: FloatArray) -> dict[str, float]:
    """Region → value."""
    return dict(zip(regions, (float(each) for each in values), strict=True))


def compare(before: FocusEffects, after: FocusEffects, first: Influence, second: Influence) -> dict[str, Change]:
    """Effect → its change, for the effects that both have; a region that one estimate lacks adds nothing to it."""
    then = dict(before.items())
    found = {}
    for kind, effect in after.items():
        if kind not in then or kind not in first or kind not in second:
            continue
        regions = set(first[kind]) | set(second[kind])
        gap = np.array([second[kind].get(each, 0.0) - first[kind].get(each, 0.0) for each in sorted(regions)])
        error = float(np.sqrt(np.sum(gap**2)))
        found[kind] = Change(effect.value - then[kind].value, error, len(regions))
    return found


def change_facts(prefix: str, changes: Mapping[str, Change]) -> dict[str, float]:
    """`prefix_change.own`, `prefix_change_p_value.own`, and the same of the spillover."""
    facts: dict[str, float] = {}
    for kind, each in changes.items():
        facts |= {f"{prefix}_change.{kind}": each.value, f"{prefix}_change_p_value.{kind}": each.p_value}
    return facts
