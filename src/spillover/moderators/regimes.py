"""`fit_regimes`: slopes, and the strength ρ, that differ between groups of regions chosen beforehand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from spillover.effects.impacts import KINDS
from spillover.errors import DesignError, OptionError, UnknownColumnError, did_you_mean, show_labels
from spillover.inference.estimates import Estimates
from spillover.inference.hypotheses import HypothesisTest
from spillover.models.fit import check_kinds
from spillover.models.formula import parse_formula, term_name
from spillover.models.result import SpatialFit
from spillover.models.spec import ModelSpec
from spillover.moderators.columns import Column, fit_columns, lag_weights, plain_columns
from spillover.moderators.loads import Level, effects_at_levels, effects_at_strengths
from spillover.moderators.strength import fit_strengths
from spillover.moderators.strength_result import StrengthFit
from spillover.moderators.summary import summarise
from spillover.panel.panel import Panel
from spillover.typing import CovarianceName, Effects, FloatArray, ModelName
from spillover.weights.groups import labels_of
from spillover.weights.weights import SpatialWeights

if TYPE_CHECKING:
    import pandas as pd

FEWEST_REGIONS = 5
CELLS_PER_SLOPE = 5  # observations of a regime for every slope that it has of its own
RHO = "rho"


@dataclass(frozen=True, eq=False, repr=False)
class RegimesFit:
    """A spatial model with coefficients of their own in every regime.

    Attributes
    ----------
    fit : `StrengthFit` where ρ switches, else `SpatialFit`. pooled : the model with one set of coefficients.
    regimes : names. counts : regions in each. switching : terms that differ, "rho" among them where it does.
    columns : the regressors.
    """

    fit: SpatialFit | StrengthFit
    pooled: SpatialFit
    regimes: tuple[str, ...]
    counts: tuple[int, ...]
    switching: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def estimates(self) -> Estimates:
        """Coefficients: "log(lq) [east]", "rho: east", …"""
        return self.fit.estimates

    @property
    def statistics(self) -> Mapping[str, Any]:
        """Log-likelihood, sizes, …"""
        return self.fit.statistics

    @property
    def notes(self) -> tuple[str, ...]:
        """What a careful reader should know."""
        sizes = show_labels((f"{name} {count}" for name, count in zip(self.regimes, self.counts, strict=True)), 20)
        return (
            f"Regimes (regions): {sizes}. Tests hold for regimes that were chosen without looking at the outcome.",
            *self.fit.notes,
        )

    def coefficients(self, level: float = 0.95) -> pd.DataFrame:
        """Tidy table of the coefficients."""
        return self.estimates.tidy(level)

    def effects(self, *, level: float = 0.95) -> pd.DataFrame:
        """Direct, indirect and total effects of every regressor, if all regions were in the regime; column regime."""
        variables = tuple(dict.fromkeys(column.variable for column in self.columns))
        rows = [(x, kind, g) for x in variables for g in range(len(self.regimes)) for kind in KINDS]
        levels = [Level(x, kind, {self.regimes[g]: 1.0}) for x, kind, g in rows]
        names = [f"{kind}: {x} | {self.regimes[g]}" for x, kind, g in rows]
        labels = {
            "variable": tuple(x for x, _, _ in rows),
            "effect": tuple(kind for _, kind, _ in rows),
            "regime": tuple(self.regimes[g] for _, _, g in rows),
        }
        if isinstance(self.fit, StrengthFit):
            strengths = np.eye(len(self.regimes))[[g for _, _, g in rows]]
            found = effects_at_strengths(self.fit.null, self.estimates, self.columns, levels, strengths, names, labels)
        else:
            found = effects_at_levels(self.fit, self.columns, levels, names, labels)
        return found.tidy(level)

    def hypothesis_tests(self) -> tuple[HypothesisTest, ...]:
        """Chow–Wald tests of equal coefficients; and, without trends, the likelihood ratio."""
        tests, rows = [], []
        for name in self.switching:
            terms = [f"{RHO}: {g}" if name == RHO else f"{name} [{g}]" for g in self.regimes]
            restriction = np.zeros((len(terms) - 1, self.estimates.values.size))
            restriction[:, self.estimates.index(terms[0])] = -1.0
            for i, term in enumerate(terms[1:]):
                restriction[i, self.estimates.index(term)] = 1.0
            rows.append(restriction)
            tests.append(self._wald(restriction, name, f"{name} is the same in all regimes"))
        everything = np.vstack(rows)
        if len(rows) > 1:
            tests.append(self._wald(everything, "all that switches", "nothing differs between the regimes"))
        if "log_likelihood" not in self.statistics:
            return tuple(tests)
        ratio = 2.0 * (self.statistics["log_likelihood"] - self.pooled.statistics["log_likelihood"])
        null = "nothing differs between the regimes"
        tests.append(
            HypothesisTest.chi2("LR regimes", ratio, df=len(everything), null=null, reference="likelihood ratio")
        )
        return tuple(tests)

    def _wald(self, restriction: FloatArray, name: str, null: str) -> HypothesisTest:
        return replace(self.estimates.wald(restriction, null), name=f"Chow: {name}")

    def tests(self) -> pd.DataFrame:
        """`hypothesis_tests` as a table."""
        import pandas as pd

        return pd.DataFrame([test.row() for test in self.hypothesis_tests()])

    def summary(self) -> str:
        """The fit on one screen, as text."""
        title = f"regimes {', '.join(self.regimes)} · {self.pooled.spec.formula}"
        return summarise(title, self, [("Effects by regime", self.effects()), ("Tests", self.tests())])

    def __repr__(self) -> str:
        return f"RegimesFit: {', '.join(self.switching)} by {', '.join(self.regimes)}; {self.fit!r}"


def fit_regimes(
    formula: str,
    panel: Panel,
    weights: SpatialWeights | None = None,
    *,
    regimes: str | Mapping[str, str],
    switching: str | Sequence[str] | None = None,
    trends: bool | None = None,
    model: ModelName = "sdm",
    effects: Effects | None = None,
    covariance: CovarianceName = "default",
    lagged: Sequence[str] | None = None,
    weights_x: SpatialWeights | None = None,
    cutoff_km: float | None = None,
    time_lags: int | None = None,
) -> RegimesFit:
    """Fit a spatial model whose coefficients differ between regimes of regions.

    Parameters
    ----------
    regimes : column of `panel.groups`, or region → name of its regime. Chosen beforehand: regimes that were found by
        looking at the outcome make every test reject too often.
    switching : terms that differ, as results name them: "log(lq)", "W*log(lq)", "rho"; everything by default. A
        region's own regime decides for what it receives, θ_g (W x)_i and ρ_g (W y)_i.
    trends : whether a ρ by regime comes with regime × period effects; on by default with period effects, because a
        shock that all regions share passes through ρ_g and else looks like a spillover inside the regime.
    model : "ols", "slx", "sar" or "sdm". Everything else as in `spillover.fit`.

    Returns
    -------
    RegimesFit: `effects()` by regime, `tests()` (Chow–Wald, likelihood ratio).

    Raises
    ------
    DesignError : a regime with too few regions or observations. OptionError : one regime only; unknown terms.
    EstimationError : a ρ_g outside the stable region.

    Source: Anselin (1990), Journal of Regional Science 30:185.
    """
    check_kinds(panel, weights, weights_x)
    spec = ModelSpec.of(
        panel,
        formula,
        model=model,
        effects=effects,
        covariance=covariance,
        lagged=lagged,
        cutoff_km=cutoff_km,
        time_lags=time_lags,
    )
    if spec.has_spatial_error:
        raise OptionError(f"regimes are for ols, slx, sar and sdm models, not {model}", fix="use model='sdm'")
    names, masks = _masks(panel, regimes)
    w = lag_weights(panel, weights, weights_x)
    plain = plain_columns(parse_formula(formula), panel, w, model, lagged)
    chosen = _chosen(plain, spec, switching)
    _check_sizes(panel, names, masks, sum(name != RHO for name in chosen))
    columns: list[Column] = []
    for column in plain:
        if column.name not in chosen:
            columns.append(column)
            continue
        columns += [
            Column(
                f"{column.name} [{name}]", column.values * mask[:, None], column.variable, column.part, name, "regime"
            )
            for name, mask in zip(names, masks, strict=True)
        ]
    pooled = fit_columns(spec, plain, panel, weights, weights_x=w)
    inner: SpatialFit | StrengthFit = fit_columns(spec, columns, panel, weights, weights_x=w)
    if RHO in chosen:
        trends = spec.has_period_effects if trends is None else trends
        assert isinstance(inner, SpatialFit)
        lags = tuple(f"{RHO}: {name}" for name in names)
        inner = fit_strengths(inner, columns, (), masks, lags, "receiver", trends=trends)
    counts = tuple(int(mask.sum()) for mask in masks)
    return RegimesFit(inner, pooled, names, counts, chosen, tuple(columns))


def _masks(panel: Panel, regimes: str | Mapping[str, str]) -> tuple[tuple[str, ...], FloatArray]:
    """(names of the regimes, (G, n) indicators)."""
    if isinstance(regimes, str):
        if regimes not in panel.groups:
            raise UnknownColumnError(
                f"the panel has no grouping {regimes!r}",
                expected=show_labels(panel.groups) or "a grouping named when the panel was read",
                fix=did_you_mean(regimes, panel.groups) or "give regimes={region: name}",
            )
        regimes = dict(zip(panel.regions, panel.groups[regimes], strict=True))
    labels = labels_of(panel.regions, regimes)
    names = tuple(sorted(set(labels)))
    if len(names) < 2:
        raise OptionError("all regions are in one regime", got=show_labels(names), expected="two regimes or more")
    return names, np.array([[float(label == name) for label in labels] for name in names])


def _chosen(columns: Sequence[Column], spec: ModelSpec, switching: str | Sequence[str] | None) -> tuple[str, ...]:
    known = [*(column.name for column in columns), *([RHO] if spec.has_spatial_lag else [])]
    if switching is None:
        return tuple(known)
    asked = [switching] if isinstance(switching, str) else list(switching)
    found = []
    for name in asked:
        spelt = name if name == RHO else f"W*{term_name(name[2:])}" if name.startswith("W*") else term_name(name)
        if spelt not in known:
            raise UnknownColumnError(
                f"{name!r} is to switch but is not in the model",
                expected=show_labels(known, 12),
                fix=did_you_mean(spelt, known) or None,
            )
        found.append(spelt)
    if not found or len(set(found)) != len(found):
        raise OptionError("name each switching term once", got=repr(asked))
    return tuple(found)


def _check_sizes(panel: Panel, names: Sequence[str], masks: FloatArray, slopes: int) -> None:
    """Refuse regimes that cannot carry slopes of their own."""
    least = max(FEWEST_REGIONS, -(-CELLS_PER_SLOPE * (slopes + 1) // panel.shape[1]))
    small = [
        f"{name} ({int(mask.sum())} regions)" for name, mask in zip(names, masks, strict=True) if mask.sum() < least
    ]
    if small:
        raise DesignError(
            "some regimes have too few observations for coefficients of their own",
            got=show_labels(small, 12),
            expected=f"at least {least} regions of {panel.shape[1]} periods for {slopes} slopes",
            fix="merge regimes, or let fewer terms switch (switching=…)",
        )
