"""The choice of regressors that enter as W x: one rule for every estimator."""

from __future__ import annotations

import pytest

import spillover as so
from spillover.errors import OptionError, UnknownColumnError, WeakIdentificationWarning
from spillover.models.lagged import choose_lagged
from spillover.simulation.spatial_panel import Regressor, SpatialPanelConfig

NAMES = ("x", "log(z)")


def test_names_are_found_as_a_user_writes_them_and_come_in_the_order_of_the_formula():
    assert choose_lagged(NAMES, "sdm", ["log( z )", "x", "x"]) == NAMES
    assert choose_lagged(NAMES, "slx", ["log( z )"]) == ("log(z)",)
    assert choose_lagged(NAMES, "gns", None) == NAMES
    assert choose_lagged(NAMES, "sem", None) == ()


def test_refusals():
    with pytest.raises(OptionError, match="no W x terms"):
        choose_lagged(NAMES, "sar", ["x"])
    with pytest.raises(OptionError, match="no lagged regressor"):
        choose_lagged(NAMES, "sdm", [])
    with pytest.raises(UnknownColumnError, match=r"'z' is to be lagged[\s\S]*log\(z\)"):
        choose_lagged(NAMES, "sdm", ["x", "z"])


def test_every_estimator_takes_the_same_spelling():
    # one panel on which all of them can be fitted; "I( x )" and "I(x)" are one term
    design = SpatialPanelConfig("slx", 30, 6, regressors=(Regressor("x", 0.3, 0.2), Regressor("z", 0.2)), counts=True)
    panel, truth = so.simulate(design, 1)
    w, text = truth.weights, "y ~ I(x) + z"
    with pytest.warns(WeakIdentificationWarning):  # two-stage least squares, of which only the names matter here
        two_stage = so.fit_two_stage(text, panel, w, model="sdm", lagged=["I( x )"])
    fits = (
        two_stage,
        so.fit(text, panel, w, model="sdm", lagged=["I( x )"]),
        so.fit_random(text, panel, w, model="sdm", lagged=["I( x )"]),
        so.fit_counts(text, panel, w, lagged=["I( x )"]),
        so.fit_missing(text, panel, w, model="sdm", lagged=["I( x )"]),
    )
    for fitted in fits:
        names = fitted.estimates.names
        assert "W*I(x)" in names
        assert "W*z" not in names
