"""How far a spillover reaches, on one screen."""

from __future__ import annotations

import textwrap

from spillover.study.numbers import compact, interval, p_value
from spillover.study.result import DistanceReach

WIDTH = 100


def reach_text(found: DistanceReach) -> str:
    """Sentences, rings, boundary, laws and notes as text."""
    lines = [f"How far does the spillover of {found.treatment} on {found.outcome} reach?"]
    lines.append(
        f"{found.n_regions} regions, {found.n_periods} period{'s' if found.n_periods != 1 else ''}; {found.distances}, "
        f"in {found.unit}; {found.model.upper()}, {found.formula}"
    )
    lines.append("")
    for sentence in found.sentences:
        lines += _wrap(sentence)
    lines += ["", f"{'Ring':<18}{'one region more':>34}{'whole ring more':>34}{'p':>9}"]
    for row in found.rings:
        one = f"{compact(row['estimate'])} ({interval(row['band_low'], row['band_high'])})"
        whole = f"{compact(row['received'])} ({interval(row['received_band_low'], row['received_band_high'])})"
        lines.append(f"{row['ring']:<18}{one:>34}{whole:>34}{p_value(row['p_adjusted']):>9}")
    lines.append("  95 % intervals for all rings together")
    if found.boundary:
        lines += ["", f"{'Beyond':<18}{'spillover (95 %, all together)':>40}{'p, step-down':>16}"]
        for row in found.boundary:
            told = f"{compact(row['estimate'])} ({interval(row['band_low'], row['band_high'])})"
            lines.append(
                f"{row['threshold']:g} {found.unit:<12}".ljust(18) + f"{told:>40}{p_value(row['p_step_down']):>16}"
            )
    if found.kernels:
        lines += ["", f"{'Law':<14}{'half-distance (95 %)':>34}{'spillover':>14}{'ΔAIC':>9}{'p':>9}"]
        for row in found.kernels:
            half = f"{compact(row['half_distance'])} ({_end(row['half_low'])} to {_end(row['half_high'])})"
            lines.append(
                f"{row['kernel']:<14}{half:>34}{compact(row['spillover']):>14}{row['delta_aic']:>9.1f}"
                f"{p_value(row['p_value']):>9}"
            )
    if found.links:
        lines += ["", f"Strongest links by this law, from → to{': ' + found.span if found.span else ''}"]
        lines += [
            f"  {row['sender']} → {row['receiver']}: {compact(row['effect'])} ({compact(row['distance'])} {found.unit})"
            for row in found.links[:10]
        ]
    elif found.no_links:
        lines += ["", *_wrap(found.no_links)]
    lines.append("")
    for note in found.notes:
        lines += _wrap(f"note: {note}")
    return "\n".join(lines)


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent="  ")


def _end(value: float | None) -> str:
    return "open" if value is None else compact(value)
