"""Group × period effects with neighbours across borders."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import spillover as so
from spillover.audit.absorbed import absorb_groups
from spillover.audit.focus import focus_effects
from spillover.audit.grouping import Grouping, resolve_groups
from spillover.audit.refit import refit
from spillover.errors import DesignError
from spillover.panel.panel import Panel
from spillover.simulation.spatial_panel import Regressor, SpatialPanelConfig
from spillover.weights.groups import within_groups
from spillover.weights.weights import SpatialWeights


def sample(n: int = 60, t: int = 8, groups: int = 6) -> tuple[Panel, SpatialWeights]:
    config = SpatialPanelConfig("slx", n, t, regressors=(Regressor("x", 0.5, 0.8),))
    panel, truth = so.simulate(config, 2)
    return replace(panel, groups={"land": tuple(f"L{i % groups}" for i in range(n))}), truth.weights


def test_with_links_inside_groups_it_is_the_grouped_fit() -> None:
    """`fit(groups=…)` treats the same case, with the same errors, when W does not cross groups."""
    panel, w = sample()
    inside = within_groups(w, dict(zip(panel.regions, panel.groups["land"], strict=True)))
    panel = panel.select(regions=inside.regions)
    plain = so.fit("y ~ x", panel, inside)
    grouping = resolve_groups(plain)
    assert grouping is not None
    pair = absorb_groups(plain, "x", grouping)
    for known, found in (
        (focus_effects(refit(plain, model="slx", groups="land")), pair.grouped),
        (focus_effects(refit(plain, model="slx")), pair.ordinary),
    ):
        for (_, one), (_, other) in zip(known.items(), found.items(), strict=True):
            assert np.isclose(one.value, other.value, rtol=1e-9)
            assert np.isclose(one.std_error, other.std_error, rtol=1e-9)


def test_across_borders_it_is_least_squares_with_a_dummy_for_each_group_and_period() -> None:
    panel, w = sample()
    fit = so.fit("y ~ x", panel, w)
    grouping = resolve_groups(fit)
    assert grouping is not None
    n, t = panel.shape
    codes = np.array([int(label[1]) for label in grouping.labels])
    regions = np.kron(np.eye(n), np.ones((t, 1)))
    cells = np.kron(np.eye(6)[codes], np.eye(t))
    x = panel["x"]
    design = np.column_stack([x.ravel(), w.lag(x).ravel(), regions, cells])
    slopes = np.linalg.lstsq(design, panel["y"].ravel(), rcond=None)[0][:2]
    pair = absorb_groups(fit, "x", grouping)
    assert pair.grouped.spillover is not None
    assert np.allclose([pair.grouped.own.value, pair.grouped.spillover.value], slopes, rtol=1e-8)


def test_shocks_of_groups_do_not_touch_it() -> None:
    """What is added to a whole group in a period is gone to the last digit."""
    panel, w = sample()
    fit = so.fit("y ~ x", panel, w)
    grouping = resolve_groups(fit)
    assert grouping is not None
    codes = np.array([int(label[1]) for label in grouping.labels])
    shocks = 5.0 * np.random.default_rng(1).normal(size=(6, 8))[codes]
    shaken = so.fit("y ~ x", panel.with_variables({"y": panel["y"] + shocks}), w)
    before, after = absorb_groups(fit, "x", grouping), absorb_groups(shaken, "x", grouping)
    assert np.isclose(before.grouped.own.value, after.grouped.own.value, rtol=1e-9)
    assert not np.isclose(before.ordinary.own.value, after.ordinary.own.value, rtol=1e-3)


def test_groups_that_leave_nothing_are_refused_and_single_regions_stay_neighbours() -> None:
    panel, w = sample()
    fit = so.fit("y ~ x", panel, w)
    alone = Grouping("land", tuple(f"A{i}" if i >= 8 else "B" for i in range(60)), panel.regions)
    with pytest.raises(DesignError, match="another one in their group"):
        absorb_groups(fit, "x", alone)
    one_single = Grouping("land", ("alone", *("A" if i % 2 else "B" for i in range(59))), panel.regions)
    assert absorb_groups(fit, "x", one_single).regions == 59
