"""How far residuals are correlated in space and in time: what a bootstrap must imitate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize, stats
from scipy.spatial.distance import pdist, squareform

from spillover.typing import FloatArray

BINS = 20
REACH = 0.5  # of the largest distance: beyond it pairs are few and at the corners of the map
MOST_REGIONS = 800  # whose pairs are looked at; more are thinned, which costs precision and not validity
SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class ResidualDependence:
    """Dependence of residuals.

    Attributes
    ----------
    range_km : r of the correlation a·e^{−d/r} between regions; 0 when none is found at the 5 % level.
    height : a, the correlation of two regions at the same place (below 1 when a part of the error is local noise).
    serial : first autocorrelation of residuals in time, corrected for removed region means.
    is_serial : whether it is positive at the 5 % level.
    """

    range_km: float
    height: float
    serial: float
    is_serial: bool


def measure_dependence(
    residuals: FloatArray, positions: FloatArray | None, *, removes_regions: bool, removes_periods: bool
) -> ResidualDependence:
    """Range and serial correlation of residuals (n, t).

    positions : (n, 2) or (n, 3) km, or None: then the range is not measured.
    """
    range_km, height = (0.0, 0.0) if positions is None else _spatial_range(residuals, positions, removes_periods)
    serial, is_serial = _serial(residuals, removes_regions)
    return ResidualDependence(range_km, height, serial, is_serial)


def _spatial_range(residuals: FloatArray, positions: FloatArray, centred: bool) -> tuple[float, float]:
    """(r, a) of the correlogram; (0, 0) when near pairs are not more alike than chance.

    Removing period means turns the covariance C into JCJ, which differs for every pair: fitted as it is, or ranges
    that are long for the map would come out a third too short.
    """
    n, t = residuals.shape
    if n > MOST_REGIONS:
        kept = np.random.default_rng(0).choice(n, MOST_REGIONS, replace=False)
        residuals, positions, n = residuals[kept], positions[kept], MOST_REGIONS
        residuals = residuals - residuals.mean(axis=0) * centred
    distance = pdist(positions)
    upper = np.triu_indices(n, 1)
    if not _is_correlated(residuals, distance, upper):
        return 0.0, 0.0
    edges = np.linspace(0.0, REACH * float(distance.max()), BINS + 1)
    place = np.digitize(distance, edges) - 1
    inside = place < BINS
    counts = np.bincount(place[inside], minlength=BINS)
    used = counts > 0

    def in_bins(values: FloatArray) -> FloatArray:
        return np.asarray(np.bincount(place[inside], values[inside], BINS)[used] / counts[used])

    observed = in_bins((residuals @ residuals.T)[upper]) / (t * float(np.mean(residuals**2)))
    nearest = float(in_bins(distance)[0])
    square = squareform(distance)

    def expected(parameters: FloatArray) -> FloatArray:
        covariance = parameters[0] * np.exp(-square / np.exp(parameters[1]))
        covariance[np.diag_indices(n)] = 1.0
        if centred:
            means = covariance.mean(axis=0)
            covariance += means.mean() - means[:, None] - means[None, :]
        return in_bins(covariance[upper]) / float(np.mean(np.diag(covariance)))

    found = optimize.least_squares(
        lambda p: expected(p) - observed,
        x0=[0.7, np.log(2.0 * nearest)],
        bounds=([0.01, np.log(0.2 * nearest)], [1.0, np.log(2.0 * float(distance.max()))]),
    )
    return float(np.exp(found.x[1])), float(found.x[0])


def _is_correlated(residuals: FloatArray, distance: FloatArray, upper: tuple[Any, Any]) -> bool:
    """Whether each region's nearest few are more alike than chance: one-sided, over regions' period products.

    Under independence Σ over near pairs of e_it e_jt has mean −1/n of nothing and variance Σ_pairs Σ_t (e_it e_jt)².
    """
    n = residuals.shape[0]
    near = np.argpartition(distance, min(4 * n, distance.size - 1))[: 4 * n]
    i, j = upper[0][near], upper[1][near]
    products = residuals[i] * residuals[j]
    expected = -products.size * float(np.mean(residuals**2)) / n  # of demeaned independent residuals
    z = (products.sum() - expected) / np.sqrt(np.sum(products**2))
    return bool(stats.norm.sf(z) < SIGNIFICANCE)


def _serial(residuals: FloatArray, removes_regions: bool) -> tuple[float, bool]:
    n, t = residuals.shape
    if t < 4:
        return 0.0, False
    products = (residuals[:, 1:] * residuals[:, :-1]).sum(axis=0)
    size = float(np.mean(residuals**2)) * n
    bias = -1.0 / t if removes_regions else 0.0  # E of neighbouring products of demeaned white noise, over its variance
    scaled = products / size - bias * t / max(t - 1, 1)
    mean, error = float(scaled.mean()), float(scaled.std(ddof=1)) / np.sqrt(t - 1)
    return mean, bool(error > 0 and stats.t.sf(mean / error, t - 2) < SIGNIFICANCE)
