"""STEP 6b of a study: [distance] to rings, a boundary, a decay and who gives to whom, as plain values."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spillover.errors import AlignmentError, SpilloverError, show_labels
from spillover.models.formula import parse_formula
from spillover.panel.panel import Panel
from spillover.panel.wording import count_of, near_misses
from spillover.study.columns import find_term
from spillover.study.config import DistanceSection, ModelSection, StudyConfig
from spillover.study.distance_problems import WHERE, main_of
from spillover.study.estimate import require_values
from spillover.study.prepare import leave_out
from spillover.study.result import DistanceReach
from spillover.typing import Progress, no_progress

if TYPE_CHECKING:
    from spillover.moderators.distance_design import DistanceDesign
    from spillover.moderators.distances import Distances

WITH_SHAPE = ("shifted", "stretched")
"""Laws with a second parameter: in lag models each trial of it is an eigenvalue problem."""


@dataclass(frozen=True, eq=False)
class DistancePlan:
    """Everything about a [distance] that can be checked without estimating.

    Attributes
    ----------
    section : the settings, those of the main model filled in where the file says nothing.
    panel, design : what the estimators work on.
    formula : of all of them.
    options : treatment, effects, groups, segments.
    rings, thresholds : distances in the unit of the design.
    kernels : laws to compare; empty for none.
    """

    section: DistanceSection
    panel: Panel
    design: DistanceDesign
    formula: str
    options: dict[str, Any]
    rings: tuple[float, ...]
    thresholds: tuple[float, ...]
    kernels: tuple[str, ...]

    @property
    def fact(self) -> str:
        """One line for `spillover check`."""
        n, t = self.design.shape
        edges = "–".join(f"{edge:g}" for edge in self.rings)
        return f"distance: {self.design.distances.what}, rings {edges} {self.design.unit}, {n} regions, {t} periods"


def with_distance(config: StudyConfig, section: DistanceSection | None) -> StudyConfig:
    """The study with another [distance]."""
    return config.model_copy(update={"distance": section})


def find_distance(
    config: StudyConfig, panel: Panel, seed: int, progress: Progress = no_progress
) -> DistanceReach | None:
    """How far the spillover of a study reaches; None where its file has no [distance]. Errors name the section."""
    from spillover.study.distance_estimate import estimate_reach

    if config.distance is None:
        return None
    progress("distance", 0.74)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # every estimator also says it in its notes, which the report prints
            plan = plan_distance(config.distance, main_of(config.models), panel)
            return estimate_reach(plan, panel, seed)
    except SpilloverError as error:
        error.args = (f"{WHERE}: {error}",)
        raise


def plan_distance(section: DistanceSection, main: ModelSection, panel: Panel) -> DistancePlan:
    """Distances, design, rings and thresholds of a [distance] section beside the main model."""
    from spillover.moderators.boundary import thresholds_in_use
    from spillover.moderators.decay import minimum_of, search_limits
    from spillover.moderators.distance_design import build_distance_design
    from spillover.moderators.kernels import LAWS, Kernel
    from spillover.moderators.ring_exposure import build_rings
    from spillover.moderators.rings import check_reference
    from spillover.moderators.usual_edges import usual_rings, usual_thresholds

    if section.periods:
        panel = panel.select(periods=section.periods, note="periods of the distances")
    panel = leave_out(panel, section.exclude, "left out of the distances")
    formula = parse_formula(section.formula or main.formula)
    for factors in ((formula.response,), *formula.terms):
        require_values(factors, panel)
    treatment = section.treatment or (main.treatment if section.formula is None else None)
    options: dict[str, Any] = {
        "treatment": None if treatment is None else find_term(treatment, formula.names),
        "effects": section.effects or main.effects,
        "groups": main.groups,
        "segments": {p: main.segments[str(p)] for p in panel.periods if str(p) in main.segments} or None,
    }
    lagged = tuple(find_term(term, formula.names) or term for term in section.lagged)
    distances = _distances(section, panel)
    text = section.formula or main.formula
    design = build_distance_design(text, panel, distances, lagged=lagged, **options)
    rings = section.rings or usual_rings(distances)
    check_reference(build_rings(distances, rings), design)
    thresholds = section.thresholds or usual_thresholds(distances)
    if section.thresholds or len(thresholds) > 1:
        thresholds_in_use(thresholds, distances)
    same_place = bool((distances.links.data == 0).any()) and section.minimum is None
    law = Kernel(section.kernel, minimum_of(section.kernel, section.minimum, distances))
    search_limits(law, section.search, distances)
    kernels: tuple[str, ...] = LAWS if section.kernels is None else section.kernels
    if section.kernels is None:
        simple = section.model == "slx"
        kernels = tuple(k for k in kernels if (simple or k not in WITH_SHAPE) and not (k == "power" and same_place))
    elif "power" in kernels:
        minimum_of("power", section.minimum, distances)
    full = section.model_copy(update={"lagged": lagged})
    return DistancePlan(full, panel, design, text, options, tuple(rings), tuple(thresholds), kernels)


def _distances(section: DistanceSection, panel: Panel) -> Distances:
    """The distances among the regions of the panel, all of them connected with somebody."""
    from spillover.moderators.distances import check_connected, from_travel_times, measure_distances, read_distances
    from spillover.study.proximity import travel_times

    if section.kind == "straight":
        found = measure_distances(panel, section.reach_km)
    elif section.kind == "network":
        found = from_travel_times(travel_times(section, panel), "travel time over the network")
    else:
        assert section.file is not None
        start, end, value = section.columns or ("from", "to", None)
        found = read_distances(
            section.file,
            what=section.what or "distances of the file",
            unit=section.unit or "km",
            start=start,
            end=end,
            value=value,
            both_ways=section.both_ways,
        )
    absent = sorted(set(panel.regions) - set(found.regions))
    if absent:
        raise AlignmentError(
            f"{count_of(len(absent), 'region has', 'regions have')} no distances",
            got=show_labels(absent),
            expected="ids such as " + show_labels(found.regions),
            causes=(
                *near_misses(absent, sorted(set(found.regions) - set(panel.regions)), "in the distances"),
                "ids read as numbers lost their leading zeros",
                "a table of a part of the regions",
            ),
            fix="leave these regions out of the distances (exclude = […]), or give a table of all regions",
        )
    found = found.subset(panel.regions)
    check_connected(found)
    return found
