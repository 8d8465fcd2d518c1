"""Random draws that stay in step when one region changes: what common random numbers need.

Two runs that differ in the A of one region should differ only where that region matters. So every step of every year
has its own generator, counts are drawn by inverting one uniform number per pair, and numbers of agents are drawn
region by region, so that a region with more agents keeps the draws of those it had.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from spillover.typing import BoolArray, FloatArray, IntArray

_AGENTS = 1_000  # first number of the key: far from the components of tier 2, which are numbered from 0

STEPS = (  # a new step goes to the end: they are numbered
    "population",
    "spin-offs",
    "jobs",
    "leaving",
    "moving",
    "hiring",
    "partnerships",
    "closure",
    "meetings",
    "patents",
    "revenue",
    "institutes",
)

_LARGE_MEAN = 30.0


@dataclass(frozen=True)
class AgentStreams:
    """Generators by step, year and region; children of one seed in the sense of SeedSequence.spawn."""

    root: np.random.SeedSequence

    def at(self, step: str, year: int = 0, region: int | None = None) -> np.random.Generator:
        """The generator of one step in one year, or of one region in it."""
        key = (*self.root.spawn_key, _AGENTS, STEPS.index(step), year)
        if region is not None:
            key = (*key, region)
        return np.random.default_rng(np.random.SeedSequence(self.root.entropy, spawn_key=key))


def invert_poisson(mean: FloatArray, uniform: FloatArray) -> IntArray:
    """Poisson counts by inversion: the smallest k with P(K ≤ k) > u. Same u and a larger mean: never a smaller count.

    Parameters
    ----------
    mean : (m,) of zero or more.
    uniform : (m,) in [0, 1).
    """
    count = np.zeros(len(mean), dtype=np.int64)
    large = mean > _LARGE_MEAN
    if large.any():
        count[large] = _invert_large(mean[large], uniform[large])
    active = np.flatnonzero(~large)
    rate, left = mean[active], uniform[active]
    term = np.exp(-rate)  # P(K = k), for k = 0, 1, …
    k = 0
    while len(active):
        open_ = left >= term
        left, active, rate = (left - term)[open_], active[open_], rate[open_]
        k += 1
        term = term[open_] * rate / k
        alive = term > 1e-300  # in the last rounding error of the tail the count is settled
        count[active] = k
        if not alive.all():
            left, active, rate, term = left[alive], active[alive], rate[alive], term[alive]
        if k > 200:  # 30 + 31 sd: only rounding at u → 1 leads here
            break
    return count


def _invert_large(mean: FloatArray, uniform: FloatArray) -> IntArray:
    guess = np.ceil(special.pdtrik(uniform, mean))
    lower = np.maximum(guess - 1.0, 0.0)
    return np.where(special.pdtr(lower, mean) > uniform, lower, guess).astype(np.int64)


def round_at_random(values: FloatArray, uniform: FloatArray) -> IntArray:
    """Whole numbers whose mean is `values`: ⌊x⌋, or one more with the probability of the remainder."""
    whole = np.floor(values)
    return (whole + (uniform < values - whole)).astype(np.int64)


@dataclass(frozen=True, eq=False)
class FirmLottery:
    """Draws firms within regions, each with a chance proportional to its weight.

    Attributes
    ----------
    order : (m,) living firms, region by region.
    cumulative : (m,) running sum of their weights.
    first : (n + 1,) where each region's firms begin in `order`.
    """

    order: IntArray
    cumulative: FloatArray
    first: IntArray

    def draw(self, regions: IntArray, rng: np.random.Generator) -> IntArray:
        """One firm for each entry of `regions` (k,); every region must have a living firm."""
        below = np.concatenate([[0.0], self.cumulative])
        low, high = below[self.first[regions]], below[self.first[regions + 1]]
        place = np.searchsorted(self.cumulative, low + rng.random(len(regions)) * (high - low), side="right")
        # rounding at the edge of a region must not hand its draw to the next one
        return self.order[np.clip(place, self.first[regions], self.first[regions + 1] - 1)]


def build_lottery(region: IntArray, alive: BoolArray, weight: FloatArray, n_regions: int) -> FirmLottery:
    """A lottery over living firms; firms without weight keep a vanishing chance, so that no region is empty."""
    living = np.flatnonzero(alive)
    order = living[np.argsort(region[living], kind="stable")]
    first = np.searchsorted(region[order], np.arange(n_regions + 1))
    positive = np.maximum(weight[order], 1e-9 * max(float(weight.max(initial=0.0)), 1.0))
    return FirmLottery(order, np.cumsum(positive), first)
