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
