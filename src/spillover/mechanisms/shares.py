"""Shares of the effect by channel, where shares mean something; levels always do."""

from __future__ import annotations

import numpy as np

from spillover.errors import UndefinedShareError, show_labels
from spillover.inference.estimates import Estimates
from spillover.typing import FloatArray


def why_no_shares(paths: Estimates, total: Estimates, kind: str, level: float) -> str | None:
    """Why the parts of an effect are not told as shares of it, in words; None when they are.

    A share needs a whole whose interval excludes zero, and parts of one sign: with effects of 3 and −2 a "share of
    300 %" of their sum is arithmetic, not a finding ("inconsistent mediation").

    paths, total : own, spillover and total of every path, and of the whole effect, with label "effect".
    """
    low, high = total.confint(level)[total.labels["effect"].index(kind)]
    word = {"own": "effect at home", "spillover": "spillover", "total": "total effect"}[kind]
    if low <= 0.0 <= high:
        return f"the {100 * level:g} % interval of the {word}, {low:.4g} to {high:.4g}, includes zero"
    rows = [i for i, effect in enumerate(paths.labels["effect"]) if effect == kind]
    signs = {np.sign(paths.values[i]) for i in rows if paths.values[i] != 0.0}
    if len(signs) > 1:
        against = [paths.labels["path"][i] for i in rows if paths.values[i] * (low + high) < 0.0]
        return f"the paths have different signs; against the {word}: {show_labels(against)}"
    return None


def share_estimates(parts: Estimates, gradients: FloatArray, coefficients: Estimates, kind: str) -> Estimates:
    """Shares of the last row of `parts` (the whole effect) with delta-method covariance.

    Parameters
    ----------
    parts : effects of one kind by channel, the whole effect last; label "channel".
    gradients : (rows, k) of the parts in the coefficients.
    """
    whole = parts.values[-1]
    values = parts.values[:-1] / whole
    jacobian = (gradients[:-1] - values[:, None] * gradients[-1]) / whole
    names = parts.labels["channel"][:-1]
    return Estimates(
        names=tuple(f"share of {kind}: {name}" for name in names),
        values=values,
        cov=jacobian @ coefficients.cov @ jacobian.T,
        df=coefficients.df,
        method=f"delta method, {coefficients.method}",
        labels={"channel": names, "effect": (kind,) * len(names)},
    )


def refuse_shares(kind: str, reason: str) -> UndefinedShareError:
    """The refusal, with what to look at instead."""
    return UndefinedShareError(
        f"shares of the {kind} effect are not defined",
        got=reason,
        expected="a whole that is not zero and parts of one sign",
        causes=("channels that work against each other (competition, backwash)", "a sample too small for the effect"),
        fix="read the levels: result.effects() and result.paths()",
    )
