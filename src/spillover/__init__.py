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
    "compare_linkages": "spillover.models.linkages",
    "compare": "spillover.tables.compare",
    "simulate": "spillover.simulation.simulate",
    "open_laboratory": "spillover.simulation.laboratory",
    "recover_estimator": "spillover.simulation.harness",
    "compute_power": "spillover.simulation.power",
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
    "tables",
    "simulation",
    "study",
    "report",
    "errors",
)

__all__ = [*_PUBLIC, *_STEPS, "__version__"]

if TYPE_CHECKING:
    from spillover.errors import SpilloverError, SpilloverWarning
    from spillover.inference.estimates import Estimates
    from spillover.inference.hypotheses import HypothesisTest
    from spillover.models.change import change
    from spillover.models.counts import fit_counts
    from spillover.models.fit import fit
    from spillover.models.instruments import fit_two_stage
    from spillover.models.linkages import compare_linkages
    from spillover.models.missing import fit_missing
    from spillover.models.prediction import predict
    from spillover.models.random_effects import fit_random
    from spillover.models.result import SpatialFit
    from spillover.models.spec import ModelSpec
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
