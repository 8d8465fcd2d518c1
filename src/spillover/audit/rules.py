"""The rules of the verdict, as data: a table in a file that a user can read and change."""

from __future__ import annotations

import ast
import operator
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal, get_args

from spillover.errors import FileError, OptionError, check_option, show_labels

VerdictName = Literal["stands", "fragile", "not supported", "not detectable"]
EFFECTS = ("own", "spillover")
KEYS = {"name", "effects", "verdict", "when", "facts", "because"}

COMPARISONS: dict[type, Callable[[float, float], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
ARITHMETIC: dict[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
FUNCTIONS: dict[str, Callable[..., float]] = {"abs": abs, "min": min, "max": max}


class UnknownFact(Exception):
    """A condition names a fact that these data could not give."""


@dataclass(frozen=True)
class Rule:
    """One row of the table.

    Attributes
    ----------
    name : what decides, in words.   effects : "own", "spillover" or both.   verdict : what follows.
    when : conditions, all of which must hold.   facts : names of the numbers that are quoted.
    because : sentences with facts in braces.
    """

    name: str
    effects: tuple[str, ...]
    verdict: VerdictName
    when: tuple[str, ...]
    facts: tuple[str, ...]
    because: tuple[str, ...]

    def __post_init__(self) -> None:
        check_option(f"verdict of the rule {self.name!r}", self.verdict, get_args(VerdictName))
        for effect in self.effects:
            check_option(f"effects of the rule {self.name!r}", effect, EFFECTS)
        for condition in self.when:
            _parse(condition, self.name)

    def applies(self, effect: str, facts: Mapping[str, float]) -> bool:
        """Whether it is about the effect and all its conditions are known to hold."""
        return effect in self.effects and all(_holds(each, effect, facts) for each in self.when)


def read_rules(source: str | os.PathLike[str] | Sequence[Rule] | None = None) -> tuple[Rule, ...]:
    """The rules of a file (TOML), given ones, or those of the package.

    Raises
    ------
    FileError : no such file, or not TOML.
    OptionError : keys, verdicts or conditions that are not understood; no last rule without conditions.
    """
    if source is None:
        text = resources.files("spillover.audit").joinpath("rules.toml").read_text(encoding="utf-8")
        return _parse_rules(text, "the rules of the package")
    if isinstance(source, str | os.PathLike):
        try:
            with open(source, encoding="utf-8") as file:
                return _parse_rules(file.read(), str(source))
        except OSError as error:
            raise FileError("the file of rules cannot be read", got=f"{source}: {error.strerror}") from None
    return _check_ends(tuple(source))


def _parse_rules(text: str, said: str) -> tuple[Rule, ...]:
    try:
        rows = tomllib.loads(text).get("rule", [])
    except tomllib.TOMLDecodeError as error:
        raise FileError("the file of rules is not TOML", got=f"{said}: {error}") from None
    return _check_ends(tuple(_rule(row, said) for row in rows))


def _rule(row: Mapping[str, Any], said: str) -> Rule:
    name = str(row.get("name", ""))
    missing, surplus = sorted(KEYS - set(row)), sorted(set(row) - KEYS)
    if missing or surplus:
        raise OptionError(
            f"the rule {name or '(without a name)'!r} has keys that are missing or not known",
            got=f"missing: {show_labels(missing) or 'none'}; not known: {show_labels(surplus) or 'none'} ({said})",
            expected=", ".join(sorted(KEYS)),
        )
    lists = {key: tuple(str(each) for each in row[key]) for key in ("effects", "when", "facts", "because")}
    return Rule(name, lists["effects"], row["verdict"], lists["when"], lists["facts"], lists["because"])


def _check_ends(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """Every effect must meet a rule without conditions, so that there is always a verdict."""
    for effect in EFFECTS:
        if not any(effect in rule.effects and not rule.when for rule in rules):
            raise OptionError(
                f"the rules can end without a verdict for {effect!r}",
                expected="a last rule without conditions (when = [])",
                fix="add one at the end",
            )
    return rules


# -- conditions -----------------------------------------------------------------------------------------


def _parse(condition: str, rule: str) -> ast.Compare:
    try:
        tree = ast.parse(condition, mode="eval").body
        if not isinstance(tree, ast.Compare) or len(tree.ops) != 1 or type(tree.ops[0]) not in COMPARISONS:
            raise SyntaxError
        for side in (tree.left, tree.comparators[0]):
            _check_side(side)
    except SyntaxError:
        raise OptionError(
            f"a condition of the rule {rule!r} is not understood",
            got=condition,
            expected='one comparison of facts and numbers with <, <=, > or >=, such as "errors.p_value >= 0.05"',
        ) from None
    return tree


def _check_side(node: ast.expr) -> None:
    if isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
        _check_side(node.left)
        _check_side(node.right)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        _check_side(node.operand)
    elif isinstance(node, ast.Call) and _is_known(node):
        for argument in node.args:
            _check_side(argument)
    elif isinstance(node, ast.Constant):
        if isinstance(node.value, bool) or not isinstance(node.value, int | float):
            raise SyntaxError
    else:
        _dotted(node)


def _is_known(node: ast.Call) -> bool:
    """abs(a), min(a, b), max(a, b)."""
    if not isinstance(node.func, ast.Name) or node.keywords or node.func.id not in FUNCTIONS:
        return False
    return len(node.args) == (1 if node.func.id == "abs" else 2)


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    raise SyntaxError


def look_up(name: str, effect: str, facts: Mapping[str, float]) -> float:
    """The fact of this effect, or the one of that very name; `UnknownFact` without either."""
    for key in (f"{name}.{effect}", name):
        if key in facts:
            return float(facts[key])
    raise UnknownFact(name)


def _value(node: ast.expr, effect: str, facts: Mapping[str, float]) -> float:
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left, effect, facts), _value(node.right, effect, facts)
        if isinstance(node.op, ast.Div) and right == 0.0:
            raise UnknownFact("a share of zero")
        return ARITHMETIC[type(node.op)](left, right)
    if isinstance(node, ast.UnaryOp):
        return -_value(node.operand, effect, facts)
    if isinstance(node, ast.Call):
        assert isinstance(node.func, ast.Name)
        return FUNCTIONS[node.func.id](*(_value(each, effect, facts) for each in node.args))
    if isinstance(node, ast.Constant):
        return float(node.value)  # type: ignore[arg-type]
    return look_up(_dotted(node), effect, facts)


def _holds(condition: str, effect: str, facts: Mapping[str, float]) -> bool:
    tree = _parse(condition, "")
    try:
        left, right = _value(tree.left, effect, facts), _value(tree.comparators[0], effect, facts)
    except UnknownFact:
        return False
    return bool(COMPARISONS[type(tree.ops[0])](left, right))


def names_of(rules: Sequence[Rule]) -> Iterator[str]:
    """Every name of a fact that the conditions mention."""
    for rule in rules:
        for condition in rule.when:
            for node in ast.walk(_parse(condition, rule.name)):
                if isinstance(node, ast.Attribute) and not any(
                    isinstance(other, ast.Attribute) and other.value is node
                    for other in ast.walk(_parse(condition, rule.name))
                ):
                    yield _dotted(node)
