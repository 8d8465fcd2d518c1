"""`MediationResult`: the channels of an effect; every view derives from its estimates and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from spillover.errors import check_option
from spillover.inference.draws import Draws, from_draws
from spillover.inference.estimates import Estimates
from spillover.inference.hypotheses import HypothesisTest, NotApplicable
from spillover.inference.multiplicity import simultaneous_band
from spillover.mechanisms.assumptions import list_assumptions, residual_correlations, tell_shared_causes
from spillover.mechanisms.attribution import attribute_path
from spillover.mechanisms.bootstrap import resample
from spillover.mechanisms.confounding import ConfoundingCurve, confounding_curve
from spillover.mechanisms.decomposition import KINDS, PathNumbers, numbers_at, trace_error
from spillover.mechanisms.estimate import Settings
from spillover.mechanisms.interaction import interaction_tests
from spillover.mechanisms.inverted_u import TurningPoint, turning_points
from spillover.mechanisms.sample import Sample
from spillover.mechanisms.sensitivity import SENSITIVITIES, sensitivity_table
from spillover.mechanisms.shares import refuse_shares, share_estimates, why_no_shares
from spillover.mechanisms.simulated import path_draws, paths_at
from spillover.mechanisms.summary import summarise_mediation
from spillover.mechanisms.system import DIRECT, Path, System
from spillover.mechanisms.wiring import build_wiring
from spillover.mechanisms.words import channel_sentences, whole_sentence
from spillover.models.formula import plain
from spillover.models.result import SpatialFit
from spillover.typing import FloatArray, Progress, no_progress

if TYPE_CHECKING:
    import pandas as pd

ALL = "all channels"
TOTAL = "total"


@dataclass(frozen=True, eq=False, repr=False)
class MediationResult:
    """A fitted mediation system.

    Attributes
    ----------
    system : the equations in causal order. fits : one per equation.
    estimates : all coefficients as "equation: term", with their joint covariance.
    numbers : the tables of the paths.
    additivity : gap between the whole effect and the sum of its paths, rounding only.
    """

    system: System
    sample: Sample
    settings: Settings
    fits: tuple[SpatialFit, ...]
    estimates: Estimates
    numbers: PathNumbers
    additivity: float

    @property
    def channels(self) -> tuple[str, ...]:
        """Channels through which paths enter the outcome, in causal order."""
        used = {path.channel for path in self.system.paths}
        return tuple(name for name in self.system.channels if name in used)

    def fit(self, equation: str) -> SpatialFit:
        """The fit of one equation: a channel, or "outcome"."""
        return self.fits[self.system.equations.index(self.system.equation(equation))]

    def at_levels(self, levels: Mapping[str, float]) -> MediationResult:
        """The same fit with effects at other levels of what stands in products: {"competition": 1.2}.

        Raises `UnknownColumnError` for a channel or expression that is in no product.
        """
        wiring = build_wiring(self.system, self.sample, self.estimates.names, levels)
        return replace(self, numbers=numbers_at(wiring, self.estimates.values))

    def mediator_values(self, channel: str) -> FloatArray:
        """(n, t) values of a channel as the outcome's equation has it."""
        node, outcome = plain(self.system.equation(channel).response), self.system.outcome.name
        return next(x for (name, f), x in self.sample.factors.items() if name == outcome and plain(f) == node)

    @cached_property
    def path_estimates(self) -> Estimates:
        """Own, spillover and total of every path, jointly, by the delta method; labels path, channel, effect."""
        theta = self.estimates.values
        return self._estimates(self.numbers.values(theta), self.numbers.gradients(theta), *self._path_labels())

    @cached_property
    def effect_estimates(self) -> Estimates:
        """Own, spillover and total by channel, of all channels and in total, jointly; labels channel, effect."""
        theta, sums = self.estimates.values, self._sums
        values = np.tensordot(sums, self.numbers.values(theta), axes=1)
        gradients = np.tensordot(sums, self.numbers.gradients(theta), axes=1)
        return self._estimates(values, gradients, *self._group_labels())

    def effects(self, level: float = 0.95, *, method: str = "delta", draws: int = 5_000, seed: int = 1) -> pd.DataFrame:
        """Tidy table by channel: the effect at home ("own"), that from other regions ("spillover"), and their sum.

        Rows: not through a channel, each channel, all channels together, total. A path of several mediators counts
        for the last one, through which it enters the outcome. Units: outcome per unit of the treatment, averaged over
        regions; the spillover is that of one unit more in all other regions together.

        method : "delta", or "simulation" (percentiles of seeded draws of all coefficients).
        """
        check_option("method", method, ("delta", "simulation"))
        return (
            self.effect_estimates.tidy(level) if method == "delta" else self._drawn(self.simulate(draws, seed), level)
        )

    def bootstrap(
        self,
        draws: int = 999,
        seed: int = 1,
        level: float = 0.95,
        *,
        blocks: Mapping[str, str] | int | None = None,
        executor: Executor | None = None,
        progress: Progress = no_progress,
    ) -> pd.DataFrame:
        """`effects()` with percentiles of a wild bootstrap in spatial blocks; each draw estimates the system anew.

        blocks : region → block, or their number; by default one for eight regions, cut on the map.
        executor : any `concurrent.futures` executor. progress : called with a text and the share done.
        """
        found = resample(
            self.system,
            self.sample,
            self.settings,
            self.fits,
            self.sample.panel,
            draws,
            seed,
            blocks,
            executor,
            progress,
        )
        values, discarded = paths_at(self.numbers, found.coefficients, self.estimates.values)
        return self._drawn(Draws(self._sum_up(values), discarded + found.failed), level)

    def _drawn(self, found: Draws, level: float) -> pd.DataFrame:
        limits, point = found.limits(level), self.effect_estimates
        estimates = from_draws(point.values, found, point.names, dict(point.labels))
        columns = {"p_value": found.p_values(), "conf_low": limits[:, 0], "conf_high": limits[:, 1]}
        return estimates.tidy(level).assign(**columns)

    def _sum_up(self, values: FloatArray) -> FloatArray:
        """(r, rows of `effects()`) of (r, paths, 3)."""
        return np.einsum("gp,rpk->rgk", self._sums, values).reshape(len(values), -1)

    def simulate(self, draws: int = 5_000, seed: int = 1) -> Draws:
        """Effects by channel, in the order of `effects()`, at draws from the joint law of the coefficients."""
        values, discarded = path_draws(self.numbers, self.estimates, draws, seed)
        return Draws(self._sum_up(values), discarded)

    def simultaneous(self, level: float = 0.95, *, draws: int = 10_000, seed: int = 1) -> pd.DataFrame:
        """Own effects and spillovers of all channels with intervals that hold for all of them together (sup-t).

        `effects()` of these rows with columns band_low, band_high, and p_adjusted for looking at all of them.
        """
        rows = [f"{kind}: {name}" for name, _ in self._groups if name not in (ALL, TOTAL) for kind in KINDS[:2]]
        return simultaneous_band(self.effect_estimates.subset(rows), level=level, draws=draws, seed=seed).tidy()

    def paths(self, level: float = 0.95) -> pd.DataFrame:
        """Tidy table by path."""
        return self.path_estimates.tidy(level)

    def shares(self, effect: str = "total", level: float = 0.95) -> pd.DataFrame:
        """Tidy table of the shares of the "own", "spillover" or "total" effect by channel.

        Raises `UndefinedShareError` where the interval of the whole includes zero, or paths work against each other.
        """
        check_option("effect", effect, KINDS)
        reason = self.why_no_shares(effect, level)
        if reason is not None:
            raise refuse_shares(effect, reason)
        names = [name for name, _ in self._groups]
        rows = [i for i, name in enumerate(names) if name != ALL or DIRECT in names]  # else they are the whole
        gradients = np.tensordot(self._sums[rows], self.numbers.gradients(self.estimates.values), axes=1)
        parts = self.effect_estimates.subset([f"{effect}: {names[i]}" for i in rows])
        return share_estimates(parts, gradients[:, KINDS.index(effect)], self.estimates, effect).tidy(level)

    def why_no_shares(self, effect: str = "total", level: float = 0.95) -> str | None:
        """Why there are no shares of an effect, in words; None when there are."""
        whole = self.effect_estimates.subset([f"{kind}: {TOTAL}" for kind in KINDS])
        return why_no_shares(self.path_estimates, whole, effect, level)

    def attribution(self, level: float = 0.95) -> pd.DataFrame:
        """Tidy table of where the spillover of each path happens; rows of a path sum to its spillover.

        Terms: the treatment reaches the neighbours' mediator, the mediator diffuses, the neighbours' mediator acts, the
        outcome feeds back (and, on serial paths, a mediator drives the neighbours' next one). Terms may be negative.
        """
        import pandas as pd

        parts = [attribute_path(self.numbers, path, self.estimates).tidy(level) for path in self.system.paths]
        return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)

    # -- honesty ------------------------------------------------------------------------------------

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What the result rests on, one sentence each."""
        return list_assumptions(self.sample.timing)

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What a careful reader should know, one sentence each."""
        own = tuple(
            f"{e.name}: {note}" for e, fit in zip(self.system.equations, self.fits, strict=True) for note in fit.notes
        )
        return (*self.sample.notes, *tell_shared_causes(self.system, self.fits), *self._probe_note, *_once(own))

    @property
    def _probe_note(self) -> tuple[str, ...]:
        error = self.trace_error
        return (f"Effects at home come from random probes, with an error of {error:.2g}.",) if error else ()

    def confounding(
        self, channel: str, correlations: Sequence[float] | None = None
    ) -> ConfoundingCurve | NotApplicable:
        """The channel's effects for every correlation that something unmeasured leaves between mediator and outcome."""
        grid = None if correlations is None else np.asarray(correlations, dtype=float)
        return confounding_curve(self.system, self.fits, self.numbers, self.estimates, channel, grid)

    def sensitivity(self, kind: str = "confounding", level: float = 0.95) -> pd.DataFrame:
        """What it would take for something unmeasured to undo a result.

        kind : "confounding" (break-even correlation of each channel), "robustness" (robustness values of the slopes on
            the treatment and on mediators), "oster" (δ of the same), "e-value" (of each channel's effects).
        """
        check_option("kind", kind, SENSITIVITIES)
        return sensitivity_table(self, kind, level)

    def interaction_tests(self) -> tuple[HypothesisTest | NotApplicable, ...]:
        """Tests of "what a mediator does to the outcome does not depend on the treatment", one each and jointly."""
        return interaction_tests(self.system, self.sample, self.settings)

    def turning_points(self) -> tuple[TurningPoint, ...]:
        """Of each mediator that enters the outcome with its square ("competition:competition")."""
        return turning_points(self.system, self.sample, self.estimates)

    def residual_correlations(self) -> dict[tuple[str, str], float]:
        """Correlation of the residuals of every two equations."""
        return residual_correlations(self.system, self.fits)

    def sentences(self, level: float = 0.95) -> tuple[str, ...]:
        """The result in plain words: the whole, then each channel."""
        return (whole_sentence(self, level), *channel_sentences(self, level))

    def summary(self) -> str:
        """The result on one screen, as text."""
        return summarise_mediation(self)

    def __repr__(self) -> str:
        n, t = self.sample.panel.shape
        return (
            f"MediationResult: {self.system.treatment} → {', '.join(self.channels)} → {self.system.outcome.response}; "
            f"{n} regions × {t} periods"
        )

    def coefficients(self, level: float = 0.95) -> pd.DataFrame:
        """Tidy table of all coefficients."""
        return self.estimates.tidy(level)

    @cached_property
    def treatment_variation(self) -> float:
        """Standard deviation of the treatment once effects are removed, in its unit."""
        treatment = self.system.treatment
        values = next(v for (_, factor), v in self.sample.factors.items() if plain(factor) == treatment)
        return float(np.sqrt(np.mean(self.fits[-1].design.transformation.apply(values) ** 2)))

    @cached_property
    def trace_error(self) -> float:
        """Standard error of the total effect at home where it comes from random probes; 0 where it is exact."""
        return trace_error(self.numbers, self.estimates.values)

    # -- parts --------------------------------------------------------------------------------------

    @cached_property
    def _groups(self) -> tuple[tuple[str, tuple[Path, ...]], ...]:
        """(row, paths it sums)."""
        paths = self.system.paths
        direct = [(DIRECT, paths[:1])] if paths[0].name == DIRECT else []
        own = [(name, tuple(p for p in paths if p.channel == name)) for name in self.channels]
        return (*direct, *own, (ALL, tuple(p for p in paths if p.mediators)), (TOTAL, paths))

    @property
    def _sums(self) -> FloatArray:
        """(rows, paths) of zeros and ones."""
        return np.array([[float(path in members) for path in self.system.paths] for _, members in self._groups])

    def _group_labels(self) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
        rows = [(name, kind) for name, _ in self._groups for kind in KINDS]
        return tuple(f"{kind}: {name}" for name, kind in rows), {
            "channel": tuple(name for name, _ in rows),
            "effect": tuple(kind for _, kind in rows),
        }

    def _path_labels(self) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
        rows = [(path, kind) for path in self.system.paths for kind in KINDS]
        return tuple(f"{kind}: {path.name}" for path, kind in rows), {
            "path": tuple(path.name for path, _ in rows),
            "channel": tuple(path.channel for path, _ in rows),
            "effect": tuple(kind for _, kind in rows),
        }

    def _estimates(
        self, values: FloatArray, gradients: FloatArray, names: Sequence[str], labels: dict[str, tuple[str, ...]]
    ) -> Estimates:
        jacobian = gradients.reshape(-1, gradients.shape[-1])
        return Estimates(
            names=tuple(names),
            values=values.ravel(),
            cov=jacobian @ self.estimates.cov @ jacobian.T,
            df=self.estimates.df,
            method=f"delta method, {self.estimates.method}",
            labels=labels,
        )


def _once(notes: Sequence[str]) -> tuple[str, ...]:
    """Notes that several equations share are told once, without the equation."""
    plain = [note.split(": ", 1)[1] for note in notes]
    kept = [note if plain.count(text) == 1 else text for note, text in zip(notes, plain, strict=True)]
    return tuple(dict.fromkeys(kept))
