"""`TravelTimes`: minutes between regions, sparse where there is a cut-off; computed, or read from a table."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from spillover.errors import AlignmentError, UnknownColumnError, WeightsError, did_you_mean, show_labels
from spillover.typing import FloatArray
from spillover.weights.edges import edge_columns, is_number
from spillover.weights.grid import TABLE_SUFFIXES, Grid, check_file, frame_grid, read_grid
from spillover.weights.labels import as_text, positions_of
from spillover.weights.locate import as_frame
from spillover.weights.square import cut

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class TravelTimes:
    """Minutes (or another cost of distance) from region to region.

    Attributes
    ----------
    regions : n region ids.
    matrix : (n, n) CSR; row = origin, column = destination; no diagonal. A pair that is not stored is not reached, or
        not within the cut-off. Zeros may be stored.
    cutoff : pairs further apart are left out; None if all were looked for.
    kind : how they were come by, in words.
    unit : "minutes", "km".
    """

    regions: tuple[str, ...]
    matrix: sp.csr_matrix
    cutoff: float | None = None
    kind: str = "travel times"
    unit: str = "minutes"
    notes: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        bad = ~(np.isfinite(self.matrix.data) & (self.matrix.data >= 0.0))
        if bad.any():
            entries = sp.coo_matrix(self.matrix)
            told = (
                f"{self.regions[entries.row[k]]} → {self.regions[entries.col[k]]}: {entries.data[k]:g}"
                for k in np.flatnonzero(bad)
            )
            raise WeightsError(
                f"{'travel times' if self.unit == 'minutes' else 'distances'} that are negative or no numbers",
                got=show_labels(told),
                expected=f"finite {self.unit} of zero or more; pairs that cannot be reached are left out",
                causes=("a code such as −1 or −9 for pairs without a connection", "blank cells"),
                fix="leave these pairs out, or write inf in a table",
            )

    @property
    def n(self) -> int:
        """Number of regions."""
        return len(self.regions)

    def between(self, origin: Any, destination: Any) -> float:
        """Time from one region to another; inf if it is not reached, 0 from a region to itself."""
        i, j = positions_of([as_text(origin), as_text(destination)], self.regions, "travel times")
        if i == j:
            return 0.0
        row = slice(self.matrix.indptr[i], self.matrix.indptr[i + 1])
        found = np.flatnonzero(self.matrix.indices[row] == j)
        return float(self.matrix.data[row][found[0]]) if len(found) else float("inf")

    def dense(self) -> FloatArray:
        """(n, n) times with inf where a pair is not reached and 0 on the diagonal."""
        table = np.full((self.n, self.n), np.inf)
        entries = sp.coo_matrix(self.matrix)
        table[entries.row, entries.col] = entries.data
        np.fill_diagonal(table, 0.0)
        return table

    def align(self, regions: Sequence[str]) -> TravelTimes:
        """The times among these regions, in this order; `AlignmentError` for ids that have none."""
        order = np.array(positions_of(regions, self.regions, "travel times"), dtype=np.int64)
        return replace(self, regions=tuple(regions), matrix=sp.csr_matrix(self.matrix[order][:, order]))

    def to_frame(self) -> pd.DataFrame:
        """Columns from, to, minutes (or km), one row per pair that is reached."""
        import pandas as pd

        entries = sp.coo_matrix(self.matrix)
        ids = np.array(self.regions, dtype=object)
        return pd.DataFrame({"from": ids[entries.row], "to": ids[entries.col], self.unit: entries.data})

    def __repr__(self) -> str:
        share = self.matrix.nnz / max(self.n * (self.n - 1), 1)
        limit = "" if self.cutoff is None else f", up to {self.cutoff:g}"
        return f"TravelTimes: {self.kind}, {self.n} regions, {100 * share:.3g} % of pairs reached, {self.unit}{limit}"


def read_travel_times(
    table: Any,
    *,
    start: str = "from",
    end: str = "to",
    value: str = "minutes",
    unit: str = "minutes",
    both_ways: bool = False,
) -> TravelTimes:
    """Times from a file or frame: a square table with ids on both sides, or a list with columns from, to, minutes.

    Parameters
    ----------
    table : path or data frame. In a square table rows are origins; inf marks a pair that cannot be reached; the
        diagonal does not matter.
    start, end, value : columns of a list. both_ways : a list that names every pair once.
    unit : what the numbers are ("minutes", "km").

    Raises
    ------
    WeightsError : negative or blank cells, zeros between different regions, pairs that occur twice. FileError, …

    >>> import pandas as pd
    >>> times = read_travel_times(pd.DataFrame({"from": ["a"], "to": ["b"], "minutes": [30]}), both_ways=True)
    >>> times.between("b", "a"), times.between("a", "a")
    (30.0, 0.0)
    """
    where = Path(table).name if isinstance(table, str | os.PathLike) else "the data frame"
    if isinstance(table, str | os.PathLike):
        grid = read_grid(check_file(table, TABLE_SUFFIXES, "the table of travel times or distances"))
    else:
        grid = frame_grid(as_frame(table))
    columns = edge_columns(grid[0], start, end, value) if start in grid[0] and end in grid[0] else None
    if columns is not None:
        return _from_list(grid, columns, where, unit, both_ways)
    if any(name in grid[0] for name in (start, end)):
        raise UnknownColumnError(
            f"{where} is a list without one of the columns {start!r} and {end!r}",
            expected="one of " + show_labels(grid[0], 12),
            fix=did_you_mean(end if start in grid[0] else start, grid[0]) or None,
        )
    return _from_square(grid, where, unit)


def _from_list(grid: Grid, columns: tuple[int, int, int | None], where: str, unit: str, both_ways: bool) -> TravelTimes:
    assert columns[2] is not None
    rows = [(as_text(row[columns[0]]), as_text(row[columns[1]]), row[columns[2]]) for row in grid[1:]]
    wrong = [f"{a} → {b}: {cell!r}" for a, b, cell in rows if not is_number(cell)]
    _refuse_cells(wrong, where)
    regions = tuple(sorted({a for a, _, _ in rows} | {b for _, b, _ in rows}))
    place = {region: k for k, region in enumerate(regions)}
    i = np.array([place[a] for a, _, _ in rows], dtype=np.int64)
    j = np.array([place[b] for _, b, _ in rows], dtype=np.int64)
    values = np.array([float(cell) for _, _, cell in rows])
    if both_ways:
        i, j, values = np.r_[i, j], np.r_[j, i], np.r_[values, values]
    apart = i != j
    i, j, values = i[apart], j[apart], values[apart]
    if len(i) > 1 and not np.isin(j * len(regions) + i, i * len(regions) + j).any():
        raise WeightsError(
            f"{where} names no pair in both directions, so nothing would lead back",
            got=f"{len(i)} pairs, such as {regions[i[0]]} → {regions[j[0]]}",
            causes=("a list that names every pair once",),
            fix="say both_ways=True, or add the ways back (inf where there is none)",
        )
    keys, counts = np.unique(i * len(regions) + j, return_counts=True)
    if (counts > 1).any():
        twice = [f"{regions[key // len(regions)]} → {regions[key % len(regions)]}" for key in keys[counts > 1]]
        raise WeightsError(
            f"{where} has pairs that occur more than once",
            got=show_labels(twice),
            causes=("both directions of a pair were given together with both_ways=True",),
        )
    return _checked(regions, i, j, values, where, unit)


def _from_square(grid: Grid, where: str, unit: str) -> TravelTimes:
    table = cut(grid, where)
    if table.rows is None or table.columns is None:
        raise AlignmentError(
            f"{where} is a square table without ids on both sides",
            expected="region ids in the first row and the first column",
        )
    wrong = [
        f"{a} → {b}: {cell!r}"
        for a, row in zip(table.rows, table.cells, strict=True)
        for b, cell in zip(table.columns, row, strict=True)
        if a != b and not is_number(cell)
    ]
    _refuse_cells(wrong, where)
    position = {region: k for k, region in enumerate(table.columns)}
    across = [position[region] for region in table.rows]
    n = len(table.rows)
    numbers = np.array([[float(row[k]) if is_number(row[k]) else 0.0 for k in across] for row in table.cells])
    i, j = np.nonzero(~np.eye(n, dtype=bool))
    return _checked(table.rows, i, j, numbers[i, j], where, unit)


def _refuse_cells(wrong: list[str], where: str) -> None:
    if wrong:
        raise WeightsError(
            f"{where} has cells that are not numbers",
            got=show_labels(wrong),
            expected="a number in every cell; inf where a pair cannot be reached",
            causes=("blank cells", "decimal commas"),
        )


def _checked(
    regions: tuple[str, ...], i: np.ndarray, j: np.ndarray, values: FloatArray, where: str, unit: str
) -> TravelTimes:
    reached = values != np.inf
    i, j, values = i[reached], j[reached], values[reached]
    nothing = values == 0.0
    if nothing.any():
        raise WeightsError(
            f"{where} has regions that are zero {unit} apart",
            got=show_labels(f"{regions[a]} → {regions[b]}" for a, b in zip(i[nothing], j[nothing], strict=True)),
            expected=f"{unit} above zero between different regions",
            causes=("zero was written for pairs that cannot be reached", "two regions with the same centre"),
            fix="write inf (in a list: leave the pair out) where there is no connection",
        )
    matrix = sp.csr_matrix((values, (i, j)), shape=(len(regions), len(regions)))
    return TravelTimes(regions, matrix, None, f"{'travel times' if unit == 'minutes' else unit} of {where}", unit)
