"""One model from files: what `spillover fit` asks for and gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from spillover.errors import OptionError, check_option, show_labels
from spillover.inference.hypotheses import HypothesisTest
from spillover.models.formula import Formula, parse_formula, split_at
from spillover.models.spec import ModelSpec
from spillover.panel.panel import Panel
from spillover.study.columns import find_term, formula_variables, variables_in_table
from spillover.study.config import WeightsSection
from spillover.study.estimate import MUCH
from spillover.study.phrasing import in_words_of, phrase
from spillover.study.provenance import describe_provenance, hash_file, hash_weights
from spillover.study.rows import plain, plain_rows
from spillover.typing import IslandPolicy, Standardisation

if TYPE_CHECKING:
    import pandas as pd

    from spillover.models.instruments import InstrumentalFit
    from spillover.models.random_effects import RandomEffectsFit
    from spillover.models.result import SpatialFit
    from spillover.weights.weights import SpatialWeights

MAPS = (".geojson", ".gpkg", ".shp", ".json")
KINDS = ("queen", "rook", "knn", "distance-band", "inverse-distance", "exponential", "gaussian", "shared-border")
_NUMBERS = {
    "queen": "steps",
    "rook": "steps",
    "knn": "k",
    "distance-band": "threshold_km",
    "inverse-distance": "power",
    "exponential": "decay_per_km",
    "gaussian": "bandwidth_km",
}
_WHOLE = ("queen", "rook", "knn")


@dataclass(frozen=True)
class FitRequest:
    """The options of `spillover fit`, as text; see DESIGN of the command line for their meaning."""

    formula: str
    data: Path
    region: str
    encoding: str | None = None
    period: str | None = None
    weights: Path | None = None
    weights_kind: str | None = None
    geometry_id: str | None = None
    order: Path | None = None
    edge_columns: str | None = None
    both_ways: bool = False
    missing: str = "error"
    exclude: Sequence[str] = ()
    standardise: str = "row"
    islands: str = "error"
    model: str = "sdm"
    effects: str | None = None
    groups: str | None = None
    within: str | None = None
    correction: str = "lee-yu"
    dynamic: str | None = None
    covariance: str = "default"
    lagged: Sequence[str] | None = None
    tests: str = "all"
    cutoff_km: float | None = None
    time_lags: int | None = None


@dataclass(frozen=True, eq=False)
class FitAnswer:
    """A fit with what its provenance needs."""

    fit: SpatialFit | RandomEffectsFit | InstrumentalFit
    tests: pd.DataFrame
    hashes: dict[str, str]
    asked: dict[str, str]  # model, effects, correction, covariance, formula
    dropped: tuple[str, ...] = ()  # what was left out of the table, one sentence each

    def as_dict(self) -> dict[str, Any]:
        """Plain values without NaN: coefficients, effects, statistics, tests, provenance."""
        statistics = {**dict(self.fit.statistics), **self.asked}
        if self.fit.weights is not None:
            statistics["weights"] = repr(self.fit.weights)
        return {
            "coefficients": list(plain_rows(self.fit.coefficients())),
            "effects": list(plain_rows(self.fit.effects())),
            "statistics": plain(statistics),
            "tests": list(plain_rows(self.tests)),
            "notes": [*self.dropped, *self._notes()],
            "provenance": plain({**describe_provenance(0, self.hashes).model_dump(), **dict(self.fit.provenance)}),
        }

    def _notes(self) -> list[str]:
        return [phrase(note, "command line") for note in self.fit.notes]

    def _other_errors(self) -> list[str]:
        """Where clustered and information-matrix errors of effects differ by more than a third."""
        from spillover.models.result import SpatialFit

        if not isinstance(self.fit, SpatialFit) or self.fit.spec.resolved_covariance != "cluster":
            return []
        own, other = self.fit.effects(), self.fit.with_covariance("information").effects()
        told = [
            f"{row.term} {row.std_error:.4g} → {beside.std_error:.4g}"
            for row, beside in zip(own.itertuples(), other.itertuples(), strict=True)
            if row.std_error > 0.0 and abs(beside.std_error - row.std_error) > MUCH * row.std_error
        ]
        if not told:
            return []
        return [
            "errors clustered by region; information-matrix errors of effects differ by more than a third: "
            f"{show_labels(told, 6)}; see --covariance information"
        ]

    def summary(self) -> str:
        """The fit on one screen, with its tests."""
        rows = list(plain_rows(self.tests))
        rows = [row for row in rows if row.get("form", "") in ("valid", "")] or rows
        lines = [f"{_test_name(row):<34}{row['statistic']:>12.4f}   {row['says']}" for row in rows]
        from spillover.effects.summary import summarise

        notes = [f"note: {note}" for note in (*self._other_errors(), *self.dropped)]
        summary = phrase(summarise(self.fit), "command line")
        return "\n".join([summary, *notes, *(["", "Tests", *lines] if lines else [])])


def fit_single(request: FitRequest) -> FitAnswer:
    """Read the table and W, and fit one model; raises SpilloverError for whatever is wrong with either."""
    with in_words_of("command line"):
        return _fit(request)


def _fit(request: FitRequest) -> FitAnswer:
    spec = _specification(request)
    formula = _read_formula(spec.formula)
    section = _weights_section(request, spec)
    whole = _read_panel(request, formula, section)
    panel = _select(request, whole, formula)
    weights = None
    if section is not None:
        from spillover.study.prepare import build_weights

        weights = build_weights(section, panel, set(whole.regions) - set(panel.regions), complete=True)
        if (section.islands == "drop" or section.within is not None) and set(weights.regions) < set(panel.regions):
            panel = panel.select(regions=weights.regions, note="islands of W were dropped")
    hashes = {request.data.name: hash_file(request.data)}
    if request.weights is not None and weights is not None:
        hashes |= {request.weights.name: hash_file(request.weights), "weights": hash_weights(weights)}
    asked = {"model": request.model, "correction": request.correction, "formula": request.formula}
    if _has_instruments(request.formula):
        return _fit_instrumental(request, spec, panel, weights, hashes, asked, _dropped(whole, panel))
    if request.effects == "random":
        return _fit_random(request, panel, weights, hashes, asked, _dropped(whole, panel))
    from spillover.models.fit import fit_spec

    found = fit_spec(spec, panel, weights)
    asked |= {"effects": spec.effects_in_words, "covariance": spec.resolved_covariance}
    return FitAnswer(found, found.tests(request.tests), hashes, asked, _dropped(whole, panel))


def _has_instruments(text: str) -> bool:
    return len(split_at(text, "|")) > 1


def _read_formula(text: str) -> Formula:
    """The formula with all its terms, those behind | included."""
    if not _has_instruments(text):
        return parse_formula(text)
    from spillover.models.instrument_formula import parse_instrument_formula

    parsed = parse_instrument_formula(text)
    return Formula(text, parsed.response, parsed.exogenous + parsed.endogenous + parsed.excluded, parsed.intercept)


def _fit_instrumental(
    request: FitRequest,
    spec: ModelSpec,
    panel: Panel,
    weights: SpatialWeights | None,
    hashes: dict[str, str],
    asked: dict[str, str],
    dropped: tuple[str, ...],
) -> FitAnswer:
    """Two-stage least squares for a formula with instruments, y ~ x | a ~ z."""
    from spillover.models.instruments import fit_two_stage

    options: dict[str, Any] = {"model": request.model, "effects": spec.effects, "covariance": request.covariance}
    found = fit_two_stage(request.formula, panel, weights, lagged=spec.lagged, **options)
    asked = {**asked, "effects": spec.effects, "covariance": found.estimates.method}
    return FitAnswer(found, found.tests(), hashes, asked, dropped)


def _fit_random(
    request: FitRequest,
    panel: Panel,
    weights: SpatialWeights | None,
    hashes: dict[str, str],
    asked: dict[str, str],
    dropped: tuple[str, ...],
) -> FitAnswer:
    """Random region effects, with the Mundlak test of whether they may be random."""
    import pandas as pd

    from spillover.models.hausman import means_test
    from spillover.models.random_effects import COVARIANCES, fit_random

    if request.covariance not in ("default", *COVARIANCES):
        raise OptionError(
            "random effects have no such covariance", got=request.covariance, expected=" or ".join(COVARIANCES)
        )
    covariance = "information" if request.covariance == "default" else request.covariance
    options: dict[str, Any] = {"model": request.model, "covariance": covariance, "lagged": _lagged(request)}
    found = fit_random(request.formula, panel, weights, **options)
    test = means_test(fit_random(request.formula, panel, weights, correlated=True, **options))
    rows = [test.row()] if isinstance(test, HypothesisTest) else []
    asked = {**asked, "effects": "random", "correction": "none", "covariance": covariance}
    return FitAnswer(found, pd.DataFrame(rows), hashes, asked, dropped)


def _select(request: FitRequest, panel: Panel, formula: Formula) -> Panel:
    """The panel without what is left out, with all that the formula uses."""
    from spillover.study.prepare import leave_out

    regions = tuple(dict.fromkeys(part.strip() for text in request.exclude for part in text.split(",") if part.strip()))
    return leave_out(panel, regions, "left out").complete(formula_variables(formula), request.missing)


def _dropped(whole: Panel, panel: Panel) -> tuple[str, ...]:
    """What became of the table between reading and fitting, one sentence each."""
    return tuple(note for note in panel.log if note not in whole.log)


def _specification(request: FitRequest) -> ModelSpec:
    if request.dynamic is not None:
        raise OptionError(
            "dynamic models (--dynamic) are not available in this version",
            got=request.dynamic,
            expected="a static model",
            fix="leave --dynamic out; a lag of a regressor can be written in the formula: lag(x)",
        )
    check_option("--tests", request.tests, ("valid", "conventional", "all"))
    effects = request.effects or ("two-way" if request.period is not None else "time" if request.groups else "none")
    options: dict[str, Any] = {
        "model": request.model,
        "effects": "individual" if effects == "random" else effects,  # random effects have a specification of their own
        "groups": request.groups,
        "correction": request.correction,
        "covariance": request.covariance,
        "cutoff_km": request.cutoff_km,
        "time_lags": request.time_lags,
    }
    if request.groups is not None and (effects == "random" or _has_instruments(request.formula)):
        raise OptionError(
            "effects of groups are for models by maximum likelihood",
            got=f"--groups {request.groups} with " + ("random effects" if effects == "random" else "instruments"),
            fix="leave --groups out, or use --effects two-way and a formula without |",
        )
    if effects == "random":
        options["covariance"] = "default"
    return ModelSpec(request.formula, lagged=_lagged(request), **options)


def _lagged(request: FitRequest) -> tuple[str, ...] | None:
    """The terms that also enter as W x, spelled as in the formula."""
    if request.lagged is None:
        return None
    known = _read_formula(request.formula).names
    return tuple(find_term(term, known) or term for text in request.lagged for term in _terms(text))


def _terms(text: str) -> list[str]:
    """Terms separated by commas outside of brackets: "log(x), lag(z, 2)" has two."""
    terms, start, depth = [], 0, 0
    for position, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if sign == "," and depth == 0:
            terms.append(text[start:position].strip())
            start = position + 1
    return [term for term in (*terms, text[start:].strip()) if term]


def _weights_section(request: FitRequest, spec: ModelSpec) -> WeightsSection | None:
    """How W is made, as in a study file; None where no W is given."""
    check_option("--standardise", request.standardise, get_args(Standardisation))
    check_option("--islands", request.islands, get_args(IslandPolicy))
    check_option("--missing", request.missing, ("error", "drop-regions", "drop-periods"))
    if request.weights is None:
        if spec.uses_weights:
            raise OptionError(
                f"a {spec.model} model needs spatial weights",
                fix="give --weights FILE (an edge list focal,neighbor,weight or a map), or --model ols",
            )
        return None
    is_map = request.weights.suffix.lower() in MAPS
    _refuse_ignored(request, is_map)
    shared: dict[str, Any] = {"name": "W", "standardise": request.standardise, "islands": request.islands}
    shared["within"] = request.within
    if request.weights_kind is None:
        if is_map:
            raise OptionError(
                f"{request.weights.name} is a map, and it is not said who is whose neighbour",
                fix=f"add --weights-kind: {', '.join(KINDS[:2])}, knn:4, inverse-distance, …",
            )
        order = None if request.order is None else str(request.order)
        return WeightsSection(
            kind="file",
            file=str(request.weights),
            order=order,
            edge_columns=_edge_columns(request),
            both_ways=request.both_ways,
            **shared,
        )
    if request.both_ways:
        raise OptionError("--both-ways is for an edge list", got=request.weights.name, fix="leave it out for a map")
    if not is_map:
        raise OptionError(
            "--weights-kind goes with a map in --weights",
            got=request.weights.name,
            expected="a file ending in " + ", ".join(MAPS),
            fix="leave --weights-kind out for an edge list or a matrix",
        )
    return WeightsSection(**_kind(request.weights_kind), **shared)


def _refuse_ignored(request: FitRequest, is_map: bool) -> None:
    """An option that the file of weights has no use for is a mistake, not a wish to be passed over."""
    given: dict[str, object] = {"--geometry-id": request.geometry_id}
    if is_map:
        given = {"--order": request.order, "--edge-columns": request.edge_columns}
    useless = [option for option, value in given.items() if value is not None]
    if useless:
        assert request.weights is not None
        raise OptionError(
            f"{show_labels(useless)} has no meaning for {request.weights.name}",
            expected="--geometry-id beside a map; --order and --edge-columns beside a table of weights",
            fix=f"leave out {show_labels(useless)}, or give the file that is meant in --weights",
        )


def _edge_columns(request: FitRequest) -> tuple[str, ...]:
    if request.edge_columns is None:
        return ()
    columns = tuple(name.strip() for name in request.edge_columns.split(","))
    if len(columns) not in (2, 3) or not all(columns):
        raise OptionError(
            "--edge-columns names two or three columns of the edge list",
            got=repr(request.edge_columns),
            expected="receiver,sender or receiver,sender,weight",
        )
    return columns


def _kind(text: str) -> dict[str, Any]:
    """The kind of W with its number: "knn:4", "distance-band:500"."""
    kind, _, number = text.partition(":")
    check_option("--weights-kind", kind, KINDS)
    if not number:
        if kind in ("queen", "rook", "inverse-distance", "shared-border"):
            return {"kind": kind}
        raise OptionError(f"--weights-kind {kind} needs a number", fix=f"write {kind}:{_example(kind)}")
    try:
        value = int(number) if kind in _WHOLE else float(number)
    except ValueError:
        value = -1
    if kind not in _NUMBERS or not 0 < value < float("inf"):
        raise OptionError(
            f"--weights-kind {text!r} cannot be understood",
            expected="queen, queen:2 (steps), rook, knn:4, distance-band:500 (km), inverse-distance:2 (power), "
            "exponential:0.009, gaussian:100 (km) or shared-border",
        )
    return {"kind": kind, _NUMBERS[kind]: value}


def _example(kind: str) -> str:
    return {"knn": "4", "distance-band": "500", "exponential": "0.009", "gaussian": "100"}[kind]


def _read_panel(request: FitRequest, formula: Formula, section: WeightsSection | None) -> Panel:
    from spillover.panel.read import read_panel

    variables = variables_in_table(formula, request.data, request.encoding)
    from_map = section is not None and section.kind != "file"
    return read_panel(
        request.data,
        region=request.region,
        period=request.period,
        geometry=request.weights if from_map else None,
        geometry_id=request.geometry_id if from_map else None,
        groups=tuple(dict.fromkeys(name for name in (request.groups, request.within) if name is not None)),
        columns=variables,
        geometry_policy="table",
        encoding=request.encoding,
    )


def _test_name(row: dict[str, Any]) -> str:
    return f"{row['test']}{' (null: ' + row['null_model'] + ')' if row['null_model'] else ''}"
