"""Neighbours of neighbours: who is q steps away over the links of a W."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from spillover.errors import OptionError, WeightsError
from spillover.typing import IslandPolicy, Standardisation
from spillover.weights.assemble import assemble, check_choices
from spillover.weights.pairs import LINK_LIMIT
from spillover.weights.weights import SpatialWeights


def neighbours_of_order(
    weights: SpatialWeights,
    order: int,
    *,
    exclusive: bool = True,
    islands: IslandPolicy = "error",
    standardise: Standardisation = "row",
) -> SpatialWeights:
    """The regions whose shortest way over the links of W has `order` steps: w_ij = 1 before standardisation.

    Parameters
    ----------
    weights : a W, usually of contiguity or nearest neighbours; only who is linked counts, not how strongly.
    order : steps, 1 or more.
    exclusive : the ring at exactly this many steps; False for all within.
    islands, standardise : as in `build_contiguity`; "nearest" needs places, which a W does not have.

    Raises
    ------
    OptionError : order is not a whole number above zero.
    IslandError : regions with nobody at this order, and no policy.
    WeightsError : more than 10⁸ links.

    Cost: links of all orders up to this one.

    >>> from scipy.sparse import csr_matrix
    >>> line = SpatialWeights(csr_matrix([[0, 1.0, 0], [1, 0, 1], [0, 1, 0]]), ("a", "b", "c"), "line")
    >>> neighbours_of_order(line, 2, islands="keep").to_frame().values.tolist()
    [['a', 'c', 1.0], ['c', 'a', 1.0]]
    """
    check_choices(islands, standardise)
    if isinstance(order, bool) or not isinstance(order, int | np.integer) or order < 1:
        raise OptionError("order is not a number of steps", got=repr(order), expected="a whole number of 1 or more")
    step = _pattern(weights.matrix)
    seen, ring = step, step
    reached = sp.csr_matrix(step + sp.identity(weights.n, dtype=bool, format="csr"))
    for _ in range(order - 1):
        found = _pattern(ring @ step)
        if found.nnz > LINK_LIMIT:
            raise WeightsError(
                "neighbours of this order are too many to hold",
                got=f"{found.nnz:,} links at order {order} of {weights.kind}",
                expected=f"at most {LINK_LIMIT:,}",
                fix="choose a lower order",
            )
        ring = _without(found, reached)
        reached = _pattern(reached + ring)
        seen = _pattern(seen + ring)
    chosen = ring if exclusive else seen
    kind = f"{weights.kind}, order {order}" if exclusive else f"{weights.kind}, up to order {order}"
    raw = SpatialWeights(
        chosen.astype(float), weights.regions, kind, island_policy="keep", notes=weights.notes, names=weights.names
    )
    return replace(assemble(raw, islands=islands, standardise=standardise), added=weights.added)


def _pattern(matrix: sp.spmatrix) -> sp.csr_matrix:
    found = sp.csr_matrix(matrix != 0)
    found.eliminate_zeros()
    return found


def _without(found: sp.csr_matrix, known: sp.csr_matrix) -> sp.csr_matrix:
    """Links of `found` that are not among `known`."""
    both = found.multiply(known)
    return _pattern(found.astype(np.int8) - both.astype(np.int8))
