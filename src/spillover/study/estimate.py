"""STEPS 4 and 5 of a study: fit a model, and say what each region receives and emits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from spillover.errors import AlignmentError, MissingCellError, OptionError, SpilloverError, show_labels
from spillover.models.formula import evaluate_term, parse_formula
from spillover.models.spec import ERROR_MODELS, LAG_MODELS
from spillover.panel.panel import Panel
from spillover.panel.wording import count_of
from spillover.study.columns import find_term
from spillover.study.config import ModelSection
from spillover.study.prepare import leave_out
from spillover.study.result import ModelResult, RegionalEffects, Row
from spillover.study.rows import plain, plain_numbers, plain_rows
from spillover.typing import FloatArray, Progress, no_progress
from spillover.weights.weights import SpatialWeights

if TYPE_CHECKING:
    from spillover.models.result import SpatialFit
    from spillover.models.spec import ModelSpec

MUCH = 1.0 / 3.0  # standard errors that differ by more than this share are shown beside each other
LINKS = 40  # links that a map can show without becoming a thicket


def fit_model(
    section: ModelSection,
    panel: Panel,
    weights: SpatialWeights | None,
    others: Mapping[str, SpatialWeights] | None = None,
) -> SpatialFit:
    """The fit of one [[models]] section on its regions and periods; `others` holds every W of the study by name."""
    from spillover.models.fit import fit_spec

    panel, weights = restrict(section, panel, weights)
    formula = parse_formula(section.formula)
    for factors in ((formula.response,), *formula.terms):
        require_values(factors, panel)
    return fit_spec(
        specification_of(section, panel),
        panel,
        weights if section.model != "ols" else None,
        weights_x=other_weights(section.weights_x, panel, others),
        weights_error=other_weights(section.weights_error, panel, others),
    )


def specification_of(section: ModelSection, panel: Panel) -> ModelSpec:
    """What to fit. Keys of a table are text, periods may be numbers: segments are matched by what is written."""
    from spillover.models.spec import ModelSpec

    terms = parse_formula(section.formula).names
    named = {period: section.segments[str(period)] for period in panel.periods if str(period) in section.segments}
    return ModelSpec(
        section.formula,
        model=section.model,
        effects=section.effects,
        correction=section.correction,
        covariance=section.covariance,
        lagged=None if section.lagged is None else tuple(_term(text, terms) for text in section.lagged),
        cutoff_km=section.cutoff_km,
        time_lags=section.time_lags,
        groups=section.groups,
        segments=named if section.segments else None,
    )


def other_weights(name: str | None, panel: Panel, others: Mapping[str, SpatialWeights] | None) -> SpatialWeights | None:
    """Another W of the study, for the regressors or the error, among the regions of this model."""
    if name is None:
        return None
    found = (others or {})[name]
    return found if set(found.regions) == set(panel.regions) else found.subset(panel.regions)


def require_design(section: ModelSection, panel: Panel, weights: SpatialWeights | None) -> None:
    """Raise what the fit would raise before it estimates: constant or collinear columns, too few observations.

    panel, weights : of the regions and periods of the model, as `restrict` gives them.
    """
    from spillover.models.fit import check_design

    check_design(specification_of(section, panel), panel, weights)


def restrict(
    section: ModelSection, panel: Panel, weights: SpatialWeights | None
) -> tuple[Panel, SpatialWeights | None]:
    """Panel and W of the regions and periods that one model is about."""
    if section.periods:
        panel = panel.select(periods=section.periods, note="periods of this model")
    panel = leave_out(panel, section.exclude, "left out of this model")
    if weights is None or section.model == "ols":
        return panel, None
    if weights.island_policy == "drop" and set(weights.regions) < set(panel.regions):
        panel = panel.select(regions=weights.regions, note="islands of W were dropped")
    missing = sorted(set(panel.regions) - set(weights.regions))
    if missing:
        raise AlignmentError(
            f"{count_of(len(missing), 'region')} of the model not in its W ({weights.kind})",
            got=show_labels(missing),
            expected="a W of all regions of the model",
            causes=(
                "the file of W has fewer regions than the table",
                "an edge list, which does not mention regions without neighbours",
                "two code lists",
            ),
            fix=f"leave them out of this model: exclude = {list(missing)[:5]}"
            + (" and so on" if missing[5:] else "")
            + '; or say what happens to regions without neighbours: islands = "nearest", "drop" or "keep"',
        )
    if set(weights.regions) != set(panel.regions):
        weights = weights.subset(panel.regions, source=None if panel.geometry is None else panel)
    _require_rows_of_one(section, weights)
    return panel, weights


def _require_rows_of_one(section: ModelSection, weights: SpatialWeights) -> None:
    """Refuse what the model would refuse, before anything is estimated and with the keys of the study file.

    The Lee–Yu transformation of period effects needs Wι = ι when W y is in the model.
    """
    with_error = section.model in ERROR_MODELS
    exact = (section.correction == "lee-yu" or with_error) and section.effects in ("time", "two-way")
    if section.model not in (*LAG_MODELS, *ERROR_MODELS) or not exact or weights.rows_sum_to_one:
        return
    islands = weights.islands if weights.standardisation == "row" else ()
    raise OptionError(
        f"a {section.model} model with {section.effects} effects and the Lee–Yu transformation needs a W whose rows "
        "sum to one",
        got=f"{count_of(len(islands), 'region')} without neighbours: {weights.tell(islands)}"
        if islands
        else f'standardise = "{weights.standardisation}", row sums from {weights.row_sums.min():.4g} to '
        f"{weights.row_sums.max():.4g}",
        fix=('islands = "nearest" or "drop" for this W' if islands else 'standardise = "row" for this W')
        + ', or for this model effects = "individual", model = "slx" or correction = "none" (ρ then has a bias of '
        "order 1/n)",
    )


def require_values(factors: tuple[str, ...], panel: Panel) -> None:
    """Raise `MissingCellError` with the keys of the study file when a term lacks a value in some cell."""
    values = evaluate_term(factors, panel)
    holes = [f"{panel.regions[i]} in {panel.periods[j]}" for i, j in np.argwhere(~np.isfinite(values))]
    if holes:
        raise MissingCellError(
            f"{':'.join(factors)} has no value in {count_of(len(holes), 'cell')} of the model",
            got=show_labels(holes),
            causes=("the source has blanks", "a time lag that reaches before the first period"),
            fix="for this model, name the periods in which all is observed (periods = […]) or leave regions out "
            '(exclude = […]); for the whole study, write missing = "drop-regions" in [data]',
        )


def treatment_of(section: ModelSection, fit: SpatialFit) -> str:
    """The term that the model is about, as the fit names it; the first by default."""
    terms = list(fit.design.own)
    return terms[0] if section.treatment is None else _term(section.treatment, terms)


def describe_fit(section: ModelSection, fit: SpatialFit, weights_name: str) -> ModelResult:
    """A fit as plain values."""
    terms = list(fit.design.own)
    treatment = treatment_of(section, fit)
    impacts = plain_rows(fit.effects())
    notes = list(fit.notes)
    if section.periods:
        notes.append(f"Only the periods {', '.join(map(str, fit.design.periods))}.")
    if section.exclude:
        notes.append(f"Left out of this model: {', '.join(section.exclude)}.")
    return ModelResult(
        name=section.name,
        model=section.model,
        effects=section.effects,
        groups=section.groups or "",
        segments=bool(section.segments),
        correction=section.correction,
        covariance=fit.spec.resolved_covariance,
        weights=weights_name if section.model != "ols" else "",
        formula=section.formula,
        treatment=treatment,
        coefficients=plain_rows(fit.coefficients()),
        impacts=impacts,
        information_errors=_information_errors(fit, impacts),
        statistics=plain(dict(fit.statistics)),
        tests=plain_rows(fit.tests()),
        notes=tuple(notes),
        spread=_spread(fit.design.x_raw[terms.index(treatment)]) if treatment in terms else None,
    )


def _spread(values: FloatArray) -> float | None:
    """Standard deviation of (n, t) values around the means of their regions; of all values in a cross-section."""
    centre = values.mean(axis=1, keepdims=True) if values.shape[1] > 1 else values.mean()
    spread = float(np.sqrt(np.mean((values - centre) ** 2)))
    return spread if spread > 0.0 else None


def describe_regions(
    fit: SpatialFit, treatment: str, panel: Panel, progress: Progress = no_progress
) -> RegionalEffects | None:
    """What each region of the panel receives and emits; None for models without spillovers or of fewer regions."""
    from spillover.effects.regional import regional_effects, strongest_links

    if fit.spec.model in ("ols", "sem") or fit.weights is None or fit.design.regions != panel.regions:
        return None
    found = regional_effects(fit, treatment, progress)
    links = strongest_links(fit, treatment, LINKS)
    return RegionalEffects(
        variable=treatment,
        received=plain_numbers(found.received),
        received_se=plain_numbers(found.received_se),
        emitted=plain_numbers(found.emitted),
        emitted_se=plain_numbers(found.emitted_se),
        own=plain_numbers(found.own),
        links=tuple({"sender": k.sender, "receiver": k.receiver, "effect": float(k.effect)} for k in links),
    )


def _information_errors(fit: SpatialFit, impacts: tuple[Row, ...]) -> tuple[Row, ...]:
    """Effect rows under the information matrix, when any of their errors differs by more than a third."""
    if fit.spec.resolved_covariance == "information":
        return ()
    rows = plain_rows(fit.with_covariance("information").effects())
    pairs = [(row["std_error"], other["std_error"]) for row, other in zip(impacts, rows, strict=True)]
    differs = any(abs(other - own) > MUCH * own for own, other in pairs if own and other is not None)
    return rows if differs else ()


def _term(text: str, terms: Sequence[str]) -> str:
    """The term as results name it; an unknown one stays as written, and the model says that it does not know it."""
    return find_term(text, terms) or text


def named(error: SpilloverError, section: ModelSection) -> SpilloverError:
    """The error with the model it came from."""
    error.args = (f"model {section.name!r}: {error}",)
    return error
