"""Normalisation, weights and the innovation-capability index."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from spillover.errors import (
    AlignmentError,
    AssumptionWarning,
    MissingCellError,
    OptionError,
    UnknownColumnError,
    ValueDomainError,
)
from spillover.measures.composite import add_index, innovation_index
from spillover.measures.indicators import IndicatorSpec
from spillover.measures.normalise import Goalposts, fixed_goalposts, min_max, pooled_goalposts
from spillover.measures.weighting import entropy_weights, equal_weights
from spillover.panel.panel import Panel

FOUR = [
    IndicatorSpec("patents", "creation"),
    IndicatorSpec("contracts", "flow"),
    IndicatorSpec("firms", "enterprise"),
    IndicatorSpec("distance", "environment", -1),
]


def panel(variables, regions=None, periods=None) -> Panel:
    n, t = next(iter(variables.values())).shape
    return Panel(
        regions=regions or tuple(f"r{i}" for i in range(n)),
        periods=periods or tuple(range(2010, 2010 + t)),
        variables=variables,
    )


def random_panel(seed: int = 0, n: int = 6, t: int = 4) -> Panel:
    rng = np.random.default_rng(seed)
    return panel({spec.column: rng.gamma(2.0, 10.0, (n, t)) for spec in FOUR})


def quiet(*args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AssumptionWarning)
        return innovation_index(*args, **kwargs)


def test_index_by_hand():
    # a: goalposts 0 and 4, z = (0, 1; .5, .5).  b (less is better): goalposts 1 and 3, z = (1, 1; 0, 0).
    # Entropy, N T = 4, ln 4 = 2 ln 2:
    #   a: p = (0, 1/2; 1/4, 1/4), −Σ p ln p = ½ ln 2 + ½ ln 4 = 1.5 ln 2, e = 0.75, 1 − e = 0.25
    #   b: p = (1/2, 1/2; 0, 0),   −Σ p ln p = ln 2,                        e = 0.50, 1 − e = 0.50
    # weights 1/3 and 2/3; scores (2/3, 1; 1/6, 1/6).
    source = panel({"a": np.array([[0.0, 4.0], [2.0, 2.0]]), "b": np.array([[1.0, 1.0], [3.0, 3.0]])})
    specs = [IndicatorSpec("a", "creation"), IndicatorSpec("b", "environment", -1)]
    index = quiet(source, specs)
    # 1e-15 × a few operations.
    np.testing.assert_allclose(list(index.weights.values()), [1 / 3, 2 / 3], rtol=1e-14)
    np.testing.assert_allclose(index.scores, [[2 / 3, 1.0], [1 / 6, 1 / 6]], rtol=1e-14)
    np.testing.assert_allclose(index.dimensions["creation"], [[0.0, 1.0], [0.5, 0.5]], atol=1e-15)
    np.testing.assert_allclose(index.dimensions["environment"], [[1.0, 1.0], [0.0, 0.0]], atol=1e-15)
    assert index.goalposts["b"] == Goalposts(1.0, 3.0, "pooled")
    assert list(index.weight_rows()[0]) == [
        "indicator",
        "dimension",
        "direction",
        "weight",
        "goalpost_low",
        "goalpost_high",
    ]
    # Geometric with equal weights: z' = 1 + 99 z, score = sqrt(z'_a z'_b); a region with a zero keeps a low score.
    geometric = innovation_index(source, specs, weighting="equal", aggregation="geometric")
    expected = [[math.sqrt(1 * 100), 100.0], [math.sqrt(50.5 * 1), math.sqrt(50.5 * 1)]]
    np.testing.assert_allclose(geometric.scores, expected, rtol=1e-13)


def test_equal_weights_are_equal_across_and_within_dimensions():
    np.testing.assert_allclose(equal_weights(["flow", "creation", "flow"]), [0.25, 0.5, 0.25], rtol=1e-15)


@settings(max_examples=40, deadline=None)
@given(arrays(float, (3, 5, 4), elements=st.floats(0.0, 1.0)), st.permutations(range(5)), st.permutations(range(4)))
def test_entropy_weights_do_not_depend_on_the_order_of_regions_or_periods(values, regions, periods):
    values = values.copy()
    values[:, 0, 0], values[:, 1, 1] = 1.0, 0.0  # what min–max leaves: both ends occur
    weights = entropy_weights({str(j): values[j] for j in range(3)})
    shuffled = entropy_weights({str(j): values[j][np.ix_(regions, periods)] for j in range(3)})
    # The sum over 20 cells is taken in another order.
    np.testing.assert_allclose(shuffled, weights, rtol=1e-10)
    assert weights.sum() == pytest.approx(1.0, abs=1e-14)
    assert (weights > 0).all()


def test_entropy_ignores_the_scale_of_z_but_not_its_origin():
    z = {"a": np.array([[0.0, 1.0], [0.5, 0.5]]), "b": np.array([[1.0, 1.0], [0.0, 0.0]])}
    weights = entropy_weights(z)
    # p = z/Σz, so a factor drops out; but a constant added to z (the "+0.0001" of the literature) does not.
    np.testing.assert_allclose(entropy_weights({"a": 7 * z["a"], "b": z["b"]}), weights, rtol=1e-14)
    assert abs(entropy_weights({"a": z["a"] + 0.1, "b": z["b"]})[0] - weights[0]) > 1e-3


def test_entropy_refuses_negative_and_even_scores():
    with pytest.raises(ValueDomainError, match="'a'"):
        entropy_weights({"a": np.array([[-0.1, 1.0]])})
    with pytest.raises(ValueDomainError, match="no entropy weight"):
        entropy_weights({"a": np.full((3, 2), 0.5), "b": np.eye(3)[:, :2]})


@settings(max_examples=40, deadline=None)
@given(st.floats(1e-3, 1e3), st.floats(-100.0, 100.0), st.sampled_from(["entropy", "equal"]))
def test_units_of_an_indicator_do_not_matter(factor, shift, weighting):
    source = random_panel()
    index = quiet(source, FOUR, weighting=weighting)
    rescaled = source.with_variables({"firms": factor * source["firms"] + shift})
    # A shift of 100 on a spread of 1e-3 × 40 costs about four digits of the sixteen.
    np.testing.assert_allclose(quiet(rescaled, FOUR, weighting=weighting).scores, index.scores, rtol=0, atol=1e-10)


@pytest.mark.parametrize("weighting", ["entropy", "equal"])
def test_the_order_of_regions_periods_and_indicators_does_not_matter(weighting):
    source = random_panel()
    index = quiet(source, FOUR, weighting=weighting)
    rows, columns = [4, 2, 0, 5, 1, 3], [2, 0, 3, 1]
    shuffled = panel({name: values[np.ix_(rows, columns)] for name, values in source.variables.items()})
    other = quiet(shuffled, FOUR[::-1], weighting=weighting)
    np.testing.assert_allclose(other.scores, index.scores[np.ix_(rows, columns)], rtol=1e-12)
    for column, weight in index.weights.items():
        assert other.weights[column] == pytest.approx(weight, rel=1e-12)


@pytest.mark.parametrize("weighting", ["entropy", "equal"])
def test_contributions_and_dimensions_add_up(weighting):
    source = random_panel()
    specs = [*FOUR[:3], IndicatorSpec("distance", "flow", -1)]
    linear = quiet(source, specs, weighting=weighting)
    # Scores are made by adding these same numbers: exact.
    np.testing.assert_array_equal(sum(linear.contributions.values(), np.zeros((6, 4))), linear.scores)
    flow = linear.weights["contracts"] + linear.weights["distance"]
    by_dimension = (
        linear.weights["patents"] * linear.dimensions["creation"]
        + flow * linear.dimensions["flow"]
        + linear.weights["firms"] * linear.dimensions["enterprise"]
    )
    np.testing.assert_allclose(by_dimension, linear.scores, rtol=1e-13)
    assert linear.scores.min() >= 0
    assert linear.scores.max() <= 1
    geometric = quiet(source, specs, weighting=weighting, aggregation="geometric")
    logs = sum(geometric.contributions.values(), np.zeros((6, 4)))
    np.testing.assert_allclose(logs, np.log(geometric.scores), rtol=1e-13)
    # The geometric mean of 1 + 99 z is at most the arithmetic one.
    assert (geometric.scores <= 1 + 99 * linear.scores + 1e-10).all()


def test_weights_are_pooled_so_one_region_year_enters_all_periods():
    source = random_panel()
    index = quiet(source, FOUR)
    changed = source["patents"].copy()
    changed[0, 0] = 10 * changed.max()
    other = quiet(source.with_variables({"patents": changed}), FOUR)
    assert other.weights["patents"] > index.weights["patents"]
    assert not np.allclose(other.scores[:, 3], index.scores[:, 3])


def test_direction_turns_the_scale():
    values = np.array([[1.0, 3.0]])
    posts = pooled_goalposts(values)
    np.testing.assert_array_equal(min_max(values, posts, 1) + min_max(values, posts, -1), [[1.0, 1.0]])
    with pytest.raises(OptionError, match="direction"):
        min_max(values, posts, 0)
    with pytest.raises(OptionError, match="direction"):
        IndicatorSpec("a", "flow", 2)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="environment"):
        IndicatorSpec("a", "enviroment")  # type: ignore[arg-type]


def test_fixed_goalposts_extrapolate_and_say_so():
    source = panel({"a": np.array([[0.0, 6.0], [2.0, 3.0]]), "b": np.array([[1.0, 2.0], [3.0, 4.0]])})
    specs = [IndicatorSpec("a", "creation"), IndicatorSpec("b", "flow")]
    index = innovation_index(source, specs, weighting="equal", goalposts={"a": (0.0, 4.0)})
    assert index.contributions["a"][0, 1] == 0.5 * 6.0 / 4.0
    assert index.goalposts["a"].source == "fixed"
    assert any(note.startswith("a: cells outside") and note.endswith(": 1") for note in index.notes)
    with pytest.raises(ValueDomainError, match="'a'"):
        innovation_index(source, specs, weighting="entropy", goalposts={"a": (1.0, 4.0)})
    with pytest.raises(OptionError, match="direction=-1"):
        fixed_goalposts(4.0, 0.0, "a")
    with pytest.raises(UnknownColumnError, match="not indicators"):
        innovation_index(source, specs, weighting="equal", goalposts={"c": (0.0, 1.0)})


def test_a_constant_indicator_is_named():
    source = panel({"a": np.full((2, 2), 0.1) + np.array([[0, 1e-17], [0, 0]]), "b": np.eye(2)})
    with pytest.raises(ValueDomainError, match="'a' is constant"):
        innovation_index(source, [IndicatorSpec("a", "flow"), IndicatorSpec("b", "flow")], weighting="equal")


def test_missing_cells_stop_the_index_and_are_named():
    source = panel({"a": np.array([[1.0, np.nan], [2.0, 3.0]]), "b": np.eye(2)}, regions=("上海", "北京"))
    with pytest.raises(MissingCellError, match="a of 上海 in 2011"):
        innovation_index(source, [IndicatorSpec("a", "flow"), IndicatorSpec("b", "flow")], weighting="equal")


def test_infinite_cells_stop_the_index():
    source = panel({"a": np.array([[1.0, np.inf], [2.0, 3.0]])})
    with pytest.raises(ValueDomainError, match="'a'"):
        innovation_index(source, [IndicatorSpec("a", "flow")], weighting="equal")


def test_indicator_mistakes():
    source = random_panel()
    with pytest.raises(UnknownColumnError, match="patent, firm") as error:
        innovation_index(source, [IndicatorSpec("patent", "flow"), IndicatorSpec("firm", "flow")])
    assert "'patents'" in str(error.value)
    assert "'firms'" in str(error.value)
    with pytest.raises(OptionError, match="twice"):
        innovation_index(source, [FOUR[0], FOUR[0]])
    with pytest.raises(OptionError, match="at least one"):
        innovation_index(source, [])
    with pytest.raises(OptionError, match="weighting"):
        innovation_index(source, FOUR, weighting="entropie")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="aggregation"):
        innovation_index(source, FOUR, aggregation="mean")  # type: ignore[arg-type]


def test_entropy_warns_and_names_the_indicator_that_dominates():
    source = random_panel()
    spike = np.full((6, 4), 1.0)
    spike[2, 3] = 1000.0
    with pytest.warns(AssumptionWarning, match="patents alone has"):
        index = innovation_index(source.with_variables({"patents": spike}), FOUR)
    assert index.weights["patents"] > 0.4
    assert any("skewed" in note and "r2" in note for note in index.notes)
    with pytest.warns(AssumptionWarning, match="depend on the normalisation") as caught:
        innovation_index(source, FOUR)
    assert "alone" not in str(caught[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error", AssumptionWarning)
        innovation_index(source, FOUR, weighting="equal")


def test_absent_dimensions_and_overlap_are_recorded():
    index = innovation_index(random_panel(), FOUR[:2], weighting="equal")
    assert list(index.dimensions) == ["creation", "flow"]
    assert any("enterprise and environment" in note for note in index.notes)
    assert index.overlap(["gdp", "patents"]) == ("patents",)


def test_index_becomes_variables_of_the_panel():
    source = random_panel()
    index = innovation_index(source, FOUR, weighting="equal")
    result = add_index(source, index, "capability")
    np.testing.assert_array_equal(result["capability"], index.scores)
    np.testing.assert_array_equal(result["capability_flow"], index.dimensions["flow"])
    assert result.units["capability"] == "score, 0 to 1"
    assert "4 indicators" in result.log[-1]
    with pytest.raises(OptionError, match="capability"):
        add_index(result, index, "capability")
    with pytest.raises(AlignmentError, match="r0"):
        add_index(source.select(regions=["r1", "r2"]), index)
    with pytest.raises(ValueError, match="read-only"):
        index.scores[0, 0] = 1.0
