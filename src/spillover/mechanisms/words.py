"""A mediation in plain words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spillover.inference.wording import in_text, percent, with_interval
from spillover.mechanisms.channels import find_channel
from spillover.mechanisms.system import DIRECT
from spillover.models.formula import inside_log

if TYPE_CHECKING:
    from spillover.mechanisms.result import MediationResult


def channel_sentences(result: MediationResult, level: float = 0.95) -> tuple[str, ...]:
    """One sentence for each channel: what passes through it at home and next door, with intervals."""
    table = result.effects(level).set_index(["channel", "effect"])
    whole = {kind: result.why_no_shares(kind, level) is None for kind in ("spillover", "total")}
    shares = result.shares("spillover", level).set_index("channel") if whole["spillover"] else None
    sentences = []
    curved = {point.channel for point in result.turning_points()}
    for name in (*([DIRECT] if DIRECT in table.index.get_level_values(0) else []), *result.channels):
        own, abroad = table.loc[(name, "own")], table.loc[(name, "spillover")]
        said = f"{_subject(name)}: {_part(own, 'at home')}, {_part(abroad, 'next door')}."
        if name in curved:
            said += _along(result, name, level)
        known = find_channel(name)
        if known is not None and known.backwash and abroad.conf_high < 0:
            said += f" It draws from the neighbours ({known.carries})."
        if known is not None and known.mechanism == "competition and cooperation" and own.conf_high < 0:
            said += " It hurts innovation at home."
        if shares is not None and name in shares.index:
            row = shares.loc[name]
            ends = f"{percent(row.conf_low)} to {percent(row.conf_high)}"
            said += f" Share of the spillover: {percent(row.estimate)} ({ends})."
        sentences.append(said)
    return tuple(sentences)


def _along(result: MediationResult, channel: str, level: float) -> str:
    """What passes through a channel with a square where it is low and where it is high: at the mean it may be flat."""
    values = result.mediator_values(channel)
    told = [f" That is at the mean of {channel}, {in_text(float(values.mean()))}."]
    for share, words in ((0.10, "low"), (0.90, "high")):
        at = float(np.quantile(values, share))
        table = result.at_levels({channel: at}).effects(level).set_index(["channel", "effect"])
        own, abroad = table.loc[(channel, "own")], table.loc[(channel, "spillover")]
        told.append(
            f"Where it is {words} ({in_text(at)}, {percent(share)} quantile): {_part(own, 'at home')}, "
            f"{_part(abroad, 'next door')}."
        )
    return " ".join(told)


def whole_sentence(result: MediationResult, level: float = 0.95) -> str:
    """How much of the spillover runs through the channels together."""
    table = result.effects(level).set_index(["channel", "effect"])
    through, whole = table.loc[("all channels", "spillover")], table.loc[("total", "spillover")]
    step, unit = _step(result)
    home = _level(table.loc[("total", "own")], unit)
    said = (
        f"{step} changes {_named(result, result.system.outcome.response)} by {home} through a region's own and by "
        f"{_level(whole, unit)} through that of the others; "
    )
    if DIRECT in table.index.get_level_values(0):
        said += f"of the latter {_level(through, unit)} passes through the channels."
    else:
        said += "the equations have no other way for it than the channels."
    reason = result.why_no_shares("spillover", level)
    return said if reason is None else f"{said} No shares of the spillover are given: {reason}."


def _step(result: MediationResult) -> tuple[str, str]:
    """("1 % more of high-tech firms everywhere", " %"): elasticities where both sides are logarithms."""
    treatment, outcome = result.system.treatment, result.system.outcome.response
    logs = [inside_log(side) is not None for side in (treatment, outcome)]
    if all(logs):
        return f"1 % more of {_named(result, treatment)} everywhere", " %"
    return f"One unit more of {_label(result, treatment)} everywhere", " log points" if logs[1] else ""


def sides_in_words(result: MediationResult) -> tuple[str, str]:
    """(treatment, outcome) by their labels, without the logarithm."""
    return _named(result, result.system.treatment), _named(result, result.system.outcome.response)


def _named(result: MediationResult, expression: str) -> str:
    """By its label, without the logarithm."""
    return _label(result, inside_log(expression) or expression)


def _label(result: MediationResult, expression: str) -> str:
    return result.sample.labels.get(expression.strip("`"), expression)


def _subject(name: str) -> str:
    return name[0].upper() + name[1:]


def _part(row, where: str) -> str:  # type: ignore[no-untyped-def]
    if row.std_error == 0.0 and row.estimate == 0.0:
        return f"nothing {where}"
    verb = "raises it" if row.conf_low > 0 else "lowers it" if row.conf_high < 0 else "no visible effect"
    return f"{verb} {where}, {_level(row)}"


def _level(row, unit: str = "") -> str:  # type: ignore[no-untyped-def]
    return with_interval(row.estimate, row.conf_low, row.conf_high, unit)
