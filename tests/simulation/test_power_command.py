"""`spillover power` on its own small application: options, numbers, mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from simulation.power_cli import run
from spillover.errors import ConfigurationError, FileError, OptionError


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
    assert "With 12 regions and 10 years" in run("--weights", str(links_of_twelve(tmp_path)))


def links_of_twelve(tmp_path: Path) -> Path:
    pairs = [(i, (i + step) % 12) for i in range(12) for step in (1, 2, 11, 10)]
    file = tmp_path / "links.csv"
    file.write_text("focal,neighbor,weight\n" + "".join(f"a{i:02d},a{j:02d},1\n" for i, j in pairs))
    return file


def test_a_w_of_the_user_has_its_number_of_regions(tmp_path: Path) -> None:
    file = str(links_of_twelve(tmp_path))
    assert "With 12 regions and 10 years" in run("--weights", file, "--regions", "12")
    with pytest.raises(ConfigurationError, match="--regions 30, but the W of --weights has 12 regions"):
        run("--weights", file, "--regions", "30")
    with pytest.raises(ConfigurationError, match="--neighbours is of an invented map"):
        run("--weights", file, "--neighbours", "3")
    with pytest.raises(ConfigurationError, match="--grid-regions beside a W of your own"):
        run("--weights", file, "--grid-regions", "30,60")


def test_islands_of_a_w_are_named_with_what_can_be_done_here(tmp_path: Path) -> None:
    file = links_of_twelve(tmp_path)
    file.write_text(file.read_text() + "alone,alone,0\n")
    with pytest.raises(ConfigurationError, match=r"alone has no neighbour.*give each a link in the file") as caught:
        run("--weights", str(file))
    assert "--islands" not in str(caught.value)  # `spillover power` has no such option


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (("--grid-years", "5,ten"), "list of whole numbers"),
        (("--grid-years", "5,-6"), "list of whole numbers"),
        (("--grid-years", ","), "list of whole numbers"),
        (("--grid-years", "5,6", "--target", "0.99"), "no design on the grid"),
        (("--rho", "1.5"), "stationary"),
        (("--format", "xml"), "--format"),
        (("--effect", "spill"), "--effect 'spill'"),
        (("--rho", "nan"), "--rho nan is not a finite number"),
        (("--counts", "--model", "sdm"), "Poisson"),
        (("--model", "ols"), "no spillover to be seen"),
        (("--regions", "1"), "--regions 1: at least 5"),
        (("--neighbours", "0"), "--neighbours 0"),
        (("--rounds", "1"), "--rounds 1"),
        (("--years", "1"), "--effects 'two-way' need two periods"),
        (("--grid-regions", "30,2000"), "grid: 2000 regions: the closed form has at most 1500"),
        (("--grid-regions", "3,30"), "grid: --regions 3"),
        (("--tau", "0.6999"), "--tau 0.6999.*so near one"),
        (("--sigma", "1e-300"), "--sigma 1e-300 is too small"),
    ],
)
def test_mistakes_are_told(options: tuple[str, ...], match: str) -> None:
    with pytest.raises(OptionError, match=match):
        run(*options)


def test_all_mistakes_are_told_together_in_the_words_of_the_command_line() -> None:
    with pytest.raises(ConfigurationError) as caught:
        run(
            *("--regions", "3", "--years", "0", "--model", "sdmm", "--rho", "1.4", "--sigma", "-1"),
            *("--persistence", "1.5", "--effects", "both", "--alpha", "2", "--target", "0", "--covariance", "hac"),
            *("--effect", "spill", "--grid-years", "x", "--weights", "nowhere.csv", "--neighbours", "2"),
        )
    told = str(caught.value)
    for part in (
        "--regions 3",
        "--years 0",
        "--model 'sdmm'",
        "--rho 1.4",
        "--sigma -1",
        "--persistence 1.5",
        "--effects 'both'",
        "--alpha 2",
        "--target 0",
        "--covariance 'hac'",
        "--effect 'spill'",
        "--grid-years 'x'",
        "nowhere.csv",
        "--neighbours is of",
    ):
        assert part in told
    assert "n_regions" not in told


def test_a_design_file(tmp_path: Path) -> None:
    file = tmp_path / "design.toml"
    file.write_text(
        "[panel]\nn_regions = 60\nn_periods = 12\nrho = 0.3\n"
        "[[panel.regressors]]\nname = 'rd'\nbeta = 0.3\ntheta = 0.15\npersistence = 0.8\n"
    )
    assert "With 60 regions and 12 years a spillover of 0.33" in run(str(file))
    assert "With 30 regions and 10 years a spillover of 0.33 is seen in 19" in run(
        str(file), "--regions", "30", "--years", "10"
    )
    with pytest.raises(ConfigurationError, match="--beta, --lambda beside a design file"):
        run(str(file), "--beta", "0.4", "--lambda", "0.1")
    # mistakes of the file in its own words, those of the command line in that one's
    file.write_text("seed = -1\n[panel]\nrho = 2.0\nn_periods = 0\n[other]\nx = 1\n")
    words = r"seed = -1[\s\S]*'other' is unknown[\s\S]*n_periods = 0[\s\S]*rho = 2[\s\S]*--alpha 3"
    with pytest.raises(ConfigurationError, match=words):
        run(str(file), "--effect", "direct", "--alpha", "3")
    with pytest.raises(FileError, match="no simulation file"):
        run(str(tmp_path / "absent.toml"))
    file.write_text("[panel]\nmodel = 'slx'\n[panel.weights]\nfile = 'links.csv'\n")
    links_of_twelve(tmp_path)
    assert "With 12 regions" in run(str(file), "--effect", "direct")
    with pytest.raises(ConfigurationError, match="--grid-regions beside a W"):
        run(str(file), "--grid-regions", "30")
    file.write_text("[system]\nn_regions = 40\nn_periods = 4\nn_clusters = 8\n")
    text = run(str(file), "--rounds", "4")
    assert "no closed form: the regional innovation system" in text
    assert "a spillover of" in text


def test_the_seed_of_a_design_file_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "design.toml"
    file.write_text("seed = 5\n[panel]\nmodel = 'slx'\nn_regions = 12\nn_periods = 4\n")
    asked = (str(file), "--effect", "direct", "--rounds", "3")
    assert run(*asked) == run(*asked, "--seed", "5") != run(*asked, "--seed", "6")


def test_designs_without_a_closed_form_are_drawn_and_say_so() -> None:
    text = run("--tau", "0.3", "--beta", "1", "--theta", "0.5", "--rounds", "10")
    assert "no closed form: dynamics (tau, eta). Panels were drawn and estimated instead." in text
    assert "10 drawn panels" in text
    output = run("--counts", "--intercept", "1", "--beta", "0.8", "--rounds", "10", "--format", "json")
    found = json.loads(output[output.index("{") :])
    assert found["closed_form"] is None
    assert found["no_closed_form"] == ["counts"]
    assert found["drawn"]["panels"] == 10


def test_more_neighbours_than_the_smallest_map_and_targets_that_are_reached() -> None:
    assert "With 30 regions" in run("--neighbours", "12")
    assert "enough for the target" in run("--years", "60", "--regions", "100")
