"""What the audit says where the truth is known: true spillovers, and four ways to see one that is not there.

    python benchmarks/audit_confusion.py [--rounds 200] [--draws 199] [--workers 2] [--only NAME …] [--seed S]
        [--save DIR] [--out FILE]

One map and W (5 nearest neighbours), two regressors, two-way effects, SDM; six macro-regions are known to
the audit. Same numbers whatever the number of workers. `--save` keeps every fact of every audit as JSON lines.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.optimize import brentq

import spillover as so
from spillover.audit.audit import PARTS as AUDIT_PARTS
from spillover.audit.audit import audit_fit
from spillover.audit.rules import read_rules
from spillover.audit.verdict import decide
from spillover.panel.geometry import centroids
from spillover.panel.panel import Panel
from spillover.simulation.power import PowerQuestion, compute_power
from spillover.simulation.spatial_panel import ErrorLaw, Regressor, SpatialPanelConfig
from spillover.typing import FloatArray
from spillover.weights.weights import SpatialWeights

PARTS = tuple(part for part in AUDIT_PARTS if part != "size")
"""No rule reads the simulated size."""
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


def design(n: int, t: int, theta: float, rho: float, errors: ErrorLaw | None = None) -> SpatialPanelConfig:
    """β = 0.5 at home, θ next door, x with AR(0.8); a control without spillover."""
    x = Regressor("x", OWN, theta, persistence=0.8)
    control = Regressor("c", 0.3, -0.3 * rho, persistence=0.5)
    return SpatialPanelConfig("sdm", n, t, regressors=(x, control), rho=rho, errors=errors or ErrorLaw())


def with_power(n: int, t: int, power: float, rho: float = 0.3) -> SpatialPanelConfig:
    """The design whose spillover a 5 % test sees with this power, in closed form."""
    theta = brentq(lambda each: compute_power(design(n, t, each, rho)).power - power, -OWN * rho, 3.0, xtol=1e-6)
    return design(n, t, float(theta), rho)


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
    loadings = root @ rng.standard_normal(len(places))
    factor = np.empty(panel.shape[1])
    factor[0] = rng.standard_normal()
    for s in range(1, factor.size):
        factor[s] = 0.8 * factor[s - 1] + 0.6 * rng.standard_normal()
    both = np.outer(loadings, factor)
    return both, both


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


def scenarios() -> tuple[Scenario, ...]:
    """All truths of the table."""
    ar, n, t = ErrorLaw(serial=0.8), 60, 12
    none = design(n, t, 0.0, 0.0)
    return (
        Scenario("true-80", "a spillover, independent errors", with_power(n, t, 0.80), "stands"),
        Scenario("true-90", "a spillover, independent errors", with_power(n, t, 0.90), "stands"),
        Scenario("true-95", "a spillover, independent errors", with_power(n, t, 0.95), "stands"),
        Scenario("true-99", "a spillover, independent errors", with_power(n, t, 0.99), "stands"),
        Scenario("serial", "no spillover, errors AR(0.8)", design(n, t, 0.0, 0.0, ar), "not stands"),
        Scenario("serial-31", "no spillover, errors AR(0.8)", design(31, t, 0.0, 0.0, ar), "not stands"),
        Scenario("groups", "no spillover, shocks of macro-regions", none, "not stands", group_shocks),
        Scenario("factor", "no spillover, an omitted common factor", none, "not stands", strong_factor),
        Scenario("weak-factor", "no spillover, a weak omitted factor", none, "not stands", weak_factor),
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
        beta = scenario.config.regressors[0].beta
        panel = panel.with_variables({"y": panel["y"] + outcome + beta * regressor, "x": panel["x"] + regressor})
    return panel, truth.weights, truth.indirect("x")


def audit_one(scenario: Scenario, seed: int, draws: int) -> dict[str, object]:
    """Verdicts, rules and facts of one panel."""
    start = time.perf_counter()
    panel, weights, true = draw(scenario, seed)
    fit = so.fit("y ~ x + c", panel, weights)
    audit = audit_fit(fit, parts=PARTS, draws=draws, seed=seed)
    return {
        "scenario": scenario.name,
        "seed": seed,
        "truth": true,
        "spillover": audit.spillover.verdict,
        "rule": audit.spillover.rule,
        "own": audit.own.verdict,
        "own_rule": audit.own.rule,
        "seconds": time.perf_counter() - start,
        "facts": audit.facts,
    }


def play(scenario: Scenario, seeds: list[int], draws: int) -> list[dict[str, object]]:
    """Some panels of one truth."""
    return [audit_one(scenario, seed, draws) for seed in seeds]


def rows(found: dict[str, list[dict[str, object]]]) -> Iterator[str]:
    """The table, one line per truth."""
    yield "| truth | regions × periods | spillover | power | stands | fragile | not supported | not detectable |"
    yield "|" + "---|" * 8
    for scenario in scenarios():
        if scenario.name not in found:
            continue
        each = found[scenario.name]
        counts = Counter(str(one["spillover"]) for one in each)
        config = scenario.config
        true = float(each[0]["truth"])  # type: ignore[arg-type]
        power = "–"
        if true > 1e-9:
            power = f"{compute_power(config, PowerQuestion()).power:.2f}"
        shares = " | ".join(f"{100 * counts[name] / len(each):.1f} %" for name in VERDICTS)
        size = f"{config.n_regions} × {config.n_periods}"
        yield f"| {scenario.words} | {size} | {max(true, 0.0):.2f} | {power} | {shares} |"


def finished(folder: Path | None) -> dict[str, list[dict[str, object]]]:
    """Audits that an earlier run has saved, judged anew."""
    found: dict[str, list[dict[str, object]]] = {}
    for scenario in scenarios():
        path = None if folder is None else folder / f"{scenario.name}.jsonl"
        if path is not None and path.exists():
            found[scenario.name] = [judged(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    return found


def judged(one: dict[str, object]) -> dict[str, object]:
    """A saved audit under the rules as they are now: verdicts are a function of facts."""
    facts: dict[str, float] = one["facts"]  # type: ignore[assignment]
    rules = read_rules()
    spillover, own = decide("spillover", facts, rules), decide("own", facts, rules)
    return {**one, "spillover": spillover.verdict, "rule": spillover.rule, "own": own.verdict, "own_rule": own.rule}


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
    found = finished(options.save)
    if options.save:
        options.save.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(options.workers) as pool:
        futures = {}
        for start in range(0, options.rounds, 5):
            for scenario in chosen:
                done = {one["seed"] for one in found.get(scenario.name, [])}
                left = [seed for seed in seeds[start : start + 5] if seed not in done]
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
