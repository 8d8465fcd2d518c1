"""Does the treatment change what a mediator does? The test of the no-interaction assumption."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spillover.errors import SpilloverError
from spillover.inference.hypotheses import HypothesisTest, NotApplicable
from spillover.mechanisms.equation import Term
from spillover.mechanisms.estimate import Settings, fit_equation
from spillover.mechanisms.sample import Sample, term_column
from spillover.mechanisms.system import System
from spillover.models.formula import plain
from spillover.typing import FloatArray

REFERENCE = "Wald test of treatment × mediator in the equation of the outcome"


def interaction_tests(system: System, sample: Sample, settings: Settings) -> tuple[HypothesisTest | NotApplicable, ...]:
    """One test for each mediator in the outcome's equation, and one of all together.

    The products are added to the equation of the outcome, with the treatment itself where it is not there; deviations
    from means are multiplied, so that main effects keep their meaning. Rejection means that the effect through the
    channel depends on the level of the treatment: natural direct and indirect effects then hold at the mean only.
    """
    outcome = system.outcome
    acting = [e for e in system.mediators if (e.name, outcome.name) in system.arrows]
    treatment = _values(sample, system.treatment, outcome.name)
    columns: dict[str, FloatArray] = {}
    added = []
    if not any(term.lag is None and tuple(map(plain, term.factors)) == (system.treatment,) for term in outcome.terms):
        term = Term((system.treatment,))
        added.append(term)
        columns[term_column(outcome, term)] = treatment
    products: dict[str, Term] = {}
    for mediator in acting:
        term = Term((system.treatment, plain(mediator.response)))
        if any(sorted(map(plain, other.factors)) == sorted(term.factors) for other in outcome.terms):
            continue  # it is in the model already, and in its effects
        values = _values(sample, plain(mediator.response), outcome.name)
        products[mediator.name] = term
        columns[term_column(outcome, term)] = (treatment - treatment.mean()) * (values - values.mean())
    if not products:
        return (NotApplicable("treatment × mediator", "the interactions are part of the equation of the outcome"),)
    extended = replace(outcome, terms=(*outcome.terms, *added, *products.values()))
    panel = replace(sample.panel, variables={**sample.panel.variables, **columns})
    try:
        estimates = fit_equation(extended, sample, panel, settings).estimates
    except SpilloverError as error:
        return (NotApplicable("treatment × mediator", error.what),)
    rows = {name: estimates.index(term.name) for name, term in products.items()}
    tests = []
    for name, position in rows.items():
        restriction = np.zeros((1, estimates.values.size))
        restriction[0, position] = 1.0
        null = f"the effect of {name} on the outcome does not depend on the treatment"
        tests.append(replace(estimates.wald(restriction, null), name=f"treatment × {name}", reference=REFERENCE))
    if len(rows) > 1:
        restriction = np.eye(estimates.values.size)[list(rows.values())]
        null = "no mediator's effect on the outcome depends on the treatment"
        tests.append(replace(estimates.wald(restriction, null), name="treatment × all mediators", reference=REFERENCE))
    return tuple(tests)


def _values(sample: Sample, expression: str, equation: str) -> FloatArray:
    """(n, t) of a factor as it enters an equation, or else any other."""
    found = {name: values for (name, factor), values in sample.factors.items() if plain(factor) == expression}
    return found[equation] if equation in found else next(iter(found.values()))
