"""Who gives to whom by the estimated decay: the effect of each region on each other one."""

from __future__ import annotations

import numpy as np

from spillover.moderators.decay_result import DecayFit
from spillover.moderators.decay_slx import normalise
from spillover.typing import FloatArray

MOST_REGIONS = 3_000
"""Above it the table of all pairs is not made."""


def pair_effects(fit: DecayFit) -> FloatArray:
    """(n, n) effect in the row's region of one more unit of the treatment in the column's; the diagonal is zero.

    SLX: θ κ(d_ij). SAR and SDM: (I − ρW)^{-1}(βI + θW), with all that goes around.

    Row sums average to the indirect effect. Cost: O(n²), O(n³) in lag models.
    """
    rate, shape = fit.profile.rate, fit.profile.shape
    weights = normalise(fit.design.distances.weigh(lambda d: fit.kernel.value(d, rate, shape)), fit.row)
    w = np.array(weights if isinstance(weights, np.ndarray) else weights.toarray())
    name = f"W*{fit.treatment}"
    theta = fit.estimates[name] if name in fit.estimates.names else 0.0
    if "rho" not in fit.estimates.names:
        return np.asarray(theta * w)
    n = len(w)
    w /= float(fit.statistics["scale"])
    right = theta * w
    right.flat[:: n + 1] += fit.estimates[fit.treatment]
    effects = np.linalg.solve(np.eye(n) - fit.estimates["rho"] * w, right)
    np.fill_diagonal(effects, 0.0)
    return np.asarray(effects)


def add_up(effects: FloatArray, logarithm: bool) -> FloatArray:
    """(n,) what each sender (column) brings to all receivers together.

    Where the outcome is a logarithm each receiver's relative change e^x − 1 is added, since logarithms of different
    regions do not add up to one.

    >>> add_up(np.log([[1.0, 1.0], [2.0, 1.0], [2.0, 1.0]]), logarithm=True).round(6).tolist()  # twice +100 %
    [2.0, 0.0]
    """
    return np.asarray((np.expm1(effects) if logarithm else effects).sum(axis=0))


def treatment_change(fit: DecayFit) -> FloatArray:
    """(n,) last less first period of the treatment's term; its distance from the mean in a cross-section."""
    columns = fit.design.columns
    values = np.asarray(columns.x_raw[list(columns.own).index(fit.treatment)])
    return np.asarray(values[:, -1] - values[:, 0] if values.shape[1] > 1 else values[:, 0] - values[:, 0].mean())
