"""From tables to panels: what is kept, what is said, and every kind of bad table."""

from __future__ import annotations

import datetime
import random
import unicodedata

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spillover.errors import (
    DuplicateKeyError,
    FileError,
    OptionError,
    PanelError,
    UnknownColumnError,
    ValueDomainError,
)
from spillover.panel import read_panel
from spillover.weights.labels import as_text

NAN = float("nan")
TABLE = "id,year,x\n01001,2000,1.5\n01001,2001,2\n01002,2000,3\n01002,2001,\n"
KEYS = {"region": "id", "period": "year"}


@pytest.fixture
def write(tmp_path):
    def _write(content, name="table.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return path

    return _write


def logged(panel, words):
    return any(words in line for line in panel.log)


# -- what is kept -------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [TABLE, "\ufeff" + TABLE, TABLE.replace("\n", "\r\n"), TABLE + "\n\n"])
def test_csv_ids_are_text_and_blanks_missing(write, content):
    panel = read_panel(write(content), **KEYS)
    assert panel.regions == ("01001", "01002")
    assert panel.periods == (2000, 2001)
    np.testing.assert_array_equal(panel["x"], [[1.5, 2.0], [3.0, NAN]])
    assert panel.is_panel
    assert panel.log == ()


def test_numbers_of_a_csv_are_read_to_the_last_digit(write):
    values = np.random.default_rng(1).lognormal(0, 20, 200)
    frame = pd.DataFrame({"id": np.arange(200), "x": values})
    panel = read_panel(write(frame.to_csv(index=False)), region="id")
    order = [panel.regions.index(str(i)) for i in range(200)]
    assert (panel["x"][order, 0] == values).all()  # repr and float are exact inverses


def test_a_table_without_period_is_a_cross_section(write):
    panel = read_panel(write("id,x\nb,2\na,1\n"), region="id")
    assert (panel.regions, panel.periods, panel.is_panel) == (("a", "b"), (0,), False)
    np.testing.assert_array_equal(panel["x"], [[1.0], [2.0]])


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_and_columns_does_not_matter(shuffler: random.Random):
    frame = pd.DataFrame({"id": list("ccaabb"), "year": [1, 2] * 3, "x": np.arange(6.0), "y": np.arange(6.0) ** 2})
    rows, columns = list(range(6)), list(frame.columns)
    shuffler.shuffle(rows)
    shuffler.shuffle(columns)
    first, second = read_panel(frame, **KEYS), read_panel(frame.iloc[rows][columns], **KEYS)
    assert (first.regions, first.periods) == (second.regions, second.periods)
    for name in ("x", "y"):
        np.testing.assert_array_equal(first[name], second[name])


def test_absent_rows_and_gaps_are_missing_and_said(write):
    panel = read_panel(write("id,year,x\na,2015,1\na,2016,2\na,2018,3\nb,2015,4\nb,2018,5\n"), **KEYS)
    np.testing.assert_array_equal(panel["x"], [[1, 2, 3], [4, NAN, 5]])
    assert logged(panel, "2017 is not in year: a gap, nothing was interpolated")
    assert logged(panel, "1 of 6 rows absent, with all their cells missing: b in 2016")


def test_every_fifth_year_is_not_a_gap(write):
    panel = read_panel(write("id,year,x\na,2000,1\na,2005,2\na,2010,3\n"), **KEYS)
    assert panel.log == ()


def test_ids_are_normalised_and_that_is_said(write):
    decomposed = unicodedata.normalize("NFD", "München")
    panel = read_panel(write(f"id,year,x\n{decomposed} ,2000,1\nMünchen,2001,2\n"), **KEYS)
    assert panel.regions == ("München",)
    assert logged(panel, "1 id of id put into Unicode NFC: München")
    assert logged(panel, "blanks around 1 id")


def test_hostile_and_foreign_ids_are_data(write):
    ids = ["<script>alert(1)</script>", "=1+1", "北京", "Île-de-France", "NA", "nan", "0", "None"]
    panel = read_panel(write("id,x\n" + "".join(f"{each},1\n" for each in ids)), region="id")
    assert panel.regions == tuple(sorted(ids))


def test_whole_numbers_lose_their_point():
    frame = pd.DataFrame({"id": [110000.0, 120000.0], "year": [2000.0, 2000.0], "x": [1, 2]})
    assert read_panel(frame, **KEYS).regions == ("110000", "120000")
    big = pd.DataFrame({"id": [2**60 + 1], "x": [1]})  # more digits than a float has
    assert read_panel(big, region="id").regions == (str(2**60 + 1),)


@pytest.mark.parametrize(
    ("cells", "periods"),
    [
        (["2001", "2000"], (2000, 2001)),
        (["2001.0", "2000.0"], (2000, 2001)),
        (["2001-12-31", "2000-12-31"], (2000, 2001)),
        ([datetime.date(2001, 5, 5), datetime.date(2000, 5, 5)], (2000, 2001)),
        (pd.to_datetime(["2001-01-01", "2000-01-01"]), (2000, 2001)),
        (["2001-01-01", "2001-07-01"], ("2001-01-01", "2001-07-01")),  # two in a year: not a year
        (["2001Q2", "2001Q1"], ("2001Q1", "2001Q2")),
    ],
)
def test_periods(cells, periods):
    panel = read_panel(pd.DataFrame({"id": ["a", "a"], "year": cells, "x": [1, 2]}), **KEYS)
    assert panel.periods == periods


def test_numbers_that_are_too_large_for_an_integer_keep_their_value():
    frame = pd.DataFrame({"id": ["a", "b"], "x": np.array([2**64 - 1, 1], dtype="uint64")})
    assert read_panel(frame, region="id")["x"][0, 0] == 2.0**64
    with pytest.raises(ValueDomainError, match="x of a = inf"):
        read_panel(frame.assign(x=[10**400, 1]), region="id", columns=["x"])


@pytest.mark.parametrize(
    ("ids", "words"),
    [([b"a", b"b"], "holds bytes, not texts"), ([1e20, 2e20], "their last digits are lost")],
)
def test_ids_that_would_change_are_refused(ids, words):
    with pytest.raises(ValueDomainError, match=words):
        read_panel(pd.DataFrame({"id": ids, "x": [1, 2]}), region="id")


def test_invisible_signs_in_ids_are_removed_and_that_is_said(write):
    panel = read_panel(write("id,x\n\ufeffR1,1\nR\u200b2,2\n"), region="id")
    assert panel.regions == ("R1", "R2")
    assert logged(panel, "invisible signs in 2 ids of id removed: R1, R2")
    assert as_text("\u200bR1") == "R1"


def test_cells_that_are_objects_are_no_numbers():
    with pytest.raises(ValueDomainError, match="not a number"):
        read_panel(pd.DataFrame({"id": ["a", "b"], "x": [{}, 1]}), region="id", columns=["x"])


def test_full_width_digits_are_not_taken_for_numbers(write):
    with pytest.raises(ValueDomainError, match="full-width digits"):
        read_panel(write("id,x\na,１２\nb,2\n"), region="id", columns=["x"])


def test_booleans_are_zero_and_one(write):
    panel = read_panel(write("id,b,mixed\na,TRUE,true\nb,False,2\nc,,3\n"), region="id")
    np.testing.assert_array_equal(panel["b"], [[1], [0], [NAN]])
    assert "mixed" not in panel
    assert logged(panel, "column mixed left out, with 1 cell not a number: 'true' of a")


def test_missing_marks_of_statistical_software_are_missing_and_said(write):
    panel = read_panel(write("id,x,y\na,NA,.\nb,1,NaN\nc,NA,2\n"), region="id", columns=["x", "y"])
    np.testing.assert_array_equal(panel["x"][:, 0], [NAN, 1, NAN])
    assert logged(panel, "2 cells of x marked 'NA': missing")
    assert logged(panel, "1 cell of y marked '.': missing")


def test_text_columns_are_left_out_aloud(write):
    panel = read_panel(write('id,x,note,sales\na,1,good,"1,234"\nb,2,bad,5\n'), region="id")
    assert list(panel.variables) == ["x"]
    assert logged(panel, "text columns left out: note")
    assert logged(panel, "column sales left out, with 1 cell not a number: '1,234' of a")


def test_only_listed_columns_are_read(write):
    content = "id,year,x,y\na,1,1,n/a\nb,1,2,3\n"
    assert list(read_panel(write(content), columns=["x"], **KEYS).variables) == ["x"]


def test_units_labels_names_and_groups(write):
    content = "id,year,x,name,country\na,1,1,Alt,DE\na,2,1,Neu,DE\nb,1,2,,FR\nb,2,2,,FR\n"
    panel = read_panel(
        write(content), name="name", groups=["country"], units={"x": "persons"}, labels={"x": "Scientists"}, **KEYS
    )
    assert panel.names == ("Neu", "b")
    assert panel.groups == {"country": ("DE", "FR")}
    assert (panel.units["x"], panel.label("x")) == ("persons", "Scientists")
    assert logged(panel, "Alt → Neu")
    assert logged(panel, "shown by their id: b")


# -- kinds of tables ----------------------------------------------------------------------------


def frame_of_everything():
    return pd.DataFrame(
        {
            "id": ["01", "01", "02", "02"],
            "year": [2000, 2001, 2000, 2001],
            "x": [1.5, 2.0, np.nan, 4.0],
            "flag": [True, False, True, True],
            "country": ["DE", "DE", "FR", "FR"],
        }
    )


def _polars(frame):
    return pytest.importorskip("polars", reason="polars is not installed").from_pandas(frame)


@pytest.mark.parametrize(
    "convert",
    [lambda frame: frame, pa.Table.from_pandas, lambda f: f.convert_dtypes(), lambda f: f.astype(object), _polars],
    ids=["pandas", "pyarrow", "nullable", "object", "polars"],
)  # fmt: skip
def test_any_data_frame_gives_the_same_panel(convert):
    panel = read_panel(convert(frame_of_everything()), groups=["country"], **KEYS)
    assert panel.regions == ("01", "02")
    np.testing.assert_array_equal(panel["x"], [[1.5, 2], [NAN, 4]])
    np.testing.assert_array_equal(panel["flag"], [[1, 0], [1, 1]])
    assert panel.groups["country"] == ("DE", "FR")


def test_files_give_the_same_panel(tmp_path):
    frame = frame_of_everything()
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_csv(tmp_path / "t.tsv", index=False, sep="\t")
    frame.to_excel(tmp_path / "t.xlsx", index=False)
    frame.set_index("x", append=True).reset_index("x").iloc[::-1].to_parquet(tmp_path / "t.parquet")
    for suffix in ("csv", "tsv", "xlsx", "parquet"):
        panel = read_panel(tmp_path / f"t.{suffix}", groups=["country"], **KEYS)
        assert panel.regions == ("01", "02"), suffix
        assert list(panel.variables) == ["x", "flag"], suffix
        np.testing.assert_array_equal(panel["x"], [[1.5, 2], [NAN, 4]])


def test_stata_labels_and_whole_number_ids(tmp_path):
    frame = frame_of_everything().drop(columns="flag").assign(id=[1.0, 1.0, 2.0, 2.0])
    frame["country"] = frame["country"].astype("category")
    path = tmp_path / "t.dta"
    frame.to_stata(path, write_index=False, variable_labels={"x": "Ausgaben für F&E"}, version=118)
    panel = read_panel(path, **KEYS)
    assert panel.regions == ("1", "2")
    assert panel.label("x") == "Ausgaben für F&E"
    assert logged(panel, "value labels were not used, the codes were: country")
    assert read_panel(path, labels={"x": "R&D"}, **KEYS).label("x") == "R&D"


def test_second_sheets_are_mentioned(tmp_path):
    with pd.ExcelWriter(tmp_path / "t.xlsx") as book:
        frame_of_everything().to_excel(book, sheet_name="data", index=False)
        pd.DataFrame({"a": [1]}).to_excel(book, sheet_name="notes", index=False)
    assert logged(read_panel(tmp_path / "t.xlsx", **KEYS), "first sheet of t.xlsx was read (data); others: notes")


def test_semicolons_are_found_and_other_encodings_by_choice(write):
    assert logged(read_panel(write(TABLE.replace(",", ";")), **KEYS), "separated by ';'")
    path = write("id,year,x\n北京,2000,1\n".encode("gb18030"))
    assert read_panel(path, encoding="gb18030", **KEYS).regions == ("北京",)


# -- bad tables ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "error", "words"),
    [
        ("", FileError, "is empty"),
        ("\n \n", FileError, "is empty"),
        ("id,year,x\n", FileError, "has no rows"),
        (bytes(range(256)) * 10, FileError, "binary"),
        (b"PK\x03\x04...", FileError, "Excel workbook"),
        ("id,year,x\n北京,2000,1\n".encode("gb18030"), FileError, 'line 2(.|\n)*encoding="gb18030"'),
        (TABLE.encode("utf-16"), FileError, 'encoding="utf-16"'),
        (TABLE + "3,2000,1,9\n", FileError, "line 6 has 4"),
        (TABLE + "3,2000\n", FileError, "line 6 has 2"),
        (TABLE + '"3,2000,1\n', FileError, "quotation mark"),
        ("id,year,x,x\n1,2,3,4\n", PanelError, "same name(.|\n)*got: +x"),
        (TABLE + "01001,2000,7\n", DuplicateKeyError, r"01001 in 2000 \(line 2, line 6\)"),
        (TABLE + ",2000,7\n", ValueDomainError, "1 row of table.csv without a region(.|\n)*line 6"),
        (TABLE + "3, ,7\n", ValueDomainError, "without a period(.|\n)*line 6"),
        (TABLE + "3,2000,inf\n", ValueDomainError, "infinite(.|\n)*x of 3 in 2000"),
        (TABLE + "3,2000,-1e999\n", ValueDomainError, "infinite(.|\n)*x of 3 in 2000"),
        ("id,year,x\n1,2000,good\n", PanelError, "no column of numbers"),
    ],
)
def test_bad_files(write, content, error, words):
    with pytest.raises(error, match=words):
        read_panel(write(content), **KEYS)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet", "xlsx", "xls", "dta"])
@pytest.mark.parametrize("content", [b"", b"\x01\x02\xff\xfe\x00 nothing that can be read" * 20])
def test_empty_and_damaged_files_of_every_kind(write, suffix, content):
    with pytest.raises(FileError):
        read_panel(write(content, f"t.{suffix}"), **KEYS)


@pytest.mark.parametrize("name", ["a\0b.csv", "x" * 300 + ".csv", "loop.csv"])
def test_paths_that_cannot_be(tmp_path, name):
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    with pytest.raises(FileError):
        read_panel(tmp_path / name, **KEYS)


def test_a_folder_that_may_not_be_searched(tmp_path, monkeypatch):
    def closed(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.is_dir", closed)
    with pytest.raises(FileError, match="Permission denied"):
        read_panel(tmp_path / "t.csv", **KEYS)


def test_files_that_are_not_there(tmp_path, write):
    path = write(TABLE)
    with pytest.raises(FileError, match=r"Did you mean 'table.csv'"):
        read_panel(tmp_path / "tabel.csv", **KEYS)
    with pytest.raises(FileError, match="folder"):
        read_panel(tmp_path / "nowhere" / "t.csv", **KEYS)
    with pytest.raises(FileError, match="is a folder"):
        read_panel(tmp_path, **KEYS)
    with pytest.raises(FileError, match="geometry="):
        read_panel(write("{}", "map.geojson"), **KEYS)
    with pytest.raises(OptionError, match="encoding"):
        read_panel(path, encoding="utf-99", **KEYS)


@pytest.mark.parametrize("table", [None, 5, {"id": [1]}, np.eye(2)])
def test_things_that_are_no_tables(table):
    with pytest.raises(OptionError, match="neither a path nor a data frame"):
        read_panel(table, **KEYS)


def test_texts_in_a_listed_column_are_named(write):
    content = TABLE + '3,2000,n/a\n4,2001,"1,234"\n5,2000,..\n6,2000,1_000\n'
    with pytest.raises(ValueDomainError) as error:
        read_panel(write(content), columns=["x"], **KEYS)
    for cell in (
        "'n/a' (x of 3 in 2000)",
        "'1,234' (x of 4 in 2001)",
        "'..' (x of 5 in 2000)",
        "'1_000' (x of 6 in 2000)",
    ):
        assert cell in str(error.value)


def test_repeated_regions_of_a_cross_section_hint_at_the_period(write):
    with pytest.raises(DuplicateKeyError, match="period=…"):
        read_panel(write(TABLE), region="id")


def test_unknown_columns(write):
    path = write(TABLE)
    with pytest.raises(UnknownColumnError, match="Did you mean 'id'"):
        read_panel(path, region="ID", period="year")
    with pytest.raises(UnknownColumnError, match="period"):
        read_panel(path, region="id", period="month")
    for option in ({"columns": ["x", "xx"]}, {"groups": ["xx"]}, {"name": "xx"}, {"units": {"xx": "m"}}):
        with pytest.raises(UnknownColumnError, match="xx"):
            read_panel(path, **KEYS, **option)
    with pytest.raises(UnknownColumnError, match="reset_index"):
        read_panel(frame_of_everything().set_index(["id", "year"]), **KEYS)


def test_options_that_cannot_be_meant(write):
    path = write(TABLE)
    with pytest.raises(OptionError, match="same column"):
        read_panel(path, region="id", period="id")
    with pytest.raises(OptionError, match="list of column names"):
        read_panel(path, columns="x", **KEYS)
    with pytest.raises(OptionError, match="geometry_policy"):
        read_panel(path, geometry_policy="map", **KEYS)


def test_groups_that_change_in_time_are_named():
    frame = frame_of_everything().assign(country=["DE", "FR", "FR", None])
    with pytest.raises(PanelError) as error:
        read_panel(frame, groups=["country"], **KEYS)
    assert "01 (DE, FR), 02 (FR, blank)" in str(error.value)


def test_ids_and_years_that_are_fractions():
    with pytest.raises(ValueDomainError, match=r"1.5 in row 1"):
        read_panel(pd.DataFrame({"id": [1.5, 2.0], "x": [1, 2]}), region="id")
    with pytest.raises(ValueDomainError, match=r"2000.5 in row 1"):
        read_panel(pd.DataFrame({"id": [1, 1], "year": [2000.5, 2001], "x": [1, 2]}), **KEYS)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=8))
def test_any_column_of_texts_gives_a_panel_or_one_of_our_errors(cells):
    frame = pd.DataFrame({"id": cells, "x": np.arange(len(cells), dtype=float)})
    try:
        panel = read_panel(frame, region="id")
    except (FileError, DuplicateKeyError, ValueDomainError):
        return
    assert sorted(panel.regions) == sorted(unicodedata.normalize("NFC", cell).strip() for cell in cells)


def test_ids_that_a_program_wrote_as_floats_are_whole_numbers(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("code,year,x\n1.0,1998.0,2\n10.0,1998.0,3\n", encoding="utf-8")
    panel = read_panel(path, region="code", period="year")
    assert panel.regions == ("1", "10")
    assert panel.periods == (1998,)
    assert any("1.0 is 1" in line for line in panel.log)
    path.write_text("code,year,x\n1.0,1998,2\nA,1998,3\n", encoding="utf-8")
    assert read_panel(path, region="code", period="year").regions == ("1.0", "A")  # texts stay as they are
