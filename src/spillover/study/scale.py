"""What an effect means in the units of the outcome: derived from the logarithms in the model's formula."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from spillover.study.numbers import compact, fixed
from spillover.study.result import ModelResult, StudyResult

_LOGARITHM = re.compile(r"^(?:np\.)?(?:log|ln)\((?P<inner>.+)\)$")
_THINGS = re.compile(r"^(?!shares$|ratios$)[^\W\d_]+s$")  # what can be counted: firms, persons, clusters
_PERCENT = re.compile(r"^(percent|per cent|%)\b|^%")
STEP_OF_LOG = 0.10  # effects of a logged treatment are told for a 10 % higher value


@dataclass(frozen=True)
class Term:
    """One side of an effect: the variable inside a term, and whether the term is its natural logarithm."""

    name: str
    logged: bool
    label: str
    unit: str

    @property
    def phrase(self) -> str:
        """The label inside a sentence; an expression, or a name that is no word, in quotation marks.

        >>> Term("price / cpi", True, "price / cpi", "").phrase, Term("lq", True, "location quotient", "").phrase
        ('“price / cpi”', 'location quotient')
        """
        plain = self.label != self.name or all(sign.isalpha() or sign in " -" for sign in self.label)
        return self.label if plain else f"“{self.label}”"


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

    @property
    def shift(self) -> float:
        """The change of the treatment's term."""
        return math.log1p(STEP_OF_LOG) if self.treatment.logged else self.step

    def convert(self, effect: float) -> float:
        """The change of the outcome: in percent when it is logged, else in its unit."""
        return 100.0 * math.expm1(effect * self.shift) if self.outcome.logged else effect * self.shift

    def convert_error(self, effect: float, error: float) -> float:
        """The standard error of `convert(effect)`, to first order."""
        slope = 100.0 * math.exp(effect * self.shift) if self.outcome.logged else 1.0
        return abs(slope * self.shift) * error

    @property
    def is_elasticity(self) -> bool:
        """Whether the raw effect is percent per percent."""
        return self.outcome.logged and self.treatment.logged

    @property
    def unit(self) -> str:
        """Unit of `convert`, with its leading space: " %", " patents per person", or nothing."""
        if self.outcome.logged:
            return " %"
        return f" {self.outcome.unit}" if self.outcome.unit else ""

    @property
    def is_plural(self) -> bool:
        """Whether the shock is told as so many things more: "100 more firms"."""
        unit = self.treatment.unit
        return not self.treatment.logged and self.step >= 1.0 and bool(_THINGS.match(unit))

    @property
    def shock(self) -> str:
        """The change of the treatment, as a noun phrase: "a 10 % higher location quotient", "100 more firms"."""
        treatment, step = self.treatment, compact(self.step, 1)
        if treatment.logged:
            return f"a {fixed(100 * STEP_OF_LOG, 0)} % higher {treatment.phrase}"
        if self.is_plural:
            return f"{step} more {treatment.unit} ({treatment.phrase})"
        if _PERCENT.match(treatment.unit):
            by = f"{step} percentage points"
        elif _THINGS.match(treatment.unit):
            by = f"{step} {treatment.unit}"
        else:
            by = step + (f" ({treatment.unit})" if treatment.unit else "")
        return f"a value of {treatment.phrase} that is higher by {by}"

    @property
    def change(self) -> str:
        """What `convert` gives, for axes and heads: "change of patents (%)"."""
        unit = self.unit.strip()
        return f"change of {self.outcome.label}" + (f" ({unit})" if unit else "")

    @property
    def effect_unit(self) -> str:
        """Unit of the raw effect, for axes and table heads."""
        if self.is_elasticity:
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


def scale_of(result: StudyResult, model: ModelResult, variable: str | None = None) -> Scale:
    """The scale on which the effects of `model` are told, for its treatment or another of its terms."""
    outcome = _term(result, model.formula.partition("~")[0])
    treatment = _term(result, variable or model.treatment)
    own = variable is None or variable == model.treatment
    step = round_step(model.spread) if own and model.spread and not treatment.logged else 1.0
    return Scale(outcome=outcome, treatment=treatment, step=step)


def round_step(spread: float) -> float:
    """The number 1, 2 or 5 times a power of ten that is nearest to `spread` in ratio.

    >>> round_step(0.137), round_step(84.0), round_step(26.0), round_step(41.0)
    (0.1, 100.0, 20.0, 50.0)
    """
    power = math.floor(math.log10(spread))
    candidates = [float(f"{digit}e{power + more}") for digit, more in ((1, 0), (2, 0), (5, 0), (1, 1))]
    return min(candidates, key=lambda step: abs(math.log(step / spread)))


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
