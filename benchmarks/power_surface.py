"""A power surface of 5 × 5 designs × 200 panels, and in closed form; `--published` makes the table of docs/power.md.

    python benchmarks/power_surface.py [--rounds 200] [--workers 2] [--published]

The model: SDM, ρ = .3, β = .3, θ = .15, σ = 1, one regressor with AR(.8) and variance 1 within regions, two-way
effects, 5 nearest neighbours. Same numbers whatever the number of workers.
"""

from __future__ import annotations

import argparse
import time
from concurrent.futures import Executor, ProcessPoolExecutor

from spillover.simulation.estimators import FitEstimator
from spillover.simulation.harness import recover_estimator
from spillover.simulation.power import PowerQuestion, compute_power
from spillover.simulation.power_grid import power_grid
from spillover.simulation.spatial_panel import Regressor, SpatialPanelConfig, SyntheticWeights

CONFIG = SpatialPanelConfig("sdm", rho=0.3, regressors=(Regressor("x0", 0.3, 0.15, persistence=0.8),))
REGIONS, PERIODS = (30, 60, 100, 200, 300), (5, 8, 10, 15, 20)
PUBLISHED = ((30, 5), (30, 10), (30, 20), (100, 5), (100, 10), (100, 20), (300, 5), (300, 10))


def surface(rounds: int, pool: Executor) -> str:
    """Both surfaces, and how long they took."""
    start = time.perf_counter()
    closed = power_grid(CONFIG, REGIONS, PERIODS)
    middle = time.perf_counter()
    drawn = power_grid(CONFIG, REGIONS, PERIODS, rounds=rounds, executor=pool)
    end = time.perf_counter()
    return "\n".join(
        [
            f"closed form, {middle - start:.1f} s:",
            closed.to_markdown(),
            "",
            f"{rounds} panels a design, {end - middle:.1f} s:",
            drawn.to_markdown(),
        ]
    )


def published(rounds: int, pool: Executor) -> str:
    """The rows of the table in docs/power.md: a new map for every panel."""
    rows = [
        "| N | T | indirect | closed form | ρ | closed form | coverage | mean SE | closed form |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    estimator = FitEstimator(CONFIG.formula, covariances=("information",))
    for n, t in PUBLISHED:
        config = CONFIG.with_changes(n_regions=n, n_periods=t)
        maps = config.with_changes(weights=SyntheticWeights(map_seed=None))
        table = recover_estimator(maps, estimator, rounds=rounds, seed=13, executor=pool)
        indirect, rho = table.line("indirect: x0"), table.line("rho")
        closed = compute_power(config, PowerQuestion(covariance="information"))
        closed_rho = compute_power(config, PowerQuestion("rho", covariance="information"))
        cells = (indirect.rejected, closed.power, rho.rejected, closed_rho.power, indirect.coverage)
        shares = " | ".join(f"{cell:.2f}" for cell in cells)
        rows.append(f"| {n} | {t} | {shares} | {indirect.mean_std_error:.3f} | {closed.std_error:.3f} |")
    return "\n".join(rows)


def main() -> None:
    """Run and show."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--published", action="store_true")
    arguments = parser.parse_args()
    with ProcessPoolExecutor(arguments.workers) as pool:
        print((published if arguments.published else surface)(arguments.rounds, pool))


if __name__ == "__main__":
    main()
