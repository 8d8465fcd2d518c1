"""The sections of a simulation file: what is unknown, of the wrong kind or inadmissible is noted, never raised."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

from spillover.errors import SpilloverError, did_you_mean
from spillover.simulation.admissible import Problems, is_number, is_whole, reasons_of, shown
from spillover.simulation.agents import config as agent_config
from spillover.simulation.agents.config import AgentConfig
from spillover.simulation.config import SystemConfig, find_problems
from spillover.simulation.geography import Geography
from spillover.simulation.reach import geography_problems, same_place_problems
from spillover.simulation.reference import demo_config
from spillover.simulation.spatial_config import (
    USUAL_REGIONS,
    ErrorLaw,
    Regressor,
    SpatialPanelConfig,
    SyntheticWeights,
)
from spillover.simulation.spatial_problems import find_problems as panel_problems
from spillover.simulation.spatial_problems import kind_problems
from spillover.simulation.threshold_panel import ThresholdPanelConfig
from spillover.simulation.threshold_panel import find_problems as threshold_problems
from spillover.study.paths import missing_file
from spillover.study.phrasing import phrase
from spillover.typing import IslandPolicy
from spillover.weights.weights import SpatialWeights

Config = TypeVar("Config")

_MAP_KEYS = ("file", "id", "name")
_TRUTH_KEYS = ("draws", "step")
_LARGEST_DRAWS = 10_000
_LARGEST_STEP = 10.0
_ISLANDS = ("error", "keep", "nearest")


def unknown_key(key: object, known: Iterable[str]) -> str:
    """ "'capitl' is unknown. Did you mean 'capital'?" """
    return f"{key!r} is unknown. {did_you_mean(str(key), known)}".strip()


def read_system(section: Any, geography: Geography | None, problems: Problems) -> SystemConfig | None:
    """[system] on top of the demo's system; None where it is refused."""
    chosen = _fields_of(SystemConfig, section, "system", problems)
    if chosen is None:
        return None
    before = len(problems.found)
    if geography is not None:
        _take_number_of_regions(chosen, len(geography.regions), "system", problems)
        if chosen.get("distance", "straight") != "straight":
            problems.add("[system] distance = 'road' lays a square grid and cannot be used with a [map]")
    usual = demo_config()
    if "n_clusters" not in chosen and "n_regions" in chosen:
        chosen["n_clusters"] = _as_many_clusters(usual, chosen["n_regions"])
    config = _checked(usual, chosen, find_problems, "system", problems)
    if config is not None and len(problems.found) == before:
        problems.add(*(f"[system] {text}" for text in geography_problems(config, geography)))
    return config if len(problems.found) == before else None


def read_agents(section: Any, system: SystemConfig | None, problems: Problems) -> AgentConfig | None:
    """[agents] on the system; None where either is refused."""
    chosen = _fields_of(AgentConfig, section, "agents", problems, hidden=("system",))
    if chosen is None:
        return None
    usual = AgentConfig(system=demo_config())
    config = _checked(
        usual, {**chosen, "system": system or usual.system}, agent_config.find_problems, "agents", problems
    )
    return None if system is None else config


def read_panel(
    section: Any, folder: Path, geography: Geography | None, seed: int, problems: Problems
) -> tuple[SpatialPanelConfig | None, list[Path]]:
    """[panel] with its regressors, errors and W; None where it is refused, and the files of W."""
    chosen = _fields_of(SpatialPanelConfig, section, "panel", problems)
    if chosen is None:
        return None, []
    before, files = len(problems.found), []
    if "regressors" in chosen:
        chosen["regressors"] = _read_regressors(chosen["regressors"], problems)
    if "errors" in chosen:
        chosen["errors"] = _read_part(ErrorLaw, chosen["errors"], "panel.errors", problems)
    if geography is not None:
        _take_number_of_regions(chosen, len(geography.regions), "panel", problems)
    for role in ("weights", "weights_error"):
        if role in chosen or (geography is not None and role == "weights"):
            chosen[role], path = _read_weights(chosen.get(role, {}), role, folder, geography, problems)
            files += [path] if path is not None else []
    given = chosen.get("weights")
    if isinstance(given, SpatialWeights) and chosen.get("n_regions", USUAL_REGIONS) == USUAL_REGIONS:
        chosen["n_regions"] = given.n
    usable = {name: value for name, value in chosen.items() if value is not None}
    config = _checked(SpatialPanelConfig(), usable, panel_problems, "panel", problems)
    if config is None or len(problems.found) > before:
        return None, files
    problems.add(*(f"[panel] {text}" for text in panel_world_problems(config, seed)))
    return (config if len(problems.found) == before else None), files


def read_threshold(section: Any, panel: SpatialPanelConfig | None, problems: Problems) -> ThresholdPanelConfig | None:
    """[threshold] on the panel; None where either is refused."""
    chosen = _fields_of(ThresholdPanelConfig, section, "threshold", problems, hidden=("panel",))
    if chosen is None:
        return None
    usual = ThresholdPanelConfig()
    config = _checked(usual, {**chosen, "panel": panel or usual.panel}, threshold_problems, "threshold", problems)
    return None if panel is None else config


def read_truth(section: Any, agents: bool, problems: Problems) -> tuple[int, float]:
    """[truth]: draws and step of the effects of agents."""
    usual = (4, 0.1)
    if section is None:
        return usual
    if not isinstance(section, dict):
        problems.add("truth is not a section: write [truth] on a line of its own")
        return usual
    if not agents:
        problems.add("[truth] is for [agents]: the truth of the other tiers is computed in closed form")
    problems.add(*(f"[truth] {unknown_key(key, _TRUTH_KEYS)}" for key in section if key not in _TRUTH_KEYS))
    draws, step = section.get("draws", usual[0]), section.get("step", usual[1])
    if not is_whole(draws) or draws == 1 or not 0 <= draws <= _LARGEST_DRAWS:
        problems.add(f"[truth] draws = {shown(draws)} is neither 0 nor a whole number from 2 to {_LARGEST_DRAWS:,}")
    if not (is_number(step) and 0 < step <= _LARGEST_STEP):
        problems.add(f"[truth] step = {shown(step)} is not a number above 0 and up to {_LARGEST_STEP:g} clusters")
    return draws, step


def read_map(section: Any, folder: Path, problems: Problems) -> tuple[Geography | None, list[Path]]:
    """[map]: the map of real regions, and its file; (None, []) without one or where it is refused."""
    if section is None:
        return None, []
    if not isinstance(section, dict):
        problems.add("map is not a section: write [map] on a line of its own")
        return None, []
    found = [f"[map] {unknown_key(key, _MAP_KEYS)}" for key in section if key not in _MAP_KEYS]
    wrong = [key for key in _MAP_KEYS if key in section and not isinstance(section[key], str)]
    found += [f"[map] {key} is not a text in quotes" for key in wrong]
    if "file" not in section:
        found.append('[map] has no file: write file = "regions.geojson"')
    problems.add(*found)
    if found:
        return None, []
    target = folder / section["file"]
    if "\0" in section["file"] or (reason := missing_file(target)):
        told = "a path with a null character" if "\0" in section["file"] else reason
        problems.add(f"[map] file = {shown(section['file'])}: there is no such file ({told})")
        return None, []
    return _open_map(target, section, problems), [target.resolve()]


# -- parts --------------------------------------------------------------------------------------


def _fields_of(
    cls: type, section: Any, where: str, problems: Problems, hidden: tuple[str, ...] = ()
) -> dict[str, Any] | None:
    """The known keys of a section as Python values; None where it is no section."""
    if not isinstance(section, dict):
        problems.add(f"{where} is not a section: write [{where}] on a line of its own")
        return None
    known = [field.name for field in fields(cls) if field.name not in hidden]
    problems.add(*(f"[{where}] {unknown_key(key, known)}" for key in section if key not in known))
    empty = {field.name for field in fields(cls) if "None" in str(field.type)}
    return {key: _as_python(value, key in empty) for key, value in section.items() if key in known}


def _as_python(value: Any, may_be_empty: bool) -> Any:
    """TOML has lists and no empty value: a list is a tuple, and "none" is None where a key may be empty."""
    if isinstance(value, list):
        return tuple(value)
    return None if value == "none" and may_be_empty else value


def _checked(
    usual: Config, chosen: Mapping[str, Any], find: Callable[[Any], list[str]], where: str, problems: Problems
) -> Config | None:
    """The configuration; None, with everything that it would refuse noted, where it is not admissible."""
    draft = object.__new__(type(usual))
    for field in fields(usual):  # type: ignore[arg-type]
        object.__setattr__(draft, field.name, chosen.get(field.name, getattr(usual, field.name)))
    found = find(draft)
    problems.add(*(f"[{where}] {text}" for text in found))
    return None if found else replace(usual, **chosen)  # type: ignore[type-var]


def _take_number_of_regions(chosen: dict[str, Any], n: int, where: str, problems: Problems) -> None:
    if chosen.setdefault("n_regions", n) != n:
        problems.add(f"[{where}] n_regions = {shown(chosen['n_regions'])}, but the map has {n} regions")
        chosen["n_regions"] = n


def _as_many_clusters(usual: SystemConfig, n_regions: Any) -> int | None:
    """As large a share of clusters as in the demo's system, where that has a meaning."""
    if not is_whole(n_regions) or n_regions < 1:
        return None
    return max(round(n_regions * usual.clusters / usual.n_regions), 1)


def _read_part(cls: type[Config], section: Any, where: str, problems: Problems) -> Config | None:
    """A nested section whose values its owner checks."""
    chosen = _fields_of(cls, section, where, problems)
    return None if chosen is None else cls(**chosen)


def _read_regressors(value: Any, problems: Problems) -> tuple[Regressor, ...] | None:
    if not (isinstance(value, tuple) and value and all(isinstance(each, dict) for each in value)):
        problems.add("[panel] regressors is not a list of sections: write [[panel.regressors]] above each of them")
        return None
    parts = [_read_part(Regressor, each, "panel.regressors", problems) for each in value]
    return tuple(part for part in parts if part is not None)


def _read_weights(
    section: Any, role: str, folder: Path, geography: Geography | None, problems: Problems
) -> tuple[SyntheticWeights | SpatialWeights | None, Path | None]:
    """A W of the synthetic map, of the real one, or of a file."""
    where = f"panel.{role}"
    if not isinstance(section, dict):
        problems.add(f"{where} is not a section: write [{where}] on a line of its own")
        return None, None
    if "file" in section:
        return _read_weights_file(section, where, folder, geography, problems)
    if geography is None:
        return _read_part(SyntheticWeights, section, where, problems), None
    return _read_weights_of_map(section, role, geography, problems), None


def _read_weights_of_map(
    section: dict[str, Any], role: str, geography: Geography, problems: Problems
) -> SpatialWeights | None:
    """A W of a real map, of the kinds that invented maps have; `islands` says what happens to real islands."""
    where, before = f"panel.{role}", len(problems.found)
    islands = section.get("islands", "error")
    given = _read_part(SyntheticWeights, {k: v for k, v in section.items() if k != "islands"}, where, problems)
    if "map_seed" in section:
        problems.add(f"[{where}] map_seed is of invented maps, and there is a [map]")
    if islands not in _ISLANDS:
        problems.add(f"[{where}] islands = {shown(islands)} is not one of {', '.join(_ISLANDS)}")
    if given is not None:
        problems.add(*(f"[panel] {text}" for text in kind_problems(role, given, len(geography.regions))))
    if given is None or len(problems.found) > before:
        return None
    try:
        return weights_of_map(given, geography, islands)
    except SpilloverError as error:
        problems.add(*(f"[{where}] {phrase(reason, 'study file')}" for reason in reasons_of(error)))
        return None


def weights_of_map(given: SyntheticWeights, geography: Geography, islands: IslandPolicy = "error") -> SpatialWeights:
    """A W of a real map, of the kind that synthetic maps have."""
    from spillover.weights.contiguity import build_contiguity
    from spillover.weights.distance import build_exponential, build_knn

    frame = geography.to_geodataframe()
    if given.kind == "queen":
        return build_contiguity(frame, "queen", standardise=given.standardise, islands=islands)
    if given.kind == "exponential":
        return build_exponential(frame, given.decay_per_km, standardise=given.standardise, islands=islands)
    return build_knn(frame, given.neighbours, standardise=given.standardise, islands=islands)


def _read_weights_file(
    section: dict[str, Any], where: str, folder: Path, geography: Geography | None, problems: Problems
) -> tuple[SpatialWeights | None, Path | None]:
    from spillover.weights.interchange import from_file

    known = ("file", "standardise")
    problems.add(*(f"[{where}] {unknown_key(key, known)}" for key in section if key not in known))
    name = section["file"]
    if not isinstance(name, str) or "\0" in name or (reason := missing_file(folder / name)):
        told = reason if isinstance(name, str) and "\0" not in name else "not a path"
        problems.add(f"[{where}] file = {shown(name)}: there is no such file ({told})")
        return None, None
    ids = None if geography is None else geography.regions
    try:
        w = from_file(folder / name, standardise=section.get("standardise", "row"), regions=ids)
    except SpilloverError as error:
        problems.add(*(f"[{where}] {reason}" for reason in reasons_of(error)))
        return None, None
    if ids is not None and set(w.regions) != set(ids):
        problems.add(f"[{where}] file = {shown(name)} has other regions than the [map], such as {w.regions[0]}")
    return w, (folder / name).resolve()


def panel_world_problems(config: SpatialPanelConfig, seed: int) -> list[str]:
    """Whether the map can be drawn and the panel is stationary on it."""
    from spillover.simulation.spatial_world import stationarity_problems, unchecked_world

    try:
        return stationarity_problems(config, unchecked_world(config, seed))
    except SpilloverError as error:
        return list(reasons_of(error))


def _open_map(target: Path, section: dict[str, str], problems: Problems) -> Geography | None:
    from spillover.panel.geometry import read_map_file, settle_crs

    try:
        frame, source, notes = read_map_file(target)
        frame = frame.set_crs(settle_crs(frame.geometry, source, notes).crs, allow_override=True)  # as its study will
    except SpilloverError as error:
        problems.add(*(f"[map] file = {section['file']!r}: {reason}" for reason in reasons_of(error)))
        return None
    columns = [str(column) for column in frame.columns if column != frame.geometry.name]
    if section.get("id") not in columns:
        problems.add(f"[map] id = {section.get('id')!r} is not a column of the map, which has {', '.join(columns)}")
        return None
    try:
        found = Geography.from_map(frame, region=section["id"], name=section.get("name"))
    except SpilloverError as error:
        problems.add(*(f"[map] {reason}" for reason in reasons_of(error)))
        return None
    problems.add(*(f"[map] {text}" for text in same_place_problems(found)))
    return found
