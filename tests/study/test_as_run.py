"""The study file in the folder of results runs again from there, with the same numbers."""

import tomllib
from pathlib import Path

import pytest
from grid_study import STUDY, write_study

from spillover.study.as_run import study_as_run
from spillover.study.load import load_study
from spillover.study.run import run_study

SHORT = STUDY.split("[[models]]")[0] + '[[models]]\nname = "SDM"\nformula = "log(patents_pc) ~ log(lq) + log(rd)"\n'


def test_the_study_of_the_results_gives_the_same_numbers(tmp_path: Path) -> None:
    first = run_study(write_study(tmp_path / "study", SHORT), out=tmp_path / "results" / "first", seed=11)
    text = (tmp_path / "results" / "first" / "study.toml").read_text(encoding="utf-8")
    assert 'table = "../../study/regions.csv"' in text
    again = run_study(tmp_path / "results" / "first" / "study.toml", out=tmp_path / "results" / "again")
    assert again.models == first.models
    assert again.diagnostics == first.diagnostics
    assert again.provenance.seed == 11
    copied = (tmp_path / "results" / "again" / "study.toml").read_text(encoding="utf-8")
    assert copied == text


def test_comments_placeholders_and_absolute_paths_stay(tmp_path: Path) -> None:
    study = SHORT.replace("[study]", "# mine\n[study]").replace(
        '"map.geojson"', f"'{tmp_path}/s/map.geojson' # mine too"
    )
    study = study.replace('"regions.csv"', '"${PLACE}/regions.csv"').replace("seed = 7\n", "")
    path = write_study(tmp_path / "s", study)
    loaded = load_study(path, {"PLACE": str(tmp_path / "s")})
    text = study_as_run(loaded, tmp_path / "out", 1)
    assert text == study  # the seed is that of the file: nothing to write
    other = study_as_run(loaded, tmp_path / "out", 5)
    assert tomllib.loads(other)["study"]["seed"] == 5
    assert "# mine too" in other


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('table = "regions.csv"', 'table = """regions.csv"""'),
        ('table = "regions.csv"', '"table" = "regions.csv"'),
        ('[[weights]]\nname = "near"\nkind = "knn"\nk = 4\n', ""),
        ('geometry = "map.geojson"', 'geometry = "map.geojson"\nlabels = { rd = "table = \\"x\\"" }'),
    ],
)
def test_any_layout_leads_to_the_same_files(tmp_path: Path, old: str, new: str) -> None:
    loaded = load_study(write_study(tmp_path / "s", SHORT.replace(old, new)))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "study.toml").write_text(study_as_run(loaded, tmp_path / "out", 3), encoding="utf-8")
    found = load_study(tmp_path / "out" / "study.toml")
    assert found.config.data == loaded.config.data
    assert found.config.models == loaded.config.models
    assert found.config.study.seed == 3


def test_a_configuration_without_a_file_becomes_one(tmp_path: Path) -> None:
    config = load_study(write_study(tmp_path / "s", SHORT)).config
    run_study(config, out=tmp_path / "out")
    assert load_study(tmp_path / "out" / "study.toml").config == config
