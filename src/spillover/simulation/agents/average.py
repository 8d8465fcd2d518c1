"""Average direct and spillover effects of agents, by brute force: a few lives instead of one for every region.

With r_all the change when A rises by `step` in every region, and r_z when it rises in a random half (z_i = 1 or −1),
2 r_z − r_all = step · M z. E[z'Mz] = tr M for independent signs (Hutchinson's estimator), so that z'(2 r_z − r_all)
estimates the sum of own effects and ι'r_all that of all effects. Its noise is that of the effects between regions,
which resemble those of tier 2: with M₀ the closed form of tier 2, b (z'M₀z − tr M₀) has mean zero and is subtracted,
b being the ratio of the two total effects.
"""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from spillover.errors import ConfigurationError
from spillover.simulation.admissible import is_number, shown
from spillover.simulation.agents.config import MAX_AGENTS, AgentConfig
from spillover.simulation.agents.draws import AgentStreams
from spillover.simulation.agents.economy import live
from spillover.simulation.agents.truth import AgentTruth
from spillover.simulation.streams import check_seed
from spillover.simulation.structure import System
from spillover.simulation.truth import Truth, compute_truth
from spillover.typing import FloatArray, Progress, no_progress

_SIGNS = 10_000  # far from the children that the streams of a life spawn


@dataclass(frozen=True, eq=False)
class AverageEffects:
    """Direct, spillover and total effect per unit of A, mean over regions and years.

    Attributes
    ----------
    step : by how much A was raised. draws : (d, 2) direct and total effect of each draw.
    received : (n,) change of each region when all are raised, own effect included; `received_error` its error.
    """

    regions: tuple[str, ...]
    step: float
    draws: FloatArray
    received: FloatArray
    received_error: FloatArray

    @property
    def direct(self) -> tuple[float, float]:
        """Mean own effect, and its Monte Carlo standard error."""
        return self._mean(self.draws[:, 0])

    @property
    def spillover(self) -> tuple[float, float]:
        """Mean effect of all others."""
        return self._mean(self.draws[:, 1] - self.draws[:, 0])

    @property
    def total(self) -> tuple[float, float]:
        """Direct plus spillover."""
        return self._mean(self.draws[:, 1])

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        named = {"direct": self.direct, "spillover": self.spillover, "total": self.total}
        values = {name: value for name, (value, _) in named.items()}
        return {
            **values,
            "std_errors": {name: error for name, (_, error) in named.items()},
            "step": self.step,
            "draws": len(self.draws),
        }

    @staticmethod
    def _mean(values: FloatArray) -> tuple[float, float]:
        return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


def average_effects(
    truth: AgentTruth,
    *,
    step: float = 0.1,
    draws: int = 10,
    seed: int = 1,
    executor: Executor | None = None,
    progress: Progress = no_progress,
) -> AverageEffects:
    """Mean direct and spillover effect of A on expected patents when agents act.

    Parameters
    ----------
    truth : of `simulate_agents`. step : rise of A in every year, above 0; outside the special case the answer depends
        on it. draws : 2 or more; errors fall with its root.
    seed, executor, progress : as in `AgentTruth.effect_of`.

    Raises ConfigurationError. Cost: three runs of the agents per draw, whatever the number of regions.
    """
    problems = []
    if not (is_number(step) and step > 0):
        problems.append(f"step = {shown(step)} is not a positive number")
    if isinstance(draws, bool) or not isinstance(draws, int | np.integer) or draws < 2:
        problems.append(f"draws = {shown(draws)} is not a whole number of at least 2")
    if not problems and (more := len(truth.regions) * truth.config.researchers_per_cluster * step) > MAX_AGENTS:
        problems.append(f"step = {step:g} in every region makes about {more:,.0f} agents more, above {MAX_AGENTS:,}")
    if problems:
        raise ConfigurationError("effects cannot be computed so", problems=problems, fix="step=0.1, draws=10")
    known = compute_truth(truth.system, truth.hti)
    one = partial(_draw, truth.config, truth.system, truth.hti, step, known)
    children = np.random.SeedSequence(check_seed(seed)).spawn(draws)
    rows, received = [], []
    for i, (row, reached) in enumerate(map(one, children) if executor is None else executor.map(one, children)):
        rows.append(row)
        received.append(reached)
        progress(f"draw {i + 1} of {draws}", (i + 1) / draws)
    stack = np.stack(received)
    error = stack.std(axis=0, ddof=1) / np.sqrt(draws)
    direct, total, control = np.array(rows).T
    ratio = total.mean() / known.total if known.total else 0.0
    pairs = np.column_stack([direct - ratio * control, total])
    return AverageEffects(truth.regions, step, pairs, stack.mean(axis=0), error)


def _draw(
    config: AgentConfig, system: System, hti: FloatArray, step: float, known: Truth, child: np.random.SeedSequence
) -> tuple[tuple[float, float, float], FloatArray]:
    """Direct and total effect of one draw with its control, and (n,) the change where all are raised, per unit of A."""
    n = len(hti)
    key = np.random.SeedSequence(child.entropy, spawn_key=(*child.spawn_key, _SIGNS))
    signs = np.random.default_rng(key).choice([-1.0, 1.0], n)
    paths = (hti, hti + step, hti + step * (signs > 0)[:, None])
    base, everybody, half = (
        live(config, system, path, AgentStreams(child)).variables["expected_patents"].mean(axis=1) for path in paths
    )
    reached = (everybody - base) / step
    sent = 2.0 * (half - base) / step - reached
    control = float(signs @ known.apply(signs) / n) - known.direct
    return (float(signs @ sent / n), float(reached.mean()), control), reached
