"""Effects by the number of steps in W: at home, from neighbours, from neighbours' neighbours, …

M = Σ_q M_q with M_0 = βI and M_q = ρ^{q−1}(ρβ + θ) W^q for q ≥ 1. Steps are steps in W: θW, which a grouping by
powers of ρ would put into order 0, is one step. Direct effects beyond β come back to their region, from two steps on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from spillover.effects.impacts import check_variables
from spillover.errors import OptionError
from spillover.inference.delta import delta_method
from spillover.inference.estimates import Estimates
from spillover.typing import FloatArray

if TYPE_CHECKING:
    from spillover.models.result import SpatialFit

MOST_STEPS = 12


@dataclass(frozen=True, eq=False)
class Powers:
    """tr W^q / n and ι'W^qι / n for q = 0, …, Q."""

    traces: FloatArray
    sums: FloatArray


def effects_by_order(fit: SpatialFit, variables: Sequence[str] | None = None, steps: int = 5) -> Estimates:
    """Direct, indirect and total effect by step, `steps` of them; with labels variable, effect, order.

    Raises `OptionError` for several W: powers of different matrices have no common order.
    """
    chosen = check_variables(fit, variables)
    powers = _powers(fit, steps)
    design, has_lag = fit.design, bool(fit.roles.outcome)

    def effects(parameters: FloatArray) -> tuple[FloatArray, FloatArray]:
        values, gradients = [], []
        rho = parameters[design.k] if has_lag else 0.0
        for name in chosen:
            own, neighbour = design.own[name], design.neighbour.get(name)
            beta, theta = parameters[own], parameters[neighbour] if neighbour is not None else 0.0
            for q in range(steps + 1):
                gradient = np.zeros(parameters.size)
                if q == 0:
                    strength, gradient[own] = beta, 1.0
                else:
                    front = rho ** (q - 1)
                    strength = front * (rho * beta + theta)
                    gradient[own] = front * rho
                    if neighbour is not None:
                        gradient[neighbour] = front
                    if has_lag:
                        slope = (q - 1) * rho ** (q - 2) * (rho * beta + theta) if q > 1 else 0.0
                        gradient[design.k] = slope + front * beta
                direct, total = powers.traces[q], powers.sums[q]
                for share in (direct, total - direct, total):
                    values.append(strength * share)
                    gradients.append(share * gradient)
        return np.array(values), np.array(gradients)

    kinds = ("direct", "indirect", "total")
    order = [(name, kind, str(q)) for name in chosen for q in range(steps + 1) for kind in kinds]
    return delta_method(
        effects,
        fit.estimates,
        names=tuple(f"{kind}, step {q}: {name}" for name, kind, q in order),
        labels={
            "variable": tuple(name for name, _, _ in order),
            "effect": tuple(kind for _, kind, _ in order),
            "order": tuple(q for _, _, q in order),
        },
    )


def _powers(fit: SpatialFit, steps: int) -> Powers:
    if not isinstance(steps, int) or not 0 <= steps <= MOST_STEPS:
        raise OptionError("steps in W", got=str(steps), expected=f"0 to {MOST_STEPS}")
    roles = fit.roles
    distinct = {id(w) for _, w in roles.outcome}
    if fit.design.neighbour and roles.regressors is not None:
        distinct.add(id(roles.regressors))
    if len(distinct) > 1:
        raise OptionError("effects by step need one W for outcome and regressors", fix="ask for by=None or by='region'")
    n = len(fit.design.regions)
    w = roles.outcome[0][1].matrix if roles.outcome else roles.regressors.matrix if roles.regressors else None
    matrix = sp.csr_matrix((n, n)) if w is None else w
    sums, forward = [1.0], np.ones(n)
    for _ in range(steps):
        forward = np.asarray(matrix @ forward)
        sums.append(float(forward.mean()))
    # tr W^q = Σ_ij (W^a)_ij (W^b)_ji with a + b = q: powers up to half the order are enough.
    half = [sp.identity(n, format="csr")]
    for _ in range((steps + 1) // 2):
        half.append(sp.csr_matrix(half[-1] @ matrix))
    traces = [float(half[q // 2].multiply(half[q - q // 2].T).sum()) / n for q in range(steps + 1)]
    return Powers(np.array(traces), np.array(sums))
