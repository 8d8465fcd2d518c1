"""W from files and back; every bad file has its own clear error."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from libpysal.graph import Graph

from spillover.errors import (
    AlignmentError,
    FileError,
    IslandError,
    OptionError,
    OutputError,
    UnknownColumnError,
    WeightsError,
)
from spillover.weights import from_file, from_object, to_file

# 01 hears 02 (weight 2) and 03 (weight 1); 02 hears 01; 03 hears 02. Not symmetric, ids with leading zeros.
IDS = ["01", "02", "03"]
DENSE = np.array([[0.0, 2.0, 1.0], [4.0, 0.0, 0.0], [0.0, 0.5, 0.0]])
FRAME = pd.DataFrame(DENSE, index=IDS, columns=IDS)
EDGES = "focal,neighbor,weight\n01,02,2\n01,03,1\n02,01,4\n03,02,0.5\n"


def write(tmp_path, name, text):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def raw(path, **more):
    return from_file(path, standardise="none", **more)


def assert_is_example(weights):
    assert weights.align(IDS).matrix.toarray().tolist() == DENSE.tolist()


# -- everything that can be read ------------------------------------------------------------------


def test_edge_list(tmp_path):
    assert_is_example(raw(write(tmp_path, "w.csv", EDGES)))
    assert_is_example(raw(write(tmp_path, "w.tsv", EDGES.replace(",", "\t"))))
    assert_is_example(raw(write(tmp_path, "bom.csv", b"\xef\xbb\xbf" + EDGES.replace("\n", "\r\n").encode())))
    assert_is_example(raw(write(tmp_path, "semi.csv", EDGES.replace(",", ";"))))


def test_edge_list_in_excel_parquet_and_stata(tmp_path):
    table = pd.read_csv(write(tmp_path, "w.csv", EDGES), dtype={"focal": str, "neighbor": str})
    table.to_excel(tmp_path / "w.xlsx", index=False)
    table.to_parquet(tmp_path / "w.parquet")
    table.to_stata(tmp_path / "w.dta", write_index=False)
    for name in ("w.xlsx", "w.parquet", "w.dta"):
        assert_is_example(raw(tmp_path / name))


def test_numeric_ids_of_excel_and_parquet_are_text(tmp_path):
    table = pd.DataFrame({"focal": [110000, 120000], "neighbor": [120000, 110000]})
    table.to_excel(tmp_path / "w.xlsx", index=False)
    table.astype(float).to_parquet(tmp_path / "w.parquet")
    for name in ("w.xlsx", "w.parquet"):
        assert from_file(tmp_path / name).regions == ("110000", "120000")


def test_edge_list_without_weights_with_other_names_and_both_ways(tmp_path):
    path = write(tmp_path, "w.csv", "i,j\na,b\nb,c\n")
    weights = raw(path, focal="i", neighbor="j", both_ways=True)
    assert weights.matrix.toarray().tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]


def test_regions_without_a_focal_row_are_islands(tmp_path):
    path = write(tmp_path, "w.csv", "focal,neighbor\na,b\n")
    with pytest.raises(IslandError, match="b"):
        from_file(path)
    kept = from_file(path, islands="keep", regions=["c", "b", "a"])
    assert kept.islands == ("c", "b")
    marked = write(tmp_path, "m.csv", "focal,neighbor,weight\na,b,1\nb,a,1\nz,z,0\n")
    assert from_file(marked, islands="keep").islands == ("z",)


def test_labelled_square_is_aligned_by_id_even_if_permuted(tmp_path):
    FRAME.to_csv(tmp_path / "w.csv")
    FRAME.iloc[[2, 0, 1], [1, 2, 0]].rename_axis("adcode").to_csv(tmp_path / "mixed.csv")
    FRAME.iloc[[2, 0, 1], [1, 2, 0]].to_excel(tmp_path / "mixed.xlsx")
    FRAME.iloc[:, [1, 2, 0]].to_parquet(tmp_path / "mixed.parquet")
    for name in ("w.csv", "mixed.csv", "mixed.xlsx", "mixed.parquet"):
        assert_is_example(raw(tmp_path / name))


def test_tables_of_r(tmp_path):
    # write.csv(w): a blank corner in quotation marks; write.table(w): a header one cell short, blanks between cells.
    csv = '"","01","02","03"\n"01",0,2,1\n"02",4,0,0\n"03",0,0.5,0\n'
    table = '"01" "02" "03"\n"01" 0 2 1\n"02" 4 0 0\n"03" 0 0.5 0\n'
    assert_is_example(raw(write(tmp_path, "w.csv", csv)))
    assert_is_example(raw(write(tmp_path, "w.txt", table)))


def test_export_of_stata_carries_its_ids(tmp_path):
    assert_is_example(raw(write(tmp_path, "w.txt", "3\n01 0 2 1\n02 4 0 0\n03 0 .5 0\n")))


def test_unlabelled_square_only_with_its_order(tmp_path):
    bare = "0,2,1\n4,0,0\n0,.5,0\n"
    paths = [write(tmp_path, "w.csv", bare), write(tmp_path, "w.txt", bare.replace(",", " "))]
    pd.DataFrame(DENSE, columns=["v1", "v2", "v3"]).to_stata(tmp_path / "w.dta", write_index=False)
    paths.append(tmp_path / "w.dta")
    order = write(tmp_path, "order.txt", "01\n02\n03\n\n")
    for path in paths:
        with pytest.raises(AlignmentError, match=r"unlabelled square matrix(.|\n)*order="):
            from_file(path)
        assert_is_example(raw(path, order=IDS))
        assert_is_example(raw(path, order=order))
        turned = raw(path, order=["03", "02", "01"])  # the order is what the user says, not a guess
        assert turned.matrix[0, 1] == 2
        assert turned.regions == ("03", "02", "01")
        with pytest.raises(WeightsError, match="2 ids for 3 × 3"):
            from_file(path, order=["01", "02"])


def test_symmetric_bare_matrix_is_not_taken_for_a_labelled_one(tmp_path):
    # First row and first column are equal and without repetition: only the numeric corner tells.
    path = write(tmp_path, "w.csv", "0,.5,.2\n.5,0,.3\n.2,.3,0\n")
    with pytest.raises(AlignmentError, match="unlabelled"):
        from_file(path)
    assert raw(path, order=IDS).matrix[0, 1] == 0.5


def test_order_of_a_labelled_table_is_the_order_wanted(tmp_path):
    FRAME.to_csv(tmp_path / "w.csv")
    weights = raw(tmp_path / "w.csv", order=["03", "01", "02"])
    assert weights.regions == ("03", "01", "02")
    assert_is_example(weights)
    with pytest.raises(AlignmentError, match="only in order=: 04"):
        raw(tmp_path / "w.csv", order=[*IDS, "04"])


def test_order_that_contradicts_the_columns(tmp_path):
    path = write(tmp_path, "w.csv", "a,b\n0,1\n2,0\n")
    assert raw(path, order=["a", "b"]).matrix[1, 0] == 2
    with pytest.raises(AlignmentError, match="contradicts"):
        raw(path, order=["b", "a"])


def test_gal_and_gwt(tmp_path):
    gal = write(tmp_path, "w.gal", "0 3 map id\n01 2\n02 03\n02 1\n01\n03 0\n\n")
    weights = raw(gal, islands="keep")
    assert weights.regions == ("01", "02", "03")
    assert weights.matrix.toarray().tolist() == [[0, 1, 1], [1, 0, 0], [0, 0, 0]]
    gwt = write(tmp_path, "w.gwt", "0 3 map id\n01 02 2\n01 03 1\n02 01 4\n03 02 0.5\n")
    assert_is_example(raw(gwt))
    assert "taken as the weight" in raw(gwt).notes[0]


def test_standardisation_is_row_by_default(tmp_path):
    weights = from_file(write(tmp_path, "w.csv", EDGES))
    assert weights.rows_sum_to_one
    assert weights.align(IDS).matrix[0, 1] == pytest.approx(2 / 3, rel=1e-15)


def test_islands_of_a_file_are_linked_with_the_nearest_of_a_source(tmp_path):
    path = write(tmp_path, "w.csv", "focal,neighbor\na,b\nb,a\n")
    places = pd.DataFrame({"lon": [0.0, 1.0, 5.0], "lat": 0.0}, index=["a", "b", "z"])
    from spillover.weights.locate import locate

    points = locate(places, coordinates=("lon", "lat"))
    linked = from_file(path, regions=["z", "a", "b"], islands="nearest", source=points)
    assert ("z", "b") in {(row.focal, row.neighbor) for row in linked.to_frame().itertuples()}


# -- there and back -------------------------------------------------------------------------------


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.text("ab01ß京<>&\"'=,; ", min_size=1, max_size=6).map(str.strip).filter(bool),
        min_size=2,
        max_size=6,
        unique=True,
    ),
    st.integers(0, 2**32 - 1),
)
def test_csv_gives_back_exactly_what_was_written(tmp_path_factory, ids, seed):
    rng = np.random.default_rng(seed)
    dense = rng.exponential(size=(len(ids), len(ids))) * (rng.random((len(ids), len(ids))) < 0.5)
    np.fill_diagonal(dense, 0)
    weights = from_object(dense, regions=ids, islands="keep", standardise="none")
    path = to_file(weights, tmp_path_factory.mktemp("w") / "w.csv")
    back = from_file(path, islands="keep", standardise="none").align(weights.regions)
    assert (back.matrix != weights.matrix).nnz == 0


def test_gwt_and_gal_there_and_back(tmp_path):
    weights = from_object(FRAME, standardise="none")
    assert_is_example(raw(to_file(weights, tmp_path / "w.gwt")))
    third = from_object(np.array([[0, 1 / 3], [1 / 7, 0]]), regions=["a", "b"], standardise="none")
    assert (raw(to_file(third, tmp_path / "t.gwt")).matrix != third.matrix).nnz == 0  # all digits
    with pytest.raises(WeightsError, match="01"):
        to_file(weights, tmp_path / "w.gal")
    assert not (tmp_path / "w.gal").exists()
    binary = from_object((FRAME > 0).astype(float))
    back = raw(to_file(binary, tmp_path / "w.gal"))
    assert np.array_equal(back.matrix.toarray(), DENSE > 0)


def test_gwt_with_an_island_there_and_back(tmp_path):
    weights = from_object(np.array([[0, 2.0], [0, 0]]), regions=["a", "b"], islands="keep", standardise="none")
    assert raw(to_file(weights, tmp_path / "w.gwt"), islands="keep").islands == ("b",)


def test_files_of_libpysal(tmp_path):
    graph = Graph.from_arrays(["a", "a", "b", "c"], ["b", "c", "a", "a"], [1, 1, 1, 1])
    graph.to_gal(tmp_path / "w.gal")
    graph.to_gwt(tmp_path / "w.gwt")
    for name in ("w.gal", "w.gwt"):
        assert raw(tmp_path / name).matrix.toarray().tolist() == [[0, 1, 1], [1, 0, 0], [1, 0, 0]]


def test_writing_fails_clearly_and_leaves_nothing(tmp_path):
    weights = from_object(FRAME)
    with pytest.raises(OutputError, match="nowhere"):
        to_file(weights, tmp_path / "nowhere" / "w.csv")
    with pytest.raises(OptionError, match=r"\.gal"):
        to_file(weights, tmp_path / "w.xlsx")
    blank = from_object(np.array([[0, 1], [1, 0]]), regions=["a b", "c"])
    with pytest.raises(WeightsError, match="'a b'"):
        to_file(blank, tmp_path / "w.gal")
    assert list(tmp_path.iterdir()) == []


# -- bad files ------------------------------------------------------------------------------------

BAD_FILES = {
    "empty": ("w.csv", b"", FileError, "empty"),
    "blank lines": ("w.csv", b"\n \n", FileError, "empty"),
    "binary": ("w.csv", b"PK\x03\x04\x00\x00\x01", FileError, "not a text file"),
    "national encoding": ("w.csv", "focal,neighbor\n北京,天津\n".encode("gb18030"), FileError, "UTF-8"),
    "open quotation": ("w.csv", 'focal,neighbor\n"a,b\n', FileError, "quotation"),
    "ragged": ("w.csv", "focal,neighbor\na,b\nc\n", FileError, "line 3 has 1"),
    "false xlsx": ("w.xlsx", b"this is no workbook", FileError, "cannot be read"),
    "false parquet": ("w.parquet", b"PAR1 nothing", FileError, "cannot be read"),
    "false dta": ("w.dta", b"not stata at all", FileError, "cannot be read"),
    "unknown kind": ("w.pdf", b"x", FileError, "ending"),
    "a map": ("w.geojson", b"{}", FileError, "build_contiguity"),
    "gal without count": ("w.gal", "hello\n", FileError, "does not begin"),
    "gal cut off": ("w.gal", "2\na 1\nb\n", FileError, "1 regions"),
    "gal with blanks in ids": ("w.gal", "2\nnew york 1\nohio\nohio 1\nnew york\n", FileError, "new"),
    "gal with unknown neighbour": ("w.gal", "2\na 1\nb\nb 1\nq\n", AlignmentError, "q"),
    "gwt with two columns": ("w.gwt", "0 2 s i\na b\n", FileError, "a b"),
    "gwt with silent islands": ("w.gwt", "0 3 s i\na b 1\nb a 1\n", FileError, "regions="),
    "repeated link": ("w.csv", "focal,neighbor\na,b\na,b\n", WeightsError, r"a ← b \(2 times\)"),
    "blank id": ("w.csv", "focal,neighbor,weight\na,,1\n", WeightsError, "without an id"),
    "text weight": ("w.csv", "focal,neighbor,weight\na,b,much\n", WeightsError, "a ← b: 'much'"),
    "blank weight": ("w.csv", "focal,neighbor,weight\na,b,\n", WeightsError, "a ← b: ''"),
    "negative weight": ("w.csv", "focal,neighbor,weight\na,b,-1\n", WeightsError, "a ← b: -1"),
    "infinite weight": ("w.csv", "focal,neighbor,weight\na,b,inf\n", WeightsError, "a ← b: inf"),
    "nan weight": ("w.csv", "focal,neighbor,weight\na,b,nan\n", WeightsError, "a ← b: nan"),
    "self link": ("w.csv", "focal,neighbor,weight\na,a,1\na,b,1\n", WeightsError, "a ← a"),
    "only a header": ("w.csv", "focal,neighbor,weight\n", WeightsError, "no links"),
    "neither": ("w.csv", "region,year,patents\na,1,2\nb,1,3\nc,1,3\nd,1,3\n", WeightsError, "neither"),
    "square: text": ("w.csv", "id,a,b\na,0,x\nb,1,0\n", WeightsError, "a ← b: 'x'"),
    "square: blank": ("w.csv", "id,a,b\na,0,\nb,1,0\n", WeightsError, "a ← b: ''"),
    "square: negative": ("w.csv", "id,a,b\na,0,-1\nb,1,0\n", WeightsError, "negative"),
    "square: nan": ("w.csv", "id,a,b\na,0,nan\nb,1,0\n", WeightsError, "not finite"),
    "square: diagonal": ("w.csv", "id,a,b\na,3,1\nb,1,0\n", WeightsError, "diagonal"),
    "square: other ids": ("w.csv", "id,a,c\na,0,1\nb,1,0\n", AlignmentError, r"only in the rows of w.csv: b; .*: c"),
    "square: a column short": (
        "w.csv",
        "id,a,b\na,0,1\nb,1,0\nc,1,1\n",
        AlignmentError,
        "only in the rows of w.csv: c",
    ),
    "square: ids twice": ("w.csv", "id,a,a\na,0,1\nb,1,0\n", WeightsError, "not unique"),
    "square: zeros lost": ("w.csv", "id,1,2\n01,0,1\n02,1,0\n", AlignmentError, "leading zeros"),
    "bare, not square": ("w.csv", "0,1,1\n1,0,1\n1,1,0\n0,0,0\n0,0,1\n", WeightsError, "neither"),
    "all zero": ("w.csv", "id,a,b\na,0,0\nb,0,0\n", IslandError, "a, b"),
}


@pytest.mark.parametrize(("name", "content", "error", "text"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_bad_files(tmp_path, name, content, error, text):
    with pytest.raises(error, match=text):
        from_file(write(tmp_path, name, content))


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(FileError, match="not there"):
        from_file(tmp_path / "nothing.csv")
    with pytest.raises(FileError, match="folder"):
        from_file(tmp_path)


def test_edge_options_are_never_forgotten(tmp_path):
    FRAME.to_csv(tmp_path / "square.csv")
    with pytest.raises(UnknownColumnError, match="too"):
        from_file(write(tmp_path, "w.csv", "from,to\na,b\n"), focal="too", neighbor="from")
    with pytest.raises(WeightsError, match="not an edge list"):
        from_file(tmp_path / "square.csv", both_ways=True)
    with pytest.raises(WeightsError, match="not an edge list"):
        from_file(write(tmp_path, "half.csv", "from,to\na,b\n"), focal="to")


def test_ids_that_regions_does_not_have(tmp_path):
    with pytest.raises(AlignmentError, match="03"):
        from_file(write(tmp_path, "w.csv", EDGES), regions=["01", "02"])


def test_both_ways_with_both_directions_given(tmp_path):
    with pytest.raises(WeightsError, match="more than once"):
        from_file(write(tmp_path, "w.csv", "focal,neighbor\na,b\nb,a\n"), both_ways=True)


def test_ids_written_as_floats_match_those_of_a_table(tmp_path):
    path = tmp_path / "w.csv"
    path.write_text("focal,neighbor,weight\n1.0,2.0,1\n2.0,1.0,1\n", encoding="utf-8")
    assert from_file(path).regions == ("1", "2")
    path.write_text(",1.0,2.0\n1.0,0,1\n2.0,1,0\n", encoding="utf-8")
    assert from_file(path).regions == ("1", "2")
