"""Would any neighbours do? The regions of W relabelled over the whole map, and inside groups."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import gammaln

from spillover.audit.evidence import number, tell_p
from spillover.audit.focus import check_spillover, choose_variable
from spillover.audit.grouping import Grouping, resolve_groups
from spillover.audit.part import AuditPart
from spillover.audit.relabel import Recipe, relabelled_statistics
from spillover.errors import OptionError
from spillover.models.result import SpatialFit
from spillover.models.spec import Groups
from spillover.simulation.streams import check_seed
from spillover.typing import FloatArray, Progress, no_progress

QUESTION = "Does it matter who the neighbours are?"
PLACES = {"whole_map": "over the whole map", "within_groups": "inside {plural}"}
SHARED = 0.25  # of the spillover that shuffled maps give too, from which a sentence says so
FEW = 20  # relabellings that exist: fewer cannot reach a p-value of 5 %


@dataclass(frozen=True, eq=False)
class Shuffled:
    """The statistic of the real map, `observed`, among those of shuffled maps, `values` (R,)."""

    observed: float
    values: FloatArray

    @property
    def p_value(self) -> float:
        """Two-sided with equal tails: twice the smaller of the shares (1 + #)/(1 + R) at least as far out."""
        return min(1.0, 2.0 * min(self.tail(1.0), self.tail(-1.0)))

    def tail(self, sign: float) -> float:
        """(1 + #{shuffled ≥ observed})/(1 + R), or ≤ for sign −1; the real map is one of the possible ones."""
        slack = 1e-9 * max(abs(self.observed), float(np.abs(self.values).max(initial=0.0)))
        beyond = int(np.count_nonzero(sign * (self.values - self.observed) >= -slack))
        return (1 + beyond) / (1 + self.values.size)

    @property
    def share_as_large(self) -> float:
        """One-sided: share of maps, the real one included, whose statistic is as large or larger in its direction."""
        return self.tail(-1.0 if self.observed < 0 else 1.0)

    @property
    def limits(self) -> tuple[float, float]:
        """2.5 % and 97.5 % quantiles of the shuffled maps."""
        low, high = np.quantile(self.values, [0.025, 0.975])
        return float(low), float(high)

    @property
    def centre(self) -> float:
        """Median of the shuffled maps."""
        return float(np.median(self.values))


def audit_permutation(
    fit: SpatialFit,
    variable: str | None = None,
    *,
    groups: Groups = None,
    draws: int = 999,
    seed: int = 1,
    executor: Executor | None = None,
    progress: Progress = no_progress,
) -> AuditPart:
    """Estimate the model with the regions of W relabelled at random, over the whole map and inside groups.

    A shuffle keeps the data of every region, the effects that are removed and the shape of W (its eigenvalues, how many
    neighbours there are); only who is whose neighbour changes. Inside groups a region takes the place of another one of
    its country, so that neighbours from home and from abroad stay as many as they were: what is common to a country is
    then in every shuffle, and only nearness is destroyed.

    Parameters
    ----------
    fit : a model with W x or W y.
    variable : the regressor whose spillover is examined; the first of the formula by default.
    groups : column of `panel.groups`, or region → group; those of the fit, else the panel's only grouping.
    draws : R, 19 or more; p-values are (1 + #)/(1 + R), two-sided with equal tails.
    seed : the same numbers whatever the number of workers: each draw has its own child of it.
    executor : any `concurrent.futures` executor.

    Returns
    -------
    AuditPart "permutation"; table: one row per shuffle and statistic (spillover, t_ratio, rho). Facts
    `permutation_whole_map.p_value.spillover` and `permutation_within_groups.p_value.spillover` are two-sided and of the
    t-ratio, which is comparable between maps; `.share_as_large.spillover` is its one-sided form in the direction of the
    estimate (a real map that gives less than shuffled ones is no sign of a spillover). `.p_value_effect.spillover` and
    `.p_value_rho` are those of the effect and of ρ. Draws `permutation_whole_map.spillover`, … hold the distributions.

    Raises
    ------
    OptionError : a model without spillover, fewer than 19 draws. DesignError : groups of one region only.

    Exact when regions are exchangeable (within their group) under the null; approximate where regressors or errors
    cluster on the map for other reasons. Cost: R fits; eigenvalues of W once per 50.
    """
    name = choose_variable(fit, variable)
    _check(fit, name, draws)
    grouping = resolve_groups(fit, groups)
    recipe = Recipe.of(fit, name)
    observed = recipe.measure(recipe.estimate())
    seeds = np.random.SeedSequence(check_seed(seed)).spawn(2)
    skipped = []
    shuffles: dict[str, FloatArray] = {}
    if fit.spec.groups is None:
        shuffles["whole_map"] = relabelled_statistics(
            recipe, None, draws, seeds[0], executor, lambda said, share: progress(said, share / 2), "W over the map"
        )
    else:
        skipped.append(
            "W over the whole map: it would link regions of different groups, which group × period effects exclude."
        )
    if grouping is None:
        skipped.append("W inside groups: no groups of regions are known (option groups).")
    elif count_relabellings(grouping) < np.log(FEW):
        skipped.append(
            f"W inside {grouping.plural}: fewer than {FEW} relabellings exist. {grouping.tell_single()}".strip()
        )
    else:
        members = tuple(at for at in grouping.members.values() if at.size > 1)
        shuffles["within_groups"] = relabelled_statistics(
            recipe,
            members,
            draws,
            seeds[1],
            executor,
            lambda said, share: progress(said, 0.5 + share / 2),
            f"W inside {grouping.plural}",
        )
    return _part(fit, name, observed, shuffles, grouping, skipped)


def count_relabellings(grouping: Grouping) -> float:
    """Logarithm of the number of relabellings inside groups, Σ ln n_g!."""
    return float(sum(gammaln(at.size + 1.0) for at in grouping.members.values()))


def _check(fit: SpatialFit, name: str, draws: int) -> None:
    check_spillover(fit, name)
    if isinstance(draws, bool) or not isinstance(draws, int | np.integer) or draws < 19:
        raise OptionError(
            "too few shuffles for a p-value of 5 %", got=f"draws={draws!r}", expected="a whole number of 19 or more"
        )


def _part(
    fit: SpatialFit,
    name: str,
    observed: tuple[float, float, float],
    shuffles: dict[str, FloatArray],
    grouping: Grouping | None,
    skipped: list[str],
) -> AuditPart:
    import pandas as pd

    has_rho = len(fit.roles.outcome) == 1
    rows: list[dict[str, Any]] = []
    facts: dict[str, float] = {}
    kept: dict[str, FloatArray] = {}
    sentences = []
    for place, values in shuffles.items():
        good = values[np.isfinite(values).all(axis=1)]
        where = PLACES[place].format(plural=grouping.plural if grouping else "groups")
        if len(good) < 19:
            skipped.append(f"W {where}: the model had a maximum in {len(good)} of {len(values)} shuffles only.")
            continue
        if len(good) < len(values):
            skipped.append(f"{len(values) - len(good)} of {len(values)} shuffles {where} had no maximum inside bounds.")
        found = {key: Shuffled(observed[i], good[:, i]) for i, key in enumerate(("spillover", "t_ratio", "rho"))}
        if not has_rho:
            del found["rho"]
        for key, shuffled in found.items():
            kept[f"permutation_{place}.{key}"] = shuffled.values
            rows.append(_row(place, key, shuffled))
        facts |= _facts(f"permutation_{place}", found)
        sentences.append(_sentence(where, found["spillover"], found["t_ratio"]))
        if has_rho:
            sentences.append(_rho_sentence(where, found["rho"]))
    if grouping is not None and grouping.single:
        sentences.append(f"{grouping.tell_single()} Shuffles inside {grouping.plural} leave them where they are.")
    if "permutation_within_groups.spillover" in kept and "permutation_whole_map.spillover" in kept and grouping:
        sentences.insert(0, _summary(facts, grouping))
    return AuditPart("permutation", QUESTION, pd.DataFrame(rows), facts, tuple(sentences), tuple(skipped), kept)


def _row(place: str, key: str, shuffled: Shuffled) -> dict[str, Any]:
    low, high = shuffled.limits
    return {
        "shuffle": place,
        "statistic": key,
        "observed": shuffled.observed,
        "median": shuffled.centre,
        "low": low,
        "high": high,
        "p_value": shuffled.p_value,
        "share_as_large": shuffled.share_as_large,
        "draws": shuffled.values.size,
    }


def _facts(prefix: str, found: dict[str, Shuffled]) -> dict[str, float]:
    effect, ratio = found["spillover"], found["t_ratio"]
    facts = {
        f"{prefix}.p_value.spillover": ratio.p_value,
        f"{prefix}.p_value_effect.spillover": effect.p_value,
        f"{prefix}.share_as_large.spillover": ratio.share_as_large,
        f"{prefix}.share_as_large_effect.spillover": effect.share_as_large,
        f"{prefix}.observed.spillover": effect.observed,
        f"{prefix}.median.spillover": effect.centre,
        f"{prefix}.low.spillover": effect.limits[0],
        f"{prefix}.high.spillover": effect.limits[1],
        f"{prefix}.draws": float(effect.values.size),
    }
    if "rho" in found:
        rho = found["rho"]
        facts |= {
            f"{prefix}.p_value_rho": rho.p_value,
            f"{prefix}.observed_rho": rho.observed,
            f"{prefix}.median_rho": rho.centre,
        }
    return facts


def _sentence(where: str, effect: Shuffled, ratio: Shuffled) -> str:
    low, high = effect.limits
    width = (high - low) / 2.0
    median, real = number(effect.centre, width), number(effect.observed, width)
    told = (
        f"With neighbours shuffled {where} the spillover lies between {number(low, width)} and {number(high, width)} "
        f"in 95 % of {effect.values.size} shuffles (median {median}); with the real neighbours it is "
        f"{real} ({tell_p(effect.p_value)}; by its t-ratio, {tell_p(ratio.p_value)})"
    )
    if ratio.p_value > 0.05:
        return f"{told}: neighbours drawn by lot do as well."
    if ratio.share_as_large > 0.5:
        return f"{told}: the real neighbours give less than neighbours drawn by lot, so nearness is not what makes it."
    if abs(effect.centre) > SHARED * abs(effect.observed) and effect.centre * effect.observed > 0:
        share = 100.0 * effect.centre / effect.observed
        return f"{told}: the real neighbours say more, but neighbours drawn by lot already give {share:.0f} % of it."
    return f"{told}: the real neighbours are not like any neighbours."


def _rho_sentence(where: str, rho: Shuffled) -> str:
    low, high = rho.limits
    told = (
        f"ρ is {number(rho.observed, 1.0)} with the real neighbours and between {number(low, 1.0)} and "
        f"{number(high, 1.0)} with neighbours shuffled {where} ({tell_p(rho.p_value)})"
    )
    if rho.p_value > 0.05 and low * high > 0:
        return f"{told}: it measures what these regions share, not who is near."
    return f"{told}."


def _summary(facts: dict[str, float], grouping: Grouping) -> str:
    """What the two shuffles say together."""
    over, inside = (
        facts[f"permutation_{place}.p_value.spillover"] <= 0.05
        and facts[f"permutation_{place}.share_as_large.spillover"] < 0.5
        for place in PLACES
    )
    if over and not inside:
        return (
            f"The real map beats maps shuffled at random, but not maps shuffled inside {grouping.plural}: what it "
            f"shows is which {grouping.name} a region is in, not who its neighbours are."
        )
    if over and inside:
        return f"It matters who the neighbours are, also among regions of one {grouping.name}."
    if inside:
        return (
            f"The real map does not differ from maps shuffled at random, but it does from maps shuffled inside "
            f"{grouping.plural}."
        )
    return "There is no sign that it matters who the neighbours are: maps shuffled by lot give as much."
