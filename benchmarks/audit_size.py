"""Size of the tests that the audit relies on, and the exact transformation of group effects beside the usual practice.

    python benchmarks/audit_size.py [--rounds 1000] [--workers 2] [--seed S] [--only tests|shuffles|groups] [--out FILE]

Three tables. (1) Tests of a zero spillover at 31 × 12 with AR(0.8) errors. (2) Shuffles inside groups under shocks that
groups share. (3) ρ with one effect per group and period: treated exactly, and by demeaning before an ordinary fit.
Same numbers whatever the number of workers.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

import spillover as so
from audit_confusion import group_shocks, macro_regions
from spillover.audit.focus import focus_effects
from spillover.audit.permutation import audit_permutation
from spillover.audit.wild import wild_test
from spillover.errors import SpilloverError, SpilloverWarning
from spillover.models.fit import fit
from spillover.models.result import SpatialFit
from spillover.simulation.spatial_panel import ErrorLaw, Regressor, SpatialPanelConfig
from spillover.weights.distance import build_knn
from spillover.weights.groups import within_groups

Numbers = dict[str, float]
WILD, SHUFFLES = 399, 199


# -- (1) tests of a zero spillover ------------------------------------------------------------------------


def zero_spillover(seed: int, n: int = 31, t: int = 12, rho: float = 0.0, serial: float = 0.8) -> Numbers:
    """Rejections at 5 % where θ = −ρβ, so that there is no spillover."""
    x = Regressor("x", 0.3, -0.3 * rho, persistence=0.8)
    control = Regressor("c", 0.3, -0.3 * rho, persistence=0.5)
    config = SpatialPanelConfig("sdm", n, t, regressors=(x, control), rho=rho, errors=ErrorLaw(serial=serial))
    panel, truth = so.simulate(config, seed)
    found = so.fit("y ~ x + c", panel, truth.weights)
    rejected = {}
    for kind in ("information", "cluster"):
        effect = focus_effects(found.with_covariance(kind), "x").spillover  # type: ignore[arg-type]
        assert effect is not None
        rejected[kind] = float(effect.p_value < 0.05)
    rejected["wild"] = float(wild_test(found, draws=WILD, seed=seed).p_value <= 0.05)
    return rejected


def zero_with_feedback(seed: int) -> Numbers:
    """The same with ρ = 0.4 and θ = −ρβ."""
    return zero_spillover(seed, rho=0.4)


# -- (2) shuffles under shocks of groups ----------------------------------------------------------------------


def shuffle_under_shocks(seed: int) -> Numbers:
    """No spillover; macro-regions share shocks to outcome and regressor, correlated 0.7."""
    config = SpatialPanelConfig(
        "sdm", 100, 10, regressors=(Regressor("x", 0.3, persistence=0.8), Regressor("c", 0.3, persistence=0.5))
    )
    panel, truth = so.simulate(config, seed)
    panel = replace(panel, groups={"macro": macro_regions(panel, 5, 2)})
    outcome, regressor = group_shocks(panel, np.random.default_rng(np.random.SeedSequence([seed, 7])))
    changed = {"y": panel["y"] + outcome + 0.3 * regressor, "x": panel["x"] + regressor}
    found = so.fit("y ~ x + c", panel.with_variables(changed), truth.weights)
    facts = audit_permutation(found, draws=SHUFFLES, seed=seed).facts
    known = focus_effects(found, "x").spillover
    assert known is not None
    return {
        "clustered by region": float(known.p_value < 0.05),
        "shuffled over the whole map": float(facts["permutation_whole_map.p_value.spillover"] <= 0.05),
        "shuffled inside groups": float(facts["permutation_within_groups.p_value.spillover"] <= 0.05),
    }


# -- (3) effects of groups and periods ------------------------------------------------------------------------


def group_effects(seed: int, rho: float) -> Numbers:
    """ρ by the exact transformation with links inside groups, and after demeaning by group and period."""
    config = SpatialPanelConfig("sdm", 120, 8, regressors=(Regressor("x", 0.5, 0.25, persistence=0.5),), rho=rho)
    empty, _ = so.simulate(config, 0)
    labels = macro_regions(empty, 4, 2)
    groups = dict(zip(empty.regions, labels, strict=True))
    inside = within_groups(build_knn(empty, 4), groups)  # one region has all its neighbours abroad and drops out
    across = build_knn(empty.select(regions=inside.regions), 6)
    labels = tuple(groups[region] for region in inside.regions)
    config = replace(config, n_regions=inside.n, weights=inside)
    panel, _ = so.simulate(config, seed)
    codes = np.unique(np.array(labels, dtype=object).astype(str), return_inverse=True)[1]
    rng = np.random.default_rng(np.random.SeedSequence([seed, 9]))
    # A shock of group and period enters the right-hand side: S⁻¹ of a block-diagonal W with rows of sum one scales it.
    shocks = 2.0 * rng.standard_normal((codes.max() + 1, 8))[codes] / (1.0 - rho)
    panel = replace(panel.with_variables({"y": panel["y"] + shocks}), groups={"macro": labels})
    demeaned = panel.with_variables({name: _less_group_means(panel[name], codes) for name in ("y", "x")})
    fits: dict[str, Callable[[], SpatialFit]] = {
        "exact, links inside groups": lambda: fit("y ~ x", panel, inside, groups="macro"),
        "ordinary period effects, links inside groups": lambda: fit("y ~ x", panel, inside),
        "demeaned first, links inside groups": lambda: fit("y ~ x", demeaned, inside, effects="individual"),
        "demeaned first, links across borders": lambda: fit("y ~ x", demeaned, across, effects="individual"),
    }
    found: Numbers = {}
    for name, make in fits.items():
        try:
            made = make()
        except SpilloverError:
            continue
        low, high = made.estimates.confint()[made.estimates.index("rho")]
        found[name] = made.rho - rho
        found[f"{name}: covered"] = float(low <= rho <= high)
    return found


def _less_group_means(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    left = values.copy()
    for code in range(codes.max() + 1):
        left[codes == code] -= left[codes == code].mean(axis=0)
    return left


def groups_at_zero(seed: int) -> Numbers:
    """No feedback at all."""
    return group_effects(seed, 0.0)


def groups_at_four(seed: int) -> Numbers:
    """ρ = 0.4 inside groups."""
    return group_effects(seed, 0.4)


# -- running ----------------------------------------------------------------------------------------------------


def play(work: Callable[[int], Numbers], seeds: list[int]) -> list[Numbers]:
    """Some rounds of one experiment."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpilloverWarning)
        return [work(seed) for seed in seeds]


def run(work: Callable[[int], Numbers], rounds: int, seed: int, pool: Executor) -> dict[str, np.ndarray]:
    """Every number over all rounds."""
    seeds = [seed + 1_000 * i for i in range(rounds)]
    futures = [pool.submit(play, work, seeds[i : i + 20]) for i in range(0, rounds, 20)]
    rows = [row for future in futures for row in future.result()]
    return {name: np.array([row[name] for row in rows if name in row]) for name in rows[0]}


def share(values: np.ndarray) -> str:
    """Percent with its simulation error."""
    return f"{100 * values.mean():.1f} ± {196 * values.std() / np.sqrt(values.size):.1f} %"


def tests_table(rounds: int, seed: int, pool: Executor) -> Iterator[str]:
    """Rejections of a true null."""
    yield "| 31 × 12, errors AR(0.8), no spillover | information matrix | clustered by region | wild bootstrap |"
    yield "|---|---|---|---|"
    for words, work in (("ρ = 0, θ = 0", zero_spillover), ("ρ = 0.4, θ = −ρβ", zero_with_feedback)):
        found = run(work, rounds, seed, pool)
        yield f"| {words} | " + " | ".join(share(found[key]) for key in ("information", "cluster", "wild")) + " |"


def shuffles_table(rounds: int, seed: int, pool: Executor) -> Iterator[str]:
    """Rejections under shocks of groups."""
    found = run(shuffle_under_shocks, rounds, seed, pool)
    yield "| no spillover, 100 × 10, shocks of ten groups | rejected at 5 % |"
    yield "|---|---|"
    for name, values in found.items():
        yield f"| {name} | {share(values)} |"


def groups_table(rounds: int, seed: int, pool: Executor) -> Iterator[str]:
    """Bias and coverage of ρ."""
    yield "| 119 × 8, effects of 8 groups and periods | truth | bias of ρ | its error | coverage of 95 % |"
    yield "|---|---|---|---|---|"
    for true, work in ((0.0, groups_at_zero), (0.4, groups_at_four)):
        found = run(work, rounds, seed, pool)
        for name in [key for key in found if not key.endswith(": covered")]:
            gap = found[name]
            error = gap.std() / np.sqrt(gap.size)
            yield f"| {name} | {true:g} | {gap.mean():+.4f} | {error:.4f} | {share(found[f'{name}: covered'])} |"


TABLES = {"tests": tests_table, "shuffles": shuffles_table, "groups": groups_table}


def main() -> None:
    """Play and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=20_261_123)
    parser.add_argument("--only", choices=tuple(TABLES))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    lines: list[str] = []
    with ProcessPoolExecutor(options.workers) as pool:
        for name, table in TABLES.items():
            if options.only in (None, name):
                part = list(table(options.rounds, options.seed, pool))
                print("\n".join([*part, ""]), flush=True)
                lines += [*part, ""]
    if options.out:
        options.out.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
