"""`Portfolio`: what each region does, by class: patents by technology, employment by industry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from spillover.errors import AlignmentError, OptionError, PanelError, ValueDomainError, did_you_mean, show_labels
from spillover.panel.clean import to_ids, to_numbers
from spillover.panel.industry import IndustryTable
from spillover.panel.panel import Period
from spillover.panel.tables import RawTable, open_table
from spillover.panel.wording import count_of
from spillover.typing import FloatArray
from spillover.weights.labels import as_region_ids, as_text, positions_of


@dataclass(frozen=True, eq=False, repr=False)
class Portfolio:
    """Numbers of n regions in K classes. Made by `read_portfolio`.

    Attributes
    ----------
    regions : n region ids.
    classes : K codes, text ("C26", "H04").
    values : (n, K) CSR, zero or more.
    notes : how it was made.
    """

    regions: tuple[str, ...]
    classes: tuple[str, ...]
    values: sp.csr_matrix
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        matrix = sp.csr_matrix(self.values, dtype=float, copy=True)
        matrix.sum_duplicates()
        bad = ~(np.isfinite(matrix.data) & (matrix.data >= 0.0))
        if bad.any():
            entries = sp.coo_matrix(matrix)
            told = (
                f"{self.classes[entries.col[k]]} of {self.regions[entries.row[k]]}: {entries.data[k]:g}"
                for k in np.flatnonzero(bad)
            )
            raise ValueDomainError(
                "a portfolio holds numbers of zero or more",
                got=show_labels(told),
                causes=("missing cells", "codes such as −9 for suppressed values"),
                fix="fill in what is missing, or write zero where nothing is there",
            )
        matrix.eliminate_zeros()
        object.__setattr__(self, "values", matrix)

    @property
    def totals(self) -> FloatArray:
        """(n,) sums over classes."""
        return np.asarray(self.values.sum(axis=1)).ravel()

    @property
    def empty(self) -> tuple[str, ...]:
        """Regions with nothing in any class."""
        return tuple(self.regions[k] for k in np.flatnonzero(self.totals == 0.0))

    def shares(self) -> sp.csr_matrix:
        """(n, K) rows of sum one; rows of empty regions stay zero."""
        totals = self.totals
        scale = np.divide(1.0, totals, out=np.zeros_like(totals), where=totals > 0.0)
        return sp.csr_matrix(sp.diags_array(scale) @ self.values)

    def align(self, regions: Sequence[str]) -> Portfolio:
        """The portfolios of these regions, in this order; `AlignmentError` for those that have none."""
        order = np.array(positions_of(regions, self.regions, "portfolios"), dtype=np.int64)
        return replace(self, regions=tuple(regions), values=self.values[order])

    def regroup(self, groups: Mapping[str, str]) -> Portfolio:
        """Classes added up into groups: class → group, for example detailed industries into those of another table.

        Raises `AlignmentError` for classes without a group; an empty text leaves a class out, which is noted.
        """
        lost = [code for code in self.classes if code not in groups]
        if lost:
            raise AlignmentError(
                f"{len(lost)} classes have no group",
                got=show_labels(lost),
                expected="one group for every class; an empty text leaves a class out",
                fix=did_you_mean(lost[0], groups) or None,
            )
        names = tuple(dict.fromkeys(groups[code] for code in self.classes if groups[code]))
        if not names:
            raise AlignmentError("every class is left out", got=show_labels(self.classes))
        kept = [k for k, code in enumerate(self.classes) if groups[code]]
        place = [names.index(groups[self.classes[k]]) for k in kept]
        sums = sp.csr_matrix((np.ones(len(kept)), (kept, place)), shape=(len(self.classes), len(names)))
        notes = self.notes
        if len(kept) < len(self.classes):
            out = [code for code in self.classes if not groups[code]]
            share = 1.0 - float(self.values[:, kept].sum()) / float(self.values.sum())
            notes = (*notes, f"left out with {100 * share:.3g} % of the total: {show_labels(out, 20)}")
        return replace(self, classes=names, values=sp.csr_matrix(self.values @ sums), notes=notes)

    def __repr__(self) -> str:
        return f"Portfolio: {len(self.regions)} regions × {len(self.classes)} classes, {self.values.nnz} entries"


def read_portfolio(
    table: Any,
    *,
    region: str | None = None,
    class_: str | None = None,
    value: str | None = None,
    period: Period | Sequence[Period] | None = None,
    encoding: str | None = None,
) -> Portfolio:
    """Portfolios from an `IndustryTable`, a long table or a wide one.

    Parameters
    ----------
    table : `IndustryTable` (with `period`, one or several that are added up); or path or data frame.
    region : id column; the index of a pandas frame by default.
    class_, value : columns of a long table, one row per region and class. A pair that is absent is zero. Without them
        the table is wide: every other column is a class.

    Raises
    ------
    ValueDomainError : negative or missing cells, by name. PanelError : a region and class in two rows.

    >>> import pandas as pd
    >>> patents = pd.DataFrame({"id": ["a", "a", "b"], "ipc": ["H04", "G06", "H04"], "n": [3, 1, 2]})
    >>> read_portfolio(patents, region="id", class_="ipc", value="n").values.toarray().tolist()
    [[1.0, 3.0], [0.0, 2.0]]
    """
    if isinstance(table, IndustryTable):
        return _from_industries(table, period)
    if period is not None:
        raise OptionError("period= is for an IndustryTable", fix="keep the rows of these periods before")
    if (class_ is None) != (value is None):
        raise OptionError("a long table needs both class_= and value=", fix="give both, or neither for a wide table")
    if region is None and hasattr(table, "reset_index"):
        table, region = _with_index(table)
    raw = open_table(table, encoding)
    if region is None:
        raise OptionError("which column holds the region ids is not said", fix='name it with region="…"')
    ids, notes = to_ids(raw, region, "region")
    if class_ is None or value is None:
        return _from_wide(raw, region, ids, tuple(notes))
    codes, more = to_ids(raw, class_, "class", fractions=True)
    regions, classes = tuple(sorted(set(ids))), tuple(sorted(set(codes)))
    numbers = _numbers(raw, value)
    rows, columns = _places(ids, regions), _places(codes, classes)
    keys, counts = np.unique(rows * len(classes) + columns, return_counts=True)
    if (counts > 1).any():
        twice = [f"{classes[key % len(classes)]} of {regions[key // len(classes)]}" for key in keys[counts > 1]]
        raise PanelError(
            "the same region and class occur in more than one row",
            got=show_labels(twice),
            causes=("several periods in one table",),
            fix="keep the rows of one period, or add them up",
        )
    matrix = sp.csr_matrix((numbers, (rows, columns)), shape=(len(regions), len(classes)))
    return Portfolio(regions, classes, matrix, (*notes, *more))


def _with_index(frame: Any) -> tuple[Any, str]:
    name = frame.index.name or "region"
    return frame.rename_axis(name).reset_index(), str(name)


def _places(ids: Sequence[str], known: Sequence[str]) -> np.ndarray:
    place = {name: k for k, name in enumerate(known)}
    return np.array([place[name] for name in ids], dtype=np.int64)


def _from_wide(raw: RawTable, region: str, ids: list[str], notes: tuple[str, ...]) -> Portfolio:
    regions = as_region_ids(ids, f"column {region!r}")
    classes = tuple(as_text(name) for name in raw.columns if name != as_text(region))
    if not classes:
        raise OptionError("the table has no column beside the ids", got=raw.source)
    values = np.column_stack([_numbers(raw, name) for name in classes])
    return Portfolio(regions, classes, sp.csr_matrix(values), (*raw.notes, *notes))


def _numbers(raw: RawTable, column: str) -> FloatArray:
    found = to_numbers(raw.column(column, "value"))
    bad = ~np.isfinite(found.values)
    if bad.any():
        raise ValueDomainError(
            f"column {column!r} of {raw.source} has cells that are no numbers",
            got=show_labels(raw.row(k) for k in np.flatnonzero(bad).tolist()),
            expected="a number of zero or more; 0 where nothing is there",
        )
    return found.values


def _from_industries(table: IndustryTable, period: Period | Sequence[Period] | None) -> Portfolio:
    if period is None and len(table.periods) > 1:
        raise OptionError(
            "an industry table with several periods needs period=",
            got=show_labels(table.periods, 20),
            fix="name one period, or several that are added up",
        )
    if period is None:
        chosen: tuple[Period, ...] = table.periods
    else:
        chosen = (period,) if isinstance(period, int | str) else tuple(period)
    unknown = [each for each in chosen if each not in table.periods]
    if unknown:
        raise OptionError(
            "periods that the industry table does not have",
            got=show_labels(unknown),
            expected=show_labels(table.periods, 20),
        )
    slices = table.values[:, :, [table.periods.index(each) for each in chosen]]
    missing = np.argwhere(np.isnan(slices))
    if len(missing):
        raise ValueDomainError(
            f"{count_of(len(missing), 'cell is', 'cells are')} missing in the industry table",
            got=show_labels(f"{table.industries[s]} of {table.regions[i]} in {chosen[t]}" for i, s, t in missing),
            expected="a number for every region and industry",
            causes=("absent rows, which are missing and not zero", "suppressed cells"),
            fix="write zeros where nothing is there, or choose another period or fewer industries",
        )
    notes = (*table.log, f"portfolio of {', '.join(map(str, chosen))}") if table.is_panel else table.log
    return Portfolio(table.regions, table.industries, sp.csr_matrix(slices.sum(axis=2)), notes)
