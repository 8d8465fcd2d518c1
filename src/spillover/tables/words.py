"""How numbers and names look in a comparison table; shared by all formats."""

from __future__ import annotations

import math
import unicodedata

from spillover.tables.table import Cell, ComparisonTable, Number

MINUS = "\u2212"
# A spreadsheet takes a text that begins with one of these for a formula; East Asian locales read the wide forms so.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
STAR_NOTE = "* p < 0.1, ** p < 0.05, *** p < 0.01."


def clean(text: object) -> str:
    """Text on one line, without control characters, lone surrogates and marks that turn the direction of writing.

    >>> clean("a\\nb\\x00")
    'a b'
    """
    spaced = " ".join(str(text).split())
    # U+FFFE and U+FFFF are not allowed in XML, and so not in Word and Excel files.
    return "".join(c for c in spaced if unicodedata.category(c) not in ("Cc", "Cf", "Cs") and ord(c) & 0xFFFE != 0xFFFE)


def number(value: float) -> str:
    """Four significant digits, at most six decimals, a real minus; an exponent only when nothing else is readable.

    >>> number(-0.457077), number(1598.7153), number(0.00543396), number(3.2e-9)
    ('−0.4571', '1,599', '0.005434', '3.200e−09')
    """
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    size = abs(value)
    if not 1e-4 <= size < 1e7:
        return f"{value:.3e}".replace("-", MINUS)
    decimals = min(max(3 - math.floor(math.log10(size)), 0), 7)
    return f"{value:,.{decimals}f}".replace("-", MINUS)


def star(p_value: float | None) -> str:
    """*, **, *** below 0.1, 0.05, 0.01."""
    if p_value is None or not math.isfinite(p_value):
        return ""
    return "*" * sum(p_value < bar for bar in (0.1, 0.05, 0.01))


def lines(cell: Cell, table: ComparisonTable) -> list[str]:
    """What a cell shows: the estimate, (its standard error), [its interval]; one text for everything else.

    Log-likelihoods and other large statistics keep two decimals, so that differences can be read.
    """
    if cell is None:
        return [""]
    if isinstance(cell, Number):
        return _estimate(cell, table)
    if isinstance(cell, bool | str):
        return [clean(cell)]
    if isinstance(cell, int):
        return [f"{cell:,}"]
    if abs(cell) >= 100 and math.isfinite(cell):
        return [f"{cell:,.2f}".replace("-", MINUS)]
    return [number(cell)]


def _estimate(cell: Number, table: ComparisonTable) -> list[str]:
    """Estimate, error and limits with the decimals that give the error three digits."""
    mark = star(cell.p_value) if table.stars else ""
    error = cell.std_error
    if error is None:
        return [number(cell.estimate) + mark]

    def shown(value: float) -> str:
        largest = max(abs(cell.estimate), error)
        if not (math.isfinite(value) and 1e-4 <= error < 1e7 and largest < 1e9):
            return number(value)
        decimals = min(max(2 - math.floor(math.log10(error)), 0), 7)
        return f"{value:,.{decimals}f}".replace("-", MINUS)

    found = [shown(cell.estimate) + mark, f"({shown(error)})"]
    if table.intervals and cell.low is not None and cell.high is not None:
        found.append(f"[{shown(cell.low)}, {shown(cell.high)}]")
    return found


def grid(table: ComparisonTable) -> list[tuple[str, list[list[str]]]]:
    """(section title, rows of [label, cell, cell, …]) with every line of a cell as a row of its own."""
    found = []
    for section in table.sections:
        rows = []
        for row in section.rows:
            cells = [lines(cell, table) for cell in row.cells]
            for i in range(max(map(len, cells), default=1)):
                rows.append([clean(row.label) if i == 0 else "", *(c[i] if i < len(c) else "" for c in cells)])
        found.append((clean(section.title), rows))
    return found


def remarks(table: ComparisonTable) -> list[tuple[str, str]]:
    """("Note" or "Source", text) in the order shown."""
    notes = []
    uncertain = any(
        isinstance(c, Number) and c.std_error is not None for s in table.sections for r in s.rows for c in r.cells
    )
    if uncertain:
        shown = f"; {100 * table.level:g} % intervals in brackets" if table.intervals else ""
        notes.append(f"Standard errors in parentheses{shown}.")
    if table.stars:
        notes.append(STAR_NOTE)
    notes += [clean(note) for note in table.notes]
    return [("Note", note) for note in notes] + [("Source", clean(source)) for source in table.sources]


def tidy(table: ComparisonTable) -> list[list[str | float | int | None]]:
    """Rows [section, term, quantity, value per column] in full precision, for spreadsheets."""
    rows: list[list[str | float | int | None]] = []
    quantities = ["estimate", "std_error", "p_value", *(["low", "high"] if table.intervals else [])]
    for section in table.sections:
        for row in section.rows:
            if any(isinstance(cell, Number) for cell in row.cells):
                for quantity in quantities:
                    values = [getattr(cell, quantity) if isinstance(cell, Number) else None for cell in row.cells]
                    rows.append([clean(section.title), clean(row.label), _heading(quantity, table), *values])
            else:
                plain = [clean(cell) if isinstance(cell, str) else cell for cell in row.cells]
                rows.append([clean(section.title), clean(row.label), "", *plain])  # type: ignore[list-item]
    return rows


def _heading(quantity: str, table: ComparisonTable) -> str:
    share = f"{100 * table.level:g} %"
    return {"low": f"lower end of {share} interval", "high": f"upper end of {share} interval"}.get(
        quantity, quantity.replace("_", " ")
    )
