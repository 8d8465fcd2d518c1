"""The column names of a table, without reading the table; and which of them a study needs."""

from __future__ import annotations

from pathlib import Path

from spillover.errors import FileError
from spillover.models.formula import Formula, parse_formula
from spillover.panel.expressions import names_in
from spillover.study.config import StudyConfig


def read_columns(path: Path) -> list[str]:
    """Column names of a CSV, TSV, Parquet, Excel or Stata file.

    Raises `FileError` when the file is empty, binary where text is expected, or of an unknown kind.
    """
    suffix = path.suffix.lower()
    try:
        if suffix in (".csv", ".txt", ".tsv"):
            return _text_columns(path)
        if suffix in (".parquet", ".pq"):
            import pyarrow.parquet as parquet

            return [str(name) for name in parquet.read_schema(path).names]
        if suffix in (".xlsx", ".xlsm"):
            return _excel_columns(path)
        if suffix == ".dta":
            import pandas as pd

            with pd.read_stata(path, iterator=True) as reader:
                return [str(name) for name in reader.variable_labels()]
    except FileError:
        raise
    except Exception as error:  # the readers raise whatever they like on a damaged file
        raise FileError(
            f"the table {path.name!r} cannot be read",
            got=f"{type(error).__name__}: {str(error)[:120]}",
            expected=f"a {suffix} file",
            causes=("the file is damaged or was cut off", "its name does not say what it is"),
        ) from None
    raise FileError(
        f"the table {path.name!r} is of a kind that is not known",
        got=suffix or "no ending",
        expected=".csv, .tsv, .txt, .parquet, .xlsx or .dta",
    )


def formula_variables(formula: Formula) -> tuple[str, ...]:
    """The variables that a model formula uses, outcome first."""
    parts = [formula.response, *(factor for term in formula.terms for factor in term)]
    return tuple(dict.fromkeys(name for part in parts for name in names_in(part)))


def needed_columns(config: StudyConfig) -> tuple[str, ...]:
    """The numeric columns of the table that a study uses, in the order of first use."""
    used: list[str] = []
    made: set[str] = set()
    for item in config.derive:
        used += [name for name in names_in(item.expression) if name not in made]
        made.add(item.name)
    section = config.agglomeration
    keys = ("column",) if section.measure == "column" else ("sector", "total", "area")
    used += [name for name in (getattr(section, key) for key in keys) if name is not None]
    if config.innovation.column is not None:
        used.append(config.innovation.column)
    used += [indicator.column for indicator in config.innovation.indicators]
    for model in config.models:
        used += formula_variables(parse_formula(model.formula))
    made |= measure_names(config)
    return tuple(dict.fromkeys(name for name in used if name not in made))


def measure_names(config: StudyConfig) -> set[str]:
    """Names of the variables that the measures add; a column taken as it is may keep its name."""
    made = set()
    if not (config.agglomeration.measure == "column" and config.agglomeration.column == config.agglomeration.name):
        made.add(config.agglomeration.name)
    if config.innovation.indicators:
        made.add(config.innovation.index)
    return made


def _text_columns(path: Path) -> list[str]:
    import csv

    head = path.open("rb").read(1_000_000)
    if not head.strip():
        raise FileError(f"the table {path.name!r} is empty", expected="a header line and one row per region and period")
    if b"\0" in head:
        raise FileError(
            f"the table {path.name!r} is not text",
            got="binary content",
            causes=("an Excel file was renamed", "the file is compressed"),
            fix="save it as CSV in UTF-8, or keep its real ending (.xlsx, .parquet, .dta)",
        )
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # A character cut in two at the end of what was read is no mistake of the file.
        text = head[: error.start].decode("utf-8-sig") if error.start > len(head) - 4 else head.decode("latin-1")
    first = text.splitlines()[0]
    delimiter = max(",;\t", key=first.count)
    return [name.strip() for name in next(csv.reader([first], delimiter=delimiter))]


def _excel_columns(path: Path) -> list[str]:
    import openpyxl

    book = openpyxl.load_workbook(path, read_only=True)
    try:
        rows = book.worksheets[0].iter_rows(max_row=1, values_only=True)
        return [str(value) for value in next(iter(rows), ()) if value is not None]
    finally:
        book.close()
