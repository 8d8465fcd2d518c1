"""Panel + SpatialWeights + ModelSpec → `Design`: named arrays, checked; arrays only from here on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spillover.errors import (
    DesignError,
    MissingCellError,
    OptionError,
    UnknownColumnError,
    did_you_mean,
    show_labels,
)
from spillover.models.formula import Formula, evaluate_term, parse_formula
from spillover.models.spec import ModelSpec
from spillover.numerics.within import Transformation
from spillover.panel.panel import Panel
from spillover.typing import FloatArray
from spillover.weights.weights import SpatialWeights

CONSTANT_SHARE = 1e-9  # of a column's length that must survive demeaning; less is rounding


@dataclass(frozen=True, eq=False)
class Design:
    """Everything an estimator needs, demeaned after lagging.

    Attributes
    ----------
    y : (n, t) outcome, demeaned.
    wy : (n, t) W y, lagged first and demeaned then; zeros for models without W.
    z : (n, t, k) regressors: intercept, X, W X; demeaned.
    y_raw, x_raw : the outcome (n, t) and X without intercept (n, t, kx) as they came.
    terms : k names, "log(lq)" and "W*log(lq)".
    own, neighbour : regressor → position of its β and (where lagged) its θ in `terms`.
    transformation : effects, correction and effective sizes.
    """

    regions: tuple[str, ...]
    periods: tuple[int | str, ...]
    y: FloatArray
    wy: FloatArray
    z: FloatArray
    y_raw: FloatArray
    x_raw: FloatArray
    terms: tuple[str, ...]
    own: dict[str, int]
    neighbour: dict[str, int]
    response: str
    transformation: Transformation

    @property
    def stacked_z(self) -> FloatArray:
        """(n t, k) view of the regressors."""
        return self.z.reshape(-1, self.z.shape[2])


def build_design(spec: ModelSpec, panel: Panel, weights: SpatialWeights | None) -> Design:
    """Evaluate the formula, lag in space, demean, and refuse what cannot identify the parameters."""
    formula = parse_formula(spec.formula)
    _check_panel(spec, panel, weights)
    y_raw, x_raw = _evaluate(formula, panel)
    n, t, kx = x_raw.shape
    transformation = Transformation(spec.effects, spec.correction, n, t)
    lagged = _lagged_positions(spec, formula)
    intercept = formula.intercept and spec.effects == "none"

    blocks = [y_raw[:, :, None], x_raw]
    names = ["", *formula.names]
    if spec.uses_weights:
        assert weights is not None
        stack = np.concatenate([y_raw[:, :, None], x_raw[:, :, lagged]], axis=2)
        lags = weights.lag(stack.reshape(n, -1)).reshape(n, t, -1)
        blocks += [lags[:, :, 1:], lags[:, :, :1]]
        names += [f"W*{formula.names[j]}" for j in lagged]
    everything = transformation.apply(np.concatenate(blocks, axis=2))
    k = kx + len(lagged)
    _check_constants(
        spec, np.concatenate(blocks[: 2 + bool(lagged)], axis=2)[:, :, : 1 + k], everything, names, formula
    )
    z = everything[:, :, 1 : 1 + k]
    terms = names[1:]
    if intercept:
        z = np.concatenate([np.ones((n, t, 1)), z], axis=2)
        terms = ["(Intercept)", *terms]
    position = {name: i for i, name in enumerate(terms)}
    design = Design(
        regions=panel.regions,
        periods=panel.periods,
        y=everything[:, :, 0],
        wy=everything[:, :, -1] if spec.uses_weights else np.zeros((n, t)),
        z=np.ascontiguousarray(z),
        y_raw=y_raw,
        x_raw=x_raw,
        terms=tuple(terms),
        own={name: position[name] for name in formula.names},
        neighbour={formula.names[j]: position[f"W*{formula.names[j]}"] for j in lagged},
        response=formula.response,
        transformation=transformation,
    )
    _check_size(design)
    return design


def _check_panel(spec: ModelSpec, panel: Panel, weights: SpatialWeights | None) -> None:
    n, t = panel.shape
    if spec.uses_weights and weights is None:
        raise OptionError(
            f"a {spec.model} model needs spatial weights",
            fix="give weights=spillover.weights.build_contiguity(panel), or model='ols'",
        )
    if spec.effects in ("individual", "two-way") and t < 2:
        raise DesignError(
            f"{spec.effects} effects need at least two periods",
            got=f"one period ({panel.periods[0]}) of {n} regions",
            causes=("the period column was not named", "only one period was selected"),
            fix="name the period column, or use effects='none' for a cross-section",
        )


def _evaluate(formula: Formula, panel: Panel) -> tuple[FloatArray, FloatArray]:
    """(y, X): outcome (n, t) and regressors (n, t, kx), finite everywhere."""
    n, t = panel.shape
    columns = {formula.response: evaluate_term((formula.response,), panel)}
    columns |= {name: evaluate_term(factors, panel) for name, factors in zip(formula.names, formula.terms, strict=True)}
    holes = []
    for name, values in columns.items():
        if not np.isfinite(values).all():
            cells = np.argwhere(~np.isfinite(values))
            holes += [f"{name} of {panel.regions[i]} in {panel.periods[j]}" for i, j in cells]
    if holes:
        raise MissingCellError(
            f"{len(holes)} cells of the model are missing or not finite",
            got=show_labels(holes),
            causes=(
                "the table has blanks",
                "a (region, period) row is absent",
                "a time lag reaches before the first period",
            ),
            fix='choose what goes: panel.complete([...], policy="drop-regions") or policy="drop-periods", '
            'or panel.select(periods=…); a study file says missing = "drop-regions"',
        )
    x = np.stack([columns[name] for name in formula.names], axis=2)
    return columns[formula.response], x


def _lagged_positions(spec: ModelSpec, formula: Formula) -> list[int]:
    if not spec.has_lagged_regressors:
        return []
    if spec.lagged is None:
        return list(range(len(formula.names)))
    if not spec.lagged:
        raise OptionError(f"a {spec.model} model with no lagged regressor", fix="use model='ols' or 'sar'")
    positions = []
    for name in spec.lagged:
        if name not in formula.names:
            raise UnknownColumnError(
                f"{name!r} is to be lagged in space but is not a regressor of the formula",
                expected=show_labels(formula.names, 12),
                fix=did_you_mean(name, formula.names) or "write the term as it stands in the formula, e.g. log(lq)",
            )
        positions.append(formula.names.index(name))
    return sorted(set(positions))


def _check_constants(
    spec: ModelSpec, before: FloatArray, after: FloatArray, names: list[str], formula: Formula
) -> None:
    """Refuse columns that the effects (or the intercept) absorb completely."""
    removes = {
        "none": "does not vary at all",
        "individual": "does not vary over time within any region, so the region effects absorb it",
        "time": "does not vary over regions within any period, so the period effects absorb it",
        "two-way": "is a sum of a region part and a period part, so the two-way effects absorb it",
    }
    centred = before - before.mean(axis=(0, 1)) if spec.effects == "none" else after
    for j in range(before.shape[2]):
        length = float(np.linalg.norm(before[:, :, j]))
        if spec.effects == "none" and not formula.intercept and j > 0:
            continue
        if np.linalg.norm(centred[:, :, j]) <= CONSTANT_SHARE * max(length, 1e-300):
            name = formula.response if j == 0 else names[j]
            raise DesignError(
                f"{'the outcome' if j == 0 else 'the regressor'} {name!r} {removes[spec.effects]}",
                causes=("a variable that is constant in time (area, distance to the coast)", "a national series"),
                fix=f"drop {name!r}, interact it with something that varies, or use other effects",
            )


def _check_size(design: Design) -> None:
    n, t = design.y.shape
    k = len(design.terms)
    if n < 10:
        raise DesignError(
            "too few regions for a spatial model", got=f"{n} regions", expected="at least 10", fix="add regions"
        )
    if n <= k + 1 or n * t < k + 20:
        raise DesignError(
            "fewer observations than the model needs",
            got=f"{n} regions × {t} periods for {k} slopes",
            expected="more regions than parameters, and at least 20 observations more than slopes",
            fix="drop regressors, lag fewer of them in space (lagged=…), or add regions",
        )
