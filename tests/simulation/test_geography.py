"""The synthetic map."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist

from spillover.simulation.config import SystemConfig
from spillover.simulation.geography import build_geography, scatter_points

IDS = SystemConfig(n_regions=75).region_ids


@pytest.fixture(scope="module")
def geography():
    return build_geography(IDS, np.random.default_rng(1))


def test_cells_tile_the_square(geography):
    side = 1000 * np.sqrt(75 / 300)  # 500 km
    assert geography.side == pytest.approx(side)
    # areas add up and the union loses nothing: no overlap, no gap (1e-9: rounding of coordinates near 500)
    assert geography.areas.sum() == pytest.approx(side**2, rel=1e-9)
    assert shapely.union_all(geography.cells).area == pytest.approx(side**2, rel=1e-9)
    assert all(cell.geom_type == "Polygon" and cell.is_valid for cell in geography.cells)


def test_centres_are_centroids_from_north_to_south(geography):
    frame = geography.to_geodataframe()
    assert list(frame.index) == list(IDS)
    assert frame.crs is None
    assert np.column_stack([frame.centroid.x, frame.centroid.y]) == pytest.approx(geography.points, abs=1e-9)
    assert (np.diff(geography.points[:, 1]) <= 0).all()
    assert geography.names[0] == "Region 01"


def test_own_distance_is_that_of_a_disc(geography):
    # a disc of area π·30² has mean distance 20 from its centre
    big = build_geography(IDS, np.random.default_rng(1))
    assert big.own_distances == pytest.approx((2 / 3) * np.sqrt(geography.areas / np.pi))
    assert (2 / 3) * np.sqrt(np.pi * 900 / np.pi) == pytest.approx(20.0)


@settings(max_examples=15, deadline=None)
@given(n=st.integers(10, 200), seed=st.integers(0, 10**6))
def test_scattered_points_keep_their_distance(n, seed):
    side = 1000 * np.sqrt(n / 300)
    points = scatter_points(n, side, np.random.default_rng(seed))
    assert points.shape == (n, 2)
    assert ((points >= 0) & (points <= side)).all()
    assert pdist(points).min() >= 0.7 * side / np.sqrt(n)


def test_pairs_are_all_ordered_pairs_within_the_radius(geography):
    pairs = geography.pairs(120.0)
    gaps = np.linalg.norm(geography.points[:, None] - geography.points[None], axis=2)
    expected = {(i, j) for i, j in np.argwhere((gaps <= 120.0) & (gaps > 0))}
    assert set(zip(pairs.receiver.tolist(), pairs.sender.tolist(), strict=True)) == expected
    assert pairs.distance == pytest.approx(gaps[pairs.receiver, pairs.sender])
