"""Large W: every way to a log-determinant against eigenvalues and closed forms, and what chooses between them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.spatial import Delaunay

from simulated import lattice, nearest, row_standardised
from spillover.errors import EstimationError, OptionError
from spillover.numerics import cholesky as cholesky_module
from spillover.numerics import engine as engine_module
from spillover.numerics import fill as fill_module
from spillover.numerics.engine import DENSE_LIMIT, Method, prepare_engine
from spillover.numerics.fill import available_memory, predict_fill
from spillover.numerics.logdet import MOST_PROBES, StochasticLogDeterminant
from spillover.numerics.multiplier import OrderedMatrix
from spillover.numerics.quadrature import exact_moments
from spillover.numerics.similarity import breadth_first_tree, find_similarity

RHOS = (-0.5, 0.3, 0.7, 0.95)


def cycle(n: int) -> sp.csr_matrix:
    i = np.arange(n)
    return sp.csr_matrix((np.full(2 * n, 0.5), (np.tile(i, 2), np.concatenate([(i + 1) % n, (i - 1) % n]))))


def delaunay(n: int) -> sp.csr_matrix:
    triangles = Delaunay(np.random.default_rng(0).random((n, 2))).simplices
    links = np.zeros((n, n))
    for a, b in ((0, 1), (1, 2), (2, 0)):
        links[triangles[:, a], triangles[:, b]] = links[triangles[:, b], triangles[:, a]] = 1.0
    return row_standardised(links)


GRAPHS = {
    "cycle": cycle(1300),
    "lattice": row_standardised(lattice(36, 37)),
    "Delaunay": delaunay(1300),
    "6 nearest": row_standardised(nearest(1250, 6, 3)),
}
EXACT = [
    (name, method)
    for name in GRAPHS
    for method in ("auto", "eigenvalues", "lu", "cholesky")
    if not (method == "cholesky" and name == "6 nearest")  # not similar to a symmetric matrix
]
_SPECTRA: dict[str, np.ndarray] = {}


def spectrum(name: str) -> np.ndarray:
    """Eigenvalues; of the cycle by their closed form cos(2πk/n)."""
    if name not in _SPECTRA:
        n = GRAPHS[name].shape[0]
        if name == "cycle":
            _SPECTRA[name] = np.cos(2 * np.pi * np.arange(n) / n)
        else:
            _SPECTRA[name] = np.linalg.eigvals(GRAPHS[name].toarray())
    return _SPECTRA[name]


def skip_without_cholmod(method: str) -> None:
    if method == "cholesky":
        pytest.importorskip("cvxopt", reason="CHOLMOD comes with the extra 'cholmod'")


@pytest.mark.parametrize(("name", "method"), EXACT)
def test_exact_methods_give_the_sum_over_the_spectrum(name: str, method: Method) -> None:
    skip_without_cholmod(method)
    engine = prepare_engine(GRAPHS[name], method)
    values = spectrum(name)
    for rho in RHOS:
        # 1e-8: the interpolants accept a truncation of 1e-12 n = 1.3e-9; dense eigenvalues carry about 1e-12 n.
        assert float(engine.log_determinant.value(rho)) == pytest.approx(np.log(1 - rho * values).sum().real, abs=1e-8)
        g = values / (1 - rho * values)
        assert engine.trace_g(rho) == pytest.approx(g.sum().real, rel=1e-8)
        # A second derivative of the interpolant loses about four of its twelve digits.
        assert engine.trace_g_squared(rho) == pytest.approx((g * g).sum().real, rel=1e-6)
    expected = {"eigenvalues": "eigenvalues", "lu": "sparse LU", "cholesky": "CHOLMOD", "auto": "sparse"}[method]
    assert expected in engine.log_determinant.method
    assert engine.log_determinant.error < 1e-7


@pytest.mark.parametrize("name", GRAPHS)
def test_stochastic_method_is_within_three_of_its_own_standard_errors(name: str) -> None:
    engine = prepare_engine(GRAPHS[name], "stochastic")
    estimate, values = engine.log_determinant, spectrum(name)
    assert isinstance(estimate, StochasticLogDeterminant)
    for rho in RHOS:
        exact = np.log(1 - rho * values).sum().real
        error = estimate.standard_error(rho)
        assert abs(float(estimate.value(rho)) - exact) < 3 * error
        assert abs(engine.trace_g(rho) - (values / (1 - rho * values)).sum().real) < 3 * estimate.trace_error(rho)
    # Control variates leave less than 1e-4 of the value at ρ = 0.3: tr W, …, tr W⁴ carry nearly all of it.
    assert estimate.standard_error(0.3) < 1e-4 * abs(float(estimate.value(0.3)))


def test_stochastic_derivatives_are_those_of_its_value() -> None:
    estimate = prepare_engine(GRAPHS["Delaunay"], "stochastic").log_determinant
    first, second = estimate.derivatives(0.6)
    h = 1e-4  # central differences of a smooth function of size 60: about 1e-9/h² + h² relative
    up, mid, down = (float(estimate.value(0.6 + d)) for d in (h, 0.0, -h))
    assert first == pytest.approx((up - down) / (2 * h), rel=1e-6)
    assert second == pytest.approx((up - 2 * mid + down) / h**2, rel=1e-4)


def test_exact_moments_are_traces_of_powers() -> None:
    matrix = GRAPHS["6 nearest"].toarray()
    square = matrix @ matrix
    expected = [1250.0, 0.0, np.trace(square), np.trace(square @ matrix), np.trace(square @ square)]
    assert exact_moments(GRAPHS["6 nearest"]) == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_same_seed_same_numbers_and_more_probes_are_better() -> None:
    one, two = (prepare_engine(GRAPHS["6 nearest"], "stochastic").log_determinant for _ in range(2))
    assert isinstance(one, StochasticLogDeterminant)
    assert float(one.value(0.8)) == float(two.value(0.8))
    before = one.standard_error(0.8)
    assert one.sharpen()
    assert "64 probes" in one.method
    assert one.standard_error(0.8) < before  # by sqrt(2) on average


def test_stochastic_error_beyond_the_budget_is_never_used_in_silence() -> None:
    engine = prepare_engine(GRAPHS["lattice"], "stochastic")
    estimate = engine.log_determinant
    assert isinstance(estimate, StochasticLogDeterminant)
    information = (10.0 * estimate.trace_error(0.5)) ** 2  # at which the error is exactly the budget of 0.1
    assert engine.is_precise(0.5, 1.01 * information, 1.0)
    assert not engine.is_precise(0.5, 0.9 * information, 1.0)
    assert estimate.quadrature.probes == 64  # twice as many for the next search
    while estimate.quadrature.probes < MOST_PROBES:
        assert not engine.is_precise(0.9, 1e-6, 30.0)
    with pytest.raises(EstimationError, match=r"not precise enough(.|\n)*standard deviations(.|\n)*sparser W"):
        engine.is_precise(0.9, 1e-6, 30.0)
    assert estimate.quadrature.probes == MOST_PROBES
    assert prepare_engine(GRAPHS["lattice"], "lu").is_precise(0.5, 1e-300, 1e9)  # exact


@pytest.mark.parametrize("name", ["lattice", "6 nearest"])
@pytest.mark.parametrize("method", ["lu", "cholesky", "stochastic"])
def test_solves_of_every_method_match_dense_algebra(name: str, method: Method) -> None:
    skip_without_cholmod(method)
    matrix = GRAPHS[name]
    if name == "lattice":  # rows of unequal weights: the symmetric form has its own scaling in every row
        unequal = matrix.multiply(np.add.outer(np.arange(1.0, 1333), np.arange(1.0, 1333)))
        matrix = row_standardised(unequal.toarray())
    right = np.random.default_rng(0).normal(size=(matrix.shape[0], 3))
    engine = prepare_engine(matrix, method)
    for rho in (0.6, -0.4, 0.6, 0.2, 0.6):  # factors are dropped and made again
        system = np.eye(matrix.shape[0]) - rho * matrix.toarray()
        multiplier = engine.multiplier(rho)
        # 1e-9: iterations stop at 1e-11 of the right-hand side, factors at rounding.
        assert multiplier.solve(right) == pytest.approx(np.linalg.solve(system, right), abs=1e-9)
        assert multiplier.solve_transposed(right[:, 0]) == pytest.approx(
            np.linalg.solve(system.T, right[:, 0]), abs=1e-9
        )


@pytest.mark.parametrize("name", ["lattice", "Delaunay", "6 nearest"])
@pytest.mark.parametrize("method", ["lu", "stochastic"])
def test_trace_of_gram_matrix_by_probes(name: str, method: Method) -> None:
    engine = prepare_engine(GRAPHS[name], method)
    matrix = GRAPHS[name].toarray()
    for rho in (0.6, 0.63, -0.3):
        g = np.linalg.solve(np.eye(len(matrix)) - rho * matrix, matrix)
        value, error = engine.trace_gram_g(rho)
        exact = float(np.sum(g * g))
        # tr G² of the stochastic method has its own error, which the probes of G'G do not know: 0.2 % here.
        assert abs(value - exact) < 4 * error + (0.002 * exact if method == "stochastic" else 1e-4 * exact)
        assert error < 0.01 * exact


def test_local_nodes_are_few_and_become_one_interpolant_when_asked_everywhere() -> None:
    engine = prepare_engine(GRAPHS["lattice"], "lu")
    exact = engine.log_determinant
    exact.derivatives(0.61)
    exact.value(0.6)
    assert int(exact.method.split(" at ")[1].split()[0]) <= 12
    low, high = exact.interval
    grid = np.linspace(low, high, 50)
    values = spectrum("lattice")
    expected = [np.log(1 - rho * values).sum().real for rho in grid]
    assert exact.value(grid) == pytest.approx(expected, abs=1e-8)


def test_rough_engine_finds_where_to_be_exact() -> None:
    engine = prepare_engine(GRAPHS["Delaunay"])
    values = spectrum("Delaunay")
    for rho in RHOS:
        trace = (values / (1 - rho * values)).sum().real
        # The score error must be a fraction of its standard deviation, of the order sqrt(n) = 36 or more.
        assert abs(engine.rough.trace_g(rho) - trace) < 0.5 * np.sqrt(1300) / (1 - abs(rho))
    small = prepare_engine(row_standardised(lattice(9, 8)))
    assert small.rough is small


def test_automatic_choice_by_size_and_fill(monkeypatch: pytest.MonkeyPatch) -> None:
    assert prepare_engine(row_standardised(lattice(20, 20))).log_determinant.method == "all eigenvalues"
    assert "sparse" in prepare_engine(GRAPHS["6 nearest"]).log_determinant.method
    monkeypatch.setattr(engine_module, "FILL_LIMIT", 1e3)
    engine = prepare_engine(GRAPHS["6 nearest"])
    assert "Arnoldi" in engine.log_determinant.method
    assert "sparser W" in (engine.advice or "")
    monkeypatch.setattr(engine_module, "DENSE_LIMIT", 5)
    monkeypatch.setattr(engine_module, "EIGEN_LIMIT", 10)
    filled = sp.csr_matrix(np.exp(-np.abs(np.subtract.outer(np.arange(30.0), np.arange(30.0)))) - np.eye(30))
    assert "Lanczos" in prepare_engine(filled).log_determinant.method
    with pytest.raises(OptionError, match="method"):
        prepare_engine(filled, "fast")  # type: ignore[arg-type]


def test_more_memory_than_the_machine_has_is_refused_with_the_amount(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "available_memory", lambda: 1e5)
    for method in ("eigenvalues", "lu"):
        with pytest.raises(EstimationError, match=r"more memory(.|\n)*GB for(.|\n)*1332 regions(.|\n)*sparser W"):
            prepare_engine(GRAPHS["lattice"], method)  # type: ignore[arg-type]
    assert "Lanczos" in prepare_engine(GRAPHS["lattice"]).log_determinant.method


def test_memory_is_read_from_the_system() -> None:
    assert 1e6 < available_memory() < 1e16
    assert fill_module.predict_fill(cycle(50)) <= 50 * 51 / 2


@pytest.mark.parametrize(("name", "factor"), [("lattice", 2.5), ("Delaunay", 6.0), ("6 nearest", 6.0)])
def test_predicted_fill_has_the_right_size(name: str, factor: float) -> None:
    pattern = GRAPHS[name] + GRAPHS[name].T  # the prediction is for a symmetric pattern
    true = OrderedMatrix.of(row_standardised(pattern.toarray()), True).factorise(0.5).L.nnz
    assert true / factor < predict_fill(GRAPHS[name]) < true * factor


def test_without_cholmod_lu_is_used_and_the_extra_is_named_where_it_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cholesky_module, "load_cholmod", lambda: None)
    engine = prepare_engine(GRAPHS["Delaunay"])
    assert engine.log_determinant.method == "sparse LU"
    assert engine.advice is None
    monkeypatch.setattr(engine_module, "ADVICE_LIMIT", 1_000)
    assert "spillover[cholmod]" in (prepare_engine(GRAPHS["Delaunay"]).advice or "")


def test_cholmod_is_used_by_itself_when_it_is_there() -> None:
    pytest.importorskip("cvxopt", reason="CHOLMOD comes with the extra 'cholmod'")
    assert "CHOLMOD" in prepare_engine(GRAPHS["Delaunay"]).log_determinant.method
    assert "LU" in prepare_engine(GRAPHS["6 nearest"]).log_determinant.method


def test_rho_outside_the_bounds_is_an_error_in_words() -> None:
    skip_without_cholmod("cholesky")
    with pytest.raises(EstimationError, match=r"not positive definite(.|\n)*ρ = 1.5"):
        prepare_engine(GRAPHS["Delaunay"]).multiplier(1.5).solve(np.ones(1300))


def test_order_of_regions_changes_nothing() -> None:
    order = np.random.default_rng(0).permutation(1300)
    matrix = GRAPHS["Delaunay"]
    shuffled = sp.csr_matrix(matrix[order][:, order])
    for rho in RHOS:
        one, two = (prepare_engine(m).log_determinant for m in (matrix, shuffled))
        assert float(one.value(rho)) == pytest.approx(float(two.value(rho)), abs=1e-8)


def test_breadth_first_trees_of_several_components() -> None:
    # 0–1–2 and 3–4 and 5 alone: steps of one to the root are depths.
    links = sp.csr_matrix((np.ones(6), ([0, 1, 1, 2, 3, 4], [1, 0, 2, 1, 4, 3])), shape=(6, 6))
    tree = breadth_first_tree(links)
    assert tree.parents.tolist() == [0, 0, 1, 3, 3, 5]
    assert tree.accumulate(np.ones(6)).tolist() == [0, 1, 2, 0, 1, 0]


def test_similarity_scaling_is_that_of_the_rows() -> None:
    links = lattice(6, 5) * np.add.outer(np.arange(1.0, 31), np.arange(1.0, 31))
    blocks = sp.block_diag([row_standardised(links), row_standardised(lattice(3, 3))], format="csr")
    found = find_similarity(blocks)
    assert found is not None
    scaled = found.root[:, None] * blocks.toarray() / found.root[None, :]
    assert scaled == pytest.approx(scaled.T, abs=1e-14)
    assert scaled == pytest.approx(found.matrix.toarray(), abs=1e-14)
    assert find_similarity(GRAPHS["6 nearest"]) is None


def test_limits_can_be_lowered_without_changing_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = row_standardised(lattice(20, 21))
    spectral = prepare_engine(matrix)
    monkeypatch.setattr(engine_module, "DENSE_LIMIT", 100)
    local = prepare_engine(matrix)
    assert DENSE_LIMIT > 100  # the limit itself is not touched
    for rho in RHOS:
        assert float(local.log_determinant.value(rho)) == pytest.approx(
            float(spectral.log_determinant.value(rho)), abs=1e-8
        )
    assert replace(local).bounds == local.bounds
