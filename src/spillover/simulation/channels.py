"""The mechanisms of the paper's §3, one expected value each, and the distance kernel they share.

Every function maps HTI intensity A (n,) or (n, t) to an array of the same shape.
Rows of a kernel receive, columns send.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from spillover.simulation.config import TRUNCATION
from spillover.simulation.geography import DistancePairs
from spillover.typing import FloatArray


def build_kernel(
    pairs: DistancePairs, own_distances: FloatArray, decay_per_km: float, strength: FloatArray | None = None
) -> sp.csr_matrix:
    """(n, n) sparse kernel exp(−δd), cut where δd > 6.64, with exp(−δ d_ii) on its diagonal.

    Parameters
    ----------
    pairs : ordered pairs at least up to 6.64 / δ km.
    own_distances : (n,) d_ii in km.
    decay_per_km : δ.
    strength : multiplies each pair's kernel (industrial linkage), one number per pair; 1 by default.
    """
    n = len(own_distances)
    near = decay_per_km * pairs.distance <= TRUNCATION
    values = np.exp(-decay_per_km * pairs.distance[near])
    if strength is not None:
        values = values * strength[near]
    between = sp.csr_matrix((values, (pairs.receiver[near], pairs.sender[near])), shape=(n, n))
    return sp.csr_matrix(between + sp.diags(np.exp(-decay_per_km * own_distances)))


def exposure(kernel: sp.csr_matrix, hti: FloatArray, absorption: FloatArray) -> FloatArray:
    """E_i^ψ Σ_j A_j k(d_ij): the high-tech agglomeration that a region can draw on, clusters' worth."""
    reached = np.asarray(kernel @ hti)
    return absorption * reached if reached.ndim == absorption.ndim else absorption[:, None] * reached


def talent_inflow(exposed: FloatArray, talent_per_cluster: float) -> FloatArray:
    """Expected skilled people who move to each region, persons a year."""
    return talent_per_cluster * exposed


def technology_transfer(exposed: FloatArray, transfers_per_cluster: float) -> FloatArray:
    """Expected technology transfers that reach each region a year."""
    return transfers_per_cluster * exposed


def cooperation(transfers: FloatArray, cooperation_share: float) -> FloatArray:
    """Expected cooperation projects a year: a share of the transfers become one."""
    return cooperation_share * transfers


def informal_exchange(exposed: FloatArray, informal_per_cluster: float) -> FloatArray:
    """Expected informal exchanges, activities a month."""
    return informal_per_cluster * exposed


def competition_pressure(firms: FloatArray, hti: FloatArray, firms_per_cluster: float) -> FloatArray:
    """Q: firms per HTI intensity, 1 where firms are as many as a cluster of that intensity usually has."""
    return firms / (hti * firms_per_cluster)


def competition_patents(pressure: FloatArray, strength: float, peak: float) -> FloatArray:
    """b_Q (Q − ½Q²/Q̄): competition drives innovation up to its peak Q̄ and wears it down beyond."""
    return strength * (pressure - 0.5 * pressure**2 / peak)


def capital_stock(
    hti: FloatArray, environment: FloatArray, mean: float, hti_pull: float, environment_pull: float
) -> FloatArray:
    """K = K̄ n softmax(κ_A ln A + κ_E ln E): a fixed capital that goes where HTI and a good environment are."""
    environment = environment if hti.ndim == 1 else environment[:, None]
    pull = hti**hti_pull * environment**environment_pull
    return mean * len(hti) * pull / pull.sum(axis=0)


def capital_patents(stock: FloatArray, strength: float, mean: float) -> FloatArray:
    """b_K (K − K̄): what one region gains in capital the others lose."""
    return strength * (stock - mean)
