"""Does a mediator help up to a point and hurt beyond it? Slopes at both ends of the data, and the turning point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from spillover.inference.estimates import Estimates
from spillover.mechanisms.sample import Sample
from spillover.mechanisms.system import System
from spillover.models.formula import plain


@dataclass(frozen=True)
class TurningPoint:
    """The curve b₁M + b₂M² of a mediator in the equation of the outcome.

    Attributes
    ----------
    shape : "inverted U", "U", or "no turn within the data" where the slopes at both ends of the data have one sign.
    point, std_error : M* = −b₁/(2b₂) in units of the mediator, by the delta method.
    low, high : ends of the data. slope_low, slope_high : b₁ + 2b₂M there.
    p_value : of "the curve does not turn within the data": the larger of the two one-sided p-values.
    """

    channel: str
    shape: str
    point: float
    std_error: float
    low: float
    high: float
    slope_low: float
    slope_high: float
    p_value: float

    def sentence(self) -> str:
        """What it says, in words."""
        if self.shape == "no turn within the data":
            return f"{self.channel}: the curve does not turn where the data are, {self.low:.4g} to {self.high:.4g}."
        p = "p < 0.001" if self.p_value < 0.001 else f"p = {self.p_value:.3f}"
        first, then = ("helps", "hurts") if self.shape == "inverted U" else ("hurts", "helps")
        said = "" if self.p_value < 0.05 else " by the estimates, which do not exclude a curve without a turn"
        return f"{self.channel} {first} up to {self.point:.4g} and {then} beyond it{said} ({p})."


def turning_points(system: System, sample: Sample, estimates: Estimates) -> tuple[TurningPoint, ...]:
    """One for each mediator whose value and square are in the equation of the outcome.

    Source: Lind & Mehlum (2010), Oxford Bulletin of Economics and Statistics 72:109.
    """
    outcome, found = system.outcome, []
    for mediator in system.mediators:
        node = plain(mediator.response)
        terms = {tuple(map(plain, t.factors)): t for t in outcome.terms if t.lag is None}
        if (node,) not in terms or (node, node) not in terms:
            continue
        rows = [estimates.index(f"{outcome.name}: {terms[key].name}") for key in ((node,), (node, node))]
        b1, b2 = estimates.values[rows]
        v = estimates.cov[np.ix_(rows, rows)]
        values = next(x for (name, f), x in sample.factors.items() if name == outcome.name and plain(f) == node)
        low, high = float(values.min()), float(values.max())
        slopes, tails = [], []
        for end, sign in ((low, 1.0 if b2 < 0 else -1.0), (high, -1.0 if b2 < 0 else 1.0)):
            gradient = np.array([1.0, 2.0 * end])
            slope, error = float(gradient @ (b1, b2)), float(np.sqrt(gradient @ v @ gradient))
            slopes.append(slope)
            law = stats.norm if estimates.df is None else stats.t(estimates.df)
            tails.append(float(law.sf(sign * slope / error)))
        turn = np.array([-0.5 / b2, 0.5 * b1 / b2**2])
        turns = slopes[0] * slopes[1] < 0
        found.append(
            TurningPoint(
                mediator.name,
                ("inverted U" if b2 < 0 else "U") if turns else "no turn within the data",
                float(-0.5 * b1 / b2),
                float(np.sqrt(turn @ v @ turn)),
                low,
                high,
                slopes[0],
                slopes[1],
                max(tails),
            )
        )
    return tuple(found)
