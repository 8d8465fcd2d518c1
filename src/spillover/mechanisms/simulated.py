"""The paths at thousands of draws of the coefficients: intervals where the delta method's symmetry does not hold."""

from __future__ import annotations

import numpy as np

from spillover.errors import DesignError, EstimationError
from spillover.inference.draws import draw_points
from spillover.inference.estimates import Estimates
from spillover.mechanisms.decomposition import PathNumbers, tabulate_paths
from spillover.mechanisms.paths import interpolate
from spillover.typing import FloatArray

TOLERANCE = (1e-9, 1e-6)  # of interpolated inverses, on small maps and where traces come from probes
LARGEST_TABLE = 4e6
EXACT_LIMIT = 400  # regions up to which all columns cost less than 128 probes and their care


def path_draws(numbers: PathNumbers, estimates: Estimates, draws: int, seed: int) -> tuple[FloatArray, int]:
    """((r, paths, 3) own, spillover, total at admissible draws; how many were discarded).

    Draws come from the joint normal law of the coefficients, or multivariate t with their degrees of freedom. Those
    with a ρ outside its interval are discarded and counted.

    Raises
    ------
    EstimationError : fewer than 100 draws, or more than half of them inadmissible.
    DesignError : a path with many feedbacks, whose table would not fit.
    """
    return paths_at(numbers, draw_points(estimates, draws, seed), estimates.values)


def paths_at(numbers: PathNumbers, points: FloatArray, centre: FloatArray) -> tuple[FloatArray, int]:
    """((r, paths, 3) own, spillover, total at the admissible ones of points (r, k); how many were not).

    Above 400 regions the traces of the points come from random probes, moved by what is known at their centre (k,): the
    error of the probes is then that of a small difference.
    """
    feedbacks = numbers.wiring.feedbacks
    fine = np.ones(len(points), dtype=bool)
    for own in feedbacks.values():
        low, high = own.weights.engine.log_determinant.interval
        fine &= (points[:, own.position] > low) & (points[:, own.position] < high)
    kept = points[fine]
    if len(kept) < len(points) / 2:
        raise EstimationError(
            "more than half of the draws are outside the admissible parameters: simulation is meaningless here",
            fix='use method="delta", or leave out the ρ that is not determined',
        )
    exact = all(own.weights.n <= EXACT_LIMIT for own in feedbacks.values())
    all_points = np.vstack([centre, kept])
    axes = {
        name: interpolate(own, all_points[:, own.position], TOLERANCE[not exact]) for name, own in feedbacks.items()
    }
    _check_size(numbers, {name: axis.size for name, axis in axes.items()})
    found = tabulate_paths(numbers.wiring, lambda name, own: axes[name], EXACT_LIMIT).draws(all_points)
    own_effects = found[1:, :, 0] + numbers.values(centre)[:, 0] - found[0, :, 0]
    totals = found[1:, :, 2]
    return np.stack([own_effects, totals - own_effects, totals], axis=-1), len(points) - len(kept)


def _check_size(numbers: PathNumbers, nodes: dict[str, int]) -> None:
    for path in numbers.paths:
        stations = numbers.wiring.stations(path)
        size = float(np.prod([len(link.operators) * nodes.get(equation, 1) for link, equation in stations]))
        if size > LARGEST_TABLE:
            raise DesignError(
                f"the path {path.name!r} has too many feedbacks to be simulated",
                got=f"{sum(e in nodes for _, e in stations)} equations with a lag of their response",
                fix='use method="delta", or drop the lag of a mediator\'s response',
            )
