"""What is wrong in [distance], as far as the file alone can tell."""

from __future__ import annotations

from itertools import pairwise

from spillover.errors import SpilloverError, did_you_mean, show_labels
from spillover.models.formula import Formula, parse_formula
from spillover.study.columns import find_term, formula_variables
from spillover.study.config import DistanceSection, ModelSection
from spillover.study.problems import Sections, above_zero

WHERE = "[distance]"
_KEYS = {
    "file": ("file", "columns", "both_ways", "unit", "what"),
    "network": ("edges", "nodes", "connectors", "access_kmh", "transfer_minutes", "cutoff_minutes"),
    "straight": ("reach_km",),
}
"""Which kind of distance each key belongs to."""


def distance_problems(sections: Sections) -> list[str]:
    """One sentence for each contradiction."""
    section = sections.distance
    if section is None:
        return []
    problems = [
        f'{WHERE} {key} is for kind = "{kind}", not for kind = "{section.kind}"'
        for kind, keys in _KEYS.items()
        for key in keys
        if kind != section.kind and key in section.model_fields_set
    ]
    problems += _what_is_missing(section, sections)
    problems += _numbers(section)
    if section.lagged and section.model == "sar":
        problems.append(f'{WHERE} lagged is for models with W x (slx, sdm), not "sar"')
    if section.kernels is not None and (len(section.kernels) == 1 or len(set(section.kernels)) < len(section.kernels)):
        problems.append(f"{WHERE} kernels names two or more different laws, or none: []")
    if sections.models:
        problems += _terms(section, main_of(sections.models))
    return problems


def distance_variables(sections: Sections) -> tuple[str, ...]:
    """The variables of a formula of its own; none where it cannot be read, which is told already."""
    if sections.distance is None or sections.distance.formula is None:
        return ()
    try:
        return formula_variables(parse_formula(sections.distance.formula))
    except SpilloverError:
        return ()


def main_of(models: tuple[ModelSection, ...]) -> ModelSection:
    """The model that is marked as main, else the first."""
    return next((model for model in models if model.main), models[0])


def _what_is_missing(section: DistanceSection, sections: Sections) -> list[str]:
    problems = []
    has_map = sections.data is None or sections.data.geometry is not None
    if section.kind == "straight" and not has_map:
        problems.append(
            f'{WHERE} kind = "straight" measures distances on a map, but [data] has no geometry; '
            'write kind = "file" with file = "…"'
        )
    if section.kind == "file" and section.file is None:
        problems.append(f'{WHERE} kind = "file" needs file, a table of distances')
    if section.kind == "network" and section.edges is None:
        problems.append(
            f'{WHERE} kind = "network" needs edges, a table with columns from, to and minutes '
            "(or length_km and speed_kmh)"
        )
    if section.kind == "network" and section.connectors is None:
        lacking = [] if has_map else ["a map in [data] geometry"]
        lacking += ["nodes (node, lon, lat)"] if section.nodes is None else []
        if lacking:
            problems.append(
                f"{WHERE} says nowhere how regions reach the network: give connectors (region, node, minutes), or "
                f"{' and '.join(lacking)}"
            )
    if section.columns and len(section.columns) != 3:
        problems.append(f"{WHERE} columns names three columns: from, to and the distance")
    if section.covariance is not None and section.covariance != "conley" and section.cutoff is not None:
        problems.append(f'{WHERE} cutoff is for covariance = "conley", not for "{section.covariance}"')
    main = main_of(sections.models) if sections.models else None
    if section.model != "slx" and main is not None and (main.groups is not None or main.segments):
        problems.append(
            f'{WHERE} model = "{section.model}" takes no groups and no segments, which the main model has; '
            'write model = "slx"'
        )
    return problems


def _numbers(section: DistanceSection) -> list[str]:
    problems: list[str] = []
    positive = {
        "reach_km": section.reach_km, "minimum": section.minimum, "cutoff": section.cutoff,
        "access_kmh": section.access_kmh, "cutoff_minutes": section.cutoff_minutes,
    }  # fmt: skip
    problems += above_zero(WHERE, positive)
    if section.transfer_minutes < 0:
        problems.append(f"{WHERE} transfer_minutes = {section.transfer_minutes}: expected zero or more")
    for key, values in (("rings", section.rings), ("thresholds", section.thresholds), ("search", section.search or ())):
        if values and (len(values) < 2 or values[0] < 0 or any(b <= a for a, b in pairwise(values))):
            problems.append(
                f"{WHERE} {key} = {list(values)}: expected two or more increasing distances of zero or more"
            )
    a = section.quasi_difference
    if isinstance(a, float) and not -1.0 < a < 1.0:
        problems.append(f'{WHERE} quasi_difference = {a}: expected a coefficient between −1 and 1, or "auto"')
    return problems


def _terms(section: DistanceSection, main: ModelSection) -> list[str]:
    try:
        formula: Formula = parse_formula(section.formula or main.formula)
        formula_variables(formula)
    except SpilloverError as error:
        said = "; ".join(" ".join(part.split()) for part in str(error).splitlines() if part.strip())
        return [f"{WHERE} formula: {said}"] if section.formula is not None else []
    problems = []
    named = [("lagged", term) for term in section.lagged]
    named += [("treatment", section.treatment)] if section.treatment is not None else []
    for key, term in named:
        if find_term(term, formula.names) is None:
            hint = did_you_mean(term, formula.names) or f"known: {show_labels(formula.names, 12)}"
            problems.append(f"{WHERE} {key}: {term!r} is not in the terms of its formula. {hint}")
    return problems
