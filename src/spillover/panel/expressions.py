"""Arithmetic on panel variables, written as text: "log(gdp / population)", "diff(log(`R&D exp`))".

The text is parsed with Python's `ast` and walked over a whitelist; nothing is ever executed, so an
expression from a study file cannot do more than arithmetic.
"""

from __future__ import annotations

import ast
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from spillover.errors import (
    FormulaError,
    SpilloverError,
    UnknownColumnError,
    ValueDomainError,
    did_you_mean,
    show_labels,
)
from spillover.panel.panel import Panel
from spillover.panel.periods import count_periods
from spillover.typing import BoolArray, FloatArray

FUNCTIONS = ("log", "log1p", "exp", "sqrt", "abs", "asinh", "lag", "diff")
"""Functions an expression may call; log is the natural logarithm."""

_ELEMENTWISE: dict[str, Callable[..., FloatArray]] = {
    "log": np.log,
    "log1p": np.log1p,
    "exp": np.exp,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "asinh": np.arcsinh,
}
_BINARY: dict[type[ast.operator], Callable[..., FloatArray]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
}
_GRAMMAR = f"names, numbers, + - * / **, parentheses and {', '.join(FUNCTIONS)}; `odd names` in backticks"
_MAX_LENGTH = 10_000  # far beyond any formula a person writes; keeps the parser's stack safe
_TIPS = {
    "ln": "write log(...), which is the natural logarithm",
    "log10": "write log(...) / log(10)",
    "log2": "write log(...) / log(2)",
    "I": "write the arithmetic without I(...)",
    "L": "write lag(...)",
    "D": "write diff(...)",
}


def evaluate(expression: str, panel: Panel) -> FloatArray:
    """The values of an arithmetic expression of panel variables.

    Parameters
    ----------
    expression : names of variables (odd ones in backticks), numbers, ``+ - * / **``, parentheses and
        the functions in `FUNCTIONS`. ``lag(x, periods=1)`` is the value of x in the period whose *value*
        is smaller by `periods`: where that year is not in the panel the lag is missing, never the year
        before the gap. Text periods are lagged when their numbers say how far apart they are (M1, 2010Q1, 2010-07);
        others are refused. ``diff(x)`` is x − lag(x).
    panel : n regions × t periods.

    Returns
    -------
    (n, t) new array; a missing cell (NaN) makes every result that uses it missing.

    Raises
    ------
    FormulaError : the text is not such an expression, or a lag is asked of a cross-section.
    UnknownColumnError : a name that the panel does not have.
    ValueDomainError : the log of zero or a negative number, the root of a negative number, a division
        by zero or an overflow; the cells are named.

    Examples
    --------
    >>> import numpy as np
    >>> panel = Panel(("a", "b"), (2017, 2019), {"x": np.array([[1.0, 2.0], [4.0, 8.0]])})
    >>> evaluate("2 * x / 4", panel).tolist()
    [[0.5, 1.0], [2.0, 4.0]]
    >>> evaluate("lag(x, 2)", panel).tolist()
    [[nan, 1.0], [nan, 4.0]]
    """
    parsed = _parse(expression)
    try:
        values = _Evaluator(parsed, panel).value(parsed.body)
    except RecursionError:
        raise _too_long(expression) from None
    return np.array(np.broadcast_to(values, panel.shape))


def names_in(expression: str) -> tuple[str, ...]:
    """The variables an expression uses, in the order of their first appearance, without backticks.

    Raises `FormulaError` when the text is not an expression.

    >>> names_in("log(gdp / `R&D exp`) + lag(gdp)")
    ('gdp', 'R&D exp')
    """
    parsed = _parse(expression)
    called = {id(node.func) for node in ast.walk(parsed.body) if isinstance(node, ast.Call)}
    names = [node for node in ast.walk(parsed.body) if isinstance(node, ast.Name) and id(node) not in called]
    names.sort(key=lambda node: node.col_offset)
    return tuple(dict.fromkeys(parsed.name(node) for node in names))


def divisors_in(expression: str) -> tuple[str, ...]:
    """The variables that an expression uses as divisors only: the population of "log(patents / population)".

    Raises `FormulaError` when the text is not an expression.

    >>> divisors_in("log(gdp / population)"), divisors_in("gdp / population + population")
    (('population',), ())
    """
    parsed = _parse(expression)
    below: set[str] = set()
    above: set[str] = set()

    def visit(node: ast.AST, divides: bool) -> None:
        if isinstance(node, ast.Name):
            (below if divides else above).add(parsed.name(node))
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            visit(node.left, divides)
            visit(node.right, not divides)
        elif isinstance(node, ast.Call):
            for argument in node.args:
                visit(argument, divides)
        else:
            for child in ast.iter_child_nodes(node):
                visit(child, divides)

    visit(parsed.body, False)
    return tuple(name for name in names_in(expression) if name in below - above)


@dataclass(frozen=True, slots=True)
class _Parsed:
    """A checked tree; `source` has each backticked name replaced by a placeholder identifier."""

    expression: str
    source: bytes  # UTF-8, because ast counts columns in bytes
    quoted: dict[str, str]
    body: ast.expr

    def name(self, node: ast.Name) -> str:
        """The variable as the user wrote it (ast itself rewrites identifiers to NFKC)."""
        written = self._segment(node)
        return self.quoted.get(written, written)

    def text(self, node: ast.expr) -> str:
        """The part of the expression that a node stands for."""
        written = self._segment(node)
        for placeholder, name in self.quoted.items():
            written = written.replace(placeholder, f"`{name}`")
        return " ".join(written.split())

    def _segment(self, node: ast.expr) -> str:
        return self.source[node.col_offset : node.end_col_offset].decode("utf-8")


def _parse(expression: str) -> _Parsed:
    if not isinstance(expression, str) or not expression.strip():
        raise FormulaError("an expression is empty or not a text", got=repr(expression)[:200], expected=_GRAMMAR)
    if len(expression) > _MAX_LENGTH:
        raise _too_long(expression)
    return _parse_text(expression)


@lru_cache(maxsize=512)
def _parse_text(expression: str) -> _Parsed:
    source, quoted = _replace_quoted(unicodedata.normalize("NFC", expression))
    if "#" in source:
        raise FormulaError(
            f"'#' in the expression {expression!r}: what follows it would be ignored",
            expected=_GRAMMAR,
            fix="put a name that contains '#' in backticks",
        )
    try:
        body = ast.parse(source, mode="eval").body
        parsed = _Parsed(expression, source.encode("utf-8"), quoted, body)
        _check(body, parsed)
    except (RecursionError, MemoryError):
        raise _too_long(expression) from None
    except (SyntaxError, ValueError) as problem:
        raise FormulaError(
            f"cannot read the expression {_clip(expression)!r}",
            got=str(getattr(problem, "msg", problem)),
            expected=_GRAMMAR,
            causes=("a bracket or operator is missing", "a name with spaces or symbols is not in backticks"),
            fix="write such names as `name` in backticks",
        ) from None
    return parsed


def _replace_quoted(expression: str) -> tuple[str, dict[str, str]]:
    """Each `quoted name` becomes an identifier that the expression does not contain."""
    pieces = expression.split("`")
    if len(pieces) % 2 == 0:
        raise FormulaError(f"a backtick is not closed in {expression!r}", expected="`name` with one on each side")
    prefix = "quoted"
    while prefix in expression:
        prefix += "_"
    quoted: dict[str, str] = {}
    pieces[::2] = [" ".join(piece.split()) for piece in pieces[::2]]  # a line break is a blank
    for k in range(1, len(pieces), 2):
        name = pieces[k].strip()
        if not name:
            raise FormulaError(f"there is no name between two backticks in {expression!r}")
        placeholder = f"{prefix}{k}_"
        quoted[placeholder] = name
        pieces[k] = f" {placeholder} "  # blanks, so that a`b` does not become one name
    return "".join(pieces).strip(), quoted


def _clip(text: str, limit: int = 200) -> str:
    return text if len(text) <= limit else text[:limit] + "…"


def _too_long(expression: str) -> FormulaError:
    return FormulaError(
        "an expression is too long or too deeply nested",
        got=f"{len(expression)} characters: {_clip(expression)!r}",
        fix="derive intermediate variables and use their names",
    )


# -- the whitelist ------------------------------------------------------------------------------


def _check(node: ast.expr, parsed: _Parsed) -> None:
    """Raise `FormulaError` for the first part of the tree that is not arithmetic."""
    match node:
        case ast.Name():
            return
        case ast.Constant(value=value) if isinstance(value, int | float) and not isinstance(value, bool):
            _number(value, parsed)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd(), operand=operand):
            _check(operand, parsed)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            _check(left, parsed)
            _check(right, parsed)
        case ast.Call():
            _check_call(node, parsed)
        case _:
            raise _not_arithmetic(node, parsed)


def _check_call(node: ast.Call, parsed: _Parsed) -> None:
    name = parsed.name(node.func) if isinstance(node.func, ast.Name) else parsed.text(node.func)
    if not isinstance(node.func, ast.Name) or name not in FUNCTIONS:
        raise FormulaError(
            f"{name!r} is not a function that expressions know",
            got=_clip(parsed.expression),
            expected=", ".join(FUNCTIONS),
            fix=_TIPS.get(name) or did_you_mean(name, FUNCTIONS) or None,
        )
    timed = name in ("lag", "diff")
    most = 2 if timed else 1
    keywords = [keyword.arg for keyword in node.keywords]
    wrong_keywords = bool(keywords) and (not timed or keywords != ["periods"] or len(node.args) != 1)
    if not 1 <= len(node.args) <= most or wrong_keywords:
        raise FormulaError(
            f"{name} is called with the wrong arguments",
            got=parsed.text(node),
            expected=f"{name}(x) or {name}(x, periods=2)" if timed else f"{name}(x)",
        )
    _check(node.args[0], parsed)
    if timed:
        _lag_length(node, parsed)


def _lag_length(node: ast.Call, parsed: _Parsed) -> int:
    """The whole number of periods of lag(x, periods=…)."""
    given = [*node.args[1:], *(keyword.value for keyword in node.keywords)]
    if not given:
        return 1
    periods = given[0].value if isinstance(given[0], ast.Constant) else None
    if type(periods) is not int or not 1 <= periods <= 1_000_000:
        raise FormulaError(
            "the length of a lag is a whole number of periods, 1 or more",
            got=parsed.text(node),
            expected="lag(x, periods=1)",
            fix="a lead (a value of the future) is not offered",
        )
    return periods


def _number(value: float, parsed: _Parsed) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = np.inf
    if not np.isfinite(number):
        raise FormulaError("a number in an expression is too large", got=_clip(parsed.expression))
    return number


def _not_arithmetic(node: ast.expr, parsed: _Parsed) -> FormulaError:
    fix = None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitXor):
        fix = "write ** for powers: x ** 2"
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        fix = "write names without quotes, or in backticks when they contain blanks or symbols"
    return FormulaError(
        f"{parsed.text(node)!r} cannot be part of an expression",
        got=_clip(parsed.expression),
        expected=_GRAMMAR,
        causes=("a name with spaces, dots or symbols is not in backticks", "a comparison, an index or a method call"),
        fix=fix,
    )


# -- the values ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Evaluator:
    """Values of a checked tree: () arrays for constants, (n, t) for everything else."""

    parsed: _Parsed
    panel: Panel

    def value(self, node: ast.expr) -> FloatArray:
        match node:
            case ast.Constant(value=value):
                return np.asarray(_number(value, self.parsed))  # type: ignore[arg-type]
            case ast.Name():
                return self._variable(node)
            case ast.UnaryOp(op=op, operand=operand):
                return np.negative(self.value(operand)) if isinstance(op, ast.USub) else self.value(operand)
            case ast.BinOp(left=left, op=op, right=right):
                return self._combine(node, type(op), self.value(left), self.value(right))
            case ast.Call(func=ast.Name() as func):
                name = self.parsed.name(func)
                inner = self.value(node.args[0])
                return self._shift(node, name, inner) if name in ("lag", "diff") else self._apply(node, name, inner)
        raise _not_arithmetic(node, self.parsed)

    def _variable(self, node: ast.Name) -> FloatArray:
        name = self.parsed.name(node)
        if name not in self.panel:
            raise UnknownColumnError(
                f"the panel has no variable {name!r}",
                got=_clip(self.parsed.expression),
                expected="one of " + show_labels(self.panel.variables, 12),
                fix=did_you_mean(name, self.panel.variables) or "see panel.describe() and panel.log for what was read",
            )
        values = self.panel[name]
        self._refuse(np.isinf(values), values, f"infinite values in {name!r}", name)
        return values

    def _apply(self, node: ast.Call, name: str, x: FloatArray) -> FloatArray:
        argument = self.parsed.text(node.args[0])
        if name == "log":
            fix = (
                f"use asinh({argument}) (keeps zeros and signs, close to log for large values), "
                f"log1p({argument}) (changes with the unit of measurement), "
                "or leave those regions or periods out by name"
            )
            self._refuse(x <= 0, x, "log of zero or negative", argument, fix)
        elif name == "log1p":
            self._refuse(x <= -1, x, "log1p of -1 or less", argument, f"use asinh({argument})")
        elif name == "sqrt":
            self._refuse(x < 0, x, "square root of a negative number", argument, "check the sign of the variable")
        with np.errstate(all="ignore"):
            result = _ELEMENTWISE[name](x)
        self._refuse(np.isinf(result), x, f"the result of {name} is too large to be a number", argument)
        return result

    def _combine(self, node: ast.BinOp, op: type[ast.operator], x: FloatArray, y: FloatArray) -> FloatArray:
        left, right = self.parsed.text(node.left), self.parsed.text(node.right)
        if op is ast.Div:
            fix = "leave those regions or periods out by name, or divide by a variable that is never zero"
            self._refuse((y == 0) & ~np.isnan(x), y, "division by zero", right, fix)
        if op is ast.Pow:
            self._refuse((x == 0) & (y < 0), x, "zero to a negative power", left)
            self._refuse((x < 0) & (y != np.floor(y)), x, "a negative number to a fractional power", left)
        with np.errstate(all="ignore"):
            result = _BINARY[op](x, y)
            if op is ast.Pow:  # numpy takes nan ** 0 for 1; a missing cell stays missing here
                result = np.where(np.isnan(x) | np.isnan(y), np.nan, result)
        self._refuse(np.isinf(result), x, f"the result of {self.parsed.text(node)} is too large to be a number", left)
        return result

    def _shift(self, node: ast.Call, name: str, x: FloatArray) -> FloatArray:
        length = _lag_length(node, self.parsed)
        sources = _lag_sources(self.panel, length, self.parsed.text(node))
        if not any(source is not None for source in sources):
            raise _no_lag(self.panel, length, self.parsed.text(node))
        x = np.broadcast_to(x, self.panel.shape)
        lagged = np.full(self.panel.shape, np.nan)
        for j, source in enumerate(sources):
            if source is not None:
                lagged[:, j] = x[:, source]
        return lagged if name == "lag" else x - lagged

    def _refuse(self, bad: BoolArray, shown: FloatArray, what: str, of: str, fix: str | None = None) -> None:
        """Raise `ValueDomainError` naming the cells in which `bad` holds."""
        if not np.any(bad):
            return
        if np.ndim(bad) == 0:
            cells = [f"{of} = {float(shown):.6g}"]
        else:
            values = np.broadcast_to(shown, self.panel.shape)
            cells = [f"{of} {self._cell(i, j)} = {values[i, j]:.6g}" for i, j in np.argwhere(bad)]
        raise ValueDomainError(
            f"{what}: {cells[0]}" + (f" (and {len(cells) - 1} more cells)" if len(cells) > 1 else ""),
            got=f"expression {_clip(self.parsed.expression)}; {show_labels(cells)}",
            causes=("zeros stand for small or suppressed values", "the columns or their order are not the ones meant"),
            fix=fix,
        )

    def _cell(self, i: int, j: int) -> str:
        """ "of Tibet (54) in 2011"."""
        region, name = self.panel.regions[i], self.panel.names[i]
        place = region if name == region else f"{name} ({region})"
        return f"of {place} in {self.panel.periods[j]}" if self.panel.is_panel else f"of {place}"


def _lag_sources(panel: Panel, length: int, text: str) -> list[int | None]:
    """For each period the column that holds its lag, or None where that period is not in the panel."""
    counts = count_periods(panel.periods)
    if counts is None:
        raise FormulaError(
            f"{text}: which period comes before which cannot be told from the names of the periods",
            got=f"periods {show_labels(panel.periods, 12)}",
            expected="whole numbers (2010), or texts such as 2010Q1, 2010-07, M1 or wave 1",
            fix="write the periods as whole numbers that count them",
        )
    column = {count: j for j, count in enumerate(counts)}
    return [column.get(count - length) for count in counts]


def _no_lag(panel: Panel, length: int, text: str) -> SpilloverError:
    gaps = sorted({b - a for a, b in pairwise(count_periods(panel.periods) or ())})
    return FormulaError(
        f"{text} is missing everywhere: no two periods of the panel are {length} apart",
        got=f"periods {show_labels(panel.periods, 12)}" if panel.is_panel else "a cross-section without periods",
        expected="a panel in which some periods are that far apart",
        fix=f"the periods are {show_labels(gaps)} apart: write periods={gaps[0]}" if gaps else None,
    )
