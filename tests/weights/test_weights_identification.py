"""Whether W identifies anything: brute-force algebra, known cases, and the information against simulated estimates."""

import itertools

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from spillover.errors import OptionError, WeakIdentificationWarning
from spillover.numerics import powers
from spillover.numerics.powers import power_products
from spillover.weights import SpatialWeights, build_inverse_distance, build_knn, standardise
from spillover.weights.identification import equal_blocks, examine_identification


def w(dense):
    ids = tuple(f"r{k:03d}" for k in range(len(dense)))
    return SpatialWeights(sp.csr_matrix(dense), ids, "w", "none", "keep")


def complete(n):
    return (np.ones((n, n)) - np.eye(n)) / max(n - 1, 1)


def blocks(*sizes):
    return sp.block_diag([complete(k) for k in sizes]).toarray()


def petersen():
    pairs = list(itertools.combinations(range(5), 2))
    return np.array([[float(not set(a) & set(b)) for b in pairs] for a in pairs]) / 3


def brute(dense, centred):
    n = len(dense)
    p = np.eye(n) - np.ones((n, n)) / n if centred else np.eye(n)
    three = [p, p @ dense @ p, p @ dense @ dense @ p]
    stacked = np.column_stack([m.ravel() / np.linalg.norm(m) for m in three])
    a = three[1]
    star = n - 1 if centred else n
    information = np.sum(a * a) + np.trace(a @ a) - 2 * np.trace(a) ** 2 / star
    return (
        np.linalg.svd(stacked[:, :2], compute_uv=False)[-1],
        np.linalg.svd(stacked, compute_uv=False)[-1],
        information,
    )


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.booleans())
def test_products_against_brute_force(seed, centred):
    rng = np.random.default_rng(seed)
    dense = rng.random((12, 12)) * (rng.random((12, 12)) < 0.4)
    np.fill_diagonal(dense, 0.0)
    dense[0, 1] = 1.0
    found = power_products(sp.csr_matrix(dense), centred)
    pair, triple, information = brute(dense, centred)
    # Singular values come from a Gram matrix: half the digits.
    assert found.pair == pytest.approx(pair, abs=1e-7)
    assert found.triple == pytest.approx(triple, abs=1e-6)
    assert found.information == pytest.approx(information, rel=1e-10)


def test_sparse_dense_and_probes_agree(monkeypatch):
    rng = np.random.default_rng(1)
    weights = build_knn(rng.uniform(0, 100, (900, 2)), 5, regions=[f"r{k}" for k in range(900)], lonlat=False).matrix
    exact = power_products(weights, True)
    monkeypatch.setattr(powers, "PRODUCT_LIMIT", 10)
    guess = power_products(weights, True)
    assert not guess.exact
    # 256 probes of 900 regions: about 1/√(256 × 900) = 0.2 % of each product.
    assert np.allclose(guess.gram, exact.gram, rtol=0.02, atol=0.02 * exact.gram.max())
    assert guess.triple == pytest.approx(exact.triple, abs=0.03)
    filled = build_inverse_distance(
        rng.uniform(0, 100, (60, 2)), regions=[f"r{k}" for k in range(60)], lonlat=False
    ).matrix
    dense = power_products(filled, True)
    monkeypatch.setattr(powers, "PRODUCT_LIMIT", 10**9)
    monkeypatch.setattr(powers, "DENSE_LIMIT", 0)
    assert np.allclose(power_products(filled, True).gram, dense.gram, rtol=1e-12)


# -- known cases ----------------------------------------------------------------------------------


def test_complete_graph_is_a_multiple_of_the_identity_once_means_are_gone():
    # J W J = −J/(n − 1), and I, W, W² are dependent also without period effects.
    found = examine_identification(w(complete(6)), "two-way")
    assert (found.pair, found.triple) == pytest.approx((0.0, 0.0), abs=1e-7)
    assert not found.identified
    assert found.std_error == np.inf
    assert "multiple of y" in found.concerns[0]
    plain = examine_identification(w(complete(6)), "none")
    assert plain.pair == pytest.approx(1.0, abs=1e-12)  # tr W = 0
    assert plain.triple == pytest.approx(0.0, abs=1e-7)


def test_petersen_graph_is_identified_without_period_effects_only():
    # Strongly regular: two distinct eigenvalues beside that of ι, so that J, JWJ, JW²J are dependent and I, W, W² not.
    assert examine_identification(w(petersen()), "individual", 5).identified
    found = examine_identification(w(petersen()), "two-way", 5)
    assert found.pair > 0.5
    assert found.triple == pytest.approx(0.0, abs=1e-7)
    assert "JW²J are linearly dependent" in found.concerns[0]


def test_groups_of_one_size_and_of_several():
    same = examine_identification(w(blocks(4, 4, 4)), "none")
    assert same.blocks == (4, 4, 4)
    assert not same.identified
    assert any("all 3 groups have 4 regions" in concern for concern in same.concerns)
    other = examine_identification(w(blocks(3, 5, 7)), "none")
    assert other.identified
    assert any("only group sizes differ" in concern for concern in other.concerns)


def test_equal_blocks():
    assert equal_blocks(w(blocks(2, 3, 1))) == (2, 3)
    uneven = blocks(2, 3)
    uneven[2, 3] *= 2
    assert equal_blocks(w(uneven)) == ()
    broken = blocks(2, 3)
    broken[2, 3] = 0
    assert equal_blocks(w(broken)) == ()
    assert equal_blocks(w(np.zeros((3, 3)))) == ()
    scaled = np.diag([1.0, 2, 3]) @ complete(3)  # rows of their own scale are still equal within
    assert equal_blocks(w(scaled)) == (3,)


def test_dense_w_and_small_maps_are_told():
    rng = np.random.default_rng(2)
    where = {"source": rng.uniform(0, 1000, (31, 2)), "regions": [f"p{k:02d}" for k in range(31)], "lonlat": False}
    dense = examine_identification(build_inverse_distance(**where), "two-way", 13)
    assert any("W is dense: 100 %" in concern for concern in dense.concerns)
    near = examine_identification(build_knn(**where, k=4), "two-way", 13)
    assert near.concerns == ()
    assert near.std_error < dense.std_error
    assert any("little about ρ" in concern for concern in examine_identification(build_knn(**where, k=4)).concerns)
    with pytest.warns(WeakIdentificationWarning, match="W is dense"):
        examine_identification(build_inverse_distance(**where), "two-way", 13, warn=True)
    with pytest.raises(OptionError, match="effects"):
        examine_identification(build_knn(**where, k=4), "random")


def test_periods_count_after_region_means():
    where = np.random.default_rng(3).uniform(0, 10, (40, 2))
    weights = build_knn(where, 4, regions=[f"r{k:02d}" for k in range(40)], lonlat=False)
    one, eleven = (examine_identification(weights, "two-way", t) for t in (2, 11))
    assert (one.periods, eleven.periods) == (1, 10)
    assert eleven.std_error == pytest.approx(one.std_error / np.sqrt(10), rel=1e-12)
    assert set(eleven.to_frame()["measure"]) == {"pair", "triple", "density", "neighbours", "std_error"}


# -- what the standard error means ----------------------------------------------------------------


@pytest.mark.parametrize("effects", ["none", "time"])
def test_standard_error_is_that_of_estimates_from_noise(effects):
    # y is noise, 300 periods of 30 regions: √(T K) ρ̂ is standard normal. 200 draws: sd within 1 ± 0.15 (3 se of a sd).
    rng = np.random.default_rng(4)
    weights = standardise(w(np.triu(rng.random((30, 30)) < 0.15, 1).astype(float)), "none")
    dense = weights.matrix.toarray() + weights.matrix.toarray().T
    dense = dense / np.maximum(dense.sum(axis=1, keepdims=True), 1)
    found = examine_identification(w(dense), effects, 300)
    p = np.eye(30) - np.ones((30, 30)) / 30 if effects == "time" else np.eye(30)
    star = 29 if effects == "time" else 30
    a = p @ dense @ p
    draws = []
    for _ in range(200):
        e = p @ rng.normal(size=(30, 300))
        sigma2 = np.sum(e * e) / (star * 300)
        score = np.sum(e * (a @ e)) / sigma2 - 300 * np.trace(a)
        draws.append(score * found.std_error**2)  # one scoring step from zero is the estimate up to 1/√T
    assert np.std(draws) / found.std_error == pytest.approx(1.0, abs=0.15)
    assert abs(np.mean(draws)) < 4 * found.std_error / np.sqrt(200)
