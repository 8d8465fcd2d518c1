"""Paths of a study file: environment variables written ${NAME}, and what a relative path is relative to."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from spillover.errors import OptionError, did_you_mean

DATA_VARIABLE = "SPILLOVER_DATA"  # what --data sets
_VARIABLE = re.compile(r"\$\{([^}]*)\}")


def expand_path(text: str, folder: Path, environment: Mapping[str, str]) -> tuple[Path | None, list[str]]:
    """The absolute path that `text` means, and one sentence for each variable that is not set.

    A relative path is relative to `folder` (of the study file); one that begins with a variable is relative
    to the current folder, because that is where the variable was written.

    >>> expand_path("${NOWHERE}/a.csv", Path("/study"), {})[1]
    ['the environment variable NOWHERE is not set']
    """
    if "\0" in text:
        return None, ["a path holds no null character"]
    problems = []
    for name in _VARIABLE.findall(text):
        if not environment.get(name):
            # Only the names of variables are ever shown, never what they hold.
            hint = "Set it, or give --data DIR" if name == DATA_VARIABLE else did_you_mean(name, environment)
            problems.append(f"the environment variable {name} is not set" + (f". {hint}" if hint else ""))
    if problems:
        return None, problems
    base = Path.cwd() if text.startswith("${") else folder
    try:
        expanded = Path(_VARIABLE.sub(lambda match: environment[match.group(1)], text)).expanduser()
        return (base / expanded).resolve(), []
    except (OSError, RuntimeError, ValueError) as error:  # ~ of nobody, links in a circle, a null in a variable
        return None, [f"the path leads nowhere ({str(error)[:200]})"]


def data_environment(data: Path | None) -> dict[str, str]:
    """The process environment, with the data folder given on the command line; OptionError when it is no folder."""
    if data is None:
        return dict(os.environ)
    try:
        is_folder = data.is_dir()
    except OSError:  # a name too long for the disk, a folder that may not be searched
        is_folder = False
    if not is_folder:
        raise OptionError(f"--data {str(data)[:200]!r} is not a folder", fix="give the folder that holds the data")
    return {**os.environ, DATA_VARIABLE: str(data.absolute())}


def missing_file(path: Path) -> str:
    """Why there is no file at `path` that can be looked at; empty when there is one."""
    try:
        if path.is_file():
            return ""
        if path.is_dir():
            return f"{str(path)!r} is a folder"
        if not path.parent.is_dir():
            return f"nor a folder {str(path.parent)!r}"
        near = did_you_mean(path.name, (item.name for item in path.parent.iterdir()))
    except OSError as error:  # a name too long for the disk, a folder that may not be searched
        return f"{str(path)[:200]!r}: {error.strerror}"
    return f"looked in {str(path.parent)!r}" + (f". {near}" if near else "")
