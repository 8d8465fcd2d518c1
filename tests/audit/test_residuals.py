"""What residuals are like: measured on errors whose law is known."""

from __future__ import annotations

import numpy as np
import pytest

from spillover.audit.residuals import (
    autocovariance,
    measure_component,
    measure_serial,
    measure_shared,
    time_centring,
    variance_shares,
    year_gaps,
)
from spillover.numerics.within import Transformation

N, T = 400, 10
YEARS = tuple(range(2001, 2001 + T))


def errors(phi: float, gaps: np.ndarray, seed: int = 1, n: int = N) -> np.ndarray:
    root = np.linalg.cholesky(autocovariance(phi, gaps)).T
    return np.random.default_rng(seed).standard_normal((n, len(gaps))) @ root


def test_gaps_count_years_and_positions_where_there_are_none() -> None:
    assert year_gaps((2016, 2018, 2019))[0].tolist() == [0.0, 2.0, 3.0]
    assert year_gaps((2000, 2002, 2006))[0].tolist() == [0.0, 1.0, 3.0]
    assert year_gaps(("a", "b", "c"))[0].tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("phi", [-0.4, 0.0, 0.5, 0.8])
def test_serial_correlation_is_found_through_demeaning(phi: float) -> None:
    """400 regions: the standard error of φ is below 0.03 at every value."""
    way = Transformation("two-way", "lee-yu", N, T)
    found = measure_serial(way.apply(errors(phi, year_gaps(YEARS))), way, YEARS)
    assert found is not None
    assert abs(found.corrected - phi) < 0.08
    assert found.raw < found.corrected  # a mean over few periods pulls down


def test_expected_ratio_of_independent_errors() -> None:
    """Σ_t e_t e_{t−1} / Σ e_t² of demeaned independent errors has mean −1/T (T − 1 pairs, each −σ²/T)."""
    centre = time_centring(T, [np.arange(T)])
    assert np.isclose(np.trace(centre, offset=1) / np.trace(centre), -1.0 / T)


def test_a_gap_and_segments_are_respected() -> None:
    years = (2011, 2012, 2013, 2014, 2018, 2019, 2020, 2021)
    segments = (np.arange(4), np.arange(4, 8))
    way = Transformation("two-way", "lee-yu", N, 8, None, segments)
    found = measure_serial(way.apply(errors(0.6, year_gaps(years))), way, years)
    assert found is not None
    assert abs(found.corrected - 0.6) < 0.12
    assert measure_serial(np.ones((5, 3)), Transformation("two-way", "lee-yu", 5, 3), (1, 2, 3)) is None


def test_shared_shocks_have_their_share_and_a_p_value() -> None:
    """A quarter of the variance is common to groups of ten; 400 groups × periods give it to ±0.03."""
    rng = np.random.default_rng(1)
    codes = np.repeat(np.arange(40), 10)
    values = np.sqrt(0.25) * rng.standard_normal((40, T))[codes] + np.sqrt(0.75) * rng.standard_normal((N, T))
    found = measure_shared(values, codes)
    assert abs(found.share - 0.25) < 0.07
    assert found.p_value == 1 / 500
    assert measure_shared(rng.standard_normal((N, T)), codes).p_value > 0.01


def test_persistent_but_unrelated_regions_have_no_common_component() -> None:
    """An AR(0.8) panel has a large first component of its own; only a factor goes beyond it."""
    way = Transformation("two-way", "lee-yu", 60, T)
    alone = errors(0.8, year_gaps(YEARS), seed=3, n=60)
    found = measure_component(way.apply(alone), way, YEARS)
    assert found is not None
    assert found.share > 0.3
    assert found.p_value > 0.05
    rng = np.random.default_rng(2)
    factor = np.outer(rng.standard_normal(60), rng.standard_normal(T))
    common = measure_component(way.apply(rng.standard_normal((60, T)) + 1.5 * factor), way, YEARS)
    assert common is not None
    assert common.p_value == 1 / 200


def test_variance_shares_sum_to_one() -> None:
    assert variance_shares(np.array([[1.0, 1.0], [3.0, 1.0]])).tolist() == [1 / 6, 5 / 6]


@pytest.mark.slow
def test_size_of_the_tests_of_sharing() -> None:
    """Rejections at 5 % under serially correlated, unrelated regions: 300 rounds, ±0.025."""
    way = Transformation("two-way", "lee-yu", 50, T)
    codes = np.repeat(np.arange(10), 5)
    shared, component = [], []
    for seed in range(300):
        values = way.apply(errors(0.6, year_gaps(YEARS), seed, 50))
        shared.append(measure_shared(values, codes, draws=199, seed=seed).p_value <= 0.05)
        found = measure_component(values, way, YEARS, seed=seed)
        assert found is not None
        component.append(found.p_value <= 0.05)
    assert 0.02 <= np.mean(shared) <= 0.08
    assert 0.02 <= np.mean(component) <= 0.09
