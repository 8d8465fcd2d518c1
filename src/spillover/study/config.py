"""The study file: one TOML file that says everything a study needs."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StrictBool, field_validator

from spillover.typing import CovarianceName, ModelName

Name: TypeAlias = Annotated[str, Field(pattern=r"\S")]  # not blank
Whole: TypeAlias = Annotated[int, Field(strict=True)]  # neither true nor "3"
Real: TypeAlias = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Period: TypeAlias = Whole | str


class Section(BaseModel):
    """Base of all sections: immutable, unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class StudySection(Section):
    """[study]"""

    title: Name
    description: str = ""
    seed: Whole = Field(default=1, ge=0)


class DataSection(Section):
    """[data]: the table, its keys, the map.

    Paths are relative to the study file; ${NAME} is an environment variable.
    """

    table: str
    encoding: str | None = None  # of a text table; UTF-8 by default
    region: str
    period: str | None = None
    name: str | None = None  # column with display names of the regions
    geometry: str | None = None
    geometry_id: str | None = None  # column of the map that holds the region ids
    groups: tuple[str, ...] = ()  # region-constant text columns: country, macro-region
    periods: tuple[Period, ...] = ()  # keep only these
    regions: tuple[str, ...] = ()  # keep only these
    exclude: tuple[str, ...] = ()  # leave these regions out
    missing: Literal["error", "drop-regions", "drop-periods"] = "error"
    units: dict[str, str] = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)


class DerivedVariable(Section):
    """[[derive]]: a new variable from an arithmetic expression of others, e.g. "1e4 * inventions / population"."""

    name: Name
    expression: str
    label: str = ""
    unit: str = ""


class AgglomerationSection(Section):
    """[agglomeration]: how high-tech agglomeration is measured.

    Either from two panel columns (sector, total), or from a region × industry × period table.
    measure "column" takes a variable as it is.
    """

    measure: Literal["location-quotient", "density", "column"] = "location-quotient"
    name: Name = "agglomeration"
    label: str = ""
    column: str | None = None
    sector: str | None = None
    total: str | None = None
    area: str | None = None
    table: str | None = None
    encoding: str | None = None  # of that table; UTF-8 by default
    industry: str | None = None
    value: str | None = None
    high_tech: tuple[str, ...] = ()


class Indicator(Section):
    """[[innovation.indicators]]"""

    column: str
    dimension: Literal["creation", "flow", "enterprise", "environment"]
    direction: Literal[1, -1] = 1


class InnovationSection(Section):
    """[innovation]: the outcome column, or indicators of a four-dimension capability index, or both."""

    column: str | None = None
    label: str = ""
    index: Name = "innovation_index"  # name of the index variable when indicators are given
    indicators: tuple[Indicator, ...] = ()


class WeightsSection(Section):
    """[[weights]]: one named W."""

    name: Name
    kind: Literal[
        "queen", "rook", "knn", "distance-band", "inverse-distance", "exponential", "file", "distance-file", "gaussian",
        "shared-border", "gravity", "economic", "institutional", "same-group", "travel-time", "time-file",
        "technological", "input-output",
    ]  # fmt: skip
    k: Whole | None = None  # neighbours; for economic, technological and input-output the strongest links
    steps: Whole | None = None  # queen, rook, knn: the regions so many steps away, not nearer
    threshold_km: Real | None = None
    bandwidth_km: Real | None = None
    variable: str | None = None  # gravity: mass of the senders; economic, institutional: in what regions are alike
    group: str | None = None  # same-group: one of [data] groups
    power: Real = 1.0
    decay_per_km: Real | None = None
    file: str | None = None  # of weights, or with kind "distance-file" of distances: weights are distance ** -power
    edge_columns: tuple[str, ...] = ()  # of an edge list: receiver, sender and weight, when they have other names
    both_ways: StrictBool = False  # the edge list names every pair once, and links run both ways
    order: str | None = None  # file with the region order of an unlabelled square matrix
    columns: tuple[str, ...] = ()  # of a portfolio in `file`: region, class, value
    edges: str | None = None  # travel-time: from, to, minutes (or length_km, speed_kmh), mode, both_ways
    nodes: str | None = None  # travel-time: node, lon, lat
    connectors: str | None = None  # travel-time: region, node, minutes; else the nearest node at access_kmh
    access_kmh: Real = 40.0
    transfer_minutes: Real = 0.0
    decay_per_minute: Real | None = None
    cutoff_minutes: Real | None = None
    io_table: str | None = None  # input-output: the table of flows, its codes, gross output, and rows of flows
    io_code: str = "Code"
    io_output: str = "GO"
    io_rows: tuple[str, ...] = ()  # column and text, such as ["Origin", "Domestic"]
    receives_from: Literal["customers", "suppliers", "both"] = "customers"
    standardise: Literal["none", "row", "spectral", "scalar", "min-max"] = "row"
    islands: Literal["error", "keep", "nearest", "drop"] = "error"
    within: str | None = None  # one of [data] groups: links between its groups are cut
    links: tuple[tuple[str, str], ...] = ()  # links added by hand, both ways, before standardising


class ModelSection(Section):
    """[[models]]: one model to fit."""

    name: Name
    formula: str
    model: ModelName = "sdm"
    effects: Literal["none", "individual", "time", "two-way"] = "two-way"
    groups: str | None = None  # one of [data] groups: period effects are one per group and period
    segments: dict[str, str] = Field(default_factory=dict)  # period → segment: region effects are one per segment
    weights: str | None = None  # the first W by default
    correction: Literal["lee-yu", "none"] = "lee-yu"
    covariance: CovarianceName = "default"
    cutoff_km: float | None = None  # of Conley errors
    time_lags: int | None = None  # of Conley and Driscoll–Kraay errors
    weights_x: str | None = None  # another W for the regressors
    weights_error: str | None = None  # another W for the error
    lagged: tuple[str, ...] | None = None  # regressors that also enter as W x; all by default
    treatment: str | None = None  # the first regressor by default
    periods: tuple[Period, ...] = ()  # this model only: keep only these periods
    exclude: tuple[str, ...] = ()  # this model only: leave these regions out; W is restricted and standardised anew
    main: StrictBool = False


class AuditSection(Section):
    """[audit]: is the effect of the main model a spillover? `audit = false` above all sections leaves it out."""

    enabled: StrictBool = True
    groups: str | None = None  # one of [data] groups, to tell shocks that groups share from spillovers
    weights: tuple[str, ...] | None = None  # the W's to set side by side; all of the same regions by default
    measures: tuple[str, ...] = ()  # other measures of the treatment, as terms of a formula: "log(revenue_share)"
    channels: tuple[str, ...] = ()  # variables through which agglomeration works: no controls
    counts: str | None = None  # the outcome as counts (patents): do small counts or logarithms carry the result?
    draws: Whole | None = Field(default=None, ge=99)  # permutations and bootstrap replications
    relevant_own: Real | None = None  # effects that would matter, on the scale of the coefficients
    relevant_spillover: Real | None = None
    rules: str | None = None  # file with rules of the verdict in place of the package's


Kernel: TypeAlias = Literal["exponential", "power", "shifted", "stretched"]


class DistanceSection(Section):
    """[distance]: how far the spillover of the treatment reaches, and how fast it falls.

    What is not said is taken from the main model: formula, treatment, effects, groups and segments. Distances are
    straight ones between the regions of the map, those of a file, or travel times over a network.
    """

    kind: Literal["straight", "file", "network"] = "straight"
    file: str | None = None  # file: a square table, rows are origins, or a list from, to and the distance
    columns: tuple[str, ...] = ()  # of a list, when they are not from, to and the unit
    both_ways: StrictBool = False  # the list names every pair once
    unit: str | None = None  # of the file; km by default
    what: str | None = None  # what the file holds, in words: "rail distance between capitals"
    edges: str | None = None  # network: from, to, minutes (or length_km, speed_kmh), mode, both_ways
    nodes: str | None = None  # network: node, lon, lat
    connectors: str | None = None  # network: region, node, minutes; else the nearest node at access_kmh
    access_kmh: Real = 40.0
    transfer_minutes: Real = 0.0
    cutoff_minutes: Real | None = None
    reach_km: Real | None = None  # straight: pairs further apart are left out
    formula: str | None = None
    treatment: str | None = None
    lagged: tuple[str, ...] = ()  # regressors that spill over beside the treatment, by the same law
    effects: Literal["none", "individual", "time", "two-way"] | None = None
    model: Literal["slx", "sar", "sdm"] = "slx"  # in which the decay is estimated
    standardise: Literal["scalar", "row"] = "scalar"
    kernel: Kernel = "exponential"
    kernels: tuple[Kernel, ...] | None = None  # laws to compare; all by default, an empty list compares none
    minimum: Real | None = None  # of the power law: shorter distances count as this
    search: tuple[Real, Real] | None = None  # half-distances between which the decay is searched
    rings: tuple[Real, ...] = ()  # edges, in the unit of the distances; the paper's bands to the scale of the map
    thresholds: tuple[Real, ...] = ()  # of the boundary curve
    covariance: Literal["conley", "cluster", "period"] | None = None
    cutoff: Real | None = None  # of Conley errors
    time_lags: Whole | None = Field(default=None, ge=0)
    quasi_difference: Real | Literal["auto"] | None = None
    periods: tuple[Period, ...] = ()  # keep only these periods
    exclude: tuple[str, ...] = ()  # leave these regions out


class ChannelSection(Section):
    """[[mechanisms.channels]]: one channel and what stands for it."""

    name: Name  # as the report calls it: "personnel mobility"
    mediator: Name  # a variable or an expression; or an equation, "talent ~ hti + W*hti"
    weights: str | None = None  # another W for this channel's equation
    shape: Literal["linear", "inverted-u"] = "linear"  # inverted-u: its square beside it in the outcome's equation


class MechanismsSection(Section):
    """[mechanisms]: through which channels the effect of the treatment runs.

    What is not said is taken from the main model: outcome, treatment, controls, W, effects, groups and segments.
    """

    outcome: str | None = None  # an expression, or an equation
    treatment: str | None = None
    controls: tuple[str, ...] | None = None
    model: Literal["ols", "slx", "sar", "sdm"] = "slx"
    weights: str | None = None
    lag: Whole | None = Field(default=None, ge=0)  # periods by which the treatment comes first; chosen by default
    mediator_lag: Whole = Field(default=0, ge=0)
    covariance: Literal["cluster", "cluster-group", "conley", "driscoll-kraay", "information"] = "cluster"
    cutoff_km: Real | None = None
    time_lags: Whole | None = None
    periods: tuple[Period, ...] = ()  # keep only these periods
    exclude: tuple[str, ...] = ()  # leave these regions out
    channels: tuple[ChannelSection, ...]


class InteractionSection(Section):
    """[[moderators.interactions]]: one variable, or one table of linkages, that may change the effect."""

    name: Name  # as the report calls it: "digital infrastructure"
    moderator: str | None = None  # a variable or an expression
    linkage: str | None = None  # or the name of a [[weights]], whose entries moderate the links of W
    side: Literal["both", "receiver", "sender", "none"] | None = None  # whose value counts next door; both by default
    centre: Real | None = None  # the mean by default


class EnvironmentSection(Section):
    """[moderators.environment]: parts of an environment, each on its own and as one index."""

    name: Name = "environment"
    parts: dict[str, str]  # name → variable or expression: policy, infrastructure, culture
    scale: Literal["log", "sd"] = "log"
    side: Literal["both", "receiver", "sender", "none"] | None = None


class ThresholdSection(Section):
    """[[moderators.thresholds]]: values of a variable beyond which slopes change."""

    name: Name
    variable: str
    switching: tuple[str, ...] = ()  # terms such as "W*log(lq)"; the treatment at home and next door by default
    thresholds: Literal[1, 2, 3] = 1
    side: Literal["receiver", "sender"] = "receiver"
    trim: Real = 0.10
    bootstrap: Literal["spatial", "period", "hansen"] = "spatial"
    draws: Whole = Field(default=1_000, ge=99, le=100_000)
    reach_km: Real | None = None


class StrengthSection(Section):
    """[[moderators.strengths]]: a variable that may move the strength ρ of the feedback between neighbours."""

    name: Name
    moderator: str
    side: Literal["receiver", "sender"] = "receiver"
    base: Period | None = None  # the period whose value counts, or "mean", where the variable changes over time


class ModeratorsSection(Section):
    """[moderators]: under what conditions the effect of the treatment is stronger or weaker.

    What is not said is taken from the main model: outcome, treatment, controls, W, effects, groups and segments.
    """

    outcome: str | None = None
    treatment: str | None = None
    controls: tuple[str, ...] | None = None
    model: Literal["ols", "slx", "sar", "sdm"] | None = None
    weights: str | None = None
    covariance: CovarianceName | None = None
    cutoff_km: Real | None = None
    time_lags: Whole | None = None
    periods: tuple[Period, ...] = ()  # keep only these periods
    exclude: tuple[str, ...] = ()  # leave these regions out
    interactions: tuple[InteractionSection, ...] = ()
    environment: EnvironmentSection | None = None
    thresholds: tuple[ThresholdSection, ...] = ()
    strengths: tuple[StrengthSection, ...] = ()


class StudyConfig(Section):
    """A whole study file."""

    study: StudySection
    data: DataSection
    derive: tuple[DerivedVariable, ...] = ()
    agglomeration: AgglomerationSection
    innovation: InnovationSection
    weights: tuple[WeightsSection, ...]
    models: tuple[ModelSection, ...]
    distance: DistanceSection | None = None
    mechanisms: MechanismsSection | None = None
    moderators: ModeratorsSection | None = None
    audit: AuditSection = AuditSection()

    @field_validator("audit", mode="before")
    @classmethod
    def _switch(cls, value: Any) -> Any:
        """`audit = true` and `audit = false` in place of a section."""
        return AuditSection(enabled=value) if isinstance(value, bool) else value

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for provenance."""
        return self.model_dump(mode="json", exclude_none=True)
