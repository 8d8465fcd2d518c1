"""Influence rows of several estimates, of one regression or of many, and their joint covariance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

from spillover.errors import DesignError, EstimationError, OptionError, check_option, is_amount
from spillover.models.columns import least_squares
from spillover.models.robust import choose_lags, near_products, wendland_kernel
from spillover.moderators.distances import Distances
from spillover.typing import FloatArray

DistanceCovariance: TypeAlias = Literal["conley", "cluster", "period"]
COVARIANCES = get_args(DistanceCovariance)


@dataclass(frozen=True)
class ErrorModel:
    """How errors may be related.

    Attributes
    ----------
    kind : "conley" (over distance and time), "cluster" (any relation within a region) or "period" (any relation within
        a period, none over time).
    cutoff : distance at which Conley's kernel reaches zero; None until it is known.
    time_lags : lags of its kernel in time; a rule of thumb by default.
    """

    kind: DistanceCovariance = "conley"
    cutoff: float | None = None
    time_lags: int | None = None

    def __post_init__(self) -> None:
        check_option("covariance", self.kind, COVARIANCES)
        if self.cutoff is not None and not is_amount(self.cutoff):
            raise OptionError("cutoff_km is out of range", got=repr(self.cutoff), expected="a distance above zero")


@dataclass(frozen=True, eq=False)
class Regression:
    """Least squares of demeaned data.

    Attributes
    ----------
    coefficients : (k,).
    residuals : (n, t).
    inverse_gram : (k, k).
    z : (k, n, t) regressors.
    rss : residual sum of squares.
    """

    coefficients: FloatArray
    residuals: FloatArray
    inverse_gram: FloatArray
    z: FloatArray
    rss: float

    def influence(self, which: Iterable[int]) -> FloatArray:
        """(n, t, q) rows whose sum is estimate − truth, of the chosen coefficients."""
        weights = self.inverse_gram[list(which)]
        return np.asarray(np.einsum("qk,knt->ntq", weights, self.z, optimize=True) * self.residuals[:, :, None])


def regress(y: FloatArray, z: FloatArray, terms: tuple[str, ...]) -> Regression:
    """y (n, t) on z (k, n, t); collinear terms are refused by name."""
    k = len(z)
    flat = np.concatenate([z, y[None]]).reshape(k + 1, -1).T
    found = least_squares(flat, terms)
    b = found.coefficients[:, 0]
    residuals = y - np.tensordot(b, z, axes=1)
    return Regression(b, residuals, found.inverse_gram, z, float(found.residual_products[0, 0]))


def stacked_covariance(rows: FloatArray, errors: ErrorModel, geography: Distances) -> tuple[FloatArray, float, str]:
    """((q, q) covariance, degrees of freedom, method in words) of estimates with influence rows (n, t, q).

    Conley and period covariances rest on t periods: their t and sup-t quantiles have t − 1 degrees of freedom. With
    fewer than three periods that says nothing, and n − 1 are used.
    """
    n, t, _ = rows.shape
    if errors.kind == "cluster":
        sums = rows.sum(axis=1)
        return sums.T @ sums * n / (n - 1), float(n - 1), "clustered by region"
    if errors.kind == "period":
        if t < 5:
            raise DesignError(
                "errors by period need more periods", got=f"{t} periods", expected="at least 5", fix='use "cluster"'
            )
        sums = rows.sum(axis=0)
        return sums.T @ sums * t / (t - 1), float(t - 1), "clustered by period"
    if errors.cutoff is None:
        raise OptionError("Conley errors need the distance beyond which errors are unrelated", fix="give cutoff_km")
    lags = choose_lags(errors.time_lags, t) if t > 1 else 0
    kernel = wendland_kernel(geography.within(errors.cutoff), errors.cutoff)
    meat = near_products(rows, rows, kernel, lags) * n / (n - 1)
    _check_not_negative(meat)
    df = float(t - 1) if t > 2 else float(n - 1)
    said = f"Conley, {errors.cutoff:.4g} {geography.unit}, {lags} lags in time, t({df:g})"
    return meat, df, said


def _check_not_negative(covariance: FloatArray) -> None:
    """Refuse a covariance with a negative eigenvalue; a singular one is fine: estimates may be functions of others."""
    size = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    smallest = float(np.linalg.eigvalsh(covariance / np.outer(size, size))[0])
    if smallest < -1e-6:
        raise EstimationError(
            "the Conley covariance is not positive definite",
            got=f"smallest eigenvalue {smallest:.3g} of its correlation matrix",
            causes=("distances that are no straight lines: rail or travel time bend the kernel",),
            fix='give the panel a map, so that errors are related over straight distances, or use covariance="cluster"',
        )
