"""What a threshold leaves out: by formula on a plane, by measurement on the map."""

import numpy as np
import pytest
from scipy.integrate import quad

from spillover.errors import OptionError
from spillover.weights import build_distance_band, build_exponential, build_gaussian, build_inverse_distance
from spillover.weights.points import Points
from spillover.weights.truncation import exponential_reach, gaussian_reach, measure_loss, plane_share


def line(*places):
    return {"source": np.array([[x, 0.0] for x in places]), "regions": list("abcdefgh"[: len(places)]), "lonlat": False}


@pytest.mark.parametrize("share", [0.5, 0.05, 0.01, 1e-6])
def test_reach_against_the_integral_over_the_plane(share):
    # Mass on a uniform plane is ∫ 2πd k(d) dd; 2π cancels. Quadrature is good to 1e-9.
    x = exponential_reach(share)
    assert quad(lambda d: d * np.exp(-d), x, np.inf)[0] == pytest.approx(share, rel=1e-7)
    assert plane_share(x) == pytest.approx(share, rel=1e-9)
    z = gaussian_reach(share)
    assert quad(lambda d: d * np.exp(-d * d / 2), z, np.inf)[0] == pytest.approx(share, rel=1e-7)


def test_a_share_outside_of_zero_and_one_is_refused():
    for wrong in (0.0, 1.0, -1.0, 2.0):
        with pytest.raises(OptionError, match="between 0 and 1"):
            exponential_reach(wrong)


def test_loss_by_hand():
    # a at 0, b at 1, c at 3; kernel 1/d, threshold 2: a loses 1/3 of 1 + 1/3 (25 %), b nothing of 1 + 1/2,
    # c (2 from b, 3 from a) 1/3 of 1/2 + 1/3 (40 %).
    points = Points(("a", "b", "c"), [[0, 0], [1, 0], [3, 0]], False)
    loss = measure_loss(points, np.reciprocal, 2.0)
    assert (loss.worst, loss.region, loss.rows) == (pytest.approx(0.4, rel=1e-14), "c", 3)
    assert loss.mean == pytest.approx((0.25 + 0.0 + 0.4) / 3, rel=1e-14)
    weights = build_inverse_distance(**line(0, 1, 3), threshold_km=2)
    assert "21.7 % is left out on average, at most 40 % (c)" in weights.notes[0]


def test_no_word_about_loss_where_nothing_is_lost():
    assert not any("own kernel mass" in note for note in build_exponential(**line(0, 1, 2), decay_per_km=0.01).notes)
    assert build_distance_band(**line(0, 1, 5), threshold_km=2, islands="keep").notes[0].startswith("1 region")


def test_loss_of_a_large_map_is_measured_on_a_sample():
    rng = np.random.default_rng(3)
    ids = tuple(f"r{i:05d}" for i in range(12_000))
    points = Points(ids, rng.uniform(0, 1000, (12_000, 2)), False)
    loss = measure_loss(points, lambda km: np.exp(-0.1 * km), exponential_reach(0.01) / 0.1)
    assert loss.rows == 833  # 10⁷ // 12,000
    assert "measured on 833 of 12000" in loss.sentence({})
    # A dense uniform plane loses what the formula says; edges lose less. Sampling: 0.5 points per km².
    assert 0.007 < loss.mean < 0.0105


def test_gaussian_by_hand():
    weights = build_gaussian(**line(0, 100, 304), bandwidth_km=100, standardise="none", islands="keep")
    dense = weights.matrix.toarray()
    assert dense[0, 1] == pytest.approx(np.exp(-0.5), rel=1e-14)
    assert dense[1, 2] == pytest.approx(np.exp(-0.5 * 2.04**2), rel=1e-14)
    assert dense[0, 2] == 0.0  # 3.04 h is beyond √(2 ln 100) h = 3.035 h
    assert "303.5 km are left out: 1 %" in weights.notes[0]
    with pytest.raises(OptionError, match="bandwidth_km"):
        build_gaussian(**line(0, 1), bandwidth_km=0)
