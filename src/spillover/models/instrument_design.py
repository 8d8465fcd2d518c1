"""Panel + SpatialWeights + InstrumentSpec → `InstrumentDesign`: arrays, checked, instruments chosen and named."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spillover.errors import (
    DesignError,
    OptionError,
    show_labels,
)
from spillover.models.complete import check_complete, is_absorbed
from spillover.models.formula import evaluate_term
from spillover.models.instrument_formula import InstrumentFormula, Terms, names_of, parse_instrument_formula
from spillover.models.instrument_spec import InstrumentSpec
from spillover.models.lagged import choose_lagged
from spillover.models.moments import MomentSystem, orthonormalise
from spillover.numerics.within import Transformation
from spillover.panel.panel import Panel
from spillover.typing import FloatArray
from spillover.weights.weights import SpatialWeights

Columns = dict[str, FloatArray]


@dataclass(frozen=True, eq=False)
class InstrumentDesign:
    """Everything the estimators by instruments need, means removed after lagging.

    Attributes
    ----------
    system : regressors (terms, then W y where the model has it), outcome and orthonormal instruments.
    terms : k slopes: intercept, x, a, W x, W a.
    endogenous : names of the regressors that are not exogenous: a, W a, "rho" (W y).
    instruments : excluded instruments that were used. dropped : those that repeat others.
    own, neighbour : regressor → position of its β and its θ in `terms`.
    raw : variables of the formula as they came, name → (n, t).
    """

    regions: tuple[str, ...]
    periods: tuple[int | str, ...]
    system: MomentSystem
    terms: tuple[str, ...]
    endogenous: tuple[str, ...]
    instruments: tuple[str, ...]
    dropped: tuple[str, ...]
    own: dict[str, int]
    neighbour: dict[str, int]
    formula: InstrumentFormula
    raw: Columns

    @property
    def k(self) -> int:
        """Number of slopes, intercept included, W y not."""
        return len(self.terms)

    @property
    def response(self) -> str:
        """Expression of the outcome."""
        return self.formula.response

    @property
    def transformation(self) -> Transformation:
        """Means removed, n and t."""
        return self.system.transformation

    @property
    def shape(self) -> tuple[int, int]:
        """(n, t)."""
        return self.system.shape

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all parameters, "rho" last where the model has it."""
        return (*self.terms, "rho") if "rho" in self.endogenous else self.terms


def build_instrument_design(spec: InstrumentSpec, panel: Panel, weights: SpatialWeights | None) -> InstrumentDesign:
    """Evaluate the formula, lag in space, remove means, choose instruments; refuse what cannot identify.

    Raises
    ------
    OptionError : no W where one is needed.
    MissingCellError : holes in the variables; the cells are named.
    DesignError : collinear or absorbed columns, missing instruments, too few observations; all named.
    """
    formula = parse_instrument_formula(spec.formula)
    _check_panel(spec, formula, panel, weights)
    raw = evaluate_terms(formula, panel)
    n, t = panel.shape
    transformation = Transformation(spec.effects, "none", n, t)
    known = (*formula.exogenous_names, *formula.endogenous_names)
    lagged = choose_lagged(known, spec.model, spec.lagged)
    structural = _structural_columns(spec, formula, raw, lagged, weights)
    candidates = _candidates(spec, formula, raw, structural, weights)
    endogenous = [*formula.endogenous_names, *(f"W*{name}" for name in formula.endogenous_names if name in lagged)]
    terms = tuple(structural)
    if spec.has_spatial_lag:
        assert weights is not None
        endogenous.append("rho")
        structural["rho"] = weights.lag(raw[formula.response])
    system, kept, dropped = _system(structural, endogenous, candidates, raw[formula.response], transformation, formula)
    design = InstrumentDesign(
        regions=panel.regions,
        periods=panel.periods,
        system=system,
        terms=terms,
        endogenous=tuple(endogenous),
        instruments=kept,
        dropped=dropped,
        own={name: terms.index(name) for name in (*formula.exogenous_names, *formula.endogenous_names)},
        neighbour={name: terms.index(f"W*{name}") for name in lagged},
        formula=formula,
        raw=raw,
    )
    _check_size(design)
    return design


def evaluate_terms(formula: InstrumentFormula, panel: Panel) -> Columns:
    """Outcome, x, a and z as (n, t) arrays by name; finite or refused."""
    parts: Terms = ((formula.response,), *formula.exogenous, *formula.endogenous, *formula.excluded)
    columns = {name: evaluate_term(factors, panel) for name, factors in zip(names_of(parts), parts, strict=True)}
    check_complete(
        columns,
        panel,
        of="the model or its instruments",
        causes=("the table has blanks", "a time lag reaches before the first period"),
        fix='choose what goes: panel.complete([...], policy="drop-regions") or policy="drop-periods"',
    )
    return columns


def _structural_columns(
    spec: InstrumentSpec,
    formula: InstrumentFormula,
    raw: Columns,
    lagged: tuple[str, ...],
    weights: SpatialWeights | None,
) -> Columns:
    """Intercept, x, a, W x, W a in the order of the terms."""
    own = (*formula.exogenous_names, *formula.endogenous_names)
    columns: Columns = {}
    if formula.intercept and spec.effects == "none":
        columns["(Intercept)"] = np.ones_like(raw[formula.response])
    columns |= {name: raw[name] for name in own}
    for name in lagged:
        assert weights is not None
        columns[f"W*{name}"] = weights.lag(raw[name])
    return columns


def _candidates(
    spec: InstrumentSpec,
    formula: InstrumentFormula,
    raw: Columns,
    structural: Columns,
    weights: SpatialWeights | None,
) -> Columns:
    """Excluded instruments in the order of preference: z, W z, W²z, then W²x, W³x (and W x where not in the model)."""
    lags_endogenous = any(f"W*{name}" in structural for name in formula.endogenous_names)
    own_order, external_order = spec.orders(lags_endogenous)
    found: Columns = {}
    for names, highest, first in (
        (formula.excluded_names, external_order if spec.uses_weights else 0, 0),
        (formula.exogenous_names, own_order if spec.has_spatial_lag else 0, 1),
    ):
        powers = {name: raw[name] for name in names}
        for order in range(highest + 1):
            for name in names:
                if order:
                    assert weights is not None
                    powers[name] = weights.lag(powers[name])
                label = name if order == 0 else f"W*{name}" if order == 1 else f"W{order}*{name}"
                if order >= first and label not in structural:
                    found[label] = powers[name]
    return found


def _system(
    structural: Columns,
    endogenous: list[str],
    candidates: Columns,
    outcome: FloatArray,
    transformation: Transformation,
    formula: InstrumentFormula,
) -> tuple[MomentSystem, tuple[str, ...], tuple[str, ...]]:
    """The moment system, and the names of the instruments kept and dropped."""
    names = tuple(structural)
    regressors = _demeaned(structural, transformation, "the regressor")
    target = _demeaned({formula.response: outcome}, transformation, "the outcome")[:, 0]
    inside = [j for j, name in enumerate(names) if name not in endogenous]
    included, _, repeated = orthonormalise(regressors[:, inside])
    _refuse_collinear([names[inside[j]] for j in repeated], "the exogenous regressors before it")
    _, _, repeated = orthonormalise(regressors[:, [names.index(name) for name in endogenous]], included)
    _refuse_collinear([endogenous[j] for j in repeated], "other regressors")
    columns, absorbed = _demeaned_instruments(candidates, transformation)
    usable = [name for name in candidates if name not in absorbed]
    _refuse_repeated(formula.excluded_names, usable, columns, included)
    basis, kept, dropped = orthonormalise(columns, included)
    if basis.shape[1] < len(endogenous):
        raise DesignError(
            "too few instruments for the endogenous regressors",
            got=f"{basis.shape[1]} independent instruments ({show_labels(usable[j] for j in kept) or 'none'}) for "
            f"{show_labels(endogenous)}" + (f"; absorbed by the effects: {show_labels(absorbed)}" if absorbed else ""),
            expected="at least as many independent instruments as endogenous regressors",
            causes=("an instrument that the effects absorb (constant in time or over regions)", "W z repeats z"),
            fix="interact a fixed instrument with a national trend, raise instrument_orders, or name more instruments",
        )
    system = MomentSystem(
        regressors=regressors,
        outcome=target,
        basis=np.column_stack([included, basis]),
        included=included.shape[1],
        endogenous=tuple(names.index(name) for name in endogenous),
        transformation=transformation,
    )
    return system, tuple(usable[j] for j in kept), (*absorbed, *(usable[j] for j in dropped))


def _demeaned(columns: Columns, transformation: Transformation, role: str) -> FloatArray:
    """(m, k) columns with means removed; one that the effects absorb is refused by name."""
    found = np.empty((transformation.n * transformation.t, len(columns)))
    for j, (name, values) in enumerate(columns.items()):
        found[:, j] = transformation.apply(values).ravel()
        if is_absorbed(found[:, j], values):
            raise DesignError(
                f"{role} {name!r} is absorbed by effects={transformation.effects!r}"
                if transformation.effects != "none"
                else f"{role} {name!r} is zero everywhere",
                causes=("a variable that is constant in time (area, distance to the coast)", "a national series"),
                fix=f"drop {name!r}, interact it with something that varies, or use other effects",
            )
    return found


def _demeaned_instruments(candidates: Columns, transformation: Transformation) -> tuple[FloatArray, list[str]]:
    """(m, q) instruments with means removed, and the names of those that the effects absorb."""
    kept, absorbed = [], []
    for name, values in candidates.items():
        column = transformation.apply(values).ravel()
        if is_absorbed(column, values):
            absorbed.append(name)
        else:
            kept.append(column)
    m = transformation.n * transformation.t
    return (np.column_stack(kept) if kept else np.zeros((m, 0))), absorbed


def _refuse_collinear(names: list[str], of: str) -> None:
    if names:
        raise DesignError(
            "some regressors are exact combinations of others",
            got=f"{show_labels(names)}: a combination of {of}",
            causes=("the same variable in two units or under two names", "shares or dummies that add up"),
            fix="drop one regressor of each combination, or choose which are lagged in space with lagged=…",
        )


def _refuse_repeated(names: tuple[str, ...], usable: list[str], columns: FloatArray, included: FloatArray) -> None:
    """A named instrument that the exogenous regressors contain is a mistake to show, not to drop."""
    for name in names:
        if name in usable and orthonormalise(columns[:, [usable.index(name)]], included)[2]:
            raise DesignError(
                f"the instrument {name!r} is a combination of the exogenous regressors",
                causes=("it also stands before | in another form", "a share that adds up with regressors"),
                fix="an instrument moves the endogenous regressor beyond the exogenous ones: leave this one out",
            )


def _check_panel(
    spec: InstrumentSpec, formula: InstrumentFormula, panel: Panel, weights: SpatialWeights | None
) -> None:
    n, t = panel.shape
    if spec.uses_weights and weights is None:
        raise OptionError(
            f"a {spec.model} model needs spatial weights",
            fix="give weights=spillover.weights.build_contiguity(panel), or model='ols'",
        )
    if spec.removes_regions and t < 2:
        raise DesignError(
            f"{spec.effects} effects need at least two periods",
            got=f"one period ({panel.periods[0]}) of {n} regions",
            fix="name the period column, or use effects='none' for a cross-section",
        )


def _check_size(design: InstrumentDesign) -> None:
    n, t = design.shape
    instruments, free = design.system.basis.shape[1], design.transformation.free_observations
    if n < 10:
        raise DesignError("too few regions", got=f"{n} regions", expected="at least 10", fix="add regions")
    if instruments >= free:
        raise DesignError(
            "as many instruments as observations: two-stage least squares is then least squares",
            got=f"{instruments} instruments (exogenous regressors included) for {n} regions × {t} periods",
            expected=f"fewer than {free}, and better fewer than {n // 2} (half the regions)",
            fix="lower instrument_orders, lag fewer regressors, or name fewer instruments",
        )
    if free < len(design.names) + 20:
        raise DesignError(
            "fewer observations than the model needs",
            got=f"{n} regions × {t} periods for {len(design.names)} parameters",
            expected="at least 20 observations more than parameters",
            fix="drop regressors, lag fewer of them in space (lagged=…), or add regions",
        )
