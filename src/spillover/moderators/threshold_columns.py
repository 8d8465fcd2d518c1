"""Arrays of a threshold search: regressors that switch at q = γ, and what they explain for every γ.

The switching part is c·1(q ≤ γ) beside c itself, so that its coefficient is the difference between regimes. With an
orthonormal basis B of everything else and M = I − BB', the residual products of (y, W y) fall by b'A^{-1}b,
A = D'MD, b = D'M(y, W y), D = c·1(q ≤ γ) demeaned. For every value of q at once A and b come from running sums over
the observations in the order of q: demeaned cross-products of a masked column need only its sums by region and by
period, which change in one place per observation (Hansen 1999, Journal of Econometrics 93:345, made incremental).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spillover.numerics.within import Transformation
from spillover.typing import FloatArray, IntArray
from spillover.weights.weights import SpatialWeights

DEGENERATE = 1e-9  # share of a masked column that must be left beside the others; less explains nothing
CHUNK_NUMBERS = 20_000_000  # numbers of masked columns held at a time


@dataclass(frozen=True, eq=False)
class Switch:
    """Regressors whose slope changes at q = γ.

    Attributes
    ----------
    columns : (p, n, t) regressors c (W x for a lag), about their means where asked, before effects are removed; x
        for a sender's lag.
    q : (n, t) threshold variable.
    lagged_after : W per column that is masked before it is lagged, W(x·1(q ≤ γ)): the sender's q counts; else None.
    """

    columns: FloatArray
    q: FloatArray
    lagged_after: tuple[SpatialWeights | None, ...]
    transformation: Transformation

    @property
    def p(self) -> int:
        """Number of switching regressors."""
        return len(self.columns)

    def masked(self, gamma: float) -> FloatArray:
        """(p, n, t) c·1(q ≤ γ), not demeaned."""
        low = self.columns * (self.q <= gamma)
        for i, w in enumerate(self.lagged_after):
            if w is not None:
                low[i] = w.lag(low[i])
        return low

    def between(self, low: float, high: float) -> FloatArray:
        """(p, n, t) c·1(low < q ≤ high), not demeaned."""
        return self.masked(high) - self.masked(low)

    @property
    def runs(self) -> bool:
        """Whether running sums apply: masks act on the columns themselves, and means are those of all cells."""
        return self.transformation.is_plain and all(w is None for w in self.lagged_after)


def candidate_values(q: FloatArray, trim: float) -> FloatArray:
    """Sorted distinct values γ of q with at least a share `trim` of the observations on either side."""
    values, counts = np.unique(q, return_counts=True)
    below = np.cumsum(counts) / q.size
    return np.asarray(values[(below >= trim - 1e-12) & (below <= 1.0 - trim + 1e-12)])


def thin(values: FloatArray, count: int) -> FloatArray:
    """At most `count` of sorted values, evenly by rank, both ends among them."""
    if values.size <= count:
        return values
    return np.asarray(values[np.unique(np.linspace(0, values.size - 1, count).round().astype(int))])


@dataclass(frozen=True, eq=False)
class Explained:
    """What the switching part explains, for each of u values γ.

    Attributes
    ----------
    gammas : (u,).
    products : (u, s, s) b'A^{-1}b: by how much the residual cross-products fall.
    """

    gammas: FloatArray
    products: FloatArray


def explain(switch: Switch, basis: FloatArray, right: FloatArray, gammas: FloatArray) -> Explained:
    """What the switching part explains at each γ.

    Parameters
    ----------
    basis : (n t, k) orthonormal columns of everything else in the model, demeaned.
    right : (n t, s) residuals of the outcome and its lags on that basis.
    gammas : (u,) values of q.

    Cost: O(n t (k + p)²) for all γ together by running sums; else O(u n t (k + p)).
    """
    if switch.runs:
        a, b = _running(switch, basis, right, gammas)
    else:
        a, b = _one_by_one(switch, basis, right, gammas)
    return Explained(gammas, _quadratic(a, b))


def residual_columns(switch: Switch, basis: FloatArray, gammas: FloatArray) -> FloatArray:
    """(n t, u p) demeaned masked columns less their projection on the basis, γ by γ."""
    m, p = basis.shape[0], switch.p
    found = np.empty((m, gammas.size * p))
    for i, gamma in enumerate(gammas):
        found[:, i * p : (i + 1) * p] = switch.transformation.remove_means(switch.masked(gamma)).reshape(p, -1).T
    return np.asarray(found - basis @ (basis.T @ found))


def extend_basis(basis: FloatArray, columns: FloatArray) -> FloatArray:
    """The basis with (n t, p) further columns, orthonormal."""
    rest = columns - basis @ (basis.T @ columns)
    rest -= basis @ (basis.T @ rest)
    return np.column_stack([basis, np.linalg.qr(rest)[0]])


def _quadratic(a: FloatArray, b: FloatArray) -> FloatArray:
    """(u, s, s) b'A^{-1}b for (u, p, p) and (u, p, s); zero where A has nothing left."""
    size = np.sqrt(np.maximum(np.einsum("upp->up", a), 1e-300))
    scaled = a / size[:, :, None] / size[:, None, :]
    sound = np.linalg.eigvalsh(scaled)[:, 0] > DEGENERATE
    scaled[~sound] = np.eye(a.shape[1])
    half = b / size[:, :, None]
    found = np.einsum("upr,ups->urs", half, np.linalg.solve(scaled, half))
    found[~sound] = 0.0
    return np.asarray(found)


def _one_by_one(
    switch: Switch, basis: FloatArray, right: FloatArray, gammas: FloatArray
) -> tuple[FloatArray, FloatArray]:
    p, step = switch.p, max(1, CHUNK_NUMBERS // (basis.shape[0] * switch.p))
    a, b = np.empty((gammas.size, p, p)), np.empty((gammas.size, p, right.shape[1]))
    for start in range(0, gammas.size, step):
        part = gammas[start : start + step]
        columns = residual_columns(switch, basis, part).reshape(-1, part.size, p)
        a[start : start + step] = np.einsum("mup,muq->upq", columns, columns)
        b[start : start + step] = np.einsum("mup,ms->ups", columns, right)
    return a, b


def _running(switch: Switch, basis: FloatArray, right: FloatArray, gammas: FloatArray) -> tuple[FloatArray, FloatArray]:
    """A and b at each γ from running sums in the order of q."""
    n, t = switch.q.shape
    flat = switch.q.ravel()
    order = np.argsort(flat, kind="stable")
    ends = np.searchsorted(flat[order], gammas, side="right") - 1
    c = switch.columns.reshape(switch.p, -1)[:, order]
    # A zero row stands for "no observation yet" (γ below every q).
    at = ends + 1

    def running(values: FloatArray) -> FloatArray:
        total = np.zeros((values.shape[0] + 1, *values.shape[1:]))
        np.cumsum(values, axis=0, out=total[1:])
        return np.asarray(total[at])

    b = np.stack([running(row[:, None] * right[order]) for row in c], axis=1)
    onto = np.stack([running(row[:, None] * basis[order]) for row in c], axis=1)  # (u, p, k)
    a = np.stack([running((row * c).T) for row in c], axis=1)  # (u, p, p)
    whole = np.stack([running(row) for row in c], axis=1)
    transformation = switch.transformation
    places: list[tuple[IntArray, int]] = []
    if transformation.removes_regions:
        places.append((order // t, t))
    if transformation.removes_periods:
        places.append((order % t, n))
    for place, size in places:
        a -= np.stack([running(_grown(row, c, place).T) for row in c], axis=1) / size
    if len(places) == 2:
        a += whole[:, :, None] * whole[:, None, :] / (n * t)
    return a - np.einsum("upk,urk->upr", onto, onto), b


def _grown(row: FloatArray, c: FloatArray, place: IntArray) -> FloatArray:
    """(p, n t) growth of Σ_i R_i(row) R_i(c) when each observation joins the sum R of its place."""
    first, others = _sums_before(row[None], place)[0], _sums_before(c, place)
    return np.asarray(row * others + c * first + row * c)


def _sums_before(c: FloatArray, place: IntArray) -> FloatArray:
    """(p, n t) sum of the observations of the same place that came before each one."""
    by_place = np.argsort(place, kind="stable")
    sorted_ = c[:, by_place]
    total = np.cumsum(sorted_, axis=1) - sorted_
    starts = np.r_[True, np.diff(np.asarray(place)[by_place]) != 0]
    first = np.maximum.accumulate(np.where(starts, np.arange(starts.size), 0))
    found = np.empty_like(c)
    found[:, by_place] = total - total[:, first]
    return found
