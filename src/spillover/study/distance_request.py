"""What `spillover distance` asks for: the [distance] of a study file, or a formula with a table and a map."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from spillover.errors import OptionError, SpilloverError, check_option, show_labels
from spillover.models.formula import parse_formula
from spillover.panel.panel import Panel
from spillover.study.columns import variables_in_table
from spillover.study.config import DataSection, DistanceSection, ModelSection
from spillover.study.distance import plan_distance
from spillover.study.distance_problems import WHERE, distance_problems
from spillover.study.load import StudyFile
from spillover.study.phrasing import in_words_of
from spillover.study.problems import Sections
from spillover.study.result import DistanceReach
from spillover.typing import Progress, no_progress


@dataclass(frozen=True)
class DistanceRequest:
    """The options of `spillover distance` beside a formula, as text; None where an option was not given."""

    region: str | None = None
    period: str | None = None
    encoding: str | None = None
    geometry: Path | None = None
    geometry_id: str | None = None
    distances: Path | None = None
    distance_columns: str | None = None
    both_ways: bool | None = None
    unit: str | None = None
    edges: Path | None = None
    nodes: Path | None = None
    connectors: Path | None = None
    reach_km: float | None = None
    treatment: str | None = None
    model: str | None = None
    effects: str | None = None
    groups: str | None = None
    kernel: str | None = None
    kernels: str | None = None
    rings: str | None = None
    thresholds: str | None = None
    covariance: str | None = None
    cutoff: float | None = None
    quasi_difference: str | None = None
    missing: str | None = None
    exclude: Sequence[str] | None = None

    @property
    def given(self) -> list[str]:
        """The options that were given, as they are written."""
        return [
            "--" + OPTIONS.get(each.name, each.name.replace("_", "-"))
            for each in fields(self)
            if getattr(self, each.name) not in (None, ())
        ]


OPTIONS: Mapping[str, str] = {"geometry": "map", "geometry_id": "map-id"}
"""Options that are not written as their attribute."""

_SAME = ("both_ways", "unit", "reach_km", "treatment", "model", "effects", "kernel", "covariance", "cutoff")


def reach_of_study(study: StudyFile, *, seed: int | None = None, progress: Progress = no_progress) -> DistanceReach:
    """The [distance] of a study, without the rest of it; all settings as they come where its file has none."""
    from spillover.study.distance import find_distance, with_distance
    from spillover.study.run import prepare

    config = study.config
    if config.distance is None:
        config = with_distance(config, DistanceSection())
    with in_words_of("study file"):
        prepared = prepare(config, lambda text, share: progress(text, share / 2))
        found = find_distance(config, prepared.panel, config.study.seed if seed is None else seed, progress)
    assert found is not None
    progress("done", 1.0)
    return found


def reach_of_table(formula: str, data: Path, request: DistanceRequest, *, seed: int = 1) -> DistanceReach:
    """How far the spillover of a formula reaches in a table.

    Raises
    ------
    OptionError : options that contradict each other or are missing. Any SpilloverError of the data.
    """
    from spillover.study.distance_estimate import estimate_reach

    with in_words_of("command line"):
        section, main = _sections(formula, data, request)
        panel = _panel(formula, data, request)
        plan = plan_distance(section, main, panel)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # every estimator also says it in its notes
            return estimate_reach(plan, panel, seed)


def _sections(formula: str, data: Path, request: DistanceRequest) -> tuple[DistanceSection, ModelSection]:
    if request.region is None:
        raise OptionError("--region is missing", expected="the column with region ids")
    parse_formula(formula)
    kind = "file" if request.distances is not None else "network" if request.edges is not None else "straight"
    if request.distances is not None and request.edges is not None:
        raise OptionError("--distances and --edges both say how far regions are apart", fix="give one of them")
    settings: dict[str, Any] = {"kind": kind, **{key: getattr(request, key) for key in _SAME}}
    settings |= {
        "file": _text(request.distances),
        "columns": None if request.distance_columns is None else _names(request.distance_columns),
        "edges": _text(request.edges),
        "nodes": _text(request.nodes),
        "connectors": _text(request.connectors),
        "kernels": None if request.kernels is None else _names(request.kernels),
        "rings": None if request.rings is None else _numbers("--rings", request.rings),
        "thresholds": None if request.thresholds is None else _numbers("--thresholds", request.thresholds),
        "quasi_difference": _coefficient(request.quasi_difference),
    }
    effects = request.effects or ("two-way" if request.period is not None else "none")
    try:
        section = DistanceSection(**{key: value for key, value in settings.items() if value is not None})
        main = ModelSection(name="model", formula=formula, effects=effects, groups=request.groups)  # type: ignore[arg-type]
    except ValidationError as error:
        wrong = [f"--{'.'.join(map(str, e['loc'][:1])).replace('_', '-')} {e['input']!r}" for e in error.errors()]
        hints = [str(e["msg"][:1].lower() + e["msg"][1:]) for e in error.errors()]
        raise OptionError("options that are not known", got=show_labels(wrong), expected="; ".join(hints)) from None
    where = DataSection(table=str(data), region=request.region, geometry=_text(request.geometry))
    problems = distance_problems(Sections(data=where, distance=section, models=(main,)))
    if problems:
        raise OptionError("; ".join(_in_options(problem) for problem in problems))
    return section, main


def _in_options(problem: str) -> str:
    """A mistake of a section in the words of the command line."""
    told = problem.removeprefix(f"{WHERE} ")
    told = told.replace("a map, but [data] has no geometry; ", "a map: give --map, or ")
    told = told.replace('write kind = "file" with file = "…"', "a table with --distances")
    return told.replace("a map in [data] geometry", "--map")


def _panel(formula: str, data: Path, request: DistanceRequest) -> Panel:
    from spillover.panel.read import read_panel
    from spillover.study.prepare import leave_out

    missing = request.missing or "error"
    check_option("--missing", missing, ("error", "drop-regions", "drop-periods"))
    variables = variables_in_table(parse_formula(formula), data, request.encoding)
    assert request.region is not None
    panel = read_panel(
        data,
        region=request.region,
        period=request.period,
        geometry=request.geometry,
        geometry_id=request.geometry_id,
        groups=() if request.groups is None else (request.groups,),
        columns=variables,
        geometry_policy="table",
        encoding=request.encoding,
    )
    gone = tuple(
        dict.fromkeys(part.strip() for text in request.exclude or () for part in text.split(",") if part.strip())
    )
    return leave_out(panel, gone, "left out").complete(variables, missing)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(part) for part in _names(text))
    except ValueError:
        found = ()
    if len(found) < 2 or not all(map(math.isfinite, found)):
        raise OptionError(f"{option} is a list of distances", got=repr(text), expected="numbers such as 0,50,100,200")
    return found


def _coefficient(text: str | None) -> float | str | None:
    if text is None or text == "auto":
        return text
    try:
        return float(text)
    except ValueError:
        raise OptionError(
            "--quasi-difference is a coefficient or auto", got=repr(text), expected="auto, or a number such as 0.5"
        ) from None


def is_study_file(target: str) -> bool:
    """Whether an argument is the path of a study file and not a formula."""
    return "~" not in target and target.lower().endswith(".toml")


def read_target(target: str, data: Path | None) -> SpilloverError | None:
    """What is wrong with the first argument, if anything."""
    if not is_study_file(target) and "~" not in target:
        return OptionError(
            "the first argument is neither a study file nor a formula",
            got=repr(target[:200]),
            expected='study.toml, or a formula such as "log(patents) ~ log(lq)"',
        )
    if not is_study_file(target) and data is None:
        return OptionError("a formula needs --data, the table", fix="add --data regions.csv --region COLUMN --map MAP")
    return None
