"""Lagrange-multiplier test of one strength ρ for all regions, from the model without moderators alone.

Score and information are those of all K lags at (ρ̂, 0, …), so that the test is projected on every other parameter:
    s_k = e'l_k/σ² − T* tr A_k,  LM = s'(I^{-1})_{11} s ~ χ²(K − 1),
A_k = J B_k R, or PB_kS^{-1}P where directions are removed. The raw lag z∘(W y) holds z α_t/(1 − ρ) and rejects a true
null in 99 of 100 panels whose shocks load on z; traces that do not count T* periods reject as often where z̄ ≠ 0.
"""

from __future__ import annotations

import warnings

import numpy as np
from scipy import stats

from spillover.errors import AssumptionWarning, OptionError, check_option
from spillover.inference.hypotheses import HypothesisTest
from spillover.models.covariance import information
from spillover.models.formula import parse_formula
from spillover.models.result import SpatialFit, estimates_at
from spillover.moderators.moderator import Moderator, Moderators
from spillover.moderators.strength_columns import StrengthColumns, Whose, strength_columns
from spillover.panel.panel import Period
from spillover.typing import FloatArray

NULL = "the strength of the spillover is the same in all regions"


def lm_moderated_rho(
    fit: SpatialFit,
    moderators: Moderators,
    *,
    side: Whose = "receiver",
    base: Period | str | None = None,
    trends: bool | None = None,
    robust: bool = False,
) -> HypothesisTest:
    """LM test that ρ does not depend on moderators z.

    Parameters
    ----------
    fit : a SAR or SDM fit with no, individual or two-way effects.
    moderators : expression(s) of the panel's variables; jointly tested.
    side : the "receiver"'s z or the "sender"'s. base : period of z where it changes over time, or "mean".
    trends : whether every period also loses z (and W z, for the sender), as in `fit_moderated_rho`; on by default with
        period effects. Without, the moderated lag is that of deviations from period means.
    robust : with the variance of the score clustered by region instead of the information matrix.

    Raises
    ------
    OptionError : a fit without exactly one W y, or with a spatial error. DesignError : a constant moderator.
    """
    from spillover.moderators.strength import fixed_moderators

    check_option("side", side, ("receiver", "sender"))
    if not isinstance(fit, SpatialFit):
        raise OptionError("the test needs a fit of `spillover.fit`", got=type(fit).__name__)
    if len(fit.roles.outcome) != 1 or fit.roles.error is not None:
        raise OptionError(
            "the test needs a model with one W y and no spatial error",
            got=f"model={fit.spec.model!r}",
            fix="fit model='sar' or 'sdm'",
        )
    found = fixed_moderators(fit.panel, moderators, "mean", base, parse_formula(fit.spec.formula).response)
    loads = np.stack([np.ones(fit.panel.shape[0]), *(z.centred[:, 0] for z in found)])
    names = ("rho", *(f"rho:{z.name}" for z in found))
    with_trends = fit.spec.has_period_effects if trends is None else trends
    columns = strength_columns(fit, loads, names, side, trends=with_trends)
    residuals = columns.design.transformation.apply(fit.residuals)
    for z in found:
        caution = unequal_variances(residuals, z)
        if caution:
            warnings.warn(caution, AssumptionWarning, stacklevel=2)
    return lm_test(fit, columns, NULL, robust=robust)


def unequal_variances(residuals: FloatArray, moderator: Moderator) -> str:
    """A caution when the logarithms of the regions' error variances rise or fall with z (1 % level); empty otherwise.

    The score of ρ_1 holds Σ A_ii e_it², whose mean is right only for equal variances: variances that go with z are
    taken for moderation (Lin & Lee 2010), and no covariance of the score cures that.
    """
    found = stats.linregress(moderator.centred[:, 0], np.log(np.mean(residuals**2, axis=1)))
    if found.pvalue >= 0.01:
        return ""
    return (
        f"error variances {'rise' if found.slope > 0 else 'fall'} with {moderator.name} (p = {found.pvalue:.1g}): a "
        "moderated ρ and its tests take unequal variances for moderation; take logs of the outcome, or moderate the "
        "effect of W x instead"
    )


def lm_test(fit: SpatialFit, columns: StrengthColumns, null: str, *, robust: bool = False) -> HypothesisTest:
    """The test for the lags in `columns`, whose diagonals must span the constant."""
    common = np.asarray(np.linalg.lstsq(columns.loads.T, np.ones(columns.loads.shape[1]), rcond=None)[0], dtype=float)
    projection = columns.projection()
    point, _ = columns.point(projection, np.asarray(fit.rho * common, dtype=float))
    k, count = point.k, columns.count
    first = np.array([term.operator.trace() for term in point.terms])
    lags = point.block[k + 1 :].reshape(count, -1)
    score = lags @ point.residuals.ravel() / point.sigma2 - point.design.transformation.t_star * first
    # With trends (or rounding) the score of the common strength is not exactly zero at ρ̂ of the model without them.
    inverse = information(point).covariance[k:, k:]
    # Directions that leave the common strength: any basis of the space of the K coefficients beside `common`.
    basis = np.linalg.svd(common[None])[2][1:]
    step = basis @ inverse @ score
    if robust:
        spec = fit.spec.with_changes(covariance="cluster", cutoff_km=None, time_lags=None)
        parameters = np.concatenate([np.zeros(k), fit.rho * common])
        variance = basis @ estimates_at(spec, point, parameters, fit.panel).cov[k:, k:] @ basis.T
    else:
        variance = basis @ inverse @ basis.T
    return HypothesisTest.chi2(
        "LM one strength",
        float(step @ np.linalg.solve(variance, step)),
        df=count - 1,
        null=null,
        reference="score test projected on all other parameters" + (", clustered by region" if robust else ""),
        form="robust" if robust else "information",
    )
