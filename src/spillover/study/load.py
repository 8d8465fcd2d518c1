"""Read a study file and find all its mistakes before anything is computed."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spillover.errors import FileError, SpilloverError, StudyFileError
from spillover.study.columns import read_columns
from spillover.study.config import StudyConfig
from spillover.study.consistency import inconsistencies, one_line
from spillover.study.paths import expand_path, missing_file
from spillover.study.phrasing import phrase
from spillover.study.problems import Sections, assemble, read_sections, study_file_error, where_of
from spillover.study.proximity import DISTANCE_PATHS, PATHS


@dataclass(frozen=True)
class StudyFile:
    """A study file without mistakes.

    Attributes
    ----------
    path : where it was read.
    text : its text.
    written : the study as written, with paths as in the file.
    config : the same with absolute paths; this is what runs.
    """

    path: Path
    text: str
    written: StudyConfig
    config: StudyConfig

    def inputs(self) -> list[Path]:
        """Every file that the study reads, itself included."""
        return [*([self.path] if self.text else []), *self.files().values()]

    def files(self) -> dict[str, Path]:
        """Every file that the study reads, under the path as written."""
        written, resolved = _path_settings(self.written), _path_settings(self.config)
        return {old: Path(new) for (_, old), (_, new) in zip(written, resolved, strict=True)}


def load_study(path: str | os.PathLike[str], environment: Mapping[str, str] | None = None) -> StudyFile:
    """Read and check a study file.

    Parameters
    ----------
    path : a TOML file; see `spillover.study.config.StudyConfig` for its sections.
    environment : where ${NAME} in a path is looked up; the process environment by default.

    Raises
    ------
    StudyFileError : the file has mistakes; all of them are in the message.
    FileError : the file cannot be read at all, or is not TOML.
    """
    study, problems = examine(path, environment)
    if study is None or problems:
        raise study_file_error(path, problems)
    return study


def examine(
    path: str | os.PathLike[str], environment: Mapping[str, str] | None = None
) -> tuple[StudyFile | None, list[str]]:
    """The study file, and one sentence for each mistake; the file is None when there is any."""
    source = Path(path)
    text = _read_text(source)
    sections, problems = read_sections(_parse_toml(source, text))
    folder = source.resolve().parent
    resolved, path_problems = resolve_paths(sections, folder, os.environ if environment is None else environment)
    columns, column_problems = _table_columns(resolved)
    problems = [*problems, *path_problems, *column_problems, *inconsistencies(resolved, columns)]
    if problems:
        return None, problems
    return StudyFile(path=source.resolve(), text=text, written=assemble(sections), config=assemble(resolved)), []


def resolve_paths(sections: Sections, folder: Path, environment: Mapping[str, str]) -> tuple[Sections, list[str]]:
    """The sections with absolute paths, and one sentence for each variable or file that does not exist.

    A path that cannot be resolved is left as written.
    """
    problems: list[str] = []

    def resolve(section: Any, where: str, keys: tuple[str, ...]) -> Any:
        changed = {}
        for key in keys:
            text = getattr(section, key, None)
            if text is None:
                continue
            target, mistakes = expand_path(text, folder, environment)
            problems.extend(f"{where} {key} = {_clip(text)}: {mistake}" for mistake in mistakes)
            if target is not None and (reason := missing_file(target)):
                problems.append(f"{where} {key} = {_clip(text)}: there is no such file ({reason})")
            if target is not None:
                changed[key] = str(target)
        return section.model_copy(update=changed) if section is not None else None

    return (
        Sections(
            study=sections.study,
            data=resolve(sections.data, "[data]", ("table", "geometry")),
            agglomeration=resolve(sections.agglomeration, "[agglomeration]", ("table",)),
            innovation=sections.innovation,
            derive=sections.derive,
            weights=tuple(
                resolve(item, where_of("weights", i, item), PATHS) for i, item in enumerate(sections.weights)
            ),
            models=sections.models,
            distance=resolve(sections.distance, "[distance]", DISTANCE_PATHS),
            mechanisms=sections.mechanisms,
            moderators=sections.moderators,
            audit=resolve(sections.audit, "[audit]", ("rules",)),
            left_out=sections.left_out,
        ),
        problems,
    )


def _path_settings(config: StudyConfig) -> list[tuple[str, str]]:
    settings = [("table", config.data.table), ("geometry", config.data.geometry)]
    settings.append(("table", config.agglomeration.table))
    settings += [(key, getattr(item, key)) for item in config.weights for key in PATHS]
    settings += [(key, getattr(config.distance, key, None)) for key in DISTANCE_PATHS]
    settings.append(("rules", config.audit.rules))
    return [(key, value) for key, value in settings if value is not None]


def _read_text(path: Path) -> str:
    if "\0" in str(path) or (reason := missing_file(path)):
        raise FileError(
            f"there is no study file {_clip(str(path))}",
            got="a path with a null character" if "\0" in str(path) else reason,
            fix="`spillover init TABLE` proposes a study file for your table",
        )
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FileError(
            f"{str(path)!r} is not a text file in UTF-8",
            expected="a TOML file",
            causes=("a table or a report was given instead of the study file", "the editor saved another encoding"),
            fix="give the study file, or save it as UTF-8",
        ) from None
    except OSError as error:
        raise FileError(f"the study file {str(path)!r} cannot be read", got=error.strerror) from None
    if not text.strip():
        raise FileError(f"the study file {str(path)!r} is empty", fix="`spillover init TABLE` proposes one")
    return text


def _parse_toml(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text.replace("\r\n", "\n"))
    except tomllib.TOMLDecodeError as error:
        raise StudyFileError(
            f"{str(path)!r} is not valid TOML",
            got=str(error),
            expected='sections in brackets and lines such as table = "regions.csv"',
            causes=("text without quotes", "a quote or bracket that is not closed", "the same key twice"),
        ) from None
    except RecursionError:
        raise StudyFileError(
            f"{str(path)!r} is nested too deeply", expected="sections in brackets, and lists of names or numbers"
        ) from None


def _table_columns(sections: Sections) -> tuple[list[str] | None, list[str]]:
    """The columns of the table; None when there is no table to look at."""
    if sections.data is None or "\0" in sections.data.table or missing_file(Path(sections.data.table)):
        return None, []
    try:
        return read_columns(Path(sections.data.table), sections.data.encoding), []
    except SpilloverError as error:
        return None, [f"[data] table: {phrase(one_line(error), 'study file')}"]


def _clip(text: str, limit: int = 120) -> str:
    return repr(text if len(text) <= limit else text[:limit] + "…")
