"""Facts about W."""

import numpy as np
import pytest
import scipy.sparse as sp

from spillover.weights import SpatialWeights, build_knn


def test_facts_of_a_star():
    # A centre with three leaves: raw eigenvalues ±√3 and 0, so that ρ lies between ∓1/√3.
    dense = np.zeros((4, 4))
    dense[0, 1:] = dense[1:, 0] = 1
    facts = SpatialWeights(sp.csr_matrix(dense), tuple("cxyz"), "star", names={"c": "Centre"}).describe()
    assert facts["degrees"] == [[1, 3], [3, 1]]
    assert facts["density"] == 6 / 12
    assert (facts["rho_low"], facts["rho_high"]) == pytest.approx((-1 / np.sqrt(3), 1 / np.sqrt(3)), rel=1e-12)
    assert facts["strongest"][0] == "x → c (Centre): 1"


def test_the_interval_of_a_large_w_is_computed_on_demand_only():
    weights = build_knn(
        np.random.default_rng(0).uniform(size=(1_100, 2)), 4, regions=[f"r{k:04d}" for k in range(1_100)], lonlat=False
    )
    assert weights.describe()["rho_low"] is None
    low, high = weights.bounds()
    assert weights.describe()["rho_high"] == high  # known by now
    assert weights.describe(bounds=False)["rho_low"] is None
    assert low < 0


def test_a_w_without_links_has_no_interval():
    empty = SpatialWeights(sp.csr_matrix((2, 2)), ("a", "b"), "none", island_policy="keep")
    assert empty.describe()["rho_low"] is None
    assert empty.describe()["degrees"] == [[0, 2]]
