"""What residuals say: serial correlation freed of demeaning, the range of spatial correlation."""

from __future__ import annotations

import numpy as np
import pytest

from moderators.space import scatter
from spillover.moderators.correlogram import correlation_range
from spillover.moderators.residual_checks import check_residuals, serial_correlation
from spillover.numerics.within import Transformation


@pytest.mark.parametrize("a", [0.0, 0.5, -0.3])
def test_serial_correlation_is_freed_of_demeaning(a):
    rng = np.random.default_rng(1)
    n, t = 400, 6
    e = rng.normal(size=(n, t))
    for s in range(1, t):
        e[:, s] = a * e[:, s - 1] + np.sqrt(1 - a**2) * e[:, s]
    effects = Transformation("individual", "lee-yu", n, t)
    found = serial_correlation(effects.apply(e), effects, tuple(range(t)))
    assert found == pytest.approx(a, abs=0.06)  # about three standard errors of 1/√(n(t−2)) = .025
    naive = effects.apply(e)
    raw = np.sum(naive[:, 1:] * naive[:, :-1]) / np.sum(naive[:, :-1] ** 2)
    assert raw < a - 0.1  # what demeaning over six periods takes away


def test_gaps_in_the_years_are_not_neighbours():
    rng = np.random.default_rng(2)
    e = rng.normal(size=(50, 8))
    effects = Transformation("individual", "lee-yu", 50, 8)
    whole = serial_correlation(effects.apply(e), effects, (2011, 2012, 2013, 2014, 2015, 2016, 2017, 2018))
    gap = serial_correlation(effects.apply(e), effects, (2011, 2012, 2013, 2014, 2016, 2017, 2018, 2019))
    assert whole != gap
    assert serial_correlation(effects.apply(e), effects, (2000, 2002, 2004, 2006, 2008, 2010, 2012, 2014)) is None


def test_the_range_of_a_known_correlogram():
    d = np.linspace(10.0, 400.0, 20)
    table = np.column_stack([d, 0.6 * np.exp(-d / 120.0), np.full(20, 50.0)])
    assert correlation_range(table, offset=False) == pytest.approx(120.0, rel=1e-3)
    lower = table - [0.0, 0.1, 0.0]
    assert correlation_range(lower, offset=True) == pytest.approx(120.0, rel=1e-3)
    assert correlation_range(lower, offset=False) < 90.0


def test_a_field_with_a_range_is_found_and_noise_is_not():
    distances = scatter(250, seed=4, side=1000.0)
    rng = np.random.default_rng(5)
    root = np.linalg.cholesky(np.exp(-np.asarray(distances.matrix) / 100.0) + 1e-9 * np.eye(250))
    effects = Transformation("two-way", "lee-yu", 250, 10)
    x = effects.apply(rng.normal(size=(1, 250, 10)))
    periods = tuple(range(10))
    noise = effects.apply(rng.normal(size=(250, 10)))
    found = check_residuals(noise, x, distances, effects, periods)
    assert (found.spatial, found.range_km) == (False, 0.0)
    field = effects.apply(root @ rng.normal(size=(250, 10)))
    found = check_residuals(field, x, distances, effects, periods)
    assert found.spatial
    assert found.range_km == pytest.approx(100.0, rel=0.45)  # the standard deviation over fields is 16 %
    assert found.correlogram[0, 1] > 0.5
    assert abs(found.correlogram[-1, 1]) < 0.1
