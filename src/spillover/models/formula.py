"""Model formulas: "outcome ~ term + term", a term being an expression or a product a:b of expressions.

The grammar is deliberately small. Wilkinson's algebra gives arithmetic signs another meaning (x + x**2 is x, z/pop is
z + z:pop, x - z drops z), so that a formula can fit something else than it says, without a word. Here a sign is either
arithmetic inside a function or I(...), or it is refused with what to write instead. See docs/decisions/005.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from spillover.errors import FormulaError
from spillover.panel.expressions import evaluate, names_in
from spillover.panel.panel import Panel
from spillover.typing import FloatArray

EXAMPLE = 'for example "log(patents) ~ log(lq) + log(rd) + log(lq):policy"'
CLOSING = {")": "(", "]": "[", "}": "{"}


@dataclass(frozen=True)
class Formula:
    """A parsed formula: response expression, terms as products of factor expressions, intercept or not."""

    text: str
    response: str
    terms: tuple[tuple[str, ...], ...]
    intercept: bool

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the terms as they appear in results: "log(lq)", "log(lq):policy"."""
        return tuple(":".join(factors) for factors in self.terms)


@lru_cache(maxsize=256)
def parse_formula(text: str) -> Formula:
    """Parse "y ~ a + b:c". Raises `FormulaError` with what is wrong and an example."""
    if not isinstance(text, str):
        raise FormulaError("a formula is a text", got=type(text).__name__, expected=EXAMPLE)
    if len(split_at(text, "|")) > 1:
        raise FormulaError(
            "this estimator takes no instruments (the part of a formula behind |)",
            got=text,
            fix="leave out the part behind |, or use spillover.fit_two_stage",
        )
    sides = split_at(text, "~")
    if len(sides) != 2:
        raise FormulaError("a model formula has one ~ between outcome and regressors", got=text, expected=EXAMPLE)
    response = tidy(sides[0])
    if not response or len(split_at(response, ":")) > 1:
        raise FormulaError("a model formula has exactly one outcome", got=text, expected=EXAMPLE)
    _check_expression(response, text)
    terms, intercept = parse_terms(sides[1], text)
    if not terms:
        raise FormulaError("the formula has no regressor", got=text, expected=EXAMPLE)
    return Formula(text, response, terms, intercept)


def parse_terms(part: str, text: str) -> tuple[tuple[tuple[str, ...], ...], bool]:
    """(terms, intercept) of one side of a formula; `text` is the whole formula, for messages."""
    terms: list[tuple[str, ...]] = []
    intercept = True
    for sign, piece in signed_pieces(part, text):
        if piece in ("0", "1"):
            intercept = piece == "1" if sign == "+" else piece == "0"
            continue
        if sign == "-":
            raise FormulaError(
                f"'- {piece}' would take a term out of the formula",
                got=text,
                fix=f"leave {piece} out, or write I(a - {piece}) for the difference; '- 1' removes the intercept",
            )
        if any(factor.strip().startswith("(") for factor in split_at(piece, ":")):
            raise FormulaError(
                f"{piece!r}: parentheses do not group terms",
                got=text,
                fix=f"leave them out, or write I{piece} for arithmetic",
            )
        factors = tuple(tidy(factor) for factor in split_at(piece, ":"))
        for factor in factors:
            _check_factor(factor, text)
        if factors in terms:
            raise FormulaError(f"the term {':'.join(factors)!r} stands in the formula twice", got=text)
        terms.append(factors)
    return tuple(terms), intercept


def term_name(text: str) -> str:
    """A term as formulas spell it in results, so that "log( lq )" finds "log(lq)"."""
    return ":".join(tidy(factor) for factor in split_at(text, ":"))


def evaluate_term(factors: Sequence[str], panel: Panel) -> FloatArray:
    """The (n, t) product of the factors of one term."""
    product = evaluate(inner_expression(factors[0]), panel)
    for factor in factors[1:]:
        product = product * evaluate(inner_expression(factor), panel)
    return np.asarray(product, dtype=float)


def variables_in(factor: str) -> tuple[str, ...]:
    """Names of the panel variables in a factor or a response."""
    return names_in(inner_expression(factor))


def split_at(text: str, marks: str) -> list[str]:
    """Parts between marks that stand outside backticks and parentheses."""
    parts, open_marks, quoted = [""], 0, False
    for letter in text:
        quoted ^= letter == "`"
        if not quoted:
            open_marks += (letter in CLOSING.values()) - (letter in CLOSING)
        if letter in marks and not quoted and open_marks == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def tidy(expression: str) -> str:
    """One spelling for one expression: Python's, with names in backticks as they are."""
    quoted = re.findall(r"`[^`]*`", expression)
    plain = expression.strip()
    for i, name in enumerate(quoted):
        plain = plain.replace(name, f"quoted_{i}_", 1)
    try:
        plain = ast.unparse(ast.parse(plain, mode="eval"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return expression.strip()  # named as not understood when it is checked
    for i, name in enumerate(quoted):
        plain = plain.replace(f"quoted_{i}_", name, 1)
    return plain


def signed_pieces(part: str, text: str) -> list[tuple[str, str]]:
    """(sign, term) in order; signs inside parentheses, backticks or numbers like 1e-3 belong to the term."""
    pieces, sign, rest = [], "+", part
    first = True
    while True:
        head = split_at(rest, "+-")[0]
        piece = head.strip()
        if piece:
            pieces.append((sign, piece))
        elif not part.strip():
            return []
        elif not first or len(head) == len(rest):
            raise FormulaError("a sign in the formula has no term beside it", got=text, expected=EXAMPLE)
        if len(head) == len(rest):
            return pieces
        sign, rest, first = rest[len(head)], rest[len(head) + 1 :], False


def _check_factor(factor: str, text: str) -> None:
    """Refuse bare arithmetic, which formulas of other packages read as algebra of terms."""
    if not factor:
        raise FormulaError("a ':' in the formula has no factor beside it", got=text, expected=EXAMPLE)
    if len(split_at(factor, "*")) == 2 and "" not in (sides := split_at(factor, "*")):
        left, right = (side.strip() for side in sides)
        raise FormulaError(
            f"{factor!r} can mean a product or a product with its main effects",
            got=text,
            fix=f"write {left}:{right} for the product, {left} + {right} + {left}:{right} for both",
        )
    if len(split_at(factor, "*/^%")) > 1:
        raise FormulaError(
            f"{factor!r} is arithmetic outside a function",
            got=text,
            fix=f"write I({factor.replace('^', '**')}), or derive a variable of that name",
        )
    if factor in ("rho", "lambda"):
        raise FormulaError(
            f"a regressor called {factor!r} would share its name with a coefficient of the spatial models",
            got=text,
            fix=f"rename the column, or write I({factor})",
        )
    if re.fullmatch(r"[\d.]+", factor):
        raise FormulaError(f"{factor} is a number and not a regressor", got=text, expected=EXAMPLE)
    _check_expression(factor, text)


def _check_expression(expression: str, text: str) -> None:
    try:
        names = variables_in(expression)
    except FormulaError as error:
        raise FormulaError(f"the formula cannot be understood: {error.what}", got=text, expected=EXAMPLE) from None
    if not names:
        raise FormulaError(f"{expression!r} names no variable", got=text, expected=EXAMPLE)


def inner_expression(factor: str) -> str:
    """The expression inside I(...), or the factor itself."""
    if factor.startswith("I(") and factor.endswith(")") and closes_last(factor[2:-1]):
        return factor[2:-1]
    return factor


def closes_last(inside: str) -> bool:
    """Whether no bracket in the text closes one that was opened before it: I(a) + I(b) is not one I(...)."""
    depth, quoted = 0, False
    for letter in inside:
        quoted ^= letter == "`"
        if not quoted:
            depth += (letter == "(") - (letter == ")")
        if depth < 0:
            return False
    return True


def plain(expression: str) -> str:
    """One spelling of an expression, without I(...) around it.

    >>> plain("I( log(x) )")
    'log(x)'
    """
    return tidy(inner_expression(tidy(expression)))


def inside_log(expression: str) -> str | None:
    """What an expression takes the logarithm of; None where it is not one logarithm.

    >>> inside_log("log(a / b)"), inside_log("log(a) / log(b)")
    ('a / b', None)
    """
    text = plain(expression)
    return text[4:-1] if text.startswith("log(") and text.endswith(")") and closes_last(text[4:-1]) else None
