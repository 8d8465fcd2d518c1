"""W of growing reach equals the builders' W, steps on a map, the far ring, the error of a difference."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import spillover as so
from audit.maps import panel_of
from simulated import lattice, named_weights, nearest, row_standardised, simulate_sdm
from spillover.audit.reach import audit_reach, far_ring
from spillover.errors import OptionError
from spillover.models.result import SpatialFit
from spillover.panel.panel import Panel
from spillover.weights.distance import build_knn
from spillover.weights.weights import SpatialWeights


def places(n: int, seed: int = 3) -> Any:
    import geopandas as gpd
    from shapely.geometry import Point

    ids = [f"r{i:03d}" for i in range(n)]
    points = np.random.default_rng(seed).random((n, 2)) * 10.0
    return gpd.GeoDataFrame({"at": range(n)}, geometry=[Point(x, y) for x, y in points], index=ids, crs=4326)


def placed_fit(n: int = 48, seed: int = 1, **options: Any) -> SpatialFit:
    empty = Panel(tuple(f"r{i:03d}" for i in range(n)), (2001,), {}, geometry=places(n))
    w = build_knn(empty, 4)
    panel = replace(simulate_sdm(w, 6, seed), geometry=places(n))
    return so.fit("y ~ x0 + x1", panel, w, **options)


def test_every_reach_is_the_w_of_so_many_nearest() -> None:
    fit = placed_fit()
    part = audit_reach(fit, reaches=[3, 8])
    for k in (3, 8):
        alone = so.fit("y ~ x0 + x1", fit.panel, build_knn(fit.panel, k)).effects(variables=["x0"])
        row = part.table.query(f"reach == '{k} nearest' and effect == 'spillover'")
        assert row["estimate"].item() == pytest.approx(alone.estimate[1])
    own = fit.effects(variables=["x0"]).estimate[1]
    assert part.facts["reach.growth.spillover"] == pytest.approx(part.facts["reach.longest.spillover"] - own)
    part.to_dict()


def test_without_a_map_w_is_widened_by_steps() -> None:
    w = named_weights(row_standardised(lattice(7, 7)))
    fit = so.fit("y ~ x0 + x1", simulate_sdm(w, 5, 1), w)
    part = audit_reach(fit)
    assert "no map" in part.skipped[0]
    first = part.table.query("reach == '1 step' and effect == 'spillover'")["estimate"].item()
    assert first == pytest.approx(fit.effects(variables=["x0"]).estimate[1])  # one step is W itself
    two = (w.matrix > 0).astype(float)
    near = ((two + two @ two).toarray() > 0) & ~np.eye(49, dtype=bool)
    alone = so.fit("y ~ x0 + x1", fit.panel, named_weights(row_standardised(near.astype(float))))
    found = part.table.query("reach == 'up to 2 steps' and effect == 'spillover'")["estimate"].item()
    assert found == pytest.approx(alone.effects(variables=["x0"]).estimate[1])


def test_the_far_ring_is_beyond_w() -> None:
    fit = placed_fit()
    ring, w = far_ring(fit), fit.weights
    assert ring is not None
    assert w is not None
    assert ring.multiply(w.matrix).nnz == 0
    assert ring.diagonal().sum() == 0.0
    assert np.asarray(ring.sum(axis=1)).ravel() == pytest.approx(1.0)
    wide = build_knn(fit.panel, 16).matrix  # four times the four neighbours
    assert ((ring > 0).astype(float) + (w.matrix > 0).astype(float) - (wide > 0).astype(float)).nnz == 0
    added = fit.panel.with_variables({"far": ring @ fit.panel["x0"]})
    by_hand = so.fit("y ~ x0 + x1 + far", added, w, lagged=["x0", "x1"])
    part = audit_reach(fit)
    assert part.facts["reach.far.spillover"] == pytest.approx(by_hand.estimates["far"])


def common_factor(w: SpatialWeights, panel: Panel, seed: int) -> Panel:
    """A factor whose loading changes from west to east, in x and in y; no spillover."""
    rng = np.random.default_rng(seed)
    east = panel.geometry.geometry.centroid.x.to_numpy()[:, None] / 5.0 - 1.0
    course = rng.normal(size=(1, 8)).cumsum(axis=1)
    x = east * course + rng.normal(size=(w.n, 8))
    y = 0.4 * x + east * course + rng.normal(size=(w.n, 8))
    return replace(panel_of(w, y=y, x=x), geometry=panel.geometry)


@pytest.mark.filterwarnings("ignore:Geometry is in a geographic CRS")
def test_a_common_factor_reaches_further_than_w() -> None:
    n = 60
    empty = Panel(tuple(f"r{i:03d}" for i in range(n)), (2001,), {}, geometry=places(n))
    w = build_knn(empty, 4)
    part = audit_reach(so.fit("y ~ x", common_factor(w, empty, 1), w))
    assert part.facts["reach.far_p_value.spillover"] < 0.01
    assert part.facts["reach.growth.spillover"] > 0
    assert part.facts["reach.growth_p_value.spillover"] < 0.05
    assert any("grows with the reach" in said for said in part.sentences)


def test_neighbours_who_act_leave_nothing_for_the_far_ring() -> None:
    rejected = [audit_reach(placed_fit(seed=seed)).facts["reach.far_p_value.spillover"] < 0.05 for seed in range(30)]
    assert np.mean(rejected) <= 0.2  # 5 %, and 30 rounds: 6 of them would be nearly four standard errors


def test_groups_keep_their_links_and_dense_w_leaves_no_ring() -> None:
    fit = placed_fit()
    groups = {region: "AB"[i % 2] for i, region in enumerate(fit.panel.regions)}
    from spillover.weights.groups import within_groups

    assert fit.weights is not None
    inside = within_groups(build_knn(fit.panel, 8), groups)
    grouped = so.fit("y ~ x0 + x1", fit.panel.select(regions=inside.regions), inside, groups=groups)
    part = audit_reach(grouped)
    assert len(part.table) > 4
    dense = named_weights(row_standardised(np.ones((20, 20)) - np.eye(20) + nearest(20, 3, 1)))
    part = audit_reach(so.fit("y ~ x0 + x1", simulate_sdm(dense, 5, 1), dense, model="slx"))
    assert any("too many" in why for why in part.skipped)


def test_refusals() -> None:
    fit = placed_fit()
    with pytest.raises(OptionError, match="numbers of nearest regions"):
        audit_reach(fit, reaches=[0, 3])
    with pytest.raises(OptionError, match="numbers of nearest regions"):
        audit_reach(fit, reaches=[100])
    with pytest.raises(OptionError, match="no spillover"):
        audit_reach(placed_fit(model="ols"))
