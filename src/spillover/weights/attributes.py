"""One number or one label per region, by id: masses, incomes, provinces, from whatever the user has them in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from spillover.errors import AlignmentError, OptionError, ValueDomainError, WeightsError, show_labels
from spillover.panel.panel import Panel, Period
from spillover.typing import FloatArray
from spillover.weights.labels import as_text


def region_values(
    values: Any, regions: Sequence[str], what: str, *, source: Any = None, period: Period | None = None
) -> tuple[FloatArray, tuple[str, ...]]:
    """(n,) numbers in the order of `regions`, and notes on where they come from.

    Parameters
    ----------
    values : name of a variable of the panel `source`; or a mapping or pandas Series of numbers by region id.
    what : what they are, for messages ("mass").
    period : of the panel variable; the first by default, so that W is older than what it explains.

    Raises
    ------
    AlignmentError : regions without a number. ValueDomainError : numbers that are missing or infinite.
    OptionError : neither a name with a panel nor a mapping.
    """
    notes: tuple[str, ...] = ()
    if isinstance(values, str):
        if not isinstance(source, Panel):
            raise OptionError(
                f"{what} is named, but there is no panel to look the name up in",
                got=f"{values!r} with a {type(source).__name__}",
                fix="give a panel as source, or numbers by region id",
            )
        table = source[values]
        chosen = source.periods[0] if period is None else period
        if chosen not in source.periods:
            raise OptionError(
                f"the panel has no period {chosen!r}", expected="one of " + show_labels(source.periods, 20)
            )
        column = table[:, source.periods.index(chosen)]
        found = dict(zip(source.regions, column.tolist(), strict=True))
        if source.is_panel and np.ptp(table, axis=1).max() > 0:
            when = "" if period is not None else ", the first period"
            notes = (f"{what} is {values} of {chosen}{when}",)
    elif isinstance(values, Mapping) or hasattr(values, "items"):
        found = {as_text(region): value for region, value in values.items()}
    else:
        raise OptionError(
            f"{what} is not given by region id",
            got=type(values).__name__,
            expected="the name of a panel variable, or a mapping or Series of numbers by region id",
            causes=("an array does not say which number belongs to which region",),
            fix="write dict(zip(regions, numbers))",
        )
    return _numbers(found, regions, what), notes


def _numbers(found: Mapping[str, Any], regions: Sequence[str], what: str) -> FloatArray:
    absent = [region for region in regions if region not in found]
    if absent:
        raise AlignmentError(
            f"{len(absent)} regions have no {what}",
            got=show_labels(absent),
            expected="a number for each of the regions; given are ids such as " + show_labels(found),
            causes=("ids read as numbers lost their leading zeros", "different code lists or vintages"),
        )
    numbers = np.array([_as_number(found[region]) for region in regions])
    bad = ~np.isfinite(numbers)
    if bad.any():
        raise ValueDomainError(
            f"{what} is not a finite number everywhere",
            got=show_labels(np.array(regions, dtype=object)[bad]),
            expected="one finite number for every region",
            causes=("blank cells", "the logarithm of zero"),
        )
    return numbers


def _as_number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def region_labels(values: Any, regions: Sequence[str], what: str, *, source: Any = None) -> tuple[str, ...]:
    """n labels in the order of `regions`.

    values : name of one of the panel's groups, or a mapping region id → label.
    """
    if isinstance(values, str):
        groups = getattr(source, "groups", None)
        if not isinstance(groups, Mapping) or values not in groups:
            raise OptionError(
                f"the source has no groups called {values!r}",
                expected="one of " + show_labels(groups) if groups else "a panel that was read with groups=…",
                fix="read_panel(…, groups=[…]) keeps columns that are constant in time as groups",
            )
        found = dict(zip(source.regions, groups[values], strict=True))
    elif isinstance(values, Mapping) or hasattr(values, "items"):
        found = {as_text(region): as_text(label) for region, label in values.items()}
    else:
        raise OptionError(
            f"{what} is not given by region id",
            got=type(values).__name__,
            expected="the name of one of the panel's groups, or a mapping of labels by region id",
        )
    absent = [region for region in regions if not found.get(region)]
    if absent:
        raise AlignmentError(f"{len(absent)} regions have no {what}", got=show_labels(absent))
    return tuple(found[region] for region in regions)


def source_regions(source: Any) -> tuple[str, ...]:
    """The regions of a panel or of a W."""
    regions = getattr(source, "regions", None)
    if not isinstance(regions, tuple):
        raise WeightsError(
            "the source does not say which regions there are",
            got=type(source).__name__,
            expected="a Panel or a SpatialWeights",
        )
    return regions
