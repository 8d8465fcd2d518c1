"""Fit every equation of a system on its common sample; `Settings` says how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from spillover.errors import SpilloverError
from spillover.inference.estimates import Estimates
from spillover.mechanisms.equation import Equation
from spillover.mechanisms.joint import joint_estimates
from spillover.mechanisms.sample import Sample, column_name, term_column
from spillover.mechanisms.system import System
from spillover.models.fit import check_design, fit_spec
from spillover.models.result import SpatialFit
from spillover.models.spec import Groups, ModelSpec, Segments
from spillover.panel.panel import Panel
from spillover.typing import Correction, Effects


@dataclass(frozen=True)
class Settings:
    """How the equations are estimated; `own` holds changes for single equations by name.

    Attributes
    ----------
    effects, correction, groups, segments : as in `spillover.fit`.
    covariance, cutoff_km, time_lags : of all equations together.
    """

    effects: Effects
    correction: Correction = "lee-yu"
    covariance: str = "cluster"
    cutoff_km: float | None = None
    time_lags: int | None = None
    groups: Groups = field(default=None, hash=False)
    segments: Segments = field(default=None, hash=False)
    own: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)

    def of(self, equation: str) -> Settings:
        """The settings of one equation."""
        return replace(self, own={}, **self.own.get(equation, {}))


def fit_equations(system: System, sample: Sample, settings: Settings) -> tuple[SpatialFit, ...]:
    """One fit per equation, terms named as the equation writes them; refusals name the equation."""
    return tuple(fit_equation(equation, sample, sample.panel, settings) for equation in system.equations)


def check_equations(system: System, sample: Sample, settings: Settings) -> None:
    """Refuse what fitting would refuse before it estimates: what does not vary, too few observations."""
    for equation in system.equations:
        try:
            spec = _specification(equation, sample, sample.panel, settings)
            check_design(spec, sample.panel, sample.feedback(equation))
        except SpilloverError as error:
            raise _told(error, equation, _columns(equation)) from None


def fit_equation(equation: Equation, sample: Sample, panel: Panel, settings: Settings) -> SpatialFit:
    """Least squares, or exact maximum likelihood where the response is lagged.

    panel : the sample's columns, or other values under the same names.
    """
    columns = _columns(equation)
    try:
        fitted = fit_spec(_specification(equation, sample, panel, settings), panel, sample.feedback(equation))
    except SpilloverError as error:
        raise _told(error, equation, columns) from None
    names = tuple(columns.get(name.strip("`"), name) for name in fitted.estimates.names)
    return replace(fitted, estimates=replace(fitted.estimates, names=names))


def _specification(equation: Equation, sample: Sample, panel: Panel, settings: Settings) -> ModelSpec:
    chosen = settings.of(equation.name)
    right = " + ".join(f"`{column}`" for column in _columns(equation)) + ("" if equation.intercept else " - 1")
    return ModelSpec.of(
        panel,
        f"`{column_name(equation.response)}` ~ {right}",
        model="ols" if sample.feedback(equation) is None else "sar",
        effects=chosen.effects,
        correction=chosen.correction,
        covariance=chosen.covariance,  # type: ignore[arg-type]
        cutoff_km=chosen.cutoff_km,
        time_lags=chosen.time_lags,
        groups=chosen.groups,
        segments=chosen.segments,  # type: ignore[arg-type]
    )


def _columns(equation: Equation) -> dict[str, str]:
    """Column of the sample → term as the equation writes it."""
    return {term_column(equation, term): term.name for term in equation.terms}


def joint(system: System, fits: tuple[SpatialFit, ...], settings: Settings) -> Estimates:
    """The coefficients of all equations with their joint covariance."""
    return joint_estimates([e.name for e in system.equations], fits, settings.covariance)


def _told(error: SpilloverError, equation: Equation, columns: Mapping[str, str]) -> SpilloverError:
    """The same error, with the equation and its terms as the user wrote them."""
    text = str(error)
    for column, name in columns.items():
        text = text.replace(f"`{column}`", name)
    text = text.replace(f"`{column_name(equation.response)}`", equation.response)
    return type(error)(f"equation of {equation.name!r}: {text}")
