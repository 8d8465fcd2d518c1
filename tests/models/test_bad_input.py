"""A user's mistakes in a model: the message names the column, the region or the setting, and says what to do."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.sparse as sp

import spillover as so
from simulated import lattice, named_weights, row_standardised
from spillover.errors import (
    AlignmentError,
    AssumptionWarning,
    DesignError,
    EstimationError,
    FormulaError,
    MissingCellError,
    OptionError,
    SpilloverError,
    UnknownColumnError,
    ValueDomainError,
)
from spillover.panel.panel import Panel
from spillover.weights.weights import SpatialWeights


def refuse(
    kind: type[SpilloverError], text: str, panel: Panel, weights: SpatialWeights | None, **options: object
) -> str:
    formula = options.pop("formula", "y ~ x0 + x1")
    with pytest.raises(kind, match=text) as caught:
        so.fit(formula, panel, weights, **options)  # type: ignore[arg-type]
    return str(caught.value)


@pytest.mark.parametrize(
    ("formula", "kind", "text"),
    [
        ("y ~ x0 + xx1", UnknownColumnError, "Did you mean"),
        ("y ~", FormulaError, "formula"),
        ("y", FormulaError, "one ~"),
        ("y ~ x0 ~ x1", FormulaError, "one ~"),
        ("y ~ 1", FormulaError, "no regressor"),
        ("y ~ x0 | x1", FormulaError, "instruments"),
        ("y:x0 ~ x1", FormulaError, "exactly one outcome"),
        ("y ~ x0 + x0**2", FormulaError, r"I\(x0 \*\* 2\)"),
        ("y ~ x0 + x0^2", FormulaError, r"I\(x0 \*\* 2\)"),
        ("y ~ x0*x1", FormulaError, "x0:x1 for the product"),
        ("y ~ x0/x1", FormulaError, r"I\(x0 / x1\)"),
        ("y ~ x0 - x1", FormulaError, "take a term out"),
        ("y ~ x0 + x0", FormulaError, "twice"),
        ("y ~ x0 + + x1", FormulaError, "no term beside"),
        ("y ~ x0 + ", FormulaError, "no term beside"),
        ("y ~ x0:", FormulaError, "no factor beside"),
        ("y ~ x0 + 3", FormulaError, "a number"),
        ("y ~ x0 + (x1", FormulaError, "parentheses do not group"),
        ("y ~ x0 + (x1 + z)", FormulaError, "parentheses do not group"),
        ("y ~ rho", FormulaError, "share its name"),
        ("y ~ log(x0", FormulaError, "cannot be understood"),
        ("y ~ __import__('os').getcwd()", FormulaError, "__import__"),
        ("y ~ log(x0)", ValueDomainError, "r0"),
    ],
)
def test_formulas(
    formula: str, kind: type[SpilloverError], text: str, grid_panel: Panel, queen_grid: SpatialWeights
) -> None:
    refuse(kind, text, grid_panel, queen_grid, formula=formula)


def test_missing_cells_are_named(grid_panel: Panel, queen_grid: SpatialWeights) -> None:
    values = grid_panel["x1"].copy()
    values[3, 2] = np.nan
    message = refuse(MissingCellError, "x1 of r003 in 2002", grid_panel.with_variables({"x1": values}), queen_grid)
    assert "drop-regions" in message


def test_constants_under_effects_are_named(grid_panel: Panel, queen_grid: SpatialWeights) -> None:
    n, t = grid_panel.shape
    fixed = grid_panel.with_variables({"area": np.arange(float(n)) + 1e4})
    refuse(
        DesignError, "'area' does not vary over time", fixed, queen_grid, formula="y ~ x0 + area", effects="individual"
    )
    national = grid_panel.with_variables({"gdp": np.tile(np.arange(float(t)), (n, 1))})
    refuse(
        DesignError, "'gdp' does not vary over regions", national, queen_grid, formula="y ~ x0 + gdp", effects="time"
    )
    refuse(DesignError, "two-way effects absorb", national, queen_grid, formula="y ~ x0 + gdp")
    flat = grid_panel.with_variables({"one": np.ones((n, t))})
    refuse(DesignError, "does not vary at all", flat, queen_grid, formula="y ~ x0 + one", effects="none")
    refuse(DesignError, "the outcome 'one'", flat, queen_grid, formula="one ~ x0", effects="none")


def test_collinear_columns_are_named_with_what_they_combine(grid_panel: Panel, queen_grid: SpatialWeights) -> None:
    panel = grid_panel.with_variables({"twice": 2e5 * grid_panel["x0"] - grid_panel["x1"]})
    message = refuse(DesignError, "exact combinations", panel, queen_grid, formula="y ~ x0 + x1 + twice", model="sar")
    assert all(name in message for name in ("'twice'" if "'twice' is" in message else "twice", "x0", "x1"))


def test_ids_that_differ_are_shown_on_both_sides(grid_panel: Panel, queen_grid: SpatialWeights) -> None:
    other = SpatialWeights(queen_grid.matrix, ("x1", *queen_grid.regions[1:]), "other", "row")
    message = refuse(AlignmentError, "not the same", grid_panel, other)
    assert "only in the panel: r000" in message
    assert "only in W: x1" in message


def test_w_is_needed_and_its_rows_must_sum_to_one_for_exact_time_effects(
    grid_panel: Panel, queen_grid: SpatialWeights
) -> None:
    refuse(OptionError, "needs spatial weights", grid_panel, None)
    raw = SpatialWeights(sp.csr_matrix(0.1 * queen_grid.matrix), queen_grid.regions, "scaled", "scalar")
    message = refuse(OptionError, "rows sum to one", grid_panel, raw)
    assert 'standardise("row")' in message
    with pytest.warns(AssumptionWarning, match="bias"):
        so.fit("y ~ x0", grid_panel, raw, correction="none")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        so.fit("y ~ x0", grid_panel, raw, effects="individual")
        so.fit("y ~ x0", grid_panel, raw, model="slx")


def test_sizes(grid_panel: Panel, queen_grid: SpatialWeights) -> None:
    one = grid_panel.select(periods=[2000])
    refuse(DesignError, "at least two periods", one, queen_grid, effects="individual")
    assert so.fit("y ~ x0", one, queen_grid, model="sar").spec.effects == "none"
    few = grid_panel.select(regions=grid_panel.regions[:9])
    refuse(DesignError, "too few regions", few, queen_grid.subset(few.regions, islands="keep"), model="slx")
    rng = np.random.default_rng(0)
    many = {f"z{j}": rng.normal(size=(42, 6)) for j in range(45)}
    refuse(
        DesignError, "fewer observations", grid_panel.with_variables(many), queen_grid,
        formula="y ~ " + " + ".join(many), model="sar",
    )  # fmt: skip


def test_arrays_without_ids_are_refused_with_what_makes_them_usable(
    grid_panel: Panel, queen_grid: SpatialWeights
) -> None:
    refuse(OptionError, "from_object", grid_panel, queen_grid.matrix.toarray())  # type: ignore[arg-type]
    refuse(OptionError, "read_panel", grid_panel.to_frame(), queen_grid)  # type: ignore[arg-type]
    refuse(FormulaError, "a formula is a text", grid_panel, queen_grid, formula=1)
    refuse(UnknownColumnError, "to be lagged", grid_panel, queen_grid, lagged=["1"])


def test_options(grid_panel: Panel, queen_grid: SpatialWeights) -> None:
    refuse(OptionError, "Did you mean 'two-way'", grid_panel, queen_grid, effects="twoway")
    refuse(OptionError, "random effects are another estimator", grid_panel, queen_grid, effects="random")
    refuse(OptionError, "distance beyond which", grid_panel, queen_grid, covariance="conley")
    refuse(UnknownColumnError, "to be lagged", grid_panel, queen_grid, lagged=["x2"])
    refuse(OptionError, "no W x terms", grid_panel, queen_grid, model="sar", lagged=["x0"])


def test_a_maximum_at_the_bound_is_not_returned() -> None:
    # The outcome is a smooth surface: the mean of its neighbours almost exactly, with hardly any error.
    weights = named_weights(row_standardised(lattice(8, 8)))
    rng = np.random.default_rng(0)
    at = np.array([(i, j) for i in range(8) for j in range(8)], dtype=float)
    y = 1e4 + np.add.outer(at[:, 0] * 0.0, np.zeros(3)) + 1e-7 * rng.normal(size=(64, 3)).cumsum(axis=0)
    panel = Panel(weights.regions, (1, 2, 3), {"y": y, "x0": rng.normal(size=(64, 3))})
    with pytest.raises((EstimationError, DesignError)) as caught:
        so.fit("y ~ x0 - 1", panel, weights, model="sar", effects="none")
    assert "ρ" in str(caught.value) or "vary" in str(caught.value)


def test_an_identity_is_refused(grid_panel: Panel, queen_grid: SpatialWeights) -> None:
    panel = grid_panel.with_variables({"copy": 3.0 * grid_panel["x0"] + grid_panel["x1"]})
    refuse(EstimationError, "explain the outcome exactly", panel, queen_grid, formula="copy ~ x0 + x1", model="slx")


def test_values_whose_squares_overflow_are_refused(grid_panel: Panel, queen_grid: SpatialWeights) -> None:
    huge = grid_panel.with_variables({"x0": 1e200 * grid_panel["x0"]})
    refuse(ValueDomainError, "'x0' are too large", huge, queen_grid)
    large = so.fit("y ~ x0 + x1", grid_panel.with_variables({"x0": 1e90 * grid_panel["x0"]}), queen_grid)
    assert np.isfinite(large.estimates.cov).all()
