"""`StudyResult`: everything a study found, one field per step; the report reads only this.

Frozen values that survive a JSON round trip: `StudyResult.from_json(result.to_json()) == result`.
A missing number is None, never NaN. Arrays are nested tuples, regions first, periods second.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

Row = dict[str, Any]
Number = float | None


class Frozen(BaseModel):
    """Base of all parts: immutable, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


class Provenance(Frozen):
    """Where the numbers come from."""

    version: str
    python: str
    created: str  # ISO 8601, UTC; SOURCE_DATE_EPOCH is honoured
    seed: int
    hashes: dict[str, str]  # file or object → SHA-256, first 16 hex digits
    packages: dict[str, str]


class PanelSummary(Frozen):
    """STEP 1a: what was read."""

    regions: tuple[str, ...]
    names: tuple[str, ...]
    periods: tuple[int | str, ...]
    variables: tuple[Row, ...]  # rows of panel.describe()
    log: tuple[str, ...]
    geometry: dict[str, Any] | None = None  # GeoJSON FeatureCollection, EPSG:4326, feature id = region id
    planar: bool = False  # coordinates are not longitude and latitude (synthetic maps)


class WeightsSummary(Frozen):
    """STEP 1b: one W as used."""

    name: str
    facts: dict[str, Any]  # SpatialWeights.describe()
    bounds: tuple[float, float]


class Measure(Frozen):
    """STEP 2: one measured column."""

    name: str
    label: str
    unit: str
    role: str  # "agglomeration" or "innovation"
    values: tuple[tuple[Number, ...], ...]  # (n, t)
    note: str = ""


class IndexSummary(Frozen):
    """STEP 2: the composite innovation-capability index, when the study builds one."""

    name: str
    label: str
    weights: tuple[Row, ...]  # indicator, dimension, direction, weight, goalpost_low, goalpost_high
    dimensions: dict[str, tuple[tuple[Number, ...], ...]]  # dimension → (n, t)
    note: str = ""


class MoranScatter(Frozen):
    """STEP 3: standardised values against their spatial lag in one period."""

    variable: str
    period: int | str
    z: tuple[float, ...]
    lag: tuple[float, ...]
    regions: tuple[str, ...]


class Diagnostics(Frozen):
    """STEP 3: spatial dependence before any model."""

    moran: tuple[Row, ...]  # variable, label, period, transform (level | within), statistic, expected, z, p_value, ...
    scatters: tuple[MoranScatter, ...]


class ModelResult(Frozen):
    """STEPS 4-5: one fitted model."""

    name: str
    model: str
    effects: str
    correction: str
    covariance: str
    weights: str
    formula: str
    treatment: str  # the term whose spillover the study is about
    coefficients: tuple[Row, ...]  # tidy rows
    impacts: tuple[Row, ...]  # tidy rows with variable, effect, horizon
    information_errors: tuple[Row, ...]  # tidy effect rows under the information matrix, when they differ by > 1/3
    statistics: dict[str, Any]
    tests: tuple[Row, ...]
    notes: tuple[str, ...]
    groups: str = ""  # what the period effects belong to, when not to all regions
    segments: bool = False  # region effects are one per segment of the periods
    spread: float | None = None  # of the treatment's term: its standard deviation within regions, or in a cross-section

    @property
    def has_spillover(self) -> bool:
        """Whether the model can have one: in OLS and SEM it is zero by construction, which is not a finding."""
        return self.model not in ("ols", "sem")


class RegionalEffects(Frozen):
    """STEP 5: what each region receives from and emits to the others, for the treatment of the main model."""

    variable: str
    received: tuple[float, ...]
    received_se: tuple[float, ...]
    emitted: tuple[float, ...]
    emitted_se: tuple[float, ...]
    own: tuple[float, ...]
    links: tuple[Row, ...]  # sender, receiver, effect


class DistanceReach(Frozen):
    """STEP 6b: how far the spillover of the treatment reaches, and how fast it falls."""

    treatment: str
    outcome: str
    treatment_label: str
    outcome_label: str
    formula: str
    model: str
    distances: str  # what they are, in words
    unit: str
    n_regions: int
    n_periods: int
    covariance: str
    decay: Row  # half_distance, half_low, half_high (None: open), at_edge, identified, level, law, parameters, method
    effects: tuple[Row, ...]  # tidy rows with variable, effect: the uncertainty of the decay is in their errors
    curve: tuple[Row, ...]  # distance, estimate, conf_low, conf_high; empty where no decay is found
    relative: bool  # the curve is the law itself, 1 at zero (lag models), not the effect of one more unit (SLX)
    profile: tuple[Row, ...]  # half_distance, deviance
    null_test: Row
    rings: tuple[Row, ...]
    ring_tests: tuple[Row, ...]
    boundary: tuple[Row, ...]
    boundary_facts: Row  # distance, lower, resampled_low, resampled_high
    spline: tuple[Row, ...]
    kernels: tuple[Row, ...]
    sent: tuple[Number, ...]  # by region of the panel: what its own change brought to all others, as shares
    # of the outcome where that is a logarithm; empty without a decay
    links: tuple[Row, ...]  # sender, receiver, effect, distance
    span: str  # the change that `sent` and `links` are of: "2011 to 2016"; empty for a cross-section
    no_links: str  # why there are none
    sentences: tuple[str, ...]
    notes: tuple[str, ...]


class ConfoundingCurve(Frozen):
    """STEP 6a: a channel's effects for every correlation that something unmeasured leaves."""

    channel: str
    correlations: tuple[float, ...]
    effects: dict[str, tuple[float, ...]]  # own, spillover, total
    std_errors: dict[str, tuple[float, ...]]
    break_even: dict[str, Number]
    sentence: str


class Mechanisms(Frozen):
    """STEP 6a: the effect of the treatment by channel."""

    treatment: str
    outcome: str
    treatment_label: str
    outcome_label: str
    equations: tuple[Row, ...]  # name, formula, weights
    n_regions: int
    n_periods: int
    covariance: str
    df: Number
    effects: tuple[Row, ...]  # tidy rows with channel, effect (own | spillover | total), mechanism
    simultaneous: tuple[Row, ...]  # tidy rows with band_low, band_high, p_adjusted
    paths: tuple[Row, ...]
    shares: dict[str, tuple[Row, ...]]  # own, spillover, total → tidy rows; empty where there are none
    no_shares: dict[str, str]  # why there are none
    attribution: tuple[Row, ...]  # tidy rows with path, spatial_term, equation
    curves: tuple[ConfoundingCurve, ...]
    robustness: tuple[Row, ...]
    interactions: tuple[Row, ...]
    turning_points: tuple[Row, ...]
    sentences: tuple[str, ...]
    assumptions: tuple[str, ...]
    notes: tuple[str, ...]


class EffectCurve(Frozen):
    """STEP 6b: one effect over the observed range of a moderator."""

    effect: str  # direct, indirect, total
    values: tuple[float, ...]
    estimates: tuple[float, ...]
    conf_low: tuple[float, ...]
    conf_high: tuple[float, ...]
    band_low: tuple[float, ...]
    band_high: tuple[float, ...]
    ranges: tuple[Row, ...]  # Johnson–Neyman: kind (pointwise | simultaneous), low, high, sign, share
    sentence: str


class Moderation(Frozen):
    """STEP 6b: how one moderator changes the effect of the treatment."""

    name: str
    moderator: str  # the expression, or the W that moderates links
    logged: bool  # whether values are logarithms
    side: str
    centre: float
    quantiles: tuple[float, ...]  # 0, 5, …, 100 % of the observed values
    curves: tuple[EffectCurve, ...]
    effects: tuple[Row, ...]  # tidy rows at quantiles, with moderator, value, band_low, band_high
    tests: tuple[Row, ...]
    p_value: Number  # of all sides together
    p_adjusted: Number  # for the number of moderators looked at (Holm)
    coefficients: tuple[Row, ...]
    sentences: tuple[str, ...]
    notes: tuple[str, ...]


class Environment(Frozen):
    """STEP 6b: the parts of an environment side by side, and as one index."""

    name: str
    scale: str  # log or sd
    parts: tuple[Moderation, ...]  # each beside the others, in one model
    index: Moderation
    tests: tuple[Row, ...]  # whether one index is enough
    sentences: tuple[str, ...]


class ThresholdProfile(Frozen):
    """STEP 6b: the likelihood ratio of one threshold over the values searched."""

    value: float
    low: float
    high: float
    share_below: float
    eta2: float
    at_edge: bool
    critical: float
    gammas: tuple[float, ...]
    ratio: tuple[float, ...]  # scaled: what is compared with the critical value


class Thresholds(Frozen):
    """STEP 6b: values of a variable beyond which the effect of the treatment changes."""

    name: str
    variable: str
    switching: tuple[str, ...]
    supported: int  # how many the tests support
    profiles: tuple[ThresholdProfile, ...]
    regimes: tuple[str, ...]
    counts: tuple[int, ...]  # observations in each regime
    effects: tuple[Row, ...]  # tidy rows with regime
    tests: tuple[Row, ...]
    sentences: tuple[str, ...]
    notes: tuple[str, ...]


class Strengths(Frozen):
    """STEP 6b: the strength of the feedback between neighbours as a function of a moderator."""

    name: str
    moderator: str
    logged: bool
    side: str
    base: str  # the period whose value counts; empty for a moderator that does not change
    curve: EffectCurve  # of ρ
    regions: tuple[Row, ...]  # tidy rows of ρ by region, with band
    effects: tuple[Row, ...]  # of the treatment at quantiles
    tests: tuple[Row, ...]
    coefficients: tuple[Row, ...]
    sentences: tuple[str, ...]
    notes: tuple[str, ...]


class Moderators(Frozen):
    """STEP 6b: under what conditions the effect of the treatment is stronger or weaker."""

    treatment: str
    outcome: str
    treatment_label: str
    outcome_label: str
    formula: str
    model: str
    weights: str
    covariance: str
    n_regions: int
    n_periods: int
    interactions: tuple[Moderation, ...]
    environment: Environment | None
    thresholds: tuple[Thresholds, ...]
    strengths: tuple[Strengths, ...]
    limits: tuple[str, ...]


class TruthRow(Frozen):
    """Known truth beside the estimate (reference system only)."""

    quantity: str
    truth: float
    estimate: float
    conf_low: float
    conf_high: float
    covered: bool
    unit: str = ""


class StudyResult(Frozen):
    """A finished study."""

    title: str
    kind: str  # "study" or "demo"
    description: str
    config: dict[str, Any]
    provenance: Provenance
    panel: PanelSummary
    weights: tuple[WeightsSummary, ...]
    measures: tuple[Measure, ...]
    index: IndexSummary | None
    diagnostics: Diagnostics
    models: tuple[ModelResult, ...]
    main: str  # name of the main model
    regional: RegionalEffects | None
    truth: tuple[TruthRow, ...]
    cautions: tuple[str, ...]  # what a careful reader should know before quoting a number
    distance: DistanceReach | None = None
    mechanisms: Mechanisms | None = None
    moderators: Moderators | None = None
    audit: dict[str, Any] | None = None  # filled by the audit step

    def to_json(self) -> str:
        """The result as JSON text, UTF-8, with an indent that a person can read."""
        return self.model_dump_json(indent=1)

    @classmethod
    def from_json(cls, text: str) -> StudyResult:
        """The inverse of `to_json`."""
        return cls.model_validate_json(text)

    def model(self, name: str | None = None) -> ModelResult:
        """A model by name, the main one by default."""
        wanted = self.main if name is None else name
        return next(model for model in self.models if model.name == wanted)
