"""Comparison tables: the numbers of the fits, in every format, whatever the names."""

from __future__ import annotations

import csv
import io
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import spillover as so
from simulated import simulate_sdm
from spillover.errors import OptionError, OutputError
from spillover.models.random_effects import fit_random
from spillover.panel.panel import Panel
from spillover.tables import ComparisonTable, compare
from spillover.tables.latex import escape
from spillover.tables.table import Number, Row, Section
from spillover.tables.words import clean, number
from spillover.weights.weights import SpatialWeights

HOSTILE = (
    '=HYPERLINK("http://x","y")',
    "+1",
    "-1",
    "@cmd",
    "＝1",
    "<script>alert(1)</script>",
    r"\input{secret} & 100% $x_1$ #~^ {}",
    "科技创新",
    "a\nb\tc\x00\x1b[31m",
    "abc\u202edef",
    "\ufffe\ud800",
    "| ` \" ' \\\\",
)


@pytest.fixture(scope="module")
def fits(queen_grid: SpatialWeights) -> list:  # type: ignore[type-arg]
    panel = simulate_sdm(queen_grid, 6, seed=1)
    models = [so.fit("y ~ x0 + x1", panel, queen_grid, model=model) for model in ("ols", "sdm", "sem")]  # type: ignore[arg-type]
    return [*models, fit_random("y ~ x0 + x1", panel, queen_grid, correlated=True)]


@pytest.fixture(scope="module")
def hostile() -> ComparisonTable:
    """Every kind of name in every place."""
    rows = tuple(Row(name, (Number(1.5, 0.25, 0.03, 1.0, 2.0), name, None)) for name in HOSTILE)
    return ComparisonTable(
        columns=(HOSTILE[0], HOSTILE[5], HOSTILE[6]),
        sections=(Section(HOSTILE[0], rows), Section(HOSTILE[7], rows)),
        notes=HOSTILE,
        sources=HOSTILE,
        stars=True,
    )


def read(table: ComparisonTable, path: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(table.to_csv(path).read_text(encoding="utf-8-sig"), newline="")))


def test_cells_are_the_numbers_of_the_fits(fits: list, tmp_path: Path) -> None:  # type: ignore[type-arg]
    rows = read(compare(fits), tmp_path / "t.csv")
    assert rows[0] == ["section", "term", "quantity", "(1) OLS", "(2) SDM", "(3) SEM", "(4) SDM"]
    cells = {tuple(row[:3]): row[3:] for row in rows[1:]}
    for i, fit in enumerate(fits):
        for name, estimate, error in zip(
            fit.estimates.names, fit.estimates.values, fit.estimates.std_errors, strict=True
        ):
            assert float(cells["Coefficients", name, "estimate"][i]) == estimate  # repr round trip is exact
            assert float(cells["Coefficients", name, "std error"][i]) == error
        for row in fit.effects().itertuples():
            assert float(cells[f"{row.effect.capitalize()} effects", row.variable, "estimate"][i]) == row.estimate
        assert float(cells["Statistics", "log-likelihood", ""][i]) == fit.statistics["log_likelihood"]
    assert cells["Coefficients", "W*x0", "estimate"][0] == ""  # OLS has no such term
    assert cells["Indirect effects", "x0", "std error"][0] == ""  # zero by the model, so without error
    assert cells["Statistics", "model", ""] == ["OLS", "SDM", "SEM", "SDM"]


def test_order_of_rows(fits: list) -> None:  # type: ignore[type-arg]
    labels = [row.label for row in compare(fits).sections[0].rows]
    assert labels == [
        "(Intercept)", "x0", "x1", "W*x0", "W*x1", "mean(x0)", "mean(x1)", "W*mean(x0)", "W*mean(x1)", "rho", "lambda",
    ]  # fmt: skip


def test_covariances_by_column(fits: list) -> None:  # type: ignore[type-arg]
    sdm = fits[1]
    table = compare([sdm, sdm], ["clustered", "information"], covariance=["cluster", "information"], effects=False)
    errors = [cell.std_error for cell in table.sections[0].rows[0].cells if isinstance(cell, Number)]
    assert errors == [sdm.with_covariance(kind).estimates.std_errors[0] for kind in ("cluster", "information")]
    methods = next(row.cells for row in table.sections[-1].rows if row.label == "standard errors")
    assert methods == ("clustered by region", "information matrix")
    both = compare({"a": sdm, "b": sdm}, covariance="information", effects=False)
    assert both.columns == ("a", "b")


def test_mistakes_are_named(fits: list) -> None:  # type: ignore[type-arg]
    with pytest.raises(OptionError, match="no fit"):
        compare([])
    with pytest.raises(OptionError, match="not a fit"):
        compare([fits[0], "sdm"])
    with pytest.raises(OptionError, match="one name per fit"):
        compare(fits, ["a"])
    with pytest.raises(OptionError, match="one covariance per fit"):
        compare(fits, covariance=["cluster"])
    with pytest.raises(OptionError, match="chosen when it is fitted"):
        compare(fits, covariance="cluster")


def test_notes_say_what_does_not_compare(fits: list, grid_panel: Panel, queen_grid: SpatialWeights) -> None:  # type: ignore[type-arg]
    assert any("differ in effects" in note for note in compare(fits).notes)
    assert not any("differ in" in note for note in compare(fits[:3]).notes)
    short = so.fit("y ~ x0", grid_panel.select(periods=range(2000, 2004)), queen_grid)
    assert any("regions or periods" in note for note in compare([fits[1], short]).notes)
    assert any("Mundlak" in source for source in compare(fits).sources)


def test_text_is_aligned_for_wide_characters() -> None:
    table = ComparisonTable(
        ("模型", "b"), (Section("系数", (Row("科技创新", (Number(1.0, 0.5), 2)), Row("x", (3, None)))),)
    )
    head, rule, _, first, _second, _third, *_ = table.to_text().splitlines()
    # label 8 columns, two gaps of 2, cells of 6 ("(0.500)" is 7) and 1
    assert len(rule) == 8 + 2 + 7 + 2 + 1
    assert head.index("模型") == 8 + 2 + 3
    assert first.startswith("科技创新  ")


def test_estimate_error_and_interval_share_their_decimals() -> None:
    table = ComparisonTable(
        ("a",), (Section("s", (Row("x", (Number(-0.457077, 0.027356, 0.04, -0.5107, -0.4035),)),)),)
    )
    assert "−0.4571\n" in table.to_text() + "\n"
    assert "(0.0274)" in table.to_text()
    assert "[−0.5107, −0.4035]" in table.to_text()
    assert number(0.0) == "0"
    assert number(np.nan) == "–"


def test_stars_only_when_asked() -> None:
    cells = tuple(Number(1.0, 0.5, p) for p in (0.2, 0.09, 0.04, 0.009))
    table = ComparisonTable(tuple("abcd"), (Section("s", (Row("x", cells),)),), stars=True)
    assert table.to_text().splitlines()[3].split() == ["x", "1.000", "1.000*", "1.000**", "1.000***"]
    assert "*" not in ComparisonTable(tuple("abcd"), table.sections).to_text()


# -- hostile names ----------------------------------------------------------------------------------


def test_csv_has_no_formulas(hostile: ComparisonTable, tmp_path: Path) -> None:
    rows = read(hostile, tmp_path / "t.csv")
    for value in (value for row in rows for value in row):
        assert not value.startswith(("=", "+", "@", "＝", "\t", "\r"))
        assert not value.startswith("-") or float(value)
    assert rows[0][3].startswith("'=HYPERLINK")
    assert ["科技创新", "科技创新", "estimate", "1.5"] in [row[:4] for row in rows]


def test_excel_has_no_formulas_and_keeps_numbers(hostile: ComparisonTable, tmp_path: Path) -> None:
    from openpyxl import load_workbook

    sheet = load_workbook(hostile.to_excel(tmp_path / "t.xlsx")).active
    assert all(cell.data_type != "f" for row in sheet.iter_rows() for cell in row)
    values = [cell.value for row in sheet.iter_rows() for cell in row]
    assert 1.5 in values
    assert HOSTILE[0] in values
    assert "科技创新" in values


class _Reader(HTMLParser):
    """Collects tags and text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_html_is_escaped(hostile: ComparisonTable) -> None:
    reader = _Reader()
    reader.feed(hostile.to_html())
    assert reader.tags == {"table", "thead", "tbody", "tfoot", "tr", "th", "td"}
    for name in HOSTILE:
        assert clean(name) in reader.text


def test_latex_is_escaped(hostile: ComparisonTable) -> None:
    text = hostile.to_latex()
    assert "\\input" not in text
    assert r"\textbackslash{}input\{secret\} \& 100\% \$x\textunderscore" not in text  # one way of writing it
    assert r"\textbackslash{}input\{secret\} \& 100\% \$x\_1\$ \#\textasciitilde{}\textasciicircum{} \{\}" in text
    assert "科技创新" in text
    bare = text.replace(r"\{", "").replace(r"\}", "")
    assert bare.count("{") == bare.count("}")
    # "[" after a line break would be read as its optional length
    assert not any(line.startswith("[") for line in text.splitlines())
    assert escape("[") == "{[}"


def test_text_has_no_control_characters(hostile: ComparisonTable) -> None:
    text = hostile.to_text()
    assert not any(ord(c) < 32 and c != "\n" for c in text)
    assert "\u202e" not in text
    text.encode("utf-8")  # no lone surrogates


def test_word_or_a_message_that_names_the_extra(
    hostile: ComparisonTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "docx", None)
    with pytest.raises(OutputError, match=r"spillover\[word\]"):
        hostile.to_word(tmp_path / "t.docx")


def test_word_document(hostile: ComparisonTable, tmp_path: Path) -> None:
    docx = pytest.importorskip("docx", reason="python-docx is an extra")
    document = docx.Document(str(hostile.to_word(tmp_path / "t.docx")))
    cells = [[cell.text for cell in row.cells] for row in document.tables[0].rows]
    assert cells[0] == ["", *map(clean, hostile.columns)]
    assert ["科技创新", "1.500**", "科技创新", ""] in cells
    assert any("* p < 0.1" in paragraph.text for paragraph in document.paragraphs)


@pytest.mark.parametrize("kind", ["csv", "excel"])
def test_a_file_that_cannot_be_written_is_named(hostile: ComparisonTable, tmp_path: Path, kind: str) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        getattr(hostile, f"to_{kind}")(tmp_path / "nowhere" / "t.file")


def test_building_formats_does_not_change_the_table(fits: list, tmp_path: Path) -> None:  # type: ignore[type-arg]
    table = compare(fits)
    before = table.to_text()
    table.to_html(), table.to_latex(), table.to_csv(tmp_path / "a.csv"), table.to_excel(tmp_path / "a.xlsx")
    assert table.to_text() == before
    assert str(table) == before
