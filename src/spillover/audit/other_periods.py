"""Does the regressor go with what the model leaves in other periods? A test of strict exogeneity.

Where the model is right, the error of a region in one period has nothing to do with its regressor in any other: that is
what estimating with region effects assumes (Chamberlain 1982, Journal of Econometrics 18:5). A course of time f_t that
every region follows in its own measure λ_i, in outcome and regressor, breaks it: Σ_i e_is x_it is then about
f_s f_t Σ λ_i² in every pair (s, t). So do trends of regions, and an outcome to which the regressor answers later. W y
and W x can take up what neighbours share, but not this.
"""

from __future__ import annotations

import numpy as np

from spillover.audit.focus import choose_variable
from spillover.models.result import SpatialFit
from spillover.typing import FloatArray

DRAWS = 1999  # a third digit at 1 %
NUMBERS = 4_000_000  # of products at a time: 32 MB
HELD = 10_000_000  # numbers of all draws: 80 MB, three times
LEAST_DRAWS = 199
LEAST_ROOT = 0.05  # a region that determines a slope by itself has no residual to scale up


def other_periods_p_value(fit: SpatialFit, variable: str, draws: int = DRAWS, seed: int = 1) -> float:
    """How often regions' errors with random signs go with their regressor of other periods as much as they do.

    The statistic is Σ_st M_st², M the symmetric part of Σ_i e_i x_i' (t, t), both as the effects leave them. Every
    region keeps its errors in their order and takes one random sign, so that serial correlation and unequal variances
    are those of the data; slopes are fitted to the signed errors anew, as they were to the errors. ρ counts as known.

    It holds for errors that are independent between regions, of which none dominates. Errors that neighbours share
    matter only where the regressor is shared as well: the model should have W y, which takes them up.

    draws : at most; fewer in panels of hundreds of periods, so that they take 240 MB.
    Cost: one product of (draws, n) and (n, t (t + 1)/2).
    """
    design = fit.design
    n, t = design.shape
    x = np.asarray(design.block[design.own[choose_variable(fit, variable)]])
    root = np.linalg.qr(design.z)[0].reshape(n, t, design.k)
    residuals = fit.residuals - np.tensordot(root, np.einsum("itk,it->k", root, fit.residuals), axes=1)
    above = np.triu_indices(t)
    scaled = _unshrunk(residuals, root) / np.sqrt(1.0 - 1.0 / design.transformation.region_sizes)[:, None]
    products = np.einsum("itk,is->kts", root, x, optimize=True)
    by_slope = (0.5 * (products + products.transpose(0, 2, 1)))[:, above[0], above[1]]
    rng = np.random.default_rng(seed)
    size = t * (t + 1) // 2
    draws = min(draws, max(LEAST_DRAWS, HELD // size))
    observed, drawn = np.zeros(size), np.zeros((draws, size))
    step = max(1, NUMBERS // t**2)
    for at in (slice(start, start + step) for start in range(0, n, step)):
        scores = _pairs(scaled[at], x[at]) - np.einsum("itk,it->ik", root[at], scaled[at]) @ by_slope
        drawn += rng.choice((-1.0, 1.0), (draws, len(scores))) @ scores
        observed += _pairs(residuals[at], x[at]).sum(axis=0)
    weight = np.where(np.equal(*above), 1.0, 2.0)
    beyond = np.count_nonzero(drawn**2 @ weight >= observed**2 @ weight)
    return (1.0 + float(beyond)) / (1.0 + draws)


def _pairs(left: FloatArray, right: FloatArray) -> FloatArray:
    """(n, t (t + 1)/2) upper triangles of the symmetric parts of left_i right_i', for (n, t) each."""
    products = left[:, :, None] * right[:, None, :]
    above = np.triu_indices(left.shape[1])
    return np.asarray(0.5 * (products[:, above[0], above[1]] + products[:, above[1], above[0]]))


def _unshrunk(residuals: FloatArray, root: FloatArray) -> FloatArray:
    """(n, t) (I − Q_i Q_i')^−½ e_i: errors before slopes were fitted to them, region by region.

    root : (n, t, k) orthonormal basis of the regressors. With Q_i'Q_i = V S V' it is e + Q V ((1 − S)^−½ − 1)/S V'Q'e.
    """
    sizes, vectors = np.linalg.eigh(np.einsum("itk,itl->ikl", root, root))
    factor = (1.0 / np.sqrt(np.clip(1.0 - sizes, LEAST_ROOT, None)) - 1.0) / np.maximum(sizes, 1e-12)
    turned = np.einsum("ikl,ik->il", vectors, np.einsum("itk,it->ik", root, residuals)) * factor
    return np.asarray(residuals + np.einsum("itk,ik->it", root, np.einsum("ikl,il->ik", vectors, turned)))
