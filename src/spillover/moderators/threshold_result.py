"""`ThresholdFit`: thresholds with their confidence sets and tests, and the model of each regime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from spillover.effects.impacts import KINDS
from spillover.inference.estimates import Estimates
from spillover.inference.hypotheses import HypothesisTest
from spillover.models.result import SpatialFit
from spillover.moderators.columns import Column
from spillover.moderators.loads import Level, effects_at_levels
from spillover.moderators.residual_dependence import ResidualDependence
from spillover.moderators.summary import summarise
from spillover.moderators.threshold_set import Threshold
from spillover.typing import CovarianceName, FloatArray

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class ThresholdTest:
    """Test of one threshold more.

    Attributes
    ----------
    number : l, of "l thresholds against l − 1".
    test : statistic, p-value and null in words.
    drawn : (draws,) bootstrap statistics; empty without a bootstrap.
    reach_km, block : of the multipliers; infinite reach for whole periods, NaN for Hansen's scheme.
    dependence : of the residuals under the null.
    """

    number: int
    test: HypothesisTest
    drawn: FloatArray
    reach_km: float
    block: int
    dependence: ResidualDependence


@dataclass(frozen=True, eq=False, repr=False)
class ThresholdFit:
    """A spatial model whose slopes change where q passes a threshold.

    Attributes
    ----------
    thresholds : in the order of their values.
    regimes : names of the regimes in words: "q ≤ 0.8", "q > 0.8".
    fit : the model with one slope per regime; errors hold γ̂ fixed, which is right in large samples (γ̂ converges faster
        than the slopes). null : the model without thresholds.
    columns : the regressors of `fit`.
    switching : regressors whose effect differs between regimes.
    threshold_tests : of one threshold, of two, …
    counts : observations in each regime. notes : what a careful reader should know.
    """

    thresholds: tuple[Threshold, ...]
    regimes: tuple[str, ...]
    fit: SpatialFit
    null: SpatialFit
    columns: tuple[Column, ...]
    switching: tuple[str, ...]
    threshold_tests: tuple[ThresholdTest, ...]
    counts: tuple[int, ...]
    notes: tuple[str, ...]

    @property
    def estimates(self) -> Estimates:
        """Coefficients, one per regime for what switches."""
        return self.fit.estimates

    @property
    def statistics(self) -> Mapping[str, Any]:
        """Log-likelihood, sizes, … of the fit with thresholds."""
        return self.fit.statistics

    def coefficients(self, level: float = 0.95) -> pd.DataFrame:
        """Tidy table of the coefficients."""
        return self.estimates.tidy(level)

    def with_covariance(
        self, covariance: CovarianceName, *, cutoff_km: float | None = None, time_lags: int | None = None
    ) -> ThresholdFit:
        """The same fit with another covariance of the slopes."""
        return replace(self, fit=self.fit.with_covariance(covariance, cutoff_km=cutoff_km, time_lags=time_lags))

    def effects(self, *, level: float = 0.95) -> pd.DataFrame:
        """Direct, indirect and total effects of what switches, if every region were in the regime; column regime."""
        levels, names, labels = self._levels()
        return effects_at_levels(self.fit, self.columns, levels, names, labels).tidy(level)

    def _levels(self) -> tuple[list[Level], list[str], dict[str, tuple[str, ...]]]:
        rows = [(x, kind, regime) for x in self.switching for regime in self.regimes for kind in KINDS]
        levels = [Level(x, kind, {regime: 1.0}) for x, kind, regime in rows]
        names = [f"{kind}: {x} | {regime}" for x, kind, regime in rows]
        labels = {
            "variable": tuple(x for x, _, _ in rows),
            "effect": tuple(kind for _, kind, _ in rows),
            "regime": tuple(regime for _, _, regime in rows),
        }
        return levels, names, labels

    def tests(self) -> pd.DataFrame:
        """Bootstrap tests of one threshold, of a second beside one, of a third beside two."""
        import pandas as pd

        return pd.DataFrame([{"thresholds": each.number, **each.test.row()} for each in self.threshold_tests])

    def confidence_sets(self) -> pd.DataFrame:
        """One row per threshold: value, ends of the set, number of its parts, η̂², share of observations below."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "threshold": i + 1,
                    "variable": each.variable,
                    "value": each.value,
                    "set_low": each.hull[0],
                    "set_high": each.hull[1],
                    "parts": len(each.intervals),
                    "at_edge": each.at_edge,
                    "eta2": each.eta2,
                    "share_below": each.share_below,
                    "level": each.level,
                }
                for i, each in enumerate(self.thresholds)
            ]
        )

    def supported(self, level: float = 0.05) -> int:
        """How many thresholds the tests support one after the other, at most the number that was asked for."""
        count = 0
        for each in self.threshold_tests:
            if each.test.p_value >= level:
                break
            count += 1
        return count

    def summary(self) -> str:
        """The fit on one screen, as text."""
        told = [f"{each.value:.5g} in [{each.hull[0]:.5g}, {each.hull[1]:.5g}]" for each in self.thresholds]
        sets = f"{self.thresholds[0].variable} at {', '.join(told)}"
        parts = [("Effects by regime", self.effects()), ("Tests", self.tests())]
        return summarise(f"thresholds: {sets} · {self.fit.spec.formula}", self, parts)

    def __repr__(self) -> str:
        values = ", ".join(f"{each.value:.4g}" for each in self.thresholds)
        return f"ThresholdFit: {self.thresholds[0].variable} at {values}; {self.fit!r}"


def regime_names(variable: str, values: Sequence[float]) -> tuple[str, ...]:
    """Names of the regimes that thresholds make.

    >>> regime_names("q", [0.5, 2.0])
    ('q ≤ 0.5', '0.5 < q ≤ 2', 'q > 2')
    """
    first, last = f"{variable} ≤ {values[0]:.6g}", f"{variable} > {values[-1]:.6g}"
    middle = [f"{low:.6g} < {variable} ≤ {high:.6g}" for low, high in pairwise(values)]
    return (first, *middle, last)
