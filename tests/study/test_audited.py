"""The audit inside a study: its verdicts in the result, its settings in the file, its command."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest
from grid_study import STUDY, write_study

from spillover import cli
from spillover.errors import AssumptionWarning, StudyFileError
from spillover.report import write_report
from spillover.report.audit import audit_figures, verdict_cards
from spillover.study.load import load_study
from spillover.study.result import StudyResult
from spillover.study.run import run_study

ON = (
    STUDY.replace("audit = false", "")
    + """
[audit]
groups = "country"
draws = 99
relevant_spillover = 0.3
"""
)


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    return run_study(write_study(tmp_path_factory.mktemp("audited"), ON))


def test_a_study_is_audited_unless_it_says_otherwise(audited: StudyResult, tmp_path: Path) -> None:
    assert audited.audit is not None
    assert set(audited.audit["verdicts"]) == {"own", "spillover"}
    assert load_study(write_study(tmp_path, STUDY.replace("audit = false", ""))).config.audit.enabled
    assert not load_study(write_study(tmp_path, STUDY)).config.audit.enabled


def test_the_audit_is_of_the_main_model_and_its_treatment(audited: StudyResult) -> None:
    assert audited.audit is not None
    assert audited.audit["variable"] == audited.model().treatment
    rows = audited.audit["parts"]["errors"]["table"]
    clustered = next(row for row in rows if row["kind"] == "cluster" and row["effect"] == "spillover")
    shown = next(row for row in audited.model().impacts if row["effect"] == "indirect")
    assert clustered["estimate"] == pytest.approx(shown["estimate"], rel=1e-12)
    assert clustered["std_error"] == pytest.approx(shown["std_error"], rel=1e-9)


def test_settings_reach_the_parts(audited: StudyResult) -> None:
    assert audited.audit is not None
    parts = audited.audit["parts"]
    assert parts["detectable"]["facts"]["detectable.relevant.spillover"] == 0.3
    assert {row["draws"] for row in parts["permutation"]["table"]} == {99}
    assert any("within_groups" in str(row["shuffle"]) for row in parts["permutation"]["table"])


def test_the_result_survives_json(audited: StudyResult) -> None:
    assert StudyResult.from_json(audited.to_json()) == audited


def test_the_page_begins_with_the_verdicts_and_shows_every_part(audited: StudyResult, tmp_path: Path) -> None:
    page = write_report(audited, tmp_path / "out").read_text(encoding="utf-8")
    assert audited.audit is not None
    for effect, place in (("own", "At home"), ("spillover", "Next door")):
        verdict = audited.audit["verdicts"][effect]["verdict"]
        assert f'{place}: <span class="mark">{verdict}</span>' in html.unescape(page)
    assert page.index('class="verdicts"') < page.index('class="cards"')
    for name, part in audited.audit["parts"].items():
        assert f"<h3>{part['question']}</h3>" in html.unescape(page)
        assert (tmp_path / "out" / "tables" / f"audit_{name.replace('-', '_')}.csv").exists() == bool(part["table"])
    assert (tmp_path / "out" / "figures" / "audit-permutation-0.svg").exists()
    assert (tmp_path / "out" / "figures" / "audit-errors.pdf").exists()


def test_hostile_names_of_regions_and_groups_are_text(tmp_path: Path) -> None:
    """Sentences, tables, labels of lanes and hover texts hold names; none may become a tag of the page or of plotly."""
    import pandas as pd

    study = write_study(tmp_path, ON)
    table = pd.read_csv(tmp_path / "regions.csv")
    first = table["region"].iloc[0]
    table.loc[table["region"] == first, "name"] = "<img src=x onerror=alert(1)>"
    country = table.loc[table["region"] == first, "country"].iloc[0]
    table.loc[table["country"] == country, "country"] = "</script><b>A</b>"
    table.to_csv(tmp_path / "regions.csv", index=False)
    result = run_study(study)
    assert result.audit is not None
    told = " ".join(text for part in result.audit["parts"].values() for text in part["sentences"])
    rows = str([row for part in result.audit["parts"].values() for row in part["table"]])
    assert "<b>A</b>" in told + rows  # the names do reach the audit
    assert "<img" in told + rows
    page = write_report(result, tmp_path / "out").read_text(encoding="utf-8")
    assert "<img src=x" not in page
    assert "<b>A</b>" not in page
    assert page.count("</script>") == 3  # data, plotly, the page's own
    payload = json.loads(page.split('id="report-data">')[1].split("</script>")[0])
    assert "&lt;b&gt;A" in json.dumps(payload["charts"]["audit-influence"])
    assert not re.search(r"<(?!br>)", json.dumps(payload["charts"], ensure_ascii=False))


def test_a_verdict_is_told_on_the_scale_of_the_headline_as_well(audited: StudyResult) -> None:
    """Both in logs: an elasticity b is 100 (1.1^b − 1) % with a 10 % higher quotient."""
    assert audited.audit is not None
    for card, effect in zip(verdict_cards(audited), ("own", "spillover"), strict=True):
        estimate = audited.audit["parts"]["errors"]["facts"][f"errors.estimate.{effect}"]
        change = 100.0 * (1.1**estimate - 1.0)
        found = re.search(r"is ([+−][\d.]+) % with a 10 % higher", card.scale)
        assert found is not None
        assert float(found[1].replace("−", "-")) == pytest.approx(change, rel=0.06)  # two digits
    titles = [chart.title for chart in audit_figures(audited).values()]
    assert titles
    assert not any("?" in title for title in titles)
    texts = [text for part in audited.audit["parts"].values() for text in part["sentences"]]
    assert not any(re.search(r"(?<![\w-])-\d", text) for text in texts)  # a minus is a minus


def test_all_mistakes_of_the_section_come_together(tmp_path: Path) -> None:
    wrong = (
        STUDY.replace("audit = false", "")
        + """
[audit]
groups = "contry"
weights = ["quen"]
channels = ["rdd"]
measures = ["log(nope)", "sqrt("]
draws = 5
rules = "no.toml"
relevant_own = -1.0
speed = 3
"""
    )
    with pytest.raises(StudyFileError) as caught:
        load_study(write_study(tmp_path, wrong))
    text = str(caught.value)
    assert "draws = 5: expected 99 or more" in text
    for part in (
        "'nope'",
        "'sqrt('",
        "'contry'",
        "'quen'",
        "'rdd'",
        "draws = 5",
        "no.toml",
        "relevant_own = -1.0",
        "'speed'",
    ):
        assert part in text


def test_a_switch_is_true_or_false(tmp_path: Path) -> None:
    with pytest.raises(StudyFileError, match="expected true, false, or a section"):
        load_study(write_study(tmp_path, STUDY.replace("audit = false", 'audit = "yes"')))


def test_two_periods_are_audited(tmp_path: Path) -> None:
    # The third moment of a difference of two periods is zero: no error bar may divide by it.
    two = ON.replace("main = true", "main = true\nperiods = [2012, 2013]")
    result = run_study(write_study(tmp_path, two))
    assert result.audit is not None
    assert "not_done" not in result.audit


def test_a_misspelt_fact_of_a_rule_is_told(tmp_path: Path) -> None:
    rows = [
        '[[rule]]\nname = "r"\neffects = ["own", "spillover"]\nverdict = "fragile"\nwhen = ["errors.p_valeu > 2"]\n'
        "facts = []\nbecause = []\n",
        '[[rule]]\nname = "last"\neffects = ["own", "spillover"]\nverdict = "stands"\nwhen = []\n'
        "facts = []\nbecause = []\n",
    ]
    (tmp_path / "rules.toml").write_text("\n".join(rows), encoding="utf-8")
    with pytest.warns(AssumptionWarning, match="errors.p_valeu"):
        run_study(write_study(tmp_path, ON + 'rules = "rules.toml"\n'))


def test_rules_of_a_user_decide(tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text(
        """
[[rule]]
name = "mine"
effects = ["own", "spillover"]
verdict = "fragile"
when = []
facts = ["errors.p_value"]
because = ["My own rule."]
""",
        encoding="utf-8",
    )
    study = write_study(tmp_path, ON + 'rules = "rules.toml"\n')
    result = run_study(study)
    assert result.audit is not None
    assert result.audit["verdicts"]["spillover"]["reasons"] == ["My own rule."]
    assert load_study(study).files()["rules.toml"] == tmp_path / "rules.toml"


def test_the_command_prints_verdicts_and_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = write_study(tmp_path, ON)

    def call(*arguments: str) -> Any:
        with pytest.raises(SystemExit) as leave:
            cli.main(["audit", str(study), "--draws", "99", *arguments])
        shown = capsys.readouterr()
        return leave.value.code or 0, shown.out, shown.err

    code, out, err = call("--part", "errors", "--part", "detectable", "--part", "permutation")
    assert code == 0, err
    assert "SPILLOVER:" in out
    code, out, err = call("--part", "reach")  # no verdict without what it rests on
    assert code == 0, err
    assert "No verdict" in out
    assert "STANDS" not in out
    code, out, err = call("--part", "errors", "--part", "detectable")
    assert "EFFECT AT HOME:" in out
    assert "STANDS" not in out.split("SPILLOVER:")[-1]
    assert "Do the error bars tell the truth?" in out
    code, out, err = call("--part", "errors", "--format", "json")
    assert code == 0, err
    assert list(json.loads(out)["parts"]) == ["errors"]
    code, _, err = call("--part", "erors")
    assert code == 2
    assert "errors" in err
