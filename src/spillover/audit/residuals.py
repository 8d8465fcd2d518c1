"""What residuals are like: correlated in time, shared inside groups, larger in some regions than in others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from spillover.numerics.within import Transformation
from spillover.typing import FloatArray

LEAST_PERIODS = 4
"""Periods in a segment from which an autocorrelation can be told from what demeaning does to it."""
LARGEST_AR = 0.99


@dataclass(frozen=True)
class SerialCorrelation:
    """raw : Σ e_it e_i,t−1 / Σ e_it² of the residuals; corrected : the AR(1) coefficient behind it."""

    raw: float
    corrected: float


def year_gaps(periods: Sequence[int | str]) -> FloatArray:
    """(t, t) distances in time, in units of the smallest step; positions where labels are no whole numbers."""
    whole = all(isinstance(period, int | np.integer) for period in periods)
    at = np.array(periods if whole else range(len(periods)), dtype=float)
    step = float(np.diff(at).min()) if at.size > 1 else 1.0
    return np.asarray(np.abs(np.subtract.outer(at, at)) / step)


def measure_serial(
    residuals: FloatArray, transformation: Transformation, periods: Sequence[int | str]
) -> SerialCorrelation | None:
    """First-order serial correlation, pooled over regions, and what it is before means over time were removed.

    Means over a short span pull autocorrelations down: independent errors correlate −1/(T − 1). The corrected value is
    the φ of AR(1) errors whose demeaned autocovariances give the measured ratio (an exact moment equation, solved).

    residuals : (n, t).   None below four periods (in every segment), or without two neighbouring periods.
    """
    t = residuals.shape[1]
    segments = transformation.segment_means
    longest = max((at.size for at in segments), default=t)
    gaps = year_gaps(periods)
    near = np.triu(np.isclose(gaps, 1.0))
    for at in segments:
        outside = np.setdiff1d(np.arange(t), at)
        near[np.ix_(at, outside)] = near[np.ix_(outside, at)] = False
    if longest < LEAST_PERIODS or not near.any():
        return None
    products = residuals.T @ residuals
    raw = float(products[near].sum() / np.trace(products))
    centre = time_centring(t, segments)

    def expected(phi: float) -> float:
        covariance = centre @ autocovariance(phi, gaps) @ centre
        return float(covariance[near].sum() / np.trace(covariance))

    low, high = -LARGEST_AR, LARGEST_AR
    if raw <= expected(low):
        return SerialCorrelation(raw, low)
    if raw >= expected(high):
        return SerialCorrelation(raw, high)
    return SerialCorrelation(raw, float(brentq(lambda phi: expected(phi) - raw, low, high, xtol=1e-8)))


def autocovariance(phi: float, gaps: FloatArray) -> FloatArray:
    """(t, t) φ^|t − s|; over a gap of an even number of steps a negative φ counts as positive, as it should."""
    return np.asarray(np.sign(phi) ** np.round(gaps) * np.abs(phi) ** gaps) if phi else np.eye(len(gaps))


def time_centring(t: int, segments: Sequence[np.ndarray]) -> FloatArray:
    """(t, t) projection that removes means of segments."""
    centre = np.eye(t)
    for at in segments:
        centre[np.ix_(at, at)] -= 1.0 / at.size
    return centre


@dataclass(frozen=True)
class SharedShocks:
    """share : of the residual variance that is common to a group in a period, by analysis of variance; at least 0.

    p_value : share of random regroupings of the regions with as much, counted with the real one.
    """

    share: float
    p_value: float


def measure_shared(residuals: FloatArray, codes: np.ndarray, draws: int = 499, seed: int = 1) -> SharedShocks:
    """How much of the residuals (n, t) is shared inside groups (n codes from 0), and whether regroupings share as much.

    The variance components are those of the unbalanced one-way layout in every period. Regrouping moves whole regions,
    so that serial correlation does not count as sharing.
    """
    observed = _between(residuals, codes)
    rng = np.random.default_rng(seed)
    drawn = np.array([_between(residuals, rng.permutation(codes)) for _ in range(draws)])
    p = (1.0 + np.count_nonzero(drawn >= observed - 1e-12)) / (1.0 + draws)
    n, t = residuals.shape
    sizes = np.bincount(codes)
    groups = sizes.size
    total = float(np.sum(residuals**2))
    between = observed / (t * (groups - 1.0))
    within = (total - observed) / (t * (n - groups)) if n > groups else 0.0
    typical = (n - float(np.sum(sizes**2)) / n) / (groups - 1.0)
    common = max((between - within) / typical, 0.0)
    return SharedShocks(common / (common + within) if common + within > 0 else 0.0, float(p))


def _between(residuals: FloatArray, codes: np.ndarray) -> float:
    """Σ_t Σ_g n_g (mean of group g in period t)²."""
    sums = np.zeros((int(codes.max()) + 1, residuals.shape[1]))
    np.add.at(sums, codes, residuals)
    return float(np.sum(sums**2 / np.bincount(codes)[:, None]))


def variance_shares(residuals: FloatArray) -> FloatArray:
    """(n,) share of each region in the sum of squared residuals."""
    squares = np.sum(residuals**2, axis=1)
    return np.asarray(squares / squares.sum())


@dataclass(frozen=True)
class CommonComponent:
    """share : of the residuals (each region of length one) on their first component over time.

    usual : the median of the same for unrelated regions with the same serial correlation; p_value : how rare it is.
    """

    share: float
    usual: float
    p_value: float


def measure_component(
    residuals: FloatArray,
    transformation: Transformation,
    periods: Sequence[int | str],
    *,
    draws: int = 199,
    seed: int = 1,
) -> CommonComponent | None:
    """Whether residuals move together over the whole map, beyond what serial correlation alone looks like.

    Persistent series have a large first component even when they are unrelated. So the share is set beside that of
    normal errors that are unrelated between regions, have the serial correlation of the residuals, and went through
    the same transformation. None where the serial correlation cannot be measured.
    """
    serial = measure_serial(residuals, transformation, periods)
    if serial is None:
        return None
    n, t = residuals.shape
    root = np.linalg.cholesky(autocovariance(serial.corrected, year_gaps(periods)) + 1e-12 * np.eye(t)).T
    rng = np.random.default_rng(seed)
    drawn = transformation.remove_means(rng.standard_normal((draws, n, t)) @ root)
    shares = _first_shares(drawn)
    observed = float(_first_shares(residuals[None])[0])
    p = (1.0 + np.count_nonzero(shares >= observed)) / (1.0 + draws)
    return CommonComponent(observed, float(np.median(shares)), float(p))


def _first_shares(values: FloatArray) -> FloatArray:
    """(R,) largest eigenvalue over the trace of the (t, t) products of regions of length one, for (R, n, t)."""
    length = np.sqrt(np.sum(values**2, axis=2, keepdims=True))
    unit = values / np.where(length > 0.0, length, 1.0)
    sizes = np.linalg.eigvalsh(unit.transpose(0, 2, 1) @ unit)
    return np.asarray(sizes[:, -1] / sizes.sum(axis=1))
