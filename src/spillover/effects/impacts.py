"""Average direct, indirect and total effects with delta-method covariances, for any W.

The effect matrix of a regressor is M = (I − ρW)^{-1}(βI + θW); with G = W(I − ρW)^{-1},
(I − ρW)^{-1} = I + ρG, so that
    direct   = tr M / n     = β + (ρβ + θ) tr G / n
    total    = ι'Mι / n     = β + (ρβ + θ) ι'Gι / n
    indirect = total − direct.
∂G/∂ρ = G², hence analytic gradients from tr G² and ι'G²ι. Row sums of one are never assumed.
LeSage & Pace (2009, §2.7).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spillover.errors import UnknownColumnError, did_you_mean, show_labels
from spillover.inference.delta import delta_method
from spillover.inference.estimates import Estimates
from spillover.typing import FloatArray

if TYPE_CHECKING:
    from spillover.models.result import SpatialFit

KINDS = ("direct", "indirect", "total")


@dataclass(frozen=True)
class Averages:
    """a(ρ) = tr G/n and b(ρ) = ι'Gι/n with their derivatives in ρ."""

    trace: float
    trace_slope: float
    total: float
    total_slope: float


def averages(fit: SpatialFit) -> Averages:
    """Averages of G for the W and ρ of a fit; G = W when W y is not in the model."""
    weights, engine, rho = fit.weights, fit.point.engine, fit.rho
    if weights is None:
        return Averages(0.0, 0.0, 0.0, 0.0)
    n = weights.n
    if engine is None:
        return Averages(0.0, 0.0, float(weights.row_sums.sum()) / n, 0.0)
    trace, slope = engine.trace_g(rho) / n, engine.trace_g_squared(rho) / n
    if weights.rows_sum_to_one:
        unit = 1.0 / (1.0 - rho)
        return Averages(trace, slope, unit, unit**2)
    ones = np.ones(n)
    forward = engine.multiplier(rho).apply_g(ones)
    backward = engine.multiplier(rho).apply_g_transposed(ones)
    return Averages(trace, slope, float(forward.sum()) / n, float(backward @ forward) / n)


def average_effects(fit: SpatialFit, variables: Sequence[str] | None = None) -> Estimates:
    """Direct, indirect and total effect of each regressor, jointly.

    Returns `Estimates` with names "direct: x", … and labels variable, effect, horizon ("short": a static
    model has one horizon). Units: outcome per unit of the regressor, averaged over regions.
    """
    chosen = check_variables(fit, variables)
    means = averages(fit)
    design = fit.design
    rho_at = design.k if fit.point.engine is not None else None

    def effects(parameters: FloatArray) -> tuple[FloatArray, FloatArray]:
        values, gradients = [], []
        rho = parameters[rho_at] if rho_at is not None else 0.0
        for name in chosen:
            own, neighbour = design.own[name], design.neighbour.get(name)
            beta = parameters[own]
            theta = parameters[neighbour] if neighbour is not None else 0.0
            pair = [(means.trace, means.trace_slope), (means.total, means.total_slope)]
            rows = []
            for level, slope in pair:
                gradient = np.zeros(parameters.size)
                gradient[own] = 1.0 + rho * level
                if neighbour is not None:
                    gradient[neighbour] = level
                if rho_at is not None:
                    gradient[rho_at] = beta * level + (rho * beta + theta) * slope
                rows.append((beta + (rho * beta + theta) * level, gradient))
            (direct, direct_gradient), (total, total_gradient) = rows
            values += [direct, total - direct, total]
            gradients += [direct_gradient, total_gradient - direct_gradient, total_gradient]
        return np.array(values), np.array(gradients)

    return delta_method(
        effects,
        fit.estimates,
        names=tuple(f"{kind}: {name}" for name in chosen for kind in KINDS),
        labels={
            "variable": tuple(name for name in chosen for _ in KINDS),
            "effect": KINDS * len(chosen),
            "horizon": ("short",) * (3 * len(chosen)),
        },
    )


def check_variables(fit: SpatialFit, variables: Sequence[str] | None) -> tuple[str, ...]:
    """The regressors asked for, all by default; unknown ones are refused."""
    known = tuple(fit.design.own)
    if variables is None:
        return known
    for name in variables:
        if name not in known:
            raise UnknownColumnError(
                f"the model has no regressor {name!r}",
                expected=show_labels(known, 12),
                fix=did_you_mean(name, known) or None,
            )
    return tuple(variables)
