"""Heteroskedasticity-robust moments for λ against spreg and brute force."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from simulated import named_weights, nearest, row_standardised
from spillover.errors import OptionError, WeakIdentificationWarning
from spillover.models.generalised_moments import ErrorMoments, fit_error_moments
from spillover.panel.panel import Panel
from spillover.weights.weights import SpatialWeights

SPREG = {  # spreg 1.9.0, step1c=True, W = queen, row-standardised; values, then standard errors
    "GM_Error_Het": (
        "HOVAL ~ INC + CRIME",
        "sem",
        [47.630295052185076, 0.7045081009542382, -0.546592075746886, 0.34900745959293805],
        [12.259995455806061, 0.39314021116304876, 0.17461387838644024, 0.1598555913015097],
    ),
    "GM_Combo_Het": (
        "CRIME ~ INC + HOVAL",
        "sac",
        [43.48321606659272, -0.965742704207063, -0.27456623248166356, 0.45883438131089527, 0.1049876230056776],
        [7.635723302534739, 0.4596922155032988, 0.17864374107984823, 0.14884298653674832, 0.3113702581251674],
    ),
    # House values times ten: spreg cuts the last coefficient of the first step at ±0.9 even when it is not ρ.
    "GM_Endog_Error_Het": (
        "CRIME ~ INC | H10 ~ DISCBD",
        "sem",
        [81.91449431518596, 0.5761484996987787, -0.14286836517182275, 0.4302041296324621],
        [15.224946198287867, 1.4991701614288, 0.09503648979077754, 0.19056057302236523],
    ),
    "GM_Combo_Het, endogenous": (
        "CRIME ~ INC | H10 ~ DISCBD",
        "sac",
        [41.677316060495286, -0.5324203339445646, -0.04725969135167141, 0.5507002611475578, 0.135852667611917],
        [9.186415304635927, 0.5462647952753739, 0.02647274312551339, 0.15944193691643588, 0.2999715226340955],
    ),
}


@pytest.fixture(scope="module")
def columbus() -> tuple[Panel, SpatialWeights]:
    import pandas as pd

    folder = Path(os.environ.get("SPILLOVER_REFERENCE", Path(__file__).resolve().parents[3] / "shared" / "reference"))
    if not (folder / "data" / "columbus.csv").is_file():
        pytest.skip("the Columbus tracts are not here: set SPILLOVER_REFERENCE to the folder with data/columbus.csv")
    table = pd.read_csv(folder / "data" / "columbus.csv", skipinitialspace=True)
    edges = pd.read_csv(folder / "data" / "columbus_queen_edges_1based.csv").to_numpy()[:, :2].astype(int) - 1
    links = np.zeros((49, 49))
    links[edges[:, 0], edges[:, 1]] = 1.0
    weights = named_weights(row_standardised(links))
    variables = {name: table[[name]].to_numpy(float) for name in ("CRIME", "INC", "HOVAL", "DISCBD")}
    variables["H10"] = 10 * variables["HOVAL"]
    return Panel(weights.regions, (0,), variables, is_panel=False), weights


@pytest.mark.data
@pytest.mark.filterwarnings("ignore::spillover.errors.WeakIdentificationWarning")
@pytest.mark.parametrize("case", SPREG)
def test_spreg(case: str, columbus: tuple[Panel, SpatialWeights]) -> None:
    formula, model, values, errors = SPREG[case]
    fit = fit_error_moments(formula, *columbus, model=model)  # type: ignore[arg-type]
    # Distance to the centre is a weak instrument of house values: here it only has to give the same numbers.
    # spreg minimises numerically to about 1e-7 in λ; the minimum of the quartic is exact here.
    assert fit.estimates.values == pytest.approx(values, rel=1e-6)
    assert fit.estimates.std_errors == pytest.approx(errors, rel=1e-6)
    assert fit.estimates.names[-1] == "lambda"


def cross_section(
    weights: SpatialWeights, seed: int, *, lam: float = 0.5, rho: float = 0.0, theta: float = 0.0
) -> Panel:
    """GNS with error variances that differ by a factor of nine; SEM without ρ and θ."""
    rng = np.random.default_rng(seed)
    n = weights.n
    x = rng.normal(size=n)
    e = rng.normal(size=n) * np.where(x > 0, 1.5, 0.5)
    u = np.linalg.solve(np.eye(n) - lam * weights.matrix.toarray(), e)
    mean = 1 + 3 * x + theta * weights.lag(x) + u
    y = np.linalg.solve(np.eye(n) - rho * weights.matrix.toarray(), mean) if rho else mean
    return Panel(weights.regions, (0,), {"y": y[:, None], "x": x[:, None]}, is_panel=False)


@pytest.fixture(scope="module")
def weights() -> SpatialWeights:
    return named_weights(row_standardised(nearest(200, 5, 3)))


def test_moments_by_brute_force(weights: SpatialWeights) -> None:
    rng = np.random.default_rng(0)
    u, lam = rng.normal(size=200), 0.37
    w = weights.matrix.toarray()
    e = u - lam * w @ u
    gram = w.T @ w
    a1 = gram - np.diag(np.diag(gram))
    moments = ErrorMoments.of(weights.matrix)
    found = moments.polynomial(u) @ [1, lam, lam**2]
    assert found == pytest.approx([e @ a1 @ e / 200, e @ w @ e / 200], rel=1e-10)
    sigma = np.diag(e**2)
    b = [a1 + a1.T, w + w.T]
    psi = [[np.trace(b[r] @ sigma @ b[s] @ sigma) / 400 for s in range(2)] for r in range(2)]
    assert moments.variance(e) == pytest.approx(np.array(psi), rel=1e-10)


def test_all_models_run_and_order_does_not_matter(weights: SpatialWeights) -> None:
    order = np.random.default_rng(0).permutation(200)
    shuffled = weights.align([weights.regions[i] for i in order])
    for model, (names, rho, theta) in {
        "sem": (("(Intercept)", "x", "lambda"), 0.0, 0.0),
        "sdem": (("(Intercept)", "x", "W*x", "lambda"), 0.0, 2.0),
        "sac": (("(Intercept)", "x", "rho", "lambda"), 0.4, 0.0),
        "gns": (("(Intercept)", "x", "W*x", "rho", "lambda"), 0.4, 2.0),
    }.items():
        panel = cross_section(weights, 1, rho=rho, theta=theta)
        fit = fit_error_moments("y ~ x", panel, weights, model=model)  # type: ignore[arg-type]
        other = fit_error_moments("y ~ x", panel, shuffled, model=model)  # type: ignore[arg-type]
        assert fit.estimates.names == names
        assert other.estimates.values == pytest.approx(fit.estimates.values, rel=1e-8)
        assert np.linalg.eigvalsh(fit.estimates.cov).min() > 0
        assert fit.effects()["effect"].tolist() == ["direct", "indirect", "total"]
    assert fit.tests()["p_value"].between(0, 1).all()


def test_effects_of_sac_by_dense_matrix(columbus: tuple[Panel, SpatialWeights]) -> None:
    panel, w = columbus
    fit = fit_error_moments("CRIME ~ INC + HOVAL", panel, w, model="sac")
    inverse = np.linalg.inv(np.eye(49) - fit.rho * w.matrix.toarray())
    beta = fit.estimates["INC"]
    assert fit.effects()["estimate"].iloc[0] == pytest.approx(beta * np.trace(inverse) / 49)
    assert fit.effects()["estimate"].iloc[2] == pytest.approx(beta * inverse.sum() / 49)


def test_a_lag_without_instruments_is_said(weights: SpatialWeights) -> None:
    """The regressor does not matter: its spatial lags say nothing about W y."""
    rng = np.random.default_rng(0)
    panel = Panel(weights.regions, (0,), {name: rng.normal(size=(200, 1)) for name in "yx"}, is_panel=False)
    with pytest.warns(WeakIdentificationWarning, match="weak"):
        fit = fit_error_moments("y ~ x", panel, weights, model="sac")
    assert any("weak" in note for note in fit.notes)


@pytest.mark.slow
def test_lambda_recovers_under_heteroskedasticity(weights: SpatialWeights) -> None:
    fits = [fit_error_moments("y ~ x", cross_section(weights, seed), weights) for seed in range(200)]
    values = np.array([fit.estimates["lambda"] for fit in fits])
    # Finite-sample bias of order 1/n beside a Monte Carlo error of .007.
    assert values.mean() == pytest.approx(0.5, abs=0.03)
    inside = [abs(fit.estimates["lambda"] - 0.5) < 1.96 * fit.estimates.std_errors[-1] for fit in fits]
    assert 0.90 <= np.mean(inside) <= 0.985  # 200 draws: two binomial errors of 95 % are 3.1 points


def test_mistakes(weights: SpatialWeights) -> None:
    panel = cross_section(weights, 0)
    with pytest.raises(OptionError, match="model"):
        fit_error_moments("y ~ x", panel, weights, model="sar")  # type: ignore[arg-type]
    long = Panel(panel.regions, (0, 1), {name: np.repeat(panel[name], 2, axis=1) for name in ("y", "x")})
    with pytest.raises(OptionError, match="one cross-section"):
        fit_error_moments("y ~ x", long, weights)
    assert sp.issparse(ErrorMoments.of(weights.matrix).a[0])
