"""How much of a region's work belongs to the suppliers, and how much to the buyers, of chosen sectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from spillover.errors import AlignmentError, WeightsError, show_labels
from spillover.panel.panel import Panel
from spillover.typing import FloatArray
from spillover.weights.linkage.table import InputOutputTable
from spillover.weights.portfolios import Portfolio

if TYPE_CHECKING:
    import pandas as pd


def link_sectors(table: InputOutputTable, employment: Portfolio, sectors: Sequence[str]) -> pd.DataFrame:
    """Linkage of each region with sectors such as high-tech industry: the moderator "industrial correlation".

    upstream u_i = Σ_s e_is L_sh with e_is the region's employment shares: output of its sectors that one unit of final
    use of h calls for. downstream v_i = Σ_s e_is G_hs: output of its sectors that one unit of h goes into. Several
    sectors h are averaged with their outputs. Links among the chosen sectors themselves are left out.

    Parameters
    ----------
    employment : classes are sectors of the table, in any order; see `Portfolio.regroup` and `table.aggregate`.
    sectors : codes of h.

    Returns
    -------
    DataFrame with columns region, upstream, downstream, own (the region's share of employment in the sectors).

    Raises
    ------
    AlignmentError : classes that are no sectors of the table. WeightsError : regions without employment, by name.

    The table is national: every region is taken to produce with the same technology.
    """
    import pandas as pd

    shares = sector_shares(table, employment)
    chosen = table.positions(sectors)
    weight = table.output[chosen] / table.output[chosen].sum()
    up, down = table.leontief[:, chosen] @ weight, weight @ table.ghosh[chosen, :]
    up[chosen] = 0.0
    down[chosen] = 0.0
    return pd.DataFrame(
        {
            "region": list(employment.regions),
            "upstream": shares @ up,
            "downstream": shares @ down,
            "own": shares[:, chosen].sum(axis=1),
        }
    )


def add_linkage(panel: Panel, table: InputOutputTable, employment: Portfolio, sectors: Sequence[str]) -> Panel:
    """The panel with upstream, downstream and own of `link_sectors` as variables that are constant in time.

    Moderators of a spillover: products with W x need the linkage centred, which is left to who makes them.

    Raises `AlignmentError` for regions of the panel without employment in the table.
    """
    found = link_sectors(table, employment.align(panel.regions), sectors)
    names = ("upstream", "downstream", "own")
    chosen = show_labels((table.tell(k) for k in table.positions(sectors)), 12)
    return panel.with_variables(
        {name: found[name].to_numpy() for name in names},
        labels={
            "upstream": "linkage as supplier",
            "downstream": "linkage as buyer",
            "own": "share of employment in the sectors",
        },
        note=f"upstream, downstream, own: input–output linkage with {chosen}",
    )


def sector_shares(table: InputOutputTable, employment: Portfolio) -> FloatArray:
    """(n, S) employment shares in the order of the table's sectors; sectors that no class has are zero."""
    unknown = [code for code in employment.classes if code not in table.sectors]
    if unknown:
        raise AlignmentError(
            "classes of employment are not sectors of the input–output table",
            got=show_labels(unknown),
            expected="codes such as " + show_labels(table.sectors, 12),
            causes=("two classifications, or two levels of detail of one",),
            fix="bring them together with employment.regroup({class: sector}) and table.aggregate({sector: group})",
        )
    if employment.empty:
        raise WeightsError(
            "regions without employment have no linkage",
            got=show_labels(employment.empty),
            fix="leave these regions out",
        )
    shares = np.zeros((len(employment.regions), len(table.sectors)))
    shares[:, table.positions(employment.classes)] = employment.shares().toarray()
    return shares
