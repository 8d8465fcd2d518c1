"""A model whose regressors are ready-made columns: every W x and every interaction is a column of its own.

A formula cannot say z∘(W x), W(z x) or x·1(q ≤ γ). Such columns are computed here, named as results show them, and
estimated by `models.fit` as what they are: regressors. The fit that comes back carries the model the user asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from spillover.errors import OptionError, SpilloverError, UnknownColumnError, did_you_mean, show_labels
from spillover.models.columns import HOLE_CAUSES
from spillover.models.complete import check_complete, is_absorbed
from spillover.models.fit import check_design, fit_spec
from spillover.models.formula import Formula, evaluate_term, parse_formula, term_name
from spillover.models.groups import transformation_of
from spillover.models.result import SpatialFit
from spillover.models.spec import ModelSpec
from spillover.panel.panel import Panel
from spillover.typing import FloatArray, ModelName
from spillover.weights.weights import SpatialWeights

Part: TypeAlias = Literal["own", "lag"]
"""What a coefficient multiplies in the effect matrix: I, or W."""

_WITHOUT_LAGS: Mapping[str, ModelName] = {"slx": "ols", "sdm": "sar", "sdem": "sem", "gns": "sac"}
HOLE_FIX = 'choose what goes: panel.complete([...], policy="drop-regions") or policy="drop-periods"'


@dataclass(frozen=True, eq=False)
class Column:
    """One regressor.

    Attributes
    ----------
    name : as results show it.
    values : (n, t), before effects are removed.
    variable : the regressor of the formula whose effect this coefficient is a part of.
    part : "own" (β, multiplies I) or "lag" (θ, multiplies W).
    moderator : name of what multiplies the regressor; "" for the regressor itself.
    side : whose value of the moderator: "own", "sender", "receiver", "pair"; "" without a moderator.
    """

    name: str
    values: FloatArray
    variable: str
    part: Part
    moderator: str = ""
    side: str = ""


def lag_weights(
    panel: Panel, weights: SpatialWeights | None, weights_x: SpatialWeights | None
) -> SpatialWeights | None:
    """The W of W x, its own where it has one, in the order of the panel; None without."""
    w = weights if weights_x is None else weights_x
    return None if w is None else w.align(panel.regions)


def plain_columns(
    formula: Formula, panel: Panel, weights: SpatialWeights | None, model: str, lagged: Sequence[str] | None = None
) -> list[Column]:
    """The regressors of a formula, and in Durbin models their spatial lags.

    Raises
    ------
    MissingCellError : missing cells, named. UnknownColumnError : a `lagged` term that is not in the formula.
    """
    values = {name: evaluate_term(factors, panel) for name, factors in zip(formula.names, formula.terms, strict=True)}
    check_complete(values, panel, causes=HOLE_CAUSES, fix=HOLE_FIX)
    columns = [Column(name, x, name, "own") for name, x in values.items()]
    if model not in _WITHOUT_LAGS:
        if lagged is not None:
            raise OptionError(
                f"the model {model!r} has no W x terms, so 'lagged' does not apply", fix="use 'slx', 'sdm' or 'sdem'"
            )
        return columns
    if weights is None:
        raise OptionError(
            f"the model {model!r} needs spatial weights",
            fix="give weights=spillover.weights.build_contiguity(panel), or model='ols'",
        )
    chosen = formula.names if lagged is None else tuple(find_term(formula, name, "to be lagged") for name in lagged)
    return columns + [Column(f"W*{name}", weights.lag(values[name]), name, "lag") for name in chosen]


def find_term(formula: Formula, name: str, purpose: str) -> str:
    """The regressor of a formula that a user named, in the spelling of results."""
    if not isinstance(name, str):
        raise OptionError(
            f"{purpose} is a regressor of the formula, as text", got=repr(name), fix='for example "log(lq)"'
        )
    found = term_name(name)
    if found not in formula.names:
        raise UnknownColumnError(
            f"{name!r} is {purpose} but is not a regressor of the formula",
            expected=show_labels(formula.names, 12),
            fix=did_you_mean(found, formula.names) or "write the term as it stands in the formula, e.g. log(lq)",
        )
    return found


def without_absorbed(columns: Sequence[Column], spec: ModelSpec, panel: Panel) -> tuple[list[Column], list[str]]:
    """(columns that the effects leave something of, names of the others)."""
    transformation = transformation_of(spec, panel)
    if not (transformation.removes_regions or transformation.removes_periods):
        return list(columns), []
    kept, gone = [], []
    for column in columns:
        if is_absorbed(transformation.apply(column.values), column.values):
            gone.append(column.name)
        else:
            kept.append(column)
    return kept, gone


def fit_columns(
    spec: ModelSpec,
    columns: Sequence[Column],
    panel: Panel,
    weights: SpatialWeights | Mapping[str, SpatialWeights] | None,
    *,
    weights_x: SpatialWeights | None = None,
    weights_error: SpatialWeights | None = None,
) -> SpatialFit:
    """Estimate y on the columns by the model of `spec`, with W x only where it is among the columns.

    spec : the model the user asked for; its formula gives the outcome.
    weights_x : the W that "lag" columns were made with, aligned to the panel; that of the outcome by default.

    Returns a `SpatialFit` whose terms have the names of the columns. Its own `effects()` are those of the plain
    regressors: with centred moderators, the effects where every moderator is at its centre.
    """
    inner, wide, shown = _as_regressors(spec, columns, panel)
    fitted = fit_spec(inner, wide, weights, weights_error=weights_error)
    return _renamed(fitted, spec, panel, columns, shown, parse_formula(spec.formula).response, weights_x)


def check_columns(
    spec: ModelSpec, columns: Sequence[Column], panel: Panel, weights: SpatialWeights | None = None
) -> None:
    """Raise what `fit_columns` would raise before it estimates: collinear columns by name, too few observations."""
    inner, wide, shown = _as_regressors(spec, columns, panel)
    try:
        check_design(inner, wide, weights if inner.uses_weights else None)
    except SpilloverError as error:
        text = str(error)
        for quoted, name in shown.items():
            text = text.replace(quoted, name)
        error.args = (text,)
        raise


def _as_regressors(spec: ModelSpec, columns: Sequence[Column], panel: Panel) -> tuple[ModelSpec, Panel, dict[str, str]]:
    """(model without lags of its own, panel with the columns, quoted name → name of a column)."""
    formula = parse_formula(spec.formula)
    names = [column.name for column in columns]
    quoted = {name: _quotable(name) for name in names}
    response = _quotable(formula.response)
    if len(set(quoted.values()) | {response}) != len(quoted) + 1:
        raise OptionError("two columns of the model have the same name", got=show_labels(names, 20))
    wide = panel.with_variables(
        {response: evaluate_term((formula.response,), panel), **{quoted[c.name]: c.values for c in columns}}
    )
    text = f"`{response}` ~ {'' if formula.intercept else '0 + '}" + " + ".join(f"`{quoted[name]}`" for name in names)
    inner = spec.with_changes(formula=text, model=_WITHOUT_LAGS.get(spec.model, spec.model), lagged=None)
    return inner, wide, {f"`{quoted[name]}`": name for name in names}


def _renamed(
    fitted: SpatialFit,
    spec: ModelSpec,
    panel: Panel,
    columns: Sequence[Column],
    shown: Mapping[str, str],
    response: str,
    weights_x: SpatialWeights | None,
) -> SpatialFit:
    """The fit under the names of the columns and of the user's model."""
    design = fitted.design
    terms = tuple(shown.get(name, name) for name in design.terms)
    at = {name: i for i, name in enumerate(terms)}
    plain = [column for column in columns if not column.moderator]
    own = {column.variable: at[column.name] for column in plain if column.part == "own"}
    neighbour = {column.variable: at[column.name] for column in plain if column.part == "lag"}
    order = [i for i, column in enumerate(columns) if not column.moderator and column.part == "own"]
    design = replace(
        design, terms=terms, own=own, neighbour=neighbour, response=response, x_raw=design.x_raw[np.array(order, int)]
    )
    estimates = replace(fitted.estimates, names=tuple(shown.get(name, name) for name in fitted.estimates.names))
    roles = replace(fitted.roles, regressors=weights_x if weights_x is not None else fitted.roles.main)
    return replace(
        fitted,
        spec=spec,
        estimates=estimates,
        roles=roles,
        point=replace(fitted.point, design=design),
        panel=panel,
    )


def _quotable(name: str) -> str:
    """A variable name that can stand in backticks."""
    return name.replace("`", "'")
