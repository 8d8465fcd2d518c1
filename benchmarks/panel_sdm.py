"""Two-way SDM with effects, N = 3,000, T = 20, k = 5, against numpy's lstsq on the same design.

    python benchmarks/panel_sdm.py

Prints ratios of the best of 40 rounds, measured alternately in one run, the preparation of W apart, and peak memory.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
from scipy.spatial import Delaunay

import spillover as so
from spillover.models.design import build_design
from spillover.models.spec import ModelSpec, assign_roles
from spillover.panel.panel import Panel
from spillover.weights.weights import SpatialWeights

N, T, K, ROUNDS = 3_000, 20, 5, 40


def map_like_weights(n: int, rng: np.random.Generator) -> SpatialWeights:
    """Row-standardised neighbours of a Delaunay triangulation: about 6 links per region, as on a map."""
    triangles = Delaunay(rng.random((n, 2))).simplices
    pairs = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    links = sp.coo_matrix((np.ones(len(pairs)), pairs.T), shape=(n, n))
    matrix = ((links + links.T) > 0).astype(float)
    matrix = sp.diags(1.0 / np.asarray(matrix.sum(axis=1)).ravel()) @ matrix
    return SpatialWeights(sp.csr_matrix(matrix), tuple(f"{i:05d}" for i in range(n)), "Delaunay neighbours", "row")


def simulated_panel(weights: SpatialWeights, rng: np.random.Generator) -> Panel:
    """A two-way SDM panel with ρ = 0.4."""
    x = rng.normal(size=(K, N, T))
    mean = sum((0.5 + 0.1 * j) * x[j] + 0.2 * weights.lag(x[j]) for j in range(K))
    mean = mean + rng.normal(size=(N, 1)) + rng.normal(size=(1, T)) + rng.normal(size=(N, T))
    system = sp.csc_matrix(sp.identity(N) - 0.4 * weights.matrix)
    y = sp.linalg.splu(system).solve(mean)
    return Panel(weights.regions, tuple(range(2000, 2000 + T)), {"y": y, **{f"x{j}": x[j] for j in range(K)}})


def timed(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    rng = np.random.default_rng(1)
    weights = map_like_weights(N, rng)
    panel = simulated_panel(weights, rng)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    preparation = timed(lambda: weights.engine.trace_gram_g(0.3))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"preparing W: {preparation:.2f} s, {(after - before) / 1024:.0f} MB more at the peak")
    print(f"  {weights.engine.log_determinant.method}, stated error {weights.engine.log_determinant.error:.1e}")

    formula = "y ~ " + " + ".join(f"x{j}" for j in range(K))
    spec = ModelSpec(formula)
    design = build_design(spec, panel, assign_roles(spec, panel.regions, weights, None, None))
    stacked, y = np.ascontiguousarray(design.z), np.ascontiguousarray(design.y.ravel())
    works: dict[str, Callable[[], object]] = {
        "numpy lstsq": lambda: np.linalg.lstsq(stacked, y, rcond=None),
        "fit + effects, information": lambda: so.fit(formula, panel, weights, covariance="information").effects(),
        "fit + effects, clustered": lambda: so.fit(formula, panel, weights).effects(),
    }
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, work in works.items():
            times[name].append(timed(work))
    base = min(times["numpy lstsq"])
    for name, seconds in times.items():
        best = min(seconds)
        print(f"{name:28} {1000 * best:8.1f} ms   {best / base:6.2f} × lstsq")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
