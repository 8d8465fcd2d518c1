"""Rubin's rules: estimates from several completed data sets become one, with the uncertainty of what was filled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from scipy import stats

from spillover.errors import EstimationError, OptionError
from spillover.inference.estimates import Estimates
from spillover.typing import FloatArray


class HasEstimates(Protocol):
    """A fit."""

    @property
    def estimates(self) -> Estimates:
        """Its coefficients."""
        ...


@dataclass(frozen=True, eq=False)
class PooledEstimates(Estimates):
    """Estimates pooled over imputations.

    Attributes
    ----------
    df_by_term : (k,) degrees of freedom of each term; `df` is the smallest, for joint tests.
    missing_information : (k,) share of the variance that is due to the imputations, between 0 and 1.
    imputations : how many completed data sets were pooled.
    """

    df_by_term: FloatArray = None  # type: ignore[assignment]
    missing_information: FloatArray = None  # type: ignore[assignment]
    imputations: int = 0

    def p_values(self) -> FloatArray:
        """(k,) two-sided p-values, each with its own degrees of freedom."""
        errors = self.std_errors
        with np.errstate(divide="ignore", invalid="ignore"):
            statistic = np.abs(np.where(errors > 0, self.values / errors, np.nan))
        return np.asarray(2.0 * stats.t.sf(statistic, self.df_by_term))

    def confint(self, level: float = 0.95) -> FloatArray:
        """(k, 2) confidence limits, each with its own degrees of freedom."""
        if not 0.0 < level < 1.0:
            raise OptionError("a confidence level is a share between 0 and 1", got=str(level), fix="use 0.95 for 95 %")
        half = stats.t.isf((1.0 - level) / 2.0, self.df_by_term) * self.std_errors
        return np.column_stack([self.values - half, self.values + half])

    def subset(self, names: Sequence[str]) -> PooledEstimates:
        """The named terms with their block of the covariance."""
        rows = np.array([self.index(name) for name in names], dtype=int)
        part = super().subset(names)
        return replace(
            self,
            names=part.names,
            values=part.values,
            cov=part.cov,
            labels=part.labels,
            df=float(self.df_by_term[rows].min()),
            df_by_term=self.df_by_term[rows],
            missing_information=self.missing_information[rows],
        )


def pool(fits: Sequence[Estimates | HasEstimates]) -> PooledEstimates:
    """One set of estimates from fits (or effects) on several completed data sets.

    Values are the means; the covariance is Ū + (1 + 1/m)B with Ū the mean of the covariances within, B the covariance
    between the m data sets. Degrees of freedom by term after Barnard & Rubin (1999): with γ the share of variance due
    to the imputations and ν the degrees of freedom of complete data, 1/ν* = 1/ν_m + 1/ν_obs, ν_m = (m − 1)/γ²,
    ν_obs = ν(ν + 1)/(ν + 3)·(1 − γ).

    Parameters
    ----------
    fits : at least two, on the same terms: fits, or `Estimates` such as `average_effects(fit)`.

    Raises
    ------
    OptionError : fewer than two, or different terms.

    Sources: Rubin (1987), Multiple Imputation for Nonresponse in Surveys; Barnard & Rubin (1999), Biometrika 86:948.
    """
    found = [fit if isinstance(fit, Estimates) else fit.estimates for fit in fits]
    if len(found) < 2:
        raise OptionError(
            "pooling needs at least two completed data sets", got=f"{len(found)}", fix="impute 20 or more"
        )
    first = found[0]
    for other in found[1:]:
        if other.names != first.names:
            raise EstimationError(
                "the fits to be pooled do not have the same terms",
                got=", ".join(other.names),
                expected=", ".join(first.names),
            )
    m = len(found)
    values = np.array([one.values for one in found])
    within = np.mean([one.cov for one in found], axis=0)
    spread = values - values.mean(axis=0)
    between = (1.0 + 1.0 / m) * spread.T @ spread / (m - 1)
    total = within + between
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.nan_to_num(np.diag(between) / np.diag(total))
    dfs = [one.df for one in found if one.df is not None]
    df = _degrees(share, m, min(dfs) if dfs else None)
    return PooledEstimates(
        names=first.names,
        values=values.mean(axis=0),
        cov=total,
        df=float(df.min()),
        method=f"{m} imputations pooled by Rubin's rules, {first.method}",
        labels=first.labels,
        df_by_term=df,
        missing_information=share,
        imputations=m,
    )


def _degrees(share: FloatArray, m: int, complete: float | None) -> FloatArray:
    """(k,) Barnard–Rubin degrees of freedom; Rubin's (1987) when those of complete data are infinite."""
    with np.errstate(divide="ignore"):
        rubin = (m - 1) / share**2
    if complete is None:
        return np.minimum(rubin, 1e12)  # no missing information: the normal distribution
    observed = (complete + 1.0) / (complete + 3.0) * complete * (1.0 - share)
    return np.asarray(1.0 / (1.0 / rubin + 1.0 / observed))
