"""What is no panel, no W, no expression or made of the outcome is refused by every door of the room, in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import spillover as so
from simulated import named_weights, nearest, row_standardised
from spillover.errors import AlignmentError, DesignError, OptionError, SpilloverError, ValueDomainError
from spillover.panel.panel import Panel

N, T = 40, 10
W = named_weights(row_standardised(nearest(N, 5, seed=1)))


def draw_panel() -> Panel:
    rng = np.random.default_rng(2)
    names = ("x", "z", "pat", "rd", "people")
    values = {name: np.exp(0.5 * rng.normal(size=(N, T))) for name in names}
    values["fixed"] = values["z"][:, :1] + np.zeros(T)
    values["huge"] = np.where(values["z"] == values["z"].max(), 1e300, values["z"])
    values["one"] = np.zeros((N, T))
    values["one"][7] = 1.0
    return Panel(W.regions, tuple(range(2000, 2000 + T)), values)


PANEL = draw_panel()
F = "log(pat) ~ log(x) + log(rd)"
X = {"treatment": "log(x)"}
Door = Callable[..., Any]
DOORS: dict[str, tuple[Door, str, dict[str, Any]]] = {
    "moderate": (so.moderate, "moderators", X),
    "rho": (so.fit_moderated_rho, "moderators", {"base": "mean"}),
    "threshold": (so.fit_threshold, "threshold", {"switching": "log(x)", "bootstrap": None}),
    "smooth": (so.fit_smooth_transition, "threshold", {"switching": "log(x)"}),
}


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("moderator", "error", "said"),
    [
        ("log(pat)", OptionError, "pat is part of the moderator and of the outcome"),
        ({"z": "pat / people"}, OptionError, "pat is part of the moderator and of the outcome"),
        (None, OptionError, "different expressions of panel variables|at least one moderator"),
        (3, OptionError, "different expressions of panel variables"),
        ({"a": 3}, OptionError, "different expressions of panel variables"),
        ({3: "z"}, OptionError, "different expressions of panel variables"),
        ({" ": "z"}, OptionError, "different expressions of panel variables"),
        ("huge", ValueDomainError, "values of 'huge' are too large"),
    ],
)
def test_moderators_are_expressions_of_other_variables(
    door: str, moderator: object, error: type[SpilloverError], said: str
) -> None:
    function, name, options = DOORS[door]
    with pytest.raises(error, match=said):
        function(F, PANEL, W, **{name: moderator}, **options)


def test_a_common_divisor_makes_no_moderator_of_the_outcome() -> None:
    found = so.moderate("log(pat/people) ~ log(x)", PANEL, W, moderators="log(rd/people)", **X)
    assert found.moderators[0].name == "log(rd / people)"


@pytest.mark.parametrize("door", [*DOORS, "environment", "regimes", "networks"])
def test_frames_and_arrays_are_no_panel_and_no_weights(door: str) -> None:
    function, name, options = DOORS.get(door, (None, "", {}))
    if function is not None:
        options = {**options, name: "fixed"}
    elif door == "environment":
        function, options = so.moderate_environment, {**X, "parts": ("z", "rd")}
    elif door == "regimes":
        halves = {region: "a" if i % 2 else "b" for i, region in enumerate(W.regions)}
        function, options = so.fit_regimes, {"regimes": halves}
    else:
        with pytest.raises(OptionError, match="not a SpatialWeights"):
            so.compare_networks(F, PANEL, {"a": W, "b": W.matrix.toarray()}, **X)  # type: ignore[dict-item]
        return
    with pytest.raises(OptionError, match="not a Panel"):
        function(F, PANEL.to_frame(), W, **options)
    with pytest.raises(OptionError, match=r"not a SpatialWeights|needs one W"):
        function(F, PANEL, W.matrix.toarray(), **options)


def test_parts_of_an_environment_are_not_made_of_the_outcome() -> None:
    with pytest.raises(OptionError, match="pat is part of the moderator"):
        so.moderate_environment(F, PANEL, W, parts=("z", "pat"), **X)
    for parts in ("z", None, 3):
        with pytest.raises(OptionError, match="two parts or more"):
            so.moderate_environment(F, PANEL, W, parts=parts, **X)  # type: ignore[arg-type]


def test_groups_are_named_by_region() -> None:
    with pytest.raises(OptionError, match="given by region"):
        so.fit_regimes(F, PANEL, W, regimes=["a", "b"] * 20)  # type: ignore[arg-type]
    codes = {region: i % 2 for i, region in enumerate(W.regions)}
    assert so.fit_regimes(F, PANEL, W, regimes=codes).regimes == ("0", "1")  # type: ignore[arg-type]
    with pytest.raises(AlignmentError, match="1 regions have no group"):
        so.fit_regimes(F, PANEL, W, regimes=codes | {W.regions[0]: float("nan")})  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:error variances")
def test_a_strength_that_cannot_be_told_is_refused() -> None:
    # z × period effects take out a region that z marks alone, so that nothing of z∘Wy is left to estimate ρ_1 from.
    with pytest.raises(DesignError, match=r"cannot be told for these moderators[\s\S]*rho:one"):
        so.fit_moderated_rho(F, PANEL, W, moderators="one")
    with pytest.raises(DesignError, match=r"cannot be told for these moderators[\s\S]*rho:a, rho:b"):
        so.fit_moderated_rho(F, PANEL, W, moderators={"a": "fixed", "b": "fixed"})
    fitted = so.fit(F, PANEL, W, model="sdm", effects="two-way")
    with pytest.raises(DesignError, match="cannot be told"):
        so.lm_moderated_rho(fitted, "one")
    with pytest.raises(OptionError, match="pat is part of the moderator"):
        so.lm_moderated_rho(fitted, "pat", base="mean")


def test_other_things_asked_for_in_vain() -> None:
    for treatment in (None, 3):
        with pytest.raises(OptionError, match="the treatment is a regressor"):
            so.moderate(F, PANEL, W, treatment=treatment, moderators="z")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="for what is no moderator"):
        so.moderate(F, PANEL, W, moderators="z", centre={"zz": 1.0}, **X)
    with pytest.raises(OptionError, match="pairs are given by name"):
        so.moderate(F, PANEL, W, pairs=W, **X)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="seed"):
        so.fit_threshold(F, PANEL, W, threshold="z", switching="log(x)", bootstrap=None, seed=-1)
    with pytest.raises(OptionError, match="at most 100,000"):
        so.fit_threshold(F, PANEL, W, threshold="z", switching="log(x)", bootstrap="period", draws=10**9)
    ties = PANEL.with_variables({"rating": np.round(PANEL["z"]).clip(0, 2)})
    with pytest.raises(DesignError, match=r"too few distinct values[\s\S]*ties everywhere"):
        so.fit_smooth_transition(F, ties, W, threshold="rating", switching="log(x)")
    found = so.moderate(F, PANEL, W, moderators="z", **X)
    for at in ("a", ["a"], {"z": 1}):
        with pytest.raises(OptionError, match="finite values"):
            found.effects(at)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="three points"):
        found.curve(points=3.5)  # type: ignore[arg-type]
