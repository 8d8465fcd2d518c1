"""Distances along roads and railways, and maps of real regions."""

from __future__ import annotations

from dataclasses import replace

import geopandas as gpd
import numpy as np
import pytest
import shapely

import spillover as so
from spillover.errors import OptionError, PanelError, UnknownColumnError, WeightsError
from spillover.simulation.config import SystemConfig
from spillover.simulation.fields import draw_field
from spillover.simulation.geography import Geography, build_geography
from spillover.simulation.roads import along_roads, build_road_grid, with_railway
from spillover.simulation.system import simulate


def squares(centres, crs=None, size=10.0, ids=None):
    boxes = [shapely.box(x - size / 2, y - size / 2, x + size / 2, y + size / 2) for x, y in centres]
    names = ids or [f"r{i:02d}" for i in range(len(centres))]
    return gpd.GeoDataFrame(geometry=boxes, index=names, crs=crs)


def all_distances(geography):
    n = len(geography.regions)
    i, j = np.divmod(np.arange(n * n), n)
    return geography.distances(i, j).reshape(n, n)


def test_a_grid_by_hand():
    """Four centres at the corners of a 100 km square are junctions of the grid: distances are along its lines."""
    geography = Geography.from_map(squares([(0, 0), (100, 0), (0, 100), (100, 100)]))
    plain = build_road_grid(geography, spacing_km=50.0, road_kmh=60.0, motorway_kmh=60.0)
    # 100 along a side; across, both centres have a way to the junction in the middle, 70.7 km each
    # (a way of no length takes 1e-9 minutes)
    sides = np.array([[0, 1, 1, 0], [1, 0, 0, 1], [1, 0, 0, 1], [0, 1, 1, 0]])
    across = np.eye(4)[::-1]
    assert plain.distances() == pytest.approx(100 * sides + 100 * np.sqrt(2) * across, abs=1e-7)
    assert plain.travel_minutes() == pytest.approx(plain.distances())  # 60 km/h: a km a minute
    fast = build_road_grid(geography, spacing_km=50.0, road_kmh=60.0, motorway_kmh=120.0, motorway_every=2)
    # lines 0 and 2 of 3 are motorways, which is where the centres lie: a side halves, two sides are 100
    assert fast.distances() == pytest.approx(50 * sides + 100 * across, abs=1e-7)
    near = along_roads(geography, plain, limit_km=120.0)
    assert np.isinf(near.distances(np.array([0]), np.array([3])))[0]
    assert len(near.pairs(1e9).receiver) == 8  # the diagonals are out of reach


def test_roads_against_floyd_warshall():
    geography = build_geography(SystemConfig(n_regions=12).region_ids, np.random.default_rng(3))
    roads = build_road_grid(geography, motorway_every=2)
    m = roads.minutes.shape[0]
    slow = np.full((m, m), np.inf)
    links = roads.minutes.tocoo()
    slow[links.row, links.col] = links.data
    np.fill_diagonal(slow, 0.0)
    for k in range(m):
        slow = np.minimum(slow, slow[:, [k]] + slow[[k], :])
    assert roads.travel_minutes() == pytest.approx(slow[:12, :12], rel=1e-12)
    # a road is never shorter than the straight line at the fastest speed, and distances are a metric
    assert (roads.distances() >= all_distances(geography) * 60 / 110 - 1e-9).all()


def test_a_railway_by_hand():
    """Five towns on a line, 100 km apart; a railway from the first to the last takes half as long as before."""
    geography = Geography.from_map(squares([(100.0 * k, 0.0) for k in range(5)]))
    ids = geography.regions
    joined = all_distances(with_railway(geography, [ids[0], ids[4]], 0.5))
    # 0–4: 200 instead of 400. 0–3: min(300, 200 + 100) = 300. 1–4: min(300, 100 + 200) = 300.
    # 1–3 is 200 as before
    assert joined[0].tolist() == [0, 100, 200, 300, 200]
    assert joined[1].tolist() == [100, 0, 100, 200, 300]
    stops = with_railway(geography, [ids[0], ids[2], ids[4]], 0.5)
    # 0–2 and 2–4 are 100 each; 0–4 is 200, 0–1 stays, 1–4: min(300, 100 + 100 (1–2–4)) = 200
    assert all_distances(stops)[0].tolist() == [0, 100, 100, 200, 200]
    assert all_distances(stops)[1, 4] == 200
    assert (all_distances(stops) <= all_distances(geography)).all()


def test_a_railway_gives_shortest_paths():
    geography = build_geography(SystemConfig(n_regions=15).region_ids, np.random.default_rng(8))
    stops = [geography.regions[k] for k in (0, 7, 14, 3)]
    slow = all_distances(geography).copy()
    place = {region: k for k, region in enumerate(geography.regions)}
    before = slow.copy()
    for a, b in ((0, 7), (7, 14), (14, 3)):
        slow[a, b] = slow[b, a] = 0.4 * before[a, b]
    for k in range(15):
        slow = np.minimum(slow, slow[:, [k]] + slow[[k], :])
    found = all_distances(with_railway(geography, stops, 0.4))
    assert found == pytest.approx(slow, rel=1e-12)
    assert place[stops[1]] == 7


def test_impossible_roads_are_told_together():
    geography = build_geography(SystemConfig(n_regions=10).region_ids, np.random.default_rng(1))
    with pytest.raises(OptionError) as caught:
        build_road_grid(geography, spacing_km=-1.0, road_kmh=0.0, motorway_kmh=-5.0, motorway_every=0)
    assert all(name in str(caught.value) for name in ("spacing_km", "road_kmh", "motorway_kmh", "motorway_every"))
    with pytest.raises(OptionError, match=r"no regions: X[\s\S]*time_ratio = 2"):
        with_railway(geography, ["R001", "X"], 2.0)
    with pytest.raises(OptionError, match="at least two"):
        with_railway(geography, ["R001"])


def test_a_real_map_is_measured_on_the_globe():
    places = [(9.19, 45.46), (2.35, 48.86), (13.40, 52.52), (4.90, 52.37)]  # Milan, Paris, Berlin, Amsterdam
    geography = Geography.from_map(squares(places, "EPSG:4326", size=0.5))
    assert geography.lonlat
    # great circles, published to the km: Paris–Berlin about 878, Milan–Paris about 640; centroids of half a degree
    # boxes lie within a km of the cities
    assert all_distances(geography)[1, 2] == pytest.approx(878, abs=3)
    assert all_distances(geography)[0, 1] == pytest.approx(640, abs=3)
    # half a degree by half a degree at 48.86° north: 55.6 km × 36.7 km
    assert geography.areas[1] == pytest.approx(55.6 * 36.7, rel=0.01)
    pairs = geography.pairs(700.0)
    assert {(int(i), int(j)) for i, j in zip(pairs.receiver, pairs.sender, strict=True)} >= {(0, 1), (1, 0)}
    assert (pairs.distance <= 700.0).all()


def test_a_system_on_a_real_map():
    rng = np.random.default_rng(2)
    frame = squares(rng.permutation([(5 + a, 45 + b) for a in range(4) for b in range(3)]), "EPSG:4326", size=0.9)
    shuffled = frame.sample(frac=1, random_state=1)
    geography = Geography.from_map(shuffled)
    assert geography.regions == tuple(sorted(frame.index))
    config = SystemConfig(n_regions=12, n_periods=3)
    panel, truth = simulate(config, 1, geography)
    assert panel.geometry.crs == frame.crs
    assert truth.regions == panel.regions
    # ids and shapes stay together whatever the order of rows
    assert panel.geometry.geometry["r05"].equals(frame.geometry["r05"])
    again = Geography.from_panel(panel)
    assert again.points == pytest.approx(geography.points)
    # W built by the package from this panel has the kernel of the truth: talent e^(−δd) off the diagonal
    weights = so.weights.distance.build_exponential(panel, 0.00892, 6.64 / 0.00892, standardise="none")
    talent = truth.parts["talent"].sparse.toarray() / 154.8
    np.fill_diagonal(talent, 0.0)
    assert talent == pytest.approx(weights.matrix.toarray(), abs=1e-12)
    with pytest.raises(OptionError, match="the map has 12 regions"):
        simulate(replace(config, n_regions=20), 1, geography)


def test_maps_that_are_none():
    frame = squares([(0, 0), (50, 0)])
    with pytest.raises(UnknownColumnError):
        Geography.from_map(frame, region="nuts")
    with pytest.raises(PanelError, match="display"):
        Geography.from_map(frame, name="title")
    blank = frame.copy()
    blank.loc["r01", "geometry"] = None
    with pytest.raises(PanelError, match="r01"):
        Geography.from_map(blank)
    with pytest.raises(WeightsError):
        Geography.from_map(frame.reset_index(drop=True))


def test_fields_have_their_range():
    geography = build_geography(SystemConfig(n_regions=60).region_ids, np.random.default_rng(1))
    draws = draw_field(geography, 150.0, np.random.default_rng(2), 4000)
    expected = np.exp(-all_distances(geography) / 150.0)
    assert np.cov(draws) == pytest.approx(expected, abs=0.1)  # se of a covariance √(2/4000) = .022; 1,800 of them
    alone = draw_field(geography, 0.0, np.random.default_rng(2))
    assert np.array_equal(alone, np.random.default_rng(2).standard_normal(60))


def test_roads_change_the_truth():
    config = SystemConfig(n_regions=40, n_periods=2)
    straight, road = simulate(config, 1)[1], simulate(replace(config, distance="road", motorway_speed_kmh=60.0), 1)[1]
    assert straight.direct == road.direct  # a region's distance to itself is that of its area
    assert road.spillover < straight.spillover  # without motorways a grid is longer than a straight line
    motorway = simulate(replace(config, distance="road", motorway_speed_kmh=600.0, motorway_every=1), 1)[1]
    assert motorway.spillover > straight.spillover
