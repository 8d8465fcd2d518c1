"""A comparison table as CSV that is safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

from spillover.errors import OutputError
from spillover.tables.table import ComparisonTable
from spillover.tables.words import FORMULA_STARTS, clean, remarks, tidy


def csv_text(table: ComparisonTable) -> str:
    """Columns section, term, quantity, then one per fit; notes and sources below. Numbers as Python writes them."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(["section", "term", "quantity", *(_cell(column) for column in table.columns)])
    writer.writerows([_cell(value) for value in row] for row in tidy(table))
    writer.writerows([kind.lower(), _cell(text)] for kind, text in remarks(table))
    return "\ufeff" + stream.getvalue()


def _cell(value: str | float | int | None) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if not isinstance(value, str):
        return repr(value if isinstance(value, int) else float(value))
    text = clean(value)
    return "'" + text if text.startswith(FORMULA_STARTS) else text


def to_csv(table: ComparisonTable, path: Path) -> Path:
    """Write `csv_text`; returns the path."""
    try:
        path.write_text(csv_text(table), encoding="utf-8", newline="")
    except OSError as error:
        raise not_written(path, error) from None
    return path


def not_written(path: Path, error: OSError) -> OutputError:
    """The error for a file that cannot be written."""
    return OutputError(
        f"the table cannot be written to {path}",
        got=error.strerror or str(error),
        causes=("the folder does not exist", "the file is open in another program", "no right to write there"),
        fix="choose another path",
    )
