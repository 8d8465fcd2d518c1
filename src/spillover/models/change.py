"""The change of the outcome that an arbitrary change in X makes, by region and in total."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from spillover.errors import AssumptionWarning, OptionError, UnknownColumnError, did_you_mean, show_labels
from spillover.inference.estimates import Estimates
from spillover.models.formula import parse_formula
from spillover.models.prediction_target import Target, formula_text, target_weights
from spillover.panel.expressions import names_in
from spillover.typing import FloatArray, IntArray
from spillover.weights.weights import SpatialWeights

if TYPE_CHECKING:
    from spillover.models.prediction_target import Fit

MOST_LISTED = 5_000  # regions of one joint covariance, 0.2 GB

Change = FloatArray | Mapping[str, float]


def change(
    fit: Fit,
    changes: Mapping[str, Change],
    weights: SpatialWeights | None = None,
    *,
    regions: Sequence[str] | None = None,
) -> Estimates:
    """ΔY = S^{-1}Σ_r(β_r Δx_r + θ_r W Δx_r) by region and in total, with delta-method errors.

    Parameters
    ----------
    fit : a SpatialFit or StaticFit.
    changes : regressor as the formula names it ("log(lq)") → change in its units: {region: change} (others 0), an
        array (n,) in the order of `fit.design.regions`, or (n, t), which stands for its average over the periods.
    weights : another W at which the change takes place; that of the fit by default.
    regions : regions to list, all by default; the total is over all regions in any case.

    Returns
    -------
    Estimates named by region and "total" (the sum over regions), label "region". Units of the outcome, per period.

    Raises
    ------
    UnknownColumnError : not a regressor, or not a region.
    OptionError : an array of another shape; more than 5,000 regions to list (their joint covariance is dense).

    An outcome in logarithms changes by log points. Cost: k + 2 solves.
    Source: LeSage & Pace (2009, §2.7); the change is exact because the model is linear in X.
    """
    design = fit.design
    listed = _listed(fit, regions)
    lags, for_x = target_weights(fit, design.regions, weights)
    n, k = len(design.regions), len(design.terms)
    parameters = fit.estimates.values
    sources = np.zeros((parameters.size, n))
    for name, given in changes.items():
        step = _change_of(fit, name, given)
        sources[design.own[name]] = step
        if name in design.neighbour:
            assert for_x is not None
            sources[design.neighbour[name]] = for_x.lag(step)
    target = Target(
        fit, "reduced-form", False, design.regions, design.periods, np.zeros((k, 0, 0)), lags, *([np.zeros((0, 0))] * 3)
    )
    multiplier = target.multiplier(parameters)
    gradient = np.zeros((parameters.size, n))
    touched = np.flatnonzero(sources.any(axis=1))
    for row in touched:
        gradient[row] = sources[row] if multiplier is None else multiplier.solve(sources[row])
    moved = parameters[touched] @ gradient[touched]
    for j, w in enumerate(lags):
        assert multiplier is not None
        gradient[k + j] = multiplier.solve(w.lag(moved))
    jacobian = np.vstack([gradient[:, listed].T, gradient.sum(axis=1)])
    names = (*(design.regions[i] for i in listed), "total")
    return Estimates(
        names=names,
        values=np.append(moved[listed], moved.sum()),
        cov=jacobian @ fit.estimates.cov @ jacobian.T,
        df=fit.estimates.df,
        method=f"delta method, {fit.estimates.method}",
        labels={"region": names, "effect": ("change",) * len(names)},
    )


def _listed(fit: Fit, regions: Sequence[str] | None) -> IntArray:
    position = {region: i for i, region in enumerate(fit.design.regions)}
    unknown = [region for region in regions or () if region not in position]
    if unknown:
        raise UnknownColumnError(
            "regions that the fit does not have", got=show_labels(unknown), expected=show_labels(position)
        )
    found = np.array([position[r] for r in (fit.design.regions if regions is None else regions)], dtype=np.int64)
    if found.size > MOST_LISTED:
        raise OptionError(
            "the joint covariance of so many regions would be too large",
            got=f"{found.size} regions: {found.size**2 * 8 / 2**30:.1f} GB",
            expected=f"at most {MOST_LISTED}",
            fix="name the regions to list with regions=[…]; the total is over all regions in any case",
        )
    return found


def _change_of(fit: Fit, name: str, given: Change) -> FloatArray:
    """(n,) change of one regressor, aligned by region id where ids are given."""
    design = fit.design
    if name not in design.own:
        raise UnknownColumnError(
            f"the model has no regressor {name!r}",
            expected=show_labels(design.own, 12),
            fix=did_you_mean(name, design.own) or "name the term as it stands in the formula, e.g. log(lq)",
        )
    _warn_of_relatives(fit, name)
    n, t = design.shape
    if isinstance(given, Mapping) or hasattr(given, "items"):
        amounts = dict(given.items())  # a pandas Series too
        unknown = [region for region in amounts if region not in set(design.regions)]
        if unknown:
            raise UnknownColumnError(
                f"the change of {name!r} names regions that the fit does not have",
                got=show_labels(unknown),
                expected="ids such as " + show_labels(design.regions),
            )
        array = np.array([float(amounts.get(region, 0.0)) for region in design.regions])
    else:
        array = np.asarray(given, dtype=float)
    if array.shape not in ((n,), (n, t)) or not np.isfinite(array).all():
        raise OptionError(
            f"the change of {name!r} is not one finite number per region",
            got=f"shape {array.shape}",
            expected=f"{n} numbers in the order of fit.design.regions, an array ({n}, {t}), or {{region: number}}",
        )
    return array if array.ndim == 1 else array.mean(axis=1)


def _warn_of_relatives(fit: Fit, name: str) -> None:
    """Other terms that use the same variables stay as they are; that is worth saying."""
    formula = parse_formula(formula_text(fit))
    used = {
        term: {v for factor in factors for v in names_in(factor)}
        for term, factors in zip(formula.names, formula.terms, strict=True)
    }
    others = [term for term in fit.design.own if term != name and used[term] & used[name]]
    if others:
        warnings.warn(
            f"{name!r} is changed while {show_labels(others)}, made of the same variables, stays as it is; for the "
            "joint change use predict() on a panel with changed variables",
            AssumptionWarning,
            stacklevel=4,
        )
