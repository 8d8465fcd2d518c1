"""Square tables of weights: with ids in the first row and column, or bare, with the order of regions beside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from spillover.errors import AlignmentError, WeightsError, show_labels
from spillover.typing import FloatArray
from spillover.weights.edges import is_number
from spillover.weights.grid import Grid
from spillover.weights.labels import as_region_ids, check_same_ids
from spillover.weights.weights import SpatialWeights


@dataclass(frozen=True, eq=False)
class Square:
    """A table cut into numbers and whatever ids it carries; `rows` and `columns` are None where it has none."""

    cells: Grid
    rows: tuple[str, ...] | None
    columns: tuple[str, ...] | None


def weights_from_square(grid: Grid, order: Sequence[str] | None, kind: str, where: str) -> SpatialWeights:
    """Raw weights from a square table.

    With ids on both sides, columns are put in the order of the rows by id. Without, `order` says which region each
    row and column is.

    Raises `AlignmentError` without ids and without order, or when the ids of both sides differ; `WeightsError` for
    cells that are not numbers and for tables that are not square.
    """
    table = cut(grid, where)
    if table.rows is not None and table.columns is not None:
        position = {region: j for j, region in enumerate(table.columns)}
        across = [position[region] for region in table.rows]
        ids = table.rows
    else:
        ids = _ordered(table, order, where)
        across = list(range(len(ids)))
    if any(len(row) != len(ids) for row in table.cells) or len(table.cells) != len(ids):
        width = len(table.cells[0]) if table.cells else 0
        raise WeightsError(
            f"{where} is not a square table of weights for its regions",
            got=f"{len(table.cells)} × {width} numbers for {len(ids)} regions",
            expected=f"{len(ids)} × {len(ids)}",
        )
    numbers = _numbers(table, ids)[:, across]
    return SpatialWeights(sp.csr_matrix(numbers), ids, kind, island_policy="keep")


def cut(grid: Grid, where: str) -> Square:
    """Tell ids from numbers. Ids are in the first row or column only if that leaves a square of numbers.

    A table whose corner is a number is bare: a symmetric bare table has the same first row and column, too.
    """
    height, width = len(grid), len(grid[0])
    if width == 1 and height > 1 and len(grid[1]) == height:
        # Stata's spmatrix export: the number of regions, then an id and its row of weights on every line.
        ids = _first_column(grid[1:], where)
        return Square([row[1:] for row in grid[1:]], ids, ids)
    numeric_corner = is_number(grid[0][0])
    if height == width and numeric_corner:
        return Square(grid, None, None)
    if not numeric_corner and height > 1 and width > 1:
        overlap = {row[0] for row in grid[1:]} & set(grid[0][1:])
        if height == width or overlap:
            rows, columns = _first_column(grid[1:], where), as_region_ids(grid[0][1:], f"the header of {where}")
            check_same_ids(rows, columns, f"the rows of {where}", f"the columns of {where}")
            return Square([row[1:] for row in grid[1:]], rows, columns)
    if height == width + 1 and is_number(grid[1][0]):
        return Square(grid[1:], None, as_region_ids(grid[0], f"the header of {where}"))
    if width == height + 1 and is_number(grid[0][1]):
        return Square([row[1:] for row in grid], _first_column(grid, where), None)
    raise WeightsError(
        f"{where} is neither an edge list nor a square table of weights",
        got=f"{height} rows of {width} cells; the first row: {show_labels(grid[0])}",
        expected="columns focal, neighbor, weight; or a square table with the ids in its first row and column",
        fix='name the columns of an edge list with focal="…", neighbor="…", weight="…"',
    )


def _first_column(rows: Grid, where: str) -> tuple[str, ...]:
    return as_region_ids((row[0] for row in rows), f"the first column of {where}")


def _ordered(table: Square, order: Sequence[str] | None, where: str) -> tuple[str, ...]:
    """Ids of a table that does not carry them on both sides."""
    size = len(table.cells)
    if order is None:
        carried = "no ids"
        if table.rows is not None:
            carried = "ids of the rows only: " + show_labels(table.rows)
        elif table.columns is not None:
            carried = "names of the columns only: " + show_labels(table.columns)
        raise AlignmentError(
            f"{where} is an unlabelled square matrix, and nothing says which row is which region",
            got=f"{size} × {len(table.cells[0])} numbers, {carried}",
            expected="region ids in the first row and the first column, or the order of the regions beside",
            causes=("a matrix saved by Stata, MATLAB or R without its names",),
            fix="give the ids in the order of the rows with order=[…], or a file with one id per line",
        )
    ids = as_region_ids(order, "order=")
    if len(ids) != size:
        raise WeightsError(
            f"order= and {where} are not of the same size",
            got=f"{len(ids)} ids for {size} × {len(table.cells[0])} numbers",
            expected=f"{size} ids",
        )
    carried_ids = table.rows if table.rows is not None else table.columns
    if carried_ids is not None and set(carried_ids) == set(ids) and carried_ids != ids:
        side = "rows" if table.rows is not None else "columns"
        raise AlignmentError(
            f"order= contradicts the ids that {where} carries",
            got=f"{side} {show_labels(carried_ids)}; order= {show_labels(ids)}",
            expected="the order of the table itself",
        )
    return ids


def _numbers(table: Square, ids: tuple[str, ...]) -> FloatArray:
    """(n, n) numbers of the cells; `WeightsError` names the cells that are none."""
    columns = table.columns if table.columns is not None and table.rows is not None else ids
    numbers = np.empty((len(ids), len(ids)))
    wrong: list[str] = []
    for i, row in enumerate(table.cells):
        try:
            numbers[i] = [float(cell) for cell in row]
        except ValueError:
            wrong += [f"{ids[i]} ← {columns[j]}: {cell!r}" for j, cell in enumerate(row) if not is_number(cell)]
    if wrong:
        raise WeightsError(
            "cells that are not numbers",
            got=show_labels(wrong),
            expected="a number in every cell; 0 where there is no link",
            causes=("blank cells", "decimal commas", "a further text column"),
        )
    return numbers
