"""How often parts of the audit speak when there is no spillover, and when there is one.

    python benchmarks/audit_parts.py permutation --rounds 400 [--model sdm] [--out FILE]
    python benchmarks/audit_parts.py reach --rounds 200 [--model sdm] [--out FILE]
    python benchmarks/audit_parts.py other-periods --rounds 400 [--model sdm] [--out FILE]
    python benchmarks/audit_parts.py honest --rounds 1500 [--model sdm] [--out FILE]

permutation : 60 regions in 9 groups, 8 years, 5 nearest neighbours, no spillover; shocks of groups in every year, in x
    and y, or none; x and errors with or without a spatial field of their own. Shares of rounds that reject at 5 %.
reach : 100 regions, 8 years, 5 nearest neighbours. Shares of rounds in which the effect grows with the reach of W, and
    in which the far ring is told from zero.
other-periods : the truths of `audit_confusion.py`. Shares of rounds in which the regressor goes with errors of other
    periods.
honest : true spillovers of `audit_confusion.py`. Shares of rounds in which three kinds of error tell them from zero.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import spillover as so
from audit_confusion import draw, scenarios
from spillover.audit.focus import focus_effects
from spillover.audit.other_periods import other_periods_p_value
from spillover.audit.permutation import audit_permutation
from spillover.audit.reach import audit_reach
from spillover.audit.wild import wild_test
from spillover.panel.panel import Panel
from spillover.simulation.power import compute_power

YEARS = 8
OTHER_PERIODS = {
    *("true-90", "x-groups", "x-factor", "serial", "serial-31", "trend", "small"),
    *("groups", "factor", "weak-factor", "slope", "two-factors"),
}
"""Truths of `audit_confusion.py`: those where nothing is to be found, and those where something is."""


def world(n: int, seed: int = 1) -> tuple[Panel, Any, np.ndarray]:
    """(empty panel with a map, 5 nearest neighbours, places in the unit square)."""
    import geopandas as gpd
    from shapely.geometry import Point

    places = np.random.default_rng(seed).random((n, 2))
    ids = tuple(f"r{i:03d}" for i in range(n))
    shapes = gpd.GeoDataFrame({"at": range(n)}, geometry=[Point(x * 10, y * 10) for x, y in places], crs=4326)
    panel = Panel(ids, tuple(range(2001, 2001 + YEARS)), {}, geometry=shapes.set_index(np.array(ids)))
    return panel, so.weights.build_knn(panel, 5), places


def field(places: np.ndarray, reach: float) -> np.ndarray:
    """Factor of an exponential covariance."""
    gap = np.linalg.norm(places[:, None] - places[None], axis=2)
    return np.linalg.cholesky(np.exp(-gap / reach) + 1e-8 * np.eye(len(places)))


def persistent(noise: np.ndarray, share: float = 0.5) -> np.ndarray:
    """An autoregression over years with unit variance."""
    found = noise.copy()
    for s in range(1, found.shape[1]):
        found[:, s] = share * found[:, s - 1] + np.sqrt(1.0 - share**2) * noise[:, s]
    return found


def permutation_rows(rounds: int, model: Any, draws: int = 199) -> Iterator[str]:
    """One line per world."""
    panel, w, places = world(60)
    codes = (places[:, 0] * 3).astype(int) * 3 + (places[:, 1] * 3).astype(int)
    groups = {region: f"g{code}" for region, code in zip(panel.regions, codes, strict=True)}
    root = field(places, 0.15)
    yield "| group shocks | x clusters | errors cluster | t test | whole map | within groups | of which larger |"
    yield "|---|---|---|---|---|---|---|"
    for shocks, of_x, of_errors in ((1, 0, 0), (0, 0, 0), (0, 1, 0), (1, 1, 0), (1, 0, 1), (1, 1, 1)):
        found = []
        for seed in range(rounds):
            rng = np.random.default_rng([seed, shocks, of_x, of_errors])
            noise = rng.normal(size=(2, 60, YEARS))
            common = rng.normal(size=(2, 9, YEARS))
            x = persistent(root @ noise[0] if of_x else noise[0]) + shocks * common[0][codes]
            errors = persistent(root @ noise[1] if of_errors else noise[1])
            y = 0.3 * x + errors + 0.5 * shocks * (common[0] + common[1])[codes]
            fit = so.fit("y ~ x", panel.with_variables({"y": y, "x": x}), w, model=model)
            facts = audit_permutation(fit, groups=groups, draws=draws, seed=seed).facts
            effect = focus_effects(fit).spillover
            assert effect is not None
            inside = facts["permutation_within_groups.p_value.spillover"] <= 0.05
            found.append(
                (
                    effect.p_value < 0.05,
                    facts["permutation_whole_map.p_value.spillover"] <= 0.05,
                    inside,
                    inside and facts["permutation_within_groups.share_as_large.spillover"] < 0.5,
                )
            )
        words = [("no", "yes")[each] for each in (shocks, of_x, of_errors)]
        yield "| " + " | ".join([*words, *(f"{100 * share:.1f} %" for share in np.mean(found, axis=0))]) + " |"


def reach_rows(rounds: int, model: Any) -> Iterator[str]:
    """One line per world."""
    panel, w, places = world(100)
    root, loading = field(places, 0.2), 2.0 * (places[:, [0]] - 0.5)
    multiplier = {rho: np.linalg.inv(np.eye(100) - rho * w.matrix.toarray()) for rho in (0.0, 0.3)}
    yield "| world | own W | longest W | grows | fades | far ring |"
    yield "|---|---|---|---|---|---|"
    for words, theta, rho, of_x, factor in (
        ("no spillover", 0.0, 0.0, 0, 0),
        ("no spillover, x clusters", 0.0, 0.0, 1, 0),
        ("spillover θ", 0.4, 0.0, 0, 0),
        ("spillover θ, x clusters", 0.4, 0.0, 1, 0),
        ("spillover θ and ρ, x clusters", 0.3, 0.3, 1, 0),
        ("no spillover, a common factor", 0.0, 0.0, 0, 1),
    ):
        found = []
        for seed in range(rounds):
            rng = np.random.default_rng([seed, int(10 * theta), of_x, factor])
            noise = rng.normal(size=(2, 100, YEARS))
            course = factor * loading * rng.normal(size=(1, YEARS)).cumsum(axis=1)
            x = (root @ noise[0] if of_x else noise[0]) + course
            y = multiplier[rho] @ (0.4 * x + theta * w.lag(x) + noise[1] + course)
            fit = so.fit("y ~ x", panel.with_variables({"y": y, "x": x}), w, model=model)
            facts = audit_reach(fit).facts
            moved = facts["reach.growth_p_value.spillover"] < 0.05
            rising = facts["reach.growth.spillover"] * facts["reach.longest.spillover"] > 0
            own = facts["reach.longest.spillover"] - facts["reach.growth.spillover"]
            found.append(
                (
                    own,
                    facts["reach.longest.spillover"],
                    moved and rising,
                    moved and not rising,
                    facts["reach.far_p_value.spillover"] < 0.05,
                )
            )
        mean = np.mean(found, axis=0)
        shares = " | ".join(f"{100 * share:.1f} %" for share in mean[2:])
        yield f"| {words} | {mean[0]:.2f} | {mean[1]:.2f} | {shares} |"


def other_periods_rows(rounds: int, model: Any) -> Iterator[str]:
    """One line per truth."""
    yield "| truth | regions × periods | at 5 % | at 1 % |"
    yield "|---|---|---|---|"
    for scenario in scenarios():
        if scenario.name in OTHER_PERIODS:
            found = []
            for seed in range(rounds):
                panel, w, _ = draw(scenario, 71_000_000 + 1_000 * seed)
                found.append(other_periods_p_value(so.fit("y ~ x + c", panel, w, model=model), "x"))
            shares = " | ".join(f"{100 * np.mean(np.array(found) <= level):.1f} %" for level in (0.05, 0.01))
            size = f"{scenario.config.n_regions} × {scenario.config.n_periods}"
            yield f"| {scenario.words} | {size} | {shares} |"


def honest_rows(rounds: int, model: Any) -> Iterator[str]:
    """One line per power."""
    yield "| power in closed form | information matrix | clustered by region | wild bootstrap by region |"
    yield "|---|---|---|---|"
    for scenario in scenarios():
        if scenario.name in ("true-80", "true-85", "true-90"):
            found = []
            for seed in range(rounds):
                panel, w, _ = draw(scenario, 81_000_000 + 1_000 * seed)
                fit = so.fit("y ~ x + c", panel, w, model=model)
                textbook, clustered = (
                    focus_effects(fit.with_covariance(kind), "x").spillover for kind in ("information", "cluster")
                )
                assert textbook is not None
                assert clustered is not None
                wild = wild_test(fit, "x", draws=399)
                found.append((textbook.p_value, clustered.p_value, wild.p_value))
            shares = " | ".join(f"{100 * share:.1f} %" for share in np.mean(np.array(found) <= 0.05, axis=0))
            yield f"| {compute_power(scenario.config).power:.2f} | {shares} |"


ROWS = {
    "permutation": permutation_rows,
    "reach": reach_rows,
    "other-periods": other_periods_rows,
    "honest": honest_rows,
}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=tuple(ROWS))
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--model", default="sdm")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = []
    for line in ROWS[given.part](given.rounds, given.model):
        rows.append(line)
        print(line, flush=True)
    if given.out is not None:
        given.out.write_text("\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
