"""Lagrange-multiplier tests against a spatial lag and a spatial error, for pooled and fixed-effects panels.

"valid" centres the scores and uses the information of the transformed model, so that the tests have
their size under every kind of effect. "conventional" is the textbook form (Anselin, Le Gallo & Jayet
2008; Elhorst 2014), uncentred and with (n, t) counts: over-sized with fixed effects, for comparison only.

With e = M_Z y, σ² = e'e/m, g = W y − W e demeaned (W Z b where Wι = ι), g⊥ = M_Z g and W centred to
JWJ when period means (of groups) are removed:
    d_ρ = e'Wy/σ² − T* tr W,  d_λ = e'We/σ² − T* tr W,
    K = T*{tr(W'W + WW) − 2 (tr W)²/n*},  I = g⊥'g⊥/σ² + K,
    LM lag = d_ρ²/I,  LM error = d_λ²/K,
    robust lag = (d_ρ − d_λ)²/(I − K),  robust error = (d_λ − d_ρ K/I)²/(K(1 − K/I)).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from spillover.errors import DesignError
from spillover.inference.hypotheses import HypothesisTest
from spillover.numerics.least_squares import Projection, project
from spillover.numerics.within import Centring, Transformation
from spillover.typing import FloatArray

REFERENCES = {
    "valid": "Score test of the transformed model, centred (Lee & Yu 2010 transformation)",
    "conventional": "Anselin, Le Gallo & Jayet (2008); Elhorst (2014)",
}
NULLS = {
    "LM lag": "there is no spatial lag of the outcome (ρ = 0), assuming no spatial error",
    "LM error": "there is no spatial error (λ = 0), assuming no spatial lag",
    "robust LM lag": "there is no spatial lag of the outcome (ρ = 0), whatever the spatial error",
    "robust LM error": "there is no spatial error (λ = 0), whatever the spatial lag",
}


@dataclass(frozen=True)
class _Scores:
    """d_ρ, d_λ, I = `lag` and K = `error`."""

    d_rho: float
    d_lambda: float
    lag: float
    error: float


def lagrange_tests(
    y: FloatArray,
    wy: FloatArray,
    z: FloatArray,
    matrix: sp.csr_matrix,
    transformation: Transformation,
    *,
    form: str = "valid",
    null_model: str = "ols",
) -> tuple[HypothesisTest, ...]:
    """The four tests from demeaned data.

    Parameters
    ----------
    y, wy : (n, t) outcome and its spatial lag, demeaned after lagging.
    z : (n t, k) regressors of the null model (with its intercept when there are no effects), demeaned.
    matrix : (n, n) W.
    form : "valid" or "conventional".
    null_model : "ols" (Z = X) or "slx" (Z = [X, WX]); named in the results.
    """
    scores = _valid(y, wy, z, matrix, transformation) if form == "valid" else _conventional(y, wy, z, matrix)
    statistics = _statistics(scores)
    return tuple(
        HypothesisTest.chi2(
            name, statistic, df=1, null=NULLS[name], reference=REFERENCES[form], form=form, null_model=null_model
        )
        for name, statistic in statistics.items()
    )


def _statistics(s: _Scores) -> dict[str, float]:
    gap = s.lag - s.error
    share = s.error / s.lag
    statistics = {"LM lag": s.d_rho**2 / s.lag, "LM error": s.d_lambda**2 / s.error}
    if gap > 1e-12 * s.lag:  # no power to tell the two apart when W Z b adds nothing to Z
        statistics["robust LM lag"] = (s.d_rho - s.d_lambda) ** 2 / gap
        statistics["robust LM error"] = (s.d_lambda - share * s.d_rho) ** 2 / (s.error * (1.0 - share))
    return statistics


def _residuals(y: FloatArray, z: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(e (n, t), b (k,)) of y on Z."""
    projection = _project(z, y)
    b = projection.coefficients[:, 0]
    return y - (z @ b).reshape(y.shape), b


def _project(z: FloatArray, right: FloatArray) -> Projection:
    projection = project(np.column_stack([z, right.ravel()]), z.shape[1])
    if not isinstance(projection, Projection):
        raise DesignError("the regressors of a specification test are collinear", fix="drop one of them")
    return projection


def _valid(
    y: FloatArray, wy: FloatArray, z: FloatArray, matrix: sp.csr_matrix, transformation: Transformation
) -> _Scores:
    # Size depends on counting what the transformation leaves, whatever the user's choice for estimation.
    exact = transformation.exact
    e, _ = _residuals(y, z)
    sigma2 = float(np.sum(e * e)) / exact.m
    trace, gram = _centred_traces(matrix, exact.centring)
    # W(Zb + effects) = W y − W e: with Wι ≠ ι the period effects do not drop out of W Z b.
    g = wy - exact.remove_means(matrix @ e)
    rest = float(_project(z, g).residual_products[0, 0])
    error = exact.t_star * (gram - 2.0 * trace**2 / exact.n_star)
    return _Scores(
        d_rho=float(np.sum(e * wy)) / sigma2 - exact.t_star * trace,
        d_lambda=float(np.sum(e * (matrix @ e))) / sigma2 - exact.t_star * trace,
        lag=rest / sigma2 + error,
        error=error,
    )


def _conventional(y: FloatArray, wy: FloatArray, z: FloatArray, matrix: sp.csr_matrix) -> _Scores:
    n, t = y.shape
    e, b = _residuals(y, z)
    sigma2 = float(np.sum(e * e)) / (n * t)
    _, gram = _centred_traces(matrix, Centring(matrix.shape[0]))
    rest = float(_project(z, matrix @ (z @ b).reshape(y.shape)).residual_products[0, 0])
    return _Scores(
        d_rho=float(np.sum(e * wy)) / sigma2,
        d_lambda=float(np.sum(e * (matrix @ e))) / sigma2,
        lag=rest / sigma2 + t * gram,
        error=t * gram,
    )


def _centred_traces(matrix: sp.csr_matrix, centring: Centring) -> tuple[float, float]:
    """(tr V, tr(V'V + VV)) for V = W or V = JWJ with J = I − QQ'.

    tr V = −tr Q'WQ,  tr V'V = ‖W‖² − ‖Q'W‖² − ‖WQ‖² + ‖Q'WQ‖²,  tr VV = tr WW − 2 tr Q'WWQ + tr (Q'WQ)².
    """
    gram = float(matrix.multiply(matrix).sum() + matrix.multiply(matrix.T).sum())
    if not centring.active:
        return 0.0, gram
    q = centring.basis
    right, left = sp.csr_matrix(matrix @ q), sp.csr_matrix(matrix.T @ q)  # (n, G) WQ and W'Q
    both = sp.csr_matrix(q.T @ right)
    inner = float(both.multiply(both).sum() + both.multiply(both.T).sum())
    outer = float(right.multiply(right).sum() + left.multiply(left).sum() + 2.0 * left.multiply(right).sum())
    return -float(both.diagonal().sum()), gram - outer + inner
