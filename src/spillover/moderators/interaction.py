"""`moderate`: how a variable changes what agglomeration does at home and next door."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np

from spillover.errors import OptionError, check_option
from spillover.models.fit import check_kinds
from spillover.models.formula import parse_formula
from spillover.models.spec import Groups, ModelSpec
from spillover.moderators.columns import (
    Column,
    check_columns,
    find_term,
    fit_columns,
    lag_weights,
    plain_columns,
    without_absorbed,
)
from spillover.moderators.moderated import ModeratedFit
from spillover.moderators.moderator import Moderator, Moderators, PairModerator, read_moderators, read_pairs
from spillover.panel.panel import Panel, Period
from spillover.typing import CovarianceName, Effects, FloatArray, ModelName
from spillover.weights.weights import SpatialWeights

Side: TypeAlias = Literal["both", "receiver", "sender", "none"]


def moderate(
    formula: str,
    panel: Panel,
    weights: SpatialWeights | None = None,
    *,
    treatment: str | Sequence[str],
    moderators: Moderators | None = None,
    pairs: Mapping[str, SpatialWeights] | None = None,
    side: Side = "both",
    centre: float | str | Mapping[str, float] = "mean",
    model: ModelName = "sdm",
    effects: Effects | None = None,
    covariance: CovarianceName = "default",
    lagged: Sequence[str] | None = None,
    weights_x: SpatialWeights | None = None,
    weights_error: SpatialWeights | None = None,
    cutoff_km: float | None = None,
    time_lags: int | None = None,
    groups: Groups = None,
    segments: Mapping[Period, str] | Sequence[str] | None = None,
) -> ModeratedFit:
    """Fit a spatial model in which moderators z change the effect of a treatment x.

    The regressors of `formula` and, in Durbin models, their spatial lags; z and W z; x·z; and next door

        sender    W(x·z)      a neighbour's x counts more where that neighbour's z is high,
        receiver  z∘(W x)     the neighbours' x counts more where the region's own z is high (absorptive capacity).

    Parameters
    ----------
    formula : "log(patents) ~ log(lq) + log(rd)"; without the interactions, which are added here.
    treatment : the regressor(s) of the formula whose effect is moderated.
    moderators : expression(s) of panel variables, or name → expression: "environment" or
        ("policy", "infrastructure", "culture").
    pairs : name → table L of a moderator of pairs of regions (industrial linkage): adds W∘(L − L̄) x, with L̄ the mean
        of L over the links of W. A link of W that the table does not have counts as L = 0.
    side : whose z matters for what comes from next door; "none" moderates the own effect only.
    centre : value of the moderator at which the coefficients of x and W x hold: its mean, or a number.
    model, effects, covariance, lagged, weights_x, weights_error, cutoff_km, time_lags, groups, segments : as in
        `spillover.fit`.

    Returns
    -------
    `ModeratedFit`: `effects(at=…)`, `curve(…)` with simultaneous band and Johnson–Neyman region, `by_region()`,
    `tests()`.

    Raises
    ------
    DesignError : a constant moderator; collinear columns, by name. OptionError : no moderator; a side that the model
        does not have. Everything that `spillover.fit` raises.

    Notes
    -----
    z or W z that the effects absorb (constant in time under region effects) is left out, and the notes say so. No sign
    is imposed: an environment may weaken the spillover.
    """
    check_kinds(panel, weights, weights_x, weights_error)
    spec = ModelSpec.of(
        panel,
        formula,
        model=model,
        effects=effects,
        covariance=covariance,
        lagged=lagged,
        cutoff_km=cutoff_km,
        time_lags=time_lags,
        groups=groups,
        segments=segments,
    )
    return plan_moderation(
        spec,
        panel,
        weights,
        treatment=treatment,
        moderators=moderators,
        pairs=pairs,
        side=side,
        centre=centre,
        weights_x=weights_x,
        weights_error=weights_error,
    ).fit()


@dataclass(frozen=True, eq=False)
class ModerationPlan:
    """Everything of a moderated model that can be known without estimating.

    Attributes
    ----------
    columns : the regressors. treatments, moderators : what is moderated by what.
    absorbed : names of the moderators' own columns that the effects absorb.
    """

    spec: ModelSpec
    panel: Panel
    weights: SpatialWeights | None
    weights_x: SpatialWeights | None
    weights_error: SpatialWeights | None
    columns: tuple[Column, ...]
    treatments: tuple[str, ...]
    moderators: tuple[Moderator | PairModerator, ...]
    absorbed: tuple[str, ...]

    def check(self) -> None:
        """Raise what `fit` would raise before it estimates."""
        check_columns(self.spec, self.columns, self.panel, self.weights)

    def fit(self) -> ModeratedFit:
        """The estimates."""
        fitted = fit_columns(
            self.spec,
            self.columns,
            self.panel,
            self.weights,
            weights_x=self.weights_x,
            weights_error=self.weights_error,
        )
        if self.absorbed:
            fitted = fitted.with_note(f"The effects absorb {', '.join(self.absorbed)}; the interactions stay.")
        return ModeratedFit(fitted, self.columns, self.treatments, self.moderators)


def plan_moderation(
    spec: ModelSpec,
    panel: Panel,
    weights: SpatialWeights | None,
    *,
    treatment: str | Sequence[str],
    moderators: Moderators | None = None,
    pairs: Mapping[str, SpatialWeights] | None = None,
    side: Side = "both",
    centre: float | str | Mapping[str, float] = "mean",
    weights_x: SpatialWeights | None = None,
    weights_error: SpatialWeights | None = None,
) -> ModerationPlan:
    """`moderate` up to its regressors; parameters and errors as there."""
    parsed = parse_formula(spec.formula)
    asked = [treatment] if isinstance(treatment, str) or not isinstance(treatment, Sequence) else treatment
    treatments = tuple(dict.fromkeys(find_term(parsed, name, "the treatment") for name in asked))
    found = () if moderators is None else read_moderators(panel, moderators, centre, outcome=parsed.response)
    if not treatments or not (found or pairs):
        raise OptionError(
            "a treatment and at least one moderator of its effect are needed",
            got=f"treatment={treatment!r}, moderators={moderators!r}",
            fix='give treatment="log(lq)" and moderators="environment", or pairs={"linkage": table}',
        )
    check_side(side, spec, bool(found))
    w = lag_weights(panel, weights, weights_x)
    tables = read_pairs(pairs or {}, w if spec.has_lagged_regressors else None)
    columns = plain_columns(parsed, panel, w, spec.model, spec.lagged)
    _check_names((*found, *tables), columns)
    main, gone = without_absorbed(
        list(_main_effects(found, columns, w if spec.has_lagged_regressors else None)), spec, panel
    )
    columns += [*main, *_products(columns, treatments, found, side, w), *_paired(columns, treatments, tables)]
    return ModerationPlan(
        spec, panel, weights, w, weights_error, tuple(columns), treatments, (*found, *tables), tuple(gone)
    )


def _check_names(moderators: Sequence[Moderator | PairModerator], columns: Sequence[Column]) -> None:
    """Refuse a moderator under the name of a regressor that is another variable."""
    for z in moderators:
        same = next((column for column in columns if column.name == z.name), None)
        if same is not None and not (isinstance(z, Moderator) and np.array_equal(z.values, same.values)):
            raise OptionError(
                f"the moderator {z.name!r} has the name of a regressor that is another variable",
                fix="give it a name of its own",
            )


def check_side(side: str, spec: ModelSpec, needed: bool) -> None:
    """Refuse a side that the model has no W x for."""
    check_option("side", side, get_args(Side))
    if needed and side != "none" and not spec.has_lagged_regressors:
        raise OptionError(
            f"the model {spec.model!r} has no W x whose effect could be moderated",
            got=f"side={side!r}",
            fix="use model='slx', 'sdm' or 'sdem', or side=\"none\" to moderate the own effect only; "
            "spillover.fit_moderated_rho moderates the strength ρ of W y",
        )


def _main_effects(
    moderators: Sequence[Moderator], columns: Sequence[Column], weights: SpatialWeights | None
) -> Iterator[Column]:
    """z and W z of the moderators that are not regressors already, under whatever name."""

    def is_new(values: FloatArray) -> bool:
        return not any(np.array_equal(values, column.values) for column in columns)

    for z in moderators:
        if is_new(z.values):
            yield Column(z.name, z.values, z.name, "own")
        lagged = None if weights is None else weights.lag(z.values)
        if lagged is not None and is_new(lagged):
            yield Column(f"W*{z.name}", lagged, z.name, "lag")


def _products(
    columns: Sequence[Column],
    treatments: Sequence[str],
    moderators: Sequence[Moderator],
    side: str,
    weights: SpatialWeights | None,
) -> Iterator[Column]:
    """x·z, W(x·z) and z∘(W x), z centred."""
    values = {column.name: column.values for column in columns}
    for x in treatments:
        for z in moderators:
            product = values[x] * z.centred
            yield Column(f"{x}:{z.name}", product, x, "own", z.name, "own")
            if weights is None or side == "none":
                continue
            if side in ("both", "sender"):
                yield Column(f"{x}:{z.name}_sender", weights.lag(product), x, "lag", z.name, "sender")
            if side in ("both", "receiver"):
                received = z.centred * weights.lag(values[x])
                yield Column(f"{x}:{z.name}_receiver", received, x, "lag", z.name, "receiver")


def _paired(columns: Sequence[Column], treatments: Sequence[str], tables: Sequence[PairModerator]) -> Iterator[Column]:
    """W∘(L − L̄) x."""
    values = {column.name: column.values for column in columns}
    for x in treatments:
        for table in tables:
            yield Column(f"{x}:{table.name}_pair", np.asarray(table.matrix @ values[x]), x, "lag", table.name, "pair")
