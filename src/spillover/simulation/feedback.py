"""The truth when innovation feeds on itself: the derivative of the mean-field recursion, without an n × n array.

Expected patents follow m_t = g_t ∘ K A_t + other(A_t) with the gain g_t = 1 + ζ (m_{t−1} / m̄_{t−1} − 1), in which K is
the sum of the channels' kernels and m̄ the mean over regions. For a change in A that lasts, D_t = ∂m_t/∂A' obeys

    D_t = diag(g_t) K + O_t + diag(b_t) [ D_{t−1} − (m_{t−1} / m̄_{t−1}) c_{t−1}' ],   b_t = ζ (K A_t) / m̄_{t−1},

with c the column means of D and O the derivative of competition and capital, a diagonal minus rank one. By induction
D_t = diag(p_t) K + diag(q_t) − L_t R_t' with at most 2t columns in L and R.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from spillover.simulation.effect_matrix import EffectMatrix, add_up, from_sparse
from spillover.simulation.redistribution import other_effects
from spillover.simulation.structure import System
from spillover.typing import FloatArray


@dataclass(frozen=True, eq=False)
class _Step:
    """D_t as diag(p) K + diag(q) − L R', beside what would hold in this period without last year's innovation."""

    gain: FloatArray
    own: FloatArray  # diagonal of O_t
    p: FloatArray
    q: FloatArray
    left: FloatArray
    right: FloatArray
    carried: int  # the first columns of left and right that come from earlier years


def feedback_parts(system: System, hti: FloatArray) -> dict[str, EffectMatrix]:
    """Channel → mean over periods of its effect; "feedback" is what last year's innovation adds. Cost O(t · links)."""
    kernels = system.channel_kernels()
    whole = sp.csr_matrix(sum(kernels.values()))
    n, t = hti.shape
    gain, p, q = np.zeros(n), np.zeros(n), np.zeros(n)
    left = np.zeros((n, 0))
    right = np.zeros((n, 0))
    for step in _steps(system, whole, hti):
        gain += step.gain / t
        p += (step.p - step.gain) / t
        q += (step.q - step.own) / t
        grown = np.zeros_like(step.left)
        grown[:, : left.shape[1]] = left
        grown[:, : step.carried] += step.left[:, : step.carried] / t
        left, right = grown, step.right
    parts = {name: from_sparse(sp.diags(gain) @ kernel) for name, kernel in kernels.items()}
    return parts | {"feedback": EffectMatrix(sp.csr_matrix(sp.diags(p) @ whole + sp.diags(q)), left, right)}


def _steps(system: System, whole: sp.csr_matrix, hti: FloatArray) -> Iterator[_Step]:
    """D_t, period by period."""
    n, t = hti.shape
    means = system.mean_patents(hti)
    before: _Step | None = None
    for period in range(t):
        other = list(other_effects(system, hti[:, [period]]).values())
        own, lost, where = np.zeros(n), np.zeros((n, 0)), np.zeros((n, 0))
        if other:
            both = add_up(other)
            own, lost, where = both.sparse.diagonal(), both.left, both.right
        gain = np.ones(n)
        if before is None:
            now = _Step(gain, own, gain, own, lost, where, 0)
        else:
            mean = means[:, period - 1]
            relative = mean / mean.mean()
            gain = 1.0 + system.config.feedback * (relative - 1.0)
            pull = system.config.feedback * (whole @ hti[:, period]) / mean.mean()
            averages = _column_means(before, whole)
            left = np.hstack([pull[:, None] * before.left, (pull * relative)[:, None], lost])
            right = np.hstack([before.right, averages[:, None], where])
            carried = before.left.shape[1] + 1
            now = _Step(gain, own, gain + pull * before.p, own + pull * before.q, left, right, carried)
        yield now
        before = now


def _column_means(step: _Step, whole: sp.csr_matrix) -> FloatArray:
    sums = whole.T @ step.p + step.q - step.right @ step.left.sum(axis=0)
    return np.asarray(sums / len(step.p))
