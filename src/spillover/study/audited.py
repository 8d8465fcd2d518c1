"""The audit of a study's main model, as a part of its result."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from spillover.audit.audit import audit_fit, known_options
from spillover.audit.result import Audit
from spillover.audit.rules import read_rules
from spillover.errors import SpilloverError, show_labels
from spillover.models.result import SpatialFit
from spillover.study.config import AuditSection
from spillover.study.consistency import one_line
from spillover.study.estimate import fit_model, named, treatment_of
from spillover.study.load import StudyFile
from spillover.study.phrasing import in_words_of
from spillover.typing import Progress, no_progress
from spillover.weights.weights import SpatialWeights


def audit_main(
    section: AuditSection,
    fit: SpatialFit,
    treatment: str,
    own: str,
    weights: Mapping[str, SpatialWeights],
    *,
    seed: int,
    progress: Progress,
) -> dict[str, Any] | None:
    """What the audit found, as plain values; None where the study leaves it out.

    Parameters
    ----------
    section : the study's settings.
    fit : its main model.   treatment : the term that the study is about.
    own, weights : the name of the main model's W, and all W of the study by name.

    A model that cannot be audited does not stop the study: the value then holds only "not_done", the reason.
    """
    if not section.enabled:
        return None
    beside, elsewhere = _beside(section, fit, own, weights)
    try:
        audit = audit_fit(
            fit,
            treatment,
            weights=beside,
            seed=seed,
            progress=progress,
            **_options(section),
        )
    except SpilloverError as error:
        return {"not_done": one_line(error)}
    return {**audit.to_dict(), "elsewhere": elsewhere}


def audit_study(
    study: StudyFile,
    *,
    seed: int | None = None,
    draws: int | None = None,
    parts: Sequence[str] | None = None,
    rules: str | os.PathLike[str] | None = None,
    progress: Progress = no_progress,
) -> Audit:
    """The audit of a study's main model; its other models are not fitted.

    Parameters
    ----------
    study : a loaded study file.
    seed, draws, rules : in place of those in the file.   parts : names of parts; all by default.

    Raises
    ------
    Any SpilloverError of the data, the model or the audit.
    """
    from spillover.study.run import main_model, prepare

    config = study.config
    changes = {"draws": draws, "rules": None if rules is None else os.fspath(rules)}
    section = config.audit.model_copy(update={key: value for key, value in changes.items() if value is not None})
    with in_words_of("study file"):
        read_rules(section.rules)
        prepared = prepare(config, lambda text, share: progress(text, share / 2))
        model = main_model(config.models)
        own = model.weights or next(iter(prepared.weights))
        progress(f"model: {model.name}", 0.2)
        try:
            fit = fit_model(model, prepared.panel, prepared.weights[own], prepared.weights)
        except SpilloverError as error:
            raise named(error, model) from None
        beside, _ = _beside(section, fit, own, prepared.weights)
        found = audit_fit(
            fit,
            treatment_of(model, fit),
            parts=parts or None,
            weights=beside,
            seed=config.study.seed if seed is None else seed,
            progress=lambda text, share: progress(text, 0.25 + 0.75 * share),
            **_options(section, parts or None),
        )
    progress("done", 1.0)
    return found


def _options(section: AuditSection, parts: Sequence[str] | None = None) -> dict[str, Any]:
    """What the file says to these parts; what it does not say keeps its default."""
    asked = {
        "groups": section.groups,
        "draws": section.draws,
        "rules": section.rules,
        "measures": section.measures or None,
        "channels": section.channels or None,
        "counts": section.counts,
        "relevant_own": section.relevant_own,
        "relevant_spillover": section.relevant_spillover,
    }
    known = {"groups", "draws", "rules", *known_options(parts)}
    return {key: value for key, value in asked.items() if value is not None and key in known}


def _beside(
    section: AuditSection, fit: SpatialFit, own: str, weights: Mapping[str, SpatialWeights]
) -> tuple[dict[str, SpatialWeights], str]:
    """The other W's of the same regions, and a sentence about the rest: on other regions estimates differ by sample."""
    if fit.weights is None:
        return {}, ""
    names = [name for name in (section.weights or weights) if name != own]
    regions = set(fit.panel.regions)
    beside = {name: weights[name] for name in names if set(weights[name].regions) == regions}
    others = [name for name in names if name not in beside]
    if not others:
        return beside, ""
    return beside, f"Not set side by side, because they have other regions: {show_labels(others, 12)}."
