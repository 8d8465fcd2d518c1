"""The paper's Table 1 as an experiment on a whole system: a channel is set by hand, the others are left or held.

do(talent = 75) cuts the arrow from agglomeration to talent: every region takes in 75 people a year whatever A is. What
then happens to patents is the effect of the channel itself, free of what agglomeration does through the others.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spillover.errors import OptionError, did_you_mean
from spillover.simulation.acceptance import REFERENCE_DOSES
from spillover.simulation.streams import spawn_streams
from spillover.simulation.system import DrawnSystem, Outcomes, draw_outcomes
from spillover.typing import FloatArray

_FLOWS = {"talent": "talent_inflow", "cooperation": "cooperation", "informal": "informal"}


def do(drawn: DrawnSystem, *, hold_others: bool = False, **doses: float | FloatArray) -> Outcomes:
    """Draw the system again with channels held at doses; A, the map and all other luck stay as they were.

    Parameters
    ----------
    drawn : from `draw_system`.
    hold_others : hold the channels that are not named at the reference doses of the paper's Table 1 (35 persons and
        1.5 projects a year, 1 activity a month), as in the table; otherwise they follow agglomeration.
    doses : talent (persons a year), cooperation (projects a year), informal (activities a month): one number, (n,) or
        (n, t).

    Returns
    -------
    Outcomes, (n, t) each; `floored` tells how often patents were at their floor.

    Raises
    ------
    OptionError : unknown channels, doses that are negative, not finite or of another shape; all of them together.

    Examples
    --------
    >>> from spillover.simulation.config import SystemConfig
    >>> from spillover.simulation.system import draw_system
    >>> drawn = draw_system(SystemConfig(n_regions=200, n_periods=5), seed=1)
    >>> low, high = (do(drawn, hold_others=True, talent=dose).patents.mean() for dose in (25.0, 75.0))
    >>> round(high - low)
    50
    """
    shape = drawn.outcomes.hti.shape
    chosen: Mapping[str, float | FloatArray] = {**REFERENCE_DOSES, **doses} if hold_others else doses
    problems = [problem for name, dose in doses.items() for problem in _dose_problems(name, dose, shape)]
    if not doses:
        problems = ["no channel is named"]
    if problems:
        raise OptionError(
            "this experiment cannot be made",
            got="; ".join(problems),
            expected="doses of talent, cooperation or informal: a number, or one per region (and period)",
        )
    held = {_FLOWS[name]: _spread(dose, shape) for name, dose in chosen.items()}
    return draw_outcomes(drawn.system, spawn_streams(drawn.seed), drawn.outcomes.hti, do=held)


def _dose_problems(name: str, dose: float | FloatArray, shape: tuple[int, int]) -> list[str]:
    if name not in _FLOWS:
        return [f"{name!r} is no channel. {did_you_mean(name, _FLOWS)}".strip()]
    try:
        values = np.asarray(dose, dtype=float)
    except (TypeError, ValueError):
        return [f"{name}: not a number"]
    if values.shape not in ((), shape[:1], shape):
        return [f"{name}: shape {values.shape}, not {shape[:1]} or {shape}"]
    if not (np.isfinite(values) & (values >= 0)).all():
        return [f"{name}: doses are finite and not negative"]
    return []


def _spread(dose: float | FloatArray, shape: tuple[int, int]) -> FloatArray:
    values = np.asarray(dose, dtype=float)
    return np.asarray(np.broadcast_to(values[:, None] if values.ndim == 1 else values, shape))
