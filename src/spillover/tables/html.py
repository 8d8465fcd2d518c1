"""A comparison table as an HTML fragment."""

from __future__ import annotations

from html import escape

from spillover.tables.table import ComparisonTable
from spillover.tables.words import clean, grid, remarks


def to_html(table: ComparisonTable) -> str:
    """<table> with a head, a body per section and a foot of notes; every text is escaped."""
    heads = "".join(f'<th scope="col" style="text-align:right">{_safe(column)}</th>' for column in table.columns)
    parts = ['<table class="spillover-comparison">', f"<thead><tr><td></td>{heads}</tr></thead>"]
    span = len(table.columns) + 1
    for title, rows in grid(table):
        parts.append(
            f'<tbody><tr><th scope="rowgroup" colspan="{span}" style="text-align:left">{_safe(title)}</th></tr>'
        )
        parts += [_row(row) for row in rows]
        parts.append("</tbody>")
    foot = "".join(f'<tr><td colspan="{span}">{kind}: {_safe(text)}</td></tr>' for kind, text in remarks(table))
    parts += [f"<tfoot>{foot}</tfoot>", "</table>"]
    return "\n".join(parts)


def _row(row: list[str]) -> str:
    label = (
        f'<th scope="row" style="text-align:left;font-weight:normal">{_safe(row[0])}</th>' if row[0] else "<td></td>"
    )
    cells = "".join(f'<td style="text-align:right">{_safe(text)}</td>' for text in row[1:])
    return f"<tr>{label}{cells}</tr>"


def _safe(text: str) -> str:
    return escape(clean(text), quote=True)
