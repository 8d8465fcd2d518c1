"""SDM with effects on one cross-section of N = 1e3, 1e4, 1e5 and 1e6 regions, everything included.

    python benchmarks/cross_section.py [--largest 1000000] [--map lattice|delaunay]

Each N runs in a process of its own, so that its peak memory is its own. Timed: W from its links with its checks, the
preparation of its log-determinant, the fit with its standard errors, and direct, indirect and total effects with
theirs. The times are those of a second run on other data: the first pays for imports.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time

import numpy as np
import scipy.sparse as sp
from scipy.spatial import Delaunay

import spillover as so
from spillover.panel.panel import Panel
from spillover.weights.weights import SpatialWeights

SIZES = (1_000, 10_000, 100_000, 1_000_000)
RHO = 0.6


def rook_links(side: int) -> sp.csr_matrix:
    """0/1 links of the rook neighbours of a square lattice of side × side regions."""
    at = np.arange(side * side).reshape(side, side)
    first = np.concatenate([at[:, :-1].ravel(), at[:-1].ravel()])
    second = np.concatenate([at[:, 1:].ravel(), at[1:].ravel()])
    half = sp.coo_matrix((np.ones(first.size), (first, second)), shape=(at.size, at.size))
    return sp.csr_matrix(half + half.T)


def delaunay_links(n: int) -> sp.csr_matrix:
    """0/1 links of a Delaunay triangulation of random points: about six per region, as on a map."""
    triangles = Delaunay(np.random.default_rng(0).random((n, 2))).simplices
    pairs = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    half = sp.coo_matrix((np.ones(len(pairs)), pairs.T), shape=(n, n))
    return sp.csr_matrix(((half + half.T) > 0).astype(float))


def row_standardised(links: sp.csr_matrix) -> sp.csr_matrix:
    """Rows that sum to one."""
    return sp.csr_matrix(sp.diags(1.0 / np.asarray(links.sum(axis=1)).ravel()) @ links)


def simulated(matrix: sp.csr_matrix, seed: int) -> dict[str, np.ndarray]:
    """y, x0, x1 (n, 1) of an SDM; the multiplier by its series, 60 terms of which leave less than 1e-13."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, matrix.shape[0], 1))
    mean = 1.0 + x[0] - 0.5 * x[1] + 0.4 * (matrix @ x[0]) + rng.normal(size=x[0].shape)
    y = mean
    for _ in range(60):
        y = mean + RHO * (matrix @ y)
    return {"y": y, "x0": x[0], "x1": x[1]}


def run(links: sp.csr_matrix, seed: int) -> tuple[str, float]:
    """(a line that tells what was done, seconds)."""
    ids = tuple(f"{i:07d}" for i in range(links.shape[0]))
    panel = Panel(ids, (2020,), simulated(row_standardised(links), seed))
    start = time.perf_counter()
    weights = SpatialWeights(row_standardised(links), ids, "neighbours", "row")
    made = time.perf_counter()
    method = weights.engine.log_determinant
    prepared = time.perf_counter()
    fit = so.fit("y ~ x0 + x1", panel, weights, model="sdm")
    fitted = time.perf_counter()
    effects = fit.effects()
    end = time.perf_counter()
    parts = f"W {made - start:.2f}, preparing {prepared - made:.2f}, fit {fitted - prepared:.2f}, "
    parts += f"effects {end - fitted:.2f}; ρ = {fit.rho:.4f}; {method.method}, error {method.error:.0e}"
    return parts if len(effects) else "", end - start


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--largest", type=int, default=SIZES[-1])
    options.add_argument("--map", choices=("lattice", "delaunay"), default="lattice")
    options.add_argument("--one", type=int, help="measure one N in this process")
    asked = options.parse_args()
    if asked.one is None:
        for n in (n for n in SIZES if n <= asked.largest):
            subprocess.run([sys.executable, __file__, "--one", str(n), "--map", asked.map], check=True)
        return
    run(rook_links(40), 0)
    n = asked.one
    links = rook_links(round(n**0.5)) if asked.map == "lattice" else delaunay_links(n)
    parts, seconds = run(links, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"N = {links.shape[0]:>9,}: {seconds:7.3f} s, peak {peak:.2f} GB ({parts})", flush=True)


if __name__ == "__main__":
    main()
