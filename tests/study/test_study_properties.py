"""Whatever stands in a study file or a table, the answer is words and never a traceback."""

import copy
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grid_study import STUDY
from hypothesis import given, settings
from hypothesis import strategies as st

from spillover.errors import SpilloverError
from spillover.study.consistency import inconsistencies
from spillover.study.load import resolve_paths
from spillover.study.problems import read_sections
from spillover.study.propose import propose_study
from spillover.study.single import _terms

KEYS = ("region", "year")
COLUMNS = ["region", "name", "country", "year", "patents", "population", "hti", "jobs", "rd"]
VALUES = st.one_of(
    st.none().map(lambda _: {}),
    st.booleans(),
    st.integers(-5, 5),
    st.floats(allow_nan=True),
    st.text(max_size=8),
    st.sampled_from(["${X}", "log(", "y ~ x", "~", "`", "queen", "lq", "log(lq)", "a:b", "../x"]),
    st.lists(st.one_of(st.integers(), st.text(max_size=3)), max_size=3),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in nested sections."""
    found = [path] if path else []
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        found += places(child, (*path, key))
    return found


def put(value: Any, path: tuple[Any, ...], new: Any) -> None:
    for key in path[:-1]:
        value = value[key]
    value[path[-1]] = new


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_value_at_any_place_is_a_sentence_or_fine(data: st.DataObject) -> None:
    raw = copy.deepcopy(tomllib.loads(STUDY))
    for _ in range(data.draw(st.integers(1, 3))):
        chosen = data.draw(st.sampled_from(places(raw)))
        put(raw, chosen, data.draw(VALUES))
    sections, problems = read_sections(raw)
    resolved, path_problems = resolve_paths(sections, Path("/nowhere"), {})
    for sentence in (*problems, *path_problems, *inconsistencies(resolved, COLUMNS), *inconsistencies(resolved, None)):
        assert sentence
        assert "\n" not in sentence
        assert "pydantic" not in sentence


def test_the_untouched_file_has_no_inconsistency() -> None:
    sections, problems = read_sections(tomllib.loads(STUDY))
    assert problems == []
    assert inconsistencies(sections, COLUMNS) == []


@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(
        st.text(min_size=1, max_size=6).filter(lambda name: name not in KEYS), min_size=3, max_size=5, unique=True
    ),
    seed=st.integers(0, 1000),
)
def test_a_proposal_for_any_column_names_is_a_study_file(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], seed: int
) -> None:
    """Names with quotes, backticks, line breaks or formulas in them stay names: the proposal reads back as TOML."""
    import pandas as pd

    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({name: rng.normal(size=12) for name in names})
    frame.insert(0, "region", [f"r{i // 3}" for i in range(12)])
    frame.insert(1, "year", [2001 + i % 3 for i in range(12)])
    folder = tmp_path_factory.mktemp("table")
    frame.loc[:, ~frame.columns.duplicated()].to_csv(folder / "table.csv", index=False)
    try:
        text = propose_study(folder / "table.csv", folder)
    except SpilloverError:
        return  # a table that cannot be read is told in words
    proposed = tomllib.loads(text)
    assert proposed["data"]["region"] == "region"
    assert proposed["data"]["table"] == "table.csv"
    assert not [problem for problem in read_sections(proposed)[1] if "unknown" in problem]


@given(terms=st.lists(st.sampled_from(["x", "log(z)", "lag(z, 2)", "log(a / b)"]), min_size=1, max_size=4))
def test_terms_are_split_outside_of_brackets_only(terms: list[str]) -> None:
    assert _terms(",".join(terms)) == terms
