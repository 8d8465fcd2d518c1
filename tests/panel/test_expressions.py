"""Arithmetic on panel variables: values, missing cells, time lags, and everything that is refused."""

from __future__ import annotations

import ast
import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillover.errors import FormulaError, SpilloverError, UnknownColumnError, ValueDomainError
from spillover.panel import Panel, evaluate, names_in

NAN = float("nan")


def panel(periods=(2016, 2018, 2019), is_panel=True):
    t = len(periods)
    x = np.array([[1.0, 0.0, 3.0], [4.0, 5.0, NAN]])[:, :t]
    return Panel(
        regions=("54", "65"),
        periods=periods,
        variables={"x": x, "R&D exp": x + 1, "创新": np.full((2, t), 2.0), "log": np.ones((2, t))},
        names=("Tibet", "65"),
        is_panel=is_panel,
    )


def same(expression, expected, given_panel=None):
    np.testing.assert_array_equal(evaluate(expression, given_panel or panel()), expected)


def test_arithmetic_follows_the_usual_precedence():
    same("1 + 2 * x ** 2 / 创新 - -x", [[3, 1, 13], [21, 31, NAN]])  # 1 + x² + x
    same("创新 ** 3 ** 1 ", np.full((2, 3), 8.0))
    same("+(x - x)", [[0, 0, 0], [0, 0, NAN]])


def test_odd_names_in_backticks_and_other_scripts():
    same("`R&D exp` - x", [[1, 1, 1], [1, 1, NAN]])
    same("创新", np.full((2, 3), 2.0))
    same("log(log)", np.zeros((2, 3)))  # a variable may be called like a function
    assert names_in("`R&D exp` * lag(创新, 2) / x + x + log(log)") == ("R&D exp", "创新", "x", "log")


def test_names_are_the_written_ones_not_pythons_compatibility_forms():
    # Python reads the identifier ﬁ (one ligature) as fi; the panel's column keeps its own spelling.
    ligature = Panel(("a",), (1,), {"ﬁrms": np.array([[7.0]])})
    assert names_in("ﬁrms") == ("ﬁrms",)
    assert evaluate("ﬁrms", ligature).tolist() == [[7.0]]


@pytest.mark.parametrize(
    ("expression", "function"),
    [
        ("log(`R&D exp`)", np.log),
        ("log1p(`R&D exp`)", np.log1p),
        ("exp(`R&D exp`)", np.exp),
        ("sqrt(`R&D exp`)", np.sqrt),
        ("abs(-`R&D exp`)", np.abs),
        ("asinh(`R&D exp`)", np.arcsinh),
    ],
)
def test_functions_are_numpys(expression, function):
    same(expression, function(panel()["R&D exp"]))


def test_lag_is_by_value_of_the_year_never_across_a_gap():
    # 2017 is absent: the lag of 2018 is missing; 2018 is the lag of 2019, and 2016 the second lag of 2018.
    same("lag(x)", [[NAN, NAN, 0], [NAN, NAN, 5]])
    same("lag(x, periods=2)", [[NAN, 1, NAN], [NAN, 4, NAN]])
    same("diff(x)", [[NAN, NAN, 3], [NAN, NAN, NAN]])
    same("diff(创新, 2)", [[NAN, 0, NAN], [NAN, 0, NAN]])


def test_lag_of_text_periods_is_by_the_numbers_in_them():
    same("lag(x)", [[NAN, 1, 0], [NAN, 4, 5]], panel(("2016H1", "2016H2", "2017H1")))
    same("lag(x)", [[NAN, NAN, 0], [NAN, NAN, 5]], panel(("M2", "M9", "M10")))  # M8 is not there
    same("lag(x, 3)", [[NAN, 1, 0], [NAN, 4, 5]], panel(("2016-03-31", "2016-06-30", "2016-09-30")))


@pytest.mark.parametrize(
    "periods",
    [("before", "during", "after"), ("2016X1", "2016X2", "2017X1"), ("M1", "M01", "M2"), ("2016-01-04", "2016-01-11")],
)
def test_lag_of_periods_without_an_order_is_refused(periods):
    with pytest.raises(FormulaError, match="which period comes before which") as caught:
        evaluate("diff(x)", panel(periods))
    assert periods[0] in str(caught.value)


def test_lag_that_is_missing_everywhere_is_refused():
    with pytest.raises(FormulaError, match="no two periods of the panel are 7 apart"):
        evaluate("lag(x, 7)", panel())
    with pytest.raises(FormulaError, match="cross-section"):
        evaluate("lag(x)", panel((0,), is_panel=False))


def test_missing_cells_stay_missing_even_to_the_power_of_zero():
    same("x ** 0", [[1, 1, 1], [1, 1, NAN]])
    same("1 ** x", [[1, 1, 1], [1, 1, NAN]])
    same("0 * x", [[0, 0, 0], [0, 0, NAN]])


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("log(x)", "log of zero or negative: x of Tibet (54) in 2018 = 0"),
        ("log(创新 - `R&D exp`)", "创新 - `R&D exp` of Tibet (54) in 2016 = 0 (and 3 more cells)"),
        ("log1p(x - 2)", "log1p of -1 or less: x - 2 of Tibet (54) in 2016 = -1"),
        ("sqrt(x - 1)", "square root of a negative number: x - 1 of Tibet (54) in 2018 = -1"),
        ("创新 / x", "division by zero: x of Tibet (54) in 2018 = 0"),
        ("x ** -1", "zero to a negative power: x of Tibet (54) in 2018 = 0"),
        ("(0 - 创新) ** 0.5", "a negative number to a fractional power"),
        ("exp(1000 * 创新)", "the result of exp is too large to be a number"),
        ("1 / 0", "division by zero: 0 = 0"),
    ],
)
def test_values_outside_a_domain_name_their_cells(expression, words):
    with pytest.raises(ValueDomainError) as error:
        evaluate(expression, panel())
    assert words in str(error.value)


def test_log_of_zero_says_what_to_do_about_it():
    with pytest.raises(ValueDomainError, match=r"asinh\(x\).*log1p\(x\)"):
        evaluate("log(x)", panel())


def test_cells_of_a_cross_section_have_no_period():
    with pytest.raises(ValueDomainError, match=r"x - 1 of Tibet \(54\) = 0"):
        evaluate("log(x - 1)", panel((0,), is_panel=False))


def test_infinite_variables_are_refused():
    with pytest.raises(ValueDomainError, match="infinite values in 'x'"):
        evaluate("1 / x", Panel(("a",), (1,), {"x": np.array([[np.inf]])}))


def test_unknown_names_get_a_suggestion():
    with pytest.raises(UnknownColumnError, match="Did you mean 'R&D exp'"):
        evaluate("log(`R&D expp`)", panel())


REFUSED = [
    "", "   ", "x.y", "x[0]", "__import__('os')", "log('x')", "x ^ 2", "x % 2", "x // 2", "x @ x", "x < 1", "x and x",
    "lambda: 1", "x if x else x", "[x]", "{x}", "(x, x)", "x := 1", "f'{x}'", "True", "None", "1j", "...", "~x",
    "not x", "log(x, 2)", "log()", "log(*x)", "log(x=x)", "lag(x, -1)", "lag(x, 0)", "lag(x, 1.5)", "lag(x, x)",
    "lag(x, True)", "lag(x, 1, periods=1)", "lag(periods=1)", "x.log()", "log(x)(x)", "eval('1')", "x y", "sqrt(x",
    "a`b`", "`x", "``", "x # + 1", "1e999", "9" * 400, "9" * 5000, "\x00", "(" * 5000, "-" * 5000 + "x",
    "+".join(["x"] * 3000), "x" * 20_000, "await x", "yield x", "x; x", "import os", "log10(x)",
]  # fmt: skip


@pytest.mark.parametrize("expression", REFUSED, ids=lambda text: repr(text[:20]))
def test_everything_else_is_refused_as_a_formula_error(expression):
    with pytest.raises(FormulaError) as error:
        evaluate(expression, panel())
    assert len(str(error.value)) < 2000  # a message stays readable whatever was written


@pytest.mark.parametrize("expression", [None, 3, ["x"]])
def test_something_that_is_no_text_is_refused(expression):
    with pytest.raises(FormulaError):
        evaluate(expression, panel())


def test_common_slips_get_their_fix():
    for expression, fix in {"ln(x)": r"log\(", "x ^ 2": r"\*\*", "log10(x)": r"log\(10\)", "sqr(x)": "sqrt"}.items():
        with pytest.raises(FormulaError, match=fix):
            evaluate(expression, panel())


def test_the_result_is_new_and_the_panel_unchanged():
    given_panel = panel()
    result = evaluate("x", given_panel)
    result[:] = -1.0
    assert given_panel["x"][0, 0] == 1.0
    assert evaluate("3", given_panel).shape == (2, 3)


@given(st.text(max_size=40))
def test_any_text_gives_values_or_one_of_our_errors(text):
    with contextlib.suppress(SpilloverError):
        assert evaluate(text, panel()).shape == (2, 3)


_numbers = st.floats(min_value=0.1, max_value=100.0).map(lambda value: repr(round(value, 3)))
_expressions = st.recursive(
    st.one_of(_numbers, st.sampled_from(["a", "b"])),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "*", "-"]), inner).map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
        inner.map(lambda text: f"-{text}"),
        inner.map(lambda text: f"asinh({text})"),
    ),
    max_leaves=8,
)


@given(_expressions)
def test_values_agree_with_python(expression):
    a, b = 1.25, 7.5
    small = Panel(("r",), (1,), {"a": np.array([[a]]), "b": np.array([[b]])})
    code = compile(ast.parse(expression, mode="eval"), "<test>", "eval")
    expected = eval(code, {"a": np.float64(a), "b": np.float64(b), "asinh": np.arcsinh})
    # the same operations in the same order and precision: equal to the last digit
    assert evaluate(expression, small)[0, 0] == expected
