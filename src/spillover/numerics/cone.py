"""Least squares under order constraints: the nearest non-increasing vector in the metric of a covariance."""

from __future__ import annotations

import numpy as np
import scipy.linalg
from scipy.optimize import nnls

from spillover.typing import FloatArray


class FallingCone:
    """{θ : θ_1 ≥ θ_2 ≥ … ≥ θ_B} with the metric V^{-1}; with `floor` also θ_B ≥ 0.

    With θ = Uγ, U upper triangular of ones, the steps γ_1 … γ_{B−1} are not negative and γ_B is free (or not negative).
    """

    def __init__(self, covariance: FloatArray, *, floor: bool = False) -> None:
        size = covariance.shape[0]
        self.floor = floor
        self._steps = np.triu(np.ones((size, size)))
        scale = np.sqrt(np.diag(covariance))
        correlation = covariance / np.outer(scale, scale)
        self._root = scipy.linalg.cholesky(correlation + 1e-12 * np.eye(size), lower=True) * scale[:, None]
        design = scipy.linalg.solve_triangular(self._root, self._steps, lower=True)
        if floor:
            self._free = None
            self._design = design
        else:
            self._free = design[:, -1] / np.linalg.norm(design[:, -1])
            self._norm = float(np.linalg.norm(design[:, -1]))
            self._last = self._free @ design[:, :-1]
            self._design = design[:, :-1] - np.outer(self._free, self._last)

    def project(self, point: FloatArray) -> tuple[FloatArray, float]:
        """(nearest θ in the cone, squared distance to it in the metric)."""
        whitened = scipy.linalg.solve_triangular(self._root, point, lower=True)
        if self._free is None:
            steps, gap = nnls(self._design, whitened)
            return np.asarray(self._steps @ steps), float(gap**2)
        along = float(self._free @ whitened)
        if self._design.shape[1] == 0:
            return point.copy(), 0.0
        steps, gap = nnls(self._design, whitened - along * self._free)
        last = (along - float(self._last @ steps)) / self._norm
        return np.asarray(self._steps @ np.append(steps, last)), float(gap**2)

    def distances(self, points: FloatArray) -> FloatArray:
        """(m,) squared distances of points (m, B) to the cone."""
        whitened = scipy.linalg.solve_triangular(self._root, points.T, lower=True).T
        if self._free is not None:
            whitened = whitened - np.outer(whitened @ self._free, self._free)
            if self._design.shape[1] == 0:
                return np.zeros(len(points))
        return np.array([nnls(self._design, each)[1] ** 2 for each in whitened])


def distance_draws(
    cone: FallingCone, covariance: FloatArray, df: float | None, draws: int, generator: np.random.Generator
) -> FloatArray:
    """(draws,) squared distances to the cone of normal (or multivariate t) vectors around θ = 0, its least favourable
    point: the chi-bar-square law of the test statistic.
    """
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    z = generator.standard_normal((draws, covariance.shape[0])) @ root.T
    if df is not None:
        z *= np.sqrt(df / generator.chisquare(df, size=(draws, 1)))
    return cone.distances(z)
