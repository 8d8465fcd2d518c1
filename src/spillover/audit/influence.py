"""Do a few regions, periods or groups make the result? Leave-one-out, variance shares, small counts, Poisson."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from spillover.audit.evidence import Findings, both, called, number, reason
from spillover.audit.focus import Effect, FocusEffects, choose_variable
from spillover.audit.grouping import Grouping, resolve_groups
from spillover.audit.light import light
from spillover.audit.part import AuditPart
from spillover.audit.refit import refit
from spillover.audit.shifted import refit_periods
from spillover.audit.small_counts import count, leave_small
from spillover.audit.wording import too_few, varies, with_errors
from spillover.errors import SpilloverError, SpilloverWarning, show_labels
from spillover.models.result import SpatialFit
from spillover.models.spec import Groups
from spillover.typing import FloatArray, Progress, no_progress

QUESTION = "Do a few regions, periods or groups make the result?"
MOST = 250  # regions left out one at a time; beyond, those with the largest share of the regressor's variance
MOST_LARGE, LARGE = 40, 1_000  # the same for maps of more regions than LARGE, where one fit takes longer
SMALL_COUNT = 20.0
LEVEL = 0.05
LEAST_FOR_HALVES = 4


@dataclass(frozen=True)
class Left:
    """The effects without one thing: what kind of thing, its name, and what else had to go with it."""

    kind: str
    name: str
    effects: FocusEffects
    also: tuple[str, ...] = ()


def audit_influence(
    fit: SpatialFit,
    variable: str | None = None,
    *,
    groups: Groups = None,
    counts: str | None = None,
    small: float = SMALL_COUNT,
    progress: Progress = no_progress,
) -> AuditPart:
    """Estimate without one region, one period, one group at a time; without small counts; as counts.

    Parameters
    ----------
    fit : the model; W is cut to the regions that are left, rows standardised anew, and a region that loses its last
        neighbour goes too (named).
    groups : column of `panel.groups`, or region → group; those of the fit, else the panel's only grouping.
    counts : panel variable with the counts behind the outcome (patents), or behind the regressor (firms): the model is
        estimated without regions that have fewer than `small` of them per period on average.
    small : that number.

    Returns
    -------
    AuditPart "influence". Facts `influence.region_low.spillover` and `_high` (range over single regions left out),
    `influence.region_changes.spillover` (how many single regions decide whether the 5 % test rejects), the same of
    period and group; `influence.first_half.spillover`, `influence.second_half.spillover`,
    `influence.without_small.spillover`, `influence.poisson.spillover` beside `influence.log_slx.spillover` (each with
    `_p_value`, `_low`, `_high` before the dot); `influence.largest_share.variable`, `.outcome` (share of the within
    variance that the largest region holds; 1/n each would be even).

    Poisson (quasi-)maximum likelihood needs no logarithm of small numbers: where it disagrees with logs, small counts
    carry the variance. It has W x and no W y, so that it is compared with the SLX form of the same model.

    Cost: n + t + groups fits; above 250 regions the 250 (above 1,000: 40) with most of the regressor's variance.
    """
    name = choose_variable(fit, variable)
    if counts is not None:
        _ = fit.panel[counts]
    found = Findings(name)
    grouping = resolve_groups(fit, groups)
    base = found.add(fit, without="nothing", name="")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpilloverWarning)
        shares = _look_at_shares(found, fit)
        _leave_regions(found, fit, base, shares, lambda text, share: progress(text, 0.6 * share))
        _leave_periods(found, fit, base)
        progress("halves and groups", 0.7)
        _leave_groups(found, fit, base, grouping)
        _compare_halves(found, fit)
        progress("small counts", 0.9)
        leave_small(found, fit, counts, small)
        count(found, fit, counts)
    return found.part("influence", QUESTION)


# -- who varies ----------------------------------------------------------------------------------------------


def _look_at_shares(found: Findings, fit: SpatialFit) -> FloatArray:
    """(n,) share of each region in the within variance of the regressor; rows and facts of the largest."""
    design, panel = fit.design, fit.panel
    n = len(design.regions)
    shares = {}
    for key, values in (
        ("variable", design.block[design.own[found.variable]]),
        ("outcome", design.y),
    ):
        squares = np.sum(np.asarray(values) ** 2, axis=1)
        shares[key] = squares / squares.sum()
        found.facts[f"influence.largest_share.{key}"] = float(shares[key].max())
    top = np.argsort(shares["variable"])[::-1][:3]
    told_top = ", ".join(f"{called(panel, panel.regions[i])} {100 * shares['variable'][i]:.0f} %" for i in top)
    first = int(np.argmax(shares["outcome"]))
    found.sentences.append(
        f"Of what {varies(fit)} in {found.variable}, the largest shares are those of {told_top} (an even share "
        f"is {100 / n:.1f} %); of the outcome, {called(panel, panel.regions[first])} has "
        f"{100 * shares['outcome'][first]:.0f} %."
    )
    return shares["variable"]


# -- one at a time -------------------------------------------------------------------------------------------


def _leave_regions(
    found: Findings, fit: SpatialFit, base: FocusEffects, shares: FloatArray, progress: Progress
) -> None:
    panel = light(fit)
    regions = panel.regions
    most = MOST_LARGE if len(regions) > LARGE else MOST
    order = sorted(np.argsort(shares)[::-1][:most])
    if len(order) < len(regions):
        found.skipped.append(
            f"Leaving out one region at a time: only the {len(order)} with most of the variance of {found.variable}."
        )
    left = []
    for done, at in enumerate(order):
        kept = [region for region in regions if region != regions[at]]
        name = called(panel, regions[at])
        made = _try(found, name, partial(refit, fit, panel=panel.select(regions=kept)))
        progress(f"without one region: {done + 1} of {len(order)}", (done + 1) / len(order))
        if made is None:
            continue
        also = tuple(called(panel, region) for region in kept if region not in set(made.panel.regions))
        left.append(Left("region", name, found.add(made, without="region", name=name), also))
    _summarise(found, fit, base, "region", left)


def _leave_periods(found: Findings, fit: SpatialFit, base: FocusEffects) -> None:
    periods = fit.panel.periods
    least = 3 if fit.spec.has_region_effects else 2
    if len(periods) < least:
        found.skipped.append(f"Leaving out one period at a time: {too_few(len(periods), least)}.")
        return
    left = []
    for gone in periods:
        kept = tuple(period for period in periods if period != gone)
        made = _try(found, str(gone), partial(refit_periods, fit, kept))
        if made is not None:
            left.append(Left("period", str(gone), found.add(made, without="period", name=str(gone))))
    _summarise(found, fit, base, "period", left)


def _leave_groups(found: Findings, fit: SpatialFit, base: FocusEffects, grouping: Grouping | None) -> None:
    if grouping is None:
        found.skipped.append("Leaving out one group at a time: no groups of regions are known (option groups).")
        return
    left, panel = [], light(fit)
    for label in sorted(grouping.members):
        kept = [region for region, own in grouping.mapping.items() if own != label]
        made = _try(found, label, partial(refit, fit, panel=panel.select(regions=kept)))
        if made is not None:
            left.append(Left(grouping.name, label, found.add(made, without="group", name=label)))
    _summarise(found, fit, base, "group", left)


def _compare_halves(found: Findings, fit: SpatialFit) -> None:
    """Earlier against later periods; of an odd number the later half has one more, and no period is in both."""
    periods = fit.panel.periods
    t = len(periods)
    if t < LEAST_FOR_HALVES:
        found.skipped.append(f"Earlier against later periods: {too_few(t, LEAST_FOR_HALVES)}.")
        return
    half = t // 2
    said = []
    for key, kept in (("first_half", periods[:half]), ("second_half", periods[half:])):
        span = f"{kept[0]}–{kept[-1]}"
        made = _try(found, f"all but {span}", partial(refit_periods, fit, kept))
        if made is None:
            continue
        effects = found.add(made, f"influence.{key}", without=f"all but the {key.replace('_', ' ')}", name=span)
        said.append(f"{span}: {both(effects)}")
    if said:
        found.sentences.append("By time, " + "; ".join(said) + ".")


def _try(found: Findings, name: str, make: Callable[[], SpatialFit]) -> SpatialFit | None:
    try:
        return make()
    except SpilloverError as error:
        found.skipped.append(f"Without {name}: {reason(error)}.")
        return None


def _summarise(found: Findings, fit: SpatialFit, base_effects: FocusEffects, kind: str, left: Sequence[Left]) -> None:
    if not left:
        return
    also = {each.name: each.also for each in left if each.also}
    for effect, base in base_effects.items():
        values = [(getattr(each.effects, effect), each) for each in left]
        low, high = min(values, key=lambda pair: pair[0].value), max(values, key=lambda pair: pair[0].value)
        turned = [each for value, each in values if (value.p_value < LEVEL) != (base.p_value < LEVEL)]
        flipped = [each for value, each in values if value.value * base.value < 0]
        found.facts |= {
            f"influence.{kind}_low.{effect}": low[0].value,
            f"influence.{kind}_high.{effect}": high[0].value,
            f"influence.{kind}_changes.{effect}": float(len(turned)),
            f"influence.{kind}_sign_changes.{effect}": float(len(flipped)),
        }
        found.sentences.append(
            _tell_range(effect, base, low, high, turned, (left[0].kind, len(left), with_errors(fit)))
        )
    if also:
        parts = [f"{show_labels(lost)} with {name}" for name, lost in also.items()]
        found.sentences.append(f"Regions that lose their last neighbour go too: {show_labels(parts, 12)}.")


def _tell_range(
    effect: str,
    base: Effect,
    low: tuple[Effect, Left],
    high: tuple[Effect, Left],
    turned: Sequence[Left],
    cases: tuple[str, int, str],
) -> str:
    kind, count, test = cases
    what = "The effect at home" if effect == "own" else "The spillover"
    width = (base.high - base.low) / 2.0
    text = (
        f"{what} ({number(base.value, width)}) lies between {number(low[0].value, width)} (without {low[1].name}) and "
        f"{number(high[0].value, width)} (without {high[1].name}) when one {kind} is left out"
    )
    seen = base.p_value < LEVEL
    if not turned:
        return f"{text}; a {test} tells it apart from zero in {f'all {count}' if seen else 'none of the'} cases."
    names = show_labels((each.name for each in turned), 8)
    if seen:
        return f"{text}; without {names} a {test} does not tell it apart from zero."
    return f"{text}; a {test} tells it apart from zero only without {names}."
