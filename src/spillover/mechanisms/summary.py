"""A mediation as text, on one screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from spillover.effects.summary import tell_table

if TYPE_CHECKING:
    from spillover.mechanisms.result import MediationResult

SOURCES = (
    "channels: Tchetgen Tchetgen & VanderWeele (2012); Imai, Keele & Yamamoto (2010, Statistical Science 25:51); "
    "matrices: LeSage & Pace (2009)"
)


def summarise_mediation(result: MediationResult) -> str:
    """Equations, effects by channel, shares or why there are none, where spillovers happen, what it rests on."""
    n, t = result.sample.panel.shape
    lines = [
        f"Mediation · {result.system.treatment} → {result.system.outcome.response}",
        f"effects: {result.settings.effects}; {n} regions × {t} periods; errors: {result.estimates.method}",
        *(f"  {equation.name}: {equation.text}" for equation in result.system.equations),
        "",
        "Effects by channel (average over regions)",
        tell_table(result.effects()),
    ]
    if len(result.system.paths) > len(result.channels) + 1:
        lines += ["", "Effects by path", tell_table(result.paths())]
    for kind in ("own", "spillover"):
        reason = result.why_no_shares(kind)
        lines += ["", f"Shares of the {kind} effect"]
        lines.append(tell_table(result.shares(kind)) if reason is None else f"none: {reason}")
    where = result.attribution()
    if len(where):
        lines += ["", "Where the spillover happens (Shapley values)", tell_table(where)]
    lines += ["", "In words", *(f"  {sentence}" for sentence in result.sentences())]
    lines += [f"  {point.sentence()}" for point in result.turning_points()]
    lines += ["", "Sensitivity", *(f"  {says}" for says in result.sensitivity()["says"])]
    lines += ["", "This rests on", *(f"  {i}. {text}" for i, text in enumerate(result.assumptions, 1))]
    lines += [f"note: {note}" for note in result.notes]
    return "\n".join([*lines, SOURCES])
