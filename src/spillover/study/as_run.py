"""The study file as run, for the folder of results: from there it finds the same files and draws the same numbers."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path, PureWindowsPath
from typing import Any

from spillover.study.load import StudyFile
from spillover.study.proximity import DISTANCE_PATHS, PATHS

_PATH_KEYS = "|".join(("table", "geometry", "rules", *PATHS))
_PATH_LINE = re.compile(
    rf"""^(?P<key>[ \t]*(?:{_PATH_KEYS})[ \t]*=[ \t]*)(?P<text>"(?:[^"\\\n]|\\.)*"|'[^'\n]*')""", re.M
)
_SEED_LINE = re.compile(r"^(?P<key>[ \t]*seed[ \t]*=[ \t]*)[-+0-9_]+", re.M)
_STUDY_LINE = re.compile(r"^[ \t]*\[study\][^\n]*$", re.M)
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def study_as_run(study: StudyFile, folder: Path, seed: int) -> str:
    """The text of a study file, to be written into `folder`.

    Relative paths lead from `folder` to the same files, ${NAME} and absolute paths stay, and the seed is the one that
    was used. Comments and layout stay where the text allows it.
    """

    def relocate(text: str) -> str:
        return _relocate(text, study.path.parent, folder)

    if not study.text:  # a configuration that no file holds
        wanted = study.written.as_dict()
        for section, key in _paths_in(wanted):
            section[key] = relocate(section[key])
        wanted["study"]["seed"] = seed
        return _write(wanted)
    text = study.text.replace("\r\n", "\n")
    wanted = tomllib.loads(text)
    for section, key in _paths_in(wanted):
        section[key] = relocate(section[key])
    if seed != study.written.study.seed:
        wanted["study"]["seed"] = seed
    edited = _edit(text, relocate, seed if seed != study.written.study.seed else None)
    try:
        if tomllib.loads(edited) == wanted:
            return edited
    except tomllib.TOMLDecodeError:
        pass
    return _write(wanted)  # paths in a layout of their own: the same study, without its comments


def _relocate(text: str, source: Path, folder: Path) -> str:
    """A path relative to `source` as one relative to `folder`; others as they are."""
    if text.startswith(("~", "${")) or Path(text).is_absolute() or PureWindowsPath(text).is_absolute():
        return text
    try:
        if "${" in text:  # what the variable holds may be anything: nothing is shortened
            return f"{Path(os.path.relpath(source, folder)).as_posix()}/{text}"
        return Path(os.path.relpath((source / text).resolve(), folder)).as_posix()
    except ValueError:  # another drive
        return (source / text).resolve().as_posix()


def _paths_in(study: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """(section, key) of every path of a study file."""
    sections = [(study["data"], ("table", "geometry")), (study["agglomeration"], ("table",))]
    sections += [(item, PATHS) for item in study["weights"]]
    sections.append((study.get("distance") or {}, DISTANCE_PATHS))
    if isinstance(study.get("audit"), dict):
        sections.append((study["audit"], ("rules",)))
    for section, keys in sections:
        yield from ((section, key) for key in keys if section.get(key) is not None)


def _edit(text: str, relocate: Callable[[str], str], seed: int | None) -> str:
    def path_line(match: re.Match[str]) -> str:
        try:
            path = tomllib.loads(f"x = {match['text']}")["x"]
        except tomllib.TOMLDecodeError:
            return match[0]
        moved = relocate(path)
        return match[0] if moved == path else match["key"] + _value(moved)

    text = _PATH_LINE.sub(path_line, text)
    if seed is None:
        return text
    if _SEED_LINE.search(text):
        return _SEED_LINE.sub(lambda match: f"{match['key']}{seed}", text, count=1)
    return _STUDY_LINE.sub(lambda match: f"{match[0]}\nseed = {seed}", text, count=1)


# -- TOML ---------------------------------------------------------------------------------------


def _write(study: dict[str, Any]) -> str:
    """Sections of keys and values as TOML; what is nested deeper is written on one line."""
    sections = {name: content for name, content in study.items() if isinstance(content, dict | list | tuple)}
    lines = [f"{_key(name)} = {_value(content)}" for name, content in study.items() if name not in sections]
    for name, content in sections.items():
        entries = content if isinstance(content, list | tuple) else [content]
        for entry in entries:
            lines.append(f"[[{name}]]" if isinstance(content, list | tuple) else f"[{name}]")
            lines += [f"{_key(key)} = {_value(value)}" for key, value in entry.items()]
            lines.append("")
    return "\n".join(lines)


def _value(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items()) + "}"
    return repr(value)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _value(key)
