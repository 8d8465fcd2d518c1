"""Fits → `ComparisonTable`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spillover.errors import OptionError, show_labels
from spillover.inference.estimates import Estimates
from spillover.tables.table import Cell, ComparisonTable, Number, Row, Section

EFFECTS_SOURCE = "effects: LeSage & Pace (2009, §2.7), errors by the delta method"
LEE_YU_SOURCE = "fixed effects: Lee & Yu (2010, J. Econometrics 154:165)"
SPATIAL = ("rho", "lambda")
STATISTICS = (  # statistic, label
    ("log_likelihood", "log-likelihood"),
    ("aic", "AIC"),
    ("bic", "BIC"),
    ("r_squared", "R²"),
    ("sigma2", "σ²"),
    ("sigma2_mu", "σ² of region effects"),
    ("n_regions", "regions"),
    ("n_periods", "periods"),
    ("n_observations", "observations"),
)


def compare(
    fits: Sequence[Any] | Mapping[str, Any],
    names: Sequence[str] | None = None,
    *,
    effects: bool = True,
    covariance: str | Sequence[str | None] | None = None,
    stars: bool = False,
    intervals: bool = True,
    level: float = 0.95,
) -> ComparisonTable:
    """Coefficients, effects and statistics of several fits side by side.

    Parameters
    ----------
    fits : results of `fit` and `fit_random`, or a mapping of headings to fits. The same fit may come twice with
        different covariances.
    names : a heading per fit; "(1) SDM" and so on by default.
    effects : direct, indirect and total effects as well.
    covariance : one name for all fits, or one per fit (None: as fitted); see `spillover.fit`.
    stars : mark p-values.   intervals : show interval limits.   level : of the intervals.

    Raises
    ------
    OptionError : no fits, as many headings or covariances as there are not fits, or something that is not a fit.

    Likelihoods of columns with different outcomes, samples or effects do not compare; a note says so where it applies.
    """
    fits, names = _unpack(fits, names)
    _check(fits)
    chosen = _covariances(covariance, len(fits))
    recast = [fit if kind is None else _with_covariance(fit, kind) for fit, kind in zip(fits, chosen, strict=True)]
    headings = _headings(recast, names)
    sections = [_coefficients(recast, level)]
    if effects:
        sections += _effects(recast, level)
    sections.append(_statistics(recast))
    return ComparisonTable(
        columns=headings,
        sections=tuple(section for section in sections if section.rows),
        notes=_notes(recast, headings),
        sources=_sources(recast, effects),
        stars=stars,
        intervals=intervals,
        level=level,
    )


def _unpack(
    fits: Sequence[Any] | Mapping[str, Any], names: Sequence[str] | None
) -> tuple[list[Any], Sequence[str] | None]:
    if isinstance(fits, Mapping):
        return list(fits.values()), list(fits) if names is None else names
    return (list(fits), names) if isinstance(fits, Sequence) else ([fits], names)


def _check(fits: Sequence[Any]) -> None:
    if not fits:
        raise OptionError("there is no fit to show", fix="compare([fit1, fit2])")
    strange = [type(fit).__name__ for fit in fits if not isinstance(getattr(fit, "estimates", None), Estimates)]
    if strange:
        raise OptionError(
            "something to compare is not a fit", got=show_labels(strange), expected="results of spillover.fit"
        )


def _covariances(covariance: str | Sequence[str | None] | None, count: int) -> list[str | None]:
    if covariance is None or isinstance(covariance, str):
        return [covariance] * count
    if len(covariance) != count:
        raise OptionError("give one covariance per fit", got=f"{len(covariance)} for {count} fits")
    return list(covariance)


def _with_covariance(fit: Any, kind: str) -> Any:
    if not hasattr(fit, "with_covariance"):
        raise OptionError(
            f"the covariance of a {type(fit).__name__} is chosen when it is fitted",
            got=kind,
            fix="give covariance=[…] with None in its place",
        )
    return fit.with_covariance(kind)


def _headings(fits: Sequence[Any], names: Sequence[str] | None) -> tuple[str, ...]:
    if names is None:
        return tuple(f"({i}) {str(fit.spec.model).upper()}" for i, fit in enumerate(fits, start=1))
    if len(names) != len(fits):
        raise OptionError("give one name per fit", got=f"{len(names)} names for {len(fits)} fits")
    return tuple(str(name) for name in names)


# -- sections --------------------------------------------------------------------------------------


def _numbers(frame: Any, key: str) -> dict[str, Number]:
    return {str(row[key]): _number(row) for row in frame.to_dict("records")}


def _number(row: Mapping[str, Any]) -> Number:
    """A tidy row; what is zero by the model (the indirect effect of OLS) has no error."""
    estimate, error = float(row["estimate"]), float(row["std_error"])
    if error == 0.0:
        return Number(estimate)
    return Number(estimate, error, float(row["p_value"]), float(row["conf_low"]), float(row["conf_high"]))


def _rows(columns: Sequence[Mapping[str, Number]], order: Sequence[str]) -> tuple[Row, ...]:
    return tuple(Row(term, tuple(column.get(term) for column in columns)) for term in order)


def _coefficients(fits: Sequence[Any], level: float) -> Section:
    columns = [_numbers(fit.coefficients(level), "term") for fit in fits]
    terms = list(dict.fromkeys(term for column in columns for term in column))
    # Own regressors, then lags, then region means, then spatial parameters, each in order of first appearance.
    order = sorted(terms, key=_rank)
    return Section("Coefficients", _rows(columns, order))


def _rank(term: str) -> int:
    if term == "(Intercept)":
        return 0
    if term in SPATIAL or term.startswith("rho: "):
        return 5
    if term.startswith("W*mean("):
        return 4
    if term.startswith("mean("):
        return 3
    return 2 if term.startswith("W*") else 1


def _effects(fits: Sequence[Any], level: float) -> list[Section]:
    frames = [fit.effects(level=level) for fit in fits]
    horizons = list(dict.fromkeys(h for frame in frames for h in frame["horizon"]))
    found = []
    for horizon in horizons:
        for kind in ("direct", "indirect", "total"):
            columns = [
                _numbers(frame[(frame["effect"] == kind) & (frame["horizon"] == horizon)], "variable")
                for frame in frames
            ]
            order = list(dict.fromkeys(name for column in columns for name in column))
            head = f"{kind.capitalize()} effects" + (f", {horizon} run" if len(horizons) > 1 else "")
            found.append(Section(head, _rows(columns, order)))
    return found


def _statistics(fits: Sequence[Any]) -> Section:
    rows: list[tuple[str, list[Cell]]] = [
        ("model", [str(fit.spec.model).upper() for fit in fits]),
        ("effects", [_effects_in_words(fit) for fit in fits]),
        ("W", [_weights(fit) for fit in fits]),
        ("standard errors", [fit.estimates.method for fit in fits]),
    ]
    for key, label in STATISTICS:
        rows.append((label, [fit.statistics.get(key) for fit in fits]))
    return Section(
        "Statistics",
        tuple(Row(label, tuple(cells)) for label, cells in rows if any(cell is not None for cell in cells)),
    )


def _effects_in_words(fit: Any) -> str:
    return str(getattr(fit.spec, "effects_in_words", fit.spec.effects))


def _weights(fit: Any) -> str | None:
    """What W is; several are named in turn."""
    roles = getattr(fit, "roles", None)
    if roles is None or not fit.spec.uses_weights:
        return None
    used = [w for _, w in roles.outcome]
    used += [roles.regressors] if fit.spec.has_lagged_regressors else []
    used += [roles.error] if fit.spec.has_spatial_error else []
    shown = dict.fromkeys(f"{w.kind}, {w.standardisation}-standardised" for w in used if w is not None)
    return "; ".join(shown) or None


# -- notes -----------------------------------------------------------------------------------------


def _notes(fits: Sequence[Any], headings: Sequence[str]) -> tuple[str, ...]:
    said: dict[str, list[int]] = {}
    for i, fit in enumerate(fits):
        for note in fit.notes:
            said.setdefault(str(note), []).append(i)
    notes = [_incomparable(fits)] if _incomparable(fits) else []
    for note, places in said.items():
        where = "" if len(places) == len(fits) else ", ".join(headings[i] for i in places) + ": "
        notes.append(where + note)
    return tuple(notes)


def _incomparable(fits: Sequence[Any]) -> str:
    """A warning when likelihoods of the columns are of different data."""
    reasons = []
    if len({fit.design.response for fit in fits}) > 1:
        reasons.append("outcomes")
    if len({(fit.design.regions, tuple(map(str, fit.design.periods))) for fit in fits}) > 1:
        reasons.append("regions or periods")
    if len({(_effects_in_words(fit), str(fit.spec.correction)) for fit in fits}) > 1:
        reasons.append("effects")
    if not reasons:
        return ""
    return f"Columns differ in {', '.join(reasons)}: their log-likelihoods, AIC and BIC do not compare."


def _sources(fits: Sequence[Any], effects: bool) -> tuple[str, ...]:
    found = [EFFECTS_SOURCE] if effects else []
    if any(str(fit.spec.effects) not in ("none",) and fit.spec.correction == "lee-yu" for fit in fits):
        found.append(LEE_YU_SOURCE)
    for fit in fits:
        found += [str(source) for source in getattr(fit, "sources", ())]
    return tuple(dict.fromkeys(found))
