"""Predictions in sample, for new X and for new W, with intervals.

With S = I − ΣρW, Z = [X, WX] and the effects a (region, period or grouped means of S y − Zδ in the sample):

    reduced form   ŷ = S^{-1}(Zδ + a)          what the model expects, spillovers of the outcome included
    trend          Zδ + a                       without the multiplier: what a region would have on its own feedback

With `residuals` a is S y − Zδ itself, cell by cell, so that unchanged data give the observed outcome back and changed
data a counterfactual that keeps every shock: y^cf = S'^{-1}(Z'δ + S y − Zδ). Scenarios share this path.
Goulard, Laurent & Thomas-Agnan (2017, Spatial Economic Analysis 12:304) compare the predictors of the lag model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from spillover.errors import EstimationError, OptionError, check_option
from spillover.models.prediction_target import Target
from spillover.panel.panel import Panel, Period
from spillover.typing import FloatArray
from spillover.weights.weights import SpatialWeights

if TYPE_CHECKING:
    import pandas as pd

    from spillover.models.prediction_target import Fit

KINDS = ("reduced-form", "trend")
MOST_NUMBERS = 5e7  # draws × cells that are held at once, 0.4 GB


@dataclass(frozen=True, eq=False)
class Prediction:
    """Predicted outcomes by region and period.

    Attributes
    ----------
    values : (n, t) in the units of the formula's outcome.
    std_errors, low, high : (n, t), or None without an interval.
    level : share that the interval covers, pointwise.
    of : "mean" (what the model expects) or "outcome" (a new outcome, its own error included).
    discarded : draws of ρ outside its admissible interval; 0 for the delta method.
    """

    response: str
    regions: tuple[str, ...]
    periods: tuple[Period, ...]
    values: FloatArray
    kind: str
    std_errors: FloatArray | None = None
    low: FloatArray | None = None
    high: FloatArray | None = None
    level: float | None = None
    of: str = "mean"
    method: str = "point"
    discarded: int = 0

    def tidy(self) -> pd.DataFrame:
        """One row per region and period: region, period, estimate, std_error, conf_low, conf_high."""
        import pandas as pd

        n, t = self.values.shape
        frame = pd.DataFrame(
            {
                "region": np.repeat(np.array(self.regions, dtype=object), t),
                "period": list(self.periods) * n,
                "estimate": self.values.ravel(),
            }
        )
        if self.low is not None and self.high is not None and self.std_errors is not None:
            frame["std_error"] = self.std_errors.ravel()
            frame["conf_low"], frame["conf_high"] = self.low.ravel(), self.high.ravel()
        return frame


def predict(
    fit: Fit,
    panel: Panel | None = None,
    weights: SpatialWeights | None = None,
    *,
    interval: float | None = None,
    kind: str = "reduced-form",
    of: str = "mean",
    residuals: bool = False,
    draws: int | None = None,
    seed: int = 0,
) -> Prediction:
    """Predict the outcome with its effects, in sample or for new regressors or a new W.

    Parameters
    ----------
    fit : a SpatialFit or StaticFit.
    panel : regressors to predict for; the sample by default. Regions and periods are matched by id: those with an
        effect of their own must have been in the sample.
    weights : a new W for these regions, for every lag of the model; that of the fit by default.
    interval : None, or the level of a pointwise interval, e.g. 0.95.
    kind : "reduced-form" or "trend" (see the module).
    of : "mean", or "outcome" for an interval that includes the error of a new outcome.
    residuals : keep the sample's residuals (counterfactuals); the sample's own data then return the outcome itself.
    draws : None for the delta method, else this many draws of the parameters.
    seed : of the draws; the same seed gives the same numbers.

    Returns
    -------
    Prediction, (n, t).

    Raises
    ------
    AlignmentError : regions or periods without an effect in the sample; a W for other regions.
    MissingCellError : a regressor is missing.

    Errors of the interval: covariance of the coefficients, and the error of the estimated effects (σ²/t for a region
    effect, …), which is independent of it; after `fit_missing` as if every outcome were observed.
    Cost: k + 1 solves of (n, t), n solves for the variances of an interval.
    """
    check_option("kind", kind, KINDS)
    check_option("of", of, ("mean", "outcome"))
    if interval is not None and not 0.0 < interval < 1.0:
        raise OptionError("an interval is a share between 0 and 1", got=str(interval), fix="use 0.95 for 95 %")
    if residuals and of == "outcome":
        raise OptionError("residuals are kept, so there is no new error to include", fix='use of="mean"')
    target = Target.of(fit, panel, weights, kind, residuals)
    parameters = fit.estimates.values
    values = target.values(parameters)
    point = Prediction(fit.design.response, target.regions, target.periods, values, kind, of=of)
    if interval is None:
        return point
    noise = target.noise(of == "outcome")
    if draws is not None:
        return _by_draws(target, point, noise, interval, draws, seed)
    gradient = target.gradient(parameters)
    variance = np.einsum("pit,pq,qit->it", gradient, fit.estimates.cov, gradient, optimize=True)
    errors = np.sqrt(np.maximum(variance + noise, 0.0))
    tail = (1.0 - interval) / 2.0
    half = errors * (stats.norm.isf(tail) if fit.estimates.df is None else stats.t.isf(tail, fit.estimates.df))
    return _with_interval(point, errors, values - half, values + half, interval, "delta method", 0)


def _with_interval(
    point: Prediction,
    errors: FloatArray,
    low: FloatArray,
    high: FloatArray,
    level: float,
    method: str,
    discarded: int,
) -> Prediction:
    return replace(point, std_errors=errors, low=low, high=high, level=level, method=method, discarded=discarded)


def _by_draws(target: Target, point: Prediction, noise: FloatArray, level: float, draws: int, seed: int) -> Prediction:
    if draws < 100 or draws * point.values.size > MOST_NUMBERS:
        raise OptionError(
            "this number of draws is not possible here",
            got=f"{draws} draws of {point.values.size} cells",
            expected=f"100 or more, and at most {MOST_NUMBERS:.0e} numbers in all",
            fix="use the delta method (draws=None), or fewer regions or periods",
        )
    rng = np.random.Generator(np.random.PCG64(seed))
    estimates = target.fit.estimates
    found = rng.multivariate_normal(estimates.values, estimates.cov, size=draws, method="eigh")
    kept = [row for row in found if target.admissible(row)]
    if len(kept) < draws / 2:
        raise EstimationError(
            "more than half of the draws of ρ are outside its admissible interval",
            got=f"{draws - len(kept)} of {draws}",
            fix="ρ is too uncertain for a normal approximation; report the point prediction only",
        )
    sample = np.array([target.values(row) for row in kept])
    sample += rng.standard_normal(sample.shape) * np.sqrt(noise)
    low, high = np.quantile(sample, [(1.0 - level) / 2.0, (1.0 + level) / 2.0], axis=0)
    return _with_interval(
        point, sample.std(axis=0, ddof=1), low, high, level, f"{draws} draws, seed {seed}", draws - len(kept)
    )
