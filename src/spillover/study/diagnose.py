"""STEP 3 of a study: is there spatial dependence, in levels and in changes?"""

from __future__ import annotations

from collections.abc import Sequence

from spillover.panel.panel import Panel
from spillover.study.result import Diagnostics, Measure, MoranScatter, Row
from spillover.study.rows import plain, plain_numbers
from spillover.typing import Progress, no_progress
from spillover.weights.weights import SpatialWeights

PERMUTATIONS = 999  # a smallest p-value of 0.001, in well under a second for a few hundred regions


def diagnose(
    panel: Panel,
    measures: Sequence[Measure],
    weights: SpatialWeights,
    seed: int,
    progress: Progress = no_progress,
) -> Diagnostics:
    """Moran's I of every measure in every period, and the scatter of its last period."""
    from spillover.diagnostics.autocorrelation import moran_by_period, moran_scatter

    rows: list[Row] = []
    scatters = []
    for i, measure in enumerate(measures):
        progress(f"Moran's I of {measure.label}", i / len(measures))
        results = moran_by_period(panel, measure.name, weights, PERMUTATIONS, seed)
        rows += [plain(result.row()) for result in results]
        last = next((r for r in reversed(results) if r.transform == "level" and r.statistic is not None), None)
        if last is not None:
            points = moran_scatter(panel, measure.name, weights, last.period)
            scatters.append(
                MoranScatter(
                    variable=measure.name,
                    period=points.period,
                    z=plain_numbers(points.z),
                    lag=plain_numbers(points.lag),
                    regions=points.regions,
                )
            )
    return Diagnostics(moran=tuple(rows), scatters=tuple(scatters))
