"""Several W side by side: joint model by hand, verdicts on known truths, size of the Vuong test."""

import numpy as np
import pytest

from spillover.errors import DesignError, OptionError
from spillover.inference.hypotheses import HypothesisTest
from spillover.models.fit import fit
from spillover.models.linkages import compare_linkages, gap_variance
from spillover.panel.panel import Panel
from spillover.weights import build_knn, combine

IDS = tuple(f"r{k:03d}" for k in range(80))


def two_maps(seed):
    rng = np.random.default_rng(seed)
    return tuple(build_knn(rng.uniform(size=(80, 2)), 5, regions=list(IDS), lonlat=False) for _ in range(2))


def simulate(seed, share, *, theta=0.6, rho=0.0, t=6):
    """y = ρ W y + x + θ W x + μ + ε with W = share A + (1 − share) B, A and B maps that have nothing in common."""
    a, b = two_maps(seed)
    rng = np.random.default_rng(seed + 10**6)
    x, e = rng.normal(size=(2, 80, t))
    mean = x + theta * (share * a.lag(x) + (1 - share) * b.lag(x)) + e + rng.normal(size=(80, 1))
    y = np.linalg.solve(np.eye(80) - rho * (share * a.matrix + (1 - share) * b.matrix).toarray(), mean)
    return Panel(IDS, tuple(range(t)), {"y": y, "x": x}), {"a": a, "b": b}


def test_all_together_is_least_squares_with_both_lags():
    panel, maps = simulate(1, 0.5)
    found = compare_linkages("y ~ x", panel, maps)
    by_hand = fit(
        "y ~ x + xa + xb",
        panel.with_variables({"xa": maps["a"].lag(panel["x"]), "xb": maps["b"].lag(panel["x"])}),
        model="ols",
    )
    assert found.estimates.names == ("x", "W_a*x", "W_b*x")
    assert np.allclose(found.estimates.values, by_hand.estimates.values, rtol=1e-12)
    alone = fit("y ~ x", panel, maps["a"], model="slx")
    assert np.allclose(found.alone["a"].estimates.values, alone.estimates.values, rtol=1e-12)
    table = found.compare().set_index("linkage")
    assert table.loc["a", "log_likelihood"] == pytest.approx(alone.statistics["log_likelihood"], rel=1e-12)
    assert table["probability"].sum() == pytest.approx(1.0)


def test_the_linkage_that_carries_it_is_found():
    panel, maps = simulate(2, 1.0)
    found = compare_linkages("y ~ x", panel, maps)
    walds = found.tests().set_index("test")
    assert walds.loc["a beside the others", "p_value"] < 0.001
    assert walds.loc["b beside the others", "p_value"] > 0.05
    assert walds.loc["a alone", "p_value"] < 0.001
    assert found.verdict()[0].startswith("a carries it")
    assert found.compare().set_index("linkage").loc["b", "probability"] < 0.001
    vuong = next(test for test in found.hypothesis_tests if test.name.startswith("Vuong"))
    assert isinstance(vuong, HypothesisTest)
    assert vuong.statistic > 2
    assert vuong.null_model == "a"


def test_two_linkages_and_none():
    panel, maps = simulate(3, 0.5, theta=1.2)
    assert "each add to the others" in compare_linkages("y ~ x", panel, maps).verdict()[0]
    panel, maps = simulate(4, 0.5, theta=0.0)
    assert compare_linkages("y ~ x", panel, maps).verdict() == ("No spillover is found along any of these linkages.",)


def test_w_that_are_nearly_the_same_are_not_two_linkages():
    # Nothing spills over along either of two W whose lags are correlated .99; a regressor that happens to move with
    # their difference is no linkage.
    panel, maps = simulate(13, 0.5, theta=0.0)
    other = combine({"a": maps["a"], "b": maps["b"]}, "convex", {"a": 0.9, "b": 0.1})
    gap = maps["a"].lag(panel["x"]) - other.lag(panel["x"])
    panel = panel.with_variables({"y": panel["y"] + 3.0 * gap})
    found = compare_linkages("y ~ x", panel, {"one": maps["a"], "two": other})
    assert found.correlations[0, 1] > 0.98
    assert set(found.tests().query("p_value < 0.05")["test"]) >= {"one beside the others", "two beside the others"}
    assert "that is no linkage" in found.verdict()[0]
    stronger = panel.with_variables({"y": panel["y"] + 2.0 * gap})  # now both matter alone, too
    again = compare_linkages("y ~ x", stronger, {"one": maps["a"], "two": other})
    assert "Their W are nearly the same" in again.verdict()[0]


def test_durbin_model_with_several_rhos():
    panel, maps = simulate(5, 1.0, rho=0.5)
    found = compare_linkages("y ~ x", panel, maps, model="sdm")
    assert found.estimates.names == ("x", "W_a*x", "W_b*x", "rho: a", "rho: b")
    assert found.estimates["rho: a"] == pytest.approx(0.5, abs=0.15)
    assert found.estimates["rho: b"] == pytest.approx(0.0, abs=0.15)
    assert found.verdict()[0].startswith("a carries it")
    tests = found.tests()
    assert tests[tests["test"] == "a beside the others"]["df"].item() == 2  # θ and ρ


def test_spillovers_are_comparable_between_scales():
    # Ten times the weights, a tenth of θ: the same spillover.
    panel, maps = simulate(6, 1.0)
    from dataclasses import replace

    raw = replace(maps["a"], matrix=10 * maps["a"].matrix, standardisation="none")
    one = compare_linkages("y ~ x", panel, maps).spillovers()
    ten = compare_linkages("y ~ x", panel, {**maps, "a": raw}).spillovers()
    assert np.allclose(one[["estimate", "std_error"]], ten[["estimate", "std_error"]], rtol=1e-10)
    alone = fit("y ~ x", panel, maps["a"], model="slx").effects()
    indirect = alone[alone["effect"] == "indirect"]["estimate"].item()
    assert one.loc[0, "estimate"] == pytest.approx(indirect, rel=1e-12)


def test_correlation_of_lags_tells_how_far_w_can_be_told_apart():
    panel, maps = simulate(7, 0.5)
    found = compare_linkages("y ~ x", panel, maps)
    assert abs(found.correlations[0, 1]) < 0.2
    close = build_knn(np.random.default_rng(7).uniform(size=(80, 2)), 6, regions=list(IDS), lonlat=False)
    near = compare_linkages("y ~ x", panel, {"five": maps["a"], "six": close})
    assert near.correlations[0, 1] > 0.8


def test_variance_without_wy_is_the_general_formula_with_identities():
    # gap_variance has a short way for SLX; the long way with ρ = 0 must give the same.
    panel, maps = simulate(8, 0.5)
    found = compare_linkages("y ~ x", panel, maps)
    a, b, whole = found.alone["a"], found.alone["b"], found.together
    errors = whole.point.residuals
    ha, hb = 0.5 / a.point.sigma2, 0.5 / b.point.sigma2
    n = 80
    m = (hb - ha) * np.eye(n)
    v = hb * (b.point.residuals - errors) - ha * (a.point.residuals - errors)
    rows = errors * 2 * v + np.diag(m)[:, None] * (errors**2 - (errors**2).mean())
    assert gap_variance(a, b, whole) == pytest.approx((rows.sum(axis=1) ** 2).sum(), rel=1e-12)


def test_what_is_refused():
    panel, maps = simulate(9, 0.5)
    with pytest.raises(OptionError, match="two or more named W"):
        compare_linkages("y ~ x", panel, {"a": maps["a"]})
    with pytest.raises(OptionError, match="not compared in a sem"):
        compare_linkages("y ~ x", panel, maps, model="sem")
    with pytest.raises(DesignError):
        compare_linkages("y ~ x", panel, {"a": maps["a"], "again": maps["a"]})


@pytest.mark.slow
@pytest.mark.parametrize("model", ["slx", "sdm", "sar"])
def test_size_of_the_vuong_test(model):
    # Two maps that are equally wrong by symmetry. 300 draws: the se of a size of 5 % is 1.3 %.
    z = []
    for seed in range(300):
        panel, maps = simulate(20_000 + seed, 0.5, rho=0.0 if model == "slx" else 0.5)
        found = compare_linkages("y ~ x", panel, maps, model=model)
        z.append(next(test.statistic for test in found.hypothesis_tests if test.name.startswith("Vuong")))
    assert np.mean(np.abs(z) > 1.96) < 0.085
    assert 0.8 < np.std(z) < 1.15


def test_the_same_w_twice_is_told_under_its_names():
    panel, maps = simulate(1, 0.5)
    with pytest.raises(DesignError, match=r"W_b\*x. is a combination of W_a\*x"):
        compare_linkages("y ~ x", panel, {"a": maps["a"], "b": maps["a"]})
