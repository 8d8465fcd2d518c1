"""`DecayFit`: how fast a spillover falls with distance, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from spillover.inference.estimates import Estimates
from spillover.inference.hypotheses import HypothesisTest, NotApplicable
from spillover.moderators.decay_profile import Interval, Profile
from spillover.moderators.distance_design import DistanceDesign
from spillover.moderators.kernels import Kernel
from spillover.moderators.residual_checks import ResidualChecks
from spillover.typing import FloatArray

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class DecayFit:
    """A spillover with an estimated law of decay.

    Attributes
    ----------
    formula, model, treatment : what was asked for.
    kernel : the law; `parameters` holds it under the names of its formula.
    profile : ℓ over the rate (ln 2 / half-distance; α for the power law).
    intervals : "likelihood" and "wald", both for the rate.
    interval : the one of the two that these residuals allow.
    estimates : slopes, W*x (SLX: the effect of one more unit at distance zero; lag models: on W divided by `scale`),
        ρ, and the parameters of the law.
    effect_estimates : direct, indirect and total, with the uncertainty of the decay.
    null_test : sup-LR test of "no spillover at any decay".
    residuals : (n, t).
    statistics : log_likelihood, aic, sigma2, counts, evaluations.
    row : whether the rows of W sum to one.
    identified : whether the data say anything of the decay: the null is rejected, and the interval is closed.
    """

    formula: str
    model: str
    treatment: str
    kernel: Kernel
    profile: Profile
    intervals: Mapping[str, Interval]
    interval: Interval
    estimates: Estimates
    effect_estimates: Estimates
    null_test: HypothesisTest | NotApplicable
    residuals: FloatArray
    checks: ResidualChecks
    statistics: Mapping[str, Any]
    design: DistanceDesign
    notes: tuple[str, ...]
    row: bool = False

    @property
    def parameters(self) -> dict[str, float]:
        """The parameters of the law: decay_per_km, exponent, shape, d0_km."""
        return self.kernel.parameters(self.profile.rate, self.profile.shape, self.design.unit)

    @property
    def half_distance(self) -> float:
        """Distance, in the unit of distances, at which the kernel is half of what it is at zero (power: at d_min)."""
        return self.profile.half_distance

    @property
    def half_interval(self) -> tuple[float | None, float | None]:
        """Limits of the half-distance; None where the interval is open."""
        return half_limits(self.kernel, self.interval)

    @property
    def identified(self) -> bool:
        """Whether the interval is closed on both sides and "no spillover" is rejected (where it could be tested)."""
        closed = self.interval.low is not None and self.interval.high is not None
        rejected = not isinstance(self.null_test, HypothesisTest) or self.null_test.rejects()
        return closed and rejected and not self.profile.at_edge

    def sentence(self) -> str:
        """The half-distance with its interval, in words; and what is not known where the interval is open."""
        low, high = self.half_interval
        unit = self.design.unit
        if self.profile.at_edge:
            side = "shortest" if self.half_distance <= self.profile.halves.mean() else "longest"
            head = f"No half-distance is found: the likelihood is highest at the {side} that was tried"
        else:
            head = f"Half-distance {self.half_distance:.0f} {unit}"
        share = f"{100 * self.interval.level:g} %"
        ends = {
            (True, True): f" ({share} {low or 0:.0f} to {high or 0:.0f})",
            (True, False): f" ({share} {low or 0:.0f} or more, without an upper end)",
            (False, True): f" ({share} {high or 0:.0f} or less, without a lower end)",
            (False, False): f" (no {share} interval: every distance that was tried fits)",
        }[(low is not None, high is not None)]
        said = head + ends + "."
        if self.identified:
            return said
        if low is None or high is None or self.profile.at_edge:
            return said + " The data do not identify how fast the spillover falls."
        assert isinstance(self.null_test, HypothesisTest)
        p = f"p = {self.null_test.p_value:.2f}"
        return f"{said} But that there is no spillover at all is not rejected ({p}), and then there is no decay."

    def effects(self, level: float = 0.95) -> pd.DataFrame:
        """Direct, indirect (spillover) and total effect of each regressor, with the uncertainty of the decay."""
        return self.effect_estimates.tidy(level)

    def coefficients(self, level: float = 0.95) -> pd.DataFrame:
        """Tidy table of the coefficients and of the parameters of the law."""
        return self.estimates.tidy(level)

    def curve(self, distances: Sequence[float] | FloatArray, level: float = 0.95) -> pd.DataFrame:
        """The kernel at distances: relative to zero, and (SLX) the effect θκ(d) of one more unit of treatment there.

        Intervals of the effect are pointwise, by the delta method.
        """
        import pandas as pd

        d = np.asarray(distances, dtype=float)
        rate, shape = self.profile.rate, self.profile.shape
        relative = self.kernel.value(d, rate, shape)
        frame = pd.DataFrame({"distance": d, "relative": relative})
        if self.model != "slx":
            return frame
        at = self.estimates.index(f"W*{self.treatment}")
        theta = float(self.estimates.values[at])
        jacobian = np.zeros((d.size, len(self.estimates.names)))
        jacobian[:, at] = relative
        law = len(self.estimates.names) - self.free
        if self.free:
            jacobian[:, law] = theta * self.kernel.rate_slope(d, rate, shape) / rate
        if self.free > 1:
            jacobian[:, law + 1] = theta * self.kernel.shape_slope(d, rate, shape)
        error = np.sqrt(np.einsum("ij,jk,ik->i", jacobian, self.estimates.cov, jacobian))
        df = self.estimates.df
        tail = (1.0 - level) / 2.0
        reach = float(stats.norm.isf(tail) if df is None else stats.t.isf(tail, df)) * error
        effect = theta * relative
        return frame.assign(effect=effect, std_error=error, conf_low=effect - reach, conf_high=effect + reach)

    @property
    def free(self) -> int:
        """How many parameters of the law are among the estimates, at their end."""
        searched = self.kernel.searched(self.design.unit)
        return sum(name in searched for name in self.estimates.names[-len(searched) :])

    def profile_frame(self) -> pd.DataFrame:
        """half_distance, rate and 2[ℓ(max) − ℓ] on the grid that was searched."""
        import pandas as pd

        p = self.profile
        return pd.DataFrame(
            {"half_distance": p.halves, "rate": p.rates, "deviance": 2.0 * (p.value - p.values), "shape": p.shapes}
        ).sort_values("half_distance", ignore_index=True)

    def __repr__(self) -> str:
        n, t = self.design.shape
        return f"DecayFit: {self.model}, {self.kernel.law} decay, {self.formula}; {n} regions × {t} periods"


def half_limits(kernel: Kernel, interval: Interval) -> tuple[float | None, float | None]:
    """Limits of the half-distance, which falls with the rate; None where they are open."""
    low = None if interval.high is None else kernel.half_distance(interval.high)
    high = None if interval.low is None else kernel.half_distance(interval.low)
    return low, high
