"""The fixed parts of a spatial panel: its map, W, the error's W, and whether the parameters are stationary."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from spillover.numerics.similarity import find_similarity
from spillover.simulation.admissible import refuse_problems
from spillover.simulation.spatial_config import SpatialPanelConfig, SyntheticWeights
from spillover.typing import FloatArray
from spillover.weights.weights import SpatialWeights

DENSE_LIMIT = 1500
"""Regions up to which n × n factors and all eigenvalues are used."""

RUN_IN = 100
"""Fewest periods drawn before the first one of a dynamic panel, which starts at zero."""

LONGEST_RUN_IN = 10_000
LARGEST_PATH = 50_000_000  # regions × periods of a run-in: 400 MB for each variable
_START_LEFT = 1e-3  # share of the start that may be left in the first period

_CHUNK = 512


@dataclass(frozen=True, eq=False)
class SpatialWorld:
    """W, W of the error and the map (None for a given W), aligned to the regions of the panel."""

    regions: tuple[str, ...]
    weights: SpatialWeights
    weights_error: SpatialWeights
    geometry: Any


@dataclass(frozen=True, eq=False)
class Inverse:
    """(A)^{-1} of a sparse A: dense factors for small n, sparse ones beyond; the identity for A = None."""

    factor: Any
    dense: bool

    @classmethod
    def of(cls, matrix: sp.csr_matrix | None) -> Inverse:
        """Factorise A (n, n)."""
        if matrix is None:
            return cls(None, True)
        if matrix.shape[0] <= DENSE_LIMIT:
            return cls(scipy.linalg.lu_factor(matrix.toarray(), check_finite=False), True)
        return cls(splu(sp.csc_matrix(matrix)), False)

    def solve(self, right: FloatArray, *, transposed: bool = False) -> FloatArray:
        """A^{-1} B, or A^{-T} B, for B (n,) or (n, m)."""
        if self.factor is None:
            return right
        if self.dense:
            return np.asarray(scipy.linalg.lu_solve(self.factor, right, trans=int(transposed), check_finite=False))
        return np.asarray(self.factor.solve(np.ascontiguousarray(right), "T" if transposed else "N"))


@lru_cache(maxsize=8)
def multiplier(weights: SpatialWeights, coefficient: float) -> Inverse:
    """(I − ρW)^{-1}; the last few are kept."""
    if coefficient == 0:
        return Inverse.of(None)
    return Inverse.of(sp.csr_matrix(sp.eye(weights.n) - coefficient * weights.matrix))


@dataclass(frozen=True, eq=False)
class SpaceFilter:
    """F = scale (I − φW)^{-1}, with which independent unit variables get mean variance 1."""

    inverse: Inverse
    scale: float

    def __call__(self, values: FloatArray) -> FloatArray:
        """F x for x (n,) or (n, m)."""
        return np.asarray(self.scale * self.inverse.solve(values))


@lru_cache(maxsize=8)
def space_filter(weights: SpatialWeights, strength: float) -> SpaceFilter:
    """F of W and φ; the identity for φ = 0. Cost: n solves, once."""
    inverse = multiplier(weights, strength)
    if strength == 0:
        return SpaceFilter(inverse, 1.0)
    total = 0.0
    for start in range(0, weights.n, _CHUNK):
        at = np.arange(start, min(start + _CHUNK, weights.n))
        unit = np.zeros((weights.n, at.size))
        unit[at, at - start] = 1.0
        total += float(np.sum(inverse.solve(unit) ** 2))
    return SpaceFilter(inverse, float(np.sqrt(weights.n / total)))


def build_world(config: SpatialPanelConfig, seed: int) -> SpatialWorld:
    """Map and W of a configuration; `seed` matters only where `map_seed` is None. The last few are kept.

    Raises ConfigurationError when ρ, λ, τ, η are not stationary for this W, with every reason.
    """
    drawn = any(isinstance(w, SyntheticWeights) and w.map_seed is None for w in (config.weights, config.weights_error))
    return _build_world(config, seed if drawn else 0)


@lru_cache(maxsize=8)
def _build_world(config: SpatialPanelConfig, seed: int) -> SpatialWorld:
    world = unchecked_world(config, seed)
    refuse_problems(
        "the spatial panel is not stationary:",
        stationarity_problems(config, world),
        expected="|(τ + ηω)/(1 − ρω)| < 1 for every eigenvalue ω of W, and I − ρW, I − λW invertible around 0",
    )
    return world


def unchecked_world(config: SpatialPanelConfig, seed: int) -> SpatialWorld:
    """As `build_world`, whether or not the parameters are stationary."""
    weights, geometry = _weights(config.weights, config.region_ids, seed)
    other = config.weights_error
    error = weights if other is None else _weights(other, config.region_ids, seed)[0]
    return SpatialWorld(config.region_ids, weights, error, geometry)


def _weights(given: SyntheticWeights | SpatialWeights, ids: tuple[str, ...], seed: int) -> tuple[SpatialWeights, Any]:
    if isinstance(given, SpatialWeights):
        return given.align(ids), None
    chosen = seed if given.map_seed is None else given.map_seed
    return synthetic_weights(given, ids, chosen), synthetic_map(ids, chosen)


@lru_cache(maxsize=16)
def synthetic_map(ids: tuple[str, ...], seed: int) -> Any:
    """GeoDataFrame of Voronoi regions, planar km, indexed by these ids."""
    from spillover.simulation.geography import build_geography

    return build_geography(ids, np.random.default_rng(np.random.SeedSequence([seed, 1]))).to_geodataframe()


@lru_cache(maxsize=16)
def synthetic_weights(given: SyntheticWeights, ids: tuple[str, ...], seed: int) -> SpatialWeights:
    """W of the synthetic map; its engine is prepared once and shared by every panel of the process."""
    from spillover.weights.contiguity import build_contiguity
    from spillover.weights.distance import build_exponential, build_knn

    frame = synthetic_map(ids, seed)
    if given.kind == "queen":
        return build_contiguity(frame, "queen", standardise=given.standardise)
    if given.kind == "knn":
        return build_knn(frame, given.neighbours, standardise=given.standardise)
    return build_exponential(frame, given.decay_per_km, standardise=given.standardise)


def stationarity_problems(config: SpatialPanelConfig, world: SpatialWorld) -> list[str]:
    """Why ρ, λ, the regressors or the dynamics are not stationary for this W (D.10); empty when they are.

    Exact eigenvalues up to 1,500 regions; beyond, the sufficient conditions with ‖W‖ ≥ |ω|.
    """
    spatial = {"rho": config.rho} | {f"spatial of {x.name}": x.spatial for x in config.regressors}
    problems = [
        text for name, value in spatial.items() if (text := _interval_problem(name, value, world.weights)) is not None
    ]
    text = _interval_problem("lam", config.lam, world.weights_error)
    problems += [] if text is None else [text]
    if config.is_dynamic and not problems:
        largest = largest_root(config.rho, config.tau, config.eta, world.weights)
        if not largest < 1:
            problems.append(
                f"tau = {config.tau:g}, rho = {config.rho:g}, eta = {config.eta:g}: the largest root in time is "
                f"{largest:.4g}, so that the outcome does not return to its mean"
            )
        elif (years := _run_in(largest)) > LONGEST_RUN_IN or years * config.n_regions > LARGEST_PATH:
            problems.append(
                f"tau = {config.tau:g}, rho = {config.rho:g}, eta = {config.eta:g}: the largest root in time is "
                f"{largest:.6g}, so near one that {years:,} periods would have to be drawn before the first "
                f"(at most {LONGEST_RUN_IN:,}, and {LARGEST_PATH:,} values)"
            )
    return problems


def run_in(config: SpatialPanelConfig, world: SpatialWorld) -> int:
    """Periods drawn before the first: 0 for a static panel, else so many that a thousandth of the start is left."""
    if not config.is_dynamic:
        return 0
    return _run_in(largest_root(config.rho, config.tau, config.eta, world.weights))


def _run_in(root: float) -> int:
    return RUN_IN if root <= 0 else max(RUN_IN, math.ceil(math.log(_START_LEFT) / math.log(root)))


def _interval_problem(name: str, value: float, weights: SpatialWeights) -> str | None:
    if value == 0:
        return None
    low, high = weights.bounds() if weights.n <= DENSE_LIMIT else _norm_bounds(weights)
    if low < value < high:
        return None
    return f"{name} = {value:g} is outside the interval ({low:.4g}, {high:.4g}) of this W"


def _norm_bounds(weights: SpatialWeights) -> tuple[float, float]:
    norm = min(float(weights.matrix.sum(axis=1).max()), float(weights.matrix.sum(axis=0).max()))
    return -1.0 / norm, 1.0 / norm


def largest_root(rho: float, tau: float, eta: float, weights: SpatialWeights) -> float:
    """max |(τ + ηω)/(1 − ρω)| over the eigenvalues ω of W; an upper bound for more than 1,500 regions."""
    if weights.n > DENSE_LIMIT:
        radius = 1.0 / _norm_bounds(weights)[1]
        return (abs(tau) + abs(eta) * radius) / (1.0 - abs(rho) * radius)
    omega = spectrum(weights)
    return float(np.abs((tau + eta * omega) / (1.0 - rho * omega)).max())


@lru_cache(maxsize=8)
def spectrum(weights: SpatialWeights) -> np.ndarray:
    """(n,) eigenvalues of W; real where W is similar to a symmetric matrix. O(n³)."""
    similarity = find_similarity(weights.matrix)
    if similarity is not None:
        return np.asarray(scipy.linalg.eigvalsh(similarity.matrix.toarray()))
    return np.asarray(scipy.linalg.eigvals(weights.matrix.toarray()))
