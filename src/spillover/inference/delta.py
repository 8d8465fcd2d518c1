"""The delta method: an effect is a function of the parameters, its covariance follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from spillover.inference.estimates import Estimates
from spillover.typing import FloatArray


def delta_method(
    function: Callable[[FloatArray], tuple[FloatArray, FloatArray]],
    estimates: Estimates,
    names: tuple[str, ...],
    labels: Mapping[str, tuple[str, ...]] | None = None,
) -> Estimates:
    """Estimates of f(b) with covariance J V J'.

    Parameters
    ----------
    function : maps (k,) parameters to (values (q,), Jacobian (q, k)).
    estimates : b with covariance V, (k,) and (k, k).
    names, labels : of the q results.
    """
    values, jacobian = function(estimates.values)
    return Estimates(
        names=names,
        values=values,
        cov=jacobian @ estimates.cov @ jacobian.T,
        df=estimates.df,
        method=f"delta method, {estimates.method}",
        labels=labels or {},
    )
