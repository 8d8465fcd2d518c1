"""Score tests from OLS towards the Durbin model: lag of the outcome, lags of the regressors, each robust to the other.

Robust lag tests from residuals of the SLX model ask another question: they separate ρ from λ inside the Durbin
model. Here the null is the model without any spatial term, and each robust form allows for a local presence of
the other term (Bera & Yoon 1993; Koley & Bera). With u_ρ = d_ρ the centred score of the lag test, I its
information after profiling slopes and σ², and X_W = M_Z(W X):
    u_θ = (W X)'e/σ²,  B = X_W'X_W/σ²,  C = g'X_W/σ²  (g = W Z b, demeaned again),
    LM θ = u_θ'B⁻¹u_θ,   LM ρ = u_ρ²/I,
    robust ρ = (u_ρ − C B⁻¹u_θ)²/(I − C B⁻¹C'),
    robust θ = (u_θ − C'u_ρ/I)'(B − C'C/I)⁻¹(u_θ − C'u_ρ/I),
    joint = LM θ + robust ρ = LM ρ + robust θ,  χ²(k + 1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from spillover.diagnostics.lagrange import _centred_traces, _residuals
from spillover.errors import DesignError
from spillover.inference.hypotheses import HypothesisTest
from spillover.numerics.least_squares import Projection, project
from spillover.numerics.within import Transformation
from spillover.typing import FloatArray

REFERENCE = "Koley & Bera: score tests of the spatial Durbin model; Bera & Yoon (1993, Econometric Theory 9:649)"
SAME_AS_LM_ERROR = "every regressor is lagged: by algebra this is LM error, not separate evidence for a lag"


@dataclass(frozen=True, eq=False)
class _Scores:
    """u_ρ, I, u_θ (k,), B (k, k), C (k,)."""

    rho: float
    rho_information: float
    theta: FloatArray
    theta_information: FloatArray
    cross: FloatArray


def durbin_tests(
    y: FloatArray,
    wy: FloatArray,
    z: FloatArray,
    wx: FloatArray,
    matrix: sp.csr_matrix,
    transformation: Transformation,
    *,
    all_lagged: bool = True,
) -> tuple[HypothesisTest, ...]:
    """LM θ, robust ρ, robust θ and the joint test, for pooled and fixed-effects panels.

    Parameters
    ----------
    y, wy : (n, t) outcome and its spatial lag, demeaned after lagging.
    z : (n t, k) regressors of the model without spatial terms (its intercept included when there are no
        effects), demeaned, periods within regions.
    wx : (n t, q) spatial lags of the regressors under test, demeaned.
    matrix : (n, n) W.
    transformation : which means were removed; the Lee–Yu counts are used whatever its correction.
    all_lagged : whether every regressor has its lag among `wx`.

    Raises
    ------
    DesignError : the regressors are collinear with each other or with their lags.

    Cost: three QR factorisations of (n t, k).
    """
    s = _scores(y, wy, z, wx, matrix, transformation)
    inner = np.linalg.solve(s.theta_information, np.column_stack([s.theta, s.cross]))
    lm_theta = float(s.theta @ inner[:, 0])
    robust_rho = float((s.rho - s.cross @ inner[:, 0]) ** 2 / (s.rho_information - s.cross @ inner[:, 1]))
    gap = s.theta - s.cross * s.rho / s.rho_information
    left = s.theta_information - np.outer(s.cross, s.cross) / s.rho_information
    robust_theta = float(gap @ np.linalg.solve(left, gap))
    k = s.theta.size
    # W Z b is then a combination of W X, which takes it out of both; with Wι ≠ ι the effects remain in W y.
    rows_of_one = bool(np.allclose(np.asarray(matrix.sum(axis=1)).ravel(), 1.0, rtol=0.0, atol=1e-10))
    remark = f" ({SAME_AS_LM_ERROR})" if all_lagged and rows_of_one else ""
    rows: list[tuple[str, float, int, str, str]] = [
        ("LM θ", lm_theta, k, "neighbours' regressors do not matter (all θ = 0), assuming ρ = 0", ""),
        (
            "robust LM ρ (allowing θ)",
            robust_rho,
            1,
            "there is no spatial lag of the outcome (ρ = 0), whatever θ",
            remark,
        ),
        (
            "robust LM θ (allowing ρ)",
            robust_theta,
            k,
            "neighbours' regressors do not matter (all θ = 0), whatever ρ",
            "",
        ),
        ("LM ρ and θ", lm_theta + robust_rho, k + 1, "there is no spillover at all (ρ = 0 and all θ = 0)", ""),
    ]
    return tuple(
        HypothesisTest.chi2(
            name, statistic, df=df, null=null, reference=REFERENCE + note, form="valid", null_model="ols"
        )
        for name, statistic, df, null, note in rows
    )


def _scores(
    y: FloatArray,
    wy: FloatArray,
    z: FloatArray,
    wx: FloatArray,
    matrix: sp.csr_matrix,
    transformation: Transformation,
) -> _Scores:
    exact = transformation.exact
    e, _ = _residuals(y, z)
    sigma2 = float(np.sum(e * e)) / exact.m
    trace, gram = _centred_traces(matrix, exact.centring)
    curvature = exact.t_star * (gram - 2.0 * trace**2 / exact.n_star)
    # W(Zb + effects) = W y − W e: with Wι ≠ ι the period effects do not drop out of W Z b.
    g = wy - exact.remove_means(matrix @ e)
    products = _left_of(z, np.column_stack([wx, g.ravel()]), wx.shape[1]) / sigma2
    return _Scores(
        rho=float(np.sum(e * wy)) / sigma2 - exact.t_star * trace,
        rho_information=float(products[-1, -1]) + curvature,
        theta=np.asarray(wx.T @ e.ravel()) / sigma2,
        theta_information=products[:-1, :-1],
        cross=products[-1, :-1],
    )


def _left_of(z: FloatArray, columns: FloatArray, lags: int) -> FloatArray:
    """Cross-products of what Z leaves of some columns, of which the first `lags` must be independent of Z."""
    k = z.shape[1]
    whole = np.column_stack([z, columns])
    if not isinstance(project(whole[:, : k + lags], k + lags), Projection):
        raise DesignError(
            "the spatial lags of the regressors repeat what the regressors or the effects already say",
            causes=("a regressor that is constant over regions", "a W that makes every lag the mean of all regions"),
            fix="leave that regressor out of the test, or use another W",
        )
    projection = project(whole, k)
    assert isinstance(projection, Projection)
    return projection.residual_products
