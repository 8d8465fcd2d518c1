"""Maximise a smooth function of two bounded parameters by Newton steps with finite differences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from spillover.typing import FloatArray

STEP = 1e-3  # of the scale of a parameter: fourth-order differences leave an error of about 1e-12


@dataclass(frozen=True, eq=False)
class PairSolution:
    """A maximum at `point` (2,), with gradient and Hessian there.

    `score` is √(g'(−H)⁻¹g), the distance to the maximum in standard errors.
    """

    point: FloatArray
    value: float
    gradient: FloatArray
    hessian: FloatArray
    converged: bool
    evaluations: int
    score: float


def maximise_pair(
    function: Callable[[float, float], float],
    start: tuple[float, float],
    bounds: tuple[tuple[float, float], tuple[float, float]],
    free: tuple[bool, bool] = (True, True),
) -> PairSolution:
    """Newton from `start`, steps halved until the function rises; parameters that are not free stay.

    Parameters
    ----------
    bounds : open intervals; no step leaves them, and differences shrink near them.
    """
    x = np.array(start, dtype=float)
    low, high = (np.array(side, dtype=float) for side in zip(*bounds, strict=True))
    mask = np.array(free)
    best, count = function(*x), 1
    gradient, hessian, score = np.zeros(2), np.zeros((2, 2)), np.inf
    for _ in range(60):
        if np.minimum(x - low, high - x)[mask].min(initial=np.inf) < 1e-6 * (high - low).min():
            break  # at a bound, where differences are meaningless
        gradient, hessian, used = derivatives(function, x, low, high, mask)
        count += used
        step = _ascent(gradient, hessian, mask)
        score = float(np.sqrt(abs(gradient @ step)))
        if score < 1e-8:
            return PairSolution(x, best, gradient, hessian, _peak(hessian, mask), count, score)
        share = _longest(x, step, low, high)
        while share > 1e-10:
            trial = x + share * step
            found = function(*trial)
            count += 1
            if found > best - 1e-12 * abs(best) * (score < 1e-4):
                break
            share /= 2.0
        else:
            return PairSolution(x, best, gradient, hessian, score < 1e-5, count, score)
        x, best = trial, found
    return PairSolution(x, best, gradient, hessian, False, count, score)


def derivatives(
    function: Callable[[float, float], float], x: FloatArray, low: FloatArray, high: FloatArray, mask: np.ndarray
) -> tuple[FloatArray, FloatArray, int]:
    """(gradient (2,), Hessian (2, 2), evaluations), zero where a parameter is not free."""
    h = np.minimum(STEP * np.minimum(high - low, 2.0), np.minimum(x - low, high - x) / 4.0)
    centre = function(*x)
    gradient, hessian = np.zeros(2), np.zeros((2, 2))
    count = 1
    for i in np.flatnonzero(mask):
        unit = np.eye(2)[i] * h[i]
        far_down, down, up, far_up = (function(*(x + j * unit)) for j in (-2, -1, 1, 2))
        gradient[i] = (8.0 * (up - down) - (far_up - far_down)) / (12.0 * h[i])
        hessian[i, i] = (16.0 * (up + down) - (far_up + far_down) - 30.0 * centre) / (12.0 * h[i] ** 2)
        count += 4
    if mask.all():
        corners = {(i, j): function(x[0] + i * h[0], x[1] + j * h[1]) for i in (-1, 1) for j in (-1, 1)}
        cross = (corners[1, 1] - corners[1, -1] - corners[-1, 1] + corners[-1, -1]) / (4.0 * h[0] * h[1])
        hessian[0, 1] = hessian[1, 0] = cross
        count += 4
    return gradient, hessian, count


def _ascent(gradient: FloatArray, hessian: FloatArray, mask: np.ndarray) -> FloatArray:
    """−H⁻¹g with the eigenvalues of H made negative, in the free parameters."""
    step = np.zeros(2)
    at = np.flatnonzero(mask)
    if at.size:
        values, vectors = np.linalg.eigh(hessian[np.ix_(at, at)])
        size = np.maximum(np.abs(values), 1e-8 * max(float(np.abs(values).max()), 1e-300))
        step[at] = vectors @ ((vectors.T @ gradient[at]) / size)
    return step


def _longest(x: FloatArray, step: FloatArray, low: FloatArray, high: FloatArray) -> float:
    """The largest share of a step, at most 1, that goes no more than nine tenths of the way to a bound."""
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where(step > 0, (high - x) / step, np.where(step < 0, (low - x) / step, np.inf))
    return float(min(1.0, 0.9 * room.min()))


def _peak(hessian: FloatArray, mask: np.ndarray) -> bool:
    at = np.flatnonzero(mask)
    return bool(at.size == 0 or np.linalg.eigvalsh(hessian[np.ix_(at, at)]).max() < 0)
