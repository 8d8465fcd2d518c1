"""Power: the closed-form information against a dense expectation, the inverse problem, the published table (slow)."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from simulated import lattice, named_weights, nearest, row_standardised
from spillover.errors import ConfigurationError, DesignError, OptionError
from spillover.inference.wald_power import detectable_shift, rejection
from spillover.simulation.expected import expected_estimates, time_factor
from spillover.simulation.power import PowerQuestion, compute_power, simulate_power
from spillover.simulation.power_answer import answer_power, power_sentence
from spillover.simulation.power_grid import power_grid
from spillover.simulation.power_search import find_size
from spillover.simulation.spatial_panel import ErrorLaw, Regressor, SpatialPanelConfig, SyntheticWeights

D13 = SpatialPanelConfig("sdm", 30, 10, rho=0.3, regressors=(Regressor("x0", 0.3, 0.15, persistence=0.8),))
NORMAL = PowerQuestion(covariance="information")
MODELS = {
    "ols": {},
    "slx": {"theta": 0.5},
    "sar": {"rho": 0.4},
    "sdm": {"theta": 0.5, "rho": -0.4},
    "sem": {"lam": 0.3},
    "sdem": {"theta": 0.5, "lam": 0.3},
    "sac": {"rho": 0.4, "lam": 0.3},
    "gns": {"theta": 0.5, "rho": 0.4, "lam": -0.3},
}


def design(model: str, effects: str, n: int = 12, t: int = 4) -> SpatialPanelConfig:
    """A small design with two maps; theta only where the model has it."""
    given = dict(MODELS[model])
    theta = given.pop("theta", 0.0)
    x = (Regressor("a", 1.0, theta, 0.6, spatial=0.3, sd=1.5), Regressor("b", -0.5, theta / 2, 0.0))
    error = named_weights(row_standardised(lattice(n // 4, 4))) if "lam" in given else None
    w = named_weights(row_standardised(nearest(n, 3, 2)))
    return SpatialPanelConfig(
        model,  # type: ignore[arg-type]
        n,
        t,
        regressors=x,
        effects=effects,  # type: ignore[arg-type]
        errors=ErrorLaw(0.7),
        weights=w,
        weights_error=error,
        **given,  # type: ignore[arg-type]
    )


def helmert(size: int) -> np.ndarray:
    """(size − 1, size) orthonormal rows orthogonal to ι."""
    basis = np.linalg.svd(np.eye(size) - 1.0 / size)[0][:, : size - 1]
    return basis.T


def dense_information(config: SpatialPanelConfig) -> np.ndarray:
    """Expected information of (δ, spatial, σ²) by Gaussian theory on explicitly transformed data.

    For y ~ N(m, V): I_ab = E[m_a' V⁻¹ m_b] + ½ tr V⁻¹V_aV⁻¹V_b, with numeric derivatives in the spatial parameters and
    E over x by the covariance of (T ⊗ N) white noise mapped to x.
    """
    n, t = config.n_regions, config.n_periods
    w = config.weights.matrix.toarray()  # type: ignore[union-attr]
    we = config.weights_error.matrix.toarray() if config.weights_error is not None else w  # type: ignore[union-attr]
    space = helmert(n) if config.has_period_effects else np.eye(n)
    time = helmert(t) if config.has_region_effects else np.eye(t)
    q = np.kron(time, space)
    durbin = config.model in ("slx", "sdm", "sdem", "gns")
    names = (["rho"] if config.model in ("sar", "sdm", "sac", "gns") else []) + (
        ["lam"] if config.model in ("sem", "sdem", "sac", "gns") else []
    )
    start = {"rho": config.rho, "lam": config.lam, "s2": config.errors.sigma**2}

    def inverse(rho: float) -> np.ndarray:
        return np.linalg.inv(np.eye(n) - rho * w)

    def variance(rho: float, lam: float, s2: float) -> np.ndarray:
        root = inverse(rho) @ np.linalg.inv(np.eye(n) - lam * we)
        return q @ np.kron(np.eye(t), s2 * root @ root.T) @ q.T

    def slope(function, name: str):  # type: ignore[no-untyped-def]
        up, down = ({**start, name: start[name] + step} for step in (1e-5, -1e-5))
        return (function(up) - function(down)) / 2e-5

    v_inverse = np.linalg.inv(variance(**start))
    v_slopes = [slope(lambda p: variance(**p), name) for name in (*names, "s2")]
    gaps = np.abs(np.arange(t)[:, None] - np.arange(t))
    k = len(config.regressors) * (1 + durbin)
    size = k + len(names) + 1
    found = np.zeros((size, size))
    for j, law in enumerate(config.regressors):
        root = np.linalg.inv(np.eye(n) - law.spatial * w)
        root *= np.sqrt(n / np.sum(root**2))
        covariance = np.kron(law.sd**2 * law.persistence**gaps + law.region_sd**2, root @ root.T)

        def mean(p: dict, law: Regressor = law) -> np.ndarray:
            return q @ np.kron(np.eye(t), inverse(p["rho"]) @ (law.beta * np.eye(n) + law.theta * w))

        maps = {j: q @ np.kron(np.eye(t), inverse(config.rho))}
        if durbin:
            maps[len(config.regressors) + j] = q @ np.kron(np.eye(t), inverse(config.rho) @ w)
        if "rho" in names:
            maps[k] = slope(mean, "rho")
        for a, left in maps.items():
            for b, right in maps.items():
                found[a, b] += np.trace(left.T @ v_inverse @ right @ covariance)
    for a, left in enumerate(v_slopes):
        for b, right in enumerate(v_slopes):
            found[k + a, k + b] += 0.5 * np.trace(v_inverse @ left @ v_inverse @ right)
    return found


@pytest.mark.parametrize("effects", ["none", "individual", "time", "two-way"])
@pytest.mark.parametrize("model", MODELS)
def test_the_expected_information_is_that_of_the_gaussian_density(model: str, effects: str) -> None:
    config = design(model, effects)
    estimates = expected_estimates(config)
    inverse = np.linalg.inv(dense_information(config))
    size = len(inverse) - 1
    # Numeric derivatives with steps of 1e-5 have errors near 1e-9.
    np.testing.assert_allclose(estimates.cov[:size, :size], inverse[:size, :size], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("model", ["slx", "sdm", "gns", "sar"])
def test_effects_and_their_gradients_are_those_of_the_dense_matrix(model: str) -> None:
    config = design(model, "two-way")
    estimates = expected_estimates(config)
    w = config.weights.matrix.toarray()  # type: ignore[union-attr]
    durbin = model != "sar"
    names = ["a", "b", *(("W*a", "W*b") if durbin else ()), *(("rho",) if config.rho else ())]

    def effects(p: dict[str, float]) -> np.ndarray:
        rows = []
        for x in "ab":
            m = np.linalg.inv(np.eye(12) - p.get("rho", 0.0) * w) @ (p[x] * np.eye(12) + p.get(f"W*{x}", 0.0) * w)
            rows += [np.trace(m) / 12, (m.sum() - np.trace(m)) / 12, m.sum() / 12]
        return np.array(rows)

    at = {name: estimates[name] for name in names}
    np.testing.assert_allclose(estimates.values[-6:], effects(at), atol=1e-12)
    jacobian = np.stack(
        [(effects({**at, n: at[n] + 1e-6}) - effects({**at, n: at[n] - 1e-6})) / 2e-6 for n in names], axis=1
    )
    own = estimates.subset(names).cov
    # central differences with steps of 1e-6: errors near 1e-9
    np.testing.assert_allclose(estimates.cov[-6:, -6:], jacobian @ own @ jacobian.T, rtol=1e-6, atol=1e-10)


def test_the_time_factor_is_a_quadratic_form() -> None:
    law = Regressor(persistence=0.7, sd=2.0, region_sd=3.0)
    gaps = np.abs(np.arange(6)[:, None] - np.arange(6))
    covariance = 4.0 * 0.7**gaps + 9.0
    demean = np.eye(6) - 1 / 6
    assert time_factor(law, 6, removes_means=True) == pytest.approx(np.trace(demean @ covariance), rel=1e-12)
    assert time_factor(law, 6, removes_means=False) == pytest.approx(np.trace(covariance), rel=1e-12)


def test_ols_by_hand() -> None:
    # pooled, one regressor of variance 1, σ = 1: se = 1/sqrt(nT) = 1/20, β = .1, so the statistic is near 2.
    x = Regressor("x0", 0.1, persistence=0.0, region_sd=0.0)
    config = SpatialPanelConfig("ols", 40, 10, regressors=(x,), effects="none")
    result = compute_power(config, PowerQuestion("direct", covariance="information"))
    assert result.std_error == pytest.approx(0.05, rel=1e-12)
    assert result.power == pytest.approx(stats.norm.cdf(2 - 1.959964) + stats.norm.cdf(-2 - 1.959964), abs=1e-6)
    # the minimum detectable effect is (1.960 + .842) se; the other tail adds 4e-6 to the power
    assert result.detectable == pytest.approx((stats.norm.isf(0.025) + stats.norm.isf(0.2)) * 0.05, rel=1e-5)
    assert detectable_shift(0.05, 0.8, 29.0) > detectable_shift(0.05, 0.8, None)


def test_spillovers_are_harder_to_see_by_the_root_of_the_neighbours() -> None:
    # x independent in space and time, k equal neighbours: Var(Wx) = Var(x)/k, so se(θ) = √k se(β) in an SLX
    # (I.7). On a ring lattice with 4 neighbours the two columns are orthogonal.
    ring = sum(np.roll(np.eye(20), s, axis=1) for s in (-2, -1, 1, 2))
    x = Regressor("x0", 1.0, 1.0, persistence=0.0)
    w = named_weights(row_standardised(ring))
    estimates = expected_estimates(SpatialPanelConfig("slx", n_periods=6, regressors=(x,), effects="none", weights=w))
    assert estimates.std_errors[1] / estimates.std_errors[0] == pytest.approx(2.0, rel=1e-12)


def test_rejection_is_the_level_at_zero_and_certain_far_away() -> None:
    for df in (None, 5.0, 29.0, 299.0):
        assert rejection(0.0, 0.05, df) == pytest.approx(0.05, abs=1e-9)
        assert rejection(-3.0, 0.05, df) == pytest.approx(rejection(3.0, 0.05, df), abs=1e-9) if df else True
        assert rejection(500.0, 0.05, df) == pytest.approx(1.0, abs=1e-9)
        powers = [rejection(s, 0.05, df) for s in np.linspace(0, 14, 60)]
        assert np.isfinite(powers).all()
        assert (np.diff(powers) >= -1e-9).all()
    draws = np.random.default_rng(1).standard_normal((2, 200_000))
    chi = np.sqrt(np.random.default_rng(2).chisquare(7, 200_000) / 7)
    share = np.mean(np.abs((draws[0] + 2.0) / chi) > stats.t.isf(0.025, 7))
    assert rejection(2.0, 0.05, 7.0) == pytest.approx(share, abs=0.005)  # binomial se .001


@pytest.mark.parametrize("df", [4.0, 7.0, 29.0, 299.0])
def test_rejection_is_that_of_the_noncentral_t(df: float) -> None:
    cut = stats.t.isf(0.025, df)
    for shift in (0.0, 0.5, 2.0, 3.0):
        exact = stats.nct.sf(cut, df, shift) + stats.nct.cdf(-cut, df, shift)
        assert rejection(shift, 0.05, df) == pytest.approx(exact, abs=1e-9)  # of the quadrature
    # where scipy's series fails: a level of 1e-6, whose critical value with 4 degrees is 39
    assert rejection(detectable_shift(1e-6, 0.9999, df), 1e-6, df) == pytest.approx(0.9999, abs=1e-8)
    assert rejection(1e6, 1e-6, df) == pytest.approx(1.0, abs=1e-9)


def test_standard_errors_of_the_published_table() -> None:
    # METHODS D.13, column "mean SE", printed with two digits: half a unit of the last one, and 1 % for the mean of
    # the estimated errors, which is not the error at the truth.
    published = {(30, 5): 0.54, (30, 10): 0.30, (30, 20): 0.18, (100, 5): 0.27, (100, 10): 0.15, (100, 20): 0.089}
    for (n, t), error in {**published, (300, 5): 0.15, (300, 10): 0.085}.items():
        result = compute_power(D13.with_changes(n_regions=n, n_periods=t), NORMAL)
        assert result.value == pytest.approx(0.329, abs=0.002)
        assert result.std_error == pytest.approx(error, abs=0.005 + 0.01 * error)


def test_the_smallest_design_is_found_by_bisection_and_is_the_smallest() -> None:
    for n, low, high in ((100, 13, 15), (300, 7, 8), (30, 38, 45)):
        search = find_size(D13.with_changes(n_regions=n), NORMAL)
        assert search.size is not None
        assert low <= search.size <= high
        at = {result.n_periods: result for result in search.tried}
        assert at[search.size].reached
        assert not at[search.size - 1].reached
        # every size, without bisection
        whole = [compute_power(D13.with_changes(n_regions=n, n_periods=t), NORMAL).reached for t in range(3, 50)]
        assert whole.index(True) + 3 == search.size
    regions = find_size(D13, along="n_regions", limits=(10, 400))
    assert regions.size is not None
    assert 120 < regions.size < 200


def test_a_target_out_of_reach_says_what_was_tried() -> None:
    search = find_size(D13, limits=(3, 20))
    assert search.size is None
    with pytest.raises(OptionError, match=r"power of 0\.8[\s\S]*3 periods: 0\.0[\s\S]*20 periods: 0\.4"):
        search.require()
    with pytest.raises(OptionError, match=r"30 regions × 5 periods: 0\.0"):
        answer_power(D13, grid_regions=(30,), grid_periods=(5, 10))
    text = power_sentence(compute_power(D13), (search,))
    assert "nothing that was tried reaches 80 of 100: up to 20 years with the same regions (at best 44)" in text


def test_the_sentence_and_the_answer() -> None:
    answer = answer_power(D13, grid_regions=(30, 300), grid_periods=(10,), rounds=20)
    assert answer.drawn is not None
    start = "With 30 regions and 10 years a spillover of 0.33 is seen in "
    assert answer.sentence.startswith(start)
    assert " of 100 samples; 80 of 100 need 40 years with the same regions or " in answer.sentence
    assert "regions with the same years." in answer.sentence
    text = answer.text()
    for part in ("standard error", "20 drawn panels", "| 300 |"):
        assert part in text
    assert set(answer.as_dict()) == {"sentence", "closed_form", "no_closed_form", "drawn", "searches", "grid"}
    enough = answer_power(D13.with_changes(n_regions=300, n_periods=20))
    assert enough.sentence.endswith("more than 99 of 100 samples: enough for the target of 80.")


def test_power_rises_with_everything_that_informs() -> None:
    base = compute_power(D13)
    for better in (
        D13.with_changes(n_periods=11),
        D13.with_changes(errors=ErrorLaw(0.9)),
        D13.with_changes(regressors=(replace(D13.regressors[0], sd=1.2),)),
        D13.with_changes(regressors=(replace(D13.regressors[0], persistence=0.5),)),
        D13.with_changes(effects="individual"),
    ):
        assert compute_power(better).power > base.power
    assert compute_power(D13, PowerQuestion(alpha=0.1)).power > base.power
    assert compute_power(D13, NORMAL).power > base.power
    assert compute_power(D13, PowerQuestion("rho")).power > 0.7


def test_grids_agree_with_single_designs_and_are_deterministic() -> None:
    grid = power_grid(D13, (30, 60), (5, 10))
    assert grid.at(60, 10) == compute_power(D13.with_changes(n_regions=60))
    assert list(grid.to_frame()["n_periods"]) == [5, 10, 5, 10]
    drawn = power_grid(D13, (30,), (5,), rounds=12)
    with ProcessPoolExecutor(2) as pool:
        assert power_grid(D13, (30,), (5,), rounds=12, executor=pool) == drawn
    assert "±" in drawn.to_markdown()
    with pytest.raises(OptionError, match="not on the grid"):
        grid.at(61, 10)


def test_bad_questions_are_told_together() -> None:
    with pytest.raises(OptionError, match=r"effect[\s\S]*covariance[\s\S]*alpha[\s\S]*target"):
        PowerQuestion("spill", alpha=1.5, target=2.0, covariance="hac")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="no spillover"):
        compute_power(SpatialPanelConfig("sem", lam=0.3))
    with pytest.raises(OptionError, match="no ρ"):
        compute_power(SpatialPanelConfig("slx"), PowerQuestion("rho"))
    with pytest.raises(OptionError, match="variable"):
        compute_power(D13, PowerQuestion(variable="x1"))
    for limits in ((5, 5), (0, 3), (3.0, 9)):
        with pytest.raises(OptionError, match="limits"):
            find_size(D13, limits=limits)  # type: ignore[arg-type]
    given = D13.with_changes(weights=named_weights(row_standardised(nearest(30, 5, 1))))
    with pytest.raises(OptionError, match="given W"):
        find_size(given, along="n_regions")
    with pytest.raises(OptionError, match="given W"):
        power_grid(given, (30, 40), (5,))
    assert len(answer_power(given).searches) == 1


def test_designs_that_identify_nothing_are_told() -> None:
    # everybody a neighbour of everybody: W x = (n x̄ − x)/(n − 1) repeats x once period means are removed
    complete = D13.with_changes(n_regions=12, weights=SyntheticWeights(neighbours=11))
    with pytest.raises(DesignError, match="does not identify"):
        compute_power(complete)
    search = find_size(complete, along="n_regions", limits=(12, 200))
    assert search.refused[0] == 12
    with pytest.raises(ConfigurationError, match="alpha"):
        PowerQuestion(alpha=1e-300)
    nothing = answer_power(D13.with_changes(regressors=(Regressor("x0", 0.0, 0.0),)))
    assert nothing.sentence.startswith("The true value is 0: there is nothing to see, and 5 of 100")
    assert nothing.searches == ()


def test_hundreds_of_large_panels_are_not_drawn_unasked() -> None:
    large = SpatialPanelConfig("sdm", 200_000, 10, rho=0.3)
    with pytest.raises(OptionError, match=r"200 panels of 200000 regions"):
        answer_power(large)
    with pytest.raises(OptionError, match="need two periods"):
        answer_power(D13.with_changes(n_periods=1))
    with pytest.raises(OptionError, match="besides the first"):
        answer_power(D13.with_changes(n_periods=2, tau=0.2))


def test_designs_without_a_closed_form_say_why() -> None:
    bad = D13.with_changes(
        tau=0.2, errors=ErrorLaw(serial=0.5, heteroskedastic=0.3), endogeneity=0.3, weights=SyntheticWeights()
    )
    with pytest.raises(
        OptionError, match=r"dynamics[\s\S]*serially[\s\S]*unequal[\s\S]*endogenous[\s\S]*simulate_power"
    ):
        compute_power(bad)
    raw = D13.with_changes(weights=SyntheticWeights("exponential", standardise="scalar"))
    with pytest.raises(OptionError, match="row sums"):
        compute_power(raw)
    assert compute_power(raw.with_changes(effects="individual")).power > 0.05
    # but panels can be drawn
    assert simulate_power(D13.with_changes(errors=ErrorLaw(serial=0.5)), rounds=10).panels == 10
    endogenous = D13.with_changes(endogeneity=0.4)
    with pytest.raises(OptionError, match=r"no ready estimator[\s\S]*without an instrument"):
        simulate_power(endogenous, rounds=10)
    found = simulate_power(endogenous.with_changes(instrument=0.5), rounds=10)  # ρ̂ of 2SLS is often out of bounds here
    assert (found.panels + found.refused, found.refused > 0) == (10, True)
    uneven = D13.with_changes(weights=SyntheticWeights("exponential", standardise="scalar"))
    assert simulate_power(uneven, rounds=10).panels == 10
    with pytest.raises(OptionError, match="rows do not sum to one"):
        simulate_power(uneven.with_changes(model="gns", lam=0.2), rounds=10)


# METHODS D.13: (N, T) → power of the indirect effect, of ρ, coverage, number of panels behind them
PUBLISHED = {
    (30, 5): (0.13, 0.44, 0.95, 300),
    (30, 10): (0.16, 0.77, 0.95, 300),
    (30, 20): (0.43, 0.98, 0.95, 300),
    (100, 5): (0.20, 0.95, 0.94, 200),
    (100, 10): (0.61, 1.00, 0.96, 200),
    (100, 20): (0.96, 1.00, 0.96, 100),
    (300, 5): (0.50, 1.00, 0.98, 60),
    (300, 10): (1.00, 1.00, 1.00, 60),
}


@pytest.mark.slow
@pytest.mark.parametrize(("n", "t"), PUBLISHED)
def test_the_published_power_table_is_reproduced(n: int, t: int) -> None:
    from spillover.simulation.estimators import FitEstimator
    from spillover.simulation.harness import recover_estimator

    rounds = 400
    config = D13.with_changes(n_regions=n, n_periods=t, weights=SyntheticWeights(map_seed=None))
    with ProcessPoolExecutor(2) as pool:
        table = recover_estimator(
            config, FitEstimator("y ~ x0", covariances=("information",)), rounds=rounds, seed=13, executor=pool
        )
    indirect, rho = table.line("indirect: x0"), table.line("rho")
    for found, published in zip((indirect.rejected, rho.rejected, indirect.coverage), PUBLISHED[n, t][:3], strict=True):
        # both shares are Monte Carlo: 2.6 standard errors of their difference, and half a unit of the last digit
        share = min(max((found + published) / 2, 0.02), 0.98)
        error = np.sqrt(share * (1 - share) * (1 / rounds + 1 / PUBLISHED[n, t][3]))
        assert abs(found - published) < 2.6 * error + 0.005
    # and the closed form is near what is drawn; small samples are skewed, which costs up to 8 points
    assert compute_power(config.with_changes(weights=SyntheticWeights()), NORMAL).power == pytest.approx(
        indirect.rejected, abs=0.08
    )


@pytest.mark.slow
def test_the_size_found_has_its_power_in_drawn_panels() -> None:
    with ProcessPoolExecutor(2) as pool:
        search = find_size(D13.with_changes(n_regions=100), check_rounds=400, executor=pool)
    assert search.checked is not None
    # binomial se .02; the closed form is optimistic by a few points
    assert search.checked.power == pytest.approx(0.8, abs=0.07)
