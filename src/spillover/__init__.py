"""spillover: spatial spillovers of high-tech agglomeration on regional innovation.

Names are loaded on first use, so that `import spillover` is cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PUBLIC = {
    # STEP 1  data and weights
    "read_panel": "spillover.panel.read",
    "read_industry": "spillover.panel.industry",
    "Panel": "spillover.panel.panel",
    "SpatialWeights": "spillover.weights.weights",
    # STEP 4-5  models and effects
    "ModelSpec": "spillover.models.spec",
    "fit": "spillover.models.fit",
    "fit_random": "spillover.models.random_effects",
    "fit_counts": "spillover.models.counts",
    "fit_missing": "spillover.models.missing",
    "fit_two_stage": "spillover.models.instruments",
    "predict": "spillover.models.prediction",
    "change": "spillover.models.change",
    "SpatialFit": "spillover.models.result",
    # STEP 6a  through which channel
    "mediate": "spillover.mechanisms.mediate",
    "EquationOptions": "spillover.mechanisms.mediate",
    "build_exposure": "spillover.mechanisms.exposure",
    # STEP 6b  under what conditions, and how far
    "moderate": "spillover.moderators.interaction",
    "moderate_environment": "spillover.moderators.environment",
    "compare_networks": "spillover.moderators.linkage",
    "fit_moderated_rho": "spillover.moderators.strength",
    "fit_regimes": "spillover.moderators.regimes",
    "fit_threshold": "spillover.moderators.threshold",
    "fit_smooth_transition": "spillover.moderators.smooth",
    "compare": "spillover.tables.compare",
    "fit_rings": "spillover.moderators.rings",
    "fit_boundary": "spillover.moderators.boundary",
    "fit_decay": "spillover.moderators.decay",
    "compare_kernels": "spillover.moderators.compare_kernels",
    "fit_kernel_spline": "spillover.moderators.kernel_spline",
    "fit_correlogram": "spillover.moderators.correlogram",
    "measure_distances": "spillover.moderators.distances",
    "read_distances": "spillover.moderators.distances",
    "fit_decay_table": "spillover.moderators.decay_table",
    "fit_joint_decay": "spillover.moderators.decay_table",
    "fit_dose_table": "spillover.moderators.dose_table",
    "simulate": "spillover.simulation.simulate",
    "open_laboratory": "spillover.simulation.laboratory",
    "recover_estimator": "spillover.simulation.harness",
    "compute_power": "spillover.simulation.power",
    "audit_fit": "spillover.audit.audit",
    # what everything returns
    "Estimates": "spillover.inference.estimates",
    "HypothesisTest": "spillover.inference.hypotheses",
    # STEPS 1-8 from one study file
    "run_study": "spillover.study.run",
    "write_report": "spillover.report.write",
    "draw_weights": "spillover.report.network",
    # errors
    "SpilloverError": "spillover.errors",
    "SpilloverWarning": "spillover.errors",
}
_STEPS = (
    "panel",
    "weights",
    "measures",
    "diagnostics",
    "models",
    "effects",
    "mechanisms",
    "moderators",
    "tables",
    "simulation",
    "audit",
    "study",
    "report",
    "errors",
)

__all__ = [*_PUBLIC, *_STEPS, "__version__"]

if TYPE_CHECKING:
    from spillover.audit.audit import audit_fit
    from spillover.errors import SpilloverError, SpilloverWarning
    from spillover.inference.estimates import Estimates
    from spillover.inference.hypotheses import HypothesisTest
    from spillover.mechanisms.exposure import build_exposure
    from spillover.mechanisms.mediate import EquationOptions, mediate
    from spillover.models.change import change
    from spillover.models.counts import fit_counts
    from spillover.models.fit import fit
    from spillover.models.instruments import fit_two_stage
    from spillover.models.missing import fit_missing
    from spillover.models.prediction import predict
    from spillover.models.random_effects import fit_random
    from spillover.models.result import SpatialFit
    from spillover.models.spec import ModelSpec
    from spillover.moderators.boundary import fit_boundary
    from spillover.moderators.compare_kernels import compare_kernels
    from spillover.moderators.correlogram import fit_correlogram
    from spillover.moderators.decay import fit_decay
    from spillover.moderators.decay_table import fit_decay_table, fit_joint_decay
    from spillover.moderators.distances import measure_distances, read_distances
    from spillover.moderators.dose_table import fit_dose_table
    from spillover.moderators.environment import moderate_environment
    from spillover.moderators.interaction import moderate
    from spillover.moderators.kernel_spline import fit_kernel_spline
    from spillover.moderators.linkage import compare_networks
    from spillover.moderators.regimes import fit_regimes
    from spillover.moderators.rings import fit_rings
    from spillover.moderators.smooth import fit_smooth_transition
    from spillover.moderators.strength import fit_moderated_rho
    from spillover.moderators.threshold import fit_threshold
    from spillover.panel.industry import read_industry
    from spillover.panel.panel import Panel
    from spillover.panel.read import read_panel
    from spillover.report.network import draw_weights
    from spillover.report.write import write_report
    from spillover.simulation.harness import recover_estimator
    from spillover.simulation.laboratory import open_laboratory
    from spillover.simulation.power import compute_power
    from spillover.simulation.simulate import simulate
    from spillover.study.run import run_study
    from spillover.tables.compare import compare
    from spillover.weights.weights import SpatialWeights


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        value = getattr(importlib.import_module(_PUBLIC[name]), name)
    elif name in _STEPS:
        value = importlib.import_module(f"spillover.{name}")
    else:
        raise AttributeError(f"module 'spillover' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
