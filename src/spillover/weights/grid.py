"""Files as grids of texts: cells exactly as they are written, before anything is made of them."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from pathlib import Path
from sys import intern
from typing import Any

from spillover.errors import FileError, OptionError, show_labels
from spillover.weights.labels import as_text

Grid = list[list[str]]
"""Rows of equally many cells."""

TEXT_SUFFIXES = (".csv", ".tsv", ".txt")
TABLE_SUFFIXES = (*TEXT_SUFFIXES, ".xlsx", ".xls", ".parquet", ".dta")
_MAP_SUFFIXES = (".geojson", ".json", ".gpkg", ".shp")


def check_file(path: str | os.PathLike[str], suffixes: tuple[str, ...], what: str = "the weights file") -> Path:
    """The path of a file that is there, is not empty, and has one of the endings; `FileError` otherwise."""
    if not isinstance(path, str | os.PathLike):
        raise OptionError(
            f"{what} is given as a path", got=f"an object of type {type(path).__name__}", expected="a path"
        )
    file = Path(path)
    try:
        return _check_file(file, suffixes, what)
    except (OSError, ValueError) as problem:  # a folder that may not be searched, a name too long or with a null
        reason = problem.strerror if isinstance(problem, OSError) else str(problem)
        raise FileError(
            f"{what} cannot be read", got=f"{str(file)[:200]!r}: {reason}", fix="check its permissions and name"
        ) from None


def _check_file(file: Path, suffixes: tuple[str, ...], what: str) -> Path:
    if file.is_dir():
        raise FileError(f"{what} is a folder", got=str(file), expected="a file")
    if "\0" in str(file) or not file.exists():
        raise FileError(
            f"{what} is not there",
            got=str(file),
            causes=("the path is relative to another folder", "a spelling"),
        )
    suffix = file.suffix.lower()
    if suffix in _MAP_SUFFIXES:
        raise FileError(
            "this is a map, not a table of weights",
            got=file.name,
            expected="one of " + ", ".join(suffixes),
            fix="read the map with read_panel(…, geometry=…) and use build_contiguity, build_knn, …",
        )
    if suffix not in suffixes:
        raise FileError(
            "weights cannot be read from a file of this kind",
            got=f"{file.name} with the ending {suffix!r}",
            expected="one of " + ", ".join(suffixes),
        )
    if file.stat().st_size == 0:
        raise FileError(f"{what} is empty", got=f"{file}: 0 bytes", fix="export it again from its source")
    with file.open("rb"):
        pass
    return file


def read_lines(file: Path) -> list[str]:
    """Lines of a UTF-8 text file without blank ones at the end; `FileError` for binary files and other encodings."""
    data = file.read_bytes()
    if b"\x00" in data[:65536]:
        raise FileError(
            f"{file.name} is not a text file",
            got="bytes of zero",
            causes=("a binary or UTF-16 file with a text ending",),
            fix="save it as CSV in UTF-8, or give it its own ending",
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = data[: problem.start].count(b"\n") + 1
        raise FileError(
            f"{file.name} is not text in UTF-8",
            got=f"bytes on line {line} that are no characters",
            causes=("saved by a spreadsheet in a national encoding", "a binary file"),
            fix="save it as CSV in UTF-8",
        ) from None
    lines = text.splitlines()
    if not any(line.strip() for line in lines):
        raise FileError(f"{file.name} is empty", got="blank lines only")
    return lines


def read_grid(file: Path) -> Grid:
    """Cells of a table file as texts, header included; `FileError` when it cannot be read as its ending says."""
    if file.suffix.lower() in TEXT_SUFFIXES:
        return _rectangle(_split(read_lines(file), file), file)
    try:
        cells = _cells(file)
    except (ImportError, MemoryError):
        raise
    except Exception as problem:  # readers raise many kinds for a damaged file; the user needs one
        raise FileError(
            f"{file.name} cannot be read as a {file.suffix.lower()} file",
            got=f"{type(problem).__name__}: {str(problem)[:200]}",
            causes=("the file is damaged or was cut off", "its ending does not say what it is"),
            fix="open it in the program that made it and save it again, or as CSV in UTF-8",
        ) from problem
    return _rectangle([[_as_cell(cell) for cell in row] for row in cells], file)


def frame_grid(frame: Any) -> Grid:
    """A data frame as a grid: column names are the first row, an index that is not mere numbers the first column."""
    import pandas as pd

    if not (isinstance(frame.index, pd.RangeIndex) and frame.index.name is None):
        index = frame.index.to_frame(index=False)
        index.columns = ["" if name is None else name for name in frame.index.names]
        frame = pd.concat([index, frame.reset_index(drop=True)], axis=1)
    rows = frame.astype(object).to_numpy().tolist()
    return [[_as_cell(name) for name in frame.columns], *([_as_cell(cell) for cell in row] for row in rows)]


def _cells(file: Path) -> Iterable[Iterable[Any]]:
    import pandas as pd

    suffix = file.suffix.lower()
    if suffix in (".xlsx", ".xls"):
        # Without a header row, so that numbers above columns stay what they are; "NA" can be an id.
        return pd.read_excel(file, header=None, dtype=object, keep_default_na=False).to_numpy().tolist()
    if suffix == ".parquet":
        return frame_grid(pd.read_parquet(file))
    return frame_grid(pd.read_stata(file, convert_categoricals=True))


def _as_cell(cell: Any) -> str:
    """Text of a cell; numbers keep all their digits."""
    if isinstance(cell, float) and not cell.is_integer():
        return "" if cell != cell else repr(float(cell))
    return as_text(cell)


def _split(lines: list[str], file: Path) -> Grid:
    first = next(line for line in lines if line.strip())
    usual = "," if file.suffix.lower() == ".csv" else "\t"
    delimiter = next((each for each in (usual, "\t", ";", ",") if each in first), " ")
    if delimiter == " ":
        lines = [line.strip() for line in lines]
    reader = csv.reader(
        (line + "\n" for line in lines), delimiter=delimiter, skipinitialspace=delimiter == " ", strict=True
    )
    try:
        # Interned, because the same texts recur: a 3,000 × 3,000 table of 0 and 1 takes 72 MB, not 600.
        return [[intern(cell) if len(cell) < 9 else cell for cell in map(as_text, row)] for row in reader]
    except csv.Error as problem:
        raise FileError(
            f"{file.name} cannot be read as a table from line {reader.line_num} on",
            got=str(problem),
            causes=("a quotation mark that is not closed", "not a table at all"),
        ) from None


def _rectangle(rows: Grid, file: Path) -> Grid:
    """Rows without blank ones; a header one cell short (R's write.table) gets its blank corner."""
    numbered = [(number, row) for number, row in enumerate(rows, start=1) if any(row)]
    if not numbered:
        raise FileError(f"{file.name} is empty", got="blank cells only")
    grid = [row for _, row in numbered]
    if len(grid) > 1 and len(grid[0]) > 1 and all(len(row) == len(grid[0]) + 1 for row in grid[1:]):
        grid[0] = ["", *grid[0]]
    first_alone = len(grid[0]) == 1  # a first line with the number of regions only
    width = len(grid[-1]) if first_alone else len(grid[0])
    ragged = [
        f"line {number} has {len(row)}"
        for (number, _), row in zip(numbered[first_alone:], grid[first_alone:], strict=True)
        if len(row) != width
    ]
    if ragged:
        raise FileError(
            f"{file.name} has rows of different length",
            got=show_labels(ragged),
            expected=f"{width} cells in every row",
            causes=("an id with a comma that is not in quotation marks", "a line that was cut off"),
        )
    return grid
