"""Where an effect can be told from zero: Johnson–Neyman regions, pointwise and with a simultaneous band.

An effect that is linear in the moderator, a + bv, is significant where |a + bv| > c·s(v), s² = V_aa + 2vV_ab + v²V_bb.
The bounds are roots of a quadratic: no grid is searched. With c of the sup-t band over the whole range of v the
statement "the effect is positive for all v in this region" holds for all v at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from spillover.inference.estimates import Estimates
from spillover.typing import FloatArray


@dataclass(frozen=True)
class SignificantRange:
    """Values of a moderator in [low, high] at which an effect has one sign with confidence.

    Attributes
    ----------
    low, high : ends, inside the observed range.
    sign : +1 or −1.
    share : share of the observed cells with a value in the range.
    """

    low: float
    high: float
    sign: int
    share: float


def significant_ranges(
    line: Estimates, critical: float, bounds: tuple[float, float], observed: FloatArray, centre: float = 0.0
) -> tuple[SignificantRange, ...]:
    """The Johnson–Neyman region of an effect a + b(v − centre).

    Parameters
    ----------
    line : two estimates, a and b, with their covariance.
    critical : c, of a pointwise interval or of a simultaneous band.
    bounds : range of v that is looked at.
    observed : values of the moderator, for the shares.

    Source: Johnson & Fay (1950), Psychometrika 15:349; Bauer & Curran (2005), Multivariate Behavioral Research 40:373.
    """
    a, b = line.values
    vaa, vab, vbb = line.cov[0, 0], line.cov[0, 1], line.cov[1, 1]
    scale = critical**2
    roots = _real_roots(b * b - scale * vbb, 2.0 * (a * b - scale * vab), a * a - scale * vaa)
    low, high = bounds
    inner = sorted(root + centre for root in roots if low < root + centre < high)
    edges = [low, *inner, high]
    found: list[SignificantRange] = []
    for left, right in pairwise(edges):
        middle = 0.5 * (left + right) - centre
        effect = a + b * middle
        if effect * effect <= scale * (vaa + 2.0 * middle * vab + middle * middle * vbb):
            continue
        share = float(np.mean((observed >= left) & (observed <= right)))
        found.append(SignificantRange(left, right, int(np.sign(effect)), share))
    return tuple(found)


def _real_roots(square: float, linear: float, constant: float) -> list[float]:
    """Real roots of square·x² + linear·x + constant, without cancellation."""
    if square == 0.0:
        return [-constant / linear] if linear else []
    inside = linear * linear - 4.0 * square * constant
    if inside < 0.0:
        return []
    q = -0.5 * (linear + np.copysign(np.sqrt(inside), linear))
    return [q / square, constant / q] if q else [0.0]
