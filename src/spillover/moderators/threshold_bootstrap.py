"""Bootstrap of threshold tests: samples drawn without the last threshold, searched as the data were.

"spatial" multiplies residuals by normal ξ with correlation K(d_ij / d_c) between regions, Wendland's kernel, the same
for the periods of a block: dependence in space survives, and so does heteroskedasticity in regressors. "period" gives
all regions of a period one ξ (d_c = ∞). "hansen" exchanges whole residual paths between regions (Hansen 1999): it
destroys both, and rejects far too often when either is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from spillover.moderators.threshold_objective import Objective
from spillover.moderators.threshold_search import Grid, search
from spillover.numerics.kernels import KernelRoot
from spillover.numerics.within import Transformation
from spillover.typing import FloatArray, Progress
from spillover.weights.weights import SpatialWeights

Bootstrap: TypeAlias = Literal["spatial", "period", "hansen"]
FEWEST_PERIODS = 10  # for whole-period multipliers, of which each period gives one
BLOCK_DRAWS = 100  # samples at a time, each block with its own stream


@dataclass(frozen=True, eq=False)
class Scheme:
    """How residuals become errors.

    root : of the kernel between regions, for "spatial". block : periods that share their multipliers.
    """

    kind: Bootstrap
    root: KernelRoot | None
    block: int

    def errors(self, residuals: FloatArray, rng: np.random.Generator, count: int) -> FloatArray:
        """(n, t, count) drawn errors from residuals (n, t)."""
        n, t = residuals.shape
        if self.kind == "hansen":
            return np.moveaxis(residuals[rng.integers(0, n, (count, n))], 0, 2)
        blocks = -(-t // self.block)
        if self.kind == "period":
            drawn = np.broadcast_to(rng.standard_normal((1, blocks, count)), (n, blocks, count))
        else:
            assert self.root is not None
            drawn = self.root.draw(rng, blocks * count).reshape(n, blocks, count)
        return residuals[:, :, None] * np.repeat(drawn, self.block, axis=1)[:, :t]


@dataclass(frozen=True, eq=False)
class NullModel:
    """The model from which samples are drawn: no threshold, or those at positions `chosen` of the grid.

    Attributes
    ----------
    coefficients : (chosen p,) of the masked columns.
    residuals : (n, t) that the multipliers move.
    systematic : (n, t) what S y is without error (and effects), where the outcome is lagged; else None.
    """

    chosen: tuple[int, ...]
    coefficients: FloatArray
    residuals: FloatArray
    systematic: FloatArray | None


@dataclass(frozen=True, eq=False)
class Sampler:
    """Draws samples and gives the tables that a search needs.

    Attributes
    ----------
    grid, basis, transformation : of the search.
    weights, rho : of the lagged outcome; None and 0 without.
    """

    grid: Grid
    basis: FloatArray
    transformation: Transformation
    weights: SpatialWeights | None
    rho: float

    def tables(self, null: NullModel, errors: FloatArray) -> tuple[FloatArray, tuple[FloatArray, ...]]:
        """(start (b, s, s), cross of s arrays (g, p, b)) of samples with these errors (n, t, b)."""
        if self.weights is None:
            return self._linear(null, errors)
        assert null.systematic is not None
        n, t, count = errors.shape
        right = (null.systematic[:, :, None] + errors).reshape(n, t * count)
        y = self.weights.engine.multiplier(self.rho).solve(right)
        lagged = self.weights.lag(y)
        # axes (b, n, t): a transformation works on the last two
        both = [np.ascontiguousarray(np.moveaxis(part.reshape(n, t, count), 2, 0)) for part in (y, lagged)]
        flat = [self.transformation.remove_means(part).reshape(count, -1).T for part in both]
        rest = [part - self.basis @ (self.basis.T @ part) for part in flat]
        start = np.stack([[np.einsum("mb,mb->b", a, b) for b in rest] for a in rest]).transpose(2, 0, 1)
        return start, tuple(self.grid.cross(part) for part in rest)

    def _linear(self, null: NullModel, errors: FloatArray) -> tuple[FloatArray, tuple[FloatArray, ...]]:
        """Without W y the thresholds of the null add known numbers, and the columns are orthogonal to all effects."""
        count = errors.shape[2]
        flat = self.transformation.remove_means(np.ascontiguousarray(np.moveaxis(errors, 2, 0)))
        flat = flat.reshape(count, -1).T
        cross = self.grid.cross(flat)
        start = np.einsum("mb,mb->b", flat, flat)
        onto = self.basis.T @ flat
        start = start - np.einsum("kb,kb->b", onto, onto)
        if null.chosen:
            at, b = self.grid.rows(null.chosen), null.coefficients
            image = self.grid.gram[:, at] @ b
            start = start + 2.0 * b @ cross.reshape(image.size, -1)[at] + b @ image[at]
            cross = cross + image.reshape(*cross.shape[:2], 1)
        return start[:, None, None], (cross,)


def bootstrap_statistics(
    sampler: Sampler,
    objective: Objective,
    null: NullModel,
    scheme: Scheme,
    depth: int,
    draws: int,
    seed: tuple[int, int],
    progress: Progress,
    text: str,
) -> FloatArray:
    """(draws,) statistics of threshold number `depth` in samples that have one less."""
    blocks = -(-draws // BLOCK_DRAWS)
    streams = np.random.SeedSequence(seed).spawn(blocks)
    found = []
    for i, stream in enumerate(streams):
        progress(text, i / blocks)
        rng = np.random.default_rng(stream)
        errors = scheme.errors(null.residuals, rng, min(BLOCK_DRAWS, draws - i * BLOCK_DRAWS))
        start, cross = sampler.tables(null, errors)
        drawn = search(sampler.grid, objective, start, cross, depth)
        found.append(objective.statistic(drawn.values[depth - 1], drawn.values[depth]))
    progress(text, 1.0)
    return np.concatenate(found)


def bootstrap_p_value(statistic: float, drawn: FloatArray) -> float:
    """(1 + draws at or above) / (1 + draws): never zero."""
    return float((1.0 + np.count_nonzero(drawn >= statistic)) / (1.0 + drawn.size))
