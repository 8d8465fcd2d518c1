"""Tier 1 as files: an exact spatial panel, its truth in closed form, and the study of the model that is true."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from spillover.panel.panel import Panel
from spillover.simulation.designs import correction_of
from spillover.simulation.estimators import WITH_W_X
from spillover.simulation.spatial_config import (
    DURBIN_MODELS,
    LAG_MODELS,
    SpatialPanelConfig,
    SyntheticWeights,
)
from spillover.simulation.spatial_panel import simulate_spatial_panel
from spillover.simulation.spatial_truth import SpatialTruth
from spillover.simulation.threshold_panel import ThresholdPanelConfig, simulate_threshold_panel
from spillover.study.simulated import LABEL, Simulated, links_text, map_text
from spillover.study.simulated_study import study_text
from spillover.study.simulation_file import SimulationFile
from spillover.weights.weights import SpatialWeights

_NAMES = {"weights": "W", "weights_error": "W of the error"}
_FILES = {"weights": "weights.csv", "weights_error": "weights_error.csv"}
_BEFORE = "y_before"


def draw_panel(simulation: SimulationFile) -> Simulated:
    """The panel, its truth, its map where it has one, and its W where no study could build it."""
    config, planted = simulation.config, None
    if isinstance(config, ThresholdPanelConfig):
        panel, planted = simulate_threshold_panel(config, simulation.seed)
        config, truth = config.panel, planted.below
    else:
        assert isinstance(config, SpatialPanelConfig)
        panel, truth = simulate_spatial_panel(config, simulation.seed)
    frame = panel.geometry
    if simulation.geography is not None:
        frame = simulation.geography.to_geodataframe().loc[list(panel.regions)]
        names = dict(zip(simulation.geography.regions, simulation.geography.names, strict=True))
        panel = replace(panel, names=tuple(names[region] for region in panel.regions))
    files = {role: _FILES[role] for role in _NAMES if _needs_file(config, role, simulation.seed)}
    given = {role: name for role, name in files.items() if isinstance(getattr(config, role), SpatialWeights)}
    w = {"weights": truth.weights, "weights_error": truth.weights_error}
    tables = {name: _links(w[role]) for role, name in files.items()}
    headline = _headline(config, truth)
    departures = list(_departures(config))
    if planted is not None:
        headline += f" {_say_threshold(planted.config)}"
        departures.append(
            "not exactly the model below, which has one slope for all values of q; "
            'spillover.fit_threshold(…, threshold="q") finds both'
        )
    return Simulated(
        panel=panel,
        seed=simulation.seed,
        headline=headline,
        unit="logarithm of expected y per unit of x" if config.counts else "y per unit of x",
        truth=truth.as_dict() | ({} if planted is None else {"threshold": planted.targets()}),
        study=_study(config, panel, simulation.seed, headline, departures, files, frame is not None),
        map=None if frame is None else map_text(frame),
        tables={"truth_regions.csv": _regions_table(truth), **tables},
        weights_files=given,
    )


def _needs_file(config: SpatialPanelConfig, role: str, seed: int) -> bool:
    """Whether no study could build this W from the map: it is given, or comes from another invented map."""
    w, main = getattr(config, role), config.weights
    if not isinstance(w, SyntheticWeights):
        return w is not None
    if not isinstance(main, SyntheticWeights):
        return True
    return (seed if w.map_seed is None else w.map_seed) != (seed if main.map_seed is None else main.map_seed)


def _headline(config: SpatialPanelConfig, truth: SpatialTruth) -> str:
    name = config.regressors[0].name
    long = (
        f"; in the long run {truth.direct(name, 'long'):.3g} and {truth.indirect(name, 'long'):.3g}"
        if config.is_dynamic
        else ""
    )
    return f"True effects of {name}: direct {truth.direct(name):.3g}, spillover {truth.indirect(name):.3g}{long}."


def _say_threshold(config: ThresholdPanelConfig) -> str:
    """ "Where q is above 0.3, the coefficient of x is larger by 0.5 than that, which holds below." """
    name = config.panel.regressors[0].name
    parts = {name: config.shift, f"W*{name}": config.neighbour_shift}
    told = [f"the coefficient of {key} is larger by {shift:g}" for key, shift in parts.items() if shift]
    if not told:
        return "q is there, and nothing depends on it."
    whose = " (the sender's q)" if config.neighbour_shift else ""
    return f"That holds up to q = {config.threshold:g}; above it{whose} {' and '.join(told)}."


def _regions_table(truth: SpatialTruth) -> str:
    """One row per regressor, horizon and region: own, received and emitted effect."""
    import pandas as pd

    frames = []
    for variable in truth.variables:
        for horizon in ("short", "long") if truth.is_dynamic else ("short",):
            found = truth.by_region(variable, horizon)  # type: ignore[arg-type]
            frames.append(
                pd.DataFrame(
                    {
                        "variable": variable,
                        "horizon": horizon,
                        "region": list(truth.regions),
                        "own": found.own,
                        "received": found.received,
                        "emitted": found.emitted,
                    }
                )
            )
    return str(pd.concat(frames, ignore_index=True).to_csv(index=False, lineterminator="\n"))


def _links(w: SpatialWeights) -> str:
    """A W as it is, standardised; a region without neighbours has a row to itself with weight 0."""
    links = w.matrix.tocoo()
    rows = list(zip(links.row.tolist(), links.col.tolist(), links.data.tolist(), strict=True))
    alone = np.flatnonzero(np.diff(w.matrix.indptr) == 0).tolist()
    return links_text(w.regions, [*rows, *((i, i, 0) for i in alone)])


# -- the study ----------------------------------------------------------------------------------


def _study(
    config: SpatialPanelConfig,
    panel: Panel,
    seed: int,
    headline: str,
    departures: list[str],
    files: dict[str, str],
    with_map: bool,
) -> str:
    first = config.regressors[0].name
    outcome = "y"
    derived = []
    if config.is_dynamic:
        derived.append({"name": _BEFORE, "expression": "lag(y)", "label": "y of the year before"})
    return study_text(
        panel,
        notes=[f"A simulated {config.model} panel. {headline} (truth.json has it in full)", *departures],
        title=f"A simulated {config.model} panel",
        description=f"Drawn with seed {seed}: {LABEL}.",
        seed=seed,
        with_map=with_map,
        treatment=(first, first),
        outcome=(outcome, "outcome"),
        weights=[_weights(role, getattr(config, role), files) for role in _NAMES if getattr(config, role) is not None],
        models=_models(config),
        derived=derived,
        missing="drop-periods" if config.is_dynamic else None,
    )


def _models(config: SpatialPanelConfig) -> list[dict[str, Any]]:
    """The model that is true, or nearest to it, and one that ignores neighbours (or, of OLS, that does not)."""
    names = [law.name for law in config.regressors]
    left = "log1p(y)" if config.counts else "y"
    dynamic = [_BEFORE] if config.is_dynamic else []
    lagged = [*(dynamic if config.eta else []), *(names if config.model in DURBIN_MODELS else [])]
    model = WITH_W_X.get(config.model, config.model) if lagged else config.model
    formula = f"{left} ~ {' + '.join([*dynamic, *names])}"
    common = {"formula": formula, "effects": config.effects, "treatment": names[0]}
    main = {
        "name": f"{config.model.upper()}, as it was drawn",
        **common,
        "model": model,
        "correction": correction_of(config) if config.model in LAG_MODELS else None,
        "weights": _NAMES["weights"],
        "weights_error": None if config.weights_error is None else _NAMES["weights_error"],
        "lagged": lagged if dynamic and lagged else None,
        "main": True,
    }
    if config.model == "ols":
        return [main, {"name": "SLX, with W x that does nothing", **common, "model": "slx", "lagged": names}]
    return [main, {"name": "OLS without neighbours", **common, "model": "ols"}]


def _weights(role: str, w: SyntheticWeights | SpatialWeights, files: dict[str, str]) -> dict[str, Any]:
    """As a study builds it from the map, or from the file that holds it."""
    name = {"name": _NAMES[role]}
    if isinstance(w, SpatialWeights) or role in files:
        return {**name, "kind": "file", "file": files[role], "standardise": "none", "islands": "keep"}
    kinds: dict[str, dict[str, Any]] = {
        "knn": {"k": w.neighbours},
        "queen": {},
        "exponential": {"decay_per_km": w.decay_per_km},
    }
    return {**name, "kind": w.kind, **kinds[w.kind], "standardise": w.standardise}


def _departures(config: SpatialPanelConfig) -> Iterator[str]:
    """Where the model of the study is not exactly right, and what would be."""
    if config.counts:
        yield "not exactly the model below: y is a count, and the study takes log(1 + y); spillover.fit_counts is right"
    if config.is_dynamic:
        yield "not exactly the model below: last year's y makes every estimate biased, by an order of 1/years"
        yield "the effects of the study are those of the same year; truth.json has the long run as well"
    if config.endogeneity:
        right = 'spillover.fit_two_stage with "instrument" is right' if config.instrument else "nothing repairs it"
        yield f"not exactly the model below: {config.regressors[0].name} is correlated with the error; {right}"
    if config.errors.serial:
        yield "errors are serially correlated: the study's errors are clustered by region, which allows for it"
