"""What travels between firms in one year through one channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from spillover.typing import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Flows:
    """(k,) events: receiving and sending region, receiving firm and source firm, and what each one weighs."""

    receiver: IntArray
    sender: IntArray
    firm: IntArray
    source: IntArray
    weight: FloatArray

    def received(self, n_regions: int) -> FloatArray:
        """(n,) number of events that reach each region."""
        return np.bincount(self.receiver, minlength=n_regions).astype(float)

    def between(self, n_regions: int) -> sp.csr_matrix:
        """(n, n) number of events; row receives, column sends."""
        ones = np.ones(len(self.receiver))
        return sp.csr_matrix(sp.coo_matrix((ones, (self.receiver, self.sender)), shape=(n_regions, n_regions)))

    def brought(self, carried: FloatArray) -> FloatArray:
        """(m,) knowledge that each firm receives when a firm's events carry `carried` (m,) each."""
        return np.bincount(self.firm, weights=self.weight * carried[self.source], minlength=len(carried)).astype(float)
