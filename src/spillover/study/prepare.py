"""STEPS 1 and 2 of a study: table and map to a panel with its measures, and the weights among its regions."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from spillover.errors import AlignmentError, AssumptionWarning, MissingCellError, show_labels
from spillover.models.formula import parse_formula
from spillover.panel.expressions import evaluate
from spillover.panel.panel import Panel
from spillover.study.columns import agglomeration_columns, formula_variables, needed_columns
from spillover.study.config import AgglomerationSection, DataSection, StudyConfig, WeightsSection
from spillover.study.proximity import NEEDS, build_proximity
from spillover.study.result import IndexSummary, Measure
from spillover.study.rows import plain, plain_table
from spillover.weights.weights import SpatialWeights


def read_data(config: StudyConfig) -> Panel:
    """The panel of the whole table, with the columns that the study uses."""
    from spillover.panel.read import read_panel

    data = config.data
    return read_panel(
        data.table,
        region=data.region,
        period=data.period,
        geometry=data.geometry,
        geometry_id=data.geometry_id,
        name=data.name,
        groups=data.groups,
        columns=needed_columns(config),
        units=data.units,
        labels=data.labels,
        geometry_policy="table",
        encoding=data.encoding,
    )


def derive(panel: Panel, config: StudyConfig) -> Panel:
    """The panel with every [[derive]] variable, in the order of the file."""
    for item in config.derive:
        panel = panel.with_variables(
            {item.name: evaluate(item.expression, panel)},
            units={item.name: item.unit} if item.unit else {},
            labels={item.name: item.label} if item.label else {},
            note=f"{item.name}: derived as {item.expression}",
        )
    return panel


def complete_panel(panel: Panel, config: StudyConfig) -> Panel:
    """The panel in which everything that is measured or modelled is observed, by the policy of the file.

    Measures come after it, so that the reference of a quotient or an index is the regions that are studied.
    """
    used = [column for _, column in agglomeration_columns(config.agglomeration)]
    used += [config.innovation.column] if config.innovation.column else []
    used += [indicator.column for indicator in config.innovation.indicators]
    for model in config.models:
        if not model.periods and not model.exclude:  # a model of other cells looks at them itself
            used += formula_variables(parse_formula(model.formula))
    names = [name for name in dict.fromkeys(used) if name in panel]
    cells = panel.missing_cells(names)
    if cells and config.data.missing == "error":
        raise MissingCellError(
            f"{len(cells)} cells are missing in {show_labels(dict.fromkeys(cell[0] for cell in cells))}",
            got=show_labels(f"{name} of {region} in {period}" for name, region, period in cells),
            causes=("the source has blanks", "a (region, period) row is absent"),
            fix="in [data], name the complete periods (periods = …), leave regions out (exclude = …), or write "
            'missing = "drop-regions" or missing = "drop-periods"',
        )
    return panel.complete(names, config.data.missing)


def measure(panel: Panel, config: StudyConfig) -> tuple[Panel, tuple[Measure, ...], IndexSummary | None]:
    """The panel with agglomeration and innovation measured, and the measures as results."""
    panel, names = _agglomeration(panel, config.agglomeration, config.data), [config.agglomeration.name]
    measures = [_measure(panel, names[0], "agglomeration")]
    index = None
    if config.innovation.column is not None:
        column = config.innovation.column
        if config.innovation.label:
            panel = panel.with_variables({column: panel[column]}, labels={column: config.innovation.label})
        measures.append(_measure(panel, column, "innovation"))
    if config.innovation.indicators:
        panel, index = _index(panel, config)
        measures.append(_measure(panel, config.innovation.index, "innovation", index.note))
    return panel, tuple(measures), index


def main_first(config: StudyConfig) -> list[WeightsSection]:
    """The [[weights]] of a study, that of the main model first: its islands may leave the study."""
    main = next((model for model in config.models if model.main), config.models[0])
    first = next((item for item in config.weights if item.name == main.weights), config.weights[0])
    return [first, *(item for item in config.weights if item is not first)]


def without_dropped(panel: Panel, item: WeightsSection, weights: SpatialWeights) -> Panel:
    """The panel of the regions that have neighbours in the main W, when the study drops the others."""
    if (item.islands != "drop" and item.within is None) or weights.n >= len(panel.regions):
        return panel
    gone = sorted(set(panel.regions) - set(weights.regions))
    note = f"islands of {item.name} were dropped: {', '.join(map(weights.told, gone))}"
    return panel.select(regions=weights.regions, note=note)


def build_weights(
    item: WeightsSection, panel: Panel, left_out: Collection[str] = (), *, complete: bool = False
) -> SpatialWeights:
    """One W among the regions of the panel.

    left_out : regions that the study left out on purpose; a file of W may have them. Any other region that the
        panel does not have is an `AlignmentError`: dropping neighbours changes W.
    complete : regions of the panel that an edge list does not mention are islands, also where no policy is chosen.
    """
    whole = _build_whole(item, panel, left_out, complete)
    if item.within is None:
        return whole
    from spillover.weights.groups import within_groups

    return within_groups(whole, dict(zip(panel.regions, panel.groups[item.within], strict=True)))


def _build_whole(item: WeightsSection, panel: Panel, left_out: Collection[str], complete: bool) -> SpatialWeights:
    """W with the links between groups."""
    if item.steps is not None:
        return _steps_away(item, panel)
    if item.kind in NEEDS or item.kind == "shared-border":
        return build_proximity(item, panel)
    from spillover.weights.contiguity import build_contiguity
    from spillover.weights.distance import build_distance_band, build_exponential, build_inverse_distance, build_knn

    shared: dict[str, Any] = {"standardise": item.standardise, "islands": item.islands, "links": item.links}
    if item.kind in ("queen", "rook"):
        return build_contiguity(panel, item.kind, **shared)
    if item.kind == "knn":
        assert item.k is not None
        return build_knn(panel, item.k, **shared)
    if item.kind == "distance-band":
        assert item.threshold_km is not None
        return build_distance_band(panel, item.threshold_km, **shared)
    if item.kind == "inverse-distance":
        return build_inverse_distance(panel, power=item.power, threshold_km=item.threshold_km, **shared)
    if item.kind == "exponential":
        assert item.decay_per_km is not None
        return build_exponential(panel, item.decay_per_km, item.threshold_km, **shared)
    return _read_weights(item, panel, left_out, complete)


def _steps_away(item: WeightsSection, panel: Panel) -> SpatialWeights:
    """Neighbours of neighbours; links by hand are steps, too."""
    from spillover.weights.orders import neighbours_of_order

    assert item.steps is not None
    near = item.model_copy(update={"steps": None, "islands": "keep", "standardise": "none", "within": None})
    return neighbours_of_order(
        _build_whole(near, panel, (), False), item.steps, islands=item.islands, standardise=item.standardise
    )


def _read_weights(item: WeightsSection, panel: Panel, left_out: Collection[str], complete: bool) -> SpatialWeights:
    """W from a file, among the regions of the panel. It may have fewer of them unless it is to be `complete`."""
    from spillover.weights.assemble import assemble
    from spillover.weights.interchange import from_file
    from spillover.weights.labels import names_of
    from spillover.weights.locate import locate

    assert item.file is not None
    options: dict[str, Any] = {"order": item.order, "standardise": "none", "islands": "keep"} | edge_options(item)
    raw = from_file(item.file, **options)
    surplus = set(raw.regions) - set(panel.regions)
    if surplus - set(left_out):
        raw.align(panel.regions)  # raises with both sides
    absent = set(panel.regions) - set(raw.regions)
    is_distances = item.kind == "distance-file"
    if absent and set(panel.regions) & set(raw.regions) and not is_distances and (complete or item.islands != "error"):
        # Edge lists do not mention islands: with a policy for them, they are the regions that do not occur.
        raw = from_file(item.file, regions=sorted({*raw.regions, *panel.regions}), **options)
    # The policies of W are for the regions that are studied: the others go first.
    if surplus:
        raw = raw.subset([region for region in panel.regions if region in set(raw.regions)], "keep")
    return assemble(
        _proximities(raw, item) if is_distances else raw,
        links=item.links,
        islands=item.islands,
        standardise=item.standardise,
        place=None if panel.geometry is None else lambda: locate(panel),
        names=names_of(panel),
    )


def edge_options(item: WeightsSection) -> dict[str, Any]:
    """What is said about an edge list, as the reader of files calls it."""
    named = dict(zip(("focal", "neighbor", "weight"), item.edge_columns, strict=False))
    return {**named, "both_ways": True} if item.both_ways else named


def _proximities(distances: SpatialWeights, item: WeightsSection) -> SpatialWeights:
    """Raw weights from a table of distances: distance ** -power, up to the threshold."""
    assert item.file is not None
    matrix = distances.matrix.copy()
    if item.threshold_km is not None:
        matrix.data[matrix.data > item.threshold_km] = 0.0
        matrix.eliminate_zeros()
    matrix.data **= -item.power
    limit = "" if item.threshold_km is None else f", up to {item.threshold_km:g}"
    kind = f"distance of {Path(item.file).name} to the power −{item.power:g}{limit}"
    return replace(distances, matrix=matrix, kind=kind)


def select_data(panel: Panel, data: DataSection) -> Panel:
    """The panel of the regions and periods that the study is about."""
    if data.periods:
        gone = [period for period in panel.periods if period not in data.periods]
        note = f"kept the periods the study names; left out: {', '.join(map(str, gone)) or 'none'}"
        panel = panel.select(periods=data.periods, note=note)
    if data.regions:
        panel = panel.select(regions=data.regions, note=f"kept the {len(data.regions)} regions the study names")
    return leave_out(panel, data.exclude, "left out by the study")


def leave_out(panel: Panel, regions: tuple[str, ...], note: str) -> Panel:
    """The panel without some regions; an unknown one is an error."""
    if not regions:
        return panel
    panel.select(regions=regions)  # names what does not exist
    keep = [region for region in panel.regions if region not in set(regions)]
    return panel.select(regions=keep, note=f"{note}: {', '.join(regions)}")


def _agglomeration(panel: Panel, section: AgglomerationSection, data: DataSection) -> Panel:
    from spillover.measures.agglomeration import add_density, add_location_quotient

    name, label = section.name, section.label
    if section.measure == "column":
        assert section.column is not None
        column = section.column
        text = label or panel.label(column)
        unit = panel.units.get(column, "")
        return panel.with_variables({name: panel[column]}, labels={name: text}, units={name: unit} if unit else {})
    if section.measure == "location-quotient" and section.table is None:
        assert section.sector is not None
        assert section.total is not None
        return add_location_quotient(panel, name, section.sector, section.total, label)
    if section.table is None:
        assert section.sector is not None
        panel, area = _with_area(panel, section)
        return add_density(panel, name, section.sector, area, label)
    return _from_industries(panel, section, data)


def _with_area(panel: Panel, section: AgglomerationSection) -> tuple[Panel, str]:
    """The panel with an area in km²: a column of the table, or measured on the map."""
    from spillover.panel.geometry import areas_km2

    if section.area is not None:
        return panel, section.area
    return panel.with_variables(
        {"area_km2": areas_km2(panel)}, units={"area_km2": "km²"}, note="area_km2: measured on the map"
    ), "area_km2"


def _from_industries(panel: Panel, section: AgglomerationSection, data: DataSection) -> Panel:
    """Agglomeration from a region × industry × period table."""
    from spillover.measures.agglomeration import add_density, add_location_quotient_of, industry_sum
    from spillover.panel.industry import read_industry

    assert section.table is not None
    assert section.industry is not None
    assert section.value is not None
    table = read_industry(
        section.table,
        region=data.region,
        industry=section.industry,
        period=data.period,
        value=section.value,
        encoding=section.encoding,
    )
    name, label, codes = section.name, section.label, section.high_tech
    if section.measure == "location-quotient":
        return add_location_quotient_of(panel, name, table, codes, section.total, label)
    unknown = sorted(set(panel.regions) - set(table.regions)) + sorted(
        map(str, set(panel.periods) - set(table.periods))
    )
    if unknown:
        raise AlignmentError(
            "regions or periods of the panel are not in the industry table",
            got=show_labels(unknown),
            expected=f"ids such as {show_labels(table.regions)} and periods {show_labels(table.periods, 12)}",
        )
    rows = [table.regions.index(region) for region in panel.regions]
    columns = [table.periods.index(period) for period in panel.periods]
    panel = panel.with_variables({"high_tech": industry_sum(table, codes)[np.ix_(rows, columns)]})
    panel, area = _with_area(panel, section)
    return add_density(panel, name, "high_tech", area, label)


def _measure(panel: Panel, name: str, role: str, note: str = "") -> Measure:
    return Measure(
        name=name,
        label=panel.label(name),
        unit=panel.units.get(name, ""),
        role=role,
        values=plain_table(panel[name]),
        note=note,
    )


def _index(panel: Panel, config: StudyConfig) -> tuple[Panel, IndexSummary]:
    from spillover.measures.composite import add_index, innovation_index
    from spillover.measures.indicators import IndicatorSpec

    section = config.innovation
    chosen = [IndicatorSpec(item.column, item.dimension, item.direction) for item in section.indicators]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AssumptionWarning)  # the caution is part of the index's own notes
        index = innovation_index(panel, chosen)
    label = "" if section.column is not None else section.label
    panel = add_index(panel, index, section.index, label)
    summary = IndexSummary(
        name=section.index,
        label=panel.label(section.index),
        weights=tuple({**plain(row), "label": panel.label(row["indicator"])} for row in index.weight_rows()),
        dimensions={name: plain_table(values) for name, values in index.dimensions.items()},
        note=" ".join(f"{note[:1].upper()}{note[1:]}." for note in index.notes),
    )
    return panel, summary
