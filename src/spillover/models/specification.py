"""Specification tests of a fit: LM tests of its non-spatial null, Wald tests of its restrictions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from spillover.diagnostics.lagrange import lagrange_tests
from spillover.inference.hypotheses import HypothesisTest

if TYPE_CHECKING:
    from spillover.models.result import SpatialFit


def specification_tests(fit: SpatialFit) -> tuple[HypothesisTest, ...]:
    """LM tests (valid, then conventional; null OLS, and SLX where W X is in the model) and Wald tests."""
    tests: list[HypothesisTest] = []
    single = len(fit.roles.outcome) < 2
    if fit.weights is not None and single:
        design, transformation = fit.design, fit.design.transformation
        own = [i for i in range(design.k) if i not in design.neighbour.values()]
        nulls = [("ols", design.z[:, own])]
        if design.neighbour:
            nulls.append(("slx", design.z))
        for form in ("valid", "conventional"):
            for null_model, z in nulls:
                tests += lagrange_tests(
                    design.y, design.wy, z, fit.weights.matrix, transformation, form=form, null_model=null_model
                )
    return (*tests, *_wald_tests(fit))


def _wald_tests(fit: SpatialFit) -> list[HypothesisTest]:
    design, estimates = fit.design, fit.estimates
    k = estimates.values.size
    neighbours = list(design.neighbour.items())
    tests = []
    if neighbours:
        matrix = np.zeros((len(neighbours), k))
        for row, (_, at) in enumerate(neighbours):
            matrix[row, at] = 1.0
        tests.append(_named(estimates.wald(matrix, "neighbours' regressors do not matter (all θ = 0)"), "Wald θ = 0"))
    spatial = [term.name for term in fit.point.terms]
    symbols = {"rho": "ρ", "lambda": "λ"}
    nulls = {"rho": "there is no spatial lag of the outcome", "lambda": "there is no spatial error"}
    for name in spatial:
        matrix = np.zeros((1, k))
        matrix[0, estimates.index(name)] = 1.0
        symbol = symbols.get(name, name)
        null = f"{nulls.get(name, 'this spatial lag of the outcome is absent')} ({symbol} = 0)"
        tests.append(_named(estimates.wald(matrix, null), f"Wald {symbol} = 0"))
    whole = len(neighbours) == len(design.own) and fit.roles.regressors is fit.weights
    if spatial == ["rho"] and neighbours and whole:  # else SEM is not what the restriction leads to
        # Common factor: θ + ρβ = 0 for every lagged regressor turns the Durbin model into a spatial error model.
        gap, jacobian = np.empty(len(neighbours)), np.zeros((len(neighbours), k))
        for row, (name, at) in enumerate(neighbours):
            beta = estimates.values[design.own[name]]
            gap[row] = estimates.values[at] + fit.rho * beta
            jacobian[row, at], jacobian[row, design.own[name]], jacobian[row, -1] = 1.0, fit.rho, beta
        statistic = float(gap @ np.linalg.solve(jacobian @ estimates.cov @ jacobian.T, gap))
        tests.append(
            HypothesisTest.wald(
                "Wald common factor",
                statistic,
                df=len(neighbours),
                df_residual=estimates.df,
                null="the Durbin model reduces to a spatial error model (θ + ρβ = 0)",
                reference=f"delta method, {estimates.method}",
            )
        )
    return tests


def _named(test: HypothesisTest, name: str) -> HypothesisTest:
    return replace(test, name=name)
