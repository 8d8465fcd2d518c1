"""Where the spillover of a path happens: an exact division over the spatial terms that it passes.

Every path has up to four kinds of spatial terms: the treatment reaches the mediator of the neighbours (a^w), the
mediator itself diffuses (ρ_k), the neighbours' mediator acts on the outcome (b^w), and the outcome feeds back (ρ_y);
serial paths also go from one mediator to the neighbours' next one (d^w). With v(S) the spillover when only the terms in
S are switched on, v(∅) = 0, and the Shapley value of v divides v(all) without remainder and without an order.

Source: Shapley (1953), A value for n-person games; all 2^n states are evaluated.
"""

from __future__ import annotations

from math import factorial

import numpy as np

from spillover.inference.estimates import Estimates
from spillover.mechanisms.decomposition import PathNumbers
from spillover.mechanisms.system import DIRECT, Path
from spillover.typing import FloatArray

REACHES, PASSES, DIFFUSES, ACTS, FEEDS = (
    "treatment reaches the neighbours' mediator",
    "mediator drives the neighbours' next mediator",
    "mediator diffuses",
    "neighbours' mediator acts",
    "outcome feeds back",
)


def attribute_path(numbers: PathNumbers, path: Path, estimates: Estimates) -> Estimates:
    """Shapley values of the spatial terms of one path; they sum to its spillover. Labels path, spatial_term, equation.

    Cost: 2^n contractions and gradients, n the number of spatial terms on the path, at most 12.
    """
    theta = estimates.values
    direct, total = numbers.direct[path.name], numbers.total[path.name]
    switches = [i for i, axis in enumerate(direct.axes) if axis.switchable]
    n = len(switches)
    values, gradients = np.zeros(2**n), np.zeros((2**n, theta.size))
    for state in range(2**n):
        on = [i not in switches or bool(state >> switches.index(i) & 1) for i in range(len(direct.axes))]
        values[state] = total.value(theta, on) - direct.value(theta, on)
        gradients[state] = total.gradient(theta, on) - direct.gradient(theta, on)
    weights = shapley_weights(n)
    names = tuple(_name(path, numbers, i) for i in switches)
    jacobian = weights @ gradients
    return Estimates(
        names=tuple(f"{path.name}: {term} ({equation})" for term, equation in names),
        values=weights @ values,
        cov=jacobian @ estimates.cov @ jacobian.T,
        df=estimates.df,
        method=f"Shapley values, delta method, {estimates.method}",
        labels={
            "path": (path.name,) * n,
            "spatial_term": tuple(term for term, _ in names),
            "equation": tuple(equation for _, equation in names),
        },
    )


def shapley_weights(n: int) -> FloatArray:
    """(n, 2^n) matrix that turns values of all states into Shapley values; state bit i is player i.

    >>> shapley_weights(2).tolist()
    [[-0.5, 0.5, -0.5, 0.5], [-0.5, -0.5, 0.5, 0.5]]
    """
    matrix = np.zeros((n, 2**n))
    for state in range(2**n):
        size = state.bit_count()
        for player in range(n):
            if not state >> player & 1:
                weight = factorial(size) * factorial(n - size - 1) / factorial(n)
                matrix[player, state] -= weight
                matrix[player, state | 1 << player] += weight
    return matrix


def _name(path: Path, numbers: PathNumbers, axis: int) -> tuple[str, str]:
    """(kind of term, equation it belongs to); axes run arrow, feedback, arrow, feedback, …"""
    stations = (*path.mediators, numbers.wiring.system.outcome.name)
    station = axis // 2
    last = station == len(stations) - 1
    if axis % 2:
        return (FEEDS if last else DIFFUSES), stations[station]
    if path.name == DIRECT:
        return "treatment acts on the neighbours' outcome", stations[station]
    if station == 0:
        return REACHES, stations[station]
    return (ACTS if last else PASSES), stations[station]
