"""How long W takes to build, and how much memory: 100,000 points, and travel times over 100,000 nodes.

    python benchmarks/proximities.py [--workers 1] [--only points|network]

Each task runs in a process of its own, so that its peak memory is its own. CPU time counts all processes; on a busy
machine it is the number that compares, wall time is the one that a user waits.

Points: 100,000 uniform on the sphere between 75° and 130° E, 20° and 50° N (a density of China's townships).
Network: a 316 × 316 grid of roads with one to three minutes each (99,856 nodes, 199,080 edges both ways), 3,000 regions
at random nodes.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import pandas as pd

N, SIDE, REGIONS = 100_000, 316, 3_000


def points() -> tuple[np.ndarray, list[str]]:
    """Longitude and latitude of uniform points, and their ids."""
    rng = np.random.default_rng(0)
    low, high = np.sin(np.radians([20.0, 50.0]))
    latitude = np.degrees(np.arcsin(rng.uniform(low, high, N)))
    return np.column_stack([rng.uniform(75, 130, N), latitude]), [f"r{k:06d}" for k in range(N)]


def point_task(name: str) -> Callable[[], object]:
    """Builder of one W on the points."""
    import spillover as so

    where, ids = points()
    shared = {"regions": ids, "lonlat": True, "islands": "keep"}
    tasks = {
        "8 nearest": lambda: so.weights.build_knn(where, 8, **shared),
        "band of 50 km": lambda: so.weights.build_distance_band(where, 50, **shared),
        "exponential, 1 % at 50 km": lambda: so.weights.build_exponential(where, 6.64 / 50, **shared),
        "Gaussian, 1 % at 50 km": lambda: so.weights.build_gaussian(where, 50 / 3.035, **shared),
        "1/d to 50 km": lambda: so.weights.build_inverse_distance(where, 1, 50, 0.1, **shared),
        "gravity to 50 km": lambda: so.weights.build_gravity(where, dict.fromkeys(ids, 1.0), 1, 50, 0.1, **shared),
    }
    return tasks[name]


POINT_TASKS = ("8 nearest", "band of 50 km", "exponential, 1 % at 50 km", "Gaussian, 1 % at 50 km", "1/d to 50 km",
               "gravity to 50 km")  # fmt: skip


def network_task(name: str, workers: int) -> Callable[[], object]:
    """Travel times over the grid, with the cut-off that the name says."""
    from spillover.weights.transport import connect_at, find_travel_times, read_network

    rng = np.random.default_rng(0)
    at = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    start = np.r_[at[:-1].ravel(), at[:, :-1].ravel()]
    end = np.r_[at[1:].ravel(), at[:, 1:].ravel()]
    edges = pd.DataFrame({"from": start, "to": end, "minutes": rng.uniform(1, 3, len(start))})
    network = read_network(edges, minutes="minutes")
    regions = connect_at(network, rng.choice(at.size, REGIONS, replace=False).tolist())
    cutoff = None if name == "all pairs" else float(name.split()[-2])
    return lambda: find_travel_times(network, regions, cutoff_minutes=cutoff, workers=workers)


NETWORK_TASKS = ("up to 60 minutes", "up to 120 minutes", "all pairs")


def run(kind: str, name: str, workers: int) -> None:
    """One task in this process."""
    task = point_task(name) if kind == "points" else network_task(name, workers)
    before, cpu = time.perf_counter(), cpu_seconds()
    made = task()
    wall, used = time.perf_counter() - before, cpu_seconds() - cpu
    memory = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1e6
    links = made.matrix.nnz  # type: ignore[attr-defined]
    print(f"{name:28} {wall:8.1f} s wall {used:8.1f} s CPU {memory:6.2f} GB {links:12,} pairs")


def cpu_seconds() -> float:
    """User and system seconds of this process and of those it has waited for."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def main() -> None:
    """Run all tasks, each in a fresh process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--only", choices=("points", "network"))
    parser.add_argument("--task", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.task:
        run(chosen.task[0], chosen.task[1], chosen.workers)
        return
    for kind, names in (("points", POINT_TASKS), ("network", NETWORK_TASKS)):
        if chosen.only in (None, kind):
            for name in names:
                again = [sys.executable, __file__, "--workers", str(chosen.workers), "--task", kind, name]
                subprocess.run(again, check=True)


if __name__ == "__main__":
    main()
