"""W from input–output linkage: regions whose industries sell to each other."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from spillover.errors import check_option
from spillover.typing import FloatArray, IntArray, IslandPolicy, Standardisation
from spillover.weights.assemble import Links, assemble, check_choices
from spillover.weights.linkage.sectors import sector_shares
from spillover.weights.linkage.table import InputOutputTable
from spillover.weights.portfolios import Portfolio
from spillover.weights.strongest import strongest_of
from spillover.weights.weights import SpatialWeights


def build_input_output(
    table: InputOutputTable,
    employment: Portfolio,
    receives_from: Literal["customers", "suppliers", "both"] = "customers",
    inverse: Literal["leontief", "ghosh", "direct"] = "leontief",
    *,
    top: int | None = 50,
    support: SpatialWeights | None = None,
    islands: IslandPolicy = "error",
    standardise: Standardisation = "row",
    links: Links = (),
    names: Any = None,
) -> SpatialWeights:
    """Input–output linkage: w_ij = Σ_s Σ_s' e_is M_ss' e_js' before standardisation, e shares of employment.

    Parameters
    ----------
    table, employment : as in `link_sectors`. s sells to s' in M, so that region i here supplies region j.
    receives_from : "customers", as above; "suppliers", with i and j turned round; "both", their mean.
    inverse : M is "leontief" (L, what final use calls for upstream), "ghosh" (G, what is passed on downstream) or
        "direct" (A, the first round only); links of a sector with itself are left out (zero diagonal).
    top : links per region; None for all, up to 5,000 regions. What is left out is noted.
    support : another W; only its links are weighed. Give top=None with it.
    islands, standardise, links : as in `build_contiguity`.

    Raises
    ------
    AlignmentError, WeightsError : as in `link_sectors`.

    One national table: all regions are taken to have the same technology, and trade to know no distance. Without `top`
    or `support` such a W has rank S at most and rows that are alike; `spillover.weights.identification` tells
    whether it identifies anything.

    Cost: n² S in chunks of rows; memory n S and the links.
    """
    check_option("receives_from", receives_from, ("customers", "suppliers", "both"))
    check_option("inverse", inverse, ("leontief", "ghosh", "direct"))
    check_choices(islands, standardise)
    shares = sector_shares(table, employment)
    inner = {"leontief": table.leontief, "ghosh": table.ghosh, "direct": table.input_coefficients}[inverse].copy()
    np.fill_diagonal(inner, 0.0)
    if receives_from == "suppliers":
        inner = inner.T
    elif receives_from == "both":
        inner = (inner + inner.T) / 2.0
    left = shares @ inner

    def rows(part: IntArray) -> FloatArray:
        return np.asarray(left[part] @ shares.T)

    matrix, note = strongest_of(rows, employment.regions, top, support)
    form = {"leontief": "Leontief", "ghosh": "Ghosh", "direct": "direct"}[inverse]
    whom = "customers and suppliers" if receives_from == "both" else receives_from
    kind = f"input–output linkage with {whom}, {form} coefficients of {len(table.sectors)} sectors"
    kind += f", the {top} strongest" if top is not None and top < len(employment.regions) - 1 else ""
    technology = "one national table: the same technology in every region"
    notes = (*table.notes, *employment.notes, technology, *([note] if note else ()))
    raw = SpatialWeights(matrix, employment.regions, kind, island_policy="keep", notes=notes)
    return assemble(raw, links=links, islands=islands, standardise=standardise, names=names)
