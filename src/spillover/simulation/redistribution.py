"""The effects of A that no knowledge channel carries: competition at home, and capital that is drawn away."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from spillover.simulation.effect_matrix import EffectMatrix, from_sparse
from spillover.simulation.structure import System
from spillover.typing import FloatArray


def other_effects(system: System, hti: FloatArray) -> dict[str, EffectMatrix]:
    """Channel ("competition", "capital") → its effect, where it is switched on: mean over the periods of hti (n, t).

    Competition  −b_Q (1 − Q/Q̄) Q / A on the diagonal: firms are exogenous, so more A eases competition at home.
    Capital      b_K κ_A [diag(K) − K K' / (K̄ n)] diag(1 / A): what one region gains the others lose (backwash).
    """
    c, (n, t) = system.config, hti.shape
    effects: dict[str, EffectMatrix] = {}
    if c.competition:
        pressure = system.pressure(hti)
        slope = -c.competition * (1.0 - pressure / c.competition_peak) * pressure / hti
        effects["competition"] = from_sparse(sp.diags(slope.mean(axis=1)))
    if c.capital:
        stock, strength = system.capital(hti), c.capital * c.capital_hti
        effects["capital"] = EffectMatrix(
            sparse=sp.csr_matrix(sp.diags((strength * stock / hti).mean(axis=1))),
            left=strength / (c.capital_mean * n * t) * stock,
            right=np.asarray(stock / hti),
        )
    return effects
