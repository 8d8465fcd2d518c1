"""Sentences and scales: every kind of formula, both signs, intervals with and without zero."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillover.report import headlines
from spillover.report.audit import sentence as audit_sentence
from spillover.report.maps import regional_maps
from spillover.report.words import cards, moran_sentences, regional_remarks, test_sentence
from spillover.study.numbers import compact, fixed, heading, interval, p_value
from spillover.study.result import StudyResult
from spillover.study.scale import Scale, Term, round_step, split_term

Make = Callable[..., StudyResult]


def spillover_sentence(result: StudyResult) -> str:
    return next(sentence for sentence in headlines(result) if sentence.startswith("Next door"))


def test_log_log_speaks_of_percent_per_ten_percent(make_result: Make) -> None:
    # 1.1^0.21 - 1 = 2.0217 %; limits 0.21 ∓ 1.96·0.07 = 0.0728 and 0.3472: 0.696 % and 3.365 %
    said = spillover_sentence(make_result(indirect=(0.21, 0.07)))
    assert "a 10 % higher HTI location quotient in all other regions" in said
    assert "is associated with Invention patents higher by 2.02 %" in said
    assert "95 % interval 0.70 to 3.36 %" in said


def test_negative_effects_are_lower(make_result: Make) -> None:
    # 1.1^-0.3 - 1 = -2.819 %
    said = spillover_sentence(make_result(indirect=(-0.3, 0.05)))
    assert "lower by 2.82 %" in said
    assert "higher by" not in said


def test_an_interval_with_zero_is_told_as_not_visible(make_result: Make) -> None:
    # limits 0.02 ∓ 1.96·0.1 = -0.176 and 0.216: 1.1^-0.176 - 1 = -1.66 %, 1.1^0.216 - 1 = 2.08 %
    said = spillover_sentence(make_result(indirect=(0.02, 0.1)))
    assert "no spillover is visible" in said
    assert "contains zero" in said
    assert "effects between −1.66 % and +2.08 % cannot be excluded" in said
    assert "is associated with" not in said


def test_log_outcome_on_a_level(make_result: Make) -> None:
    # the quotient varies by 0.08 within regions, so it is told per 0.1: e^(0.5·0.1) - 1 = 5.13 %
    said = spillover_sentence(make_result(formula="log(patents) ~ lq", treatment="lq", indirect=(0.5, 0.1)))
    assert "a value of HTI location quotient that is higher by 0.1 (ratio)" in said
    assert "higher by 5.1" in said
    assert "%" in said


def test_level_outcome_on_a_log(make_result: Make) -> None:
    # 200·ln 1.1 = 19.06 patents
    said = spillover_sentence(make_result(formula="patents ~ log(lq)", treatment="log(lq)", indirect=(200.0, 20.0)))
    assert "higher by 19.1 patents" in said


def test_level_on_level(make_result: Make) -> None:
    # 0.1 units of -120 per unit: -12 patents, limits -12 ∓ 1.96·1
    said = spillover_sentence(make_result(formula="patents ~ lq", treatment="lq", indirect=(-120.0, 10.0)))
    assert "lower by 12.0 patents" in said
    assert "−14.0 to −10.0 patents" in said


@pytest.mark.parametrize("model", ["ols", "sem"])
def test_a_model_without_spillovers_says_that_it_cannot_see_one(make_result: Make, model: str) -> None:
    result = make_result(model=model, regional=False)
    assert "no spillover by construction" in spillover_sentence(result)
    assert [card.effect for card in cards(result)] == ["direct", "indirect"]


@pytest.mark.parametrize("kind", ["study", "demo"])
@pytest.mark.parametrize("indirect", [(0.2, 0.05), (-0.2, 0.05), (0.01, 0.3)])
def test_headlines_never_claim_causes_and_always_say_what_is_not_shown(
    make_result: Make, kind: str, indirect: tuple[float, float]
) -> None:
    said = headlines(make_result(kind=kind, indirect=indirect))
    assert not any(word in " ".join(said) for word in ("causes", "leads to", "raises", "impact of"))
    assert said[-1].startswith("Not shown: ")
    assert all(":" in sentence for sentence in said)  # the lead before the colon is set in bold


def test_a_ranking_of_an_invisible_spillover_is_called_no_evidence(make_result: Make) -> None:
    assert "not as evidence" in " ".join(headlines(make_result(indirect=(0.0, 0.1))))
    assert "not as evidence" not in " ".join(headlines(make_result(indirect=(0.5, 0.1))))


def test_truth_is_counted_and_misses_are_named(make_result: Make) -> None:
    said = " ".join(headlines(make_result(kind="demo")))
    assert "1 of 2 lie inside" in said
    assert "outside: spillover <b>all</b>" in said


def test_tests_say_what_they_mean_on_both_sides(study: StudyResult) -> None:
    rejected, kept = study.model().tests
    assert "neighbours’ outcomes move together" in test_sentence(rejected)
    assert "compatible with correlated errors" in test_sentence(kept)
    assert test_sentence({"test": "Odd", "p_value": 0.5, "says": "It says so."}) == "It says so."


@pytest.mark.parametrize(
    ("name", "null", "meaning"),
    [
        ("LM lag", "there is no spatial lag (ρ = 0)", "neighbours’ outcomes move together beyond"),
        ("LM error", "there is no spatial error (λ = 0)", "the unexplained parts of neighbours are correlated"),
        ("robust LM lag", "there is no spatial lag, allowing for a spatial error", "even allowing for a spatial error"),
        ("robust LM error", "no spatial error, allowing for a spatial lag (ρ = 0)", "even allowing for a spatial lag"),
        ("Wald θ = 0", "neighbours' regressors do not matter", "what the neighbours have matters"),
        ("Wald ρ = 0", "there is no spatial lag of the outcome", "outcomes feed on neighbours’ outcomes"),
        ("Wald common factor", "the model reduces to a spatial error model", "more than correlated errors"),
    ],
)
def test_each_test_has_its_own_words_whatever_its_null_speaks_of(name: str, null: str, meaning: str) -> None:
    assert meaning in test_sentence({"test": name, "null": null, "p_value": 0.001, "says": "It is rejected."})


def test_moran_sentences_count_the_periods(study: StudyResult) -> None:
    # the fixture's levels have p = 0.001 in all 5 periods, the within values p = 0.6 in all
    level, within, *_ = moran_sentences(study)
    assert "in 5 of 5 periods" in level
    assert "in 0 of 5 periods" in within


def test_the_missing_audit_is_one_honest_sentence(study: StudyResult) -> None:
    assert "not been audited" in audit_sentence(study)
    assert audit_sentence(study).count(". ") == 0


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        ("log(patents)", ("patents", True)),
        ("np.log(rd)", ("rd", True)),
        ("ln(x)", ("x", True)),
        ("log(a/b)", ("a/b", True)),
        ("log(a) - log(b)", ("log(a) - log(b)", False)),
        ("log1p(x)", ("log1p(x)", False)),
        ("log10(x)", ("log10(x)", False)),
        ("catalog(x)", ("catalog(x)", False)),
        (" lq ", ("lq", False)),
    ],
)
def test_split_term(term: str, expected: tuple[str, bool]) -> None:
    assert split_term(term) == expected


@given(st.floats(1e-9, 1e9))
def test_the_step_of_a_level_is_near_its_spread_and_round(spread: float) -> None:
    # 1, 2, 5, 10: two neighbours are at most a factor 2.5 apart, so the nearest is within its root.
    step = round_step(spread)
    assert spread / math.sqrt(2.5) * (1 - 1e-9) <= step <= spread * math.sqrt(2.5) * (1 + 1e-9)
    assert f"{step:.0e}"[0] in "125"


@pytest.mark.parametrize(
    ("unit", "spread", "expected"),
    [
        ("firms", 84.0, "100 more firms (HTI location quotient) in all other regions are associated"),
        ("firms", 0.2, "that is higher by 0.2 firms in all other regions is associated"),
        ("percent of employment", 0.4, "that is higher by 0.5 percentage points in all"),
        ("10⁸ CNY", 4.0, "that is higher by 5 (10⁸ CNY) in all"),
        ("", 0.011, "that is higher by 0.01 in all"),
    ],
)
def test_the_step_is_told_with_its_unit(make_result: Make, unit: str, spread: float, expected: str) -> None:
    result = make_result(formula="patents ~ lq", treatment="lq", spread=spread, treatment_unit=unit)
    assert expected in spillover_sentence(result)


def test_an_expression_is_quoted_and_code_is_not_capitalised(make_result: Make) -> None:
    result = make_result(formula="log(patents) ~ log(lq / rd)", treatment="log(lq / rd)")
    assert "a 10 % higher “lq / rd” in all other regions" in spillover_sentence(result)
    assert heading("hti_firms", "agglomeration") == "hti_firms"
    assert heading("lq", "lq") == "lq"


def givers(result: StudyResult) -> str:
    return next(sentence for sentence in headlines(result) if sentence.startswith("Who gives"))


def test_who_gives_is_told_on_the_scale_of_the_cards_with_its_sign(make_result: Make) -> None:
    # the largest emitted is 0.11: 1.1^0.11 - 1 = 1.054 %; its error 0.02·ln 1.1·1.1^0.11·100 = 0.193
    said = givers(make_result())
    assert "by size" in said
    assert "+1.05 % for a 10 % higher HTI location quotient there (standard error 0.19)" in said


def test_row_standardised_weights_and_links_by_hand_are_told(make_result: Make) -> None:
    result = make_result(added=(("R01", "R00", "by hand"),))
    assert "every region receives" in givers(result)
    assert "(a link added by hand)" in givers(result)
    remarks = " ".join(regional_remarks(result))
    assert "row-standardised" in remarks
    assert "(a link added by hand)" in remarks


def test_a_map_of_nearly_equal_values_has_one_class_and_says_so(make_result: Make) -> None:
    # 0.1 to 0.1006: less than 5 % apart; 1.1^0.1 - 1 = 0.9577 %, 1.1^0.1006 - 1 = 0.9634 %
    received, emitted = regional_maps(make_result(received=(0.1, 0.0001)))
    assert len(received.classes.colours) == 1
    assert received.classes.texts == ("+0.958 to +0.963",)
    assert "Nearly the same everywhere" in received.caption
    assert len(emitted.classes.colours) > 1


@given(
    st.booleans(),
    st.booleans(),
    st.floats(-5, 5),
    st.floats(0, 3),
)
def test_conversion_keeps_order_and_sign(outcome: bool, treatment: bool, effect: float, more: float) -> None:
    scale = Scale(Term("y", outcome, "y", ""), Term("x", treatment, "x", ""), 1.0)
    assert scale.convert(effect) <= scale.convert(effect + more)
    assert scale.convert(0.0) == 0.0
    assert math.copysign(1, scale.convert(effect)) == math.copysign(1, effect) or scale.convert(effect) == 0.0


def test_numbers_look_the_same_everywhere() -> None:
    assert compact(1234567.0) == "1,234,567"
    assert compact(30) == "30"
    assert compact(None) == compact(math.nan) == "–"
    assert compact(1e-9) == "1.00 × 10^−9"
    assert fixed(-0.0004, 2) == "0.00"  # no minus in front of a zero
    assert interval(-0.5, 1.25) == "−0.50 to 1.25"
    assert p_value(0.0) == "< 0.001"
