"""A configuration with inadmissible parameters is refused with all of them at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

from spillover.errors import ConfigurationError, SpilloverError

P = ParamSpec("P")
Result = TypeVar("Result")


def refuse_problems(
    subject: str, problems: Sequence[str], defaults: str | None = None, expected: str | None = None
) -> None:
    """Raise a ConfigurationError that lists the problems, one sentence each; nothing happens where there are none.

    Parameters
    ----------
    subject : with its verb, "the agents have".
    defaults : the call that gives the defaults, "AgentConfig()".
    """
    if problems:
        raise ConfigurationError(
            f"{subject} {len(problems)} inadmissible parameter{'s' if len(problems) > 1 else ''}",
            problems=problems,
            expected=expected,
            fix="change the parameters named above" + (f"; {defaults} has the defaults" if defaults else ""),
        )


class Problems:
    """What is wrong in several parts of a configuration, collected so that a user reads all of it at once."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, *problems: str) -> None:
        """Note sentences."""
        self.found.extend(problems)

    def attempt(self, build: Callable[P, Result], *given: P.args, **named: P.kwargs) -> Result | None:
        """What `build` returns; None when it refuses, with its reasons noted."""
        try:
            return build(*given, **named)
        except SpilloverError as error:
            self.found.extend(reasons_of(error))
            return None

    def refuse(self, subject: str, defaults: str | None = None) -> None:
        """Raise ConfigurationError when anything was noted."""
        refuse_problems(subject, self.found, defaults)


def reasons_of(error: SpilloverError) -> tuple[str, ...]:
    """The sentences of a ConfigurationError, or the message of another error on one line."""
    if isinstance(error, ConfigurationError):
        return error.problems
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
    return ("; ".join(lines),)


def is_number(value: object) -> bool:
    """A finite number that a float can hold, and neither true nor false."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number of hundreds of digits
        return False


def is_whole(value: object) -> bool:
    """A whole number of at most 18 digits, and neither true nor false."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18


def shown(value: object) -> str:
    """A value as a message shows it: at most 60 signs.

    >>> shown("high"), shown(10**100)[-5:]
    ("'high'", '0000…')
    """
    try:
        text = repr(value)
    except ValueError:  # Python does not spell numbers of thousands of digits
        text = "a number of thousands of digits"
    return text if len(text) <= 60 else text[:59] + "…"
