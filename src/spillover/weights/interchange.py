"""W from files and from the objects of other packages, and back."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

from spillover.errors import AlignmentError, OptionError, OutputError, WeightsError, show_labels
from spillover.panel.panel import Panel
from spillover.typing import IslandPolicy, Standardisation
from spillover.weights.assemble import Links, assemble, check_choices
from spillover.weights.edges import edge_columns, weights_from_edges
from spillover.weights.geoda import gal_text, gwt_text, read_gal, read_gwt
from spillover.weights.grid import TABLE_SUFFIXES, check_file, frame_grid, read_grid, read_lines
from spillover.weights.labels import as_region_ids, as_text, check_same_ids, names_of
from spillover.weights.locate import as_frame, locate
from spillover.weights.points import Points
from spillover.weights.square import weights_from_square
from spillover.weights.weights import SpatialWeights

if TYPE_CHECKING:
    import pandas as pd
    from libpysal.graph import Graph


def from_file(
    path: str | os.PathLike[str],
    *,
    order: Sequence[Any] | str | os.PathLike[str] | None = None,
    regions: Sequence[Any] | None = None,
    standardise: Standardisation = "row",
    islands: IslandPolicy = "error",
    links: Links = (),
    focal: str | None = None,
    neighbor: str | None = None,
    weight: str | None = None,
    both_ways: bool = False,
    source: Any = None,
) -> SpatialWeights:
    """W from a file. Row = receiver (focal), column = sender (neighbor); a transposed file cannot be detected.

    ====================================  ==========================================================================
    edge list (.csv .tsv .xlsx .parquet   columns focal, neighbor, weight; without weight all links have weight 1
    .dta)
    square table with ids (same files)    ids in the first row and the first column, in any order on either side
    square table without ids (.csv .txt   only together with `order`
    .dta …)
    .txt of Stata's spmatrix export       carries its ids
    .gal, .gwt                            GeoDa, spdep, PySAL
    ====================================  ==========================================================================

    Parameters
    ----------
    path : the file. Texts are UTF-8. Ids are text: leading zeros stay.
    order : ids in the order of rows and columns of an unlabelled square table, or a file with one id per line. With
        a labelled table, the order in which W is wanted.
    regions : all region ids, for edge lists and GWT: regions without a link are islands. By default those that occur.
    standardise : "row" (default), "spectral", "scalar", "min-max", "none" (weights as they are in the file).
    islands : policy for regions without neighbours; "nearest" needs `source`.
    links : pairs of ids linked by hand, both ways.
    focal, neighbor, weight : names of the columns of an edge list.
    both_ways : the edge list names every pair once, and links run both ways.
    source : panel or map with the places of the regions, for islands="nearest"; names of a panel appear in messages.

    Raises
    ------
    FileError : missing, empty, binary, damaged, or of an unknown kind.
    AlignmentError : no ids and no order; ids on one side only; ids that are not among `regions` or `order`.
    WeightsError : weights that are negative, not finite or not numbers, links twice or to itself, a wrong size.
    IslandError : regions without neighbours and no policy.
    """
    check_choices(islands, standardise)
    file = check_file(path, (*TABLE_SUFFIXES, ".gal", ".gwt"))
    kind = f"from file {file.name}"
    wanted = None if order is None else _read_order(order)
    listed = None if regions is None else as_region_ids(regions, "regions=")
    suffix = file.suffix.lower()
    if suffix in (".gal", ".gwt"):
        raw = (read_gal if suffix == ".gal" else read_gwt)(file, listed or wanted, kind)
    else:
        grid = read_grid(file)
        columns = edge_columns(grid[0], focal, neighbor, weight)
        if columns is not None:
            raw = weights_from_edges(grid, columns, listed or wanted, kind, both_ways=both_ways)
        else:
            _refuse_edge_options(file.name, grid[0], focal, neighbor, both_ways)
            raw = weights_from_square(grid, wanted, kind, file.name)
            if listed is not None:
                check_same_ids(raw.regions, listed, file.name, "regions=")
    if wanted is not None:
        check_same_ids(raw.regions, wanted, file.name, "order=")
        raw = raw.align(wanted)
    return assemble(
        raw, links=links, islands=islands, standardise=standardise, place=_place(source), names=names_of(source)
    )


def from_object(
    obj: Any,
    *,
    regions: Sequence[Any] | None = None,
    standardise: Standardisation = "row",
    islands: IslandPolicy = "error",
    links: Links = (),
    focal: str | None = None,
    neighbor: str | None = None,
    weight: str | None = None,
    source: Any = None,
    kind: str | None = None,
) -> SpatialWeights:
    """W from an object of another package.

    Parameters
    ----------
    obj : one of
        `SpatialWeights`, returned as it is (aligned with `regions`);
        libpysal Graph or W, with its current weights;
        scipy sparse matrix or numpy array (n, n), with the n ids of its rows in `regions`;
        square data frame with ids as index and columns (aligned by id), or an edge list with columns focal,
        neighbor, weight; any frame that narwhals knows.
    regions : ids. For arrays, and for a Graph or W that only knows positions 0 … n − 1, those of the rows, in order.
        Otherwise the same ids as the object's, in the order in which W is wanted; for edge lists all regions.
    standardise, islands, links, focal, neighbor, weight, source : as in `from_file`.
    kind : what a link means, in words.

    Raises
    ------
    AlignmentError : ids that do not match, or none. WeightsError : as in `from_file`, or an unknown kind of object.

    >>> import numpy as np
    >>> from_object(np.array([[0, 1], [1, 0]]), regions=["01", "02"])
    SpatialWeights: from an array, 2 regions, 2 links (mean 1.0), standardised: row, islands: 0
    """
    check_choices(islands, standardise)
    listed = None if regions is None else as_region_ids(regions, "regions=")
    if isinstance(obj, SpatialWeights):
        if links:
            raise WeightsError("links cannot be added to a finished W", got=repr(obj), fix="name them when W is built")
        return obj if listed is None else obj.align(listed)
    if sp.issparse(obj) or isinstance(obj, np.ndarray | list | tuple):
        raw = _from_array(obj, listed)
    elif type(obj).__module__.startswith("libpysal"):
        raw = _from_libpysal(obj, listed)
    else:
        raw = _from_frame(as_frame(obj), listed, focal, neighbor, weight)
    if listed is not None:
        check_same_ids(raw.regions, listed, "the object", "regions=")
        raw = raw.align(listed)
    if kind is not None:
        raw = SpatialWeights(raw.matrix, raw.regions, kind, island_policy="keep", notes=raw.notes)
    return assemble(
        raw, links=links, islands=islands, standardise=standardise, place=_place(source), names=names_of(source)
    )


def to_edges(weights: SpatialWeights) -> pd.DataFrame:
    """Edge list with columns focal (receiver), neighbor (sender), weight; a region without links as itself with 0."""
    import pandas as pd

    table = weights.to_frame()
    if not weights.islands:
        return table
    alone = list(weights.islands)
    return pd.concat([table, pd.DataFrame({"focal": alone, "neighbor": alone, "weight": 0.0})], ignore_index=True)


def to_graph(weights: SpatialWeights) -> Graph:
    """libpysal Graph with the same ids, order and weights."""
    import pandas as pd
    from libpysal.graph import Graph

    table = to_edges(weights)
    place = {region: i for i, region in enumerate(weights.regions)}
    table = table.iloc[np.argsort(table["focal"].map(place).to_numpy(), kind="stable")]
    index = pd.MultiIndex.from_arrays([table["focal"], table["neighbor"]], names=["focal", "neighbor"])
    # Left to sort by itself: told that it is sorted, a Graph would keep other positions in .sparse than in its ids.
    return Graph(pd.Series(table["weight"].to_numpy(), index=index, name="weight"))


def to_file(weights: SpatialWeights, path: str | os.PathLike[str]) -> Path:
    """Write W as an edge list (.csv), .gal or .gwt; `from_file` gives it back.

    Weights keep all their digits; .gal holds links only. An existing file is replaced when the new one is complete.

    Raises
    ------
    OptionError : another ending. WeightsError : the format cannot hold W. OutputError : the file cannot be written.
    """
    file = Path(path)
    writers: dict[str, Callable[[SpatialWeights], str]] = {".csv": _csv_text, ".gal": gal_text, ".gwt": gwt_text}
    suffix = file.suffix.lower()
    if suffix not in writers:
        raise OptionError(
            "weights cannot be written in this format", got=repr(file.name), expected=".csv, .gal or .gwt"
        )
    text = writers[suffix](weights)
    try:
        handle, draft = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as stream:
                stream.write(text)
            os.chmod(draft, 0o644)
            os.replace(draft, file)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
    except OSError as problem:
        raise OutputError(
            "the weights file cannot be written",
            got=f"{file}: {problem.strerror}",
            expected="a folder that exists and can be written to",
        ) from None
    return file


def _csv_text(weights: SpatialWeights) -> str:
    return str(to_edges(weights).to_csv(index=False, lineterminator="\n"))


def _place(source: Any) -> Callable[[], Points] | None:
    """Places from a source that has some; a panel without a map gives names only."""
    if source is None or (isinstance(source, Panel) and source.geometry is None):
        return None
    return lambda: locate(source)


def _read_order(order: Sequence[Any] | str | os.PathLike[str]) -> tuple[str, ...]:
    """Ids of a sequence, or of a file with one id per line."""
    if not isinstance(order, str | os.PathLike):
        return as_region_ids(order, "order=")
    file = check_file(order, (".txt", ".csv"), "the file with the order of regions")
    ids = [as_text(line.strip().strip('"')) for line in read_lines(file)]
    while ids and not ids[-1]:
        ids.pop()
    return as_region_ids(ids, f"the order file {file.name}")


def _refuse_edge_options(
    name: str, header: Sequence[str], focal: str | None, neighbor: str | None, both_ways: bool
) -> None:
    """What was said about an edge list must not be forgotten when the file is none."""
    if focal is None and neighbor is None and not both_ways:
        return
    raise WeightsError(
        f"{name} is not an edge list with the columns that were named",
        got="columns " + show_labels(header, 8),
        expected="columns focal and neighbor, or their names in focal= and neighbor= (both)",
    )


def _from_array(obj: Any, regions: tuple[str, ...] | None) -> SpatialWeights:
    sparse = sp.issparse(obj)
    try:
        array = obj if sparse else np.asarray(obj, dtype=float)
    except (TypeError, ValueError):
        raise WeightsError("weights that are not numbers", got="an array with other entries") from None
    if regions is None:
        raise AlignmentError(
            "a matrix without ids does not say which row is which region",
            got=f"{'a sparse matrix' if sparse else 'an array'} of shape {array.shape}",
            fix="give the ids of its rows, in their order, with regions=[…]",
        )
    if array.ndim != 2 or array.shape != (len(regions), len(regions)):
        raise WeightsError(
            "the matrix does not have one row and one column per region",
            got=f"shape {array.shape} for {len(regions)} ids",
            expected=f"({len(regions)}, {len(regions)})",
        )
    return SpatialWeights(
        sp.csr_matrix(array), regions, "from a sparse matrix" if sparse else "from an array", island_policy="keep"
    )


def _from_libpysal(obj: Any, regions: tuple[str, ...] | None) -> SpatialWeights:
    name = type(obj).__name__
    if hasattr(obj, "adjacency"):
        # By labels: the positions of .sparse are not those of the ids in every Graph.
        known, links = list(obj.unique_ids), obj.adjacency
        place = {region: i for i, region in enumerate(known)}
        rows, columns = ([place[each] for each in links.index.get_level_values(side)] for side in ("focal", "neighbor"))
        matrix = sp.csr_matrix((links.to_numpy(dtype=float), (rows, columns)), shape=(len(known), len(known)))
    elif hasattr(obj, "id_order") and hasattr(obj, "sparse"):
        known, matrix = list(obj.id_order), sp.csr_matrix(obj.sparse)
    else:
        raise WeightsError("weights cannot be made from this object of libpysal", got=name, expected="Graph or W")
    bare = all(isinstance(each, int | np.integer) for each in known) and [int(each) for each in known] == list(
        range(len(known))
    )
    if bare and regions is not None:
        return _from_array(matrix, regions)
    return SpatialWeights(matrix, as_region_ids(known, f"the {name}"), f"from a libpysal {name}", island_policy="keep")


def _from_frame(
    frame: Any, regions: tuple[str, ...] | None, focal: str | None, neighbor: str | None, weight: str | None
) -> SpatialWeights:
    import pandas as pd

    columns = edge_columns([str(name) for name in frame.columns], focal, neighbor, weight)
    if columns is not None:
        return weights_from_edges(frame_grid(frame.reset_index(drop=True)), columns, regions, "from an edge list")
    bare = isinstance(frame.index, pd.RangeIndex) and isinstance(frame.columns, pd.RangeIndex)
    if bare:
        return _from_array(frame.to_numpy(), regions)
    return weights_from_square(frame_grid(frame), None, "from a table", "the table")
