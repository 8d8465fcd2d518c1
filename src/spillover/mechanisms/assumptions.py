"""What a mediation rests on, in words, printed with every result; and what can be seen of it in the residuals."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from spillover.mechanisms.sample import Timing
from spillover.mechanisms.system import System
from spillover.models.result import SpatialFit

NOTABLE = 0.2  # correlation of residuals from which the order of mediators is worth a sentence

ASSUMPTIONS = (
    "Sequential ignorability: given the effects and controls, neither the treatment nor a mediator, at home or next "
    "door, shares unmeasured causes with what comes after it. sensitivity() says how much it would take.",
    "Interference only through W: what other regions do reaches a region through the links of its equation's W.",
    "No confounder of mediator and outcome is itself moved by the treatment, except mediators that are in the system.",
    "No reverse arrow: the outcome does not move the mediators within a period, nor the mediators the treatment.",
    "Linear arrows without interaction of treatment and mediator, except where an equation has the product. "
    "interaction_tests() tests it.",
)
SAME_PERIOD = "Treatment and mediators are of one period, so that nothing in the dates tells cause from effect."


def list_assumptions(timing: Timing) -> tuple[str, ...]:
    """The assumptions of a result, one sentence each."""
    return ASSUMPTIONS if timing.treatment else (*ASSUMPTIONS, SAME_PERIOD)


def residual_correlations(system: System, fits: tuple[SpatialFit, ...]) -> dict[tuple[str, str], float]:
    """Correlation of the residuals of every two equations, over all cells."""
    flat = {e.name: fit.residuals.ravel() for e, fit in zip(system.equations, fits, strict=True)}
    return {(a, b): float(np.corrcoef(flat[a], flat[b])[0, 1]) for a, b in combinations(flat, 2)}


def tell_shared_causes(system: System, fits: tuple[SpatialFit, ...]) -> tuple[str, ...]:
    """Sentences for mediators side by side whose residuals move together: something joins them that is not modelled."""
    told = []
    for (a, b), r in residual_correlations(system, fits).items():
        beside = b != system.outcome.name and (a, b) not in system.arrows
        if beside and abs(r) >= NOTABLE:
            told.append(
                f"What the equations leave of {a} and of {b} correlates by {r:+.2f}: one drives the other, or both "
                "have a cause that is not in the system. Their sum is safer than its division."
            )
    return tuple(told)
