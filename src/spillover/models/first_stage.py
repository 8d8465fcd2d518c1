"""How strongly the instruments move the endogenous regressors: first-stage F statistics and rank tests.

With y₂ = a, W a, W y the exogenous regressors are partialled out first; Z is an orthonormal basis of what is left
of the excluded instruments, so Π̂ = Z'y₂ and every statistic is invariant to the units and mixtures of instruments.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy.linalg
from scipy import stats

from spillover.inference.hypotheses import HypothesisTest, NotApplicable
from spillover.models.moments import (
    MomentSystem,
    degrees_of_freedom,
    moment_covariance,
    orthonormalise,
    sample_factor,
    solve_moments,
)
from spillover.typing import FloatArray

if TYPE_CHECKING:
    import pandas as pd

STRONG = 10.0  # Staiger & Stock (1997)
STRONG_EFFECTIVE = 23.1  # Montiel Olea & Pflueger (2013): worst-case bias of 10 %, one instrument, level 5 %


@dataclass(frozen=True)
class FirstStage:
    """First-stage strength, one entry per endogenous regressor in the tuples.

    Attributes
    ----------
    terms : endogenous regressors: a, W a, "rho" (W y).
    partial_r2 : share of what the exogenous regressors leave that the excluded instruments explain.
    f_statistics, f_p_values, f_df : F(q, ·) of the excluded instruments, with the covariance of the fit.
    conditional_f, conditional_df : Sanderson & Windmeijer (2016), given the other endogenous regressors:
        F(q − k₂ + 1, ·). A weak joint first stage hides behind large ordinary F; this one shows it.
    effective_f : Montiel Olea & Pflueger (2013); None with more than one endogenous regressor.
    underidentification : rank test (LM) of "the instruments do not identify all endogenous regressors".
    rank_wald, rank_f : Wald form and its F scale; Kleibergen & Paap (2006), Cragg & Donald (1993) when homoskedastic.
    """

    terms: tuple[str, ...]
    partial_r2: tuple[float, ...]
    f_statistics: tuple[float, ...]
    f_p_values: tuple[float, ...]
    f_df: tuple[int, float]
    conditional_f: tuple[float, ...]
    conditional_df: tuple[int, float]
    effective_f: float | None
    underidentification: HypothesisTest | NotApplicable
    rank_wald: HypothesisTest | NotApplicable
    rank_f: float | None
    covariance: str

    @property
    def weakest(self) -> tuple[str, float]:
        """The endogenous regressor with the smallest conditional F, and that F."""
        at = int(np.argmin(self.conditional_f))
        return self.terms[at], self.conditional_f[at]

    @property
    def weak(self) -> bool:
        """Whether the smallest conditional F is below 10."""
        return not self.weakest[1] >= STRONG

    def sentence(self) -> str:
        """What the first stage says, in words."""
        name, value = self.weakest
        verdict = "weak" if self.weak else "strong enough for ordinary intervals (rule of thumb: F ≥ 10)"
        advice = "; use the confidence set, not the standard error" if self.weak else ""
        label = "W y" if name == "rho" else name
        return (
            f"The instruments are {verdict}: the smallest conditional first-stage F is {value:.1f} ({label}){advice}."
        )

    def tidy(self) -> pd.DataFrame:
        """One row per endogenous regressor."""
        import pandas as pd

        return pd.DataFrame(
            {
                "endogenous": ["W*y" if name == "rho" else name for name in self.terms],
                "partial_r2": self.partial_r2,
                "f_statistic": self.f_statistics,
                "f_df1": self.f_df[0],
                "f_df2": self.f_df[1],
                "p_value": self.f_p_values,
                "conditional_f": self.conditional_f,
                "conditional_df1": self.conditional_df[0],
                "effective_f": np.nan if self.effective_f is None else self.effective_f,
            }
        )


def first_stage_strength(system: MomentSystem, terms: tuple[str, ...], kind: str) -> FirstStage:
    """All first-stage statistics of a moment system; `kind` is "cluster", "hc0", "hc1" or "homoskedastic"."""
    z, y = system.excluded, system.partialled()[:, 1:]
    q, k = z.shape[1], y.shape[1]
    parameters = system.basis.shape[1]
    df2 = degrees_of_freedom(system, kind, parameters)
    plain = [wald_f(system, z, y[:, j], kind, parameters) for j in range(k)]
    explained = np.sum((z.T @ y) ** 2, axis=0) / np.sum(y**2, axis=0)
    return FirstStage(
        terms=terms,
        partial_r2=tuple(float(share) for share in explained),
        f_statistics=tuple(plain),
        f_p_values=tuple(float(stats.f.sf(value, q, df2)) for value in plain),
        f_df=(q, df2),
        conditional_f=tuple(conditional_f(system, z, y, j, kind) for j in range(k)),
        conditional_df=(q - k + 1, df2),
        effective_f=effective_f(system, z, y[:, 0], kind, parameters) if k == 1 else None,
        covariance=kind,
        **_rank_tests(system, z, y, kind, parameters),
    )


def wald_f(system: MomentSystem, z: FloatArray, y: FloatArray, kind: str, parameters: int) -> float:
    """F statistic of "y does not depend on z": π̂'V⁻¹π̂/q with z (m, q) orthonormal."""
    slopes = z.T @ y
    cov = moment_covariance(z, y - z @ slopes, system, kind) * sample_factor(system, kind, parameters)
    return _quadratic(slopes, cov) / z.shape[1]


def conditional_f(system: MomentSystem, z: FloatArray, y: FloatArray, j: int, kind: str) -> float:
    """Sanderson–Windmeijer F of endogenous regressor j given the others.

    y_j less its two-stage least squares fit on the other endogenous regressors is explained by the
    q − k₂ + 1 directions of the instruments that those do not already use.
    """
    others = np.delete(y, j, axis=1)
    if others.shape[1] == 0:
        return wald_f(system, z, y[:, 0], kind, system.basis.shape[1])
    projected = z.T @ others
    slopes, _ = solve_moments(projected, z.T @ y[:, j])
    rest = y[:, j] - others @ slopes
    used, _ = np.linalg.qr(projected)
    directions, _, _ = orthonormalise(np.eye(z.shape[1]) - used @ used.T, used)
    return wald_f(system, z @ directions, rest, kind, system.basis.shape[1])


def effective_f(system: MomentSystem, z: FloatArray, y: FloatArray, kind: str, parameters: int) -> float:
    """Effective F of Montiel Olea & Pflueger (2013): π̂'π̂ / tr V for orthonormal instruments."""
    slopes = z.T @ y
    cov = moment_covariance(z, y - z @ slopes, system, kind) * sample_factor(system, kind, parameters)
    return float(slopes @ slopes) / float(np.trace(cov))


def _rank_tests(system: MomentSystem, z: FloatArray, y: FloatArray, kind: str, parameters: int) -> dict:
    """Rank tests of Π with null rank k₂ − 1, in canonical variables (y'y = I, z'z = I)."""
    q, k = z.shape[1], y.shape[1]
    name = "Cragg–Donald" if kind == "homoskedastic" else "Kleibergen–Paap rk"
    groups = system.shape[0] if kind == "cluster" else system.free
    if q - k + 1 >= groups:
        reason = NotApplicable(
            f"{name} rank test", f"{q} instruments need more than {q} independent groups, not {groups}"
        )
        return {"underidentification": reason, "rank_wald": reason, "rank_f": None}
    canonical, _ = np.linalg.qr(y)
    theta = z.T @ canonical
    left, _, right = np.linalg.svd(theta)
    direction = right[k - 1]
    free_left = left[:, k - 1 :]
    image = free_left.T @ theta @ direction
    beyond = z @ free_left
    under_null = canonical @ direction
    residual = under_null - z @ (theta @ direction)
    statistics = []
    for errors in (under_null, residual):
        statistics.append(_quadratic(image, moment_covariance(beyond, errors, system, kind)))
    df = q - k + 1
    common = {
        "df": df,
        "null": "the instruments do not identify all endogenous regressors (rank deficient first stage)",
        "reference": "Kleibergen & Paap (2006, J. Econometrics 133:97)",
    }
    factor = (
        (system.free - parameters) / system.free
        if kind == "homoskedastic"
        else 1.0 / sample_factor(system, kind, parameters)
    )
    return {
        "underidentification": HypothesisTest.chi2(f"{name} LM", statistics[0], form=kind, **common),
        "rank_wald": HypothesisTest.chi2(f"{name} Wald", statistics[1], form=kind, **common),
        "rank_f": statistics[1] * factor / q,
    }


def _quadratic(vector: FloatArray, cov: FloatArray) -> float:
    """v'V⁻¹v by Cholesky; not a number when V is singular."""
    try:
        root = scipy.linalg.cholesky(cov, lower=True)
    except np.linalg.LinAlgError:
        return float("nan")
    half = scipy.linalg.solve_triangular(root, vector, lower=True)
    return float(half @ half)
