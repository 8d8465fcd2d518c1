"""Indicators of regional innovation capability and the four dimensions they belong to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from spillover.errors import OptionError, UnknownColumnError, check_option, did_you_mean, show_labels
from spillover.measures.normalise import Direction

Dimension = Literal["creation", "flow", "enterprise", "environment"]
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)
"""Knowledge creation, knowledge flow, enterprise innovation, innovation environment."""


@dataclass(frozen=True)
class IndicatorSpec:
    """One indicator: the panel variable, its dimension, and whether more (1) or less (−1) of it is better."""

    column: str
    dimension: Dimension
    direction: Direction = 1

    def __post_init__(self) -> None:
        check_option(f"the dimension of indicator {self.column!r}", self.dimension, DIMENSIONS)
        if self.direction not in (1, -1):
            raise OptionError(
                f"the direction of indicator {self.column!r} is not known",
                got=repr(self.direction),
                expected="1 (more is better) or -1 (less is better)",
            )


def check_indicators(indicators: Sequence[IndicatorSpec], available: Sequence[str]) -> None:
    """Raise unless there are indicators, each exists once; all unknown columns are reported together."""
    if not indicators:
        raise OptionError(
            "an index needs at least one indicator", fix='add IndicatorSpec("column", "creation") and others'
        )
    columns = [indicator.column for indicator in indicators]
    repeated = sorted({column for column in columns if columns.count(column) > 1})
    if repeated:
        raise OptionError(
            "a column is an indicator twice and would be counted twice", got=show_labels(repeated), fix="name it once"
        )
    unknown = [column for column in columns if column not in available]
    if unknown:
        hints = [did_you_mean(column, available) for column in unknown]
        raise UnknownColumnError(
            "indicators that the panel does not have",
            got=show_labels(unknown),
            expected="variables such as " + show_labels(available, 12),
            fix=" ".join(hint for hint in hints if hint) or "see panel.describe() for what was read",
        )
