"""`Equation`: one equation of a mediation system, read from a formula in which each spatial lag is written out.

    talent ~ hti + W*hti + W*talent + log(gdp)

`W*hti` is the spatial lag of hti, and `W*talent`, the lag of the response itself, is the equation's ρ. Any name of a
W that was given stands before the star: `road*hti`. The rest is the grammar of all formulas (docs/decisions/005).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spillover.errors import FormulaError
from spillover.models.formula import parse_formula, parse_terms, signed_pieces, split_at, tidy, variables_in

EXAMPLE = 'for example "talent ~ hti + W*hti + log(gdp)"'
OUTCOME = "outcome"


@dataclass(frozen=True)
class Term:
    """A regressor: the product of its factors, lagged in space by the W called `lag` or not at all."""

    factors: tuple[str, ...]
    lag: str | None = None

    @property
    def name(self) -> str:
        """As results show it: "log(lq)", "W*log(lq)", "W*log(lq):policy"."""
        product = ":".join(self.factors)
        return product if self.lag is None else f"{self.lag}*{product}"


@dataclass(frozen=True)
class Equation:
    """One equation as written.

    Attributes
    ----------
    name : the channel, or "outcome".
    text : the formula.
    response : its left side, an expression.
    terms : regressors without the lag of the response.
    feedback : name of the W that lags the response (the equation has a ρ), or None.
    intercept : whether an intercept is wanted where no effects absorb it.
    """

    name: str
    text: str
    response: str
    terms: tuple[Term, ...]
    feedback: str | None
    intercept: bool

    @property
    def lag_names(self) -> tuple[str, ...]:
        """Names of all W that the equation uses, each once."""
        used = [self.feedback, *(term.lag for term in self.terms)]
        return tuple(dict.fromkeys(name for name in used if name is not None))

    @property
    def expressions(self) -> tuple[str, ...]:
        """Distinct factors of the right side."""
        return tuple(dict.fromkeys(factor for term in self.terms for factor in term.factors))


def parse_equation(name: str, text: str) -> Equation:
    """Read one equation. Raises `FormulaError` with what is wrong, where, and an example."""
    try:
        return _parse(name, text)
    except FormulaError as error:
        raise FormulaError(f"equation of {name!r}: {error}") from None


def _parse(name: str, text: str) -> Equation:
    sides = split_at(text, "~")
    if len(sides) != 2:
        raise FormulaError("an equation has one ~ between response and regressors", got=text, expected=EXAMPLE)
    if not sides[0].strip():
        raise FormulaError("the equation has no response", got=text, expected=EXAMPLE)
    response = parse_formula(f"{sides[0]} ~ unread_").response
    terms: list[Term] = []
    feedback, intercept = None, True
    for sign, piece in signed_pieces(sides[1], text):
        lag, rest = _split_lag(piece)
        found, constant = parse_terms(f"{sign} {rest}", text)
        if not found:
            if lag is not None:
                raise FormulaError(f"{piece!r} lags nothing", got=text, expected=EXAMPLE)
            intercept = constant
            continue
        term = Term(found[0], lag)
        if lag is not None and term.factors == (response,):
            if feedback is not None:
                raise FormulaError(
                    f"the response {response!r} is lagged twice",
                    got=text,
                    expected="one spatial lag of the response in each equation",
                    fix="keep one of them; two ρ's of one equation are rarely told apart",
                )
            feedback = lag
            continue
        if response in term.factors:
            raise FormulaError(f"{term.name!r} explains {response!r} by itself", got=text, fix="leave it out")
        if term in terms:
            raise FormulaError(f"the term {term.name!r} stands in the formula twice", got=text)
        terms.append(term)
    if not terms:
        raise FormulaError("the equation has no regressor", got=text, expected=EXAMPLE)
    return Equation(name, text, response, tuple(terms), feedback, intercept)


def _split_lag(piece: str) -> tuple[str | None, str]:
    """("W", "hti") of "W*hti"; (None, piece) of anything else, powers and products of bare names included."""
    parts = split_at(piece, "*")
    if len(parts) < 2 or "" in (parts[0].strip(), parts[1].strip()):
        return None, piece
    head = parts[0].strip()
    quoted = head.startswith("`") and head.endswith("`") and head.count("`") == 2
    if not (head.isidentifier() or quoted):
        return None, piece
    return head.strip("`").strip(), "*".join(parts[1:])


def write_equation(
    response: str, sources: Sequence[str], lagged: Sequence[str], *, feedback: bool, lag: str = "W"
) -> str:
    """The formula of an equation from its parts, for the short form of `mediate`."""
    terms = [*sources, *(f"{lag}*{source}" for source in lagged), *([f"{lag}*{response}"] if feedback else [])]
    return f"{response} ~ {' + '.join(terms)}"


def as_term(expression: str) -> str:
    """An expression as a term of a formula: arithmetic goes into I(...)."""
    return expression if len(split_at(expression, "+-*/^%")) == 1 else f"I({expression})"


def has_formula(text: str) -> bool:
    """Whether a text is an equation and not a response alone."""
    return len(split_at(text, "~")) > 1


def variables_of(expression: str) -> set[str]:
    """Names of the panel variables in an expression."""
    return set(variables_in(tidy(expression)))
