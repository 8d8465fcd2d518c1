"""Tests between fits: likelihood ratios of nested models, and whether OLS and a spatial error model agree (Hausman).

A likelihood ratio compares two fits of the same outcome, in the same regions and periods, under the same effects and
the same W. Whether one model lies inside the other is checked and not assumed: SDM holds SEM (θ = −ρβ) only if
every regressor is lagged by the W of the outcome and the constant, if there is one, is its own lag.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from spillover.errors import EstimationError, OptionError, show_labels
from spillover.inference.hypotheses import HypothesisTest, NotApplicable
from spillover.numerics.multiplier import Multiplier, OrderedMatrix
from spillover.numerics.within import Transformation
from spillover.typing import FloatArray

if TYPE_CHECKING:
    from spillover.models.result import SpatialFit
    from spillover.weights.weights import SpatialWeights

INSIDE: dict[str, tuple[str, ...]] = {
    "ols": (),
    "slx": ("ols",),
    "sar": ("ols",),
    "sem": ("ols",),
    "sdm": ("ols", "slx", "sar", "sem"),
    "sdem": ("ols", "slx", "sem"),
    "sac": ("ols", "sar", "sem"),
    "gns": ("ols", "slx", "sar", "sem", "sdm", "sdem", "sac"),
}
NULLS = {
    ("sdm", "sar"): "neighbours' regressors do not matter (all θ = 0)",
    ("sdm", "slx"): "there is no spatial lag of the outcome (ρ = 0)",
    ("sdm", "sem"): "the Durbin model reduces to a spatial error model (θ + ρβ = 0)",
    ("sdem", "sem"): "neighbours' regressors do not matter (all θ = 0)",
    ("sdem", "slx"): "there is no spatial error (λ = 0)",
    ("sac", "sar"): "there is no spatial error (λ = 0)",
    ("sac", "sem"): "there is no spatial lag of the outcome (ρ = 0)",
}
LR_REFERENCE = "likelihood ratio; needs independent errors of equal variance"
HAUSMAN_REFERENCE = "Pace & LeSage (2008, Economics Letters 101:282), valid for any W"
ROUNDING = 1e-7  # of |log-likelihood|: two maximisers stop within this of their maxima


def likelihood_ratio(general: SpatialFit, restricted: SpatialFit) -> HypothesisTest:
    """LR = 2(ℓ_general − ℓ_restricted), χ² with as many degrees of freedom as parameters are given up.

    Parameters
    ----------
    general, restricted : fits by maximum likelihood of the same outcome, regions, periods, effects and W.

    Raises
    ------
    OptionError : other data, other effects, another W, or models of which neither holds the other; says which.
    EstimationError : LR is clearly negative, so one of the maxima is not the global one.
    """
    reason = why_not_nested(general, restricted)
    if reason:
        raise OptionError(
            f"{_name(restricted)} is not a special case of {_name(general)} here, so their likelihoods do not compare",
            got=reason,
            fix="fit both models to the same panel with the same formula, effects, correction and W",
        )
    large, small = (float(fit.statistics["log_likelihood"]) for fit in (general, restricted))
    statistic = 2.0 * (large - small)
    if statistic < -ROUNDING * (1.0 + abs(large)):
        raise EstimationError(
            f"the likelihood of {_name(restricted)} is above that of {_name(general)}, which holds it",
            got=f"{small:.6f} against {large:.6f}",
            causes=("one of the two fits stopped at a local maximum",),
            fix="fit again, and report this if it persists",
        )
    df = int(general.statistics["n_parameters"]) - int(restricted.statistics["n_parameters"])
    pair = (general.spec.model, restricted.spec.model)
    default = f"the restrictions that turn {_name(general)} into {_name(restricted)} hold"
    same_terms = set(general.design.own) == set(restricted.design.own)
    return HypothesisTest.chi2(
        f"LR {_name(general)} → {_name(restricted)}",
        max(statistic, 0.0),
        df=df,
        null=NULLS.get(pair, default) if same_terms else default,
        reference=LR_REFERENCE,
        null_model=restricted.spec.model,
    )


def likelihood_ratios(fits: Sequence[SpatialFit]) -> tuple[HypothesisTest, ...]:
    """LR tests of every nested pair among some fits, in the order given; pairs that are not nested are left out."""
    return tuple(
        likelihood_ratio(general, restricted)
        for general in fits
        for restricted in fits
        if general is not restricted and not why_not_nested(general, restricted)
    )


def why_not_nested(general: SpatialFit, restricted: SpatialFit) -> str:
    """Why the second fit is not a special case of the first on the same data; an empty string if it is."""
    return _other_data(general, restricted) or _other_model(general, restricted) or _other_weights(general, restricted)


def _other_data(general: SpatialFit, restricted: SpatialFit) -> str:
    a, b = general.design, restricted.design
    if a.regions != b.regions or a.periods != b.periods:
        odd = sorted(set(map(str, (*a.regions, *a.periods))) ^ set(map(str, (*b.regions, *b.periods))))
        return f"other regions or periods: {show_labels(odd) or 'in another order'}"
    if a.response != b.response or _digest(a.y_raw) != _digest(b.y_raw):
        return f"other outcomes or other data: {a.response!r} and {b.response!r}"
    shared = [name for name in b.own if name in a.own]
    changed = [name for name in shared if _digest(_regressor(a, name)) != _digest(_regressor(b, name))]
    if changed:
        return f"other data of {show_labels(changed)}"
    for what in ("effects", "correction", "groups", "segments"):
        one, other = getattr(general.spec, what), getattr(restricted.spec, what)
        if one != other:
            return f"{what} {one!r} and {other!r}"
    return ""


def _other_model(general: SpatialFit, restricted: SpatialFit) -> str:
    a, b = general.design, restricted.design
    large, small = general.spec.model, restricted.spec.model
    if small != large and small not in INSIDE.get(large, ()):
        return f"{_name(general)} does not hold {_name(restricted)}"
    extra = [term for term in ("(Intercept)", *b.own) if term in b.terms and term not in a.terms]
    extra += [f"W*{name}" for name in b.neighbour if name not in a.neighbour]
    if extra:
        return f"only in {_name(restricted)}: {show_labels(extra)}"
    if int(general.statistics["n_parameters"]) <= int(restricted.statistics["n_parameters"]):
        return "both have the same parameters"
    if (large, small) in (("sdm", "sem"), ("gns", "sem")):
        return _no_common_factor(general, restricted) if large == "sdm" else ""
    return ""


def _no_common_factor(general: SpatialFit, restricted: SpatialFit) -> str:
    """Why (I − λW)(y − Xβ) = ε is not an SDM with these terms; an empty string if it is."""
    a, b = general.design, restricted.design
    unlagged = [name for name in b.own if name not in a.neighbour]
    if unlagged:
        return f"a common factor needs every regressor lagged, and {show_labels(unlagged)} is not"
    weights = general.weights
    if a.transformation.effects == "none" and weights is not None and not weights.rows_sum_to_one:
        return "rows of W do not sum to one, so the lag of the constant is missing from the Durbin model"
    return ""


def _other_weights(general: SpatialFit, restricted: SpatialFit) -> str:
    """Which part has another W; an SDM holds a SEM only if one W does everything."""
    large, small = general.spec, restricted.spec
    a, b = general.roles, restricted.roles
    strange = [name for name, w in b.outcome if _print(w) not in {_print(other) for _, other in a.outcome}]
    if small.has_spatial_lag and strange:
        return f"the W of the outcome is not the same in both: {show_labels(strange)}"
    if small.has_lagged_regressors and _print(a.regressors) != _print(b.regressors):
        return "the W of the regressors is not the same in both"
    if small.has_spatial_error and large.has_spatial_error and _print(a.error) != _print(b.error):
        return "the W of the error is not the same in both"
    if small.has_spatial_error and not large.has_spatial_error:
        used = {_print(b.error), _print(a.regressors), *(_print(w) for _, w in a.outcome)}
        return "a common factor needs one W for outcome, regressors and error" if len(used) > 1 else ""
    return ""


def _print(weights: SpatialWeights | None) -> str:
    """A hash of W with its labels."""
    if weights is None:
        return ""
    matrix = weights.matrix
    parts = (np.asarray(part).tobytes() for part in (matrix.indptr, matrix.indices, matrix.data))
    return hashlib.sha256("\x1f".join(weights.regions).encode() + b"".join(parts)).hexdigest()


def _regressor(design: Any, name: str) -> FloatArray:
    return np.asarray(design.x_raw[list(design.own).index(name)])


def _digest(values: FloatArray) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()


def _name(fit: SpatialFit) -> str:
    return str(fit.spec.model).upper()


# -- Hausman ----------------------------------------------------------------------------------------


def hausman_error_test(
    y: FloatArray,
    z: FloatArray,
    matrix: sp.csr_matrix,
    transformation: Transformation,
    lam: float,
    sigma2: float,
) -> HypothesisTest | NotApplicable:
    """Whether OLS and spatial-error (GLS) slopes agree, as they must if only the errors are spatially related.

    H = d'(V_OLS − V_GLS)⁻¹d, d = b_OLS − b_GLS, V_OLS = σ²(Z'Z)⁻¹Z'B⁻¹B⁻ᵀZ(Z'Z)⁻¹, V_GLS = σ²(Z'B'BZ)⁻¹,
    B = I − λW; χ² with as many degrees of freedom as slopes. The order B⁻¹B⁻ᵀ matters for asymmetric W.

    Parameters
    ----------
    y : (n, t) demeaned outcome.   z : (n t, k) demeaned regressors, periods within regions.
    lam, sigma2 : estimates of the spatial error model, σ² with divisor m.

    Returns
    -------
    `NotApplicable` when V_OLS − V_GLS is not positive definite (λ near zero: the two estimators coincide).
    """
    name = "Hausman OLS–SEM"
    (n, t), k = y.shape, z.shape[1]
    columns = z.T.reshape(k, n, t)
    multiplier = Multiplier(matrix, lam, OrderedMatrix(matrix, None))

    def filtered(values: FloatArray) -> FloatArray:
        return (transformation.remove_means(values - lam * np.asarray(matrix @ values))).ravel()

    def pulled(values: FloatArray) -> FloatArray:
        return (transformation.remove_means(multiplier.solve_transposed(values))).ravel()

    bz = np.column_stack([filtered(x) for x in columns])
    tz = np.column_stack([pulled(x) for x in columns])
    pseudo = np.linalg.pinv(z)  # (Z'Z)⁻¹Z' without the square of the condition number
    ols = pseudo @ y.ravel()
    gls = np.linalg.lstsq(bz, filtered(y), rcond=None)[0]
    triangle = np.asarray(np.linalg.qr(z, mode="r"))
    gram = np.linalg.inv(triangle.T @ triangle)
    gap = sigma2 * (gram @ (tz.T @ tz) @ gram - np.linalg.inv(bz.T @ bz))
    scale = np.sqrt(np.diag(gram))
    if np.linalg.eigvalsh(gap / np.outer(scale, scale)).min() <= 1e-10 * sigma2:
        return NotApplicable(
            name,
            "the difference of the two covariances is not positive definite: λ is so near zero that OLS and "
            "GLS coincide, or a regressor is left unchanged by the filter",
        )
    difference = ols - gls
    return HypothesisTest.chi2(
        name,
        float(difference @ np.linalg.solve(gap, difference)),
        df=k,
        null="OLS and the spatial error model estimate the same slopes",
        reference=HAUSMAN_REFERENCE,
        null_model="sem",
    )


def hausman_error(fit: SpatialFit) -> HypothesisTest | NotApplicable:
    """`hausman_error_test` of a SEM or SDEM fit; `NotApplicable` for other models."""
    if fit.spec.model not in ("sem", "sdem") or fit.roles.error is None:
        return NotApplicable("Hausman OLS–SEM", f"it belongs to spatial error models, not to {_name(fit)}")
    design = fit.design
    return hausman_error_test(
        design.y,
        design.z,
        fit.roles.error.matrix,
        design.transformation,
        fit.estimates["lambda"],
        float(fit.statistics["sigma2"]),
    )
