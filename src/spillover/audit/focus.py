"""What an audit looks at: one regressor, its effect at home and its spillover."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spillover.effects.impacts import average_effects
from spillover.errors import OptionError, UnknownColumnError, did_you_mean, show_labels
from spillover.inference.estimates import Estimates
from spillover.models.formula import term_name
from spillover.models.result import SpatialFit

KINDS = {"own": "direct", "spillover": "indirect"}
"""The two effects of an audit under the names that `SpatialFit.effects` gives them."""


@dataclass(frozen=True)
class Effect:
    """One effect: value, standard error, two-sided p-value, 95 % interval, degrees of freedom (None: normal)."""

    value: float
    std_error: float
    p_value: float
    low: float
    high: float
    df: float | None

    @property
    def t_ratio(self) -> float:
        """Value in standard errors."""
        return self.value / self.std_error


@dataclass(frozen=True)
class FocusEffects:
    """Effect of the regressor `variable` at home and on all other regions together (None where the model has none)."""

    variable: str
    own: Effect
    spillover: Effect | None

    def items(self) -> tuple[tuple[str, Effect], ...]:
        """("own", effect) and, where there is one, ("spillover", effect)."""
        return (("own", self.own), *((("spillover", self.spillover),) if self.spillover is not None else ()))


def choose_variable(fit: SpatialFit, variable: str | None = None) -> str:
    """The regressor an audit concerns, as it stands in the formula; the first one by default.

    Raises
    ------
    OptionError : not a `SpatialFit`.   UnknownColumnError : no such regressor.
    """
    if not isinstance(fit, SpatialFit):
        raise OptionError(
            "the audit needs a fit by maximum likelihood, with fixed effects or none",
            got=type(fit).__name__,
            expected="a SpatialFit; the bootstrap, the shuffles and the refits know no other",
            fix='fit the same formula and W with effects="two-way" (or "individual") and audit that fit',
        )
    known = tuple(fit.design.own)
    name = known[0] if variable is None else term_name(variable)
    if name not in known:
        raise UnknownColumnError(
            f"the model has no regressor {variable!r} to audit",
            expected=show_labels(known, 12),
            fix=did_you_mean(name, known) or "write the term as it stands in the formula, e.g. log(lq)",
        )
    return name


def has_spillover(fit: SpatialFit) -> bool:
    """Whether the model lets a regressor act on other regions."""
    return bool(fit.design.neighbour) or bool(fit.roles.outcome)


def check_spillover(fit: SpatialFit, variable: str) -> None:
    """Refuse a model in which the regressor `variable` acts on no other region."""
    if bool(fit.roles.outcome) or variable in fit.design.neighbour:
        return
    raise OptionError(
        f"{variable!r} has no spillover in this {fit.spec.model} model: there is nothing to examine between regions",
        expected="a model with W x of this regressor, or with W y",
        fix='use model="slx" or "sdm"' + ("" if fit.spec.lagged is None else f", and name {variable!r} in lagged=…"),
    )


def focus_effects(fit: SpatialFit, variable: str | None = None, level: float = 0.95) -> FocusEffects:
    """The two effects of `variable` with the covariance of the fit."""
    name = choose_variable(fit, variable)
    estimates = average_effects(fit, [name])
    own = read_effect(estimates, f"direct: {name}", level)
    spills = has_spillover(fit) and (name in fit.design.neighbour or bool(fit.roles.outcome))
    return FocusEffects(name, own, read_effect(estimates, f"indirect: {name}", level) if spills else None)


def read_effect(estimates: Estimates, name: str, level: float = 0.95) -> Effect:
    """One of the estimates with its error, p-value and interval."""
    at = estimates.index(name)
    low, high = estimates.confint(level)[at]
    return Effect(
        float(estimates.values[at]),
        float(estimates.std_errors[at]),
        float(np.asarray(estimates.p_values())[at]),
        float(low),
        float(high),
        estimates.df,
    )
