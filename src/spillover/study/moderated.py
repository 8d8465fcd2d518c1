"""The moderators of a study without the rest of it, and as text for a screen."""

from __future__ import annotations

from spillover.errors import StudyFileError
from spillover.study.load import StudyFile
from spillover.study.moderators import find_moderators
from spillover.study.phrasing import in_words_of
from spillover.study.result import Moderators
from spillover.typing import Progress, no_progress


def moderate_study(study: StudyFile, *, seed: int | None = None, progress: Progress = no_progress) -> Moderators:
    """What moderates the effect of a study; its models, channels and audit are left out.

    Parameters
    ----------
    study : a loaded study file with [moderators].   seed : in place of that in the file.

    Raises
    ------
    StudyFileError : no such section. Any SpilloverError of the data or the models.
    """
    from spillover.study.run import prepare

    if study.config.moderators is None:
        raise StudyFileError(
            f"{study.path.name} has no section [moderators]",
            fix="name what may strengthen or weaken the effect: [[moderators.interactions]] with name and moderator",
        )
    with in_words_of("study file"):
        prepared = prepare(study.config, lambda text, share: progress(text, share / 2))
        chosen = study.config.study.seed if seed is None else seed
        found = find_moderators(study.config, prepared.panel, prepared.weights, chosen, progress)
    assert found is not None
    progress("done", 1.0)
    return found


def moderators_as_text(found: Moderators) -> str:
    """All sentences of the section."""
    parts: list[tuple[str, tuple[str, ...]]] = [(f"By {each.name}", each.sentences) for each in found.interactions]
    if found.environment is not None:
        index = found.environment.index
        parts.append((f"The environment: {index.name}", (*index.sentences, *found.environment.sentences)))
        parts += [(f"Beside the other parts: {each.name}", each.sentences) for each in found.environment.parts]
    parts += [(f"A threshold in {each.name}?", each.sentences) for each in found.thresholds]
    parts += [(f"Strength of the feedback by {each.name}", each.sentences) for each in found.strengths]
    parts.append(("What it rests on", found.limits))
    head = f"{found.treatment} on {found.outcome}, {found.model}: {found.n_regions} regions × {found.n_periods} periods"
    return "\n".join([head, *(line for title, lines in parts for line in ("", title, *(f"  {x}" for x in lines)))])
