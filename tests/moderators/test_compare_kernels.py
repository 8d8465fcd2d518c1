"""Several laws on the same data."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from moderators.space import scatter, slx_panel
from spillover.errors import OptionError
from spillover.moderators.compare_kernels import compare_kernels

DISTANCES = scatter(50)
PANEL = slx_panel(DISTANCES, 10, seed=1)


@pytest.fixture(scope="module")
def found():
    return compare_kernels("y ~ x + z", PANEL, distances=DISTANCES, draws=199)


def test_the_true_law_is_best_and_its_relatives_are_not_better(found):
    table = found.table().set_index("kernel")
    assert found.best == "exponential"
    assert table["delta_aic"].min() == 0.0
    assert table["akaike_weight"].sum() == pytest.approx(1.0)
    assert table.loc["stretched", "log_likelihood"] >= table.loc["exponential", "log_likelihood"] - 1e-6
    assert table.loc["shifted", "log_likelihood"] >= table.loc["exponential", "log_likelihood"] - 1e-6
    # AIC = −2ℓ + 2(x, z, W x, law, σ²): five with one parameter of the law, six with two
    assert table.loc["power", "aic"] == pytest.approx(-2 * table.loc["power", "log_likelihood"] + 10)
    assert table.loc["stretched", "aic"] == pytest.approx(-2 * table.loc["stretched", "log_likelihood"] + 12)


def test_nested_laws_by_likelihood_ratio(found):
    test = found.tests["stretched"]
    ratio = 2 * (
        found.fits["stretched"].statistics["log_likelihood"] - found.fits["exponential"].statistics["log_likelihood"]
    )
    assert test.statistic == pytest.approx(ratio)
    assert test.p_value == pytest.approx(stats.chi2.sf(ratio, 1))
    assert found.tests["shifted"].distribution == "½chi2(0) + ½chi2(1)"


def test_vuong_by_hand(found):
    one, two = found.fits["exponential"], found.fits["power"]
    m = 49 * 9
    cells = []
    for fit in (one, two):
        s2 = float(np.sum(fit.residuals**2)) / m
        cells.append(-(fit.residuals**2) / (2 * s2))
    rows = (cells[0] - cells[1]).sum(axis=1)
    rows = rows - rows.mean()
    gap = one.statistics["log_likelihood"] - two.statistics["log_likelihood"]
    z = gap / np.sqrt(np.sum(rows**2) * 50 / 49)  # clustered by region
    assert found.tests["power"].statistic == pytest.approx(z, rel=1e-9)
    assert found.tests["power"].p_value == pytest.approx(2 * stats.t.sf(abs(z), 49), rel=1e-9)


def test_what_is_refused():
    with pytest.raises(OptionError, match="two or more"):
        compare_kernels("y ~ x", PANEL, kernels=("power",), distances=DISTANCES)
    with pytest.raises(OptionError, match="not kernel"):
        compare_kernels("y ~ x", PANEL, kernel="power", distances=DISTANCES)
