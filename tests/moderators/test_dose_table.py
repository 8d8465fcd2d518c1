"""Dose slopes of the paper's Table 1; every number follows by hand from the table's ranges."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spillover.errors import EstimationError, OptionError
from spillover.moderators.decay_table import fit_joint_decay
from spillover.moderators.dose_table import fit_dose_table, reference_doses
from spillover.simulation.paper_tables import TABLE_1, TABLE_2, fit_table_1, table_2_columns


@pytest.mark.parametrize(
    ("row", "slope", "intercept", "se", "low", "high", "top", "log_el", "arc_el", "ratio"),
    [
        # se = √(y₁ + y₂)/Δdose with range middles y: √300/50, √340/5, √320/2; interval slope ± 1.96 se
        (0, 1.0, 100.0, 0.346, 0.32, 1.68, 2.0, 0.306, 0.333, 1.40),
        (1, 10.0, 120.0, 3.69, 2.8, 17.2, 20.0, 0.270, 0.294, 1.345),
        (2, 25.0, 110.0, 8.94, 7.5, 42.5, 50.0, 0.287, 0.3125, 1.37),
    ],
)
def test_paper_channels(row, slope, intercept, se, low, high, top, log_el, arc_el, ratio):
    fit = fit_table_1()[row]
    assert fit.slope == pytest.approx(slope, rel=1e-12)  # exact: the edges lie on a line
    assert fit.intercept == pytest.approx(intercept, rel=1e-12)
    assert fit.linear
    assert fit.count_se == pytest.approx(se, rel=5e-3)  # three digits
    assert (fit.count_low, fit.count_high) == pytest.approx((low, high), abs=0.05)
    assert (fit.set_low, fit.set_high) == pytest.approx((0.0, top), abs=1e-12)
    assert fit.log_elasticity == pytest.approx(log_el, abs=5e-4)  # ln(y₂/y₁)/ln 3
    assert fit.arc_elasticity == pytest.approx(arc_el, abs=5e-4)  # (Δy/ȳ)/(Δx/x̄), Δx/x̄ = 1
    assert fit.ratio == pytest.approx(ratio, abs=5e-3)


def test_reference_doses_of_the_paper():
    # 130 = 2·M + b0, 90 = 2·10C + b0, 110 = 2·25X + b0; b0 = 60 gives M = 35, C = 1.5, X = 1, patents 135
    reference = reference_doses(fit_table_1(), [50, 5, 2])
    assert reference.base == pytest.approx(60.0)
    assert reference.doses == pytest.approx((35.0, 1.5, 1.0), rel=1e-12)
    assert reference.output == pytest.approx(135.0)
    assert (reference.base_low, reference.base_high) == pytest.approx((30.0, 90.0))


@settings(max_examples=30, deadline=None)
@given(base=st.floats(30.1, 90.0))
def test_every_admissible_base_reproduces_the_intercepts(base):
    fits = fit_table_1()
    reference = reference_doses(fits, [50, 5, 2], base)
    worth = [fit.slope * dose for fit, dose in zip(fits, reference.doses, strict=True)]
    for k, fit in enumerate(fits):
        assert base + sum(worth) - worth[k] == pytest.approx(fit.intercept, rel=1e-9)


@pytest.mark.parametrize("base", [30.0, 90.5])
def test_a_base_outside_the_family_is_refused(base):
    with pytest.raises(OptionError, match="above 30 and at most 90"):
        reference_doses(fit_table_1(), [50, 5, 2], base)


def test_a_bent_relation_is_not_called_linear():
    assert not fit_dose_table([(0, 50), (50, 100)], [100, 150], [150, 180]).linear


def test_all_problems_of_a_dose_table_are_reported():
    with pytest.raises(OptionError, match="adjacent") as caught:
        fit_dose_table([(0, 50), (60, 100)], [100, 160], [150, 200])
    assert "do not tile" in str(caught.value)
    with pytest.raises(OptionError, match="at least two"):
        fit_dose_table([(0, 50)], [100], [150])
    with pytest.raises(OptionError, match="pair, one low"):
        fit_dose_table([(0, 50), (50,)], [100, 150], [150, 200])
    with pytest.raises(OptionError, match="inverted"):
        fit_dose_table([(0, 50), (50, 100)], [150, 150], [100, 200])
    with pytest.raises(OptionError, match="whole numbers"):
        fit_dose_table([(0, 50), (50, 100)], [100.5, 150], [150, 200], reading="interval")


def test_other_readings_of_the_first_channel():
    # middles 125 and 175 over 50: slope 1, error √300/50; the set is [0/50, 100/50]
    table = ([(0, 50), (50, 100)], [100, 150], [150, 200])
    middle = fit_dose_table(*table, reading="midpoint")
    assert (middle.slope, middle.low, middle.high) == pytest.approx((1.0, 0.321, 1.679), abs=5e-4)
    inside = fit_dose_table(*table, reading="set")
    assert (inside.slope, inside.low, inside.high) == (None, 0.0, 2.0)
    # by symmetry of the two ranges around 150 the likelihood of intervals is highest near the middle slope, and its
    # interval is wider than that of counts known exactly
    counted = fit_dose_table(*table, reading="interval")
    assert counted.slope == pytest.approx(1.0, abs=0.05)
    assert counted.low < middle.low
    assert counted.high > middle.high


def test_three_bands_and_a_falling_output():
    fit = fit_dose_table([(0, 2), (2, 4), (4, 8)], [80, 60, 20], [100, 80, 60])
    assert (fit.slope, fit.intercept, fit.linear) == (pytest.approx(-10.0), pytest.approx(100.0), True)
    # middles (1, 90), (3, 70), (6, 40): pairs bound the slope by (70−100)/… from the ends of the ranges:
    # lower max((60−100)/2, (20−80)/3, (20−100)/5) = −16; upper min((80−80)/2, (60−60)/3, (60−80)/5) = −4
    assert (fit.set_low, fit.set_high) == pytest.approx((-16.0, -4.0))


def test_ranges_that_do_not_tile_have_counts_but_no_edges():
    table = ([(0, 50), (60, 100)], [100, 160], [150, 200])
    assert fit_dose_table(*table, reading="midpoint").linear is None
    with pytest.raises(EstimationError, match="no line"):
        fit_dose_table([(0, 1), (1, 2), (2, 3)], [10, 90, 10], [11, 91, 11], reading="set")


@pytest.mark.parametrize(("row", "slope", "intercept"), [(0, 10, 1000), (1, 100, 1200), (2, 250, 1100)])
def test_revenue_is_ten_times_patents(row, slope, intercept):
    rows = TABLE_1[2 * row : 2 * row + 2]
    fit = fit_dose_table(
        [each.dose for each in rows], [each.revenue[0] for each in rows], [each.revenue[1] for each in rows]
    )
    assert (fit.slope, fit.intercept) == (pytest.approx(slope), pytest.approx(intercept))
    # moving one channel from its low to its high band (middle to middle) is worth 50 patents, 500 · 10⁴ yuan
    low, high = (sum(each.dose) / 2 for each in rows)
    assert fit.slope * (high - low) == pytest.approx(500.0)


def test_the_two_tables_place_the_reference_region_at_plausible_distances():
    """Doses (35, 1.5, 1) are those of receivers at ln(154.8/35)/δ, ln(7.84/1.5)/δ and ln 4/(1.5 δ) km."""
    joint = fit_joint_decay([row.band for row in TABLE_2], table_2_columns())
    transfers, talent = joint.intercepts
    doses = reference_doses(fit_table_1(), [50, 5, 2]).doses
    km = [
        np.log(talent / doses[0]) / joint.decay_per_km,
        np.log(0.1 * transfers / doses[1]) / joint.decay_per_km,
        np.log(4.0 / doses[2]) / (1.5 * joint.decay_per_km),
    ]
    assert km == pytest.approx([167, 185, 104], abs=0.5)
