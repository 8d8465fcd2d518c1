"""Shift–share instruments: by hand, their identities, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from spillover.errors import (
    AlignmentError,
    DesignError,
    MissingCellError,
    OptionError,
    UnknownColumnError,
    ValueDomainError,
)
from spillover.measures.shift_share import build_shift_share, rotemberg_weights, shift_share_from_arrays
from spillover.models.instruments import fit_two_stage
from spillover.panel.industry import IndustryTable
from spillover.panel.panel import Panel

REGIONS = ("a", "b", "c")


def small_table() -> IndustryTable:
    values = np.array([[[10, 20], [30, 30]], [[20, 30], [20, 40]], [[30, 30], [10, 20]]], dtype=float)
    return IndustryTable(REGIONS, ("26", "30"), (2010, 2015), values)


def test_by_hand() -> None:
    """Region a: shares 10/40 and 30/40; elsewhere 26 grows 50 → 60 and 30 grows 30 → 60."""
    found = build_shift_share(small_table(), growth="rate")
    assert found.values[0].tolist() == pytest.approx([0.0, 0.25 * 0.2 + 0.75 * 1.0])
    # b: shares 1/2, 1/2; 40 → 50 and 40 → 50. c: 3/4, 1/4; 30 → 50 and 50 → 70.
    assert found.values[1:, 1].tolist() == pytest.approx([0.25, 0.75 * 2 / 3 + 0.25 * 0.4])
    logs = build_shift_share(small_table())
    assert logs.values[0, 1] == pytest.approx(0.25 * np.log(1.2) + 0.75 * np.log(2.0))
    assert found.parts.sum(axis=0) == pytest.approx(found.values)


def test_own_growth_does_not_enter() -> None:
    base = small_table()
    values = base.values.copy()
    values[0, :, 1] *= 5.0
    other = IndustryTable(REGIONS, base.industries, base.periods, values)
    assert build_shift_share(other).values[0] == pytest.approx(build_shift_share(base).values[0])
    assert build_shift_share(other, leave_out=False).values[0, 1] != pytest.approx(
        build_shift_share(base, leave_out=False).values[0, 1]
    )


def test_choice_of_industries_keeps_shares_of_the_whole_and_says_so() -> None:
    found = build_shift_share(small_table(), industries=["26"], growth="rate")
    assert found.shares[:, 0].tolist() == pytest.approx([0.25, 0.5, 0.75])
    assert found.values[0, 1] == pytest.approx(0.25 * 0.2)
    assert any("incomplete" in note for note in found.notes)
    assert any("Few industries" in note for note in found.notes)
    later = build_shift_share(small_table(), base=2015)
    assert later.values[:, 1].tolist() == [0, 0, 0]


def test_added_to_a_panel_by_id() -> None:
    panel = Panel(("b", "c"), (2015,), {"y": np.ones((2, 1))})
    found = build_shift_share(small_table(), growth="rate").add_to(panel, "bartik")
    assert found["bartik"][0, 0] == pytest.approx(0.25)
    assert "bartik" in found.log[-1]
    with pytest.raises(AlignmentError, match="region d"):
        build_shift_share(small_table()).add_to(Panel(("a", "d"), (2015,), {"y": np.ones((2, 1))}))


def simulated(seed: int = 0) -> tuple[Panel, object]:
    rng = np.random.default_rng(seed)
    n, s, t = 40, 15, 4
    level = rng.lognormal(size=(n, s, 1)) * np.exp(np.cumsum(rng.normal(0.05, 0.1, size=(1, s, t)), axis=2))
    table = IndustryTable(
        tuple(f"r{i:02d}" for i in range(n)), tuple(map(str, range(10, 10 + s))), tuple(range(t)), level
    )
    instrument = build_shift_share(table)
    x, e, v = rng.normal(size=(3, n, t))
    a = 6 * instrument.values + 0.3 * x + 0.3 * v
    panel = Panel(table.regions, table.periods, {"y": 2 * a + x + v + e, "a": a, "x": x})
    return instrument.add_to(panel, "b"), instrument


@pytest.mark.parametrize("effects", ["none", "individual", "two-way"])
def test_rotemberg_weights_add_up_to_the_estimate(effects: str) -> None:
    panel, instrument = simulated()
    fit = fit_two_stage("y ~ x | a ~ b", panel, model="ols", effects=effects)  # type: ignore[arg-type]
    weights = rotemberg_weights(
        instrument,
        panel["y"],
        panel["a"],
        controls={"x": panel["x"]},
        effects=effects,  # type: ignore[arg-type]
    )
    assert weights["weight"].sum() == pytest.approx(1.0)
    assert (weights["weight"] * weights["estimate"]).sum() == pytest.approx(fit.estimates["a"], rel=1e-9)
    assert weights["weight"].abs().is_monotonic_decreasing


def test_shocks_may_differ_by_region_or_not() -> None:
    shares, shocks = np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([[1.0, 2.0], [3.0, 4.0]])
    labels = {"regions": ("a", "b"), "industries": ("s", "u"), "periods": (0, 1)}
    common = shift_share_from_arrays(shares, shocks, **labels)
    own = shift_share_from_arrays(shares, np.stack([shocks, shocks]), **labels)
    assert common.values.tolist() == own.values.tolist() == [[2.0, 3.0], [1.0, 2.0]]
    with pytest.raises(ValueDomainError, match="do not fit"):
        shift_share_from_arrays(shares, shocks[:1], **labels)
    with pytest.raises(ValueDomainError, match="zero or more"):
        shift_share_from_arrays(-shares, shocks, **labels)


def test_mistakes() -> None:
    table = small_table()
    values = table.values.copy()
    values[1, 0, 1] = np.nan
    holed = IndustryTable(REGIONS, table.industries, table.periods, values)
    with pytest.raises(MissingCellError, match="26 of b in 2015"):
        build_shift_share(holed)
    dropped = build_shift_share(holed, missing="drop-industries")
    assert dropped.industries == ("30",)
    assert "26" in dropped.notes[0]
    with pytest.raises(UnknownColumnError, match="2011"):
        build_shift_share(table, base=2011)
    with pytest.raises(UnknownColumnError, match="'27'"):
        build_shift_share(table, industries=["27"])
    with pytest.raises(OptionError, match="two periods"):
        build_shift_share(IndustryTable(REGIONS, ("26",), (2010,), np.ones((3, 1, 1))))
    alone = table.values.copy()
    alone[1:, 1] = 0.0
    with pytest.raises(ValueDomainError, match="30 outside a"):
        build_shift_share(IndustryTable(REGIONS, table.industries, table.periods, alone))
    empty = table.values.copy()
    empty[2] = 0.0
    with pytest.raises(ValueDomainError, match="without any activity"):
        build_shift_share(IndustryTable(REGIONS, table.industries, table.periods, empty))
    panel, instrument = simulated()
    with pytest.raises(DesignError, match="does not move"):
        rotemberg_weights(instrument, panel["y"], np.zeros((40, 4)))  # type: ignore[arg-type]
