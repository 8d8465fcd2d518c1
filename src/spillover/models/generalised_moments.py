"""Spatial errors without normality or equal variances: generalised moments for λ, GS2SLS for the rest.

y = Qδ + u, u = λ W u + ε with independent ε of unequal variances. The moments E ε'A_s ε = 0 with
A₁ = W'W − diag(W'W) and A₂ = W have zero diagonals, so no variance enters them.
Kelejian & Prucha (2010, J. Econometrics 157:53); Arraiz, Drukker, Kelejian & Prucha (2010, J. Regional Science 50:592).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import spsolve

from spillover.errors import EstimationError, OptionError, WeakIdentificationWarning, check_option, show_labels
from spillover.inference.estimates import Estimates
from spillover.inference.hypotheses import HypothesisTest
from spillover.models.first_stage import FirstStage, first_stage_strength
from spillover.models.instrument_design import InstrumentDesign, build_instrument_design
from spillover.models.instrument_spec import InstrumentModel, InstrumentSpec
from spillover.models.instrument_views import InstrumentPoint, MomentViews, cheap_bounds
from spillover.models.moments import solve_moments
from spillover.numerics.threads import one_blas_thread
from spillover.panel.panel import Panel
from spillover.typing import FloatArray
from spillover.weights.weights import SpatialWeights

if TYPE_CHECKING:
    import pandas as pd

FIRST_STEP_SHARE = 0.95  # of the bound of λ, where a first step stops

ErrorModel: TypeAlias = Literal["sem", "sdem", "sac", "gns"]
STRUCTURAL: dict[str, InstrumentModel] = {"sem": "ols", "sdem": "slx", "sac": "sar", "gns": "sdm"}


@dataclass(frozen=True, eq=False)
class ErrorMoments:
    """Moment matrices of one W: A₁, A₂ and their symmetric sums B_s = A_s + A_s'."""

    w: sp.csr_matrix
    a: tuple[sp.csr_matrix, sp.csr_matrix]
    b: tuple[sp.csr_matrix, sp.csr_matrix]

    @classmethod
    def of(cls, w: sp.csr_matrix) -> ErrorMoments:
        """From W (n, n)."""
        gram = sp.csr_matrix(w.T @ w)
        first = sp.csr_matrix(gram - sp.diags(gram.diagonal()))
        return cls(w, (first, w), (sp.csr_matrix(2.0 * first), sp.csr_matrix(w + w.T)))

    def polynomial(self, u: FloatArray) -> FloatArray:
        """(2, 3) coefficients (1, λ, λ²) of the moments u'(I − λW)'A_s(I − λW)u / n."""
        wu = self.w @ u
        rows = [(u @ (a @ u), -(u @ (b @ wu)), wu @ (a @ wu)) for a, b in zip(self.a, self.b, strict=True)]
        return np.array(rows, dtype=float) / u.size

    def variance(self, e: FloatArray, pull: FloatArray | None = None) -> FloatArray:
        """(2, 2) Ψ_rs = tr(B_r Σ B_s Σ)/2n + a_r'Σa_s/n, Σ = diag(e²); `pull` is (n, 2) with columns a_r."""
        squares = e**2
        psi = np.empty((2, 2))
        for r in range(2):
            for s in range(2):
                psi[r, s] = squares @ (self.b[r].multiply(self.b[s]) @ squares) / 2.0
        if pull is not None:
            psi += pull.T @ (squares[:, None] * pull)
        return psi / e.size


@dataclass(frozen=True, eq=False, repr=False)
class ErrorMomentsFit(MomentViews):
    """A cross-section with a spatial error, by generalised moments robust to heteroskedasticity.

    Attributes
    ----------
    model : "sem", "sdem", "sac" or "gns".
    estimates : slopes, `rho` where the model has it, `lambda` last, with their joint covariance.
    spec : of the structural part (instruments, lagged regressors).
    first_stage : strength of the instruments of W y and a; None without endogenous regressors.
    """

    model: ErrorModel
    spec: InstrumentSpec
    estimates: Estimates
    statistics: dict[str, Any]
    weights: SpatialWeights
    point: InstrumentPoint
    first_stage: FirstStage | None
    notes: tuple[str, ...]

    def tests(self) -> pd.DataFrame:
        """Wald tests of λ = 0 and ρ = 0."""
        import pandas as pd

        nulls = {"lambda": "there is no spatial dependence of the errors (λ = 0)"}
        if self.point.rho is not None:
            nulls["rho"] = "there is no spatial lag of the outcome (ρ = 0)"
        return pd.DataFrame([self._wald(name, null).row() for name, null in nulls.items()])

    def _wald(self, name: str, null: str) -> HypothesisTest:
        row = np.zeros((1, self.estimates.values.size))
        row[0, self.estimates.index(name)] = 1.0
        return self.estimates.wald(row, null)

    def __repr__(self) -> str:
        return f"ErrorMomentsFit: {self.model}, {self.spec.formula}; {self.statistics['n_regions']} regions"


def fit_error_moments(
    formula: str,
    panel: Panel,
    weights: SpatialWeights,
    *,
    model: ErrorModel = "sem",
    lagged: Sequence[str] | None = None,
    instrument_orders: int | tuple[int, int] | None = None,
) -> ErrorMomentsFit:
    """Fit a cross-section with a spatial error by GS2SLS and generalised moments, robust to heteroskedasticity.

    Parameters
    ----------
    formula : "y ~ x" or "y ~ x | a ~ z".
    panel : n regions, one period. weights : W of the outcome, the regressors and the error.
    model : "sem", "sdem" (W x), "sac" (W y) or "gns" (both), each with λ.
    lagged, instrument_orders : as in `fit_two_stage`.

    Steps: (1) least squares or 2SLS, λ from unweighted and then weighted moments; (2) the same on data filtered by
    I − λW, λ from weighted moments; the objective is a quartic in λ, so its minimum is found exactly.

    Raises
    ------
    OptionError : more than one period. DesignError : from the design.
    EstimationError : the minimum is not inside the interval of λ.

    Cost O(nnz(W²)) and sparse solves only.
    """
    check_option("model", model, tuple(STRUCTURAL))
    if panel.shape[1] != 1:
        raise OptionError(
            "generalised moments of a spatial error are for one cross-section",
            got=f"{panel.shape[1]} periods",
            fix="select one period with panel.select(periods=[…]), or use maximum likelihood: spillover.fit",
        )
    spec = InstrumentSpec(
        formula=formula,
        model=STRUCTURAL[model],
        effects="none",
        lagged=None if lagged is None else tuple(lagged),
        instrument_orders=instrument_orders,
    )
    aligned = weights.align(panel.regions)
    design = build_instrument_design(spec, panel, aligned)
    step = _Steps(design, aligned, ErrorMoments.of(aligned.matrix), cheap_bounds(aligned))
    with one_blas_thread():
        values, lam, cov = step.run()
    residuals = design.system.residuals(values)
    innovation = residuals - lam * (aligned.matrix @ residuals)
    n = residuals.size
    statistics = {
        "n_regions": n,
        "n_periods": 1,
        "n_observations": n,
        "n_parameters": values.size + 1,
        "sigma2": float(innovation @ innovation) / n,
        "lambda_lower": step.bounds[0],
        "lambda_upper": step.bounds[1],
        "covariance": "heteroskedasticity-robust",
        "estimator": "gs2sls-het",
    }
    strength = first_stage_strength(design.system, design.endogenous, "hc1") if design.endogenous else None
    if strength is not None and strength.weak:
        warnings.warn(strength.sentence(), WeakIdentificationWarning, stacklevel=2)
    rho = float(values[-1]) if spec.has_spatial_lag else None
    return ErrorMomentsFit(
        model=model,
        spec=spec,
        estimates=Estimates(
            (*design.names, "lambda"),
            np.append(values, lam),
            cov,
            None,
            "generalised moments, heteroskedasticity-robust",
        ),
        statistics=statistics,
        weights=aligned,
        point=InstrumentPoint(design, residuals[:, None], aligned, rho),
        first_stage=strength,
        notes=_notes(design, aligned, strength, rho, step.bounds),
    )


def _notes(
    design: InstrumentDesign,
    weights: SpatialWeights,
    strength: FirstStage | None,
    rho: float | None,
    bounds: tuple[float, float],
) -> tuple[str, ...]:
    notes = []
    if design.dropped:
        notes.append(f"Instruments that repeat others were left out: {show_labels(design.dropped, 20)}.")
    if strength is not None and strength.weak:
        notes.append(strength.sentence())
    if rho is not None:
        notes.append("ρ and λ with one W are told apart by the instruments of W y alone: see their covariance.")
        if not bounds[0] < rho < bounds[1]:
            notes.append(f"ρ̂ = {rho:.4f} is outside ({bounds[0]:.4f}, {bounds[1]:.4f}): do not use it.")
    return (*notes, *(f"W: {note}" for note in weights.notes))


@dataclass(frozen=True, eq=False)
class _Steps:
    """The two steps of Arraiz et al. (2010)."""

    design: InstrumentDesign
    weights: SpatialWeights
    moments: ErrorMoments
    bounds: tuple[float, float]

    def run(self) -> tuple[FloatArray, float, FloatArray]:
        """(δ, λ, joint covariance with λ last)."""
        system = self.design.system
        u = system.residuals(self._slopes(0.0)[0])
        lam = self._minimise(u, np.eye(2), final=False)
        lam = self._minimise(u, self._psi(u, lam, filtered=False)[0], final=False)
        values, instruments, bread = self._slopes(lam)
        u = system.residuals(values)
        final = self._minimise(u, self._psi(u, lam, filtered=True)[0])
        return values, final, self._covariance(u, final)

    def _filter(self, values: FloatArray, lam: float) -> FloatArray:
        return np.asarray(values - lam * (self.weights.matrix @ values))

    def _slopes(self, lam: float) -> tuple[FloatArray, FloatArray, FloatArray]:
        """(δ, instruments H (n, p), (Q̂'Q̂)⁻¹) of the model filtered by I − λW."""
        system = self.design.system
        regressors, outcome = self._filter(system.regressors, lam), self._filter(system.outcome, lam)
        basis = system.basis if system.endogenous else np.linalg.qr(regressors)[0]
        values, bread = solve_moments(basis.T @ regressors, basis.T @ outcome)
        return values, basis, bread

    def _pull(self, e: FloatArray, lam: float, filtered: bool) -> tuple[FloatArray | None, FloatArray, FloatArray]:
        """(a (n, 2) or None, H, P): how the slopes' errors enter the moments, a_r = H P α_r.

        Exogenous regressors are uncorrelated with B_r ε, so without endogenous ones a_r vanishes in large samples.
        """
        system = self.design.system
        regressors = self._filter(system.regressors, lam)
        used = lam if filtered else 0.0
        _, basis, bread = self._slopes(used)
        image = basis.T @ (regressors if filtered else system.regressors)
        slope = image @ bread
        if not system.endogenous:
            return None, basis, slope
        alpha = np.column_stack([-(regressors.T @ (b @ e)) for b in self.moments.b])
        pull = basis @ (slope @ alpha)
        if not filtered:
            turned = sp.csc_matrix(sp.identity(e.size) - lam * self.weights.matrix.T)
            pull = np.asarray(spsolve(turned, pull))
        return pull, basis, slope

    def _psi(self, u: FloatArray, lam: float, *, filtered: bool) -> tuple[FloatArray, FloatArray | None]:
        """(Ψ, a) at residuals u and λ."""
        e = self._filter(u, lam)
        pull, _, _ = self._pull(e, lam, filtered)
        return self.moments.variance(e, pull), pull

    def _minimise(self, u: FloatArray, psi: FloatArray, *, final: bool = True) -> float:
        """The minimum inside the bounds of m(λ)'Ψ⁻¹m(λ), a quartic: among the real roots of its derivative.

        A first step may stop near its bound; the final one may not.
        """
        rows = self.moments.polynomial(u)
        weight = np.linalg.inv(psi)
        quartic = np.zeros(5)
        for r in range(2):
            for s in range(2):
                quartic += weight[r, s] * np.convolve(rows[r], rows[s])
        objective = np.polynomial.Polynomial(quartic)
        roots = objective.deriv().roots()
        real = roots.real[np.abs(roots.imag) < 1e-9 * (1.0 + np.abs(roots))]
        low, high = self.bounds
        inside = real[(real > low) & (real < high)]
        best = min(inside, key=objective, default=None)
        if best is None or objective(best) > min(objective(low), objective(high)):
            if not final:
                return FIRST_STEP_SHARE * min(low, high, key=objective)
            raise EstimationError(
                "the moments have no minimum inside the interval of λ: do not use them",
                got=f"a minimum at the end of ({low:.4f}, {high:.4f})",
                causes=("a common trend over the map", "strong misspecification", "very few regions"),
                fix="add the regressors that carry the trend, or use another model",
            )
        return float(best)

    def _covariance(self, u: FloatArray, lam: float) -> FloatArray:
        """Joint covariance of (δ, λ), Kelejian & Prucha (2010, theorem 4)."""
        e = self._filter(u, lam)
        n = e.size
        pull, basis, slope = self._pull(e, lam, filtered=True)
        psi = self.moments.variance(e, pull)
        rows = self.moments.polynomial(u)
        gradient = -(rows[:, 1] + 2.0 * lam * rows[:, 2])
        weighted = np.linalg.solve(psi, gradient)
        information = float(gradient @ weighted)
        k = slope.shape[1]
        cov = np.zeros((k + 1, k + 1))
        scores = basis * (e**2)[:, None]
        cov[:k, :k] = slope.T @ (scores.T @ basis) @ slope
        cov[k, k] = 1.0 / (information * n)
        if pull is not None:
            cross = slope.T @ (scores.T @ pull) @ weighted / (information * n)
            cov[:k, k] = cov[k, :k] = cross
        return cov
