"""What the audit says where the truth is known: true spillovers, and ways to see one that is not there.

    OMP_NUM_THREADS=1 python benchmarks/audit_confusion.py [--rounds 200] [--draws 199] [--workers 2]
        [--only NAME …] [--seed S] [--save DIR] [--out FILE]

One map and W (5 nearest neighbours), two regressors, two-way effects, SDM; six macro-regions are known to
the audit. Same numbers whatever the number of workers. `--save` keeps the facts as JSON lines; what is there already is
judged anew by the rules as they are. Rules are read from top to bottom, as the audit reads them; a part is done when a
rule asks for one of its facts, so that what is decided early costs little.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import brentq

import spillover as so
from spillover.audit.absorbed import absorb_groups
from spillover.audit.audit import run_part
from spillover.audit.change import change_facts
from spillover.audit.evidence import effect_facts
from spillover.audit.grouping import resolve_groups
from spillover.audit.rules import read_rules
from spillover.panel.geometry import centroids
from spillover.panel.panel import Panel
from spillover.simulation.power import PowerQuestion, compute_power
from spillover.simulation.spatial_panel import ErrorLaw, Regressor, SpatialPanelConfig
from spillover.typing import FloatArray
from spillover.weights.weights import SpatialWeights

OWNERS = {
    "errors": "errors",
    "permutation_whole_map": "permutation",
    "permutation_within_groups": "permutation",
    "common_shock": "common-shock",
    "factors": "common-shock",
    "factors_joint": "common-shock",
    "factors_least": "common-shock",
    "reach": "reach",
    "timing": "timing",
    "influence": "influence",
    "weights": "weights",
    "measures": "measures",
    "detectable": "detectable",
}
"""First word of a fact → the part that gives it."""
SAME_W = "common_shock.same_w"
BLOCK = 5
"""Panels of one truth in a task."""
VERDICTS = ("stands", "fragile", "not supported", "not detectable")
Shock = Callable[[Panel, np.random.Generator], tuple[FloatArray, FloatArray]]
"""Panel, generator → what is added to the outcome and to the first regressor, each (n, t)."""


@dataclass(frozen=True)
class Scenario:
    """A truth: the exact panel, and what is added to it.

    name, words : short and long.   config : the panel.   shock : disturbs outcome and regressor, or None.
    wanted : what the audit should say.
    """

    name: str
    words: str
    config: SpatialPanelConfig
    wanted: str
    shock: Shock | None = None


OWN = 0.5
"""The effect of x at home in every truth: a spillover of its size is what would matter."""


def design(
    n: int, t: int, theta: float, rho: float, errors: ErrorLaw | None = None, own: float = OWN
) -> SpatialPanelConfig:
    """β at home, θ next door, x with AR(0.8); a control without spillover."""
    x = Regressor("x", own, theta, persistence=0.8)
    control = Regressor("c", 0.3, -0.3 * rho, persistence=0.5)
    return SpatialPanelConfig("sdm", n, t, regressors=(x, control), rho=rho, errors=errors or ErrorLaw())


def with_power(n: int, t: int, power: float, rho: float = 0.3, own: float = OWN) -> SpatialPanelConfig:
    """The design whose spillover a 5 % test sees with this power, in closed form."""

    def short(theta: float) -> float:
        return compute_power(design(n, t, theta, rho, own=own)).power - power

    return design(n, t, float(brentq(short, -own * rho, 3.0, xtol=1e-6)), rho, own=own)


def macro_regions(panel: Panel, strips: int, parts: int) -> tuple[str, ...]:
    """Strips from west to east of as many regions each, every strip cut into parts from south to north."""
    places = centroids(panel)[0]
    names = np.empty(len(places), dtype=object)
    for i, strip in enumerate(np.array_split(np.argsort(places[:, 0], kind="stable"), strips)):
        for j, part in enumerate(np.array_split(strip[np.argsort(places[strip, 1], kind="stable")], parts)):
            names[part] = f"G{i}{j}"
    return tuple(names)


def group_shocks(panel: Panel, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Macro-regions have shocks of sd 1 to outcome and regressor, correlated 0.7: a cause in common."""
    codes = np.unique(np.array(panel.groups["macro"], dtype=object).astype(str), return_inverse=True)[1]
    t = panel.shape[1]
    first = rng.standard_normal((codes.max() + 1, t))
    second = 0.7 * first + np.sqrt(1 - 0.7**2) * rng.standard_normal(first.shape)
    return first[codes], second[codes]


def weak_factor(panel: Panel, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """A factor, AR(0.8), on which outcome and regressor load alike, neighbours with similar loadings.

    Loadings have sd 1 and correlation exp(−d/300 km); regions are 58 km apart.
    """
    places = centroids(panel)[0]
    gaps = np.linalg.norm(places[:, None] - places[None], axis=2)
    root = np.linalg.cholesky(np.exp(-gaps / 300.0) + 1e-9 * np.eye(len(places)))
    both = np.outer(root @ rng.standard_normal(len(places)), course(panel, rng))
    return both, both


def course(panel: Panel, rng: np.random.Generator) -> FloatArray:
    """(t,) AR(0.8) with unit variance."""
    found = rng.standard_normal(panel.shape[1])
    for s in range(1, found.size):
        found[s] = 0.8 * found[s - 1] + 0.6 * found[s]
    return found


def sloping_factor(panel: Panel, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """As strong as the weak factor, loadings rise from west to east: those of neighbours are nearly the same."""
    west = centroids(panel)[0][:, 0]
    both = np.outer((west - west.mean()) / west.std(), course(panel, rng))
    return both, both


def two_factors(panel: Panel, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Two weak factors at once."""
    first, second = weak_factor(panel, rng)[0], weak_factor(panel, rng)[0]
    return first + second, first + second


def strong_factor(panel: Panel, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """The same with loadings twice as large."""
    outcome, regressor = weak_factor(panel, rng)
    return 2.0 * outcome, 2.0 * regressor


def one_trend(panel: Panel, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Outcome and regressor of one region rise by ten and by five errors' standard deviations over the sample."""
    n, t = panel.shape
    line = np.zeros((n, t))
    line[rng.integers(n)] = np.linspace(-0.5, 0.5, t)
    return 10.0 * line, 5.0 * line


def shared_regressor(panel: Panel, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Shocks of macro-regions to the regressor alone, which is no harm."""
    regressor = group_shocks(panel, rng)[1]
    return np.zeros_like(regressor), regressor


def common_regressor(panel: Panel, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """A factor in the regressor alone, which is no harm."""
    regressor = weak_factor(panel, rng)[1]
    return np.zeros_like(regressor), regressor


def scenarios() -> tuple[Scenario, ...]:
    """All truths of the table."""
    ar, n, t = ErrorLaw(serial=0.8), 60, 12
    none, strong = design(n, t, 0.0, 0.0), with_power(n, t, 0.90)
    return (
        Scenario("true-80", "a spillover, independent errors", with_power(n, t, 0.80), "stands"),
        Scenario("true-85", "a spillover, independent errors", with_power(n, t, 0.85), "stands"),
        Scenario("true-90", "a spillover, independent errors", with_power(n, t, 0.90), "stands"),
        Scenario("true-95", "a spillover, independent errors", with_power(n, t, 0.95), "stands"),
        Scenario("true-99", "a spillover, independent errors", with_power(n, t, 0.99), "stands"),
        Scenario("weak-home", "a spillover, an effect at home of 0.2", with_power(n, t, 0.90, own=0.2), "stands"),
        Scenario("x-groups", "a spillover, a regressor that macro-regions share", strong, "stands", shared_regressor),
        Scenario("x-factor", "a spillover, a regressor with a common factor", strong, "stands", common_regressor),
        Scenario("serial", "no spillover, errors AR(0.8)", design(n, t, 0.0, 0.0, ar), "not stands"),
        Scenario("serial-31", "no spillover, errors AR(0.8)", design(31, t, 0.0, 0.0, ar), "not stands"),
        Scenario("groups", "no spillover, shocks of macro-regions", none, "not stands", group_shocks),
        Scenario("factor", "no spillover, an omitted common factor", none, "not stands", strong_factor),
        Scenario(
            "short", "no spillover, an omitted common factor", design(45, 8, 0.0, 0.0), "not stands", strong_factor
        ),
        Scenario("weak-factor", "no spillover, a weak omitted factor", none, "not stands", weak_factor),
        Scenario(
            "slope", "no spillover, a weak factor, loadings rise over the map", none, "not stands", sloping_factor
        ),
        Scenario("two-factors", "no spillover, two weak omitted factors", none, "not stands", two_factors),
        Scenario("trend", "no spillover, a trend in one region", none, "not stands", one_trend),
        Scenario("small", "a spillover, low power", with_power(30, 10, 0.25), "never not supported"),
    )


def draw(scenario: Scenario, seed: int) -> tuple[Panel, SpatialWeights, float]:
    """(panel with its macro-regions, W, true spillover)."""
    panel, truth = so.simulate(scenario.config, seed)
    panel = replace(panel, groups={"macro": macro_regions(panel, 3, 2)})
    if scenario.shock is not None:
        rng = np.random.default_rng(np.random.SeedSequence([seed, 7]))
        outcome, regressor = scenario.shock(panel, rng)
        x, w = scenario.config.regressors[0], truth.weights
        signal = outcome + x.beta * regressor + x.theta * w.lag(regressor)
        lag = np.eye(w.n) - scenario.config.rho * w.lag(np.eye(w.n))
        panel = panel.with_variables({"y": panel["y"] + np.linalg.solve(lag, signal), "x": panel["x"] + regressor})
    return panel, truth.weights, truth.indirect("x")


class Facts(Mapping[str, float]):
    """The facts of one panel; a part is done when one of its facts is asked for."""

    def __init__(self, scenario: Scenario, seed: int, draws: int, known: Mapping[str, float], done: list[str]) -> None:
        self.scenario, self.seed, self.draws = scenario, seed, draws
        self.known, self.done = dict(known), list(done)
        self.fit: so.SpatialFit | None = None

    def __contains__(self, name: object) -> bool:
        self._fetch(str(name))
        return name in self.known

    def __getitem__(self, name: str) -> float:
        self._fetch(name)
        return self.known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.known)

    def __len__(self) -> int:
        return len(self.known)

    def _fetch(self, name: str) -> None:
        part = OWNERS[name.split(".")[0]]
        if part in self.done:
            return
        if self.fit is None:
            panel, weights, _ = draw(self.scenario, self.seed)
            self.fit = so.fit("y ~ x + c", panel, weights)
        if name.startswith(SAME_W):  # a small piece of its part, and what most panels without a spillover end with
            if SAME_W not in self.done:
                self.known |= self._same_w()
                self.done.append(SAME_W)
            return
        pool = {"variable": "x", "groups": None, "weights": None, "draws": self.draws, "seed": self.seed}
        self.known |= run_part(self.fit, part, pool).facts
        self.done.append(part)

    def _same_w(self) -> dict[str, float]:
        """As the part of common shocks computes them."""
        assert self.fit is not None
        grouping = resolve_groups(self.fit)
        assert grouping is not None
        pair = absorb_groups(self.fit, "x", grouping)
        ordinary, grouped = (f"{SAME_W}_{key}" for key in ("ordinary", "grouped"))
        return (
            effect_facts(ordinary, pair.ordinary)
            | effect_facts(grouped, pair.grouped)
            | change_facts(SAME_W, pair.changes)
        )


def audit_one(scenario: Scenario, seed: int, draws: int, saved: Mapping[str, Any] | None = None) -> dict[str, object]:
    """Verdict on the spillover, rule and facts of one panel; of a saved one, only what is not known is done."""
    start = time.perf_counter()
    saved = saved or {"facts": {}, "done": [], "truth": draw(scenario, seed)[2]}
    facts = Facts(scenario, seed, draws, saved["facts"], saved["done"])
    rule = next(rule for rule in read_rules() if rule.applies("spillover", facts))
    return {
        "scenario": scenario.name,
        "seed": seed,
        "truth": saved["truth"],
        "spillover": rule.verdict,
        "rule": rule.name,
        "honest": facts["errors.p_value.spillover"],
        "seconds": time.perf_counter() - start,
        "done": facts.done,
        "facts": facts.known,
    }


def play(scenario: Scenario, seeds: list[int], draws: int) -> list[dict[str, object]]:
    """Some panels of one truth."""
    return [audit_one(scenario, seed, draws) for seed in seeds]


def rows(found: dict[str, list[dict[str, object]]]) -> Iterator[str]:
    """The table, one line per truth."""
    yield (
        "| truth | regions × periods | spillover | power | honest test rejects | stands | fragile | not supported "
        "| not detectable |"
    )
    yield "|" + "---|" * 9
    for scenario in scenarios():
        if scenario.name not in found:
            continue
        each = found[scenario.name]
        counts = Counter(str(one["spillover"]) for one in each)
        config = scenario.config
        true = float(each[0]["truth"])  # type: ignore[arg-type]
        power = "–"
        if true > 1e-9 and scenario.shock is None:  # in closed form for the exact panel only
            power = f"{compute_power(config, PowerQuestion()).power:.2f}"
        honest = sum(float(one["honest"]) <= 0.05 for one in each)  # type: ignore[arg-type]
        shares = " | ".join(f"{100 * count / len(each):.1f} %" for count in (honest, *(counts[v] for v in VERDICTS)))
        size = f"{config.n_regions} × {config.n_periods}"
        yield f"| {scenario.words} | {size} | {max(true, 0.0):.2f} | {power} | {shares} |"


def finished(folder: Path | None, draws: int) -> dict[str, list[dict[str, object]]]:
    """Audits that an earlier run has saved, judged anew: verdicts are a function of facts."""
    found: dict[str, list[dict[str, object]]] = {}
    for scenario in scenarios():
        path = None if folder is None else folder / f"{scenario.name}.jsonl"
        if path is not None and path.exists():
            saved = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            found[scenario.name] = [audit_one(scenario, int(one["seed"]), draws, one) for one in saved]
    return found


def main() -> None:
    """Play what is not there yet, save as it comes, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--draws", type=int, default=199)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=20_261_122)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--save", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    chosen = [each for each in scenarios() if not options.only or each.name in options.only]
    seeds = [options.seed + 1_000 * i for i in range(options.rounds)]
    found = finished(options.save, options.draws)
    if options.save:
        options.save.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(options.workers) as pool:
        futures = {}
        for start in range(0, options.rounds, BLOCK):
            for scenario in chosen:
                done = {one["seed"] for one in found.get(scenario.name, [])}
                left = [seed for seed in seeds[start : start + BLOCK] if seed not in done]
                if left:
                    futures[pool.submit(play, scenario, left, options.draws)] = scenario.name
        for count, future in enumerate(as_completed(futures)):
            name, each = futures[future], future.result()
            found.setdefault(name, []).extend(each)
            if options.save:
                with (options.save / f"{name}.jsonl").open("a", encoding="utf-8") as file:
                    file.writelines(json.dumps(one) + "\n" for one in each)
            print(f"{count + 1} of {len(futures)}", file=sys.stderr, flush=True)
    for name, each in found.items():
        each.sort(key=lambda one: int(one["seed"]))  # type: ignore[call-overload]
        print(name, len(each), Counter(str(one["rule"]) for one in each).most_common())
    text = "\n".join(rows(found))
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
