"""What lies beside a table: maps and weights whose region ids are those of the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spillover.errors import SpilloverError

if TYPE_CHECKING:
    import scipy.sparse as sp

MAPS = (".geojson", ".gpkg", ".shp")
_TABLES = (".csv", ".tsv", ".txt", ".gal", ".gwt")
_LARGEST = 20_000_000  # bytes of a file that is looked into
_MOST = 40  # files that are looked into
_SQUARE = 2_000  # regions of a table whose numbers are looked at
_DETOURS = 200  # regions between, of the rule that no detour is shorter
_SLACK = 1.05  # tables of rail km are rounded, and made from several sources
_SPREAD = 4.0  # distances differ by more than this


@dataclass(frozen=True)
class Found:
    """A file of weights beside a table.

    Attributes
    ----------
    path : the file.
    edge_columns : receiver and sender (and weight) of an edge list with other names than usual.
    both_ways : whether the list names every pair once.
    is_distance : whether the file seems to hold distances instead of weights.
    has_islands : whether a region is there without a neighbour.
    """

    path: Path
    edge_columns: tuple[str, ...] = ()
    both_ways: bool = False
    is_distance: bool = False
    has_islands: bool = False


def maps_beside(path: Path) -> list[Path]:
    """Maps in the folder of the table."""
    return [each for each in _files_beside(path) if each.suffix.lower() in MAPS]


@dataclass(frozen=True)
class FoundMap:
    """A map beside a table, the column of the table whose ids it has, and the names of its own columns."""

    path: Path
    column: str
    attributes: tuple[str, ...]


def matching_map(path: Path, columns: Mapping[str, Sequence[str]]) -> FoundMap | None:
    """A map beside the table whose ids are those of a column; the first column that matches wins."""
    from spillover.panel.geometry import read_map

    for candidate in maps_beside(path):
        for name, ids in columns.items():
            try:
                matched = read_map(candidate, ids, region=name, policy="table")
            except SpilloverError:
                continue
            return FoundMap(candidate, name, tuple(matched.attributes))
    return None


def matching_weights(path: Path, columns: Mapping[str, Sequence[str]]) -> tuple[list[tuple[Found, str]], list[Path]]:
    """Weights beside the table with the column whose ids they have, and weights whose ids are in no column.

    columns : candidates for the region column, name → distinct ids.
    """
    matching: list[tuple[Found, str]] = []
    foreign: list[Path] = []
    for candidate in _files_beside(path):
        if candidate.suffix.lower() not in _TABLES:
            continue
        looked = _look_into(candidate)
        if looked is None:
            continue
        found, ids, is_complete = looked
        fitting = [name for name, own in columns.items() if ids == set(own) or (not is_complete and ids <= set(own))]
        if fitting:
            matching.append((found, fitting[0]))
        elif is_complete:
            foreign.append(candidate)
    return matching, foreign


def _files_beside(path: Path) -> list[Path]:
    folder = path.resolve().parent
    found = []
    for each in sorted(folder.iterdir()):
        if each.is_file() and each != path.resolve() and each.stat().st_size <= _LARGEST:
            found.append(each)
    return found[:_MOST]


def _look_into(path: Path) -> tuple[Found, set[str], bool] | None:
    """W in a file, its ids, and whether it names all regions (an edge list does not name islands); None for no W."""
    from spillover.weights.grid import read_grid
    from spillover.weights.interchange import from_file

    columns: tuple[str, ...] = ()
    try:
        if path.suffix.lower() in (".gal", ".gwt"):
            weights = from_file(path, standardise="none", islands="keep")
        else:
            columns = _edge_columns(read_grid(path)[0])
            named: dict[str, Any] = dict(zip(("focal", "neighbor", "weight"), columns, strict=False))
            weights = from_file(path, standardise="none", islands="keep", **named)
    except (SpilloverError, IndexError):
        return None
    is_list = bool(columns) or path.suffix.lower() == ".gwt" or _is_usual_list(path)
    usual = columns[:2] == ("focal", "neighbor") or columns == ()
    found = Found(
        path,
        edge_columns=() if usual else columns,
        both_ways=is_list and weights.runs_one_way,
        has_islands=bool(weights.islands),
        is_distance=any(word in path.stem.lower() for word in ("dist", "_km", "km_", "travel"))
        or seems_distance(weights.matrix),
    )
    return found, set(weights.regions), not is_list


def seems_distance(matrix: sp.csr_matrix) -> bool:
    """Whether all pairs have a number, the numbers differ much, and no detour is shorter than the direct way.

    Weights that fall with distance break the last rule: two near regions weigh more on each other than either does on
    a third. At most `_DETOURS` regions between are tried.
    """
    n = matrix.shape[0]
    if not 3 <= n <= _SQUARE or matrix.nnz < n * (n - 1):
        return False
    d = np.asarray(matrix.todense(), dtype=float)
    apart = d[~np.eye(n, dtype=bool)]
    if d.diagonal().any() or apart.min() <= 0 or apart.max() < _SPREAD * apart.min():
        return False
    between = range(0, n, max(1, n // _DETOURS))
    return all(bool((d <= (d[:, [k]] + d[[k], :]) * _SLACK).all()) for k in between)


def _is_usual_list(path: Path) -> bool:
    from spillover.weights.edges import edge_columns
    from spillover.weights.grid import read_grid

    return path.suffix.lower() != ".gal" and edge_columns(read_grid(path)[0], None, None, None) is not None


def _edge_columns(header: Sequence[str]) -> tuple[str, ...]:
    """The columns of what may be an edge list with other names: two of ids, and perhaps one of weights."""
    from spillover.weights.edges import edge_columns

    if edge_columns(header, None, None, None) is not None or len(header) not in (2, 3):
        return ()
    return tuple(header)
