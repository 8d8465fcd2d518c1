"""The observed information: second derivatives of ℓ in (δ, ρ, λ, σ²), from the triangle of the data alone."""

from __future__ import annotations

import numpy as np

from spillover.models.design import Design
from spillover.models.likelihood import determinant_slopes
from spillover.models.spec import Roles
from spillover.typing import FloatArray


def observed_information(
    design: Design, triangle: FloatArray, values: FloatArray, sigma2: float, roles: Roles
) -> FloatArray | None:
    """(k + q + 1, k + q + 1) negative Hessian at the maximum; None for several lags of the outcome.

    With r = (R1 − λR2) v, v = (−δ, 1, −ρ) and D its derivatives in (δ, ρ, λ):
    −ℓ'' = [D'D + r·∂²r]/σ² − T* LD'' in (δ, ρ, λ), (D'r)/σ⁴ beside σ² (with sign), m/(2σ⁴) for σ².
    """
    if len(roles.outcome) > 1:
        return None
    k, q = design.k, len(roles.outcome)
    size = len(design.block)
    plain = triangle[:, : k + 1 + q]
    has_error = roles.error is not None
    lagged = triangle[:, size : size + k + 1 + q] if has_error else np.zeros_like(plain)
    delta, rho = values[:k], float(values[k]) if q else 0.0
    lam = float(values[k + q]) if has_error else 0.0
    v = np.concatenate([-delta, [1.0], [-rho] * q])
    filtered = plain - lam * lagged
    r = filtered @ v
    slopes = [*range(k), *range(k + 1, k + 1 + q)]  # the columns whose coefficients are δ and ρ
    d = np.column_stack([-filtered[:, slopes], *([-(lagged @ v)] if has_error else [])])
    hessian = d.T @ d / sigma2
    if has_error:  # ∂²r/∂λ∂δ_j = R2_j, ∂²r/∂λ∂ρ = R2_Wy
        cross = r @ lagged[:, slopes] / sigma2
        hessian[-1, :-1] += cross
        hessian[:-1, -1] += cross
    transformation = design.transformation
    t_star, m = transformation.t_star, transformation.m
    pairs = [(roles.outcome[0][1].engine, rho, k)] if q else []
    pairs += [(roles.error.engine, lam, k + q)] if roles.error is not None else []
    for engine, at, position in pairs:
        second = determinant_slopes(engine, at, transformation.unit_roots)[1]
        hessian[position, position] -= t_star * second
    full = np.empty((len(hessian) + 1, len(hessian) + 1))
    full[:-1, :-1] = hessian
    full[:-1, -1] = full[-1, :-1] = -(d.T @ r) / sigma2**2
    full[-1, -1] = m / (2.0 * sigma2**2)
    return full
