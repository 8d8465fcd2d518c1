"""Regressor and errors of other periods: against whole matrices, its level, and what it finds."""

from __future__ import annotations

import numpy as np
import pytest

import spillover as so
from audit.maps import grouped_map, panel_of, shocked_panel
from simulated import named_weights, nearest, row_standardised, simulate_sdm
from spillover.audit.common_shock import audit_common_shock
from spillover.audit.other_periods import other_periods_p_value
from spillover.simulation.spatial_panel import ErrorLaw, Regressor, SpatialPanelConfig
from spillover.typing import FloatArray
from spillover.weights.groups import within_groups


def by_whole_matrices(fit: so.SpatialFit, variable: str, draws: int, at_a_time: int = 10_000) -> float:
    """The same with projections of n t rows and a sum over regions for every draw.

    at_a_time : regions whose signs are drawn together.
    """
    design = fit.design
    n, t = design.shape
    x = np.asarray(design.block[design.own[variable]])
    z = np.asarray(design.z)
    residual_maker = np.eye(n * t) - z @ np.linalg.pinv(z)

    def statistic(errors: FloatArray) -> float:
        left = (residual_maker @ errors.ravel()).reshape(n, t)
        products = left.T @ x
        return float(np.sum((0.5 * (products + products.T)) ** 2))

    errors = (residual_maker @ fit.residuals.ravel()).reshape(n, t)
    scaled = np.empty((n, t))
    for i in range(n):
        at = slice(i * t, (i + 1) * t)
        sizes, vectors = np.linalg.eigh(residual_maker[at, at])
        scaled[i] = vectors @ ((vectors.T @ errors[i]) / np.sqrt(sizes))
    together = design.transformation.region_sizes[:, None]
    scaled *= np.sqrt(together / (together - 1.0))
    rng = np.random.default_rng(1)
    parts = [min(at_a_time, n - start) for start in range(0, n, at_a_time)]
    signs = np.hstack([rng.choice((-1.0, 1.0), (draws, size)) for size in parts])
    drawn = np.array([statistic(each[:, None] * scaled) for each in signs])
    return (1.0 + float(np.count_nonzero(drawn >= statistic(errors)))) / (1.0 + draws)


@pytest.mark.parametrize("model", ["ols", "slx", "sdm", "sem"])
def test_equals_whole_matrices(model: str) -> None:
    w = named_weights(row_standardised(nearest(18, 4, 5)))
    fit = so.fit("y ~ x0 + x1", simulate_sdm(w, 6, 2), w, model=model)  # type: ignore[arg-type]
    assert other_periods_p_value(fit, "x1", draws=99) == pytest.approx(by_whole_matrices(fit, "x1", 99), abs=1e-12)


def test_equals_whole_matrices_with_groups_and_segments_and_a_few_regions_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    w, groups, _ = grouped_map(24, 2, 4, 3)
    inside = within_groups(w, groups)
    panel = simulate_sdm(w, 8, 2).select(regions=inside.regions)
    fit = so.fit("y ~ x0", panel, inside, groups=groups, segments=tuple("ab"[s >= 4] for s in range(8)))
    monkeypatch.setattr("spillover.audit.other_periods.NUMBERS", 7 * 8**2)
    assert other_periods_p_value(fit, "x0", draws=99) == pytest.approx(by_whole_matrices(fit, "x0", 99, 7), abs=1e-12)


def test_long_panels_take_fewer_draws_and_not_more_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    w = named_weights(row_standardised(nearest(18, 4, 5)))
    fit = so.fit("y ~ x0", simulate_sdm(w, 9, 2), w)
    monkeypatch.setattr("spillover.audit.other_periods.HELD", 300 * 45)
    assert (other_periods_p_value(fit, "x0") * 301) % 1 == pytest.approx(0.0, abs=1e-9)


def test_errors_that_neighbours_share_are_no_factor() -> None:
    # Regressor and errors are smooth over the map and have nothing to do with one another: SLX is right, its errors are
    # not independent, and the test is made in the model with W y.
    w = named_weights(row_standardised(nearest(49, 4, 5)))
    spread = np.linalg.inv(np.eye(49) - 0.7 * w.matrix.toarray())
    alone, asked = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        x, errors = (spread @ rng.normal(size=(49, 10)) for _ in range(2))
        fit = so.fit("y ~ x", panel_of(w, y=0.5 * x + 0.3 * w.lag(x) + errors, x=x), w, model="slx")
        alone.append(other_periods_p_value(fit, "x", draws=199))
        asked.append(audit_common_shock(fit, factors=1).facts["factors.needed_p_value"])
    assert np.mean(np.array(alone) <= 0.05) > 0.3
    assert np.mean(np.array(asked) <= 0.05) <= 0.15  # 0.05 expected, three standard errors


@pytest.mark.parametrize("serial", [0.0, 0.8])
def test_level_with_and_without_serial_correlation(serial: float) -> None:
    # A true spillover, a persistent regressor, 300 panels: 5 % and 20 % of p-values, four standard errors wide.
    config = SpatialPanelConfig(
        "sdm",
        40,
        10,
        regressors=(Regressor("x", 0.5, 0.3, persistence=0.8),),
        rho=0.3,
        errors=ErrorLaw(serial=serial),
    )
    found = []
    for seed in range(300):
        panel, truth = so.simulate(config, seed)
        found.append(other_periods_p_value(so.fit("y ~ x", panel, truth.weights), "x", draws=199))
    for level in (0.05, 0.2):
        share = np.mean(np.array(found) <= level)
        assert abs(share - level) < 4 * np.sqrt(level * (1 - level) / len(found))


def test_sees_shocks_that_groups_share_and_feedback() -> None:
    w, _, codes = grouped_map(60, 3, 4, 1)
    shocked = so.fit("y ~ x", shocked_panel(w, codes, 10, 1, shock=2.0), w, model="slx")
    assert other_periods_p_value(shocked, "x") < 0.01
    rng = np.random.default_rng(3)
    n, t = w.n, 10
    x, y = rng.normal(size=(n, t)), np.zeros((n, t))
    for s in range(t):
        x[:, s] += 0.8 * y[:, s - 1] if s else 0.0
        y[:, s] = 0.5 * x[:, s] + rng.normal(size=n)
    assert other_periods_p_value(so.fit("y ~ x", panel_of(w, y=y, x=x), w), "x") < 0.01
