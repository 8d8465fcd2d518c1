"""`ModeratedFit`: a fitted model with interactions, and what it says about effects at values of the moderators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from spillover.effects.impacts import KINDS
from spillover.errors import OptionError, UnknownColumnError, check_option, did_you_mean, show_labels
from spillover.inference.delta import delta_method
from spillover.inference.estimates import Estimates
from spillover.inference.hypotheses import HypothesisTest
from spillover.models.result import SpatialFit
from spillover.moderators.columns import Column
from spillover.moderators.curve import ModerationCurve, draw_curve
from spillover.moderators.loads import Level, Where, effects_at_levels, tidy_with_band
from spillover.moderators.moderator import QUANTILES, Moderator, PairModerator
from spillover.moderators.observed import observed_effects
from spillover.moderators.summary import summarise
from spillover.typing import CovarianceName, FloatArray

if TYPE_CHECKING:
    import pandas as pd

SIDES = {
    "own": "the moderator does not change the own effect",
    "sender": "the sender's moderator does not change what comes from next door",
    "receiver": "the receiver's moderator does not change what comes from next door",
    "pair": "the moderator of pairs does not change what comes from next door",
}


@dataclass(frozen=True, eq=False, repr=False)
class ModeratedFit:
    """A spatial model in which moderators change the effect of treatments.

    Attributes
    ----------
    fit : the `SpatialFit` on all columns; its own `effects()` hold where every moderator is at its centre.
    columns : the regressors and what each multiplies.
    treatments : regressors whose effect is moderated.
    moderators : of regions (`Moderator`) and of pairs (`PairModerator`).
    """

    fit: SpatialFit
    columns: tuple[Column, ...]
    treatments: tuple[str, ...]
    moderators: tuple[Moderator | PairModerator, ...]

    @property
    def estimates(self) -> Estimates:
        """Coefficients with their covariance."""
        return self.fit.estimates

    @property
    def statistics(self) -> Mapping[str, Any]:
        """Log-likelihood, sizes, … of the fit."""
        return self.fit.statistics

    @property
    def notes(self) -> tuple[str, ...]:
        """What a careful reader should know."""
        return self.fit.notes

    def coefficients(self, level: float = 0.95) -> pd.DataFrame:
        """Tidy table of the coefficients."""
        return self.estimates.tidy(level)

    def with_covariance(
        self, covariance: CovarianceName, *, cutoff_km: float | None = None, time_lags: int | None = None
    ) -> ModeratedFit:
        """The same fit with another covariance."""
        return replace(self, fit=self.fit.with_covariance(covariance, cutoff_km=cutoff_km, time_lags=time_lags))

    # -- effects at values ------------------------------------------------------------------------

    def effects(
        self,
        at: Sequence[float] | None = None,
        *,
        moderator: str | None = None,
        where: Where = "all",
        level: float = 0.95,
        draws: int = 10_000,
        seed: int = 0,
    ) -> pd.DataFrame:
        """Direct, indirect and total effect of each treatment at chosen values of one moderator, the others centred.

        Parameters
        ----------
        at : values; by default the 10, 25, 50, 75 and 90 % quantiles of what was observed.
        moderator : which one, where there are several.
        where : z has the value in "all" regions; or in one region only, the others at the centre: what that region
            then has of its own and receives ("receiver") or gives to all others ("sender").
        level, draws, seed : of the intervals and of the simultaneous band (one per treatment and kind of effect).

        Columns of `Estimates.tidy()` and moderator, value, band_low, band_high, p_adjusted.
        """
        import pandas as pd

        z = self.find_moderator(moderator)
        check_option("where", where, get_args(Where))
        values = z.quantiles(QUANTILES) if at is None else _checked_values(at)
        tables = []
        for x in self.treatments:
            for kind in KINDS:
                estimates = self.effects_at(x, kind, z, values, where)
                tables.append(tidy_with_band(estimates, level=level, draws=draws, seed=seed))
        return pd.concat(tables, ignore_index=True)

    def effects_at(
        self, variable: str, kind: str, moderator: Moderator | PairModerator, values: FloatArray, where: Where = "all"
    ) -> Estimates:
        """One kind of effect of one treatment at values (h,) of a moderator, jointly."""
        levels = [Level(variable, kind, {moderator.name: float(v) - moderator.centre}, where) for v in values]
        count = len(levels)
        labels = {
            "variable": (variable,) * count,
            "effect": (kind,) * count,
            "moderator": (moderator.name,) * count,
            "value": tuple(float(v) for v in values),
            "where": (where,) * count,
        }
        names = [f"{kind}: {variable} | {moderator.name} = {v:.4g}" for v in values]
        return effects_at_levels(self.fit, self.columns, levels, names, labels)  # type: ignore[arg-type]

    def curve(
        self,
        effect: str = "indirect",
        *,
        variable: str | None = None,
        moderator: str | None = None,
        where: Where = "all",
        points: int = 101,
        level: float = 0.95,
        draws: int = 10_000,
        seed: int = 0,
    ) -> ModerationCurve:
        """The effect over the whole observed range of a moderator, its simultaneous band and Johnson–Neyman region."""
        check_option("effect", effect, KINDS)
        check_option("where", where, get_args(Where))
        if not isinstance(points, int | np.integer) or points < 3:
            raise OptionError("a curve has three points or more", got=repr(points))
        z = self.find_moderator(moderator)
        x = self.find_treatment(variable)
        return draw_curve(
            lambda values: self.effects_at(x, effect, z, values, where), z, points, level=level, draws=draws, seed=seed
        )

    def relative(self, *, level: float = 0.95) -> pd.DataFrame:
        """How much one unit more of a moderator changes each coefficient, as a share of the coefficient at the centre.

        With log z as moderator it is the elasticity of the (local) effect with respect to z; −0.2 is a fifth less.
        Ratios have a meaning only where the coefficient at the centre is clearly not zero; its t is in `base_t`.
        """
        import pandas as pd

        tables = [
            self._ratio(column, base).tidy(level).assign(base_t=self._t(base))
            for column in self.columns
            for base in self.columns
            if column.moderator and not base.moderator and (base.variable, base.part) == (column.variable, column.part)
        ]
        return pd.concat(tables, ignore_index=True)

    def _ratio(self, column: Column, base: Column) -> Estimates:
        top, bottom = self.estimates.index(column.name), self.estimates.index(base.name)

        def at(b: FloatArray) -> tuple[FloatArray, FloatArray]:
            gradient = np.zeros((1, b.size))
            gradient[0, top], gradient[0, bottom] = 1.0 / b[bottom], -b[top] / b[bottom] ** 2
            return np.array([b[top] / b[bottom]]), gradient

        labels = {"variable": (column.variable,), "moderator": (column.moderator,), "side": (column.side,)}
        return delta_method(at, self.estimates, (f"{column.name} / {base.name}",), labels)

    def _t(self, column: Column) -> float:
        at = self.estimates.index(column.name)
        return float(self.estimates.values[at] / self.estimates.std_errors[at])

    # -- effects as observed ----------------------------------------------------------------------

    def by_region(self, variable: str | None = None, *, level: float = 0.95) -> pd.DataFrame:
        """What each region has of its own, receives and emits with the moderators as they were (means over time).

        M is linear in the moderators, so that effects at their means over time are the means of the effects.
        """
        return observed_effects(self, self.find_treatment(variable)).tidy(level)

    def average(self, variable: str | None = None, *, level: float = 0.95) -> pd.DataFrame:
        """Direct, indirect and total effect, averaged over the regions with the moderators as they were."""
        return observed_effects(self, self.find_treatment(variable)).average.tidy(level)

    # -- tests ------------------------------------------------------------------------------------

    def tests(self) -> pd.DataFrame:
        """Wald tests: each side of each moderator, each moderator, and all interactions together."""
        import pandas as pd

        return pd.DataFrame([test.row() for test in self.hypothesis_tests()])

    def hypothesis_tests(self) -> tuple[HypothesisTest, ...]:
        """`tests` as objects."""
        tests = []
        for z in self.moderators:
            parts = [column for column in self.columns if column.moderator == z.name]
            for side, null in SIDES.items():
                tests += self._wald([c for c in parts if c.side == side], f"{side}: {z.name}", null)
            if len({column.side for column in parts}) > 1:
                tests += self._wald(parts, f"all sides: {z.name}", f"{z.name} does not change the effect at all")
        if len(self.moderators) > 1:
            parts = [column for column in self.columns if column.moderator]
            tests += self._wald(parts, "all moderators", "no moderator changes the effect")
        return tuple(tests)

    def _wald(self, columns: Sequence[Column], name: str, null: str) -> list[HypothesisTest]:
        if not columns:
            return []
        restriction = np.zeros((len(columns), self.estimates.values.size))
        restriction[np.arange(len(columns)), [self.estimates.index(column.name) for column in columns]] = 1.0
        return [replace(self.estimates.wald(restriction, null), name=name)]

    # -- finding ----------------------------------------------------------------------------------

    def find_moderator(self, name: str | None) -> Moderator | PairModerator:
        """The moderator of that name; the only one by default."""
        known = {z.name: z for z in self.moderators}
        return known[_find(name, tuple(known), "moderator")]

    def find_treatment(self, name: str | None) -> str:
        """The treatment of that name; the only one by default."""
        return _find(name, self.treatments, "treatment")

    def summary(self) -> str:
        """The fit on one screen, as text."""
        tables = [self.effects(moderator=z.name) for z in self.moderators]
        named = [(f"Effects at quantiles of {z.name}", t) for z, t in zip(self.moderators, tables, strict=True)]
        title = f"{', '.join(self.treatments)} moderated by {', '.join(z.name for z in self.moderators)}"
        return summarise(f"{title} · {self.fit.spec.formula}", self, [*named, ("Tests", self.tests())])

    def __repr__(self) -> str:
        moderators = ", ".join(z.name for z in self.moderators)
        return f"ModeratedFit: {', '.join(self.treatments)} moderated by {moderators}; {self.fit!r}"


def _find(name: str | None, known: Sequence[str], what: str) -> str:
    if name is None:
        if len(known) == 1:
            return known[0]
        raise OptionError(f"there are several {what}s: say which", expected=show_labels(known, 12))
    if name not in known:
        raise UnknownColumnError(
            f"the fit has no {what} {name!r}", expected=show_labels(known, 12), fix=did_you_mean(name, known) or None
        )
    return name


def _checked_values(at: Sequence[float]) -> FloatArray:
    try:
        values = np.atleast_1d(np.asarray(at, dtype=float))
    except (TypeError, ValueError):
        values = np.full(1, np.nan)
    if values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise OptionError("effects are asked for at one or more finite values", got=repr(at))
    return values
