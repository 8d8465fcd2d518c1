"""Parameters of the reference system and their checks."""

from __future__ import annotations

import geopandas as gpd
import pytest
import shapely

from spillover.errors import ConfigurationError, OptionError
from spillover.simulation.config import TRUNCATION, SystemConfig
from spillover.simulation.geography import Geography
from spillover.simulation.system import simulate
from spillover.weights import distance


def test_all_mistakes_are_reported_together():
    with pytest.raises(OptionError) as caught:
        SystemConfig(
            n_regions=9,
            n_periods=1,
            talent_per_cluster=-1.0,
            feedback=0.5,
            cooperation_share=1.2,
            persistence=1.0,
            periphery=(0.2, 0.1),
            patent_size=0.0,
            hti_law="cluster",  # type: ignore[arg-type]
            n_clusters=400,
        )
    message = str(caught.value)
    for name in (
        "n_regions",
        "n_periods",
        "talent_per_cluster",
        "feedback",
        "cooperation_share",
        "persistence",
        "periphery",
        "patent_size",
        "hti_law",
        "n_clusters",
    ):
        assert name in message
    assert "10 inadmissible parameters" in message


@pytest.mark.parametrize(
    "wrong",
    [
        {"decay_per_km": 0.0},
        {"decay_per_km": float("nan")},
        {"decay_per_km": "fast"},
        {"n_regions": 50.0},
        {"n_regions": True},
        {"periphery": 0.1},
        {"feedback": -0.5},
        {"linkage_strength": 2.5},
        {"innovation_sd": float("inf")},
    ],
)
def test_one_mistake_is_named(wrong):
    with pytest.raises(OptionError, match=next(iter(wrong))):
        SystemConfig(**wrong)


def test_too_large_a_gaussian_field_is_refused():
    with pytest.raises(OptionError, match="gaussian-process"):
        SystemConfig(n_regions=6000, hti_law="gaussian-process")


def test_number_of_clusters_by_default():
    # max(3, ⌈N/30⌉)
    assert [SystemConfig(n_regions=n).clusters for n in (10, 90, 91, 300)] == [3, 3, 4, 10]


def test_region_ids_sort_as_text():
    ids = SystemConfig(n_regions=1200).region_ids
    assert list(ids) == sorted(ids)
    assert (ids[0], ids[-1]) == ("R0001", "R1200")
    assert SystemConfig(n_regions=12).region_ids[-1] == "R012"


def test_the_kernel_is_cut_where_exponential_weights_are():
    # otherwise a W with the true decay would not hold the true kernel
    assert TRUNCATION == distance.TRUNCATION


def test_a_map_on_which_nobody_reaches_anybody_is_refused_before_it_is_drawn():
    with pytest.raises(ConfigurationError, match=r"1.33 km.*58 km apart"):
        simulate(SystemConfig(n_regions=20, decay_per_km=5.0), 1)
    with pytest.raises(ConfigurationError, match="links between regions"):
        simulate(SystemConfig(n_regions=200_000, n_periods=2, decay_per_km=1e-4), 1)
    with pytest.raises(ConfigurationError, match="more than 10,000,000"):
        SystemConfig(n_regions=10**9)
    # along roads the distances must be drawn first
    with pytest.raises(ConfigurationError, match="no region reaches another"):
        simulate(SystemConfig(n_regions=20, n_periods=2, decay_per_km=5.0, distance="road"), 1)


def test_a_real_map_decides_what_is_within_reach():
    # sixteen districts of one km: 5 per km reaches the next one, .0089 per km all
    districts = [shapely.box(a, b, a + 1, b + 1) for a in range(4) for b in range(4)]
    frame = gpd.GeoDataFrame(geometry=districts, index=[f"D{i:02d}" for i in range(16)])
    small = SystemConfig(n_regions=16, n_periods=2, decay_per_km=5.0)
    assert simulate(small, 1, Geography.from_map(frame))[1].spillover > 0
    # the same map in metres, without a coordinate system that says so
    metres = gpd.GeoDataFrame(geometry=frame.geometry.scale(1000, 1000, origin=(0, 0)), index=frame.index)
    with pytest.raises(ConfigurationError, match="map in metres"):
        simulate(SystemConfig(n_regions=16, n_periods=2, decay_per_km=0.02), 1, Geography.from_map(metres))
    twice = gpd.GeoDataFrame(geometry=[*districts[:14], districts[0], districts[1]], index=frame.index)
    with pytest.raises(ConfigurationError, match="one and the same centre: D00 and D14, D01 and D15"):
        simulate(small, 1, Geography.from_map(twice))
    with pytest.raises(ConfigurationError, match="n_regions = 12, but the map has 16 regions"):
        simulate(SystemConfig(n_regions=12), 1, Geography.from_map(frame))
