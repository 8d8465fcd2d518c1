"""What is wrong with the form of a study file, in words: pydantic's findings with section, key and suggestion."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from spillover.errors import StudyFileError, did_you_mean, show_labels
from spillover.study.config import (
    AgglomerationSection,
    AuditSection,
    DataSection,
    DerivedVariable,
    DistanceSection,
    InnovationSection,
    MechanismsSection,
    ModelSection,
    ModeratorsSection,
    StudyConfig,
    StudySection,
    WeightsSection,
)

_SINGLE: dict[str, type[BaseModel]] = {
    "study": StudySection,
    "data": DataSection,
    "agglomeration": AgglomerationSection,
    "innovation": InnovationSection,
}
_OPTIONAL: dict[str, type[BaseModel]] = {
    "distance": DistanceSection,
    "mechanisms": MechanismsSection,
    "moderators": ModeratorsSection,
}
_REPEATED: dict[str, type[BaseModel]] = {
    "derive": DerivedVariable,
    "weights": WeightsSection,
    "models": ModelSection,
}
_WORDS = {
    "string_type": "text in quotes",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "string_pattern_mismatch": "a text that is not blank",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list in square brackets",
    "dict_type": "a table of key = value",
    "model_type": "a section of key = value",
    "model_attributes_type": "a section of key = value",
}


@dataclass(frozen=True)
class Sections:
    """The sections of a study file that can be understood; what cannot is left out and named in the problems."""

    study: StudySection | None = None
    data: DataSection | None = None
    agglomeration: AgglomerationSection | None = None
    innovation: InnovationSection | None = None
    derive: tuple[DerivedVariable, ...] = ()
    weights: tuple[WeightsSection, ...] = ()
    models: tuple[ModelSection, ...] = ()
    distance: DistanceSection | None = None
    mechanisms: MechanismsSection | None = None
    moderators: ModeratorsSection | None = None
    audit: AuditSection = field(default_factory=AuditSection)
    left_out: frozenset[str] = field(default_factory=frozenset)


def study_file_error(path: object, problems: Sequence[str]) -> StudyFileError:
    """One error that lists every problem.

    >>> print(study_file_error("study.toml", ["[data] needs 'table'"]))
    study.toml has 1 mistake
      1. [data] needs 'table'
    """
    count = f"{len(problems)} mistake{'s' if len(problems) != 1 else ''}"
    lines = [f"  {i}. {problem}" for i, problem in enumerate(problems, start=1)]
    return StudyFileError("\n".join([f"{path} has {count}", *lines]))


def read_sections(raw: Mapping[str, Any]) -> tuple[Sections, list[str]]:
    """Validate every section by itself, so that one mistake does not hide the others.

    Returns
    -------
    The sections that can be understood, and one sentence per mistake.
    """
    problems: list[str] = []
    known = [*_SINGLE, *_OPTIONAL, *_REPEATED, "audit"]
    for key in raw:
        if key not in known:
            problems.append(_join(f"unknown section [{key}]", did_you_mean(key, known) or f"known: {', '.join(known)}"))
    parts: dict[str, Any] = {}
    left_out: set[str] = set()
    for name, model in _SINGLE.items():
        if name not in raw:
            problems.append(f"the section [{name}] is missing; it needs {_required_keys(model)}")
            continue
        parts[name] = _read_section(model, raw[name], f"[{name}]", problems)
    for name, model in _OPTIONAL.items():
        if name in raw:
            before = len(problems)
            parts[name] = _read_section(model, raw[name], f"[{name}]", problems)
            left_out |= {name} if len(problems) > before else set()
    for name, model in _REPEATED.items():
        parts[name], complete = _read_repeated(model, raw, name, problems)
        if not complete:
            left_out.add(name)
    audit = raw.get("audit", True)
    audit = {"enabled": audit} if isinstance(audit, bool) else audit
    if not isinstance(audit, Mapping):
        problems.append(f"audit = {_toml(audit)}: expected true, false, or a section [audit]")
        audit = {}
    parts["audit"] = _read_section(AuditSection, audit, "[audit]", problems) or AuditSection()
    return Sections(**parts, left_out=frozenset(left_out)), problems


def assemble(sections: Sections) -> StudyConfig:
    """The whole study file from complete sections."""
    return StudyConfig(
        **{name: getattr(sections, name) for name in (*_SINGLE, *_OPTIONAL, *_REPEATED, "audit")},
    )


def where_of(kind: str, index: int, item: BaseModel | Mapping[str, Any]) -> str:
    """How a repeated section is named in a message: [[weights]] number 2 ('queen')."""
    name = item.get("name") if isinstance(item, Mapping) else getattr(item, "name", None)
    return f"[[{kind}]] number {index + 1}" + (f" ({name!r})" if isinstance(name, str) else "")


def _read_repeated(
    model: type[BaseModel], raw: Mapping[str, Any], name: str, problems: list[str]
) -> tuple[tuple[BaseModel, ...], bool]:
    items = raw.get(name, [])
    if isinstance(items, Mapping):
        problems.append(f"[{name}] is written once for each entry, with double brackets: [[{name}]]")
        return (), False
    if not isinstance(items, list):
        problems.append(f"{name} must be sections [[{name}]], got {items!r}")
        return (), False
    if not items and name in ("weights", "models"):
        problems.append(f"there is no [[{name}]] section; at least one is needed with {_required_keys(model)}")
        return (), False
    read = [_read_section(model, item, where_of(name, i, item), problems) for i, item in enumerate(items)]
    return tuple(item for item in read if item is not None), all(item is not None for item in read)


def _read_section(model: type[BaseModel], raw: Any, where: str, problems: list[str]) -> Any:
    if not isinstance(raw, Mapping):
        problems.append(f"{where} must be a section of key = value, got {raw!r}")
        return None
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        for finding in error.errors():
            problems.append(_sentence(model, finding, where))
        # What remains without the wrong keys is still checked against the rest of the file.
        wrong = {finding["loc"][0] for finding in error.errors() if finding["loc"]}
        try:
            return model.model_validate({key: value for key, value in raw.items() if key not in wrong})
        except ValidationError:
            return None


def _sentence(model: type[BaseModel], finding: Any, where: str) -> str:
    location = tuple(finding["loc"])
    key = ".".join(f"{part + 1}" if isinstance(part, int) else str(part) for part in location)
    kind, got = finding["type"], finding.get("input")
    if kind == "missing":
        return f"{where} needs {key!r}"
    if kind == "extra_forbidden":
        owner = _model_at(model, location[:-1])
        hint = did_you_mean(str(location[-1]), owner.model_fields) or "known: " + ", ".join(owner.model_fields)
        return _join(f"{where} has the unknown key {key!r}", hint)
    if kind == "literal_error":
        options = [option.strip(" '\"") for option in finding["ctx"]["expected"].replace(" or ", ", ").split(",")]
        hint = did_you_mean(str(got), options)
        return _join(f"{where} {key} = {_toml(got)}: expected one of {show_labels(options, 12)}", hint)
    if kind == "greater_than_equal":
        return f"{where} {key} = {_toml(got)}: expected {finding['ctx']['ge'] or 'zero'} or more"
    if kind == "less_than_equal":
        return f"{where} {key} = {_toml(got)}: expected {finding['ctx']['le']} or less"
    expected = _WORDS.get(kind, finding["msg"][:1].lower() + finding["msg"][1:])
    return f"{where} {key} = {_toml(got)}: expected {expected}"


def _model_at(model: type[BaseModel], location: tuple[Any, ...]) -> type[BaseModel]:
    """The section class that a location inside `model` points into."""
    for part in location:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation
        candidates = [annotation, *get_args(annotation)] if get_origin(annotation) else [annotation]
        model = next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), model)
    return model


def _required_keys(model: type[BaseModel]) -> str:
    keys = [name for name, info in model.model_fields.items() if info.is_required()]
    return ", ".join(repr(key) for key in keys) or "no key, but must be there"


def _toml(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _join(*sentences: str) -> str:
    return ". ".join(sentence for sentence in sentences if sentence)


def above_zero(where: str, values: Mapping[str, float | None]) -> list[str]:
    """One sentence for each value that is there and not above zero."""
    return [
        f"{where} {key} = {value}: expected a number above zero"
        for key, value in values.items()
        if value is not None and not value > 0
    ]
