"""Seconds of the distance estimators on panels of the reference system.

    python benchmarks/distance_speed.py [--regions 3000] [--periods 20] [--only slx,power,rings,boundary,spline,sdm]

Wall time and processor time; each estimator once, after the panel is drawn.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import spillover as so
from spillover.panel.panel import Panel
from spillover.simulation.config import SystemConfig

FORMULA = "patents ~ hti"


def estimators(panel: Panel) -> dict[str, Callable[[], Any]]:
    """Name → a call without arguments."""
    return {
        "slx": lambda: so.fit_decay(FORMULA, panel),
        "power": lambda: so.fit_decay(FORMULA, panel, kernel="power"),
        "rings": lambda: so.fit_rings(FORMULA, panel, covariance="cluster"),
        "boundary": lambda: so.fit_boundary(FORMULA, panel, covariance="cluster"),
        "spline": lambda: so.fit_kernel_spline(FORMULA, panel, reach_km=750.0),
        "sdm": lambda: so.fit_decay(FORMULA, panel, model="sdm"),
    }


def main() -> None:
    """Print one line per estimator."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--regions", type=int, default=3_000)
    parser.add_argument("--periods", type=int, default=20)
    parser.add_argument("--only", default="slx,power,rings,boundary,spline,sdm")
    arguments = parser.parse_args()
    config = SystemConfig(n_regions=arguments.regions, n_periods=arguments.periods, informal_decay_ratio=1.0)
    panel, _ = so.simulate(config, seed=1)
    print(f"{arguments.regions} regions × {arguments.periods} periods")
    for name, call in estimators(panel).items():
        if name not in arguments.only.split(","):
            continue
        wall, processor = time.perf_counter(), time.process_time()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = call()
        said = found.sentence() if hasattr(found, "sentence") else repr(found)
        print(
            f"{name:9} {time.perf_counter() - wall:6.1f} s, processor {time.process_time() - processor:6.1f} s: {said}"
        )


if __name__ == "__main__":
    main()
