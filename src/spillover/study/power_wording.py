"""Fields of a configuration in the words of `spillover power`'s options."""

from __future__ import annotations

import re

NO_MAP = (
    "give the map in --weights with --weights-kind",
    "power reads no map: name it in a design file (docs/simulate.md), or give a table of weights",
)
NO_ESTIMATOR = ("this configuration has no ready estimator; got: ", "no estimator is ready for ")
GIVE_ONE = ("; fix: give estimator=… (simulation.estimators)", "")
OPTIONS = {  # field → option, where they have other names
    "n_regions": "regions",
    "n_periods": "years",
    "lam": "lambda",
    "neighbour_shift": "neighbour-shift",
    "weights: neighbours": "neighbours",
}
_SAME = (
    *("model", "effects", "beta", "theta", "rho", "tau", "eta", "sigma", "persistence", "intercept"),
    *("threshold", "shift"),
)
_ASKED = ("effect", "covariance", "alpha", "target")


def in_options(problem: str) -> str:
    """A problem of the configuration in the words of the command line; one of a file's [section] stays as it is.

    >>> in_options("n_regions = 3: at least 5 regions are needed")
    '--regions 3: at least 5 regions are needed'
    >>> in_options("[panel] n_regions = 3: at least 5 regions are needed")
    '[panel] n_regions = 3: at least 5 regions are needed'
    """
    problem = problem.replace(*NO_ESTIMATOR).replace(*GIVE_ONE)
    if problem.startswith("["):
        return problem
    names = "|".join([*map(re.escape, OPTIONS), *_SAME, *_ASKED])
    return re.sub(
        rf"(?<![\w\[.])({names}) = ", lambda match: f"--{OPTIONS.get(match.group(1), match.group(1))} ", problem
    )
