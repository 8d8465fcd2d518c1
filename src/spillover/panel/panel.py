"""`Panel`: regions × periods × variables, the table every step reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from spillover.errors import (
    AlignmentError,
    MissingCellError,
    PanelError,
    UnknownColumnError,
    did_you_mean,
    show_labels,
)
from spillover.typing import FloatArray

if TYPE_CHECKING:
    import pandas as pd

Period = int | str


@dataclass(frozen=True, eq=False, repr=False)
class Panel:
    """A regional panel. Made by `spillover.read_panel`; every change returns a copy.

    Attributes
    ----------
    regions : n region ids, text, sorted, unique.
    periods : t periods, sorted, unique. A gap in years is simply a year that is not there.
    variables : name → (n, t) array, read only; NaN is a missing cell, never a filled one.
    units, labels : name → unit ("persons", "10⁸ CNY") and display label.
    groups : name → n texts that are constant in time (country, macro-region).
    names : n display names of the regions (the ids unless a column was named).
    geometry : GeoDataFrame indexed by region id in the same order, or None.
    is_panel : False for a cross-section (one period, no period column).
    log : what was done to the table, one sentence each; nothing is done in silence.
    """

    regions: tuple[str, ...]
    periods: tuple[Period, ...]
    variables: Mapping[str, FloatArray]
    units: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    geometry: Any = None
    is_panel: bool = True
    log: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if list(self.regions) != sorted(set(self.regions)):
            raise PanelError("region ids of a panel are sorted and unique", fix="build panels with read_panel")
        if len(set(self.periods)) != len(self.periods):
            raise PanelError("periods of a panel are unique", got=show_labels(self.periods))
        frozen: dict[str, FloatArray] = {}
        for name, values in self.variables.items():
            array = np.array(values, dtype=float)
            if array.shape != self.shape:
                raise PanelError(
                    f"variable {name!r} does not have one value per region and period",
                    got=f"shape {array.shape}",
                    expected=f"shape {self.shape} (regions, periods)",
                )
            array.setflags(write=False)
            frozen[name] = array
        object.__setattr__(self, "variables", MappingProxyType(frozen))
        if not self.names:
            object.__setattr__(self, "names", self.regions)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled by its fields, so that a panel can be sent to another process."""
        values = (getattr(self, item.name) for item in fields(self))
        return type(self), tuple(dict(each) if isinstance(each, MappingProxyType) else each for each in values)

    @property
    def shape(self) -> tuple[int, int]:
        """(n regions, t periods)."""
        return len(self.regions), len(self.periods)

    def __getitem__(self, name: str) -> FloatArray:
        """The (n, t) array of a variable; raises `UnknownColumnError` with a suggestion."""
        try:
            return self.variables[name]
        except KeyError:
            raise UnknownColumnError(
                f"the panel has no variable {name!r}",
                expected="one of " + show_labels(self.variables, 12),
                fix=did_you_mean(name, self.variables) or "see panel.describe() for what was read",
            ) from None

    def __contains__(self, name: object) -> bool:
        return name in self.variables

    def __repr__(self) -> str:
        n, t = self.shape
        span = f"{self.periods[0]}–{self.periods[-1]}" if t > 1 else str(self.periods[0])
        return (
            f"Panel: {n} regions × {t} periods ({span}), {len(self.variables)} variables"
            f"{', with geometry' if self.geometry is not None else ''}"
        )

    def label(self, name: str) -> str:
        """Display label of a variable; its name when none was given."""
        return self.labels.get(name, name)

    def with_variables(
        self,
        variables: Mapping[str, FloatArray],
        *,
        units: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        note: str | None = None,
    ) -> Panel:
        """A copy with variables added or replaced; each is (n, t), or (n,) for constants in time."""
        n, t = self.shape
        added = {
            name: np.repeat(np.asarray(values, float)[:, None], t, axis=1) if np.ndim(values) == 1 else values
            for name, values in variables.items()
        }
        return replace(
            self,
            variables={**self.variables, **added},
            units={**self.units, **(units or {})},
            labels={**self.labels, **(labels or {})},
            log=(*self.log, note) if note else self.log,
        )

    def select(
        self,
        *,
        regions: Iterable[str] | None = None,
        periods: Iterable[Period] | None = None,
        note: str | None = None,
    ) -> Panel:
        """A copy with only the given regions and periods; unknown ones are an error, order does not matter."""
        wanted_regions = set(self.regions if regions is None else regions)
        wanted_periods = set(self.periods if periods is None else periods)
        unknown = sorted(wanted_regions - set(self.regions))
        if unknown:
            raise AlignmentError(
                f"{len(unknown)} regions are not in the panel",
                got=show_labels(unknown),
                expected="ids such as " + show_labels(self.regions),
            )
        unknown_periods = wanted_periods - set(self.periods)
        if unknown_periods:
            raise UnknownColumnError(
                "periods that are not in the panel",
                got=show_labels(sorted(unknown_periods, key=str)),
                expected=show_labels(self.periods, 30),
            )
        if not wanted_regions or not wanted_periods:
            raise PanelError("a selection without regions or periods is not a panel")
        rows = np.array([i for i, region in enumerate(self.regions) if region in wanted_regions])
        columns = np.array([j for j, period in enumerate(self.periods) if period in wanted_periods])
        return replace(
            self,
            regions=tuple(self.regions[i] for i in rows),
            periods=tuple(self.periods[j] for j in columns),
            variables={name: values[np.ix_(rows, columns)] for name, values in self.variables.items()},
            groups={name: tuple(values[i] for i in rows) for name, values in self.groups.items()},
            names=tuple(self.names[i] for i in rows),
            geometry=None if self.geometry is None else self.geometry.iloc[rows],
            log=(*self.log, note) if note else self.log,
        )

    def missing_cells(self, columns: Sequence[str]) -> list[tuple[str, str, Period]]:
        """(variable, region, period) of every missing cell in `columns`."""
        cells = []
        for name in columns:
            for i, j in np.argwhere(np.isnan(self[name])):
                cells.append((name, self.regions[i], self.periods[j]))
        return cells

    def complete(self, columns: Sequence[str], policy: str = "error") -> Panel:
        """The balanced part of the panel in which `columns` have no missing cell.

        policy : "error" (raise and name the cells), "drop-regions" or "drop-periods"
            (drop every region or period with a missing cell; the log names what went).
        """
        from spillover.errors import check_option

        check_option("policy", policy, ("error", "drop-regions", "drop-periods"))
        cells = self.missing_cells(columns)
        if not cells:
            return self
        if policy == "error":
            raise MissingCellError(
                f"{len(cells)} cells are missing in {show_labels(sorted({c[0] for c in cells}))}",
                got=show_labels(f"{name} of {region} in {period}" for name, region, period in cells),
                causes=(
                    "the source has blanks",
                    "a (region, period) row is absent",
                    "text such as 'n/a' was read as missing",
                ),
                fix='drop them by name with panel.complete([...], policy="drop-regions" or "drop-periods"), '
                "or select periods in which all is observed",
            )
        if policy == "drop-regions":
            gone_regions = {region for _, region, _ in cells}
            keep = [r for r in self.regions if r not in gone_regions]
            if not keep:
                raise MissingCellError(
                    "every region has a missing cell; nothing is left", fix='try policy="drop-periods"'
                )
            note = f"dropped {len(gone_regions)} regions with missing cells in {show_labels(columns)}: "
            return self.select(regions=keep, note=note + show_labels(sorted(gone_regions), 400))
        gone_periods = {period for _, _, period in cells}
        keep_periods = [p for p in self.periods if p not in gone_periods]
        if not keep_periods:
            raise MissingCellError("every period has a missing cell; nothing is left", fix='try policy="drop-regions"')
        note = f"dropped periods with missing cells in {show_labels(columns)}: "
        return self.select(periods=keep_periods, note=note + show_labels(sorted(gone_periods, key=str), 400))

    def to_frame(self) -> pd.DataFrame:
        """Long table with region, name, period and one column per variable."""
        import pandas as pd

        n, t = self.shape
        frame: dict[str, Any] = {
            "region": np.repeat(np.array(self.regions, dtype=object), t),
            "name": np.repeat(np.array(self.names, dtype=object), t),
            "period": list(self.periods) * n,
        }
        frame |= {key: np.repeat(np.array(values, dtype=object), t) for key, values in self.groups.items()}
        frame |= {key: values.ravel() for key, values in self.variables.items()}
        return pd.DataFrame(frame)

    def describe(self) -> pd.DataFrame:
        """One row per variable: unit, missing cells, minimum, median, maximum, share of variance within regions."""
        import pandas as pd

        rows = []
        for name, values in self.variables.items():
            observed = values[~np.isnan(values)]
            within = np.nan
            if observed.size and np.var(observed) > 0 and not np.isnan(values).all(axis=1).any():
                within = float(np.nanvar(values - np.nanmean(values, axis=1, keepdims=True)) / np.var(observed))
            rows.append(
                {
                    "variable": name,
                    "label": self.label(name),
                    "unit": self.units.get(name, ""),
                    "missing": int(np.isnan(values).sum()),
                    "minimum": float(observed.min()) if observed.size else np.nan,
                    "median": float(np.median(observed)) if observed.size else np.nan,
                    "maximum": float(observed.max()) if observed.size else np.nan,
                    "within_share": within,
                }
            )
        return pd.DataFrame(rows)
