"""The q strongest links of every row, from factors of a matrix that is never formed as a whole."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp

from spillover.errors import OptionError, WeightsError
from spillover.typing import FloatArray, IntArray
from spillover.weights.pairs import ALL_PAIRS_LIMIT
from spillover.weights.weights import SpatialWeights

CHUNK = 4_000_000
"""Numbers held at once: 32 MB."""

Rows = Callable[[IntArray], FloatArray]
"""Positions of receivers → (rows, n) proximities to everyone."""


def strongest_of(
    rows: Rows, regions: tuple[str, ...], top: int | None, support: SpatialWeights | None
) -> tuple[sp.csr_matrix, str]:
    """(n, n) CSR of the strongest proximities of each row, and a note on what was left out ("" if nothing).

    Parameters
    ----------
    rows : gives proximities a few rows at a time.
    top : links to keep per row; ties go to the smaller id. None keeps all, up to 5,000 regions.
    support : keep only the links of this W.
    """
    n = len(regions)
    if top is not None and support is not None:
        raise OptionError("top= and support= say two different things about who is linked", fix="give one of them")
    if top is not None and (isinstance(top, bool) or not isinstance(top, int | np.integer) or top < 1):
        raise OptionError("top is not a number of links", got=repr(top), expected="a whole number of 1 or more")
    if top is None and support is None and n > ALL_PAIRS_LIMIT:
        raise WeightsError(
            "proximity between all pairs of so many regions does not fit in memory",
            got=f"{n:,} regions, {n * (n - 1):,} links",
            expected=f"at most {ALL_PAIRS_LIMIT:,} regions when all pairs are linked",
            fix="keep the strongest links with top=…, or only the neighbours of another W with support=W",
        )
    mask = None if support is None else support.align(regions).matrix
    ranks = np.argsort(np.argsort(np.array(regions, dtype=object)))
    step = max(CHUNK // n, 1)
    parts, kept, whole = [], 0.0, 0.0
    for start in range(0, n, step):
        part = np.arange(start, min(start + step, n))
        table = rows(part)
        table[np.arange(len(part)), part] = 0.0
        whole += float(table.sum())
        chosen = _choose(table, part, ranks, top, mask)
        kept += float(chosen.data.sum())
        parts.append(chosen)
    matrix = sp.csr_matrix(sp.vstack(parts)) if len(parts) > 1 else parts[0]
    lost = 0.0 if whole == 0.0 else 1.0 - kept / whole
    if lost < 1e-12:
        return matrix, ""
    which = f"the {top} strongest links of each region" if top is not None else "the links of another W"
    return matrix, f"only {which} are kept; {100 * lost:.3g} % of all proximity is left out"


def _choose(
    table: FloatArray, part: IntArray, ranks: IntArray, top: int | None, mask: sp.csr_matrix | None
) -> sp.csr_matrix:
    """Entries of (m, n) rows to keep."""
    if mask is not None:
        links = sp.coo_matrix(mask[part])
        values = table[links.row, links.col]
        return _sparse(values, links.row, links.col, table.shape)
    if top is None or top >= table.shape[1]:
        return sp.csr_matrix(table)
    limit = -np.partition(-table, top - 1, axis=1)[:, top - 1]
    row, column = np.nonzero((table >= limit[:, None]) & (table > 0.0))
    values = table[row, column]
    order = np.lexsort((ranks[column], -values, row))
    row, column, values = row[order], column[order], values[order]
    first = np.searchsorted(row, np.arange(len(part)))
    place = np.arange(len(row)) - first[row]
    return _sparse(values[place < top], row[place < top], column[place < top], table.shape)


def _sparse(values: FloatArray, row: IntArray, column: IntArray, shape: tuple[int, int]) -> sp.csr_matrix:
    matrix = sp.csr_matrix((values, (row, column)), shape=shape)
    matrix.eliminate_zeros()
    return matrix
