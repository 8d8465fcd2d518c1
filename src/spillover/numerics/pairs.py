"""Sums over pairs of regions, Σ_ij H_k,ij H_l,ij v_i v_j, for operators too large to write down."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from spillover.numerics.engine import WeightsEngine
from spillover.numerics.operators import GOperator, Operator, Traces
from spillover.numerics.within import Centring
from spillover.typing import FloatArray

PROBES = (8, 24)  # for the far part of G: where it is small, of order |ρ|^K, and where it is not
STRONG = 0.6  # |ρ| from which it is not
SMALL_SHARE = 0.05  # of the sum: below it the far part is scaled up from the near part
PLAIN_PROBES = 128  # for operators of several W, which have no near part


@lru_cache(maxsize=4)
def rademacher(n: int, count: int) -> FloatArray:
    """(n, count) fixed ±1 vectors."""
    rng = np.random.Generator(np.random.PCG64(20_260_101))
    vectors = np.asarray(rng.integers(0, 2, size=(n, count)) * 2.0 - 1.0, order="F")
    vectors.setflags(write=False)
    return vectors


def weighted_squares(
    operators: tuple[Operator, ...], v: FloatArray, centring: Centring, known: Traces
) -> tuple[FloatArray, FloatArray]:
    """((q, q) Σ_ij H_k,ij H_l,ij v_i v_j, (q, n) diagonals) of H = (A + A')/2, of JHJ when centred.

    Parameters
    ----------
    operators : q operators A of (n, n).
    v : (n,) non-negative weights of the regions.
    centring : J; with several groups the operators must link no two of them.
    known : traces of the same operators, centred alike.

    G of one W: near pairs exactly; the far part by probes, or scaled up from the near part where it is small. Other
    operators: all by probes.
    """
    engines = [operator.engine for operator in operators if isinstance(operator, GOperator)]
    if len(engines) < len(operators) or any(engine is not engines[0] for engine in engines):
        total, diagonals = _by_probes(operators, v)
        return _centred(operators, v, total, diagonals, centring) if centring.active else (total, diagonals)
    engine = engines[0]
    near = engine.near
    rhos = [operator.rho for operator in operators if isinstance(operator, GOperator)]
    entries = np.array([near.combine(rho) for rho in rhos])
    total = np.array([[v @ (near.matrix(a * b) @ v) for b in entries] for a in entries])
    diagonals = entries[:, near.diagonal]
    share = float(entries[0] @ entries[0]) / (known.pairs[0, 0] / 2.0)  # of Σ H_ij² = (tr A² + tr A'A)/2
    small = len(rhos) == 1 and len(centring.groups) <= 1 and abs(share - 1.0) <= SMALL_SHARE
    # Returns after more than K steps depend little on where they started: their mean is known from the trace.
    whole = known.first if small else np.array([engine.trace_g(rho) for rho in rhos])
    diagonals = diagonals + ((whole - diagonals.sum(axis=1)) / engine.n)[:, None]
    if small:
        return total / share, diagonals
    total = total + _far_by_probes(engine, rhos, v, entries)
    return _centred(operators, v, total, diagonals, centring) if centring.active else (total, diagonals)


def _far_by_probes(engine: WeightsEngine, rhos: list[float], v: FloatArray, entries: FloatArray) -> FloatArray:
    """(q, q) what far pairs, and far and near ones together, add to the weighted sums."""
    near = engine.near
    count = PROBES[int(max(abs(rho) for rho in rhos) >= STRONG)]
    probes = rademacher(engine.n, count)
    scale = np.sqrt(v)[:, None]
    x = scale * probes
    near_images, far_images = [], []
    for k, rho in enumerate(rhos):
        front = rho**near.count
        multiplier = engine.multiplier(rho)
        forward = _power(engine, near.count, multiplier.apply_g(x), transposed=False)
        backward = multiplier.apply_g_transposed(_power(engine, near.count, x, transposed=True))
        far_images.append(scale * front * (forward + backward) / 2.0)
        near_images.append(scale * (near.matrix(entries[k]) @ x))
    far = np.array([[np.sum(a * b) for b in far_images] for a in far_images])
    cross = np.array([[np.sum(a * b) for b in far_images] for a in near_images])
    return (far + cross + cross.T) / count


def _power(engine: WeightsEngine, count: int, values: FloatArray, *, transposed: bool) -> FloatArray:
    """W^count B or (W')^count B."""
    matrix = engine.matrix.T if transposed else engine.matrix
    for _ in range(count):
        values = np.asarray(matrix @ values)
    return values


def _by_probes(operators: tuple[Operator, ...], v: FloatArray) -> tuple[FloatArray, FloatArray]:
    probes = rademacher(v.size, PLAIN_PROBES)
    scale = np.sqrt(v)[:, None]
    x = scale * probes
    images = [scale * (operator.apply(x) + operator.apply_transposed(x)) / 2.0 for operator in operators]
    total = np.array([[np.sum(a * b) for b in images] for a in images]) / PLAIN_PROBES
    return total, np.array([(probes * operator.apply(probes)).mean(axis=1) for operator in operators])


def _centred(
    operators: tuple[Operator, ...], v: FloatArray, total: FloatArray, diagonals: FloatArray, centring: Centring
) -> tuple[FloatArray, FloatArray]:
    """The same for JHJ, from solves with ι and v.

    Entries inside group g are H_ij − a_i − a_j + m_g with a = Hι/n_g and m_g the mean of a; no other entry is non-zero.
    """
    right = np.column_stack([np.ones(v.size), v])
    images = [(operator.apply(right) + operator.apply_transposed(right)) / 2.0 for operator in operators]
    a = np.array([image[:, 0] / centring.sizes for image in images])
    hv = np.array([image[:, 1] for image in images])
    m = centring.means(a.T).T
    b = a - m / 2.0
    cross = 2.0 * hv @ (v * b).T  # Σ_g Σ_ij v_i v_j H_k,ij (b_l,i + b_l,j)
    weight = centring.means(v) * centring.sizes  # (n,) Σ_{j in g} v_j
    sums = np.asarray(centring.basis.T @ ((b * v).T * np.sqrt(centring.sizes)[:, None]))  # (G, q) Σ_{i in g} v_i b_i
    outer = 2.0 * (b * v * weight) @ b.T + 2.0 * sums.T @ sums
    return total - cross - cross.T + outer, diagonals - 2.0 * a + m
