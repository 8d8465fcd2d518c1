"""Flows between regions on request: who went where, given how many arrived.

A region's inflow is a Poisson sum over its sources, so given its total the sources are multinomial, with probabilities
proportional to the kernel times A. That is exact, and only what is asked for is ever drawn.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import scipy.sparse as sp

from spillover.errors import OptionError, check_option, show_labels
from spillover.simulation.system import DrawnSystem

FlowName = Literal["talent_inflow", "transfers", "cooperation", "informal"]


def draw_flows(drawn: DrawnSystem, flow: FlowName, period: int) -> sp.csr_matrix:
    """(n, n) sparse counts of one flow in one period; row receives, column sends; rows sum to the panel's totals.

    Parameters
    ----------
    drawn : from `draw_system`.
    flow : "talent_inflow" (persons), "transfers", "cooperation" (projects, a year), or "informal" (activities, a
        month: twelfths of whole activities in a year).
    period : one of the panel's years.

    The diagonal is what a region draws from its own agglomeration. Every flow and year has its own random stream,
    children of the system's seed, so that the order of questions does not matter. Flows are independent given their
    totals; projects are not tied to particular transfers.

    Raises
    ------
    OptionError : an unknown flow or year.
    """
    check_option("flow", flow, get_args(FlowName))
    periods = drawn.system.config.periods
    if period not in periods:
        raise OptionError(f"the system has no period {period!r}", expected=show_labels(periods, 30))
    t = periods.index(period)
    system = drawn.system
    kernels = {"talent_inflow": system.talent_kernel, "informal": system.informal_kernel}
    intensity = sp.csr_matrix(kernels.get(flow, system.transfer_kernel) @ sp.diags(drawn.outcomes.hti[:, t]))
    unit = 12.0 if flow == "informal" else 1.0
    totals = np.rint(unit * getattr(drawn.outcomes, flow)[:, t]).astype(np.int64)
    rng = _stream(drawn.seed, get_args(FlowName).index(flow), t)
    counts = np.zeros(intensity.nnz)
    for i in range(len(totals)):
        sources = slice(intensity.indptr[i], intensity.indptr[i + 1])
        chances = intensity.data[sources]
        if totals[i]:
            counts[sources] = rng.multinomial(totals[i], chances / chances.sum()) / unit
    flows = sp.csr_matrix((counts, intensity.indices, intensity.indptr), shape=intensity.shape)
    flows.eliminate_zeros()
    return flows


def _stream(seed: int, flow: int, period: int) -> np.random.Generator:
    """Beside the children that `spawn_streams` numbers 0, 1, …: a key of three numbers is none of theirs."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1_000_000, flow, period)))
