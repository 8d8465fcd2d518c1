"""The estimator of thresholds that is right for a panel with a planted one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spillover.errors import OptionError
from spillover.moderators.threshold_bootstrap import FEWEST_PERIODS
from spillover.panel.panel import Panel
from spillover.simulation.recovery_round import Finding
from spillover.simulation.spatial_config import DURBIN_MODELS, ERROR_MODELS
from spillover.simulation.threshold_panel import ThresholdPanelConfig
from spillover.typing import Effects, ModelName
from spillover.weights.weights import SpatialWeights

if TYPE_CHECKING:
    from spillover.moderators.threshold_bootstrap import Bootstrap

DRAWS = 199
"""Bootstrap samples of each test."""
_NOT_KNOWN = float("nan")


@dataclass(frozen=True)
class ThresholdEstimator:
    """`spillover.fit_threshold`: the threshold with its confidence set, the shifts, and the bootstrap test of both.

    The test is that of "no threshold", one for all that switches. Without a map, dependence in space cannot be drawn
    again: such panels are tested by one multiplier for each of ten periods or more.

    regressors : names. switching : as in `fit_threshold`; the sender's q decides for W x, as in the planted panel.
    """

    regressors: tuple[str, ...]
    switching: tuple[str, ...]
    model: ModelName = "sdm"
    effects: Effects = "two-way"
    draws: int = DRAWS

    def __call__(self, panel: Panel, weights: SpatialWeights | None) -> Sequence[Finding]:
        """ "threshold" and "shift: x"; OptionError where no test is possible."""
        from spillover.moderators.threshold import fit_threshold

        found = fit_threshold(
            "y ~ " + " + ".join(self.regressors),
            panel,
            None if self.model == "ols" else weights,
            threshold="q",
            switching=self.switching,
            side="sender",
            model=self.model,
            effects=self.effects,
            bootstrap=_bootstrap(panel),
            draws=self.draws,
        )
        (threshold,), (test,) = found.thresholds, found.threshold_tests
        p_value = test.test.p_value
        below, above = found.regimes
        slopes = dict(zip(found.estimates.names, found.estimates.values, strict=True))
        shifts = [(name, slopes[f"{name} [{above}]"] - slopes[f"{name} [{below}]"]) for name in self.switching]
        return [
            Finding("threshold", threshold.value, _NOT_KNOWN, *threshold.hull, p_value),
            *(
                Finding(f"shift: {name}", float(shift), _NOT_KNOWN, _NOT_KNOWN, _NOT_KNOWN, p_value)
                for name, shift in shifts
            ),
        ]


def for_threshold_panel(config: ThresholdPanelConfig) -> ThresholdEstimator:
    """The estimator that is right for a planted threshold. Raises OptionError where there is none."""
    panel = config.panel
    names = tuple(law.name for law in panel.regressors)
    problems = []
    if panel.model in ERROR_MODELS:
        problems.append(f"model {panel.model!r}: thresholds are searched in ols, slx, sar and sdm")
    if panel.endogeneity:
        problems.append("an endogenous regressor beside a threshold")
    if config.neighbour_shift and panel.model not in DURBIN_MODELS:
        problems.append(f"neighbour_shift = {config.neighbour_shift:g} in a model {panel.model!r}, which has no W x")
    if panel.has_region_effects and panel.n_periods < 2:
        problems.append(f"n_periods = {panel.n_periods}: effects = {panel.effects!r} need two periods")
    elif isinstance(panel.weights, SpatialWeights) and panel.n_periods < FEWEST_PERIODS:
        problems.append(f"n_periods = {panel.n_periods} and a given W: without an invented map the test needs ten")
    if problems:
        raise OptionError(
            "this configuration has no ready estimator",
            got="; ".join(problems),
            fix="give estimator=… (simulation.estimators)",
        )
    shifts = {names[0]: config.shift, f"W*{names[0]}": config.neighbour_shift}
    switching = tuple(name for name, shift in shifts.items() if shift) or names[:1]
    return ThresholdEstimator(names, switching, panel.model, panel.effects)


def _bootstrap(panel: Panel) -> Bootstrap:
    if panel.geometry is not None:
        return "spatial"
    if panel.shape[1] >= FEWEST_PERIODS:
        return "period"
    raise OptionError(
        "the test of a threshold needs a map, or ten periods",
        got=f"{panel.shape[1]} periods and no map",
        fix="use a W of the map that is drawn, or ten periods or more",
    )
