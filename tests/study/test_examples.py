"""The example studies, from the command line to their folder; their pages are held to their scripts in tests/audit."""

import re
from pathlib import Path
from typing import Any

import pytest

from spillover import cli

NUMBERS = r"^{} \| (−?[\d.]+) \((−?[\d.]+), (−?[\d.]+)\) \| (−?[\d.]+) \((−?[\d.]+), (−?[\d.]+)\) \|"
CHANNELS = "## Through which channels"
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="module", params=["china-provinces", "eu-nuts2"])
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, data: Path) -> Any:
    from spillover.study.load import load_study
    from spillover.study.run import run_study

    environment = {"SPILLOVER_DATA": str(data)}
    return request.param, run_study(load_study(EXAMPLES / request.param / "study.toml", environment))


@pytest.mark.data
def test_the_channel_table_of_the_page_has_the_numbers_of_the_run(example: Any) -> None:
    name, result = example
    _, _, channels = (EXAMPLES / name / "README.md").read_text(encoding="utf-8").partition(CHANNELS)
    found = re.findall(NUMBERS.format(r"\| ([^|]+?) \|[^|]*?"), channels, re.M)
    assert bool(found) is (result.mechanisms is not None)
    for channel, *shown in found:
        numbers = [float(number.replace("−", "-")) for number in shown]
        for effect, three in zip(("own", "spillover"), (numbers[:3], numbers[3:]), strict=True):
            term = f"{effect}: {channel}"
            row = next(row for row in result.mechanisms.effects if row["term"] == term)
            # Two decimals are shown.
            assert three == pytest.approx([row["estimate"], row["conf_low"], row["conf_high"]], abs=0.0051), term


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
