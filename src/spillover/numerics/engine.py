"""One object per W that knows its log-determinant, traces and solves, prepared once.

Everything that depends on W only through functions of W asks it: likelihoods, information
matrices, effects. It chooses its method by size and sparsity, says which, and states its error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from numpy.polynomial import chebyshev
from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, eigs, eigsh

from spillover.errors import EstimationError, WeightsError
from spillover.numerics.logdet import INNER_SHARE, LogDeterminant, SpectralLogDeterminant, interpolate_log_determinant
from spillover.numerics.multiplier import Multiplier, OrderedMatrix
from spillover.numerics.similarity import symmetric_form
from spillover.numerics.threads import one_blas_thread
from spillover.typing import FloatArray

DENSE_LIMIT = 1_200  # below it n × n work takes less than half a second and 35 MB
EIGEN_LIMIT = 5_000  # above it a dense eigenvalue problem is refused
SPARSE_SHARE = 0.08  # share of non-zeros above which sparse factors fill up and dense algebra wins
PROBES = 128  # Rademacher vectors for tr(G'G) when n > DENSE_LIMIT
GRAM_NODES = 25  # tr(G'G) is needed to the accuracy of its probes, three digits


@dataclass(frozen=True, eq=False)
class WeightsEngine:
    """Log-determinant, traces and solves of I − ρW for one W.

    Attributes
    ----------
    matrix : (n, n) CSR.
    bounds : open interval of ρ around 0 on which I − ρW is invertible.
    log_determinant : LD(ρ) with derivatives; its `method` and `error` say how it was computed.
    stochastic : Wι = ι (row sums of one).
    ordered : W in an order that keeps factors sparse.
    """

    matrix: sp.csr_matrix
    bounds: tuple[float, float]
    log_determinant: LogDeterminant
    stochastic: bool
    ordered: OrderedMatrix
    _multipliers: dict[float, Multiplier] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """Number of regions."""
        return int(self.matrix.shape[0])

    @property
    def dense(self) -> bool:
        """Whether n is small enough for exact n × n work."""
        return self.n <= DENSE_LIMIT

    def multiplier(self, rho: float) -> Multiplier:
        """(I − ρW)^{-1} at ρ; the last few factorisations are kept."""
        if rho not in self._multipliers:
            while len(self._multipliers) >= 2:
                self._multipliers.pop(next(iter(self._multipliers)))
            self._multipliers[rho] = Multiplier(self.matrix, rho, self.ordered)
        return self._multipliers[rho]

    def trace_g(self, rho: float) -> float:
        """tr G."""
        return -self.log_determinant.derivatives(rho)[0]

    def trace_g_squared(self, rho: float) -> float:
        """tr G²."""
        return -self.log_determinant.derivatives(rho)[1]

    def trace_gram_g(self, rho: float) -> tuple[float, float]:
        """(tr G'G, its standard error): exact with error 0 when dense, else by Hutchinson's probes."""
        if self.dense:
            g = self.multiplier(rho).dense_g
            return float(np.einsum("ij,ij->", g, g)), 0.0
        level, error = self._gram_traces(rho)
        return float(np.exp(level)), float(np.exp(error))

    @cached_property
    def _gram_traces(self) -> Callable[[float], FloatArray]:
        """ρ → (ln tr G'G, ln of its standard error), interpolated: one-off, so that no fit pays for the probes."""
        low, high = self.log_determinant.interval
        middle, half = (low + high) / 2.0, (high - low) / 2.0 / INNER_SHARE
        reach = np.arctanh(INNER_SHARE)
        points = np.cos(np.pi * (np.arange(GRAM_NODES) + 0.5) / GRAM_NODES)
        probes = self.probes()
        values = []
        with one_blas_thread():
            for point in points:
                rho = middle + half * float(np.tanh(reach * point))
                images = Multiplier(self.matrix, rho, self.ordered).apply_g(probes)
                draws = (images * images).sum(axis=0)
                values.append((np.log(draws.mean()), np.log(draws.std(ddof=1) / np.sqrt(draws.size))))
        coefficients = chebyshev.chebfit(points, np.array(values), GRAM_NODES - 1)

        def at(rho: float) -> FloatArray:
            return np.asarray(chebyshev.chebval(np.arctanh((rho - middle) / half) / reach, coefficients))

        return at

    @cached_property
    def two_steps(self) -> FloatArray:
        """(n,) diagonal of W²: the weight that comes back to a region in two steps."""
        return np.asarray(self.matrix.multiply(self.matrix.T).sum(axis=1)).ravel()

    def probes(self, count: int = PROBES) -> FloatArray:
        """(n, count) Rademacher vectors from a fixed seed, so that results are reproducible."""
        rng = np.random.Generator(np.random.PCG64(20_260_101))
        return np.asarray(rng.integers(0, 2, size=(self.n, count)) * 2.0 - 1.0, order="F")


def prepare_engine(matrix: sp.csr_matrix) -> WeightsEngine:
    """Choose and prepare the methods for W. Cost: n ≤ 1,200 one eigenvalue problem, else 33–65 sparse LU."""
    n = matrix.shape[0]
    if matrix.nnz == 0:
        raise WeightsError(
            "W has no links at all",
            expected="at least one pair of neighbours",
            fix="use a longer reach, or model='ols'",
        )
    stochastic = bool(np.allclose(np.asarray(matrix.sum(axis=1)).ravel(), 1.0, rtol=0.0, atol=1e-10))
    symmetric = symmetric_form(matrix)
    ordered = OrderedMatrix.of(matrix, symmetric is not None or _pattern_is_symmetric(matrix))
    filled = matrix.nnz > SPARSE_SHARE * n * n
    if n <= DENSE_LIMIT or (filled and n <= EIGEN_LIMIT):
        values = (
            scipy.linalg.eigvalsh(symmetric.toarray())
            if symmetric is not None
            else scipy.linalg.eigvals(matrix.toarray(), check_finite=False)
        )
        bounds = _bounds_from_spectrum(values, stochastic)
        width = bounds[1] - bounds[0]
        log_determinant: LogDeterminant = SpectralLogDeterminant(
            values, (bounds[0] + 1e-6 * width, bounds[1] - 1e-6 * width)
        )
    elif filled:
        raise EstimationError(
            "this W is too dense for its size",
            got=f"{n} regions with {matrix.nnz} links ({matrix.nnz / n:.0f} per region); "
            f"an exact log-determinant would need about {n * n * 8 / 2**30:.1f} GB",
            fix="use a sparser W (k nearest neighbours, a shorter distance) or an SLX model, "
            "which needs no determinant",
        )
    else:
        bounds = _bounds_by_arnoldi(matrix, symmetric, stochastic)

        def evaluate(rho: float) -> float:
            return float(np.log(np.abs(ordered.factorise(rho).U.diagonal())).sum())

        with one_blas_thread():
            log_determinant = interpolate_log_determinant(evaluate, bounds, n, "sparse LU")
    return WeightsEngine(matrix, bounds, log_determinant, stochastic, ordered)


def _pattern_is_symmetric(matrix: sp.csr_matrix) -> bool:
    transposed = sp.csr_matrix(matrix.T)
    transposed.sort_indices()
    return bool(np.array_equal(matrix.indptr, transposed.indptr) and np.array_equal(matrix.indices, transposed.indices))


def _bounds_from_spectrum(values: np.ndarray, stochastic: bool) -> tuple[float, float]:
    """Open interval around 0 free of real 1/ω; LeSage & Pace (2009, §4.3.2) for complex spectra."""
    radius = float(np.abs(values).max())
    if radius < 1e-12:  # nilpotent W: I − ρW is invertible for every ρ
        return (-1.0, 1.0)
    real = values.real[np.abs(values.imag) < 1e-9 * radius] if np.iscomplexobj(values) else values
    negative = real[real < -1e-10 * radius]
    lower = 1.0 / float(negative.min()) if negative.size else -1.0 / radius
    upper = 1.0 if stochastic else 1.0 / float(real[real > 0].max() if (real > 0).any() else radius)
    return (lower, upper)


def _bounds_by_arnoldi(matrix: sp.csr_matrix, symmetric: sp.csr_matrix | None, stochastic: bool) -> tuple[float, float]:
    """The same from a few extreme eigenvalues; the safe −1/‖W‖ when they do not converge."""
    n = matrix.shape[0]
    start = np.random.Generator(np.random.PCG64(7)).normal(size=n)
    norm = float(np.abs(matrix).sum(axis=1).max())
    try:
        if symmetric is not None:
            lower = 1.0 / float(eigsh(symmetric, k=1, which="SA", v0=start, tol=1e-6, return_eigenvectors=False)[0])
            top = eigsh(symmetric, k=1, which="LA", v0=start, tol=1e-6, return_eigenvectors=False)[0]
        else:
            few = eigs(matrix, k=6, which="SR", v0=start, tol=1e-6, return_eigenvectors=False)
            real = few.real[np.abs(few.imag) < 1e-7]
            lower = 1.0 / float(real.min()) if real.size and real.min() < 0 else -1.0 / norm
            top = eigs(matrix, k=1, which="LR", v0=start, tol=1e-6, return_eigenvectors=False)[0].real
        upper = 1.0 if stochastic else 1.0 / float(top)
    except (ArpackNoConvergence, ArpackError):
        return (-1.0 / norm, 1.0 / norm)
    # The iteration approaches extreme eigenvalues from inside: step back by its tolerance.
    return (lower * (1.0 - 1e-5), upper if stochastic else upper * (1.0 - 1e-5))
