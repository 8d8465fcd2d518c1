"""What "5 %" means here: this X, this W, errors like these and no effect, drawn many times and tested."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from spillover.audit.focus import choose_variable, focus_effects
from spillover.audit.grouping import Grouping, resolve_groups
from spillover.audit.null import EffectKind, NullFit, fit_null
from spillover.audit.operator_nodes import CELLS
from spillover.audit.part import AuditPart
from spillover.audit.replay import Replay, can_replay
from spillover.audit.residuals import (
    autocovariance,
    measure_serial,
    measure_shared,
    time_centring,
    year_gaps,
)
from spillover.audit.wild import draw_signs, solve_outcomes
from spillover.errors import OptionError, SpilloverError
from spillover.models.result import SpatialFit
from spillover.models.spec import Groups
from spillover.simulation.streams import check_seed
from spillover.typing import FloatArray, Progress, no_progress

QUESTION = "What does “5 %” mean with data like these?"
LEVEL = 0.05
SCENARIOS = {
    "independent": "independent, of equal variance",
    "serial": "correlated over time as the residuals are, as unequal between regions",
    "shared": "the same, and shared inside groups as much as the residuals are",
    "signs": "the residuals themselves, the sign of each region drawn by lot",
}


def audit_size(
    fit: SpatialFit,
    variable: str | None = None,
    *,
    groups: Groups = None,
    draws: int = 499,
    seed: int = 1,
    progress: Progress = no_progress,
) -> AuditPart:
    """Draw panels with no effect and errors like the residuals, and count how often each test calls one.

    The regressors, W, the effects and the slopes of everything else stay; the effect in question is restricted to zero.

    Parameters
    ----------
    fit : OLS, SLX, SAR or SDM with one W.   variable : the regressor; the first by default.
    groups : column of `panel.groups`, or region → group.
    draws : panels for each kind of error; a share of 5 % is then known to ±1.9 points (95 %) with 499.
    seed : of the draws; each kind of error has its own child of it.

    Returns
    -------
    AuditPart "size"; table: one row per effect, kind of error and test with the share of panels in which a test at 5 %
    rejects. Facts `size.information.{effect}`, `size.cluster.{effect}` are those with errors as alike the residuals as
    can be drawn.

    Raises
    ------
    OptionError : a model that cannot be replayed, or more than 1,200 regions.
    """
    name = choose_variable(fit, variable)
    if not can_replay(fit):
        raise OptionError(
            f"the size of tests in a {fit.spec.model} model is not simulated",
            expected="OLS, SLX, SAR or SDM with one W",
        )
    replay = Replay.of(fit, name)
    if not replay.has_errors:
        raise OptionError("the simulated size stops at 1,200 regions", got=f"{replay.shape[0]} regions")
    grouping = resolve_groups(fit, groups)
    effects: list[EffectKind] = ["own"]
    if focus_effects(fit, name).spillover is not None:
        effects.insert(0, "spillover")
    rows: list[dict[str, Any]] = []
    facts: dict[str, float] = {}
    skipped: list[str] = []
    for i, effect in enumerate(effects):
        try:
            null = fit_null(replay, effect)
        except SpilloverError as error:
            skipped.append(f"{effect}: {error.what}.")
            continue
        laws = list(_laws(fit, null, grouping, skipped if i == 0 else []))
        children = np.random.SeedSequence(check_seed(seed)).spawn(len(laws))
        for j, ((kind, law), child) in enumerate(zip(laws, children, strict=True)):
            progress(f"simulated size: {effect}, {kind}", (i + j / len(laws)) / len(effects))
            shares = _rejections(replay, null, law, draws, np.random.default_rng(child))
            rows += [{"effect": effect, "errors": kind, "in_words": SCENARIOS[kind], **each} for each in shares]
            if kind != "independent":  # the last kind drawn is the one most like the residuals
                facts |= {f"size.{each['test']}.{effect}": each["rejected"] for each in shares}
                facts |= {f"size.{kind}.{each['test']}.{effect}": each["rejected"] for each in shares}
    import pandas as pd

    sentences = [_sentence(effect, facts) for effect in effects if f"size.cluster.{effect}" in facts]
    return AuditPart("size", QUESTION, pd.DataFrame(rows), facts, tuple(sentences), tuple(skipped))


@dataclass(frozen=True, eq=False)
class ErrorDraws:
    """Errors of a kind: normal, or residuals with the sign of each region drawn.

    Attributes
    ----------
    scale : (n,) standard deviations.   root : (t, t) R with R'R the autocorrelation in time.
    share : of the variance that the regions of a group have in common; codes : (n,) group of each region.
    residuals : (n, t) to be used as they are, with signs.
    """

    scale: FloatArray
    root: FloatArray
    share: float = 0.0
    codes: np.ndarray | None = None
    residuals: FloatArray | None = None

    def draw(self, rng: np.random.Generator, count: int) -> FloatArray:
        """(count, n, t) errors."""
        n, t = len(self.scale), len(self.root)
        if self.residuals is not None:
            return np.asarray(draw_signs(rng, count, n)[:, :, None] * self.residuals)
        own = rng.standard_normal((count, n, t))
        if self.share > 0.0 and self.codes is not None:
            common = rng.standard_normal((count, int(self.codes.max()) + 1, t))[:, self.codes]
            own = np.sqrt(1.0 - self.share) * own + np.sqrt(self.share) * common
        return np.asarray(self.scale[:, None] * (own @ self.root))


def _laws(
    fit: SpatialFit, null: NullFit, grouping: Grouping | None, skipped: list[str]
) -> Iterator[tuple[str, ErrorDraws]]:
    residuals = null.residuals
    n, t = residuals.shape
    transformation = fit.design.transformation
    left = transformation.free_observations / (n * (t - len(transformation.segment_means)))
    centre = time_centring(t, transformation.segment_means)
    squares = np.sum(residuals**2, axis=1)
    periods = float(np.trace(centre))
    equal = np.full(n, np.sqrt(squares.mean() / periods / left))
    yield "independent", ErrorDraws(np.asarray(equal, dtype=np.float64), np.eye(t))
    serial = measure_serial(residuals, transformation, fit.design.periods)
    phi = 0.0 if serial is None else serial.corrected
    if serial is None and t > 1:
        skipped.append("Errors correlated over time as the residuals are: four neighbouring periods are needed.")
    covariance = autocovariance(phi, year_gaps(fit.design.periods))
    unequal = np.sqrt(squares / float(np.trace(centre @ covariance @ centre)) / left)
    root = np.asarray(np.linalg.cholesky(covariance + 1e-12 * np.eye(t)).T, dtype=np.float64)
    yield "signs", ErrorDraws(unequal, root, residuals=residuals)
    yield "serial", ErrorDraws(unequal, root)
    if grouping is not None and fit.spec.groups is None:
        codes = np.unique(np.array(grouping.labels, dtype=object).astype(str), return_inverse=True)[1]
        shared = measure_shared(residuals, codes)
        if shared.share > 0.0 and shared.p_value <= LEVEL:
            yield "shared", ErrorDraws(unequal, root, shared.share, codes)


def _rejections(
    replay: Replay, null: NullFit, law: ErrorDraws, draws: int, rng: np.random.Generator
) -> list[dict[str, Any]]:
    step = max(1, CELLS // (4 * null.residuals.size))
    ratios: dict[str, list[FloatArray]] = {"information": [], "cluster": []}
    for start in range(0, draws, step):
        errors = law.draw(rng, min(step, draws - start))
        outcomes = solve_outcomes(replay, null.rho, null.signal + errors)
        found = replay.outcomes(outcomes, ("information", "cluster"))
        for kind in ratios:
            ratios[kind].append(found.t_ratio(null.effect, kind))
    free = replay.transformation.free_observations - replay.k
    cut = {
        "information": float(stats.norm.isf(LEVEL / 2) if replay.engine is not None else stats.t.isf(LEVEL / 2, free)),
        "cluster": float(stats.t.isf(LEVEL / 2, replay.clusters - 1)),
    }
    rows = []
    for kind, parts in ratios.items():
        values = np.abs(np.concatenate(parts))
        values = values[np.isfinite(values)]
        share = float(np.mean(values > cut[kind]))
        rows.append(
            {
                "test": kind,
                "rejected": share,
                "std_error": float(np.sqrt(share * (1.0 - share) / values.size)),
                "draws": int(values.size),
            }
        )
    return rows


def _sentence(effect: str, facts: dict[str, float]) -> str:
    what = "spillover" if effect == "spillover" else "effect at home"
    information, cluster = facts[f"size.information.{effect}"], facts[f"size.cluster.{effect}"]
    return (
        f"With no {what} at all and errors like these, a 5 % test with information-matrix errors finds one in "
        f"{100 * information:.0f} of 100 samples, with errors clustered by region in {100 * cluster:.0f}."
    )
