"""A comparison table as aligned text."""

from __future__ import annotations

import unicodedata

from spillover.tables.table import ComparisonTable
from spillover.tables.words import clean, grid, remarks


def to_text(table: ComparisonTable) -> str:
    """Labels left, numbers right, a rule between sections."""
    sections = grid(table)
    heading = ["", *(clean(column) for column in table.columns)]
    everything = [heading, *(row for _, rows in sections for row in rows)]
    widths = [max(_width(row[j]) for row in everything) for j in range(len(heading))]
    widths[0] = max([widths[0], *(_width(title) for title, _ in sections)])
    total = sum(widths) + 2 * (len(widths) - 1)
    lines = [_line(heading, widths), "─" * total]
    for title, rows in sections:
        lines += [title, *(_line(row, widths) for row in rows), "─" * total]
    lines += [f"{kind}: {text}" for kind, text in remarks(table)]
    return "\n".join(line.rstrip() for line in lines)


def _line(row: list[str], widths: list[int]) -> str:
    first = row[0] + " " * (widths[0] - _width(row[0]))
    return "  ".join([first, *(" " * (w - _width(text)) + text for text, w in zip(row[1:], widths[1:], strict=True))])


def _width(text: str) -> int:
    """Columns on a terminal: East Asian wide characters take two, combining marks none."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in ("W", "F") else 1 for c in text
    )
