"""Random against fixed effects: the Hausman test through correlated random effects (Mundlak)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from spillover.errors import OptionError, SpilloverError
from spillover.inference.hypotheses import HypothesisTest, NotApplicable
from spillover.models.random_effects import (
    CAVEAT,
    MODELS,
    REFERENCES,
    RandomEffectsFit,
    RandomModel,
    RandomSpec,
    build_random_design,
    fit_random_design,
)

if TYPE_CHECKING:
    from spillover.models.result import SpatialFit

NAME = "spatial Hausman (Mundlak)"


@dataclass(frozen=True, eq=False)
class FixedAgainstRandom:
    """The Mundlak test of a fixed-effects fit.

    Attributes
    ----------
    test : Wald test that region means of X and W X do not matter, or why there is none.
    fit : the correlated random-effects fit behind it.
    spatial_gap : ρ (or λ) of correlated random effects less that of fixed effects; None without either. A gap of
        several standard errors says that the region effects are spatially correlated, which the test cannot see.
    """

    test: HypothesisTest | NotApplicable
    fit: RandomEffectsFit | None
    spatial_gap: float | None


def means_test(fit: RandomEffectsFit) -> HypothesisTest | NotApplicable:
    """Wald test that all region means have coefficient zero, χ² with as many degrees of freedom as means.

    Not rejected: random effects are not contradicted. Rejected: region effects are related to the regressors, and
    only fixed effects (or correlated random effects, under `CAVEAT`) estimate what they should.
    """
    if not fit.spec.correlated:
        raise OptionError(
            "the region means are not in this model", fix="fit_random(…, correlated=True), then means_test()"
        )
    places = fit.design.means
    if not places:
        return NotApplicable(NAME, "no regressor varies both within and between regions")
    restriction = np.zeros((len(places), fit.estimates.values.size))
    restriction[np.arange(len(places)), places] = 1.0
    test = fit.estimates.wald(restriction, "region effects are unrelated to the regressors (random effects are valid)")
    return replace(test, name=NAME, reference=REFERENCES["mundlak"], null_model="random")


def mundlak_test(fit: SpatialFit) -> FixedAgainstRandom:
    """The Mundlak test of a fit with individual or two-way effects, on the data of the fit.

    Cost: one random-effects fit.
    """
    reason = _why_not(fit)
    if reason:
        return FixedAgainstRandom(NotApplicable(NAME, reason), None, None)
    design = fit.design
    names = tuple(design.own)
    spec = RandomSpec(
        formula=fit.spec.formula,
        model=cast(RandomModel, fit.spec.model),
        correlated=True,
        time_effects=fit.spec.effects == "two-way",
    )
    weights = fit.weights if spec.uses_weights else None
    try:
        stacked = build_random_design(
            spec,
            design.y_raw,
            design.x_raw,
            names,
            design.response,
            [names.index(name) for name in design.neighbour],
            weights,
            regions=design.regions,
            periods=cast(Any, design.periods),
        )
        random = fit_random_design(spec, stacked, weights)
    except SpilloverError as error:
        return FixedAgainstRandom(
            NotApplicable(NAME, f"correlated random effects cannot be fitted: {error.what}"), None, None
        )
    test = means_test(random)
    name = next((name for name in ("rho", "lambda") if name in random.estimates.names), None)
    gap = None if name is None else random.estimates[name] - fit.estimates[name]
    if isinstance(test, HypothesisTest) and name is not None:
        size = random.estimates.std_errors[random.estimates.index(name)]
        note = (
            f"; {name} is {random.estimates[name]:.3f} with correlated random effects "
            f"and {fit.estimates[name]:.3f} with fixed effects"
        )
        warning = f". {CAVEAT}" if abs(gap or 0.0) > 2.0 * size else ""
        test = replace(test, reference=test.reference + note + warning)
    return FixedAgainstRandom(test, random, gap)


def _why_not(fit: SpatialFit) -> str:
    if fit.spec.effects not in ("individual", "two-way"):
        return "the fit has no region effects"
    if fit.spec.model not in MODELS:
        return f"random effects are not available for {fit.spec.model.upper()}"
    if not fit.design.transformation.is_plain:
        return "it compares plain region effects, and this fit has grouped ones"
    roles = fit.roles
    used = [w for _, w in roles.outcome]
    used += [roles.regressors] if fit.spec.has_lagged_regressors and roles.regressors is not None else []
    used += [roles.error] if fit.spec.has_spatial_error and roles.error is not None else []
    return "random effects take one W, and this fit has several" if len({id(w) for w in used}) > 1 else ""
