"""Paths of a study file: environment variables written ${NAME}, and what a relative path is relative to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from spillover.errors import did_you_mean

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
    expanded = Path(_VARIABLE.sub(lambda match: environment[match.group(1)], text)).expanduser()
    base = Path.cwd() if text.startswith("${") else folder
    return (base / expanded).resolve(), []
