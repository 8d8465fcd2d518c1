"""Step 7, knowledge: what a firm keeps, finds out, and learns from movers, partners and meetings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spillover.simulation.agents.config import AgentConfig
from spillover.simulation.agents.flows import Flows
from spillover.simulation.agents.population import Firms


def learn(config: AgentConfig, firms: Firms, movers: Flows, projects: Flows, meetings: Flows) -> Firms:
    """k' = (1 − d) k + e + b_M Σ movers + b_C Σ projects + b_X Σ meetings, each times (k_source / mean k)^ω.

    What is brought is relative to the mean knowledge of living firms: with absolute knowledge the sum would feed on
    itself and grow without end.
    """
    relative = firms.knowledge / max(float(firms.knowledge[firms.alive].mean()), 1e-12)
    carried = np.maximum(relative, 0.0) ** config.carried_knowledge
    system = config.system
    learnt = (
        system.patents_per_person * movers.brought(carried)
        + system.patents_per_project * projects.brought(carried)
        + system.patents_per_activity * meetings.brought(carried)
    )
    knowledge = (1.0 - config.depreciation) * firms.knowledge + firms.effort + learnt
    return replace(firms, knowledge=np.where(firms.alive, knowledge, 0.0))
