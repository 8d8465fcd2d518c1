"""STEP 6b of a study: [moderators] to plans that are checked, and plans to results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from spillover.errors import OptionError, SpilloverError
from spillover.models.formula import parse_formula, plain
from spillover.moderators.moderator import refuse_outcome
from spillover.panel.panel import Panel
from spillover.study.columns import ingredients
from spillover.study.config import (
    EnvironmentSection,
    InteractionSection,
    ModelSection,
    ModeratorsSection,
    StrengthSection,
    StudyConfig,
    ThresholdSection,
)
from spillover.study.estimate import other_weights, require_values, restrict, specification_of
from spillover.study.result import Moderators
from spillover.typing import ModelName, Progress, no_progress
from spillover.weights.weights import SpatialWeights

if TYPE_CHECKING:
    from spillover.models.spec import ModelSpec
    from spillover.moderators.interaction import ModerationPlan, Side
    from spillover.moderators.strength import StrengthPlan
    from spillover.moderators.threshold import ThresholdPlan

_NEAREST: Mapping[str, ModelName] = {"sem": "ols", "sdem": "slx", "sac": "sar", "gns": "sdm"}  # without W u


class Lags(TypedDict):
    """The W's of a model, as every planner takes them."""

    weights: SpatialWeights | None
    weights_x: SpatialWeights | None


@dataclass(frozen=True, eq=False)
class Setting:
    """What the models of [moderators] have in common.

    Attributes
    ----------
    spec : formula, model, effects, errors. treatment : its term. panel, weights, weights_x : of the section's regions.
    """

    spec: ModelSpec
    panel: Panel
    weights: SpatialWeights | None
    weights_x: SpatialWeights | None
    treatment: str

    @property
    def lags(self) -> Lags:
        """W of the outcome and of the regressors, as far as the model has them."""
        return Lags(
            weights=self.weights if self.spec.uses_weights else None,
            weights_x=self.weights_x if self.spec.has_lagged_regressors else None,
        )


@dataclass(frozen=True, eq=False)
class Plans:
    """Everything of [moderators] that can be known without estimating.

    Attributes
    ----------
    model : the model that moderators are put into, as a section of the file. weights_name : of its W, "" without.
    environment : its section, the plan with its parts, the plan with their index.
    """

    model: ModelSection
    setting: Setting
    weights_name: str
    interactions: tuple[tuple[InteractionSection, ModerationPlan], ...]
    environment: tuple[EnvironmentSection, ModerationPlan, ModerationPlan] | None
    thresholds: tuple[tuple[ThresholdSection, ThresholdPlan], ...]
    strengths: tuple[tuple[StrengthSection, StrengthPlan], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """What the section looks at, in words."""
        return (
            *(item.name for item, _ in self.interactions),
            *([] if self.environment is None else [self.environment[0].name]),
            *(f"threshold in {item.name}" for item, _ in self.thresholds),
            *(f"strength by {item.name}" for item, _ in self.strengths),
        )


def find_moderators(
    config: StudyConfig,
    panel: Panel,
    weights: Mapping[str, SpatialWeights],
    seed: int,
    progress: Progress = no_progress,
) -> Moderators | None:
    """What moderates the effect of a study; None where its file has no [moderators]. Errors name the section."""
    from spillover.study.moderation_values import describe_moderators

    if config.moderators is None:
        return None
    progress("moderators", 0.745)
    return describe_moderators(plan_moderators(config, panel, weights, seed), seed, progress)


def plan_moderators(config: StudyConfig, panel: Panel, weights: Mapping[str, SpatialWeights], seed: int = 0) -> Plans:
    """Everything that can be checked without estimating; raises the first problem, with its place in the file."""
    section = config.moderators
    assert section is not None
    with located("[moderators]"):
        model, treatment = model_of(section, config)
        name = "" if model.model == "ols" and not section.strengths else model.weights or next(iter(weights))
        panel, w = _restricted(model, panel, weights[name] if name else None)
        setting = Setting(
            specification_of(model, panel), panel, w, other_weights(model.weights_x, panel, weights), treatment
        )
    interactions, thresholds, strengths = [], [], []
    for where, expression in _named(section):
        with located(where):
            _refuse_outcome(expression, parse_formula(model.formula).response, config)
    for item in section.interactions:
        with located(f"[[moderators.interactions]] {item.name!r}"):
            interactions.append((item, _interaction(item, setting, weights)))
    environment = None
    if section.environment is not None:
        with located("[moderators.environment]"):
            environment = (section.environment, *_environment(section.environment, setting))
    for threshold in section.thresholds:
        with located(f"[[moderators.thresholds]] {threshold.name!r}"):
            thresholds.append((threshold, _threshold(threshold, setting, seed)))
    for strength in section.strengths:
        with located(f"[[moderators.strengths]] {strength.name!r}"):
            strengths.append((strength, _strength(strength, setting)))
    return Plans(model, setting, name, tuple(interactions), environment, tuple(thresholds), tuple(strengths))


def _named(section: ModeratorsSection) -> Iterator[tuple[str, str]]:
    """(place in the file, expression) of every moderator."""
    for item in section.interactions:
        if item.moderator is not None:
            yield f"[[moderators.interactions]] {item.name!r}", item.moderator
    if section.environment is not None:
        yield from (("[moderators.environment]", part) for part in section.environment.parts.values())
    for threshold in section.thresholds:
        yield f"[[moderators.thresholds]] {threshold.name!r}", threshold.variable
    for strength in section.strengths:
        yield f"[[moderators.strengths]] {strength.name!r}", strength.moderator


def _refuse_outcome(expression: str, response: str, config: StudyConfig) -> None:
    refuse_outcome(expression, response, ingredients(expression, config) & ingredients(response, config))


def model_of(section: ModeratorsSection, config: StudyConfig) -> tuple[ModelSection, str]:
    """(the model that moderators are put into, its treatment as the formula has it)."""
    main = next((model for model in config.models if model.main), config.models[0])
    written = parse_formula(main.formula)
    asked = section.treatment or main.treatment or written.names[0]
    names = [name for name in written.names if section.controls is None or plain(name) == plain(asked)]
    names += [name for name in section.controls or () if plain(name) not in map(plain, names)]
    if plain(asked) not in map(plain, names):
        names.insert(0, asked)
    formula = f"{section.outcome or written.response} ~ {' + '.join(names)}"
    treatment = next(name for name in parse_formula(formula).names if plain(name) == plain(asked))
    unchanged = section.controls is None and section.treatment is None
    update = {
        "name": "moderators",
        "formula": formula,
        "model": section.model or _NEAREST.get(main.model, main.model),
        "weights": section.weights or main.weights,
        "weights_x": None if section.weights else main.weights_x,
        "weights_error": None,
        "lagged": main.lagged if unchanged else None,
        "treatment": treatment,
        "covariance": section.covariance or main.covariance,
        "cutoff_km": section.cutoff_km if section.covariance else main.cutoff_km,
        "time_lags": section.time_lags if section.covariance else main.time_lags,
        "periods": section.periods or main.periods,
        "exclude": section.exclude or main.exclude,
    }
    if update["model"] in ("ols", "sar"):
        update["lagged"] = None
    return main.model_copy(update=update), treatment


def _restricted(
    model: ModelSection, panel: Panel, weights: SpatialWeights | None
) -> tuple[Panel, SpatialWeights | None]:
    """Panel and W of the section's regions and periods, with a value in every cell of the formula."""
    # `restrict` takes W from a model without one; a strength needs it whatever the main model is.
    with_w = weights is not None and model.model == "ols"
    panel, w = restrict(model.model_copy(update={"model": "slx"}) if with_w else model, panel, weights)
    formula = parse_formula(model.formula)
    for factors in ((formula.response,), *formula.terms):
        require_values(factors, panel)
    return panel, w


def _interaction(item: InteractionSection, setting: Setting, weights: Mapping[str, SpatialWeights]) -> ModerationPlan:
    from spillover.moderators.interaction import plan_moderation

    if item.moderator is not None:
        require_values((plain(item.moderator),), setting.panel)
    pairs = None
    if item.linkage is not None and not setting.spec.has_lagged_regressors:
        raise OptionError(
            f"a linkage moderates W x, and an {setting.spec.model} model has none",
            fix='write model = "slx" or model = "sdm" in [moderators]',
        )
    if item.linkage is not None:
        table = other_weights(item.linkage, setting.panel, weights)
        assert table is not None
        pairs = {item.name: table}
    plan = plan_moderation(
        setting.spec,
        setting.panel,
        treatment=setting.treatment,
        moderators=None if item.moderator is None else {item.name: item.moderator},
        pairs=pairs,
        side=_side(item.side, setting.spec),
        centre="mean" if item.centre is None else item.centre,
        **setting.lags,
    )
    plan.check()
    return plan


def _side(asked: Side | None, spec: ModelSpec) -> Side:
    return asked or ("both" if spec.has_lagged_regressors else "none")


def _environment(item: EnvironmentSection, setting: Setting) -> tuple[ModerationPlan, ModerationPlan]:
    from spillover.moderators.environment import build_index
    from spillover.moderators.interaction import plan_moderation

    for part in item.parts.values():
        require_values((plain(part),), setting.panel)
    index = build_index(setting.panel, item.parts, item.scale, item.name)
    side = _side(item.side, setting.spec)
    apart, together = (
        plan_moderation(
            setting.spec, index.panel, treatment=setting.treatment, moderators=moderators, side=side, **setting.lags
        )
        for moderators in (index.apart, index.together)
    )
    apart.check()
    together.check()
    return apart, together


def _threshold(item: ThresholdSection, setting: Setting, seed: int) -> ThresholdPlan:
    from spillover.moderators.threshold import Asked, plan_threshold

    require_values((plain(item.variable),), setting.panel)
    spec, treatment = setting.spec, setting.treatment
    lagged = spec.has_lagged_regressors and (spec.lagged is None or treatment in spec.lagged)
    asked = Asked(
        thresholds=item.thresholds,
        side=item.side,
        trim=item.trim,
        bootstrap=item.bootstrap,
        draws=item.draws,
        reach_km=item.reach_km,
        seed=seed,
        with_level=True,
        centred=True,  # studies are in logarithms, whose unit must not decide
    )
    plan = plan_threshold(
        spec,
        setting.panel,
        threshold={item.name: item.variable},
        switching=item.switching or (treatment, *([f"W*{treatment}"] if lagged else [])),
        asked=asked,
        **setting.lags,
    )
    plan.check()
    return plan


def _strength(item: StrengthSection, setting: Setting) -> StrengthPlan:
    from spillover.moderators.strength import plan_strength

    if setting.weights is None:
        raise OptionError("a strength of the feedback needs a W", fix="name one: weights = … in [moderators]")
    require_values((plain(item.moderator),), setting.panel)
    spec = setting.spec
    # The likelihood knows ordinary effects only; what it leaves out is told among the notes of the result.
    spec = spec.with_changes(model=spec.model if spec.model in ("sar", "sdm") else "sdm", groups=None, segments=None)
    if spec.covariance == "cluster-group":
        spec = spec.with_changes(covariance="cluster")
    plan = plan_strength(
        spec,
        setting.panel,
        setting.weights,
        moderators={item.name: item.moderator},
        side=item.side,
        base=item.base,
        weights_x=setting.weights_x,
    )
    plan.check()
    return plan


@contextmanager
def located(where: str) -> Iterator[None]:
    """Errors in the block say where in the file they belong."""
    try:
        yield
    except SpilloverError as error:
        error.args = (f"{where}: {error}",)
        raise
