"""What a careful reader should know before quoting a number of a study."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from scipy import stats

from spillover.models.formula import parse_formula
from spillover.panel.panel import Panel
from spillover.study.columns import formula_variables
from spillover.study.config import StudyConfig
from spillover.study.numbers import decimals_for, fixed
from spillover.study.result import ModelResult, StudyResult
from spillover.study.scale import Scale, scale_of

FEW_REGIONS = 50


def cautions_of(config: StudyConfig, panel: Panel, result: StudyResult) -> tuple[str, ...]:
    """One sentence each, the weightiest first; nothing here is estimated anew."""
    chosen = result.model()
    return (
        *_detectable(chosen, scale_of(result, chosen), panel),
        *_agreement(result.models),
        *_weights(chosen, result),
        *_errors(chosen),
        *_identity(config, chosen),
        *_groups(panel, chosen),
        *_logarithm(config, chosen),
        *_levels(panel),
        *_gaps(panel),
        *_selection(config),
        *([] if result.regional is not None or not chosen.has_spillover else _no_regional()),
    )


def _indirect(model: ModelResult) -> dict[str, float] | None:
    """The spillover of the treatment; None where the model has none (OLS, SEM) or it was not estimated."""
    rows = [r for r in model.impacts if r.get("variable") == model.treatment and r.get("effect") == "indirect"]
    row = next((r for r in rows if r.get("horizon") == "long"), rows[0] if rows else None)
    if row is None or not model.has_spillover or row.get("std_error") is None:
        return None
    return {key: float(row[key]) for key in ("estimate", "std_error", "conf_low", "conf_high")}


def _detectable_errors(row: Mapping[str, float]) -> float:
    """How many standard errors from zero an effect is seen in four samples of five at the 5 % level.

    1.96 + 0.84 for the normal law. Intervals by the t distribution are wider, and their width says by how much.
    """
    normal = float(stats.norm.isf(0.025))
    width = (row["conf_high"] - row["conf_low"]) / (2.0 * row["std_error"])
    return width + float(stats.norm.isf(0.2)) * width / normal


def _detectable(model: ModelResult, scale: Scale, panel: Panel) -> Iterator[str]:
    """In the same step and unit as the headline of the study."""
    row = _indirect(model)
    if row is None:
        return
    smallest = _detectable_errors(row) * row["std_error"]
    detected, estimate = scale.convert(smallest), scale.convert(row["estimate"])
    places = decimals_for(detected, estimate)
    raw = decimals_for(smallest, row["estimate"], significant=2)
    elasticity = f" (elasticity {fixed(smallest, raw)})" if scale.is_elasticity else ""
    estimated = f"; elasticity {fixed(row['estimate'], raw)}" if scale.is_elasticity else ""
    few = f"; {len(panel.regions)} regions are few" if len(panel.regions) < FEW_REGIONS else ""
    yield (
        f"The smallest spillover that this design would detect four times out of five (5 % level) is a "
        f"change of {scale.outcome.phrase} by {fixed(detected, places)}{scale.unit}{elasticity} for "
        f"{scale.shock} in all other regions (the estimate is {fixed(estimate, places, sign=True)}{scale.unit}"
        f"{estimated}){few}. A smaller spillover can be there and not be seen."
    )


def _agreement(models: Sequence[ModelResult]) -> Iterator[str]:
    """How the spillover of the models compares; only models that could have one count."""
    rows = [(model, row) for model in models if (row := _indirect(model)) is not None]
    if len(rows) < 2:
        return
    clear = [(m, r) for m, r in rows if r["conf_low"] > 0 or r["conf_high"] < 0]
    above = sum(r["estimate"] > 0 for _, r in clear)
    names = "; ".join(model.name for model, _ in clear)
    if not clear:
        yield f"In none of the {len(rows)} models with neighbours is the spillover told apart from zero."
    elif len(clear) == len(rows) and above in (0, len(rows)):
        sign = "positive" if above else "negative"
        yield f"In all {len(rows)} models with neighbours the spillover is {sign} and told apart from zero."
    else:
        yield (
            f"The models disagree: the spillover is told apart from zero in {len(clear)} of {len(rows)} models with "
            f"neighbours ({above} positive, {len(clear) - above} negative: {names}). A result that depends on the "
            "choice of model, neighbours or years is fragile."
        )


def _weights(model: ModelResult, result: StudyResult) -> Iterator[str]:
    """What the W of the main model cannot identify, whatever the data."""
    if model.model == "ols":
        return
    concerns = next((w.facts.get("concerns") or [] for w in result.weights if w.name == model.weights), [])
    for concern in concerns:
        yield f"W “{model.weights}”: {concern}."


def _errors(model: ModelResult) -> Iterator[str]:
    """Whether the choice of standard errors decides what the spillover says."""
    row, other = _indirect(model), _indirect(model.model_copy(update={"impacts": model.information_errors}))
    if row is None or other is None:
        return
    ratio = fixed(row["std_error"] / other["std_error"], 1)
    text = f"{ratio} times as large clustered by region as from the information matrix"
    if (row["conf_low"] <= 0 <= row["conf_high"]) != (other["conf_low"] <= 0 <= other["conf_high"]):
        yield (
            f"The standard errors decide here: that of the spillover is {text}, and only one of the two intervals "
            "contains zero. With errors that are correlated over the years the clustered one is right."
        )
    elif abs(other["std_error"] - row["std_error"]) > row["std_error"] / 3.0:
        yield f"The standard errors differ by more than a third: that of the spillover is {text}."


def _identity(config: StudyConfig, model: ModelResult) -> Iterator[str]:
    """Regressors that are part of an index outcome explain themselves."""
    formula = parse_formula(model.formula)
    outcome, *regressors = formula_variables(formula)
    if outcome != config.innovation.index:
        return
    own = {indicator.column for indicator in config.innovation.indicators}
    shared = [name for name in regressors if name in own]
    if shared:
        yield f"{', '.join(shared)} is part of the index {outcome} that it is meant to explain: that is an identity."


def _groups(panel: Panel, model: ModelResult) -> Iterator[str]:
    for name, values in panel.groups.items():
        count = len(set(values))
        if 1 < count < len(values) and model.effects in ("time", "two-way") and not model.groups:
            yield (
                f"The period effects are common to all {count} values of {name}. Shocks that differ by {name} "
                "(policy, crises, statistical breaks) are shared by neighbours and can look like a spillover."
            )


def _logarithm(config: StudyConfig, model: ModelResult) -> Iterator[str]:
    name = config.agglomeration.name
    if (
        config.agglomeration.measure == "location-quotient"
        and f"log({name})" in model.formula
        and model.effects in ("time", "two-way")
    ):
        yield (
            f"With period effects, log({name}) is the log of the region's own ratio: the national ratio drops out. "
            "Quotients of the same sector over other totals differ only by a log control, so agreement between them "
            "is not robustness."
        )


def _levels(panel: Panel) -> Iterator[str]:
    if panel.shape[1] > 1:
        yield (
            "A clustered map (Moran's I of levels) says nothing about whether changes spill over; look at Moran's I "
            "of the deviations from region and period means."
        )
    else:
        yield "A cross-section compares regions with each other: lasting differences between them are not removed."


def _gaps(panel: Panel) -> Iterator[str]:
    years = [period for period in panel.periods if isinstance(period, int)]
    gaps = [f"{a}–{b}" for a, b in pairwise(years) if b - a > min((q - p for p, q in pairwise(years)), default=1)]
    if gaps:
        yield f"The periods have a gap ({', '.join(gaps)}); nothing was interpolated."


def _selection(config: StudyConfig) -> Iterator[str]:
    if config.data.exclude:
        yield f"Left out by the study: {', '.join(config.data.exclude)}."


def _no_regional() -> list[str]:
    return ["Effects by region are not shown, because the main model is about a part of the regions."]
