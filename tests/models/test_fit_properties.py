"""Properties every estimator has, and covariances against brute force and simulation."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse as sp

import spillover as so
from simulated import lattice, named_weights, nearest, row_standardised, simulate_sdm
from spillover.models.covariance import Point, information_covariance
from spillover.models.quadratic import off_diagonal_variance
from spillover.models.result import SpatialFit
from spillover.models.robust import cluster_covariance
from spillover.panel.panel import Panel
from spillover.weights.weights import SpatialWeights

FORMULA = "y ~ x0 + x1"
pytestmark = pytest.mark.filterwarnings("ignore:ρ and λ share one W")
MODELS = ("ols", "slx", "sar", "sdm", "sem", "sdem", "sac")
ALL = [(m, e) for m in MODELS for e in ("none", "individual", "time", "two-way")]


def same(one: SpatialFit, other: SpatialFit, tolerance: float = 1e-8) -> None:
    assert one.estimates.values == pytest.approx(other.estimates.values, rel=tolerance, abs=tolerance)
    assert one.estimates.std_errors == pytest.approx(other.estimates.std_errors, rel=tolerance, abs=tolerance)
    assert one.effects()["estimate"].to_numpy() == pytest.approx(other.effects()["estimate"].to_numpy(), abs=tolerance)


@pytest.mark.parametrize(("model", "effects"), ALL)
def test_relabelling_regions_and_reordering_w_change_nothing(
    model: str, effects: str, grid_panel: Panel, queen_grid: SpatialWeights
) -> None:
    base = so.fit(FORMULA, grid_panel, queen_grid, model=model, effects=effects, covariance="cluster")
    order = np.random.default_rng(5).permutation(42)
    shuffled = SpatialWeights(
        queen_grid.matrix[order][:, order], tuple(queen_grid.regions[i] for i in order), "shuffled", "row"
    )
    same(base, so.fit(FORMULA, grid_panel, shuffled, model=model, effects=effects, covariance="cluster"))
    # New names sort differently, so every array is in another order; clustered errors must not notice.
    names = [f"q{order[i]:03d}" for i in range(42)]
    position = np.argsort(names)
    renamed = Panel(tuple(sorted(names)), grid_panel.periods, {k: v[position] for k, v in grid_panel.variables.items()})
    weights = SpatialWeights(queen_grid.matrix, tuple(names), "renamed", "row")
    same(base, so.fit(FORMULA, renamed, weights, model=model, effects=effects, covariance="cluster"))


@pytest.mark.parametrize(("model", "effects"), ALL)
def test_rescaling_a_regressor_changes_only_its_own_coefficient(
    model: str, effects: str, grid_panel: Panel, queen_grid: SpatialWeights
) -> None:
    base = so.fit(FORMULA, grid_panel, queen_grid, model=model, effects=effects)
    for factor in (1e6, 1e-6):
        other = so.fit(
            FORMULA,
            grid_panel.with_variables({"x1": factor * grid_panel["x1"]}),
            queen_grid,
            model=model,
            effects=effects,
        )
        scale = np.array([1 / factor if "x1" in name else 1.0 for name in base.estimates.names])
        assert other.estimates.values == pytest.approx(base.estimates.values * scale, rel=1e-8)
        assert other.estimates.std_errors == pytest.approx(base.estimates.std_errors * scale, rel=1e-8)


def test_scaling_the_outcome_scales_effects(grid_panel: Panel, queen_grid: SpatialWeights) -> None:
    base = so.fit(FORMULA, grid_panel, queen_grid)
    other = so.fit(FORMULA, grid_panel.with_variables({"y": 1000 * grid_panel["y"]}), queen_grid)
    assert other.rho == pytest.approx(base.rho, abs=1e-10)
    assert other.effects()["estimate"].to_numpy() == pytest.approx(
        1000 * base.effects()["estimate"].to_numpy(), rel=1e-9
    )


def test_adding_region_and_period_constants_changes_nothing(grid_panel: Panel, queen_grid: SpatialWeights) -> None:
    rng = np.random.default_rng(0)
    shift = 100 * rng.normal(size=(42, 1)) + 100 * rng.normal(size=(1, 6))
    moved = grid_panel.with_variables({"y": grid_panel["y"] + shift, "x0": grid_panel["x0"] - 3 * shift})
    # W of a region constant is a region constant, so the two-way model does not see it.
    same(so.fit(FORMULA, grid_panel, queen_grid), so.fit(FORMULA, moved, queen_grid))


def test_multiplying_w_divides_rho_and_keeps_effects(grid_panel: Panel, queen_grid: SpatialWeights) -> None:
    base = so.fit(FORMULA, grid_panel, queen_grid, effects="individual")
    scaled = SpatialWeights(sp.csr_matrix(4.0 * queen_grid.matrix), queen_grid.regions, "four times", "none")
    other = so.fit(FORMULA, grid_panel, scaled, effects="individual")
    assert other.rho == pytest.approx(base.rho / 4, rel=1e-8)
    one, two = base.effects(), other.effects()
    assert two["estimate"].to_numpy() == pytest.approx(one["estimate"].to_numpy(), rel=1e-8)
    assert two["std_error"].to_numpy() == pytest.approx(one["std_error"].to_numpy(), rel=1e-6)


def test_direct_plus_indirect_is_total_and_row_standardised_totals_are_closed_form(
    grid_panel: Panel, queen_grid: SpatialWeights
) -> None:
    fit = so.fit(FORMULA, grid_panel, queen_grid)
    effects = fit.effects().pivot(index="variable", columns="effect", values="estimate")
    assert (effects["direct"] + effects["indirect"]).to_numpy() == pytest.approx(effects["total"].to_numpy(), abs=1e-12)
    for name in ("x0", "x1"):
        closed = (fit.estimates[name] + fit.estimates[f"W*{name}"]) / (1 - fit.rho)
        assert effects.loc[name, "total"] == pytest.approx(closed, rel=1e-12)


def test_w_as_graph_sparse_dense_frame_or_edge_list_gives_the_same_fit(
    grid_panel: Panel, queen_grid: SpatialWeights
) -> None:
    import pandas as pd

    ids = list(queen_grid.regions)
    order = np.random.default_rng(2).permutation(42)
    shuffled = [ids[i] for i in order]
    matrix = queen_grid.matrix[order][:, order]
    links = sp.coo_matrix(matrix)
    forms = {
        "graph": (so.weights.to_graph(queen_grid), {}),
        "sparse": (matrix, {"regions": shuffled}),
        "dense frame": (pd.DataFrame(matrix.toarray(), index=shuffled, columns=shuffled), {}),
        "edge list": (
            pd.DataFrame(
                {
                    "focal": [shuffled[i] for i in links.row],
                    "neighbor": [shuffled[j] for j in links.col],
                    "weight": links.data,
                }
            ),
            {},
        ),
    }
    base = so.fit(FORMULA, grid_panel, queen_grid)
    for form, options in forms.values():
        same(base, so.fit(FORMULA, grid_panel, so.weights.from_object(form, standardise="row", **options)))


def test_only_the_chosen_regressors_are_lagged(grid_panel: Panel, queen_grid: SpatialWeights) -> None:
    fit = so.fit(FORMULA, grid_panel, queen_grid, lagged=["x1"])
    assert fit.estimates.names == ("x0", "x1", "W*x1", "rho")


@pytest.mark.parametrize("effects", ["none", "individual", "time", "two-way"])
@pytest.mark.parametrize("correction", ["lee-yu", "none"])
def test_likelihood_is_the_gaussian_density_of_the_transformed_data(
    effects: str, correction: str, grid_panel: Panel, queen_grid: SpatialWeights
) -> None:
    """Brute force: explicit orthonormal transformations F, dense determinant, full normal density."""
    fit = so.fit(FORMULA, grid_panel, queen_grid, effects=effects, correction=correction)
    n, t = grid_panel.shape
    w = queen_grid.matrix.toarray()
    if correction == "none":
        # Dummies: the density of the untransformed data at the least-squares effects, which the residuals hold.
        logdet = t * np.linalg.slogdet(np.eye(n) - fit.rho * w)[1]
        m = n * t
    else:

        def basis(size: int, remove: bool) -> np.ndarray:
            q = np.linalg.qr(np.column_stack([np.ones(size), np.eye(size)[:, 1:]]))[0]
            return q[:, 1:] if remove else q

        f_n, f_t = basis(n, effects in ("time", "two-way")), basis(t, effects in ("individual", "two-way"))
        system = f_n.T @ (np.eye(n) - fit.rho * w) @ f_n
        logdet = f_t.shape[1] * np.linalg.slogdet(system)[1]
        m = f_n.shape[1] * f_t.shape[1]
        transformed = f_n.T @ fit.residuals @ f_t
        assert np.sum(transformed**2) == pytest.approx(np.sum(fit.residuals**2), rel=1e-12)
    sigma2 = np.sum(fit.residuals**2) / m
    density = -0.5 * m * np.log(2 * np.pi * sigma2) - 0.5 * m + logdet
    assert fit.statistics["log_likelihood"] == pytest.approx(density, abs=1e-8)


@pytest.mark.parametrize("effects", ["none", "individual", "time", "two-way"])
def test_information_is_the_expected_information_by_brute_force(
    effects: str, grid_panel: Panel, queen_grid: SpatialWeights
) -> None:
    """Block inverse against the full (δ, ρ, σ²) information built with dense transformed matrices."""
    fit = so.fit(FORMULA, grid_panel, queen_grid, effects=effects, covariance="information")
    design, transformation = fit.design, fit.design.transformation
    n, t = grid_panel.shape
    g = queen_grid.matrix.toarray() @ np.linalg.inv(np.eye(n) - fit.rho * queen_grid.matrix.toarray())
    j = np.eye(n) - (1 / n if effects in ("time", "two-way") else 0.0)
    v = j @ g @ j
    mean = design.y - fit.rho * design.wy - fit.residuals
    gz = transformation.apply(g @ mean)
    z, sigma2, t_star = design.z, fit.statistics["sigma2"], transformation.t_star
    k = design.k
    full = np.zeros((k + 2, k + 2))
    full[:k, :k] = z.T @ z / sigma2
    full[:k, k] = full[k, :k] = z.T @ gz.ravel() / sigma2
    full[k, k] = np.sum(gz**2) / sigma2 + t_star * (np.trace(v @ v) + np.sum(v * v))
    full[k, k + 1] = full[k + 1, k] = t_star * np.trace(v) / sigma2
    full[k + 1, k + 1] = transformation.m / (2 * sigma2**2)
    assert fit.estimates.cov == pytest.approx(np.linalg.inv(full)[: k + 1, : k + 1], rel=1e-8, abs=1e-14)


def test_clustered_ols_is_the_textbook_sandwich(grid_panel: Panel, queen_grid: SpatialWeights) -> None:
    fit = so.fit(FORMULA, grid_panel, queen_grid, model="slx", effects="individual")
    z = fit.design.z.reshape(42, 6, -1)
    scores = np.einsum("ntk,nt->nk", z, fit.residuals)
    bread = np.linalg.inv(np.einsum("ntk,ntl->kl", z, z))
    free, k = 42 * 5, 4  # region means removed from 42 × 6 cells
    factor = 42 / 41 * free / (free - k)
    assert fit.estimates.cov == pytest.approx(bread @ (scores.T @ scores) @ bread * factor, rel=1e-9)
    assert fit.estimates.df == 41


def test_quadratic_score_variance_equals_its_simulation() -> None:
    """Var(Σ_t e_t'He_t) under heteroskedastic, serially correlated errors, by 4,000 draws."""
    weights = named_weights(row_standardised(nearest(40, 4, 2)))
    panel = simulate_sdm(weights, 5, seed=3)
    fit = so.fit(FORMULA, panel, weights, effects="none")
    rng = np.random.default_rng(4)
    g = weights.engine.multiplier(fit.rho).dense_g
    h = (g + g.T) / 2
    scale = rng.uniform(0.5, 2.0, size=(40, 1))
    chain = np.linalg.cholesky(0.6 ** np.abs(np.subtract.outer(np.arange(5), np.arange(5))))
    draws, estimates = [], []
    for _ in range(4000):
        e = scale * (rng.normal(size=(40, 5)) @ chain.T)
        draws.append(np.einsum("it,ij,jt->", e, h - np.diag(np.diag(h)), e))
        if len(estimates) < 300:
            point = Point(fit.design, fit.point.block, e, fit.point.inverse_gram, 1.0, fit.point.terms)
            estimates.append(off_diagonal_variance(point.quadratic, e, 1.0, np.ones((5, 5)))[0, 0])
    # Variance of 4,000 draws: relative error √(2/4000)·(kurtosis) ≈ 4 %; mean of 300 estimates: ≈ 3 %.
    assert np.mean(estimates) == pytest.approx(np.var(draws), rel=0.12)


@pytest.mark.parametrize("spread", [0.0, 1.0])
@pytest.mark.parametrize("sizes", [(), (900,), (200, 300, 400)])
@pytest.mark.parametrize("kind", ["lattice", "5 nearest"])
def test_pair_sums_of_large_maps_agree_with_the_exact_ones(kind: str, sizes: tuple[int, ...], spread: float) -> None:
    """With lognormal region variances too: near pairs are exact; the far part is scaled up where small, else probed."""
    from spillover.numerics.operators import GOperator, Traces
    from spillover.numerics.pairs import weighted_squares
    from spillover.numerics.within import Centring

    parts = [lattice(n // 20, 20) if kind == "lattice" else nearest(n, 5, 7) for n in sizes or (900,)]
    groups = np.split(np.arange(900), np.cumsum(sizes)[:-1]) if sizes else []
    centring = Centring(900, tuple(groups))
    weights = named_weights(row_standardised(scipy.linalg.block_diag(*parts)))
    rng = np.random.default_rng(3)
    v = np.exp(2 * spread * rng.normal(size=900)) * rng.chisquare(5, size=900)
    for rho in (0.4, -0.3, 0.8):
        operator = GOperator(weights.engine, rho)
        a = centring.both(operator.dense)
        h = (a + a.T) / 2
        known = Traces(np.array([np.trace(a)]), np.array([[np.sum(a * a.T) + np.sum(a * a)]]))
        total, diagonals = weighted_squares((operator,), v, centring, known)
        assert total[0, 0] == pytest.approx(v @ (h * h) @ v, rel=0.03 if abs(rho) < 0.5 else 0.10)
        assert np.sqrt(np.mean((diagonals[0] - np.diag(h)) ** 2)) < (0.01 if abs(rho) < 0.5 else 0.10)


def test_clustered_and_information_errors_agree_when_errors_are_independent() -> None:
    weights = named_weights(row_standardised(lattice(20, 20)))
    fit = so.fit(FORMULA, simulate_sdm(weights, 10, seed=11), weights)
    ratio = np.sqrt(np.diag(cluster_covariance(fit.point)[0]) / np.diag(information_covariance(fit.point)))
    assert ratio == pytest.approx(np.ones(ratio.size), abs=0.12)  # 400 clusters: relative sd of an error ≈ 4 %


def test_with_covariance_changes_errors_only(grid_panel: Panel, queen_grid: SpatialWeights) -> None:
    fit = so.fit(FORMULA, grid_panel, queen_grid)
    other = fit.with_covariance("information")
    assert np.array_equal(fit.estimates.values, other.estimates.values)
    assert not np.allclose(fit.estimates.cov, other.estimates.cov)
    assert "clustered by region" in fit.summary()
    assert "information matrix" in other.summary()


def test_fits_say_where_their_data_come_from(grid_panel: Panel, queen_grid: SpatialWeights) -> None:
    one = so.fit(FORMULA, grid_panel, queen_grid).provenance
    two = so.fit(FORMULA, grid_panel.with_variables({"x0": grid_panel["x0"] + 1e-9}), queen_grid).provenance
    assert one["weights_sha256"] == two["weights_sha256"]
    assert one["data_sha256"] != two["data_sha256"]
