"""Standardisations against hand-computed and closed-form values."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from spillover.errors import OptionError, WeightsError
from spillover.weights import SpatialWeights, standardise
from spillover.weights.standardise import spectral_radius

# Row sums 2, 10, 3; column sums 9, 2, 4.
RAW = np.array([[0.0, 2.0, 0.0], [6.0, 0.0, 4.0], [3.0, 0.0, 0.0]])


def make(dense: np.ndarray, **more: object) -> SpatialWeights:
    ids = tuple(f"r{i:03d}" for i in range(len(dense)))
    return SpatialWeights(sp.csr_matrix(dense), ids, "example", island_policy="keep", **more)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("none", RAW),
        ("row", [[0, 1, 0], [0.6, 0, 0.4], [1, 0, 0]]),
        ("scalar", RAW / 10),  # largest row sum
        ("min-max", RAW / 9),  # min(10, 9)
    ],
)
def test_hand_computed(method, expected):
    # Divisions of small integers: equal to the last digit or one off.
    scaled = standardise(make(RAW), method)
    assert np.allclose(scaled.matrix.toarray(), expected, rtol=1e-15, atol=0)
    assert scaled.standardisation == method


def test_spectral_radius_of_cycle_path_and_star():
    # Eigenvalues in closed form: cycle 2 cos(2πk/n) → 2; path of n: 2 cos(π/(n+1)); star with m leaves: √m.
    for n in (5, 700):  # below and above the size at which the iterative solver takes over
        path = sp.diags_array([np.ones(n - 1), np.ones(n - 1)], offsets=[-1, 1]).tocsr()
        # Dense solver: rounding; Lanczos at tolerance 0: rounding times the norm.
        assert spectral_radius(path) == pytest.approx(2 * np.cos(np.pi / (n + 1)), rel=1e-12)
    star = np.zeros((10, 10))
    star[0, 1:] = star[1:, 0] = 1
    assert spectral_radius(sp.csr_matrix(star)) == pytest.approx(3.0, rel=1e-14)


def test_spectral_radius_with_one_way_links_is_that_of_the_circles():
    # 0 ⇄ 1 with product 6·2 = 12 → √12; 2 only sends. A defective, reducible matrix.
    dense = np.array([[0, 2.0, 5.0], [6.0, 0, 7.0], [0, 0, 0]])
    assert spectral_radius(sp.csr_matrix(dense)) == pytest.approx(np.sqrt(12), rel=1e-14)


def test_spectral_radius_of_large_asymmetric_block():
    # A directed circle with weights c has eigenvalues c·exp(2πik/n); all have modulus c, the Perron root is c.
    n = 601
    rows = np.arange(n)
    circle = sp.csr_matrix((np.full(n, 0.5), (rows, (rows + 1) % n)), shape=(n, n))
    both = circle + sp.csr_matrix((np.full(n, 0.25), (rows, (rows - 1) % n)), shape=(n, n))
    assert spectral_radius(both) == pytest.approx(0.75, rel=1e-10)  # row sums are constant: ω_max = 0.5 + 0.25


def test_acyclic_w_has_no_spectral_form_and_says_so():
    dense = np.triu(np.ones((4, 4)), 1)
    with pytest.raises(WeightsError, match="one way only"):
        standardise(make(dense), "spectral")


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 9), st.integers(0, 2**32 - 1), st.sampled_from(["spectral", "scalar", "min-max", "row"]))
def test_interval_of_the_table_holds(n, seed, method):
    """I − ρW is invertible on (−1, 1) for every form: the spectral radius is at most one, whatever P is."""
    rng = np.random.default_rng(seed)
    dense = rng.exponential(size=(n, n)) * (rng.random((n, n)) < 0.6)
    dense[np.arange(n), (np.arange(n) + 1) % n] += 0.1  # a circle through all, so that nobody is an island
    np.fill_diagonal(dense, 0)
    scaled = standardise(make(dense), method).matrix.toarray()
    # 1e-10: eigenvalues of small, possibly badly scaled matrices.
    assert np.abs(np.linalg.eigvals(scaled)).max() <= 1 + 1e-10
    if method != "row":
        ratio = scaled[dense > 0] / dense[dense > 0]
        assert np.ptp(ratio) <= 1e-12 * ratio.max()  # one number for all links
    else:
        assert np.allclose(scaled.sum(axis=1), 1, rtol=0, atol=1e-14)


def test_islands_keep_empty_rows():
    dense = np.zeros((3, 3))
    dense[0, 1] = dense[1, 0] = 2
    scaled = standardise(make(dense), "row")
    assert scaled.islands == ("r002",)
    assert not scaled.rows_sum_to_one
    assert np.array_equal(scaled.matrix.toarray().sum(axis=1), [1, 1, 0])


@pytest.mark.parametrize("method", ["spectral", "none", "scalar", "min-max"])
def test_row_standardised_w_is_not_relabelled(method):
    # Dividing a row-standardised W again would call an average "spectral", which it is not.
    with pytest.raises(WeightsError, match="already standardised"):
        standardise(standardise(make(RAW), "row"), method)


def test_one_number_forms_lead_to_each_other():
    direct = standardise(make(RAW), "row").matrix
    detour = standardise(standardise(make(RAW), "spectral"), "row").matrix
    assert abs(direct - detour).max() < 1e-15


def test_unknown_method_and_no_links():
    with pytest.raises(OptionError, match=r"Did you mean .row."):
        standardise(make(RAW), "rows")
    with pytest.raises(WeightsError, match="no links"):
        standardise(make(np.zeros((2, 2))), "row")
