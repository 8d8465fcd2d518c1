"""`fit_moderated_rho`: the strength of the spillover through W y depends on an environment, own or the sender's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from spillover.errors import EstimationError, OptionError, check_option
from spillover.models.fit import check_kinds
from spillover.models.formula import parse_formula
from spillover.models.likelihood import Solution
from spillover.models.result import SpatialFit, estimates_at
from spillover.models.spec import ModelSpec
from spillover.moderators.columns import Column, check_columns, fit_columns, plain_columns, without_absorbed
from spillover.moderators.moderator import Moderator, Moderators, fixed_in_time, read_moderators
from spillover.moderators.strength_columns import StrengthColumns, Whose, strength_columns
from spillover.moderators.strength_likelihood import Stability, StrengthLikelihood, maximise_strength
from spillover.moderators.strength_result import StrengthFit
from spillover.moderators.strength_score import unequal_variances
from spillover.panel.panel import Panel, Period
from spillover.typing import CovarianceName, Effects, FloatArray, ModelName
from spillover.weights.weights import SpatialWeights


def fit_moderated_rho(
    formula: str,
    panel: Panel,
    weights: SpatialWeights,
    *,
    moderators: Moderators,
    side: Whose = "receiver",
    base: Period | str | None = None,
    centre: float | str | Mapping[str, float] = "mean",
    trends: bool | None = None,
    model: ModelName = "sdm",
    effects: Effects | None = None,
    covariance: CovarianceName = "default",
    lagged: Sequence[str] | None = None,
    weights_x: SpatialWeights | None = None,
    cutoff_km: float | None = None,
    time_lags: int | None = None,
) -> StrengthFit:
    """Fit y = (ρ_0 + ρ_1 z_i) (W y)_i + X β + W X θ + effects + ε by quasi-maximum likelihood.

    Parameters
    ----------
    moderators : expression(s) of panel variables z, or name → expression; each has its own ρ:z.
    side : whose z: the "receiver" (ρ_i before W y: absorptive capacity) or the "sender" (ρ_j inside W: reach).
    base : the period whose z counts, or "mean"; needed where z changes over time, because ρ_i must not.
    centre : value of z at which ρ_0 holds: its mean over regions, or a number.
    trends : whether every period also loses its directions z (and W z, for the sender): z × period effects, which take
        out shocks that all regions share but feel in proportion to z. On by default with period effects: where z
        varies over the map in patches such shocks look like spillovers. Without trends the likelihood is exact, and
        tests have the likelihood ratio.
    model : "sdm" or "sar". effects, covariance, lagged, weights_x, cutoff_km, time_lags : as in `spillover.fit`.

    Returns
    -------
    StrengthFit: `strengths()` by region, `effects(at=…)`, `by_region()`, `tests()` (LR, Wald, LM).

    Raises
    ------
    EstimationError : the likelihood rises out of the region in which the feedback dies out.
    DesignError : a constant moderator. OptionError : z that changes over time without a base; a model without W y.

    Notes
    -----
    With period effects z_i (W y)_i holds z_i ȳ_t, the response to a common shock, which is not a spillover: trends take
    it out, and without them the moderated lag is that of deviations from period means. Errors of unequal variance bias
    ρ (Lin & Lee 2010, J. Econometrics 157:34).
    Cost: n ≤ 1,200 one dense inverse per step, else sparse LU.
    """
    check_kinds(panel, weights, weights_x)
    spec = ModelSpec.of(
        panel,
        formula,
        model=model,
        effects=effects,
        covariance=covariance,
        lagged=lagged,
        cutoff_km=cutoff_km,
        time_lags=time_lags,
    )
    return plan_strength(
        spec, panel, weights, moderators=moderators, side=side, base=base, centre=centre, trends=trends,
        weights_x=weights_x,
    ).fit()  # fmt: skip


@dataclass(frozen=True, eq=False)
class StrengthPlan:
    """Everything of a moderated strength that can be known without estimating.

    Attributes
    ----------
    columns : the regressors. moderators : z, constant in time. trends : whether z × period effects are removed.
    """

    spec: ModelSpec
    panel: Panel
    weights: SpatialWeights
    weights_x: SpatialWeights
    columns: tuple[Column, ...]
    moderators: tuple[Moderator, ...]
    side: Whose
    trends: bool

    def check(self) -> None:
        """Raise what `fit` would raise before it estimates."""
        check_columns(self.spec, self.columns, self.panel, self.weights)

    def fit(self) -> StrengthFit:
        """The estimates; EstimationError where the strength leaves the stable region."""
        null = fit_columns(self.spec, self.columns, self.panel, self.weights, weights_x=self.weights_x)
        loads = np.stack([np.ones(self.panel.shape[0]), *(z.centred[:, 0] for z in self.moderators)])
        names = ("rho", *(f"rho:{z.name}" for z in self.moderators))
        return fit_strengths(null, self.columns, self.moderators, loads, names, self.side, trends=self.trends)


def plan_strength(
    spec: ModelSpec,
    panel: Panel,
    weights: SpatialWeights,
    *,
    moderators: Moderators,
    side: Whose = "receiver",
    base: Period | str | None = None,
    centre: float | str | Mapping[str, float] = "mean",
    trends: bool | None = None,
    weights_x: SpatialWeights | None = None,
) -> StrengthPlan:
    """`fit_moderated_rho` up to its regressors; parameters and errors as there."""
    check_option("side", side, get_args(Whose))
    found = fixed_moderators(panel, moderators, centre, base, parse_formula(spec.formula).response)
    with_trends = spec.has_period_effects if trends is None else trends
    columns, w = null_columns(spec, panel, weights, () if with_trends else found, weights_x)
    return StrengthPlan(spec, panel, weights, w, tuple(columns), found, side, with_trends)


def fixed_moderators(
    panel: Panel,
    moderators: Moderators,
    centre: float | str | Mapping[str, float],
    base: Period | str | None,
    outcome: str,
) -> tuple[Moderator, ...]:
    """Moderators with one value per region, repeated over the periods and centred over the regions."""
    found = read_moderators(panel, moderators, centre, outcome=outcome)
    fixed = {z.name: fixed_in_time(z, panel, base) for z in found}
    constant = panel.with_variables({f"moderator {name}": values for name, values in fixed.items()})
    return read_moderators(constant, {name: f"`moderator {name}`".replace("``", "`") for name in fixed}, centre)


def null_columns(
    spec: ModelSpec,
    panel: Panel,
    weights: SpatialWeights,
    moderators: Sequence[Moderator],
    weights_x: SpatialWeights | None,
) -> tuple[list[Column], SpatialWeights]:
    """Regressors of the model with one ρ, the moderators among them where the effects leave something; W of W x."""
    if spec.model not in ("sar", "sdm"):
        raise OptionError(
            f"the model {spec.model!r} has no W y, or a spatial error beside it",
            expected="model='sar' or 'sdm'",
            fix="spillover.moderate moderates the effect of W x",
        )
    if not isinstance(weights, SpatialWeights):
        raise OptionError("a moderated ρ needs one W", got=type(weights).__name__)
    w = (weights_x if weights_x is not None else weights).align(panel.regions)
    columns = plain_columns(parse_formula(spec.formula), panel, w, spec.model, spec.lagged)
    main = [
        Column(z.name, z.values, z.name, "own")
        for z in moderators
        if not any(np.array_equal(z.values, column.values) for column in columns)
    ]
    kept, _ = without_absorbed(main, spec, panel)
    return [*columns, *kept], w


def fit_null(
    spec: ModelSpec,
    panel: Panel,
    weights: SpatialWeights,
    moderators: Sequence[Moderator],
    weights_x: SpatialWeights | None,
) -> tuple[SpatialFit, list[Column]]:
    """The model with one ρ and its regressors, as `null_columns`."""
    columns, w = null_columns(spec, panel, weights, moderators, weights_x)
    return fit_columns(spec, columns, panel, weights, weights_x=w), columns


def fit_strengths(
    null: SpatialFit,
    regressors: Sequence[Column],
    moderators: Sequence[Moderator],
    loads: FloatArray,
    names: Sequence[str],
    side: Whose,
    *,
    trends: bool,
) -> StrengthFit:
    """The model with coefficients for the diagonals `loads` (K, n), from its version with one ρ."""
    columns = strength_columns(null, loads, names, side, trends=trends)
    projection = columns.projection()
    likelihood = columns.likelihood(projection)
    solution = maximise_strength(likelihood, _starts(likelihood, loads, null.rho))
    _check_solution(solution, columns, null)
    rhos = np.array(solution.parameters)
    point, values = columns.point(projection, rhos)
    statistics = {
        **null.statistics,
        "sigma2": point.sigma2,
        "n_effective": likelihood.m,
        "n_parameters": values.size + 1,
        "converged": solution.converged,
        "score": solution.score,
        "evaluations": solution.evaluations,
    }
    for name in ("log_likelihood", "aic", "bic"):
        statistics.pop(name)
    if likelihood.removed is None:
        loglik = likelihood.value(rhos)
        statistics |= {
            "log_likelihood": loglik,
            "log_likelihood_null": null.statistics["log_likelihood"],
            "aic": -2.0 * loglik + 2.0 * (values.size + 1),
            "bic": -2.0 * loglik + (values.size + 1) * np.log(likelihood.m),
        }
    stability = _stability(columns, rhos, null)
    notes = list(null.notes)
    if not stability.is_certain:
        notes.append(
            f"The strength of {stability.strongest} is {stability.largest:.2f}, above one: the feedback dies out "
            f"(spectral radius {stability.spectral_radius:.2f}), but not in every round by itself."
        )
    cautions = [unequal_variances(point.residuals, z) for z in moderators]
    notes += [f"{caution[0].upper()}{caution[1:]}." for caution in cautions if caution]
    spec = null.spec
    estimates = estimates_at(spec, point, values, null.panel)
    return StrengthFit(
        spec=spec,
        estimates=estimates,
        statistics=statistics,
        solution=solution,
        null=null,
        regressors=tuple(regressors),
        columns=columns,
        point=point,
        moderators=tuple(moderators),
        side=side,
        stability=stability,
        notes=tuple(notes),
    )


def _starts(likelihood: StrengthLikelihood, loads: FloatArray, rho: float) -> list[FloatArray]:
    """One common strength; and strengths that rise or fall with the moderators, where that is stable."""
    common = np.linalg.lstsq(loads.T, np.full(loads.shape[1], rho), rcond=None)[0]
    tilt = np.zeros(loads.shape[0])
    tilt[1:] = 0.3 * (1.0 - abs(rho)) / np.abs(loads[1:]).max(axis=1)
    starts = [np.asarray(start) for start in (common, 0.5 * common + tilt, 0.5 * common - tilt)]
    return [start for start in starts if likelihood.admits(start)] or [np.zeros(loads.shape[0])]


def _stability(columns: StrengthColumns, rhos: FloatArray, null: SpatialFit) -> Stability:
    strengths = rhos @ columns.loads
    multiplier = columns.multiplier(rhos)
    reach = float(null.roles.outcome[0][1].row_sums.max())
    strongest = int(np.argmax(np.abs(strengths)))
    return Stability(
        float(np.abs(strengths[strongest])) * reach, multiplier.spectral_radius(), null.design.regions[strongest]
    )


def _check_solution(solution: Solution, columns: StrengthColumns, null: SpatialFit) -> None:
    if solution.converged and not solution.at_bound:
        return
    strengths = np.array(solution.parameters) @ columns.loads
    at = int(np.argmax(np.abs(strengths)))
    raise EstimationError(
        "the moderated strength leaves the region in which the feedback between regions dies out"
        if solution.at_bound
        else "the maximiser of the likelihood with a moderated ρ did not converge",
        got=f"{solution.status}; ρ of {null.design.regions[at]} = {strengths[at]:.3f}",
        expected="|ρ_0 + ρ_1 z| below one, or a spectral radius below one",
        causes=(
            "a moderator with a few extreme values: its line is extrapolated to them",
            "a common trend that is left in the data",
            "a dense W that makes W y nearly a period mean",
        ),
        fix="take logs or ranks of the moderator, use regimes (spillover.fit_regimes), or add period effects",
    )
