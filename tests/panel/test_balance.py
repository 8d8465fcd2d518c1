"""The largest complete part of a panel, by hand and against every possibility."""

from __future__ import annotations

from itertools import chain, combinations

import numpy as np
import pytest

from spillover.errors import AssumptionWarning, MissingCellError, OptionError
from spillover.panel.balance import balanced_panel
from spillover.panel.panel import Panel


def table(holes: np.ndarray) -> Panel:
    n, t = holes.shape
    values = np.where(holes, np.nan, np.arange(n * t, dtype=float).reshape(n, t))
    return Panel(
        tuple(f"r{i:02d}" for i in range(n)), tuple(range(2010, 2010 + t)), {"a": values, "b": np.ones((n, t))}
    )


def test_the_emptiest_period_goes_rather_than_all_regions() -> None:
    holes = np.zeros((6, 4), dtype=bool)
    holes[:5, 0] = True  # 2010 is known for r05 only
    holes[1, 2] = True
    with pytest.warns(AssumptionWarning, match="1 of 6 regions"):
        found = balanced_panel(table(holes), ["a", "b"])
    assert found.dropped_periods == (2010,)
    assert found.dropped_regions == ("r01",)
    assert found.panel.shape == (5, 3)
    # 24 cells, 6 missing; 15 kept: 18 − 15 = 3 complete ones went along (r05 in 2010, r01 in 2011 and 2013).
    assert found.observed_lost == 3
    assert found.share == 15 / 24
    assert "Dropped 1 regions (r01) and 1 periods (2010)" in found.panel.log[-1]
    assert not np.isnan(found.panel["a"]).any()


def test_regions_or_periods_can_be_kept_whole() -> None:
    holes = np.zeros((30, 4), dtype=bool)
    holes[0, 1] = True
    assert balanced_panel(table(holes), ["a"], keep="regions").panel.periods == (2010, 2012, 2013)  # a gap stays a gap
    assert balanced_panel(table(holes), ["a"], keep="periods").panel.shape == (29, 4)
    assert balanced_panel(table(holes), ["a"]).panel.shape == (29, 4)  # 116 cells beat 90
    whole = balanced_panel(table(holes), ["b"])
    assert whole.panel.shape == (30, 4)
    assert "complete" in whole.sentence()


@pytest.mark.filterwarnings("ignore::spillover.errors.AssumptionWarning")
@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_best_of_all_subsets(seed: int) -> None:
    holes = np.random.default_rng(seed).random((9, 5)) < 0.25
    best = max(
        (~holes[:, list(periods)].any(axis=1)).sum() * len(periods)
        for periods in chain.from_iterable(combinations(range(5), size) for size in range(2, 6))
    )
    found = balanced_panel(table(holes), ["a"])
    assert found.panel.shape[0] * found.panel.shape[1] == best


@pytest.mark.filterwarnings("ignore::spillover.errors.AssumptionWarning")
def test_long_panels_are_searched_by_runs_of_years() -> None:
    holes = np.zeros((12, 30), dtype=bool)
    holes[:, :8] = np.random.default_rng(1).random((12, 8)) < 0.5  # the first eight years are patchy
    assert balanced_panel(table(holes), ["a"]).panel.shape[1] >= 22


def test_nothing_left_is_an_error() -> None:
    with pytest.raises(MissingCellError, match="no complete part"):
        balanced_panel(table(np.ones((3, 3), dtype=bool)), ["a"])
    with pytest.raises(OptionError, match="least_periods"):
        balanced_panel(table(np.zeros((3, 3), dtype=bool)), ["a"], least_periods=9)
