"""`StrengthFit`: a fitted model in which the strength ρ of the spillover differs between regions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from spillover.effects.impacts import KINDS, check_variables
from spillover.effects.kernel import EffectKernel
from spillover.errors import OptionError
from spillover.inference.estimates import Estimates
from spillover.inference.hypotheses import HypothesisTest
from spillover.models.covariance import Point
from spillover.models.likelihood import Solution
from spillover.models.result import SpatialFit, estimates_at
from spillover.models.spec import ModelSpec
from spillover.moderators.columns import Column
from spillover.moderators.loads import Level, effects_at_strengths, tidy_with_band
from spillover.moderators.moderator import QUANTILES, Moderator
from spillover.moderators.observed import ObservedEffects, regional_sums
from spillover.moderators.strength_columns import StrengthColumns, Whose
from spillover.moderators.strength_likelihood import Stability
from spillover.moderators.strength_score import lm_test
from spillover.moderators.summary import summarise
from spillover.typing import CovarianceName, FloatArray

if TYPE_CHECKING:
    import pandas as pd


class _StrengthKernel(EffectKernel):
    """S^{-1} with several moderated lags, for effects by region."""

    def __init__(self, null: SpatialFit, columns: StrengthColumns, rhos: FloatArray) -> None:
        plain = EffectKernel(null)
        self.n, self.lags, self.rhos = plain.n, columns.matrices, rhos
        self.has_neighbours, self.w_x = plain.has_neighbours, plain.w_x
        self.engine, self.one_w, self.stochastic = None, False, False


@dataclass(frozen=True, eq=False, repr=False)
class StrengthFit:
    """A spatial lag or Durbin model with ρ_i = Σ_k ρ_k d_ki.

    Attributes
    ----------
    estimates : slopes, then "rho" (at the centre) and "rho:z" per moderator; or "rho: group" per regime.
    statistics : sigma2, counts, …; without trends log_likelihood, log_likelihood_null, aic, bic.
    null : the same model with one ρ. regressors : its columns. columns : the lags of the outcome.
    point : residuals and what a covariance needs.
    moderators : z, constant in time; empty for regimes. side : whose z.
    stability : whether the feedback dies out. notes : what a careful reader should know.
    """

    spec: ModelSpec
    estimates: Estimates
    statistics: Mapping[str, Any]
    solution: Solution
    null: SpatialFit
    regressors: tuple[Column, ...]
    columns: StrengthColumns
    point: Point
    moderators: tuple[Moderator, ...]
    side: Whose
    stability: Stability
    notes: tuple[str, ...]

    @property
    def rhos(self) -> FloatArray:
        """(K,) coefficients of the moderated lags."""
        return np.asarray(self.estimates.values[-self.columns.count :])

    @property
    def residuals(self) -> FloatArray:
        """(n, t) residuals, means removed."""
        return self.point.residuals

    def coefficients(self, level: float = 0.95) -> pd.DataFrame:
        """Tidy table of the coefficients."""
        return self.estimates.tidy(level)

    def with_covariance(
        self, covariance: CovarianceName, *, cutoff_km: float | None = None, time_lags: int | None = None
    ) -> StrengthFit:
        """The same fit with another covariance."""
        spec = self.spec.with_changes(covariance=covariance, cutoff_km=cutoff_km, time_lags=time_lags)
        return replace(
            self, spec=spec, estimates=estimates_at(spec, self.point, self.estimates.values, self.null.panel)
        )

    # -- strength ---------------------------------------------------------------------------------

    def strengths(self, *, level: float = 0.95, draws: int = 10_000, seed: int = 0) -> pd.DataFrame:
        """ρ_i of every region with its interval and a band that covers all regions together."""
        return self._strength(self.columns.loads.T, {"region": self.null.design.regions}, level, draws, seed)

    def strength_at(
        self,
        at: Sequence[float] | None = None,
        *,
        moderator: str | None = None,
        level: float = 0.95,
        draws: int = 10_000,
        seed: int = 0,
    ) -> pd.DataFrame:
        """ρ at values of a moderator (its 10, 25, 50, 75, 90 % quantiles), the others at their centres."""
        z, values, loads = self._loads(at, moderator)
        labels = {"moderator": (z.name,) * values.size, "value": tuple(float(v) for v in values)}
        return self._strength(loads, labels, level, draws, seed)  # type: ignore[arg-type]

    def _strength(
        self, loads: FloatArray, labels: Mapping[str, tuple[str, ...]], level: float, draws: int, seed: int
    ) -> pd.DataFrame:
        block = self.estimates.cov[-self.columns.count :, -self.columns.count :]
        found = Estimates(
            ("rho",) * len(loads),
            loads @ self.rhos,
            loads @ block @ loads.T,
            self.estimates.df,
            self.estimates.method,
            labels,
        )
        return tidy_with_band(found, level=level, draws=draws, seed=seed)

    # -- effects ----------------------------------------------------------------------------------

    def effects(
        self,
        at: Sequence[float] | None = None,
        *,
        moderator: str | None = None,
        variables: Sequence[str] | None = None,
        level: float = 0.95,
        draws: int = 10_000,
        seed: int = 0,
    ) -> pd.DataFrame:
        """Direct, indirect and total effects if z had a value in all regions, with a band per variable and kind.

        Raises EstimationError where the strength at a value is outside the interval in which S is invertible.
        """
        import pandas as pd

        z, values, loads = self._loads(at, moderator)
        tables = []
        for name in check_variables(self.null, variables):
            for kind in KINDS:
                found = self._uniform(name, kind, z.name, values, loads)
                tables.append(tidy_with_band(found, level=level, draws=draws, seed=seed))
        return pd.concat(tables, ignore_index=True)

    def _uniform(self, name: str, kind: str, moderator: str, values: FloatArray, loads: FloatArray) -> Estimates:
        """One kind of effect with every region's D_k at `loads` (h, K)."""
        labels = {
            "variable": (name,) * values.size,
            "effect": (kind,) * values.size,
            "moderator": (moderator,) * values.size,
            "value": tuple(float(v) for v in values),
        }
        names = [f"{kind}: {name} | {moderator} = {v:.4g}" for v in values]
        levels = [Level(name, kind, {})] * values.size
        return effects_at_strengths(self.null, self.estimates, self.regressors, levels, loads, names, labels)  # type: ignore[arg-type]

    def _loads(self, at: Sequence[float] | None, moderator: str | None) -> tuple[Moderator, FloatArray, FloatArray]:
        """(moderator, values (h,), D_k at them (h, K))."""
        names = [z.name for z in self.moderators]
        if not names:
            raise OptionError("regimes have no values in between", fix="use strengths() or by_region()")
        if moderator is None and len(names) > 1:
            raise OptionError("there are several moderators: say which", expected=", ".join(names))
        if moderator is not None and moderator not in names:
            raise OptionError(f"the fit has no moderator {moderator!r}", expected=", ".join(names))
        k = names.index(moderator) if moderator is not None else 0
        z = self.moderators[k]
        values = z.quantiles(QUANTILES) if at is None else np.atleast_1d(np.asarray(at, dtype=float))
        if not np.isfinite(values).all():
            raise OptionError("values of a moderator are finite numbers", got=repr(at))
        loads = np.zeros((values.size, self.columns.count))
        loads[:, 0], loads[:, 1 + k] = 1.0, values - z.centre
        return z, values, loads

    def by_region(self, variable: str, *, level: float = 0.95) -> pd.DataFrame:
        """What each region has of its own, receives and emits with the strengths as they are."""
        return self._observed(variable).tidy(level)

    def average(self, variables: Sequence[str] | None = None, *, level: float = 0.95) -> pd.DataFrame:
        """Direct, indirect and total effects, averaged over the regions with the strengths as they are."""
        import pandas as pd

        names = check_variables(self.null, variables)
        return pd.concat([self._observed(name).average.tidy(level) for name in names], ignore_index=True)

    def _observed(self, variable: str) -> ObservedEffects:
        import scipy.sparse as sp

        (name,) = check_variables(self.null, [variable])
        design = self.null.design
        kernel = _StrengthKernel(self.null, self.columns, self.rhos)
        operators, at = [sp.identity(kernel.n, format="csr")], [design.own[name]]
        if name in design.neighbour:
            operators.append(kernel.w_x)
            at.append(design.neighbour[name])
        return regional_sums(kernel, operators, np.array(at), self.estimates, design.k, name, design.regions)

    # -- tests ------------------------------------------------------------------------------------

    def hypothesis_tests(self) -> tuple[HypothesisTest, ...]:
        """Wald and LM test of one strength for all regions; without trends the likelihood ratio too."""
        count = self.columns.count - 1
        null = "the strength of the spillover is the same in all regions"
        size = self.estimates.values.size
        restriction = np.zeros((count, size))
        first = size - self.columns.count
        if self.moderators:
            restriction[np.arange(count), first + 1 + np.arange(count)] = 1.0
        else:
            restriction[:, first], restriction[np.arange(count), first + 1 + np.arange(count)] = -1.0, 1.0
        wald = replace(self.estimates.wald(restriction, null), name="Wald one strength")
        score = lm_test(self.null, self.columns, null)
        if "log_likelihood" not in self.statistics:
            return (wald, score)
        ratio = 2.0 * (self.statistics["log_likelihood"] - self.statistics["log_likelihood_null"])
        return (
            HypothesisTest.chi2("LR one strength", ratio, df=count, null=null, reference="likelihood ratio"),
            wald,
            score,
        )

    def tests(self) -> pd.DataFrame:
        """`hypothesis_tests` as a table."""
        import pandas as pd

        return pd.DataFrame([test.row() for test in self.hypothesis_tests()])

    def summary(self) -> str:
        """The fit on one screen, as text."""
        title = f"strength of W y by {', '.join(self.columns.names)} ({self.side}) · {self.spec.formula}"
        return summarise(title, self, [("Effects (average over regions)", self.average()), ("Tests", self.tests())])

    def __repr__(self) -> str:
        parts = ", ".join(f"{name} = {rho:.3f}" for name, rho in zip(self.columns.names, self.rhos, strict=True))
        return f"StrengthFit: {parts}; {self.null!r}"
