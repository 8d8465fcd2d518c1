"""`simulate_agents`: a panel of regions in which agents act, with its truth."""

from __future__ import annotations

import numpy as np

from spillover.panel.panel import Panel
from spillover.simulation.agents.config import AgentConfig
from spillover.simulation.agents.draws import AgentStreams
from spillover.simulation.agents.economy import Life, live
from spillover.simulation.agents.truth import AgentTruth
from spillover.simulation.geography import Geography
from spillover.simulation.streams import check_seed
from spillover.simulation.system import draw_system
from spillover.typing import FloatArray, Progress, no_progress

_ADDED = {  # name → (label, unit); the other variables are tier 2's
    "entries": ("Spin-offs founded", "firms a year"),
    "exits": ("Firms that left the market", "firms a year"),
    "researchers": ("Researchers in high-tech industry", "persons"),
    "knowledge": ("Knowledge of the mean firm", "patents' worth"),
    "institutes": ("Public research institutes", "institutes"),
}


def simulate_agents(
    config: AgentConfig,
    seed: int,
    *,
    geography: Geography | None = None,
    snapshot: bool = False,
    progress: Progress = no_progress,
) -> tuple[Panel, AgentTruth]:
    """A panel in which firms, researchers, universities, institutes and governments have acted, and its truth.

    Parameters
    ----------
    config : all parameters; `AgentConfig.like_system(...)` is the special case with tier 2's means.
    seed : whole number; the map, the path of A and the people are those of tier 2's `simulate(config.system, seed)`.
    geography : a real map with as many regions as configured; a synthetic one by default.
    snapshot : keep flows by origin and destination and the network of partners (in `truth.snapshot`).
    progress : called once a year.

    Returns
    -------
    Panel with tier 2's variables (n, t) and entries, exits, researchers, knowledge and institutes; its AgentTruth.

    Raises
    ------
    OptionError : an inadmissible seed, or a configuration that the drawn map makes impossible.

    Notes
    -----
    Cost a year: movers × regions within reach, region pairs within reach, and events. 300 regions with 200,000
    researchers and firms: about a fifth of a second a year.

    Examples
    --------
    >>> from spillover.simulation.config import SystemConfig
    >>> small = SystemConfig(n_regions=12, n_periods=2)
    >>> panel, truth = simulate_agents(AgentConfig(system=small, burn_in=1), seed=1)
    >>> panel.shape
    (12, 2)
    """
    drawn = draw_system(config.system, seed, geography)
    hti = drawn.outcomes.hti
    streams = AgentStreams(np.random.SeedSequence(check_seed(seed)))
    life = live(config, drawn.system, hti, streams, snapshot=snapshot, progress=progress)
    truth = AgentTruth(config, drawn.system, hti, drawn.truth if config.is_like_system else None, life.snapshot)
    return _build_panel(drawn.panel, config, life, streams), truth


def _build_panel(base: Panel, config: AgentConfig, life: Life, streams: AgentStreams) -> Panel:
    """Tier 2's panel of the same map and the same A, with what the agents did in place of its flows."""
    acted = {name: values for name, values in life.variables.items() if name != "expected_patents"}
    acted["revenue"] = _draw_revenue(config, acted["patents"], streams)
    chosen = streams.at("institutes").choice(len(base.regions), size=config.institutes, replace=False)
    acted["institutes"] = np.repeat(np.bincount(chosen, minlength=len(base.regions))[:, None], base.shape[1], axis=1)
    return base.with_variables(
        acted,
        labels={name: label for name, (label, _) in _ADDED.items()},
        units={name: unit for name, (_, unit) in _ADDED.items()},
        note="flows, firms and innovation come from agents",
    )


def _draw_revenue(config: AgentConfig, patents: FloatArray, streams: AgentStreams) -> FloatArray:
    """10⁴ yuan: proportional to patents, with a multiplicative error of mean 1, as in tier 2."""
    system = config.system
    noise = system.revenue_sd * streams.at("revenue").standard_normal(patents.shape) - 0.5 * system.revenue_sd**2
    return system.revenue_per_patent * patents * np.exp(noise)
