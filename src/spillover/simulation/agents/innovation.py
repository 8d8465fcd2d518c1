"""Step 8, innovation: knowledge becomes patents."""

from __future__ import annotations

from dataclasses import replace

from spillover.simulation.agents.config import AgentConfig
from spillover.simulation.agents.draws import AgentStreams, invert_poisson
from spillover.simulation.agents.population import Firms
from spillover.typing import FloatArray


def innovate(config: AgentConfig, firms: Firms, year: int, streams: AgentStreams) -> tuple[Firms, FloatArray]:
    """Firms with this year's patents ~ Poisson(ϑ κ (k / κ)^γ), and (m,) the means; κ is knowledge_scale."""
    scale = config.knowledge_scale
    mean = config.patents_per_knowledge * scale * (firms.knowledge / scale) ** config.returns
    patents = invert_poisson(mean, streams.at("patents", year).random(len(mean)))
    return replace(firms, patents=patents.astype(float)), mean
