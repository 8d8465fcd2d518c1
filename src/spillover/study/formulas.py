"""The parts of a model formula, as far as a study file is checked before any data are read."""

from __future__ import annotations

from dataclasses import dataclass

from spillover.errors import FormulaError
from spillover.panel.expressions import names_in


@dataclass(frozen=True)
class Formula:
    """`response ~ term + term`: each part is an expression; `names` are the variables they use."""

    response: str
    terms: tuple[str, ...]
    names: tuple[str, ...]


def parse_formula(text: str) -> Formula:
    """Split a formula at ~ and at its outer plus signs.

    Raises `FormulaError` when a side is missing or a part is not an expression.

    >>> parse_formula("log(patents) ~ log(lq) + log(rd + 1)")
    Formula(response='log(patents)', terms=('log(lq)', 'log(rd + 1)'), names=('patents', 'lq', 'rd'))
    """
    sides = text.split("~")
    if len(sides) != 2 or not all(side.strip() for side in sides):
        raise FormulaError(
            "a formula has an outcome, one ~ and at least one regressor",
            got=repr(text),
            expected="for example log(patents) ~ log(lq) + log(rd)",
        )
    response, terms = sides[0].strip(), _outer_terms(sides[1])
    names = [name for part in (response, *terms) for name in names_in(part)]
    return Formula(response=response, terms=terms, names=tuple(dict.fromkeys(names)))


def _outer_terms(text: str) -> tuple[str, ...]:
    """The summands outside of brackets and backticks; 1 (the constant) is no term."""
    terms, start, depth, quoted = [], 0, 0, False
    for position, sign in enumerate(text):
        quoted ^= sign == "`"
        depth += 0 if quoted else (sign == "(") - (sign == ")")
        if sign == "+" and depth == 0 and not quoted:
            terms.append(text[start:position].strip())
            start = position + 1
    terms.append(text[start:].strip())
    return tuple(term for term in terms if term != "1")
