"""The order of periods, and how far apart they are."""

import random

import pandas as pd
import pytest

from spillover.panel.expressions import evaluate
from spillover.panel.periods import count_periods, sort_periods
from spillover.panel.read import read_panel


@pytest.mark.parametrize(
    ("periods", "counts"),
    [
        ([2001, 2003], [2001, 2003]),
        ([f"M{k}" for k in range(1, 13)], list(range(1, 13))),
        (["wave 2", "wave 10"], [2, 10]),
        (["2010年", "2011年"], [2010, 2011]),
        (["2010Q3", "2010Q4", "2011Q1"], [8042, 8043, 8044]),
        (["Q4 2010", "Q1 2011"], [8043, 8044]),
        (["2010年第4季度", "2011年第1季度"], [8043, 8044]),
        (["2010M12", "2011M01"], [24131, 24132]),
        (["2010年9月", "2010年10月"], [24128, 24129]),
        (["2010-12", "2011-01"], [24131, 24132]),
        (["2010/11", "2011/12"], [2010, 2011]),
        (["2009-2010", "2010-2011"], [2009, 2010]),
        (["2012-13", "2013-14"], [2012, 2013]),
        (["2010-03-31", "2010-06-30"], [24122, 24125]),
        (["2010-11", "2011-12"], None),  # November 2010, or the year from 2010 to 2011?
        (["early", "late"], None),
        (["M1", "Q2"], None),
        (["2010W1", "2010W2"], None),  # a year has 52 or 53 weeks
        (["2010Q5", "2010Q6"], None),
    ],
)
def test_periods_are_sorted_and_counted(periods, counts):
    assert count_periods(periods) == counts
    assert sort_periods(random.Random(1).sample(periods, len(periods))) == periods


def test_a_lag_over_twelve_months_is_the_month_before():
    months = [f"M{k}" for k in range(1, 13)]
    frame = pd.DataFrame({"id": "a", "month": months, "z": [float(k) for k in range(1, 13)]})
    panel = read_panel(frame.sample(frac=1, random_state=1), region="id", period="month")
    assert panel.periods == tuple(months)
    assert evaluate("lag(z)", panel)[0, 1:].tolist() == list(range(1, 12))
    assert any("in the order of their numbers" in note for note in panel.log)
