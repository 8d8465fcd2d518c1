"""Rows and facts of refitted models, in the same form for every part of an audit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from spillover.audit.focus import Effect, FocusEffects, focus_effects
from spillover.audit.part import AuditPart
from spillover.errors import SpilloverError
from spillover.inference.wald_power import detectable_shift
from spillover.models.result import SpatialFit
from spillover.panel.panel import Panel


@dataclass
class Findings:
    """What a part collects on its way to an `AuditPart`."""

    variable: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    facts: dict[str, float] = field(default_factory=dict)
    sentences: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def add(self, fit: SpatialFit, facts: str = "", of: str | None = None, **labels: Any) -> FocusEffects:
        """The effects of one more fit, with their rows and, under the prefix `facts`, their facts.

        of : the regressor under its name in that fit, where it is another one.   labels : columns of the rows.
        """
        effects = focus_effects(fit, of or self.variable)
        self.rows += effect_rows(fit, effects, **labels)
        if facts:
            self.facts |= effect_facts(facts, effects)
        return effects

    def part(self, name: str, question: str) -> AuditPart:
        """The finished part."""
        import pandas as pd

        return AuditPart(
            name, question, pd.DataFrame(self.rows), self.facts, tuple(self.sentences), tuple(self.skipped)
        )


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


def is_lost(before: Effect, after: Effect) -> bool:
    """Whether an effect was told from zero and is no longer, with less than half of its size: not just less precise."""
    return before.p_value < 0.05 <= after.p_value and abs(after.value) < 0.5 * abs(before.value)


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


def both(effects: FocusEffects) -> str:
    """The two effects in words."""
    parts = [f"{told(effects.own)} at home"]
    if effects.spillover is not None:
        parts.append(f"spillover {told(effects.spillover)}")
    return ", ".join(parts)


def called(panel: Panel, region: str) -> str:
    """A region as sentences show it: its name with its id, or its id alone."""
    name = panel.names[panel.regions.index(region)]
    return region if name == region else f"{name} ({region})"
