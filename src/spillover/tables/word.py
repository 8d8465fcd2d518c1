"""A comparison table as a Word document, through python-docx (the extra "word")."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from spillover.errors import OutputError
from spillover.tables.delimited import not_written
from spillover.tables.table import ComparisonTable
from spillover.tables.words import clean, grid, remarks


def to_word(table: ComparisonTable, path: Path) -> Path:
    """One table and its notes; numbers as shown on screen."""
    docx = _docx()
    document = docx.Document()
    made = document.add_table(rows=0, cols=len(table.columns) + 1)
    made.style = "Light List"
    _add(made, ["", *(clean(column) for column in table.columns)], bold=True)
    for title, rows in grid(table):
        _add(made, [title, *("" for _ in table.columns)], bold=True)
        for row in rows:
            _add(made, row)
    for kind, text in remarks(table):
        document.add_paragraph(f"{kind}: {text}")
    try:
        document.save(str(path))
    except OSError as error:
        raise not_written(path, error) from None
    return path


def _docx() -> Any:
    try:
        return importlib.import_module("docx")
    except ImportError:
        raise OutputError(
            "Word files need the package python-docx, which is not installed",
            fix='pip install "spillover[word]", or use to_html() or to_excel(path)',
        ) from None


def _add(made: Any, values: list[str], *, bold: bool = False) -> None:
    right = importlib.import_module("docx.enum.text").WD_ALIGN_PARAGRAPH.RIGHT
    for i, (cell, value) in enumerate(zip(made.add_row().cells, values, strict=True)):
        paragraph = cell.paragraphs[0]
        paragraph.add_run(value).bold = bold
        if i:
            paragraph.alignment = right
