"""The largest complete part of a panel with gaps, and the list of what was dropped for it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from spillover.errors import AssumptionWarning, MissingCellError, OptionError, check_option, show_labels
from spillover.panel.panel import Panel, Period
from spillover.typing import BoolArray, IntArray

ALL_SUBSETS = 14  # periods up to which every set of periods is tried (16,384)
MUCH = 0.05  # share of regions whose loss is worth a warning


@dataclass(frozen=True, eq=False)
class BalancedPanel:
    """A complete part of a panel.

    Attributes
    ----------
    panel : the part, without missing cells in the columns.
    dropped_regions, dropped_periods : what went, by name.
    observed_lost : observed (region, period) pairs that went with it.
    share : share of the region × period pairs that is left.
    """

    panel: Panel
    dropped_regions: tuple[str, ...]
    dropped_periods: tuple[Period, ...]
    observed_lost: int
    share: float

    def sentence(self) -> str:
        """What was dropped, in words."""
        if not (self.dropped_regions or self.dropped_periods):
            return "Nothing was dropped: the columns are complete."
        parts = []
        if self.dropped_regions:
            parts.append(f"{len(self.dropped_regions)} regions ({show_labels(self.dropped_regions, 400)})")
        if self.dropped_periods:
            parts.append(f"{len(self.dropped_periods)} periods ({show_labels(self.dropped_periods, 400)})")
        return (
            f"Dropped {' and '.join(parts)}; {self.observed_lost} complete region-periods went with them, "
            f"{100 * self.share:.1f} % of the table is left."
        )


def balanced_panel(
    panel: Panel, columns: Sequence[str], *, keep: str = "most", least_periods: int | None = None
) -> BalancedPanel:
    """The complete part of a panel with the most region-periods, choosing which regions and which periods go.

    Parameters
    ----------
    columns : variables that must have no missing cell.
    keep : "most" (largest number of region-periods), "regions" (all regions, drop periods) or "periods" (all
        periods, drop regions).
    least_periods : fewest periods that may be left; 2 for a panel by default.

    Every set of periods is tried up to 14 periods, beyond that every run of consecutive periods and a greedy descent.
    A period dropped inside the span leaves a gap, which time lags respect.

    Raises
    ------
    MissingCellError : nothing complete is left.

    Warns when more than 5 % of the regions go: they are part of the map, and W among the rest is another W
    (`fit_missing` keeps them when only the outcome is missing).
    """
    check_option("keep", keep, ("most", "regions", "periods"))
    n, t = panel.shape
    least = min(2, t) if least_periods is None else least_periods
    if not 1 <= least <= t:
        raise OptionError("least_periods is between 1 and the number of periods", got=str(least), expected=f"1 to {t}")
    holes = np.zeros((n, t), dtype=bool)
    for name in columns:
        holes |= np.isnan(panel[name])
    rows, kept = _choose(holes, keep, least)
    if not rows.size or kept.size < least:
        raise MissingCellError(
            "no complete part is left",
            got=f"{int(holes.sum())} of {holes.size} region-periods have a missing cell in {show_labels(columns)}",
            fix="use fewer columns, keep='most', or multiple imputation with impute(…)",
        )
    regions, periods = {panel.regions[i] for i in rows}, {panel.periods[j] for j in kept}
    lost_regions = tuple(r for r in panel.regions if r not in regions)
    lost_periods = tuple(p for p in panel.periods if p not in periods)
    size = rows.size * kept.size
    found = BalancedPanel(panel, lost_regions, lost_periods, int((~holes).sum()) - size, size / holes.size)
    if len(lost_regions) > MUCH * n:
        warnings.warn(
            f"{len(lost_regions)} of {n} regions were dropped for missing cells: spillovers to and from them are cut, "
            "so W and its coefficients mean something else",
            AssumptionWarning,
            stacklevel=2,
        )
    if not (lost_regions or lost_periods):
        return found
    part = panel.select(regions=regions, periods=periods, note=found.sentence())
    return BalancedPanel(part, lost_regions, lost_periods, found.observed_lost, found.share)


def _choose(holes: BoolArray, keep: str, least: int) -> tuple[IntArray, IntArray]:
    """(regions kept, periods kept): the best candidate; ties go to more regions, then to later periods."""
    n, t = holes.shape
    if keep == "regions":
        return np.arange(n), np.flatnonzero(~holes.any(axis=0))
    if keep == "periods":
        return np.flatnonzero(~holes.any(axis=1)), np.arange(t)
    best: tuple[tuple[int, int, tuple[int, ...]], IntArray, IntArray] | None = None
    patterns, counts = np.unique(holes, axis=0, return_counts=True)
    for periods in _candidates(holes, least):
        count = int(counts[~patterns[:, periods].any(axis=1)].sum())
        rank = (count * periods.size, count, tuple(periods.tolist()))
        if best is None or rank > best[0]:
            best = (rank, np.flatnonzero(~holes[:, periods].any(axis=1)), periods)
    assert best is not None
    return best[1], best[2]


def _candidates(holes: BoolArray, least: int) -> Iterator[IntArray]:
    """Sets of periods to try."""
    t = holes.shape[1]
    if t <= ALL_SUBSETS:
        for size in range(least, t + 1):
            for chosen in combinations(range(t), size):
                yield np.array(chosen)
        return
    for start in range(t):
        for end in range(start + least, t + 1):
            yield np.arange(start, end)
    yield from _greedy(holes, least)


def _greedy(holes: BoolArray, least: int) -> Iterator[IntArray]:
    """All periods, then without the emptiest, and so on."""
    left = np.arange(holes.shape[1])
    while left.size >= least:
        yield left
        left = np.delete(left, int(np.argmax(holes[:, left].sum(axis=0))))
