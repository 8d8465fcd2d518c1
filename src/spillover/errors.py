"""The errors and warnings of spillover, and the one composer of their messages.

Every message has the same parts: what happened, what was got, what was expected, the usual
causes, and what to do next. Labels (region ids, column names, files) are shown, never positions.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any


def show_labels(labels: Iterable[object], limit: int = 5) -> str:
    """Up to `limit` labels by name, then "and 12 more".

    >>> show_labels(["a", "b", "c"], limit=2)
    'a, b and 1 more'
    """
    shown = [str(label) for label in labels]
    if len(shown) <= limit:
        return ", ".join(shown)
    return f"{', '.join(shown[:limit])} and {len(shown) - limit} more"


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """The sentence "Did you mean …?" for the closest candidates, or an empty string."""
    names = list(candidates)
    lowered = {candidate.lower(): candidate for candidate in names}
    matches = difflib.get_close_matches(name.lower(), lowered, n=3, cutoff=0.6)
    if not matches:
        return ""
    return f"Did you mean {' or '.join(repr(lowered[match]) for match in matches)}?"


def compose_message(
    what: str,
    *,
    got: str | None = None,
    expected: str | None = None,
    causes: Sequence[str] = (),
    fix: str | None = None,
) -> str:
    """One message from its parts; parts that are not given are left out."""
    lines = [what]
    if got:
        lines.append(f"  got:      {got}")
    if expected:
        lines.append(f"  expected: {expected}")
    if causes:
        lettered = "; ".join(f"({chr(97 + i)}) {cause}" for i, cause in enumerate(causes))
        lines.append(f"  usual causes: {lettered}")
    if fix:
        lines.append(f"  fix:      {fix}")
    return "\n".join(lines)


class SpilloverError(Exception):
    """Root of every error that a user of spillover can cause or meet."""

    def __init__(
        self,
        what: str,
        *,
        got: str | None = None,
        expected: str | None = None,
        causes: Sequence[str] = (),
        fix: str | None = None,
    ) -> None:
        self.what = what
        super().__init__(compose_message(what, got=got, expected=expected, causes=causes, fix=fix))

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors come back whole from other processes, whatever arguments their class takes."""
        return _restore, (type(self), self.args, self.__dict__)


def _restore(kind: type[SpilloverError], args: tuple[Any, ...], state: dict[str, Any]) -> SpilloverError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class OptionError(SpilloverError):
    """An option has a value that is not among the admissible ones."""


class ConfigurationError(OptionError):
    """A configuration has inadmissible values: `problems` holds all of them, one sentence each."""

    def __init__(self, what: str, *, problems: Sequence[str], expected: str | None = None, fix: str | None = None):
        self.problems = tuple(problems)
        got = problems[0] if len(problems) == 1 else "".join(f"\n    - {problem}" for problem in problems)
        super().__init__(what, got=got, expected=expected, fix=fix)


class FileError(SpilloverError):
    """A file cannot be read, is empty, or is not what its name says."""


class OutputError(SpilloverError):
    """An output folder or file cannot be written."""


class StudyFileError(SpilloverError):
    """A study file has mistakes; all of them are reported together."""


class PanelError(SpilloverError):
    """A table cannot become a panel."""


class DuplicateKeyError(PanelError):
    """The same region and period occur in more than one row."""


class MissingCellError(PanelError):
    """Cells that a step needs are missing."""


class ValueDomainError(PanelError):
    """A value is outside the domain of what is asked of it: text, infinity, the log of zero."""


class UnknownColumnError(SpilloverError):
    """A column, variable or region is named that does not exist."""


class AlignmentError(SpilloverError):
    """Region ids of two sources do not match; both sides are shown."""


class WeightsError(SpilloverError):
    """A spatial weights matrix is not admissible."""


class IslandError(WeightsError):
    """Some regions have no neighbour and no policy for them was chosen."""


class DisconnectedError(WeightsError):
    """Some regions cannot be reached over a transport network."""


class FormulaError(SpilloverError):
    """A model formula cannot be understood."""


class DesignError(SpilloverError):
    """The design cannot identify the parameters: collinear, constant or too few observations."""


class EstimationError(SpilloverError):
    """An estimator did not produce an admissible result; nothing is returned."""


class UndefinedShareError(SpilloverError):
    """A share of an effect that may be zero, or of parts with different signs, says nothing; levels do."""


class SpilloverWarning(UserWarning):
    """Root of every warning of spillover."""


class WeakIdentificationWarning(SpilloverWarning):
    """Parameters are only weakly identified by this design."""


class AssumptionWarning(SpilloverWarning):
    """A result rests on an assumption that does not hold here; the message says which."""


def is_amount(value: object, *, zero: bool = False) -> bool:
    """Whether this is a finite number above zero (or of zero or more); no text, no truth value.

    >>> is_amount(2.5), is_amount(0), is_amount(0, zero=True), is_amount("2.5"), is_amount(float("nan"))
    (True, False, True, False, False)
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    number = float(value)
    return math.isfinite(number) and (number > 0.0 or (zero and number == 0.0))


def check_level(level: object) -> None:
    """`OptionError` unless this is a confidence level."""
    if not (is_amount(level) and float(level) < 1.0):  # type: ignore[arg-type]
        raise OptionError("a confidence level is a share between 0 and 1", got=str(level), fix="use 0.95 for 95 %")


def check_option(name: str, value: object, options: Sequence[str]) -> None:
    """Raise `OptionError` unless `value` is one of `options`."""
    if value not in options:
        hint = did_you_mean(str(value), options)
        raise OptionError(
            f"unknown value for {name}",
            got=repr(value),
            expected="one of " + ", ".join(repr(option) for option in options),
            fix=hint or None,
        )
