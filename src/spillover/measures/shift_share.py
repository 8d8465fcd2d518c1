"""Shift–share instruments: national growth of industries, weighted by what a region had at the start.

B_it = Σ_s share_is,0 · g_st^{(−i)}: base-period shares are fixed, growth is that of the industry everywhere else, so a
region's own fortune does not enter its instrument. Bartik (1991); Goldsmith-Pinkham, Sorkin & Swift (2020).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from spillover.errors import (
    AlignmentError,
    DesignError,
    MissingCellError,
    OptionError,
    UnknownColumnError,
    ValueDomainError,
    check_option,
    did_you_mean,
    show_labels,
)
from spillover.numerics.within import Transformation
from spillover.typing import Effects, FloatArray

if TYPE_CHECKING:
    import pandas as pd

    from spillover.panel.industry import IndustryTable
    from spillover.panel.panel import Panel, Period

Growth: TypeAlias = Literal["log", "rate"]
Missing: TypeAlias = Literal["error", "drop-industries"]


@dataclass(frozen=True, eq=False, repr=False)
class ShiftShare:
    """A shift–share instrument with its parts.

    Attributes
    ----------
    shares : (n, s) base-period shares, ≥ 0. shocks : (n, s, t) growth of the industry in all other regions.
    values : (n, t) B = Σ_s share · shock, no unit.
    notes : what a careful reader should know: incomplete shares, concentration, industries left out.
    """

    regions: tuple[str, ...]
    industries: tuple[str, ...]
    periods: tuple[Period, ...]
    shares: FloatArray
    shocks: FloatArray
    notes: tuple[str, ...]

    @property
    def parts(self) -> FloatArray:
        """(s, n, t) share_is · shock_ist: the instrument, industry by industry."""
        return np.asarray(self.shares.T[:, :, None] * self.shocks.transpose(1, 0, 2))

    @property
    def values(self) -> FloatArray:
        """(n, t) the instrument."""
        return np.einsum("is,ist->it", self.shares, self.shocks)

    def add_to(self, panel: Panel, name: str = "shift_share") -> Panel:
        """The panel with the instrument as a variable, aligned by region and period id or refused."""
        lost = [f"region {r}" for r in panel.regions if r not in self.regions]
        lost += [f"period {p}" for p in panel.periods if p not in self.periods]
        if lost:
            raise AlignmentError(
                "the instrument does not cover the panel",
                got=show_labels(lost),
                expected=f"regions such as {show_labels(self.regions)}, periods {show_labels(self.periods, 30)}",
                fix="use panel.select(regions=…, periods=…)",
            )
        rows = [self.regions.index(region) for region in panel.regions]
        columns = [self.periods.index(period) for period in panel.periods]
        note = f"{name}: shift–share over {len(self.industries)} industries. " + " ".join(self.notes)
        return panel.with_variables({name: self.values[np.ix_(rows, columns)]}, note=note.strip())

    def __repr__(self) -> str:
        n, s, t = self.shocks.shape
        return f"ShiftShare: {n} regions × {s} industries × {t} periods"


def build_shift_share(
    table: IndustryTable,
    *,
    industries: Sequence[str] | None = None,
    base: Period | None = None,
    growth: Growth = "log",
    leave_out: bool = True,
    missing: Missing = "error",
) -> ShiftShare:
    """Shift–share instrument from a region × industry × period table.

    Parameters
    ----------
    table : employment or output, ≥ 0.
    industries : those whose shares and growth are used (high-tech sub-sectors); all by default. Shares are of the
        region's total over all industries of the table in `base`, so a choice makes them incomplete.
    base : period of the shares and start of the growth, the first by default; its instrument is zero.
    growth : "log", ln(x_st / x_s0), or "rate", x_st / x_s0 − 1, of all regions but the own one.
    leave_out : False takes all regions, the own one too.
    missing : "error", or "drop-industries": industries with a missing cell leave shares and totals, named in a note.

    Raises
    ------
    OptionError : one period; an unknown option. UnknownColumnError : industry or period that the table lacks.
    MissingCellError : missing cells. ValueDomainError : a region without any activity in `base`; an industry that
        is in one region only (no growth elsewhere).

    Source: Bartik (1991); leave-out form, Goldsmith-Pinkham, Sorkin & Swift (2020).
    """
    check_option("growth", growth, ("log", "rate"))
    check_option("missing", missing, ("error", "drop-industries"))
    if len(table.periods) < 2:
        raise OptionError("growth needs at least two periods", got=f"{len(table.periods)} period in the table")
    kept, notes = _complete(table, missing)
    start = _period(table, base)
    values = table.values[:, kept]
    codes = tuple(table.industries[s] for s in kept)
    totals = values[:, :, start].sum(axis=1)
    if (totals <= 0).any():
        empty = [table.regions[i] for i in np.flatnonzero(totals <= 0)]
        raise ValueDomainError(
            f"regions without any activity in {table.periods[start]}: shares are not defined",
            got=show_labels(empty),
            fix="drop these regions, or choose another base",
        )
    at = _chosen(codes, industries)
    sector, codes = values[:, at], tuple(codes[s] for s in at)
    elsewhere = sector.sum(axis=0, keepdims=True) - (sector if leave_out else 0.0)
    elsewhere = np.broadcast_to(elsewhere, sector.shape)
    _check_elsewhere(elsewhere, sector, codes, table)
    ratio = elsewhere / elsewhere[:, :, [start]]
    shocks = np.log(ratio) if growth == "log" else ratio - 1.0
    return shift_share_from_arrays(
        sector[:, :, start] / totals[:, None],
        shocks,
        regions=table.regions,
        industries=codes,
        periods=table.periods,
        notes=(
            *notes,
            f"Shares of {table.periods[start]}; growth since then{' outside the own region' if leave_out else ''}.",
        ),
    )


def shift_share_from_arrays(
    shares: FloatArray,
    shocks: FloatArray,
    *,
    regions: Sequence[str],
    industries: Sequence[str],
    periods: Sequence[Period],
    notes: Sequence[str] = (),
) -> ShiftShare:
    """Shift–share instrument from shares (n, s) and shocks (s, t), or (n, s, t) when they differ by region.

    Raises ValueDomainError for shares below zero, values that are not finite, or shapes that do not fit.
    """
    w, g = np.array(shares, dtype=float), np.array(shocks, dtype=float)
    shape = (len(regions), len(industries), len(periods))
    if g.ndim == 2:
        g = np.broadcast_to(g, shape) if g.shape == shape[1:] else g
    if w.shape != shape[:2] or g.shape != shape:
        raise ValueDomainError(
            "shares or shocks do not fit the labels",
            got=f"shares {w.shape}, shocks {np.shape(shocks)}",
            expected=f"shares {shape[:2]}, shocks {shape[1:]} or {shape}",
        )
    if not (np.isfinite(w).all() and np.isfinite(g).all()) or (w < 0).any():
        raise ValueDomainError("shares are zero or more, and shares and shocks are finite numbers")
    w.setflags(write=False)
    found = [*notes, *_share_notes(w, tuple(industries))]
    return ShiftShare(tuple(regions), tuple(industries), tuple(periods), w, g, tuple(found))


def _share_notes(shares: FloatArray, industries: tuple[str, ...]) -> list[str]:
    sums, notes = shares.sum(axis=1), []
    if sums.max() - sums.min() > 1e-6 or abs(float(sums.mean()) - 1.0) > 1e-6:
        notes.append(
            f"Shares are incomplete (sums from {sums.min():.3f} to {sums.max():.3f}): control for the sum of shares, "
            "by period in a panel, or the instrument also carries the size of the sector "
            "(Borusyak, Hull & Jaravel 2022)."
        )
    weight = shares.mean(axis=0)
    weight = weight / weight.sum()
    effective = 1.0 / float(np.sum(weight**2))
    if effective < 10:
        top = np.argsort(-weight)[:3]
        named = show_labels(f"{industries[s]} ({100 * weight[s]:.0f} %)" for s in top)
        notes.append(
            f"Few industries carry the instrument (effective number {effective:.1f}; {named}): it rests on the shares "
            "being exogenous, not on many independent shocks; see rotemberg_weights."
        )
    return notes


def rotemberg_weights(
    instrument: ShiftShare,
    outcome: FloatArray,
    endogenous: FloatArray,
    *,
    controls: Mapping[str, FloatArray] | None = None,
    effects: Effects = "two-way",
) -> pd.DataFrame:
    """Which industries an estimate with this instrument rests on.

    Parameters
    ----------
    outcome, endogenous : (n, t) in the order of the instrument's regions and periods.
    controls : further exogenous regressors by name, each (n, t). effects : means that are removed.

    Returns
    -------
    One row per industry, largest weight in size first: industry, weight α_s (Σ = 1; negative ones are possible and a
    warning of their own), estimate β_s with that industry alone, and share_mean. Σ α_s β_s is the estimate with B.

    Raises DesignError when the instrument does not move the endogenous variable at all.
    Source: Goldsmith-Pinkham, Sorkin & Swift (2020, American Economic Review 110:2586), after Rotemberg (1983).
    """
    import pandas as pd

    n, s, t = instrument.shocks.shape
    transformation = Transformation(effects, "none", n, t)
    others = [np.ones((n, t))] if effects == "none" else []
    others += list((controls or {}).values())
    for values in (outcome, endogenous, *others):
        if np.shape(values) != (n, t):
            raise ValueDomainError(
                "variables do not have the shape of the instrument", got=str(np.shape(values)), expected=str((n, t))
            )
    columns = [transformation.apply(values).ravel() for values in (outcome, endogenous, *others)]
    y, x = columns[0], columns[1]
    if len(columns) > 2:
        basis, _ = np.linalg.qr(np.column_stack(columns[2:]))
        y, x = y - basis @ (basis.T @ y), x - basis @ (basis.T @ x)
    parts = transformation.apply(instrument.parts).reshape(s, -1)
    moves, gains = parts @ x, parts @ y
    total = float(moves.sum())
    if abs(total) <= 1e-12 * float(np.abs(moves).sum()):
        raise DesignError(
            "the instrument does not move the endogenous variable",
            fix="check the table, the base period and the effects",
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        alone = np.where(np.abs(moves) > 1e-12 * np.abs(moves).max(), gains / moves, np.nan)
    frame = pd.DataFrame(
        {
            "industry": list(instrument.industries),
            "weight": moves / total,
            "estimate": alone,
            "share_mean": instrument.shares.mean(axis=0),
        }
    )
    order = np.lexsort((np.array(instrument.industries), -np.abs(frame["weight"].to_numpy())))
    return frame.iloc[order].reset_index(drop=True)


def _complete(table: IndustryTable, missing: str) -> tuple[list[int], list[str]]:
    """Positions of the industries without missing cells, and a note on those left out."""
    holes = np.isnan(table.values)
    bad = [s for s in range(len(table.industries)) if holes[:, s].any()]
    if not bad:
        return list(range(len(table.industries))), []
    if missing == "error":
        cells = [f"{table.industries[s]} of {table.regions[i]} in {table.periods[j]}" for i, s, j in np.argwhere(holes)]
        raise MissingCellError(
            f"{len(cells)} cells of the industry table are missing",
            got=show_labels(cells),
            causes=("suppressed small cells", "an industry that a region does not report"),
            fix='drop regions from the table, or missing="drop-industries"',
        )
    names = show_labels((table.industries[s] for s in bad), 20)
    if len(bad) == len(table.industries):
        raise MissingCellError("every industry has a missing cell; nothing is left", got=names)
    kept = [s for s in range(len(table.industries)) if s not in bad]
    return kept, [f"Industries with missing cells were left out of shares and totals: {names}."]


def _period(table: IndustryTable, base: Period | None) -> int:
    if base is None:
        return 0
    if base not in table.periods:
        raise UnknownColumnError(
            f"the table has no period {base!r}", expected=show_labels(table.periods, 30), fix="choose one of these"
        )
    return table.periods.index(base)


def _chosen(codes: tuple[str, ...], industries: Sequence[str] | None) -> list[int]:
    if industries is None:
        return list(range(len(codes)))
    for code in industries:
        if code not in codes:
            raise UnknownColumnError(
                f"the table has no complete industry {code!r}",
                expected=show_labels(codes, 12),
                fix=did_you_mean(code, codes) or None,
            )
    return sorted({codes.index(code) for code in industries})


def _check_elsewhere(elsewhere: FloatArray, sector: FloatArray, codes: tuple[str, ...], table: IndustryTable) -> None:
    # What is left after subtracting the own region may be rounding of a large number.
    empty = elsewhere <= 1e-12 * sector.sum(axis=0, keepdims=True)
    if not empty.any():
        return
    cells = [f"{codes[s]} outside {table.regions[i]} in {table.periods[j]}" for i, s, j in np.argwhere(empty)]
    raise ValueDomainError(
        "an industry has no activity outside one region: its growth elsewhere is not defined",
        got=show_labels(cells),
        causes=("an industry in one region only", "a classification so fine that cells are empty"),
        fix="leave these industries out with industries=[…], or join them with others",
    )
