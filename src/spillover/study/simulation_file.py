"""The file that says what `spillover simulate` draws: one TOML file, all its mistakes told at once.

seed = 1

[system]            # any field of SystemConfig; what is not named keeps the value of the demo's system
n_regions = 100
capital = 0.5

[map]               # optional: regions of a real map instead of invented ones
file = "regions.geojson"
id = "code"
name = "label"
"""

from __future__ import annotations

import json
import os
import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from spillover.errors import FileError, OptionError, did_you_mean
from spillover.simulation.config import SystemConfig, find_problems
from spillover.simulation.geography import Geography
from spillover.simulation.reference import DEMO_SEED, demo_config
from spillover.study.paths import missing_file

_SECTIONS = ("seed", "system", "map")
_MAP_KEYS = ("file", "id", "name")


@dataclass(frozen=True, eq=False)
class SimulationFile:
    """What is drawn: the system's parameters, the seed, a map of real regions or None, and the files that were read."""

    config: SystemConfig
    seed: int
    geography: Geography | None = None
    inputs: tuple[Path, ...] = ()


def default_simulation(seed: int | None = None) -> SimulationFile:
    """Without a file: the system that `spillover demo` studies."""
    return SimulationFile(demo_config(), DEMO_SEED if seed is None else seed)


def read_simulation(path: str | os.PathLike[str], seed: int | None = None) -> SimulationFile:
    """Read and check a simulation file.

    Parameters
    ----------
    path : a TOML file as above; the map's path is relative to it.
    seed : takes the place of the file's.

    Raises
    ------
    FileError : the file cannot be read, or is not TOML.
    OptionError : everything that is wrong in it, together.
    """
    source = Path(path)
    written = _parse(source)
    problems = [_unknown(key, _SECTIONS) for key in written if key not in _SECTIONS]
    geography, map_problems = _read_map(written.get("map"), source.resolve().parent)
    config, system_problems = _read_system(written.get("system", {}), geography)
    chosen, seed_problems = _read_seed(written.get("seed", DEMO_SEED) if seed is None else seed)
    problems += [*map_problems, *system_problems, *seed_problems]
    if problems or config is None:
        raise OptionError(
            f"{str(path)!r} has {len(problems)} mistake{'s' if len(problems) > 1 else ''}",
            got="".join(f"\n    - {problem}" for problem in problems),
            fix="change what is named above; nothing was written",
        )
    files = [source.resolve()]
    if geography is not None:
        files.append((source.resolve().parent / written["map"]["file"]).resolve())
    return SimulationFile(config, chosen, geography, tuple(files))


def simulation_toml(config: SystemConfig, seed: int) -> str:
    """The parameters of a system as a simulation file: what is as in the demo's system is left out."""
    usual = demo_config()
    lines = [f"seed = {seed}", "", "[system]"]
    for field in fields(SystemConfig):
        value = getattr(config, field.name)
        if value != getattr(usual, field.name):
            lines.append(f"{field.name} = {_toml_value(value)}")
    return "\n".join(lines) + "\n"


def _toml_value(value: object) -> str:
    if value is None:
        return '"none"'
    return json.dumps(list(value)) if isinstance(value, tuple) else json.dumps(value)


def _parse(path: Path) -> dict[str, Any]:
    if "\0" in str(path) or (reason := missing_file(path)):
        raise FileError(
            f"there is no simulation file {str(path)[:120]!r}",
            got="a path with a null character" if "\0" in str(path) else reason,
            fix="without a file `spillover simulate --out DIR` draws the demo's system",
        )
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FileError(
            f"{str(path)!r} is not a TOML file",
            got=str(error)[:200],
            expected="lines such as n_regions = 100 below a line [system]",
            causes=("a table was given instead", "text without quotes", "the same key twice"),
        ) from None
    except OSError as error:
        raise FileError(f"the simulation file {str(path)!r} cannot be read", got=error.strerror) from None


def _read_seed(value: Any) -> tuple[int, list[str]]:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return 0, [f"seed = {value!r} is not a whole number of zero or more"]
    return value, []


def _read_system(section: Any, geography: Geography | None) -> tuple[SystemConfig | None, list[str]]:
    if not isinstance(section, dict):
        return None, ["system is not a section: write [system] on a line of its own"]
    known = {field.name for field in fields(SystemConfig)}
    problems = [f"[system] {_unknown(key, known)}" for key in section if key not in known]
    chosen = {key: _as_python(value) for key, value in section.items() if key in known}
    if geography is not None:
        n = len(geography.regions)
        if chosen.setdefault("n_regions", n) != n:
            problems.append(f"[system] n_regions = {chosen['n_regions']!r}, but the map has {n} regions")
            chosen["n_regions"] = n
        if chosen.get("distance", "straight") != "straight":
            problems.append("[system] distance = 'road' lays a square grid and cannot be used with a [map]")
    usual = demo_config()
    if "n_clusters" not in chosen and "n_regions" in chosen:
        chosen["n_clusters"] = _as_many(usual, chosen["n_regions"])
    problems += [f"[system] {problem}" for problem in _admissible(usual, chosen)]
    return (None if problems else replace(usual, **chosen)), problems


def _as_many(usual: SystemConfig, n_regions: Any) -> int | None:
    """As large a share of clusters as in the demo's system, where that has a meaning."""
    if not isinstance(n_regions, int) or isinstance(n_regions, bool) or n_regions < 1:
        return None
    return max(round(n_regions * usual.clusters / usual.n_regions), 1)


def _as_python(value: Any) -> Any:
    """TOML has lists and no empty value: a pair is a tuple, and "none" is None."""
    if isinstance(value, list):
        return tuple(value)
    return None if value == "none" else value


def _admissible(usual: SystemConfig, chosen: dict[str, Any]) -> list[str]:
    """What `SystemConfig` would refuse, without raising."""
    draft = object.__new__(SystemConfig)
    for field in fields(SystemConfig):
        object.__setattr__(draft, field.name, chosen.get(field.name, getattr(usual, field.name)))
    return find_problems(draft)


def _read_map(section: Any, folder: Path) -> tuple[Geography | None, list[str]]:
    if section is None:
        return None, []
    if not isinstance(section, dict):
        return None, ["map is not a section: write [map] on a line of its own"]
    problems = [f"[map] {_unknown(key, _MAP_KEYS)}" for key in section if key not in _MAP_KEYS]
    wrong = [key for key in _MAP_KEYS if key in section and not isinstance(section[key], str)]
    problems += [f"[map] {key} is not a text in quotes" for key in wrong]
    if "file" not in section:
        problems.append('[map] has no file: write file = "regions.geojson"')
    if problems:
        return None, problems
    target = folder / section["file"]
    if reason := missing_file(target):
        return None, [f"[map] file = {section['file']!r}: there is no such file ({reason})"]
    return _open_map(target, section)


def _open_map(target: Path, section: dict[str, str]) -> tuple[Geography | None, list[str]]:
    import geopandas as gpd

    from spillover.errors import SpilloverError

    try:
        frame = gpd.read_file(target)
    except Exception as error:  # drivers raise what they like
        return None, [f"[map] file = {section['file']!r} is not a map that can be read: {str(error)[:120]}"]
    columns = [str(column) for column in frame.columns if column != frame.geometry.name]
    if section.get("id") not in columns:
        return None, [f"[map] id = {section.get('id')!r} is not a column of the map, which has {', '.join(columns)}"]
    try:
        return Geography.from_map(frame, region=section["id"], name=section.get("name")), []
    except SpilloverError as error:
        return None, ["[map] " + " ".join(str(error).split())]


def _unknown(key: object, known: Any) -> str:
    hint = did_you_mean(str(key), known)
    return f"{key!r} is unknown. {hint}".strip()
