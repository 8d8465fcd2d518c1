"""A comparison table as LaTeX (booktabs)."""

from __future__ import annotations

from spillover.tables.table import ComparisonTable
from spillover.tables.words import MINUS, clean, grid, remarks

SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "[": "{[}",
    "]": "{]}",
    "*": r"\textasteriskcentered{}",
    MINUS: r"\ensuremath{-}",
    "×": r"\ensuremath{\times}",
    "→": r"\ensuremath{\to}",
    "ρ": r"\ensuremath{\rho}",
    "λ": r"\ensuremath{\lambda}",
    "θ": r"\ensuremath{\theta}",
    "β": r"\ensuremath{\beta}",
    "σ": r"\ensuremath{\sigma}",
    "μ": r"\ensuremath{\mu}",
    "²": r"\ensuremath{^2}",
}


def to_latex(table: ComparisonTable) -> str:
    r"""A table environment; needs \usepackage{booktabs}. Every character that TeX would act on is escaped."""
    span = len(table.columns) + 1
    lines = [r"\begin{table}", r"\centering", rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}", r"\toprule"]
    lines += [" & ".join(["", *(escape(column) for column in table.columns)]) + r" \\", r"\midrule"]
    for i, (title, rows) in enumerate(grid(table)):
        if i:
            lines.append(r"\midrule")
        lines.append(rf"\multicolumn{{{span}}}{{l}}{{\emph{{{escape(title)}}}}} \\")
        lines += [" & ".join(escape(text) for text in row) + r" \\" for row in rows]
    lines.append(r"\bottomrule")
    lines += [
        rf"\multicolumn{{{span}}}{{p{{0.9\linewidth}}}}{{\footnotesize {kind}: {escape(text)}}} \\"
        for kind, text in remarks(table)
    ]
    return "\n".join([*lines, r"\end{tabular}", r"\end{table}"])


def escape(text: str) -> str:
    r"""Text that TeX sets as it stands.

    >>> escape("R&D_100%")
    'R\\&D\\_100\\%'
    """
    return "".join(SPECIAL.get(character, character) for character in clean(text))
