"""What residuals say about the intervals that may be used: correlation in time, and in space with its range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.optimize import brentq

from spillover.diagnostics.panel_tests import residual_moran
from spillover.inference.hypotheses import HypothesisTest
from spillover.moderators.correlogram import BINS, correlation_range, pair_products
from spillover.moderators.distance_design import consecutive
from spillover.moderators.distances import Distances
from spillover.moderators.residual_dependence import measure_dependence
from spillover.numerics.within import Transformation
from spillover.panel.panel import Period
from spillover.typing import FloatArray

NEIGHBOURS = 6
"""Mean number of neighbours of the pattern that Moran's I of the residuals is taken over."""

SIGNIFICANT = 0.05


@dataclass(frozen=True, eq=False)
class ResidualChecks:
    """Checks of the residuals of one fit.

    Attributes
    ----------
    serial : AR(1) coefficient of the errors, freed of the bias that removing region means makes; None with too few
        consecutive periods.
    moran : test of the null that residuals of near regions are unrelated.
    range_km : r of c·e^(−d/r) fitted to the residual correlogram, demeaning counted; 0 where Moran's I is not
        significant.
    correlogram : (bins, 3) mean distance, correlation, number of pairs.
    """

    serial: float | None
    moran: HypothesisTest
    range_km: float
    correlogram: FloatArray

    @property
    def spatial(self) -> bool:
        """Whether residuals of near regions are related."""
        return self.moran.p_value < SIGNIFICANT


def check_residuals(
    residuals: FloatArray,
    z: FloatArray,
    geography: Distances,
    transformation: Transformation,
    periods: Sequence[Period],
    *,
    exact: bool = True,
) -> ResidualChecks:
    """Checks of residuals (n, t) of a regression on z (k, n, t).

    exact : False when a spatial parameter was estimated too.
    """
    pattern = near_pattern(geography)
    flat = z.reshape(len(z), -1).T
    moran = residual_moran(residuals, flat, pattern, transformation, exact=exact).test
    reach = float(np.quantile(geography.links.data, 0.5))
    table = pair_products(residuals, geography, BINS, reach).table()
    related = moran.p_value < SIGNIFICANT and moran.statistic > 0
    return ResidualChecks(
        serial=serial_correlation(residuals, transformation, periods),
        moran=moran,
        range_km=_range(residuals, table, geography, transformation) if related else 0.0,
        correlogram=table,
    )


def _range(residuals: FloatArray, table: FloatArray, geography: Distances, transformation: Transformation) -> float:
    """The range of the errors: exact for what demeaning does where places are known, with an offset otherwise.

    A range beyond half the map is not one that the map can show: noisy correlograms run there.
    """
    if geography.points is not None:
        found = measure_dependence(
            residuals,
            geography.points.positions,
            removes_regions=transformation.removes_regions,
            removes_periods=transformation.removes_periods,
        )
        if 0 < found.range_km < geography.longest / 2.0:
            return found.range_km
    return min(correlation_range(table, offset=True), geography.longest / 2.0)


def near_pattern(geography: Distances) -> sp.csr_matrix:
    """(n, n) 0/1 symmetric pattern of the nearest pairs, six neighbours a region on average."""
    ordered = np.sort(geography.links.data)
    at = min(NEIGHBOURS * geography.n, ordered.size) - 1
    pattern = geography.ring(0.0, float(ordered[at]))
    return sp.csr_matrix(pattern.maximum(pattern.T))


def serial_correlation(
    residuals: FloatArray, transformation: Transformation, periods: Sequence[Period]
) -> float | None:
    """AR(1) coefficient of the errors from within residuals.

    Removing region means makes the residuals of unrelated errors correlate by −1/(T − 1). The coefficient returned is
    the one whose AR(1) errors, demeaned in the same way, would show the correlation found.
    """
    now = consecutive(periods)
    t = residuals.shape[1]
    if len(now) < 3 or t < 4:
        return None
    found = float(np.sum(residuals[:, now] * residuals[:, now - 1]) / np.sum(residuals[:, now - 1] ** 2))
    if not transformation.removes_regions:
        return found
    demean = np.eye(t)
    for members in transformation.segment_means:
        demean[np.ix_(members, members)] -= 1.0 / len(members)

    def shown(a: float) -> float:
        gaps = np.abs(np.subtract.outer(_years(periods), _years(periods)))
        cov = demean @ (np.sign(a) ** gaps * np.abs(a) ** gaps) @ demean
        return float(np.sum(cov[now, now - 1]) / np.sum(cov[now - 1, now - 1]))

    low, high = -0.98, 0.995
    if found <= shown(low):
        return low
    if found >= shown(high):
        return high
    return float(brentq(lambda a: shown(a) - found, low, high, xtol=1e-8))


def _years(periods: Sequence[Period]) -> FloatArray:
    if all(isinstance(period, int) for period in periods):
        return np.array(periods, dtype=float)
    return np.arange(len(periods), dtype=float)
