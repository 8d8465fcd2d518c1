"""`AgentTruth`: what raising A does when agents act: by perturbation with common random numbers, or in closed form."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from spillover.errors import OptionError, UnknownColumnError, did_you_mean, show_labels
from spillover.simulation.agents.config import AgentConfig
from spillover.simulation.agents.draws import AgentStreams
from spillover.simulation.agents.economy import Snapshot, live
from spillover.simulation.streams import check_seed
from spillover.simulation.structure import System
from spillover.simulation.truth import Truth
from spillover.typing import BoolArray, FloatArray, Progress, no_progress


@dataclass(frozen=True, eq=False)
class AgentEffect:
    """The effect of a lasting rise of A in some regions, per unit of A, mean over the panel's years.

    Attributes
    ----------
    regions : n ids.
    raised : ids of the regions whose A was raised.
    step : by how much.
    draws : (d, n) change in expected patents a year per unit of A, one row per draw of the agents' luck.
    """

    regions: tuple[str, ...]
    raised: tuple[str, ...]
    step: float
    draws: FloatArray

    @property
    def effect(self) -> FloatArray:
        """(n,) mean over the draws, patents a year per unit of A."""
        return self.draws.mean(axis=0)

    @property
    def std_error(self) -> FloatArray:
        """(n,) Monte Carlo standard error of `effect`."""
        return self.draws.std(axis=0, ddof=1) / np.sqrt(len(self.draws))

    @property
    def own(self) -> tuple[float, float]:
        """Mean effect in the raised regions, and its standard error."""
        return self._mean(np.isin(self.regions, self.raised), 1.0 / len(self.raised))

    @property
    def emitted(self) -> tuple[float, float]:
        """Effect on all the other regions together per raised region, and its standard error."""
        return self._mean(~np.isin(self.regions, self.raised), 1.0 / len(self.raised))

    @property
    def total(self) -> tuple[float, float]:
        """Effect on all regions together per raised region, and its standard error."""
        return self._mean(np.ones(len(self.regions), dtype=bool), 1.0 / len(self.raised))

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON: what was raised, and the effect and its standard error by region."""
        named = {"own": self.own, "emitted": self.emitted, "total": self.total}
        return {
            "raised": list(self.raised),
            "step": self.step,
            "draws": len(self.draws),
            **{name: {"effect": effect, "std_error": error} for name, (effect, error) in named.items()},
            "regions": dict(zip(self.regions, self.effect.tolist(), strict=True)),
            "std_errors": dict(zip(self.regions, self.std_error.tolist(), strict=True)),
        }

    def _mean(self, which: BoolArray, scale: float) -> tuple[float, float]:
        sums = scale * self.draws[:, which].sum(axis=1)
        return float(sums.mean()), float(sums.std(ddof=1) / np.sqrt(len(sums)))


@dataclass(frozen=True, eq=False)
class AgentTruth:
    """What is true given the drawn map, environment and path of A.

    Attributes
    ----------
    config, system : as simulated.
    hti : (n, t) the path of A.
    closed_form : tier 2's truth in the special case (`config.is_like_system`), where it is the agents' too; else None.
    snapshot : flows by origin and destination and the network of partners, if they were asked for.
    """

    config: AgentConfig
    system: System
    hti: FloatArray
    closed_form: Truth | None
    snapshot: Snapshot | None = None

    @property
    def regions(self) -> tuple[str, ...]:
        """n ids."""
        return self.system.geography.regions

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON: whether there is a closed form, and tier 2's numbers where there is."""
        numbers = {} if self.closed_form is None else self.closed_form.as_dict()
        return {"kind": "agents", "closed_form": self.closed_form is not None, **numbers}

    def effect_of(
        self,
        raised: str | Iterable[str],
        *,
        step: float = 0.1,
        draws: int = 20,
        seed: int = 1,
        executor: Executor | None = None,
        progress: Progress = no_progress,
    ) -> AgentEffect:
        """Raise A by `step` in some regions in every year (run-in included) and see who gains, by brute force.

        Each draw lets the agents live twice with the same random numbers, with and without the rise. The change in
        expected patents given the firms' knowledge is divided by the step, so that the luck of inventing adds no noise.

        Parameters
        ----------
        raised : an id, or several that are raised together.
        step : change in A, positive, or negative but leaving A positive. Without the special case the answer depends
            on it: it is the mean slope over the step.
        draws : number of draws, at least 2; standard errors fall with its root.
        seed : each draw has its own child of it, so numbers do not depend on the number of workers.
        executor : any concurrent.futures executor; the draws run in this process without one.

        Raises
        ------
        UnknownColumnError : an id that is not on the map.  OptionError : fewer than two draws, an inadmissible step.

        Notes
        -----
        Cost: two runs of the agents per draw.
        """
        ids = (raised,) if isinstance(raised, str) else tuple(dict.fromkeys(raised))
        rows = self._rows(ids)
        self._check(ids, rows, step, draws)
        higher = self.hti.copy()
        higher[rows] += step
        compare = partial(_difference, self.config, self.system, self.hti, higher)
        children = np.random.SeedSequence(check_seed(seed)).spawn(draws)
        results = []
        for i, gain in enumerate(map(compare, children) if executor is None else executor.map(compare, children)):
            results.append(gain / step)
            progress(f"draw {i + 1} of {draws}", (i + 1) / draws)
        return AgentEffect(self.regions, ids, step, np.stack(results))

    def _rows(self, ids: tuple[str, ...]) -> list[int]:
        place = {region: i for i, region in enumerate(self.regions)}
        unknown = [region for region in ids if region not in place]
        if unknown or not ids:
            raise UnknownColumnError(
                "regions that are not on the map" if unknown else "no region is named",
                got=show_labels(unknown) or "nothing",
                expected="ids such as " + show_labels(self.regions),
                fix=did_you_mean(unknown[0], self.regions) if unknown else None,
            )
        return [place[region] for region in ids]

    def _check(self, ids: tuple[str, ...], rows: list[int], step: float, draws: int) -> None:
        problems = []
        if not np.isfinite(step) or step == 0:
            problems.append(f"step = {step!r} is not a number different from zero")
        elif (self.hti[rows] + step).min() <= 0:
            problems.append(f"step = {step:g} takes A of {show_labels(ids)} to zero or below")
        if isinstance(draws, bool) or not isinstance(draws, (int, np.integer)) or draws < 2:
            problems.append(f"draws = {draws!r} is not a whole number of at least 2")
        if problems:
            raise OptionError("an effect cannot be computed so", got="; ".join(problems), fix="step=0.1, draws=20")


def _difference(
    config: AgentConfig, system: System, hti: FloatArray, higher: FloatArray, child: np.random.SeedSequence
) -> FloatArray:
    """(n,) change in mean expected patents of one draw."""
    base, raised = (live(config, system, path, AgentStreams(child)).variables for path in (hti, higher))
    return (raised["expected_patents"] - base["expected_patents"]).mean(axis=1)
