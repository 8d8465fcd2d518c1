"""Agents: 300 regions, about 200,000 researchers and firms, 30 years; the default behaviour and the special case.

    python benchmarks/agents.py

Prints agents, seconds and peak memory. The aim is under 60 s.
"""

from __future__ import annotations

import resource
import time

from spillover.simulation.agents.config import AgentConfig
from spillover.simulation.agents.simulate import simulate_agents
from spillover.simulation.config import SystemConfig

SYSTEM = SystemConfig(n_regions=300, n_periods=30)
PERSONS_PER_RESEARCHER = 4.0


def main() -> None:
    """Measure and print."""
    configs = {
        "default": AgentConfig(system=SYSTEM, persons_per_researcher=PERSONS_PER_RESEARCHER),
        "like tier 2": AgentConfig.like_system(SYSTEM, persons_per_researcher=PERSONS_PER_RESEARCHER),
    }
    for name, config in configs.items():
        start = time.perf_counter()
        panel, _ = simulate_agents(config, 1)
        seconds = time.perf_counter() - start
        agents = panel["researchers"].sum(axis=0).mean() / PERSONS_PER_RESEARCHER + panel["firms"].sum(axis=0).mean()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{name:12} {agents:9,.0f} agents, {config.years} years: {seconds:5.1f} s, peak {peak:,.0f} MB")


if __name__ == "__main__":
    main()
