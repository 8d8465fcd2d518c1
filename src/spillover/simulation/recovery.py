"""Does a study recover the truth? Bias, error and coverage over many panels of a reference system."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from spillover.errors import OptionError
from spillover.models.fit import fit
from spillover.models.result import SpatialFit
from spillover.panel.panel import Panel
from spillover.simulation.config import SystemConfig
from spillover.simulation.reference import DEMO_STUDY, RecommendedStudy
from spillover.simulation.system import simulate
from spillover.typing import Progress, no_progress
from spillover.weights.distance import build_exponential


@dataclass(frozen=True)
class RecoveryRow:
    """One effect over all panels, in patents a year per unit of HTI intensity.

    Attributes
    ----------
    effect : "direct", "indirect" or "total".
    panels : how many were drawn.
    truth : mean of the true effects, which differ with the drawn map.
    bias : mean of estimate − truth.
    sd : standard deviation of estimate − truth.
    mean_std_error : mean of the reported standard errors.
    coverage : share of panels whose 95 % interval holds its truth.
    """

    effect: str
    panels: int
    truth: float
    bias: float
    sd: float
    mean_std_error: float
    coverage: float


def fit_recommended(panel: Panel, study: RecommendedStudy = DEMO_STUDY) -> SpatialFit:
    """The recommended model on a panel of the reference system; W comes from the panel's map."""
    weights = build_exponential(panel, study.decay_per_km, study.threshold_km, standardise=study.standardise)
    return fit(study.formula, panel, weights, model=study.model, effects=study.effects, covariance=study.covariance)


def recover(
    config: SystemConfig,
    seeds: Iterable[int],
    study: RecommendedStudy = DEMO_STUDY,
    progress: Progress = no_progress,
) -> tuple[RecoveryRow, ...]:
    """Draw one panel per seed, fit the study, and set its effects beside the truth.

    Parameters
    ----------
    config : the system; `demo_config()` is the demo's.
    seeds : at least two whole numbers; each panel depends on its own seed only.
    study : formula, model, effects and W.

    Returns
    -------
    One row each for the direct, indirect and total effect.
    """
    chosen = list(seeds)
    if len(chosen) < 2:
        raise OptionError("a recovery needs at least two panels", got=f"{len(chosen)} seeds", fix="use range(200)")
    draws = np.empty((len(chosen), 3, 4))  # truth, estimate, standard error, covered
    for i, seed in enumerate(chosen):
        progress(f"panel {i + 1} of {len(chosen)}", i / len(chosen))
        panel, truth = simulate(config, seed)
        effects = fit_recommended(panel, study).effects().set_index("effect")
        for j, (name, known) in enumerate(
            (("direct", truth.direct), ("indirect", truth.spillover), ("total", truth.total))
        ):
            row = effects.loc[name]
            draws[i, j] = known, row["estimate"], row["std_error"], row["conf_low"] <= known <= row["conf_high"]
    return tuple(_row(name, draws[:, j]) for j, name in enumerate(("direct", "indirect", "total")))


def _row(effect: str, draws: np.ndarray) -> RecoveryRow:
    known, estimate, error, covered = draws.T
    gap = estimate - known
    return RecoveryRow(
        effect=effect,
        panels=len(gap),
        truth=float(known.mean()),
        bias=float(gap.mean()),
        sd=float(gap.std(ddof=1)),
        mean_std_error=float(error.mean()),
        coverage=float(covered.mean()),
    )
