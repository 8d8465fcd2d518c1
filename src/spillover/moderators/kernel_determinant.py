"""ln|I − ρW| of kernel weights at any decay: all eigenvalues, or for many regions those at a few decays in between.

W is κ(D) divided by its largest eigenvalue (or by its row sums), so that ρ = 1 is the upper bound at every decay. The
singular part is ln(1 − ρ); what is left is a smooth function of the log of the rate, and so is interpolated between
Chebyshev nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from scipy.sparse.linalg import ArpackNoConvergence, eigsh

from spillover.errors import EstimationError
from spillover.moderators.decay_slx import normalise
from spillover.moderators.distances import Distances, Pattern
from spillover.moderators.kernels import Kernel
from spillover.numerics.logdet import SpectralLogDeterminant
from spillover.typing import FloatArray, Progress

EXACT_LIMIT = 800
"""Regions up to which all eigenvalues are found at every trial (0.1 s)."""

NODES = 9
EDGE = 1e-6


@dataclass(frozen=True, eq=False)
class MixedLogDeterminant:
    """Σ_j l_j Σ_i ln|1 − ρω_ij| over nodes j with Lagrange weights l_j that sum to one."""

    weights: FloatArray
    parts: tuple[SpectralLogDeterminant, ...]
    interval: tuple[float, float]
    method: str
    error: float

    def value(self, rho: FloatArray | float) -> FloatArray:
        """ln|I − ρW|; O(nodes · n) for each ρ."""
        return np.asarray(sum(w * part.value(rho) for w, part in zip(self.weights, self.parts, strict=True)))

    def derivatives(self, rho: float) -> tuple[float, float]:
        """(−tr G, −tr G²)."""
        found = np.array([part.derivatives(rho) for part in self.parts])
        first, second = self.weights @ found
        return float(first), float(second)


@dataclass(frozen=True, eq=False)
class KernelEngine:
    """What `ConcentratedLikelihood` asks of an engine: bounds and a log-determinant."""

    bounds: tuple[float, float]
    log_determinant: SpectralLogDeterminant | MixedLogDeterminant

    @property
    def rough(self) -> KernelEngine:
        """Itself: every evaluation costs the same."""
        return self

    def is_precise(self, rho: float, information: float, copies: float) -> bool:
        """Interpolation errors are told, not sharpened."""
        return True


@dataclass(eq=False)
class KernelDeterminants:
    """Scaled kernel weights and their log-determinants.

    Attributes
    ----------
    row : rows of sum one instead of one scale for all links.
    limits : rates that are searched; nodes lie between them.
    """

    distances: Distances
    kernel: Kernel
    row: bool
    limits: tuple[float, float]
    progress: Progress
    _nodes: list[tuple[float, SpectralLogDeterminant]] = field(default_factory=list)

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
        if self.row:
            w, scale = normalise(plain, True), 1.0
            return w, scale, self._engine(lambda: _row_spectrum(plain), rate)
        if self.exact:
            values = spectrum(plain)
            scale = float(values.real.max())
            return plain / scale, scale, self._engine(lambda: values / scale, rate)
        scale = top_eigenvalue(plain)
        return plain / scale, scale, self._engine(lambda: spectrum(plain) / scale, rate)

    def _engine(self, values: Callable[[], FloatArray], rate: float) -> KernelEngine:
        if self.exact:
            return _engine_of(values())
        if self.kernel.shapes is not None:
            raise EstimationError(
                f"a lag model with the {self.kernel.law} law needs an eigenvalue problem for every trial",
                got=f"{self.distances.n} regions",
                expected=f"at most {EXACT_LIMIT} for laws with a shape",
                fix='use kernel="exponential" or "power", or model="slx"',
            )
        self._prepare()
        centre, half = np.mean(np.log(self.limits)), np.diff(np.log(self.limits))[0] / 2.0
        at = (np.log(rate) - centre) / half
        nodes = _chebyshev_nodes()
        share = np.array([np.prod([(at - b) / (a - b) for b in nodes if b != a]) for a in nodes])
        parts = tuple(part for _, part in self._nodes)
        low = max(part.interval[0] for part in parts)
        high = min(part.interval[1] for part in parts)
        method = f"eigenvalues at {NODES} decays, interpolated"
        return KernelEngine((low, high), MixedLogDeterminant(share, parts, (low, high), method, 0.0))

    def _prepare(self) -> None:
        """Spectra at the nodes; once."""
        if self._nodes:
            return
        centre, half = np.mean(np.log(self.limits)), np.diff(np.log(self.limits))[0] / 2.0
        for k, node in enumerate(_chebyshev_nodes()):
            rate = float(np.exp(centre + half * node))
            plain = self.plain(rate, 0.0)
            values = _row_spectrum(plain) if self.row else spectrum(plain)
            found = _engine_of(values if self.row else values / values.real.max()).log_determinant
            assert isinstance(found, SpectralLogDeterminant)
            self._nodes.append((rate, found))
            self.progress("log-determinants", 0.5 * (k + 1) / NODES)


def _chebyshev_nodes() -> FloatArray:
    """Extrema of the Chebyshev polynomial on [−1, 1], ends included."""
    return np.asarray(-np.cos(np.pi * np.arange(NODES) / (NODES - 1)))


def _engine_of(values: FloatArray) -> KernelEngine:
    real = values.real[np.abs(values.imag) < 1e-9] if np.iscomplexobj(values) else values
    negative = float(real.min())
    low = 1.0 / negative if negative < 0 else -1.0
    width = 1.0 - low
    return KernelEngine((low, 1.0), SpectralLogDeterminant(values, (low + EDGE * width, 1.0 - EDGE * width)))


def spectrum(matrix: Pattern) -> FloatArray:
    """All eigenvalues; real where the matrix is symmetric."""
    dense = matrix if isinstance(matrix, np.ndarray) else matrix.toarray()
    if np.array_equal(dense, dense.T):
        return np.asarray(scipy.linalg.eigvalsh(dense, check_finite=False))
    return np.asarray(scipy.linalg.eigvals(dense, check_finite=False))


def _row_spectrum(plain: Pattern) -> FloatArray:
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
