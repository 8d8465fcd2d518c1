"""The demo's own panel."""

from __future__ import annotations

import numpy as np
import pytest

import spillover as so
from spillover.simulation.reference import DEMO_SEED, DEMO_STUDY, demo_config
from spillover.simulation.system import simulate
from spillover.weights.distance import build_exponential


@pytest.fixture(scope="module")
def drawn():
    return simulate(demo_config(), DEMO_SEED)


def test_w_is_the_true_kernel_outside_the_diagonal(drawn):
    # the study's W, built from the map alone, times one constant is the truth: 154.8 + 78.4 + 100 patents at distance 0
    panel, truth = drawn
    weights = build_exponential(panel, DEMO_STUDY.decay_per_km, DEMO_STUDY.threshold_km, standardise="none")
    between = truth.to_array()
    np.fill_diagonal(between, 0.0)
    assert weights.align(truth.regions).matrix.toarray() * 333.2 == pytest.approx(between, rel=1e-9)


def test_demo_covers_its_truth(drawn):
    panel, truth = drawn
    study = DEMO_STUDY
    weights = build_exponential(panel, study.decay_per_km, study.threshold_km, standardise=study.standardise)
    fitted = so.fit(
        study.formula, panel, weights, model=study.model, effects=study.effects, covariance=study.covariance
    )
    effects = fitted.effects().set_index("effect")
    for name, known in (("direct", truth.direct), ("indirect", truth.spillover), ("total", truth.total)):
        assert effects.loc[name].conf_low <= known <= effects.loc[name].conf_high


def test_all_channels_share_one_kernel(drawn):
    _, truth = drawn
    halves = [channel.half_distance_km for channel in truth.channels]
    assert halves == pytest.approx([77.707] * 3, abs=1e-3)  # ln 2 / .00892
    # with one kernel the shares are those at distance 0: 154.8, 78.4 and 100 of 333.2
    for effect in ("direct", "spillover"):
        assert list(truth.shares(effect).values()) == pytest.approx([154.8 / 333.2, 78.4 / 333.2, 100 / 333.2])
