"""`Wiring`: how the arrows of a system depend on its coefficients, at chosen levels of the variables.

The arrow from l to k is the matrix Σ_w c_w W_w, with W_w the identity for the effect at home and every W through which
the equation of k lags l; an exposure is a diagonal matrix at home and a W. Each c_w is linear in the coefficients θ of
all equations: c = L θ. Where the source stands in a product (a square, an interaction), its slope is taken at the level
of the other factors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from spillover.errors import OptionError, UnknownColumnError, did_you_mean, show_labels
from spillover.mechanisms.equation import Equation, Term
from spillover.mechanisms.exposure import Diagonal, Exposure
from spillover.mechanisms.sample import Sample, Weights
from spillover.mechanisms.system import Path, System
from spillover.models.formula import plain
from spillover.typing import BoolArray, FloatArray
from spillover.weights.weights import SpatialWeights

Operator: TypeAlias = SpatialWeights | Diagonal | None


@dataclass(frozen=True, eq=False)
class Link:
    """One arrow.

    Attributes
    ----------
    operators : d matrices: None for the identity.
    loadings : (d, k) L, coefficients c = L θ.
    """

    source: str
    target: str
    operators: tuple[Operator, ...]
    loadings: FloatArray

    @property
    def at_home(self) -> BoolArray:
        """(d,) whether a matrix stays in its region."""
        return np.array([not isinstance(operator, SpatialWeights) for operator in self.operators])


@dataclass(frozen=True, eq=False)
class Feedback:
    """The lag of a response: its W, and where its ρ stands in θ."""

    weights: SpatialWeights
    position: int


@dataclass(frozen=True, eq=False)
class Wiring:
    """All arrows and feedbacks of a system.

    Attributes
    ----------
    names : of the k coefficients θ.
    links : (source, target) → arrow. feedbacks : equation → lag of its response, where it has one.
    levels : expression → value at which slopes of products are taken, for those that matter.
    """

    system: System
    names: tuple[str, ...]
    links: Mapping[tuple[str, str], Link]
    feedbacks: Mapping[str, Feedback]
    levels: Mapping[str, float]

    @property
    def size(self) -> int:
        """k."""
        return len(self.names)

    def stations(self, path: Path) -> tuple[tuple[Link, str], ...]:
        """Arrow and equation at its end, from the treatment to the outcome."""
        ends = (*path.mediators, self.system.outcome.name)
        starts = ("treatment", *path.mediators)
        return tuple((self.links[s, e], e) for s, e in zip(starts, ends, strict=True))


def build_wiring(system: System, sample: Sample, names: Sequence[str], at: Mapping[str, float] | None = None) -> Wiring:
    """Arrows of a system at the sample means, or at the levels `at` {channel or expression: value}.

    Raises `UnknownColumnError` for a level of something that is in no product.
    """
    position = {name: i for i, name in enumerate(names)}
    levels = _levels(system, sample, dict(at or {}))
    links: dict[tuple[str, str], dict[int, tuple[Operator, FloatArray]]] = {}
    feedbacks = {}
    for equation in system.equations:
        own = sample.feedback(equation)
        if own is not None:
            feedbacks[equation.name] = Feedback(own, position[f"{equation.name}: rho"])
        for term in equation.terms:
            lag = None if term.lag is None else sample.weights[equation.name, term.lag]
            for source, slope in _slopes(system, equation, term, levels):
                parts = links.setdefault((source, equation.name), {})
                for operator in _operators(lag):
                    _, loading = parts.setdefault(id(operator), (operator, np.zeros(len(names))))
                    loading[position[f"{equation.name}: {term.name}"]] += slope
    arrows = {
        (s, t): Link(s, t, tuple(o for o, _ in parts.values()), np.array([loading for _, loading in parts.values()]))
        for (s, t), parts in links.items()
    }
    return Wiring(system, tuple(names), arrows, feedbacks, levels)


def _operators(lag: Weights | None) -> tuple[Operator, ...]:
    return (lag.home, lag.weights) if isinstance(lag, Exposure) else (lag,)


def _slopes(system: System, equation: Equation, term: Term, levels: Mapping[str, float]) -> list[tuple[str, float]]:
    """(source, ∂ product / ∂ source) for each occurrence of a treatment or mediator among the factors."""
    found = []
    for i, factor in enumerate(term.factors):
        source = system.nodes.get(plain(factor))
        if source is not None:
            rest = [plain(other) for j, other in enumerate(term.factors) if j != i]
            found.append((source, float(np.prod([levels[other] for other in rest])) if rest else 1.0))
    return found


def _levels(system: System, sample: Sample, at: dict[str, float]) -> dict[str, float]:
    """Level of every factor of a product that holds a treatment or mediator."""
    levels: dict[str, float] = {}
    for equation in system.equations:
        for term in equation.terms:
            if len(term.factors) > 1 and system.sources_of(term):
                levels |= {plain(f): float(sample.factors[equation.name, f].mean()) for f in term.factors}
    by_channel = {e.name: plain(e.response) for e in system.mediators}
    for name, value in at.items():
        key = by_channel.get(name, plain(name))
        if key not in levels:
            raise UnknownColumnError(
                f"{name!r} is in no product with the treatment or a mediator, so no effect depends on its level",
                expected=show_labels(levels, 12) or "a square or an interaction in one of the equations",
                fix=did_you_mean(name, [*levels, *by_channel]) or None,
            )
        if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not np.isfinite(value):
            raise OptionError(f"the level of {name!r} is no finite number", got=repr(value))
        levels[key] = float(value)
    return levels
