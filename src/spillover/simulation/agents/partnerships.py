"""Step 5, partnerships: firms transfer technology to each other, and some of it in joint projects.

The probability of firm f receiving from firm g is logistic in distance, linkage, university ties, sector and common
partners. Candidates are never all pairs: opportunities arrive between regions as Poisson counts, the two firms are
drawn, and an opportunity is taken up with the probability that makes the mean number right. Pairs with common
partners, of which there are few, get the opportunities that closing a triangle adds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from spillover.simulation.agents.config import AgentConfig
from spillover.simulation.agents.draws import AgentStreams, build_lottery, invert_poisson
from spillover.simulation.agents.flows import Flows
from spillover.simulation.agents.population import Firms
from spillover.typing import BoolArray, FloatArray, IntArray

_MOST_COMMON_PARTNERS = 5


@dataclass(frozen=True, eq=False)
class Network:
    """Cooperation projects of the last years: (e,) two firms and the year."""

    firm: IntArray
    partner: IntArray
    year: IntArray

    def extended(self, projects: Flows, year: int, keep_years: int) -> Network:
        """With this year's projects, without those that have run out; a firm is not its own partner."""
        apart, recent = projects.firm != projects.source, self.year > year - keep_years
        return Network(
            np.concatenate([self.firm[recent], projects.firm[apart]]),
            np.concatenate([self.partner[recent], projects.source[apart]]),
            np.concatenate([self.year[recent], np.full(int(apart.sum()), year)]),
        )

    def adjacency(self, alive: BoolArray) -> sp.csr_matrix:
        """(m, m) sparse, symmetric: 1 where two living firms are partners."""
        both = alive[self.firm] & alive[self.partner]
        a, b = self.firm[both], self.partner[both]
        m = len(alive)
        links = sp.coo_matrix((np.ones(2 * len(a)), (np.r_[a, b], np.r_[b, a])), shape=(m, m)).tocsr()
        links.data[:] = 1.0
        return links


def empty_network() -> Network:
    """No partnerships yet."""
    nobody = np.empty(0, dtype=np.int64)
    return Network(nobody, nobody, nobody)


@dataclass(frozen=True, eq=False)
class PairRates:
    """What the mean number of transfers between two firms, e^η, is made of (before common partners).

    Attributes
    ----------
    between : (n, n) sparse, per firm of the receiver and job of the sender: p0 E_i^ψ [linkage, university] e^(−δd).
    firms : (n,) living firms; a region's absorption is shared among them.
    """

    config: AgentConfig
    between: sp.csr_matrix
    firms: FloatArray

    def mean(self, firms: Firms, receiver: IntArray, sender: IntArray) -> FloatArray:
        """(k,) e^η of pairs of firms."""
        place = np.asarray(self.between[firms.region[receiver], firms.region[sender]]).ravel()
        same = firms.sector[receiver] == firms.sector[sender]
        jobs = firms.jobs[sender] / self.config.researchers_per_cluster
        return place * jobs / self.firms[firms.region[receiver]] * np.exp(self.config.sector_affinity * same)


def form_partnerships(
    config: AgentConfig,
    firms: Firms,
    kernel: sp.csr_matrix,
    absorption: FloatArray,
    network: Network,
    year: int,
    streams: AgentStreams,
) -> tuple[Flows, Flows]:
    """This year's technology transfers, and those of them that are cooperation projects.

    Parameters
    ----------
    kernel : (n, n) tier 2's transfer kernel: linkage and university ties times exp(−δd).
    absorption : (n,) E^ψ of the receivers.
    """
    between = sp.csr_matrix(config.system.transfers_per_cluster * (sp.diags(absorption) @ kernel))
    rates = PairRates(config, between, firms.count(len(absorption)))
    share = config.system.cooperation_share
    common = _common_partners(network, firms) if config.closure and len(network.firm) else None
    parts = []
    for kind, part in enumerate((share, 1.0 - share)):  # thinning: projects and other transfers are independent
        pairs = [_meet_at_random(config, firms, rates, part, streams.at("partnerships", year, kind))]
        if common is not None:
            pairs.append(_close_triangles(config, firms, rates, common, part, streams.at("closure", year, kind)))
        receiver, sender = (np.concatenate(side) for side in zip(*pairs, strict=True))
        taken = _take_up(config, firms, rates, common, receiver, sender, streams.at("closure", year, 2 + kind))
        parts.append((receiver[taken], sender[taken]))
    projects = _as_flows(firms, *parts[0])
    transfers = _as_flows(firms, *(np.concatenate(side) for side in zip(*parts, strict=True)))
    return transfers, projects


def _meet_at_random(
    config: AgentConfig, firms: Firms, rates: PairRates, part: float, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """Opportunities without regard to common partners: between regions first, then the two firms."""
    n = len(rates.firms)
    links = rates.between.tocoo()
    jobs = firms.add_up(firms.jobs, n) / config.researchers_per_cluster
    # candidates of one sector are e^κ_S as likely; all are offered at that rate and other pairs thinned below
    offered = part * links.data * jobs[links.col] * np.exp(config.sector_affinity)
    count = invert_poisson(offered, rng.random(len(offered)))
    receiver = build_lottery(firms.region, firms.alive, np.ones(len(firms.alive)), n).draw(
        np.repeat(links.row, count), rng
    )
    sender = build_lottery(firms.region, firms.alive, firms.jobs, n).draw(np.repeat(links.col, count), rng)
    same = firms.sector[receiver] == firms.sector[sender]
    kept = same | (rng.random(len(receiver)) < np.exp(-config.sector_affinity))
    return receiver[kept], sender[kept]


def _close_triangles(
    config: AgentConfig, firms: Firms, rates: PairRates, common: sp.csr_matrix, part: float, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """The opportunities that common partners add: e^η (e^(κ_t c) − 1) for pairs with c of them."""
    pairs = common.tocoo()
    added = rates.mean(firms, pairs.row, pairs.col) * np.expm1(config.closure * pairs.data)
    count = invert_poisson(part * added, rng.random(len(added)))
    return np.repeat(pairs.row, count).astype(np.int64), np.repeat(pairs.col, count).astype(np.int64)


def _take_up(
    config: AgentConfig,
    firms: Firms,
    rates: PairRates,
    common: sp.csr_matrix | None,
    receiver: IntArray,
    sender: IntArray,
    rng: np.random.Generator,
) -> BoolArray:
    """Opportunities are taken up with probability 1 / (1 + e^η): their mean number is then Λ(η) = e^η / (1 + e^η)."""
    if not config.saturation:
        return np.ones(len(receiver), dtype=bool)
    odds = rates.mean(firms, receiver, sender)
    if common is not None and len(receiver):
        odds = odds * np.exp(config.closure * np.asarray(common[receiver, sender]).ravel())
    return rng.random(len(receiver)) < 1.0 / (1.0 + config.saturation * odds)


def _common_partners(network: Network, firms: Firms) -> sp.csr_matrix:
    """(m, m) sparse number of common partners of two different firms, at most five."""
    links = network.adjacency(firms.alive)
    common = sp.csr_matrix(links @ links)
    common.setdiag(0.0)
    common.eliminate_zeros()
    common.data = np.minimum(common.data, _MOST_COMMON_PARTNERS)
    return common


def _as_flows(firms: Firms, receiver: IntArray, sender: IntArray) -> Flows:
    return Flows(firms.region[receiver], firms.region[sender], receiver, sender, np.ones(len(receiver)))
