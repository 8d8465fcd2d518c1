"""The n × n operators A whose quadratic forms ε'Aε are scores of spatial parameters; not stored when n is large."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import scipy.sparse as sp

from spillover.numerics.engine import WeightsEngine
from spillover.numerics.joint import JointMultiplier
from spillover.numerics.within import Centring
from spillover.typing import FloatArray


class Operator(Protocol):
    """A square operator A of a score ε'Aε/σ² − T* tr A."""

    @property
    def n(self) -> int:
        """Number of regions."""
        ...

    @property
    def small(self) -> bool:
        """Whether `dense` is affordable."""
        ...

    def trace(self) -> float:
        """tr A."""
        ...

    @property
    def dense(self) -> FloatArray:
        """A as an (n, n) array."""
        ...

    def apply(self, right: FloatArray) -> FloatArray:
        """A B for B of shape (n, q)."""
        ...

    def apply_transposed(self, right: FloatArray) -> FloatArray:
        """A' B."""
        ...


@dataclass(frozen=True, eq=False)
class GOperator:
    """G = W (I − ρW)^{-1}: the score of ρ in SAR and SDM, that of λ in SEM and SDEM."""

    engine: WeightsEngine
    rho: float

    @property
    def n(self) -> int:
        """Number of regions."""
        return self.engine.n

    @property
    def small(self) -> bool:
        """n × n work is affordable."""
        return self.engine.dense

    def trace(self) -> float:
        """tr G, exact."""
        return self.engine.trace_g(self.rho)

    @property
    def dense(self) -> FloatArray:
        """G as an (n, n) array."""
        return self.engine.multiplier(self.rho).dense_g

    def apply(self, right: FloatArray) -> FloatArray:
        """G B."""
        return self.engine.multiplier(self.rho).apply_g(right)

    def apply_transposed(self, right: FloatArray) -> FloatArray:
        """G' B."""
        return self.engine.multiplier(self.rho).apply_g_transposed(right)


@dataclass(frozen=True, eq=False)
class JointOperator:
    """W_k (I − Σ ρ_j W_j)^{-1}: the score of ρ_k when the outcome has several spatial lags."""

    multiplier: JointMultiplier
    index: int

    @property
    def n(self) -> int:
        """Number of regions."""
        return self.multiplier.n

    @property
    def small(self) -> bool:
        """n × n work is affordable."""
        return self.multiplier.small

    def trace(self) -> float:
        """tr W_k S^{-1}: exact when small, else by probes."""
        return self.multiplier.trace(self.index)

    @cached_property
    def dense(self) -> FloatArray:
        """The operator as an (n, n) array."""
        return np.asarray(self.multiplier.matrices[self.index] @ self.multiplier.dense_inverse)

    def apply(self, right: FloatArray) -> FloatArray:
        """W_k S^{-1} B."""
        return np.asarray(self.multiplier.matrices[self.index] @ self.multiplier.solve(right))

    def apply_transposed(self, right: FloatArray) -> FloatArray:
        """S^{-T} W_k' B."""
        return self.multiplier.solve_transposed(np.asarray(self.multiplier.matrices[self.index].T @ right))


@dataclass(frozen=True, eq=False)
class FilteredOperator:
    """B A B^{-1} with B = I − λ W_error: the score of a spatial lag when the errors are filtered."""

    inner: GOperator | JointOperator
    error: GOperator

    @property
    def n(self) -> int:
        """Number of regions."""
        return self.inner.n

    @property
    def small(self) -> bool:
        """n × n work is affordable."""
        return self.inner.small

    def trace(self) -> float:
        """tr BAB^{-1} = tr A."""
        return self.inner.trace()

    @property
    def _filter(self) -> sp.csr_matrix:
        matrix = self.error.engine.matrix
        return sp.csr_matrix(sp.identity(self.n, format="csr") - self.error.rho * matrix)

    @cached_property
    def dense(self) -> FloatArray:
        """The operator as an (n, n) array."""
        b = self._filter.toarray()
        return np.asarray(np.linalg.solve(b.T, (b @ self.inner.dense).T).T)

    def apply(self, right: FloatArray) -> FloatArray:
        """B A B^{-1} X."""
        inverse = self.error.engine.multiplier(self.error.rho)
        return np.asarray(self._filter @ self.inner.apply(inverse.solve(right)))

    def apply_transposed(self, right: FloatArray) -> FloatArray:
        """B^{-T} A' B' X."""
        inverse = self.error.engine.multiplier(self.error.rho)
        return inverse.solve_transposed(self.inner.apply_transposed(np.asarray(self._filter.T @ right)))


@dataclass(frozen=True, eq=False)
class Traces:
    """tr A_k (q,) and P_kl = tr A_kA_l + tr A_k'A_l (q, q), of JAJ when centred."""

    first: FloatArray
    pairs: FloatArray


def traces(operators: tuple[Operator, ...], centring: Centring, draw: Callable[[], FloatArray]) -> Traces:
    """Exact when n is small or there is one W; else pairs by Hutchinson's probes (n, p), drawn if needed."""
    if len(operators) == 1 and isinstance(operators[0], GOperator) and not operators[0].small:
        trace, squared, gram = g_traces(operators[0].engine, operators[0].rho, centring)
        return Traces(np.array([trace]), np.array([[squared + gram]]))
    if all(operator.small for operator in operators):
        matrices = [centring.both(operator.dense) for operator in operators]
        pairs = [[np.einsum("ij,ji->", a, b) + np.einsum("ij,ij->", a, b) for b in matrices] for a in matrices]
        return Traces(np.array([np.trace(a) for a in matrices]), np.array(pairs))
    probes = draw()
    z = centring.left(probes)
    forward = [centring.left(operator.apply(z)) for operator in operators]
    backward = [centring.left(operator.apply_transposed(z)) for operator in operators]
    count = probes.shape[1]
    pairs = [[float(np.sum(backward[k] * f + forward[k] * f)) / count for f in forward] for k in range(len(operators))]
    first = [operator.trace() - centring.trace_loss(operator) for operator in operators]
    return Traces(np.array(first), (np.array(pairs) + np.array(pairs).T) / 2.0)


def g_traces(engine: WeightsEngine, rho: float, centring: Centring) -> tuple[float, float, float]:
    """(tr G, tr G², tr G'G) of G, or of JGJ = JG for W within groups with Wι = ι; from the prepared log-determinant."""
    trace, squared, gram = engine.trace_g(rho), engine.trace_g_squared(rho), engine.trace_gram_g(rho)[0]
    if centring.active:
        pull = engine.multiplier(rho).apply_g_transposed(np.ones(engine.n))
        unit, count = 1.0 / (1.0 - rho), len(centring.groups)
        trace, squared = trace - count * unit, squared - count * unit**2
        gram -= float(np.sum(pull**2 / centring.sizes))
    return trace, squared, gram
