"""Does a spillover fall with distance, or rise? Tests of order constraints."""

from __future__ import annotations

import numpy as np

from spillover.inference.estimates import Estimates
from spillover.inference.hypotheses import HypothesisTest
from spillover.numerics.cone import FallingCone, distance_draws

REFERENCE = "Wolak (1987), J. American Statistical Association 82:782; chi-bar-square by simulation"


def monotone_tests(estimates: Estimates, draws: int, seed: int) -> tuple[HypothesisTest, ...]:
    """Two tests: θ does not rise from one ring to the next, and θ does not fall. Neither imposes a sign.

    The statistic is the squared distance of the estimates to the ordered ones nearest to them, in the metric of their
    covariance; its law at the least favourable point (all equal) is simulated, with the χ² of a multivariate t where
    the estimates have degrees of freedom. Rejecting the first speaks against decay, rejecting the second for it.
    """
    found = []
    for sign, word in ((1.0, "nowhere rises"), (-1.0, "nowhere falls")):
        cone = FallingCone(estimates.cov)
        statistic = cone.project(sign * estimates.values)[1]
        null = distance_draws(cone, estimates.cov, estimates.df, draws, np.random.default_rng(seed))
        law = "chi-bar-square" if estimates.df is None else f"chi-bar-square, t({estimates.df:g})"
        found.append(
            HypothesisTest(
                name="monotone decay" if sign > 0 else "monotone rise",
                statistic=statistic,
                null=f"the spillover {word} from one ring to the next",
                distribution=law,
                p_value=float((1.0 + np.sum(null >= statistic * (1.0 - 1e-12))) / (1.0 + draws)),
                reference=REFERENCE,
            )
        )
    return tuple(found)
