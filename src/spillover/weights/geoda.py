"""GAL and GWT files, the formats of GeoDa, R's spdep and PySAL.

Read and written here rather than through libpysal, whose readers turn ids into integers (losing leading zeros) and
whose writers replace blanks in ids and keep seven digits of a weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.sparse as sp

from spillover.errors import FileError, WeightsError, show_labels
from spillover.weights.edges import edges_to_weights, is_number
from spillover.weights.grid import read_lines
from spillover.weights.labels import as_region_ids, as_text, check_same_ids
from spillover.weights.weights import SpatialWeights


def read_gal(file: Path, regions: Sequence[str] | None, kind: str) -> SpatialWeights:
    """Binary raw weights: a header, then for every region its id, the number of its neighbours, and their ids."""
    lines = read_lines(file)
    expected = _count(lines[0], file)
    tokens = [as_text(token) for line in lines[1:] for token in line.split()]
    neighbours: dict[str, list[str]] = {}
    place = 0
    while place < len(tokens):
        region, count = tokens[place], tokens[place + 1 : place + 2]
        listed = tokens[place + 2 : place + 2 + (int(count[0]) if count and count[0].isdigit() else 0)]
        if not count or not count[0].isdigit() or len(listed) < int(count[0]) or region in neighbours:
            raise FileError(
                f"{file.name} is not a GAL file from region {region!r} on",
                got="a region that occurs twice"
                if region in neighbours
                else "no count, or fewer neighbours than counted",
                expected="lines in pairs: an id and the number of its neighbours; then their ids",
                causes=("ids with blanks in them", "a file that was cut off"),
            )
        neighbours[region] = listed
        place += 2 + len(listed)
    if len(neighbours) != expected:
        raise FileError(
            f"{file.name} does not hold as many regions as its first line says",
            got=f"{len(neighbours)} regions",
            expected=f"{expected} regions",
            causes=("a file that was cut off", "ids with blanks in them"),
        )
    ids = as_region_ids(neighbours, file.name) if regions is None else tuple(regions)
    check_same_ids(tuple(neighbours), ids, file.name, "regions=")
    focal = [region for region, listed in neighbours.items() for _ in listed]
    neighbor = [other for listed in neighbours.values() for other in listed]
    return edges_to_weights(focal, neighbor, np.ones(len(focal)), ids, kind)


def read_gwt(file: Path, regions: Sequence[str] | None, kind: str) -> SpatialWeights:
    """Raw weights: a header, then one link per line: focal, neighbor, weight.

    GeoDa writes distances in the third column for k-nearest and band weights; what is there is taken as the weight,
    and a note says so.
    """
    lines = read_lines(file)
    expected = _count(lines[0], file)
    links = [line.split() for line in lines[1:] if line.strip()]
    wrong = [" ".join(link) for link in links if len(link) != 3 or not is_number(link[2])]
    if wrong:
        raise FileError(
            f"{file.name} has lines that are no links",
            got=show_labels(wrong, 3),
            expected="three entries on each line below the first: focal, neighbor, weight",
            causes=("ids with blanks in them",),
        )
    focal, neighbor = [as_text(link[0]) for link in links], [as_text(link[1]) for link in links]
    named = sorted({*focal, *neighbor})
    if regions is None and len(named) != expected:
        raise FileError(
            f"{file.name} does not name as many regions as its first line says",
            got=f"{len(named)} regions in links",
            expected=f"{expected} regions",
            causes=("regions without links, which this format leaves out", "a file that was cut off"),
            fix="give all ids with regions=[…]",
        )
    raw = edges_to_weights(focal, neighbor, np.array([float(link[2]) for link in links]), regions or named, kind)
    note = f"the third column of {file.name} is taken as the weight (GeoDa writes distances there for some kinds)"
    return SpatialWeights(raw.matrix, raw.regions, kind, island_policy="keep", notes=(note,))


def gal_text(weights: SpatialWeights) -> str:
    """GAL text of W; `WeightsError` if the weights within a row differ, which the format cannot hold."""
    matrix = weights.matrix
    uneven = [
        region
        for region, start, end in zip(weights.regions, matrix.indptr[:-1], matrix.indptr[1:], strict=True)
        if end > start and not np.allclose(matrix.data[start:end], matrix.data[start], rtol=1e-12, atol=0.0)
    ]
    if uneven:
        raise WeightsError(
            "a GAL file holds who is whose neighbour but no weights, and these differ",
            got="rows of " + show_labels(uneven),
            fix="write a .csv or .gwt file",
        )
    _check_blanks(weights.regions)
    lines = [str(weights.n)]
    for i, region in enumerate(weights.regions):
        others = [weights.regions[j] for j in matrix.indices[matrix.indptr[i] : matrix.indptr[i + 1]]]
        lines += [f"{region} {len(others)}", " ".join(others)]
    return "\n".join(lines) + "\n"


def gwt_text(weights: SpatialWeights) -> str:
    """GWT text of W with all digits; a region without links is written with itself and weight 0."""
    _check_blanks(weights.regions)
    links = sp.coo_matrix(weights.matrix)
    lines = [f"0 {weights.n} unknown unknown"]
    ids = weights.regions
    lines += [f"{ids[i]} {ids[j]} {float(w)!r}" for i, j, w in zip(links.row, links.col, links.data, strict=True)]
    lines += [f"{region} {region} 0" for region in weights.islands]
    return "\n".join(lines) + "\n"


def _count(header: str, file: Path) -> int:
    """Number of regions in the first line: "n", or "0 n shapefile id"."""
    parts = header.split()
    count = parts[1] if len(parts) > 1 else (parts[0] if parts else "")
    if not count.isdigit() or int(count) < 1:
        raise FileError(
            f"{file.name} does not begin like a {file.suffix.lower()} file",
            got=repr(header[:80]),
            expected='the number of regions: "31", or "0 31 shapefile id"',
        )
    return int(count)


def _check_blanks(regions: Sequence[str]) -> None:
    blank = [repr(region) for region in regions if len(region.split()) != 1]
    if blank:
        raise WeightsError(
            "ids with blanks in them cannot be written in this format",
            got=show_labels(blank),
            fix="write a .csv file",
        )
