"""`read_panel`: from a long table (and a map) to a `Panel`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spillover.errors import (
    OptionError,
    PanelError,
    UnknownColumnError,
    ValueDomainError,
    check_option,
    did_you_mean,
    show_labels,
)
from spillover.panel.clean import Numbers, to_numbers, to_text
from spillover.panel.geometry import POLICIES, MatchedMap, read_map
from spillover.panel.keys import Keys, read_keys, require_unique
from spillover.panel.panel import Panel
from spillover.panel.tables import RawTable, clean_name, open_table
from spillover.panel.wording import count_of
from spillover.typing import FloatArray


def read_panel(
    table: Any,
    *,
    region: str,
    period: str | None = None,
    geometry: Any = None,
    geometry_id: str | None = None,
    name: str | None = None,
    groups: Sequence[str] = (),
    columns: Sequence[str] | None = None,
    units: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    geometry_policy: str = "error",
    encoding: str | None = None,
) -> Panel:
    """A panel from a long table: one row per region and period, one column per variable.

    Parameters
    ----------
    table : path to a .csv, .tsv, .parquet, .xlsx, .xls or .dta file, or any data frame (pandas, polars,
        pyarrow, …).
    region : column with the region ids. Ids are text: "01001" keeps its zero, 110000.0 becomes "110000",
        blanks around them go, Unicode is put into NFC.
    period : column with the periods: whole numbers, texts, or dates (one per year: the year). Without it
        the table is a cross-section.
    geometry : path to GeoJSON, GeoPackage or Shapefile, or a GeoDataFrame; matched by region id.
    geometry_id : column of the map with the region ids; the one named as `region` by default, else the one
        that contains them all.
    name : column with display names, of the table or else of the map.
    groups : columns that are constant within each region (country, macro-region), kept as text.
    columns : variables to read; every numeric column by default.
    units, labels : variable → unit, display label. Labels of a Stata file are kept where none is given.
    geometry_policy : "error" (table and map have the same regions) or "table" (surplus map regions are
        left out, logged).
    encoding : of a text file; UTF-8 by default.

    Returns
    -------
    Panel of n regions × t periods; blank cells and absent rows are NaN. `panel.log` says what was done.

    Raises
    ------
    FileError : a file is missing, empty, binary, damaged, in another encoding, or has no rows.
    UnknownColumnError : a column that the table or the map does not have.
    DuplicateKeyError : a region and period in more than one row.
    ValueDomainError : missing keys, infinite values, or texts in a column listed in `columns`.
    AlignmentError : table and map do not have the same regions.
    PanelError : groups that change in time, columns of the same name.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"id": [2, 1, 1], "year": [2001, 2000, 2001], "rd": [4.0, 1.0, 2.0]})
    >>> panel = read_panel(frame, region="id", period="year", units={"rd": "persons"})
    >>> panel.regions, panel.periods, panel["rd"].tolist()
    (('1', '2'), (2000, 2001), [[1.0, 2.0], [nan, 4.0]])
    """
    check_option("geometry_policy", geometry_policy, POLICIES)
    groups, columns = _as_names("groups", groups), None if columns is None else _as_names("columns", columns)
    raw = open_table(table, encoding)
    _require_known(raw, columns or (), "columns")
    _require_known(raw, (*(units or {}), *(labels or {})), "units or labels")
    keys = read_keys(raw, region, period)
    require_unique(raw, keys)
    grouped = {each: _read_group(raw, keys, each) for each in groups}
    matched = None
    if geometry is not None:
        matched = read_map(geometry, keys.regions, region=region, geometry_id=geometry_id, policy=geometry_policy)
    names, name_notes = _read_names(raw, keys, name, matched)
    used = {clean_name(each) for each in (region, period, name, *groups) if each is not None}
    variables = _read_variables(raw, keys, columns, used)
    return Panel(
        regions=keys.regions,
        periods=keys.periods,
        variables=variables.arrays,
        units={clean_name(each): text for each, text in (units or {}).items()},
        labels=_labels(raw, variables.arrays, labels or {}),
        groups=grouped,
        names=names,
        geometry=None if matched is None else matched.geometry.set_axis(list(keys.regions), axis=0),
        is_panel=keys.is_panel,
        log=(
            *raw.notes,
            *keys.notes,
            *_absent_rows(keys, names),
            *variables.notes,
            *name_notes,
            *(matched.notes if matched else ()),
        ),
    )


def _as_names(option: str, names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str):
        raise OptionError(f"{option} is a list of column names", got=repr(names), fix=f"write {option}=[{names!r}]")
    return tuple(dict.fromkeys(clean_name(each) for each in names))


def _require_known(raw: RawTable, names: Sequence[str], role: str) -> None:
    """All unknown columns of one option in one message."""
    unknown = [each for each in dict.fromkeys(map(clean_name, names)) if each not in raw.columns]
    if unknown:
        hints = [f"{each!r}: {hint}" for each in unknown if (hint := did_you_mean(each, raw.columns))]
        raise UnknownColumnError(
            f"{raw.source} lacks {count_of(len(unknown), 'column')} named in {role}",
            got=show_labels(unknown),
            expected="one of " + show_labels(raw.columns, 20),
            fix="; ".join(hints[:5]) or None,
        )


# -- variables ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Variables:
    arrays: dict[str, FloatArray]
    notes: tuple[str, ...]


def _read_variables(raw: RawTable, keys: Keys, columns: tuple[str, ...] | None, used: set[str]) -> _Variables:
    """(n, t) arrays of the wanted columns; texts in a listed column and infinite values are errors."""
    wanted = columns if columns is not None else tuple(each for each in raw.columns if each not in used)
    numbers = {each: to_numbers(raw.columns[each]) for each in wanted}
    notes: list[str] = []
    if columns is None:
        notes = _note_texts(raw, keys, numbers)
        numbers = {each: column for each, column in numbers.items() if not column.bad}
    require_numbers(raw, numbers, keys)
    if not numbers:
        raise PanelError(
            f"{raw.source} has no column of numbers beside its keys",
            got="columns " + show_labels(raw.columns, 20),
            expected="at least one variable",
            causes=("decimal commas or thousands separators", "the variables are in rows (a long list of indicators)"),
        )
    arrays = {}
    for each, column in numbers.items():
        values = np.full((len(keys.regions), len(keys.periods)), np.nan)
        values[keys.i, keys.j] = column.values
        arrays[each] = values
        notes += [f"{count_of(count, 'cell')} of {each} marked {mark!r}: missing" for mark, count in column.marks]
    hollow = [each for each, values in arrays.items() if np.isnan(values).all()]
    if hollow:
        notes.append(f"columns without a single value: {show_labels(hollow, 20)}")
    return _Variables(arrays, tuple(notes))


def require_numbers(raw: RawTable, numbers: Mapping[str, Numbers], keys: Keys) -> None:
    """Raise `ValueDomainError` naming every cell that is a text or infinite."""
    texts = [f"{raw.columns[c][k]!r} ({c} of {keys.cell(k)})" for c, column in numbers.items() for k in column.bad]
    if texts:
        raise ValueDomainError(
            f"{count_of(len(texts), 'cell')} of {raw.source} not a number",
            got=show_labels(texts),
            expected="numbers with a decimal point, or blank cells",
            causes=(
                "marks such as 'n/a', '..' or ':' for missing values",
                "thousands separators or decimal commas (1,234)",
                "full-width digits or a minus sign from a word processor",
                "units or footnotes inside cells",
            ),
            fix="make missing cells blank and write numbers as 1234.5",
        )
    infinite = [
        f"{c} of {keys.cell(k)} = {column.values[k]}"
        for c, column in numbers.items()
        for k in np.flatnonzero(np.isinf(column.values))
    ]
    if infinite:
        raise ValueDomainError(
            f"{count_of(len(infinite), 'cell')} of {raw.source} infinite",
            got=show_labels(infinite),
            expected="finite numbers, or blank cells",
            causes=(
                "a division by zero or a logarithm of zero before the table was saved",
                "a number with more than 300 digits",
            ),
            fix="make these cells blank, or correct them",
        )


def _note_texts(raw: RawTable, keys: Keys, numbers: Mapping[str, Numbers]) -> list[str]:
    """Which columns were left out because they are texts, wholly or in a few cells."""
    texts = [each for each, column in numbers.items() if column.is_text]
    notes = [f"text columns left out: {show_labels(texts, 20)}"] if texts else []
    for each, column in numbers.items():
        if column.bad and not column.is_text:
            cells = [f"{raw.columns[each][k]!r} of {keys.cell(k)}" for k in column.bad]
            notes.append(
                f"column {each} left out, with {count_of(len(cells), 'cell')} not a number: {show_labels(cells, 3)}"
            )
    return notes


def _labels(raw: RawTable, variables: Mapping[str, FloatArray], given: Mapping[str, str]) -> dict[str, str]:
    from_file = {each: text for each, text in raw.labels.items() if each in variables}
    return from_file | {clean_name(each): text for each, text in given.items()}


def _absent_rows(keys: Keys, names: Sequence[str]) -> list[str]:
    present = np.zeros((len(keys.regions), len(keys.periods)), dtype=bool)
    present[keys.i, keys.j] = True
    absent = np.argwhere(~present)
    if not len(absent):
        return []
    cells = (f"{names[i]} in {keys.periods[j]}" for i, j in absent)
    return [
        f"{len(absent)} of {count_of(present.size, 'row')} absent, with all their cells missing: {show_labels(cells)}"
    ]


# -- groups and names ---------------------------------------------------------------------------


def _read_group(raw: RawTable, keys: Keys, column: str) -> tuple[str, ...]:
    """(n,) texts that are constant within each region."""
    texts = [to_text(cell) for cell in raw.column(column, "a group").tolist()]
    seen: list[dict[str | None, None]] = [{} for _ in keys.regions]
    for i, text in zip(keys.i, texts, strict=True):
        seen[i][text] = None
    wrong = [
        f"{region} ({show_labels('blank' if value is None else value for value in values)})"
        for region, values in zip(keys.regions, seen, strict=True)
        if len(values) != 1 or None in values
    ]
    if wrong:
        raise PanelError(
            f"the group {column!r} is not one text per region",
            got=show_labels(wrong),
            expected="the same text in all rows of a region, none blank",
            fix="correct these rows, or leave the column out of groups",
        )
    return tuple(str(next(iter(values))) for values in seen)


def _read_names(
    raw: RawTable, keys: Keys, name: str | None, matched: MatchedMap | None
) -> tuple[tuple[str, ...], list[str]]:
    """(n,) display names: of the latest period where they change; the id where there is none."""
    if name is None:
        return keys.regions, []
    column = clean_name(name)
    notes: list[str] = []
    if column not in raw.columns and matched is not None and column in matched.attributes:
        latest = [to_text(cell) for cell in matched.attributes[column]]
        notes.append(f"display names were taken from the map, column {column!r}")
    else:
        texts = [to_text(cell) for cell in raw.column(column, "name").tolist()]
        latest = [None] * len(keys.regions)
        changed: dict[str, None] = {}
        for k in np.argsort(keys.j, kind="stable"):
            i, text = keys.i[k], texts[k]
            if text is not None:
                if latest[i] not in (None, text):
                    changed[f"{latest[i]} → {text}"] = None
                latest[i] = text
        if changed:
            notes.append(f"names that change in time, the latest is used: {show_labels(changed)}")
    blank = [region for region, text in zip(keys.regions, latest, strict=True) if text is None]
    if blank:
        notes.append(f"regions without a display name are shown by their id: {show_labels(blank)}")
    return tuple(text or region for region, text in zip(keys.regions, latest, strict=True)), notes
