"""The curve over thresholds: against explicit least squares; the boundary rule by hand; the legacy curve."""

from __future__ import annotations

import numpy as np
import pytest

from moderators.space import scatter, slx_panel
from moderators.test_rings import explicit
from spillover.errors import AssumptionWarning, DesignError, OptionError
from spillover.inference.estimates import Estimates
from spillover.moderators.boundary import LEGACY, POWER_ENDS, fit_boundary
from spillover.moderators.boundary_distance import find_boundary, first_quiet, joint_draws

DISTANCES = scatter(60)
CUT = lambda d: ((d > 0) & (d <= 150)).astype(float)  # noqa: E731
PANEL = slx_panel(DISTANCES, 10, seed=1, spatial=CUT)
THRESHOLDS = (50, 100, 150, 200, 300)


@pytest.fixture(scope="module")
def fit():
    return fit_boundary("y ~ x + z", PANEL, thresholds=THRESHOLDS, distances=DISTANCES)


def test_equals_dummies_with_nested_rings(fit):
    d = np.asarray(DISTANCES.matrix)
    for k, h in enumerate(THRESHOLDS):
        rings = [((d > a) & (d <= b)) @ PANEL["x"] for a, b in zip((0, *THRESHOLDS), THRESHOLDS[: k + 1], strict=False)]
        far = np.where(d > h, 1.0 / np.maximum(d, 1e-9), 0.0)
        b, _, _ = explicit(PANEL, [PANEL["x"], PANEL["z"], *rings, far @ PANEL["x"]])
        assert fit.slopes.values[k] == pytest.approx(b[-1], rel=1e-8)
        assert fit.estimates.values[k] == pytest.approx(b[-1] * far.sum() / 60, rel=1e-8)


def test_joint_covariance_holds_the_single_ones(fit):
    """Each threshold's variance is that of its own regression, errors related over 2 × the median threshold."""
    d = np.asarray(DISTANCES.matrix)
    h = THRESHOLDS[2]
    rings = [((d > a) & (d <= b)) @ PANEL["x"] for a, b in ((0, 50), (50, 100), (100, 150))]
    far = np.where(d > h, 1.0 / np.maximum(d, 1e-9), 0.0) @ PANEL["x"]
    _, e, z = explicit(PANEL, [PANEL["x"], PANEL["z"], *rings, far])
    scores = (z * e[:, None]).reshape(60, 10, -1) @ np.linalg.inv(z.T @ z)[:, -1]
    u = d / (2 * 150.0)
    kernel = np.where(u < 1, (1 - u) ** 4 * (4 * u + 1), 0.0)
    variance = np.einsum("ij,it,jt->", kernel, scores, scores) * 60 / 59
    assert fit.slopes.cov[2, 2] == pytest.approx(variance, rel=1e-7)


def test_finds_where_a_sharp_spillover_ends(fit):
    assert fit.boundary.distance == 150.0
    assert fit.boundary.lower == 100.0  # it reaches further than 100 km: the truth is 150
    assert fit.boundary.upper is None
    assert fit.boundary.resampled_low <= 150.0 <= fit.boundary.resampled_high
    said = fit.sentence()
    assert POWER_ENDS in said
    assert "visible from beyond 100 km (95 % confidence); the band for the whole curve" in said
    assert "holds zero from 150 km on" in said
    assert fit.decay is not None
    assert "Half-distance" in said
    table = fit.table()
    assert (table["p_step_down"] <= table["p_adjusted"] + 0.01).all()  # stepping down rejects more; simulation error


def test_the_legacy_curve_is_negative_beyond_the_cut():
    with pytest.warns(AssumptionWarning, match="no attenuation curve"):
        legacy = fit_boundary("y ~ x + z", PANEL, thresholds=THRESHOLDS, distances=DISTANCES, legacy=True)
    far = np.asarray(THRESHOLDS) >= 150
    assert (legacy.estimates.values[far] < 0).all()
    assert (legacy.estimates.p_values()[far] < 0.05).any()
    assert legacy.sentence() == LEGACY
    assert LEGACY in legacy.notes
    assert legacy.decay is None


def test_no_spillover_is_told():
    panel = slx_panel(DISTANCES, 10, seed=2, theta=0.0)
    found = fit_boundary("y ~ x + z", panel, thresholds=THRESHOLDS, distances=DISTANCES)
    assert found.boundary.lower is None
    assert "No spillover is visible" in found.sentence()
    assert POWER_ENDS in found.sentence()


def test_the_rule_by_hand():
    loud = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 1]], dtype=bool)
    assert first_quiet(loud).tolist() == [2, 3, 0, 4, 4]


def test_tests_are_taken_in_order():
    """t = (9, 9, .1, 3): the nulls "zero from k on" have largest |t| 9, 9, 3, 3 and quantiles 2.5, 2.4, 2.2, 2.0."""
    estimates = Estimates(tuple("abcd"), np.array([9.0, 9.0, 0.1, 3.0]), np.eye(4), None, "test")
    null = joint_draws(estimates, 20_000, 1)
    thresholds = np.array([50.0, 100.0, 150.0, 200.0])
    found = find_boundary(estimates, thresholds, 2.5, null, 0.95)
    assert found.distance is None  # the band excludes zero at the last threshold
    assert found.lower == 200.0
    # t = (1, 9, .1, 3): nothing is rejected at the first only if the largest of all is small; here it is 9
    quiet = Estimates(tuple("abcd"), np.array([1.0, 1.5, 0.1, 2.1]), np.eye(4), None, "test")
    found = find_boundary(quiet, thresholds, 2.5, null, 0.95)
    assert (found.distance, found.lower) == (50.0, None)  # 2.1 alone would pass at the last, which is never reached


def test_joint_draws_have_the_law_of_the_estimates():
    cov = np.array([[4.0, 3.0], [3.0, 9.0]])
    drawn = joint_draws(Estimates(("a", "b"), np.zeros(2), cov, 9.0, "test"), 40_000, 2)
    assert np.corrcoef(drawn.T)[0, 1] == pytest.approx(0.5, abs=0.02)
    assert drawn.std(axis=0) == pytest.approx(np.sqrt(9 / 7), rel=0.03)  # of t(9)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"thresholds": (100, 50)}, OptionError, "increasing"),
        ({"thresholds": (50,)}, OptionError, "two or more"),
        ({"thresholds": (5000, 6000)}, DesignError, "fewer than two thresholds"),
        ({"power": -1.0}, OptionError, "power"),
    ],
)
def test_thresholds_that_are_none(options, error, says):
    with pytest.raises(error, match=says):
        fit_boundary("y ~ x", PANEL, distances=DISTANCES, **options)


def test_thresholds_beyond_the_map_are_left_out_and_named():
    found = fit_boundary("y ~ x", PANEL, thresholds=(50, 150, 5000), distances=DISTANCES)
    assert found.thresholds.tolist() == [50.0, 150.0]
    assert any("5000" in note for note in found.notes)
