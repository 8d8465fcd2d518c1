"""The effect of the treatment, path by path: own, spillover, total; values, gradients, draws, switches.

Own is tr P / n, total is ι'Pι / n, spillover their difference, for the matrix P of each path from the treatment to the
outcome. Their sum over the paths is the whole effect S_y^{-1}[C + Σ_k B_k Φ_k], Φ_k = S_k^{-1}(A_k + Σ_l D_kl Φ_l).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np

from spillover.errors import EstimationError
from spillover.mechanisms.exposure import Diagonal
from spillover.mechanisms.paths import (
    Axes,
    Axis,
    LinkAxis,
    NoFeedback,
    PathTable,
    TaylorFeedback,
    build_sparse_tables,
    build_tables,
)
from spillover.mechanisms.spaces import EigenSpace, MatrixSpace, Space, draw_probes
from spillover.mechanisms.system import Path
from spillover.mechanisms.wiring import Feedback, Wiring
from spillover.numerics.engine import DENSE_LIMIT
from spillover.numerics.logdet import SpectralLogDeterminant
from spillover.numerics.threads import one_blas_thread
from spillover.typing import FloatArray
from spillover.weights.weights import SpatialWeights

KINDS = ("own", "spillover", "total")
ADDITIVE = 1e-8  # of the size of the effects, by which paths may miss the whole


@dataclass(frozen=True, eq=False)
class PathNumbers:
    """Tables of tr P / n (`direct`) and ι'Pι / n (`total`) by path."""

    wiring: Wiring
    direct: Mapping[str, PathTable]
    total: Mapping[str, PathTable]

    @cached_property
    def paths(self) -> tuple[Path, ...]:
        """All paths."""
        return self.wiring.system.paths

    def values(self, theta: FloatArray) -> FloatArray:
        """(paths, 3) own, spillover, total."""
        found = [(self.direct[p.name].value(theta), self.total[p.name].value(theta)) for p in self.paths]
        return np.array([(own, whole - own, whole) for own, whole in found])

    def gradients(self, theta: FloatArray) -> FloatArray:
        """(paths, 3, k)."""
        found = [(self.direct[p.name].gradient(theta), self.total[p.name].gradient(theta)) for p in self.paths]
        return np.array([(own, whole - own, whole) for own, whole in found])

    def draws(self, thetas: FloatArray) -> FloatArray:
        """(r, paths, 3)."""
        found = [(self.direct[p.name].draws(thetas), self.total[p.name].draws(thetas)) for p in self.paths]
        return np.stack([np.stack([own, whole - own, whole], axis=-1) for own, whole in found], axis=1)


def tabulate_paths(
    wiring: Wiring, feedback_axis: Callable[[str, Feedback], Axis], exact_up_to: int = DENSE_LIMIT
) -> PathNumbers:
    """Tables of all paths.

    feedback_axis : how S^{-1} depends on ρ.   exact_up_to : regions above which traces come from random probes.
    """
    links: dict[tuple[str, str], Axis] = {key: LinkAxis(link) for key, link in wiring.links.items()}
    inverses: dict[str, Axis] = {
        e.name: feedback_axis(e.name, wiring.feedbacks[e.name]) if e.name in wiring.feedbacks else NoFeedback()
        for e in wiring.system.equations
    }
    direct, total = _Groups(_size(wiring)), _Groups(_size(wiring))
    for path in wiring.system.paths:
        axes: list[Axis] = []
        for link, equation in wiring.stations(path):
            axes += [links[link.source, link.target], inverses[equation]]
        direct.add(path, tuple(axes), _space_of_trace(wiring, path, exact_up_to))
        total.add(path, tuple(axes), _space_of_sum(wiring, path))
    with one_blas_thread():
        return PathNumbers(wiring, direct.tables(), total.tables())


def numbers_at(wiring: Wiring, theta: FloatArray) -> PathNumbers:
    """Tables that are exact in value and gradient at θ, and with spatial terms switched off."""
    return tabulate_paths(wiring, lambda name, f: TaylorFeedback(f, float(theta[f.position])))


Where: TypeAlias = tuple[tuple[object, ...], Callable[[], Space] | None]
"""A name of the space, and what makes it; None for sparse products without a space."""


class _Groups:
    """Paths by the space their numbers are computed in."""

    def __init__(self, n: int) -> None:
        self._n = n
        self._spaces: dict[tuple[object, ...], tuple[Callable[[], Space] | None, dict[str, Axes]]] = {}

    def add(self, path: Path, axes: Axes, where: Where) -> None:
        key, make = where
        self._spaces.setdefault(key, (make, {}))[1][path.name] = axes

    def tables(self) -> dict[str, PathTable]:
        found: dict[str, PathTable] = {}
        for make, paths in self._spaces.values():
            found |= build_sparse_tables(paths, self._n) if make is None else build_tables(paths, make())
        return found


def _matrices(wiring: Wiring, path: Path) -> tuple[dict[int, SpatialWeights], bool, bool]:
    """(all W of a path, whether one lags a response, whether a diagonal is among the matrices)."""
    weights: dict[int, SpatialWeights] = {}
    fed, diagonal = False, False
    for link, equation in wiring.stations(path):
        for operator in link.operators:
            if isinstance(operator, SpatialWeights):
                weights[id(operator)] = operator
            diagonal |= isinstance(operator, Diagonal)
        if equation in wiring.feedbacks:
            fed = True
            w = wiring.feedbacks[equation].weights
            weights[id(w)] = w
    return weights, fed, diagonal


def _space_of_trace(wiring: Wiring, path: Path, exact_up_to: int = DENSE_LIMIT) -> Where:
    weights, fed, diagonal = _matrices(wiring, path)
    if fed and len(weights) == 1 and not diagonal:
        (w,) = weights.values()
        if isinstance(found := w.engine.log_determinant, SpectralLogDeterminant):
            return ("eigenvalues", id(w)), lambda: EigenSpace(found.eigenvalues)
    n = _size(wiring)
    if not fed:
        return ("sparse",), None
    if n <= exact_up_to:
        return ("all columns",), lambda: MatrixSpace(np.eye(n), 1.0 / n, exact=True)
    probes = draw_probes(n)
    return ("probes",), lambda: MatrixSpace(probes, 1.0 / probes.size, exact=False)


def _space_of_sum(wiring: Wiring, path: Path) -> Where:
    weights, _, diagonal = _matrices(wiring, path)
    if not diagonal and all(w.rows_sum_to_one for w in weights.values()):
        return ("one",), lambda: EigenSpace(np.ones(1))
    n = _size(wiring)
    return ("sums",), lambda: MatrixSpace(np.ones((n, 1)), 1.0 / n, exact=False)


def _size(wiring: Wiring) -> int:
    for path in wiring.system.paths:
        for link, equation in wiring.stations(path):
            for operator in link.operators:
                if operator is not None:
                    return int(operator.matrix.shape[0])
            if equation in wiring.feedbacks:
                return wiring.feedbacks[equation].weights.n
    return 1


def check_additive(numbers: PathNumbers, theta: FloatArray) -> float:
    """Largest gap between the whole effect, by one recursion over the equations, and the sum of its paths.

    EstimationError when it is more than rounding.
    """
    wiring, values = numbers.wiring, numbers.values(theta)
    n = _size(wiring)
    ones, gaps = np.ones((n, 1)), []
    gaps.append(abs(float(np.sum(whole_effect(wiring, theta, ones))) / n - values[:, 2].sum()))
    if n <= DENSE_LIMIT:  # else traces come from probes, with an error of their own
        gaps.append(abs(float(np.trace(whole_effect(wiring, theta, np.eye(n)))) / n - values[:, 0].sum()))
    size = float(np.abs(values).sum()) or 1.0
    if max(gaps) > ADDITIVE * size:
        raise EstimationError(
            "the paths do not add up to the whole effect",
            got=f"a gap of {max(gaps):.3g} in effects of size {size:.3g}",
            causes=("a ρ next to the bound of its interval, where S^{-1} is numerically singular",),
            fix="drop the lag of that response, or use another W",
        )
    return max(gaps)


def trace_error(numbers: PathNumbers, theta: FloatArray) -> float:
    """Standard error between probes of the whole effect at home; 0 where no path needs probes."""
    wiring = numbers.wiring
    if all(_space_of_trace(wiring, path)[0] != ("probes",) for path in numbers.paths):
        return 0.0
    probes = draw_probes(_size(wiring))
    draws = np.sum(probes * whole_effect(wiring, theta, probes), axis=0) / len(probes)
    return float(draws.std(ddof=1) / np.sqrt(draws.size))


def whole_effect(wiring: Wiring, theta: FloatArray, columns: FloatArray) -> FloatArray:
    """(n, p) ∂y/∂x applied to columns Z (n, p): K + 1 solves, no paths."""
    space = MatrixSpace(columns, 1.0, exact=columns.shape[1] > 1)
    effects: dict[str, np.ndarray] = {"treatment": columns[:, None, :]}
    for equation in wiring.system.equations:
        total = np.zeros_like(columns)[:, None, :]
        for (source, target), link in wiring.links.items():
            if target == equation.name:
                for coefficient, operator in zip(link.loadings @ theta, link.operators, strict=True):
                    v = effects[source]
                    total = total + coefficient * (v if operator is None else space.lag(operator, v, False))
        if equation.name in wiring.feedbacks:
            own = wiring.feedbacks[equation.name]
            total = space.solve(own.weights, float(theta[own.position]), total, False)
        effects[equation.name] = total
    return np.asarray(effects[wiring.system.outcome.name][:, 0, :])
