"""Edge lists: one row per link, focal (receiver), neighbor (sender), weight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import scipy.sparse as sp

from spillover.errors import UnknownColumnError, WeightsError, did_you_mean, show_labels
from spillover.panel.clean import whole_ids
from spillover.typing import BoolArray, FloatArray
from spillover.weights.grid import Grid
from spillover.weights.labels import positions_of
from spillover.weights.weights import SpatialWeights

_NEIGHBOUR = ("neighbor", "neighbour")


def edge_columns(
    header: Sequence[str], focal: str | None, neighbor: str | None, weight: str | None
) -> tuple[int, int, int | None] | None:
    """Positions of the columns focal, neighbor and weight; None when this is not an edge list.

    Columns that were named but do not exist raise `UnknownColumnError`.
    """
    lowered = [name.strip().lower() for name in header]

    def find(named: str | None, usual: Sequence[str]) -> int | None:
        if named is None:
            return next((lowered.index(name) for name in usual if name in lowered), None)
        if named.strip() in header:
            return list(header).index(named.strip())
        raise UnknownColumnError(
            f"the edge list has no column {named!r}",
            expected="one of " + show_labels(header, 12),
            fix=did_you_mean(named, header) or None,
        )

    i, j, w = find(focal, ("focal",)), find(neighbor, _NEIGHBOUR), find(weight, ("weight",))
    return None if i is None or j is None else (i, j, w)


def weights_from_edges(
    grid: Grid,
    columns: tuple[int, int, int | None],
    regions: Sequence[str] | None,
    kind: str,
    *,
    both_ways: bool = False,
) -> SpatialWeights:
    """Raw weights from an edge list with a header; regions without a row of their own are islands.

    A row from a region to itself with weight 0 names a region without links (as libpysal writes them).
    Without a weight column every link has weight 1. Zero weights are no links.

    Raises `WeightsError` naming links that are blank, repeated, to themselves, negative or not numbers;
    `AlignmentError` for ids that are not among `regions`.
    """
    focal = [row[columns[0]] for row in grid[1:]]
    neighbor = [row[columns[1]] for row in grid[1:]]
    _check_blank(focal, neighbor)
    both = whole_ids([*focal, *neighbor])
    focal, neighbor = both[: len(focal)], both[len(focal) :]
    cells = None if columns[2] is None else [row[columns[2]] for row in grid[1:]]
    values = np.ones(len(focal)) if cells is None else _numbers(focal, neighbor, cells)
    if both_ways:
        apart = [a != b for a, b in zip(focal, neighbor, strict=True)]
        turned = [(b, a) for a, b, keep in zip(focal, neighbor, apart, strict=True) if keep]
        focal, neighbor = focal + [a for a, _ in turned], neighbor + [b for _, b in turned]
        values = np.r_[values, values[np.array(apart, dtype=bool)]]
    return edges_to_weights(focal, neighbor, values, regions, kind)


def edges_to_weights(
    focal: Sequence[str], neighbor: Sequence[str], values: FloatArray, regions: Sequence[str] | None, kind: str
) -> SpatialWeights:
    """Raw weights from ids and numbers; every check on links is here."""
    _check_links(focal, neighbor, values)
    ids = tuple(sorted({*focal, *neighbor}) if regions is None else regions)
    if not ids:
        raise WeightsError("the edge list has no links", expected="one row per link")
    rows = positions_of(focal, ids, "the edge list")
    columns = positions_of(neighbor, ids, "the edge list")
    matrix = sp.csr_matrix((values, (rows, columns)), shape=(len(ids), len(ids)))
    return SpatialWeights(matrix, ids, kind, island_policy="keep")


def _check_blank(focal: Sequence[str], neighbor: Sequence[str]) -> None:
    blank = [f"row {k}" for k, pair in enumerate(zip(focal, neighbor, strict=True), start=1) if not all(pair)]
    if blank:
        raise WeightsError(
            "links without an id on one side",
            got=show_labels(blank) + " below the header",
            expected="a focal and a neighbor region in every row",
            fix="a region without links is written with itself as neighbor and weight 0",
        )


def _numbers(focal: Sequence[str], neighbor: Sequence[str], cells: Sequence[str]) -> FloatArray:
    wrong = [f"{a} ← {b}: {cell!r}" for a, b, cell in zip(focal, neighbor, cells, strict=True) if not is_number(cell)]
    if wrong:
        raise WeightsError(
            "weights that are not numbers",
            got=show_labels(wrong),
            expected="a number in every row",
            causes=("blank cells", "decimal commas", "the wrong column was taken for the weights"),
        )
    return np.array([float(cell) for cell in cells])


def _check_links(focal: Sequence[str], neighbor: Sequence[str], values: FloatArray) -> None:
    def told(which: BoolArray) -> Iterator[str]:
        return (f"{focal[k]} ← {neighbor[k]}: {values[k]:g}" for k in np.flatnonzero(which).tolist())

    infinite = ~np.isfinite(values)
    if infinite.any():
        raise WeightsError(
            "weights that are not finite",
            got=show_labels(told(infinite)),
            causes=("the inverse of a distance of zero", "missing values"),
        )
    if (values < 0).any():
        raise WeightsError("negative weights", got=show_labels(told(values < 0)), expected="weights of zero or more")
    own = np.array([a == b for a, b in zip(focal, neighbor, strict=True)], dtype=bool) & (values != 0)
    if own.any():
        raise WeightsError(
            "links of regions with themselves",
            got=show_labels(told(own)),
            expected="weight 0 where focal equals neighbor",
            fix="remove these rows",
        )
    counts = Counter(zip(focal, neighbor, strict=True))
    twice = [f"{a} ← {b} ({count} times)" for (a, b), count in counts.items() if count > 1]
    if twice:
        raise WeightsError(
            "links that occur more than once",
            got=show_labels(twice),
            expected="every pair focal, neighbor once",
            causes=("both directions of a pair were given together with both_ways=True", "two tables were joined"),
            fix="keep or sum the rows that are meant",
        )


def is_number(cell: str) -> bool:
    """Whether a text is a number (also inf and nan, which are refused by name later)."""
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell
