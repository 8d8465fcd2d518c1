"""Where to predict: regressors, W and effects as functions of the parameters, with their variances."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from spillover.errors import AlignmentError, MissingCellError, OptionError, show_labels
from spillover.models.formula import evaluate_term, parse_formula
from spillover.numerics.joint import JointMultiplier
from spillover.numerics.multiplier import Multiplier
from spillover.panel.panel import Panel, Period
from spillover.typing import FloatArray, IntArray
from spillover.weights.weights import SpatialWeights

if TYPE_CHECKING:
    from spillover.models.result import SpatialFit
    from spillover.models.static_fit import StaticFit

    Fit: TypeAlias = SpatialFit | StaticFit

CHUNK = 512  # columns of S^{-1} that are held at a time


@dataclass(frozen=True, eq=False)
class Target:
    """Where to predict: regressors, W and effects, as functions of the parameters (δ, ρ, …).

    Attributes
    ----------
    z : (k, n, t) regressors at the target.
    lags : W of each spatial lag of the outcome, at the target.
    z_part : (k, n, t) the effects of the sample's regressors, at the cells of the target.
    lag_parts : (q, n, t) the effects of the sample's spatial lags of y; y_part : (n, t) those of y.
    """

    fit: Fit
    kind: str
    residuals: bool
    regions: tuple[str, ...]
    periods: tuple[Period, ...]
    z: FloatArray
    lags: tuple[SpatialWeights, ...]
    z_part: FloatArray
    lag_parts: FloatArray
    y_part: FloatArray

    @classmethod
    def of(cls, fit: Fit, panel: Panel | None, weights: SpatialWeights | None, kind: str, residuals: bool) -> Target:
        design, roles = fit.design, fit.roles
        sample_z = _regressors(fit, design.x_raw, roles.regressors)
        y = getattr(fit, "outcome", design.y_raw)
        sample_lags = np.array([w.lag(y) for _, w in roles.outcome]).reshape(-1, *y.shape)
        keep = _identity if residuals else _effect_part(fit)
        regions = design.regions if panel is None else panel.regions
        periods = design.periods if panel is None else panel.periods
        cells = _cells(fit, regions, periods, residuals)
        x = design.x_raw if panel is None else _evaluate(fit, panel)
        lags, for_x = target_weights(fit, regions, weights)
        return cls(
            fit,
            kind,
            residuals,
            regions,
            periods,
            _regressors(fit, x, for_x),
            lags,
            cells(keep(sample_z)),
            cells(keep(sample_lags)),
            cells(keep(y[None]))[0],
        )

    @property
    def k(self) -> int:
        """Number of slopes."""
        return len(self.z)

    @property
    def q(self) -> int:
        """Number of spatial lags of the outcome."""
        return len(self.lags)

    def multiplier(self, parameters: FloatArray) -> Multiplier | JointMultiplier | None:
        """S^{-1} at the target; None without spatial lags of the outcome, or for the trend."""
        if self.q == 0 or self.kind == "trend":
            return None
        rhos = parameters[self.k : self.k + self.q]
        if self.q == 1:
            return self.lags[0].engine.multiplier(float(rhos[0]))
        return JointMultiplier(tuple(w.matrix for w in self.lags), rhos)

    def admissible(self, parameters: FloatArray) -> bool:
        """Whether S is invertible on the way from 0 to these ρ."""
        rhos = parameters[self.k : self.k + self.q]
        if self.q == 1:
            low, high = self.lags[0].engine.bounds
            return bool(low < rhos[0] < high)
        return self.q == 0 or JointMultiplier(tuple(w.matrix for w in self.lags), rhos).is_admissible()

    def values(self, parameters: FloatArray) -> FloatArray:
        """(n, t) prediction."""
        slopes, rhos = parameters[: self.k], parameters[self.k : self.k + self.q]
        mean = np.tensordot(slopes, self.z - self.z_part, axes=1) + self.y_part
        mean = mean - np.tensordot(rhos, self.lag_parts, axes=1)
        multiplier = self.multiplier(parameters)
        return mean if multiplier is None else multiplier.solve(mean)

    def gradient(self, parameters: FloatArray) -> FloatArray:
        """(p, n, t) derivatives in all parameters; λ does not move the mean."""
        found = np.zeros((parameters.size, *self.y_part.shape))
        multiplier = self.multiplier(parameters)
        predicted = self.values(parameters)
        for j in range(self.k):
            column = self.z[j] - self.z_part[j]
            found[j] = column if multiplier is None else multiplier.solve(column)
        for j, w in enumerate(self.lags):
            if multiplier is None:
                found[self.k + j] = -self.lag_parts[j]
            else:
                found[self.k + j] = multiplier.solve(w.lag(predicted) - self.lag_parts[j])
        return found

    def noise(self, outcome: bool) -> FloatArray:
        """(n, t) variance from the errors: that of the estimated effects, and that of a new outcome."""
        parameters, sigma2 = self.fit.estimates.values, float(self.fit.statistics["sigma2"])
        own, groups = np.zeros(len(self.periods)), np.zeros(len(self.periods))
        members: tuple[IntArray, ...] = ()
        if not self.residuals:
            own, groups, members = _effect_shares(self.fit, self.periods)
        variance = np.zeros(self.y_part.shape)
        own = own + float(outcome)
        if own.any():
            variance += self._spread(parameters)[:, None] * own
        multiplier = self.multiplier(parameters)
        for positions in members:
            inside = np.isin(np.array(self.regions, dtype=object), [self.fit.design.regions[i] for i in positions])
            image = inside.astype(float) if multiplier is None else multiplier.solve(inside.astype(float))
            variance += self._group_variance(positions) * np.outer(image**2, groups)
        return sigma2 * variance

    def _group_variance(self, members: IntArray) -> float:
        """Variance of the mean error of a group over σ²: 1/n_g, more under a spatial error."""
        ones = np.zeros(len(self.fit.design.regions))
        ones[members] = 1.0 / len(members)
        inverse = self._filter
        image = ones if inverse is None else inverse.solve_transposed(ones)
        return float(image @ image)

    @cached_property
    def _filter(self) -> Multiplier | None:
        """(I − λW)^{-1} where the model has a spatial error."""
        error = self.fit.roles.error
        if error is None:
            return None
        return error.engine.multiplier(float(self.fit.estimates.values[self.k + self.q]))

    def _spread(self, parameters: FloatArray) -> FloatArray:
        """(n,) diagonal of KK', K = S^{-1}(I − λW)^{-1}; n solves, CHUNK at a time."""
        multiplier, inverse = self.multiplier(parameters), self._filter
        n = len(self.regions)
        if multiplier is None and inverse is None:
            return np.ones(n)
        if inverse is not None and self.regions != self.fit.design.regions:
            raise OptionError(
                "intervals of a model with a spatial error are for the regions of the sample",
                fix="predict for all regions of the sample, or without interval",
            )
        total = np.zeros(n)
        for start in range(0, n, CHUNK):
            width = min(CHUNK, n - start)
            unit = np.zeros((n, width), order="F")
            unit[np.arange(start, start + width), np.arange(width)] = 1.0
            image = unit if inverse is None else inverse.solve(unit)
            image = image if multiplier is None else multiplier.solve(image)
            total += np.sum(image**2, axis=1)
        return total


def _identity(values: FloatArray) -> FloatArray:
    return values


def _effect_part(fit: Fit) -> Callable[[FloatArray], FloatArray]:
    """values → the part of them that the effects take: values − demeaned values."""

    def part(values: FloatArray) -> FloatArray:
        return values - fit.design.transformation.apply(values) if len(values) else values

    return part


def _effect_shares(fit: Fit, periods: tuple[Period, ...]) -> tuple[FloatArray, FloatArray, tuple[IntArray, ...]]:
    """Var(estimated effects)/σ² = own_t·I + group_t·Σ_g ι_gι_g'/n_g by period, without spatial error.

    With region effects own_t = 1/(periods of the segment); with period effects group_t = 1 − own_t.
    """
    transformation = fit.design.transformation
    segments, groups = transformation.segment_means, transformation.group_means
    share = {fit.design.periods[j]: 1.0 / at.size for at in segments for j in at}
    fallback = 1.0 / segments[0].size if segments else 0.0  # a new period, possible with one segment only
    own = np.array([share.get(period, fallback) for period in periods])
    return own, (1.0 - own) * float(bool(groups)), groups


def _cells(
    fit: Fit, regions: tuple[str, ...], periods: tuple[Period, ...], residuals: bool
) -> Callable[[FloatArray], FloatArray]:
    """(…, n, t) of the sample → the same at the target's regions and periods, matched by id."""
    design = fit.design
    transformation = design.transformation
    need_regions = residuals or transformation.removes_regions or len(transformation.group_means) > 1
    need_periods = residuals or transformation.removes_periods or len(transformation.segment_means) > 1
    row = {region: i for i, region in enumerate(design.regions)}
    column = {period: j for j, period in enumerate(design.periods)}
    lost = [region for region in regions if region not in row] if need_regions else []
    gone = [period for period in periods if period not in column] if need_periods else []
    if lost or gone:
        raise AlignmentError(
            "some regions or periods were not in the sample, so their effects are unknown",
            got=show_labels([*lost, *gone]),
            expected=f"regions such as {show_labels(design.regions, 3)}, periods {show_labels(design.periods, 30)}",
            fix="predict for regions and periods of the sample, or fit with effects that new ones do not need",
        )
    at = np.ix_([row.get(region, 0) for region in regions], [column.get(period, 0) for period in periods])
    return lambda values: values[..., at[0], at[1]]


def _regressors(fit: Fit, x: FloatArray, w: SpatialWeights | None) -> FloatArray:
    """(k, n, t) intercept, X and WX in the order of the terms."""
    design = fit.design
    z = np.ones((len(design.terms), *x.shape[1:]))
    for j, name in enumerate(design.own):
        z[design.own[name]] = x[j]
        if name in design.neighbour:
            assert w is not None
            z[design.neighbour[name]] = w.lag(x[j])
    return z


def formula_text(fit: Fit) -> str:
    spec = getattr(fit, "spec", None)
    return str(spec.formula) if spec is not None else fit.design.formula.text  # type: ignore[union-attr]


def _evaluate(fit: Fit, panel: Panel) -> FloatArray:
    """(kx, n, t) regressors of the fit's formula on another panel; the outcome is not needed."""
    formula = parse_formula(formula_text(fit))
    factors = dict(zip(formula.names, formula.terms, strict=True))
    x = np.stack([evaluate_term(factors[name], panel) for name in fit.design.own])
    holes = [
        f"{name} of {panel.regions[i]} in {panel.periods[j]}"
        for name, values in zip(fit.design.own, x, strict=True)
        for i, j in np.argwhere(~np.isfinite(values))
    ]
    if holes:
        raise MissingCellError(
            f"{len(holes)} regressors to predict with are missing",
            got=show_labels(holes),
            fix="give the panel all regressors of the formula, and a lag its earlier periods",
        )
    return x


def target_weights(
    fit: Fit, regions: tuple[str, ...], weights: SpatialWeights | None
) -> tuple[tuple[SpatialWeights, ...], SpatialWeights | None]:
    """(W of each lag of the outcome, W of the regressors) at the target."""
    roles = fit.roles
    lags = tuple(w for _, w in roles.outcome)
    if weights is not None:
        if len(lags) > 1 or (
            lags and roles.regressors is not None and fit.design.neighbour and lags[0] is not roles.regressors
        ):
            raise OptionError(
                "the model has several W, and one new W cannot stand for all", fix="fit the model again with the new W"
            )
        aligned = weights.align(regions)
        return (aligned,) * len(lags), aligned
    if regions != fit.design.regions and (lags or fit.design.neighbour):
        raise AlignmentError(
            "the regions to predict for are not those of the sample, so the W of the fit does not fit them",
            got=f"{len(regions)} regions",
            expected=f"the {len(fit.design.regions)} regions of the sample",
            fix="give weights=… for these regions, or predict for all regions and keep the ones you need",
        )
    return lags, roles.regressors
