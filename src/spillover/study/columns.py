"""The columns of a table, and which of them a study needs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from spillover.errors import UnknownColumnError, did_you_mean, show_labels
from spillover.models.formula import Formula, parse_formula, plain, tidy, variables_in
from spillover.panel.expressions import divisors_in, names_in
from spillover.panel.tables import open_table
from spillover.study.config import AgglomerationSection, MechanismsSection, ModeratorsSection, StudyConfig


def read_columns(path: Path, encoding: str | None = None) -> list[str]:
    """Column names of a table; raises `FileError` when it is empty, binary, damaged or of an unknown kind."""
    return list(open_table(path, encoding).columns)


def formula_variables(formula: Formula) -> tuple[str, ...]:
    """The variables that a model formula uses, outcome first."""
    parts = [formula.response, *(factor for term in formula.terms for factor in term)]
    return tuple(dict.fromkeys(name for part in parts for name in variables_in(part)))


def variables_in_table(formula: Formula, path: Path, encoding: str | None = None) -> tuple[str, ...]:
    """The variables that a formula uses, all of which are columns of a table.

    Raises `UnknownColumnError` where they are not; `FileError` as `read_columns`.
    """
    variables, columns = formula_variables(formula), read_columns(path, encoding)
    unknown = [name for name in variables if name not in columns]
    if unknown:
        hints = [hint for name in unknown if (hint := did_you_mean(name, columns))]
        raise UnknownColumnError(
            f"the formula names columns that {path.name} does not have",
            got=show_labels(unknown),
            expected="one of " + show_labels(columns, 20),
            fix=" ".join(hints) or None,
        )
    return variables


def needed_columns(config: StudyConfig) -> tuple[str, ...]:
    """The numeric columns of the table that a study uses, in the order of first use."""
    used: list[str] = []
    made: set[str] = set()
    for item in config.derive:
        used += [name for name in names_in(item.expression) if name not in made]
        made.add(item.name)
    used += [name for _, name in agglomeration_columns(config.agglomeration)]
    if config.innovation.column is not None:
        used.append(config.innovation.column)
    used += [indicator.column for indicator in config.innovation.indicators]
    used += [item.variable for item in config.weights if item.variable is not None]
    for model in config.models:
        used += formula_variables(parse_formula(model.formula))
    if config.distance is not None and config.distance.formula is not None:
        used += formula_variables(parse_formula(config.distance.formula))
    if config.mechanisms is not None:
        used += mechanism_variables(config.mechanisms)
    if config.moderators is not None:
        used += moderator_variables(config.moderators)
    made |= measure_names(config)
    return tuple(dict.fromkeys(name for name in used if name not in made))


def mechanism_variables(section: MechanismsSection) -> tuple[str, ...]:
    """The variables that [mechanisms] names, beside those of the main model; FormulaError for what cannot be read."""
    used: list[str] = []
    for text in (section.outcome, section.treatment, *(section.controls or ())):
        used += _variables(text) if text is not None else ()
    for channel in section.channels:
        used += _variables(channel.mediator, channel.name)
    return tuple(dict.fromkeys(used))


def moderator_variables(section: ModeratorsSection) -> tuple[str, ...]:
    """The variables that [moderators] names, beside those of the main model; FormulaError for what cannot be read."""
    texts = [section.outcome, section.treatment, *(section.controls or ())]
    texts += [item.moderator for item in section.interactions]
    texts += list(section.environment.parts.values()) if section.environment else []
    texts += [item.variable for item in section.thresholds]
    texts += [term.removeprefix("W*") for item in section.thresholds for term in item.switching]
    texts += [item.moderator for item in section.strengths]
    return tuple(dict.fromkeys(name for text in texts if text is not None for name in variables_in(plain(text))))


def ingredients(expression: str, config: StudyConfig) -> frozenset[str]:
    """The columns that an expression is made of, through [[derive]] and the index, without what it only divides by."""
    derived = {item.name: item.expression for item in config.derive}
    text = plain(expression)
    found: set[str] = set()
    for name in set(variables_in(text)) - set(divisors_in(text)):
        if name in derived:
            found |= ingredients(derived[name], config)
        elif name == config.innovation.index and config.innovation.indicators:
            found |= {indicator.column for indicator in config.innovation.indicators}
        else:
            found.add(name)
    return frozenset(found)


def equation_lags(text: str) -> tuple[str, ...]:
    """The names of the W's by which an equation lags; none for an expression."""
    from spillover.mechanisms.equation import has_formula, parse_equation

    return tuple(parse_equation("", text).lag_names) if has_formula(text) else ()


def _variables(text: str, name: str = "outcome") -> tuple[str, ...]:
    """The variables of an expression, or of an equation with its spatial lags."""
    from spillover.mechanisms.equation import has_formula, parse_equation

    if not has_formula(text):
        return variables_in(tidy(text))
    equation = parse_equation(name, text)
    return tuple(name for part in (equation.response, *equation.expressions) for name in variables_in(tidy(part)))


def find_term(text: str, terms: Iterable[str]) -> str | None:
    """The term that `text` means, blanks aside; None when there is none.

    >>> find_term("log(price/cpi)", ["log(ndi / cpi)", "log(price / cpi)"])
    'log(price / cpi)'
    """
    bare = "".join(text.split())
    return next((term for term in terms if "".join(term.split()) == bare), None)


def agglomeration_columns(section: AgglomerationSection) -> list[tuple[str, str]]:
    """(key, column) of the panel columns that agglomeration is measured from."""
    if section.measure == "column":
        keys: tuple[str, ...] = ("column",)
    elif section.table is not None:  # sector and total are then industries of another table
        keys = ("area",) if section.measure == "density" else ()
    else:
        keys = ("sector", "total") if section.measure == "location-quotient" else ("sector", "area")
    return [(key, getattr(section, key)) for key in keys if getattr(section, key) is not None]


def measure_names(config: StudyConfig) -> set[str]:
    """Names of the variables that the measures add; a column taken as it is may keep its name."""
    made = set()
    if not (config.agglomeration.measure == "column" and config.agglomeration.column == config.agglomeration.name):
        made.add(config.agglomeration.name)
    if config.innovation.indicators:
        made.add(config.innovation.index)
    return made
