"""Do the distance estimators find what is true? Coverage, size and power over simulated panels.

    python benchmarks/distance_recovery.py [--rounds 400] [--workers 2] [--only decay,rings,…] [--out FILE]

Agglomeration is that of the reference system (clusters near 1, others 0.02–0.2, AR(.9)); outcomes are those of the
system itself ("system"), or linear with the errors named. Same numbers whatever the number of workers.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from spillover.errors import SpilloverError
from spillover.moderators.boundary import fit_boundary
from spillover.moderators.decay import fit_decay
from spillover.moderators.distances import Distances, measure_distances
from spillover.moderators.kernel_spline import fit_kernel_spline
from spillover.moderators.rings import PAPER_EDGES, fit_rings
from spillover.panel.panel import Panel
from spillover.simulation.config import SystemConfig
from spillover.simulation.system import simulate

DECAY = 0.00892
HEIGHT = 333.2  # patents that one cluster adds at distance zero: 154.8 + 78.4 + 100
OWN = 274.0
NOISE = 60.0  # sd of linear outcomes' errors: that of the system's counts is 20 to 100
SEED = 20_261_122

Round = dict[str, float]


@dataclass(frozen=True)
class World:
    """Linear outcomes on the agglomeration and the map of the reference system.

    kernel : "exponential" (δ = .00892), "step" (one height up to 150 km), "rings" (constant within the paper's bands)
        or "none".
    error_km, sender_km : range of the spatial correlation of errors, and of what moves agglomeration; 0 is none.
    serial : AR(1) coefficient of the errors.
    """

    n: int = 300
    t: int = 10
    kernel: str = "exponential"
    error_km: float = 0.0
    sender_km: float = 0.0
    serial: float = 0.0

    def draw(self, seed: int) -> tuple[Panel, Distances]:
        """A panel with variables y and hti, and the distances."""
        config = SystemConfig(n_regions=self.n, n_periods=self.t, innovation_range_km=self.sender_km)
        base, _ = simulate(config, seed)
        distances = measure_distances(base)
        d = np.asarray(distances.matrix)
        rng = np.random.default_rng([SEED, seed])
        effect = HEIGHT * true_kernel(self.kernel, d)
        np.fill_diagonal(effect, OWN)
        shocks = rng.standard_normal((self.n, self.t))
        if self.error_km:
            shocks = np.linalg.cholesky(np.exp(-d / self.error_km) + 1e-9 * np.eye(self.n)) @ shocks
        for s in range(1, self.t):
            shocks[:, s] = self.serial * shocks[:, s - 1] + np.sqrt(1 - self.serial**2) * shocks[:, s]
        y = effect @ base["hti"] + NOISE * shocks
        y = y + 30.0 * rng.standard_normal((self.n, 1)) + 30.0 * rng.standard_normal((1, self.t))
        return base.with_variables({"y": y}), distances


def true_kernel(kernel: str, d: np.ndarray) -> np.ndarray:
    """κ(d) of a world."""
    if kernel == "exponential":
        return np.exp(-DECAY * d)
    if kernel == "step":
        return (d <= 150.0).astype(float)
    if kernel == "rings":
        heights = np.array([0.8, 0.5, 0.3, 0.1, 0.0, 0.0])
        return heights[np.digitize(d, PAPER_EDGES[1:], right=True)]
    return np.zeros_like(d)


# -- one round of each part ----------------------------------------------------------------------------


def decay_in_system(config: SystemConfig, effects: str, seed: int) -> Round:
    """δ, its intervals and the spillover in the reference system."""
    panel, truth = simulate(config, seed)
    fit = fit_decay("patents ~ hti", panel, effects=effects, draws=199)  # type: ignore[arg-type]
    found = fit.effect_estimates
    low, high = found.confint()[found.index("indirect: hti")]
    se = fit.estimates.std_errors[fit.estimates.index("decay_per_km")] if fit.free else np.nan
    return {
        "delta": fit.profile.rate,
        "half": fit.half_distance,
        "within two se": abs(fit.profile.rate - DECAY) < 2.0 * se,
        "cover likelihood": fit.intervals["likelihood"].contains(DECAY),
        "cover wald": fit.intervals["wald"].contains(DECAY),
        "cover chosen": fit.interval.contains(DECAY),
        "open": fit.interval.low is None or fit.interval.high is None,
        "spill": found["indirect: hti"] / truth.spillover,
        "spill cover": low < truth.spillover < high,
        "direct": found["direct: hti"] / truth.direct,
    }


def decay_in_world(world: World, kernel: str, model: str, seed: int) -> Round:
    """Intervals of δ by every kind of error."""
    panel, distances = world.draw(seed)
    fit = fit_decay("y ~ hti", panel, distances=distances, kernel=kernel, model=model, draws=199)  # type: ignore[arg-type]
    period = fit_decay("y ~ hti", panel, distances=distances, kernel=kernel, covariance="period", draws=199)  # type: ignore[arg-type]
    cluster = fit_decay("y ~ hti", panel, distances=distances, kernel=kernel, covariance="cluster", draws=199)  # type: ignore[arg-type]
    return {
        "delta": fit.profile.rate,
        "cover likelihood": fit.intervals["likelihood"].contains(DECAY),
        "cover chosen": fit.interval.contains(DECAY),
        "cover period": period.intervals["wald"].contains(DECAY),
        "cover cluster": cluster.intervals["wald"].contains(DECAY),
        "range": fit.checks.range_km,
        "conley": fit.interval.method.startswith("Wald, Conley"),
    }


def rings_in_world(world: World, seed: int) -> Round:
    """Joint coverage of the ring coefficients by several bands; tests."""
    panel, distances = world.draw(seed)
    edges = PAPER_EDGES
    truth = np.array([HEIGHT * float(true_kernel(world.kernel, np.array([b]))[0]) for b in edges[1:]])
    found: Round = {}
    for name in ("conley", "cluster", "period"):
        fit = fit_rings("y ~ hti", panel, distances=distances, covariance=name, draws=2_000)  # type: ignore[arg-type]
        limits = fit["sum"].band.limits()
        found[f"band {name}"] = bool(((limits[:, 0] <= truth) & (truth <= limits[:, 1])).all())
        if name == "conley":
            part = fit["sum"]
            normal = 2.569  # 95 % of the largest of five independent normals
            half = normal * part.estimates.std_errors
            found["band normal"] = bool((np.abs(part.estimates.values - truth) <= half).all())
            table = fit.tests().set_index("test")["p_value"]
            found["zero beyond 300"] = table["zero beyond 300 km, sup-t"] < 0.05
            found["zero beyond 200"] = table["zero beyond 200 km, sup-t"] < 0.05
            found["falling rejected"] = table["monotone decay"] < 0.05
            found["rising rejected"] = table["monotone rise"] < 0.05
            found["serial"] = np.nan if fit.checks.serial is None else fit.checks.serial
    return found


def rings_with_differences(world: World, seed: int) -> Round:
    """The ring band under serially correlated errors, with and without quasi-differences."""
    panel, distances = world.draw(seed)
    truth = np.array([HEIGHT * float(true_kernel(world.kernel, np.array([b]))[0]) for b in PAPER_EDGES[1:]])
    found: Round = {}
    for name, asked in (("plain", None), ("differenced", "auto")):
        fit = fit_rings("y ~ hti", panel, distances=distances, draws=2_000, quasi_difference=asked)  # type: ignore[arg-type]
        limits = fit["sum"].band.limits()
        found[f"band {name}"] = bool(((limits[:, 0] <= truth) & (truth <= limits[:, 1])).all())
        found[f"serial {name}"] = np.nan if fit.checks.serial is None else fit.checks.serial
        found["coefficient"] = fit.design.differencing
    return found


def bracket_in_system(config: SystemConfig, seed: int) -> Round:
    """Whether rings and spline bracket the kernel of the reference system."""
    panel, truth = simulate(config, seed)
    rings = fit_rings("patents ~ hti", panel, draws=2_000)
    links = rings.design.distances.links
    at = np.digitize(links.data, PAPER_EDGES[1:], right=True)
    kernel = HEIGHT * np.exp(-DECAY * links.data)
    means = np.array([kernel[at == b].mean() for b in range(len(PAPER_EDGES) - 1)])
    limits = rings["sum"].band.limits()
    spline = fit_kernel_spline("patents ~ hti", panel, draws=2_000)
    values = HEIGHT * np.exp(-DECAY * spline.distances)
    band = spline.band.limits()
    inside = (band[:, 0] <= values) & (values <= band[:, 1])
    return {
        "rings": bool(((limits[:, 0] <= means) & (means <= limits[:, 1])).all()),
        "spline": bool(inside.all()),
        "spline share": float(inside.mean()),
        "falling": spline.direction == "falling",
        "edf": spline.edf,
    }


def boundary_in_world(world: World, seed: int) -> Round:
    """Rejections by threshold, nested and legacy, and the boundary."""
    panel, distances = world.draw(seed)
    fit = fit_boundary("y ~ hti", panel, distances=distances, draws=2_000)
    legacy = fit_boundary("y ~ hti", panel, distances=distances, legacy=True, draws=2_000)
    found: Round = {}
    p, q = fit.estimates.p_values(), legacy.estimates.p_values()
    for h, a, b in zip(fit.thresholds, p, q, strict=True):
        found[f"reject {h:g}"] = a < 0.05
        found[f"legacy {h:g}"] = b < 0.05
    far = fit.thresholds >= 150.0
    band = fit.band.limits()
    found["any beyond"] = bool(((band[far, 0] > 0) | (band[far, 1] < 0)).any())
    found["any step down"] = bool((fit.step_down[far] < 0.05).any())
    last = float(fit.thresholds[-1]) + 100.0
    boundary = fit.boundary
    found["distance"] = last if boundary.distance is None else boundary.distance
    found["lower"] = 0.0 if boundary.lower is None else boundary.lower
    end = {"step": 150.0, "none": 0.0}.get(world.kernel, np.inf)  # where the spillover ends
    found["reach covers"] = boundary.lower is None or boundary.lower < end
    low = last if boundary.resampled_low is None else boundary.resampled_low
    high = last if boundary.resampled_high is None else boundary.resampled_high
    if world.kernel == "step":
        found["resampled holds"] = low <= 150.0 <= high
    found["resampled width"] = high - low
    return found


def null_in_world(world: World, model: str, seed: int) -> Round:
    """Whether the sup test rejects when there is no spillover; and what χ²(1) would have done."""
    panel, distances = world.draw(seed)
    fit = fit_decay("y ~ hti", panel, distances=distances, model=model, draws=499)  # type: ignore[arg-type]
    ratio = 2.0 * (fit.statistics["log_likelihood"] - fit.statistics["null_log_likelihood"])
    return {
        "reject": fit.null_test.p_value < 0.05,  # type: ignore[union-attr]
        "chi2": ratio > 3.841,
        "identified": fit.identified,
        "open": fit.interval.low is None or fit.interval.high is None,
    }


def spline_in_world(world: World, seed: int) -> Round:
    """The band of the spline."""
    panel, distances = world.draw(seed)
    spline = fit_kernel_spline("y ~ hti", panel, distances=distances, draws=2_000)
    truth = HEIGHT * true_kernel(world.kernel, spline.distances)
    band = spline.band.limits()
    inside = (band[:, 0] <= truth) & (truth <= band[:, 1])
    return {
        "all": bool(inside.all()),
        "share": float(inside.mean()),
        "edf": spline.edf,
        "test": spline.test.p_value < 0.05,
    }


def lag_in_world(rho: float, theta: float, seed: int) -> Round:
    """ρ, δ and the spillover of a lag model whose W decays: N = 100, T = 10, normal errors, two-way effects."""
    panel, distances = World(100, 10).draw(seed)
    d = np.asarray(distances.matrix)
    kernel = np.exp(-DECAY * d)
    np.fill_diagonal(kernel, 0.0)
    w = kernel / np.linalg.eigvalsh(kernel)[-1]
    rng = np.random.default_rng([SEED, 7, seed])
    x = rng.standard_normal((100, 10)) + rng.standard_normal((100, 1))
    right = x + theta * w @ x + rng.standard_normal((100, 1)) + 2.0 * rng.standard_normal((1, 10))
    y = np.linalg.solve(np.eye(100) - rho * w, right + rng.standard_normal((100, 10)))
    effect = np.linalg.solve(np.eye(100) - rho * w, np.eye(100) + theta * w)
    truth = (effect.sum() - np.trace(effect)) / 100.0
    model = "sdm" if theta else "sar"
    fit = fit_decay("y ~ x", panel.with_variables({"y": y, "x": x}), distances=distances, model=model, draws=199)  # type: ignore[arg-type]
    found = fit.effect_estimates
    low, high = found.confint()[found.index("indirect: x")]
    return {
        "rho": fit.estimates["rho"],
        "delta": fit.profile.rate,
        "cover likelihood": fit.intervals["likelihood"].contains(DECAY),
        "cover wald": fit.intervals["wald"].contains(DECAY),
        "spill": found["indirect: x"] - truth,
        "spill cover": low < truth < high,
        "open": fit.interval.low is None or fit.interval.high is None,
    }


# -- running -------------------------------------------------------------------------------------------

SYSTEM = SystemConfig(n_regions=300, n_periods=10, informal_decay_ratio=1.0)
PARTS: dict[str, dict[str, tuple[Callable[..., Round], tuple[Any, ...]]]] = {
    "decay": {
        "one kernel, N = 300, T = 10, two-way": (decay_in_system, (SYSTEM, "two-way")),
        "the same, region effects": (decay_in_system, (SYSTEM, "individual")),
        "one kernel, N = 100, T = 10, two-way": (decay_in_system, (replace(SYSTEM, n_regions=100), "two-way")),
        "default kernels, N = 300, T = 10, two-way": (
            decay_in_system,
            (replace(SYSTEM, informal_decay_ratio=1.5), "two-way"),
        ),
    },
    "errors": {
        "independent": (decay_in_world, (World(), "exponential", "slx")),
        "range 100 km": (decay_in_world, (World(error_km=100.0, sender_km=100.0), "exponential", "slx")),
    },
    "rings": {
        "independent, N = 150, T = 10": (rings_in_world, (World(150, 10, "rings"),)),
        "range 100 km, N = 150, T = 10": (rings_in_world, (World(150, 10, "rings", 100.0, 100.0),)),
        "range 100 km, N = 150, T = 20": (rings_in_world, (World(150, 20, "rings", 100.0, 100.0),)),
        "range 100 km, N = 300, T = 10": (rings_in_world, (World(300, 10, "rings", 100.0, 100.0),)),
    },
    "serial": {
        "AR(.5), range 100 km, N = 150, T = 20": (
            rings_with_differences,
            (World(150, 20, "rings", 100.0, 100.0, 0.5),),
        ),
    },
    "bracket": {"one kernel, N = 300, T = 10": (bracket_in_system, (SYSTEM,))},
    "boundary": {
        "step at 150 km": (boundary_in_world, (World(kernel="step"),)),
        "exponential": (boundary_in_world, (World(),)),
        "none": (boundary_in_world, (World(kernel="none"),)),
    },
    "null": {
        "SLX, independent": (null_in_world, (World(kernel="none"), "slx")),
        "SLX, range 150 km": (null_in_world, (World(kernel="none", error_km=150.0, sender_km=150.0), "slx")),
        "SLX, independent, T = 20": (null_in_world, (World(100, 20, "none"), "slx")),
        "SLX, range 150 km, T = 20": (null_in_world, (World(100, 20, "none", 150.0, 150.0), "slx")),
        "SDM, independent": (null_in_world, (World(100, 10, "none"), "sdm")),
        "SAR, independent": (null_in_world, (World(100, 10, "none"), "sar")),
        "SDM, range 150 km": (null_in_world, (World(100, 10, "none", 150.0, 150.0), "sdm")),
    },
    "lag": {
        "SAR, ρ = .5": (lag_in_world, (0.5, 0.0)),
        "SDM, ρ = .3, θ = 2": (lag_in_world, (0.3, 2.0)),
        "SDM, ρ = 0, θ = 2": (lag_in_world, (0.0, 2.0)),
    },
    "spline": {
        "exponential": (spline_in_world, (World(),)),
        "step at 150 km": (spline_in_world, (World(kernel="step"),)),
    },
}


def play(function: Callable[..., Round], options: tuple[Any, ...], seed: int) -> Round:
    """One round; a refusal is counted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return {key: float(value) for key, value in function(*options, seed).items()}
        except SpilloverError:
            return {"refused": 1.0}


def run(part: str, rounds: int, pool: ProcessPoolExecutor, keep: Path | None) -> list[str]:
    """The rows of one part: mean of every number, and the standard deviation of those that are no shares."""
    lines = []
    for name, (function, options) in PARTS[part].items():
        start = time.perf_counter()
        file = None if keep is None else keep / f"{part}-{name.replace(' ', '_').replace('/', '_')}.jsonl"
        done = [] if file is None or not file.exists() else [json.loads(line) for line in file.read_text().splitlines()]
        seeds = range(len(done), rounds)
        futures = [pool.submit(play, function, options, seed) for seed in seeds]
        for future in futures:
            done.append(future.result())
            if file is not None:
                with file.open("a") as out:
                    out.write(json.dumps(done[-1]) + "\n")
        refused = sum("refused" in each for each in done[:rounds])
        good = [each for each in done[:rounds] if "refused" not in each]
        cells = [cell(key, np.array([each[key] for each in good])) for key in good[0]]
        lines.append(
            f"| {name} | {len(good)} | " + "; ".join(cells) + (f"; refused {refused}" if refused else "") + " |"
        )
        print(f"{part}: {lines[-1]}  ({time.perf_counter() - start:.0f} s)", flush=True)
    return lines


def cell(key: str, values: np.ndarray) -> str:
    """ "key .947" for shares, "key 0.0089 (sd 0.0007)" for numbers."""
    if np.isin(values, (0.0, 1.0)).all():
        return f"{key} {values.mean():.3f}".replace(" 0.", " .")
    return f"{key} {np.nanmean(values):.4g} (sd {np.nanstd(values, ddof=1):.2g}, median {np.nanmedian(values):.4g})"


def main() -> None:
    """Run the parts and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--resume", type=Path, default=None)
    parser.add_argument("--out", type=Path, default=None)
    arguments = parser.parse_args()
    if arguments.resume is not None:
        arguments.resume.mkdir(parents=True, exist_ok=True)
    pages = []
    with ProcessPoolExecutor(arguments.workers) as pool:
        for part in arguments.only.split(","):
            rows = run(part, arguments.rounds, pool, arguments.resume)
            pages += ["", f"## {part}", "", "| design | panels | found |", "|---|---|---|", *rows]
    if arguments.out is not None:
        head = [
            "# Recovery of the distance estimators",
            "",
            f"`python benchmarks/distance_recovery.py --rounds {arguments.rounds}`",
        ]
        arguments.out.write_text("\n".join([*head, *pages]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
