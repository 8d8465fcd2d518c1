"""One object per W that knows its log-determinant, traces and solves, prepared once.

Everything that depends on W only through functions of W asks it: likelihoods, information
matrices, effects. It chooses its method by size and sparsity, says which, and states its error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, TypeAlias

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, eigs, eigsh

from spillover.errors import EstimationError, WeightsError, check_option
from spillover.numerics.cholesky import ADVICE, CholeskyFactory
from spillover.numerics.fill import available_memory, predict_fill
from spillover.numerics.logdet import (
    INNER_SHARE,
    LocalLogDeterminant,
    LogDeterminant,
    SpectralLogDeterminant,
    StochasticLogDeterminant,
    interpolate_log_determinant,
)
from spillover.numerics.multiplier import CholeskySolver, IterativeSolver, Multiplier, OrderedMatrix, Solver
from spillover.numerics.near import NearPowers, near_powers
from spillover.numerics.quadrature import SpectralQuadrature, exact_moments, quadrature
from spillover.numerics.similarity import Similarity, find_similarity
from spillover.numerics.threads import one_blas_thread
from spillover.typing import FloatArray

Method: TypeAlias = Literal["auto", "eigenvalues", "cholesky", "lu", "stochastic"]
METHODS = ("auto", "eigenvalues", "cholesky", "lu", "stochastic")

DENSE_LIMIT = 1_200  # below it n × n work takes less than half a second and 35 MB
EIGEN_LIMIT = 5_000  # above it a dense eigenvalue problem is refused
SPARSE_SHARE = 0.08  # share of non-zeros above which sparse factors fill up and dense algebra wins
FILL_LIMIT = 2e8  # non-zeros of a factor above which one factorisation takes minutes
ENTRY_BYTES = 24  # a non-zero of L and of U with its index
MEMORY_SHARE = 0.6  # of the free memory that factors may take
ADVICE_LIMIT = 100_000  # regions from which CHOLMOD saves minutes
PROBES = 128  # Rademacher vectors for traces that nothing else is known about
ROUGH_PROBES, ROUGH_STEPS = 4, 30  # locate a maximum to a fraction of its standard error
STOCHASTIC_PROBES, STOCHASTIC_STEPS = 32, 50
SCORE_BUDGET = 0.1  # accepted error of the score of ρ, in its own standard deviations
EDGE = 0.02  # of the range of W's spectrum by which a Lanczos estimate of its lower end is extended
GRAM_LIMIT = 5_000  # regions up to which tr G'G is prepared for a range of ρ, so that many fits share it
GRAM_CELL = 0.5  # width in u of that range


@dataclass(frozen=True, eq=False)
class WeightsEngine:
    """Log-determinant, traces and solves of I − ρW for one W.

    Attributes
    ----------
    matrix : (n, n) CSR.
    bounds : open interval of ρ around 0 on which I − ρW is invertible.
    log_determinant : LD(ρ) with derivatives; its `method` and `error` say how it was computed.
    stochastic : Wι = ι (row sums of one).
    solver : what solves with I − ρW.
    advice : what the user could install or choose to be faster, or None.
    """

    matrix: sp.csr_matrix
    bounds: tuple[float, float]
    log_determinant: LogDeterminant
    stochastic: bool
    solver: Solver
    advice: str | None = None
    _multipliers: dict[float, Multiplier] = field(default_factory=dict)
    _grams: dict[float, FloatArray] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """Number of regions."""
        return int(self.matrix.shape[0])

    @property
    def dense(self) -> bool:
        """Whether n is small enough for exact n × n work."""
        return self.n <= DENSE_LIMIT

    @cached_property
    def rough(self) -> WeightsEngine:
        """This engine with an inexact log-determinant, to find where a maximum is before anything is factorised.

        The engine itself when its log-determinant costs the same everywhere.
        """
        exact = self.log_determinant
        return replace(self, log_determinant=exact.rough) if isinstance(exact, LocalLogDeterminant) else self

    def is_precise(self, rho: float, information: float, copies: float) -> bool:
        """Whether the log-determinant is precise enough for an estimate; always so for exact methods.

        Parameters
        ----------
        rho : the estimate.
        information : information on ρ after profiling everything else, −ℓ''(ρ).
        copies : how often LD enters the log-likelihood, T*.

        A stochastic one may add at most a tenth of its standard deviation to the score:
        T* se(tr G) ≤ 0.1 sqrt(I_ρρ). Otherwise the probes are doubled and the answer is False: search again.
        EstimationError when there are as many probes as allowed.
        """
        estimate = self.log_determinant
        if not isinstance(estimate, StochasticLogDeterminant):
            return True
        share = copies * estimate.trace_error(rho) / math.sqrt(max(information, 1e-300))
        if share <= SCORE_BUDGET:
            return True
        if estimate.sharpen():
            return False
        raise EstimationError(
            "the stochastic log-determinant is not precise enough for this sample",
            got=f"an error of {share:.2f} standard deviations of the score at ρ = {rho:.4f}; {estimate.method}",
            expected=f"at most {SCORE_BUDGET}",
            causes=("many periods", "ρ close to the end of its interval", "a dense W"),
            fix="use a sparser W (fewer neighbours, a shorter distance), for which the log-determinant is exact, "
            "or an SLX model, which needs none",
        )

    def multiplier(self, rho: float) -> Multiplier:
        """(I − ρW)^{-1} at ρ; the last few factorisations are kept."""
        if rho not in self._multipliers:
            while len(self._multipliers) >= 2:
                self._multipliers.pop(next(iter(self._multipliers)))
            self._multipliers[rho] = Multiplier(self.matrix, rho, self.solver)
        return self._multipliers[rho]

    def trace_g(self, rho: float) -> float:
        """tr G."""
        return -self.log_determinant.derivatives(rho)[0]

    def trace_g_squared(self, rho: float) -> float:
        """tr G²."""
        return -self.log_determinant.derivatives(rho)[1]

    def trace_gram_g(self, rho: float) -> tuple[float, float]:
        """(tr G'G, its standard error): exact with error 0 when dense, else by few probes.

        tr G'G = tr G² + ½‖G − G'‖²: the first part is known, and the second is small because W is nearly
        symmetric on most maps, so that few Hutchinson probes leave an error far below one per cent.
        """
        if self.dense:
            g = self.multiplier(rho).dense_g
            return float(np.einsum("ij,ij->", g, g)), 0.0
        low, high = self.bounds
        u = math.atanh((2.0 * rho - low - high) / (high - low))
        exact = isinstance(self.log_determinant, SpectralLogDeterminant | LocalLogDeterminant)
        if exact and self.n <= GRAM_LIMIT:
            draws = self._interpolated_asymmetry(u)
        else:
            if rho not in self._grams:
                self._grams[rho] = self._asymmetry(self.multiplier(rho))
            draws = self._grams[rho]
        level = self.trace_g_squared(rho) + float(draws.mean())
        return level, float(draws.std(ddof=1)) / math.sqrt(draws.size)

    def _interpolated_asymmetry(self, u: float) -> FloatArray:
        """The draws of ½‖G − G'‖² at u by a parabola in their logarithm on a fixed cell around u, computed once."""
        cell = round(u / GRAM_CELL)
        nodes = (cell + 0.5 * np.array([-0.8660254, 0.0, 0.8660254])) * GRAM_CELL
        if cell not in self._grams:
            low, high = self.bounds
            rhos = (low + high) / 2.0 + (high - low) / 2.0 * np.tanh(nodes)
            self._grams[cell] = np.log(np.stack([self._asymmetry(self._passing(float(rho))) for rho in rhos]) + 1e-300)
        shares = [np.prod([(u - b) / (a - b) for b in nodes if b != a]) for a in nodes]
        return np.asarray(np.exp(np.array(shares) @ self._grams[cell]))

    def _passing(self, rho: float) -> Multiplier:
        """A multiplier that is not kept."""
        return Multiplier(self.matrix, rho, self.solver)

    def _asymmetry(self, multiplier: Multiplier) -> FloatArray:
        """Draws of ½‖(G − G')z‖², one for each probe."""
        with one_blas_thread():
            probes = self.probes(int(np.clip(100_000 // self.n, 4, 32)))
            gap = multiplier.apply_g(probes) - multiplier.apply_g_transposed(probes)
        return np.asarray(0.5 * np.einsum("ij,ij->j", gap, gap))

    @cached_property
    def near(self) -> NearPowers:
        """The first powers of W on one sparse pattern, for sums over near pairs of regions."""
        return near_powers(self.matrix)

    def probes(self, count: int = PROBES) -> FloatArray:
        """(n, count) Rademacher vectors from a fixed seed, so that results are reproducible."""
        rng = np.random.Generator(np.random.PCG64(20_260_101))
        return np.asarray(rng.integers(0, 2, size=(self.n, count)) * 2.0 - 1.0, order="F")


def prepare_engine(matrix: sp.csr_matrix, method: Method = "auto") -> WeightsEngine:
    """Choose and prepare the methods for W.

    Parameters
    ----------
    matrix : (n, n) CSR.
    method : "auto": all eigenvalues for n ≤ 1,200 (filled W: 5,000); sparse factors for larger n, Cholesky by
        CHOLMOD when W has a symmetric form and the extra is installed, else LU; stochastic quadrature when factors
        would have more than 2e8 non-zeros or not fit into memory. Or one of them by name.

    Cost: n ≤ 1,200 one eigenvalue problem, else 120 products with W; factorisations happen where they are needed.
    Raises WeightsError for W without links; EstimationError when a method chosen by name is not available or
    needs more memory than there is.
    """
    check_option("method", method, METHODS)
    if matrix.nnz == 0:
        raise WeightsError(
            "W has no links at all",
            expected="at least one pair of neighbours",
            fix="use a longer reach, or model='ols'",
        )
    row_sums = np.asarray(matrix.sum(axis=1)).ravel()
    stochastic = bool(np.allclose(row_sums, 1.0, rtol=0.0, atol=1e-10))
    similarity = find_similarity(matrix)
    chosen = _choose(matrix, similarity) if method == "auto" else method
    if chosen == "eigenvalues":
        return _by_eigenvalues(matrix, similarity, stochastic)
    if chosen == "stochastic":
        return _by_quadrature(matrix, similarity, stochastic)
    return _by_factors(matrix, similarity, stochastic, chosen)


def _choose(matrix: sp.csr_matrix, similarity: Similarity | None) -> Method:
    n = matrix.shape[0]
    filled = matrix.nnz > SPARSE_SHARE * n * n
    if n <= DENSE_LIMIT or (filled and n <= EIGEN_LIMIT):
        return "eigenvalues"
    if filled:
        return "stochastic"
    fill = predict_fill(matrix)
    if fill > FILL_LIMIT or fill * ENTRY_BYTES > MEMORY_SHARE * available_memory():
        return "stochastic"
    return "cholesky" if similarity is not None else "lu"


def _by_eigenvalues(matrix: sp.csr_matrix, similarity: Similarity | None, stochastic: bool) -> WeightsEngine:
    n = matrix.shape[0]
    _check_memory(16.0 * n * n, "all eigenvalues", n, matrix.nnz)
    values = (
        scipy.linalg.eigvalsh(similarity.matrix.toarray())
        if similarity is not None
        else scipy.linalg.eigvals(matrix.toarray(), check_finite=False)
    )
    bounds = _bounds_from_spectrum(values, stochastic)
    width = bounds[1] - bounds[0]
    exact = SpectralLogDeterminant(values, (bounds[0] + 1e-6 * width, bounds[1] - 1e-6 * width))
    solver = OrderedMatrix.of(matrix, similarity is not None or _pattern_is_symmetric(matrix))
    return WeightsEngine(matrix, bounds, exact, stochastic, solver)


def _by_factors(
    matrix: sp.csr_matrix, similarity: Similarity | None, stochastic: bool, method: Method
) -> WeightsEngine:
    n = matrix.shape[0]
    if n > DENSE_LIMIT:
        _check_memory(predict_fill(matrix) * ENTRY_BYTES, "a sparse factor of I − ρW", n, matrix.nnz)
    factory = CholeskyFactory.of(similarity) if similarity is not None and method == "cholesky" else None
    solver: Solver
    with one_blas_thread():
        spread = _spread(matrix, similarity, ROUGH_PROBES, ROUGH_STEPS, exact_moments(matrix, most=2))
        bounds = _bounds_by_lanczos(matrix, similarity, stochastic, spread)
        if factory is not None:
            backend, advice, solver, evaluate = (
                "sparse Cholesky (CHOLMOD)",
                None,
                CholeskySolver(factory),
                factory.log_determinant,
            )
        else:
            ordered = OrderedMatrix.of(matrix, similarity is not None or _pattern_is_symmetric(matrix))
            backend, solver, evaluate = "sparse LU", ordered, ordered.log_determinant
            advice = ADVICE if similarity is not None and n >= ADVICE_LIMIT else None
        guess = StochasticLogDeterminant(spread, lambda p, q: spread, bounds, "Lanczos quadrature")
        rough = interpolate_log_determinant(
            lambda rho: float(guess.value(rho)), bounds, n, "Lanczos quadrature", share=1e-6
        )
    exact = LocalLogDeterminant(evaluate, bounds, n, backend, similarity is not None, rough)
    return WeightsEngine(matrix, bounds, exact, stochastic, solver, advice)


def _by_quadrature(matrix: sp.csr_matrix, similarity: Similarity | None, stochastic: bool) -> WeightsEngine:
    moments = exact_moments(matrix)

    def draw(probes: int, first: int) -> SpectralQuadrature:
        with one_blas_thread():
            return _spread(matrix, similarity, probes, STOCHASTIC_STEPS, moments, first)

    found = draw(STOCHASTIC_PROBES, 0)
    bounds = _bounds_by_lanczos(matrix, similarity, stochastic, found)
    middle, half = (bounds[0] + bounds[1]) / 2.0, (bounds[1] - bounds[0]) / 2.0
    interval = (middle - INNER_SHARE * half, middle + INNER_SHARE * half)
    backend = "stochastic Lanczos quadrature" if similarity is not None else "stochastic Arnoldi quadrature"
    estimate = StochasticLogDeterminant(found, draw, interval, backend)
    advice = "a sparser W (fewer neighbours, a shorter distance) would have an exact log-determinant"
    return WeightsEngine(matrix, bounds, estimate, stochastic, IterativeSolver(matrix, similarity), advice)


def _spread(
    matrix: sp.csr_matrix, similarity: Similarity | None, probes: int, steps: int, moments: FloatArray, first: int = 0
) -> SpectralQuadrature:
    symmetric = similarity is not None
    return quadrature(similarity.matrix if similarity is not None else matrix, symmetric, probes, steps, moments, first)


def _check_memory(needed: float, what: str, n: int, links: int) -> None:
    available = available_memory()
    if needed <= available:
        return
    raise EstimationError(
        "the log-determinant needs more memory than this machine has free",
        got=f"about {needed / 2**30:.1f} GB for {what}: {n} regions with {links} links ({links / n:.0f} per region)",
        expected=f"at most {available / 2**30:.1f} GB",
        causes=("a distance band that reaches too far", "many nearest neighbours"),
        fix="use a sparser W (fewer neighbours, a shorter distance), the stochastic log-determinant, "
        "or an SLX model, which needs no determinant",
    )


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


def _bounds_by_lanczos(
    matrix: sp.csr_matrix, similarity: Similarity | None, stochastic: bool, spread: SpectralQuadrature
) -> tuple[float, float]:
    """The same for large n, on the safe side: a little inside where only estimates of extreme eigenvalues are known.

    −1/‖W‖ is always safe below; a symmetric form allows to go to the lower end of its spectrum, which Lanczos
    steps approach from inside, extended by 2 % of the range.
    """
    norm = min(float(matrix.sum(axis=1).max()), float(matrix.sum(axis=0).max()))
    upper = 1.0 if stochastic else _upper_bound(matrix, similarity, norm)
    if similarity is None:
        return (-1.0 / norm, upper)
    low, high = float(spread.nodes.min()), float(spread.nodes.max())
    edge = max(low - EDGE * (high - low), -1.0 / upper if stochastic else -norm)
    return (1.0 / edge, upper)


def _upper_bound(matrix: sp.csr_matrix, similarity: Similarity | None, norm: float) -> float:
    """The inverse of the largest eigenvalue; the safe 1/‖W‖ when it does not converge."""
    start = np.random.Generator(np.random.PCG64(7)).normal(size=matrix.shape[0])
    options = {"k": 1, "v0": start, "tol": 1e-6, "return_eigenvectors": False, "maxiter": 300}
    try:
        if similarity is not None:
            top = float(eigsh(similarity.matrix, which="LA", **options)[0])
        else:
            top = float(eigs(matrix, which="LR", **options)[0].real)
    except (ArpackNoConvergence, ArpackError):
        return 1.0 / norm
    # The iteration approaches the largest eigenvalue from inside: step back by its tolerance.
    return (1.0 - 1e-5) / top if top > 0 else 1.0 / norm
