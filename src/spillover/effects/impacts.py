"""Average direct, indirect and total effects with delta-method covariances, for any W.

The effect matrix of a regressor is M = S^{-1}(βI + θW), S = I − ρW:
    direct = tr M / n,  total = ι'Mι / n,  indirect = total − direct,
with analytic gradients. Row sums of one are never assumed. LeSage & Pace (2009, §2.7).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from spillover.effects.kernel import EffectKernel, Sums
from spillover.errors import UnknownColumnError, did_you_mean, show_labels
from spillover.inference.delta import delta_method
from spillover.inference.draws import Draws, from_draws, simulate_draws
from spillover.inference.estimates import Estimates
from spillover.numerics.joint import JointMultiplier
from spillover.typing import FloatArray

if TYPE_CHECKING:
    from spillover.models.result import SpatialFit

KINDS = ("direct", "indirect", "total")


def average_effects(
    fit: SpatialFit, variables: Sequence[str] | None = None, shares: FloatArray | None = None
) -> Estimates:
    """Direct, indirect and total effect of each regressor, jointly, with delta-method covariance.

    Parameters
    ----------
    shares : (n,) weights of the regions as receivers (population, GDP), summing to one; equal by default.

    Returns `Estimates` with names "direct: x", … and labels variable, effect, horizon ("short": a static
    model has one horizon). Units: outcome per unit of the regressor, averaged over regions.
    """
    chosen = check_variables(fit, variables)
    kernel = EffectKernel(fit)
    sums = (kernel.direct, kernel.total) if shares is None else kernel.weighted(shares)
    return delta_method(
        lambda parameters: effects_at(fit, chosen, sums, parameters),
        fit.estimates,
        names=tuple(f"{kind}: {name}" for name in chosen for kind in KINDS),
        labels=effect_labels(chosen),
    )


def simulated_effects(
    fit: SpatialFit,
    variables: Sequence[str] | None = None,
    shares: FloatArray | None = None,
    *,
    draws: int = 2_000,
    seed: int = 1,
) -> tuple[Estimates, Draws]:
    """The same by simulation: values at the estimates, errors from seeded draws, and the draws for percentiles.

    Maximum likelihood divides by all m free observations and its errors are normal. Draws have the degrees of freedom
    m − k instead, with variances m/(m − k) as large: what 30 regions × 5 periods need (docs/recovery.md).
    """
    chosen = check_variables(fit, variables)
    point = average_effects(fit, variables, shares)
    lags = slice(fit.design.k, fit.design.k + len(fit.roles.outcome))
    intervals = [w.engine.log_determinant.interval for _, w in fit.roles.outcome]

    maps = EffectKernel(fit)

    def admissible(parameters: FloatArray) -> bool:
        rhos = parameters[lags]
        if rhos.size > 1:
            return JointMultiplier(tuple(w.matrix for _, w in fit.roles.outcome), rhos).is_admissible()
        return all(low < rho < high for rho, (low, high) in zip(rhos, intervals, strict=True))

    def values(parameters: FloatArray) -> FloatArray:
        kernel = maps.at(parameters[lags])
        sums = (kernel.direct, kernel.total) if shares is None else kernel.weighted(shares)
        return effects_at(fit, chosen, sums, parameters)[0]

    found = simulate_draws(values, _small_sample(fit), draws, seed, admissible)
    return from_draws(point.values, found, point.names, effect_labels(chosen)), found


def _small_sample(fit: SpatialFit) -> Estimates:
    """The estimates with the degrees of freedom of their slopes; as they are where they have some."""
    if fit.estimates.df is not None:
        return fit.estimates
    free = float(fit.design.transformation.free_observations)
    df = free - fit.design.k
    return replace(fit.estimates, cov=fit.estimates.cov * free / df, df=df)


def effects_at(
    fit: SpatialFit, chosen: Sequence[str], sums: tuple[Sums, Sums], parameters: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """(3 per variable) effects and their gradient, from the sums of diagonals and of rows."""
    values, gradients = [], []
    for name in chosen:
        direct, direct_gradient = combine(fit, name, sums[0], parameters)
        total, total_gradient = combine(fit, name, sums[1], parameters)
        values += [direct, total - direct, total]
        gradients += [direct_gradient, total_gradient - direct_gradient, total_gradient]
    return np.array(values), np.array(gradients)


def effect_labels(chosen: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Columns variable, effect, horizon for `Estimates.tidy`."""
    return {
        "variable": tuple(name for name in chosen for _ in KINDS),
        "effect": KINDS * len(chosen),
        "horizon": ("short",) * (3 * len(chosen)),
    }


def combine(fit: SpatialFit, name: str, sums: Sums, parameters: FloatArray) -> tuple[float, FloatArray]:
    """β·U + θ·V of some sum of U and V, and its gradient in all parameters."""
    own, neighbour = fit.design.own[name], fit.design.neighbour.get(name)
    beta = parameters[own]
    theta = parameters[neighbour] if neighbour is not None else 0.0
    gradient = np.zeros(parameters.size)
    gradient[own] = sums.own
    if neighbour is not None:
        gradient[neighbour] = sums.neighbour
    first = fit.design.k
    gradient[first : first + len(sums.own_slopes)] = beta * sums.own_slopes + theta * sums.neighbour_slopes
    return float(beta * sums.own + theta * sums.neighbour), gradient


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
