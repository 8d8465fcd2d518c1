"""`mediate`: a panel, W and a system of equations → through which channels the treatment works, here and next door."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from spillover.errors import OptionError, check_option, show_labels
from spillover.mechanisms.decomposition import check_additive, numbers_at
from spillover.mechanisms.equation import OUTCOME, Equation, as_term, has_formula, parse_equation, write_equation
from spillover.mechanisms.estimate import Settings, fit_equations, joint
from spillover.mechanisms.joint import JOINT
from spillover.mechanisms.result import MediationResult
from spillover.mechanisms.sample import DEFAULT, Sample, Weights, build_sample, resolve_weights
from spillover.mechanisms.system import System, build_system, check_names
from spillover.mechanisms.wiring import build_wiring
from spillover.models.fit import check_kinds
from spillover.models.formula import plain
from spillover.models.spec import Groups, as_segments, usual_effects
from spillover.panel.panel import Panel, Period
from spillover.typing import Correction, Effects

MODELS = ("ols", "slx", "sar", "sdm")


@dataclass(frozen=True)
class EquationOptions:
    """An equation with settings of its own.

    formula : "cooperation ~ transfers - 1", or the response alone.
    settings : any of effects, correction, groups, segments, as in `spillover.fit`.
    shape : "inverted-u" puts the mediator's square beside it into an outcome equation that is written for you.
    """

    formula: str
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    shape: Literal["linear", "inverted-u"] = "linear"

    def __post_init__(self) -> None:
        check_option("shape", self.shape, ("linear", "inverted-u"))
        for name in self.settings:
            check_option("a setting of one equation", name, ("effects", "correction", "groups", "segments"))


@dataclass(frozen=True, eq=False)
class Plan:
    """A mediation with everything checked that can be without estimating."""

    system: System
    sample: Sample
    settings: Settings
    at: Mapping[str, float]


def mediate(
    outcome: str | EquationOptions,
    mediators: Mapping[str, str | EquationOptions],
    treatment: str,
    panel: Panel,
    weights: Weights | Mapping[str, Weights] | None = None,
    *,
    controls: Sequence[str] = (),
    model: str = "slx",
    lag: int | None = None,
    mediator_lag: int = 0,
    effects: Effects | None = None,
    correction: Correction = "lee-yu",
    covariance: str = "cluster",
    cutoff_km: float | None = None,
    time_lags: int | None = None,
    groups: Groups = None,
    segments: Mapping[Period, str] | Sequence[str] | None = None,
    at: Mapping[str, float] | None = None,
    outcome_parts: Sequence[str] = (),
) -> MediationResult:
    """Divide the effect of a treatment over channels, each at home and next door.

        M_k = ρ_k W M_k + A_k x + Σ_l D_kl M_l + C γ_k + effects + u_k
        y   = ρ_y W y + C x + Σ_k B_k M_k + C γ_y + effects + ε

    with A_k = a_k I + a_k^w W and so on; each equation may have its own W. The effect through mediator k is the matrix
    S_y^{-1} B_k S_k^{-1} A_k; serial mediators make longer products. All paths add up to the whole effect.

    Parameters
    ----------
    outcome : equation of the outcome, "log(patents) ~ log(lq) + talent + W*talent", or the outcome alone.
    mediators : channel → equation of its mediator, "talent ~ log(lq) + W*log(lq)", or the mediator alone. `W*x` is a
        spatial lag; that of the response gives the equation a ρ. Which mediators drive which others is what the
        formulas say; their order does not matter. An equation with settings of its own is an `EquationOptions`.
    treatment : the expression whose effect is divided, as the formulas write it.
    panel : n regions × t periods.
    weights : one W for all, or name → W: `road*x` uses weights["road"]; `W*x` uses the entry with the name of the
        channel (or "outcome") where there is one, else "W". An `Exposure` includes the region itself.
    controls, model : for equations given by their response alone: x, the controls, in the outcome all mediators; lagged
        in space with "slx" and "sdm", with a ρ with "sar" and "sdm".
    lag : periods by which the treatment comes before the mediators, which keeps cause before effect; None for 1 where
        the panel is long enough, else 0.
    mediator_lag : periods by which the mediators come before the outcome.
    effects, correction, groups, segments : as in `spillover.fit`.
    covariance : "cluster" (by region), "cluster-group", "conley", "driscoll-kraay", jointly over the equations; or
        "information", which takes equations as uncorrelated.
    at : levels of mediators that enter with their square, or of moderators; sample means by default.
    outcome_parts : indicators that the outcome index is made of; none of them can be a mediator.

    Returns
    -------
    MediationResult. Its assumptions are part of it; read them.

    Raises
    ------
    OptionError : a variable with two parts in the story; a W that is missing; a lag that is impossible.
    DesignError : a cycle among the mediators, or one that is on no path; what `fit` refuses.
    FormulaError, MissingCellError, AlignmentError, EstimationError : as in `spillover.fit`, naming the equation.

    Cost: one fit per equation; n ≤ 1,200 an inverse per ρ at most, above probes with their error.
    Sources: Tchetgen Tchetgen & VanderWeele (2012) for interference; LeSage & Pace (2009) for the matrices.
    """
    check_kinds(panel, None)
    return estimate(
        plan_mediation(
            outcome,
            mediators,
            treatment,
            panel,
            weights,
            controls=[controls] if isinstance(controls, str) else controls,
            model=model,
            lag=lag,
            mediator_lag=mediator_lag,
            settings=Settings(
                effects=effects or usual_effects(panel, groups),
                correction=correction,
                covariance=covariance,
                cutoff_km=cutoff_km,
                time_lags=time_lags,
                groups=groups,
                segments=as_segments(segments),
            ),
            at=at,
            outcome_parts=[outcome_parts] if isinstance(outcome_parts, str) else outcome_parts,
        )
    )


def plan_mediation(
    outcome: str | EquationOptions,
    mediators: Mapping[str, str | EquationOptions],
    treatment: str,
    panel: Panel,
    weights: Weights | Mapping[str, Weights] | None,
    *,
    controls: Sequence[str],
    model: str,
    lag: int | None,
    mediator_lag: int,
    settings: Settings,
    at: Mapping[str, float] | None,
    outcome_parts: Sequence[str],
) -> Plan:
    """Read the equations, order them, and put their data together; `mediate` says what everything is."""
    check_option("covariance", settings.covariance, JOINT)
    check_option("model", model, MODELS)
    _check_texts(outcome, mediators, treatment, controls, outcome_parts)
    check_names(mediators)
    equations, own = _read(outcome, mediators, treatment, controls, model)
    named = resolve_weights(tuple(equations.values()), panel, weights)
    unused = _unused(equations, weights)
    last = equations.pop(OUTCOME)
    system = build_system(treatment, equations, last, outcome_parts)
    sample = build_sample(system, panel, named, lag, mediator_lag)
    return Plan(system, replace(sample, notes=(*sample.notes, *unused)), replace(settings, own=own), dict(at or {}))


def estimate(plan: Plan) -> MediationResult:
    """Fit every equation and follow every path."""
    fits = fit_equations(plan.system, plan.sample, plan.settings)
    estimates = joint(plan.system, fits, plan.settings)
    wiring = build_wiring(plan.system, plan.sample, estimates.names, plan.at)
    numbers = numbers_at(wiring, estimates.values)
    gap = check_additive(numbers, estimates.values)
    return MediationResult(plan.system, plan.sample, plan.settings, fits, estimates, numbers, gap)


def _check_texts(
    outcome: object, mediators: object, treatment: object, controls: Sequence[object], outcome_parts: Sequence[object]
) -> None:
    """Refuse what is no text where a formula or an expression belongs."""
    if not isinstance(mediators, Mapping):
        raise OptionError(
            "mediators are given by name",
            got=type(mediators).__name__,
            expected='{"personnel mobility": "talent ~ hti + W*hti"}',
        )
    given = {f"mediator {name!r}": equation for name, equation in mediators.items()} | {"outcome": outcome}
    texts = {what: e.formula if isinstance(e, EquationOptions) else e for what, e in given.items()}
    texts |= {f"name {name!r}": name for name in mediators} | {"treatment": treatment}
    texts |= {f"control {x!r}": x for x in controls} | {f"part of the outcome {x!r}": x for x in outcome_parts}
    wrong = [what for what, text in texts.items() if not isinstance(text, str)]
    if wrong:
        raise OptionError(
            "outcome, treatment, mediators and controls are texts",
            got=", ".join(f"{what}: {type(texts[what]).__name__}" for what in wrong),
            expected='mediate("log(patents)", {"talent": "log(rd_fte)"}, "log(lq)", panel, W)',
        )


def _unused(equations: Mapping[str, Equation], weights: Weights | Mapping[str, Weights] | None) -> tuple[str, ...]:
    """A sentence about weights that no equation uses: a channel's name may be misspelt."""
    given = set(weights) if isinstance(weights, Mapping) else set()
    used = {name for equation in equations.values() for name in equation.lag_names}
    own = {name for name, equation in equations.items() if DEFAULT in equation.lag_names}
    if DEFAULT in used and all(name in given for name in own):
        used.discard(DEFAULT)
    left = sorted(given - used - own)
    return (f"Weights that no equation uses: {show_labels(left)}.",) if left else ()


def _read(
    outcome: str | EquationOptions,
    mediators: Mapping[str, str | EquationOptions],
    treatment: str,
    controls: Sequence[str],
    model: str,
) -> tuple[dict[str, Equation], dict[str, Mapping[str, Any]]]:
    """(equations by name, settings of their own); what is a response alone becomes a full equation."""
    given = {**mediators, OUTCOME: outcome}
    texts = {name: e.formula if isinstance(e, EquationOptions) else e for name, e in given.items()}
    responses = [text.split("~")[0].strip() for name, text in texts.items() if name != OUTCOME]
    for name, response in zip(mediators, responses, strict=True):
        if plain(response) == plain(treatment) and not has_formula(texts[name]):
            raise OptionError(
                f"{response!r} is the treatment and the mediator {name!r}",
                got=texts[name],
                expected="different variables: what is itself explains itself",
                fix="leave the channel out, or name another variable that stands for it",
            )
    bent = [name for name, e in given.items() if isinstance(e, EquationOptions) and e.shape == "inverted-u"]
    curved = [texts[name].split("~")[0].strip() for name in bent if name != OUTCOME]
    equations = {}
    for name, text in texts.items():
        if not has_formula(text):
            sources = [as_term(s) for s in (treatment, *(responses if name == OUTCOME else []), *controls)]
            squares = [f"{as_term(r)}:{as_term(r)}" for r in curved] if name == OUTCOME else []
            lagged = sources if model in ("slx", "sdm") else []
            text = write_equation(text, [*sources, *squares], lagged, feedback=model in ("sar", "sdm"))
        elif name == OUTCOME and curved:
            raise OptionError(
                "a shape is for an outcome equation that is written for you",
                got=text,
                fix=f"write the square into it: {as_term(curved[0])}:{as_term(curved[0])}",
            )
        equations[name] = parse_equation(name, text)
    own = {name: e.settings for name, e in given.items() if isinstance(e, EquationOptions) and e.settings}
    return equations, own
