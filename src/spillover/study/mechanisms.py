"""STEP 6a of a study: [mechanisms] to an effect by channel, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spillover.errors import SpilloverError
from spillover.inference.hypotheses import HypothesisTest, NotApplicable
from spillover.mechanisms.channels import find_channel
from spillover.models.formula import parse_formula, plain, variables_in
from spillover.panel.panel import Panel
from spillover.study.config import MechanismsSection, ModelSection, StudyConfig
from spillover.study.prepare import leave_out
from spillover.study.result import ConfoundingCurve, Mechanisms, Row
from spillover.study.rows import plain_rows
from spillover.typing import Progress, no_progress
from spillover.weights.weights import SpatialWeights

if TYPE_CHECKING:
    from spillover.mechanisms.mediate import Plan
    from spillover.mechanisms.result import MediationResult

WHERE = "[mechanisms]"
KINDS = ("own", "spillover", "total")


def find_mechanisms(
    config: StudyConfig, panel: Panel, weights: Mapping[str, SpatialWeights], progress: Progress = no_progress
) -> Mechanisms | None:
    """The channels of a study; None where its file has no [mechanisms]. Errors name the section."""
    from spillover.mechanisms.mediate import estimate

    if config.mechanisms is None:
        return None
    progress("channels", 0.74)
    try:
        return describe_mediation(estimate(plan_channels(config, panel, weights)))
    except SpilloverError as error:
        error.args = (f"{WHERE}: {error}",)
        raise


def require_equations(plan: Plan) -> None:
    """Raise what estimating the channels would raise before it estimates: a mediator that does not vary, few cells."""
    from spillover.mechanisms.estimate import check_equations

    check_equations(plan.system, plan.sample, plan.settings)


def plan_channels(config: StudyConfig, panel: Panel, weights: Mapping[str, SpatialWeights]) -> Plan:
    """Everything of the mediation that can be checked without estimating."""
    from spillover.mechanisms.estimate import Settings
    from spillover.mechanisms.mediate import EquationOptions, plan_mediation

    section = config.mechanisms
    assert section is not None
    main = next((model for model in config.models if model.main), config.models[0])
    panel = _restrict(section, panel)
    formula = parse_formula(main.formula)
    treatment = section.treatment or main.treatment or formula.names[0]
    mediators = {c.name: EquationOptions(c.mediator, shape=c.shape) for c in section.channels}
    return plan_mediation(
        section.outcome or formula.response,
        mediators,
        treatment,
        panel,
        _weights(section, main, panel, weights),
        controls=_controls(section, main, treatment),
        model=section.model,
        lag=section.lag,
        mediator_lag=section.mediator_lag,
        settings=Settings(
            effects=main.effects,
            correction=main.correction,
            covariance=section.covariance,
            cutoff_km=section.cutoff_km,
            time_lags=section.time_lags,
            groups=main.groups,
            segments={p: main.segments[str(p)] for p in panel.periods if str(p) in main.segments} or None,
        ),
        at=None,
        outcome_parts=_parts(config, section.outcome or formula.response),
    )


def _restrict(section: MechanismsSection, panel: Panel) -> Panel:
    if section.periods:
        panel = panel.select(periods=section.periods, note="periods of the mechanisms")
    return leave_out(panel, section.exclude, "left out of the mechanisms")


def _weights(
    section: MechanismsSection, main: ModelSection, panel: Panel, weights: Mapping[str, SpatialWeights]
) -> dict[str, SpatialWeights]:
    """Every W of the study by its name, that of the section as "W", and those of channels by theirs."""
    names = {"W": section.weights or main.weights or next(iter(weights))}
    names |= {channel.name: channel.weights for channel in section.channels if channel.weights is not None}
    equations = " ".join([section.outcome or "", *(channel.mediator for channel in section.channels)])
    names |= {name: name for name in weights if f"{name}*" in equations or f"`{name}`*" in equations}
    among = {name: weights[wanted] for name, wanted in names.items()}
    cut: dict[int, SpatialWeights] = {}
    for w in among.values():
        if id(w) not in cut:
            same = set(w.regions) == set(panel.regions)
            source = None if panel.geometry is None else panel
            cut[id(w)] = w if same or set(w.regions) < set(panel.regions) else w.subset(panel.regions, source=source)
    return {name: cut[id(w)] for name, w in among.items()}


def _controls(section: MechanismsSection, main: ModelSection, treatment: str) -> tuple[str, ...]:
    """The controls named, else the regressors of the main model that are neither the treatment nor a mediator."""
    if section.controls is not None:
        return section.controls
    parts = {plain(text) for text in (treatment, *(c.mediator.split("~")[0] for c in section.channels))}
    return tuple(name for name in parse_formula(main.formula).names if plain(name) not in parts and ":" not in name)


def _parts(config: StudyConfig, outcome: str) -> tuple[str, ...]:
    """Indicators of the index, when the outcome is made of it."""
    response = outcome.split("~")[0]
    if config.innovation.indicators and config.innovation.index in variables_in(response.strip()):
        return tuple(indicator.column for indicator in config.innovation.indicators)
    return ()


def describe_mediation(result: MediationResult) -> Mechanisms:
    """A mediation as plain values."""
    from spillover.mechanisms.words import sides_in_words

    n, t = result.sample.panel.shape
    labels = sides_in_words(result)
    curves = [result.confounding(channel) for channel in result.channels]
    shares, reasons = {}, {}
    for kind in KINDS:
        reason = result.why_no_shares(kind)
        shares[kind] = plain_rows(result.shares(kind)) if reason is None else ()
        if reason is not None:
            reasons[kind] = reason
    return Mechanisms(
        treatment=result.system.treatment,
        outcome=result.system.outcome.response,
        treatment_label=labels[0],
        outcome_label=labels[1],
        equations=tuple(_equation_rows(result)),
        n_regions=n,
        n_periods=t,
        covariance=result.estimates.method,
        df=result.estimates.df,
        effects=tuple({**row, "mechanism": _mechanism(str(row["channel"]))} for row in plain_rows(result.effects())),
        simultaneous=plain_rows(result.simultaneous()),
        paths=plain_rows(result.paths()),
        shares=shares,
        no_shares=reasons,
        attribution=plain_rows(result.attribution()),
        curves=tuple(_curve(curve) for curve in curves if not isinstance(curve, NotApplicable)),
        robustness=plain_rows(result.sensitivity("robustness")),
        interactions=tuple(_test_row(test) for test in result.interaction_tests()),
        turning_points=tuple({**vars(point), "says": point.sentence()} for point in result.turning_points()),
        sentences=result.sentences(),
        assumptions=result.assumptions,
        notes=result.notes,
    )


def _mechanism(channel: str) -> str:
    """Which of the paper's mechanisms a channel belongs to; empty for others."""
    found = find_channel(channel)
    return "" if found is None else found.mechanism


def _equation_rows(result: MediationResult) -> list[dict[str, Any]]:
    rows = []
    for equation in result.system.equations:
        kinds = {name: result.sample.weights[equation.name, name].kind for name in equation.lag_names}
        told = "; ".join(f"{name}: {kind}" for name, kind in kinds.items())
        rows.append({"equation": equation.name, "formula": equation.text, "weights": told})
    return rows


def _curve(curve: Any) -> ConfoundingCurve:
    return ConfoundingCurve(
        channel=curve.channel,
        correlations=tuple(curve.correlations.tolist()),
        effects={kind: tuple(curve.effects[:, i].tolist()) for i, kind in enumerate(KINDS)},
        std_errors={kind: tuple(curve.std_errors[:, i].tolist()) for i, kind in enumerate(KINDS)},
        break_even={kind: _number(curve.break_even[i]) for i, kind in enumerate(KINDS)},
        sentence=curve.sentence(),
    )


def _number(value: float) -> float | None:
    return float(value) if value == value else None


def _test_row(test: HypothesisTest | NotApplicable) -> Row:
    if isinstance(test, NotApplicable):
        return {"test": test.name, "says": test.reason}
    return {key: value for key, value in test.row().items() if key not in ("form", "null_model")}
