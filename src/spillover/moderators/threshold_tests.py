"""Bootstrap tests of one threshold more: what samples are drawn from, and how far their errors are correlated."""

from __future__ import annotations

import numpy as np

from spillover.errors import OptionError
from spillover.inference.hypotheses import HypothesisTest
from spillover.moderators.residual_dependence import ResidualDependence, measure_dependence
from spillover.moderators.threshold_bootstrap import (
    Bootstrap,
    NullModel,
    Sampler,
    Scheme,
    bootstrap_p_value,
    bootstrap_statistics,
)
from spillover.moderators.threshold_objective import SumOfSquares
from spillover.moderators.threshold_problem import ThresholdProblem, rho_at
from spillover.moderators.threshold_result import ThresholdTest
from spillover.moderators.threshold_search import Grid, Search, search
from spillover.numerics.kernels import kernel_root
from spillover.panel.panel import Panel
from spillover.typing import FloatArray, Progress

NULLS = {1: "there is no threshold", 2: "there is one threshold only", 3: "there are two thresholds only"}
REACH_IN_RANGES = 6.0  # reach of the multipliers in ranges of the residual correlation: 2 reject .08–.12, 4 .05–.08


def threshold_tests(
    problem: ThresholdProblem,
    grid: Grid,
    count: int,
    bootstrap: Bootstrap | None,
    draws: int,
    reach_km: float | None,
    seed: int,
    panel: Panel,
    progress: Progress,
) -> tuple[ThresholdTest, ...]:
    if bootstrap is None:
        return ()
    cross = tuple(grid.cross(problem.right[:, i : i + 1]) for i in range(problem.right.shape[1]))
    observed = search(grid, problem.objective, problem.products[None], cross, count)
    positions = _positions(panel) if bootstrap == "spatial" and reach_km is None else None
    found = []
    for number in range(1, count + 1):
        null, rho, residuals = _null_model(problem, grid, observed, number)
        transformation = problem.switch.transformation
        dependence = measure_dependence(
            _unfiltered(problem, grid, null.chosen) if rho else residuals,
            positions,
            removes_regions=transformation.removes_regions,
            removes_periods=transformation.removes_periods,
        )
        scheme, reach = _scheme(bootstrap, dependence, reach_km, panel)
        weights = problem.null.roles.outcome[0][1] if problem.null.roles.outcome else None
        sampler = Sampler(grid, problem.basis, transformation, weights, rho)
        statistic = float(problem.objective.statistic(observed.values[number - 1, 0], observed.values[number, 0]))
        text = f"bootstrap of threshold {number}"
        drawn = bootstrap_statistics(
            sampler, problem.objective, null, scheme, number, draws, (seed, number), progress, text
        )
        test = HypothesisTest(
            name=f"threshold {number}",
            statistic=statistic,
            null=NULLS[number],
            distribution=f"bootstrap ({bootstrap}, {draws})",
            p_value=bootstrap_p_value(statistic, drawn),
            reference="Hansen (1999), Journal of Econometrics 93:345",
            form="F" if isinstance(problem.objective, SumOfSquares) else "likelihood ratio",
        )
        found.append(ThresholdTest(number, test, drawn, reach, scheme.block, dependence))
    return tuple(found)


def _null_model(
    problem: ThresholdProblem, grid: Grid, observed: Search, number: int
) -> tuple[NullModel, float, FloatArray]:
    """(what samples are drawn from, its ρ, residuals (n, t)) for the test of threshold `number`."""
    shape = problem.switch.q.shape
    chosen = tuple(int(i) for i in observed.chosen[: number - 1, 0])
    # Residuals of the null, not of the alternative: those are orthogonal to the very column that is tested, which
    # makes the drawn statistics too small where errors are dependent and few blocks of them are independent.
    rho, b, flat = _at(problem, grid, chosen)
    residuals = flat.reshape(shape)
    systematic = _systematic(problem, grid, chosen, rho, b) if problem.right.shape[1] > 1 else None
    return NullModel(chosen, b, residuals, systematic), rho, residuals


def _unfiltered(problem: ThresholdProblem, grid: Grid, chosen: tuple[int, ...]) -> FloatArray:
    """(n, t) residuals without W y in the model.

    ρ̂ takes up correlation of the errors that is none of W y, so that filtered residuals look independent where the
    errors are not; measured on them the reach is too short, and the test rejects .09 for .05.
    """
    columns = grid.columns[:, grid.rows(chosen)]
    y = problem.right[:, 0]
    if chosen:
        y = y - columns @ np.linalg.lstsq(columns, y, rcond=None)[0]
    return np.asarray(y.reshape(problem.switch.q.shape))


def _systematic(
    problem: ThresholdProblem, grid: Grid, chosen: tuple[int, ...], rho: float, b: FloatArray
) -> FloatArray:
    """(n, t) Z δ + D b, not demeaned: S y without effects and error."""
    design, shape = problem.null.design, problem.switch.q.shape
    y = design.columns[:, design.k] - rho * design.columns[:, design.k + 1]
    switched = np.zeros(shape)
    for position, jump in zip(chosen, b.reshape(len(chosen), problem.switch.p), strict=True):
        switched = switched + np.tensordot(jump, problem.switch.masked(float(grid.gammas[position])), axes=1)
    rest = y - problem.switch.transformation.apply(switched).ravel()
    slopes = np.linalg.lstsq(design.z, rest, rcond=None)[0]
    first = int(design.terms[0] == "(Intercept)")
    total = switched + (slopes[0] if first else 0.0)
    for slope, column in zip(slopes[first:], problem.columns, strict=True):
        total = total + slope * column.values
    return np.asarray(total)


def _at(problem: ThresholdProblem, grid: Grid, chosen: tuple[int, ...]) -> tuple[float, FloatArray, FloatArray]:
    """(ρ, coefficients of the masked columns, residuals (n t,)) with thresholds at positions of the grid."""
    columns = grid.columns[:, grid.rows(chosen)]
    solved = np.linalg.lstsq(columns, problem.right, rcond=None)[0] if chosen else np.zeros((0, problem.right.shape[1]))
    rest = problem.right - columns @ solved
    rho = rho_at(problem, rest.T @ rest)
    mix = np.array([1.0, -rho])[: problem.right.shape[1]]
    return rho, solved @ mix, rest @ mix


def require_map(panel: Panel) -> None:
    """Refuse the spatial bootstrap where nobody knows where the regions are."""
    if panel.geometry is None:
        raise OptionError(
            "the spatial bootstrap needs to know where the regions are, and the panel has no map",
            fix="read the panel with geometry=…; or use bootstrap='period' (ten periods or more), which holds "
            "under any dependence between regions",
        )


def _positions(panel: Panel) -> FloatArray:
    """(n, 2) or (n, 3) km of the regions' centroids."""
    from spillover.panel.geometry import centroids
    from spillover.weights.points import Points

    require_map(panel)
    coordinates, lonlat = centroids(panel)
    return Points(panel.regions, coordinates, lonlat).positions


def _scheme(
    bootstrap: Bootstrap, dependence: ResidualDependence, reach_km: float | None, panel: Panel
) -> tuple[Scheme, float]:
    """(scheme, reach in km)."""
    t = panel.shape[1]
    block = int(np.ceil(t ** (1.0 / 3.0))) if dependence.is_serial else 1
    if bootstrap == "hansen":
        return Scheme("hansen", None, 1), float("nan")
    if bootstrap == "period":
        return Scheme("period", None, block), float("inf")
    reach = REACH_IN_RANGES * dependence.range_km if reach_km is None else reach_km
    if reach == 0 and dependence.is_serial:
        block = t  # one multiplier per region, as errors clustered by region: short blocks reject .12 where φ is .8
    positions = _positions(panel) if reach > 0 else np.zeros((panel.shape[0], 2))
    return Scheme("spatial", kernel_root(positions, reach), block), float(reach)
