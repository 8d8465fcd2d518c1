"""A comparison table as an Excel workbook with numbers as numbers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from spillover.tables.delimited import not_written
from spillover.tables.table import ComparisonTable
from spillover.tables.words import clean, remarks, tidy


def to_excel(table: ComparisonTable, path: Path) -> Path:
    """One sheet: section, term, quantity, a column per fit; notes and sources below. No text can be a formula."""
    from openpyxl import Workbook
    from openpyxl.styles import Alignment, Font

    book = Workbook()
    sheet: Any = book.active
    sheet.title = "comparison"
    _append(sheet, 1, ["section", "term", "quantity", *table.columns])
    for cell in sheet[1]:
        cell.font = Font(bold=True)
        cell.alignment = Alignment(wrap_text=True, vertical="top")
    at = 2
    for row in tidy(table):
        _append(sheet, at, row)
        at += 1
    for kind, text in remarks(table):
        at += 1
        _append(sheet, at, [kind, text])
    sheet.freeze_panes = "D2"
    for letter, width in zip("ABC", (18, 32, 26), strict=True):
        sheet.column_dimensions[letter].width = width
    try:
        book.save(path)
    except OSError as error:
        raise not_written(path, error) from None
    return path


def _append(sheet: Any, row: int, values: list[Any]) -> None:
    for column, value in enumerate(values, start=1):
        if value is None or (isinstance(value, float) and not math.isfinite(value)):
            continue
        cell = sheet.cell(row=row, column=column)
        if isinstance(value, str):
            cell.value = clean(value)
            cell.data_type = "s"  # a text beginning with "=" stays a text
            cell.quotePrefix = True
        else:
            cell.value = value
