"""Every test that a fit allows in one table: its null in words, and what the result says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from spillover.diagnostics.dependence import cd_test, weighted_cd_test
from spillover.diagnostics.durbin import durbin_tests
from spillover.diagnostics.nested import hausman_error, likelihood_ratios
from spillover.diagnostics.panel_tests import (
    heteroskedasticity_test,
    remaining_error_test,
    residual_moran,
    residual_moran_by_period,
    serial_correlation_test,
)
from spillover.errors import SpilloverError
from spillover.inference.hypotheses import HypothesisTest, NotApplicable
from spillover.models.hausman import mundlak_test
from spillover.models.specification import specification_tests
from spillover.typing import FloatArray

if TYPE_CHECKING:
    import pandas as pd

    from spillover.models.result import SpatialFit

Outcome = HypothesisTest | NotApplicable
LEAST_SQUARES = ("ols", "slx")


def all_tests(
    fit: SpatialFit, others: Sequence[SpatialFit] = (), *, by_period: bool = True, seed: int = 1
) -> pd.DataFrame:
    """One row per test: group, test, form, null_model, statistic, df, distribution, p_value, null, says, reference.

    Parameters
    ----------
    fit : its LM and Wald tests, tests of its residuals, and random against fixed effects.
    others : more fits on the same data; likelihood ratios of every nested pair among all of them are added.
    by_period : Moran's I of the residuals in each period too.
    seed : of the random signs of the weighted CD.

    A test that does not exist here has a row that says why, with empty numbers.
    """
    import pandas as pd

    groups: list[tuple[str, Sequence[Outcome]]] = [
        ("spatial terms", specification_tests(fit)),
        ("spatial terms", _guarded("Durbin score tests", lambda: _durbin(fit))),
        ("nested models", likelihood_ratios([fit, *others])),
        ("residuals in space", _guarded("residual Moran's I", lambda: _moran(fit, by_period))),
        ("residuals in space", _guarded("LM error in the lag model", lambda: [_remaining(fit)])),
        ("residuals in space", _guarded("Pesaran CD", lambda: _dependence(fit, seed))),
        ("variances", _guarded("studentised Breusch–Pagan", lambda: [_variances(fit)])),
        ("residuals in time", _guarded("serial correlation", lambda: [_serial(fit)])),
        ("estimators", _guarded("Hausman OLS–SEM", lambda: [hausman_error(fit)])),
        ("estimators", [mundlak_test(fit).test]),
    ]
    return pd.DataFrame([{"group": group, **_row(test)} for group, tests in groups for test in tests])


def _row(test: Outcome) -> dict[str, Any]:
    if isinstance(test, HypothesisTest):
        return test.row()
    empty = {"form": "", "null_model": "", "statistic": np.nan, "df": np.nan, "distribution": "", "p_value": np.nan}
    return {"test": test.name, **empty, "null": "", "says": f"not applicable: {test.reason}", "reference": ""}


def _guarded(name: str, tests: Callable[[], Sequence[Outcome]]) -> Sequence[Outcome]:
    """The tests, or one row that says why there are none."""
    try:
        return tests()
    except SpilloverError as error:
        return [NotApplicable(name, error.what)]


def _durbin(fit: SpatialFit) -> Sequence[Outcome]:
    weights, design = fit.weights, fit.design
    reason = "the fit has no W" if weights is None else ""
    if len(fit.roles.outcome) > 1:
        reason = "the outcome has several spatial lags"
    if reason:
        return [NotApplicable("Durbin score tests", reason)]
    assert weights is not None
    transformation = design.transformation
    own = [i for i in range(design.k) if i not in design.neighbour.values()]
    names = list(design.own)
    tested = [names.index(name) for name in design.neighbour] or list(range(len(names)))
    w_x = fit.roles.regressors or weights
    lags = [transformation.apply(w_x.lag(design.x_raw[j])).ravel() for j in tested]
    return durbin_tests(
        design.y,
        transformation.apply(weights.lag(design.y_raw)),
        design.z[:, own],
        np.column_stack(lags),
        weights.matrix,
        transformation,
        all_lagged=len(tested) == len(names) and w_x is weights,
    )


def _moran(fit: SpatialFit, by_period: bool) -> Sequence[Outcome]:
    weights, design = fit.weights, fit.design
    if weights is None:
        return [NotApplicable("residual Moran's I", "the fit has no W")]
    exact = fit.spec.model in LEAST_SQUARES
    given = (fit.residuals, _filtered(fit), weights.matrix, design.transformation)
    found = [residual_moran(*given, exact=exact).test]
    if by_period and design.shape[1] > 1:
        found += [result.test for result in residual_moran_by_period(*given, design.periods, exact=exact)]
    return found


def _filtered(fit: SpatialFit) -> FloatArray:
    """(n t, k) regressors that the residuals are orthogonal to: BZ beside a spatial error."""
    design, error = fit.design, fit.roles.error
    if not fit.spec.has_spatial_error or error is None:
        return design.z
    n, t = design.shape
    columns = design.z.T.reshape(design.k, n, t)
    lagged = np.stack([design.transformation.apply(error.lag(values)) for values in columns])
    return np.asarray((columns - fit.estimates["lambda"] * lagged).reshape(design.k, -1).T)


def _remaining(fit: SpatialFit) -> Outcome:
    name, weights, design = "LM error in the lag model", fit.weights, fit.design
    if fit.spec.model not in ("sar", "sdm") or weights is None or len(fit.roles.outcome) != 1:
        return NotApplicable(name, f"it belongs to SAR and SDM with one W, not to {fit.spec.model.upper()}")
    sigma2 = float(fit.statistics["sigma2"])
    return remaining_error_test(
        fit.residuals, design.wy, design.z, weights.engine, fit.rho, sigma2, design.transformation
    )


def _dependence(fit: SpatialFit, seed: int) -> Sequence[Outcome]:
    transformation = fit.design.transformation
    if not transformation.is_plain:
        reason = "means of groups and segments relate residuals in ways that its distribution does not know"
        return [NotApplicable("Pesaran CD", reason)]
    found = [cd_test(fit.residuals, transformation)]
    if transformation.removes_periods:
        found.append(weighted_cd_test(fit.residuals, transformation, seed))
    return found


def _variances(fit: SpatialFit) -> Outcome:
    design = fit.design
    names = list(design.own)
    columns = [values.ravel() for values in design.x_raw]
    if design.neighbour and fit.roles.regressors is not None:
        columns += [fit.roles.regressors.lag(design.x_raw[names.index(name)]).ravel() for name in design.neighbour]
    return heteroskedasticity_test(fit.residuals, np.column_stack(columns))


def _serial(fit: SpatialFit) -> Outcome:
    return serial_correlation_test(fit.residuals, fit.design.transformation, fit.design.periods)
