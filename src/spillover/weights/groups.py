"""W within groups: links that cross a border of countries or macro-regions are cut, the rest is standardised anew."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from spillover.errors import AlignmentError, OptionError, WeightsError, show_labels
from spillover.typing import IntArray
from spillover.weights.islands import apply_island_policy
from spillover.weights.standardise import standardise
from spillover.weights.weights import SpatialWeights

NAMED = 60


@dataclass(frozen=True, eq=False)
class CrossingLinks:
    """Links whose two ends are in different groups: positions of receivers and senders in W."""

    receivers: IntArray
    senders: IntArray
    total: int

    def examples(self, regions: tuple[str, ...], labels: tuple[str, ...]) -> str:
        """Up to five of them, "AT11 → HU22 (AT → HU)", sender first."""
        return show_labels(
            f"{regions[j]} → {regions[i]} ({labels[j]} → {labels[i]})"
            for i, j in zip(self.receivers, self.senders, strict=True)
        )


def labels_of(regions: tuple[str, ...], groups: Mapping[str, str]) -> tuple[str, ...]:
    """The group of each region; `AlignmentError` names the regions without one."""
    if not isinstance(groups, Mapping):
        raise OptionError(
            "groups are given by region",
            got=type(groups).__name__,
            expected="region → name of its group: the order of a list says nothing about regions",
            fix="give dict(zip(panel.regions, names)), or name a grouping of the panel",
        )
    lost = [region for region in regions if _is_blank(groups.get(region))]
    if lost:
        raise AlignmentError(
            f"{len(lost)} regions have no group",
            got=show_labels(lost),
            expected="one group for every region",
            fix='give groups={region: group} with all of them, for example dict(zip(panel.regions, panel.groups["…"]))',
        )
    return tuple(str(groups[region]) for region in regions)


def _is_blank(label: object) -> bool:
    """Nothing, an empty text or NaN; 0 is a label."""
    return label is None or label == "" or label != label


def crossing_links(weights: SpatialWeights, labels: tuple[str, ...]) -> CrossingLinks:
    """The links of W between different groups."""
    links = sp.coo_matrix(weights.matrix)
    _, codes = np.unique(np.array(labels, dtype=object).astype(str), return_inverse=True)
    across = codes[links.row] != codes[links.col]
    return CrossingLinks(links.row[across], links.col[across], int(links.nnz))


def within_groups(weights: SpatialWeights, groups: Mapping[str, str]) -> SpatialWeights:
    """W with the links inside groups only, row-standardised; regions that are left without a neighbour drop out.

    Parameters
    ----------
    weights : n regions, any standardisation.
    groups : region id → group (country, macro-region); surplus ids are ignored.

    Returns
    -------
    Block-diagonal SpatialWeights, rows of sum one. Its notes name the cut links by number, and every region and every
    group that drops out; restrict the panel with ``panel.select(regions=W.regions)``.

    Raises
    ------
    AlignmentError : regions without a group.
    WeightsError : no link stays inside a group.

    >>> from scipy.sparse import csr_matrix
    >>> w = SpatialWeights(csr_matrix([[0, 1.0, 1], [1, 0, 0], [1, 0, 0]]), ("a", "b", "c"), "example")
    >>> within_groups(w, {"a": "X", "b": "X", "c": "Y"}).regions
    ('a', 'b')
    """
    labels = labels_of(weights.regions, groups)
    cut = crossing_links(weights, labels)
    if len(cut.receivers) == cut.total:
        raise WeightsError(
            "no link of W stays inside a group",
            got=f"{cut.total} links, all between groups; {cut.examples(weights.regions, labels)}",
            causes=("every group has one region", "the groups are those of another map"),
            fix="use larger groups (macro-regions), or ordinary period effects",
        )
    matrix = sp.lil_matrix(weights.matrix)
    matrix[cut.receivers, cut.senders] = 0.0
    note = f"{len(cut.receivers)} of {cut.total} links between different groups were cut"
    kept = SpatialWeights(
        sp.csr_matrix(matrix), weights.regions, f"{weights.kind} within groups", "none", "keep", (*weights.notes, note)
    )
    part = apply_island_policy(kept, "drop")
    return standardise(replace(part, notes=(*part.notes, *_drop_note(weights.regions, labels, part.regions))), "row")


def _drop_note(regions: tuple[str, ...], labels: tuple[str, ...], left: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the groups that are gone as a whole."""
    group = dict(zip(regions, labels, strict=True))
    gone = sorted(set(labels) - {group[region] for region in left})
    if not gone:
        return ()
    single = [name for name in gone if labels.count(name) == 1]
    said = f"groups that dropped out: {show_labels(gone, NAMED)}"
    return (said + (f" (of one region only: {show_labels(single, NAMED)})" if single else ""),)
