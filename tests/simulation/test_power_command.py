"""`spillover power` on its own small application: options, numbers, mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from spillover.errors import OptionError
from spillover.power_command import power


def run(*options: str) -> str:
    app = typer.Typer()
    app.command()(power)
    found = CliRunner().invoke(app, list(options))
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    return str(found.output)


def test_the_default_question_is_answered_in_a_sentence() -> None:
    text = run()
    assert "With 30 regions and 10 years a spillover of 0.33 is seen in 19 of 100 samples" in text
    assert "80 of 100 need 40 years with the same regions" in text


def test_json_and_grid() -> None:
    output = run("--format", "json", "--grid-regions", "30,100", "--grid-years", "10,20")
    found = json.loads(output[output.index("{") :])
    assert len(found["grid"]) == 4
    assert found["closed_form"]["std_error"] == pytest.approx(0.295, abs=0.002)


def test_every_model_has_defaults_and_a_w_of_the_user_is_taken(tmp_path: Path) -> None:
    for model in ("slx", "sar", "sdem"):
        assert "a direct effect of" in run("--model", model, "--effect", "direct")
    pairs = [(i, (i + step) % 12) for i in range(12) for step in (1, 2, 11, 10)]
    lines = ["focal,neighbor,weight", *(f"a{i:02d},a{j:02d},1" for i, j in pairs)]
    file = tmp_path / "links.csv"
    file.write_text("\n".join(lines) + "\n")
    assert "With 12 regions and 10 years" in run("--weights", str(file))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (("--grid-years", "5,ten"), "list of numbers"),
        (("--grid-years", "5,6", "--target", "0.99"), "no design on the grid"),
        (("--rho", "1.5"), "stationary"),
        (("--format", "xml"), "--format"),
        (("--effect", "spill"), "effect"),
    ],
)
def test_mistakes_are_told(options: tuple[str, ...], match: str) -> None:
    with pytest.raises(OptionError, match=match):
        run(*options)


def test_more_neighbours_than_the_smallest_map_and_targets_that_are_reached() -> None:
    assert "With 30 regions" in run("--neighbours", "12")
    assert "enough for the target" in run("--years", "60", "--regions", "100")
