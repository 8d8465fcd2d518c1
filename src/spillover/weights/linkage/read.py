"""Input–output tables from files as statistical offices publish them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from spillover.errors import OptionError, UnknownColumnError, ValueDomainError, check_option, show_labels
from spillover.panel.clean import to_numbers, to_text
from spillover.panel.tables import RawTable, clean_name, open_table
from spillover.typing import FloatArray
from spillover.weights.linkage.table import InputOutputTable

Several = str | Sequence[str] | None


def read_input_output(
    table: Any,
    *,
    code: str = "Code",
    label: str | None = None,
    rows: tuple[str, str] | None = None,
    output: str = "GO",
    final_use: Several = None,
    other_inputs: Several = None,
    imported: tuple[str, str] | None = None,
    negatives: Literal["error", "clip"] = "error",
    empty: Literal["error", "drop"] = "error",
    tolerance: float | None = 0.01,
    unit: str = "",
    encoding: str | None = None,
) -> InputOutputTable:
    """A table of flows: the sectors are the rows whose code is also the name of a column.

    Parameters
    ----------
    table : path or data frame. code, label : its columns with codes and names.
    rows : (column, text) that tell the rows of flows from others, such as ("Origin", "Domestic").
    output : gross output: a column, or the code of a row.
    final_use : one or several columns that add up to what is no input of a sector; "-IM" is subtracted.
    other_inputs : codes of one or several rows (value added, taxes) that add up to what is no input from a sector.
    imported : (column, text) of rows with imported inputs, which count as other inputs.
    negatives : "clip" makes negative flows zero; noted.
    empty : "drop" leaves out sectors without output and without flows; noted.
    tolerance : share of output by which rows and columns may miss it; None does not look.

    Raises
    ------
    UnknownColumnError : columns or rows that are not there. ValueDomainError : cells that are no numbers.
    WeightsError : no output, negative flows, not productive, not balanced (by how much).

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"Code": ["1", "2"], "1": [150, 200], "2": [500, 100], "GO": [1000, 2000]})
    >>> read_input_output(frame).leontief.round(4).tolist()  # Miller and Blair (2009), section 2.3
    [[1.2541, 0.33], [0.264, 1.1221]]
    """
    check_option("negatives", negatives, ("error", "clip"))
    check_option("empty", empty, ("error", "drop"))
    raw = open_table(table, encoding)
    codes = [to_text(cell) or "" for cell in raw.column(code, "code").tolist()]
    columns = set(raw.columns)
    inside = _rows_of(raw, rows) if rows is not None else np.ones(len(codes), dtype=bool)
    chosen = [k for k, name in enumerate(codes) if inside[k] and clean_name(name) in columns]
    sectors = tuple(codes[k] for k in chosen)
    if not sectors:
        raise UnknownColumnError(
            f"{raw.source} has no row whose code is the name of a column",
            got=f"codes {show_labels(codes)}; columns {show_labels(raw.columns, 12)}",
            causes=("codes read as numbers lost their leading zeros (1 for 01)", "the wrong column of codes"),
            fix='read the file with its codes as text, or give the path instead of a frame',
        )  # fmt: skip
    if len(set(sectors)) < len(sectors):
        raise OptionError(
            "the same sector has several rows",
            got=show_labels(sorted({name for name in sectors if sectors.count(name) > 1})),
            causes=("domestic and imported flows in one table",),
            fix='say which rows are meant, for example rows=("Origin", "Domestic")',
        )
    flows = np.column_stack([_numbers(raw, name)[chosen] for name in sectors])
    notes = list(raw.notes)
    x = _output(raw, output, codes, chosen, sectors)
    final = None if final_use is None else sum_columns(raw, final_use)[chosen]
    other = None
    if other_inputs is not None or imported is not None:
        other = np.zeros(len(sectors))
        for name in _listed(other_inputs):
            other = other + _row(raw, name, codes, sectors)
        if imported is not None:
            from_abroad = _rows_of(raw, imported)
            other = other + np.array([_numbers(raw, name)[from_abroad].sum() for name in sectors])
    if negatives == "clip" and (flows < 0.0).any():
        notes.append(f"{int((flows < 0).sum())} negative flows became zero, {flows[flows < 0].sum():.4g} in sum")
        flows = np.maximum(flows, 0.0)
    labels = sectors if label is None else tuple(str(raw.column(label, "label")[k]) for k in chosen)
    kept = np.ones(len(sectors), dtype=bool)
    if empty == "drop":
        kept = ~((x == 0.0) & (flows.sum(axis=0) == 0.0) & (flows.sum(axis=1) == 0.0))
        if not kept.all():
            notes.append(f"left out, without output: {show_labels(np.array(labels, dtype=object)[~kept], 20)}")
    made = InputOutputTable(
        sectors=tuple(np.array(sectors, dtype=object)[kept]),
        labels=tuple(np.array(labels, dtype=object)[kept]),
        flows=flows[np.ix_(kept, kept)],
        output=x[kept],
        final_use=None if final is None else final[kept],
        other_inputs=None if other is None else other[kept],
        unit=unit,
        notes=tuple(notes),
    )
    if tolerance is not None:
        made.check_balance(tolerance)
    return made


def _listed(names: Several) -> tuple[str, ...]:
    if names is None:
        return ()
    return (names,) if isinstance(names, str) else tuple(names)


def _rows_of(raw: RawTable, chosen: tuple[str, str]) -> np.ndarray:
    column, text = chosen
    cells = [to_text(cell) for cell in raw.column(column, "rows").tolist()]
    found = np.array([cell == text for cell in cells])
    if not found.any():
        raise UnknownColumnError(
            f"no row of {raw.source} has {text!r} in column {column!r}",
            expected="one of " + show_labels(sorted({cell for cell in cells if cell}), 12),
        )
    return found


def sum_columns(raw: RawTable, names: Several) -> FloatArray:
    """(r,) sum of columns; a name that begins with − is subtracted."""
    total = np.zeros(len(raw.lines))
    for name in _listed(names):
        minus = name[:1] in "-−"
        total = total + (-1.0 if minus else 1.0) * _numbers(raw, name[1:] if minus else name, blanks=True)
    return total


def _output(raw: RawTable, output: str, codes: list[str], chosen: list[int], sectors: tuple[str, ...]) -> FloatArray:
    if clean_name(output) in raw.columns:
        return _numbers(raw, output)[chosen] if output not in codes else _row(raw, output, codes, sectors)
    if output in codes:
        return _row(raw, output, codes, sectors)
    raise UnknownColumnError(
        f"{raw.source} has neither a column nor a row called {output!r}",
        expected=f"columns such as {show_labels(list(raw.columns)[-6:])}; rows such as {show_labels(codes[-6:])}",
        fix='name gross output with output="…"',
    )


def _row(raw: RawTable, name: str, codes: list[str], sectors: tuple[str, ...]) -> FloatArray:
    """(S,) numbers of a row of the table."""
    where = [k for k, each in enumerate(codes) if each == name]
    if len(where) != 1:
        raise UnknownColumnError(
            f"{raw.source} has {'no row' if not where else 'several rows'} with the code {name!r}",
            expected="one of " + show_labels([each for each in codes if each not in sectors], 12),
        )
    return np.array([_numbers(raw, sector, blanks=True)[where[0]] for sector in sectors])


def _numbers(raw: RawTable, column: str, blanks: bool = False) -> FloatArray:
    """A column as numbers; blanks below the flows (rows that have no such column) are zero."""
    found = to_numbers(raw.column(column, "numbers"))
    if found.bad:
        raise ValueDomainError(
            f"column {column!r} of {raw.source} has cells that are no numbers",
            got=show_labels(raw.row(k) for k in found.bad),
        )
    return np.nan_to_num(found.values, nan=0.0) if blanks else found.values
