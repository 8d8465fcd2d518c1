"""`AuditPart`: what one part of the audit found, in the same form for every part."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from spillover.errors import OptionError
from spillover.typing import FloatArray

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class AuditPart:
    """What one part of the audit found.

    Attributes
    ----------
    name : "errors", "size", "permutation", "common-shock", "reach", "timing", "influence", "weights", "measures" or
        "detectable".
    question : the question in words, as a heading of the report.
    table : tidy rows that hold the evidence.
    facts : numbers the verdict reads, by stable name: "permutation_within_groups.p_value.spillover". Never NaN: a fact
        that could not be computed is left out, and `skipped` says why.
    sentences : what it says in plain words, most important first.
    skipped : reasons, in words, for what could not be computed with these data.
    draws : named arrays for figures ({"permutation.spillover": (R,) values}); may be empty.
    """

    name: str
    question: str
    table: pd.DataFrame
    facts: Mapping[str, float]
    sentences: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    draws: Mapping[str, FloatArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        wrong = [name for name, value in self.facts.items() if not math.isfinite(value)]
        if wrong:
            raise OptionError(
                f"facts of the audit part {self.name!r} are not finite", got=", ".join(wrong), fix="leave them out"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; not-a-number in a table becomes None."""
        return {
            "name": self.name,
            "question": self.question,
            "table": [{str(key): _plain(value) for key, value in row.items()} for row in self.table.to_dict("records")],
            "facts": {name: float(value) for name, value in self.facts.items()},
            "sentences": list(self.sentences),
            "skipped": list(self.skipped),
            "draws": {name: [_plain(float(value)) for value in values] for name, values in self.draws.items()},
        }


def _plain(value: Any) -> Any:
    """Numbers, text, truth values or None."""
    if value is None or isinstance(value, str | bool):
        return value
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, int | float | str | bool) else str(value)
