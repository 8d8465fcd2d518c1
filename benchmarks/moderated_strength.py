"""A strength ρ that depends on an environment: size and power of the score test, coverage; the elasticity ψ_E.

    python benchmarks/moderated_strength.py [--rounds 1000] [--workers 2] [--out FILE]
        [--only size|wald|coverage|elasticity]

Size: share of panels with one ρ in which the LM test rejects at 5 %. Wald: the same for interactions of which there
are none. Coverage: of 95 % intervals of ρ_0 and ρ_1 where
ρ_1 is planted. Elasticity: the reference system with ψ_E = 0.5, N = 300, T = 10, from the receiver's interaction.
W: five nearest neighbours of random points. Same numbers whatever the number of workers.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path

import numpy as np
import scipy.sparse as sp

import spillover as so
from spillover.models.fit import fit
from spillover.moderators.strength import fit_moderated_rho
from spillover.moderators.strength_score import lm_moderated_rho
from spillover.simulation.config import SystemConfig
from spillover.simulation.planted import PlantedStrength
from spillover.weights.distance import build_exponential
from spillover.weights.weights import SpatialWeights

SEED = 20_261_202
Design = tuple[int, PlantedStrength]
SIZES: dict[str, Design] = {
    "two-way, z independent": (100, PlantedStrength()),
    "two-way, z in patches": (100, PlantedStrength(smooth=True)),
    "two-way, shocks load on z, mean of z 2": (100, PlantedStrength(loading=0.3, mean=2.0)),
    "two-way, shocks load on z in patches": (100, PlantedStrength(loading=0.3, smooth=True)),
    "region effects, mean of z 2": (100, PlantedStrength(mean=2.0, periods=False)),
    "two-way, N = 50, T = 5": (50, PlantedStrength(n_periods=5)),
    "two-way, N = 300, T = 15": (300, PlantedStrength(n_periods=15)),
}
COVERAGES: dict[str, Design] = {
    "ρ_1 = 0.1, z independent": (100, PlantedStrength(slope=0.1)),
    "ρ_1 = 0.1, z in patches": (100, PlantedStrength(slope=0.1, smooth=True)),
    "ρ_1 = 0.1, z in patches, shocks load on z": (100, PlantedStrength(slope=0.1, smooth=True, loading=0.3)),
    "ρ_1 = −0.1, z independent, N = 300, T = 15": (300, PlantedStrength(slope=-0.1, n_periods=15)),
}


@cache
def five_nearest(n: int) -> SpatialWeights:
    """W of n random points, the same in every process."""
    points = np.random.default_rng(3).random((n, 2))
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    near = np.argsort(distance, axis=1)[:, :5].ravel()
    matrix = sp.csr_matrix((np.full(5 * n, 0.2), (np.repeat(np.arange(n), 5), near)), shape=(n, n))
    return SpatialWeights(matrix, tuple(f"r{i:03d}" for i in range(n)), "five nearest", "row")


def test_once(design: Design, seed: int) -> tuple[float, ...]:
    """(p of the score test, p of its robust form)."""
    n, planted = design
    effects = "two-way" if planted.periods else "individual"
    plain = fit("y ~ x", planted.draw(five_nearest(n), seed), five_nearest(n), effects=effects)
    return tuple(lm_moderated_rho(plain, "z", robust=robust).p_value for robust in (False, True))


def cover_once(design: Design, seed: int) -> tuple[float, ...]:
    """(ρ̂_0, ρ̂_1, whether their intervals hold the truth, p of the score test)."""
    n, planted = design
    panel = planted.draw(five_nearest(n), seed)
    found = fit_moderated_rho("y ~ x", panel, five_nearest(n), moderators="z")
    limits, truth = found.estimates.confint()[-2:], np.array([planted.rho, planted.slope])
    inside = (limits[:, 0] <= truth) & (limits[:, 1] >= truth)
    p = found.hypothesis_tests()[-1].p_value
    return (*map(float, found.rhos), *map(float, inside), float(p))


def wald_once(design: Design, seed: int) -> tuple[float, ...]:
    """(p of all sides of a moderator that changes nothing,) in an SLX with errors clustered by region."""
    n, planted = design
    panel = planted.draw(five_nearest(n), seed)
    found = so.moderate("y ~ x", panel, five_nearest(n), treatment="x", moderators="z", model="slx")
    return (next(test.p_value for test in found.hypothesis_tests() if test.name.startswith("all sides")),)


def elasticity_once(elasticity: float, seed: int) -> tuple[float, ...]:
    """(ψ̂, whether its interval holds ψ)."""
    config = SystemConfig(n_regions=300, n_periods=10, environment_elasticity=elasticity)
    panel, _ = so.simulate(config, seed)
    moderated = so.moderate(
        "talent_inflow ~ hti",
        panel,
        build_exponential(panel, config.decay_per_km, standardise="none"),
        treatment="hti",
        moderators={"lnE": "log(environment)"},
        side="receiver",
        model="slx",
    )
    row = moderated.relative().set_index("term").loc["hti:lnE_receiver / W*hti"]
    return float(row["estimate"]), float(row["conf_low"] <= elasticity <= row["conf_high"])


def play(once: Callable[[int], tuple[float, ...]], rounds: int, pool: Executor) -> np.ndarray:
    """(rounds, ·) results, each round with its own child of the seed."""
    seeds = [int(child.generate_state(1)[0]) for child in np.random.SeedSequence(SEED).spawn(rounds)]
    return np.array(list(pool.map(once, seeds, chunksize=10)))


def size_table(rounds: int, pool: Executor) -> list[str]:
    """Markdown rows."""
    lines = ["| design | LM | LM, clustered score |", "|---|---|---|"]
    for name, design in SIZES.items():
        rejected = (play(partial(test_once, design), rounds, pool) < 0.05).mean(axis=0)
        lines.append(f"| {name} | {rejected[0]:.3f} | {rejected[1]:.3f} |")
        print(lines[-1], flush=True)
    return lines


def wald_table(rounds: int, pool: Executor) -> list[str]:
    """Markdown rows."""
    lines = ["| design | all sides together, clustered |", "|---|---|"]
    for n in (31, 100, 300):
        rejected = play(partial(wald_once, (n, PlantedStrength(n_periods=12, rho=0.0))), rounds, pool) < 0.05
        lines.append(f"| N = {n}, T = 12 | {rejected.mean():.3f} |")
        print(lines[-1], flush=True)
    return lines


def coverage_table(rounds: int, pool: Executor) -> list[str]:
    """Markdown rows."""
    lines = [
        "| design | mean ρ̂_0 | mean ρ̂_1 | sd of ρ̂_1 | coverage ρ_0 | coverage ρ_1 | power of LM |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, design in COVERAGES.items():
        found = play(partial(cover_once, design), rounds, pool)
        mean, spread = found.mean(axis=0), found[:, 1].std(ddof=1)
        power = (found[:, 4] < 0.05).mean()
        lines.append(
            f"| {name} | {mean[0]:.3f} | {mean[1]:.3f} | {spread:.3f} | {mean[2]:.3f} | {mean[3]:.3f} | {power:.2f} |"
        )
        print(lines[-1], flush=True)
    return lines


def elasticity_table(rounds: int, pool: Executor) -> list[str]:
    """Markdown rows."""
    lines = ["| ψ_E | mean ψ̂ | its error | sd | coverage |", "|---|---|---|---|---|"]
    for planted in (0.0, 0.5):
        found = play(partial(elasticity_once, planted), rounds, pool)
        mean, spread = found[:, 0].mean(), found[:, 0].std(ddof=1)
        error = spread / np.sqrt(rounds)
        lines.append(f"| {planted} | {mean:.3f} | {error:.3f} | {spread:.3f} | {found[:, 1].mean():.3f} |")
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    """Run what was asked for and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1_000)
    parser.add_argument("--workers", type=int, default=2)
    tables = {"size": size_table, "wald": wald_table, "coverage": coverage_table, "elasticity": elasticity_table}
    parser.add_argument("--only", choices=tuple(tables))
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    lines: list[str] = []
    with ProcessPoolExecutor(asked.workers) as pool:
        for name, table in tables.items():
            if asked.only in (None, name):
                lines += [*table(asked.rounds, pool), ""]
    if asked.out is not None:
        asked.out.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
