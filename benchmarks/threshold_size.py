"""Size of the threshold test and coverage of the threshold's confidence set, under dependence in space.

    python benchmarks/threshold_size.py [--rounds 500] [--workers 2] [--design TEXT] [--out FILE]
        [--only size|centre|further|coverage|time]

Size: share of panels without a threshold in which the test rejects at 5 %, for the spatial bootstrap (default reach),
one multiplier per period, and Hansen's scheme. Coverage: share of panels whose 95 % set holds the planted γ = 0, with
and without η̂². What switches is centred. Two-way effects; x, q and e are fields with exponential correlation; 199
bootstrap samples on a grid of 100. Centre: a q that shares its denominator with the outcome, no threshold. Same numbers
whatever the number of workers.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from spillover.moderators.threshold import fit_threshold
from spillover.moderators.threshold_set import critical_value
from spillover.simulation.planted import PlantedThresholds, SharedDenominator
from spillover.weights.distance import build_knn

SEED = 20_261_201
FIELD = PlantedThresholds(range_km=150.0)
SIZES = {
    "range 150 km": FIELD,
    "range 100 km, N = 200": replace(FIELD, n_regions=200, range_km=100.0),
    "range 150 km, T = 20": replace(FIELD, n_periods=20),
    "range 150 km, sd(e) ∝ exp(.5x)": replace(FIELD, heteroskedastic=0.5),
    "independent": PlantedThresholds(),
    "independent, sd(e) ∝ exp(.5x)": PlantedThresholds(heteroskedastic=0.5),
    "independent, serial correlation .8": PlantedThresholds(serial=0.8),
    "range 150 km, serial correlation .8": replace(FIELD, serial=0.8),
    "N = 31, T = 12, serial correlation .8": PlantedThresholds(31, 12, serial=0.8),
    "range 300 km": replace(FIELD, range_km=300.0),
    "range 150 km, q independent": replace(FIELD, spatial_q=False),
}
COVERAGES = {
    **{f"independent, δ = {d}": PlantedThresholds(jumps=((d, 0.0),)) for d in (0.3, 0.6, 1.2)},
    **{f"range 150 km, δ = {d}": replace(FIELD, jumps=((d, 0.0),)) for d in (0.3, 0.6, 1.2)},
    "range 300 km, δ = 0.6": replace(FIELD, range_km=300.0, jumps=((0.6, 0.0),)),
    "independent, serial correlation .8, δ = 0.6": PlantedThresholds(serial=0.8, jumps=((0.6, 0.0),)),
    "range 150 km, serial correlation .8, δ = 0.6": replace(FIELD, serial=0.8, jumps=((0.6, 0.0),)),
    "range 150 km, q independent, δ = 0.6": replace(FIELD, spatial_q=False, jumps=((0.6, 0.0),)),
    **{
        f"{name}, sd(e) ∝ exp(.5x), δ = {d}": replace(base, heteroskedastic=0.5, jumps=((d, 0.0),))
        for name, base in (("independent", PlantedThresholds()), ("range 150 km", FIELD))
        for d in (0.6, 1.2)
    },
}


def test_once(design: PlantedThresholds, seed: int) -> tuple[float, ...]:
    """(p of the spatial, period and Hansen's bootstrap, reach in km)."""
    panel = design.draw(seed)
    found = [
        fit_threshold(
            "y ~ x", panel, threshold="q", switching="x", draws=199, grid=100, bootstrap=kind, seed=seed, centred=True
        )
        for kind in ("spatial", "period", "hansen")
    ]
    return (*(fitted.threshold_tests[0].test.p_value for fitted in found), found[0].threshold_tests[0].reach_km)


def second_once(design: PlantedThresholds, seed: int) -> tuple[float, ...]:
    """(p of a second threshold where one is planted, p of the first)."""
    found = fit_threshold(
        "y ~ x",
        design.draw(seed),
        threshold="q",
        switching="x",
        thresholds=2,
        draws=199,
        grid=100,
        seed=seed,
        centred=True,
    )
    first, second = found.threshold_tests
    return second.test.p_value, first.test.p_value


def spillover_once(design: PlantedThresholds, seed: int) -> tuple[float, ...]:
    """(p of a threshold in W x of an SDM,)."""
    panel = design.draw(seed)
    found = fit_threshold(
        "y ~ x",
        panel,
        build_knn(panel, 5),
        threshold="q",
        switching="W*x",
        draws=199,
        grid=100,
        seed=seed,
        centred=True,
    )
    return (found.threshold_tests[0].test.p_value,)


def cover_once(design: PlantedThresholds, seed: int) -> tuple[float, ...]:
    """(γ̂, in the set, in the set without η̂², inside the hull of the set, length of the hull)."""
    fitted = fit_threshold("y ~ x", design.draw(seed), threshold="q", switching="x", bootstrap=None, centred=True)
    found = fitted.thresholds[0]
    at = int(np.searchsorted(found.gammas, 0.0, side="right")) - 1
    plain = at >= 0 and found.ratio[at] <= critical_value(0.95)
    low, high = found.hull
    return found.value, float(found.covers(0.0)), float(plain), float(low <= 0.0 < high), high - low


def play(once: Callable[[Any, int], tuple[float, ...]], design: Any, rounds: int, pool: Executor) -> np.ndarray:
    """(rounds, ·) results, each round with its own child of the seed."""
    seeds = [int(child.generate_state(1)[0]) for child in np.random.SeedSequence(SEED).spawn(rounds)]
    return np.array(list(pool.map(once, [design] * rounds, seeds, chunksize=10)))


def size_table(rounds: int, pool: Executor, chosen: str = "") -> list[str]:
    """Markdown rows."""
    lines = ["| design | spatial | period | Hansen | median reach, km |", "|---|---|---|---|---|"]
    for name, design in SIZES.items():
        if chosen not in name:
            continue
        found = play(test_once, design, rounds, pool)
        rejected = (found[:, :3] <= 0.05).mean(axis=0)
        lines.append(f"| {name} | " + " | ".join(f"{r:.3f}" for r in rejected) + f" | {np.median(found[:, 3]):.0f} |")
        print(lines[-1], flush=True)
    return lines


def further_table(rounds: int, pool: Executor) -> list[str]:
    """Markdown rows: the second threshold, a threshold in the spillover of an SDM."""
    lines = ["| test | design | rejected at 5 % |", "|---|---|---|"]
    planted = replace(FIELD, jumps=((0.6, 0.0),))
    for name, design, once in (
        ("second threshold", planted, second_once),
        ("W x in an SDM", FIELD, spillover_once),
    ):
        found = play(once, design, rounds, pool)
        lines.append(f"| {name} | range 150 km | {(found[:, 0] <= 0.05).mean():.3f} |")
        print(lines[-1], flush=True)
    return lines


def centre_once(setting: tuple[bool, bool], seed: int) -> tuple[float, ...]:
    """(p where q shares its denominator with the outcome,) with (centred, with_level)."""
    centred, level = setting
    found = fit_threshold(
        "y ~ x",
        SharedDenominator().draw(seed),
        threshold="q",
        switching="x",
        draws=199,
        grid=100,
        seed=seed,
        centred=centred,
        with_level=level,
    )
    return (found.threshold_tests[0].test.p_value,)


def centre_table(rounds: int, pool: Executor) -> list[str]:
    """Markdown rows."""
    lines = ["| what switches | q among the regressors | rejected at 5 % |", "|---|---|---|"]
    for centred in (False, True):
        for level in (False, True):
            found = play(centre_once, (centred, level), rounds, pool)
            words = f"| {'centred' if centred else 'as it is'} | {'yes' if level else 'no'} |"
            lines.append(f"{words} {(found[:, 0] <= 0.05).mean():.3f} |")
            print(lines[-1], flush=True)
    return lines


def coverage_table(rounds: int, pool: Executor, chosen: str = "") -> list[str]:
    """Markdown rows."""
    lines = [
        "| design | set with η̂² (default) | hull of it | set without η̂² | mean γ̂ | sd | median length |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, design in COVERAGES.items():
        if chosen not in name:
            continue
        found = play(cover_once, design, rounds, pool)
        value, inside, plain, hull, length = found.T
        lines.append(
            f"| {name} | {inside.mean():.3f} | {hull.mean():.3f} | {plain.mean():.3f} | {value.mean():.3f} | "
            f"{value.std():.3f} | {np.median(length):.3f} |"
        )
        print(lines[-1], flush=True)
    return lines


def time_table() -> list[str]:
    """Seconds of processor time for 1,000 bootstrap samples at N = 300, T = 15, the first call left out."""
    panel = PlantedThresholds(300, 15, range_km=150.0, jumps=((0.6, 0.0),)).draw(1)
    lines = ["| thresholds | seconds |", "|---|---|"]
    fit_threshold("y ~ x", panel, threshold="q", switching="x", draws=99)
    for count in (1, 2, 3):
        start = time.process_time()
        fit_threshold("y ~ x", panel, threshold="q", switching="x", draws=1_000, thresholds=count)
        lines.append(f"| {count} | {time.process_time() - start:.1f} |")
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    """Run what was asked for and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", choices=("size", "centre", "further", "coverage", "time"))
    parser.add_argument("--design", default="", help="only designs whose name holds this text")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    lines: list[str] = []
    with ProcessPoolExecutor(asked.workers) as pool:
        if asked.only in (None, "size"):
            lines += [*size_table(asked.rounds, pool, asked.design), ""]
        if asked.only in (None, "centre"):
            lines += [*centre_table(asked.rounds, pool), ""]
        if asked.only in (None, "further"):
            lines += [*further_table(asked.rounds, pool), ""]
        if asked.only in (None, "coverage"):
            lines += [*coverage_table(asked.rounds, pool, asked.design), ""]
    if asked.only in (None, "time"):
        lines += time_table()
    if asked.out is not None:
        asked.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
