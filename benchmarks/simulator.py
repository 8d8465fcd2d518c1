"""Time and memory of the mechanistic simulator: N = 3,000 regions, T = 30 years, one process for each system.

    python benchmarks/simulator.py [--regions 3000] [--periods 30]

Memory is the peak of the whole process, imports included (about 0.2 GB).
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from typing import Any

SYSTEMS: dict[str, dict[str, Any]] = {
    "default": {},
    "all moderators, competition, capital": {
        "environment_elasticity": 0.5,
        "linkage_strength": 0.5,
        "university_strength": 0.4,
        "competition": 10.0,
        "capital": 0.3,
    },
    "feedback, competition, capital": {"feedback": 0.3, "competition": 10.0, "capital": 0.3},
    "Gaussian fields": {
        "hti_law": "gaussian-process",
        "environment_range_km": 200.0,
        "innovation_range_km": 80.0,
        "environment_elasticity": 0.5,
    },
    "road grid": {"distance": "road"},
}


def measure(name: str, regions: int, periods: int) -> str:
    """One line of the table."""
    from spillover.simulation.config import SystemConfig
    from spillover.simulation.system import simulate

    config = SystemConfig(n_regions=regions, n_periods=periods, **SYSTEMS[name])
    start = time.perf_counter()
    _, truth = simulate(config, seed=1)
    drawn = time.perf_counter()
    truth.as_dict()
    done = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # kB on Linux
    return f"| {name} | {drawn - start:.1f} | {done - drawn:.1f} | {peak:.2f} |"


def main() -> None:
    """The table, one process per system so that peaks do not add up."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--regions", type=int, default=3000)
    parser.add_argument("--periods", type=int, default=30)
    parser.add_argument("--only")
    given = parser.parse_args()
    if given.only:
        print(measure(given.only, given.regions, given.periods))
        return
    print("| system | panel and truth, s | profile by distance, s | peak memory, GB |\n|---|---|---|---|", flush=True)
    for name in SYSTEMS:
        size = ["--regions", str(given.regions), "--periods", str(given.periods)]
        subprocess.run([sys.executable, __file__, "--only", name, *size], check=True)


if __name__ == "__main__":
    main()
