"""What an effect means in the units of the outcome: derived from the logarithms in the model's formula."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from spillover.report.numbers import compact, fixed
from spillover.study.result import ModelResult, StudyResult

_LOGARITHM = re.compile(r"^(?:np\.)?(?:log|ln)\((?P<inner>.+)\)$")
_STEP_OF_LOG = 0.10  # effects of a logged treatment are told for a 10 % higher value


@dataclass(frozen=True)
class Term:
    """One side of an effect: the variable inside a term, and whether the term is its natural logarithm."""

    name: str
    logged: bool
    label: str
    unit: str


@dataclass(frozen=True)
class Scale:
    """Turns an effect (outcome term per treatment term) into the change of the outcome that a reader can use.

    With both in logs a 10 % higher treatment goes with 100·(1.1^b − 1) %; with a logged outcome only, `step` units more
    go with 100·(e^(b·step) − 1) %; with a logged treatment only, 10 % more go with b·ln 1.1 units; with none, `step`
    units more go with b·step units. All are increasing in b, so the limits of an interval convert one by one.
    """

    outcome: Term
    treatment: Term
    step: float

    def convert(self, effect: float) -> float:
        """The change of the outcome: in percent when it is logged, else in its unit."""
        shift = math.log1p(_STEP_OF_LOG) if self.treatment.logged else self.step
        return 100.0 * math.expm1(effect * shift) if self.outcome.logged else effect * shift

    @property
    def unit(self) -> str:
        """Unit of `convert`, with its leading space: " %", " patents per person", or nothing."""
        if self.outcome.logged:
            return " %"
        return f" {self.outcome.unit}" if self.outcome.unit else ""

    @property
    def shock(self) -> str:
        """The change of the treatment, as a noun phrase: "a 10 % higher location quotient"."""
        if self.treatment.logged:
            return f"a {fixed(100 * _STEP_OF_LOG, 0)} % higher {self.treatment.label}"
        unit = f" ({self.treatment.unit})" if self.treatment.unit else ""
        return f"a value of {self.treatment.label} that is higher by {compact(self.step, 1)}{unit}"

    @property
    def effect_unit(self) -> str:
        """Unit of the raw effect, for axes and table heads."""
        if self.outcome.logged and self.treatment.logged:
            return "% per 1 % (elasticity)"
        top = f"log {self.outcome.label}" if self.outcome.logged else (self.outcome.unit or self.outcome.label)
        return f"{top} per unit of {'log ' if self.treatment.logged else ''}{self.treatment.label}"


def split_term(term: str) -> tuple[str, bool]:
    """The expression inside a term and whether the term is its natural logarithm.

    >>> split_term("log(patents)"), split_term("lq"), split_term("log(a) - log(b)")
    (('patents', True), ('lq', False), ('log(a) - log(b)', False))
    """
    text = term.strip()
    match = _LOGARITHM.match(text)
    if match is None or not _balanced(match["inner"]):
        return text, False
    return match["inner"].strip(), True


def _balanced(text: str) -> bool:
    """Whether the parentheses of `text` close among themselves: false for the inside of "log(a) - log(b)"."""
    depth = 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if depth < 0:
            return False
    return depth == 0


def scale_of(result: StudyResult, model: ModelResult) -> Scale:
    """The scale on which the effects of `model` are told."""
    outcome = _term(result, model.formula.partition("~")[0])
    treatment = _term(result, model.treatment)
    return Scale(outcome=outcome, treatment=treatment, step=1.0 if treatment.logged else _step(result, treatment.name))


def _term(result: StudyResult, term: str) -> Term:
    name, logged = split_term(term)
    bare = name.strip("`")
    for measure in result.measures:
        if measure.name == bare:
            return Term(bare, logged, measure.label or bare, measure.unit)
    for row in result.panel.variables:
        if row.get("variable") == bare:
            return Term(bare, logged, str(row.get("label") or bare), str(row.get("unit") or ""))
    return Term(bare, logged, bare, "")


def _step(result: StudyResult, name: str) -> float:
    """A change of a level that is not absurd: 1, or the power of ten below the variable's range when 1 is out of scale.

    A share that runs from 0.02 to 0.31 is told per 0.1, not per 1; a count up to 52,000 per 10,000.
    """
    for row in result.panel.variables:
        low, high = row.get("minimum"), row.get("maximum")
        if row.get("variable") == name and low is not None and high is not None and high > low:
            spread = float(high) - float(low)
            return 1.0 if 1.0 <= spread < 100.0 else 10.0 ** math.floor(math.log10(spread))
    return 1.0
