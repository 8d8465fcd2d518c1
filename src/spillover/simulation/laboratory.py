"""The laboratory: change one thing in a regional innovation system and see what happens to patents.

    lab = open_laboratory(SystemConfig(n_regions=100), seed=1)
    lab.change(mobility=2.0).compare(lab).by_channel()

Expected patents are compared, in closed form, so differences have no noise. Agglomeration A follows the same path
before and after: what is shown is what the system does with it, not how firms move in reply. The parameters are an
illustrative calibration, not evidence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from spillover.errors import OptionError, show_labels
from spillover.simulation.admissible import Problems, is_number, refuse_problems, shown
from spillover.simulation.common_numbers import MeanDifference, mean_difference
from spillover.simulation.config import SystemConfig
from spillover.simulation.geography import Geography
from spillover.simulation.structure import FLOOR_PATENTS, Environment, Linkage, System, rebuild_system
from spillover.simulation.system import MAX_FLOORED_SHARE, draw_system
from spillover.simulation.truth import Truth, compute_truth
from spillover.typing import FloatArray

if TYPE_CHECKING:
    import pandas as pd

Factor = float | Mapping[str, float]
"""One number for all regions, or region id → number for some."""


@dataclass(frozen=True, eq=False)
class Laboratory:
    """A system along a path of A (n, t), in expected patents. Frozen: `change` returns another one."""

    system: System
    hti: FloatArray

    def __repr__(self) -> str:
        n, t = self.hti.shape
        return f"Laboratory: {n} regions × {t} years, {self.patents.mean():.1f} expected patents a year and region"

    @property
    def patents(self) -> FloatArray:
        """(n, t) expected patents."""
        return self.system.mean_patents(self.hti)

    @property
    def truth(self) -> Truth:
        """Effects of agglomeration in this system."""
        return compute_truth(self.system, self.hti)

    def channel_patents(self) -> dict[str, FloatArray]:
        """Channel → (n,) expected patents a year through it, mean over the periods; "other" is everything else."""
        means = self.patents
        parts: dict[str, FloatArray] = {}
        for period in range(self.hti.shape[1]):
            absorption = self.system.absorb(means[:, period - 1] if period else None)
            for name, values in self.system.channel_patents(self.hti[:, period], absorption).items():
                parts[name] = parts.get(name, 0.0) + values / self.hti.shape[1]
        return parts | {"other": means.mean(axis=1) - sum(parts.values())}

    def change(
        self,
        *,
        mobility: float = 1.0,
        cooperation: float = 1.0,
        informal: float = 1.0,
        environment: Factor = 1.0,
        linkage: float = 0.0,
        partners: Sequence[str] | None = None,
        railway: Sequence[str] | None = None,
        time_ratio: float = 0.5,
        agglomeration: Factor = 1.0,
        **coefficients: Any,
    ) -> Laboratory:
        """The same system with something changed; what is not named stays exactly as it was.

        Parameters
        ----------
        mobility, cooperation, informal : times as many people move, projects are made, meetings happen.
        environment : E_i is multiplied by this. It works through `environment_elasticity`, and, when capital is
            allocated, by drawing capital.
        linkage, partners : L_ij gains this between partner regions (all regions when None). It works through
            `linkage_strength`.
        railway, time_ratio : region ids; between stops that follow each other the distance becomes this share.
        agglomeration : A_it is multiplied by this.
        coefficients : any other coefficient of `SystemConfig`: capital=0.5, environment_elasticity=0.5, …

        Raises
        ------
        ConfigurationError : factors that are not positive, regions that are not there, inadmissible coefficients; all
            of them together. OptionError : expected patents below their floor of 1 in more than 0.1 % of region-years.
        """
        system, problems = self.system, Problems()
        fixed = [name for name in coefficients if name in _DRAWN or name not in SystemConfig.__dataclass_fields__]
        if fixed:
            problems.add(
                f"{show_labels(fixed)} cannot be changed in a system that is drawn: open another laboratory, or "
                "change a coefficient such as environment_elasticity, linkage_strength, capital or feedback"
            )
        free = {name: value for name, value in coefficients.items() if name not in fixed}
        config = problems.attempt(replace, system.config, **free)
        problems.add(*_factor_problems(mobility=mobility, cooperation=cooperation, informal=informal))
        better = problems.attempt(self._factor, "environment", environment)
        denser = problems.attempt(self._factor, "agglomeration", agglomeration)
        linkages = problems.attempt(self._linked, linkage, partners)
        geography = problems.attempt(_with_railway, system.geography, railway, time_ratio)
        doubled = None
        if not problems.found and config is not None:  # a share of cooperation may pass one only now
            doubled = problems.attempt(_with_flows, config, mobility, cooperation, informal)
        problems.refuse("the change has")
        assert doubled is not None
        assert better is not None
        assert denser is not None
        changed = Laboratory(
            rebuild_system(
                system,
                config=doubled,
                geography=geography,
                environment=_improved(system, better),
                linkages=linkages,
            ),
            self.hti * denser[:, None],
        )
        _require_above_floor(changed)
        return changed

    def compare(self, before: Laboratory) -> Comparison:
        """What is different here from `before`."""
        return Comparison(before, self)

    def _factor(self, name: str, factor: Factor) -> FloatArray:
        regions = self.system.geography.regions
        by_region = factor if isinstance(factor, Mapping) else dict.fromkeys(regions, factor)
        problems = [*self._unknown(name, by_region)]
        bad = [f"{region}: {shown(value)}" for region, value in by_region.items() if not _is_positive(value)]
        if bad:
            got = show_labels(bad) if isinstance(factor, Mapping) else shown(factor)
            problems.append(f"{name} is not a positive number: {got}")
        refuse_problems(f"the factor {name} has", problems)
        return np.array([float(by_region.get(region, 1.0)) for region in regions])

    def _linked(self, gain: float, partners: Sequence[str] | None) -> Linkage | None:
        """The linkages with a gain between partners; None where nothing changes."""
        regions = self.system.geography.regions
        problems = [] if is_number(gain) else [f"linkage = {shown(gain)} is not a finite number"]
        if isinstance(partners, str):
            problems.append(f"partners = {shown(partners)} is not a list of ids")
        elif partners is not None:
            problems += self._unknown("partners", partners)
        refuse_problems("the linkages have", problems)
        if gain == 0:
            return None
        inside = set(regions if partners is None else partners)
        member = np.array([float(region in inside) for region in regions])
        return replace(self.system.linkages, partners=member, gain=float(gain))

    def _unknown(self, name: str, chosen: Iterable[str]) -> list[str]:
        known = self.system.geography.regions
        unknown = [region for region in chosen if region not in known]
        if not unknown:
            return []
        return [f"{name}: {show_labels(unknown)} not in the system, whose ids are {show_labels(known, 3)}"]


_DRAWN = {
    "n_regions",
    "n_periods",
    "first_period",
    "distance",
    "road_spacing_km",
    "road_speed_kmh",
    "motorway_speed_kmh",
    "motorway_every",
    "hti_law",
    "n_clusters",
    "periphery",
    "cluster_sd",
    "gp_mean",
    "gp_sd",
    "gp_range_km",
    "persistence",
    "innovation_sd",
    "innovation_range_km",
    "environment_range_km",
    "environment_sd",
    "endogeneity",
    "instrument",
    "region_effect_sd",
    "period_effect_sd",
    "hti_employment_scale",
}


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two laboratories with the same regions and years."""

    before: Laboratory
    after: Laboratory

    @property
    def difference(self) -> FloatArray:
        """(n, t) expected patents after minus before."""
        return self.after.patents - self.before.patents

    @property
    def percent(self) -> float:
        """Change of all expected patents together, %."""
        return float(100.0 * self.difference.sum() / self.before.patents.sum())

    def by_channel(self) -> pd.DataFrame:
        """One row per channel: expected patents a year and region before and after, and the difference."""
        import pandas as pd

        old, new = self.before.channel_patents(), self.after.channel_patents()
        rows = [{"channel": name, "before": float(old[name].mean()), "after": float(new[name].mean())} for name in old]
        frame = pd.DataFrame(rows)
        frame["difference"] = frame["after"] - frame["before"]
        return frame

    def by_region(self) -> pd.DataFrame:
        """One row per region: expected patents a year before and after, the difference, and in percent."""
        import pandas as pd

        old, new = self.before.patents.mean(axis=1), self.after.patents.mean(axis=1)
        return pd.DataFrame(
            {
                "region": list(self.before.system.geography.regions),
                "before": old,
                "after": new,
                "difference": new - old,
                "percent": 100.0 * (new - old) / old,
            }
        )

    def simulate(self, draws: int = 200, seed: int = 1) -> MeanDifference:
        """The same difference from simulated patents with common random numbers, with its standard error."""
        return mean_difference(
            (self.before.system, self.before.hti), (self.after.system, self.after.hti), draws=draws, seed=seed
        )


def open_laboratory(config: SystemConfig, seed: int, geography: Geography | None = None) -> Laboratory:
    """A laboratory on a freshly drawn system; the panel that `simulate` gives for this seed is one draw from it."""
    drawn = draw_system(config, seed, geography)
    return Laboratory(drawn.system, drawn.outcomes.hti)


def _with_railway(geography: Geography, stops: Sequence[str] | None, time_ratio: float) -> Geography:
    if stops is None:
        return geography
    from spillover.simulation.roads import with_railway

    return with_railway(geography, stops, time_ratio)


def _improved(system: System, factor: FloatArray) -> Environment:
    """All three parts times the factor, so that E is."""
    env = system.environment
    return Environment(env.policy * factor, env.infrastructure * factor, env.culture * factor)


def _require_above_floor(lab: Laboratory) -> None:
    share = float((lab.patents < FLOOR_PATENTS).mean())
    if share > MAX_FLOORED_SHARE:
        raise OptionError(
            "expected patents fall below their floor of 1, where expectations in closed form do not hold",
            got=f"{100 * share:.1f} % of region-years",
            expected=f"at most {100 * MAX_FLOORED_SHARE:g} %",
            causes=("strong capital or competition", "regions that lose what they had"),
            fix="change less, or open a laboratory with a larger base_patents",
        )


def _is_positive(value: object) -> bool:
    return is_number(value) and value > 0  # type: ignore[operator]


def _factor_problems(**factors: object) -> list[str]:
    bad = {name: value for name, value in factors.items() if not _is_positive(value)}
    return [f"{name} = {shown(value)} is not a positive number" for name, value in bad.items()]


def _with_flows(config: SystemConfig, mobility: float, cooperation: float, informal: float) -> SystemConfig:
    return replace(
        config,
        talent_per_cluster=config.talent_per_cluster * mobility,
        cooperation_share=config.cooperation_share * cooperation,
        informal_per_cluster=config.informal_per_cluster * informal,
    )
