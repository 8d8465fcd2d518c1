"""`audit_fit`: every part of the audit, and the verdicts."""

from __future__ import annotations

import importlib
import inspect
import os
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, as_completed
from typing import Any

import numpy as np

from spillover.audit.focus import choose_variable, focus_effects
from spillover.audit.grouping import resolve_groups
from spillover.audit.part import AuditPart
from spillover.audit.result import Audit
from spillover.audit.rules import Rule, names_of, read_rules
from spillover.audit.specifications import check_list
from spillover.audit.task import FitTask
from spillover.audit.verdict import Verdict, decide
from spillover.errors import (
    AssumptionWarning,
    FormulaError,
    OptionError,
    SpilloverError,
    SpilloverWarning,
    UnknownColumnError,
    did_you_mean,
    show_labels,
)
from spillover.models.result import SpatialFit
from spillover.models.spec import Groups
from spillover.simulation.streams import check_seed
from spillover.typing import Progress, no_progress
from spillover.weights.weights import SpatialWeights

PARTS: dict[str, str] = {
    "errors": "spillover.audit.error_bars:audit_errors",
    "size": "spillover.audit.size:audit_size",
    "permutation": "spillover.audit.permutation:audit_permutation",
    "common-shock": "spillover.audit.common_shock:audit_common_shock",
    "reach": "spillover.audit.reach:audit_reach",
    "timing": "spillover.audit.timing:audit_timing",
    "influence": "spillover.audit.influence:audit_influence",
    "weights": "spillover.audit.specifications:audit_specifications",
    "measures": "spillover.audit.measures:audit_measures",
    "detectable": "spillover.audit.detectable:audit_detectable",
}
"""Part → module and function; in the order in which a reader meets them."""

LEAST_DRAWS = 19
LARGE = 20_000
"""Cells of a panel above which everything that is drawn is drawn 199 times by default, and 999 times below."""


def audit_fit(
    fit: SpatialFit,
    variable: str | None = None,
    *,
    parts: Sequence[str] | None = None,
    groups: Groups = None,
    weights: Mapping[str, SpatialWeights] | None = None,
    draws: int | None = None,
    seed: int = 1,
    rules: str | os.PathLike[str] | Sequence[Rule] | None = None,
    executor: Executor | None = None,
    progress: Progress = no_progress,
    **options: Any,
) -> Audit:
    """Is it a spillover? Every part of the audit of one regressor, and a verdict on each of its two effects.

    Parameters
    ----------
    fit : what `spillover.fit` returned.
    variable : the regressor, as it stands in the formula; the first by default.
    parts : names of `PARTS`; all by default. There is no verdict without error bars and what could have been seen, nor
        one on the spillover without permutation; rules of your own always decide.
    groups : column of `panel.groups`, or region → group; the panel's only grouping by default.
    weights : name → other W of the same regions, to be set side by side.
    draws : permutations and bootstrap replications; 999, and 199 for panels of more than 20,000 cells, by default.
    seed : of everything drawn; the same seed gives the same audit whatever the number of workers.
    rules : a file of rules (TOML) or rules; those of the package by default.
    executor : any `concurrent.futures` executor; the parts are its tasks. One after the other without.
    options : of single parts: relevant_own, relevant_spillover, cutoffs_km, channels, ….

    Returns
    -------
    Audit: `.verdicts`, `.parts`, `.summary()`, `.to_dict()`.

    Raises
    ------
    OptionError : an unknown part or option. FileError, OptionError : rules that are not understood.
    AlignmentError : a W of other regions.
    UnknownColumnError : no such regressor or grouping. DesignError : groups that divide nothing.

    A part that cannot be done with these data does not stop the others: it says why. A wrong value of an option is
    raised.
    """
    table = read_rules(rules)
    name = choose_variable(fit, variable)
    chosen = _chosen(parts)
    size = fit.design.shape[0] * fit.design.shape[1]
    if draws is not None and (isinstance(draws, bool) or not isinstance(draws, int) or draws < LEAST_DRAWS):
        raise OptionError(
            "too few draws for a p-value of 5 %", got=repr(draws), expected=f"a whole number of {LEAST_DRAWS} or more"
        )
    pool = {
        "variable": name,
        "groups": groups,
        "weights": weights,
        "draws": draws if draws is not None else (999 if size <= LARGE else 199),
        "seed": check_seed(seed),
        **options,
    }
    _check_options(options, chosen)
    if weights is not None and not isinstance(weights, Mapping):
        raise OptionError(
            "the W to be set side by side need names", got=type(weights).__name__, fix='weights={"10 nearest": W}'
        )
    resolve_groups(fit, groups)
    if weights and "weights" in chosen:
        check_list(weights, fit, common=bool(options.get("common")))
    done: dict[str, AuditPart] = {}
    for part in _run(fit, chosen, pool, frozenset(options), executor, progress):
        done[part.name] = part
    ordered = {key: done[key] for key in chosen}
    facts = {key: value for part in ordered.values() for key, value in part.facts.items()}
    if rules is not None:
        _warn_of_unknown_facts(table, facts)
    effects = [effect for effect, _ in focus_effects(fit, name).items()]
    verdicts = {effect: decide(effect, facts, table) for effect in effects}
    if rules is None:
        verdicts = {key: each for key, each in verdicts.items() if rests_on_facts(each, table, facts, chosen)}
    effects_used = fit.spec.effects_in_words
    used = "without effects" if effects_used == "none" else f"with {effects_used} effects"
    words = f"{fit.spec.model.upper()} {used}, {fit.spec.formula}"
    return Audit(name, words, verdicts, ordered, table, int(seed))


def rests_on_facts(verdict: Verdict, rules: Sequence[Rule], facts: Mapping[str, float], done: Sequence[str]) -> bool:
    """Whether what decided was looked at: the numbers of the rule, and for "stands" all that could speak against it."""
    rule = next(each for each in rules if each.name == verdict.rule)
    if rule.verdict != "stands":
        return all(f"{name}.{verdict.effect}" in facts or name in facts for name in rule.facts)
    needed = {f"errors.p_value.{verdict.effect}", f"detectable.smallest.{verdict.effect}"}
    return needed <= set(facts) and (verdict.effect == "own" or "permutation" in done)


def _warn_of_unknown_facts(rules: Sequence[Rule], facts: Mapping[str, float]) -> None:
    """A rule with a misspelt fact would never apply and never be missed."""
    ours = set(names_of(read_rules()))
    known = {key for fact in facts for key in (fact, fact.removesuffix(".own"), fact.removesuffix(".spillover"))}
    lost = sorted({name for name in names_of(rules) if name not in ours and name not in known})
    if lost:
        hints = [hint for name in lost if (hint := did_you_mean(name, sorted(ours | known)))]
        warnings.warn(
            f"rules name facts that this audit does not give, and never apply: {show_labels(lost)}. {' '.join(hints)}",
            AssumptionWarning,
            stacklevel=3,
        )


def _chosen(parts: Sequence[str] | None) -> tuple[str, ...]:
    if parts is None:
        return tuple(PARTS)
    parts = [parts] if isinstance(parts, str) else parts
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise OptionError(
            "the audit has no such part",
            got=show_labels(unknown),
            expected=show_labels(PARTS, 20),
            fix=did_you_mean(unknown[0], tuple(PARTS)) or None,
        )
    return tuple(part for part in PARTS if part in parts)


def find_part(name: str) -> Any:
    """The function of a part."""
    module, function = PARTS[name].split(":")
    return getattr(importlib.import_module(module), function)


def _accepted(name: str) -> set[str]:
    return set(inspect.signature(find_part(name)).parameters)


def known_options(parts: Sequence[str] | None = None) -> set[str]:
    """The options of these parts, of all by default."""
    return {key for name in _chosen(parts) for key in _accepted(name)} - {"fit", "progress", "executor"}


def _check_options(options: Mapping[str, Any], chosen: Sequence[str]) -> None:
    known = known_options(chosen)
    unknown = [key for key in options if key not in known]
    if unknown:
        raise OptionError(
            "no part of the audit has this option",
            got=show_labels(unknown),
            expected=show_labels(sorted(known), 30),
            fix=did_you_mean(unknown[0], sorted(known)) or None,
        )


def _run(
    fit: SpatialFit,
    chosen: Sequence[str],
    pool: Mapping[str, Any],
    asked: frozenset[str],
    executor: Executor | None,
    progress: Progress,
) -> list[AuditPart]:
    if executor is None:
        found = []
        for i, name in enumerate(chosen):
            start = i / len(chosen)
            progress(f"audit: {name}", start)

            def told(text: str, share: float, at: float = start) -> None:
                progress(text, at + share / len(chosen))

            found.append(run_part(fit, name, pool, asked, told))
        return found
    task = FitTask.of(fit)
    futures = [executor.submit(run_task, task, name, pool, asked) for name in chosen]
    found = []
    try:
        for future in as_completed(futures):
            found.append(future.result())
            progress(f"audit: {found[-1].name}", len(found) / len(chosen))
    finally:
        for future in futures:
            future.cancel()
    return found


def run_part(
    fit: SpatialFit,
    name: str,
    pool: Mapping[str, Any],
    asked: frozenset[str] = frozenset(),
    progress: Progress = no_progress,
) -> AuditPart:
    """One part with those of the options that it knows; what it refuses because of the data becomes its reason.

    A mistake in an option that was `asked` for is raised: it is the user's, not the data's.
    """
    function = find_part(name)
    accepted = _accepted(name)
    options = {key: value for key, value in pool.items() if key in accepted}
    if "progress" in accepted:
        options["progress"] = progress
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SpilloverWarning)
            return function(fit, **options)
    except SpilloverError as error:
        if asked & accepted and isinstance(error, OptionError | UnknownColumnError | FormulaError):
            raise
        return _refused(name, error.what)
    except (ArithmeticError, np.linalg.LinAlgError) as error:  # a part that these data break costs no other
        return _refused(name, f"the numbers do not allow it ({error})")


def _refused(name: str, reason: str) -> AuditPart:
    import pandas as pd

    module = importlib.import_module(PARTS[name].split(":")[0])
    return AuditPart(name, module.QUESTION, pd.DataFrame(), {}, (), (reason + ".",))


def run_task(task: FitTask, name: str, pool: Mapping[str, Any], asked: frozenset[str]) -> AuditPart:
    """`run_part` in another process."""
    return run_part(task.estimate(), name, pool, asked)
