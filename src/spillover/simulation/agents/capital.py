"""Step 2, capital: a fixed capital goes to regions by softmax, and within a region to firms by their jobs."""

from __future__ import annotations

from dataclasses import replace

from spillover.simulation.agents.population import Firms
from spillover.simulation.structure import System
from spillover.typing import FloatArray


def allocate_capital(firms: Firms, setting: System, hti: FloatArray) -> tuple[Firms, FloatArray]:
    """Firms with their capital, and (n,) capital K = K̄ n softmax(κ_A ln A + κ_E ln E) of the regions.

    What one region gains the others lose (backwash). A firm without staff has the weight of one job.
    """
    stock = setting.capital(hti)
    weight = (firms.jobs + 1.0) * firms.alive
    total = firms.add_up(weight, len(stock))
    return replace(firms, capital=stock[firms.region] * weight / total[firms.region]), stock
