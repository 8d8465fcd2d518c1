"""What is wrong between the sections of a study file: names that nobody defined, settings that miss their partner."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from spillover.audit.rules import read_rules
from spillover.errors import SpilloverError, did_you_mean, show_labels
from spillover.models.formula import Formula, parse_formula
from spillover.models.spec import DURBIN_MODELS
from spillover.study.columns import (
    agglomeration_columns,
    equation_lags,
    find_term,
    formula_variables,
    mechanism_variables,
    moderator_variables,
)
from spillover.study.config import (
    AgglomerationSection,
    DataSection,
    InnovationSection,
    ModelSection,
    WeightsSection,
)
from spillover.study.distance_problems import distance_problems, distance_variables
from spillover.study.paths import missing_file
from spillover.study.problems import Sections, above_zero, where_of
from spillover.study.proximity import MAPLESS, NEEDS

_NEEDS = {
    "knn": (("k", "the number of neighbours"),),
    "distance-band": (("threshold_km", "the largest distance in km"),),
    "exponential": (("decay_per_km", "the decay per km"),),
    "file": (("file", "the path of the weights"),),
    "distance-file": (("file", "the path of a table of distances"),),
    **NEEDS,
}
_MAPLESS = ("file", "distance-file", *MAPLESS)
_IN_SPACE = ("slx", "sar", "sdm", "sem", "sdem", "sac", "gns")


def inconsistencies(sections: Sections, columns: Sequence[str] | None) -> list[str]:
    """One sentence for each contradiction.

    Parameters
    ----------
    sections : what could be read of the study file.
    columns : the columns of the table, or None when the table cannot be opened (names are then not checked).
    """
    problems: list[str] = []
    if sections.data and columns is not None:
        problems += _key_columns(sections.data, columns)
    if sections.agglomeration:
        problems += _agglomeration(sections.agglomeration, sections.data)
    if sections.innovation:
        problems += _innovation(sections.innovation)
    problems += _weights(sections.weights, sections.data)
    problems += _repeated("[[derive]] name", [item.name for item in sections.derive])
    problems += _models(sections)
    problems += distance_problems(sections)
    problems += _mechanisms(sections)
    problems += _moderators(sections)
    problems += _audit(sections)
    if columns is not None:
        problems += _unknown_names(sections, columns)
    return problems


def known_after_measures(sections: Sections, columns: Iterable[str]) -> list[str]:
    """Names that a formula may use: table columns, derived variables and the two measures."""
    known = [*columns, *(item.name for item in sections.derive)]
    if sections.agglomeration:
        known.append(sections.agglomeration.name)
    if sections.innovation and sections.innovation.indicators:
        known.append(sections.innovation.index)
    return list(dict.fromkeys(known))


def _key_columns(data: DataSection, columns: Sequence[str]) -> list[str]:
    keys = {"region": data.region, "period": data.period}
    if data.geometry is None:  # display names may also be on the map
        keys["name"] = data.name
    named = [(key, column) for key, column in keys.items() if column is not None]
    named += [(key, column) for key in ("groups", "units", "labels") for column in getattr(data, key)]
    return [_unknown(f"[data] {key}", column, columns, "the table") for key, column in named if column not in columns]


def _agglomeration(section: AgglomerationSection, data: DataSection | None) -> list[str]:
    where = "[agglomeration]"
    if section.measure == "column":
        return [] if section.column else [f'{where} measure = "column" needs column']
    problems = []
    if section.table is not None:
        missing = [key for key in ("industry", "value") if getattr(section, key) is None]
        if missing:
            problems.append(f"{where} a table by industry needs {show_labels(missing)} (columns of that table)")
        if not section.high_tech:
            problems.append(f"{where} a table by industry needs high_tech, the list of high-tech industries")
    else:
        needed = ("sector", "total") if section.measure == "location-quotient" else ("sector",)
        missing = [key for key in needed if getattr(section, key) is None]
        if missing:
            problems.append(
                f'{where} measure = "{section.measure}" needs {show_labels(missing)} '
                "(columns), or table, industry, value and high_tech (a table by industry)"
            )
    if section.measure == "density" and section.area is None and not (data and data.geometry):
        problems.append(f'{where} measure = "density" needs area (a column in km²), or a map in [data] geometry')
    return problems


def _innovation(section: InnovationSection) -> list[str]:
    if section.column is None and not section.indicators:
        return ["[innovation] needs column, or [[innovation.indicators]] for an index, or both"]
    problems = _repeated("[[innovation.indicators]] column", [indicator.column for indicator in section.indicators])
    if len(section.indicators) == 1:
        problems.append("[innovation] an index needs at least two [[innovation.indicators]]")
    return problems


def _weights(items: Sequence[WeightsSection], data: DataSection | None) -> list[str]:
    problems = _repeated("[[weights]] name", [item.name for item in items])
    for i, item in enumerate(items):
        where = where_of("weights", i, item)
        problems += [
            f'{where} kind = "{item.kind}" needs {key}, {meaning}'
            for key, meaning in _NEEDS.get(item.kind, ())
            if getattr(item, key) in (None, ())
        ]
        has_connectors = item.kind == "travel-time" and item.connectors is not None
        if item.kind not in _MAPLESS and not has_connectors and data is not None and data.geometry is None:
            problems.append(f'{where} kind = "{item.kind}" is built from a map, but [data] has no geometry')
        problems += _proximity(where, item, data)
        if item.both_ways and item.kind not in ("file", "distance-file"):
            problems.append(f'{where} both_ways is for an edge list; kind = "{item.kind}" reads none')
        if item.edge_columns and len(item.edge_columns) not in (2, 3):
            problems.append(f"{where} edge_columns names two or three columns: receiver, sender and perhaps weight")
        if item.within is not None and data is not None and item.within not in data.groups:
            problems.append(_unknown(f"{where} within", item.within, data.groups, "[data] groups"))
        positive = {"k": item.k, "threshold_km": item.threshold_km, "power": item.power, "decay": item.decay_per_km}
        problems += above_zero(where, positive)
    return problems


def _proximity(where: str, item: WeightsSection, data: DataSection | None) -> list[str]:
    """Contradictions of the kinds that need more than a map."""
    problems = []
    if item.steps is not None and item.kind not in ("queen", "rook", "knn"):
        problems.append(f'{where} steps are over borders or nearest neighbours, not for kind = "{item.kind}"')
    if item.columns and len(item.columns) != 3:
        problems.append(f"{where} columns names three columns: region, class, value")
    if item.io_rows and len(item.io_rows) != 2:
        problems.append(f'{where} io_rows is a column and a text, such as ["Origin", "Domestic"]')
    if item.group is not None and data is not None and item.group not in data.groups:
        problems.append(_unknown(f"{where} group", item.group, data.groups, "[data] groups"))
    positive = {
        "steps": item.steps, "bandwidth_km": item.bandwidth_km, "decay_per_minute": item.decay_per_minute,
        "cutoff_minutes": item.cutoff_minutes, "access_kmh": item.access_kmh,
    }  # fmt: skip
    problems += above_zero(where, positive)
    if item.transfer_minutes < 0:
        problems.append(f"{where} transfer_minutes = {item.transfer_minutes}: expected zero or more")
    return problems


def _models(sections: Sections) -> list[str]:
    models = sections.models
    problems = _repeated("[[models]] name", [model.name for model in models])
    main = [model.name for model in models if model.main]
    if len(main) > 1:
        problems.append(f"[[models]] only one model can have main = true, got {show_labels(main)}")
    names = [item.name for item in sections.weights]
    for i, model in enumerate(models):
        where = where_of("models", i, model)
        for key in ("weights", "weights_x", "weights_error"):
            asked = getattr(model, key)
            if asked is not None and asked not in names and "weights" not in sections.left_out:
                problems.append(_unknown(f"{where} {key}", asked, names, "[[weights]]"))
        if model.covariance == "conley" and model.cutoff_km is None:
            problems.append(
                f'{where} covariance = "conley" needs cutoff_km, the distance beyond which errors are unrelated'
            )
        if model.groups is not None and sections.data is not None and model.groups not in sections.data.groups:
            problems.append(_unknown(f"{where} groups", model.groups, sections.data.groups, "[data] groups"))
        if model.segments and model.effects not in ("individual", "two-way"):
            problems.append(f'{where} segments are for region effects, and effects = "{model.effects}" has none')
        if model.covariance == "cluster-group" and model.groups is None:
            problems.append(f'{where} covariance = "cluster-group" needs groups, one of [data] groups')
        formula, mistake = _formula(model, where)
        problems += mistake
        if formula is not None:
            problems += _terms(model, formula, where)
        crossed = model.effects == "time" and model.groups is not None  # group effects of a cross-section
        if sections.data is not None and sections.data.period is None and model.effects != "none" and not crossed:
            problems.append(
                f'{where} effects = "{model.effects}" needs periods, but [data] names no period column; '
                'write effects = "none" for a cross-section'
            )
    return problems


def _audit(sections: Sections) -> list[str]:
    audit, problems = sections.audit, []
    if audit.groups is not None and sections.data is not None and audit.groups not in sections.data.groups:
        problems.append(_unknown("[audit] groups", audit.groups, sections.data.groups, "[data] groups"))
    names = [item.name for item in sections.weights]
    if "weights" not in sections.left_out:
        problems += [
            _unknown("[audit] weights", name, names, "[[weights]]") for name in audit.weights or () if name not in names
        ]
    for key in ("relevant_own", "relevant_spillover"):
        value = getattr(audit, key)
        if value is not None and not value > 0:
            problems.append(f"[audit] {key} = {value}: expected a number above zero")
    if audit.rules is not None and not missing_file(Path(audit.rules)):
        try:
            read_rules(audit.rules)
        except SpilloverError as error:
            problems.append(f"[audit] rules: {one_line(error)}")
    return problems


def _mechanisms(sections: Sections) -> list[str]:
    section = sections.mechanisms
    if section is None:
        return []
    where = "[mechanisms]"
    problems = _repeated("[[mechanisms.channels]] name", [channel.name for channel in section.channels])
    if not section.channels:
        problems.append(f"{where} needs at least one [[mechanisms.channels]]")
    names = [item.name for item in sections.weights]
    asked = [(where, section.weights), *((f"{where} {c.name!r}", c.weights) for c in section.channels)]
    for place, name in asked:
        if name is not None and name not in names and "weights" not in sections.left_out:
            problems.append(_unknown(f"{place} weights", name, names, "[[weights]]"))
    if section.covariance == "conley" and section.cutoff_km is None:
        problems.append(f'{where} covariance = "conley" needs cutoff_km')
    try:
        mechanism_variables(section)
        written = [("outcome", section.outcome or ""), *((repr(c.name), c.mediator) for c in section.channels)]
        lags = [(f"{where} {place}", name) for place, text in written for name in equation_lags(text)]
    except SpilloverError as error:
        return [*problems, f"{where}: {one_line(error)}"]
    if "weights" not in sections.left_out:
        known = {*names, "W", *(channel.name for channel in section.channels)}
        problems += [_unknown(place, name, names, "[[weights]]") for place, name in lags if name not in known]
    return problems


def _moderators(sections: Sections) -> list[str]:
    section = sections.moderators
    if section is None:
        return []
    where = "[moderators]"
    named = {
        "interactions": [item.name for item in section.interactions],
        "thresholds": [item.name for item in section.thresholds],
        "strengths": [item.name for item in section.strengths],
    }
    problems = []
    for key, found in named.items():
        problems += _repeated(f"[[moderators.{key}]] name", found)
    if not any(named.values()) and section.environment is None and "moderators" not in sections.left_out:
        problems.append(
            f"{where} needs [[moderators.interactions]], [moderators.environment], [[moderators.thresholds]] or "
            "[[moderators.strengths]]"
        )
    asked = [(f"{where} weights", section.weights)]
    for item in section.interactions:
        place = f"[[moderators.interactions]] {item.name!r}"
        if (item.moderator is None) == (item.linkage is None):
            problems.append(f"{place} needs moderator (a variable) or linkage (one of [[weights]]), one of the two")
        asked.append((f"{place} linkage", item.linkage))
    if section.environment is not None and len(section.environment.parts) < 2:
        problems.append("[moderators.environment] parts needs two or more, such as policy, infrastructure and culture")
    names = [item.name for item in sections.weights]
    if "weights" not in sections.left_out:
        problems += [_unknown(place, w, names, "[[weights]]") for place, w in asked if w is not None and w not in names]
    if section.covariance == "conley" and section.cutoff_km is None:
        problems.append(f'{where} covariance = "conley" needs cutoff_km')
    for threshold in section.thresholds:
        if not 0.01 <= threshold.trim <= 0.40:
            place = f"[[moderators.thresholds]] {threshold.name!r}"
            problems.append(f"{place} trim = {threshold.trim}: expected a share from 0.01 to 0.4")
    try:
        moderator_variables(section)
    except SpilloverError as error:
        problems.append(f"{where}: {one_line(error)}")
    return problems


def _terms(model: ModelSection, formula: Formula, where: str) -> list[str]:
    problems = []
    if model.treatment is not None and find_term(model.treatment, formula.names) is None:
        problems.append(_unknown(f"{where} treatment", model.treatment, formula.names, "the terms of its formula"))
    for term in model.lagged or ():
        if find_term(term, formula.names) is None:
            problems.append(_unknown(f"{where} lagged", term, formula.names, "the terms of its formula"))
    if model.lagged and model.model not in DURBIN_MODELS:
        problems.append(f'{where} lagged is for models with W x ({", ".join(DURBIN_MODELS)}), not "{model.model}"')
    return problems


def _formula(model: ModelSection, where: str) -> tuple[Formula | None, list[str]]:
    try:
        formula = parse_formula(model.formula)
        formula_variables(formula)
        return formula, []
    except SpilloverError as error:
        return None, [f"{where} formula: {one_line(error)}"]


def _unknown_names(sections: Sections, columns: Sequence[str]) -> list[str]:
    """Variables that are used but neither in the table nor made by the study."""
    from spillover.panel.expressions import names_in

    problems = []
    known = list(columns)
    for i, item in enumerate(sections.derive):
        where = where_of("derive", i, item)
        try:
            used = names_in(item.expression)
        except SpilloverError as error:
            problems.append(f"{where} expression: {one_line(error)}")
            used = ()
        problems += [_unknown(f"{where} expression", name, known) for name in sorted(used) if name not in known]
        if item.name in columns:
            problems.append(f"{where} name = {item.name!r} is already a column of the table; choose another name")
        known.append(item.name)
    for where, name in _named_variables(sections):
        if name not in known:
            problems.append(_unknown(where, name, known))
    problems += _covered_names(sections, known)
    everything = known_after_measures(sections, known)
    named = [("channels", name) for name in sections.audit.channels]
    for term in sections.audit.measures:
        try:
            variables = formula_variables(parse_formula(f"outcome ~ {term}"))
        except SpilloverError as error:
            problems.append(f"[audit] measures {term!r}: {one_line(error)}")
            continue
        named += [("measures", name) for name in variables if name != "outcome"]
    named += [("counts", sections.audit.counts)] if sections.audit.counts else []
    problems += [_unknown(f"[audit] {key}", name, everything) for key, name in named if name not in everything]
    for i, model in enumerate(sections.models):
        where = where_of("models", i, model)
        formula, _ = _formula(model, where)
        for name in formula_variables(formula) if formula else ():
            if name not in everything:
                problems.append(_unknown(f"{where} formula", name, everything))
    used = distance_variables(sections)
    problems += [_unknown("[distance] formula", name, everything) for name in used if name not in everything]
    problems += _unknown_mediators(sections, everything)
    problems += _unknown_moderators(sections, everything)
    return problems


def _unknown_mediators(sections: Sections, known: Sequence[str]) -> list[str]:
    if sections.mechanisms is None:
        return []
    try:
        used = mechanism_variables(sections.mechanisms)
    except SpilloverError:
        return []  # told already
    return [_unknown("[mechanisms]", name, known) for name in used if name not in known]


def _unknown_moderators(sections: Sections, known: Sequence[str]) -> list[str]:
    if sections.moderators is None:
        return []
    try:
        used = moderator_variables(sections.moderators)
    except SpilloverError:
        return []  # told already
    return [_unknown("[moderators]", name, known) for name in used if name not in known]


def _covered_names(sections: Sections, known: Sequence[str]) -> list[str]:
    """Names of measures that would hide a column or derived variable, so that a formula means another one."""
    made: list[tuple[str, str]] = []
    agglomeration, innovation = sections.agglomeration, sections.innovation
    if agglomeration and not (agglomeration.measure == "column" and agglomeration.column == agglomeration.name):
        made.append(("[agglomeration] name", agglomeration.name))
    if innovation and innovation.indicators:
        made.append(("[innovation] index", innovation.index))
    problems = [
        f"{where} = {name!r} is already a column of the table or a derived variable; choose another name"
        for where, name in made
        if name in known
    ]
    if agglomeration and innovation and innovation.indicators and agglomeration.name == innovation.index:
        problems.append(f"[agglomeration] name and [innovation] index are both {innovation.index!r}; choose two names")
    return problems


def _named_variables(sections: Sections) -> list[tuple[str, str]]:
    named: list[tuple[str, str]] = []
    if sections.agglomeration:
        columns = agglomeration_columns(sections.agglomeration)
        named += [(f"[agglomeration] {key}", column) for key, column in columns]
    if sections.innovation:
        if sections.innovation.column:
            named.append(("[innovation] column", sections.innovation.column))
        named += [("[[innovation.indicators]] column", item.column) for item in sections.innovation.indicators]
    for i, item in enumerate(sections.weights):
        if item.variable is not None:
            named.append((f"{where_of('weights', i, item)} variable", item.variable))
    return named


def _repeated(where: str, names: Iterable[str]) -> list[str]:
    counts = Counter(names)
    return [f"{where} {name!r} is used {count} times; names are unique" for name, count in counts.items() if count > 1]


def _unknown(where: str, name: str, known: Iterable[str], place: str = "the table or [[derive]]") -> str:
    names = list(known)
    around = [candidate for candidate in names if f"({name})" in candidate]  # lq for log(lq)
    hint = did_you_mean(around[0], around[:1]) if around else did_you_mean(name, names)
    hint = hint or f"known: {show_labels(names, 12) or 'none'}"
    return f"{where}: {name!r} is not in {place}. {hint}"


def one_line(error: SpilloverError) -> str:
    """An error on one line, to stand in a list."""
    parts = [part.strip() for part in str(error).splitlines()]
    return "; ".join(" ".join(part.split()) for part in parts if part)
