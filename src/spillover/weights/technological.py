"""Technological proximity: regions that invent in the same classes, or in classes that go together."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import scipy.sparse as sp

from spillover.errors import WeightsError, check_option, show_labels
from spillover.typing import FloatArray, IntArray, IslandPolicy, Standardisation
from spillover.weights.assemble import Links, assemble, check_choices
from spillover.weights.portfolios import Portfolio
from spillover.weights.strongest import strongest_of
from spillover.weights.weights import SpatialWeights


def build_technological(
    portfolio: Portfolio,
    kind: Literal["jaffe", "mahalanobis"] = "jaffe",
    *,
    top: int | None = 50,
    support: SpatialWeights | None = None,
    islands: IslandPolicy = "error",
    standardise: Standardisation = "row",
    links: Links = (),
    names: Any = None,
) -> SpatialWeights:
    """Technological proximity: w_ij = f_i'f_j / (|f_i| |f_j|) before standardisation, f shares of patents by class.

    Parameters
    ----------
    portfolio : patents (or publications, …) by region and class.
    kind : "jaffe", the cosine above, or "mahalanobis", f̃_i' Ω f̃_j with f̃ = f/|f| and Ω the cosines between classes
        over regions, so that classes found in the same places count as near.
    top : links per region; None for all, up to 5,000 regions. What is left out is noted.
    support : another W; only its links are weighed. Give top=None with it.
    islands, standardise, links : as in `build_contiguity`.

    Raises
    ------
    WeightsError : regions with an empty portfolio while islands="error" (named). IslandError : regions that share no
    class with anybody.

    Cost: n² K in chunks of rows, Ω K² n; memory n K and the links.
    Sources: Jaffe (1986), American Economic Review 76, 984–1001; Bloom, Schankerman and Van Reenen (2013), Econometrica
    81, 1347–1393.

    >>> patents = Portfolio(("a", "b", "c"), ("x", "y"), sp.csr_matrix([[1.0, 0], [1, 1], [0, 2]]))
    >>> build_technological(patents, standardise="none", top=None).matrix.toarray().round(4).tolist()
    [[0.0, 0.7071, 0.0], [0.7071, 0.0, 0.7071], [0.0, 0.7071, 0.0]]
    """
    check_option("kind", kind, ("jaffe", "mahalanobis"))
    check_choices(islands, standardise)
    refuse_empty(portfolio, islands, "technological proximity")
    unit = unit_rows(portfolio.values)
    left = unit if kind == "jaffe" else sp.csr_matrix(unit @ class_cosines(portfolio.shares()))
    right = sp.csc_matrix(unit.T)

    def rows(part: IntArray) -> FloatArray:
        return np.minimum((left[part] @ right).toarray(), 1.0 if kind == "jaffe" else np.inf)

    matrix, note = strongest_of(rows, portfolio.regions, top, support)
    notes = (*portfolio.notes, *([note] if note else ()))
    form = "cosine" if kind == "jaffe" else "Mahalanobis"
    told = f"technological proximity, {form} of {len(portfolio.classes)} classes"
    told += f", the {top} strongest" if top is not None and top < len(portfolio.regions) - 1 else ""
    raw = SpatialWeights(matrix, portfolio.regions, told, island_policy="keep", notes=notes)
    return assemble(raw, links=links, islands=islands, standardise=standardise, names=names)


def unit_rows(values: sp.csr_matrix) -> sp.csr_matrix:
    """Rows of length one; empty rows stay empty."""
    length = np.sqrt(np.asarray(values.multiply(values).sum(axis=1)).ravel())
    scale = np.divide(1.0, length, out=np.zeros_like(length), where=length > 0.0)
    return sp.csr_matrix(sp.diags_array(scale) @ values)


def class_cosines(shares: sp.csr_matrix) -> sp.csr_matrix:
    """(K, K) Ω: cosines between classes, each a vector of its shares over regions; classes that nobody has are zero."""
    columns = unit_rows(sp.csr_matrix(shares.T))
    return sp.csr_matrix(columns @ columns.T)


def refuse_empty(portfolio: Portfolio, islands: IslandPolicy, what: str) -> None:
    """`WeightsError` naming regions with nothing in their portfolio, unless a policy for them was chosen."""
    if portfolio.empty and islands == "error":
        raise WeightsError(
            f"{len(portfolio.empty)} regions have an empty portfolio, so they have no {what}",
            got=show_labels(portfolio.empty),
            causes=("regions without a patent or without this kind of employment", "ids of another vintage"),
            fix='add up more years, leave these regions out, or choose islands="keep" (spatial lag 0) or "drop"',
        )
