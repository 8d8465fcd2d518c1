"""Agglomeration of high-tech industry: location quotients and density."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from spillover.errors import AlignmentError, MissingCellError, OptionError, PanelError, ValueDomainError, show_labels
from spillover.measures.classification import find_codes, require_disjoint, require_no_total_row
from spillover.typing import BoolArray, FloatArray

if TYPE_CHECKING:
    from spillover.panel.industry import IndustryTable
    from spillover.panel.panel import Panel, Period

LOCATION_QUOTIENT_UNIT = "ratio (all regions together = 1)"
_SQUARE_KILOMETRES = ("km2", "sq km", "square kilometres", "square kilometers", "平方公里", "平方千米")


# -- arrays ---------------------------------------------------------------------------------------


def location_quotient(sector: FloatArray, total: FloatArray) -> FloatArray:
    """Location quotient LQ_it = (x_it / X_it) / (Σ_i x_it / Σ_i X_it).

    1 means that the region has the sector's average share, 2 that it has twice that share.
    Identity: Σ_i (X_it / Σ_i X_it) LQ_it = 1 in every period.

    Parameters
    ----------
    sector, total : (n, t) or (n,) of the sector and of all activity, ≥ 0, finite, in any unit.

    Returns
    -------
    Same shape, ≥ 0, no unit. NaN where it is not defined: X_it = 0 (that cell), Σ_i x_it = 0 (the whole period),
    or a missing cell (the whole period, since the reference share is then unknown). `add_location_quotient`
    raises in these cases and names them.

    Errors
    ------
    ValueDomainError : negative or infinite values, or two shapes.

    Source: Isard (1960), Methods of Regional Analysis.

    >>> location_quotient(np.array([10.0, 10.0]), np.array([50.0, 150.0]))
    array([2.        , 0.66666667])
    """
    x, whole = _non_negative(sector, "sector"), _non_negative(total, "total")
    if x.shape != whole.shape:
        raise ValueDomainError("sector and total do not have the same shape", got=f"{x.shape} and {whole.shape}")
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient = (x / whole) / (x.sum(axis=0) / whole.sum(axis=0))
    return np.where(np.isfinite(quotient), quotient, np.nan)


def symmetric_location_quotient(quotient: FloatArray) -> FloatArray:
    """(LQ − 1) / (LQ + 1) in [−1, 1): 0 at the average share, defined at LQ = 0 where the logarithm is not.

    Source: Dalum, Laursen & Villumsen (1998), International Review of Applied Economics 12.

    >>> symmetric_location_quotient(np.array([0.0, 1.0, 3.0]))
    array([-1. ,  0. ,  0.5])
    """
    values = _non_negative(quotient, "location quotient")
    return (values - 1.0) / (values + 1.0)


def density(sector: FloatArray, area_km2: FloatArray) -> FloatArray:
    """Sector activity per square kilometre, x_it / a_i.

    Parameters
    ----------
    sector : (n, t) or (n,), ≥ 0; NaN stays NaN.
    area_km2 : (n,) or (n, t), km², > 0.

    Errors
    ------
    ValueDomainError : an area that is missing, zero or negative; negative or infinite activity.

    >>> density(np.array([[10.0, 20.0]]), np.array([5.0]))
    array([[2., 4.]])
    """
    x = _non_negative(sector, "sector")
    area = np.asarray(area_km2, dtype=float)
    if not (np.isfinite(area) & (area > 0)).all():
        raise ValueDomainError("areas are not all positive numbers", expected="km², > 0")
    if area.ndim < x.ndim:
        area = area[:, None]
    if area.shape[0] != x.shape[0] or area.ndim != x.ndim or (area.ndim == 2 and area.shape[1] not in (1, x.shape[1])):
        raise ValueDomainError(
            "activity and area do not have the same regions", got=f"shapes {x.shape} and {np.shape(area_km2)}"
        )
    return x / area


def _non_negative(values: FloatArray, role: str) -> FloatArray:
    array = np.asarray(values, dtype=float)
    bad = (array < 0) | np.isinf(array)
    if bad.any():
        raise ValueDomainError(
            f"{role} has {int(bad.sum())} negative or infinite values",
            got=show_labels(array[bad]),
            expected="finite values of zero or more",
        )
    return array


# -- region × industry × period tables ------------------------------------------------------------


def industry_sum(table: IndustryTable, codes: str | Sequence[str]) -> FloatArray:
    """(n, t) sum of the rows named by `codes`; a missing cell makes the sum missing.

    Errors
    ------
    UnknownColumnError : a code that no row has (with a suggestion).
    ValueDomainError : codes that overlap (a parent and its part).
    """
    rows = find_codes(table, codes, "high-tech industry")
    require_disjoint(table, rows, "the sum of the high-tech codes")
    return np.asarray(table.values[:, rows, :].sum(axis=1))


def industry_total(table: IndustryTable, total: str | Sequence[str] | None = None) -> FloatArray:
    """(n, t) all activity: the rows named by `total`, or the sum of all rows if none overlaps another."""
    if total is None:
        require_no_total_row(table)
        rows = list(range(len(table.industries)))
    else:
        rows = find_codes(table, total, "total")
    require_disjoint(table, rows, "the total")
    return np.asarray(table.values[:, rows, :].sum(axis=1))


def location_quotient_of(
    table: IndustryTable, high_tech: str | Sequence[str], total: str | Sequence[str] | None = None
) -> FloatArray:
    """(n, t) location quotient of the industries `high_tech` in the order of `table.regions` and `table.periods`.

    Parameters
    ----------
    table : region × industry × period, values ≥ 0.
    high_tech : industry codes that make up the high-tech sector.
    total : code of the total row, or the codes that add up to it; by default all rows are summed.

    Errors
    ------
    UnknownColumnError, MissingCellError, ValueDomainError : unknown or overlapping codes; missing, negative or
        infinite cells; zero totals; a high-tech sum that exceeds the total. Regions and periods are named.
    """
    sector, whole = industry_sum(table, high_tech), industry_total(table, total)
    _require_quotient_defined(sector, whole, "high-tech industry", "the total", table.regions, table.periods)
    # Published totals are rounded; 1e-9 is only floating-point noise.
    _refuse_cells(
        sector > whole * (1.0 + 1e-9),
        "the high-tech sum exceeds the total",
        "a part that is not larger than the whole",
        table.regions,
        table.periods,
    )
    return location_quotient(sector, whole)


# -- panels ---------------------------------------------------------------------------------------


def add_location_quotient(panel: Panel, name: str, sector: str, total: str, label: str = "") -> Panel:
    """A copy of `panel` with the location quotient of variable `sector` relative to variable `total`.

    The reference is all regions of the panel together. `total` need not contain `sector` (firms per person
    compared with firms per person everywhere is a quotient too); when both have the same unit it must.

    Errors
    ------
    UnknownColumnError, MissingCellError, ValueDomainError, OptionError : variables that do not exist, missing or
        negative cells, zero totals (regions and periods named), a `name` that is taken.
    """
    _require_new_name(panel, name)
    panel.complete([sector, total])
    x, whole = panel[sector], panel[total]
    _require_quotient_defined(x, whole, repr(sector), repr(total), panel.regions, panel.periods)
    unit = panel.units.get(sector, "")
    if unit and unit == panel.units.get(total, ""):
        _refuse_cells(
            x > whole * (1.0 + 1e-9),
            f"{sector!r} exceeds {total!r}, of which it should be a part",
            f"values in {unit} that are not larger than the total",
            panel.regions,
            panel.periods,
        )
    quotient = location_quotient(x, whole)
    text = label or f"Location quotient of {panel.label(sector)}"
    note = f"{name}: location quotient of {sector} relative to {total}, reference: the {len(panel.regions)} regions "
    return panel.with_variables(
        {name: quotient},
        units={name: LOCATION_QUOTIENT_UNIT},
        labels={name: text},
        note=note + "of the panel" + _zero_note(quotient),
    )


def add_location_quotient_of(
    panel: Panel,
    name: str,
    table: IndustryTable,
    high_tech: str | Sequence[str],
    total: str | Sequence[str] | None = None,
    label: str = "",
) -> Panel:
    """A copy of `panel` with the location quotient from an industry table, matched by region and period id.

    The table may have more regions than the panel; all of them make up the reference, and the log says so.
    Its other periods are left aside.

    Errors
    ------
    AlignmentError : regions or periods of the panel that the table does not have. Otherwise as
        `location_quotient_of`.
    """
    _require_new_name(panel, name)
    rows = _positions(panel.regions, table.regions, "regions")
    quotient = location_quotient_of(_of_periods(table, panel.periods), high_tech, total)[rows]
    codes = [high_tech] if isinstance(high_tech, str) else list(high_tech)
    reference = f"reference: the {len(table.regions)} regions of the industry table"
    surplus = sorted(set(table.regions) - set(panel.regions))
    if surplus:
        reference += f" (not in the panel: {show_labels(surplus)})"
    return panel.with_variables(
        {name: quotient},
        units={name: LOCATION_QUOTIENT_UNIT},
        labels={name: label or "Location quotient of high-tech industry"},
        note=f"{name}: location quotient of industries {show_labels(codes, 40)}, {reference}{_zero_note(quotient)}",
    )


def add_density(panel: Panel, name: str, sector: str, area: str, label: str = "") -> Panel:
    """A copy of `panel` with `sector` per km²; variable `area` is in km².

    Errors
    ------
    UnknownColumnError, MissingCellError, ValueDomainError, OptionError : as `add_location_quotient`; areas that
        are not positive, or in a unit other than km².
    """
    _require_new_name(panel, name)
    panel.complete([sector, area])
    _refuse_cells(~(panel[area] > 0), f"areas in {area!r} are not positive", "km², > 0", panel.regions, panel.periods)
    unit = panel.units.get(area, "")
    if unit and unit.replace("²", "2").replace("^", "").strip().lower() not in _SQUARE_KILOMETRES:
        raise OptionError(
            f"area {area!r} is not in square kilometres",
            got=f"unit {unit!r}",
            expected="km²",
            fix=f"derive a column in km² (1 km² = 100 ha = 10⁶ m²), or correct the unit of {area!r}",
        )
    x = panel[sector]
    _require_activity(x, repr(sector), panel.regions, panel.periods)
    values = density(x, panel[area])
    return panel.with_variables(
        {name: values},
        units={name: f"{panel.units.get(sector) or 'units'} per km²"},
        labels={name: label or f"{panel.label(sector)} per km²"},
        note=f"{name}: {sector} divided by {area} (km²){_zero_note(values)}",
    )


def add_industry_sum(
    panel: Panel, name: str, table: IndustryTable, codes: str | Sequence[str], label: str = ""
) -> Panel:
    """A copy of `panel` with the sum of industries `codes`, matched by region and period id, in the table's unit.

    Errors
    ------
    AlignmentError, UnknownColumnError, MissingCellError, ValueDomainError, OptionError : as
        `add_location_quotient_of`; cells outside the panel's regions and periods do not matter.
    """
    _require_new_name(panel, name)
    rows = _positions(panel.regions, table.regions, "regions")
    values = industry_sum(_of_periods(table, panel.periods), codes)[rows]
    _require_activity(values, "high-tech industry", panel.regions, panel.periods)
    wanted = [codes] if isinstance(codes, str) else list(codes)
    return panel.with_variables(
        {name: values},
        units={name: table.unit},
        labels={name: label or "High-tech industry"},
        note=f"{name}: sum of industries {show_labels(wanted, 40)}{_zero_note(values)}",
    )


# -- checks that name cells -----------------------------------------------------------------------


def _require_new_name(panel: Panel, name: str) -> None:
    if name in panel:
        raise OptionError(
            f"the panel already has a variable {name!r}",
            expected="a new name; nothing is replaced in silence",
            fix=f"choose another name, for example {name + '_2'!r}",
        )


def _require_quotient_defined(
    sector: FloatArray,
    total: FloatArray,
    sector_name: str,
    total_name: str,
    regions: Sequence[str],
    periods: Sequence[Period],
) -> None:
    """Raise unless the location quotient is defined in every cell."""
    _require_activity(sector, sector_name, regions, periods)
    _require_activity(total, total_name, regions, periods)
    _refuse_cells(
        total == 0,
        f"{total_name} is zero, so the share of {sector_name} is not defined",
        "positive totals",
        regions,
        periods,
    )
    empty = [period for period, amount in zip(periods, sector.sum(axis=0), strict=True) if amount == 0]
    if empty:
        raise ValueDomainError(
            f"{sector_name} is zero in every region, so no region can have more than its share",
            got=f"periods {show_labels(empty)}",
            expected="activity in at least one region in every period",
            causes=("the sector was not recorded in these periods", "the wrong code or column"),
            fix="leave these periods out with panel.select(periods=…)",
        )


def _require_activity(values: FloatArray, name: str, regions: Sequence[str], periods: Sequence[Period]) -> None:
    missing = np.isnan(values)
    _refuse_cells(missing, f"{name} has missing cells", "a value in every cell", regions, periods, MissingCellError)
    bad = (values < 0) | np.isinf(values)
    _refuse_cells(bad, f"{name} has negative or infinite values", "finite values of zero or more", regions, periods)


def _refuse_cells(
    bad: BoolArray,
    what: str,
    expected: str,
    regions: Sequence[str],
    periods: Sequence[Period],
    error: type[PanelError] = ValueDomainError,
) -> None:
    """Raise `error` naming the region and period of every cell where `bad` holds."""
    if bad.any():
        timeless = tuple(periods) == (0,)  # a cross-section has one period that nobody named
        cells = [regions[i] if timeless else f"{regions[i]} in {periods[j]}" for i, j in np.argwhere(bad)]
        raise error(
            what,
            got=f"{len(cells)} cells: {show_labels(cells)}",
            expected=expected,
            causes=("a blank or suppressed cell", "a zero that means unknown", "the wrong column"),
            fix="correct the source, or leave these regions or periods out before measuring",
        )


def _positions(wanted: Sequence[object], available: Sequence[object], what: str) -> list[int]:
    """Where the panel's ids stand in the table; both sides are shown when some are absent."""
    position = {label: i for i, label in enumerate(available)}
    absent = [label for label in wanted if label not in position]
    if absent:
        surplus = [label for label in available if label not in set(wanted)]
        raise AlignmentError(
            f"{len(absent)} {what} of the panel are not in the industry table",
            got=f"only in the panel: {show_labels(absent)}; "
            f"only in the industry table: {show_labels(surplus) or 'none'}",
            expected=f"every one of the panel's {len(wanted)} {what}",
            causes=("ids read as numbers lost their leading zeros", "different code lists or vintages"),
            fix="use the same ids on both sides, or panel.select(…) what both have",
        )
    return [position[label] for label in wanted]


def _of_periods(table: IndustryTable, periods: Sequence[Period]) -> IndustryTable:
    """The table for exactly these periods: what is blank in other periods is no obstacle."""
    columns = _positions(periods, table.periods, "periods")
    return replace(table, periods=tuple(periods), values=table.values[:, :, columns])


def _zero_note(values: FloatArray) -> str:
    zeros = int((values == 0).sum())
    return f"; cells that are zero and have no logarithm: {zeros}" if zeros else ""
