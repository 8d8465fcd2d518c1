"""Recovery, size and coverage over many panels; tables with more designs stand in docs/moderators.md."""

from __future__ import annotations

import numpy as np
import pytest

import spillover as so
from simulated import named_weights, nearest, row_standardised
from spillover.models.fit import fit
from spillover.moderators.strength import fit_moderated_rho
from spillover.moderators.strength_score import lm_moderated_rho
from spillover.moderators.threshold import fit_threshold
from spillover.simulation.config import SystemConfig
from spillover.simulation.planted import PlantedStrength, PlantedThresholds
from spillover.weights.distance import build_exponential

pytestmark = pytest.mark.slow


def test_the_environment_elasticity_of_the_reference_system_is_recovered() -> None:
    """ψ_E = .5: talent inflow is E^ψ Σ_j A_j exp(−δ d_ij), so that with ln E as the receiver's moderator the ratio of
    the interaction to W x at the mean is ψ (exactly so for a normal ln E: Cov(f(z), z)/Var z = E f′(z))."""
    config = SystemConfig(n_regions=300, n_periods=10, environment_elasticity=0.5)
    found, covered = [], []
    for seed in range(40):
        panel, _ = so.simulate(config, seed)
        weights = build_exponential(panel, config.decay_per_km, standardise="none")
        moderated = so.moderate(
            "talent_inflow ~ hti",
            panel,
            weights,
            treatment="hti",
            moderators={"lnE": "log(environment)"},
            side="receiver",
            model="slx",
        )
        row = moderated.relative().set_index("term").loc["hti:lnE_receiver / W*hti"]
        found.append(row["estimate"])
        covered.append(row["conf_low"] <= 0.5 <= row["conf_high"])
    error = np.std(found, ddof=1) / np.sqrt(len(found))
    assert abs(np.mean(found) - 0.5) < 2.5 * error
    assert error < 0.04
    assert np.mean(covered) > 0.85  # 40 panels: .95 less three binomial sd of .034


@pytest.mark.parametrize(
    ("loading", "mean", "smooth", "effects"),
    [
        (0.0, 0.0, False, "two-way"),
        (0.3, 2.0, False, "two-way"),
        (0.0, 0.0, True, "two-way"),
        (0.0, 2.0, False, "individual"),
    ],
)
def test_size_of_the_score_test(loading: float, mean: float, smooth: bool, effects: str) -> None:
    """500 panels, N = 100, T = 10: within .03 to .07 (binomial sd .010)."""
    weights = named_weights(row_standardised(nearest(100, 5, seed=3)))
    periods = effects == "two-way"
    rejected = 0
    for seed in range(500):
        panel = PlantedStrength(loading=loading, mean=mean, smooth=smooth, periods=periods).draw(weights, seed)
        plain = fit("y ~ x", panel, weights, effects=effects, covariance="information")  # type: ignore[arg-type]
        rejected += lm_moderated_rho(plain, "z").p_value < 0.05
    assert 0.03 <= rejected / 500 <= 0.07


def test_coverage_of_a_moderated_strength() -> None:
    """ρ_1 = .1 and .4 in the middle, z in patches: 95 % intervals over 200 panels (binomial sd .015)."""
    weights = named_weights(row_standardised(nearest(100, 5, seed=3)))
    inside = np.zeros(2)
    values = []
    for seed in range(200):
        panel = PlantedStrength(slope=0.1, smooth=True).draw(weights, seed)
        found = fit_moderated_rho("y ~ x", panel, weights, moderators="z", covariance="information")
        limits = found.estimates.confint()[-2:]
        inside += (limits[:, 0] <= [0.4, 0.1]) & (limits[:, 1] >= [0.4, 0.1])
        values.append(found.rhos)
    assert (inside / 200 > 0.905).all()
    error = np.std(values, axis=0, ddof=1) / np.sqrt(200)
    assert abs(np.mean(values, axis=0)[1] - 0.1) < 3 * error[1]


def test_size_of_the_threshold_test_under_dependence_in_space() -> None:
    """400 panels, range 150 km: the spatial bootstrap within .03 to .07 (sd .011), Hansen's scheme above .2."""
    design = PlantedThresholds(range_km=150.0)
    rejected = np.zeros(2)
    for seed in range(400):
        panel = design.draw(seed)
        for i, kind in enumerate(("spatial", "hansen")):
            found = fit_threshold(
                "y ~ x",
                panel,
                threshold="q",
                switching="x",
                draws=199,
                grid=100,
                bootstrap=kind,
                seed=seed,  # type: ignore[arg-type]
            )
            rejected[i] += found.threshold_tests[0].test.p_value <= 0.05
    assert 0.03 <= rejected[0] / 400 <= 0.07
    assert rejected[1] / 400 > 0.2


@pytest.mark.parametrize(("heteroskedastic", "least"), [(0.0, 0.93), (0.5, 0.89)])
def test_coverage_of_the_confidence_set(heteroskedastic: float, least: float) -> None:
    """500 panels with a planted threshold (δ = .6): the set holds it; γ̂ is centred on it."""
    design = PlantedThresholds(jumps=((0.6, 0.0),), heteroskedastic=heteroskedastic)
    covered, values = 0, []
    for seed in range(500):
        found = fit_threshold("y ~ x", design.draw(seed), threshold="q", switching="x", bootstrap=None).thresholds[0]
        covered += found.covers(0.0)
        values.append(found.value)
    assert covered / 500 >= least
    assert abs(np.median(values)) < 0.02
