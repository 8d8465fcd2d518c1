"""A study from its file: STEPS 1 to 6 in order, into one `StudyResult`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spillover.errors import OptionError, SpilloverError
from spillover.models.result import SpatialFit
from spillover.panel.panel import Panel
from spillover.study.as_run import study_as_run
from spillover.study.audited import audit_main
from spillover.study.cautions import cautions_of
from spillover.study.config import AuditSection, DistanceSection, ModelSection, StudyConfig
from spillover.study.diagnose import diagnose
from spillover.study.distance import find_distance, with_distance
from spillover.study.estimate import describe_fit, describe_regions, fit_model, named
from spillover.study.folder import RESULTS, check_folder, replacing, write_texts
from spillover.study.load import StudyFile, load_study
from spillover.study.mechanisms import find_mechanisms
from spillover.study.moderators import find_moderators
from spillover.study.phrasing import in_words_of, phrase
from spillover.study.prepare import (
    build_weights,
    complete_panel,
    derive,
    main_first,
    measure,
    read_data,
    select_data,
    without_dropped,
)
from spillover.study.provenance import describe_provenance, hash_file, hash_weights
from spillover.study.result import (
    IndexSummary,
    Measure,
    ModelResult,
    PanelSummary,
    StudyResult,
    TruthRow,
    WeightsSummary,
)
from spillover.study.rows import plain, plain_rows
from spillover.typing import Effects, Progress, no_progress
from spillover.weights.weights import SpatialWeights


@dataclass(frozen=True)
class Prepared:
    """What the models of a study are fitted on."""

    panel: Panel
    measures: tuple[Measure, ...]
    index: IndexSummary | None
    weights: Mapping[str, SpatialWeights]


def run_study(
    study: StudyFile | StudyConfig | str | os.PathLike[str],
    *,
    out: str | os.PathLike[str] | None = None,
    progress: Progress = no_progress,
    seed: int | None = None,
) -> StudyResult:
    """Run a study: panel, measures, weights, diagnostics, models, effects, audit.

    Parameters
    ----------
    study : path of a study file, a loaded one, or a configuration whose paths are absolute or relative to the
        current folder.
    out : folder for results.json and study.toml; nothing is written by default. The report is written by
        `spillover.report.write_report`.
    progress : called with a text and the share done in [0, 1].
    seed : of everything random, in place of the seed in the file: a whole number of zero or more.

    Returns
    -------
    StudyResult; the same file, data and seed give the same numbers.

    Raises
    ------
    StudyFileError : mistakes in the file, all together. OutputError : `out` cannot be written (found first).
    OptionError : a seed that is none, or a study that is neither a path nor a configuration.
    Any other SpilloverError : from the step that met it, naming regions, columns or the model.
    """
    _require_seed(seed)
    if out is not None:
        check_folder(out)
    loaded = study if isinstance(study, StudyFile) else _load(study)
    if out is not None:
        check_folder(out, inputs=loaded.inputs())
    seed = loaded.config.study.seed if seed is None else seed
    with in_words_of("study file"):
        prepared = prepare(loaded.config, progress)
        hashes = {written: hash_file(path) for written, path in loaded.files().items()}
        result = compute(
            loaded.written,
            prepared,
            seed=seed,
            hashes=hashes,
            progress=progress,
            audit=loaded.config.audit,
            distance=loaded.config.distance,
        )
    if out is not None:
        text = study_as_run(loaded, check_folder(out), seed)
        with replacing(out, inputs=loaded.inputs()) as new:
            write_texts(new, {RESULTS: result.to_json(), "study.toml": text})
    return result


def _require_seed(seed: object) -> None:
    if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool) or seed < 0):
        raise OptionError("a seed is a whole number of zero or more", got=repr(seed)[:200])


def prepare(config: StudyConfig, progress: Progress = no_progress) -> Prepared:
    """STEPS 1 and 2: everything that can fail because of the data fails here or in the models."""
    progress("reading the data", 0.0)
    whole = read_data(config)
    panel = complete_panel(derive(select_data(whole, config.data), config), config)
    left_out = set(whole.regions) - set(panel.regions)
    weights: dict[str, SpatialWeights] = {}
    for number, item in enumerate(main_first(config)):
        progress(f"neighbours: {item.name}", 0.1)
        weights[item.name] = build_weights(item, panel, left_out)
        if number == 0:
            panel = without_dropped(panel, item, weights[item.name])
    ordered = {item.name: weights[item.name] for item in config.weights}
    progress("measuring agglomeration and innovation", 0.2)
    panel, measures, index = measure(panel, config)
    return Prepared(panel, measures, index, ordered)


def compute(
    config: StudyConfig,
    prepared: Prepared,
    *,
    seed: int,
    hashes: Mapping[str, str],
    kind: str = "study",
    progress: Progress = no_progress,
    truth: Sequence[TruthRow] = (),
    planar: bool = False,
    audit: AuditSection | None = None,
    distance: DistanceSection | None = None,
) -> StudyResult:
    """STEPS 3 to 6 on a prepared panel.

    planar : also where its map says that it has no coordinate system.
    audit, distance : their sections with absolute paths.
    """
    panel, weights = prepared.panel, prepared.weights
    planar = planar or (panel.geometry is not None and panel.geometry.crs is None)
    main = main_model(config.models)
    first = weights[main.weights or next(iter(weights))]
    diagnostics = diagnose(panel, prepared.measures, first, seed, lambda text, share: progress(text, 0.25 + share / 4))
    models, fit = _models(config, main, prepared, progress)
    treatment = next(model.treatment for model in models if model.name == main.name)
    mechanisms = find_mechanisms(config, panel, weights, progress)
    moderators = find_moderators(config, panel, weights, seed, progress)
    reach = find_distance(config if distance is None else with_distance(config, distance), panel, seed, progress)
    audited = audit_main(
        config.audit if audit is None else audit,
        fit,
        treatment,
        main.weights or next(iter(weights)),
        weights,
        seed=seed,
        progress=lambda text, share: progress(text, 0.75 + share / 4),
    )
    progress("done", 1.0)
    result = StudyResult(
        title=config.study.title,
        kind=kind,
        description=config.study.description,
        config=config.as_dict(),
        provenance=describe_provenance(seed, {**hashes, **_weights_hashes(weights)}),
        panel=summarise_panel(panel, planar),
        weights=tuple(
            # group × period effects have their own check in the fit
            summarise_weights(name, matrix, "individual" if main.groups else main.effects, len(panel.periods))
            for name, matrix in weights.items()
        ),
        measures=prepared.measures,
        index=prepared.index,
        diagnostics=diagnostics,
        models=models,
        main=main.name,
        regional=describe_regions(fit, treatment, panel),
        audit=audited,
        truth=tuple(truth),
        cautions=(),
        mechanisms=mechanisms,
        moderators=moderators,
        distance=reach,
    )
    return result.model_copy(update={"cautions": cautions_of(config, panel, result)})


def main_model(models: Sequence[ModelSection]) -> ModelSection:
    """The model that is marked as main, else the first."""
    return next((model for model in models if model.main), models[0])


def summarise_panel(panel: Panel, planar: bool = False) -> PanelSummary:
    """What was read, with its map."""
    geometry = None
    if panel.geometry is not None:
        from spillover.panel.geometry import to_geojson

        geometry = to_geojson(panel)
    return PanelSummary(
        regions=panel.regions,
        names=panel.names,
        periods=panel.periods,
        variables=plain_rows(panel.describe()),
        log=panel.log,
        geometry=geometry,
        planar=planar,
    )


def summarise_weights(name: str, weights: SpatialWeights, effects: Effects, periods: int) -> WeightsSummary:
    """One W with its facts, the interval of ρ, and what there is to worry about with the effects of the main model."""
    from spillover.weights.identification import examine_identification

    low, high = weights.bounds()
    facts = weights.describe()
    facts["concerns"] = list(examine_identification(weights, effects, periods).concerns)
    facts["notes"] = [phrase(note, "study file") for note in facts["notes"]]
    return WeightsSummary(name=name, facts=plain(facts), bounds=(float(low), float(high)))


def _models(
    config: StudyConfig, main: ModelSection, prepared: Prepared, progress: Progress
) -> tuple[tuple[ModelResult, ...], SpatialFit]:
    """Every model as a result, and the fit of the main one."""
    results, fits = [], {}
    for i, section in enumerate(config.models):
        progress(f"model: {section.name}", 0.5 + 0.25 * i / len(config.models))
        name = section.weights or next(iter(prepared.weights))
        try:
            fit = fit_model(section, prepared.panel, prepared.weights[name], prepared.weights)
        except SpilloverError as error:
            raise named(error, section) from None
        results.append(describe_fit(section, fit, name))
        fits[section.name] = fit
    return tuple(results), fits[main.name]


def _load(study: StudyConfig | str | os.PathLike[str]) -> StudyFile:
    if isinstance(study, StudyConfig):
        return StudyFile(path=Path.cwd() / "study.toml", text="", written=study, config=study)
    if not isinstance(study, str | os.PathLike):
        raise OptionError(
            "a study is given as the path of a study file, or as a StudyConfig",
            got=f"an object of type {type(study).__name__}",
        )
    return load_study(study)


def _weights_hashes(weights: Mapping[str, SpatialWeights]) -> dict[str, str]:
    return {f"weights {name}": hash_weights(matrix) for name, matrix in weights.items()}
