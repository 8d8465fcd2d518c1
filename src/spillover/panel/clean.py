"""From cells to region ids, periods and numbers; what cannot be converted is reported, never guessed."""

from __future__ import annotations

import datetime
import decimal
import math
import numbers
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spillover.errors import ValueDomainError, show_labels
from spillover.panel.panel import Period
from spillover.panel.periods import has_order
from spillover.panel.tables import RawTable
from spillover.panel.wording import clean_text, count_of
from spillover.typing import FloatArray

MISSING_MARKS = frozenset({"", "NA", "NaN", "nan", "."})
"""Texts that statistical software writes for a missing cell (R, pandas, Stata and SAS)."""

_WHOLE_FLOAT = re.compile(r"[0-9]+\.0+")
_WHOLE = re.compile(r"[+-]?[0-9]+(\.0*)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ]00:00(:00(\.0+)?)?)?")
_EXACT = 2.0**53  # whole numbers beyond it are no longer told apart by a float
_TRUTH = {"true": 1.0, "false": 0.0}


def is_missing(cell: object) -> bool:
    """None, NaN, pandas' NA and NaT."""
    return cell is None or type(cell).__name__ in ("NAType", "NaTType") or (isinstance(cell, float) and cell != cell)


def to_text(cell: object) -> str | None:
    """A cell as an id: blanks around it and invisible signs removed, Unicode NFC, whole numbers without ".0"; None
    when missing.

    >>> to_text(110000.0), to_text(" 01001 "), to_text(float("nan")), to_text("")
    ('110000', '01001', None, None)
    """
    if isinstance(cell, str):
        return clean_text(cell) or None
    if is_missing(cell):
        return None
    if isinstance(cell, numbers.Integral) and not isinstance(cell, bool):
        return str(int(cell))
    if isinstance(cell, numbers.Real | decimal.Decimal):
        value = float(cell)
        return str(int(value)) if value.is_integer() else str(cell)
    if isinstance(cell, datetime.date):
        return cell.isoformat()[:10]
    return clean_text(str(cell)) or None


def to_ids(raw: RawTable, column: str, role: str, *, fractions: bool = False) -> tuple[list[str], list[str]]:
    """Text ids of a key column, and notes on what was changed.

    fractions : whether numbers such as 26.1 are ids (industry codes) or a mistake (regions).

    Raises `ValueDomainError` naming the rows whose id is missing or not a whole number.
    """
    cells = raw.column(column, role)
    texts = [to_text(cell) for cell in cells.tolist()]
    missing = [raw.row(k) for k, text in enumerate(texts) if text is None]
    if missing:
        raise ValueDomainError(
            f"{count_of(len(missing), 'row')} of {raw.source} without a {role} in column {column!r}",
            got=show_labels(missing),
            expected=f"a {role} in every row",
            causes=(
                "totals or notes below the table",
                "merged cells that were filled once only",
                "the code 'NA' was taken for a missing value when the frame was made",
            ),
            fix="fill in or remove these rows",
        )
    binary = [raw.row(k) for k, cell in enumerate(cells.tolist()) if isinstance(cell, bytes)]
    if binary:
        raise ValueDomainError(
            f"the {role} column {column!r} holds bytes, not texts",
            got=show_labels(binary),
            expected="texts, or whole numbers",
            fix=f'decode them first: frame["{column}"].str.decode("utf-8")',
        )
    long = [k for k, cell in enumerate(cells.tolist()) if isinstance(cell, float) and abs(cell) >= _EXACT]
    if long:
        raise ValueDomainError(
            f"{column!r} has numbers that are too long to be {role} ids: their last digits are lost",
            got=show_labels(f"{cells[k]} in {raw.row(k)}" for k in long),
            expected="texts, or whole numbers below 2 ** 53",
            fix="write the ids as texts",
        )
    odd = [k for k, cell in enumerate(cells.tolist()) if isinstance(cell, float) and not float(cell).is_integer()]
    if odd and not fractions:
        raise ValueDomainError(
            f"{column!r} has numbers that are no {role} ids",
            got=show_labels(f"{cells[k]} in {raw.row(k)}" for k in odd),
            expected="texts, or whole numbers",
            fix=f"name another column in {role}=…, or write its values as texts",
        )
    ids = [text for text in texts if text is not None]
    notes = _changed_ids(cells, ids, column)
    if role == "region" and are_whole_floats(ids):
        ids = whole_ids(ids)
        notes.append(f"ids of {column} are whole numbers written with a decimal point: 1.0 is 1")
    return ids, notes


def are_whole_floats(ids: Sequence[str]) -> bool:
    """Whether every id is a whole number that a program wrote with a decimal point."""
    return bool(ids) and all(_WHOLE_FLOAT.fullmatch(text) for text in ids)


def whole_ids(ids: Sequence[str]) -> list[str]:
    """Ids without their decimal point, when every one of them is a whole number written as a float.

    >>> whole_ids(["1.0", "20.0"]), whole_ids(["1.0", "26.1"])
    (['1', '20'], ['1.0', '26.1'])
    """
    return [text.split(".")[0] for text in ids] if are_whole_floats(ids) else list(ids)


def _changed_ids(cells: NDArray[Any], ids: list[str], column: str) -> list[str]:
    written = {cell for cell in cells.tolist() if isinstance(cell, str)}
    composed = sorted({str(to_text(text)) for text in written if unicodedata.normalize("NFC", text) != text})
    veiled = sorted({str(to_text(text)) for text in written if clean_text(text) != clean_text(text, seen_only=True)})
    padded = sorted({text for text in written if text.strip() != text})
    notes = []
    if composed:
        notes.append(f"{count_of(len(composed), 'id')} of {column} put into Unicode NFC: {show_labels(composed)}")
    if veiled:
        notes.append(f"invisible signs in {count_of(len(veiled), 'id')} of {column} removed: {show_labels(veiled)}")
    if padded:
        notes.append(
            f"blanks around {count_of(len(padded), 'id')} of {column} removed: {show_labels(map(repr, padded))}"
        )
    return notes


def to_periods(raw: RawTable, column: str) -> tuple[list[Period], list[str]]:
    """Periods of a key column: whole numbers as int, dates that are one per year as the year, else text.

    Raises `ValueDomainError` naming the rows whose period is missing or a fraction.
    """
    cells = raw.column(column, "period").tolist()
    texts, notes = to_ids(raw, column, "period")
    if all(_WHOLE.fullmatch(text) for text in texts):
        return [int(text.split(".")[0]) for text in texts], notes
    if all(isinstance(cell, datetime.date) or _DATE.fullmatch(str(cell).strip()) for cell in cells):
        dates = [text[:10] for text in texts]
        years = [int(date[:4]) for date in dates]
        if len(set(years)) == len(set(dates)):
            return list(years), [*notes, f"the dates of {column} are one per year: the year is the period"]
        return list(dates), notes
    order = "in the order of their numbers" if has_order(texts) else "in alphabetical order"
    return list(texts), [*notes, f"the periods of {column} are texts, {order}"]


@dataclass(frozen=True, eq=False)
class Numbers:
    """A column as numbers.

    Attributes
    ----------
    values : (r,) NaN where missing or bad.
    bad : positions of cells that are not numbers.
    marks : how many cells held which mark of a missing value ("NA": 3); blanks are not counted.
    """

    values: FloatArray
    bad: tuple[int, ...] = ()
    marks: tuple[tuple[str, int], ...] = ()

    @property
    def is_text(self) -> bool:
        """Whether the column has texts and not a single number."""
        return bool(self.bad) and bool(np.isnan(self.values).all())


def to_numbers(cells: NDArray[Any]) -> Numbers:
    """The cells of a column as numbers; booleans are 0 and 1, texts that are no numbers are `bad`.

    Thousands separators and decimal commas are not guessed: "1,234" is bad.

    >>> to_numbers(np.array(["1.5", "", "1,234"], dtype=object)).bad
    (2,)
    """
    if cells.dtype != object:
        return Numbers(cells.astype(float))
    listed = cells.tolist()
    plain = _plain_numbers(listed)
    if plain is not None:
        return Numbers(plain)
    truths = {text.strip().lower() for text in listed if isinstance(text, str)} - {
        mark.lower() for mark in MISSING_MARKS
    }
    known = _TRUTH if truths and truths <= set(_TRUTH) else {}  # "true" beside other texts stays a text
    values = np.full(len(cells), np.nan)
    bad: list[int] = []
    marks: Counter[str] = Counter()
    for k, cell in enumerate(listed):
        if isinstance(cell, str):
            text = cell.strip()
            if text in MISSING_MARKS:
                marks[text] += 1
                continue
            values[k] = known.get(text.lower(), _parse_number(text))
            if np.isnan(values[k]):
                bad.append(k)
        elif isinstance(cell, numbers.Real | decimal.Decimal | np.bool_):
            values[k] = _as_float(cell)
        elif not is_missing(cell):
            bad.append(k)
    del marks[""]
    return Numbers(values, tuple(bad), tuple(marks.items()))


def _plain_numbers(cells: list[Any]) -> FloatArray | None:
    """All cells at once when each is a text that is a number: the usual case, ten times as fast."""
    try:
        if any("_" in cell or not cell.isascii() for cell in cells):
            return None
        values = np.array([float(cell) for cell in cells])
    except (AttributeError, TypeError, ValueError):
        return None
    return None if np.isnan(values).any() else values


def _as_float(cell: Any) -> float:
    """Infinite when a whole number is too large."""
    try:
        return float(cell)
    except OverflowError:
        return math.inf


def _parse_number(text: str) -> float:
    """NaN for what is not a number; Python's own digit grouping with "_" and digits of other scripts are not."""
    if "_" in text or not text.isascii():
        return math.nan
    try:
        return float(text)
    except ValueError:
        return math.nan


def describe_gaps(periods: Sequence[Period], column: str) -> list[str]:
    """A note naming the whole-number periods that are absent between the first and the last.

    >>> describe_gaps([2015, 2016, 2018], "year")
    ['2017 is not in year: a gap, nothing was interpolated']
    >>> describe_gaps([2000, 2005, 2010], "year")
    []
    """
    years = [period for period in periods if isinstance(period, int)]
    if len(years) < 3 or len(years) != len(periods):
        return []
    step = math.gcd(*np.diff(years).tolist())
    absent = sorted(set(range(years[0], years[-1], step)) - set(years))
    if not absent:
        return []
    verb, noun = ("is", "a gap") if len(absent) == 1 else ("are", "gaps")
    return [f"{show_labels(absent, 12)} {verb} not in {column}: {noun}, nothing was interpolated"]
