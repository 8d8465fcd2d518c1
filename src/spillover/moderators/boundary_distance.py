"""The distance up to which a spillover is visible, and how sure that is.

"No spillover from beyond h" is a statement that can be rejected; "a spillover from beyond h" cannot, because a small
one looks like none. So the data bound from below where a spillover ends, and nothing bounds it from above.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spillover.inference.estimates import Estimates
from spillover.typing import FloatArray


@dataclass(frozen=True)
class BoundaryDistance:
    """Where the power to see a spillover ends.

    Attributes
    ----------
    distance : the first threshold from which on the sup-t band holds zero; None if the last one still excludes it.
    lower : the spillover reaches further than this, with the confidence of the level: the last of the thresholds,
        taken in order, at which "no spillover from beyond here, nor from beyond any later one" is rejected by the
        largest |t|. None if it is not rejected at the first.
    upper : None: nothing bounds it.
    resampled_low, resampled_high : central range of `distance` over draws from the joint law of the curve around its
        estimates: where power would end in samples like this one. It describes the estimate; it is no interval for
        where the spillover ends. None where more than half of the tail lies beyond the last threshold.
    """

    distance: float | None
    lower: float | None
    upper: None
    resampled_low: float | None
    resampled_high: float | None


def joint_draws(estimates: Estimates, draws: int, seed: int) -> FloatArray:
    """(draws, H) t statistics under "all are zero": normal with their correlation, over the χ of a multivariate t."""
    size = estimates.std_errors
    values, vectors = np.linalg.eigh(estimates.cov / np.outer(size, size))
    generator = np.random.default_rng(seed)
    z = generator.standard_normal((draws, values.size)) @ (vectors * np.sqrt(np.maximum(values, 0.0))).T
    if estimates.df is not None:
        z *= np.sqrt(estimates.df / generator.chisquare(estimates.df, size=(draws, 1)))
    return np.asarray(z)


def find_boundary(
    estimates: Estimates, thresholds: FloatArray, critical: float, null: FloatArray, level: float
) -> BoundaryDistance:
    """The boundary of a curve (H,) with the sup-t critical value and (draws, H) null statistics."""
    statistics = np.abs(estimates.values / estimates.std_errors)
    at = first_quiet(statistics[None] > critical)[0]
    # The nulls "zero from threshold k on" are nested, so they are tested in order up to the first that is not rejected:
    # the first true one is rejected with the probability of the level, and with it all that follow.
    tails = np.maximum.accumulate(np.abs(null)[:, ::-1], axis=1)[:, ::-1]
    quantiles = np.quantile(tails, level, axis=0)
    largest = np.maximum.accumulate(statistics[::-1])[::-1]
    refused = largest > quantiles
    quiet = int(np.argmin(refused)) if not refused.all() else refused.size
    lower = None if quiet == 0 else float(thresholds[quiet - 1])
    signal = estimates.values / estimates.std_errors
    again = first_quiet(np.abs(signal + null) > critical)
    tail = (1.0 - level) / 2.0
    ends = np.quantile(again, [tail, 1.0 - tail], method="inverted_cdf").astype(int)
    return BoundaryDistance(
        distance=_threshold(thresholds, int(at)),
        lower=lower,
        upper=None,
        resampled_low=_threshold(thresholds, int(ends[0])),
        resampled_high=_threshold(thresholds, int(ends[1])),
    )


def first_quiet(loud: np.ndarray) -> np.ndarray:
    """(draws,) position of the first threshold from which on none is loud; H where the last one is."""
    backwards = loud[:, ::-1]
    count = loud.shape[1]
    last = np.where(backwards.any(axis=1), count - np.argmax(backwards, axis=1), 0)
    return np.asarray(last)


def _threshold(thresholds: FloatArray, at: int) -> float | None:
    return float(thresholds[at]) if at < thresholds.size else None
