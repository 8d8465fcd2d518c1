"""The table of all tests: rows for what exists and reasons for what does not."""

from __future__ import annotations

import numpy as np
import pytest

import spillover as so
from columbus import FORMULA, read_columbus
from simulated import simulate_sdm
from spillover.diagnostics.nested import hausman_error, likelihood_ratio, why_not_nested
from spillover.inference.hypotheses import HypothesisTest
from spillover.models.all_tests import all_tests
from spillover.panel.panel import Panel
from spillover.weights.weights import SpatialWeights


@pytest.mark.parametrize("model", ["ols", "slx", "sar", "sdm", "sem", "sdem"])
@pytest.mark.parametrize("effects", ["none", "individual", "time", "two-way"])
def test_every_row_has_a_result_or_a_reason(
    model: str, effects: str, grid_panel: Panel, queen_grid: SpatialWeights
) -> None:
    fit = so.fit("y ~ x0 + x1", grid_panel, queen_grid, model=model, effects=effects)  # type: ignore[arg-type]
    table = all_tests(fit)
    missing = table["statistic"].isna()
    assert (table.loc[missing, "says"].str.startswith("not applicable: ")).all()
    assert table.loc[~missing, "p_value"].between(0, 1).all()
    assert (table.loc[~missing, "null"] != "").all()
    tests = set(table.loc[~missing, "test"])
    assert {"residual Moran's I", "studentised Breusch–Pagan", "serial correlation", "LM θ"} <= tests
    assert ("Pesaran CD" in tests) == (effects in ("none", "individual"))
    assert ("weighted CD (CDw+)" in tests) == (effects in ("time", "two-way"))
    assert ("spatial Hausman (Mundlak)" in tests) == (effects in ("individual", "two-way"))
    assert ("LM error in the lag model" in tests) == (model in ("sar", "sdm"))


def test_columbus_error_models(recwarn: pytest.WarningsRecorder) -> None:
    panel, weights = read_columbus()
    fits = {
        model: so.fit(FORMULA, panel, weights, model=model)  # type: ignore[arg-type]
        for model in ("ols", "slx", "sar", "sdm", "sem", "sdem", "sac")
    }
    # corrected values for asymmetric W, printed with six decimals
    for model, expected in [("sem", 5.255657), ("sdem", 9.181064)]:
        test = hausman_error(fits[model])
        assert isinstance(test, HypothesisTest)
        assert test.statistic == pytest.approx(expected, abs=2e-6)
    # twice the differences of spatialreg's log-likelihoods
    for pair, expected, df in [
        (("sem", "ols"), 7.25562150018385, 1),
        (("sdem", "slx"), 4.38320416384954, 1),
        (("sdm", "sem"), 2 * (183.749428062057 - 181.639254440351), 2),
        (("sdem", "sem"), 2 * (183.749428062057 - 181.778997106001), 2),
    ]:
        test = likelihood_ratio(fits[pair[0]], fits[pair[1]])
        assert test.statistic == pytest.approx(expected, abs=1e-7)
        assert test.df == df
    for small in ("sar", "sem"):
        assert likelihood_ratio(fits["sac"], fits[small]).df == 1
    table = all_tests(fits["sdm"], [fits[m] for m in ("sar", "slx", "sem")])
    assert sum(table["group"] == "nested models") == 3
    # spatialreg 1.2-6 bptest.Sarlm of the error model: residuals are ε and drivers the regressors
    breusch_pagan = all_tests(fits["sdm"]).set_index("test").loc["studentised Breusch–Pagan"]
    assert breusch_pagan["statistic"] == pytest.approx(11.96927130294, abs=1e-6)


def test_common_factor_needs_all_lags_and_one_w(grid_panel: Panel, queen_grid: SpatialWeights) -> None:
    sem = so.fit("y ~ x0 + x1", grid_panel, queen_grid, model="sem")
    part = so.fit("y ~ x0 + x1", grid_panel, queen_grid, lagged=["x0"])
    assert "x1 is not" in why_not_nested(part, sem)
    loose = queen_grid.matrix.copy()
    loose.data = loose.data * np.linspace(0.9, 1.1, loose.nnz)
    other = SpatialWeights(loose, queen_grid.regions, "other", "none").standardise("row")
    assert "one W" in why_not_nested(so.fit("y ~ x0 + x1", grid_panel, queen_grid, weights_x=other), sem)
    assert likelihood_ratio(so.fit("y ~ x0 + x1", grid_panel, queen_grid), sem).df == 2


def test_results_do_not_depend_on_units(queen_grid: SpatialWeights) -> None:
    panel = simulate_sdm(queen_grid, 6, seed=8)
    scaled = panel.with_variables({"x0": 1e6 * panel["x0"], "y": 1e-3 * panel["y"]})
    one, other = (all_tests(so.fit("y ~ x0 + x1", each, queen_grid)) for each in (panel, scaled))
    kept = one["statistic"].notna()
    # 1e-7: the maximiser stops within 1e-8 of ρ
    assert other.loc[kept, "statistic"].to_numpy() == pytest.approx(
        one.loc[kept, "statistic"].to_numpy(), rel=1e-5, abs=1e-7
    )
