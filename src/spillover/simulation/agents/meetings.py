"""Step 6, informal meetings: people of different firms meet by chance, less often the further apart they work."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from spillover.simulation.agents.config import AgentConfig
from spillover.simulation.agents.draws import AgentStreams, build_lottery, invert_poisson
from spillover.simulation.agents.flows import Flows
from spillover.simulation.agents.population import Firms
from spillover.typing import FloatArray

MONTHS = 12.0
"""Meetings are drawn by the year and reported by the month."""


def meet(
    config: AgentConfig, firms: Firms, kernel: sp.csr_matrix, absorption: FloatArray, year: int, streams: AgentStreams
) -> Flows:
    """A year's informal exchanges: Poisson(12 x0 E_i^ψ exp(−δ_X d_ij) jobs_j / jobs per cluster) from j to i.

    A sum of independent Poisson counts is Poisson, so they are drawn between regions; who meets is then drawn with
    chances in proportion to jobs. Each weighs a twelfth: an activity a month.
    """
    rng, n = streams.at("meetings", year), len(absorption)
    links = sp.coo_matrix(sp.diags(absorption) @ kernel)
    jobs = firms.add_up(firms.jobs, n) / config.researchers_per_cluster
    mean = MONTHS * config.system.informal_per_cluster * links.data * jobs[links.col]
    count = invert_poisson(mean, rng.random(len(mean)))
    receiver, sender = np.repeat(links.row, count).astype(np.int64), np.repeat(links.col, count).astype(np.int64)
    lottery = build_lottery(firms.region, firms.alive, firms.jobs, n)
    return Flows(
        receiver, sender, lottery.draw(receiver, rng), lottery.draw(sender, rng), np.full(len(receiver), 1.0 / MONTHS)
    )
