"""How often a two-sided Wald test rejects when its statistic is shifted: power of an effect from its standard error."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import stats
from scipy.optimize import brentq

from spillover.typing import FloatArray

_NODES = 400


def rejection(shift: float, alpha: float, df: float | None) -> float:
    """P(|statistic| > critical value) for a mean shift of the statistic, two-sided.

    With df degrees the statistic is (Z + shift)/s, s² ~ χ²(df)/df, so that the probability is a mean over s of normal
    ones: by Gauss–Legendre quadrature in the probability of s, which unlike the series of the noncentral t holds for
    any shift.

    >>> round(rejection(2.8016, 0.05, None), 3), round(rejection(0.0, 0.05, 29.0), 3)
    (0.8, 0.05)
    """
    if df is None:
        cut = stats.norm.isf(alpha / 2.0)
        return float(stats.norm.sf(cut - shift) + stats.norm.cdf(-cut - shift))
    cut, (scales, weights) = float(stats.t.isf(alpha / 2.0, df)), _scales(df)
    tails = stats.norm.sf(cut * scales - shift) + stats.norm.cdf(-cut * scales - shift)
    return float(min(weights @ tails, 1.0))


@lru_cache(maxsize=64)
def _scales(df: float) -> tuple[FloatArray, FloatArray]:
    """Values of s = √(χ²(df)/df) and their weights."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    angle = np.pi * (nodes + 1.0) / 2.0  # u = (1 − cos)/2 crowds the ends, where s has roots and a logarithm
    share = np.sin(angle / 2.0) ** 2
    return np.sqrt(stats.chi2.ppf(share, df) / df), weights * np.pi / 4.0 * np.sin(angle)


@lru_cache(maxsize=256)
def detectable_shift(alpha: float, target: float, df: float | None) -> float:
    """Standard errors away from zero at which the test has its target power: 2.80 for 5 % and 80 %.

    >>> round(detectable_shift(0.05, 0.8, None), 2)
    2.8
    """
    cut = float(stats.norm.isf(alpha / 2.0) if df is None else stats.t.isf(alpha / 2.0, df))
    sure = 10.0 * cut + 20.0  # power is 1 to 1e-10 there, from four degrees of freedom on
    return float(brentq(lambda shift: rejection(shift, alpha, df) - target, 0.0, sure, xtol=1e-10))
