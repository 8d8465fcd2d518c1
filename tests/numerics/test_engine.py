"""The log-determinant engine against closed forms and dense algebra."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from simulated import lattice, nearest, row_standardised
from spillover.errors import WeightsError
from spillover.numerics import engine as engine_module
from spillover.numerics.engine import prepare_engine
from spillover.numerics.logdet import LocalLogDeterminant, SpectralLogDeterminant
from spillover.numerics.similarity import symmetric_form

RHOS = (-0.5, 0.3, 0.7, 0.95)


def cycle(n: int) -> sp.csr_matrix:
    links = np.zeros((n, n))
    for i in range(n):
        links[i, (i + 1) % n] = links[i, (i - 1) % n] = 0.5
    return sp.csr_matrix(links)


def dense_logdet(matrix: sp.csr_matrix, rho: float) -> float:
    return float(np.linalg.slogdet(np.eye(matrix.shape[0]) - rho * matrix.toarray())[1])


@pytest.mark.parametrize("rho", RHOS)
def test_cycle_has_its_closed_form(rho: float) -> None:
    # Eigenvalues of the row-standardised cycle graph are cos(2πk/n).
    n = 40
    expected = np.log(1.0 - rho * np.cos(2 * np.pi * np.arange(n) / n)).sum()
    assert prepare_engine(cycle(n)).log_determinant.value(rho) == pytest.approx(expected, abs=1e-11)


GRAPHS = {
    "rook lattice": row_standardised(lattice(9, 8)),
    "queen lattice": row_standardised(lattice(9, 8, queen=True)),
    "6 nearest": row_standardised(nearest(80, 6, 3)),
    "raw distances": sp.csr_matrix(np.exp(-np.abs(np.subtract.outer(np.arange(30.0), np.arange(30.0)))) - np.eye(30)),
}


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("sparse", [False, True])
def test_both_methods_give_the_dense_determinant_and_its_derivatives(
    name: str, sparse: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    matrix = GRAPHS[name]
    if sparse:  # let small graphs take the road of large ones
        monkeypatch.setattr(engine_module, "DENSE_LIMIT", 5)
        monkeypatch.setattr(engine_module, "SPARSE_SHARE", 2.0)
    engine = prepare_engine(matrix)
    assert isinstance(engine.log_determinant, LocalLogDeterminant if sparse else SpectralLogDeterminant)
    low, high = engine.log_determinant.interval
    for share in (0.02, 0.3, 0.5, 0.8, 0.97):
        rho = low + share * (high - low)
        g = matrix.toarray() @ np.linalg.inv(np.eye(matrix.shape[0]) - rho * matrix.toarray())
        first, second = engine.log_determinant.derivatives(rho)
        # 1e-9 is the stated error of the interpolant for these sizes; derivatives lose two digits more.
        assert engine.log_determinant.value(rho) == pytest.approx(dense_logdet(matrix, rho), abs=1e-9)
        assert first == pytest.approx(-np.trace(g), rel=1e-7, abs=1e-7)
        assert second == pytest.approx(-np.trace(g @ g), rel=1e-6, abs=1e-6)


def test_sparse_method_on_a_map_of_2000_regions_meets_its_stated_error() -> None:
    from scipy.spatial import Delaunay

    triangles = Delaunay(np.random.default_rng(0).random((2000, 2))).simplices
    links = np.zeros((2000, 2000))
    for a, b in ((0, 1), (1, 2), (2, 0)):
        links[triangles[:, a], triangles[:, b]] = links[triangles[:, b], triangles[:, a]] = 1.0
    matrix = row_standardised(links)
    engine = prepare_engine(matrix)
    assert isinstance(engine.log_determinant, LocalLogDeterminant)
    assert engine.log_determinant.error < 1e-8
    for rho in RHOS:
        assert engine.log_determinant.value(rho) == pytest.approx(dense_logdet(matrix, rho), abs=1e-8)
    # tr G'G by probes: within four of its own standard errors of the exact value.
    g = np.linalg.solve(np.eye(2000) - 0.6 * matrix.toarray(), matrix.toarray())
    value, error = engine.trace_gram_g(0.6)
    assert abs(value - np.sum(g * g)) < 4 * error
    assert error < 0.01 * value


@pytest.mark.parametrize("name", GRAPHS)
def test_bounds_are_where_the_determinant_first_vanishes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = GRAPHS[name]
    eigenvalues = np.linalg.eigvals(matrix.toarray())
    real = eigenvalues.real[np.abs(eigenvalues.imag) < 1e-9]
    expected = (1 / real.min(), 1 / real.max())
    assert prepare_engine(matrix).bounds == pytest.approx(expected, rel=1e-9)
    monkeypatch.setattr(engine_module, "DENSE_LIMIT", 5)
    monkeypatch.setattr(engine_module, "SPARSE_SHARE", 2.0)
    low, high = prepare_engine(matrix).bounds
    assert high == pytest.approx(expected[1], rel=1e-4)  # Arnoldi tolerance, stepped inside
    # Below: the smallest Lanczos node less 2 % of the range, at most −1/‖W‖, which is also taken for asymmetric W.
    assert expected[0] - 1e-12 <= low <= (-1.0 + 1e-12 if name == "6 nearest" else 0.9 * expected[0])


def test_scaling_w_scales_the_bounds() -> None:
    matrix = GRAPHS["rook lattice"]
    low, high = prepare_engine(matrix).bounds
    assert prepare_engine(sp.csr_matrix(4.0 * matrix)).bounds == pytest.approx((low / 4, high / 4))


def test_symmetric_form_has_the_same_spectrum_and_is_refused_for_nearest_neighbours() -> None:
    matrix = row_standardised(lattice(6, 5) * np.add.outer(np.arange(1.0, 31), np.arange(1.0, 31)))
    form = symmetric_form(matrix)
    assert form is not None
    assert abs(form - form.T).max() < 1e-14
    assert np.linalg.eigvalsh(form.toarray()) == pytest.approx(
        np.sort(np.linalg.eigvals(matrix.toarray()).real), abs=1e-12
    )
    assert symmetric_form(GRAPHS["6 nearest"]) is None
    # Symmetric pattern but no consistent scaling: products around a triangle differ by direction.
    turning = sp.csr_matrix(np.array([[0, 0.9, 0.1], [0.1, 0, 0.9], [0.9, 0.1, 0]]))
    assert symmetric_form(turning) is None


def test_solves_and_transposed_solves_match_the_inverse() -> None:
    for name in ("rook lattice", "6 nearest"):
        matrix = GRAPHS[name]
        multiplier = prepare_engine(matrix).multiplier(0.6)
        inverse = np.linalg.inv(np.eye(matrix.shape[0]) - 0.6 * matrix.toarray())
        right = np.random.default_rng(0).normal(size=(matrix.shape[0], 3))
        assert multiplier.solve(right) == pytest.approx(inverse @ right, abs=1e-12)
        assert multiplier.solve_transposed(right) == pytest.approx(inverse.T @ right, abs=1e-12)
        assert multiplier.apply_g(right) == pytest.approx(matrix @ inverse @ right, abs=1e-12)
        assert multiplier.apply_g_transposed(right[:, 0]) == pytest.approx(
            inverse.T @ (matrix.T @ right[:, 0]), abs=1e-12
        )


def test_w_without_links_is_refused() -> None:
    with pytest.raises(WeightsError, match="no links"):
        prepare_engine(sp.csr_matrix((12, 12)))
