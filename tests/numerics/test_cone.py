"""Projection on ordered vectors: by hand, against a general optimiser, and the law of its distance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats

from spillover.numerics.cone import FallingCone, distance_draws


def test_pools_neighbours_that_are_out_of_order():
    # with equal variances the nearest falling vector pools 1 and 3 to their mean: distance 1² + 1² = 2
    nearest, distance = FallingCone(np.eye(3)).project(np.array([1.0, 3.0, 0.0]))
    assert nearest == pytest.approx([2.0, 2.0, 0.0])
    assert distance == pytest.approx(2.0)


def test_what_is_ordered_stays():
    nearest, distance = FallingCone(np.diag([1.0, 2.0, 3.0])).project(np.array([3.0, 1.0, -2.0]))
    assert nearest == pytest.approx([3.0, 1.0, -2.0])
    assert distance == pytest.approx(0.0, abs=1e-20)
    floored, _ = FallingCone(np.eye(3), floor=True).project(np.array([3.0, 1.0, -2.0]))
    assert floored == pytest.approx([3.0, 1.0, 0.0])


@pytest.mark.parametrize("floor", [False, True])
def test_agrees_with_a_general_optimiser(floor):
    rng = np.random.default_rng(1)
    root = rng.normal(size=(5, 5))
    cov, point = root @ root.T + np.eye(5), rng.normal(size=5)
    inverse = np.linalg.inv(cov)
    steps = -np.diff(np.eye(5), axis=0)
    limits = [{"type": "ineq", "fun": lambda x: steps @ x}]
    if floor:
        limits.append({"type": "ineq", "fun": lambda x: x[-1:]})
    best = optimize.minimize(
        lambda x: (x - point) @ inverse @ (x - point), np.zeros(5), constraints=limits, method="SLSQP", tol=1e-12
    )
    cone = FallingCone(cov, floor=floor)
    nearest, distance = cone.project(point)
    assert distance == pytest.approx(best.fun, rel=1e-5)
    assert nearest == pytest.approx(best.x, abs=1e-4)
    assert cone.distances(np.array([point, 2 * point])) == pytest.approx([distance, 4 * distance], rel=1e-6)


def test_two_ordered_numbers_have_a_half_chi_square():
    # θ1 ≥ θ2 with one constraint: ½χ²(0) + ½χ²(1), whatever the covariance
    cov = np.array([[1.0, 0.4], [0.4, 2.0]])
    drawn = distance_draws(FallingCone(cov), cov, None, 4_000, np.random.default_rng(2))
    assert np.mean(drawn > 1e-12) == pytest.approx(0.5, abs=0.03)  # four binomial errors: 4·.5/√4000 = .032
    above = np.mean(drawn > stats.chi2.isf(0.1, 1))
    assert above == pytest.approx(0.05, abs=0.014)
