"""`ComparisonTable`: what a table says, apart from how any format shows it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Number:
    """An estimate with its uncertainty; None where there is none."""

    estimate: float
    std_error: float | None = None
    p_value: float | None = None
    low: float | None = None
    high: float | None = None


Cell = Number | str | float | int | None
"""An estimate, a text, a statistic or a count; None where a column has nothing to say."""


@dataclass(frozen=True)
class Row:
    """One line: a label and a cell for each column."""

    label: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Section:
    """Lines that belong together: "Coefficients", "Direct effects", "Statistics"."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class ComparisonTable:
    """Fits side by side, frozen. Made by `spillover.tables.compare`.

    Attributes
    ----------
    columns : one heading per fit.
    sections : coefficients, effects by kind, statistics.
    notes, sources : what a reader should know, and where the methods are from.
    stars : mark p < 0.1, 0.05, 0.01 by *, **, ***.
    intervals : show interval limits beside standard errors.
    level : of the intervals.

    Names of regressors, columns and weights come from the user: every format escapes them, and no text can become a
    formula in a spreadsheet.
    """

    columns: tuple[str, ...]
    sections: tuple[Section, ...]
    notes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    stars: bool = False
    intervals: bool = True
    level: float = 0.95

    def to_text(self) -> str:
        """Aligned text for a screen; wide (East Asian) characters count as two columns."""
        from spillover.tables.text import to_text

        return to_text(self)

    def to_html(self) -> str:
        """One <table> without styles of its own but for alignment; all text escaped."""
        from spillover.tables.html import to_html

        return to_html(self)

    def to_latex(self) -> str:
        """A table environment for the booktabs package; all text escaped. Chinese names need XeLaTeX or LuaLaTeX."""
        from spillover.tables.latex import to_latex

        return to_latex(self)

    def to_word(self, path: str | Path) -> Path:
        """A .docx file; needs the extra "word" (python-docx). Raises `OutputError` when it is missing or on writing."""
        from spillover.tables.word import to_word

        return to_word(self, Path(path))

    def to_excel(self, path: str | Path) -> Path:
        """A .xlsx file with numbers as numbers in full precision. Raises `OutputError` when it cannot be written."""
        from spillover.tables.excel import to_excel

        return to_excel(self, Path(path))

    def to_csv(self, path: str | Path) -> Path:
        """A .csv file (UTF-8 with byte order mark), numbers in full precision. Raises `OutputError` likewise."""
        from spillover.tables.delimited import to_csv

        return to_csv(self, Path(path))

    def __str__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        return self.to_html()
