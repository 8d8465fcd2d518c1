"""Two-step efficient moments with the finite-sample correction of Windmeijer (2005)."""

from __future__ import annotations

import numpy as np
import scipy.linalg

from spillover.models.moments import MomentSystem, cluster_sums, sample_factor, solve_moments
from spillover.models.weak_identification import efficient_root, one_step_covariance
from spillover.typing import FloatArray


def two_step(
    system: MomentSystem, first: FloatArray, first_bread: FloatArray, kind: str
) -> tuple[FloatArray, FloatArray]:
    """(b, V): moments weighted by S(first)⁻¹, and their covariance.

    Parameters
    ----------
    first, first_bread : (k,) two-stage least squares estimate and its (k, k) (Q̂'Q̂)⁻¹.
    kind : "cluster", "hc0", "hc1" or "homoskedastic" (then the two steps are one).

    V = V₂ + D V₂ + V₂ D' + D V₁ D' with D = ∂b/∂first: the weight was estimated too.
    Source: Windmeijer (2005, J. Econometrics 126:25).
    """
    residuals = system.residuals(first)
    one_step = one_step_covariance(system, residuals, first_bread, kind)
    if kind == "homoskedastic":
        return first, one_step
    root = efficient_root(system, residuals, kind)
    target = system.basis.T @ system.outcome
    values, bread = solve_moments(system.gamma, target, root)
    factor = sample_factor(system, kind, system.regressors.shape[1])
    slope = _dependence(system, residuals, values, bread, root, kind)
    second = bread * factor
    return values, second + slope @ second + second @ slope.T + slope @ one_step @ slope.T


def _dependence(
    system: MomentSystem,
    residuals: FloatArray,
    values: FloatArray,
    bread: FloatArray,
    root: FloatArray,
    kind: str,
) -> FloatArray:
    """(k, k) ∂b/∂first: column j is −V₂ Γ'S⁻¹ (∂S/∂first_j) S⁻¹ H'e₂."""
    gap = scipy.linalg.cho_solve((root, True), system.basis.T @ system.residuals(values))
    pull = bread @ scipy.linalg.cho_solve((root, True), system.gamma).T
    scores = cluster_sums(system.basis * residuals[:, None], system, kind)
    slope = np.empty_like(bread)
    for j in range(values.size):
        change = cluster_sums(system.basis * system.regressors[:, [j]], system, kind)
        # ∂S/∂b_j = −Σ (h q_j)(h e)' + (h e)(h q_j)'
        slope[:, j] = pull @ (change.T @ (scores @ gap) + scores.T @ (change @ gap))
    return slope
