"""Where a threshold may lie: the likelihood-ratio profile of γ and the set it does not reject.

LR(γ) has the law of max over a two-sided Brownian motion, whatever the model: P(LR ≤ c) = (1 − e^{−c/2})², so that the
set {γ : LR(γ) ≤ −2 ln(1 − √level)} covers the true γ (7.35 at 95 %; Hansen 1999, 2000). With errors whose variance near
γ differs from their mean variance LR is divided by η̂² (Hansen 2000, Econometrica 68:575).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spillover.moderators.threshold_columns import Switch
from spillover.typing import FloatArray

if TYPE_CHECKING:
    import pandas as pd


def critical_value(level: float) -> float:
    """c of the likelihood-ratio set.

    >>> [round(critical_value(level), 2) for level in (0.90, 0.95, 0.99)]
    [5.94, 7.35, 10.59]
    """
    return float(-2.0 * np.log1p(-np.sqrt(level)))


@dataclass(frozen=True, eq=False)
class Threshold:
    """One estimated threshold.

    Attributes
    ----------
    variable : q, as results show it. value : γ̂; regimes are q ≤ γ̂ and q > γ̂.
    share_below : share of the observations with q ≤ γ̂.
    gammas : (u,) values of q that were tried. ratio : (u,) LR(γ), not scaled.
    eta2 : η̂², variance of the errors near γ̂ relative to their mean.
    level : of the confidence set. scaled : whether LR is divided by η̂².
    """

    variable: str
    value: float
    share_below: float
    gammas: FloatArray
    ratio: FloatArray
    eta2: float
    level: float
    scaled: bool

    @property
    def profile(self) -> FloatArray:
        """(u,) what is compared with the critical value: LR/η̂², or LR."""
        return np.asarray(self.ratio / self.eta2 if self.scaled else self.ratio)

    @property
    def intervals(self) -> tuple[tuple[float, float], ...]:
        """The confidence set: intervals [low, high). A γ between two values of q means the same as the lower one."""
        inside = self.profile <= critical_value(self.level)
        edges = np.flatnonzero(np.diff(np.r_[False, inside, False]))
        upper = np.r_[self.gammas, self.gammas[-1]]
        return tuple((float(self.gammas[a]), float(upper[b])) for a, b in edges.reshape(-1, 2))

    @property
    def hull(self) -> tuple[float, float]:
        """Smallest interval that holds the set, which may have gaps."""
        return self.intervals[0][0], self.intervals[-1][1]

    def covers(self, gamma: float) -> bool:
        """Whether a value is in the set."""
        at = int(np.searchsorted(self.gammas, gamma, side="right")) - 1
        return at >= 0 and bool(self.profile[at] <= critical_value(self.level))

    @property
    def at_edge(self) -> bool:
        """Whether the set reaches the first or last value that was tried: the data do not bound the threshold."""
        inside = self.profile <= critical_value(self.level)
        return bool(inside[0] or inside[-1])

    def tidy(self) -> pd.DataFrame:
        """The profile: γ, LR, LR/η̂², critical value, whether γ is in the set."""
        import pandas as pd

        critical = critical_value(self.level)
        return pd.DataFrame(
            {
                "gamma": self.gammas,
                "likelihood_ratio": self.ratio,
                "scaled_ratio": self.ratio / self.eta2,
                "critical_value": critical,
                "in_set": self.profile <= critical,
            }
        )


def error_ratio(switch: Switch, gamma: float, jump: FloatArray, residuals: FloatArray) -> float:
    """η̂²: Epanechnikov mean at γ̂ of s² over that of its value under equal variances, s = Σ_a jump_a c_a e.

    jump : (p,) differences of slopes. residuals : (n, t), means removed.

    Moving γ past an observation (i, t) moves the score by jump'c_it e_it: c as it is, not demeaned. For a lag that is
    masked at the sender the error it meets is that of its receivers, W'e.
    """
    near = np.zeros(switch.q.shape)
    expected = np.zeros(switch.q.shape)
    score = np.zeros(switch.q.shape)
    for jump_a, column, w in zip(jump, switch.columns, switch.lagged_after, strict=True):
        pull = jump_a * column
        if w is None:
            near += pull
            continue
        score += pull * np.asarray(w.matrix.T @ residuals)
        expected += pull**2 * np.asarray(w.matrix.multiply(w.matrix).sum(axis=0)).ravel()[:, None]
    score += near * residuals
    expected += near**2
    weights = _epanechnikov(switch.q, gamma)
    below = float(np.sum(weights * expected)) * float(np.mean(residuals**2))
    return float(np.sum(weights * score**2)) / below if below > 0 else 1.0


def _epanechnikov(q: FloatArray, at: float) -> FloatArray:
    """Weights with the normal-reference bandwidth 2.34 s m^{-1/5}, s the smaller of sd and IQR/1.349."""
    quarter, third = np.quantile(q, [0.25, 0.75])
    spread = min(float(q.std(ddof=1)), float(third - quarter) / 1.349) or float(q.std(ddof=1))
    x = (q - at) / (2.34 * spread * q.size ** (-0.2))
    return np.maximum(1.0 - x * x, 0.0)
