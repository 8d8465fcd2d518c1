"""Mixtures, products, unions; W that change over time on one scale."""

import numpy as np
import pytest
import scipy.sparse as sp

from spillover.errors import AlignmentError, AssumptionWarning, IslandError, OptionError, WeightsError
from spillover.panel.panel import Panel
from spillover.weights import SpatialWeights, build_knn, combine, standardise, standardise_path, within_groups

A = np.array([[0, 2.0, 0, 1], [2, 0, 1, 0], [0, 1, 0, 3], [1, 0, 3, 0]])
B = np.array([[0, 1.0, 5, 0], [1, 0, 0, 2], [5, 0, 0, 0], [0, 2, 0, 0]])


def w(dense, ids="abcd", method="none", kind="w"):
    raw = SpatialWeights(sp.csr_matrix(dense), tuple(ids), kind, island_policy="keep")
    return standardise(raw, method)


def test_mixture_by_hand():
    mixed = combine({"a": w(A, method="row"), "b": w(B, method="row")}, "convex", {"a": 0.3, "b": 0.7})
    expected = 0.3 * A / A.sum(1, keepdims=True) + 0.7 * B / B.sum(1, keepdims=True)
    assert np.allclose(mixed.matrix.toarray(), expected, rtol=1e-14)
    assert (mixed.standardisation, mixed.rows_sum_to_one) == ("row", True)
    half = combine({"a": w(A, method="scalar"), "b": w(B, method="scalar")}, "convex", standardise="none")
    assert np.allclose(half.matrix.toarray(), A / 4 / 2 + B / 6 / 2, rtol=1e-14)  # largest row sums 4 and 6


def test_mixture_aligns_by_id():
    order = [2, 0, 3, 1]
    turned = w(B[np.ix_(order, order)], "cadb", "row")
    one = combine({"a": w(A, method="row"), "b": w(B, method="row")}, "convex")
    two = combine({"a": w(A, method="row"), "b": turned}, "convex")
    assert np.array_equal(one.matrix.toarray(), two.matrix.toarray())
    with pytest.raises(AlignmentError, match="only in W 'b': z"):
        combine({"a": w(A, method="row"), "b": w(B, "abcz", "row")}, "convex")


@pytest.mark.parametrize(("one", "two"), [("none", "none"), ("row", "spectral"), ("none", "row")])
def test_mixtures_never_add_units(one, two):
    with pytest.raises(WeightsError, match="mix units"):
        combine({"a": w(A, method=one), "b": w(B, method=two)}, "convex")


@pytest.mark.parametrize("shares", [{"a": 0.5, "b": 0.6}, {"a": -0.5, "b": 1.5}, {"a": 1.0}, {"a": 0.5, "c": 0.5}])
def test_shares_are_on_the_simplex(shares):
    with pytest.raises(OptionError, match="shares"):
        combine({"a": w(A, method="row"), "b": w(B, method="row")}, "convex", shares)


def test_product_by_hand():
    made = combine({"a": w(A), "b": w(B)}, "hadamard", islands="keep", standardise="scalar")
    product = A * B  # a and b have both links, 2 × 1; the others have no common one
    assert made.matrix.nnz == 2
    assert np.allclose(made.matrix.toarray(), product / product.sum(1).max())


def test_product_leaves_islands_to_the_policy():
    with pytest.raises(IslandError, match="c, d"):
        combine({"a": w(A), "b": w(B)}, "hadamard")
    kept = combine({"a": w(A), "b": w(B)}, "hadamard", islands="keep")
    assert kept.islands == ("c", "d")


def test_product_of_row_standardised_components():
    # Receivers' own scales cancel under row standardisation, and only there.
    one = combine({"a": w(A, method="row"), "b": w(A, method="row")}, "hadamard")
    two = combine({"a": w(A), "b": w(A)}, "hadamard")
    assert np.allclose(one.matrix.toarray(), two.matrix.toarray(), rtol=1e-14)
    with pytest.raises(WeightsError, match="a scale of its own"):
        combine({"a": w(A, method="row"), "b": w(B)}, "hadamard", standardise="scalar")


def test_union_and_intersection():
    union = combine({"a": w(A), "b": w(B)}, "union", standardise="none").matrix.toarray()
    assert np.array_equal(union, ((A + B) > 0).astype(float))
    both = combine({"a": w(A), "b": w(B)}, "intersection", islands="keep", standardise="none").matrix.toarray()
    assert np.array_equal(both, (A * B > 0).astype(float))
    with pytest.raises(WeightsError, match="no link is left"):
        combine({"a": w(np.triu(A)), "b": w(np.tril(A))}, "intersection", islands="keep")
    with pytest.raises(OptionError, match="two or more"):
        combine({"a": w(A)}, "union")
    with pytest.raises(OptionError, match="are for a mixture"):
        combine({"a": w(A), "b": w(B)}, "union", {"a": 0.5, "b": 0.5})


# -- over time ------------------------------------------------------------------------------------

FAR = np.array([[0, 30.0, 90, 60], [30, 0, 45, 80], [90, 45, 0, 20], [60, 80, 20, 0]])


def kernel_of(minutes, function):
    dense = np.zeros_like(minutes)
    apart = ~np.eye(len(minutes), dtype=bool)
    dense[apart] = function(minutes[apart])
    return w(dense)


def test_row_standardisation_takes_common_changes_away_exactly():
    power = {2000: kernel_of(FAR, lambda t: t**-1.5), 2010: kernel_of(0.8 * FAR, lambda t: t**-1.5)}
    saved = FAR - 5 * (~np.eye(4, dtype=bool))
    decay = {2000: kernel_of(FAR, lambda t: np.exp(-0.02 * t)), 2010: kernel_of(saved, lambda t: np.exp(-0.02 * t))}
    for path in (power, decay):
        with pytest.warns(AssumptionWarning, match="takes common changes away"):
            rows = standardise_path(path, "row")
        assert np.allclose(rows.at(2000).matrix.toarray(), rows.at(2010).matrix.toarray(), rtol=1e-14)
    # On the scale of the base year the changes stay: 0.8^−1.5 and e^(0.02 × 5).
    for path, growth in ((power, 0.8**-1.5), (decay, np.exp(0.1))):
        scaled = standardise_path(path, "scalar")
        assert np.allclose(scaled.at(2010).matrix.toarray(), growth * scaled.at(2000).matrix.toarray(), rtol=1e-13)
        assert scaled.changes()["standardised"].tolist() == pytest.approx([1.0, growth], rel=1e-13)
        assert scaled.changes()["raw"].tolist() == pytest.approx([1.0, growth], rel=1e-13)
    # A proportional speed-up with an exponential kernel only moves shares.
    other = {2000: decay[2000], 2010: kernel_of(0.8 * FAR, lambda t: np.exp(-0.02 * t))}
    with pytest.warns(AssumptionWarning):
        rows = standardise_path(other, "row")
    gap = np.abs(rows.at(2000).matrix - rows.at(2010).matrix).max()
    assert 0.001 < gap < 0.1


@pytest.mark.parametrize("method", ["scalar", "spectral", "min-max"])
def test_base_period(method):
    path = {"before": w(A), "after": w(2 * B)}
    made = standardise_path(path, method, base="after")
    assert np.allclose(made.at("after").matrix.toarray(), standardise(w(2 * B), method).matrix.toarray(), rtol=1e-12)
    ratio = made.at("before").matrix[0, 1] / made.at("after").matrix[0, 1]
    assert ratio == pytest.approx(2 / 2)
    assert made.base == "after"
    with pytest.raises(OptionError, match="base period 'never'"):
        standardise_path(path, method, base="never")


def test_lags_with_the_w_of_each_period():
    path = standardise_path({2000: w(A), 2001: w(B)}, "none")
    x = np.array([[1.0, 2], [3, 4], [5, 6], [7, 8]])
    panel = Panel(tuple("abcd"), (2000, 2001), {"x": x})
    made = path.add_lags(panel, ["x"])
    assert np.array_equal(made["near_x"], np.column_stack([A @ x[:, 0], B @ x[:, 1]]))
    with pytest.raises(OptionError, match="no W for 2002"):
        path.add_lags(Panel(tuple("abcd"), (2001, 2002), {"x": x}), ["x"])
    with pytest.raises(AlignmentError):
        path.add_lags(Panel(tuple("abcz"), (2000, 2001), {"x": x}), ["x"])


def test_paths_refuse_w_with_constants_of_their_own():
    with pytest.raises(WeightsError, match="2001: row"):
        standardise_path({2000: w(A), 2001: w(B, method="row")})
    with pytest.raises(AlignmentError):
        standardise_path({2000: w(A), 2001: w(B, "abcz")})
    near = build_knn(np.arange(8.0).reshape(4, 2), 1, regions=list("abcd"), lonlat=False, standardise="none")
    assert "WeightsPath" in repr(standardise_path({2000: near}))


def test_groups_are_any_labels():
    inside = within_groups(w(A, method="row"), {"a": 0, "b": 0, "c": 1, "d": 1})  # 0 is a label
    assert {(row.focal, row.neighbor) for row in inside.to_frame().itertuples()} == {
        ("a", "b"), ("b", "a"), ("c", "d"), ("d", "c"),
    }  # fmt: skip
    with pytest.raises(AlignmentError, match=r"1 regions have no group[\s\S]*d"):
        within_groups(w(A, method="row"), {"a": 0, "b": 0, "c": 1, "d": None})
