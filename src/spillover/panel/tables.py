"""`RawTable`: the columns of a file or data frame as they are, before anything is made of them."""

from __future__ import annotations

import csv
import io
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spillover.errors import (
    FileError,
    OptionError,
    PanelError,
    SpilloverError,
    UnknownColumnError,
    did_you_mean,
    show_labels,
)
from spillover.panel.wording import clean_text, count_of

SUFFIXES = (".csv", ".tsv", ".parquet", ".xlsx", ".xls", ".dta")
_MAP_SUFFIXES = (".geojson", ".json", ".gpkg", ".shp")
_NAMELESS = re.compile(r"Unnamed: \d+|__index_level_\d+__")  # what pandas calls a column or index without a name
_SIGNATURES = {
    b"PK": "an Excel workbook (.xlsx) or another zip archive",
    b"PAR1": "a Parquet file (.parquet)",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook (.xls)",
    b"\x1f\x8b": "a gzip archive",
    b"%PDF": "a PDF document",
    b"\x89PNG": "an image",
}


@dataclass(frozen=True, eq=False)
class RawTable:
    """Columns of r rows each.

    Attributes
    ----------
    source : what the table is, for messages: a file name or "the data frame".
    columns : name → (r,) array: bool, int64 or float64 as stored, object (text, dates, None) otherwise.
    lines : (r,) number of each row in its source, counted as a user sees it.
    line_word : "line" of a text file, "row" of anything else.
    labels : name → variable label of the file (Stata).
    index_names : names in the index of a pandas frame; they are not columns.
    notes : what was done on the way in, one sentence each.
    """

    source: str
    columns: Mapping[str, NDArray[Any]]
    lines: NDArray[np.int64]
    line_word: str = "row"
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    index_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def column(self, name: str, role: str) -> NDArray[Any]:
        """A column by name; `UnknownColumnError` with a suggestion when the table does not have it."""
        wanted = clean_name(name)
        if wanted in self.columns:
            return self.columns[wanted]
        fix = did_you_mean(wanted, self.columns)
        if wanted in self.index_names:
            fix = f"{wanted!r} is in the index of the frame: give frame.reset_index()"
        raise UnknownColumnError(
            f"{self.source} has no column {wanted!r} (asked for as {role})",
            expected="one of " + show_labels(self.columns, 20),
            causes=("a spelling or capital", "the wrong file, sheet or delimiter"),
            fix=fix or None,
        )

    def row(self, i: int) -> str:
        """ "line 12": where row i is in its source."""
        return f"{self.line_word} {self.lines[i]}"


def clean_name(name: object) -> str:
    """A column name as text without blanks around it or signs that nobody sees, in Unicode NFC."""
    return clean_text(str(name))


def open_table(table: Any, encoding: str | None = None) -> RawTable:
    """The columns of a .csv, .tsv, .parquet, .xlsx, .xls or .dta file, or of any data frame.

    Parameters
    ----------
    table : path, or a data frame that narwhals knows (pandas, polars, pyarrow, …).
    encoding : of a text file; UTF-8 with or without a byte-order mark by default.

    Raises
    ------
    FileError : missing, a folder, empty, binary, damaged, in another encoding, or without rows.
    PanelError : two columns of the same name.
    OptionError : neither a path nor a data frame.
    """
    raw = _open_file(Path(table), encoding) if isinstance(table, str | os.PathLike) else _from_frame(table)
    if not len(raw.lines):
        raise FileError(
            f"{raw.source} has no rows",
            got=f"a header of {len(raw.columns)} columns" if raw.columns else "nothing",
            expected="one row per region and period below the column names",
        )
    return raw


# -- files --------------------------------------------------------------------------------------


def require_file(path: Path, what: str) -> None:
    """Raise `FileError` unless `path` is a file that exists, can be read and is not empty."""
    try:
        _require_readable(path, what)
    except (OSError, ValueError) as problem:  # a folder that may not be searched, a name too long or with a null
        reason = problem.strerror if isinstance(problem, OSError) else str(problem)
        raise FileError(
            f"{what[:200]} cannot be read", got=f"{str(path)[:200]!r}: {reason}", fix="check its permissions and name"
        ) from None


def _require_readable(path: Path, what: str) -> None:
    if path.is_dir():
        raise FileError(f"{what} is a folder, not a file", got=str(path))
    if "\0" in str(path) or not path.exists():
        beside = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []
        raise FileError(
            f"{what} is not there",
            got=str(path),
            expected="a file that exists" if path.parent.is_dir() else f"a folder {path.parent} that exists",
            causes=("the path is relative to another folder", "a spelling"),
            fix=did_you_mean(path.name, beside) or None,
        )
    with path.open("rb") as file:
        first = file.read(1)
    if not first:
        raise FileError(f"{what} is empty", got=f"{path}: 0 bytes", fix="export it again from its source")


def _open_file(path: Path, encoding: str | None) -> RawTable:
    require_file(path, f"the table {path.name}")
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return _read_text(path, encoding)
    readers = {".parquet": _read_parquet, ".xlsx": _read_excel, ".xls": _read_excel, ".dta": _read_stata}
    if suffix not in readers:
        raise FileError(
            f"{path.name} is not a kind of table that can be read",
            got=f"the ending {suffix!r}",
            expected=", ".join(SUFFIXES) + ", or a data frame",
            fix="a map goes into geometry=…" if suffix in _MAP_SUFFIXES else None,
        )
    try:
        return readers[suffix](path)
    except SpilloverError:
        raise
    except Exception as problem:  # whatever a reader makes of a damaged file, the user sees one kind of error
        raise FileError(
            f"{path.name} cannot be read as a {suffix} file",
            got=f"{type(problem).__name__}: {str(problem)[:300]}",
            causes=("the file is damaged or was cut off", "its ending does not say what it is"),
            fix="open it in the program that made it and save it again, or as CSV in UTF-8",
        ) from problem


def _read_text(path: Path, encoding: str | None) -> RawTable:
    text = _decode(path, encoding)
    header_line = next((line for line in text.splitlines() if line.strip()), "")
    if not header_line:
        raise FileError(f"{path.name} is empty", got="blank lines only")
    delimiter, notes = _find_delimiter(header_line, path)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows, lines, blank = [], [], 0
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                blank += bool(row)
                continue
            rows.append(row)
            lines.append(reader.line_num)
    except csv.Error as problem:
        raise FileError(
            f"{path.name} cannot be read as a table from line {reader.line_num} on",
            got=str(problem),
            causes=("a quotation mark that is not closed", "not a text table at all"),
        ) from None
    if blank:
        notes.append(f"{count_of(blank, 'row')} without any entry left out")
    _require_rectangle(path, rows, lines)
    cells = np.empty((len(rows) - 1, len(rows[0])), dtype=object)
    if len(rows) > 1:
        cells[:] = rows[1:]
    raw = _assemble(path.name, rows[0], [cells[:, k] for k in range(cells.shape[1])], notes)
    return replace(raw, lines=np.array(lines[1:], dtype=np.int64), line_word="line")


def _decode(path: Path, encoding: str | None) -> str:
    data = path.read_bytes()
    for signature, meaning in _SIGNATURES.items():
        if data.startswith(signature):
            raise FileError(
                f"{path.name} is not a text file",
                got=f"the first bytes of {meaning}",
                fix="give the file its own ending",
            )
    if encoding is None and data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise FileError(f"{path.name} is not in UTF-8", got="a UTF-16 file", fix='say encoding="utf-16"')
    if encoding is None and b"\x00" in data[:65536]:
        raise FileError(f"{path.name} is a binary file", got="bytes of zero", expected="a text table in UTF-8")
    try:
        return data.decode("utf-8" if encoding is None else encoding).removeprefix("\ufeff")
    except (LookupError, TypeError, ValueError) as problem:
        if isinstance(problem, UnicodeDecodeError):
            raise _not_in(path, encoding, data[: problem.start].count(b"\n") + 1) from None
        raise OptionError("unknown encoding", got=repr(encoding), expected='"utf-8", "gb18030", "latin-1", …') from None


def _not_in(path: Path, encoding: str | None, line: int) -> FileError:
    return FileError(
        f"{path.name} is not in {encoding or 'UTF-8'}",
        got=f"bytes on line {line} that are no characters in it",
        causes=("saved by Excel in a national encoding", "a binary file"),
        fix='say encoding="gb18030" (Chinese) or encoding="latin-1" (Western Europe), or save as CSV UTF-8',
    )


def _find_delimiter(header: str, path: Path) -> tuple[str, list[str]]:
    """Comma (.csv) or tab (.tsv); another one only where the header does not contain that at all."""
    usual = "\t" if path.suffix.lower() == ".tsv" else ","
    other = next((each for each in (";", "\t", "|", ",") if each in header), usual)
    if usual in header or other == usual:
        return usual, []
    return other, [f"the columns of {path.name} are separated by {other!r}, not by {usual!r}"]


def _require_rectangle(path: Path, rows: Sequence[list[str]], lines: Sequence[int]) -> None:
    width = len(rows[0])
    ragged = [f"line {lines[k]} has {len(row)}" for k, row in enumerate(rows) if len(row) != width]
    if ragged:
        raise FileError(
            f"{path.name} has rows with another number of cells than its header",
            got=show_labels(ragged),
            expected=f"{width} cells in every row",
            causes=("a comma inside a text without quotation marks", "a decimal comma", "a file that was cut off"),
        )


def _read_parquet(path: Path) -> RawTable:
    import pyarrow.parquet as pq

    return replace(_from_frame(pq.read_table(path)), source=path.name)


def _read_excel(path: Path) -> RawTable:
    import pandas as pd

    try:
        book = pd.ExcelFile(path)
    except ImportError:
        raise FileError(
            f"{path.name} needs the package xlrd, which is not installed",
            fix="save it as .xlsx or CSV, or: pip install xlrd",
        ) from None
    with book:
        sheets = [str(name) for name in book.sheet_names]
        # Own header handling: pandas would rename the second of two equal columns in silence.
        frame = pd.read_excel(book, sheets[0], header=None, dtype=object, keep_default_na=False, na_values=[""])
    frame = frame.dropna(how="all")
    if frame.empty:
        raise FileError(f"{path.name} is empty", got=f"no entry on sheet {sheets[0]!r}")
    notes = [f"only the first sheet of {path.name} was read ({sheets[0]}); others: {show_labels(sheets[1:])}"]
    header = ["" if _is_blank(cell) else cell for cell in frame.iloc[0]]
    columns = [frame.iloc[1:, k].to_numpy(dtype=object) for k in range(frame.shape[1])]
    raw = _assemble(path.name, header, columns, notes if len(sheets) > 1 else [])
    return replace(raw, lines=frame.index[1:].to_numpy(dtype=np.int64) + 1)


def _read_stata(path: Path) -> RawTable:
    import pandas as pd

    with pd.read_stata(path, convert_categoricals=False, iterator=True) as reader:
        labels = {clean_name(name): text.strip() for name, text in reader.variable_labels().items() if text.strip()}
        coded = sorted(reader.value_labels())
        frame = reader.read()
    notes = (f"value labels were not used, the codes were: {show_labels(coded)}",) if coded else ()
    raw = _from_frame(frame)
    return replace(raw, source=path.name, labels=labels, notes=(*raw.notes, *notes))


# -- data frames --------------------------------------------------------------------------------


def _from_frame(table: Any) -> RawTable:
    import narwhals as nw

    if type(table).__module__.split(".")[0] in ("pandas", "geopandas") and hasattr(table, "set_axis"):
        index_names = tuple(clean_name(name) for name in getattr(table.index, "names", ()) if name is not None)
        names = list(table.columns) if hasattr(table, "columns") else []
        _require_distinct([clean_name(name) for name in names], "the data frame")
        table = table.set_axis([clean_name(name) for name in names], axis=1) if names else table
    else:
        index_names = ()
    try:
        frame = nw.from_native(table)
    except TypeError:
        raise OptionError(
            "the table is neither a path nor a data frame",
            got=f"an object of type {type(table).__name__}",
            expected="a path to " + ", ".join(SUFFIXES) + ", or a pandas, polars or pyarrow frame",
        ) from None
    eager = frame.collect() if isinstance(frame, nw.LazyFrame) else frame
    raw = _assemble("the data frame", eager.columns, [_from_series(eager[name]) for name in eager.columns], [])
    return replace(raw, index_names=index_names)


def _from_series(series: Any) -> NDArray[Any]:
    import narwhals as nw

    dtype = series.dtype
    if dtype.is_integer() and series.null_count() == 0:
        whole = np.asarray(series.to_numpy())
        if whole.dtype.kind != "u" or not whole.size or whole.max() <= np.iinfo(np.int64).max:
            return whole.astype(np.int64)
    elif dtype.is_numeric() or dtype == nw.Boolean:
        cells = series.to_list()
        return np.array([np.nan if _is_blank(cell) else float(cell) for cell in cells], dtype=float)
    cells = series.to_list()
    column = np.empty(len(cells), dtype=object)
    column[:] = cells
    return column


def _is_blank(cell: object) -> bool:
    return cell is None or type(cell).__name__ in ("NAType", "NaTType") or (isinstance(cell, float) and cell != cell)


def _assemble(source: str, header: Sequence[object], columns: Sequence[NDArray[Any]], notes: list[str]) -> RawTable:
    names = [clean_name(name) for name in header]
    kept = [k for k, name in enumerate(names) if name and not _NAMELESS.fullmatch(name)]
    if len(kept) < len(names):
        notes = [*notes, f"{count_of(len(names) - len(kept), 'column')} without a name left out"]
    _require_distinct([names[k] for k in kept], source)
    rows = len(columns[0]) if columns else 0
    return RawTable(
        source=source,
        columns=MappingProxyType({names[k]: columns[k] for k in kept}),
        lines=np.arange(1, rows + 1),
        notes=tuple(notes),
    )


def _require_distinct(names: Sequence[str], source: str) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise PanelError(
            f"{source} has columns of the same name",
            got=show_labels(twice),
            expected="every column name once",
            fix="rename or remove one of each",
        )
