"""Tables in other encodings, ids in other spellings, options beside the wrong file."""

from pathlib import Path

import pytest
from grid_study import STUDY, write_study

from spillover.errors import AlignmentError, FileError, OptionError
from spillover.study.check import check_study
from spillover.study.load import load_study
from spillover.study.propose import propose_study
from spillover.study.run import prepare
from spillover.study.single import FitRequest, fit_single


def recode(path: Path, encoding: str) -> None:
    path.write_bytes(path.read_text(encoding="utf-8").replace("Łódź", "Lodz").encode(encoding))


def test_a_table_in_another_encoding_is_told_and_read(tmp_path: Path) -> None:
    path = write_study(tmp_path)
    recode(tmp_path / "regions.csv", "gb18030")
    problems = "\n".join(check_study(path).problems)
    assert "regions.csv is not in UTF-8" in problems
    assert 'encoding = "gb18030"' in problems
    path.write_text(STUDY.replace("[data]", '[data]\nencoding = "gb18030"'), encoding="utf-8")
    assert "北京" in prepare(load_study(path).config).panel.names
    path.write_text(STUDY.replace("[data]", '[data]\nencoding = "no-such"'), encoding="utf-8")
    assert "unknown encoding" in "\n".join(check_study(path).problems)


def request(folder: Path, **options: object) -> FitRequest:
    given: dict[str, object] = {"data": folder / "regions.csv", "region": "region", "period": "year"}
    given |= {"weights": folder / "map.geojson", "weights_kind": "queen"}
    return FitRequest("log(patents) ~ log(rd)", **{**given, **options})  # type: ignore[arg-type]


def test_fit_and_init_take_the_encoding(tmp_path: Path) -> None:
    write_study(tmp_path)
    recode(tmp_path / "regions.csv", "gb18030")
    with pytest.raises(FileError, match="--encoding gb18030"):
        fit_single(request(tmp_path))
    assert fit_single(request(tmp_path, encoding="gb18030")).fit.statistics["n_regions"] == 30
    assert 'encoding = "gb18030"' in propose_study(tmp_path / "regions.csv", tmp_path, "gb18030")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"order": Path("order.txt")}, "--order has no meaning for map.geojson"),
        ({"edge_columns": "a,b"}, "--edge-columns has no meaning for map.geojson"),
        ({"weights": Path("w.csv"), "weights_kind": None, "geometry_id": "id"}, "--geometry-id has no meaning"),
    ],
)
def test_an_option_beside_the_wrong_file_is_refused(tmp_path: Path, options: dict[str, object], expected: str) -> None:
    write_study(tmp_path)
    with pytest.raises(OptionError, match=expected):
        fit_single(request(tmp_path, **options))


@pytest.mark.parametrize(("old", "new"), [("R", "r"), ("R", "R\u00ad"), ("R", "0R"), ("R", "Ｒ")])
def test_fit_shows_the_spelling_that_would_have_matched(tmp_path: Path, old: str, new: str) -> None:
    write_study(tmp_path)
    ids = sorted(f"R{row}{column}" for row in range(5) for column in range(6))
    links = [f"{a},{b}\n{b},{a}" for a, b in zip(ids, ids[1:] + ids[:1], strict=True)]
    text = "focal,neighbor\n" + "\n".join(links).replace(old, new)
    (tmp_path / "w.csv").write_text(text, encoding="utf-8")
    with pytest.raises(AlignmentError) as caught:
        fit_single(request(tmp_path, weights=tmp_path / "w.csv", weights_kind=None))
    assert f"'R00' is {new + '00'!r} in W" in str(caught.value)


def test_a_missing_order_file_is_called_what_it_is(tmp_path: Path) -> None:
    write_study(tmp_path)
    (tmp_path / "w.csv").write_text("0,1\n1,0\n", encoding="utf-8")
    with pytest.raises(FileError, match="the file with the order of regions is not there"):
        fit_single(request(tmp_path, weights=tmp_path / "w.csv", weights_kind=None, order=tmp_path / "nope.txt"))
