"""`Exposure`: a distance-decay kernel that includes the region itself, K = W + diag(own)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from spillover.errors import WeightsError, show_labels
from spillover.panel.panel import Panel
from spillover.typing import FloatArray
from spillover.weights.weights import SpatialWeights


@dataclass(frozen=True, eq=False)
class Diagonal:
    """A diagonal matrix: what each region gets from itself."""

    values: FloatArray

    @property
    def matrix(self) -> sp.csr_matrix:
        """(n, n)."""
        return sp.csr_matrix(sp.diags(self.values))


@dataclass(frozen=True, eq=False)
class Exposure:
    """What a region is exposed to: (Kx)_i = own_i x_i + Σ_j w_ij x_j, with one coefficient for home and next door.

    Where a channel decays smoothly with distance, its effect at home is the kernel at the region's own mean distance,
    and one coefficient does the work of two (β for x, θ for W x). The restriction is a claim: `W*x + x` tests it.

    Attributes
    ----------
    weights : W between different regions, not standardised by row.
    own : (n,) kernel of each region with itself, in the unit of W, in the order of `weights.regions`.
    """

    weights: SpatialWeights
    own: FloatArray

    def __post_init__(self) -> None:
        own = np.array(self.own, dtype=float)
        if own.shape != (self.weights.n,) or not np.isfinite(own).all() or (own < 0).any():
            raise WeightsError(
                "an exposure needs one number of zero or more for each region with itself",
                got=f"shape {own.shape}",
                expected=f"({self.weights.n},), for {show_labels(self.weights.regions)}",
            )
        own.setflags(write=False)
        object.__setattr__(self, "own", own)

    @property
    def regions(self) -> tuple[str, ...]:
        """n region ids."""
        return self.weights.regions

    @property
    def kind(self) -> str:
        """What a link means, in words."""
        return f"{self.weights.kind}, the region itself included"

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done when W was made."""
        return self.weights.notes

    @cached_property
    def home(self) -> Diagonal:
        """diag(own)."""
        return Diagonal(self.own)

    @cached_property
    def matrix(self) -> sp.csr_matrix:
        """(n, n) K."""
        return sp.csr_matrix(self.weights.matrix + sp.diags(self.own))

    def lag(self, values: FloatArray) -> FloatArray:
        """K x for an array whose first axis is the regions."""
        return np.asarray(self.matrix @ values)

    def align(self, regions: Sequence[str]) -> Exposure:
        """K for exactly these regions in this order."""
        wanted = tuple(regions)
        if wanted == self.regions:
            return self
        aligned = self.weights.align(wanted)
        position = {region: i for i, region in enumerate(self.regions)}
        return Exposure(aligned, self.own[[position[region] for region in wanted]])


def build_exposure(source: Panel, decay_per_km: float, threshold_km: float | None = None) -> Exposure:
    """K_ij = exp(−δ d_ij) between centroids, K_ii = exp(−δ d_ii) at d_ii = (2/3) √(area / π).

    d_ii is the mean distance of a point of a disc from its centre.

    Parameters
    ----------
    source : a panel with a map.
    decay_per_km : δ > 0, per km.
    threshold_km : beyond which the kernel is cut; δd = 6.64 by default.

    Raises
    ------
    PanelError : the panel has no map. OptionError : δ or the threshold is not positive.
    """
    from spillover.panel.geometry import areas_km2
    from spillover.weights.distance import build_exponential

    options: dict[str, Any] = {} if threshold_km is None else {"threshold_km": threshold_km}
    weights = build_exponential(source, decay_per_km, standardise="none", **options)
    distance = (2.0 / 3.0) * np.sqrt(areas_km2(source) / np.pi)
    return Exposure(weights, np.exp(-decay_per_km * distance))
