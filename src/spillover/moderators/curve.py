"""`ModerationCurve`: an effect over the range of a moderator, with its band and where it can be told from zero."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from spillover.inference.estimates import Estimates
from spillover.inference.multiplicity import SimultaneousBand, simultaneous_band
from spillover.moderators.moderator import Moderator, PairModerator
from spillover.moderators.neyman import SignificantRange, significant_ranges
from spillover.typing import FloatArray

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class ModerationCurve:
    """An effect as a function of a moderator.

    Attributes
    ----------
    moderator : its name. values : (h,) where the curve was computed, over the observed range.
    band : the effect at each value with the simultaneous band.
    pointwise, simultaneous : Johnson–Neyman regions: values at which one interval excludes zero, and the (smaller)
        region in which the whole band does.
    slope : change of the effect for one unit of the moderator.
    quantiles : 10 % and 90 % of the observed values of the moderator.
    """

    moderator: str
    values: FloatArray
    band: SimultaneousBand
    pointwise: tuple[SignificantRange, ...]
    simultaneous: tuple[SignificantRange, ...]
    slope: Estimates
    quantiles: tuple[float, float]

    def tidy(self) -> pd.DataFrame:
        """One row per value: estimate, interval, band."""
        return self.band.tidy()

    def ranges(self) -> pd.DataFrame:
        """Johnson–Neyman regions: kind, low, high, sign, share of the observations."""
        import pandas as pd

        return pd.DataFrame(
            [
                {"moderator": self.moderator, "kind": kind, **vars(found)}
                for kind, many in (("pointwise", self.pointwise), ("simultaneous", self.simultaneous))
                for found in many
            ],
            columns=["moderator", "kind", "low", "high", "sign", "share"],
        )


def draw_curve(
    effect: Callable[[FloatArray], Estimates],
    moderator: Moderator | PairModerator,
    points: int,
    *,
    level: float,
    draws: int,
    seed: int,
) -> ModerationCurve:
    """The curve of an effect that is linear in the moderator; `effect` gives it at values (h,), jointly."""
    low, high = moderator.range
    values = np.linspace(low, high, points)
    band = simultaneous_band(effect(values), level=level, draws=draws, seed=seed)
    ends = effect(np.array([moderator.centre, moderator.centre + 1.0]))
    contrast = np.array([[1.0, 0.0], [-1.0, 1.0]])  # level at the centre, slope
    line = Estimates(
        ("at the centre", "slope"),
        contrast @ ends.values,
        contrast @ ends.cov @ contrast.T,
        ends.df,
        ends.method,
        {name: column for name, column in ends.labels.items() if name in ("variable", "effect", "moderator")},
    )
    tail = (1.0 - level) / 2.0
    alone = float(stats.norm.isf(tail) if line.df is None else stats.t.isf(tail, line.df))
    ranges = [
        significant_ranges(line, c, (low, high), moderator.values, moderator.centre) for c in (alone, band.critical)
    ]
    ends_seen = tuple(float(v) for v in moderator.quantiles((0.10, 0.90)))
    return ModerationCurve(
        moderator.name, values, band, ranges[0], ranges[1], line.subset(["slope"]), (ends_seen[0], ends_seen[1])
    )
