"""`IndustryTable`: region × industry × period, from which agglomeration is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from spillover.errors import OptionError, PanelError, ValueDomainError, show_labels
from spillover.panel.clean import to_ids, to_numbers
from spillover.panel.keys import positions, read_keys, require_unique
from spillover.panel.panel import Period
from spillover.panel.read import require_numbers
from spillover.panel.tables import clean_name, open_table
from spillover.panel.wording import count_of
from spillover.typing import FloatArray


@dataclass(frozen=True, eq=False, repr=False)
class IndustryTable:
    """Employment, output or plants of n regions × s industries × t periods. Made by `read_industry`.

    Attributes
    ----------
    regions, industries, periods : ids, each sorted and unique; industry codes are text ("26", "C26.1").
    values : (n, s, t), ≥ 0, read only; NaN is a missing cell, which is not the same as zero.
    is_panel : False without a period column (periods = (0,)).
    unit : of the values.
    log : what was done to the table, one sentence each.
    """

    regions: tuple[str, ...]
    industries: tuple[str, ...]
    periods: tuple[Period, ...]
    values: FloatArray
    is_panel: bool = True
    unit: str = ""
    log: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        values = np.array(self.values, dtype=float)
        if values.shape != self.shape:
            raise PanelError(
                "an industry table has one value per region, industry and period",
                got=f"shape {values.shape}",
                expected=f"shape {self.shape}",
            )
        values.setflags(write=False)
        object.__setattr__(self, "values", values)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n regions, s industries, t periods)."""
        return len(self.regions), len(self.industries), len(self.periods)

    def __repr__(self) -> str:
        n, s, t = self.shape
        return f"IndustryTable: {n} regions × {s} industries × {t} periods"


def read_industry(
    table: Any,
    *,
    region: str,
    industry: str,
    value: str,
    period: str | None = None,
    unit: str = "",
    encoding: str | None = None,
) -> IndustryTable:
    """A region × industry (× period) table from its long form: one row per region, industry and period.

    Parameters
    ----------
    table : path or data frame, as in `read_panel`.
    region, industry, period : key columns; ids are cleaned as in `read_panel`, codes are kept as text.
    value : column with the numbers, ≥ 0.
    unit : of the values ("persons").
    encoding : of a text file; UTF-8 by default.

    Returns
    -------
    IndustryTable; rows that are absent are NaN (missing), never zero, and the log counts them.

    Raises
    ------
    FileError, UnknownColumnError, DuplicateKeyError : as in `read_panel`.
    ValueDomainError : missing keys; texts, infinite or negative values; the cells are named.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"id": ["a", "a", "b"], "code": [26, 27, 26], "jobs": [5, 6, 7]})
    >>> table = read_industry(frame, region="id", industry="code", value="jobs")
    >>> table.industries, table.values[:, :, 0].tolist()
    (('26', '27'), [[5.0, 6.0], [7.0, nan]])
    """
    named = [clean_name(each) for each in (region, industry, value, period) if each is not None]
    if len(set(named)) < len(named):
        raise OptionError("region, industry, value and period are different columns", got=show_labels(named))
    raw = open_table(table, encoding)
    numbers = to_numbers(raw.column(value, "value"))
    keys = read_keys(raw, region, period)
    codes, notes = to_ids(raw, industry, "industry", fractions=True)
    require_unique(raw, keys, codes)
    require_numbers(raw, {clean_name(value): numbers}, keys)
    negative = np.flatnonzero(numbers.values < 0)
    if len(negative):
        raise ValueDomainError(
            f"{count_of(len(negative), 'cell')} of {clean_name(value)} below zero",
            got=show_labels(f"{codes[k]} of {keys.cell(k)} = {numbers.values[k]:g}" for k in negative),
            expected="zero or more",
            causes=("codes such as −9 for suppressed values", "changes instead of levels"),
            fix="make suppressed cells blank",
        )
    industries = tuple(sorted(set(codes)))
    values = np.full((len(keys.regions), len(industries), len(keys.periods)), np.nan)
    values[keys.i, positions(codes, industries), keys.j] = numbers.values
    absent = values.size - len(numbers.values)
    blank = int(np.isnan(numbers.values).sum())
    if absent or blank:
        notes = [
            *notes,
            f"{count_of(absent, 'row')} absent and {count_of(blank, 'cell')} blank of {values.size}: missing, not 0",
        ]
    return IndustryTable(
        regions=keys.regions,
        industries=industries,
        periods=keys.periods,
        values=values,
        is_panel=keys.is_panel,
        unit=unit,
        log=(*raw.notes, *keys.notes, *notes),
    )
