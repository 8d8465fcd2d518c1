"""Step 1, government: each region's government sets its policy, and with it the environment, and a subsidy."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from spillover.simulation.agents.config import AgentConfig
from spillover.simulation.structure import System
from spillover.typing import FloatArray


@dataclass(frozen=True, eq=False)
class Government:
    """This year's `setting` (the system under the present policy and firms), and (n,) subsidies, 10⁴ yuan a firm."""

    setting: System
    absorption: FloatArray
    subsidy: FloatArray


def govern(config: AgentConfig, system: System, firms: FloatArray, last_patents: FloatArray | None) -> Government:
    """Policy answers to last year's relative innovation; E = (policy × infrastructure × culture)^(1/3).

    Parameters
    ----------
    system : the system as it was drawn.
    firms : (n,) living firms.
    last_patents : (n,) expected patents of last year; None in the first year, when policy is as it was drawn.
    """
    policy = system.environment.policy
    if last_patents is not None and config.policy_response:
        policy = policy * (np.maximum(last_patents, 1e-9) / last_patents.mean()) ** config.policy_response
    environment = replace(system.environment, policy=policy)
    setting = replace(system, environment=environment, firms=firms)
    return Government(setting, setting.absorb(last_patents), config.subsidy * policy)
