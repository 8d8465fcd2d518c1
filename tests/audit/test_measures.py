"""One regressor in two clothes, outcomes that are part of a regressor, shared divisors, channels as controls."""

from __future__ import annotations

import numpy as np
import pytest

import spillover as so
from audit.maps import panel_of
from simulated import named_weights, nearest, row_standardised
from spillover.audit.identities import find_identities
from spillover.audit.measures import audit_measures
from spillover.errors import FormulaError, UnknownColumnError
from spillover.models.result import SpatialFit
from spillover.panel.panel import Panel
from spillover.weights.weights import SpatialWeights

N, T = 30, 8


def weights() -> SpatialWeights:
    return named_weights(row_standardised(nearest(N, 4, 5)))


def regional(seed: int = 1) -> Panel:
    """Firms, people, GDP, revenue, patents (inventions and others), R&D."""
    rng = np.random.default_rng(seed)

    def grown(level: float, spread: float) -> np.ndarray:
        return level * np.exp(rng.normal(size=(N, 1)) + spread * rng.normal(size=(N, T)).cumsum(axis=1))

    firms, people, gdp, revenue = grown(500, 0.1), grown(1e6, 0.02), grown(1e4, 0.05), grown(2e3, 0.15)
    inventions = (firms / people) ** 0.4 * grown(100, 0.05)
    utility, design = grown(300, 0.1), grown(80, 0.1)
    variables = {
        "firms": firms,
        "people": people,
        "gdp": gdp,
        "revenue": revenue,
        "inventions": inventions,
        "utility": utility,
        "design": design,
        "patents": inventions + utility + design,
        "rd": grown(50, 0.1) * firms**0.5,
        "sales": 0.3 * revenue * np.exp(0.1 * rng.normal(size=(N, T))),
    }
    variables["other_sales"] = revenue - variables["sales"]
    return panel_of(weights(), **variables)


def _within(values: np.ndarray) -> np.ndarray:
    return values - values.mean(axis=0) - values.mean(axis=1, keepdims=True) + values.mean()


def fitted(formula: str, **options: object) -> SpatialFit:
    return so.fit(formula, regional(), weights(), **options)  # type: ignore[arg-type]


def test_quotients_over_gdp_and_over_people_are_one_regressor_given_gdp_per_head() -> None:
    # ln(firms/gdp) = ln(firms/people) − ln(gdp/people); national ratios and areas drop out with the effects.
    fit = fitted("log(inventions / people) ~ log(firms / people) + log(gdp / people)")
    part = audit_measures(fit, measures=["log(firms / gdp)", "log(1000 * firms / people)", "log(revenue / gdp)"])
    assert part.facts["measures.same"] == 2.0
    assert part.facts["measures.different"] == 1.0
    kinds = dict(zip(part.table["what"], part.table["kind"], strict=True))
    assert kinds["log(firms / gdp)"] == "same"
    assert kinds["log(revenue / gdp)"] == "different"
    assert "one regressor" in part.sentences[0]
    own = part.table.query("effect == 'own'").set_index("what")["estimate"]
    assert own["log(firms / gdp)"] == pytest.approx(own["log(firms / people)"])
    part.to_dict()


def test_without_the_control_they_differ() -> None:
    part = audit_measures(fitted("log(inventions / people) ~ log(firms / people)"), measures=["log(firms / gdp)"])
    assert part.facts["measures.same"] == 0.0


@pytest.mark.parametrize(
    ("outcome", "regressor", "words"),
    [
        ("sales / people", "revenue / gdp", "revenue = sales + other_sales"),
        ("inventions / people", "patents / people", "patents = inventions + utility + design"),
        ("patents / people", "inventions / people", "patents = inventions + utility + design"),
    ],
)
def test_an_accounting_part_is_found_and_written_out(outcome: str, regressor: str, words: str) -> None:
    part = audit_measures(fitted(f"log({outcome}) ~ log({regressor})"))
    assert part.facts["measures.mechanical"] == 1.0
    assert words in part.sentences[0]


def test_unrelated_variables_are_no_identity() -> None:
    panel = regional()
    assert find_identities(panel, "inventions", "firms") == ()
    assert find_identities(panel, "gdp", "revenue") == ()
    holes = np.array(panel["design"])
    holes[3, 2] = np.nan  # one blank cell hides no identity
    assert find_identities(panel.with_variables({"design": holes}), "inventions", "patents")[0].rest == (
        "utility",
        "design",
    )
    part = audit_measures(fitted("log(inventions / people) ~ log(firms / gdp)"))
    assert part.facts["measures.mechanical"] == 0.0


def test_an_outcome_that_is_the_regressor_in_other_units() -> None:
    panel = regional()
    panel = panel.with_variables(
        {"thousands": panel["inventions"] / 1000.0 * np.exp(1e-5 * np.arange(T)[None] * np.ones((N, 1)))}
    )
    noise = np.random.default_rng(2).normal(size=(N, T)) * 1e-5
    panel = panel.with_variables({"thousands": panel["thousands"] * np.exp(noise)})
    part = audit_measures(so.fit("log(inventions) ~ log(thousands)", panel, weights()))
    assert part.facts["measures.mechanical"] == 1.0


def test_a_shared_divisor_that_is_noise_gives_its_slope() -> None:
    # y = log(a/v), x = log(b/v) with independent a, b, v: x explains y by var(v)/var(x) alone.
    rng = np.random.default_rng(3)
    a, b, v = (np.exp(s * rng.normal(size=(N, T))) for s in (0.3, 0.1, 0.3))
    panel = panel_of(weights(), a=a, b=b, v=v)
    fit = so.fit("log(a / v) ~ log(b / v)", panel, weights())
    part = audit_measures(fit)
    assert part.facts["measures.shared"] == 1.0
    row = part.table.query("kind == 'in outcome and regressor'").iloc[0]
    course, x = (_within(np.log(values)) for values in (v, b / v))
    assert row["estimate"] == pytest.approx(
        np.sum(course**2) / np.sum(x**2), rel=1e-3
    )  # the nudge is not infinitesimal
    assert fit.effects().estimate[0] == pytest.approx(0.9, abs=0.2)
    assert any("v stands in the outcome" in said for said in part.sentences)
    calm = audit_measures(fitted("log(inventions / people) ~ log(firms / people)"))
    assert calm.facts["measures.shared"] == 0.0  # people hardly change
    assert any("which is little" in said for said in calm.sentences)


def test_a_declared_channel_among_the_controls() -> None:
    fit = fitted("log(inventions / people) ~ log(firms / people) + log(rd / people)")
    part = audit_measures(fit, channels=["rd"])
    without = fitted("log(inventions / people) ~ log(firms / people)").effects()
    assert part.facts["measures.channels"] == 1.0
    assert part.facts["measures.without_channels.own"] == pytest.approx(without.estimate[0])
    assert any("is a channel that the study itself declares" in said for said in part.sentences)
    none = audit_measures(fit, channels=["revenue"])
    assert none.facts["measures.channels"] == 0.0


def test_refusals_and_what_is_missing() -> None:
    fit = fitted("log(inventions / people) ~ log(firms / people)")
    with pytest.raises(UnknownColumnError, match="'employment'"):
        audit_measures(fit, measures=["log(employment)"])
    with pytest.raises(UnknownColumnError, match=r"'mobility'[\s\S]*does not have"):
        audit_measures(fit, channels=["log(mobility)"])
    with pytest.raises(FormulaError, match="single terms"):
        audit_measures(fit, measures=["log(gdp) + log(rd)"])
    part = audit_measures(fit)
    assert len(part.skipped) == 2
    holes = np.array(fit.panel["revenue"])
    holes[0, 0] = np.nan
    part = audit_measures(
        so.fit(fit.spec.formula, fit.panel.with_variables({"revenue": holes}), weights()), measures=["log(revenue)"]
    )
    assert any("missing cells" in why for why in part.skipped)
