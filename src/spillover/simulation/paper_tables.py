"""The paper's two illustrative tables as data, and the simulator's numbers beside them.

The paper presents both tables as assumed values of a hypothetical region: what is fitted to them calibrates the
reference system and is evidence for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from spillover.moderators.decay_fits import DecayTableFit, JointDecayTableFit
from spillover.moderators.decay_table import fit_decay_table, fit_joint_decay
from spillover.moderators.dose_table import DoseTableFit, ReferenceDoses, fit_dose_table, reference_doses
from spillover.simulation.acceptance import Channel, draw_distance_experiment, draw_dose_experiment
from spillover.simulation.config import SystemConfig
from spillover.simulation.streams import check_seed

__all__ = [
    "LABEL",
    "TABLE_1",
    "TABLE_2",
    "DecayTableFit",
    "DoseTableFit",
    "JointDecayTableFit",
    "PaperTables",
    "fit_decay_table",
    "fit_dose_table",
    "fit_joint_decay",
    "paper_table_comparison",
    "reference_doses",
]

LABEL = "illustrative calibration, not evidence"

RECEIVERS_PER_CELL = 30
"""Regions drawn per cell: with 30 a band mean leaves the paper's range with a probability below 0.1 %."""

Range = tuple[float, float]


@dataclass(frozen=True)
class DoseRow:
    """A row of Table 1: a channel's dose band, and the patents and revenue that go with it."""

    channel: Channel
    channel_label: str
    dose_unit: str
    dose: Range
    patents: Range  # a year
    revenue: Range  # 10⁴ yuan a year
    source: str = "the paper, Table 1 (hypothetical values)"


@dataclass(frozen=True)
class DistanceRow:
    """A row of Table 2: a distance band, and the transfers and talent that reach a region in it."""

    band: Range  # km from the cluster
    transfers: Range  # a year
    talent: Range  # persons a year
    source: str = "the paper, Table 2 (hypothetical values)"


def _dose_rows(
    channel: Channel, label: str, unit: str, tops: Range, edges: tuple[float, float, float]
) -> list[DoseRow]:
    bands = [(0.0, tops[0]), (tops[0], tops[1])]
    ranges = [(edges[0], edges[1]), (edges[1], edges[2])]
    return [
        DoseRow(channel, label, unit, dose, patents, (10.0 * patents[0], 10.0 * patents[1]))
        for dose, patents in zip(bands, ranges, strict=True)
    ]


TABLE_1: tuple[DoseRow, ...] = (
    *_dose_rows("talent", "Personnel mobility", "persons a year", (50.0, 100.0), (100.0, 150.0, 200.0)),
    *_dose_rows("cooperation", "Inter-firm cooperation", "projects a year", (5.0, 10.0), (120.0, 170.0, 220.0)),
    *_dose_rows("informal", "Informal exchange", "activities a month", (2.0, 4.0), (110.0, 160.0, 210.0)),
)
TABLE_2: tuple[DistanceRow, ...] = (
    DistanceRow((0.0, 50.0), (50.0, 80.0), (100.0, 150.0)),
    DistanceRow((50.0, 100.0), (30.0, 50.0), (60.0, 100.0)),
    DistanceRow((100.0, 200.0), (15.0, 30.0), (30.0, 60.0)),
    DistanceRow((200.0, 300.0), (5.0, 15.0), (10.0, 30.0)),
)


@dataclass(frozen=True)
class ComparisonRow:
    """One cell: the paper's range, and the mean of the simulator's regions.

    `table` is 1 or 2; `row` and `column` name the cell; `inside` says whether the mean lies in the range.
    """

    table: int
    row: str
    column: str
    unit: str
    paper_low: float
    paper_high: float
    simulated: float
    inside: bool
    receivers: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return dict(vars(self))


@dataclass(frozen=True)
class PaperTables:
    """Both tables beside the simulator, with everything that is fitted to them.

    Attributes
    ----------
    table_1, table_2 : one row per cell.
    decay : joint exponential decay of both columns of Table 2, edge reading.
    decay_by_column : column → its own fit, edge reading.
    doses : one fit per channel of Table 1, in patents.
    reference : doses at which the channels that a row of Table 1 leaves alone stand.
    """

    table_1: tuple[ComparisonRow, ...]
    table_2: tuple[ComparisonRow, ...]
    decay: JointDecayTableFit
    decay_by_column: tuple[tuple[str, DecayTableFit], ...]
    doses: tuple[DoseTableFit, ...]
    reference: ReferenceDoses
    seed: int
    label: str = LABEL

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "label": self.label,
            "seed": self.seed,
            "table_1": [row.as_dict() for row in self.table_1],
            "table_2": [row.as_dict() for row in self.table_2],
            "decay": self.decay.as_dict(),
            "decay_by_column": {name: fit.as_dict() for name, fit in self.decay_by_column},
            "doses": [fit.as_dict() for fit in self.doses],
            "reference_doses": {**vars(self.reference), "doses": list(self.reference.doses)},
        }

    def sentences(self) -> tuple[str, ...]:
        """What the fits say, in words."""
        d = self.decay
        slopes = "; ".join(f"{fit.slope:g} per {_one(fit.dose_unit)} ({fit.channel})" for fit in self.doses)
        return (
            f"Table 2, joint decay: δ = {d.decay_per_km:.5f} per km (95 % {d.low:.5f} to {d.high:.5f}); "
            f"half-distance {d.half_distance_km:.1f} km ({d.half_low_km:.1f} to {d.half_high_km:.1f}).",
            f"Table 1, patents per unit of dose: {slopes}. Revenue is 10 × patents (10⁴ yuan).",
            f"Both tables are an {self.label}.",
        )


def _one(unit: str) -> str:
    """ "persons a year" → "person a year"."""
    return unit.replace("persons", "person").replace("projects", "project").replace("activities", "activity")


def fit_table_1() -> tuple[DoseTableFit, ...]:
    """The dose slopes of the three channels of Table 1, in patents."""
    fits = []
    for first, second in zip(TABLE_1[::2], TABLE_1[1::2], strict=True):
        rows = (first, second)
        fits.append(
            fit_dose_table(
                [row.dose for row in rows],
                [row.patents[0] for row in rows],
                [row.patents[1] for row in rows],
                channel=first.channel_label,
                dose_unit=first.dose_unit,
            )
        )
    return tuple(fits)


def table_2_columns() -> dict[str, tuple[list[float], list[float]]]:
    """Column → (low, high) by band, as `fit_decay_table` and `fit_joint_decay` take them."""
    return {
        "technology transfers": ([row.transfers[0] for row in TABLE_2], [row.transfers[1] for row in TABLE_2]),
        "talent inflow": ([row.talent[0] for row in TABLE_2], [row.talent[1] for row in TABLE_2]),
    }


def paper_table_comparison(seed: int, receivers: int = RECEIVERS_PER_CELL) -> PaperTables:
    """The paper's two tables beside what the simulator gives, and what is fitted to the tables.

    Parameters
    ----------
    seed : whole number of zero or more.
    receivers : regions drawn per cell, at least 1.

    Examples
    --------
    >>> tables = paper_table_comparison(seed=1)
    >>> all(row.inside for row in (*tables.table_1, *tables.table_2))
    True
    >>> round(tables.decay.decay_per_km, 5), round(tables.decay.half_distance_km, 1)
    (0.00892, 77.7)
    """
    children = np.random.SeedSequence(check_seed(seed)).spawn(len(TABLE_1) + len(TABLE_2))
    generators = [np.random.default_rng(child) for child in children]
    config = SystemConfig()
    doses = fit_table_1()
    columns = table_2_columns()
    bands = [row.band for row in TABLE_2]
    return PaperTables(
        table_1=_compare_table_1(generators[: len(TABLE_1)], receivers, config),
        table_2=_compare_table_2(generators[len(TABLE_1) :], receivers, config),
        decay=fit_joint_decay(bands, columns),
        decay_by_column=tuple((name, fit_decay_table(bands, low, high)) for name, (low, high) in columns.items()),
        doses=doses,
        reference=reference_doses(doses, [row.dose[1] for row in TABLE_1[::2]]),
        seed=int(seed),
    )


def _compare_table_1(
    generators: list[np.random.Generator], receivers: int, config: SystemConfig
) -> tuple[ComparisonRow, ...]:
    rows = []
    for row, rng in zip(TABLE_1, generators, strict=True):
        draws = draw_dose_experiment(row.channel, row.dose, receivers, rng, config)
        name = f"{row.channel_label}, {row.dose[0]:g}–{row.dose[1]:g} {row.dose_unit}"
        rows.append(_cell(1, name, "patents", "patents a year", row.patents, float(draws.patents.mean()), receivers))
        rows.append(_cell(1, name, "revenue", "10⁴ yuan a year", row.revenue, float(draws.revenue.mean()), receivers))
    return tuple(rows)


def _compare_table_2(
    generators: list[np.random.Generator], receivers: int, config: SystemConfig
) -> tuple[ComparisonRow, ...]:
    rows = []
    for row, rng in zip(TABLE_2, generators, strict=True):
        draws = draw_distance_experiment(row.band, receivers, rng, config)
        name = f"{row.band[0]:g}–{row.band[1]:g} km"
        transfers, talent = float(draws.transfers.mean()), float(draws.talent.mean())
        rows.append(_cell(2, name, "technology transfers", "transfers a year", row.transfers, transfers, receivers))
        rows.append(_cell(2, name, "talent inflow", "persons a year", row.talent, talent, receivers))
    return tuple(rows)


def _cell(table: int, row: str, column: str, unit: str, paper: Range, mean: float, receivers: int) -> ComparisonRow:
    return ComparisonRow(
        table, row, column, unit, paper[0], paper[1], mean, bool(paper[0] <= mean <= paper[1]), receivers
    )
