"""What is no mediation is refused, in words that say what to do."""

from __future__ import annotations

import numpy as np
import pytest

from mechanisms.mediation_data import simulate_system, three_weights
from spillover.errors import (
    AlignmentError,
    DesignError,
    FormulaError,
    MissingCellError,
    OptionError,
    SpilloverError,
    WeightsError,
)
from spillover.mechanisms.channels import CHANNELS, find_channel
from spillover.mechanisms.equation import parse_equation
from spillover.mechanisms.exposure import Exposure
from spillover.mechanisms.mediate import EquationOptions, mediate
from spillover.panel.panel import Panel

WEIGHTS = three_weights(30)
PANEL = simulate_system(WEIGHTS, 6, seed=1)


@pytest.mark.parametrize(
    ("outcome", "mediators", "treatment", "options", "error", "said"),
    [
        ("y ~ x", {"a": "x ~ c"}, "x", {}, OptionError, "part of the treatment and of the mediator 'a'"),
        ("y ~ I(x/c)", {"a": "x/c ~ x"}, "x", {}, OptionError, "x is part of the treatment and of the mediator 'a'"),
        ("y ~ log(m)", {"a": "log(m) ~ x"}, "log(m)", {}, OptionError, "part of the treatment and of the mediator"),
        ("m1 ~ x", {"a": "m1 ~ x"}, "x", {}, OptionError, "part of the mediator 'a' and of the outcome"),
        ("y ~ m1", {"a": "m1 ~ x"}, "x", {"outcome_parts": ["m1", "m2"]}, OptionError, "part of the outcome index"),
        ("y ~ m1", {"a": "m1 ~ x + m2", "b": "m2 ~ m1"}, "x", {}, DesignError, "b → a → b|a → b → a"),
        ("y ~ m1", {"a": "m1 ~ x + W*m2", "b": "m2 ~ m1"}, "x", {}, DesignError, "cycle"),
        ("y ~ m1", {"a": "m1 ~ x + y"}, "x", {}, DesignError, "the outcome stands in the equation of 'a'"),
        ("y ~ x", {"a": "m1 ~ x"}, "x", {}, DesignError, "'a' \\('m1' stands in no equation"),
        ("y ~ m1", {"a": "m1 ~ c"}, "x", {}, DesignError, "does not stand in its equation"),
        ("y ~ m1", {"a": "m1 ~ x + road*x"}, "x", {}, OptionError, "lags in space by 'road'"),
        ("y ~ m1", {"a": "m1 ~ x*c"}, "x", {}, OptionError, "write a product of variables as a:b"),
        ("y ~ m1 + I(m1**2)", {"a": "m1 ~ x"}, "x", {}, FormulaError, "m1:m1"),
        ("y ~ m1 + x + I(x**2)", {"a": "m1 ~ x"}, "x", {}, FormulaError, "the treatment"),
        ("y ~ m1 + near*y", {"a": "m1 ~ x"}, "x", {}, OptionError, "equation of 'outcome'.*rows sum to one"),
        ("y ~ m1 + W*y + near*y", {"a": "m1 ~ x"}, "x", {}, FormulaError, "lagged twice"),
        ("y ~ m1", {}, "x", {}, OptionError, "needs a mediator"),
        ("y ~ m1", {"outcome": "m1 ~ x"}, "x", {}, OptionError, "names that channels cannot have"),
        ("y ~ m1", {"a": "m1 ~ x", "b": "m1 ~ x + c"}, "x", {}, OptionError, "stands for two channels"),
        ("y ~ m1", {"a": "m1 ~ x"}, "x", {"lag": 6}, OptionError, "lag is not a possible number"),
        ("y ~ m1", {"a": "m1 ~ x"}, "x", {"covariance": "hc"}, OptionError, "unknown value for covariance"),
        ("y ~ m1", {"a": "m1 ~ x"}, "x", {"covariance": "conley"}, SpilloverError, "cutoff_km"),
        ("y ~ m1", {"a": "m1 ~ x + x:x + c + I(c + c)"}, "x", {}, DesignError, "equation of 'a'.*exact combinations"),
        ("y ~ m1 ~ x", {"a": "m1 ~ x"}, "x", {}, FormulaError, "equation of 'outcome'"),
        ("y ~ m1 + m1", {"a": "m1 ~ x"}, "x", {}, FormulaError, "twice"),
    ],
)
def test_what_is_refused(
    outcome: str,
    mediators: dict[str, str],
    treatment: str,
    options: dict[str, object],
    error: type[SpilloverError],
    said: str,
) -> None:
    with pytest.raises(error, match=f"(?s){said}"):
        mediate(outcome, mediators, treatment, PANEL, WEIGHTS, **{"lag": 0, **options})  # type: ignore[arg-type]


def test_a_common_divisor_is_no_overlap() -> None:
    people = np.exp(np.random.default_rng(0).normal(size=PANEL.shape))
    values = {name: np.exp(PANEL[name]) for name in ("x", "m1", "y")}
    panel = PANEL.with_variables({**values, "people": people})
    found = mediate(
        "log(y/people) ~ log(x/people) + log(m1/people)",
        {"a": "log(m1/people) ~ log(x/people)"},
        "log(x/people)",
        panel,
        lag=0,
    )
    assert found.channels == ("a",)
    with pytest.raises(OptionError, match="people is part of"):
        mediate("log(y/people) ~ log(people)", {"a": "log(people) ~ x"}, "x", panel, lag=0)


def test_missing_cells_are_named() -> None:
    values = PANEL["m1"].copy()
    values[3, 2] = np.nan
    with pytest.raises(MissingCellError, match="m1 of r003 in 2002"):
        mediate("y ~ m1 + W*m1", {"a": "m1 ~ x"}, "x", PANEL.with_variables({"m1": values}), WEIGHTS, lag=0)


def test_other_regions_and_other_objects() -> None:
    w = WEIGHTS["W"]
    fewer = w.subset(w.regions[:29], islands="keep")
    with pytest.raises(AlignmentError, match="W 'W'"):
        mediate("y ~ m1 + W*m1", {"a": "m1 ~ x"}, "x", PANEL, fewer, lag=0)
    with pytest.raises(OptionError, match="not a SpatialWeights"):
        mediate("y ~ m1 + W*m1", {"a": "m1 ~ x"}, "x", PANEL, {"W": np.eye(30)}, lag=0)  # type: ignore[dict-item]
    with pytest.raises(OptionError, match="given by name"):
        mediate("y ~ m1", ["m1 ~ x"], "x", PANEL, lag=0)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="a setting of one equation"):
        EquationOptions("m1 ~ x", {"model": "sdm"})
    exposure = Exposure(WEIGHTS["near"], np.ones(30))
    with pytest.raises(WeightsError, match="cannot lag the response"):
        mediate("y ~ m1 + W*y", {"a": "m1 ~ x"}, "x", PANEL, exposure, lag=0)
    with pytest.raises(WeightsError, match="one number of zero or more"):
        Exposure(WEIGHTS["near"], np.ones(29))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"outcome": None}, "outcome: NoneType"),
        ({"mediators": {"a": 3}}, "mediator 'a': int"),
        ({"mediators": {3: "m1 ~ x"}}, "name 3: int"),
        ({"treatment": ["x"]}, "treatment: list"),
        ({"controls": [3]}, "control 3: int"),
        ({"panel": PANEL.to_frame()}, "not a Panel"),
        ({"mediators": {"Total": "m1 ~ x"}}, "names that channels cannot have"),
        ({"outcome": " ~ m1"}, "has no response"),
        ({"outcome": "y ~ m1 + m1:m1", "at": {"m1": float("nan")}}, "no finite number"),
        ({"outcome": "y ~ m1 + m1:m1", "at": {"m1": "high"}}, "no finite number"),
        ({"outcome_parts": "m1"}, "part of the outcome index"),
    ],
)
def test_what_is_no_text_is_refused_before_anything_is_read(asked: dict[str, object], said: str) -> None:
    given = {"outcome": "y ~ m1", "mediators": {"a": "m1 ~ x"}, "treatment": "x", "panel": PANEL, "lag": 0}
    with pytest.raises(SpilloverError, match=said):
        mediate(**{**given, **asked})  # type: ignore[arg-type]


def test_seeds_draws_and_absorbed_mediators_are_refused_in_the_users_words() -> None:
    found = mediate("y ~ m1", {"a": "m1 ~ x"}, "x", PANEL, lag=0)
    for seed in (-1, "a"):
        with pytest.raises(OptionError, match="seed"):
            found.effects(method="simulation", seed=seed)  # type: ignore[arg-type]
        with pytest.raises(OptionError, match="seed"):
            found.bootstrap(99, seed=seed)  # type: ignore[arg-type]
    with pytest.raises(SpilloverError, match="too few draws"):
        found.effects(method="simulation", draws=100.5)  # type: ignore[arg-type]
    constant = PANEL.with_variables({"k": np.ones(PANEL.shape)})
    with pytest.raises(DesignError, match="equation of 'a': the outcome 'k' is"):
        mediate("y ~ k", {"a": "k ~ x"}, "x", constant, lag=0)


def test_a_cross_section_has_no_lag_and_says_so() -> None:
    panel = simulate_system(three_weights(60), 1, seed=2)
    section = Panel(panel.regions, panel.periods, panel.variables, is_panel=False)
    found = mediate("y ~ x + m1", {"a": "m1 ~ x"}, "x", section)
    assert found.sample.timing.treatment == 0
    assert "too short for a lag" in " ".join(found.notes)


def test_the_papers_channels_are_known_by_their_names() -> None:
    assert len({c.name for c in CHANNELS}) == len(CHANNELS) == 7
    found = find_channel("Capital")
    assert found is not None
    assert found.name == "capital allocation"
    assert found.backwash
    competition = find_channel("competition_pressure")
    assert competition is not None
    assert competition.shape == "inverted-u"


def test_equations_are_read_as_written() -> None:
    equation = parse_equation("a", "m ~ x + W*x:z + `my W`*log(c) + W*m - 1")
    assert [term.name for term in equation.terms] == ["x", "W*x:z", "my W*log(c)"]
    assert (equation.feedback, equation.intercept, equation.lag_names) == ("W", False, ("W", "my W"))
