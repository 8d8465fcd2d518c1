"""Words of the parts: the test behind a statement, cross-sections without panel words, no Python in sentences."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

import spillover as so
from audit.maps import grouped_map, shocked_panel
from simulated import lattice, named_weights, row_standardised, simulate_sdm
from spillover.audit.audit import audit_fit
from spillover.audit.reach import audit_reach
from spillover.audit.wording import too_few, with_errors


def test_the_test_behind_a_statement() -> None:
    w, _, codes = grouped_map(40, 2, 4, 1)
    panel = shocked_panel(w, codes, 6, 2)
    assert with_errors(so.fit("y ~ x", panel, w)) == "5 % test with errors clustered by region"
    assert with_errors(so.fit("y ~ x", panel, w, covariance="sandwich")).endswith("quasi-maximum-likelihood errors")
    assert too_few(3, 8) == "3 periods are too few, 8 are needed"
    assert too_few(1, 8) == "a cross-section has one period"


def test_a_cross_section_is_not_told_in_words_of_a_panel() -> None:
    """No "within regions", no group × period, nothing about more periods; the verdicts' reasons included."""
    w, groups, codes = grouped_map(40, 2, 4, 1)
    panel = shocked_panel(w, codes, 1, 2)
    one = replace(panel, periods=(0,), is_panel=False, groups={"land": tuple(groups.values())})
    audit = so.fit("y ~ x", one, w, effects="none").audit(draws=39)
    text = audit.summary()
    for words in ("within regions", "× period", "and period", "in a period", "none effects", "ordinary period"):
        assert words not in text
    assert not re.search(r"take [\d,]+ periods", text)
    assert "1 periods" not in text
    assert "A cross-section has no before and no after." in text


@pytest.mark.parametrize("option", [r"\w=…", r"\w=\[", r"\w=\{"])
def test_sentences_hold_no_python(option: str) -> None:
    """What was not done is told in words that hold in a study file as well."""
    w, _, codes = grouped_map(40, 2, 4, 1)
    audit = audit_fit(so.fit("y ~ x", shocked_panel(w, codes, 3, 2), w), draws=19)
    for part in audit.parts.values():
        for said in (*part.sentences, *part.skipped):
            assert not re.search(option, said), said


def test_without_another_w_none_is_spoken_of() -> None:
    """On a 4 × 3 lattice two steps reach more than a third of the regions, so that W itself is the only one."""
    w = named_weights(row_standardised(lattice(4, 3)))
    part = audit_reach(so.fit("y ~ x0 + x1", simulate_sdm(w, 8, 1), w))
    said = " ".join(part.skipped)
    assert "there is no other W to compare" in said
    assert "none of the others" not in said
