"""Weights of the indicators of a composite index: constant over time, summing to one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import entr

from spillover.errors import ValueDomainError, show_labels
from spillover.typing import FloatArray


def equal_weights(dimensions: Sequence[str]) -> FloatArray:
    """Equal across the dimensions that are present, and equal within each.

    Parameters
    ----------
    dimensions : dimension of each of the k indicators.

    Returns
    -------
    (k,) weights, w_j = 1 / (number of dimensions × number of indicators in j's dimension).

    >>> equal_weights(["creation", "creation", "flow"])
    array([0.25, 0.25, 0.5 ])
    """
    present = len(set(dimensions))
    return np.array([1.0 / (present * list(dimensions).count(dimension)) for dimension in dimensions])


def entropy_weights(scores: Mapping[str, FloatArray]) -> FloatArray:
    """Entropy weights pooled over all regions and periods, so that they do not change with time.

    p = z_it / Σ_it z_it;  e = −Σ_it p ln p / ln(n t), with 0 ln 0 = 0;  w_j = (1 − e_j) / Σ_j (1 − e_j).

    Uneven indicators get the weight: entropy measures concentration, not importance. Nothing is added to z to
    avoid zeros, so the weights do depend on the normalisation (adding a constant to z lowers the weight).

    Parameters
    ----------
    scores : indicator name → (n, t) normalised values, ≥ 0.

    Returns
    -------
    (k,) weights in the order of `scores`, > 0, summing to one.

    Errors
    ------
    ValueDomainError : negative or non-finite scores, an indicator that is zero or the same everywhere.

    Source: Hwang & Yoon (1981), Multiple Attribute Decision Making, here with the entropy taken over the pooled
    region-years.

    >>> entropy_weights({"one cell": np.array([[1.0, 0.0], [0.0, 0.0]]), "two": np.array([[1.0, 1.0], [0.0, 0.0]])})
    array([0.66666667, 0.33333333])
    """
    divergence = np.array([_divergence(values, name) for name, values in scores.items()])
    constant = [name for name, gap in zip(scores, divergence, strict=True) if gap <= 1e-14]
    if constant:
        raise ValueDomainError(
            "indicators that are the same in every region and period have no entropy weight",
            got=show_labels(constant),
            fix="leave them out of the index",
        )
    return np.asarray(divergence / divergence.sum())


def _divergence(values: FloatArray, name: str) -> float:
    """1 − e of one indicator."""
    z = np.asarray(values, dtype=float).ravel()
    if not np.isfinite(z).all() or (z < 0).any() or z.sum() <= 0:
        raise ValueDomainError(
            f"entropy weights need normalised values of zero or more, and {name!r} has others",
            got=f"{int((~np.isfinite(z)).sum())} non-finite and {int((z < 0).sum())} negative cells",
            causes=("fixed goalposts that the data cross",),
            fix='widen the goalposts of this indicator, or use weighting="equal"',
        )
    # entr(p) = −p ln p with entr(0) = 0.
    return float(1.0 - entr(z / z.sum()).sum() / np.log(z.size))
