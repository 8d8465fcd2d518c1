"""The same model with some courses of time taken out of every region: trends, common factors with loadings of its own.

Courses F (t, r) are removed region by region by changing to coordinates that are orthogonal to them: y Q, X Q with
Q'Q = I, Q'F = 0 and Q'ι = 0. Errors that were independent stay so, and W acts on regions only, so that the transformed
data are t − 1 − r ordinary periods: the argument of Lee & Yu (2010, J. Econometrics 154:165) with F beside ι.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from spillover.audit.replay import Replay, can_replay
from spillover.errors import DesignError
from spillover.models.fit import fit_spec
from spillover.models.result import SpatialFit
from spillover.numerics.within import Transformation
from spillover.panel.panel import Panel
from spillover.typing import Effects, FloatArray

LEAST_PERIODS = 3
ROTATED_COVARIANCES = ("cluster", "cluster-group", "information")
NEGLIGIBLE = 1e-8


@dataclass(frozen=True, eq=False)
class Rotated:
    """A fit without some courses of time.

    Attributes
    ----------
    fit : of t' transformed periods; regressors are named x0, x1, … in the order of the formula.
    names : name in the formula → name in `fit`.
    basis : (t, t') Q.
    """

    fit: SpatialFit
    names: dict[str, str]
    basis: FloatArray


def complement(transformation: Transformation, courses: FloatArray) -> FloatArray:
    """(t, t') orthonormal basis of what is orthogonal to the courses (t, r) and to the means of the segments."""
    t = transformation.t
    means = np.zeros((t, len(transformation.segment_means)))
    for s, periods in enumerate(transformation.segment_means):
        means[periods, s] = 1.0
    taken = np.column_stack([means, courses])
    length = np.linalg.norm(taken, axis=0)
    left, sizes, _ = np.linalg.svd(taken / np.where(length > 0, length, 1.0), full_matrices=True)
    return np.asarray(left[:, int((sizes > NEGLIGIBLE).sum()) :])


def fit_without(fit: SpatialFit, courses: FloatArray) -> Rotated:
    """The model of a fit with courses of time (t, r) removed region by region.

    Period effects (of groups) stay. Errors are clustered by region, or as the fit has them where that does not need the
    order of time.

    Raises
    ------
    DesignError : fewer than three periods would be left. Others as `spillover.fit`.
    """
    spec, design = fit.spec, fit.design
    basis = complement(design.transformation, courses)
    left = basis.shape[1]
    if left < LEAST_PERIODS:
        raise DesignError(
            "too few periods to take courses of time out of every region",
            got=f"{design.shape[1]} periods, {left} left",
            expected=f"at least {LEAST_PERIODS} left",
        )
    names = {name: f"x{i}" for i, name in enumerate(design.own)}
    variables = {"y": design.y_raw @ basis}
    variables |= {short: x @ basis for short, x in zip(names.values(), design.x_raw, strict=True)}
    panel = Panel(design.regions, tuple(range(left)), variables, groups=fit.panel.groups)
    effects: Effects = "time" if spec.has_period_effects else "none"
    tail = "" if spec.has_period_effects else " - 1"
    kind = spec.resolved_covariance
    rotated = spec.with_changes(
        formula="y ~ " + " + ".join(names.values()) + tail,
        effects=effects,
        correction="lee-yu",
        covariance=kind if kind in ROTATED_COVARIANCES else "cluster",
        lagged=None if spec.lagged is None else tuple(names[name] for name in design.neighbour),
        segments=None,
        cutoff_km=None,
        time_lags=None,
    )
    found = fit_spec(
        rotated,
        panel,
        dict(fit.roles.outcome) or fit.roles.regressors or fit.roles.error,
        weights_x=fit.roles.regressors if spec.has_lagged_regressors else None,
        weights_error=fit.roles.error if spec.has_spatial_error else None,
    )
    return Rotated(found, names, basis)


def trend(fit: SpatialFit) -> FloatArray:
    """(t, 1) a straight line in time; gaps between periods count where the periods tell them."""
    from spillover.panel.periods import count_periods

    counts = count_periods(fit.design.periods) or list(range(len(fit.design.periods)))
    line = np.asarray(counts, dtype=float)
    return (line - line.mean())[:, None]


def averages(fit: SpatialFit) -> FloatArray:
    """(t, 1 + kx) means over regions of the outcome and of every regressor: they stand for common factors (Pesaran
    2006, Econometrica 74:967).
    """
    design = fit.design
    raw = np.concatenate([design.y_raw[None], design.x_raw]).mean(axis=1)
    return np.asarray((raw - raw.mean(axis=1, keepdims=True)).T)


def components(fit: SpatialFit, count: int, *, tolerance: float = 1e-7, most: int = 200) -> Rotated:
    """The model with `count` common factors of the errors, each region with loadings of its own.

    Alternates between the factors (principal components of the residuals over time) and the model without them, as in
    Bai (2009, Econometrica 77:1229), with the spatial likelihood of Shi & Lee (2017, J. Econometrics 197:323). W y and
    W X take up a factor on which neighbours load alike, so that the residuals of the model as fitted may not show it,
    and the alternation can stop at a lower maximum. It starts from those residuals, from what the own regressors leave,
    and from outcome and regressors themselves, and the likeliest end is kept.
    """
    ends = []
    for courses in _starts(fit, count):
        first = fit_without(fit, courses)
        estimate = _estimator(fit, first)
        values = first.fit.estimates.values
        for _ in range(most):
            before, residuals = values, _residuals(fit, values)
            courses = _leading(residuals.T @ residuals, count)
            values = estimate(courses)
            if float(np.abs(values - before).max()) < tolerance:
                break
        ends.append(fit_without(fit, courses))
    return max(ends, key=lambda each: float(each.fit.statistics["log_likelihood"]))


def _estimator(fit: SpatialFit, first: Rotated) -> Callable[[FloatArray], FloatArray]:
    """Courses → estimates of the model without them: slopes and ρ alone where the likelihood has a cheap form."""

    def whole(courses: FloatArray) -> FloatArray:
        return fit_without(fit, courses).fit.estimates.values

    if not can_replay(first.fit):
        return whole
    template, design = Replay.of(first.fit), fit.design

    def quick(courses: FloatArray) -> FloatArray:
        basis = complement(design.transformation, courses)
        if basis.shape[1] != template.shape[1]:
            return whole(courses)
        found = template.with_data(design.y_raw @ basis, design.x_raw @ basis).estimate()
        return found if np.isfinite(found).all() else whole(courses)

    return quick


def joint_components(fit: SpatialFit, variable: str, count: int) -> Rotated:
    """The model without the first components over time of outcome and regressor together, region by region.

    The outcome counts with what its own regressors leave. Factors come first and neighbours second, as in the two-stage
    approach of Bailey, Holly & Pesaran (2016, J. Applied Econometrics 31:249): what W y and W X could take up is
    removed before they are estimated. It costs precision, and attenuates a true spillover a little.
    """
    left, regressor = _unexplained(fit), np.asarray(fit.design.block[fit.design.own[variable]])
    products = sum(np.asarray(each.T @ each) / float(np.sum(each**2)) for each in (left, regressor))
    return fit_without(fit, _leading(np.asarray(products), count))


def _starts(fit: SpatialFit, count: int) -> tuple[FloatArray, ...]:
    """(t, count) courses from which the search for factors begins."""
    left = _unexplained(fit)
    design = fit.design
    own = [design.y, *(design.block[at] for at in design.own.values())]
    products = sum(np.asarray(each.T @ each) / float(np.sum(each**2)) for each in own)
    squares = fit.residuals.T @ fit.residuals
    return tuple(_leading(np.asarray(each), count) for each in (squares, left.T @ left, products))


def _leading(products: FloatArray, count: int) -> FloatArray:
    """(t, count) eigenvectors of the largest eigenvalues."""
    return np.asarray(np.linalg.eigh(products)[1][:, -count:])


def _residuals(fit: SpatialFit, values: FloatArray) -> FloatArray:
    """(n, t) residuals in the original periods at other values of slopes and spatial lags; means removed."""
    design = fit.design
    lags = len(fit.roles.outcome)
    block = design.block
    slopes, rhos = values[: design.k], values[design.k : design.k + lags]
    return np.asarray(
        block[design.k]
        - np.tensordot(rhos, block[design.k + 1 : design.k + 1 + lags], axes=1)
        - np.tensordot(slopes, block[: design.k], axes=1)
    )


def first_share(fit: SpatialFit) -> tuple[float, float]:
    """(share of the unexplained variance on its first component over time, the same if errors were independent).

    Unexplained by the regions' own regressors: W y and W X would take up a common factor. The second number is the edge
    of the Marchenko–Pastur law, (1 + √(t*/n*))²/t*; errors that persist from period to period exceed it as well.
    """
    shares, t_star = _component_shares(fit)
    return float(shares[0]), _edge(t_star, fit.design.transformation.exact.n_star)


def standing_out(fit: SpatialFit) -> int:
    """How many components exceed what independent errors of the same size would give, one after the other."""
    shares, t_star = _component_shares(fit)
    n_star, count = fit.design.transformation.exact.n_star, 0
    while count < t_star - 1 and shares[count] > shares[count:].sum() * _edge(t_star - count, n_star):
        count += 1
    return count


def _unexplained(fit: SpatialFit) -> FloatArray:
    """(n, t) what the regions' own regressors leave of the outcome."""
    design = fit.design
    own = design.z[:, [at for at in range(design.k) if at not in design.neighbour.values()]]
    y = design.y.ravel()
    return np.asarray((y - own @ np.linalg.lstsq(own, y, rcond=None)[0]).reshape(design.shape))


def _component_shares(fit: SpatialFit) -> tuple[FloatArray, int]:
    transformation = fit.design.transformation.exact
    left = _unexplained(fit)
    sizes = np.linalg.eigvalsh(left.T @ left)[::-1][: transformation.t_star]
    return sizes / sizes.sum(), transformation.t_star


def _edge(t_star: int, n_star: int) -> float:
    return float((1.0 + np.sqrt(t_star / n_star)) ** 2 / t_star)
