"""How strong would something unmeasured have to be? Robustness values, Oster's δ, E-values.

All three are algebra on a fit; they say what it would take, not whether it is there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from spillover.mechanisms.confounding import filtered_response
from spillover.models.covariance import information_covariance
from spillover.models.result import SpatialFit
from spillover.typing import FloatArray

LARGEST_R_SQUARED = 1.3  # Oster's R_max as a multiple of R̃


@dataclass(frozen=True)
class RobustnessValue:
    """Strength of confounding that would undo one coefficient.

    Attributes
    ----------
    partial_r_squared : share of the residual variance of the response that the regressor explains.
    value : share of the residual variance of regressor and response that a confounder would have to explain, of both
        alike, to bring the estimate to zero.
    value_significant : the same to bring it inside its conventional interval at `level`.
    """

    equation: str
    term: str
    statistic: float
    partial_r_squared: float
    value: float
    value_significant: float
    level: float


def robustness_value(
    fit: SpatialFit, equation: str, term: str, level: float = 0.95, share: float = 1.0
) -> RobustnessValue:
    """RV = ½(√(f⁴ + 4f²) − f²), f = share·|t|/√df, from the conventional t of the regressor.

    share : of the estimate that is to be explained away.

    Source: Cinelli & Hazlett (2020), JRSS-B 82:39. The value is a property of the point estimate; `value_significant`
    uses conventional errors, as there.
    """
    position = fit.estimates.index(term)
    df = fit.design.transformation.free_observations - fit.design.k - len(fit.point.terms)
    error = float(np.sqrt(information_covariance(fit.point)[position, position]))
    t = float(fit.estimates.values[position]) / error
    f = share * abs(t) / np.sqrt(df)
    left = f - float(stats.t.isf((1.0 - level) / 2.0, df - 1)) / np.sqrt(df - 1)
    return RobustnessValue(
        equation, term, t, t**2 / (t**2 + df), _robustness(f), _robustness(left) if left > 0 else 0.0, level
    )


def _robustness(f: float) -> float:
    return float(0.5 * (np.sqrt(f**4 + 4.0 * f**2) - f**2))


@dataclass(frozen=True)
class OsterDelta:
    """Selection on unobservables, relative to that on the other regressors, that would undo one coefficient.

    Attributes
    ----------
    short, long : slope of the term alone, and beside the other regressors.
    r_squared_short, r_squared_long, r_squared_most : shares of variance explained; the last by assumption.
    delta : 1 means as much as the other regressors together; NaN where nothing moves.
    """

    equation: str
    term: str
    short: float
    long: float
    r_squared_short: float
    r_squared_long: float
    r_squared_most: float
    delta: float


def oster_delta(fit: SpatialFit, equation: str, term: str, r_squared_most: float | None = None) -> OsterDelta | None:
    """δ at which the coefficient would be zero; None where the equation has no other regressor.

    Region and period effects (and ρ) count as part of the design, not as observed controls. R_max = min(1, 1.3 R̃).

    Source: Oster (2019), Journal of Business & Economic Statistics 37:187, Proposition 3 (no approximation).
    """
    others = [i for i, name in enumerate(fit.design.terms) if i != fit.estimates.index(term) and name != "(Intercept)"]
    if not others:
        return None
    z = fit.design.z
    x, controls = z[:, fit.estimates.index(term)], z[:, others]
    y = filtered_response(fit).ravel()
    if "(Intercept)" in fit.design.terms:
        x, controls, y = x - x.mean(), controls - controls.mean(axis=0), y - y.mean()
    left = x - controls @ np.linalg.lstsq(controls, x, rcond=None)[0]
    short, long = float(x @ y / (x @ x)), float(left @ y / (left @ left))
    total = float(y @ y)
    r_short = 1.0 - float(np.sum((y - short * x) ** 2)) / total
    r_long = 1.0 - float(np.sum(fit.residuals**2)) / total
    most = min(1.0, LARGEST_R_SQUARED * r_long) if r_squared_most is None else r_squared_most
    delta = delta_for(0.0, short, long, r_short, r_long, most, np.array([total, x @ x, left @ left]) / y.size)
    return OsterDelta(equation, term, short, long, r_short, r_long, most, delta)


def delta_for(
    target: float, short: float, long: float, r_short: float, r_long: float, r_most: float, variances: FloatArray
) -> float:
    """δ at which the bias-adjusted slope equals `target`.

    variances : (3,) of the response, of the regressor, and of the regressor given the controls.
    """
    y, x, left = variances
    gap, moved = long - target, short - long
    above = (
        gap * (r_long - r_short) * y * left
        + gap * x * left * moved**2
        + 2.0 * gap**2 * left * moved * x
        + gap**3 * (left * x - left**2)
    )
    below = (
        (r_most - r_long) * y * moved * x
        + gap * (r_most - r_long) * y * (x - left)
        + gap**2 * left * moved * x
        + gap**3 * (left * x - left**2)
    )
    return float(above / below) if below != 0.0 else float("nan")


@dataclass(frozen=True)
class EValue:
    """Risk ratio with which something unmeasured would have to go with treatment and outcome to explain an effect.

    Attributes
    ----------
    standardised : change of the outcome, in its standard deviations, for one standard deviation of the treatment, both
        once effects are removed.
    value, value_limit : for the estimate, and for the end of its interval next to zero (1 where it includes zero).
    """

    term: str
    standardised: float
    value: float
    value_limit: float


def e_value(term: str, effect: float, std_error: float, scale: float) -> EValue:
    """RR ≈ exp(.91 d), E = RR + √(RR(RR − 1)); the limit at exp(.91 |d| − 1.78 se(d)).

    scale : sd of the treatment over sd of the outcome.

    Source: VanderWeele & Ding (2017), Annals of Internal Medicine 167:268.
    """
    d, error = abs(effect) * scale, std_error * scale
    ratio, limit = np.exp(0.91 * d), np.exp(0.91 * d - 1.78 * error)
    return EValue(term, effect * scale, _e(ratio), _e(limit) if limit > 1.0 else 1.0)


def _e(ratio: float) -> float:
    return float(ratio + np.sqrt(ratio * (ratio - 1.0)))
