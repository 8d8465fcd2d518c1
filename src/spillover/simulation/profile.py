"""Spillovers by distance: how much of an effect happens between regions how far apart."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy.sparse as sp

from spillover.simulation.effect_matrix import EffectMatrix
from spillover.simulation.geography import Geography
from spillover.typing import FloatArray

BAND_EDGES_KM = (0.0, 50.0, 100.0, 200.0, 300.0, 500.0, 750.0, np.inf)
_ROWS = 512  # receivers at a time where all pairs must be visited


@dataclass(frozen=True)
class BandTruth:
    """Spillover between regions low–high km apart: patents a year per pair, and its share of all spillover.

    `per_region` is what a region receives on average from all the others in the band when each raises A by 1;
    over the bands it adds up to the spillover. The share is of the sum over bands, whatever its sign.
    """

    low_km: float
    high_km: float
    pairs: int
    effect_per_pair: float
    per_region: float
    share: float


def profile_by_distance(effect: EffectMatrix, geography: Geography) -> tuple[BandTruth, ...]:
    """Off-diagonal effects by distance band; bands that hold no pair of regions are left out.

    Cost O(links) for the sparse part. Pairs are counted, and a low-rank part is summed, over all n² of them: n² r
    operations, 512 rows at a time.
    """
    links = sp.coo_matrix(effect.sparse)
    apart = links.row != links.col
    bins = _band(geography.distances(links.row[apart], links.col[apart]))
    size = len(BAND_EDGES_KM) - 1
    sums = np.zeros(size) + np.bincount(bins, weights=links.data[apart], minlength=size)
    n = effect.sparse.shape[0]
    count = np.zeros(size)
    for start in range(0, n, _ROWS):
        rows = np.arange(start, min(start + _ROWS, n))
        i, j = np.repeat(rows, n), np.tile(np.arange(n), len(rows))
        inside = np.where(i == j, size, _band(geography.distances(i, j)))  # a region itself is in no band
        count += np.bincount(inside, minlength=size + 1)[:size]
        if effect.left.shape[1]:
            taken = (effect.left[rows] @ effect.right.T).ravel()
            sums -= np.bincount(inside, weights=taken, minlength=size + 1)[:size]
    whole = sums.sum() or 1.0
    return tuple(
        BandTruth(low, high, int(count[b]), float(sums[b] / count[b]), float(sums[b] / n), float(sums[b] / whole))
        for b, (low, high) in enumerate(pairwise(BAND_EDGES_KM))
        if count[b]
    )


def _band(distance: FloatArray) -> np.ndarray:
    return np.digitize(distance, BAND_EDGES_KM[1:-1])
