"""`compare_kernels`: several laws of decay on the same data, by likelihood."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from spillover.errors import OptionError, check_option
from spillover.inference.hypotheses import HypothesisTest, NotApplicable
from spillover.moderators.cautions import cutoff_of, resolve_errors
from spillover.moderators.decay import fit_decay
from spillover.moderators.decay_result import DecayFit
from spillover.moderators.kernels import LAWS, Law
from spillover.moderators.stacked import ErrorModel, stacked_covariance
from spillover.panel.panel import Panel

if TYPE_CHECKING:
    import pandas as pd

VUONG = "Vuong (1989), Econometrica 57:307"
SAME = 1e-8
"""Spread of the difference in log-likelihood, in units of the log-likelihood, below which two laws are one."""


@dataclass(frozen=True, eq=False, repr=False)
class KernelComparison:
    """Fits of several laws.

    Attributes
    ----------
    fits : law → its fit.
    best : the law of the lowest AIC.
    tests : law → its test against the best one.
    """

    fits: Mapping[str, DecayFit]
    best: str
    tests: Mapping[str, HypothesisTest | NotApplicable]

    def table(self) -> pd.DataFrame:
        """One row per law: half-distance with its interval, spillover, AIC, Akaike weight, test against the best."""
        import pandas as pd

        aic = np.array([fit.statistics["aic"] for fit in self.fits.values()])
        weight = np.exp(-0.5 * (aic - aic.min()))
        rows = []
        for (law, fit), share in zip(self.fits.items(), weight / weight.sum(), strict=True):
            test = self.tests.get(law)
            low, high = fit.half_interval
            effects = fit.effect_estimates
            indirect = f"indirect: {fit.treatment}"
            rows.append(
                {
                    "kernel": law,
                    "formula": fit.kernel.formula,
                    **dict.fromkeys(("decay", "exponent", "shape"), np.nan),
                    **_named(fit),
                    "half_distance": fit.half_distance,
                    "half_low": low,
                    "half_high": high,
                    "spillover": effects[indirect],
                    "spillover_se": float(effects.std_errors[effects.index(indirect)]),
                    "log_likelihood": fit.statistics["log_likelihood"],
                    "aic": fit.statistics["aic"],
                    "delta_aic": fit.statistics["aic"] - aic.min(),
                    "akaike_weight": float(share),
                    "against_best": "" if test is None else test.name,
                    "p_value": test.p_value if isinstance(test, HypothesisTest) else None,
                }
            )
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        return f"KernelComparison: {', '.join(self.fits)}; lowest AIC: {self.best}"


def compare_kernels(
    formula: str,
    panel: Panel,
    *,
    kernels: Sequence[Law] = ("exponential", "power", "shifted", "stretched"),
    **options: Any,
) -> KernelComparison:
    """Fit several laws of decay and compare them.

    A law that contains the best one, or is contained in it, is tested by a likelihood ratio (the shifted law has the
    exponential at the end of its range: ½χ²(0) + ½χ²(1)). Others are tested by Vuong's statistic, with the variance of
    the difference that the residuals ask for (clusters by region, or Conley).

    Parameters
    ----------
    kernels : two or more laws.
    options : of `fit_decay`, the same for all.

    Raises
    ------
    OptionError : fewer than two laws, or one twice; and what `fit_decay` raises.
    """
    laws = tuple(kernels)
    for law in laws:
        check_option("kernel", law, LAWS)
    if len(laws) < 2 or len(set(laws)) < len(laws):
        raise OptionError("a comparison needs two or more different kernels", got=", ".join(laws) or "none")
    if "kernel" in options:
        raise OptionError("compare_kernels takes kernels=(…), not kernel", got=repr(options["kernel"]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # each fit says in its sentence what its warnings say
        fits: dict[str, DecayFit] = {law: fit_decay(formula, panel, kernel=law, **options) for law in laws}
    best = min(fits, key=lambda law: fits[law].statistics["aic"])
    tests: dict[str, HypothesisTest | NotApplicable] = {
        law: _against(fits[best], fits[law]) for law in fits if law != best
    }
    return KernelComparison(fits, best, tests)


def _named(fit: DecayFit) -> dict[str, float]:
    found = {}
    for name, value in fit.parameters.items():
        found["decay" if name.startswith("decay") else "exponent" if name == "exponent" else name] = value
    return {name: value for name, value in found.items() if name in ("decay", "exponent", "shape")}


def _against(best: DecayFit, other: DecayFit) -> HypothesisTest | NotApplicable:
    laws = {best.kernel.law, other.kernel.law}
    if "exponential" in laws and laws & {"shifted", "stretched"}:
        return _ratio(best, other)
    return _vuong(best, other)


def _ratio(one: DecayFit, other: DecayFit) -> HypothesisTest:
    small, large = (one, other) if one.kernel.law == "exponential" else (other, one)
    statistic = max(2.0 * (large.statistics["log_likelihood"] - small.statistics["log_likelihood"]), 0.0)
    half = large.kernel.law == "shifted"
    p = float(stats.chi2.sf(statistic, 1)) * (0.5 if half else 1.0)
    return HypothesisTest(
        name="likelihood ratio",
        statistic=statistic,
        null=f"the decay is exponential, within the {large.kernel.law} law",
        distribution="½chi2(0) + ½chi2(1)" if half else "chi2(1)",
        p_value=1.0 if half and statistic == 0.0 else p,
        df=1.0,
        reference="likelihood ratio of nested laws",
    )


def _vuong(best: DecayFit, other: DecayFit) -> HypothesisTest | NotApplicable:
    """(ℓ1 − ℓ2) over its standard error; contributions are those of the demeaned residuals."""
    design = best.design
    m = best.statistics["n_effective"]
    one, two = best.statistics["sigma2"], other.statistics["sigma2"]
    rows = other.residuals**2 / (2.0 * two) - best.residuals**2 / (2.0 * one)
    rows = rows - rows.mean()
    gap = best.statistics["log_likelihood"] - other.statistics["log_likelihood"]
    name = "Vuong"
    if float(np.sqrt(np.sum(rows**2))) < SAME * m:
        return NotApplicable(name, "the two laws fit alike in every cell")
    errors = ErrorModel("conley" if best.checks.spatial and best.checks.range_km > 0 else "cluster")
    errors = resolve_errors(errors, cutoff_of(best.checks, design.geography), best.checks)
    cov, df, method = stacked_covariance(rows[:, :, None], errors, design.geography)
    z = gap / float(np.sqrt(cov[0, 0]))
    return HypothesisTest(
        name=name,
        statistic=z,
        null=f"the {best.kernel.law} and the {other.kernel.law} law are equally close to the truth",
        distribution=f"t({df:g})",
        p_value=float(2.0 * stats.t.sf(abs(z), df)),
        reference=f"{VUONG}, {method}",
    )
