"""The paper's tables beside the simulator, and the two acceptance protocols.

Coverage shares were computed once with 4,000 replications by an independent program; here 4,000 regions per band are
drawn, so that a share of .8 has a standard error of .0063. The tolerance of .03 is more than four of them.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from spillover.errors import OptionError
from spillover.simulation.acceptance import draw_distance_experiment, draw_dose_experiment, expected_patents_at
from spillover.simulation.paper_tables import TABLE_1, TABLE_2, fit_table_1, paper_table_comparison


def test_tables_are_the_paper_s():
    assert [row.transfers for row in TABLE_2] == [(50, 80), (30, 50), (15, 30), (5, 15)]
    assert [row.talent for row in TABLE_2] == [(100, 150), (60, 100), (30, 60), (10, 30)]
    assert [row.band for row in TABLE_2] == [(0, 50), (50, 100), (100, 200), (200, 300)]
    assert [row.patents for row in TABLE_1] == [(100, 150), (150, 200), (120, 170), (170, 220), (110, 160), (160, 210)]
    assert all(row.revenue == (10 * row.patents[0], 10 * row.patents[1]) for row in TABLE_1)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_all_cell_means_lie_in_the_paper_s_ranges(seed):
    # with n = 30 a mean is inside with probability 1.00 in each of the 12 + 8 cells
    tables = paper_table_comparison(seed)
    assert len(tables.table_1) == 12
    assert len(tables.table_2) == 8
    assert [row for row in (*tables.table_1, *tables.table_2) if not row.inside] == []


def test_comparison_carries_the_fits():
    tables = paper_table_comparison(1)
    assert tables.decay.decay_per_km == pytest.approx(0.00892, abs=5e-6)
    assert tables.decay.half_distance_km == pytest.approx(77.7, abs=0.05)
    assert [fit.slope for fit in tables.doses] == pytest.approx([1, 10, 25])
    assert tables.reference.doses == pytest.approx((35, 1.5, 1))
    assert "illustrative calibration" in tables.label
    assert "0.00892" in tables.sentences()[0]
    assert [fit.slope for fit in fit_table_1()] == [fit.slope for fit in tables.doses]


def test_comparison_is_json_and_repeats_with_its_seed():
    first, again, other = (paper_table_comparison(seed).to_dict() for seed in (4, 4, 5))
    assert json.dumps(first, allow_nan=False) == json.dumps(again, allow_nan=False)
    assert first["table_1"] != other["table_1"]


@pytest.mark.parametrize("seed", [-1, 1.5, True, "one"])
def test_a_seed_that_is_none_is_refused(seed):
    with pytest.raises(OptionError, match="whole number"):
        paper_table_comparison(seed)


@pytest.mark.parametrize(
    ("row", "transfers", "talent"), [(0, 0.815, 0.797), (1, 0.796, 0.869), (2, 0.705, 0.740), (3, 0.836, 0.890)]
)
def test_individual_regions_inside_their_range(row, transfers, talent):
    draws = draw_distance_experiment(TABLE_2[row].band, 4000, np.random.default_rng(row))
    shares = [
        np.mean((values >= low) & (values <= high))
        for values, (low, high) in ((draws.transfers, TABLE_2[row].transfers), (draws.talent, TABLE_2[row].talent))
    ]
    assert shares == pytest.approx([transfers, talent], abs=0.03)
    assert all(0.65 <= share <= 0.95 for share in shares)


@pytest.mark.parametrize(("row", "mean"), list(enumerate([125, 175, 145, 195, 135, 185])))
def test_dose_experiment_is_centred_on_the_range(row, mean):
    cell = TABLE_1[row]
    draws = draw_dose_experiment(cell.channel, cell.dose, 4000, np.random.default_rng(10 + row))
    # sd of a region = √(mean + 50²/12) ≤ 20.1, so the mean of 4,000 has se ≤ .32
    assert draws.patents.mean() == pytest.approx(mean, abs=1.3)
    patents = np.mean((draws.patents >= cell.patents[0]) & (draws.patents <= cell.patents[1]))
    revenue = np.mean((draws.revenue >= cell.revenue[0]) & (draws.revenue <= cell.revenue[1]))
    assert 0.76 <= patents <= 0.87  # .79–.84 and three standard errors of .0063
    assert 0.70 <= revenue <= 0.83  # .73–.80 likewise


def test_area_placement_is_farther_out():
    # mean distance in the ring 0–50 km: uniform distance 25, uniform area (2/3)·50 = 33.3; se .2 and .19
    rngs = (np.random.default_rng(1), np.random.default_rng(1))
    by_distance = draw_distance_experiment((0, 50), 4000, rngs[0]).distance
    by_area = draw_distance_experiment((0, 50), 4000, rngs[1], placement="area").distance
    assert by_distance.mean() == pytest.approx(25, abs=0.9)
    assert by_area.mean() == pytest.approx(100 / 3, abs=0.8)


def test_cells_that_cannot_be_drawn():
    rng = np.random.default_rng(1)
    with pytest.raises(OptionError, match="at least one"):
        draw_distance_experiment((0, 50), 0, rng)
    with pytest.raises(OptionError, match="lower to its upper"):
        draw_dose_experiment("talent", (50, 0), 5, rng)
    with pytest.raises(OptionError, match="channel"):
        draw_dose_experiment("gossip", (0, 50), 5, rng)  # type: ignore[arg-type]


def test_derived_profile():
    # 60 + (154.8 + 78.4) e^(−.00892 d) + 100 e^(−.01338 d)
    assert np.rint(expected_patents_at([25, 75, 150, 250])).tolist() == [318, 216, 135, 89]
