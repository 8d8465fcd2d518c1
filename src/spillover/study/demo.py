"""The demo: a whole study of a panel drawn from the reference system, with the truth beside the estimates."""

from __future__ import annotations

from spillover.simulation.reference import DEMO_SEED, DEMO_STUDY, demo_config
from spillover.simulation.system import simulate
from spillover.simulation.truth import Truth
from spillover.study.config import (
    AgglomerationSection,
    AuditSection,
    DataSection,
    DistanceSection,
    Indicator,
    InnovationSection,
    ModelSection,
    StudyConfig,
    StudySection,
    WeightsSection,
)
from spillover.study.prepare import build_weights, measure
from spillover.study.provenance import hash_panel
from spillover.study.result import ModelResult, StudyResult, TruthRow
from spillover.study.run import Prepared, compute
from spillover.typing import Progress, no_progress

__all__ = ["DEMO_SEED", "demo_study", "run_demo"]

_DESCRIPTION = (
    "A panel drawn from the reference system: a hypothetical set of regions in which high-tech agglomeration raises "
    "patents at home and, fading with distance, next door, through talent, cooperation and informal exchange. Its "
    "parameters are calibrated to the paper's Table 1 and Table 2, which are illustrative. Because the system is "
    "known, the estimates can be compared with the truth."
)


def run_demo(seed: int = DEMO_SEED, progress: Progress = no_progress) -> StudyResult:
    """The study of the reference system.

    Parameters
    ----------
    seed : whole number of zero or more; the same seed gives the same panel and the same numbers.
    progress : called with a text and the share done in [0, 1].

    Returns
    -------
    StudyResult of kind "demo"; `truth` compares direct, indirect and total effect with what is true in the system.
    """
    progress("drawing a panel from the reference system", 0.0)
    panel, truth = simulate(demo_config(), seed)
    config = demo_study(seed)
    hashes = {"simulated panel": hash_panel(panel)}
    panel, measures, index = measure(panel, config)
    weights = {item.name: build_weights(item, panel) for item in config.weights}
    prepared = Prepared(panel, measures, index, weights)
    result = compute(config, prepared, seed=seed, hashes=hashes, kind="demo", progress=progress, planar=True)
    return result.model_copy(update={"truth": truth_rows(result.model(), truth)})


def demo_study(seed: int = DEMO_SEED) -> StudyConfig:
    """The study of the demo as a configuration: the recommended model, and beside it one that ignores neighbours."""
    recommended = DEMO_STUDY
    return StudyConfig(
        study=StudySection(title="The reference innovation system", description=_DESCRIPTION, seed=seed),
        data=DataSection(table="(drawn from the reference system)", region="region", period="year"),
        agglomeration=AgglomerationSection(
            measure="column", column="hti", name="hti", label="high-tech agglomeration (1 = the paper's cluster)"
        ),
        innovation=InnovationSection(column="patents", label="patents", indicators=_indicators()),
        weights=(
            WeightsSection(
                name="distance decay",
                kind=recommended.weights_kind,
                decay_per_km=recommended.decay_per_km,
                threshold_km=recommended.threshold_km,
                standardise=recommended.standardise,
            ),
        ),
        models=(
            ModelSection(
                name="SLX with distance decay",
                formula=recommended.formula,
                model=recommended.model,
                effects=recommended.effects,
                covariance=recommended.covariance,
                treatment=recommended.treatment,
                main=True,
            ),
            ModelSection(
                name="OLS without neighbours",
                formula=recommended.formula,
                model="ols",
                effects=recommended.effects,
                treatment=recommended.treatment,
            ),
        ),
        distance=DistanceSection(rings=(0.0, 50.0, 100.0, 200.0, 300.0, 500.0)),  # the bands of the paper's Table 2
        audit=AuditSection(draws=199),
    )


def truth_rows(model: ModelResult, truth: Truth) -> tuple[TruthRow, ...]:
    """Direct, indirect and total effect beside the truth."""
    known = {"direct": truth.direct, "indirect": truth.spillover, "total": truth.total}
    rows = []
    for row in model.impacts:
        if row["variable"] != model.treatment or row["effect"] not in known:
            continue
        value, low, high = known[row["effect"]], float(row["conf_low"]), float(row["conf_high"])
        rows.append(
            TruthRow(
                quantity=f"{row['effect']} effect",
                truth=value,
                estimate=float(row["estimate"]),
                conf_low=low,
                conf_high=high,
                covered=bool(low <= value <= high),
                unit="patents a year per cluster",
            )
        )
    return tuple(rows)


def _indicators() -> tuple[Indicator, ...]:
    return (
        Indicator(column="patents", dimension="creation"),
        Indicator(column="transfers", dimension="flow"),
        Indicator(column="talent_inflow", dimension="flow"),
        Indicator(column="revenue", dimension="enterprise"),
        Indicator(column="environment", dimension="environment"),
    )
