"""Panels with planted thresholds or strengths: what estimators of moderation are judged by."""

from __future__ import annotations

from dataclasses import dataclass

import geopandas as gpd
import numpy as np
from scipy.signal import lfilter
from shapely.geometry import Point

from spillover.panel.panel import Panel
from spillover.simulation.streams import check_seed
from spillover.typing import FloatArray
from spillover.weights.weights import SpatialWeights

BURN_IN = 50  # periods before the first; 0.8^50 is 1e-5


@dataclass(frozen=True)
class PlantedThresholds:
    """y = x + Σ δ x 1(q ≤ γ) + θ W x + δ_w (W x) 1(q ≤ γ_w) + ρ W y + region and period effects + e.

    x, q and e are independent normal fields of every period with correlation exp(−d / range_km), on a square of side
    1000·√(n/300) km; e is multiplied by exp(heteroskedastic·x). All parameters in standard deviations of x, q and e.

    Attributes
    ----------
    n_regions, n_periods : size.
    range_km : of all three fields; 0 draws regions independently.
    jumps : (δ, γ) of each planted threshold; none for a panel without.
    heteroskedastic : how ln sd(e) grows with x.
    spatial_q : whether q is a field; else it is independent between regions.
    serial : autocorrelation in time of x, q and e.
    rho, theta, lag_jump : of the spatial terms, with W given to `draw`; lag_jump is (δ_w, γ_w).
    """

    n_regions: int = 100
    n_periods: int = 10
    range_km: float = 0.0
    jumps: tuple[tuple[float, float], ...] = ()
    heteroskedastic: float = 0.0
    spatial_q: bool = True
    serial: float = 0.0
    rho: float = 0.0
    theta: float = 0.0
    lag_jump: tuple[float, float] = (0.0, 0.0)

    def draw(self, seed: int, weights: SpatialWeights | None = None) -> Panel:
        """A panel with variables y, x, q and its map; the same seed gives the same panel.

        weights : W of the spatial terms, whose ids the panel takes; needed where they are not zero.
        """
        rng = np.random.default_rng(check_seed(seed))
        n, t = self.n_regions, self.n_periods
        places = rng.uniform(0.0, 1000.0 * np.sqrt(n / 300), (n, 2))
        root = self._root(places)
        x, e = self._field(root, rng), self._field(root, rng)
        q = self._field(root if self.spatial_q else np.eye(n), rng)
        y = x + e * np.exp(self.heteroskedastic * x) + rng.standard_normal((n, 1)) + rng.standard_normal((1, t))
        for jump, gamma in self.jumps:
            y = y + jump * x * (q <= gamma)
        ids = tuple(f"R{i:04d}" for i in range(n)) if weights is None else weights.regions
        if weights is not None:
            lag = weights.lag(x)
            y = y + self.theta * lag + self.lag_jump[0] * lag * (q <= self.lag_jump[1])
            y = weights.engine.multiplier(self.rho).solve(y)
        shapes = [Point(1000.0 * a, 1000.0 * b) for a, b in places]
        return Panel(
            ids,
            tuple(range(2001, 2001 + t)),
            {"y": y, "x": x, "q": q},
            geometry=gpd.GeoDataFrame(geometry=shapes, index=list(ids), crs="EPSG:3857"),
            log=("drawn with planted thresholds; the regions are invented",),
        )

    def _field(self, root: FloatArray, rng: np.random.Generator) -> FloatArray:
        """(n, t) with variance one, correlated in space by `root` and in time by `serial`."""
        start = BURN_IN if self.serial else 0
        drawn = root @ rng.standard_normal((self.n_regions, self.n_periods + start))
        if not self.serial:
            return np.asarray(drawn)
        filtered = lfilter([np.sqrt(1.0 - self.serial**2)], [1.0, -self.serial], drawn, axis=1)
        return np.asarray(filtered[:, start:])

    def _root(self, places: FloatArray) -> FloatArray:
        n = len(places)
        if not self.range_km:
            return np.eye(n)
        distance = np.linalg.norm(places[:, None] - places[None], axis=2)
        return np.asarray(np.linalg.cholesky(np.exp(-distance / self.range_km) + 1e-9 * np.eye(n)))


@dataclass(frozen=True)
class PlantedStrength:
    """y = (ρ + slope·z) ∘ W y + x + W x / 2 + region effects [+ (1 + loading·z) α_t] + e: ρ moved by the receiver's z.

    Attributes
    ----------
    n_periods : T; regions are those of W.
    rho, slope : strength at the mean of z, and by how much a standard deviation of z changes it.
    loading : how shocks that all regions share grow with z. mean : of z.
    smooth : z in patches (S^{-1} of noise at ρ = .8); else independent between regions.
    periods : whether there are shocks that all regions share.
    """

    n_periods: int = 10
    rho: float = 0.4
    slope: float = 0.0
    loading: float = 0.0
    mean: float = 0.0
    smooth: bool = False
    periods: bool = True

    def draw(self, weights: SpatialWeights, seed: int) -> Panel:
        """A panel with variables y, x, z; the same seed gives the same panel."""
        rng = np.random.default_rng(check_seed(seed))
        n, t = weights.n, self.n_periods
        x = rng.normal(size=(n, t)) + rng.normal(size=(n, 1))
        z = rng.normal(size=n)
        if self.smooth:
            z = weights.engine.multiplier(0.8).solve(z)
        z = (z - z.mean()) / z.std()
        right = x + 0.5 * weights.lag(x) + rng.normal(size=(n, 1)) + rng.normal(size=(n, t))
        if self.periods:
            right = right + (1.0 + self.loading * z)[:, None] * rng.normal(size=(1, t))
        strength = np.diag(self.rho + self.slope * z)
        y = np.linalg.solve(np.eye(n) - strength @ weights.matrix.toarray(), right)
        return Panel(weights.regions, tuple(range(t)), {"y": y, "x": x, "z": z[:, None] + self.mean + np.zeros(t)})


@dataclass(frozen=True)
class SharedDenominator:
    """ln(p/n) = x/2 + effects + e with q = r/n: no threshold, but q shares its denominator with the outcome.

    Attributes
    ----------
    n_regions, n_periods : size; everything is independent between regions and periods.
    mean : of x, whose standard deviation is .5.
    """

    n_regions: int = 60
    n_periods: int = 8
    mean: float = 2.0

    def draw(self, seed: int) -> Panel:
        """A panel with variables y, x, q and its map; the same seed gives the same panel."""
        rng = np.random.default_rng(check_seed(seed))
        shape = (self.n_regions, self.n_periods)
        denominator, r = np.exp(rng.normal(0.0, 0.3, shape)), np.exp(rng.normal(0.0, 0.4, shape))
        x = rng.normal(self.mean, 0.5, shape)
        y = 0.5 * x + rng.normal(0.0, 0.2, shape) - np.log(denominator)
        places = rng.uniform(0.0, 500.0, (self.n_regions, 2))
        ids = tuple(f"R{i:04d}" for i in range(self.n_regions))
        shapes = [Point(1000.0 * a, 1000.0 * b) for a, b in places]
        return Panel(
            ids,
            tuple(range(2001, 2001 + self.n_periods)),
            {"y": y, "x": x, "q": r / denominator},
            geometry=gpd.GeoDataFrame(geometry=shapes, index=list(ids), crs="EPSG:3857"),
        )
