"""Moran's I by period."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from spillover.diagnostics.autocorrelation import moran_by_period, moran_scatter, within_two_way
from spillover.errors import (
    AlignmentError,
    DesignError,
    MissingCellError,
    OptionError,
    UnknownColumnError,
    ValueDomainError,
    WeightsError,
)
from spillover.inference.hypotheses import HypothesisTest, NotApplicable
from spillover.panel.panel import Panel
from spillover.weights.weights import SpatialWeights


def path_weights(regions, standardisation="none") -> SpatialWeights:
    """Each region next to the one before and the one after."""
    n = len(regions)
    matrix = sp.diags([np.ones(n - 1), np.ones(n - 1)], [-1, 1]).tocsr()
    return SpatialWeights(matrix, tuple(regions), "path", standardisation)


def panel(values, **more) -> Panel:
    array = np.asarray(values, dtype=float)
    n, t = array.shape
    return Panel(tuple(f"r{i:03d}" for i in range(n)), tuple(range(2000, 2000 + t)), {"y": array}, **more)


def dense_moran(x, matrix) -> tuple[float, float]:
    """I and its variance under randomisation from the dense formulas of Cliff & Ord (1981), p. 46."""
    n, z = len(x), x - x.mean()
    w = matrix / np.where(matrix.sum(axis=1) > 0, matrix.sum(axis=1), 1.0)[:, None]
    s0, s1 = w.sum(), ((w + w.T) ** 2).sum() / 2
    s2 = ((w.sum(axis=0) + w.sum(axis=1)) ** 2).sum()
    kurtosis = n * (z**4).sum() / (z**2).sum() ** 2
    first = n * ((n**2 - 3 * n + 3) * s1 - n * s2 + 3 * s0**2)
    second = kurtosis * ((n**2 - n) * s1 - 2 * n * s2 + 6 * s0**2)
    variance = (first - second) / ((n - 1) * (n - 2) * (n - 3) * s0**2) - 1 / (n - 1) ** 2
    return n / s0 * (z @ w @ z) / (z @ z), variance


def test_four_regions_on_a_path_by_hand():
    # y = 1, 2, 3, 4: z = −1.5, −.5, .5, 1.5; Σz² = 5. Row-standardised lags: −.5, −.5, .5, .5.
    # z'Wz = .75 + .25 + .25 + .75 = 2, S0 = n = 4: I = 2/5. Expected −1/3.
    (result,) = moran_by_period(panel([[1], [2], [3], [4]]), "y", path_weights([f"r{i:03d}" for i in range(4)]))
    assert result.statistic == pytest.approx(0.4, abs=1e-15)
    assert result.expected == pytest.approx(-1 / 3, abs=1e-15)
    assert result.transform == "level"
    assert result.period == 2000
    assert "row-standardised" in result.note


def test_columbus_crime():
    """spdep 1.2-7, moran.test(CRIME, queen, style W); the published numbers stand here."""
    root = Path(os.environ.get("SPILLOVER_REFERENCE", Path(__file__).parents[3] / "shared" / "reference"))
    table, edges = root / "data" / "columbus.csv", root / "data" / "columbus_queen_edges_1based.csv"
    if not (table.exists() and edges.exists()):
        pytest.skip("the Columbus data are not here; set SPILLOVER_REFERENCE to the folder that holds them")
    import pandas as pd

    crime = pd.read_csv(table)["CRIME"].to_numpy(dtype=float)[:, None]
    links = pd.read_csv(edges).to_numpy() - 1
    matrix = sp.coo_matrix((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(49, 49)).tocsr()
    columbus = panel(crime)
    (result,) = moran_by_period(columbus, "y", SpatialWeights(matrix, columbus.regions, "queen"))
    # Both programs evaluate closed formulas; only rounding error may differ.
    assert result.statistic == pytest.approx(0.500188557182861, rel=1e-12)
    assert result.expected == pytest.approx(-0.0208333333333333, rel=1e-12)
    assert result.variance == pytest.approx(0.00868928920133206, rel=1e-12)
    assert result.z == pytest.approx(5.5893826750445, rel=1e-12)
    # The reference is two-sided, as ours: 2 Φ(−5.589).
    assert isinstance(result.test, HypothesisTest)
    assert result.test.p_value == pytest.approx(2.27878270078257e-08, rel=1e-9)
    assert result.permutation.p_value == 1 / 1000


def test_agrees_with_the_dense_formulas_with_islands_and_unequal_weights():
    rng = np.random.default_rng(3)
    dense = rng.random((30, 30)) * (rng.random((30, 30)) < 0.15)
    np.fill_diagonal(dense, 0.0)
    dense[[4, 17]] = 0.0  # islands in the middle, which must not move the others
    source = panel(rng.gamma(1.0, 1.0, (30, 3)))
    weights = SpatialWeights(sp.csr_matrix(dense), source.regions, "random", island_policy="keep")
    results = moran_by_period(source, "y", weights, permutations=0)
    assert [r.transform for r in results] == ["level"] * 3 + ["within"] * 3
    arrays = np.hstack([source["y"], within_two_way(source["y"])])
    for j, result in enumerate(results):
        statistic, variance = dense_moran(arrays[:, j], dense)
        # Two orders of summation over 30 × 30 terms.
        assert result.statistic == pytest.approx(statistic, rel=1e-11)
        assert result.variance == pytest.approx(variance, rel=1e-11)
        assert isinstance(result.permutation, NotApplicable)
    assert "spatial lag of zero: r004, r017" in results[0].note
    assert "net of region and period means" in results[3].test.null


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(1e-3, 1e3), st.floats(-1e3, 1e3))
def test_units_and_the_scale_of_w_do_not_matter(seed, factor, shift):
    values = np.random.default_rng(seed).normal(size=(12, 2))
    source = panel(values)
    weights = path_weights(source.regions)
    first = moran_by_period(source, "y", weights, permutations=0)
    scaled_w = SpatialWeights(7.0 * weights.matrix, weights.regions, "path")
    second = moran_by_period(panel(factor * values + shift), "y", scaled_w, permutations=0)
    for a, b in zip(first, second, strict=True):
        # A shift of 1,000 on values of size 1e-3 costs six digits.
        assert b.statistic == pytest.approx(a.statistic, abs=1e-8)


def test_w_is_aligned_by_id():
    source = panel(np.random.default_rng(1).normal(size=(10, 2)))
    weights = path_weights(source.regions)
    shuffled = weights.align(tuple(reversed(source.regions)))
    rows = [[r.row() for r in moran_by_period(source, "y", w)] for w in (weights, shuffled)]
    for a, b in zip(*rows, strict=True):
        assert a["statistic"] == pytest.approx(b["statistic"], abs=1e-14)
        assert a["p_permutation"] == b["p_permutation"]
    with pytest.raises(AlignmentError, match="r000"):
        moran_by_period(source, "y", path_weights([f"x{i}" for i in range(10)]))


def test_permutations_are_reproducible_and_leave_the_global_state_alone():
    source = panel(np.random.default_rng(2).normal(size=(15, 4)))
    weights = path_weights(source.regions)
    np.random.seed(7)  # noqa: NPY002 - the state that must not change
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    first = moran_by_period(source, "y", weights, seed=5)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
    assert first == moran_by_period(source, "y", weights, seed=5)
    other = moran_by_period(source, "y", weights, seed=6)
    assert [r.permutation.p_value for r in first] != [r.permutation.p_value for r in other]
    # Each period has its own stream: leaving others out changes nothing.
    alone = moran_by_period(source.select(periods=[2002]), "y", weights, seed=5)
    assert alone[0].permutation == first[2].permutation
    # … and the streams differ: the same values twice give two draws of the p-value.
    twice = panel(np.repeat(source["y"][:, :1], 2, axis=1))
    p = [r.permutation.p_value for r in moran_by_period(twice, "y", weights, seed=5, transforms=["level"])]
    assert p[0] != p[1]


def test_permutation_agrees_with_the_analytic_moments():
    # 9,999 draws: the mean of I has se sd/100, the p-value sqrt(p(1−p)/9999) ≤ .005; 4 standard errors.
    from spillover.diagnostics.autocorrelation import _permuted_morans, _prepare

    source = panel(np.random.default_rng(4).normal(size=(40, 1)))
    path = path_weights(source.regions).matrix.tolil()
    path[[3, 4, 20]] = 0.0  # islands: S0 is 37, not 40
    weights = SpatialWeights(path.tocsr(), source.regions, "path", island_policy="keep")
    (result,) = moran_by_period(source, "y", weights, permutations=9999)
    _, matrix, _ = _prepare(source, weights)
    draws = _permuted_morans(source["y"][:, 0], matrix, 9999, np.random.default_rng(0))
    spread = np.sqrt(result.variance)
    assert abs(draws.mean() - result.expected) < 4 * spread / 100
    assert draws.var() == pytest.approx(result.variance, rel=4 * np.sqrt(2 / 9999))
    assert result.permutation.p_value == pytest.approx(result.test.p_value, abs=0.03)  # and the normal is approximate


def test_permutation_test_has_its_size():
    # Independent values: P(p ≤ .05) = .05 exactly with 99 permutations; 400 tests, binomial se .011, 4 of them.
    source = panel(np.random.default_rng(8).normal(size=(20, 400)))
    results = moran_by_period(source, "y", path_weights(source.regions), permutations=99, transforms=["level"])
    share = np.mean([r.permutation.p_value <= 0.05 for r in results])
    assert abs(share - 0.05) < 0.044


def test_within_removes_both_means_and_finds_shared_changes():
    values = np.random.default_rng(5).normal(size=(8, 5))
    within = within_two_way(values)
    np.testing.assert_allclose(within.sum(axis=0), 0.0, atol=1e-14)
    np.testing.assert_allclose(within.sum(axis=1), 0.0, atol=1e-14)
    # Region and period means change the levels only.
    smooth = panel(values + 100.0 * np.arange(8)[:, None] + np.arange(5)[None, :])
    results = moran_by_period(smooth, "y", path_weights(smooth.regions), permutations=0)
    plain = moran_by_period(panel(values), "y", path_weights(smooth.regions), permutations=0)
    assert min(r.statistic for r in results[:5]) > 0.5
    for a, b in zip(results[5:], plain[5:], strict=True):
        assert a.statistic == pytest.approx(b.statistic, abs=1e-11)  # 100 × 8 costs three digits


def test_a_period_without_variation_is_not_applicable_with_the_reason():
    values = np.random.default_rng(6).normal(size=(6, 3))
    values[:, 1] = 4.2
    results = moran_by_period(panel(values), "y", path_weights([f"r{i:03d}" for i in range(6)]))
    flat = results[1]
    assert isinstance(flat.test, NotApplicable)
    assert flat.statistic is None
    assert flat.row()["p_value"] is None
    assert "same value" in flat.row()["says"]
    assert isinstance(results[0].test, HypothesisTest)
    # Constant in time: levels vary, nothing is left within.
    still = panel(np.repeat(np.arange(6.0)[:, None] * 0.1, 3, axis=1))
    within = moran_by_period(still, "y", path_weights(still.regions))[3:]
    assert all(isinstance(r.test, NotApplicable) for r in within)


def test_everybody_a_neighbour_of_everybody_is_not_applicable():
    source = panel(np.random.default_rng(7).normal(size=(6, 1)))
    complete = SpatialWeights(sp.csr_matrix(np.ones((6, 6)) - np.eye(6)), source.regions, "complete")
    (result,) = moran_by_period(source, "y", complete)
    assert isinstance(result.test, NotApplicable)
    assert "every arrangement" in result.test.reason


def test_one_and_two_periods():
    one = panel(np.random.default_rng(9).normal(size=(6, 1)))
    weights = path_weights(one.regions)
    assert [r.transform for r in moran_by_period(one, "y", weights)] == ["level"]
    with pytest.raises(OptionError, match="one period"):
        moran_by_period(one, "y", weights, transforms=["within"])
    two = moran_by_period(panel(np.random.default_rng(9).normal(size=(6, 2))), "y", weights)
    assert two[2].statistic == pytest.approx(two[3].statistic, abs=1e-13)
    assert "one test" in two[2].note


def test_bad_input_is_named():
    values = np.random.default_rng(10).normal(size=(6, 2))
    weights = path_weights([f"r{i:03d}" for i in range(6)])
    missing = values.copy()
    missing[2, 1] = np.nan
    with pytest.raises(MissingCellError, match="y of r002 in 2001"):
        moran_by_period(panel(missing), "y", weights)
    missing[2, 1] = np.inf
    with pytest.raises(ValueDomainError, match="r002 in 2001"):
        moran_by_period(panel(missing), "y", weights)
    with pytest.raises(UnknownColumnError, match="Y2"):
        moran_by_period(panel(values), "Y2", weights)
    with pytest.raises(OptionError, match="transform"):
        moran_by_period(panel(values), "y", weights, transforms=["levels"])  # type: ignore[list-item]
    with pytest.raises(OptionError, match="permutations"):
        moran_by_period(panel(values), "y", weights, permutations=-1)
    empty = SpatialWeights(sp.csr_matrix((6, 6)), weights.regions, "none", island_policy="keep")
    with pytest.raises(WeightsError, match="no links"):
        moran_by_period(panel(values), "y", empty)
    with pytest.raises(DesignError, match="four regions"):
        moran_by_period(panel(values[:3]), "y", path_weights(["r000", "r001", "r002"]))
    with pytest.raises(UnknownColumnError, match="1999"):
        moran_scatter(panel(values), "y", weights, 1999)
    with pytest.raises(ValueDomainError, match="does not vary"):
        moran_scatter(panel(np.ones((6, 2))), "y", weights, 2000)


@pytest.mark.parametrize("transform", ["level", "within"])
def test_the_scatter_has_morans_i_as_its_slope(transform):
    source = panel(np.random.default_rng(11).normal(size=(9, 3)))
    weights = path_weights(source.regions)
    points = moran_scatter(source, "y", weights, 2001, transform)
    result = next(r for r in moran_by_period(source, "y", weights) if (r.period, r.transform) == (2001, transform))
    assert points.slope == pytest.approx(result.statistic, abs=1e-13)
    assert points.z.mean() == pytest.approx(0.0, abs=1e-14)
    assert points.z.std() == pytest.approx(1.0, abs=1e-14)
    assert np.polyfit(points.z, points.lag, 1)[0] == pytest.approx(points.slope, abs=1e-12)
    assert points.regions == source.regions
    for own, lag, quadrant in zip(points.z, points.lag, points.quadrants(), strict=True):
        assert quadrant == f"{'high' if own > 0 else 'low'}-{'high' if lag > 0 else 'low'}"
