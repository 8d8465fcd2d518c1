"""The joint covariance over equations, draws from it, and the bootstrap."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from mechanisms.mediation_data import OUTCOME, SERIAL, dense_paths, simulate_system, three_weights
from simulated import lattice, named_weights, row_standardised, simulate_sdm
from spillover.errors import AssumptionWarning, OptionError
from spillover.inference.draws import draw_points
from spillover.mechanisms.bootstrap import cut_blocks
from spillover.mechanisms.joint import JOINT, joint_estimates
from spillover.mechanisms.mediate import mediate
from spillover.mechanisms.result import MediationResult
from spillover.models.fit import fit
from spillover.models.result import SpatialFit
from spillover.panel.panel import Panel
from spillover.weights.weights import SpatialWeights


@pytest.fixture(scope="module")
def weights() -> dict[str, SpatialWeights]:
    return three_weights(50)


@pytest.fixture(scope="module")
def result(weights: dict[str, SpatialWeights]) -> MediationResult:
    return mediate(OUTCOME, SERIAL, "x", simulate_system(weights, 8, seed=1), weights, lag=0)


def mapped(panel: Panel) -> Panel:
    """The panel on a row of squares of 1 km, for Conley errors."""
    import geopandas as gpd
    import shapely

    n = len(panel.regions)
    squares = [shapely.box(i % 7, i // 7, i % 7 + 1, i // 7 + 1) for i in range(n)]
    return replace(panel, geometry=gpd.GeoDataFrame(geometry=squares, index=list(panel.regions)))


@pytest.mark.parametrize("kind", [kind for kind in JOINT if kind not in ("information", "cluster-group")])
@pytest.mark.parametrize("model", ["slx", "sdm"])
def test_an_equation_with_itself_has_its_own_covariance(kind: str, model: str) -> None:
    # The block between an equation and a copy of it is the covariance of the single fit, quadratic scores included.
    w = named_weights(row_standardised(lattice(7, 6, queen=True)))
    panel = mapped(simulate_sdm(w, 12, seed=3))
    options = {"cutoff_km": 2.5} if kind == "conley" else {}
    one = fit("y ~ x0 + x1", panel, w, model=model, covariance=kind, **options)  # type: ignore[arg-type]
    joint = joint_estimates(["a", "b"], [one, one], kind)
    k = one.estimates.values.size
    assert np.allclose(joint.cov[:k, k:], one.estimates.cov, rtol=1e-9, atol=1e-14)
    assert np.allclose(joint.cov[:k, :k], one.estimates.cov)
    assert joint.df == one.estimates.df


def test_least_squares_clusters_equal_the_textbook_formula() -> None:
    # V_ef = (Z'Z)^{-1} Σ_i (Z_i'e_i)(Z_i'f_i)' (Z'Z)^{-1} n/(n − 1) m/(m − k), m = 41·4, k = 1, region by region.
    w = named_weights(row_standardised(lattice(7, 6, queen=True)))
    panel = simulate_sdm(w, 5, seed=4)
    first, second = (fit(f"{name} ~ x0", panel, model="ols") for name in ("y", "x1"))
    joint = joint_estimates(["a", "b"], [first, second], "cluster")

    def demeaned(values: np.ndarray) -> np.ndarray:
        return values - values.mean(1, keepdims=True) - values.mean(0, keepdims=True) + values.mean()

    x = demeaned(panel["x0"])
    e = [demeaned(panel[name]) for name in ("y", "x1")]
    e = [v - x * np.sum(x * v) / np.sum(x * x) for v in e]
    sums = [np.sum(x * v, axis=1) for v in e]
    expected = np.sum(sums[0] * sums[1]) / np.sum(x * x) ** 2 * 42 / 41 * 164 / 163
    assert joint.cov[0, 1] == pytest.approx(expected, rel=1e-10)


def test_joint_covariance_is_positive_semidefinite(result: MediationResult) -> None:
    scale = np.sqrt(np.diag(result.estimates.cov))
    assert np.linalg.eigvalsh(result.estimates.cov / np.outer(scale, scale)).min() > -1e-12


def test_covariance_between_equations_equals_its_simulation() -> None:
    # Two equations on one regressor whose errors correlate by .8: the slopes correlate by .8 (SUR with one design).
    w = named_weights(row_standardised(lattice(6, 5)))
    rng = np.random.default_rng(5)
    x = rng.normal(size=(30, 6))
    told, slopes = [], []
    for _ in range(300):
        u = rng.normal(size=(30, 6))
        e = 0.8 * u + 0.6 * rng.normal(size=(30, 6))
        panel = Panel(w.regions, tuple(range(6)), {"x": x, "m": x + u, "y": x + e})
        fits: list[SpatialFit] = [fit(f"{name} ~ x", panel, model="ols") for name in ("m", "y")]
        joint = joint_estimates(["m", "y"], fits, "cluster")
        told.append(joint.cov[0, 1] / np.sqrt(joint.cov[0, 0] * joint.cov[1, 1]))
        slopes.append(joint.values)
    assert np.mean(told) == pytest.approx(0.8, abs=0.03)  # small-sample bias of a clustered correlation, 30 clusters
    assert np.corrcoef(np.array(slopes).T)[0, 1] == pytest.approx(0.8, abs=0.06)  # (1 − .64)/√300 = .02, three of them


def test_draws_of_the_paths_equal_dense_algebra_draw_by_draw(
    result: MediationResult, weights: dict[str, SpatialWeights]
) -> None:
    from spillover.mechanisms.simulated import path_draws

    found, discarded = path_draws(result.numbers, result.estimates, 200, seed=7)
    assert discarded == 0
    points = draw_points(result.estimates, 200, 7)
    for i in (0, 50, 199):
        matrices = dense_paths(dict(zip(result.estimates.names, points[i], strict=True)), weights)
        own = [np.trace(m) / 50 for m in matrices.values()]
        total = [m.sum() / 50 for m in matrices.values()]
        assert np.allclose(found[i, :, 0], own, atol=1e-7)  # tolerance of the interpolation, 1e-9, over its condition
        assert np.allclose(found[i, :, 2], total, atol=1e-7)


def test_draws_from_probes_are_moved_to_the_exact_value(
    result: MediationResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spillover.mechanisms import simulated

    exact, _ = simulated.path_draws(result.numbers, result.estimates, 300, seed=7)
    monkeypatch.setattr(simulated, "EXACT_LIMIT", 10)
    rough, _ = simulated.path_draws(result.numbers, result.estimates, 300, seed=7)
    assert np.allclose(rough[:, :, 2], exact[:, :, 2], atol=1e-5)  # totals need no probes; inverses to 1e-6
    gap = rough[:, :, 0] - exact[:, :, 0]
    # 128 probes of 50 regions: only the differences from the estimate carry their error
    assert np.all(gap.std(axis=0) < 0.1 * exact[:, :, 0].std(axis=0))
    assert np.all(np.abs(gap.mean(axis=0)) < 0.02 * exact[:, :, 0].std(axis=0))


def test_simulation_agrees_with_the_delta_method(result: MediationResult) -> None:
    delta, drawn = result.effects(), result.effects(method="simulation", draws=4000)
    assert np.array_equal(delta["estimate"], drawn["estimate"])
    # t(49) draws have a standard deviation of √(49/47) standard errors; 4,000 draws add about 1 %
    assert np.allclose(drawn["std_error"], delta["std_error"], rtol=0.12)
    again = result.effects(method="simulation", draws=4000)
    assert np.array_equal(drawn["conf_low"], again["conf_low"])


def test_simultaneous_intervals_contain_the_single_ones(result: MediationResult) -> None:
    band, single = result.simultaneous(), result.effects().set_index("term")
    assert set(band["effect"]) == {"own", "spillover"}
    assert len(band) == 8  # four channels, the one that is none included
    for row in band.itertuples():
        assert row.band_low < single.loc[row.term, "conf_low"] < single.loc[row.term, "conf_high"] < row.band_high
        assert row.p_adjusted >= single.loc[row.term, "p_value"] - 0.01  # from draws
    # between one interval and eight that know nothing of each other (Šidák): t(49)
    from scipy import stats

    width = (band["band_high"] - band["estimate"]) / band["std_error"]
    assert np.allclose(width, width[0])
    assert stats.t.isf(0.025, 49) < width[0] < stats.t.isf(0.5 * (1 - 0.95 ** (1 / 8)), 49) * 1.01


def test_bootstrap_agrees_with_the_delta_method_whatever_the_workers(weights: dict[str, SpatialWeights]) -> None:
    panel = simulate_system(weights, 8, seed=1)
    found = mediate("y ~ x + W*x + m1", {"first": "m1 ~ x + W*x"}, "x", panel, weights, lag=0)
    alone = found.bootstrap(199, seed=3)
    with ProcessPoolExecutor(2) as pool:
        together = found.bootstrap(199, seed=3, executor=pool)
    assert np.array_equal(alone["conf_low"], together["conf_low"])
    delta = found.effects()
    # 199 draws: sd of a standard deviation 5 %; clustered errors of 50 regions are themselves uncertain by 10 %
    assert np.allclose(alone["std_error"], delta["std_error"], rtol=0.3)


def test_blocks_are_compact_even_and_complete() -> None:
    points = np.random.default_rng(0).random((50, 2))
    blocks = cut_blocks(points, 7)
    assert sorted(np.concatenate(blocks).tolist()) == list(range(50))
    assert min(map(len, blocks)) >= 6
    assert max(map(len, blocks)) <= 13


def test_blocks_that_cannot_be(result: MediationResult) -> None:
    with pytest.raises(OptionError, match="need a map"):
        result.bootstrap(99, blocks=10)
    with pytest.raises(OptionError, match="without a block"):
        result.bootstrap(99, blocks={"r000": "a"})
    with pytest.raises(OptionError, match="too few bootstrap draws"):
        result.bootstrap(10)


def test_blocks_beside_a_rho_are_warned_of(weights: dict[str, SpatialWeights]) -> None:
    found = mediate("y ~ x + m1 + W*y", {"first": "m1 ~ x"}, "x", simulate_system(weights, 6, seed=2), weights, lag=0)
    halves = {region: str(i // 4) for i, region in enumerate(found.sample.panel.regions)}
    with pytest.warns(AssumptionWarning, match="variance of ρ"):
        found.bootstrap(99, blocks=halves)
