"""Likelihoods of random region effects, concentrated to one spatial parameter s and φ.

φ² = σ²/(Tσ_μ² + σ²) in (0, 1] is the weight of differences between regions against differences within them; φ = 1
means no region effects. With region means v̄ and m = nT observations:

    lag ("sar", "sdm"):        S y = Zδ + μ + ε
        ℓ = −(m/2)(ln(2πq/m) + 1) + T ln|S| + (n/2) ln φ²,  q = Σ‖v_t − v̄‖² + φ²T‖v̄‖²,  v = S y − Zδ
    error "both" (Kapoor, Kelejian & Prucha): B(y − Zδ) = μ + ε, the same with v = B(y − Zδ), B for S
    error "idiosyncratic" (Baltagi, Song & Koh): y = Zδ + μ + B⁻¹ε
        ℓ = −(m/2)(ln(2πq/m) + 1) − ½ ln|I + TψBB'| + T ln|B|,  ψ = σ_μ²/σ²,
        q = Σ‖B(u_t − ū)‖² + T (Bū)'(I + TψBB')⁻¹Bū.

Columns are made orthonormal once and residual sums come from triangular factors, so that no accuracy is lost to
normal equations. With period effects n − 1 regions count, the determinants lose the root s = 1, and I + TψBB' loses
the direction ι (this needs Wι = ι).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from scipy.sparse.linalg import splu, spsolve_triangular

from spillover.models.likelihood import log_determinant
from spillover.numerics.engine import WeightsEngine
from spillover.typing import FloatArray


@dataclass(frozen=True, eq=False)
class Profile:
    """What is left at (s, φ) once slopes are concentrated out: q, the determinant part and the slopes of Q."""

    squares: float
    determinants: float
    slopes: FloatArray


@dataclass(frozen=True, eq=False)
class Stack:
    """Orthonormal regressors and the outcome.

    Attributes
    ----------
    columns : (k + 1, n, t) Q then y, region-constant parts included, period means removed where asked.
    factor : (k, k) R with Z = Q R, so that δ = R⁻¹ times the slopes of Q.
    unit_roots : 1 when period means were removed, else 0.
    """

    columns: FloatArray
    factor: FloatArray
    unit_roots: int

    @property
    def shape(self) -> tuple[int, int]:
        """(n, t)."""
        return self.columns.shape[1], self.columns.shape[2]

    @property
    def n_star(self) -> int:
        """Regions that count."""
        return self.shape[0] - self.unit_roots

    @property
    def m(self) -> int:
        """Observations that count, n*T."""
        return self.n_star * self.shape[1]


class RandomLikelihood(Protocol):
    """ℓ(s, φ) with slopes and σ² concentrated out."""

    @property
    def stack(self) -> Stack:
        """The columns."""
        ...

    @property
    def engine(self) -> WeightsEngine | None:
        """Of the W of s; None when there is no spatial parameter."""
        ...

    def profile(self, s: float, phi: float) -> Profile:
        """q, determinants and slopes at (s, φ)."""
        ...

    def rows(self, s: float, phi: float) -> FloatArray:
        """(r, k + 1) rows with the cross-products of the whitened columns."""
        ...

    def innovations(self, s: float, phi: float, slopes: FloatArray) -> FloatArray:
        """(n, t) predictions of ε: the filtered residuals less the best linear prediction of the region effects."""
        ...


def value(likelihood: RandomLikelihood, s: float, phi: float) -> float:
    """ℓ(s, φ)."""
    found = likelihood.profile(s, phi)
    m = likelihood.stack.m
    return -0.5 * m * (np.log(2.0 * np.pi * found.squares / m) + 1.0) + found.determinants


def quasi_demeaned(values: FloatArray, phi: float) -> FloatArray:
    """v_it − (1 − φ) v̄_i for arrays whose last axis is periods."""
    return np.asarray(values - (1.0 - phi) * values.mean(axis=-1, keepdims=True))


def _concentrated(rows: FloatArray, determinants: float) -> Profile:
    """Least squares of the last of some whitened columns on the others."""
    triangle = np.asarray(np.linalg.qr(rows, mode="r"))
    k = triangle.shape[1] - 1
    slopes = scipy.linalg.solve_triangular(triangle[:k, :k], triangle[:k, k])
    return Profile(float(triangle[k, k] ** 2), determinants, np.asarray(slopes))


@dataclass(frozen=True, eq=False)
class SharedFilter:
    """Lag models (the filter acts on y only) and error "both" (it acts on y and Z): same likelihood, other columns."""

    stack: Stack
    engine: WeightsEngine | None
    filters_regressors: bool

    @cached_property
    def _lagged(self) -> FloatArray:
        """(k + 1, n, t) W times the columns that are filtered, zero for the others."""
        columns = self.stack.columns
        lagged = np.zeros_like(columns)
        if self.engine is None:
            return lagged
        start = 0 if self.filters_regressors else len(columns) - 1
        for i in range(start, len(columns)):
            lagged[i] = self.engine.matrix @ columns[i]
        return lagged - lagged.mean(axis=1, keepdims=True) if self.stack.unit_roots else lagged

    @cached_property
    def _factors(self) -> tuple[FloatArray, FloatArray]:
        """Triangular factors of [C, WC] within regions and of √T times its region means."""
        both = np.concatenate([self.stack.columns, self._lagged])
        means = both.mean(axis=2)
        within = (both - means[:, :, None]).reshape(len(both), -1).T
        return (
            np.asarray(np.linalg.qr(within, mode="r")),
            np.asarray(np.linalg.qr(np.sqrt(both.shape[2]) * means.T, mode="r")),
        )

    def rows(self, s: float, phi: float) -> FloatArray:
        """(4k + 4, k + 1): within regions, then φ times between."""
        within, between = self._factors
        p = within.shape[1] // 2
        return np.concatenate([within[:, :p] - s * within[:, p:], phi * (between[:, :p] - s * between[:, p:])])

    def profile(self, s: float, phi: float) -> Profile:
        """One QR of (4k + 4, k + 1)."""
        t = self.stack.shape[1]
        spatial = 0.0 if self.engine is None else float(log_determinant(self.engine, s, self.stack.unit_roots))
        determinants = t * spatial + self.stack.n_star * np.log(phi)
        return _concentrated(self.rows(s, phi), float(determinants))

    def innovations(self, s: float, phi: float, slopes: FloatArray) -> FloatArray:
        """v − (1 − φ²) v̄."""
        filtered = self.stack.columns - s * self._lagged
        v = filtered[-1] - np.tensordot(slopes, filtered[:-1], axes=1)
        return quasi_demeaned(v, phi**2)


@dataclass(frozen=True, eq=False)
class IdiosyncraticError:
    """Error "idiosyncratic": region effects are not spatial, only ε is."""

    stack: Stack
    engine: WeightsEngine

    @cached_property
    def _within(self) -> SharedFilter:
        return SharedFilter(self.stack, self.engine, filters_regressors=True)

    @cached_property
    def _means(self) -> tuple[FloatArray, FloatArray]:
        """((n, k + 1) region means of the columns, W times them)."""
        means = self.stack.columns.mean(axis=2).T
        lagged = np.asarray(self.engine.matrix @ means)
        return means, lagged - lagged.mean(axis=0) if self.stack.unit_roots else lagged

    def rows(self, s: float, phi: float) -> FloatArray:
        """(2k + 2 + n, k + 1): within regions, then the whitened means."""
        return self._whitened(s, phi)[0]

    def profile(self, s: float, phi: float) -> Profile:
        """One QR of the rows and one symmetric factorisation of I + TψBB'."""
        rows, log_size = self._whitened(s, phi)
        t = self.stack.shape[1]
        determinants = t * float(log_determinant(self.engine, s, self.stack.unit_roots)) - 0.5 * log_size
        return _concentrated(rows, determinants)

    def _whitened(self, s: float, phi: float) -> tuple[FloatArray, float]:
        within = self._within._factors[0]
        p = within.shape[1] // 2
        means, lagged = self._means
        between, log_size = self._between(s, phi, means - s * lagged)
        t = self.stack.shape[1]
        return np.concatenate([within[:, :p] - s * within[:, p:], np.sqrt(t) * between]), log_size

    def _between(self, s: float, phi: float, filtered: FloatArray) -> tuple[FloatArray, float]:
        """(root of C'M⁻¹C with M = I + TψBB', ln|M|), without the direction ι after period effects."""
        n = self.engine.n
        system = self._system(s, phi)
        right = np.column_stack([filtered, np.ones(n)])
        if self.engine.dense:
            lower = scipy.linalg.cholesky(system.toarray(), lower=True)
            log_size = 2.0 * float(np.log(np.diag(lower)).sum())
            half = scipy.linalg.solve_triangular(lower, right, lower=True)
        else:
            lu = splu(system, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
            log_size = float(np.log(np.abs(lu.U.diagonal())).sum())
            # Without pivoting the factors are those of Cholesky up to the square root of the diagonal.
            half = spsolve_triangular(lu.L.tocsr(), right[np.argsort(lu.perm_r)], unit_diagonal=True)
            half = half / np.sqrt(lu.U.diagonal())[:, None]
        if not self.stack.unit_roots:
            return np.asarray(half[:, :-1]), log_size
        unit = half[:, -1] / np.linalg.norm(half[:, -1])
        log_size += float(np.log(half[:, -1] @ half[:, -1] / n))
        return np.asarray(half[:, :-1] - np.outer(unit, unit @ half[:, :-1])), log_size

    def innovations(self, s: float, phi: float, slopes: FloatArray) -> FloatArray:
        """B(u − ū) + M⁻¹Bū."""
        u = self.stack.columns[-1] - np.tensordot(slopes, self.stack.columns[:-1], axes=1)
        lagged = np.asarray(self.engine.matrix @ u)
        filtered = u - s * (lagged - lagged.mean(axis=0) if self.stack.unit_roots else lagged)
        mean = filtered.mean(axis=1)
        return np.asarray(filtered + (self._shrunk(s, phi, mean) - mean)[:, None])

    def _shrunk(self, s: float, phi: float, mean: FloatArray) -> FloatArray:
        """M⁻¹ times (n,) means, in the space orthogonal to ι after period effects."""
        lu = splu(self._system(s, phi))
        shrunk = np.asarray(lu.solve(mean))
        if not self.stack.unit_roots:
            return shrunk
        unit = np.asarray(lu.solve(np.ones(len(mean))))
        return shrunk - unit * (shrunk.sum() / unit.sum())

    def _system(self, s: float, phi: float) -> sp.csc_matrix:
        """M = I + TψBB', Tψ = 1/φ² − 1."""
        identity = sp.identity(self.engine.n, format="csr")
        b = identity - s * self.engine.matrix
        return sp.csc_matrix(identity + (1.0 / phi**2 - 1.0) * (b @ b.T))
