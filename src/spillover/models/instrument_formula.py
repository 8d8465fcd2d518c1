"""Formulas with instruments: "y ~ x | a ~ z" (exogenous x, endogenous a, excluded instruments z)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from spillover.errors import FormulaError, show_labels
from spillover.models.formula import parse_formula, parse_terms, split_at, tidy

EXAMPLE = 'for example "log(patents) ~ log(rd) | log(lq) ~ shift_share"'

Terms = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class InstrumentFormula:
    """A parsed formula in three parts; terms are products of factor expressions.

    Attributes
    ----------
    response : expression of the outcome.
    exogenous, endogenous, excluded : x, a and z; the last two are empty without "|".
    intercept : the model has one when no effects are removed.
    """

    text: str
    response: str
    exogenous: Terms
    endogenous: Terms
    excluded: Terms
    intercept: bool

    @property
    def exogenous_names(self) -> tuple[str, ...]:
        """Names of x as they appear in results."""
        return names_of(self.exogenous)

    @property
    def endogenous_names(self) -> tuple[str, ...]:
        """Names of a."""
        return names_of(self.endogenous)

    @property
    def excluded_names(self) -> tuple[str, ...]:
        """Names of z."""
        return names_of(self.excluded)


def names_of(terms: Terms) -> tuple[str, ...]:
    """ "log(lq)", "log(lq):policy" """
    return tuple(":".join(factors) for factors in terms)


@lru_cache(maxsize=256)
def parse_instrument_formula(text: str) -> InstrumentFormula:
    """Parse "y ~ x | a ~ z"; the part behind | may be left out.

    Raises
    ------
    FormulaError : not such a formula; fewer instruments than endogenous regressors (order condition);
        a term that stands in two parts.
    """
    parts = split_at(text, "|")
    if len(parts) > 2:
        raise FormulaError("a formula has at most one |", got=text, expected=EXAMPLE)
    if len(parts) == 1:
        plain = parse_formula(text)
        return InstrumentFormula(text, plain.response, plain.terms, (), (), plain.intercept)
    response, exogenous, intercept = _structural(parts[0], text)
    behind = split_at(parts[1], "~")
    if len(behind) != 2 or not all(part.strip() for part in behind):
        raise FormulaError("behind | stands: endogenous regressors ~ instruments", got=text, expected=EXAMPLE)
    endogenous, excluded = (parse_terms(part, text)[0] for part in behind)
    formula = InstrumentFormula(text, response, exogenous, endogenous, excluded, intercept)
    _check_parts(formula)
    return formula


def _structural(part: str, text: str) -> tuple[str, Terms, bool]:
    """(response, exogenous terms, intercept) of what stands before |."""
    sides = split_at(part, "~")
    if len(sides) != 2:
        raise FormulaError("a model formula has one ~ between outcome and regressors", got=text, expected=EXAMPLE)
    terms, intercept = parse_terms(sides[1], text)
    return tidy(sides[0]), terms, intercept


def _check_parts(formula: InstrumentFormula) -> None:
    roles = {
        "exogenous": formula.exogenous_names,
        "endogenous": formula.endogenous_names,
        "an instrument": formula.excluded_names,
    }
    seen: dict[str, str] = {formula.response: "the outcome"}
    for role, names in roles.items():
        for name in names:
            if name in seen:
                raise FormulaError(
                    f"{name!r} is {seen[name]} and {role} at once",
                    got=formula.text,
                    expected="every term in one part only; exogenous regressors instrument themselves",
                )
            seen[name] = role
    if len(formula.excluded) < len(formula.endogenous):
        raise FormulaError(
            "fewer instruments than endogenous regressors",
            got=f"{show_labels(formula.excluded_names)} for {show_labels(formula.endogenous_names)}",
            expected="at least one excluded instrument for each endogenous regressor",
            fix="add an instrument behind the second ~, or move a regressor before |",
        )
