"""Least squares against exact and independent solutions."""

from __future__ import annotations

import numpy as np
import pytest

from spillover.numerics.least_squares import Collinearity, Projection, project
from spillover.numerics.within import Transformation


def test_matches_lstsq_for_small_and_for_blocked_sizes() -> None:
    rng = np.random.default_rng(0)
    for m in (30, 9_001):  # 9,001 rows take the blocked road with a remainder
        columns = rng.normal(size=(m, 7)) @ np.diag([1, 1e6, 1e-6, 1, 1, 1, 1])
        found = project(columns, 5)
        assert isinstance(found, Projection)
        expected, *_ = np.linalg.lstsq(columns[:, :5] / [1, 1e6, 1e-6, 1, 1], columns[:, 5:], rcond=None)
        assert found.coefficients == pytest.approx(expected / np.array([[1], [1e6], [1e-6], [1], [1]]), rel=1e-9)
        residuals = columns[:, 5:] - columns[:, :5] @ found.coefficients
        assert found.residual_products == pytest.approx(residuals.T @ residuals, rel=1e-10)
        gram = np.linalg.inv(columns[:, :5].T @ columns[:, :5] / np.outer(*2 * [[1, 1e6, 1e-6, 1, 1]]))
        assert found.inverse_gram == pytest.approx(gram / np.outer(*2 * [[1, 1e6, 1e-6, 1, 1]]), rel=1e-8)


def test_tall_and_nearly_collinear_columns_keep_the_digits_of_householder_qr() -> None:
    # Columns 1 + 1e-5 z: cross-products would leave six digits. β is exact by construction: y lies in the span.
    rng = np.random.default_rng(4)
    m = 20_000
    z = 1.0 + 1e-5 * rng.normal(size=(m, 3))
    noise = rng.normal(size=m)
    columns = np.column_stack([z, z @ [1.0, 2.0, 3.0], noise])
    found = project(columns, 3)
    assert isinstance(found, Projection)
    np.testing.assert_allclose(found.coefficients[:, 0], [1.0, 2.0, 3.0], rtol=1e-9)
    np.testing.assert_allclose(found.coefficients[:, 1], np.linalg.lstsq(z, noise, rcond=None)[0], rtol=1e-6)


def test_wampler_1_keeps_nine_digits() -> None:
    # Wampler (1970) problem 1: y = 1 + x + … + x⁵ on x = 0, …, 20; all coefficients are exactly 1.
    x = np.arange(21.0)
    design = np.stack([x**p for p in range(6)], axis=1)
    found = project(np.column_stack([design, design.sum(axis=1)]), 6)
    assert isinstance(found, Projection)
    assert found.coefficients[:, 0] == pytest.approx(np.ones(6), rel=1e-9)


def test_wampler_2_keeps_nine_digits() -> None:
    # Wampler (1970) problem 2: coefficients 1, .1, .01, …, 1e-5 on x = 0, …, 20.
    x = np.arange(21.0)
    design = np.stack([x**p for p in range(6)], axis=1)
    true = 10.0 ** -np.arange(6)
    found = project(np.column_stack([design, design @ true]), 6)
    assert isinstance(found, Projection)
    assert found.coefficients[:, 0] == pytest.approx(true, rel=1e-9)


def test_a_polynomial_of_degree_ten_far_from_zero_is_refused_by_name() -> None:
    # The design of Filip (NIST StRD): x^0, …, x^10 on about (−9, −3), condition number 5e9 with columns of length one.
    # Fewer than six digits would be left, so the collinearity is named instead.
    x = np.linspace(-8.78, -3.13, 82)
    design = np.stack([x**p for p in range(11)], axis=1)
    found = project(np.column_stack([design, design.sum(axis=1)]), 11)
    assert not isinstance(found, Projection)
    assert all(len(one.of) >= 2 for one in found)


def test_names_the_columns_of_a_combination() -> None:
    rng = np.random.default_rng(0)
    columns = rng.normal(size=(50, 6))
    columns[:, 3] = 2 * columns[:, 0] - 1e5 * columns[:, 2]
    found = project(columns, 5)
    assert not isinstance(found, Projection)
    (one,) = found
    assert isinstance(one, Collinearity)
    assert {one.column, *one.of} == {0, 2, 3}


@pytest.mark.parametrize("effects", ["none", "individual", "time", "two-way"])
def test_within_transformation_equals_regression_on_dummies(effects: str) -> None:
    rng = np.random.default_rng(0)
    n, t = 6, 4
    values = rng.normal(size=(n, t))
    dummies = {
        "none": np.zeros((n * t, 1)),
        "individual": np.kron(np.eye(n), np.ones((t, 1))),
        "time": np.kron(np.ones((n, 1)), np.eye(t)),
    }
    dummies["two-way"] = np.hstack([dummies["individual"], dummies["time"]])
    d = dummies[effects]
    expected = values.ravel() - d @ np.linalg.lstsq(d, values.ravel(), rcond=None)[0]
    transformation = Transformation(effects, "lee-yu", n, t)  # type: ignore[arg-type]
    assert transformation.apply(values).ravel() == pytest.approx(expected, abs=1e-13)
    rank = np.linalg.matrix_rank(d)
    assert transformation.free_observations == n * t - rank
    assert transformation.m == n * t - rank
