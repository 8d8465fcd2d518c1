"""Model formulas: Wilkinson grammar parsed by formulaic, factors evaluated by our own safe arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from spillover.errors import FormulaError
from spillover.panel.expressions import evaluate
from spillover.panel.panel import Panel
from spillover.typing import FloatArray


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
    from formulaic.parser import DefaultFormulaParser

    example = 'for example "log(patents) ~ log(lq) + log(rd)"'
    if "|" in text:
        raise FormulaError(
            "instruments (the part of a formula behind |) are not available in this version",
            got=text,
            fix="leave out the part behind |",
        )
    if text.count("~") != 1:
        raise FormulaError("a model formula has one ~ between outcome and regressors", got=text, expected=example)
    try:
        parsed = DefaultFormulaParser().get_terms(text)
        left, right = list(parsed.lhs), list(parsed.rhs)
    except Exception as error:  # formulaic raises many kinds; all mean that the text is not a formula
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FormulaError("the formula cannot be understood", got=f"{text} ({reason})", expected=example) from None
    if len(left) != 1:
        raise FormulaError("a model formula has exactly one outcome", got=text, expected=example)
    response = ":".join(factor.expr for factor in left[0].factors)
    intercept = any(_is_one(term) for term in right)
    terms = tuple(tuple(factor.expr for factor in term.factors) for term in right if not _is_one(term))
    if not terms:
        raise FormulaError("the formula has no regressor", got=text, expected=example)
    return Formula(text, response, terms, intercept)


def _is_one(term: object) -> bool:
    return [factor.expr for factor in term.factors] == ["1"]  # type: ignore[attr-defined]


def evaluate_term(factors: tuple[str, ...], panel: Panel) -> FloatArray:
    """The (n, t) product of the factors of one term."""
    product = evaluate(factors[0], panel)
    for factor in factors[1:]:
        product = product * evaluate(factor, panel)
    return np.asarray(product, dtype=float)
