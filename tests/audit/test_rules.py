"""The table of rules: how it is read, what its conditions mean, and what it decides."""

from __future__ import annotations

from pathlib import Path

import pytest

from spillover.audit.rules import Rule, names_of, read_rules
from spillover.audit.verdict import decide, tell
from spillover.errors import FileError, OptionError

LAST = Rule("end", ("own", "spillover"), "stands", (), (), ("It is {a.b:.2f}.",))


def rule(*when: str, verdict: str = "fragile", effects: tuple[str, ...] = ("spillover",)) -> Rule:
    return Rule("one", effects, verdict, when, ("a.b",), ("{effect}: {a.b:.1f}, {p:p}, {share:%}",))  # type: ignore[arg-type]


def test_the_first_rule_that_holds_decides_and_later_ones_are_told() -> None:
    rules = (rule("a.b > 2"), rule("a.b > 1", verdict="not supported"), rule("a.b > 0"), LAST)
    assert decide("spillover", {"a.b.spillover": 3.0}, rules).also == (
        "one",
    )  # the third; the second says another thing
    assert decide("spillover", {"a.b.spillover": 3.0}, rules).verdict == "fragile"
    found = decide("spillover", {"a.b.spillover": 1.5}, rules)
    assert found.verdict == "not supported"
    assert found.also == ()
    assert decide("own", {"a.b.own": 9.0}, rules).verdict == "stands"


def test_a_fact_of_the_effect_comes_before_one_of_the_same_name() -> None:
    facts = {"a.b": 1.0, "a.b.own": 5.0}
    assert rule("a.b > 4", effects=("own",)).applies("own", facts)
    assert not rule("a.b > 4").applies("spillover", facts)


def test_conditions_about_unknown_facts_do_not_hold_either_way() -> None:
    assert not rule("a.b > 1").applies("spillover", {})
    assert not rule("a.b <= 1").applies("spillover", {})
    assert not rule("a.b / c.d > 1").applies("spillover", {"a.b": 1.0, "c.d": 0.0})


def test_arithmetic_of_conditions() -> None:
    facts = {"x.y": -3.0, "z": 2.0}
    assert rule("abs(x.y) - 1 >= z").applies("spillover", facts)
    assert rule("-x.y / z > 1.4").applies("spillover", facts)
    assert rule("min(x.y, z) < max(x.y, 1)").applies("spillover", facts)
    assert rule("2 * z + 1 < 5.5").applies("spillover", facts)


@pytest.mark.parametrize(
    "condition",
    [
        "a.b",
        "a.b == 1",
        "1 < a.b < 2",
        "__import__('os')",
        "a.b > 'x'",
        "max(a) > 1",
        "a[0] > 1",
        "a.b >",
        "a > True",
    ],
)
def test_anything_else_is_refused(condition: str) -> None:
    with pytest.raises(OptionError, match="not understood"):
        rule(condition)


def test_sentences_hold_their_facts_or_are_left_out() -> None:
    facts = {"a.b.spillover": 0.25, "p": 0.0004, "share": 0.42}
    found = decide("spillover", facts, (rule("a.b > 0"), LAST))
    assert found.reasons == ("spillover: 0.2, p < 0.001, 42 %",)
    assert found.facts == {"a.b": 0.25}
    assert tell("{nobody.knows:.2f}", "own", facts) == ""
    with pytest.raises(OptionError, match="not understood"):
        tell("{p:wrong}", "own", facts)


def test_rules_come_from_a_file_that_a_user_can_change(tmp_path: Path) -> None:
    text = (
        '[[rule]]\nname = "mine"\neffects = ["own", "spillover"]\nverdict = "fragile"\nwhen = []\n'
        'facts = []\nbecause = ["Because."]\n'
    )
    path = tmp_path / "rules.toml"
    path.write_text(text)
    assert decide("own", {}, read_rules(path)).reasons == ("Because.",)
    path.write_text(text.replace("fragile", "splendid"))
    with pytest.raises(OptionError, match="verdict of the rule 'mine'"):
        read_rules(path)
    path.write_text(text.replace("when = []", 'when = ["a > 1"]'))
    with pytest.raises(OptionError, match="without a verdict"):
        read_rules(path)
    path.write_text(text.replace("facts", "fact"))
    with pytest.raises(OptionError, match="missing: facts; not known: fact"):
        read_rules(path)
    path.write_text("[[rule")
    with pytest.raises(FileError, match="not TOML"):
        read_rules(path)
    with pytest.raises(FileError, match="cannot be read"):
        read_rules(tmp_path / "nowhere.toml")


def test_the_rules_of_the_package_are_complete() -> None:
    rules = read_rules()
    assert rules[-1].verdict == "stands"
    assert not rules[-1].when
    assert "errors.p_value" in set(names_of(rules))
    assert {each.verdict for each in rules} == {"stands", "fragile", "not supported", "not detectable"}
    assert all(each.because for each in rules)


SEEN = {
    "errors.p_value.spillover": 0.001,
    "errors.estimate.spillover": 1.0,
    "permutation_whole_map.p_value": 0.001,
    "factors_joint.change_p_value.own": 0.5,
}


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        ({}, "every test passed"),
        ({"factors.needed_p_value": 0.001}, "the regressor goes with errors of other periods"),
        ({"factors.needed_p_value": 0.008}, "every test passed"),  # no factor model could be estimated
        ({"factors.needed_p_value": 0.008, "factors_least.p_value.spillover": 0.04}, "every test passed"),
        (
            {"factors.needed_p_value": 0.008, "factors_least.p_value.spillover": 0.3},
            "a common factor is needed, and with it the effect is not seen",
        ),
        (  # the effect at home is another one without the factor: together as much evidence
            {
                "factors.needed_p_value": 0.08,
                "factors_joint.change_p_value.own": 0.01,
                "factors_least.p_value.spillover": 0.3,
            },
            "a common factor is needed, and with it the effect is not seen",
        ),
        (
            {
                "factors.needed_p_value": 0.3,
                "factors.change_p_value.spillover": 0.01,
                "factors.estimate.spillover": 0.4,
            },
            "more than half is a common factor",
        ),
        (  # a difference that chance explains is none, however surely a factor is needed
            {
                "factors.needed_p_value": 0.004,
                "factors.change_p_value.spillover": 0.3,
                "factors.estimate.spillover": 0.4,
            },
            "every test passed",
        ),
        ({"detectable.power_plausible.spillover": 0.2}, "every test passed, in a sample that exaggerates"),
    ],
)
def test_which_rule_decides_where_the_honest_test_sees_an_effect(facts: dict[str, float], name: str) -> None:
    assert decide("spillover", SEEN | facts, read_rules()).rule == name


@pytest.mark.parametrize(
    ("smallest", "high", "verdict"),
    [(0.6, 0.3, "not detectable"), (0.4, 0.55, "not detectable"), (0.4, 0.3, "not supported")],
)
def test_not_supported_only_where_what_would_matter_is_ruled_out(smallest: float, high: float, verdict: str) -> None:
    facts = {
        "errors.p_value": 0.4,
        "errors.low": -0.2,
        "errors.high": high,
        "detectable.smallest": smallest,
        "detectable.relevant": 0.5,
    }
    assert decide("spillover", facts, read_rules()).verdict == verdict
