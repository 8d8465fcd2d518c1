"""The whole audit in one call: verdicts, rules that find their facts, reproducibility, bad input."""

from __future__ import annotations

import json
import pickle
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest

import spillover as so
from spillover.audit.audit import PARTS, audit_fit
from spillover.audit.rules import names_of, read_rules
from spillover.audit.task import FitTask
from spillover.errors import AlignmentError, DesignError, OptionError, UnknownColumnError
from spillover.models.random_effects import fit_random
from spillover.models.result import SpatialFit
from spillover.panel.panel import Panel
from spillover.simulation.spatial_panel import Regressor, SpatialPanelConfig
from spillover.weights.distance import build_knn
from spillover.weights.weights import SpatialWeights


def sample(theta: float = 0.6, n: int = 48, t: int = 12, seed: int = 4) -> tuple[Panel, SpatialWeights]:
    """48 regions × 12 periods: the closed form gives a power above .99 for this spillover."""
    config = SpatialPanelConfig(
        "sdm", n, t, regressors=(Regressor("x", 0.5, theta, persistence=0.5), Regressor("c", 0.3)), rho=0.3
    )
    panel, truth = so.simulate(config, seed)
    panel = panel.with_variables({"output": np.exp(panel["y"])})
    return replace(panel, groups={"land": tuple(f"L{i % 8}" for i in range(n))}), truth.weights


@pytest.fixture(scope="module")
def fit() -> SpatialFit:
    panel, w = sample()
    return so.fit("log(output) ~ x + c", panel, w)


@pytest.fixture(scope="module")
def audit(fit: SpatialFit) -> Any:
    others = {"3 nearest": build_knn(fit.panel, 3), "8 nearest": build_knn(fit.panel, 8)}
    few = float(np.quantile(fit.panel["output"].mean(axis=1), 0.1))
    return fit.audit("x", weights=others, draws=99, counts="output", small=few, channels=["c"])


def test_a_fit_with_random_effects_says_what_can_be_audited() -> None:
    panel, w = sample()
    with pytest.raises(OptionError, match="maximum likelihood, with fixed effects or none") as caught:
        fit_random("y ~ x + c", panel, w).audit()
    assert "RandomEffectsFit" in str(caught.value)
    assert 'effects="two-way"' in str(caught.value)


def test_every_fact_that_a_rule_mentions_is_one_that_the_audit_gives(audit: Any) -> None:
    """A rule with a misspelt fact would never apply and never be missed."""
    facts = audit.facts
    lost = {
        name
        for name in names_of(read_rules())
        if not any(key in facts for key in (name, f"{name}.own", f"{name}.spillover"))
    }
    assert lost == set()


def test_a_strong_spillover_stands_with_its_evidence(audit: Any) -> None:
    assert audit.spillover.verdict == "stands"
    assert audit.own.verdict == "stands"
    assert 2 <= len(audit.spillover.reasons) <= 4
    assert audit.spillover.facts["errors.p_value"] < 0.05
    assert list(audit.parts) == list(PARTS)


def test_no_spillover_in_a_large_sample_is_not_supported() -> None:
    """θ = −ρβ: the spillover is exactly zero; 100 × 12 would see one as large as the effect at home."""
    config = SpatialPanelConfig("sdm", 100, 12, regressors=(Regressor("x", 0.5, -0.15, persistence=0.5),), rho=0.3)
    panel, truth = so.simulate(config, 3)
    found = audit_fit(so.fit("y ~ x", panel, truth.weights), parts=["errors", "permutation", "detectable"], draws=99)
    assert found.own.verdict == "stands"
    assert found.spillover.verdict == "not supported"
    assert found.spillover.rule == "it would have been seen"


def test_shocks_that_groups_share_are_found_out() -> None:
    """No spillover; strips of the map share shocks to outcome and regressor: textbook errors see a spillover."""
    config = SpatialPanelConfig("sdm", 60, 10, regressors=(Regressor("x", 0.5, persistence=0.5),))
    panel, truth = so.simulate(config, 1)
    places = np.argsort(np.argsort(panel.geometry.centroid.x.to_numpy())) // 10  # six strips of ten
    shocks = 2.0 * np.random.default_rng(1).standard_normal((6, 10))[places]
    panel = panel.with_variables({"y": panel["y"] + 1.5 * shocks, "x": panel["x"] + shocks})
    panel = replace(panel, groups={"strip": tuple(f"S{code}" for code in places)})
    found = so.fit("y ~ x", panel, truth.weights).audit(parts=["errors", "permutation", "common-shock"], draws=99)
    assert found.facts["errors.p_value_textbook.spillover"] < 0.001
    assert found.spillover.verdict == "not supported"
    assert found.spillover.rule == "shocks that groups share"


def test_a_small_sample_says_that_it_is_one() -> None:
    config = SpatialPanelConfig("sdm", 30, 6, regressors=(Regressor("x", 0.3, 0.1, persistence=0.8),))
    panel, truth = so.simulate(config, 2)
    found = audit_fit(so.fit("y ~ x", panel, truth.weights), parts=["errors", "detectable"], draws=99)
    assert found.spillover.verdict == "not detectable"
    assert "ruled out" in found.spillover.sentence


def test_it_can_be_written_and_read(audit: Any) -> None:
    text = json.dumps(audit.to_dict(), allow_nan=False)
    back = json.loads(text)
    assert back["verdicts"]["spillover"]["verdict"] == audit.spillover.verdict
    assert set(back["parts"]) == set(PARTS)
    summary = audit.summary()
    assert summary.index("SPILLOVER") < summary.index(audit.part("permutation").question)
    assert list(audit.to_frame()["effect"]) == ["own", "spillover"]
    assert "spillover stands" in repr(audit)
    with pytest.raises(UnknownColumnError, match="no part"):
        audit.part("permutations")


@pytest.mark.slow
def test_workers_do_not_change_the_numbers(fit: SpatialFit) -> None:
    one = audit_fit(fit, draws=49, seed=3).facts
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        two = audit_fit(fit, draws=49, seed=3, executor=pool).facts
    assert one.keys() == two.keys()
    assert all(np.isclose(one[key], two[key], rtol=1e-9, atol=1e-12) for key in one)


def test_a_fit_can_be_sent_to_another_process(fit: SpatialFit) -> None:
    task = pickle.loads(pickle.dumps(FitTask.of(fit)))
    assert np.allclose(task.estimate().estimates.values, fit.estimates.values, rtol=1e-12)


def test_own_rules_decide(fit: SpatialFit, tmp_path: Any) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(
        '[[rule]]\nname = "never"\neffects = ["own", "spillover"]\nverdict = "fragile"\nwhen = []\nfacts = []\n'
        'because = ["Nothing ever stands."]\n'
    )
    found = audit_fit(fit, parts=["detectable"], rules=path)
    assert found.spillover.verdict == "fragile"
    assert found.spillover.reasons == ("Nothing ever stands.",)


# -- bad input --------------------------------------------------------------------------------------------


def test_mistakes_are_told_before_anything_is_computed(fit: SpatialFit) -> None:
    panel, w = sample()
    with pytest.raises(OptionError, match="no such part"):
        audit_fit(fit, parts=["permutations"])
    with pytest.raises(OptionError, match="no part of the audit has this option"):
        audit_fit(fit, cutoff=3)
    with pytest.raises(UnknownColumnError, match="no regressor"):
        audit_fit(fit, "z")
    with pytest.raises(UnknownColumnError, match="no grouping"):
        audit_fit(fit, groups="country")
    with pytest.raises(DesignError, match="every group has one region"):
        audit_fit(fit, groups={region: region for region in panel.regions})
    with pytest.raises(AlignmentError, match="different regions"):
        audit_fit(fit, weights={"part": w.subset(panel.regions[:40], islands="keep")})
    with pytest.raises(OptionError, match="too few draws"):
        audit_fit(fit, draws=5)
    with pytest.raises(OptionError, match="lead"):
        audit_fit(fit, parts=["timing"], lead=20)
    with pytest.raises(OptionError, match="positive size"):
        audit_fit(fit, parts=["detectable"], relevant_own=-1.0)
    with pytest.raises(UnknownColumnError, match="count"):
        audit_fit(fit, parts=["influence"], counts="counted")
    with pytest.raises(OptionError, match="maximum likelihood"):
        audit_fit(so.fit_random("y ~ x", panel, w, model="sar"))  # type: ignore[arg-type]


def test_an_outcome_that_is_part_of_the_regressor_is_an_identity_and_no_effect() -> None:
    """total = part + other: a strong "effect" of the total on its part."""
    panel, w = sample()
    rng = np.random.default_rng(1)
    part, other = np.exp(rng.standard_normal((2, *panel.shape)))
    panel = panel.with_variables({"part": part, "other": other, "total": part + other})
    found = so.fit("log(part) ~ log(total) + c", panel, w).audit(parts=["errors", "measures"], draws=99)
    assert found.facts["errors.p_value.own"] < 0.05
    assert found.own.verdict == "not supported"
    assert found.own.rule == "an identity"


def test_groups_without_links_inside_are_told(fit: SpatialFit) -> None:
    """Neighbours are always of the other kind: nothing is left inside groups, and the other parts go on."""
    panel, _ = sample()
    ring = np.zeros((48, 48))
    for i in range(48):
        ring[i, (i + 1) % 48] = ring[i, (i - 1) % 48] = 0.5
    w = so.weights.from_object(ring, regions=panel.regions)
    sides = {region: "even" if i % 2 else "odd" for i, region in enumerate(panel.regions)}
    found = so.fit("y ~ x + c", panel, w).audit(
        groups=sides, draws=19, parts=["errors", "common-shock", "permutation", "detectable"]
    )
    assert any("no link" in text for text in found.part("common-shock").skipped)
    assert "errors.p_value.spillover" in found.facts


def test_a_part_that_the_data_refuse_does_not_stop_the_others() -> None:
    panel, w = sample(t=3)
    found = so.fit("y ~ x + c", replace(panel, groups={}), w).audit(draws=19)
    assert found.spillover.verdict in ("stands", "fragile", "not supported", "not detectable")
    assert any("no groups" in text for text in found.part("permutation").skipped)
    assert found.part("common-shock").skipped
