"""The grammar of formulas: what is written is what is fitted."""

from __future__ import annotations

import numpy as np
import pytest

from spillover.models.formula import evaluate_term, parse_formula, term_name
from spillover.panel.panel import Panel


@pytest.fixture(scope="module")
def panel() -> Panel:
    rng = np.random.default_rng(0)
    names = ("y", "x", "z", "x-z", "R&D exp", "a:b", "100%", "W*x", "(Intercept)", "a|b", "a~b", "log")
    regions = tuple(f"r{i}" for i in range(4))
    return Panel(regions, (1, 2), {name: rng.uniform(1, 2, size=(4, 2)) for name in names})


@pytest.mark.parametrize(
    ("text", "names", "intercept"),
    [
        ("y ~ x + z", ("x", "z"), True),
        ("y~x+z - 1", ("x", "z"), False),
        ("y ~ 0 + x", ("x",), False),
        ("y ~ 1 + x:z", ("x:z",), True),
        ("log(y / z) ~ log( x ) + I(x ** 2)", ("log(x)", "I(x ** 2)"), True),
        ("y ~ log(x*1e-3) + lag(x, 1)", ("log(x * 0.001)", "lag(x, 1)"), True),
        ("y ~ -1 + x", ("x",), False),
        ("y ~ I(log(x)**2) + I(x):I(z)", ("I(log(x) ** 2)", "I(x):I(z)"), True),
    ],
)
def test_terms_and_intercept(text: str, names: tuple[str, ...], intercept: bool) -> None:
    formula = parse_formula(text)
    assert formula.names == names
    assert formula.intercept is intercept


@pytest.mark.parametrize("name", ["x-z", "R&D exp", "a:b", "100%", "W*x", "(Intercept)", "a|b", "a~b"])
def test_quoted_names_are_columns_whatever_signs_they_hold(name: str, panel: Panel) -> None:
    formula = parse_formula(f"`{name}` ~ `{name}`:x + log(`{name}`)")
    assert np.array_equal(evaluate_term((formula.response,), panel), panel[name])
    assert np.allclose(evaluate_term(formula.terms[0], panel), panel[name] * panel["x"])
    assert np.allclose(evaluate_term(formula.terms[1], panel), np.log(panel[name]))


def test_arithmetic_is_arithmetic(panel: Panel) -> None:
    formula = parse_formula("y**2 ~ I(x**2) + I(x - z) + I(x/z):z")
    assert np.allclose(evaluate_term((formula.response,), panel), panel["y"] ** 2)
    values = [evaluate_term(term, panel) for term in formula.terms]
    assert np.allclose(values, [panel["x"] ** 2, panel["x"] - panel["z"], panel["x"]])


def test_one_spelling_for_one_term() -> None:
    assert term_name(" log( price / cpi ) : `R&D exp` ") == "log(price / cpi):`R&D exp`"
