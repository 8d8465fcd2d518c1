"""Grouped effects: brute-force transformation, one group = two-way, refusals, and the European regions."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

import spillover as so
from simulated import lattice, named_weights, nearest, row_standardised
from spillover.diagnostics.lagrange import _centred_traces
from spillover.diagnostics.panel_tests import _null_slopes, residual_moran, residual_moran_by_period
from spillover.effects.impacts import average_effects
from spillover.effects.regional import regional_effects
from spillover.errors import (
    AssumptionWarning,
    DesignError,
    OptionError,
    UnknownColumnError,
    WeakIdentificationWarning,
    WeightsError,
)
from spillover.models.all_tests import all_tests
from spillover.models.covariance import _cumulants, nonnormal_score_variance
from spillover.models.result import SpatialFit
from spillover.numerics.operators import GOperator, traces
from spillover.numerics.within import Centring, Transformation
from spillover.panel.panel import Panel
from spillover.typing import Effects, ModelName
from spillover.weights.groups import within_groups
from spillover.weights.weights import SpatialWeights

FORMULA = "y ~ x0 + x1"
SIZES = (9, 6, 12, 5)  # regions of the four groups
T = 5
SEGMENTS = ("a", "a", "b", "b", "b")


def block_weights(sizes: tuple[int, ...], k: int = 3, seed: int = 0) -> tuple[SpatialWeights, dict[str, str]]:
    """k nearest neighbours inside every group: asymmetric blocks with complex eigenvalues."""
    n = sum(sizes)
    links, start, group = np.zeros((n, n)), 0, {}
    for g, size in enumerate(sizes):
        links[start : start + size, start : start + size] = nearest(size, min(k, size - 1), seed + g)
        group |= {f"r{i:03d}": f"G{g}" for i in range(start, start + size)}
        start += size
    return named_weights(row_standardised(links)), group


def simulate_grouped(
    weights: SpatialWeights, group: dict[str, str], t: int, seed: int, rho: float = 0.4, noise: float = 1.0
) -> Panel:
    """SDM with region × segment and group × period effects."""
    rng = np.random.default_rng(seed)
    n = weights.n
    codes = np.unique([group[r] for r in weights.regions], return_inverse=True)[1]
    x = rng.normal(size=(2, n, t)) + rng.normal(size=(2, codes.max() + 1, t))[:, codes]
    mean = (
        3.0 * rng.normal(size=(codes.max() + 1, t))[codes] + rng.normal(size=(n, 1)) + noise * rng.normal(size=(n, t))
    )
    mean = mean + x[0] - 0.5 * x[1] + 0.5 * weights.lag(x[0]) + 0.3 * weights.lag(x[1])
    y = np.linalg.solve(np.eye(n) - rho * weights.matrix.toarray(), mean)
    return Panel(weights.regions, tuple(range(2000, 2000 + t)), {"y": y, "x0": x[0], "x1": x[1]})


def complement(blocks: list[int]) -> np.ndarray:
    """Orthonormal columns orthogonal to the constant of every block: the F of Lee & Yu, group by group."""
    total = sum(blocks)
    columns, start = [], 0
    for size in blocks:
        q = np.linalg.qr(np.column_stack([np.ones(size), np.eye(size)[:, : size - 1]]))[0][:, 1:]
        part = np.zeros((total, size - 1))
        part[start : start + size] = q
        columns.append(part)
        start += size
    return np.concatenate(columns, axis=1)


def raw_regressors(fit: SpatialFit) -> np.ndarray:
    """(k, n, t) X and W X as they came."""
    lags = []
    for name in fit.design.neighbour:
        assert fit.roles.regressors is not None
        lags.append(fit.roles.regressors.lag(fit.design.x_raw[list(fit.design.own).index(name)]))
    return np.stack([*fit.design.x_raw, *lags])


@dataclass(frozen=True, eq=False)
class Explicit:
    """F_n'Y F_T, F_n'Z F_T and F_n'W F_n by explicit matrices: columns are N(μ, Ω) in (δ, ρ, λ, σ²)."""

    y: np.ndarray
    z: np.ndarray
    w: np.ndarray
    names: tuple[str, ...]

    @classmethod
    def of(cls, fit: SpatialFit, blocks: tuple[int, ...], segments: list[int], names: tuple[str, ...] = ()) -> Explicit:
        f_n, f_t = complement(list(blocks)), complement(segments) if segments else np.eye(fit.design.shape[1])
        z = np.stack([f_n.T @ column @ f_t for column in raw_regressors(fit)])
        assert fit.weights is not None
        w = f_n.T @ fit.weights.matrix.toarray() @ f_n
        return cls(f_n.T @ fit.design.y_raw @ f_t, z, w, names or tuple(term.name for term in fit.point.terms))

    def moments(self, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(μ (r, t), Ω (r, r))."""
        k = len(self.z)
        spatial = dict(zip(self.names, parameters[k:-1], strict=True))
        s = np.eye(len(self.w)) - spatial.get("rho", 0.0) * self.w
        root = np.linalg.inv((np.eye(len(self.w)) - spatial.get("lambda", 0.0) * self.w) @ s)
        return np.linalg.solve(s, np.tensordot(parameters[:k], self.z, axes=1)), parameters[-1] * root @ root.T

    def density(self, parameters: np.ndarray) -> float:
        mean, omega = self.moments(parameters)
        e = self.y - mean
        size = np.linalg.slogdet(2 * np.pi * omega)[1]
        return float(-0.5 * e.shape[1] * size - 0.5 * np.sum(e * np.linalg.solve(omega, e)))

    def gradient(self, at: np.ndarray, step: float = 1e-5) -> np.ndarray:
        moves = np.eye(at.size) * step
        return np.array([(self.density(at + move) - self.density(at - move)) / (2 * step) for move in moves])

    def hessian(self, at: np.ndarray) -> np.ndarray:
        moves = np.eye(at.size) * 1e-4
        return np.array([(self.gradient(at + move) - self.gradient(at - move)) / 2e-4 for move in moves])

    def information(self, at: np.ndarray) -> np.ndarray:
        """μ_a'Ω^{-1}μ_b + ½ tr Ω^{-1}Ω_aΩ^{-1}Ω_b, derivatives by central differences."""
        inverse = np.linalg.inv(self.moments(at)[1])
        pairs = [(self.moments(at + move), self.moments(at - move)) for move in np.eye(at.size) * 1e-5]
        means = [(up[0] - down[0]) / 2e-5 for up, down in pairs]
        spreads = [inverse @ (up[1] - down[1]) / 2e-5 for up, down in pairs]
        found = np.einsum("art,brt->ab", np.array(means), inverse @ np.array(means))
        return found + 0.5 * self.y.shape[1] * np.einsum("ars,bsr->ab", np.array(spreads), np.array(spreads))


@pytest.mark.parametrize(("names", "lengths"), [(None, [T]), (SEGMENTS, [2, 3])])
@pytest.mark.parametrize("model", ["sar", "sdm", "sem", "sdem", "sac"])
@pytest.mark.filterwarnings("ignore::spillover.errors.WeakIdentificationWarning")
def test_likelihood_and_information_equal_the_explicit_transformation(
    model: ModelName, names: tuple[str, ...] | None, lengths: list[int]
) -> None:
    weights, group = block_weights(SIZES)
    panel = simulate_grouped(weights, group, T, 3)
    fit = so.fit(FORMULA, panel, weights, groups=group, segments=names, model=model, covariance="information")
    explicit = Explicit.of(fit, SIZES, lengths)
    at = np.array([*fit.estimates.values, fit.statistics["sigma2"]])
    # Sums of 120 terms in double precision.
    assert fit.statistics["log_likelihood"] == pytest.approx(explicit.density(at), abs=1e-8)
    assert fit.statistics["n_effective"] == explicit.y.size
    # It is the maximum of that density, over everything; differences of numbers near 200 over 2e-5.
    assert explicit.gradient(at) == pytest.approx(np.zeros(at.size), abs=2e-5)
    brute = np.linalg.inv(explicit.information(at))[:-1, :-1]
    assert fit.estimates.cov == pytest.approx(brute, rel=1e-6, abs=1e-9)  # central differences
    observed = np.linalg.inv(-explicit.hessian(at))[:-1, :-1]
    # Differences of differences: 1e-13 · 200 / (1e-5 · 1e-4) = 0.02 of second derivatives near 100.
    assert fit.with_covariance("hessian").estimates.cov == pytest.approx(observed, rel=5e-3, abs=1e-5)


def test_lagrange_tests_are_those_of_the_explicit_transformation() -> None:
    """Score² times the inverse information at ρ = λ = 0, and centred traces of a W that crosses groups."""
    weights, group = block_weights(SIZES)
    panel = simulate_grouped(weights, group, T, 3, rho=0.1)
    fit = so.fit(FORMULA, panel, weights, groups=group, segments=SEGMENTS, model="slx")
    lagged = so.fit(FORMULA, panel, weights, groups=group, segments=SEGMENTS)
    tests = lagged.tests("valid")
    tests = tests[tests["null_model"] == "slx"].set_index("test")["statistic"]
    sigma2 = float(np.sum(fit.residuals**2)) / fit.design.transformation.m
    for name, parameter in (("LM lag", "rho"), ("LM error", "lambda")):
        explicit = Explicit.of(fit, SIZES, [2, 3], (parameter,))
        at = np.array([*fit.estimates.values, 0.0, sigma2])
        score = explicit.gradient(at)[-2]
        assert tests[name] == pytest.approx(score**2 * np.linalg.inv(explicit.information(at))[-2, -2], rel=1e-5)
    w = nearest(32, 4, 1) / 4.0
    centring = fit.design.transformation.centring
    v = centring.both(w)
    assert _centred_traces(sp.csr_matrix(w), centring) == pytest.approx(
        (np.trace(v), np.sum(v * v) + np.sum(v * v.T)), abs=1e-12
    )
    f = complement(list(SIZES))
    assert v == pytest.approx(f @ f.T @ w @ f @ f.T, abs=1e-13)


def test_residual_tests_know_groups_and_segments() -> None:
    """Moments of Moran's I from the explicit projector, score tests from the explicit information."""
    weights, group = block_weights(SIZES)
    panel = simulate_grouped(weights, group, T, 3, rho=0.2)
    options = {"groups": group, "segments": SEGMENTS}
    ols, slx = (so.fit(FORMULA, panel, weights, model=model, **options) for model in ("ols", "slx"))  # type: ignore[arg-type]
    sdm = so.fit(FORMULA, panel, weights, **options)  # type: ignore[arg-type]
    w = weights.matrix.toarray()
    transformation, z = slx.design.transformation, slx.design.z
    f_n, f_t = complement(list(SIZES)), complement([2, 3])
    m = np.kron(f_n @ f_n.T, f_t @ f_t.T) - z @ np.linalg.solve(z.T @ z, z.T)
    given = (slx.residuals, z, weights.matrix, transformation)
    whole = residual_moran(*given)
    v = m @ np.kron((w + w.T) / 2, np.eye(T)) @ m
    df = np.trace(m)
    mean, scale = np.trace(v) / df, len(w) / w.sum()
    assert whole.expected == pytest.approx(scale * mean, rel=1e-9)
    variance = 2 * (df * np.trace(v @ v) - np.trace(v) ** 2) / (df**2 * (df + 2))
    assert whole.variance == pytest.approx(scale**2 * variance, rel=1e-9)
    for s, found in enumerate(residual_moran_by_period(*given, panel.periods)):
        own = m.reshape(32, T, 32, T)[:, s, :, s]
        r = np.trace((w + w.T) / 2 @ own) / np.trace(own)
        inner = ((w + w.T) / 2 - r * np.eye(32)) @ own
        d = np.trace(own) ** 2 / np.trace(own @ own)
        assert found.expected == pytest.approx(scale * r, rel=1e-9)
        spread = 2 * np.trace(inner @ inner) / np.trace(own) ** 2 * d / (d + 2)
        assert found.variance == pytest.approx(scale**2 * spread, rel=1e-9)
    j = f_t @ f_t.T  # covariance of the errors of a region: the slope on the period before is J_t,t−1 / J_t−1,t−1
    assert _null_slopes(transformation) == pytest.approx(np.diag(j, 1) / np.diag(j)[:-1], abs=1e-14)

    tests = all_tests(sdm).drop_duplicates("test", keep="last").set_index("test")["statistic"]
    explicit = Explicit.of(sdm, SIZES, [2, 3], ("rho", "lambda"))
    at = np.array([*sdm.estimates.values, 0.0, sdm.statistics["sigma2"]])
    remaining = explicit.gradient(at)[-2] ** 2 * np.linalg.inv(explicit.information(at))[-2, -2]
    assert tests["LM error in the lag model"] == pytest.approx(remaining, rel=1e-5)
    explicit = Explicit.of(sdm, SIZES, [2, 3])
    sigma2 = float(np.sum(ols.residuals**2)) / transformation.m
    at = np.array([*ols.estimates.values, 0.0, 0.0, 0.0, sigma2])
    score = explicit.gradient(at)
    assert tests["LM ρ and θ"] == pytest.approx(score @ np.linalg.solve(explicit.information(at), score), rel=1e-5)
    assert np.isnan(tests["Pesaran CD"])


def test_several_lags_of_the_outcome_lose_a_unit_root_per_group() -> None:
    near, group = block_weights(SIZES, k=2)
    far, _ = block_weights(SIZES, k=4, seed=20)
    panel = simulate_grouped(near, group, T, 3)
    lags = {"near": near, "far": far}
    fit = so.fit(FORMULA, panel, lags, groups=group, model="sar", covariance="information")
    f_n, f_t = complement(list(SIZES)), complement([T])
    y, z = f_n.T @ panel["y"] @ f_t, np.stack([f_n.T @ panel[name] @ f_t for name in ("x0", "x1")])
    w = [f_n.T @ one.matrix.toarray() @ f_n for one in (near, far)]

    def density(parameters: np.ndarray) -> float:
        s = np.eye(len(y)) - np.tensordot(parameters[2:4], w, axes=1)
        e, v = s @ y - np.tensordot(parameters[:2], z, axes=1), parameters[4]
        return float(-0.5 * y.size * np.log(2 * np.pi * v) - np.sum(e**2) / (2 * v) + 4 * np.linalg.slogdet(s)[1])

    at = np.array([*fit.estimates.values, fit.statistics["sigma2"]])
    assert fit.statistics["log_likelihood"] == pytest.approx(density(at), abs=1e-8)
    moves = np.eye(5) * 1e-5
    gradient = np.array([(density(at + move) - density(at - move)) / 2e-5 for move in moves])
    assert gradient == pytest.approx(np.zeros(5), abs=1e-4)


@pytest.mark.parametrize("effects", ["time", "two-way"])
def test_nonnormal_score_variance_equals_explicit_quadratic_forms(effects: Effects) -> None:
    """Σ of squared diagonals of J_T ⊗ JAJ with groups of 12 and of 5, third moments without region effects."""
    weights, group = block_weights(SIZES)
    fit = so.fit(FORMULA, simulate_grouped(weights, group, T, 3), weights, groups=group, effects=effects)
    third, fourth = _cumulants(fit.point)
    f_n, f_t = complement(list(SIZES)), complement([T]) if effects == "two-way" else np.eye(T)
    j_n, j_t, sigma2 = f_n @ f_n.T, f_t @ f_t.T, fit.statistics["sigma2"]
    w = weights.matrix.toarray()
    a = j_n @ np.linalg.solve((np.eye(len(w)) - fit.rho * w).T, w.T).T @ j_n
    forms = np.array([np.diag(np.kron(a, j_t)) / sigma2, np.diag(np.kron(j_n, j_t)) / (2 * sigma2**2)])
    linear = np.concatenate([fit.design.block[: fit.design.k], fit.point.linear]).reshape(fit.design.k + 1, -1) / sigma2
    k = fit.design.k
    brute = np.zeros((k + 2, k + 2))
    brute[k:, k:] = fourth * forms @ forms.T
    mixed = np.zeros_like(brute)
    mixed[: k + 1, k:] = third * linear @ forms.T
    assert nonnormal_score_variance(fit.point) == pytest.approx(brute + mixed + mixed.T, rel=1e-9, abs=1e-9)


def test_cumulants_come_back_from_groups_of_unequal_size() -> None:
    """Exponential errors have μ3 = 2 and κ4 = 6; 4,000 panels of 32 × 5 have Monte Carlo errors of 1 and 2 %."""
    weights, group = block_weights(SIZES)
    panel = simulate_grouped(weights, group, T, 3)
    rng = np.random.default_rng(5)
    errors = rng.exponential(size=(32, 5, 4000)) - 1.0
    fit = so.fit(FORMULA, panel, weights, groups=group, effects="time", model="slx")
    e = fit.design.transformation.remove_means(np.moveaxis(errors, 2, 0).copy())
    # One long panel of independent periods, so that ratios of means are used once.
    long = Transformation("time", "lee-yu", 32, 20_000, fit.design.transformation.groups)
    design = replace(fit.design, transformation=long)
    third, fourth = _cumulants(replace(fit.point, design=design, residuals=np.moveaxis(e, 0, 2).reshape(32, -1)))
    assert third == pytest.approx(2.0, rel=0.04)
    assert fourth == pytest.approx(6.0, rel=0.08)


@pytest.mark.parametrize("sizes", [(700, 600), (1300,)])
def test_large_maps_of_groups_have_the_same_traces(sizes: tuple[int, ...]) -> None:
    weights, _ = block_weights(sizes, k=4)
    groups = np.split(np.arange(1300), np.cumsum(sizes)[:-1])
    centring = Centring(1300, tuple(groups))
    assert not weights.engine.dense
    w = weights.matrix.toarray()
    g = centring.both(np.linalg.solve((np.eye(1300) - 0.4 * w).T, w.T).T)
    found = traces((GOperator(weights.engine, 0.4),), centring, lambda: np.ones((1300, 1)))
    assert found.first[0] == pytest.approx(np.trace(g), rel=1e-6)
    # tr G'G by Hutchinson's probes.
    assert found.pairs[0, 0] == pytest.approx(np.sum(g * g) + np.sum(g * g.T), rel=0.01)


@pytest.mark.parametrize("model", ["ols", "slx", "sar", "sdm", "sem", "sac"])
@pytest.mark.parametrize("covariance", ["information", "hessian", "sandwich", "hc", "cluster", "two-way-cluster"])
@pytest.mark.parametrize("effects", ["time", "two-way", "individual", "none"])
@pytest.mark.filterwarnings("ignore::spillover.errors.AssumptionWarning")
@pytest.mark.filterwarnings("ignore::spillover.errors.WeakIdentificationWarning")
def test_one_group_is_the_ordinary_fit(
    model: str, covariance: str, effects: str, grid_panel: Panel, queen_grid: SpatialWeights
) -> None:
    w = None if model == "ols" else queen_grid
    options = {"model": model, "effects": effects, "covariance": covariance}
    ordinary = so.fit(FORMULA, grid_panel, w, **options)  # type: ignore[arg-type]
    segments = ("all",) * 6 if effects in ("individual", "two-way") else None
    one = dict.fromkeys(grid_panel.regions, "all")
    grouped = so.fit(FORMULA, grid_panel, w, groups=one, segments=segments, **options)  # type: ignore[arg-type]
    assert grouped.estimates.values == pytest.approx(ordinary.estimates.values, abs=1e-10)
    assert grouped.estimates.cov == pytest.approx(ordinary.estimates.cov, abs=1e-10)
    assert grouped.statistics["log_likelihood"] == pytest.approx(ordinary.statistics["log_likelihood"], abs=1e-8)
    assert grouped.statistics["n_effective"] == ordinary.statistics["n_effective"]


COVARIANCES = (
    ("information", "hessian", "sandwich", "hc", "cluster", "cluster-group", "two-way-cluster", "driscoll-kraay")
)  # fmt: skip


@pytest.mark.parametrize("model", ["slx", "sdm", "sdem", "sac", "gns"])
@pytest.mark.filterwarnings("ignore::spillover.errors.AssumptionWarning")
@pytest.mark.filterwarnings("ignore::spillover.errors.WeakIdentificationWarning")
def test_group_period_and_region_segment_constants_change_nothing(model: ModelName) -> None:
    sizes = (5, 6, 7, 5, 6, 7, 5, 6, 7, 8, 4)
    weights, group = block_weights(sizes, k=2)
    panel = simulate_grouped(weights, group, 10, 3)
    segments = ("a",) * 4 + ("b",) * 6
    base = so.fit(FORMULA, panel, weights, groups=group, segments=segments, model=model)
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(len(sizes)), sizes)
    shift = 50 * rng.normal(size=(len(sizes), 10))[codes]
    shift = shift + 50 * rng.normal(size=(weights.n, 2))[:, [0] * 4 + [1] * 6]
    moved = panel.with_variables({"y": panel["y"] + shift, "x0": panel["x0"] - 2 * shift})
    other = so.fit(FORMULA, moved, weights, groups=group, segments=segments, model=model)
    # W of a constant of a group is that constant; W of a region constant is a region constant.
    assert other.estimates.values == pytest.approx(base.estimates.values, abs=1e-7)
    for kind in COVARIANCES:
        one, two = base.with_covariance(kind), other.with_covariance(kind)  # type: ignore[arg-type]
        assert (one.estimates.std_errors > 0).all()
        assert two.estimates.cov == pytest.approx(one.estimates.cov, abs=1e-7)
    assert base.with_covariance("cluster-group").estimates.method == "clustered by group"


def test_total_effects_under_groups_have_the_closed_form() -> None:
    weights, group = block_weights(SIZES)
    base = so.fit(FORMULA, simulate_grouped(weights, group, T, 3), weights, groups=group, segments=SEGMENTS)
    effects = average_effects(base)
    closed = (base.estimates["x0"] + base.estimates["W*x0"]) / (1 - base.rho)
    assert effects["total: x0"] == pytest.approx(closed, rel=1e-12)  # rows sum to one in every group


def test_relabelling_changes_nothing() -> None:
    weights, group = block_weights(SIZES)
    panel = simulate_grouped(weights, group, T, 3)
    base = so.fit(FORMULA, panel, weights, groups=group)
    order = np.random.default_rng(5).permutation(weights.n)
    names = [f"q{order[i]:03d}" for i in range(weights.n)]
    position = np.argsort(names)
    renamed = Panel(tuple(sorted(names)), panel.periods, {k: v[position] for k, v in panel.variables.items()})
    other = so.fit(
        FORMULA,
        renamed,
        SpatialWeights(weights.matrix, tuple(names), "renamed", "row"),
        groups={new: group[old] for new, old in zip(names, weights.regions, strict=True)},
    )
    assert other.estimates.values == pytest.approx(base.estimates.values, abs=1e-9)
    assert other.estimates.cov == pytest.approx(base.estimates.cov, abs=1e-9)


def test_a_cross_section_with_country_dummies() -> None:
    weights, group = block_weights((9, 6, 12, 15))
    panel = simulate_grouped(weights, group, 1, 4)
    fit = so.fit("y ~ x0", panel, weights, groups=group, model="slx")
    # Brute force: least squares with one dummy per group.
    codes = np.unique([group[r] for r in weights.regions], return_inverse=True)[1]
    x = panel["x0"][:, 0]
    design = np.column_stack([x, weights.lag(x), np.eye(4)[codes]])
    beta, rest = np.linalg.lstsq(design, panel["y"][:, 0], rcond=None)[:2]
    assert fit.estimates.values == pytest.approx(beta[:2], rel=1e-10)
    # 42 regions less 4 dummies less 2 slopes are free.
    assert fit.estimates.cov == pytest.approx(np.linalg.inv(design.T @ design)[:2, :2] * rest[0] / 36, rel=1e-9)


@pytest.mark.parametrize("model", ["sdm", "sem", "sac"])
@pytest.mark.filterwarnings("ignore::spillover.errors.WeakIdentificationWarning")
def test_clustering_by_group_equals_brute_scores(model: ModelName) -> None:
    """The likelihood is a sum over groups: scores of each by central differences, bread the inverse information."""
    sizes = (5, 6, 7, 5, 6, 7, 5, 6, 7, 8, 4)
    weights, group = block_weights(sizes, k=2)
    panel = simulate_grouped(weights, group, 4, 9)
    fit = so.fit(FORMULA, panel, weights, groups=group, covariance="cluster-group", model=model)
    whole = Explicit.of(fit, sizes, [4])
    at = np.array([*fit.estimates.values, fit.statistics["sigma2"]])
    starts = np.cumsum([0, *(size - 1 for size in sizes)])
    scores = []
    for start, end in itertools.pairwise(starts):
        part = slice(start, end)
        scores.append(replace(whole, y=whole.y[part], z=whole.z[:, part], w=whole.w[part, part]).gradient(at))
    bread = np.linalg.inv(whole.information(at))[:-1]
    free, k = sum(size - 1 for size in sizes) * 3, fit.design.k  # a period less for the region means
    brute = bread @ np.transpose(scores) @ np.array(scores) @ bread.T * 11 / 10 * free / (free - k)
    assert fit.estimates.cov == pytest.approx(brute, rel=1e-5, abs=1e-8)
    assert fit.estimates.df == 10.0


def test_clustering_by_group_needs_ten_groups_that_w_does_not_link(
    grid_panel: Panel, queen_grid: SpatialWeights
) -> None:
    few, group = block_weights(SIZES)
    panel = simulate_grouped(few, group, T, 3)
    with pytest.raises(OptionError, match="too few groups"):
        so.fit(FORMULA, panel, few, groups=group, covariance="cluster-group")
    with pytest.raises(OptionError, match="needs groups"):
        so.fit(FORMULA, panel, few, covariance="cluster-group")
    rows = {region: f"row {i // 3}" for i, region in enumerate(grid_panel.regions)}
    fit = so.fit(FORMULA, grid_panel, queen_grid, groups=rows, effects="individual")
    with pytest.raises(WeightsError, match="not independent between groups"):
        fit.with_covariance("cluster-group")
    plain = so.fit(FORMULA, grid_panel, queen_grid, model="slx", effects="individual")
    grouped = so.fit(
        FORMULA, grid_panel, queen_grid, groups=rows, model="slx", effects="individual", covariance="cluster-group"
    )
    assert np.array_equal(grouped.estimates.values, plain.estimates.values)
    sums = plain.design.z.reshape(14, -1, plain.design.k) * plain.residuals.reshape(14, -1, 1)
    half = np.linalg.inv(plain.design.z.T @ plain.design.z) @ sums.sum(axis=1).T
    free, k = plain.design.transformation.free_observations, plain.design.k
    assert grouped.estimates.cov == pytest.approx(half @ half.T * 14 / 13 * free / (free - k), rel=1e-9)


# -- what is refused ----------------------------------------------------------------------------


def test_a_w_that_crosses_groups_is_refused_with_examples() -> None:
    weights = named_weights(row_standardised(lattice(6, 6)))
    group = {r: "north" if i < 18 else "south" for i, r in enumerate(weights.regions)}
    panel = simulate_grouped(weights, group, T, 1)
    with pytest.raises(WeightsError, match=r"12 of 120 links, such as r018 → r012 \(south → north\)") as caught:
        so.fit(FORMULA, panel, weights, groups=group)
    assert "within_groups(weights, groups)" in str(caught.value)
    # Brute force of the cure: 6 × 6 rook grid cut between rows 2 and 3.
    cut = within_groups(weights, group)
    links = lattice(6, 6)
    links[:18, 18:] = links[18:, :18] = 0.0
    assert cut.matrix.toarray() == pytest.approx(links / links.sum(axis=1, keepdims=True), abs=1e-15)
    assert any("12 of 120 links between different groups were cut" in note for note in cut.notes)
    assert so.fit(FORMULA, panel, cut, groups=group).statistics["n_groups"] == 2


def test_regions_and_groups_that_drop_out_are_named() -> None:
    weights = named_weights(row_standardised(lattice(4, 4)))
    group = dict.fromkeys(weights.regions, "A") | {"r000": "lonely", "r015": "pair", "r003": "pair"}
    cut = within_groups(weights, group)
    assert cut.n == 13
    notes = " ".join(cut.notes)
    for name in ("r000", "r003", "r015"):
        assert name in notes
    assert "groups that dropped out: lonely, pair (of one region only: lonely)" in notes


def test_groups_that_cannot_identify_rho_are_refused() -> None:
    complete, group = block_weights((4,) * 6, k=3)
    panel = simulate_grouped(complete, group, T, 2)
    with pytest.raises(DesignError, match="too small or too dense to identify ρ") as caught:
        so.fit(FORMULA, panel, complete, groups=group, model="sar")
    assert "G0 (4 regions)" in str(caught.value)
    # Complete groups of different sizes identify ρ, weakly (Lee 2007).
    sizes, group = block_weights((4, 6, 9, 12), k=30)
    mixed, mixed_group = block_weights((4, 12, 9), k=3)  # three neighbours are the whole of a group of four
    noted = so.fit(FORMULA, simulate_grouped(mixed, mixed_group, 12, 2), mixed, groups=mixed_group).notes
    assert noted[0] == "Groups whose regions all neighbour each other inform ρ only by their size: G0 (4 regions)."
    with pytest.warns(WeakIdentificationWarning, match="differences between the sizes"):
        so.fit(FORMULA, simulate_grouped(sizes, group, 12, 2, rho=0.2, noise=0.3), sizes, groups=group)


def test_single_groups_unknown_groups_and_bad_segments_are_refused(
    grid_panel: Panel, queen_grid: SpatialWeights
) -> None:
    group = dict.fromkeys(queen_grid.regions, "A") | {"r007": "B"}
    with pytest.raises(DesignError, match="one region") as caught:
        so.fit(FORMULA, grid_panel, groups=group, model="ols")
    assert "r007" in str(caught.value)
    with pytest.raises(UnknownColumnError, match="no grouping 'country'"):
        so.fit(FORMULA, grid_panel, queen_grid, groups="country")
    with pytest.raises(OptionError, match="one name per period"):
        so.fit(FORMULA, grid_panel, queen_grid, segments=("a", "b"))
    with pytest.raises(DesignError, match="segment of its own"):
        so.fit(FORMULA, grid_panel, queen_grid, segments=tuple("abcdef"))
    alone = so.fit(FORMULA, grid_panel, queen_grid, segments=("a", "a", "a", "b", "b", "c"))
    assert any("alone in their segment are absorbed: 2005" in note for note in alone.notes)


def test_a_gap_in_the_years_stays_a_gap(grid_panel: Panel, queen_grid: SpatialWeights) -> None:
    gap = grid_panel.select(periods=[2000, 2001, 2004, 2005])
    with pytest.raises(so.SpilloverError, match=r"x1.* of r000 in 2000, .* of r000 in 2004"):
        so.fit("y ~ x0 + lag(x1)", gap, queen_grid)  # 2004 has no year before it; 2001 and 2005 do
    assert so.fit(FORMULA, gap, queen_grid).statistics["n_effective"] == 41 * 3


@pytest.mark.data
def test_europe_with_country_year_effects(data: Path) -> None:
    panel = so.read_panel(
        data / "eu_nuts2_hti" / "eu_nuts2_balanced_2008_2012.csv", region="nuts2", period="year", groups=["country"]
    )
    import pandas as pd

    places = pd.read_csv(data / "eu_nuts2_hti" / "nuts2_2016_regions.csv").set_index("nuts2")
    at = np.radians(places.loc[list(panel.regions), ["centroid_lat", "centroid_lon"]].to_numpy())
    vector = np.column_stack(
        [np.cos(at[:, 0]) * np.cos(at[:, 1]), np.cos(at[:, 0]) * np.sin(at[:, 1]), np.sin(at[:, 0])]
    )
    closeness = vector @ vector.T
    np.fill_diagonal(closeness, -2.0)
    n = len(panel.regions)
    links = np.zeros((n, n))
    links[np.repeat(np.arange(n), 6), np.argsort(-closeness, axis=1)[:, :6].ravel()] = 1.0
    weights = SpatialWeights(row_standardised(links), panel.regions, "6 nearest", "row")
    with pytest.raises(WeightsError, match="artefact"):
        so.fit("log(epo_patents) ~ log(emp_hti)", panel, weights, groups="country")
    cut = within_groups(weights, dict(zip(panel.regions, panel.groups["country"], strict=True)))
    assert "of one region only" in " ".join(cut.notes)
    part = panel.select(regions=cut.regions)
    fit = so.fit("log(epo_patents) ~ log(emp_hti)", part, cut, groups="country")
    groups = fit.statistics["n_groups"]
    assert fit.statistics["n_effective"] == (cut.n - groups) * 4  # 5 years less one
    assert -1.0 < fit.rho < 1.0


def test_slx_across_borders_is_allowed_with_a_warning_and_equals_dummies() -> None:
    weights = named_weights(row_standardised(lattice(6, 6)))
    group = {r: "north" if i < 18 else "south" for i, r in enumerate(weights.regions)}
    panel = simulate_grouped(weights, group, 4, 1)
    with pytest.warns(AssumptionWarning, match="W crosses groups"):
        fit = so.fit(FORMULA, panel, weights, groups=group, model="slx", covariance="cluster")
    x = [panel["x0"], panel["x1"], weights.lag(panel["x0"]), weights.lag(panel["x1"])]
    codes = np.array([group[r] == "south" for r in weights.regions]).astype(int)
    cells = np.eye(8)[(codes[:, None] * 4 + np.arange(4)).ravel()]
    design = np.column_stack([*(v.ravel() for v in x), np.kron(np.eye(36), np.ones((4, 1))), cells])
    beta = np.linalg.lstsq(design, panel["y"].ravel(), rcond=None)[0]
    assert fit.estimates.values == pytest.approx(beta[:4], rel=1e-9)


def test_effects_by_region_read_a_grouped_fit() -> None:
    weights, group = block_weights(SIZES)
    fit = so.fit(FORMULA, simulate_grouped(weights, group, T, 3), weights, groups=group)
    found = regional_effects(fit, "x0")  # type: ignore[arg-type]
    w = weights.matrix.toarray()
    m = np.linalg.solve(np.eye(len(w)) - fit.rho * w, fit.estimates["x0"] * np.eye(len(w)) + fit.estimates["W*x0"] * w)
    assert found.own == pytest.approx(np.diag(m), rel=1e-9)
    assert found.emitted == pytest.approx(m.sum(axis=0) - np.diag(m), rel=1e-9, abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("covariance", ["information", "cluster", "cluster-group"])
def test_intervals_cover_and_group_shocks_do_not_bias(covariance: str) -> None:
    """16 countries of 5–9 regions, country × year shocks three times the noise: bias within 3.5 Monte Carlo errors plus
    .01, coverage 90.5–98 % over 300 panels (3.6 standard errors; 16 clusters with t(15))."""
    weights, group = block_weights((5, 6, 7, 8, 9, 6, 7, 8) * 2, k=3)
    truth, found, covered = np.array([1.0, -0.5, 0.5, 0.3, 0.4]), [], []
    for seed in range(300):
        panel = simulate_grouped(weights, group, 6, 100 + seed)
        fit = so.fit(FORMULA, panel, weights, groups=group, covariance=covariance)
        low, high = fit.estimates.confint().T
        found.append(fit.estimates.values)
        covered.append((low <= truth) & (truth <= high))
    bias = np.mean(found, axis=0) - truth
    error = np.std(found, axis=0) / np.sqrt(300)
    assert (np.abs(bias) < 3.5 * error + 0.01).all(), (bias, error)
    rate = np.mean(covered, axis=0)
    assert ((rate > 0.905) & (rate < 0.98)).all(), rate
