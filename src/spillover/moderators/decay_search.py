"""One search for a decay: the maximum, what the residuals say there, and the estimates with their errors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from spillover.inference.estimates import Estimates
from spillover.inference.hypotheses import HypothesisTest, NotApplicable
from spillover.models.robust import cluster_covariance, conley_covariance, driscoll_kraay_covariance
from spillover.moderators.decay_effects import effects_lag, effects_slx
from spillover.moderators.decay_lag import LagLikelihood, LagPoint, with_centred_periods
from spillover.moderators.decay_null import sup_test_lag, sup_test_slx
from spillover.moderators.decay_profile import Interval, Profile, ProfileSearch
from spillover.moderators.decay_slx import SlxLikelihood
from spillover.moderators.distance_design import DistanceDesign
from spillover.moderators.kernel_determinant import KernelDeterminants
from spillover.moderators.kernels import Kernel
from spillover.moderators.residual_checks import ResidualChecks, check_residuals
from spillover.moderators.stacked import ErrorModel, Regression, stacked_covariance
from spillover.typing import FloatArray, Progress

CLOSER = ((1.1, 1.05), (1.25, 1.2), (1.6, 1.2))
"""(factor around the rough decay, margin around the rough interval) that are searched again with precise
log-determinants: the first that holds both, and then the interval that is found."""

FLAT_SHAPE = 1e-3
"""A shape this close to an end of its range counts as fixed there."""


@dataclass(frozen=True)
class DecayTask:
    """What is asked, apart from the data; `limits` are the rates that are searched."""

    model: str
    kernel: Kernel
    row: bool
    limits: tuple[float, float]
    level: float
    draws: int
    seed: int
    progress: Progress


@dataclass(frozen=True, eq=False)
class FoundDecay:
    """The maximum of the profile likelihood; `lag` is None for SLX."""

    design: DistanceDesign
    slx: SlxLikelihood
    lag: LagLikelihood | None
    profile: Profile
    interval: Interval
    evaluations: int

    @property
    def rate_fixed(self) -> bool:
        """The rate is at the edge of the search: it has no error."""
        return self.profile.at_edge

    @property
    def shape_fixed(self) -> bool:
        """The shape is at an end of its range."""
        shapes, shape = self.profile.kernel.shapes, self.profile.shape
        return shapes is not None and (shape - shapes[0] < FLAT_SHAPE or shapes[1] - shape < FLAT_SHAPE)

    @property
    def law_terms(self) -> tuple[str, ...]:
        """Names of the parameters of the law that are estimated."""
        names = self.profile.kernel.searched(self.design.unit)
        return () if self.rate_fixed else names[: 1 if self.shape_fixed else len(names)]

    @cached_property
    def regression(self) -> Regression:
        """SLX at the maximum, the Gauss–Newton columns of the law behind."""
        return self.slx.regression(self.profile.rate, self.profile.shape, len(self.law_terms))

    @cached_property
    def at(self) -> LagPoint:
        """The lag model at the maximum."""
        assert self.lag is not None
        return self.lag.at(self.profile.rate, self.profile.shape, len(self.law_terms))

    @property
    def residuals(self) -> FloatArray:
        """(n, t)."""
        return self.regression.residuals if self.lag is None else self.at.point.residuals

    @cached_property
    def checks(self) -> ResidualChecks:
        """What the residuals say."""
        design = self.design
        z = self.regression.z if self.lag is None else self.at.point.block[: self.at.point.k]
        return check_residuals(
            self.residuals, z, design.geography, design.transformation, design.periods, exact=self.lag is None
        )

    def estimates(self, errors: ErrorModel) -> Estimates:
        """Slopes, ρ and the law, with their covariance."""
        design = self.design
        law = (self.profile.rate, self.profile.shape)[: len(self.law_terms)]
        if self.lag is None:
            found = self.regression
            slopes = (*design.own_terms, *(f"W*{name}" for name in design.lagged))
            names = (*slopes, *self.law_terms)
            rows = found.influence(range(len(names)))
            cov, df, method = stacked_covariance(rows, errors, design.geography)
            return Estimates(names, np.concatenate([found.coefficients[: len(slopes)], law]), cov, df, method)
        point, t = self.at.point, design.shape[1]
        names = (*self.lag.terms, "rho", *self.law_terms)
        if errors.kind == "conley":
            assert errors.cutoff is not None
            cov, df = conley_covariance(point, design.geography.within, errors.cutoff, errors.time_lags)
            df = float(t - 1) if t > 2 else df
            method = f"Conley, {errors.cutoff:.4g} {design.geography.unit}, t({df:g})"
        elif errors.kind == "period":
            cov, df = driscoll_kraay_covariance(point, 0)
            method = "clustered by period"
        else:
            cov, df = cluster_covariance(point)
            method = "clustered by region"
        return Estimates(names, self.at.values, cov, df, method)

    def effects(self, estimates: Estimates) -> Estimates:
        """Direct, indirect and total."""
        rate, shape = self.profile.rate, self.profile.shape
        if self.lag is not None:
            return effects_lag(self.design, estimates, self.at)
        slopes = self.slx.slopes(rate, shape, len(self.law_terms))
        return effects_slx(self.design, estimates, self.slx.weigh(rate, shape), slopes)

    def null_test(self, task: DecayTask) -> HypothesisTest | NotApplicable:
        """sup-LR (lag models: its score form) over the grid of rates, and a few shapes."""
        kernel = task.kernel
        shapes = [kernel.plain_shape]
        if kernel.shapes is not None:
            shapes += [0.5 * (kernel.shapes[0] + kernel.plain_shape), min(2.0 * kernel.plain_shape + 1.0, 3.0)]
        trials = [(float(rate), float(shape)) for rate in self.profile.rates for shape in dict.fromkeys(shapes)]
        if self.lag is None:
            return sup_test_slx(self.slx, trials, task.draws, task.seed)
        return sup_test_lag(self.lag, trials, task.draws, task.seed)

    def statistics(self) -> dict[str, Any]:
        """Log-likelihood, criteria and counts."""
        n, t = self.design.shape
        m = self.design.transformation.m
        slopes = len(self.design.own_terms) + (
            0 if self.lag is not None and not self.lag.durbin else len(self.design.lagged)
        )
        parameters = slopes + 1 + int(self.lag is not None) + self.profile.kernel.count
        loglik = self.profile.value
        found: dict[str, Any] = {
            "log_likelihood": loglik,
            "null_log_likelihood": self.slx.null_value if self.lag is None else self.lag.null_value,
            "sigma2": float(np.sum(self.residuals**2)) / m,
            "aic": -2.0 * loglik + 2.0 * parameters,
            "bic": -2.0 * loglik + parameters * float(np.log(m)),
            "n_regions": n,
            "n_periods": t,
            "n_effective": m,
            "n_parameters": parameters,
            "evaluations": self.evaluations,
        }
        if self.lag is not None:
            found["scale"] = self.at.scale
        return found


def search_decay(task: DecayTask, design: DistanceDesign) -> FoundDecay:
    """The maximum of the profile and its interval."""
    lag = None
    if task.model != "slx":
        centred = design.transformation.removes_periods and not task.row
        design = with_centred_periods(design) if centred else design
        determinants = KernelDeterminants(design.distances, task.kernel, task.row, centred, task.limits, task.progress)
        lag = LagLikelihood(design, determinants, task.model == "sdm")
    slx = SlxLikelihood(design, task.kernel, task.row)
    search = ProfileSearch(slx if lag is None else lag, task.kernel)
    profile = search.maximise(task.limits, task.progress)
    interval = search.interval(profile, task.level)
    evaluations = search.evaluations
    if lag is not None and not lag.determinants.exact:
        profile, interval, more = _look_closer(task, lag, profile, interval)
        evaluations += more
    task.progress("interval", 0.85)
    return FoundDecay(design, slx, lag, profile, interval, evaluations)


def _look_closer(
    task: DecayTask, lag: LagLikelihood, rough: Profile, interval: Interval
) -> tuple[Profile, Interval, int]:
    """The search again inside a window around the rough interval, where interpolated log-determinants are precise."""
    low, high = task.limits
    evaluations = 0
    for factor, margin in CLOSER:
        window = (
            low if interval.low is None else max(low, min(interval.low / margin, rough.rate / factor)),
            high if interval.high is None else min(high, max(interval.high * margin, rough.rate * factor)),
        )
        if factor < CLOSER[-1][0] and window[1] > window[0] * 1.01 * factor**2:
            continue  # the rough interval is too long for it
        lag.determinants.focus(window)
        search = ProfileSearch(lag, task.kernel)
        profile = search.maximise(window, task.progress)
        found = search.interval(profile, task.level)
        evaluations += search.evaluations
        if found.low is not None and found.high is not None:
            break
    inside = replace(
        found,
        low=window[0] if found.low is None and window[0] > low else found.low,
        high=window[1] if found.high is None and window[1] < high else found.high,
    )
    return profile, inside, evaluations
