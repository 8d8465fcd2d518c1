"""Covariates that are alike in places that are near: Gaussian fields over the regions."""

from __future__ import annotations

import numpy as np

from spillover.simulation.geography import Geography
from spillover.typing import FloatArray

_JITTER = 1e-10  # for the factorisation


def draw_field(geography: Geography, range_km: float, rng: np.random.Generator, count: int | None = None) -> FloatArray:
    """Standard normal over regions, with correlation exp(−d / range) in straight or great-circle distance d.

    Parameters
    ----------
    range_km : distance at which the correlation is 1/e; 0 draws regions independently.
    count : independent fields; one, as (n,), by default.

    Returns
    -------
    (n,) or (n, count). Cost O(n³) for a range above 0.
    """
    n = len(geography.regions)
    normal = rng.standard_normal(n if count is None else (n, count))
    if range_km == 0:
        return normal
    i, j = np.divmod(np.arange(n * n), n)
    covariance = np.exp(-geography.located.distances(i, j).reshape(n, n) / range_km) + _JITTER * np.eye(n)
    return np.asarray(np.linalg.cholesky(covariance) @ normal)
