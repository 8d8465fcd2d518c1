"""A file of finished rounds, one JSON object a line, so that a long recovery can stop and go on."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spillover.errors import FileError, OptionError
from spillover.simulation.recovery_round import Reading, Round
from spillover.weights.weights import SpatialWeights


def describe_plan(config: Any, estimator: Any, seed: int, level: float, truths: Any = None) -> dict[str, str]:
    """What decides the numbers of a round, as text that is the same in every process."""
    plan = {
        "config": fingerprint(config),
        "estimator": fingerprint(estimator),
        "seed": str(seed),
        "level": repr(float(level)),
    }
    return plan if truths is None else {**plan, "truths": fingerprint(truths)}


def fingerprint(value: Any) -> str:
    """Sixteen hexadecimal digits of what a value holds; functions count by their name only."""
    return hashlib.sha256(_spell(value).encode()).hexdigest()[:16]


def _spell(value: Any) -> str:
    if isinstance(value, SpatialWeights):
        matrix = value.matrix
        parts = (matrix.indptr, matrix.indices, matrix.data)
        digest = hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()
        return f"W({','.join(value.regions)};{digest})"
    if is_dataclass(value) and not isinstance(value, type):
        inner = ",".join(f"{each.name}={_spell(getattr(value, each.name))}" for each in fields(value))
        return f"{type(value).__qualname__}({inner})"
    if isinstance(value, (tuple, list)):
        return "(" + ",".join(map(_spell, value)) + ")"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_spell(each)}" for key, each in value.items()) + "}"
    if isinstance(value, np.ndarray):
        return f"array({value.shape};{hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()})"
    if callable(value):
        return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', type(value).__qualname__)}"
    return repr(value)


class RecoveryFile:
    """Finished rounds on disk: the plan in the first line, then one line a round, each written at once."""

    def __init__(self, path: Path | str, plan: dict[str, str]) -> None:
        self.path = Path(path)
        self.plan = plan

    def read(self) -> dict[int, Round]:
        """Number → round. A last line that was cut off is removed; a file of another plan is refused."""
        if not self.path.exists() or self.path.stat().st_size == 0:
            self._append([json.dumps({"plan": self.plan})])
            return {}
        whole = self.path.read_bytes()
        kept = whole[: whole.rfind(b"\n") + 1]
        if len(kept) < len(whole):
            with self.path.open("r+b") as file:
                file.truncate(len(kept))
        lines = kept.decode("utf-8").splitlines()
        if not lines:  # stopped within the first line
            return self.read()
        self._check_plan(lines[0])
        return {found.number: found for found in map(self._parse, lines[1:])}

    def add(self, rounds: Iterable[Round]) -> None:
        """Append finished rounds."""
        self._append([json.dumps(without_nan(asdict(each)), allow_nan=False) for each in rounds])

    def _append(self, lines: list[str]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            file.write("".join(line + "\n" for line in lines).encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())

    def _check_plan(self, line: str) -> None:
        try:
            written = json.loads(line)["plan"]
        except (ValueError, KeyError, TypeError):
            raise FileError(
                "this is not a file of finished rounds", got=str(self.path), fix="choose another name"
            ) from None
        different = [name for name in {**self.plan, **written} if written.get(name) != self.plan.get(name)]
        if different:
            raise OptionError(
                "the finished rounds in the file are of another recovery",
                got=f"{self.path}: other {' and '.join(different)}",
                fix="go on with the same configuration, estimator, seed and level, or choose another file",
            )

    def _parse(self, line: str) -> Round:
        try:
            found: dict[str, Any] = json.loads(line)
            return Round(found["number"], tuple(_reading(each) for each in found["readings"]), found["failure"])
        except (ValueError, KeyError, TypeError):
            raise FileError(
                "a line of the file of finished rounds cannot be read", got=line[:60], fix="delete that line"
            ) from None


def _reading(entry: dict[str, Any]) -> Reading:
    values: dict[str, Any] = {name: math.nan if value is None else value for name, value in entry.items()}
    return Reading(**values)


def without_nan(value: Any) -> Any:
    """JSON without not-a-number: null in its place."""
    if isinstance(value, dict):
        return {key: without_nan(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
