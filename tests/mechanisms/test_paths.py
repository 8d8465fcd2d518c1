"""Paths, whole effect, gradients and draws against explicit n × n algebra."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from mechanisms.mediation_data import OUTCOME, SERIAL, TRUTH, dense_paths, simulate_system, three_weights
from spillover.mechanisms.decomposition import numbers_at, whole_effect
from spillover.mechanisms.mediate import mediate
from spillover.mechanisms.result import MediationResult
from spillover.weights.weights import SpatialWeights


@pytest.fixture(scope="module")
def weights() -> dict[str, SpatialWeights]:
    return three_weights(50)


@pytest.fixture(scope="module")
def result(weights: dict[str, SpatialWeights]) -> MediationResult:
    return mediate(OUTCOME, SERIAL, "x", simulate_system(weights, 8, seed=1), weights, lag=0)


def own_spillover_total(matrix: np.ndarray) -> list[float]:
    own, total = np.trace(matrix) / len(matrix), matrix.sum() / len(matrix)
    return [own, total - own, total]


def at(result: MediationResult, theta: Mapping[str, float]) -> np.ndarray:
    return np.array([theta[name] for name in result.estimates.names])


def test_every_path_equals_dense_products(result: MediationResult, weights: dict[str, SpatialWeights]) -> None:
    theta = dict(zip(result.estimates.names, result.estimates.values, strict=True))
    expected = {name: own_spillover_total(matrix) for name, matrix in dense_paths(theta, weights).items()}
    found = result.paths()
    assert list(found["path"].unique()) == list(expected)
    for name, values in expected.items():
        assert np.allclose(found.loc[found["path"] == name, "estimate"], values, atol=1e-10, rtol=0)


def test_paths_sum_to_the_effect_of_the_stacked_system(
    result: MediationResult, weights: dict[str, SpatialWeights]
) -> None:
    # One solve of all 4n equations at once, (I − Γ)(m1, m2, m3, y) = Ax, knows nothing of paths.
    p = dict(zip(result.estimates.names, result.estimates.values, strict=True))
    n = 50
    i, o = np.eye(n), np.zeros((n, n))
    w, second, near = (weights[name].matrix.toarray() for name in ("W", "second", "near"))
    gamma = np.block(
        [
            [p["first: rho"] * w, o, o, o],
            [p["second: m1"] * i + p["second: W*m1"] * second, p["second: rho"] * second, o, o],
            [o, o, o, o],
            [
                p["outcome: m1"] * i,
                p["outcome: m2"] * i + p["outcome: W*m2"] * w,
                p["outcome: m3"] * i + p["outcome: near*m3"] * near,
                p["outcome: rho"] * w,
            ],
        ]
    )
    a = np.vstack(
        [
            p["first: x"] * i + p["first: W*x"] * w,
            p["second: x"] * i + p["second: W*x"] * second,
            p["third: x"] * i + p["third: near*x"] * near,
            p["outcome: x"] * i + p["outcome: W*x"] * w,
        ]
    )
    whole = np.linalg.solve(np.eye(4 * n) - gamma, a)[3 * n :]
    effects = result.effects().set_index(["channel", "effect"])["estimate"]
    expected = own_spillover_total(whole)
    assert np.allclose([effects["total", k] for k in ("own", "spillover", "total")], expected, atol=1e-10, rtol=0)
    parts = ["not through a channel", "first", "second", "third"]
    for kind, value in zip(("own", "spillover", "total"), expected, strict=True):
        assert sum(effects[name, kind] for name in parts) == pytest.approx(value, abs=1e-10)
    assert result.additivity < 1e-10
    assert np.allclose(whole_effect(result.numbers.wiring, result.estimates.values, np.eye(n)), whole, atol=1e-10)


def test_without_spatial_terms_it_is_the_product_of_coefficients(weights: dict[str, SpatialWeights]) -> None:
    panel = simulate_system(weights, 8, seed=2)
    found = mediate("y ~ x + m1 + m2", {"a": "m1 ~ x", "b": "m2 ~ x + m1"}, "x", panel, lag=0)
    p = dict(zip(found.estimates.names, found.estimates.values, strict=True))
    rows = found.paths().set_index(["path", "effect"])["estimate"]
    expected = {
        "not through a channel": p["outcome: x"],
        "a": p["a: x"] * p["outcome: m1"],
        "b": p["b: x"] * p["outcome: m2"],
        "a → b": p["a: x"] * p["b: m1"] * p["outcome: m2"],
    }
    for name, value in expected.items():
        assert rows[name, "own"] == pytest.approx(value, abs=1e-12)
        assert rows[name, "total"] == pytest.approx(value, abs=1e-12)
        assert rows[name, "spillover"] == pytest.approx(0.0, abs=1e-12)
    # Least squares: the effect not through mediators and that through them sum to the slope of y on x alone.
    alone = mediate("y ~ x + m1", {"a": "m1 ~ x"}, "x", panel, lag=0).effects().set_index(["channel", "effect"])
    from spillover.models.fit import fit

    assert alone.loc[("total", "total"), "estimate"] == pytest.approx(
        fit("y ~ x", panel, model="ols").estimates["x"], abs=1e-12
    )


def test_gradients_equal_numeric_derivatives(result: MediationResult, weights: dict[str, SpatialWeights]) -> None:
    theta = at(result, TRUTH)
    numbers = numbers_at(result.numbers.wiring, theta)
    analytic = numbers.gradients(theta)
    step = 1e-6
    for k, name in enumerate(result.estimates.names):
        values = []
        for sign in (1, -1):
            moved = dict(TRUTH)
            moved[name] += sign * step
            values.append([own_spillover_total(m) for m in dense_paths(moved, weights).values()])
        numeric = (np.array(values[0]) - np.array(values[1])) / (2 * step)
        assert np.allclose(analytic[:, :, k], numeric, atol=1e-8), name  # h² f''' ≈ 1e-11, rounding 1e-16/h


def test_one_weights_matrix_by_eigenvalues_equals_dense(weights: dict[str, SpatialWeights]) -> None:
    w = weights["W"]  # asymmetric: complex eigenvalues
    panel = simulate_system(weights, 8, seed=3)
    found = mediate("y ~ x + W*x + m1 + W*m1 + W*y", {"a": "m1 ~ x + W*x + W*m1"}, "x", panel, w, lag=0)
    p = dict(zip(found.estimates.names, found.estimates.values, strict=True))
    i, m = np.eye(50), w.matrix.toarray()
    path = np.linalg.inv(i - p["outcome: rho"] * m) @ (p["outcome: m1"] * i + p["outcome: W*m1"] * m)
    path = path @ np.linalg.inv(i - p["a: rho"] * m) @ (p["a: x"] * i + p["a: W*x"] * m)
    rows = found.paths().set_index(["path", "effect"])["estimate"]
    assert np.allclose(rows["a"].to_numpy(), own_spillover_total(path), atol=1e-12)


def test_relabelling_regions_changes_nothing(weights: dict[str, SpatialWeights]) -> None:
    panel = simulate_system(weights, 6, seed=4)
    first = mediate(OUTCOME, SERIAL, "x", panel, weights, lag=0).effects()
    order = np.random.default_rng(0).permutation(50)
    shuffled = {
        name: SpatialWeights(w.matrix[order][:, order], tuple(w.regions[i] for i in order), w.kind, w.standardisation)
        for name, w in weights.items()
    }
    second = mediate(OUTCOME, SERIAL, "x", panel, shuffled, lag=0).effects()
    assert np.allclose(first["estimate"], second["estimate"], rtol=1e-9)
    assert np.allclose(first["std_error"], second["std_error"], rtol=1e-8)
