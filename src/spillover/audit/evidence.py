"""Rows and facts of refitted models, in the same form for every part of an audit."""

from __future__ import annotations

from typing import Any

import numpy as np

from spillover.audit.focus import Effect, FocusEffects
from spillover.errors import SpilloverError
from spillover.models.result import SpatialFit
from spillover.simulation.power import detectable_shift


def effect_rows(fit: SpatialFit, effects: FocusEffects, **labels: Any) -> list[dict[str, Any]]:
    """One row per effect: the labels, then effect, estimate, its error, p-value and interval, rho, regions, periods."""
    n, t = fit.design.shape
    rho = fit.rho if len(fit.roles.outcome) == 1 else None
    return [
        {
            **labels,
            "effect": kind,
            "estimate": effect.value,
            "std_error": effect.std_error,
            "p_value": effect.p_value,
            "conf_low": effect.low,
            "conf_high": effect.high,
            "rho": rho,
            "regions": n,
            "periods": t,
        }
        for kind, effect in effects.items()
    ]


def effect_facts(prefix: str, effects: FocusEffects) -> dict[str, float]:
    """`prefix.own`, `prefix_p_value.own`, `_low`, `_high`, `_half_width`, `_smallest`, and the same of the spillover.

    smallest : the effect that a test at 5 % would see four times out of five with this standard error.
    """
    facts: dict[str, float] = {}
    for kind, effect in effects.items():
        facts |= {
            f"{prefix}.{kind}": effect.value,
            f"{prefix}_p_value.{kind}": effect.p_value,
            f"{prefix}_low.{kind}": effect.low,
            f"{prefix}_high.{kind}": effect.high,
            f"{prefix}_half_width.{kind}": (effect.high - effect.low) / 2.0,
            f"{prefix}_smallest.{kind}": smallest(effect),
        }
    return facts


def smallest(effect: Effect) -> float:
    """What a test at 5 % would see four times out of five."""
    return detectable_shift(0.05, 0.8, effect.df) * effect.std_error


def told(effect: Effect) -> str:
    """ "0.44 (−0.26, 1.15)": as many decimals as the width of the interval deserves."""
    values = (effect.value, effect.low, effect.high)
    middle, low, high = (number(value, (effect.high - effect.low) / 2.0) for value in values)
    return f"{middle} ({low}, {high})"


def number(value: float, scale: float | None = None) -> str:
    """A number in words with a real minus sign: two decimals, more or fewer where its `scale` (own size) asks for it.

    >>> number(-0.256), number(0.00123), number(1234.5), number(-0.0079, 0.2)
    ('−0.26', '0.0012', '1234', '−0.01')
    """
    size = max(abs(value if scale is None else scale), 1e-12)
    decimals = int(np.clip(np.ceil(-np.log10(size)), 2, 9)) if size < 0.02 else 2 if size < 20.0 else int(size < 200.0)
    return f"{value:.{decimals + int(size < 0.02)}f}".replace("-", "−")


def tell_p(value: float) -> str:
    """ "p = 0.031", "p < 0.001"."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def reason(error: SpilloverError) -> str:
    """An error as a clause of a sentence: what happened and what was got, on one line."""
    lines = str(error).splitlines()
    got = next((line.split(":", 1)[1].strip() for line in lines if line.strip().startswith("got:")), "")
    return f"{lines[0]} ({got})" if got else lines[0]
