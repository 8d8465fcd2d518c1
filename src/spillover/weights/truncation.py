"""What is lost when a kernel is cut at a distance: on a uniform plane by formula, on the real map by measurement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spillover.errors import OptionError
from spillover.typing import FloatArray
from spillover.weights.islands import Kernel
from spillover.weights.points import Points

BUDGET = 10_000_000
"""Distances that may be computed to measure the loss: all rows of 3,000 regions, 100 rows of 100,000."""

CHUNK = 500_000
"""Distances at a time."""


@dataclass(frozen=True)
class Loss:
    """Shares of the kernel's row mass that lie beyond the threshold.

    Attributes
    ----------
    mean, worst : over the rows looked at, in [0, 1].
    region : id of the worst row.
    rows : how many rows were looked at; all of them up to 3,162 regions, evenly spaced ids beyond.
    of : number of regions.
    """

    mean: float
    worst: float
    region: str
    rows: int
    of: int

    def sentence(self, names: Mapping[str, str]) -> str:
        """The loss in words, with the worst region by id and name."""
        name = names.get(self.region)
        who = self.region if name is None else f"{self.region} ({name})"
        sample = "" if self.rows == self.of else f", measured on {self.rows} of {self.of} regions"
        return (
            f"of these regions' own kernel mass {100 * self.mean:.3g} % is left out on average, "
            f"at most {100 * self.worst:.3g} % ({who}){sample}"
        )


def measure_loss(points: Points, kernel: Kernel, threshold_km: float) -> Loss:
    """The share of Σ_j k(d_ij) that lies beyond a threshold, measured on the regions themselves.

    Cost: at most 10⁷ distances, a few rows at a time, so that memory does not grow with n².
    """
    n = len(points.regions)
    count = int(min(n, max(BUDGET // n, 1)))
    by_id = np.argsort(points.ranks)
    rows = by_id[np.unique(np.linspace(0, n - 1, count).round().astype(int))]
    losses = np.zeros(len(rows))
    step = max(CHUNK // n, 1)
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        i, j = np.repeat(part, n), np.tile(np.arange(n), len(part))
        km = points.distances(i[i != j], j[i != j])
        mass = kernel(km).reshape(len(part), n - 1)
        whole, beyond = mass.sum(axis=1), np.where(km.reshape(mass.shape) > threshold_km, mass, 0.0).sum(axis=1)
        losses[start : start + step] = np.divide(beyond, whole, out=np.zeros(len(part)), where=whole > 0.0)
    worst = int(np.argmax(losses))
    return Loss(float(losses.mean()), float(losses[worst]), points.regions[rows[worst]], len(rows), n)


def loss_note(
    points: Points, kernel: Kernel, threshold_km: float, linked: int, names: Mapping[str, str]
) -> tuple[str, ...]:
    """The note on what a threshold loses here; none where every pair is linked.

    linked : pairs i < j within the threshold.
    """
    n = len(points.regions)
    if n < 2 or linked == n * (n - 1) // 2:
        return ()
    return (measure_loss(points, kernel, threshold_km).sentence(names),)


def exponential_reach(share: float) -> float:
    """δd beyond which the kernel e^(−δd) has `share` of its mass on a uniform plane: (1 + x) e^(−x) = share.

    >>> round(exponential_reach(0.01), 3)
    6.638
    """
    from scipy.optimize import brentq

    _check_share(share)
    return float(brentq(lambda x: (1.0 + x) * np.exp(-x) - share, 0.0, 800.0, xtol=1e-12))


def gaussian_reach(share: float) -> float:
    """d / h beyond which the kernel e^(−d²/2h²) has `share` of its mass on a uniform plane: √(2 ln 1/share).

    >>> round(gaussian_reach(0.01), 3)
    3.035
    """
    _check_share(share)
    return float(np.sqrt(2.0 * np.log(1.0 / share)))


def _check_share(share: float) -> None:
    if not 0.0 < share < 1.0:
        raise OptionError("a share of mass is between 0 and 1", got=repr(share), expected="0.01 for 1 %")


def plane_share(reach: float | FloatArray) -> float:
    """Share of the exponential kernel's mass beyond δd = reach on a uniform plane."""
    return float((1.0 + reach) * np.exp(-reach))
