"""Coverage of the intervals of every path: simulated systems with known coefficients.

    nice -n 15 python benchmarks/mediation_coverage.py [--rounds 400] [--workers 2] [--out FILE]

Two serial mediators, two W (5 nearest neighbours; exp(−d/80 km), both row-standardised), a ρ in every equation, region
and period effects; and the reference system, where truth comes in closed form. Same numbers for any number of workers.
"""

from __future__ import annotations

import argparse
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import spillover as so
from spillover.mechanisms.decomposition import numbers_at
from spillover.mechanisms.exposure import build_exposure
from spillover.mechanisms.mediate import EquationOptions, mediate
from spillover.mechanisms.result import MediationResult
from spillover.simulation.config import SystemConfig
from spillover.weights.distance import build_exponential, build_knn

KINDS = ("own", "spillover")
TRUTH = {
    "first: x": 0.6,
    "first: W*x": 0.3,
    "first: rho": 0.4,
    "second: x": 0.4,
    "second: W*x": 0.2,
    "second: m1": 0.3,
    "second: W*m1": 0.2,
    "second: rho": 0.3,
    "outcome: x": 0.3,
    "outcome: W*x": 0.2,
    "outcome: m1": 0.5,
    "outcome: W*m1": 0.2,
    "outcome: m2": 0.4,
    "outcome: W*m2": 0.2,
    "outcome: rho": 0.3,
}
MEDIATORS = {"first": "m1 ~ x + W*x + W*m1", "second": "m2 ~ x + W*x + m1 + W*m1 + W*m2"}
OUTCOME = "y ~ x + W*x + m1 + W*m1 + m2 + W*m2 + W*y"


@dataclass(frozen=True)
class Design:
    """Size, effects, and errors: "plain", or with standard deviation rising with x and AR(.5) in time."""

    n: int
    t: int
    effects: str = "two-way"
    errors: str = "plain"
    covariance: str = "cluster"


def draw(design: Design, seed: int) -> tuple[so.Panel, dict[str, so.SpatialWeights]]:
    """A panel of the serial system and its weights."""
    rng = np.random.default_rng(seed)
    n, t = design.n, design.t
    side = 1000.0 * np.sqrt(n / 300.0)
    points = rng.random((n, 2)) * side
    ids = [f"r{i:04d}" for i in range(n)]
    first = build_knn(points, 5, regions=ids, lonlat=False)
    second = build_exponential(points, 1 / 80, 400.0, regions=ids, lonlat=False, islands="nearest")

    def errors(scale: np.ndarray) -> np.ndarray:
        e = rng.normal(size=(n, t))
        if design.errors == "plain":
            return e
        for j in range(1, t):
            e[:, j] = 0.5 * e[:, j - 1] + np.sqrt(0.75) * e[:, j]
        return e * np.exp(0.4 * scale) / np.exp(0.16)

    def effects() -> np.ndarray:
        return rng.normal(size=(n, 1)) + rng.normal(size=(1, t)) * (design.effects == "two-way")

    def solve(w: so.SpatialWeights, rho: float, right: np.ndarray) -> np.ndarray:
        return np.asarray(np.linalg.solve(np.eye(n) - rho * w.matrix.toarray(), right))

    p = TRUTH
    level = rng.normal(size=(n, 1))
    x = level + rng.normal(size=(n, t)) + rng.normal(size=(1, t))
    m1 = solve(first, p["first: rho"], p["first: x"] * x + p["first: W*x"] * first.lag(x) + effects() + errors(level))
    right = p["second: x"] * x + p["second: W*x"] * second.lag(x) + p["second: m1"] * m1
    m2 = solve(second, p["second: rho"], right + p["second: W*m1"] * second.lag(m1) + effects() + errors(level))
    right = p["outcome: x"] * x + p["outcome: W*x"] * first.lag(x) + p["outcome: m1"] * m1
    right = right + p["outcome: W*m1"] * first.lag(m1) + p["outcome: m2"] * m2 + p["outcome: W*m2"] * first.lag(m2)
    y = solve(first, p["outcome: rho"], right + effects() + errors(level))
    panel = so.Panel(tuple(ids), tuple(range(2000, 2000 + t)), {"x": x, "m1": m1, "m2": m2, "y": y})
    return panel, {"W": first, "second": second}


def true_paths(result: MediationResult) -> np.ndarray:
    """(paths, 3) at the true coefficients."""
    theta = np.array([TRUTH[name] for name in result.estimates.names])
    return numbers_at(result.numbers.wiring, theta).values(theta)


def play(task: tuple[Design, int]) -> dict[str, tuple[float, ...]]:
    """Row → (truth, estimate, standard error, covered by the delta method, covered by simulation)."""
    design, seed = task
    panel, weights = draw(design, seed)
    result = mediate(
        OUTCOME,
        MEDIATORS,
        "x",
        panel,
        weights,
        lag=0,
        effects=design.effects,
        covariance=design.covariance,  # type: ignore[arg-type]
    )
    truth = true_paths(result)
    rows = {}
    names = [path.name for path in result.system.paths]
    for table, whole in ((result.paths(), truth), (result.effects(), None)):
        for row in table.itertuples():
            if whole is None:
                if row.channel != "total":
                    continue
                known = truth[:, ("own", "spillover", "total").index(row.effect)].sum()
            else:
                known = whole[names.index(row.path), ("own", "spillover", "total").index(row.effect)]
            if row.effect in KINDS:
                rows[row.term] = (known, row.estimate, row.std_error, row.conf_low <= known <= row.conf_high)
    simulated = result.effects(method="simulation", draws=2000).set_index("term")
    for term, values in rows.items():
        if term in simulated.index and "→" not in term and "second" not in term:
            limits = simulated.loc[term]
            rows[term] = (*values, float(limits.conf_low <= values[0] <= limits.conf_high))
    return rows


def play_reference(task: tuple[int, int, int]) -> dict[str, tuple[float, ...]]:
    """Levels and shares of the reference system, right kernels with home included or estimated apart."""
    n, t, seed = task
    panel, truth = so.simulate(SystemConfig(n_regions=n, n_periods=t), seed)
    ratio = EquationOptions("cooperation ~ transfers - 1", {"effects": "none"})
    outcome = "patents ~ talent_inflow + cooperation + informal"
    decays = SystemConfig.decay_per_km, SystemConfig().informal_decay_per_km
    rows = {}
    for label, term, build in (
        ("", "hti + W*hti", lambda d: build_exponential(panel, d, standardise="none")),
        (" (home in kernel)", "W*hti", lambda d: build_exposure(panel, d)),
    ):
        mediators = {
            "talent": f"talent_inflow ~ {term}",
            "transfers": f"transfers ~ {term}",
            "cooperation": ratio,
            "informal": f"informal ~ {term}",
        }
        weights = {"W": build(decays[0]), "informal": build(decays[1])}
        result = mediate(outcome, mediators, "hti", panel, weights, lag=0)
        table = result.effects().set_index(["channel", "effect"])
        for channel in truth.channels:
            for kind, known in (("own", channel.direct), ("spillover", channel.spillover)):
                row = table.loc[(channel.name, kind)]
                covered = row.conf_low <= known <= row.conf_high
                rows[f"{kind}: {channel.name}{label}"] = (known, row.estimate, row.std_error, covered)
        shares = result.shares("spillover").set_index("channel")
        for name, known in truth.shares("spillover").items():
            row = shares.loc[name]
            covered = row.conf_low <= known <= row.conf_high
            rows[f"share of spillover: {name}{label}"] = (known, row.estimate, row.std_error, covered)
    return rows


def quiet(function_and_task: tuple[object, object]) -> dict[str, tuple[float, ...]] | None:
    """A round without warnings; None where an equation refused."""
    function, task = function_and_task
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return function(task)  # type: ignore[operator, no-any-return]
        except so.SpilloverError:
            return None


def lines_of(title: str, rounds: list[dict[str, tuple[float, ...]] | None]) -> list[str]:
    """Rows of the table of one design."""
    kept = [r for r in rounds if r is not None]
    lines = []
    for term in kept[0]:
        known, estimate, error, covered = np.array([r[term][:4] for r in kept]).T
        gap = estimate - known
        simulated = [r[term][4] for r in kept if len(r[term]) > 4]
        told = f"{np.mean(simulated):.3f}" if simulated else ""
        sd = gap.std(ddof=1)
        lines.append(
            f"| {title} | {term} | {known.mean():.4g} | {gap.mean():+.3g} ({sd / np.sqrt(len(gap)):.2g}) | "
            f"{sd:.3g} | {error.mean():.3g} | {covered.mean():.3f} | {told} | {len(gap)} |"
        )
    return lines


DESIGNS = {
    "N = 100, T = 10": Design(100, 10),
    "N = 200, T = 20": Design(200, 20),
    "N = 100, T = 10, region effects, heteroskedastic AR errors": Design(100, 10, "individual", "rough"),
    "the same, information matrices": Design(100, 10, "individual", "rough", "information"),
}


def main() -> None:
    """Run all designs and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", default="", help="designs whose name holds this text")
    parser.add_argument("--out", type=Path, default=None)
    arguments = parser.parse_args()
    tasks: dict[str, list[tuple[object, object]]] = {
        name: [(play, (design, 5000 + i)) for i in range(arguments.rounds)] for name, design in DESIGNS.items()
    }
    for n, t in ((100, 10), (300, 10), (300, 20)):
        tasks[f"reference system, N = {n}, T = {t}"] = [
            (play_reference, (n, t, 5000 + i)) for i in range(arguments.rounds)
        ]
    lines = [
        "| design | effect | truth | bias (se) | sd | mean SE | coverage | by simulation | panels |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    with ProcessPoolExecutor(arguments.workers) as pool:
        for name, todo in tasks.items():
            if arguments.only in name:
                lines += lines_of(name, list(pool.map(quiet, todo, chunksize=5)))
                if arguments.out is not None:
                    arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
