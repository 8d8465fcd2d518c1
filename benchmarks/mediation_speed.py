"""Processor seconds of a mediation with seven channels: fit, delta method, 5,000 draws.

    OMP_NUM_THREADS=1 python benchmarks/mediation_speed.py [--large]

Every equation has a ρ and lags everything (the generic system), with one W for all or one for each channel.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import spillover as so
from spillover.weights.distance import build_knn

CHANNELS = tuple(f"m{j}" for j in range(7))
NEIGHBOURS = (5, 6, 7, 8, 5, 6, 7)


def draw(n: int, t: int, own: bool) -> tuple[so.Panel, dict[str, so.SpatialWeights]]:
    """A panel with seven mediators side by side, and nearest neighbours of random points."""
    rng = np.random.default_rng(0)
    points = 1000.0 * rng.random((n, 2))
    ids = [f"r{i:05d}" for i in range(n)]
    weights = {"W": build_knn(points, 6, regions=ids, lonlat=False)}
    if own:
        for channel, k in zip(CHANNELS, NEIGHBOURS, strict=True):
            weights[channel] = build_knn(points, k, regions=ids, lonlat=False)
    x = rng.normal(size=(n, t))
    values, y = {"x": x}, 0.3 * x
    for channel in CHANNELS:
        w = weights.get(channel, weights["W"])
        values[channel] = 0.5 * x + 0.2 * w.lag(x) + rng.normal(size=(n, t))
        y = y + 0.2 * values[channel]
    values["y"] = y + rng.normal(size=(n, t))
    return so.Panel(tuple(ids), tuple(range(2000, 2000 + t)), values), weights


def main() -> None:
    """Print processor seconds by size (wall time on a free core)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--large", action="store_true", help="also 1,200 and 3,000 regions")
    sizes = (300, 1200, 3000) if parser.parse_args().large else (300,)
    print("| regions × periods | W | fit and paths | delta method | 5,000 draws | all | error of traces |")
    print("|---|---|---|---|---|---|---|")
    for n in sizes:
        for own in (False, True):
            panel, weights = draw(n, 15, own)
            start = time.process_time()
            result = so.mediate("y", {c: c for c in CHANNELS}, "x", panel, weights, model="sdm", lag=0)
            fitted = time.process_time()
            result.effects()
            told = time.process_time()
            result.effects(method="simulation", draws=5000)
            end = time.process_time()
            name = "own for each channel" if own else "one"
            print(
                f"| {n:,} × 15 | {name} | {fitted - start:.1f} s | {told - fitted:.2f} s | {end - told:.1f} s | "
                f"{end - start:.1f} s | {result.trace_error:.1g} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
