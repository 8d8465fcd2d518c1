"""ln|I − ρW| of kernel weights at any decay: all eigenvalues, or for many regions those at a few decays in between.

W is κ(D) divided by its largest eigenvalue (or by its row sums), so that ρ = 1 is the upper bound at every decay. Sums
over the spectrum are smooth functions of the log of the rate, and are interpolated between Chebyshev nodes.

Where period means are removed and rows do not sum to one, tr(J ln S) takes the place of ln|S| = tr(ln S), which centres
the score of ρ. ι'ln(S)ι/n comes from Lanczos steps that begin with ι.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from scipy.sparse.linalg import ArpackNoConvergence, eigsh

from spillover.errors import EstimationError
from spillover.moderators.decay_slx import normalise
from spillover.moderators.distances import Distances, Pattern
from spillover.moderators.kernels import Kernel
from spillover.numerics.quadrature import quadrature_of_ones
from spillover.typing import FloatArray, Progress

EXACT_LIMIT = 800
"""Regions up to which all eigenvalues are found at every trial (0.1 s)."""

NODES = 9
STEPS = 40
EDGE = 1e-6


@dataclass(frozen=True, eq=False)
class WeightedLogDeterminant:
    """Σ w ln(1 − ρx) over nodes x (m,) with weights w (m,): eigenvalues with weight one, and what is taken off."""

    nodes: np.ndarray
    weights: np.ndarray
    interval: tuple[float, float]
    method: str
    error: float = 0.0

    def value(self, rho: FloatArray | float) -> FloatArray:
        """The sum, elementwise in ρ; O(m) for each."""
        grid = np.atleast_1d(np.asarray(rho, dtype=float))
        terms = np.log(1.0 - grid[:, None] * self.nodes[None, :])
        return np.asarray((terms @ self.weights).real.reshape(np.shape(rho)))

    def derivatives(self, rho: float) -> tuple[float, float]:
        """First and second derivative in ρ."""
        g = self.nodes / (1.0 - rho * self.nodes)
        return float(-(g @ self.weights).real), float(-((g * g) @ self.weights).real)


@dataclass(frozen=True, eq=False)
class KernelEngine:
    """What `ConcentratedLikelihood` asks of an engine: bounds and a log-determinant."""

    bounds: tuple[float, float]
    log_determinant: WeightedLogDeterminant

    @property
    def rough(self) -> KernelEngine:
        """Itself: every evaluation costs the same."""
        return self

    def is_precise(self, rho: float, information: float, copies: float) -> bool:
        """Nothing here is stochastic."""
        return True


@dataclass(eq=False)
class KernelDeterminants:
    """Scaled kernel weights and their log-determinants.

    Attributes
    ----------
    row : rows of sum one instead of one scale for all links.
    centred : tr(J ln S) instead of ln|S|.
    limits : rates that are searched; nodes lie between them, or in a narrower window once it is known.
    """

    distances: Distances
    kernel: Kernel
    row: bool
    centred: bool
    limits: tuple[float, float]
    progress: Progress
    _nodes: list[WeightedLogDeterminant] = field(default_factory=list)

    def focus(self, limits: tuple[float, float]) -> None:
        """Nodes between these rates from now on: nine over a factor of 2.5 leave an error of 10⁻⁵."""
        self.limits = limits
        self._nodes = []

    @property
    def exact(self) -> bool:
        """All eigenvalues at every trial."""
        return self.distances.n <= EXACT_LIMIT

    def plain(self, rate: float, shape: float) -> Pattern:
        """κ(D), unscaled."""
        return self.distances.weigh(lambda d: self.kernel.value(d, rate, shape))

    def weights(self, rate: float, shape: float) -> tuple[Pattern, float, KernelEngine]:
        """(W, the number κ(D) was divided by (1 for row sums), engine)."""
        plain = self.plain(rate, shape)
        if self.exact:
            w, scale, found = self._spectral(plain)
            return w, scale, _engine(found)
        engine = self._interpolated(rate)
        if self.row:
            return normalise(plain, True), 1.0, engine
        scale = top_eigenvalue(plain)
        return plain / scale, scale, engine

    def _spectral(self, plain: Pattern) -> tuple[Pattern, float, WeightedLogDeterminant]:
        """(W, scale, exact log-determinant)."""
        if self.row:
            return normalise(plain, True), 1.0, _of_spectrum(row_spectrum(plain))
        values = spectrum(plain)
        scale = float(values.real.max())
        w = plain / scale
        found = _of_spectrum(values / scale)
        if self.centred:
            nodes, weights = quadrature_of_ones(w, not np.iscomplexobj(values), STEPS)
            found = WeightedLogDeterminant(
                np.concatenate([found.nodes, nodes]),
                np.concatenate([found.weights, -weights]),
                found.interval,
                found.method,
            )
        return w, scale, found

    def _interpolated(self, rate: float) -> KernelEngine:
        if self.kernel.shapes is not None:
            raise EstimationError(
                f"a lag model with the {self.kernel.law} law needs an eigenvalue problem for every trial",
                got=f"{self.distances.n} regions",
                expected=f"at most {EXACT_LIMIT} for laws with a shape",
                fix='use kernel="exponential" or "power", or model="slx"',
            )
        places, centre, half = self._places()
        if not self._nodes:
            for k, place in enumerate(places):
                plain = self.plain(float(np.exp(centre + half * place)), 0.0)
                self._nodes.append(self._spectral(plain)[2])
                self.progress("log-determinants", 0.5 * (k + 1) / NODES)
        at = (np.log(rate) - centre) / half
        shares = [np.prod([(at - b) / (a - b) for b in places if b != a]) for a in places]
        low = max(node.interval[0] for node in self._nodes)
        high = min(node.interval[1] for node in self._nodes)
        mixed = WeightedLogDeterminant(
            np.concatenate([node.nodes for node in self._nodes]),
            np.concatenate([share * node.weights for share, node in zip(shares, self._nodes, strict=True)]),
            (low, high),
            f"eigenvalues at {NODES} decays, interpolated",
        )
        return _engine(mixed)

    def _places(self) -> tuple[FloatArray, float, float]:
        """(nodes in [−1, 1], middle and half-width of the logs of the rates)."""
        low, high = np.log(self.limits)
        places = -np.cos(np.pi * np.arange(NODES) / (NODES - 1))
        return np.asarray(places), float(low + high) / 2.0, float(high - low) / 2.0


def _engine(found: WeightedLogDeterminant) -> KernelEngine:
    return KernelEngine(found.interval, found)


def _of_spectrum(values: np.ndarray) -> WeightedLogDeterminant:
    """ln|S| from all eigenvalues of a W whose largest is one."""
    real = values.real[np.abs(values.imag) < 1e-9] if np.iscomplexobj(values) else values
    negative = float(real.min())
    low = 1.0 / negative if negative < 0 else -1.0
    width = 1.0 - low
    interval = (low + EDGE * width, 1.0 - EDGE * width)
    return WeightedLogDeterminant(values, np.ones(values.size), interval, "all eigenvalues")


def spectrum(matrix: Pattern) -> np.ndarray:
    """All eigenvalues; real where the matrix is symmetric."""
    dense = matrix if isinstance(matrix, np.ndarray) else matrix.toarray()
    if np.array_equal(dense, dense.T):
        return np.asarray(scipy.linalg.eigvalsh(dense, check_finite=False))
    return np.asarray(scipy.linalg.eigvals(dense, check_finite=False))


def row_spectrum(plain: Pattern) -> np.ndarray:
    """Eigenvalues of the row-standardised matrix; by its symmetric form where distances are symmetric."""
    dense = plain if isinstance(plain, np.ndarray) else plain.toarray()
    sums = dense.sum(axis=1)
    if np.array_equal(dense, dense.T) and (sums > 0).all():
        root = 1.0 / np.sqrt(sums)
        return np.asarray(scipy.linalg.eigvalsh(dense * root[:, None] * root[None, :], check_finite=False))
    normal = normalise(dense, True)
    assert isinstance(normal, np.ndarray)
    return np.asarray(scipy.linalg.eigvals(normal, check_finite=False))


def top_eigenvalue(matrix: Pattern) -> float:
    """Largest eigenvalue of a symmetric non-negative matrix by Lanczos steps; of another by all eigenvalues."""
    symmetric = bool((matrix != matrix.T).sum() == 0) if sp.issparse(matrix) else np.array_equal(matrix, matrix.T)
    if not symmetric:
        return float(spectrum(matrix).real.max())
    try:
        found = eigsh(matrix, k=1, which="LA", v0=np.ones(matrix.shape[0]), tol=1e-12, return_eigenvectors=False)
        return float(found[0])
    except ArpackNoConvergence:
        return float(spectrum(matrix)[-1])
