"""Region × industry × period tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spillover.errors import DuplicateKeyError, OptionError, PanelError, UnknownColumnError, ValueDomainError
from spillover.panel import IndustryTable, read_industry

KEYS = {"region": "id", "industry": "code", "value": "jobs"}


def frame(**columns):
    base = {"id": ["a", "a", "b", "b"], "code": ["05", "26.10", "05", "26.10"], "jobs": [1.0, 2.0, 3.0, 4.0]}
    return pd.DataFrame(base | columns)


def test_values_are_region_by_industry_by_period():
    table = read_industry(frame(year=[2000, 2000, 2000, 2001]), period="year", unit="persons", **KEYS)
    assert (table.regions, table.industries, table.periods) == (("a", "b"), ("05", "26.10"), (2000, 2001))
    nan = float("nan")
    np.testing.assert_array_equal(table.values, [[[1, nan], [2, nan]], [[3, nan], [nan, 4]]])
    assert table.unit == "persons"
    assert "4 rows absent and 0 cells blank of 8: missing, not 0" in table.log


def test_without_period_it_is_one_cross_section():
    table = read_industry(frame(), **KEYS)
    assert (table.shape, table.periods, table.is_panel, table.log) == ((2, 2, 1), (0,), False, ())


def test_codes_of_a_csv_keep_their_zeros(tmp_path):
    path = tmp_path / "t.csv"
    frame().to_csv(path, index=False)
    assert read_industry(path, **KEYS).industries == ("05", "26.10")


def test_number_codes_become_text():
    assert read_industry(frame(code=[5, 26.1, 5, 26.1]), **KEYS).industries == ("26.1", "5")


def test_values_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        read_industry(frame(), **KEYS).values[0] = 1


@pytest.mark.parametrize(
    ("columns", "error", "words"),
    [
        ({"jobs": [1, -2, 3, -4]}, ValueDomainError, "2 cells of jobs below zero(.|\n)*26.10 of a = -2"),
        ({"jobs": [1, "c", 3, 4]}, ValueDomainError, r"'c' \(jobs of a\)"),
        ({"jobs": [1, np.inf, 3, 4]}, ValueDomainError, "infinite"),
        ({"code": ["05", "05", "05", "26"]}, DuplicateKeyError, r"05 of a \(row 1, row 2\)"),
        ({"code": ["05", None, "05", "26"]}, ValueDomainError, "1 row of the data frame without a industry|industry"),
        ({"id": ["a", "", "b", "b"]}, ValueDomainError, "without a region"),
    ],
)
def test_bad_tables(columns, error, words):
    with pytest.raises(error, match=words):
        read_industry(frame(**columns), **KEYS)


def test_bad_options():
    with pytest.raises(UnknownColumnError, match="jobs"):
        read_industry(frame(), region="id", industry="code", value="job")
    with pytest.raises(OptionError, match="different columns"):
        read_industry(frame(), region="id", industry="id", value="jobs")
    with pytest.raises(PanelError, match="shape"):
        IndustryTable(("a",), ("1",), (0,), np.zeros((2, 1, 1)))
