"""The page of the three maps has the numbers of the run."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "distance"


def numbers(text: str) -> list[float]:
    return [float(each.replace("−", "-")) for each in re.findall(r"−?\d+(?:\.\d+)?", text)]


@pytest.mark.data
@pytest.mark.parametrize("study", ["china", "germany", "europe"])
def test_the_page_has_the_numbers_of_the_run(study: str, data: Path) -> None:
    spec = importlib.util.spec_from_file_location("distance_example", FOLDER / "run.py")
    assert spec is not None
    assert spec.loader is not None
    run = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(run)
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    for name, text in getattr(run, study)(data).items():
        shown = page.split(f"<!-- begin {name} -->\n")[1].split(f"<!-- end {name} -->")[0]
        # two decimals are shown; flat likelihoods leave the third digit of a half-distance to rounding
        assert numbers(shown) == pytest.approx(numbers(text), abs=0.011, rel=0.01), name
        assert re.sub(r"[−\d.]+", "#", shown).strip() == re.sub(r"[−\d.]+", "#", text).strip()


def cells(name: str) -> list[list[str]]:
    """The rows of a table of the page."""
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    block = page.split(f"<!-- begin {name} -->\n")[1].split(f"<!-- end {name} -->")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in block.strip().splitlines()[2:]]


def test_the_words_of_the_page_repeat_its_tables() -> None:
    """Numbers in sentences are those of the tables, which the test above holds to the run."""
    page = " ".join((FOLDER / "README.md").read_text(encoding="utf-8").split())
    near = cells("china-rings")[0][1].split(", ")[1].rstrip(")")
    assert f"elasticities up to {near} from the nearest ring alone" in page
    ps = [row[4] for row in cells("china")]
    assert f"**The p-values of {ps[0]} and {ps[2]} are not evidence.**" in page
    assert f"With quasi-differences it is {ps[1]} and {ps[3]}." in page
    loglik = [float(row[3]) for row in cells("china")]
    levels, differenced = loglik[0:6:2], loglik[1:6:2]
    assert max(levels) - min(levels) < 2.0
    assert max(differenced) - min(differenced) < 0.5
    assert loglik[0] - loglik[6] < 2.1  # "at most two below"
    best, low = re.findall(r"(\d+) km \((\d+) to –\)", cells("europe")[0][1])[0]
    assert f"ends at {low} km below and nowhere above, and its best value, {best} km," in page
    ring = float(cells("europe-rings")[1][1].split(", ")[1].rstrip(")"))
    assert f"a ring of 100–200 km could give an elasticity of {ring:.1f}" in page
    state, growth, within = (row[2].split(" ")[0] for row in cells("germany"))
    assert f"in level ({state})" in page
    assert f"({within} within, {growth} in growth)" in page


def test_the_figures_of_the_page_are_there() -> None:
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page)
    assert sorted(shown) == sorted(f"figures/{path.name}" for path in (FOLDER / "figures").iterdir())


@pytest.mark.data
@pytest.mark.parametrize(("study", "row"), [("china", 1), ("europe", 0)])
def test_the_study_files_say_what_the_page_says(study: str, row: int, data: Path) -> None:
    """The same half-distance and the same p-value through [distance] as through the Python interface."""
    from spillover.study.distance_request import reach_of_study
    from spillover.study.load import load_study

    found = reach_of_study(load_study(FOLDER / f"{study}.toml", {"SPILLOVER_DATA": str(data)}))
    half, p = cells(study)[row][1], float(cells(study)[row][4])
    assert numbers(half)[0] == pytest.approx(found.decay["half_distance"], rel=0.01)
    assert p == pytest.approx(found.null_test["p_value"], abs=0.0051)
    assert not found.decay["identified"]
    assert found.no_links
