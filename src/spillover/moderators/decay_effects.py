"""Direct, indirect and total effects when the decay is estimated too: its uncertainty is part of theirs."""

from __future__ import annotations

import numpy as np

from spillover.inference.delta import delta_method
from spillover.inference.estimates import Estimates
from spillover.moderators.decay_lag import LagPoint
from spillover.moderators.distance_design import DistanceDesign
from spillover.moderators.distances import Pattern
from spillover.typing import FloatArray

KINDS = ("direct", "indirect", "total")


def labels_of(names: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Columns variable, effect, horizon for `Estimates.tidy`."""
    return {
        "variable": tuple(name for name in names for _ in KINDS),
        "effect": KINDS * len(names),
        "horizon": ("short",) * (3 * len(names)),
    }


def effects_slx(design: DistanceDesign, estimates: Estimates, weights: Pattern, slopes: list[Pattern]) -> Estimates:
    """direct = β, indirect = θ · mean row sum of κ(D), for every own regressor.

    slopes : ∂W/∂(parameters of the law that are among the estimates), which are the last ones.
    """
    n = design.shape[0]
    mass = float(weights.sum()) / n
    change = np.array([float(slope.sum()) / n for slope in slopes])
    k = len(estimates.names)

    def function(b: FloatArray) -> tuple[FloatArray, FloatArray]:
        values, jacobian = [], []
        for name in design.columns.own:
            own, theta = estimates.index(name), None
            direct, indirect = np.zeros(k), np.zeros(k)
            direct[own] = 1.0
            spill = 0.0
            if name in design.lagged:
                theta = estimates.index(f"W*{name}")
                spill = b[theta] * mass
                indirect[theta] = mass
                if len(slopes):
                    indirect[k - len(slopes) :] = b[theta] * change
            values += [b[own], spill, b[own] + spill]
            jacobian += [direct, indirect, direct + indirect]
        return np.array(values), np.array(jacobian)

    names = tuple(design.columns.own)
    return delta_method(
        function, estimates, tuple(f"{kind}: {name}" for name in names for kind in KINDS), labels_of(names)
    )


def effects_lag(design: DistanceDesign, estimates: Estimates, at: LagPoint) -> Estimates:
    """Averages of the diagonal and of the row sums of M = S^{-1}(βI + θW), with gradients in β, θ, ρ and the law.

    ∂M/∂ρ = S^{-1}WM, ∂M/∂φ = S^{-1}(ρW'M + θW') with W' the derivative of W at a fixed scale.
    """
    n, k = design.shape[0], len(estimates.names)
    s, w, g = at.inverse, at.weights, at.multiplier
    rho_at = estimates.index("rho")
    rho = float(estimates.values[rho_at])
    ones = np.ones(n)
    left, right = s.T @ ones, s @ ones  # ι'S^{-1}, S^{-1}ι
    # W commutes with S^{-1}: tr(S^{-1}WS^{-1}) = tr(G S^{-1}), tr(S^{-1}W S^{-1}W) = tr(G²)
    base = {"I": (np.trace(s), left.sum()), "W": (np.trace(g), left @ (w @ ones))}
    by_rho = {"I": (_trace(g, s), left @ (w @ right)), "W": (_trace(g, g), left @ (w @ (w @ right)))}
    values, jacobian = [], []
    for name in design.columns.own:
        own = estimates.index(name)
        beta = float(estimates.values[own])
        lag = estimates.index(f"W*{name}") if f"W*{name}" in estimates.names else None
        theta = 0.0 if lag is None else float(estimates.values[lag])
        direct, total = np.zeros(k), np.zeros(k)
        for gradient, pick in ((direct, 0), (total, 1)):
            gradient[own] = base["I"][pick]
            if lag is not None:
                gradient[lag] = base["W"][pick]
            gradient[rho_at] = beta * by_rho["I"][pick] + theta * by_rho["W"][pick]
        for position, (slope, image) in enumerate(zip(at.slopes, at.images, strict=True), start=rho_at + 1):
            # S^{-1}(ρW'S^{-1}(βI + θW) + θW')
            direct[position] = rho * (beta * _trace(image, s) + theta * _trace(image, g)) + theta * np.trace(image)
            inner = rho * (slope @ (beta * right + theta * (w @ right))) + theta * (slope @ ones)
            total[position] = left @ inner
        one = beta * base["I"][0] + theta * base["W"][0]
        whole = beta * base["I"][1] + theta * base["W"][1]
        values += [one / n, (whole - one) / n, whole / n]
        jacobian += [direct / n, (total - direct) / n, total / n]
    names = tuple(design.columns.own)
    return delta_method(
        lambda _: (np.array(values), np.array(jacobian)),
        estimates,
        tuple(f"{kind}: {name}" for name in names for kind in KINDS),
        labels_of(names),
    )


def _trace(a: FloatArray, b: FloatArray) -> float:
    """tr AB."""
    return float(np.einsum("ij,ji->", a, b))
