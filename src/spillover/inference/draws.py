"""Simulation of functions of the parameters: seeded draws from the normal law of the estimates."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from spillover.errors import AssumptionWarning, EstimationError
from spillover.inference.estimates import Estimates
from spillover.inference.seeds import check_seed
from spillover.typing import FloatArray

MANY_DISCARDED = 0.05  # share of inadmissible draws above which a normal law around the estimate is doubtful


@dataclass(frozen=True, eq=False)
class Draws:
    """Values of a function at admissible draws: (r, q), and how many draws were discarded."""

    values: FloatArray
    discarded: int

    def limits(self, level: float) -> FloatArray:
        """(q, 2) percentile interval: right also where the law of the values is skewed, near the bound of ρ."""
        tail = (1.0 - level) / 2.0
        return np.asarray(np.quantile(self.values, [tail, 1.0 - tail], axis=0).T)

    def p_values(self) -> FloatArray:
        """(q,) twice the smaller share of draws on one side of zero."""
        below = (self.values < 0.0).mean(axis=0)
        return np.asarray(np.minimum(2.0 * np.minimum(below, 1.0 - below) + 1.0 / len(self.values), 1.0))

    @property
    def discarded_share(self) -> float:
        """Share of all draws that were not admissible."""
        return self.discarded / (self.discarded + len(self.values))


def simulate_draws(
    function: Callable[[FloatArray], FloatArray],
    estimates: Estimates,
    draws: int,
    seed: int,
    admissible: Callable[[FloatArray], bool],
) -> Draws:
    """f(b*) for b* ~ N(b, V), or multivariate t when the estimates have degrees of freedom.

    Parameters
    ----------
    function : (k,) parameters → (q,) values.
    draws : number of draws, at least 100; inadmissible ones are discarded and counted, never replaced by bounds.
    admissible : whether f is defined at a draw (ρ inside its interval).
    """
    points = draw_points(estimates, draws, seed)
    kept = [function(point) for point in points if admissible(point)]
    if len(kept) < draws / 2:
        raise EstimationError(
            "more than half of the draws are outside the admissible parameters: simulation is meaningless here",
            fix='use method="delta", or look at the profile likelihood',
        )
    return Draws(np.array(kept), draws - len(kept))


def draw_points(estimates: Estimates, draws: int, seed: int) -> FloatArray:
    """(draws, k) parameters from N(b, V), or a multivariate t when the estimates have degrees of freedom.

    V may be singular.

    Raises `EstimationError` for fewer than 100 draws.
    """
    if not isinstance(draws, int | np.integer) or draws < 100:
        raise EstimationError(
            "too few draws for an interval", got=repr(draws), expected="a whole number of at least 100"
        )
    rng = np.random.Generator(np.random.PCG64(check_seed(seed)))
    normal = rng.standard_normal((draws, estimates.values.size))
    if estimates.df is not None:
        normal *= np.sqrt(estimates.df / rng.chisquare(estimates.df, size=(draws, 1)))
    return np.asarray(estimates.values + normal @ _root(estimates.cov).T)


def _root(covariance: FloatArray) -> FloatArray:
    """(k, k) R with RR' = V: triangular, or by eigenvalues where there are fewer clusters than parameters."""
    scale = 1.0 / np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    correlation = covariance * np.outer(scale, scale)
    try:
        root = np.linalg.cholesky(correlation + 1e-14 * np.eye(scale.size))
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(correlation)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
    return np.asarray(root / scale[:, None])


def from_draws(
    point: FloatArray, draws: Draws, names: tuple[str, ...], labels: dict[str, tuple[str, ...]]
) -> Estimates:
    """Estimates at the point estimate with the covariance of the draws; warns when many were discarded."""
    if draws.discarded_share > MANY_DISCARDED:
        warnings.warn(
            f"{100 * draws.discarded_share:.0f} % of the draws were not admissible and were discarded: "
            "a normal law around the estimate does not hold near the bound of ρ",
            AssumptionWarning,
            stacklevel=3,
        )
    method = f"{len(draws.values)} simulated draws, {draws.discarded} discarded"
    return Estimates(names, point, np.atleast_2d(np.cov(draws.values.T)), None, method, labels)
