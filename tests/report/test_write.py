"""The output folder: what is in it, what may be replaced, what a failure leaves."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillover.errors import OutputError
from spillover.report import check_output, write_report
from spillover.report import write as write_module
from spillover.report.printing import Lettering
from spillover.report.tables import csv_text, study_tables
from spillover.study.result import StudyResult

Make = Callable[..., StudyResult]


@pytest.fixture(scope="module")
def folder(study: StudyResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A written report, for tests that only look."""
    return write_report(study, tmp_path_factory.mktemp("out") / "results", files={"study.toml": "a = 1\n"}).parent


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No print figures and a short page, for tests of the folder alone."""
    monkeypatch.setattr(write_module, "write_figures", lambda result, place: (place.mkdir(), ())[1])
    monkeypatch.setattr(write_module, "render_html", lambda result, notices: "page")


def test_the_folder_holds_what_is_promised(folder: Path, study: StudyResult) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [
        "figures",
        "report.html",
        "results.json",
        "study.toml",
        "tables",
    ]
    assert {path.stem for path in (folder / "tables").iterdir()} == study_tables(study).keys()
    drawn = {path.stem for path in (folder / "figures").glob("*.svg")}
    assert drawn == {path.stem for path in (folder / "figures").glob("*.pdf")}
    assert {"moran", "effects", "forest", "map-level-0", "map-change-1", "map-received", "map-emitted"} <= drawn
    assert not list(folder.parent.glob(".*"))


def test_results_survive_the_round_trip(folder: Path, study: StudyResult) -> None:
    assert StudyResult.from_json((folder / "results.json").read_text(encoding="utf-8")) == study


def test_tables_read_back_with_chinese_names_and_exact_numbers(folder: Path, study: StudyResult) -> None:
    raw = (folder / "tables" / "measures.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")  # the mark by which spreadsheets know UTF-8
    rows = list(csv.DictReader(io.StringIO(raw.decode("utf-8-sig"))))
    assert rows[0]["value"] == repr(study.measures[0].values[0][0])
    assert {"江苏省", "Île-de-France"} <= {row["name"] for row in rows}
    assert '\'=HYPERLINK("http://evil.example","click")' in {row["name"] for row in rows}
    missing = [row for row in rows if row["variable"] == "patents" and row["region"] == "R00"]
    assert missing[0]["value"] == ""


def test_figures_hold_no_scripts_and_do_not_depend_on_the_clock(
    study: StudyResult, tmp_path: Path, folder: Path
) -> None:
    again = write_report(study, tmp_path / "again").parent
    for path in (folder / "figures").iterdir():
        assert path.read_bytes() == (again / "figures" / path.name).read_bytes(), path.name
    for path in (folder / "figures").glob("*.svg"):
        assert not re.search(r"<script|onerror|href=\"http", path.read_text(encoding="utf-8"))


@given(st.text(max_size=20))
def test_no_text_cell_begins_a_formula(text: str) -> None:
    cell = next(csv.reader(io.StringIO(csv_text([{"a": text, "b": 1}])[1:].split("\n", 1)[1], newline="")), [""])[0]
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠"))
    assert cell.removeprefix("'") == text.removeprefix("'")


def test_negative_numbers_stay_numbers() -> None:
    assert csv_text([{"x": -1.5, "y": None, "z": True}]).splitlines()[1] == "-1.5,,true"


def test_an_earlier_result_is_replaced_and_other_files_stay(
    quick: None, study: StudyResult, make_result: Make, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    write_report(make_result(kind="demo"), out)
    assert (out / "tables" / "truth.csv").exists()
    (out / "notes.txt").write_text("mine")
    write_report(study, out)
    assert not (out / "tables" / "truth.csv").exists()
    assert (out / "notes.txt").read_text() == "mine"
    assert StudyResult.from_json((out / "results.json").read_text(encoding="utf-8")).kind == "study"


def test_an_empty_folder_and_missing_parents_are_fine(quick: None, study: StudyResult, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert write_report(study, tmp_path / "empty").exists()
    assert write_report(study, tmp_path / "a" / "b" / "c").exists()


def test_a_folder_that_is_not_ours_is_refused_untouched(study: StudyResult, tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").write_text("years of work")
    with pytest.raises(OutputError, match=r"thesis\.docx") as caught:
        write_report(study, tmp_path)
    assert "fix:" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.docx"]


def test_overwriting_can_be_refused(quick: None, study: StudyResult, tmp_path: Path) -> None:
    write_report(study, tmp_path / "out")
    with pytest.raises(OutputError, match="earlier result"):
        write_report(study, tmp_path / "out", overwrite=False)


def test_a_file_in_the_way_is_named(study: StudyResult, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    with pytest.raises(OutputError, match="is a file"):
        write_report(study, tmp_path / "out")
    with pytest.raises(OutputError, match="is a file"):
        write_report(study, tmp_path / "out" / "below")


def test_a_place_without_rights_is_an_output_error(
    study: StudyResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # root may write everywhere, so the right is taken away where it is asked for
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OutputError, match="cannot be written"):
        check_output(tmp_path / "out")
    with pytest.raises(OutputError, match="cannot be written"):
        write_report(study, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_failure_while_writing_leaves_nothing(
    study: StudyResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> tuple[str, ...]:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(write_module, "write_figures", full)
    with pytest.raises(OutputError, match="No space left"):
        write_report(study, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_failure_while_moving_brings_the_earlier_result_back(
    quick: None, study: StudyResult, make_result: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    write_report(make_result(kind="demo"), out)
    rename = Path.rename

    def stubborn(self: Path, target: Path) -> Path:
        # the new tables cannot be moved in: entries move in alphabetical order, so three others are in place by then
        if self.name == "tables" and self.parent.name == "new":
            raise PermissionError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", stubborn)
    with pytest.raises(OutputError, match="Permission denied"):
        write_report(study, out)
    assert StudyResult.from_json((out / "results.json").read_text(encoding="utf-8")).kind == "demo"
    assert (out / "tables" / "truth.csv").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_characters_without_a_font_are_told_and_never_drawn_as_boxes() -> None:
    letters = Lettering()
    letters.__dict__["characters"] = frozenset(map(ord, "abc "))  # a machine with three letters
    assert letters.text("abc 江") == "abc ?"
    assert "江" in letters.notices()[0]
    assert Lettering().notices() == ()
