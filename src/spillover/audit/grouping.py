"""Groups of regions (countries, macro-regions) as the parts of an audit use them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spillover.errors import DesignError, show_labels
from spillover.models.groups import group_labels
from spillover.models.result import SpatialFit
from spillover.models.spec import Groups
from spillover.typing import IntArray

NAMED = 60


@dataclass(frozen=True, eq=False)
class Grouping:
    """A partition of the regions of a fit.

    Attributes
    ----------
    name : what the groups are called ("country"), "group" where they came as a mapping.
    labels : n group names, in the order of the regions.
    regions : n region ids.
    """

    name: str
    labels: tuple[str, ...]
    regions: tuple[str, ...]

    @cached_property
    def members(self) -> dict[str, IntArray]:
        """Group → positions of its regions, groups in order of first appearance."""
        found: dict[str, list[int]] = {}
        for i, label in enumerate(self.labels):
            found.setdefault(label, []).append(i)
        return {label: np.array(at, dtype=np.int64) for label, at in found.items()}

    @property
    def single(self) -> tuple[str, ...]:
        """Groups of one region."""
        return tuple(label for label, at in self.members.items() if at.size == 1)

    @property
    def mapping(self) -> dict[str, str]:
        """Region → group."""
        return dict(zip(self.regions, self.labels, strict=True))

    @property
    def plural(self) -> str:
        """The name for several ("countries", "groups")."""
        return f"{self.name[:-1]}ies" if self.name.endswith("y") else f"{self.name}s"

    def tell_single(self) -> str:
        """A sentence that names the groups of one region; empty when there is none."""
        if not self.single:
            return ""
        what = f"One {self.name} has" if len(self.single) == 1 else f"{len(self.single)} {self.plural} have"
        return f"{what} a single region: {show_labels(self.single, NAMED)}."


def resolve_groups(fit: SpatialFit, groups: Groups = None) -> Grouping | None:
    """The groups that were asked for, else those of the fit, else the panel's only grouping; None without any.

    groups : a column of `panel.groups`, or region → group.

    Raises
    ------
    UnknownColumnError, AlignmentError : no such grouping; regions without a group.
    DesignError : all regions are one group, or every group is one region (named).
    """
    chosen = groups if groups is not None else fit.spec.groups
    if chosen is None and len(fit.panel.groups) == 1:
        chosen = next(iter(fit.panel.groups))
    if chosen is None:
        return None
    labels = group_labels(fit.spec.with_changes(groups=chosen), fit.panel)
    found = Grouping(chosen if isinstance(chosen, str) else "group", labels, fit.panel.regions)
    check_partition(found, asked=groups is not None)
    return found if 1 < len(found.members) < len(labels) else None


def check_partition(grouping: Grouping, *, asked: bool) -> None:
    """Refuse groups that were asked for and divide nothing: one group of all, or one region in each."""
    if not asked:
        return
    count, n = len(grouping.members), len(grouping.labels)
    if count == n:
        raise DesignError(
            "every group has one region, so there is nothing inside a group to compare",
            got=f"{count} groups of one region: {show_labels(grouping.members)}",
            expected="several regions in most groups",
            causes=("the column holds region names", "countries that are one region each"),
            fix="use larger groups (countries, macro-regions)",
        )
    if count == 1:
        raise DesignError(
            "all regions belong to one group, so there is nothing to tell groups apart by",
            got=show_labels(grouping.members),
            expected="two groups or more",
            fix="leave out groups=…, or name a finer grouping",
        )
    return
