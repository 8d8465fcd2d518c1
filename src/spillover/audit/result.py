"""`Audit`: verdicts on the effect at home and the spillover, with the parts that hold their evidence."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spillover.audit.part import AuditPart
from spillover.audit.rules import Rule
from spillover.audit.verdict import NAMES, Verdict
from spillover.errors import OptionError, UnknownColumnError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

WIDTH = 110
NO_VERDICT = "it rests on the error bars, on what could have been seen, and for a spillover on shuffled neighbours"


@dataclass(frozen=True, eq=False, repr=False)
class Audit:
    """What an audit of one regressor found.

    Attributes
    ----------
    variable : the regressor, as it stands in the formula.   model : the fit that was audited, in words.
    verdicts : "own" and, where the model has one, "spillover".
    parts : by name, in the order in which they are read.
    rules : the table that decided.   seed : of everything drawn.
    """

    variable: str
    model: str
    verdicts: Mapping[str, Verdict]
    parts: Mapping[str, AuditPart]
    rules: tuple[Rule, ...]
    seed: int

    @property
    def facts(self) -> dict[str, float]:
        """All numbers of all parts by name."""
        return {name: value for part in self.parts.values() for name, value in part.facts.items()}

    @property
    def own(self) -> Verdict:
        """The verdict on the effect at home; OptionError where the parts that were done allow none."""
        return self._verdict("own")

    @property
    def spillover(self) -> Verdict:
        """The verdict on the spillover; OptionError where the model has none or the parts that were done allow none."""
        return self._verdict("spillover")

    def _verdict(self, effect: str) -> Verdict:
        if effect not in self.verdicts:
            raise OptionError(
                f"there is no verdict on the {NAMES[effect]} of {self.variable!r}",
                got=f"parts {', '.join(self.parts) or 'none'}",
                causes=(NO_VERDICT, "a model without W"),
                fix='run all parts, of a model with W x or W y: model="sdm"',
            )
        return self.verdicts[effect]

    def part(self, name: str) -> AuditPart:
        """One part by name; UnknownColumnError with a suggestion."""
        if name not in self.parts:
            raise UnknownColumnError(
                f"the audit has no part {name!r}",
                expected=", ".join(self.parts),
                fix=did_you_mean(name, tuple(self.parts)) or None,
            )
        return self.parts[name]

    def to_frame(self) -> pd.DataFrame:
        """One row per verdict: effect, verdict, rule, reasons, also."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "variable": self.variable,
                    "effect": effect,
                    "verdict": verdict.verdict,
                    "rule": verdict.rule,
                    "reasons": " ".join(verdict.reasons),
                    "also": "; ".join(verdict.also),
                }
                for effect, verdict in self.verdicts.items()
            ]
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "variable": self.variable,
            "model": self.model,
            "seed": self.seed,
            "verdicts": {effect: verdict.to_dict() for effect, verdict in self.verdicts.items()},
            "parts": {name: part.to_dict() for name, part in self.parts.items()},
        }

    def summary(self) -> str:
        """The verdicts, then every part with its question and what it says, as text."""
        lines = [f"Is it a spillover? Audit of {self.variable} in {self.model}", ""]
        if not self.verdicts:
            lines += [f"No verdict: {NO_VERDICT}.", ""]
        for effect, verdict in self.verdicts.items():
            lines += [f"{NAMES[effect].upper()}: {verdict.verdict.upper()}  ({verdict.rule})"]
            lines += [line for text in verdict.reasons for line in _wrap(text)]
            if verdict.also:
                lines += _wrap(f"Also against it: {'; '.join(verdict.also)}.")
            lines.append("")
        for part in self.parts.values():
            lines.append(part.question)
            lines += [line for text in part.sentences for line in _wrap(text)]
            lines += [line for text in part.skipped for line in _wrap(f"Not done: {text}")]
            lines.append("")
        return "\n".join(lines).rstrip()

    def __repr__(self) -> str:
        told = ", ".join(f"{NAMES[effect]} {verdict.verdict}" for effect, verdict in self.verdicts.items())
        return f"Audit of {self.variable}: {told}"


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="    ")
