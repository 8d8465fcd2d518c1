"""`Keys`: which row of a table is which region in which period."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spillover.errors import DuplicateKeyError, OptionError, show_labels
from spillover.panel.clean import describe_gaps, to_ids, to_periods
from spillover.panel.panel import Period
from spillover.panel.periods import sort_periods
from spillover.panel.tables import RawTable, clean_name
from spillover.panel.wording import count_of
from spillover.typing import IntArray


@dataclass(frozen=True, eq=False)
class Keys:
    """Keys of r rows.

    Attributes
    ----------
    regions, periods : sorted, unique (n ids, t periods).
    i, j : (r,) position of each row among them.
    is_panel : whether there is a period column.
    notes : what was done to the keys, one sentence each.
    """

    regions: tuple[str, ...]
    periods: tuple[Period, ...]
    i: IntArray
    j: IntArray
    is_panel: bool
    notes: tuple[str, ...]

    def cell(self, row: int | np.integer[Any]) -> str:
        """ "54 in 2011", or "54" in a cross-section."""
        region = self.regions[self.i[row]]
        return f"{region} in {self.periods[self.j[row]]}" if self.is_panel else region


def read_keys(raw: RawTable, region: str, period: str | None) -> Keys:
    """Region and period of every row; whether they repeat is asked by `require_unique`.

    Raises `UnknownColumnError`, `OptionError` (one column named twice) or `ValueDomainError` (missing keys).
    """
    if period is not None and clean_name(region) == clean_name(period):
        raise OptionError("region and period are the same column", got=repr(region), expected="two columns")
    ids, notes = to_ids(raw, region, "region")
    times: list[Period] = [0] * len(ids)
    if period is not None:
        times, more = to_periods(raw, period)
        notes = [*notes, *more]
    regions, periods = sorted(set(ids)), sort_periods(times)
    if period is not None:
        notes += describe_gaps(periods, clean_name(period))
    return Keys(
        tuple(regions),
        tuple(periods),
        positions(ids, regions),
        positions(times, periods),
        period is not None,
        tuple(notes),
    )


def positions(values: Sequence[Hashable], among: Sequence[Hashable]) -> IntArray:
    """(r,) position of each value among the unique ones."""
    where = {value: k for k, value in enumerate(among)}
    return np.array([where[value] for value in values], dtype=np.int64)


def require_unique(raw: RawTable, keys: Keys, codes: Sequence[str] | None = None) -> None:
    """Raise `DuplicateKeyError` naming the keys that occur in more than one row.

    codes : (r,) a further part of the key (industries).
    """
    rows: dict[Hashable, list[int]] = defaultdict(list)
    for k in range(len(keys.i)):
        rows[int(keys.i[k]), int(keys.j[k]), codes[k] if codes else ""].append(k)
    repeated = [group for group in rows.values() if len(group) > 1]
    if not repeated:
        return
    parts = ["region"] + (["industry"] if codes else []) + (["period"] if keys.is_panel else [])
    shown = [
        (f"{codes[group[0]]} of " if codes else "")
        + f"{keys.cell(group[0])} ({show_labels((raw.row(k) for k in group), 3)})"
        for group in repeated
    ]
    raise DuplicateKeyError(
        f"{count_of(len(repeated), 'key')} ({', '.join(parts)}) in more than one row of {raw.source}",
        got=show_labels(shown),
        expected="one row per " + ", ".join(parts),
        causes=(
            "the table has a further dimension (sector, sex, unit) or two versions of a row",
            "ids that differ only in blanks around them",
        ),
        fix="keep or sum the rows that are meant"
        if keys.is_panel
        else "the table may be a panel: name its period column, period=…",
    )
