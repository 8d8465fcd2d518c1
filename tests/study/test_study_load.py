"""A study file with mistakes: all of them together, each with section and key, nothing computed."""

from pathlib import Path

import pytest

from spillover.errors import FileError, StudyFileError
from spillover.models.formula import parse_formula
from spillover.study.columns import formula_variables
from spillover.study.load import load_study
from spillover.study.paths import expand_path

GOOD = """
[study]
title = "A small study"

[data]
table = "regions.csv"
region = "region"
period = "year"
geometry = "map.geojson"

[[derive]]
name = "patents_pc"
expression = "1e4 * patents / population"

[agglomeration]
measure = "location-quotient"
name = "lq"
sector = "hti"
total = "firms"

[innovation]
column = "patents_pc"

[[weights]]
name = "queen"
kind = "queen"

[[models]]
name = "main"
formula = "log(patents_pc) ~ log(lq) + log(rd)"
treatment = "log(lq)"
main = true
"""
INDEX = """index = "{}"
[[innovation.indicators]]
column = "patents"
dimension = "creation"
[[innovation.indicators]]
column = "rd"
dimension = "enterprise"
"""


def write(folder: Path, text: str = GOOD) -> Path:
    (folder / "regions.csv").write_text(
        "region,year,patents,population,hti,firms,rd\na,2011,1,2,3,4,5\n", encoding="utf-8"
    )
    (folder / "map.geojson").write_text("{}", encoding="utf-8")
    path = folder / "study.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problems_of(path: Path, environment: dict[str, str] | None = None) -> str:
    with pytest.raises(StudyFileError) as caught:
        load_study(path, environment or {})
    return str(caught.value)


def test_a_good_file_loads_with_absolute_paths_and_keeps_what_was_written(tmp_path: Path) -> None:
    study = load_study(write(tmp_path), {})
    assert study.config.data.table == str(tmp_path / "regions.csv")
    assert study.written.data.table == "regions.csv"
    assert study.files() == {"regions.csv": tmp_path / "regions.csv", "map.geojson": tmp_path / "map.geojson"}


def test_all_mistakes_are_reported_together(tmp_path: Path) -> None:
    text = (
        GOOD.replace('title = "A small study"', 'titel = "x"')
        .replace('region = "region"', 'region = "regoin"')
        .replace('geometry = "map.geojson"', 'geometry = "mapp.geojson"')
        .replace("patents / population", "patents / populaton")
        .replace('kind = "queen"', 'kind = "quen"')
        .replace("log(rd)", "log(rdd)")
        .replace('treatment = "log(lq)"', 'treatment = "lq"')
    )
    text += '\n[[models]]\nname = "main"\nformula = "y ~ "\nweights = "qeen"\nmain = true\n'
    message = problems_of(write(tmp_path, text))
    for expected in (
        "[study] needs 'title'",
        "[study] has the unknown key 'titel'. Did you mean 'title'?",
        "[data] region: 'regoin' is not in the table. Did you mean 'region'?",
        "[data] geometry = 'mapp.geojson': there is no such file",
        "Did you mean 'map.geojson'?",
        "[[derive]] number 1 ('patents_pc') expression: 'populaton'",
        "[[weights]] number 1 ('queen') kind = \"quen\": expected one of",
        "Did you mean 'queen'?",
        "[[models]] number 1 ('main') formula: 'rdd'",
        "[[models]] number 1 ('main') treatment: 'lq' is not in the terms of its formula. Did you mean 'log(lq)'?",
        "[[models]] number 2 ('main') formula: the formula has no regressor",
        "[[models]] name 'main' is used 2 times",
        "only one model can have main = true",
    ):
        assert expected in message, expected
    # The weights section itself is wrong, so a reference to it cannot be judged and is not reported.
    assert "qeen" not in message


def test_numbers_count_the_mistakes(tmp_path: Path) -> None:
    message = problems_of(write(tmp_path, GOOD.replace('name = "lq"\n', 'name = "lq"\nunit = "x"\n')))
    assert message.splitlines()[0].endswith("study.toml has 1 mistake")
    assert "[agglomeration] has the unknown key 'unit'" in message


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('kind = "queen"', 'kind = "knn"', 'kind = "knn" needs k'),
        ('kind = "queen"', 'kind = "knn"\nk = "four"', 'k = "four": expected a whole number'),
        ('kind = "queen"', 'kind = "knn"\nk = true', "k = True: expected a whole number"),
        ('kind = "queen"', 'kind = "knn"\nk = "3"', 'k = "3": expected a whole number'),
        ('kind = "queen"', 'kind = "inverse-distance"\npower = inf', "power = inf: expected a finite number"),
        ('title = "A small study"', 'title = " "', 'title = " ": expected a text that is not blank'),
        ('name = "main"', 'name = ""', 'name = "": expected a text that is not blank'),
        ('title = "A small study"', 'title = "x"\nseed = -1', "seed = -1: expected zero or more"),
        ('kind = "queen"', 'kind = "knn"\nk = 0', "k = 0: expected a number above zero"),
        ('kind = "queen"', 'kind = "distance-band"', "needs threshold_km"),
        ('kind = "queen"', 'kind = "exponential"', "needs decay_per_km"),
        ('kind = "queen"', 'kind = "file"', "needs file"),
        ('geometry = "map.geojson"\n', "", "is built from a map, but [data] has no geometry"),
        ('sector = "hti"\n', "", 'measure = "location-quotient" needs sector'),
        ('column = "patents_pc"', "", "[innovation] needs column, or [[innovation.indicators]]"),
        ('period = "year"\n', "", 'effects = "two-way" needs periods'),
        ("main = true", "main = true\nlagged = ['log(x)']", "lagged: 'log(x)' is not in the terms of its formula"),
        ("main = true", 'weights = "qeen"', "weights: 'qeen' is not in [[weights]]. Did you mean 'queen'?"),
        ("[[weights]]", "[weights]", "with double brackets: [[weights]]"),
        ('name = "patents_pc"', 'name = "patents"', "is already a column of the table"),
        ('name = "lq"', 'name = "rd"', "[agglomeration] name = 'rd' is already a column of the table"),
        ('name = "lq"', 'name = "patents_pc"', "[agglomeration] name = 'patents_pc' is already"),
        ('column = "patents_pc"', INDEX.format("hti"), "[innovation] index = 'hti' is already a column of the table"),
        ('column = "patents_pc"', INDEX.format("lq"), "[agglomeration] name and [innovation] index are both 'lq'"),
        ("exclude", "exclude", None),
        ('region = "region"', 'region = "region"\nexclude = [460000]', "expected text in quotes"),
        ("[study]", "[studdy]\n[study]", "unknown section [studdy]. Did you mean 'study'?"),
        ("1e4 * patents", "__import__('os') * patents", "[[derive]] number 1 ('patents_pc') expression"),
    ],
)
def test_each_mistake_has_its_words(tmp_path: Path, old: str, new: str, expected: str | None) -> None:
    if expected is None:
        assert load_study(write(tmp_path, GOOD.replace(old, new)), {})
        return
    assert expected in problems_of(write(tmp_path, GOOD.replace(old, new, 1)))


def test_environment_variables_are_expanded_and_a_missing_one_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD.replace('table = "', 'table = "${STUDY_DATA}/'))
    assert load_study(path, {"STUDY_DATA": str(tmp_path)}).config.data.table == str(tmp_path / "regions.csv")
    message = problems_of(path, {"STUDY_DATE": "a secret"})
    assert "the environment variable STUDY_DATA is not set. Did you mean 'STUDY_DATE'?" in message
    assert "a secret" not in message


def test_a_relative_variable_is_relative_to_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert expand_path("${D}/a.csv", Path("/elsewhere"), {"D": "data"})[0] == tmp_path / "data" / "a.csv"
    assert expand_path("data/a.csv", Path("/elsewhere"), {})[0] == Path("/elsewhere/data/a.csv")


@pytest.mark.parametrize(
    ("content", "error", "expected"),
    [
        (b"", FileError, "is empty"),
        (b"\x89PNG\r\n\x00\xff\xfe", FileError, "not a text file in UTF-8"),
        (b"[study\ntitle = 1", StudyFileError, "not valid TOML"),
    ],
)
def test_files_that_are_no_study_file(tmp_path: Path, content: bytes, error: type[Exception], expected: str) -> None:
    path = tmp_path / "study.toml"
    path.write_bytes(content)
    with pytest.raises(error, match=expected):
        load_study(path, {})


def test_an_absent_study_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="there is no study file"):
        load_study(tmp_path / "nothing.toml", {})


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04\x00\x00binary"])
def test_a_table_that_cannot_be_opened_is_one_of_the_mistakes(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path, GOOD.replace('kind = "queen"', 'kind = "knn"'))
    (tmp_path / "regions.csv").write_bytes(content)
    message = problems_of(path)
    assert "[data] table" in message
    assert "needs k" in message


@pytest.mark.parametrize("table", ["~nobody-of-this-name/t.csv", "x" * 300 + ".csv", "loop/t.csv", "a\\u0000b"])
def test_paths_that_cannot_be_are_mistakes_with_a_sentence(tmp_path: Path, table: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    message = problems_of(write(tmp_path, GOOD.replace("regions.csv", table)))
    assert "has 1 mistake" in message
    assert "[data] table = " in message


@pytest.mark.parametrize("path", ["x" * 300, "a\0b", "loop/study.toml"])
def test_study_files_that_cannot_be_are_file_errors(tmp_path: Path, path: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(FileError, match="there is no study file"):
        load_study(tmp_path / path)


def test_a_folder_that_may_not_be_searched_is_a_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path)
    is_file = Path.is_file

    def closed(self: Path) -> bool:  # root may search everywhere, so the right is taken away where it is asked for
        if self.name == "map.geojson":
            raise PermissionError(13, "Permission denied")
        return is_file(self)

    monkeypatch.setattr(Path, "is_file", closed)
    assert "geometry = 'map.geojson': there is no such file" in problems_of(path)
    assert "Permission denied" in problems_of(path)


def test_nesting_without_end_is_told(tmp_path: Path) -> None:
    with pytest.raises(StudyFileError, match="nested too deeply"):
        load_study(write(tmp_path, "a = " + "[" * 3000 + "]" * 3000))


def test_formula_variables_come_in_order_outcome_first() -> None:
    formula = parse_formula("log(y) ~ log(a + b) + a:c")
    assert formula_variables(formula) == ("y", "a", "b", "c")
