"""All problems of a study at once: the file, the data, the neighbours, the formulas. Nothing is estimated."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from spillover.errors import SpilloverError
from spillover.panel.panel import Panel
from spillover.study.config import StudyConfig
from spillover.study.consistency import one_line
from spillover.study.distance import plan_distance
from spillover.study.distance_problems import main_of
from spillover.study.estimate import require_design, require_values, restrict
from spillover.study.load import examine
from spillover.study.mechanisms import plan_channels, require_equations
from spillover.study.moderators import plan_moderators
from spillover.study.phrasing import phrase
from spillover.study.prepare import (
    build_weights,
    complete_panel,
    derive,
    main_first,
    measure,
    read_data,
    select_data,
    without_dropped,
)
from spillover.study.problems import study_file_error
from spillover.weights.weights import SpatialWeights

P = ParamSpec("P")
Result = TypeVar("Result")


@dataclass(frozen=True)
class CheckReport:
    """What was looked at (`facts`) and what is wrong (`problems`), one sentence each."""

    path: str
    facts: tuple[str, ...]
    problems: tuple[str, ...]

    @property
    def is_fine(self) -> bool:
        """No problem was found."""
        return not self.problems

    def raise_problems(self) -> None:
        """Raise `StudyFileError` with all problems, if there are any."""
        if self.problems:
            raise study_file_error(self.path, self.problems)


def check_study(path: str | os.PathLike[str], environment: Mapping[str, str] | None = None) -> CheckReport:
    """Look for every problem that can be seen without estimating.

    Parameters
    ----------
    path : a study file.
    environment : where ${NAME} in a path is looked up; the process environment by default.

    Returns
    -------
    CheckReport. Mistakes of the file come first; the data are looked at when the file has none.

    Raises
    ------
    FileError : there is no such file, or it is not text. StudyFileError : it is not TOML.
    """
    study, problems = examine(path, environment)
    if study is None:
        return CheckReport(str(path), (), tuple(problems))
    facts, problems = _look(study.config)
    return CheckReport(str(path), tuple(facts), tuple(problems))


def _look(config: StudyConfig) -> tuple[list[str], list[str]]:
    problems: list[str] = []
    whole = _attempt("[data]", problems, read_data, config)
    panel = whole and _attempt("[data]", problems, select_data, whole, config.data)
    if whole is None or panel is None:
        return [], problems
    facts = [_panel_fact(panel), *(f"  {note}" for note in panel.log)]
    derived = _attempt("[[derive]]", problems, derive, panel, config)
    studied = derived and _attempt("[data] missing", problems, complete_panel, derived, config)
    left_out = set(whole.regions) - set((studied or panel).regions)
    built: dict[str, SpatialWeights] = {}
    for number, item in enumerate(main_first(config)):
        where = f"[[weights]] {item.name!r}"
        weights = _attempt(where, problems, build_weights, item, studied or panel, left_out)
        if weights is None:
            continue
        built[item.name] = weights
        if studied and number == 0:
            studied = _attempt(where, problems, without_dropped, studied, item, weights)
    facts += [f"{item.name}: {built[item.name]!r}" for item in config.weights if item.name in built]
    measured = studied and _attempt("[agglomeration] and [innovation]", problems, measure, studied, config)
    if isinstance(measured, tuple):
        facts += _look_at_models(config, measured[0], built, problems)
        facts += _look_at_channels(config, measured[0], built, problems)
        if config.distance is not None:
            reach = _attempt(
                "[distance]", problems, plan_distance, config.distance, main_of(config.models), measured[0]
            )
            facts += [] if reach is None else [reach.fact]
        facts += _look_at_moderators(config, measured[0], built, problems)
    return facts, problems


def _look_at_channels(
    config: StudyConfig, panel: Panel, built: Mapping[str, SpatialWeights], problems: list[str]
) -> list[str]:
    if config.mechanisms is None or len(built) != len(config.weights):
        return []
    plan = _attempt("[mechanisms]", problems, plan_channels, config, panel, built)
    if plan is None:
        return []
    _attempt("[mechanisms]", problems, require_equations, plan)
    return [f"channels: {', '.join(plan.system.channels)}, {_panel_fact(plan.sample.panel)}"]


def _look_at_moderators(
    config: StudyConfig, panel: Panel, built: Mapping[str, SpatialWeights], problems: list[str]
) -> list[str]:
    if config.moderators is None or len(built) != len(config.weights):
        return []
    try:
        plans = plan_moderators(config, panel, built)
    except SpilloverError as error:
        problems.append(phrase(one_line(error), "study file"))
        return []
    return [f"moderators: {', '.join(plans.names)}, {_panel_fact(plans.setting.panel)}"]


def _look_at_models(
    config: StudyConfig, panel: Panel, built: Mapping[str, SpatialWeights], problems: list[str]
) -> list[str]:
    """Whether every model has its W, every part of its formula a value in every cell, and its design full rank."""
    from spillover.models.formula import parse_formula

    facts = []
    for section in config.models:
        formula = parse_formula(section.formula)
        where = f"[[models]] {section.name!r}"
        weights = built.get(section.weights or config.weights[0].name)
        restricted = _attempt(where, problems, restrict, section, panel, weights)
        if restricted is None:
            continue
        before = len(problems)
        for factors in ((formula.response,), *formula.terms):
            _attempt(f"{where} {':'.join(factors)}", problems, require_values, factors, restricted[0])
        if len(problems) == before and (section.model == "ols" or weights is not None):
            _attempt(where, problems, require_design, section, *restricted)
        facts.append(f"{section.name}: {section.model}, {section.formula}, {_panel_fact(restricted[0])}")
    return facts


def _panel_fact(panel: Panel) -> str:
    n, t = panel.shape
    span = f"{t} periods ({panel.periods[0]}–{panel.periods[-1]})" if t > 1 else f"one period ({panel.periods[0]})"
    return f"{n} regions, {span if panel.is_panel else 'a cross-section'}"


def _attempt(
    where: str, problems: list[str], action: Callable[P, Result], *given: P.args, **named: P.kwargs
) -> Result | None:
    try:
        return action(*given, **named)
    except SpilloverError as error:
        problems.append(f"{where}: {phrase(one_line(error), 'study file')}")
        return None
