"""Does the demo's study recover the truth? 200 panels from the demo's reference system, seeds 0 to 199.

Binomial standard error of a coverage of 95 % over 200 panels: 1.5 points. The band 92–98 % is two of them either way.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import spillover as so
from spillover.simulation.recovery import fit_recommended, recover
from spillover.simulation.reference import DEMO_STUDY, demo_config
from spillover.simulation.system import simulate
from spillover.weights.distance import build_exponential

SEEDS = range(200)


def fit_demo(panel):
    return fit_recommended(panel).effects().set_index("effect")


@pytest.fixture(scope="module")
def recovered():
    return {row.effect: row for row in recover(demo_config(), SEEDS)}


@pytest.mark.slow
@pytest.mark.parametrize("effect", ["direct", "indirect", "total"])
def test_interval_covers_the_truth(recovered, effect):
    assert 0.92 <= recovered[effect].coverage <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("effect", ["direct", "indirect", "total"])
def test_estimates_are_centred_and_their_errors_honest(recovered, effect):
    row = recovered[effect]
    assert abs(row.bias) < 3 * row.sd / np.sqrt(row.panels)
    # an sd from 200 panels has a relative error of 5 %
    assert row.mean_std_error / row.sd == pytest.approx(1.0, abs=0.15)


def test_fit_is_least_squares_with_region_clusters():
    """The study's numbers for one panel against the estimator written out in numpy."""
    panel, _ = simulate(demo_config(), 3)
    a, y = panel["hti"], panel["patents"]
    n = len(a)
    centres = np.column_stack([panel.geometry.centroid.x, panel.geometry.centroid.y])
    d = np.linalg.norm(centres[:, None] - centres[None], axis=2)
    kernel = np.where(0.00892 * d <= 6.64, np.exp(-0.00892 * d), 0.0)
    np.fill_diagonal(kernel, 0.0)

    def within(x):
        return x - x.mean(axis=0) - x.mean(axis=1, keepdims=True) + x.mean()

    z = np.stack([within(a), within(kernel @ a)], axis=2)
    flat = z.reshape(-1, 2)
    bread = np.linalg.inv(flat.T @ flat)
    slope = bread @ flat.T @ within(y).ravel()
    scores = np.einsum("itk,it->ik", z, within(y) - z @ slope)
    free = (n - 1) * (a.shape[1] - 1)
    cov = n / (n - 1) * free / (free - 2) * bread @ scores.T @ scores @ bread
    rows = kernel.sum(axis=1).mean()
    reach = stats.t.isf(0.025, n - 1)
    effects = fit_demo(panel)
    for name, value, error in (
        ("direct", slope[0], np.sqrt(cov[0, 0])),
        ("indirect", rows * slope[1], rows * np.sqrt(cov[1, 1])),
    ):
        row = effects.loc[name]
        # the same algebra in another order: agreement to rounding
        assert row.estimate == pytest.approx(value, rel=1e-9)
        assert row.std_error == pytest.approx(error, rel=1e-9)
        assert (row.conf_low, row.conf_high) == pytest.approx((value - reach * error, value + reach * error), rel=1e-9)


def test_scaling_w_leaves_effects_alone():
    panel, _ = simulate(demo_config(), 3)
    raw = build_exponential(panel, DEMO_STUDY.decay_per_km, standardise="none")
    scaled = build_exponential(panel, DEMO_STUDY.decay_per_km, standardise="scalar")
    one, two = (
        so.fit("patents ~ hti", panel, w, model="slx", effects="two-way").effects()["estimate"].to_numpy()
        for w in (raw, scaled)
    )
    assert one == pytest.approx(two, rel=1e-9)
