"""One round of a recovery: draw a panel, estimate, and set every estimate beside its truth."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import singledispatch
from typing import Any, TypeAlias

import numpy as np

from spillover.errors import OptionError, SpilloverError
from spillover.inference.estimates import Estimates
from spillover.panel.panel import Panel
from spillover.simulation.estimators import Estimator
from spillover.simulation.simulate import simulate
from spillover.simulation.spatial_truth import SpatialTruth
from spillover.simulation.truth import Truth


@dataclass(frozen=True)
class Reading:
    """One estimate of one round: label of the estimator, term, truth, estimate, error, interval and p-value."""

    label: str
    term: str
    truth: float
    estimate: float
    std_error: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True)
class Finding:
    """One quantity that an estimator found, with an interval and a test of its own: a share, a threshold, a distance.

    p_value : of the test that this quantity is zero, or that there is nothing to find; NaN where there is none.
    std_error : NaN where there is none.
    """

    term: str
    estimate: float
    std_error: float
    low: float
    high: float
    p_value: float


Truths: TypeAlias = Callable[[Any], Mapping[str, float]]
"""A truth → true values by the name under which an estimator reports them."""


@dataclass(frozen=True)
class Round:
    """What one round found: readings, or the sentence with which the estimator refused."""

    number: int
    readings: tuple[Reading, ...] = ()
    failure: str | None = None


@singledispatch
def true_values(truth: Any) -> dict[str, float]:
    """Every true number by the name under which estimators report it ("x0", "W*x0", "rho", "indirect: x0").

    A truth of another kind has a method `targets()` or a `closed_form`, or registers a function here.
    """
    if hasattr(truth, "targets"):
        return dict(truth.targets())
    if getattr(truth, "closed_form", None) is not None:  # agents in the special case that equals the mechanistic tier
        return true_values(truth.closed_form)
    raise OptionError("this truth has no named values", got=type(truth).__name__, expected="a method targets()")


@true_values.register
def _(truth: SpatialTruth) -> dict[str, float]:
    return truth.targets()


@true_values.register
def _(truth: Truth) -> dict[str, float]:
    effects = {"direct": truth.direct, "indirect": truth.spillover, "total": truth.total}
    found = {f"{name}: hti": value for name, value in effects.items()}
    for kind, effect in (("own", "direct"), ("spillover", "spillover"), ("total", "total")):
        found |= {f"share of {kind}: {channel}": share for channel, share in truth.shares(effect).items()}
    return found


def named_truths(truth: Any, truths: Truths | None) -> dict[str, float]:
    """What is true, by name: as `truths` says, and as the truth says itself where `truths` does not."""
    if truths is None:
        return true_values(truth)
    own: dict[str, float] = {}
    with suppress(OptionError):  # a truth that names nothing itself
        own = true_values(truth)
    return own | {name: float(value) for name, value in truths(truth).items()}


def play_round(
    config: Any, estimator: Estimator, number: int, seed: int, level: float, truths: Truths | None = None
) -> Round:
    """Draw panel `number` from its own seed and estimate it; a refusal is a result, not an error."""
    panel, truth = simulate(config, seed)
    known = named_truths(truth, truths)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = _answer(estimator, panel, truth)
            labelled = found if isinstance(found, Mapping) else {"": found}
            readings = tuple(r for label, fit in labelled.items() for r in _readings(label, fit, known, level))
    except SpilloverError as error:
        return Round(number, failure=error.what)
    except (np.linalg.LinAlgError, ArithmeticError) as error:
        return Round(number, failure=f"{type(error).__name__}: {error}")
    return Round(number, readings)


def _answer(estimator: Estimator, panel: Panel, truth: Any) -> Any:
    """What the estimator says with the W of the truth, and with its W of the error where it asks for that."""
    weights, error = getattr(truth, "weights", None), getattr(truth, "weights_error", None)
    if error is None or error is weights or not _takes_error_weights(estimator):
        return estimator(panel, weights)
    return estimator(panel, weights, weights_error=error)


def _takes_error_weights(estimator: Estimator) -> bool:
    try:
        return "weights_error" in inspect.signature(estimator).parameters
    except (TypeError, ValueError):  # something built in, which does not say
        return False


def play_rounds(
    config: Any,
    estimator: Estimator,
    numbers: tuple[int, ...],
    seeds: tuple[int, ...],
    level: float,
    truths: Truths | None = None,
) -> list[Round]:
    """Several rounds: what one worker does at a time."""
    pairs = zip(numbers, seeds, strict=True)
    return [play_round(config, estimator, number, seed, level, truths) for number, seed in pairs]


def _readings(label: str, fit: Any, known: Mapping[str, float], level: float) -> Iterator[Reading]:
    """Coefficients, then effects; what has no truth is left out, not a number stays one."""
    for table in _tables(fit, level):
        horizons = table["horizon"] if "horizon" in table else ("short",) * len(table["term"])
        columns = ("term", "estimate", "std_error", "conf_low", "conf_high", "p_value")
        for term, horizon, *numbers in zip(table["term"], horizons, *(table[c] for c in columns[1:]), strict=True):
            name = term if horizon == "short" else f"{term} (long)"
            if name in known:
                yield Reading(label, name, float(known[name]), *map(float, numbers))


def _tables(fit: Any, level: float) -> Iterator[Any]:
    if isinstance(fit, Estimates):
        yield fit.tidy(level)
        return
    if isinstance(fit, Sequence) and all(isinstance(each, Finding) for each in fit):
        columns = {"low": "conf_low", "high": "conf_high"}
        yield {columns.get(f.name, f.name): [getattr(each, f.name) for each in fit] for f in fields(Finding)}
        return
    if not hasattr(fit, "estimates"):  # a mistake of the estimator's author, not a refusal
        raise TypeError(f"an estimator answers with .estimates, Estimates or Findings, not with {type(fit).__name__}")
    yield fit.estimates.tidy(level)
    if hasattr(fit, "effects"):
        yield fit.effects(level=level)
    elif hasattr(fit, "semi_elasticities"):
        yield fit.semi_elasticities().tidy(level)
