"""`ModelSpec`: what to fit, as configuration only; `Roles`: which W plays which part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, get_args

from spillover.errors import AlignmentError, OptionError, check_option
from spillover.models.lagged import DURBIN_MODELS, check_lagged
from spillover.panel.panel import Panel, Period
from spillover.typing import Correction, CovarianceName, Effects, ModelName
from spillover.weights.weights import SpatialWeights

LAG_MODELS = ("sar", "sdm", "sac", "gns")
ERROR_MODELS = ("sem", "sdem", "sac", "gns")

Groups: TypeAlias = str | Mapping[str, str] | None
Segments: TypeAlias = Mapping[Period, str] | tuple[str, ...] | None


def usual_effects(panel: Panel, groups: Groups = None) -> Effects:
    """Two-way for panels; for cross-sections those of the groups, or none where there are no groups."""
    if panel.shape[1] > 1:
        return "two-way"
    return "none" if groups is None else "time"


def as_segments(segments: Mapping[Period, str] | Sequence[str] | None) -> Segments:
    """Segments as a specification keeps them: a list of names as a tuple."""
    return segments if segments is None or isinstance(segments, Mapping) else tuple(segments)


@dataclass(frozen=True)
class ModelSpec:
    """A model of  y = ρ W y + X β + W X θ + effects + u,  u = λ W u + ε,  with some of its terms.

    Parameters
    ----------
    formula : "log(patents) ~ log(lq) + log(rd)".
    model : "ols" (no W), "slx" (W X), "sar" (W y), "sdm" (W y, W X), "sem" (W u), "sdem" (W X, W u),
        "sac" (W y, W u) or "gns" (all three).
    effects : "none", "individual" (regions), "time" (periods) or "two-way".
    groups : column of `panel.groups`, or region → group; period effects are then group × period effects.
    segments : period → name of its segment, or t names; region effects are then region × segment effects.
    correction : "lee-yu" (transformation; consistent variance and ρ) or "none" (dummies, counts n and t).
    covariance : "default" (clustered by region when region means are removed, information matrix
        otherwise) or one of "information", "hessian", "sandwich", "hc", "cluster" (by region), "cluster-group"
        (by the groups), "two-way-cluster", "driscoll-kraay", "conley".
    lagged : the regressors that also enter as W x in Durbin models; None for all of them.
    cutoff_km : distance at which Conley's kernel reaches zero.
    time_lags : lags of the Driscoll–Kraay and Conley kernels in time; a rule of thumb by default.
    """

    formula: str
    model: ModelName = "sdm"
    effects: Effects = "two-way"
    correction: Correction = "lee-yu"
    covariance: CovarianceName = "default"
    lagged: tuple[str, ...] | None = None
    cutoff_km: float | None = None
    time_lags: int | None = None
    groups: Groups = field(default=None, hash=False)
    segments: Segments = field(default=None, hash=False)

    @classmethod
    def of(
        cls,
        panel: Panel,
        formula: str,
        *,
        model: ModelName,
        effects: Effects | None = None,
        correction: Correction = "lee-yu",
        covariance: CovarianceName = "default",
        lagged: Sequence[str] | None = None,
        cutoff_km: float | None = None,
        time_lags: int | None = None,
        groups: Groups = None,
        segments: Mapping[Period, str] | Sequence[str] | None = None,
    ) -> ModelSpec:
        """As a user writes it for a panel: effects have their usual value, lists become tuples."""
        return cls(
            formula=formula,
            model=model,
            effects=effects or usual_effects(panel, groups),
            correction=correction,
            covariance=covariance,
            lagged=None if lagged is None else tuple(lagged),
            cutoff_km=cutoff_km,
            time_lags=time_lags,
            groups=groups,
            segments=as_segments(segments),
        )

    def __post_init__(self) -> None:
        if self.effects == "random":
            raise OptionError(
                "random effects are another estimator",
                fix="use spillover.models.random_effects.fit_random, or effects='individual'",
            )
        check_option("model", self.model, get_args(ModelName))
        check_option("effects", self.effects, get_args(Effects))
        check_option("correction", self.correction, get_args(Correction))
        check_option("covariance", self.covariance, get_args(CovarianceName))
        if self.covariance == "cluster-group" and self.groups is None:
            raise OptionError("clustering by group needs groups", fix="give groups=…")
        if self.segments is not None and not self.has_region_effects:
            raise OptionError(
                f"segments are for region effects, and effects={self.effects!r} has none",
                fix='leave out segments=…, or use effects="individual" or "two-way"',
            )
        check_lagged(self.model, self.lagged)
        if self.covariance == "conley" and (self.cutoff_km is None or self.cutoff_km <= 0):
            raise OptionError(
                "Conley errors need the distance beyond which errors are unrelated",
                got=str(self.cutoff_km),
                fix="give cutoff_km, and try several: a larger one is not always more conservative",
            )

    @property
    def has_spatial_lag(self) -> bool:
        """W y is in the model."""
        return self.model in LAG_MODELS

    @property
    def has_lagged_regressors(self) -> bool:
        """W X is in the model."""
        return self.model in DURBIN_MODELS

    @property
    def has_spatial_error(self) -> bool:
        """W u is in the model."""
        return self.model in ERROR_MODELS

    @property
    def has_region_effects(self) -> bool:
        """Region means are removed."""
        return self.effects in ("individual", "two-way")

    @property
    def has_period_effects(self) -> bool:
        """Period means are removed."""
        return self.effects in ("time", "two-way")

    @property
    def effects_in_words(self) -> str:
        """The effects; where they have groups or segments, "region × segment and country × period"."""
        if self.groups is None and self.segments is None:
            return self.effects
        parts = []
        if self.has_region_effects:
            parts.append("region" if self.segments is None else "region × segment")
        if self.has_period_effects:
            group = self.groups if isinstance(self.groups, str) else "group"
            parts.append("period" if self.groups is None else f"{group} × period")
        return " and ".join(parts) or self.effects

    @property
    def uses_weights(self) -> bool:
        """The model needs a W."""
        return self.model != "ols"

    @property
    def resolved_covariance(self) -> str:
        """The covariance that "default" stands for."""
        if self.covariance != "default":
            return self.covariance
        return "cluster" if self.has_region_effects else "information"

    def with_changes(self, **changes: Any) -> ModelSpec:
        """A copy with some settings changed."""
        return replace(self, **changes)


@dataclass(frozen=True, eq=False)
class Roles:
    """Which W lags the outcome (several are possible), the regressors and the error; all aligned to the panel."""

    outcome: tuple[tuple[str, SpatialWeights], ...] = ()
    regressors: SpatialWeights | None = None
    error: SpatialWeights | None = None

    @property
    def main(self) -> SpatialWeights | None:
        """The W a reader would call "the W": that of the outcome, else of the regressors, else of the error."""
        if self.outcome:
            return self.outcome[0][1]
        return self.regressors if self.regressors is not None else self.error

    @property
    def rho_names(self) -> tuple[str, ...]:
        """ "rho", or "rho: name" for each of several lags of the outcome."""
        if len(self.outcome) == 1:
            return ("rho",)
        return tuple(f"rho: {name}" for name, _ in self.outcome)


def assign_roles(
    spec: ModelSpec,
    regions: tuple[str, ...],
    weights: SpatialWeights | Mapping[str, SpatialWeights] | None,
    weights_x: SpatialWeights | None,
    weights_error: SpatialWeights | None,
) -> Roles:
    """Align every W to the regions and give it its part; `OptionError` when one is missing or superfluous."""
    lags = dict(weights) if isinstance(weights, Mapping) else {"W": weights} if weights is not None else {}
    if len(lags) > 1 and not spec.has_spatial_lag:
        raise OptionError(
            f"a {spec.model} model has no spatial lag of the outcome, so several W do not apply",
            fix="give one W, or use model='sar', 'sdm', 'sac' or 'gns'",
        )
    single = next(iter(lags.values())) if len(lags) == 1 else None
    for_x = weights_x if weights_x is not None else single
    for_error = weights_error if weights_error is not None else single
    needs = {
        "the outcome (weights)": spec.has_spatial_lag and not lags,
        "the regressors (weights_x)": spec.has_lagged_regressors and for_x is None,
        "the error (weights_error)": spec.has_spatial_error and for_error is None,
    }
    missing = [role for role, lacking in needs.items() if lacking]
    if missing:
        raise OptionError(
            f"a {spec.model} model needs spatial weights for " + " and for ".join(missing),
            fix="give weights=spillover.weights.build_contiguity(panel), or model='ols'",
        )

    def aligned(name: str, w: SpatialWeights) -> SpatialWeights:
        try:
            return w.align(regions)
        except AlignmentError as error:
            if len(lags) < 2 and weights_x is None and weights_error is None:
                raise
            raise AlignmentError(f"W of {name}: {error}") from None

    cache: dict[int, SpatialWeights] = {}

    def once(name: str, w: SpatialWeights) -> SpatialWeights:
        if id(w) not in cache:
            cache[id(w)] = aligned(name, w)
        return cache[id(w)]

    # OLS and SAR keep the W of the regressors too: the specification tests lag X with it.
    keep_x = for_x is not None and (spec.has_lagged_regressors or not spec.has_spatial_error)
    return Roles(
        outcome=tuple((name, once(name, w)) for name, w in lags.items()) if spec.has_spatial_lag else (),
        regressors=once("the regressors", for_x) if keep_x and for_x is not None else None,
        error=once("the error", for_error) if for_error is not None and spec.has_spatial_error else None,
    )
