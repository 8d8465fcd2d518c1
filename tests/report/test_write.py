"""The output folder: what is in it, what may be replaced, what a failure leaves."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spillover.errors import OptionError, OutputError
from spillover.report import check_output, write_report
from spillover.report import write as write_module
from spillover.report.printing import Lettering
from spillover.report.tables import csv_text, study_tables
from spillover.study.result import StudyResult

UNLINK = Path.unlink
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
        ".spillover-files.json",
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


@pytest.mark.parametrize("problem", [PermissionError(13, "Permission denied"), KeyboardInterrupt()])
def test_a_failure_or_a_stop_while_moving_brings_the_earlier_result_back(
    quick: None,
    study: StudyResult,
    make_result: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    problem: BaseException,
) -> None:
    out = tmp_path / "out"
    write_report(make_result(kind="demo"), out)
    rename = Path.rename

    def stubborn(self: Path, target: Path) -> Path:
        # the new tables cannot be moved in: entries move in alphabetical order, so others are in place by then
        if self.parent.name == "tables" and self.parent.parent.name == "new":
            raise problem
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", stubborn)
    with pytest.raises((OutputError, KeyboardInterrupt)):
        write_report(study, out)
    monkeypatch.undo()
    assert StudyResult.from_json((out / "results.json").read_text(encoding="utf-8")).kind == "demo"
    assert (out / "tables" / "truth.csv").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_files_of_others_in_a_folder_of_results_are_never_touched(
    quick: None, study: StudyResult, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    write_report(study, out)
    (out / "tables" / "mine.csv").write_text("mine")
    (out / "figures").mkdir()
    (out / "figures" / "mine.svg").write_text("mine")
    write_report(study, out)
    assert (out / "tables" / "mine.csv").read_text() == "mine"
    assert (out / "figures" / "mine.svg").read_text() == "mine"
    (out / "study.toml").write_text("mine")  # now in the way of a new file
    with pytest.raises(OutputError, match=r"in the way.*\n.*study\.toml"):
        write_report(study, out, files={"study.toml": "a = 1"})
    assert (out / "study.toml").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("content", ["{}", "[]", "no json", '{"provenance": {"version": "1"}}'])
def test_a_file_called_results_does_not_make_a_folder_ours(study: StudyResult, tmp_path: Path, content: str) -> None:
    (tmp_path / "results.json").write_text(content)
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "mine.svg").write_text("mine")
    with pytest.raises(OutputError, match="not an earlier result"):
        write_report(study, tmp_path)
    (tmp_path / "results.json").write_text(study.to_json())  # a result, but without our list of files
    with pytest.raises(OutputError, match="not an earlier result"):
        write_report(study, tmp_path)
    assert (tmp_path / "figures" / "mine.svg").read_text() == "mine"


def test_a_list_that_names_files_elsewhere_takes_none_of_them(quick: None, study: StudyResult, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_report(study, out)
    (tmp_path / "mine").write_text("mine")
    listed = json.loads((out / ".spillover-files.json").read_text())
    digest = hashlib.sha256(b"mine").hexdigest()
    listed["files"] |= {"../mine": digest, str(tmp_path / "mine"): digest}
    (out / ".spillover-files.json").write_text(json.dumps(listed))
    write_report(study, out)
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_file_that_was_changed_since_is_not_replaced(quick: None, study: StudyResult, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_report(study, out, files={"study.toml": "a = 1"})
    (out / "study.toml").write_text("a = 2")
    with pytest.raises(OutputError, match=r"changed since.*\n.*study\.toml"):
        write_report(study, out)
    assert (out / "study.toml").read_text() == "a = 2"


def test_a_folder_that_holds_an_input_is_refused(study: StudyResult, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "table.csv").write_text("x")
    with pytest.raises(OutputError, match=r"holds what the study reads.*\n.*table\.csv"):
        write_report(study, tmp_path, inputs=[tmp_path / "data" / "table.csv"])
    with pytest.raises(OutputError, match="holds what the study reads"):
        check_output(tmp_path, inputs=[tmp_path / "study.toml"])


def test_two_runs_do_not_write_to_one_folder(
    quick: None, study: StudyResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"

    def second(*_: object, **__: object) -> str:
        with pytest.raises(OutputError, match="another run is writing"):
            write_report(study, out)
        return "page"

    monkeypatch.setattr(write_module, "render_html", second)
    write_report(study, out)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_lock_file_that_was_left_behind_locks_nothing(
    quick: None, study: StudyResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "unlink", lambda self, missing_ok=False: None)  # a run that ended without cleaning up
    write_report(study, tmp_path / "out")
    assert list(tmp_path.glob("*.lock"))
    monkeypatch.setattr(Path, "unlink", UNLINK)
    assert write_report(study, tmp_path / "out").exists()
    assert not list(tmp_path.glob("*.lock"))


@pytest.mark.parametrize("name", ["../x", "a/b", "results.json", "Report.html", "tables", ".hidden", "", "a\0b", "c:x"])
def test_further_files_are_plain_names(study: StudyResult, tmp_path: Path, name: str) -> None:
    with pytest.raises(OptionError, match="plain names"):
        write_report(study, tmp_path / "out", files={name: "x"})
    assert not list(tmp_path.iterdir())


def test_only_a_result_becomes_a_report(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="StudyResult"):
        write_report({}, tmp_path / "out")  # type: ignore[arg-type]


@pytest.mark.parametrize("out", ["a\0b", None, "~nobody-of-this-name/x", "x" * 300, "loop/x"])
def test_places_that_cannot_be_are_output_errors(study: StudyResult, tmp_path: Path, out: Any) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OutputError):
        write_report(study, tmp_path / out if out and out[0] != "~" else out)


def test_a_folder_that_may_not_be_searched_is_an_output_error(
    study: StudyResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(self: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_dir", closed)  # root may search everywhere
    with pytest.raises(OutputError, match="Permission denied"):
        check_output(tmp_path / "out")


def test_characters_without_a_font_are_told_and_never_drawn_as_boxes() -> None:
    letters = Lettering()
    letters.__dict__["characters"] = frozenset(map(ord, "abc "))  # a machine with three letters
    assert letters.text("abc 江") == "abc ?"
    assert "江" in letters.notices()[0]
    assert Lettering().notices() == ()
