"""The example studies, from the command line to their folder; their pages are held to their scripts in tests/audit."""

import importlib.util
import math
import re
from pathlib import Path
from typing import Any

import pytest

from spillover import cli

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="module", params=["china-provinces", "eu-nuts2"])
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, data: Path) -> Any:
    from spillover.study.config import AuditSection
    from spillover.study.load import load_study
    from spillover.study.run import run_study

    environment = {"SPILLOVER_DATA": str(data)}
    config = load_study(EXAMPLES / request.param / "study.toml", environment).config
    without_audit = config.model_copy(update={"audit": AuditSection(enabled=False)})  # audits have tests of their own
    return request.param, run_study(without_audit)


@pytest.mark.data
def test_every_study_says_what_weakens_it(example: Any) -> None:
    name, result = example
    cautions = " ".join(result.cautions)
    assert "smallest spillover that this design would detect" in cautions
    if name == "china-provinces":
        assert "In none of the 13 models with neighbours" in cautions
        assert "2016–2018" in cautions
        assert any("440000" in note for note in result.weights[0].facts["notes"])
    else:
        assert "The models disagree" in cautions
        assert "common to all 24 values of country" in cautions
        assert any("CY00" in note for note in result.weights[2].facts["notes"])


@pytest.mark.data
def test_the_table_of_channels_is_what_comes_out(example: Any) -> None:
    name, result = example
    page = (EXAMPLES / name / "README.md").read_text(encoding="utf-8").partition("## Through which channels")[2]
    number = r"(−?[\d.]+) \((−?[\d.]+), (−?[\d.]+)\)"
    rows = re.findall(rf"^\| ([^|]+?) \|[^|]*\| {number} \| {number} \|", page.partition("\n## ")[0], re.M)
    assert bool(rows) is (result.mechanisms is not None)
    for channel, *shown in rows:
        numbers = [float(text.replace("−", "-")) for text in shown]
        for effect, three in (("own", numbers[:3]), ("spillover", numbers[3:])):
            row = next(row for row in result.mechanisms.effects if row["term"] == f"{effect}: {channel}")
            # two decimals are shown
            assert three == pytest.approx([row["estimate"], row["conf_low"], row["conf_high"]], abs=0.0051), channel


def decimals(text: str) -> list[float]:
    """The numbers of "0.51 (0.05, 0.97)"."""
    return [float(number.replace("−", "-")) for number in re.findall(r"−?\d+\.\d+", text)]


def page_rows(name: str, heading: str) -> dict[str, list[str]]:
    """First cell → other cells of the tables below a heading of a page."""
    part = (EXAMPLES / name / "README.md").read_text(encoding="utf-8").partition(heading)[2].partition("\n## ")[0]
    rows = (line.strip("|").split(" | ") for line in part.splitlines() if line.startswith("| "))
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in rows}


@pytest.mark.data
def test_the_table_of_moderators_is_what_comes_out(example: Any) -> None:
    name, result = example
    if name != "china-provinces":
        assert result.moderators is None
        return
    rows = page_rows(name, "## Under what conditions")
    found = result.moderators
    for each in (*found.interactions, found.environment.index):
        home, abroad, p, adjusted = rows[each.name]
        for effect, told in (("direct", home), ("indirect", abroad)):
            sentence = next(curve.sentence for curve in each.curves if curve.effect == effect)
            # the sentence ends with the change, in three digits; the page has two decimals
            change = decimals(re.findall(r"−?[\d.]+ \(−?[\d.]+ to −?[\d.]+\)", sentence)[-1])
            assert decimals(told) == pytest.approx(change, abs=0.0051), (each.name, effect)
        assert [float(p), float(adjusted)] == pytest.approx([each.p_value, each.p_adjusted], abs=0.00051)
    page = (EXAMPLES / name / "README.md").read_text(encoding="utf-8")
    (threshold,), (strength,) = found.thresholds, found.strengths
    assert f"p = {threshold.tests[0]['p_value']:.3f}; the best split" in page
    assert f"R&D intensity of 2011: p = {strength.tests[0]['p_value']:.3f}" in page
    index = found.environment.index
    above = next(row for row in index.curves[1].ranges if row["kind"] == "simultaneous")
    told = f"the index is above {math.exp(above['low']):.2f} ({100 * above['share']:.0f} % of the observations)"
    assert told in page


@pytest.mark.data
def test_the_other_choices_of_the_environment_are_what_the_script_computes(data: Path) -> None:
    path = EXAMPLES / "china-provinces" / "moderators.py"
    spec = importlib.util.spec_from_file_location("china_moderators", path)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    rows = page_rows("china-provinces", "## Under what conditions")
    for label, row in script.fit_variants(data).items():
        assert rows[label] == list(script.tell(row)), label


@pytest.mark.data
def test_the_china_study_runs_from_the_command_line(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = EXAMPLES / "china-provinces" / "study.toml"
    with pytest.raises(SystemExit) as leave:
        cli.main(["run", str(study), "--data", str(data), "--out", str(tmp_path / "o")])
    assert not leave.value.code, capsys.readouterr().err
    assert (tmp_path / "o" / "report.html").stat().st_size > 10_000
    assert "no spillover is visible" in capsys.readouterr().out
