"""The effect along a path as a number, multilinear in what its arrows and feedbacks contribute.

A path is a product of matrices,  S_y^{-1} B_k S_k^{-1} A_k  for the one through mediator k. Every arrow is a
combination Σ_w c_w W_w, and every S^{-1}(ρ) = Σ_j u_j(ρ) R_j over fixed matrices R_j: at the estimate the inverse and
its derivative, or inverses at nodes between which S^{-1} is interpolated. So tr P / n and ι'Pι / n are a table of
numbers, made once, contracted with the vectors c and u: the table serves values, gradients, thousands of draws, and
every switching on and off of a spatial term.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, TypeAlias

import numpy as np
import scipy.sparse as sp

from spillover.mechanisms.spaces import Space
from spillover.mechanisms.wiring import Feedback, Link
from spillover.typing import FloatArray

MOST_NODES = 40
DRAWS_BLOCK = 4_000_000  # numbers held while draws are contracted


class Axis(Protocol):
    """One direction of a table: what a factor of the path is a combination of."""

    @property
    def size(self) -> int:
        """Length."""
        ...

    @property
    def switchable(self) -> bool:
        """Whether the factor has a spatial term that can be switched off."""
        ...

    def vector(self, theta: FloatArray, on: bool = True) -> FloatArray:
        """(…, size) coefficients at θ (…, k), or those without the spatial term."""
        ...

    def slopes(self, theta: FloatArray, on: bool = True) -> FloatArray:
        """(size, k) derivative of the coefficients at θ (k,)."""
        ...

    def expand(self, space: Space, v: np.ndarray, transposed: bool) -> np.ndarray:
        """(n, g · size, p): every matrix of the axis applied to every one of g vectors, the matrix running fastest."""
        ...


@dataclass(frozen=True, eq=False)
class LinkAxis:
    """An arrow: coefficients c = L θ over its matrices."""

    link: Link

    @property
    def size(self) -> int:
        """Number of matrices."""
        return len(self.link.operators)

    @property
    def switchable(self) -> bool:
        """Something is lagged in space."""
        return not self.link.at_home.all()

    def vector(self, theta: FloatArray, on: bool = True) -> FloatArray:
        """(…, d) coefficients."""
        return np.asarray(theta @ self.slopes(theta, on).T)

    def slopes(self, theta: FloatArray, on: bool = True) -> FloatArray:
        """(d, k) L; only rows of what stays at home when off."""
        return self.link.loadings if on else self.link.loadings * self.link.at_home[:, None]

    def expand(self, space: Space, v: np.ndarray, transposed: bool) -> np.ndarray:
        """Every matrix applied."""
        parts = [v if o is None else space.lag(o, v, transposed) for o in self.link.operators]
        return _interleave(parts)


@dataclass(frozen=True, eq=False)
class NoFeedback:
    """S = I."""

    size: int = 1
    switchable: bool = False

    def vector(self, theta: FloatArray, on: bool = True) -> FloatArray:
        """One."""
        return np.ones((*theta.shape[:-1], 1))

    def slopes(self, theta: FloatArray, on: bool = True) -> FloatArray:
        """Zero."""
        return np.zeros((1, theta.shape[-1]))

    def expand(self, space: Space, v: np.ndarray, transposed: bool) -> np.ndarray:
        """Nothing is applied."""
        return v


@dataclass(frozen=True, eq=False)
class TaylorFeedback:
    """S^{-1} about ρ₀: I, S^{-1}(ρ₀) and its derivative; exact in value and gradient at ρ₀, and at ρ = 0."""

    feedback: Feedback
    rho: float
    size: int = 3
    switchable: bool = True

    def vector(self, theta: FloatArray, on: bool = True) -> FloatArray:
        """(…, 3)."""
        gap = theta[..., self.feedback.position] - self.rho
        one, zero = np.ones_like(gap), np.zeros_like(gap)
        return np.stack([zero, one, gap] if on else [one, zero, zero], axis=-1)

    def slopes(self, theta: FloatArray, on: bool = True) -> FloatArray:
        """(3, k)."""
        found = np.zeros((3, theta.shape[-1]))
        found[2, self.feedback.position] = float(on)
        return found

    def expand(self, space: Space, v: np.ndarray, transposed: bool) -> np.ndarray:
        """v, S^{-1}v, S^{-1}WS^{-1}v."""
        w = self.feedback.weights
        solved = space.solve(w, self.rho, v, transposed)
        return _interleave([v, solved, space.solve(w, self.rho, space.lag(w, solved, transposed), transposed)])


@dataclass(frozen=True, eq=False)
class InterpolatedFeedback:
    """S^{-1}(ρ) between Chebyshev nodes, by the barycentric formula in u = artanh of ρ's place between its bounds.

    In ρ the nearest singularity is the bound, at which u is infinite: as a function of u, S^{-1} of a W with real
    eigenvalues is analytic in |Im u| < π/2, so that few nodes serve any range of draws.
    """

    feedback: Feedback
    nodes: FloatArray
    bounds: tuple[float, float]
    switchable: bool = False

    @property
    def size(self) -> int:
        """Number of nodes."""
        return int(self.nodes.size)

    @cached_property
    def _weights(self) -> FloatArray:
        k = np.arange(self.size)
        return np.asarray((-1.0) ** k * np.sin((2 * k + 1) * np.pi / (2 * self.size)))

    def vector(self, theta: FloatArray, on: bool = True) -> FloatArray:
        """(…, nodes) Lagrange polynomials at ρ."""
        gap = to_line(theta[..., self.feedback.position, None], self.bounds) - self.nodes
        hit = gap == 0.0
        ratios = self._weights / np.where(hit, 1.0, gap)
        ratios = np.where(hit.any(axis=-1, keepdims=True), hit, ratios)
        return np.asarray(ratios / ratios.sum(axis=-1, keepdims=True))

    def slopes(self, theta: FloatArray, on: bool = True) -> FloatArray:
        """Not used: draws need values only."""
        raise NotImplementedError

    def expand(self, space: Space, v: np.ndarray, transposed: bool) -> np.ndarray:
        """S^{-1} at every node."""
        low, high = self.bounds
        rhos = (low + high) / 2.0 + (high - low) / 2.0 * np.tanh(self.nodes)
        return _interleave([space.solve(self.feedback.weights, float(rho), v, transposed) for rho in rhos])


def interpolate(feedback: Feedback, rhos: FloatArray, tolerance: float) -> InterpolatedFeedback:
    """Nodes that cover draws of ρ with a relative error of about `tolerance`."""
    bounds = feedback.weights.engine.bounds
    line = to_line(rhos, bounds)
    middle, half = float(line.max() + line.min()) / 2.0, float(np.ptp(line)) / 2.0
    half = max(half, 1e-6)
    reach = np.pi / 2.0 / half
    count = int(np.clip(np.ceil(-np.log(tolerance) / np.log(reach + np.sqrt(reach**2 + 1.0))), 3, MOST_NODES))
    nodes = middle + half * np.cos((2 * np.arange(count) + 1) * np.pi / (2 * count))
    return InterpolatedFeedback(feedback, nodes, bounds)


def to_line(rho: FloatArray, bounds: tuple[float, float]) -> FloatArray:
    """ρ between its bounds to the real line."""
    low, high = bounds
    return np.asarray(np.arctanh((2.0 * rho - low - high) / (high - low)))


def _interleave(parts: Sequence[np.ndarray]) -> np.ndarray:
    """(n, g · d, p) of d arrays (n, g, p), d running fastest."""
    n, g, p = parts[0].shape
    return np.stack(parts, axis=2).reshape(n, g * len(parts), p) if len(parts) > 1 else parts[0]


Axes: TypeAlias = tuple[Axis, ...]
"""Arrow, feedback, arrow, feedback, … from the treatment to the outcome."""


@dataclass(frozen=True, eq=False)
class PathTable:
    """A path's number as a multilinear form: array with one direction per axis."""

    axes: Axes
    numbers: FloatArray

    def value(self, theta: FloatArray, on: Sequence[bool] | None = None) -> float:
        """The number at θ (k,), with the spatial terms of some axes switched off."""
        switches = [True] * len(self.axes) if on is None else on
        return float(_contract(self.numbers, [a.vector(theta, s) for a, s in zip(self.axes, switches, strict=True)]))

    def gradient(self, theta: FloatArray, on: Sequence[bool] | None = None) -> FloatArray:
        """(k,) derivative at θ."""
        switches = [True] * len(self.axes) if on is None else on
        vectors = [a.vector(theta, s) for a, s in zip(self.axes, switches, strict=True)]
        total = np.zeros(theta.size)
        for i, axis in enumerate(self.axes):
            total += _contract(self.numbers, vectors, keep=i) @ axis.slopes(theta, switches[i])
        return total

    def draws(self, thetas: FloatArray) -> FloatArray:
        """(r,) the numbers at r draws (r, k)."""
        step = max(1, DRAWS_BLOCK // max(self.numbers.size // self.numbers.shape[-1], 1))
        return np.concatenate([self._some(thetas[i : i + step]) for i in range(0, len(thetas), step)])

    def _some(self, thetas: FloatArray) -> FloatArray:
        vectors = [axis.vector(thetas) for axis in self.axes]
        left = self.numbers.reshape(-1, self.axes[-1].size) @ vectors[-1].T
        for axis, vector in zip(self.axes[-2::-1], vectors[-2::-1], strict=True):
            left = np.einsum("adr,rd->ar", left.reshape(-1, axis.size, len(thetas)), vector)
        return np.asarray(left[0])


def _contract(table: FloatArray, vectors: Sequence[FloatArray], keep: int | None = None) -> FloatArray:
    """The table times all vectors, or all but one."""
    for i in range(len(vectors) - 1, -1, -1):
        if i != keep:
            table = np.tensordot(table, vectors[i], axes=([i], [0]))
    return table


def build_tables(paths: Mapping[str, Axes], space: Space) -> dict[str, PathTable]:
    """The tables of several paths in one space; vectors that paths share are computed once.

    The product is cut in its middle: vectors go forward from the treatment through the first half of the axes and
    backward from the outcome through the second, and meet in inner products.
    """
    cuts = {name: (len(axes) + 1) // 2 for name, axes in paths.items()}
    most = max(
        int(np.prod([axis.size for axis in part], dtype=float))
        for name, axes in paths.items()
        for part in (axes[: cuts[name]], axes[cuts[name] :])
    )
    totals: dict[str, np.ndarray] = {}
    for start in space.chunks(2 * most):
        done: dict[tuple[int, ...], np.ndarray] = {}
        for name, axes in paths.items():
            right = _walk(space, start, axes[: cuts[name]], False, done)
            left = _walk(space, start, axes[cuts[name] :][::-1], True, done)
            meet = np.tensordot(left, right, axes=([0, 2], [0, 2])).real
            totals[name] = totals[name] + meet if name in totals else meet
    tables = {}
    for name, axes in paths.items():
        sizes, cut = [axis.size for axis in axes], cuts[name]
        numbers = (space.scale * totals[name]).reshape([*sizes[cut:][::-1], *sizes[:cut]])
        backward, count = len(axes) - cut, len(axes)
        numbers = np.transpose(numbers, [*range(backward, count), *range(backward - 1, -1, -1)])
        tables[name] = PathTable(axes, np.ascontiguousarray(numbers))
    return tables


def build_sparse_tables(paths: Mapping[str, Axes], n: int) -> dict[str, PathTable]:
    """Tables of tr P / n of paths without feedback: products of sparse matrices, exact for any number of regions."""
    tables = {}
    for name, axes in paths.items():
        links = [axis.link for axis in axes if isinstance(axis, LinkAxis)]
        cut = (len(links) + 1) // 2
        right = _multiply(links[:cut], n, transposed=False)
        left = _multiply(links[cut:][::-1], n, transposed=True)
        meet = np.array([[float(a.multiply(b).sum()) for b in right] for a in left]) / n
        sizes = [len(link.operators) for link in links]
        numbers = meet.reshape([*sizes[cut:][::-1], *sizes[:cut]])
        backward, count = len(links) - cut, len(links)
        numbers = np.transpose(numbers, [*range(backward, count), *range(backward - 1, -1, -1)])
        tables[name] = PathTable(axes, numbers.reshape([axis.size for axis in axes]))
    return tables


def _multiply(links: Sequence[Link], n: int, transposed: bool) -> list[sp.csr_matrix]:
    """Every product of one matrix of each arrow, the later arrow's matrix running fastest."""
    found = [sp.identity(n, format="csr")]
    for link in links:
        matrices = [None if o is None else (o.matrix.T if transposed else o.matrix) for o in link.operators]
        found = [product if m is None else sp.csr_matrix(m @ product) for product in found for m in matrices]
    return found


def _walk(
    space: Space, start: np.ndarray, axes: Sequence[Axis], transposed: bool, done: dict[tuple[int, ...], np.ndarray]
) -> np.ndarray:
    """Apply axes one after the other, keeping every stage for other paths."""
    v: np.ndarray = start
    key: tuple[int, ...] = (int(transposed),)
    for axis in axes:
        key = (*key, id(axis))
        if key not in done:
            done[key] = axis.expand(space, v, transposed)
        v = done[key]
    return v
