"""The error bars of an audit: every kind is that of the fit, and the p-value to believe is the most careful one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import spillover as so
from spillover.audit.error_bars import audit_errors, usual_cutoffs
from spillover.audit.focus import focus_effects
from spillover.audit.size import ErrorDraws, audit_size
from spillover.audit.wild import wild_test
from spillover.errors import OptionError, UnknownColumnError
from spillover.panel.panel import Panel
from spillover.simulation.spatial_panel import ErrorLaw, Regressor, SpatialPanelConfig
from spillover.weights.weights import SpatialWeights


def sample(serial: float = 0.7, n: int = 36, t: int = 10, groups: int = 12) -> tuple[Panel, SpatialWeights]:
    config = SpatialPanelConfig(
        "sdm",
        n,
        t,
        regressors=(Regressor("x", 0.4, persistence=0.8), Regressor("c", 0.2)),
        errors=ErrorLaw(serial=serial),
    )
    panel, truth = so.simulate(config, 5)
    return replace(panel, groups={"land": tuple(f"L{i % groups:02d}" for i in range(n))}), truth.weights


def test_rows_are_those_of_the_fit_with_each_covariance() -> None:
    panel, w = sample()
    fit = so.fit("y ~ x + c", panel, w)
    part = audit_errors(fit, draws=99)
    table = part.table.set_index(["effect", "kind"])
    for kind in ("information", "sandwich", "cluster", "two-way-cluster", "driscoll-kraay"):
        known = focus_effects(fit.with_covariance(kind), "x")  # type: ignore[arg-type]
        assert known.spillover is not None
        for effect, value in known.items():
            row = table.loc[(effect, kind)]
            assert np.isclose(row["std_error"], value.std_error)
            assert np.isclose(row["p_value"], value.p_value)
    near = usual_cutoffs(fit)[0]
    conley = focus_effects(fit.with_covariance("conley", cutoff_km=near), "x").own
    assert np.isclose(table.loc[("own", f"conley {near:.0f} km"), "std_error"], conley.std_error)
    assert np.isclose(table.loc[("own", "cluster"), "ratio"], part.facts["errors.ratio.own"])


def test_the_p_value_to_believe_is_that_of_the_bootstrap_that_applies() -> None:
    panel, w = sample()
    rng = np.random.default_rng(1)
    codes = np.arange(36) % 12
    shaken = panel.with_variables({"y": panel["y"] + 2.0 * rng.standard_normal((12, 10))[codes]})
    quiet = audit_errors(so.fit("y ~ x + c", panel, w), draws=99).facts
    shared = audit_errors(so.fit("y ~ x + c", shaken, w), draws=99).facts
    assert "errors.p_value_wild_group.own" not in quiet
    assert shared["errors.group_p_value"] <= 0.01
    for facts in (quiet, shared):
        for effect in ("own", "spillover"):
            kinds = [f"errors.p_value_{kind}.{effect}" for kind in ("wild_region", "wild_group")]
            assert facts[f"errors.p_value.{effect}"] == max(facts[key] for key in kinds if key in facts)
    test = wild_test(so.fit("y ~ x + c", shaken, w), clusters=[f"L{c:02d}" for c in codes], draws=99)
    assert shared["errors.p_value_wild_group.spillover"] == test.p_value


def test_few_groups_are_told_and_not_clustered_by() -> None:
    panel, w = sample(groups=4)
    rng = np.random.default_rng(1)
    shaken = panel.with_variables({"y": panel["y"] + 2.0 * rng.standard_normal((4, 10))[np.arange(36) % 4]})
    part = audit_errors(so.fit("y ~ x + c", shaken, w), draws=99)
    assert "errors.p_value_wild_group.own" not in part.facts
    assert any("4 lands are too few" in text for text in part.skipped)


def test_what_cannot_be_done_says_why() -> None:
    panel, w = sample(t=4)
    part = audit_errors(so.fit("y ~ x + c", replace(panel, geometry=None), w, model="sdem"), draws=99)
    said = " ".join(part.skipped)
    assert "no map" in said
    assert "Driscoll–Kraay" in said
    assert "not for SDEM" in said
    assert part.facts["errors.p_value.spillover"] == part.facts["errors.p_value_cluster.spillover"]
    with pytest.raises(UnknownColumnError, match="no regressor"):
        audit_errors(so.fit("y ~ x", panel, w), "z")


def test_a_model_without_spillover_has_one_effect() -> None:
    panel, w = sample()
    part = audit_errors(so.fit("y ~ x + c", panel, w, model="ols"), draws=99)
    assert set(part.table["effect"]) == {"own"}
    assert not any(name.endswith(".spillover") for name in part.facts)


# -- simulated size -------------------------------------------------------------------------------------


def test_errors_that_are_drawn_have_the_law_they_claim() -> None:
    """40,000 numbers for each moment: relative error of a variance about 1 %."""
    root = np.linalg.cholesky(np.array([[1.0, 0.6], [0.6, 1.0]])).T
    law = ErrorDraws(np.array([1.0, 2.0, 1.0]), root, 0.3, np.array([0, 0, 1]))
    drawn = law.draw(np.random.default_rng(1), 40_000)
    assert np.allclose(drawn.var(axis=0), [[1.0, 1.0], [4.0, 4.0], [1.0, 1.0]], rtol=0.04)
    assert np.isclose(np.corrcoef(drawn[:, 0, 0], drawn[:, 0, 1])[0, 1], 0.6, atol=0.02)
    assert np.isclose(np.corrcoef(drawn[:, 0, 0], drawn[:, 1, 0])[0, 1], 0.3, atol=0.02)
    assert np.isclose(np.corrcoef(drawn[:, 0, 0], drawn[:, 2, 0])[0, 1], 0.0, atol=0.02)


def test_the_information_matrix_rejects_too_often_under_serial_correlation_and_clusters_do_not() -> None:
    """What the theory says of this design: independent errors 5 %, AR(0.7) far more with information-matrix errors."""
    panel, w = sample(t=12)
    part = audit_size(so.fit("y ~ x + c", panel, w), draws=499)
    table = part.table.set_index(["effect", "errors", "test"])["rejected"]
    assert 0.02 < table["spillover", "independent", "information"] < 0.09
    assert table["spillover", "serial", "information"] > 0.15
    assert 0.02 < table["spillover", "serial", "cluster"] < 0.11
    assert part.facts["size.information.spillover"] > part.facts["size.cluster.spillover"]


def test_size_is_reproducible_and_refuses_what_it_cannot_draw() -> None:
    panel, w = sample()
    fit = so.fit("y ~ x + c", panel, w)
    one, two = (audit_size(fit, draws=99, seed=4).table for _ in range(2))
    assert one.equals(two)
    with pytest.raises(OptionError, match="not simulated"):
        audit_size(so.fit("y ~ x", panel, w, model="sem"))
