"""The same model with the regions of W relabelled, many times over.

W with its regions relabelled, PWP', gives the same estimates as W itself with the rows of the data relabelled the other
way round. So the data are shuffled and W stays: its eigenvalues, log-determinant and traces are prepared once.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass, replace

import numpy as np

from spillover.audit.focus import focus_effects
from spillover.audit.light import light
from spillover.audit.replay import ErrorKind, Replay, can_replay
from spillover.errors import EstimationError, SpilloverWarning
from spillover.models.fit import fit_spec
from spillover.models.result import SpatialFit
from spillover.models.spec import ModelSpec
from spillover.panel.panel import Panel
from spillover.typing import FloatArray, IntArray, Progress
from spillover.weights.weights import SpatialWeights

CHUNK = 50
"""Draws that a worker takes at a time; fixed, so that results do not depend on the number of workers."""

STATISTICS = ("effect", "t_ratio", "rho")


@dataclass(frozen=True, eq=False)
class Recipe:
    """What is needed to estimate a model again, without anything computed; can be sent to another process."""

    spec: ModelSpec
    panel: Panel
    outcome: dict[str, SpatialWeights]
    regressors: SpatialWeights | None
    error: SpatialWeights | None
    variable: str

    @classmethod
    def of(cls, fit: SpatialFit, variable: str) -> Recipe:
        """From a fit: only the variables of its formula, every W without its engine.

        Errors are clustered by region, or from the information matrix where the fit has them so: other kinds depend on
        places, which would be shuffled with the data.
        """
        kind = "information" if fit.spec.resolved_covariance == "information" else "cluster"
        spec = fit.spec.with_changes(covariance=kind, cutoff_km=None, time_lags=None)
        panel = light(fit)
        fresh: dict[int, SpatialWeights] = {}

        def bare(w: SpatialWeights | None) -> SpatialWeights | None:
            return None if w is None else fresh.setdefault(id(w), replace(w))

        outcome = {name: replaced for name, w in fit.roles.outcome if (replaced := bare(w)) is not None}
        regressors = bare(fit.roles.regressors) if spec.has_lagged_regressors else None
        error = bare(fit.roles.error) if spec.has_spatial_error else None
        return cls(spec, panel, outcome, regressors, error, variable)

    def fresh(self) -> Recipe:
        """A copy whose W have computed nothing yet, so that numbers do not depend on what was computed before."""
        made: dict[int, SpatialWeights] = {}

        def again(w: SpatialWeights) -> SpatialWeights:
            return made.setdefault(id(w), replace(w))

        return replace(
            self,
            outcome={name: again(w) for name, w in self.outcome.items()},
            regressors=None if self.regressors is None else again(self.regressors),
            error=None if self.error is None else again(self.error),
        )

    def estimate(self, order: IntArray | None = None) -> SpatialFit:
        """The fit with the data of region order[i] in the place of region i."""
        panel = self.panel
        if order is not None:
            panel = replace(panel, variables={name: values[order] for name, values in panel.variables.items()})
        return fit_spec(self.spec, panel, self.outcome or None, weights_x=self.regressors, weights_error=self.error)

    def statistics(self, orders: IntArray) -> FloatArray:
        """(R, 3) spillover, its t-ratio and ρ for relabellings (R, n); NaN where the model has no maximum."""
        fit = self.estimate()
        if can_replay(fit) and (replay := Replay.of(fit, self.variable)).has_errors:
            kind: ErrorKind = "information" if self.spec.resolved_covariance == "information" else "cluster"
            found = replay.permutations(orders, (kind,))
            return np.column_stack([found.spillover, found.t_ratio("spillover", kind), found.rho])
        values = np.full((len(orders), len(STATISTICS)), np.nan)
        for row, order in enumerate(orders):
            try:
                values[row] = self.measure(self.estimate(order))
            except EstimationError:
                continue
        return values

    def measure(self, fit: SpatialFit) -> tuple[float, float, float]:
        """(spillover, its t-ratio, ρ) of a fit; ρ is 0 without a single W y."""
        effect = focus_effects(fit, self.variable).spillover
        assert effect is not None
        return effect.value, effect.t_ratio, fit.rho if len(self.outcome) == 1 else 0.0


def draw_order(rng: np.random.Generator, n: int, groups: Sequence[IntArray] | None) -> IntArray:
    """A random relabelling of n regions: of all, or of the members of each group among themselves."""
    if groups is None:
        return rng.permutation(n)
    order = np.arange(n)
    for members in groups:
        order[members] = members[rng.permutation(members.size)]
    return order


def relabelled_statistics(
    recipe: Recipe,
    groups: Sequence[IntArray] | None,
    draws: int,
    seeds: np.random.SeedSequence,
    executor: Executor | None,
    progress: Progress,
    said: str,
) -> FloatArray:
    """(draws, 3) statistics of `STATISTICS` under random relabellings; rows of NaN where a model had no maximum."""
    children = seeds.spawn(draws)
    chunks = [children[start : start + CHUNK] for start in range(0, draws, CHUNK)]
    found: dict[int, FloatArray] = {}
    for number, values in _play(recipe, groups, chunks, executor):
        found[number] = values
        done = sum(len(part) for part in found.values())
        progress(f"{said}: {done} of {draws}", done / draws)
    return np.concatenate([found[number] for number in range(len(chunks))])


def _play(
    recipe: Recipe,
    groups: Sequence[IntArray] | None,
    chunks: list[list[np.random.SeedSequence]],
    executor: Executor | None,
) -> Iterator[tuple[int, FloatArray]]:
    if executor is None:
        yield from ((number, play_chunk(recipe, groups, chunk)) for number, chunk in enumerate(chunks))
        return
    futures = {executor.submit(play_chunk, recipe, groups, chunk): number for number, chunk in enumerate(chunks)}
    try:
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        for future in futures:
            future.cancel()


def play_chunk(
    recipe: Recipe, groups: Sequence[IntArray] | None, seeds: Sequence[np.random.SeedSequence]
) -> FloatArray:
    """The statistics of one chunk of draws, each with its own seed."""
    n = len(recipe.panel.regions)
    orders = np.array([draw_order(np.random.default_rng(seed), n, groups) for seed in seeds])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpilloverWarning)
        return recipe.fresh().statistics(orders)
