"""ln|I − ρW| of kernel weights at any decay: all eigenvalues, or for many regions those at a few decays in between.

W is κ(D) divided by its largest eigenvalue (or by its row sums), so that ρ = 1 is the upper bound at every decay. Sums
over the spectrum are smooth functions of the log of the rate, and are interpolated between Chebyshev nodes.

Where period means are removed and rows do not sum to one, tr(J ln S) takes the place of ln|S| = tr(ln S), which centres
the score of ρ. ι'ln(S)ι/n comes from Lanczos steps that begin with ι.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import scipy.linalg

from spillover.errors import EstimationError
from spillover.moderators.decay_slx import normalise
from spillover.moderators.distances import Distances, Pattern
from spillover.moderators.kernels import Kernel
from spillover.numerics.quadrature import quadrature, quadrature_of_ones
from spillover.typing import FloatArray, Progress

EXACT_LIMIT = 800
"""Regions up to which all eigenvalues are found at every trial (0.1 s)."""

NODES = 9
FEW_NODES = ((1.25, 4), (1.6, 6))
"""Nodes over a window whose ends differ by less than this factor; they err by 3·10⁻⁵."""

STEPS = 40
EDGE = 1e-6
ROUGH_PROBES = 8
"""Random vectors of the rough log-determinants with which a search begins; it ends with all eigenvalues."""

THREADS = 2
"""Eigenvalue problems at a time: each holds two n × n arrays."""


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
    _rough: bool = True
    _nodes: list[tuple[float, WeightedLogDeterminant]] = field(default_factory=list)

    def focus(self, limits: tuple[float, float]) -> None:
        """Nodes between these rates from now on, with all eigenvalues: nine over a factor of 2.5 err by 10⁻⁵."""
        self.limits = limits
        self._rough = False
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
        scale, mixed = self._interpolated(rate)
        w = normalise(plain, True) if self.row else plain / scale
        return w, scale, _engine(mixed)

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

    def _roughly(self, plain: Pattern) -> tuple[float, WeightedLogDeterminant]:
        """(scale, log-determinant) by Lanczos steps from a few random vectors; for symmetric distances."""
        dense = plain if isinstance(plain, np.ndarray) else plain.toarray()
        if self.row:
            root = 1.0 / np.sqrt(np.maximum(dense.sum(axis=1), 1e-300))
            dense = dense * root[:, None] * root[None, :]
        n = len(dense)
        ones, ones_weights = quadrature_of_ones(dense, True, STEPS)
        scale = float(ones.max())
        moments = np.array([n, 0.0, float(np.sum((dense / scale) ** 2))])
        found = quadrature(dense / scale, True, ROUGH_PROBES, STEPS, moments)  # type: ignore[arg-type]
        nodes = np.minimum(np.append(found.nodes.ravel(), ones / scale), 1.0)
        weights = np.append(n / ROUGH_PROBES * found.weights.ravel(), -ones_weights if self.centred else 0.0 * ones)
        low = 1.0 / min(float(nodes.min()), -1e-6)
        interval = (low + 0.02 * (1.0 - low), 1.0 - EDGE * (1.0 - low))
        return 1.0 if self.row else scale, WeightedLogDeterminant(nodes, weights, interval, "Lanczos quadrature")

    def _interpolated(self, rate: float) -> tuple[float, WeightedLogDeterminant]:
        if self.kernel.shapes is not None:
            raise EstimationError(
                f"a lag model with the {self.kernel.law} law needs an eigenvalue problem for every trial",
                got=f"{self.distances.n} regions",
                expected=f"at most {EXACT_LIMIT} for laws with a shape",
                fix='use kernel="exponential" or "power", or model="slx"',
            )
        places, centre, half = self._places()
        if not self._nodes:
            self._prepare([float(np.exp(centre + half * place)) for place in places])
        at = (np.log(rate) - centre) / half
        shares = [np.prod([(at - b) / (a - b) for b in places if b != a]) for a in places]
        parts = [part for _, part in self._nodes]
        scale = float(np.exp(np.dot(shares, np.log([scale for scale, _ in self._nodes]))))
        return scale, WeightedLogDeterminant(
            np.concatenate([part.nodes for part in parts]),
            np.concatenate([share * part.weights for share, part in zip(shares, parts, strict=True)]),
            (max(part.interval[0] for part in parts), min(part.interval[1] for part in parts)),
            f"eigenvalues at {len(places)} decays, interpolated",
        )

    def _prepare(self, rates: list[float]) -> None:
        rough = self._rough and self.distances.symmetric

        def node(rate: float) -> tuple[float, WeightedLogDeterminant]:
            plain = self.plain(rate, 0.0)
            return self._roughly(plain) if rough else self._spectral(plain)[1:]

        make: Callable[[float], tuple[float, WeightedLogDeterminant]] = node
        with ThreadPoolExecutor(THREADS) as pool:
            for k, found in enumerate(pool.map(make, rates)):
                self._nodes.append(found)
                self.progress("log-determinants", 0.5 * (k + 1) / len(rates))

    def _places(self) -> tuple[FloatArray, float, float]:
        """(nodes in [−1, 1], middle and half-width of the logs of the rates)."""
        low, high = np.log(self.limits)
        enough = [count for factor, count in FEW_NODES if high - low < np.log(factor) and not self._rough]
        count = min(enough, default=NODES)
        places = -np.cos(np.pi * np.arange(count) / (count - 1))
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
