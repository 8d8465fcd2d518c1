"""A configuration with inadmissible parameters is refused with all of them at once."""

from __future__ import annotations

from collections.abc import Sequence

from spillover.errors import OptionError


def refuse_problems(subject: str, problems: Sequence[str], defaults: str | None = None) -> None:
    """Raise an OptionError that lists the problems, one sentence each; nothing happens where there are none.

    Parameters
    ----------
    subject : with its verb, "the agents have".
    defaults : the call that gives the defaults, "AgentConfig()".
    """
    if problems:
        raise OptionError(
            f"{subject} {len(problems)} inadmissible parameter{'s' if len(problems) > 1 else ''}",
            got="; ".join(problems),
            fix="change the parameters named above" + (f"; {defaults} has the defaults" if defaults else ""),
        )
