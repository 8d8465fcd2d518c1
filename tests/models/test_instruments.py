"""Two-stage least squares and moments against other software, brute force and properties."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse as sp
from scipy import stats

from simulated import lattice, named_weights, nearest, row_standardised
from spillover.errors import (
    AlignmentError,
    DesignError,
    EstimationError,
    FormulaError,
    MissingCellError,
    OptionError,
    SpilloverError,
    UnknownColumnError,
    WeakIdentificationWarning,
)
from spillover.inference.hypotheses import NotApplicable
from spillover.models.first_stage import conditional_f, first_stage_strength
from spillover.models.instrument_formula import parse_instrument_formula
from spillover.models.instruments import InstrumentalFit, fit_two_stage
from spillover.models.moments import solve_moments
from spillover.models.two_step import two_step
from spillover.models.weak_identification import AndersonRubin
from spillover.panel.panel import Panel
from spillover.weights.weights import SpatialWeights

RHO = 0.4


def simulate(weights: SpatialWeights, t: int, seed: int, *, endogeneity: float = 0.6, strength: float = 0.7) -> Panel:
    """SDM with y, x, a (endogenous, corr(v, ε) = endogeneity), z (its instrument); β = 1, α = 1, θ = ϑ = .5."""
    rng = np.random.default_rng(seed)
    n = weights.n
    x, z = (rng.normal(size=(n, t)) + rng.normal(size=(n, 1)) for _ in range(2))
    v = rng.normal(size=(n, t))
    e = endogeneity * v + np.sqrt(1 - endogeneity**2) * rng.normal(size=(n, t))
    a = strength * z + 0.3 * weights.lag(z) + 0.4 * x + v + rng.normal(size=(n, 1))
    mean = x + a + 0.5 * weights.lag(x + a) + e + rng.normal(size=(n, 1)) + rng.normal(size=(1, t))
    y = np.linalg.solve(np.eye(n) - RHO * weights.matrix.toarray(), mean)
    return Panel(weights.regions, tuple(range(t)), {"y": y, "x": x, "a": a, "z": z})


@pytest.fixture(scope="module")
def weights() -> SpatialWeights:
    """Asymmetric: 5 nearest of 60 points."""
    return named_weights(row_standardised(nearest(60, 5, 0)))


@pytest.fixture(scope="module")
def panel(weights: SpatialWeights) -> Panel:
    return simulate(weights, 5, 1)


# -- formulas -------------------------------------------------------------------------------------


def test_formula_parts() -> None:
    found = parse_instrument_formula("log(y) ~ x + lag(w):k | log(a) + `b|c` ~ z1 + z2")
    assert found.response == "log(y)"
    assert found.exogenous_names == ("x", "lag(w):k")
    assert found.endogenous_names[0] == "log(a)"
    assert "b|c" in found.endogenous_names[1]
    assert found.excluded_names == ("z1", "z2")
    assert found.intercept
    assert parse_instrument_formula("y ~ 1 | a ~ z").exogenous == ()
    assert not parse_instrument_formula("y ~ 0 | a ~ z").intercept
    assert parse_instrument_formula("y ~ x").endogenous == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("y ~ x | a", "behind"),
        ("y ~ x | a ~ ", "behind"),
        ("y ~ x | a ~ z | b", "at most one"),
        ("y ~ x | x ~ z", "exogenous and endogenous"),
        ("y ~ x | a ~ x", "exogenous and an instrument"),
        ("y ~ x | y ~ z", "outcome and endogenous"),
        ("y ~ x | a + b ~ z", "fewer instruments"),
        ("y | a ~ z", "one ~"),
    ],
)
def test_formulas_that_are_refused(text: str, says: str) -> None:
    with pytest.raises(FormulaError, match=says):
        parse_instrument_formula(text)


# -- other software -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def columbus() -> tuple[Panel, SpatialWeights, dict]:
    pd = pytest.importorskip("pandas")
    root = Path(__file__).resolve().parents[2]
    folder = Path(os.environ.get("SPILLOVER_REFERENCE", root.parent / "shared" / "reference"))
    if not (folder / "data" / "columbus.csv").is_file():
        pytest.skip("the Columbus tracts are not here: set SPILLOVER_REFERENCE to the folder with data/columbus.csv")
    table = pd.read_csv(folder / "data" / "columbus.csv", skipinitialspace=True)
    edges = pd.read_csv(folder / "data" / "columbus_queen_edges_1based.csv").to_numpy()[:, :2].astype(int) - 1
    links = np.zeros((49, 49))
    links[edges[:, 0], edges[:, 1]] = 1.0
    w = named_weights(row_standardised(links))
    names = ("CRIME", "INC", "HOVAL", "DISCBD")
    panel = Panel(w.regions, (0,), {name: table[[name]].to_numpy(float) for name in names}, is_panel=False)
    return panel, w, json.loads((folder / "columbus_queen_spatialreg.json").read_text())["results"]


@pytest.mark.data
@pytest.mark.parametrize(
    ("case", "options"),
    [
        ("S2SLS", {"covariance": "homoskedastic"}),
        ("S2SLS_W2X_FALSE", {"covariance": "homoskedastic", "instrument_orders": 1}),
        ("S2SLS_robust", {"covariance": "hc0"}),
    ],
)
def test_columbus_stsls(case: str, options: dict, columbus: tuple[Panel, SpatialWeights, dict]) -> None:
    panel, w, reference = columbus
    fit = fit_two_stage("CRIME ~ INC + HOVAL", panel, w, model="sar", **options)
    expected = reference[case]  # spatialreg 1.2-6, all digits; Rho first there
    found = dict(zip(fit.estimates.names, fit.estimates.values, strict=True))
    for name, value in expected["coef"].items():
        assert found["rho" if name == "Rho" else name] == pytest.approx(value, rel=1e-9)
    order = [1, 2, 3, 0]
    cov = np.array(expected["var"]["values"])[np.ix_(order, order)]
    assert fit.estimates.cov == pytest.approx(cov, rel=1e-8)
    assert fit.statistics["sse"] == pytest.approx(expected["sse"], rel=1e-10)


@pytest.fixture(scope="module")
def two_endogenous() -> Panel:
    """200 observations of 40 regions × 5 periods, two endogenous regressors, four instruments."""
    rng = np.random.default_rng(5)
    n = 200
    x = np.column_stack([np.ones(n), rng.normal(size=n)])
    z = rng.normal(size=(n, 4))
    v = rng.normal(size=(n, 2))
    y2 = z @ np.array([[0.5, 0.1], [0.2, 0.4], [0.1, 0.3], [0, 0.2]]) + x[:, [1]] * 0.3 + v
    y = x @ [1, 0.5] + y2 @ [1, -1] + (v @ [0.6, 0.2] + rng.normal(size=n)) * (1 + 0.5 * np.abs(z[:, 0]))
    columns = {"y": y, "x": x[:, 1], "a": y2[:, 0], "b": y2[:, 1], **{f"z{j}": z[:, j] for j in range(4)}}
    regions = tuple(f"r{i:02d}" for i in range(40))
    return Panel(regions, tuple(range(5)), {name: values.reshape(40, 5) for name, values in columns.items()})


FORMULA = "y ~ x | a + b ~ z0 + z1 + z2 + z3"


def test_linearmodels(two_endogenous: Panel) -> None:
    """linearmodels (PyPI, November 2026) on the same arrays: IV2SLS and IVGMM, no small-sample factors."""

    def fit(covariance: str, **options: object) -> InstrumentalFit:
        return fit_two_stage(
            FORMULA,
            two_endogenous,
            model="ols",
            effects="none",
            covariance=covariance,  # type: ignore[arg-type]
            **options,  # type: ignore[arg-type]
        )

    robust = fit("hc0")
    assert robust.estimates.values == pytest.approx(
        [1.0314048958247721, 0.32685703170646785, 1.3853879883883404, -1.1488658398189824], rel=1e-10
    )
    assert robust.estimates.std_errors == pytest.approx(
        [0.11694347008757576, 0.14158958904227284, 0.263926298119956, 0.2377862113235045], rel=1e-10
    )
    # Their first-stage statistic is χ²(4) without the finite-sample factor: 4 F.
    assert 4 * np.array(robust.first_stage.f_statistics) == pytest.approx([104.48731556004098, 69.64171607451343])
    classical = fit("homoskedastic")
    sizes = [0.11513006698755804, 0.14200734261134737, 0.19949109532528547, 0.24005054207664278]
    assert classical.estimates.std_errors == pytest.approx(np.array(sizes) * np.sqrt(200 / 196), rel=1e-10)
    assert classical.first_stage.partial_r2 == pytest.approx([0.3217970544343689, 0.24512584086613098])
    # Printed with six decimals; theirs divides the residual squares by 200, ours by 200 − 6.
    scaled = np.array(classical.first_stage.f_statistics) * 200 / 194
    assert scaled == pytest.approx([23.724245, 16.236206], abs=1e-6)
    assert classical.overidentification().statistic == pytest.approx(0.038343038850197075)
    clustered = fit("cluster")
    sizes = [0.08687170849224081, 0.1245034242571473, 0.2612155114736065, 0.27106296460296686]
    # Ours carry the factor G/(G − 1) of 40 clusters.
    assert clustered.estimates.std_errors == pytest.approx(np.array(sizes) * np.sqrt(40 / 39), rel=1e-10)
    moments = fit("hc0", estimator="gmm")
    assert moments.estimates.values == pytest.approx(
        [1.0308367374991403, 0.3267118399627359, 1.3746390737270053, -1.1406177956899508], rel=1e-10
    )
    assert moments.overidentification().statistic == pytest.approx(0.030037555870815618)
    by_region = fit("cluster", estimator="gmm")
    assert by_region.estimates.values == pytest.approx(
        [1.0283051654857427, 0.3223052001316135, 1.376180850857443, -1.1268488823720382], rel=1e-10
    )
    assert by_region.overidentification().statistic == pytest.approx(0.04771308752673471)


# -- brute force ----------------------------------------------------------------------------------


@pytest.mark.parametrize("effects", ["none", "individual", "time", "two-way"])
def test_sdm_against_dummies(effects: str, panel: Panel, weights: SpatialWeights) -> None:
    """Dense 2SLS with explicit dummies and explicit projections; row sums that are not one."""
    w = SpatialWeights(weights.matrix * 0.7, weights.regions, "scaled", "none")
    n, t = panel.shape
    fit = fit_two_stage("y ~ x | a ~ z", panel, w, model="sdm", effects=effects, covariance="cluster")
    y, x, a, z = (panel[name] for name in "yxaz")
    lag = w.lag
    dummies = [np.ones(n * t)]
    if effects in ("individual", "two-way"):
        dummies += list(np.kron(np.eye(n), np.ones(t)))[1:]
    if effects in ("time", "two-way"):
        dummies += list(np.kron(np.ones(n), np.eye(t)))[1:]
    d = np.array(dummies).T
    flat = [v.ravel() for v in (x, a, lag(x), lag(a), lag(y))]
    q = np.column_stack([d, *flat])
    own = [x, lag(x), z, lag(z), lag(lag(z)), lag(lag(x)), lag(lag(lag(x)))]
    h = np.column_stack([d, *[v.ravel() for v in own]])
    project = h @ np.linalg.pinv(h)
    hat = project @ q
    bread = np.linalg.inv(hat.T @ q)
    b = bread @ (hat.T @ y.ravel())
    e = y.ravel() - q @ b
    scores = (hat * e[:, None]).reshape(n, t, -1).sum(axis=1)
    cov = bread @ scores.T @ scores @ bread.T * n / (n - 1)
    k = 5
    assert fit.estimates.values[-k:] == pytest.approx(b[-k:], rel=1e-7)
    assert fit.estimates.std_errors[-k:] == pytest.approx(np.sqrt(np.diag(cov))[-k:], rel=1e-7)
    assert fit.design.instruments == ("z", "W*z", "W2*z", "W2*x", "W3*x")


def test_effects_against_the_dense_matrix(panel: Panel, weights: SpatialWeights) -> None:
    fit = fit_two_stage("y ~ x | a ~ z", panel, weights)
    names = fit.estimates.names

    def effects(b: np.ndarray) -> np.ndarray:
        at = dict(zip(names, b, strict=True))
        w = weights.matrix.toarray()
        found = []
        for name in ("x", "a"):
            m = np.linalg.solve(np.eye(60) - at["rho"] * w, at[name] * np.eye(60) + at[f"W*{name}"] * w)
            direct, total = np.trace(m) / 60, m.sum() / 60
            found += [direct, total - direct, total]
        return np.array(found)

    b, step = fit.estimates.values, 1e-6
    slope = np.array([(effects(b + step * u) - effects(b - step * u)) / (2 * step) for u in np.eye(b.size)]).T
    table = fit.effects()
    assert table["estimate"].to_numpy() == pytest.approx(effects(b), rel=1e-9)
    # Central differences of step 1e-6 carry about nine digits.
    errors = np.sqrt(np.diag(slope @ fit.estimates.cov @ slope.T))
    assert table["std_error"].to_numpy() == pytest.approx(errors, rel=1e-6)
    by_region = fit.effects(by="region", variables=["a"])
    own = by_region.loc[by_region["effect"] == "own", "estimate"].mean()
    assert own == pytest.approx(effects(b)[3])


def test_sanderson_windmeijer_by_its_definition(two_endogenous: Panel) -> None:
    """y₁ − y₂δ̂ (2SLS) explained by Z with q − 1 numerator degrees of freedom; x partialled out."""
    fit = fit_two_stage(FORMULA, two_endogenous, model="ols", effects="none", covariance="homoskedastic")
    at = {name: two_endogenous[name].ravel() for name in two_endogenous.variables}
    x = np.column_stack([np.ones(200), at["x"]])
    out = np.eye(200) - x @ np.linalg.pinv(x)
    z = out @ np.column_stack([at[f"z{j}"] for j in range(4)])
    p = z @ np.linalg.pinv(z)
    for j, (own, other) in enumerate([("a", "b"), ("b", "a")]):
        y1, y2 = out @ at[own], out @ at[other]
        r = y1 - y2 * (y2 @ p @ y1) / (y2 @ p @ y2)
        expected = (r @ p @ r / 3) / (r @ (np.eye(200) - p) @ r / (200 - 6))
        assert fit.first_stage.conditional_f[j] == pytest.approx(expected)


def test_rank_tests_reduce_to_canonical_correlations(two_endogenous: Panel) -> None:
    """Homoskedastic: LM = n r², Wald = n r²/(1 − r²) with the smallest canonical correlation (Anderson 1951)."""
    fit = fit_two_stage(FORMULA, two_endogenous, model="ols", effects="none", covariance="homoskedastic")
    at = {name: two_endogenous[name].ravel() for name in two_endogenous.variables}
    x = np.column_stack([np.ones(200), at["x"]])
    out = np.eye(200) - x @ np.linalg.pinv(x)
    z = out @ np.column_stack([at[f"z{j}"] for j in range(4)])
    y = out @ np.column_stack([at["a"], at["b"]])
    p = z @ np.linalg.pinv(z)
    r2 = scipy.linalg.eigh(y.T @ p @ y, y.T @ y, eigvals_only=True)[0]
    strength = fit.first_stage
    assert strength.underidentification.statistic == pytest.approx(200 * r2)  # type: ignore[union-attr]
    assert strength.rank_wald.statistic == pytest.approx(200 * r2 / (1 - r2))  # type: ignore[union-attr]
    cragg_donald = scipy.linalg.eigh(y.T @ p @ y, y.T @ (np.eye(200) - p) @ y, eigvals_only=True)[0] * (200 - 6) / 4
    assert strength.rank_f == pytest.approx(cragg_donald)


def test_rank_tests_with_one_endogenous_regressor(panel: Panel) -> None:
    """LM: z'y weighted by Σ (z y)(z y)'; Wald: π̂ with its robust covariance; F scale: the robust F itself."""
    fit = fit_two_stage("y ~ x | a ~ z + z:x", panel, model="ols", effects="two-way", covariance="cluster")
    system = fit.design.system
    z, y = system.excluded, system.partialled()[:, 1]
    sums = (z * y[:, None]).reshape(60, 5, -1).sum(axis=1)
    lm = (z.T @ y) @ np.linalg.solve(sums.T @ sums, z.T @ y)
    assert fit.first_stage.underidentification.statistic == pytest.approx(lm)  # type: ignore[union-attr]
    assert fit.first_stage.rank_f == pytest.approx(fit.first_stage.f_statistics[0])
    assert fit.first_stage.conditional_f == pytest.approx(fit.first_stage.f_statistics)


def test_effective_f(panel: Panel) -> None:
    """With one instrument it is the robust F; with equal variances it is the ordinary F."""
    single = fit_two_stage("y ~ x | a ~ z", panel, model="ols").first_stage
    assert single.effective_f == pytest.approx(single.f_statistics[0])
    several = fit_two_stage("y ~ x | a ~ z + z:x", panel, model="ols", covariance="homoskedastic").first_stage
    assert several.effective_f == pytest.approx(several.f_statistics[0])


def test_strength_is_invariant_to_units_and_mixtures(two_endogenous: Panel) -> None:
    base = fit_two_stage(FORMULA, two_endogenous, model="ols", effects="none", covariance="cluster")
    mixed = two_endogenous.with_variables(
        {
            "z0": 1e6 * two_endogenous["z0"] + two_endogenous["z1"],
            "a": 1e-4 * two_endogenous["a"],
            "z3": two_endogenous["z3"] - two_endogenous["z2"],
        }
    )
    other = fit_two_stage(FORMULA, mixed, model="ols", effects="none", covariance="cluster")
    for name in ("f_statistics", "conditional_f", "rank_f"):
        assert getattr(other.first_stage, name) == pytest.approx(getattr(base.first_stage, name), rel=1e-8)
    assert other.overidentification().statistic == pytest.approx(base.overidentification().statistic, rel=1e-8)
    assert other.estimates["a"] == pytest.approx(1e4 * base.estimates["a"], rel=1e-8)


def test_exogeneity_of_one_regressor(panel: Panel) -> None:
    """OLS of y on x, a and v̂ with dummies: the Wald test of v̂, clustered by region."""
    fit = fit_two_stage("y ~ x | a ~ z", panel, model="ols", effects="individual")
    n, t = panel.shape
    d = np.kron(np.eye(n), np.ones((t, 1)))
    h = np.column_stack([d, panel["x"].ravel(), panel["z"].ravel()])
    v = panel["a"].ravel() - h @ np.linalg.lstsq(h, panel["a"].ravel(), rcond=None)[0]
    q = np.column_stack([d, panel["x"].ravel(), panel["a"].ravel(), v])
    b = np.linalg.lstsq(q, panel["y"].ravel(), rcond=None)[0]
    e = panel["y"].ravel() - q @ b
    bread = np.linalg.inv(q.T @ q)
    scores = (q * e[:, None]).reshape(n, t, -1).sum(axis=1)
    cov = bread @ scores.T @ scores @ bread * n / (n - 1)
    assert fit.exogeneity().statistic == pytest.approx(b[-1] ** 2 / cov[-1, -1])


def test_exogeneity_rejects_and_does_not(weights: SpatialWeights) -> None:
    endogenous = fit_two_stage("y ~ x | a ~ z", simulate(weights, 6, 3, endogeneity=0.6), weights)
    exogenous = fit_two_stage("y ~ x | a ~ z", simulate(weights, 6, 3, endogeneity=0.0), weights)
    assert endogenous.exogeneity().p_value < 1e-6  # type: ignore[union-attr]
    assert exogenous.exogeneity().p_value > 0.05  # type: ignore[union-attr]
    assert endogenous.exogeneity().df == 2  # type: ignore[union-attr]


def test_windmeijer_slope_is_the_derivative(panel: Panel, weights: SpatialWeights) -> None:
    """V − V₂ = D V₂ + V₂ D' + D V₁ D' with D = ∂(second step)/∂(first step), here by central differences."""
    fit = fit_two_stage("y ~ x | a ~ z", panel, weights, effects="individual")
    system = fit.design.system
    first, bread = solve_moments(system.gamma, system.basis.T @ system.outcome)

    def second(start: np.ndarray) -> np.ndarray:
        return two_step(system, start, bread, "cluster")[0]

    step = 1e-5
    slope = np.array([(second(first + step * u) - second(first - step * u)) / (2 * step) for u in np.eye(5)]).T
    e = system.residuals(first)
    sums = (system.basis * e[:, None]).reshape(60, 5, -1).sum(axis=1)
    plain = np.linalg.inv(system.gamma.T @ np.linalg.solve(sums.T @ sums, system.gamma)) * 60 / 59
    one = fit.estimates.cov
    expected = plain + slope @ plain + plain @ slope.T + slope @ one @ slope.T
    assert two_step(system, first, bread, "cluster")[1] == pytest.approx(expected, rel=1e-6)


# -- weak instruments -----------------------------------------------------------------------------


def test_anderson_rubin_statistic_by_regression(panel: Panel, weights: SpatialWeights) -> None:
    """F of the instruments in a regression of y − ρ₀Wy on instruments and x with dummies, clustered."""
    fit = fit_two_stage("y ~ x + a", panel, weights, model="sar", effects="individual")
    n, t = panel.shape
    d = np.kron(np.eye(n), np.ones((t, 1)))
    lag = weights.lag
    inside = [panel["x"], panel["a"]]
    outside = [lag(v) for v in inside] + [lag(lag(v)) for v in inside]
    h = np.column_stack([d, *[v.ravel() for v in (*inside, *outside)]])
    statistic = AndersonRubin(fit.design.system, "cluster")
    for rho in (-0.3, 0.2, 0.6):
        target = (panel["y"] - rho * lag(panel["y"])).ravel()
        b = np.linalg.lstsq(h, target, rcond=None)[0]
        e = target - h @ b
        scores = (h * e[:, None]).reshape(n, t, -1).sum(axis=1)
        bread = np.linalg.inv(h.T @ h)
        cov = (bread @ scores.T @ scores @ bread * n / (n - 1))[-4:, -4:]
        expected = b[-4:] @ np.linalg.solve(cov, b[-4:]) / 4
        assert statistic(np.array([1.0, -rho])) == pytest.approx(expected, rel=1e-8)


def test_confidence_set_has_the_roots_of_the_quadratic(panel: Panel, weights: SpatialWeights) -> None:
    """Homoskedastic with one endogenous regressor: y(ρ)'Py(ρ)/q ≤ F y(ρ)'My(ρ)/df is a quadratic inequality."""
    fit = fit_two_stage("y ~ x + a", panel, weights, model="sar", covariance="homoskedastic")
    found = fit.confidence_set()
    system = fit.design.system
    columns, z = system.partialled(), system.excluded
    inside = columns.T @ z @ z.T @ columns
    outside = columns.T @ columns - inside
    q, df = found.df
    m = inside / q - stats.f.isf(0.05, q, df) * outside / df
    roots = np.sort(np.roots([m[1, 1], -2 * m[0, 1], m[0, 0]]).real)
    assert len(found.intervals) == 1
    assert found.intervals[0] == pytest.approx(roots, abs=1e-7)  # refined to 1e-8 of the width
    assert fit.rho in found
    assert not found.unbounded
    assert f"{roots[0]:.4f}" in found.sentence()


def test_confidence_set_of_useless_instruments_is_everything(weights: SpatialWeights) -> None:
    rng = np.random.default_rng(11)
    noise = {name: rng.normal(size=(60, 5)) for name in ("y", "x", "x2")}
    panel = Panel(weights.regions, tuple(range(5)), noise)
    with pytest.warns(WeakIdentificationWarning, match="weak"):
        fit = fit_two_stage("y ~ x + x2", panel, weights, model="sar")
    found = fit.confidence_set()
    assert found.unbounded
    assert "do not inform" in found.sentence()
    assert fit.first_stage.weak
    assert any("weak" in note for note in fit.notes)


def test_confidence_set_of_invalid_instruments_is_empty(panel: Panel) -> None:
    """z1 and z2 demand different coefficients of a: no value is consistent with both."""
    rng = np.random.default_rng(2)
    z1, z2, e = rng.normal(size=(3, 60, 5))
    a = z1 + z2 + 0.3 * rng.normal(size=(60, 5))
    made = panel.with_variables({"z1": z1, "z2": z2, "a": a, "y": a + 2 * z2 + 0.3 * e})
    fit = fit_two_stage("y ~ x | a ~ z1 + z2", made, model="ols")
    found = fit.confidence_set("a")
    assert found.intervals == ()
    assert "empty" in found.sentence()
    assert fit.overidentification().p_value < 1e-6  # type: ignore[union-attr]


def test_projection_set_contains_the_estimate_and_is_longer(panel: Panel, weights: SpatialWeights) -> None:
    fit = fit_two_stage("y ~ x | a ~ z", panel, weights)
    found = fit.confidence_set()
    low, high = fit.estimates.confint()[-1]
    assert fit.rho in found
    assert found.intervals[0][0] < low
    assert found.intervals[-1][1] > high
    assert "projection" in found.method
    shorter = fit.confidence_set(nuisance="strong")
    assert found.intervals[0][0] < shorter.intervals[0][0]
    assert fit.rho in shorter
    assert shorter.df == (3, 59)


# -- properties -----------------------------------------------------------------------------------


def test_regions_in_another_order_change_nothing(panel: Panel, weights: SpatialWeights) -> None:
    base = fit_two_stage("y ~ x | a ~ z", panel, weights)
    order = np.random.default_rng(0).permutation(60)
    shuffled = weights.align([weights.regions[i] for i in order])
    other = fit_two_stage("y ~ x | a ~ z", panel, shuffled)
    assert other.estimates.values == pytest.approx(base.estimates.values, rel=1e-10)
    assert other.provenance == base.provenance


def test_units_and_scale_of_w(panel: Panel, weights: SpatialWeights) -> None:
    base = fit_two_stage("y ~ x | a ~ z", panel, weights)
    scaled = panel.with_variables({"x": 1e6 * panel["x"], "z": 1e-6 * panel["z"]})
    other = fit_two_stage("y ~ x | a ~ z", scaled, weights)
    shrink = np.array([1e-6, 1.0, 1e-6, 1.0, 1.0])
    assert other.estimates.values == pytest.approx(base.estimates.values * shrink, rel=1e-8)
    assert other.estimates.std_errors == pytest.approx(base.estimates.std_errors * shrink, rel=1e-8)
    double = SpatialWeights(weights.matrix * 2.0, weights.regions, "double", "none")
    twice = fit_two_stage("y ~ x | a ~ z", panel, double)
    assert twice.rho == pytest.approx(base.rho / 2, rel=1e-8)
    assert twice.effects()["estimate"].to_numpy() == pytest.approx(base.effects()["estimate"].to_numpy(), rel=1e-8)


def test_views(panel: Panel, weights: SpatialWeights) -> None:
    fit = fit_two_stage("y ~ x | a ~ z", panel, weights)
    assert fit.coefficients()["term"].tolist() == ["x", "a", "W*x", "W*a", "rho"]
    assert fit.estimates.df == 59
    assert fit.tests()["test"].tolist() == [
        "Kleibergen–Paap rk LM",
        "Kleibergen–Paap rk Wald",
        "Hansen J",
        "exogeneity (control function)",
    ]
    assert fit.first_stage.tidy()["endogenous"].tolist() == ["a", "W*a", "W*y"]
    assert "excluded instruments" in fit.summary()
    assert fit.with_covariance("homoskedastic").estimates.values == pytest.approx(fit.estimates.values)
    robust = fit.with_covariance("hc")
    assert any("Stock & Watson" in note for note in robust.notes)


def test_only_named_regressors_are_lagged(panel: Panel, weights: SpatialWeights) -> None:
    fit = fit_two_stage("y ~ x | a ~ z", panel, weights, model="sdm", lagged=["a"])
    assert fit.estimates.names == ("x", "a", "W*a", "rho")
    assert "W*x" in fit.design.instruments
    single = fit_two_stage("y ~ x | a ~ z", panel, weights, model="slx", lagged=["x"])
    assert single.design.instruments == ("z",)
    assert isinstance(single.overidentification(), NotApplicable)


def test_repeated_instruments_are_named(panel: Panel, weights: SpatialWeights) -> None:
    made = panel.with_variables({"z2": 3.0 * panel["z"], "fixed": np.arange(60.0)})
    base = fit_two_stage("y ~ x | a ~ z", panel, weights)
    fit = fit_two_stage("y ~ x | a ~ z + z2 + fixed", made, weights)
    assert fit.estimates.values == pytest.approx(base.estimates.values, rel=1e-8)
    note = next(note for note in fit.notes if "left out" in note)
    assert "z2" in note
    assert "fixed" in note


# -- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "options", "kind", "says"),
    [
        ("y ~ x | a ~ fixed", {"model": "ols"}, DesignError, "too few instruments.*|absorbed by the effects: fixed"),
        ("y ~ x | a ~ double", {}, DesignError, "'double' is a combination of the exogenous"),
        ("y ~ x + double | a ~ z", {}, DesignError, "double"),
        ("y ~ x | a + copy ~ z + fixed:z", {}, DesignError, "copy"),
        ("y ~ fixed | a ~ z", {}, DesignError, "'fixed' is absorbed"),
        ("y ~ x | a ~ zz", {}, UnknownColumnError, "zz"),
        ("y ~ x | a ~ hole", {}, MissingCellError, "hole of r003 in 2"),
        ("y ~ x", {"model": "slx"}, OptionError, "nothing to instrument"),
        ("y ~ x | a ~ z", {"lagged": ["z"]}, UnknownColumnError, "not a regressor"),
        ("y ~ x | a ~ z", {"model": "sem"}, OptionError, "model"),
        ("y ~ x | a ~ z", {"covariance": "conley"}, OptionError, "covariance"),
        ("y ~ x | a ~ z", {"instrument_orders": -1}, OptionError, "powers of W"),
        ("y ~ 0 | a ~ z", {"model": "sar", "instrument_orders": (0, 0)}, DesignError, "too few instruments"),
    ],
)
def test_mistakes(
    formula: str, options: dict, kind: type[SpilloverError], says: str, panel: Panel, weights: SpatialWeights
) -> None:
    hole = panel["z"].copy()
    hole[3, 2] = np.nan
    made = panel.with_variables({"fixed": np.arange(60.0), "double": 2 * panel["x"], "copy": -panel["a"], "hole": hole})
    with pytest.raises(kind, match=says):
        fit_two_stage(formula, made, weights, **options)


def test_more_instruments_than_observations() -> None:
    w = named_weights(row_standardised(lattice(5, 4)))
    rng = np.random.default_rng(0)
    names = [f"x{j}" for j in range(6)]
    panel = Panel(w.regions, (0,), {name: rng.normal(size=(20, 1)) for name in ["y", *names]}, is_panel=False)
    with pytest.raises(DesignError, match="as many instruments as observations"):
        fit_two_stage("y ~ " + " + ".join(names), panel, w, model="sdm")


def test_more_instruments_than_clusters() -> None:
    """J and the two-step weight need more clusters than instruments; the estimate itself does not."""
    w = named_weights(row_standardised(lattice(4, 3)))
    rng = np.random.default_rng(0)
    names = [f"x{j}" for j in range(5)]
    panel = Panel(w.regions, tuple(range(12)), {name: rng.normal(size=(12, 12)) for name in ["y", *names]})
    formula = "y ~ " + " + ".join(names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WeakIdentificationWarning)
        fit = fit_two_stage(formula, panel, w, model="sar", effects="individual")
        assert isinstance(fit.overidentification(), NotApplicable)
        with pytest.raises(EstimationError, match="fewer instruments than clusters"):
            fit_two_stage(formula, panel, w, model="sar", effects="individual", estimator="gmm")


def test_other_regions_and_no_weights(panel: Panel, weights: SpatialWeights) -> None:
    other = SpatialWeights(sp.csr_matrix(weights.matrix), tuple(f"q{i}" for i in range(60)), "other", "row")
    with pytest.raises(AlignmentError):
        fit_two_stage("y ~ x | a ~ z", panel, other)
    with pytest.raises(OptionError, match="needs spatial weights"):
        fit_two_stage("y ~ x | a ~ z", panel)


def test_rho_outside_its_interval_has_no_effects(weights: SpatialWeights) -> None:
    """y built with a multiplier of ρ = 1.3: 2SLS finds it, says so, and refuses effects."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(60, 6))
    y = np.linalg.solve(np.eye(60) - 1.3 * weights.matrix.toarray(), x + 0.01 * rng.normal(size=(60, 6)))
    panel = Panel(weights.regions, tuple(range(6)), {"y": y, "x": x})
    with pytest.warns(WeakIdentificationWarning):
        fit = fit_two_stage("y ~ x", panel, weights, model="sar", effects="individual")
    assert fit.rho == pytest.approx(1.3, abs=0.05)
    assert any("do not use it" in note for note in fit.notes)
    with pytest.raises(EstimationError, match="outside the interval"):
        fit.effects()
    with pytest.raises(OptionError, match="not endogenous"):
        fit.confidence_set("x")


def test_first_stage_functions_agree(panel: Panel, weights: SpatialWeights) -> None:
    system = fit_two_stage("y ~ x | a ~ z", panel, weights).design.system
    strength = first_stage_strength(system, ("a", "W*a", "rho"), "cluster")
    z, y = system.excluded, system.partialled()[:, 1:]
    assert strength.conditional_f[1] == pytest.approx(conditional_f(system, z, y, 1, "cluster"))
    assert strength.conditional_df == (3, 59)
    assert strength.weakest[1] == min(strength.conditional_f)
