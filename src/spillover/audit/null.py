"""The best fit in which one effect of the focus is zero, which tests and simulations impose.

The spillover of a regressor is (ρβ + θ)(ι'Gι − tr G)/n: zero exactly where θ = −ρβ, the common factor of one
regressor (ρβ = 0 where x is not lagged). The own effect is β tr S⁻¹/n + θ tr(S⁻¹W)/n. At a given ρ both are linear in
(β, θ), so that the restricted likelihood is again a function of ρ alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import optimize

from spillover.audit.replay import Replay
from spillover.errors import EstimationError
from spillover.models.likelihood import GRID, chebyshev_grid, log_determinant
from spillover.numerics.least_squares import triangle_of
from spillover.typing import FloatArray

EffectKind = Literal["own", "spillover"]


@dataclass(frozen=True, eq=False)
class NullFit:
    """Slopes (k,), ρ, log-likelihood up to a constant, and residuals and signal Zδ (n, t), demeaned."""

    effect: EffectKind
    coefficients: FloatArray
    rho: float
    criterion: float
    residuals: FloatArray
    signal: FloatArray


def fit_null(replay: Replay, effect: EffectKind) -> NullFit:
    """Maximum likelihood with the effect restricted to zero.

    Raises EstimationError where the restricted maximum is at the bound of ρ.
    Cost: one QR of (n t, k + 2) columns, then least squares on its triangle for each trial ρ.
    """
    y = replay.demean(replay.y)
    wy = replay.demean(replay.lag(replay.w, replay.y))
    block = np.concatenate([replay.z, y[None], wy[None]])
    triangle = triangle_of(block.reshape(len(block), -1).T)
    branches = _branches(replay, effect)
    found = max((_maximise(replay, triangle, *branch) for branch in branches), key=lambda each: each[0])
    criterion, rho, coefficients = found
    signal = np.tensordot(coefficients, replay.z, axes=1)
    return NullFit(effect, coefficients, rho, criterion, y - rho * wy - signal, signal)


Direction = Callable[[float], FloatArray]
"""ρ → (k, k − 1) basis of the slopes that the null leaves free."""


def _branches(replay: Replay, effect: EffectKind) -> list[tuple[Direction, bool]]:
    """(free slopes, whether ρ is free): the null of SAR's spillover is ρ = 0 or β = 0."""
    k, own, neighbour = replay.k, replay.own, replay.neighbour
    keep = np.delete(np.eye(k), own, axis=1)
    free = replay.engine is not None
    if neighbour is None:
        without: tuple[Direction, bool] = (lambda rho: keep, free)
        return [without] if effect == "own" or not free else [without, (lambda rho: np.eye(k), False)]
    others = np.delete(np.eye(k), [own, neighbour], axis=1)

    def basis(rho: float) -> FloatArray:
        a = (rho, 1.0) if effect == "spillover" else _direct(replay, rho)
        column = np.zeros((k, 1))
        column[own], column[neighbour] = -a[1], a[0]
        return np.hstack([others, column])

    return [(basis, free)]


def _direct(replay: Replay, rho: float) -> tuple[float, float]:
    """(tr S^{-1}/n, tr S^{-1}W_x/n)."""
    n = replay.shape[0]
    if replay.engine is None:
        return 1.0, 0.0
    if replay.w_x is None or replay.w_x is replay.w:
        trace = replay.engine.trace_g(rho) / n
        return 1.0 + rho * trace, trace
    inverse = np.linalg.inv(np.eye(n) - rho * replay.engine.matrix.toarray())
    return float(np.trace(inverse) / n), float((inverse * replay.w_x.T.toarray()).sum() / n)


def _maximise(replay: Replay, triangle: FloatArray, basis: Direction, free: bool) -> tuple[float, float, FloatArray]:
    """(criterion, ρ, slopes) at the restricted maximum."""
    k, transformation = replay.k, replay.transformation

    def solve(rho: float) -> tuple[float, FloatArray]:
        left = triangle[:, :k] @ (shape := basis(rho))
        right = triangle[:, k] - rho * triangle[:, k + 1]
        slopes = np.linalg.lstsq(left, right, rcond=None)[0] if left.shape[1] else np.zeros(0)
        rest = right - left @ slopes
        return float(rest @ rest), shape @ slopes

    def value(rho: float) -> float:
        fit = -0.5 * transformation.m * np.log(solve(rho)[0])
        if replay.engine is None or not free:
            return float(fit)
        return float(fit + transformation.t_star * log_determinant(replay.engine, rho, transformation.unit_roots))

    rho = 0.0
    if free:
        engine = replay.engine
        assert engine is not None
        rough = chebyshev_grid(engine.rough.log_determinant.interval, GRID)
        level = engine.rough.log_determinant.value(rough)
        if transformation.unit_roots:  # ρ may pass 1 where rows of W do not sum to one
            level = level - transformation.unit_roots * np.log1p(-rough)
        values = [
            -0.5 * transformation.m * np.log(solve(float(each))[0]) + transformation.t_star * height
            for each, height in zip(rough, level, strict=True)
        ]
        best = int(np.argmax(values))
        if best in (0, rough.size - 1):
            raise EstimationError(
                "with the effect restricted to zero the maximum is at the bound of ρ", got=f"ρ = {rough[best]:.4f}"
            )
        found = optimize.minimize_scalar(
            lambda each: -value(float(each)),
            bounds=(float(rough[best - 1]), float(rough[best + 1])),
            method="bounded",
            options={"xatol": 1e-9},
        )
        rho = float(found.x)
    return value(rho), rho, solve(rho)[1]
