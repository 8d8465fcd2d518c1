"""Is there any spillover over distance? The largest likelihood ratio over all decays, against none at all.

Without a spillover the decay does not exist, so that χ² does not apply (Davies 1977). The law of the maximum is had by
multiplying the scores of each period with one random number, common to all regions: any dependence over space is kept.
Multipliers by region would reject in three of five samples without a spillover when errors are related over space.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spillover.errors import OptionError
from spillover.inference.hypotheses import HypothesisTest, NotApplicable
from spillover.moderators.decay_lag import LagLikelihood
from spillover.moderators.decay_slx import SlxLikelihood
from spillover.typing import FloatArray

NAME = "sup-LR"
REFERENCE = "Davies (1977), Biometrika 64:247; Hansen (1996), Econometrica 64:413, with multipliers by period"
FEW_PERIODS = 10
LEAST_PERIODS = 5
LEAST_DRAWS = 99


@dataclass(frozen=True, eq=False)
class NullScores:
    """Scores of the spillover parameters at the null, for every decay of a grid.

    Attributes
    ----------
    scores : (g, q, t) sums over regions, by period.
    information : (g, q, q).
    """

    scores: FloatArray
    information: FloatArray

    def statistics(self, multipliers: FloatArray) -> FloatArray:
        """(g, draws) s'I^{-1}s for multipliers (t, draws)."""
        s = self.scores @ multipliers  # (g, q, draws)
        solved = np.linalg.solve(self.information, s)
        return np.asarray(np.einsum("gqb,gqb->gb", s, solved))


def check_draws(draws: int, seed: int) -> None:
    """`OptionError` for fewer draws than a p-value needs, or a seed that is none."""
    if isinstance(draws, bool) or not isinstance(draws, int | np.integer) or draws < LEAST_DRAWS:
        raise OptionError("too few draws for a p-value", got=repr(draws), expected=f"at least {LEAST_DRAWS}")
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise OptionError("a seed is a whole number of zero or more", got=repr(seed), fix="use seed=1")


def sup_test_slx(
    likelihood: SlxLikelihood, trials: list[tuple[float, float]], draws: int, seed: int
) -> HypothesisTest | NotApplicable:
    """sup-LR of θ = 0: LR = −m ln(1 − R²) of y freed of X on the freed exposures, largest over the trials."""
    design = likelihood.design
    n, t = design.shape
    null = f"{', '.join(design.lagged)} elsewhere has no effect, at whatever decay"
    if t < LEAST_PERIODS:
        return _too_short(t)
    e = likelihood.outcome.reshape(n, t)
    scores, grams = [], []
    for rate, shape in trials:
        freed = likelihood.freed_exposures(rate, shape)
        if freed is None:
            continue
        freed = freed / np.linalg.norm(freed, axis=1, keepdims=True)
        scores.append(np.einsum("qnt,nt->qt", freed.reshape(-1, n, t), e))
        grams.append(freed @ freed.T + 1e-12 * np.eye(len(freed)))
    found = NullScores(np.array(scores), np.array(grams))
    rss = float(np.sum(e**2))
    observed = float(found.statistics(np.ones((t, 1))).max())
    multipliers = _multipliers(t, draws, seed)
    drawn = found.statistics(multipliers).max(axis=0)
    left = _null_rss(likelihood, e, multipliers)
    m = likelihood.m
    statistic = -m * float(np.log1p(-min(observed / rss, 1.0 - 1e-12)))
    simulated = -m * np.log1p(-np.minimum(drawn / left, 1.0 - 1e-12))
    return _result(NAME, statistic, simulated, null, t)


def _null_rss(likelihood: SlxLikelihood, e: FloatArray, multipliers: FloatArray) -> FloatArray:
    """(draws,) residual sums of squares of ξ_t e_it on X and the effects."""
    design = likelihood.design
    whole = (e**2).sum(axis=0) @ multipliers**2
    for members in design.transformation.segment_means:
        whole = whole - ((e[:, members] @ multipliers[members]) ** 2).sum(axis=0) / len(members)
    basis = likelihood._basis.reshape(*design.shape, -1)
    lost = np.einsum("ntk,nt->kt", basis, e) @ multipliers
    return np.asarray(whole - (lost**2).sum(axis=0))


def sup_test_lag(
    likelihood: LagLikelihood, trials: list[tuple[float, float]], draws: int, seed: int
) -> HypothesisTest | NotApplicable:
    """The largest score statistic of ρ = 0 (and θ = 0) over the trials."""
    design, transformation = likelihood.design, likelihood.design.transformation
    n, t = design.shape
    null = "regions far and near have no effect on each other (ρ = 0" + (", θ = 0)" if likelihood.durbin else ")")
    null += ", and their errors are unrelated"
    if t < LEAST_PERIODS:
        return _too_short(t)
    slx = SlxLikelihood(design, likelihood.determinants.kernel, likelihood.determinants.row)
    e = slx.outcome.reshape(n, t)
    sigma2 = float(np.sum(e**2)) / transformation.m
    own_square = np.sum(e**2, axis=0) / sigma2
    centring = transformation.centring
    scores, informations = [], []
    for rate, shape in trials:
        weights = likelihood.determinants.weights(rate, shape)[0]
        dense = weights if isinstance(weights, np.ndarray) else weights.toarray()
        lag = transformation.remove_means(dense @ design.outcome)
        image = transformation.remove_means(dense @ e)
        columns = [(lag - image)[None]]
        if likelihood.durbin:
            columns.append(design.expose(dense))
        linear = slx.free(np.concatenate(columns).reshape(-1, n * t))
        centred = centring.both(dense)
        trace = float(np.trace(centred))
        pairs = float(np.einsum("ij,ji->", centred, centred) + np.sum(centred**2))
        # freed of the scores of β and σ² period by period: the sums are the same, the multiplied sums are not
        linked = linear.reshape(-1, n, t)
        own = np.einsum("nt,nt->t", e, linked[0] + image) / sigma2
        own = own - transformation.t_star * trace / transformation.m * own_square
        rows = [own[None], np.einsum("qnt,nt->qt", linked[1:], e) / sigma2]
        information = linear @ linear.T / sigma2
        information[0, 0] += (
            transformation.t_star * pairs - 2.0 * (transformation.t_star * trace) ** 2 / transformation.m
        )
        scores.append(np.concatenate(rows))
        informations.append(information)
    found = NullScores(np.array(scores), np.array(informations))
    observed = float(found.statistics(np.ones((t, 1))).max())
    drawn = found.statistics(_multipliers(t, draws, seed)).max(axis=0)
    return _result("sup-LM", observed, drawn, null, t)


def _multipliers(t: int, draws: int, seed: int) -> FloatArray:
    """(t, draws) ±1 with ten periods or more; with fewer they have too few patterns, and normal ones are used."""
    generator = np.random.default_rng(seed)
    if t >= FEW_PERIODS:
        return np.asarray(2.0 * generator.integers(0, 2, (t, draws)) - 1.0)
    return np.asarray(generator.standard_normal((t, draws)))


def _result(name: str, statistic: float, drawn: FloatArray, null: str, t: int) -> HypothesisTest:
    return HypothesisTest(
        name=name,
        statistic=statistic,
        null=null,
        distribution=f"multipliers common to all regions, {t} periods, {drawn.size} draws",
        p_value=float((1.0 + np.sum(drawn >= statistic)) / (1.0 + drawn.size)),
        reference=REFERENCE,
    )


def _too_short(t: int) -> NotApplicable:
    return NotApplicable(
        NAME,
        f"scores are multiplied by period, which needs at least {LEAST_PERIODS}; there {'is' if t == 1 else 'are'} {t}",
    )
