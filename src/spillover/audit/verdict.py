"""From facts to a verdict in words, with the two or three facts that decide it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spillover.audit.evidence import number
from spillover.audit.rules import Rule, UnknownFact, VerdictName, look_up
from spillover.errors import OptionError

NAMES = {"own": "effect at home", "spillover": "spillover"}
TWO_DECIMALS = ".2f"
"""Of a number of usual size: small ones get more, so that 0.0012 is not told as 0.00."""
_FIELD = re.compile(r"\{(?P<name>[\w.]+)(?::(?P<form>[^{}]+))?\}")


@dataclass(frozen=True)
class Verdict:
    """What an audit says of one effect.

    Attributes
    ----------
    effect : "own" or "spillover".   verdict : "stands", "fragile", "not supported" or "not detectable".
    rule : the row of the table that decided.   reasons : sentences with the deciding numbers.
    facts : the deciding numbers by name.   also : later rules with the same verdict that hold too.
    """

    effect: str
    verdict: VerdictName
    rule: str
    reasons: tuple[str, ...]
    facts: Mapping[str, float]
    also: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """ "Spillover: fragile. …"."""
        return f"{NAMES[self.effect].capitalize()}: {self.verdict}. {' '.join(self.reasons)}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "effect": self.effect,
            "verdict": self.verdict,
            "rule": self.rule,
            "reasons": list(self.reasons),
            "facts": {name: float(value) for name, value in self.facts.items()},
            "also": list(self.also),
        }


def decide(effect: str, facts: Mapping[str, float], rules: Sequence[Rule]) -> Verdict:
    """The first rule whose conditions all hold.

    effect : "own" or "spillover".   facts : of all parts, by name.   rules : as `read_rules` returns them.
    """
    holding = [rule for rule in rules if rule.applies(effect, facts)]
    if not holding:
        raise OptionError(f"no rule applies to {effect!r}", fix="end the rules with one that has no conditions")
    first = holding[0]
    known: dict[str, float] = {}
    for name in first.facts:
        try:
            known[name] = look_up(name, effect, facts)
        except UnknownFact:
            continue
    told = [tell(text, effect, facts) for text in first.because]
    also = tuple(rule.name for rule in holding[1:] if rule.when and rule.verdict == first.verdict)
    return Verdict(effect, first.verdict, first.name, tuple(text for text in told if text), known, also)


def tell(text: str, effect: str, facts: Mapping[str, float]) -> str:
    """A sentence with its facts filled in; empty where one of them is not known."""

    def fill(found: re.Match[str]) -> str:
        name, form = found["name"], found["form"]
        if name == "effect":
            return NAMES[effect]
        value = look_up(name, effect, facts)
        if form == "p":
            return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"
        if form == "%":
            return f"{100.0 * value:.0f} %"
        if form == TWO_DECIMALS:
            return number(value)
        return format(value, form or ".3g").replace("-", "−")

    try:
        return _FIELD.sub(fill, text)
    except UnknownFact:
        return ""
    except ValueError as error:
        raise OptionError("a sentence of a rule is not understood", got=f"{text}: {error}") from None
