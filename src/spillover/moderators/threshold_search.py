"""Sequential search of one, two or three thresholds on a grid, for the data and for many drawn samples at once.

Everything that a search needs is in small tables: the Gram matrix of the residual masked columns over the grid, and
their products with each sample. A threshold that is already found is partialled out of both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spillover.moderators.threshold_columns import DEGENERATE, Switch, residual_columns
from spillover.moderators.threshold_objective import Objective
from spillover.typing import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Grid:
    """Residual masked columns at the values γ of a grid.

    Attributes
    ----------
    gammas : (g,).
    columns : (n t, g p), γ by γ.
    gram : (g p, g p) their cross-products.
    p : number of switching regressors.
    below : (g,) share of observations with q ≤ γ.
    least : smallest share of observations between two thresholds.
    """

    gammas: FloatArray
    columns: FloatArray
    gram: FloatArray
    p: int
    below: FloatArray
    least: float

    def rows(self, chosen: tuple[int, ...]) -> IntArray:
        """(l p,) rows of `gram` that belong to positions of the grid."""
        return np.asarray((np.array(chosen, dtype=np.int64)[:, None] * self.p + np.arange(self.p)).ravel())

    def admissible(self, chosen: tuple[int, ...]) -> BoolArray:
        """(g,) values that leave at least `least` of the observations between them and those chosen."""
        found = np.ones(self.gammas.size, dtype=bool)
        for at in chosen:
            found &= np.abs(self.below - self.below[at]) >= self.least - 1e-12
        return found

    def cross(self, right: FloatArray) -> FloatArray:
        """(g, p, b) products of the columns with samples (n t, b)."""
        return np.asarray(self.columns.T @ right).reshape(self.gammas.size, self.p, -1)


def build_grid(switch: Switch, basis: FloatArray, gammas: FloatArray, least: float) -> Grid:
    """The tables of a grid. Cost O(n t (g p)²) once; memory n t g p numbers."""
    columns = residual_columns(switch, basis, gammas)
    below = np.searchsorted(np.sort(switch.q, axis=None), gammas, side="right") / switch.q.size
    return Grid(gammas, columns, columns.T @ columns, switch.p, below, least)


@dataclass(frozen=True, eq=False)
class Search:
    """Thresholds found one after the other in b samples.

    Attributes
    ----------
    values : (1 + l, b) objective without threshold, with one, …
    chosen : (l, b) positions on the grid, in the order in which they were found.
    """

    values: FloatArray
    chosen: IntArray


def search(grid: Grid, objective: Objective, start: FloatArray, cross: tuple[FloatArray, ...], depth: int) -> Search:
    """Thresholds one after the other, each the best beside those already found.

    Parameters
    ----------
    start : (b, s, s) residual cross-products of the outcome (and its lag) without threshold.
    cross : s arrays (g, p, b) of `Grid.cross`, of the outcome and of its lag.
    """
    samples = start.shape[0]
    values = np.empty((depth + 1, samples))
    values[0] = objective.value(start)
    chosen = np.empty((depth, samples), dtype=np.int64)
    for step in range(depth):
        for found, members in _groups(chosen[:step]):
            part = tuple(each[:, :, members] for each in cross)
            inner = _beside(grid, objective, start[members], part, found)
            best = np.argmin(inner, axis=0)
            chosen[step, members] = best
            values[step + 1, members] = inner[best, np.arange(members.size)]
    return Search(values, chosen)


def _groups(chosen: IntArray) -> list[tuple[tuple[int, ...], IntArray]]:
    """Samples with the same thresholds so far."""
    if not len(chosen):
        return [((), np.arange(chosen.shape[1]))]
    sets, members = np.unique(np.sort(chosen, axis=0), axis=1, return_inverse=True)
    members = np.asarray(members).ravel()
    return [(tuple(int(i) for i in sets[:, j]), np.flatnonzero(members == j)) for j in range(sets.shape[1])]


def _beside(
    grid: Grid, objective: Objective, start: FloatArray, cross: tuple[FloatArray, ...], chosen: tuple[int, ...]
) -> FloatArray:
    """(g, b) objective with one threshold more; infinite where a regime would be too small."""
    size, p = grid.gammas.size, grid.p
    each_own = np.arange(size * p).reshape(size, p)
    gram = grid.gram[each_own[:, :, None], each_own[:, None, :]]  # (g, p, p)
    length = np.sqrt(np.maximum(np.einsum("gpp->gp", gram), 1e-300))
    base = start
    if chosen:
        at = grid.rows(chosen)
        inner = grid.gram[np.ix_(at, at)]
        onto = grid.gram[:, at]  # (g p, j)
        solved = np.linalg.solve(inner, onto.T).T
        gram = gram - np.einsum("gpj,gqj->gpq", solved.reshape(size, p, -1), onto.reshape(size, p, -1))
        found = [each.reshape(size * p, -1)[at] for each in cross]
        taken = [np.linalg.solve(inner, each) for each in found]
        base = start - np.stack([[np.einsum("jb,jb->b", f, s) for s in taken] for f in found]).transpose(2, 0, 1)
        cross = tuple(each - (solved @ f).reshape(size, p, -1) for each, f in zip(cross, found, strict=True))
    scaled = gram / length[:, :, None] / length[:, None, :]
    sound = grid.admissible(chosen) & (np.linalg.eigvalsh(scaled)[:, 0] > DEGENERATE)
    root = np.linalg.cholesky(np.where(sound[:, None, None], scaled, np.eye(p)))
    halves = [np.linalg.solve(root, each / length[:, :, None]) for each in cross]
    explained = np.stack([[np.einsum("gpb,gpb->gb", a, b) for b in halves] for a in halves])  # (s, s, g, b)
    products = base[None] - np.moveaxis(explained, (0, 1), (2, 3))
    values = np.array(objective.value(products))
    values[~sound] = np.inf
    return values
