"""Common random numbers: two systems drawn with the same luck, so that their difference is what was changed.

Counts are the inverse distribution function at the same uniform numbers: a larger mean gives at least as large a count,
and the two draws differ by little more than their means do (Law and Kelton, Simulation Modeling and Analysis, chapter
on variance reduction). Generators of Poisson counts by rejection lose the pairing as soon as means differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spillover.simulation.streams import Streams, component_names
from spillover.simulation.structure import System
from spillover.simulation.system import draw_outcomes
from spillover.typing import FloatArray, Progress, no_progress


class CommonNumbers:
    """The part of a generator that draws outcomes, every law by inversion of uniform numbers in a fixed order."""

    def __init__(self, source: np.random.Generator) -> None:
        self._source = source

    def poisson(self, mean: FloatArray) -> FloatArray:
        """Counts with these means."""
        from scipy.stats import poisson

        return np.asarray(np.maximum(poisson.ppf(self._uniform(mean), mean), 0.0))

    def binomial(self, trials: FloatArray, share: float) -> FloatArray:
        """Successes among these trials."""
        from scipy.stats import binom

        return np.asarray(np.maximum(binom.ppf(self._uniform(trials), trials, share), 0.0))

    def negative_binomial(self, size: float, share: FloatArray) -> FloatArray:
        """Failures before the size-th success."""
        from scipy.stats import nbinom

        return np.asarray(np.maximum(nbinom.ppf(self._uniform(share), size, share), 0.0))

    def standard_normal(self, shape: tuple[int, ...]) -> FloatArray:
        """Standard normal numbers."""
        return self._source.standard_normal(shape)

    def _uniform(self, like: FloatArray) -> FloatArray:
        return self._source.random(np.shape(like))


@dataclass(frozen=True, eq=False)
class MeanDifference:
    """Mean over draws of patents after minus before: estimate and standard error, both (n, t)."""

    estimate: FloatArray
    std_error: FloatArray
    draws: int

    def mean(self) -> tuple[float, float]:
        """The mean over regions and periods, a year in a region, and an upper bound of its standard error."""
        total, error = self.summed()
        return total / len(self.estimate), error / len(self.estimate)

    def summed(self) -> tuple[float, float]:
        """Sum over regions, mean over periods: estimate and an upper bound of its standard error.

        Regions share no luck, but with feedback the years of one region do; errors are added up as if years were one.
        """
        return float(self.estimate.mean(axis=1).sum()), float(np.sqrt((self.std_error.mean(axis=1) ** 2).sum()))


def mean_difference(
    before: tuple[System, FloatArray],
    after: tuple[System, FloatArray],
    *,
    draws: int,
    seed: int,
    progress: Progress = no_progress,
) -> MeanDifference:
    """What a change does to patents, by simulating both worlds with common random numbers.

    Parameters
    ----------
    before, after : a system and its path of A (n, t).
    draws : pairs of worlds; each has a child of `seed` of its own.
    """
    shape = before[1].shape
    total, squares = np.zeros(shape), np.zeros(shape)
    for k, child in enumerate(np.random.SeedSequence(seed).spawn(draws)):
        progress(f"draw {k + 1} of {draws}", k / draws)
        worlds = [draw_outcomes(system, common_streams(child), hti).patents for system, hti in (after, before)]
        gap = worlds[0] - worlds[1]
        total += gap
        squares += gap**2
    mean = total / draws
    variance = np.maximum(squares / draws - mean**2, 0.0) * draws / max(draws - 1, 1)
    return MeanDifference(mean, np.sqrt(variance / draws), draws)


def common_streams(child: np.random.SeedSequence) -> Streams:
    """Component → common numbers; the same child gives the same luck again."""
    again = np.random.SeedSequence(child.entropy, spawn_key=child.spawn_key)
    names = component_names()
    return {
        name: CommonNumbers(np.random.default_rng(grandchild))  # type: ignore[misc]
        for name, grandchild in zip(names, again.spawn(len(names)), strict=True)
    }
