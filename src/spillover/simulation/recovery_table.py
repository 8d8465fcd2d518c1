"""`RecoveryTable`: bias, error, coverage and power of an estimator over many panels, with binomial bands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from spillover.errors import UnknownColumnError, did_you_mean
from spillover.simulation.recovery_round import Reading, Round

if TYPE_CHECKING:
    import pandas as pd

NULL = 1e-12
"""A truth below this in size counts as zero: its rejections are the size of the test, not its power."""


@dataclass(frozen=True)
class RecoveryLine:
    """One term over all rounds in which it was estimated.

    Attributes
    ----------
    label : of the estimator, where it has several answers. term : "x0", "rho", "indirect: x0", ….
    rounds : in which the term was estimated. truth : its mean over rounds, which differs where maps are drawn.
    bias, bias_error : mean of estimate − truth, and its Monte Carlo standard error.
    sd, rmse : standard deviation and root mean square of estimate − truth.
    mean_std_error : mean of the reported standard errors.
    coverage, coverage_low, coverage_high : share of intervals that hold the truth, with its 95 % band.
    rejected, rejected_low, rejected_high : share of rounds in which "it is zero" is rejected, with its 95 % band.
    meaning : "size" of the test where the truth is zero, "power" elsewhere.
    """

    label: str
    term: str
    rounds: int
    truth: float
    bias: float
    bias_error: float
    sd: float
    rmse: float
    mean_std_error: float
    coverage: float
    coverage_low: float
    coverage_high: float
    rejected: float
    rejected_low: float
    rejected_high: float
    meaning: str


@dataclass(frozen=True)
class RecoveryTable:
    """What a recovery found.

    Attributes
    ----------
    lines : one for each label and term. rounds : asked for. failures : refusal in words → how often.
    level : of the intervals; tests are at 1 − level. seed : of the whole recovery.
    """

    lines: tuple[RecoveryLine, ...]
    rounds: int
    failures: Mapping[str, int]
    level: float
    seed: int

    @property
    def failed(self) -> int:
        """Rounds in which the estimator refused."""
        return sum(self.failures.values())

    def line(self, term: str, label: str | None = None) -> RecoveryLine:
        """The line of a term (and label, where there are several)."""
        for line in self.lines:
            if line.term == term and label in (None, line.label):
                return line
        known = [line.term for line in self.lines]
        raise UnknownColumnError(
            f"the recovery has no term {term!r}" + (f" of {label!r}" if label else ""),
            expected=", ".join(dict.fromkeys(known)),
            fix=did_you_mean(term, known) or None,
        )

    def to_frame(self) -> pd.DataFrame:
        """One row per line, the columns of `RecoveryLine`."""
        import pandas as pd

        return pd.DataFrame([asdict(line) for line in self.lines])

    def to_markdown(self) -> str:
        """The table with its bands, and the refusals below it."""
        head = ["label", "term", "truth", "bias (mc se)", "RMSE", "sd", "mean SE"]
        head += [f"coverage of {100 * self.level:g} % (band)", "rejected (band)", "rounds"]
        if not any(line.label for line in self.lines):
            head = head[1:]
        rows = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
        for line in self.lines:
            cells = [line.label] if "label" in head else []
            cells += [line.term, f"{line.truth:.4g}", f"{line.bias:+.4f} ({line.bias_error:.4f})"]
            cells += [f"{value:.4f}" for value in (line.rmse, line.sd, line.mean_std_error)]
            cells.append(f"{_share(line.coverage)} ({_share(line.coverage_low)}–{_share(line.coverage_high)})")
            band = f"{_share(line.rejected_low)}–{_share(line.rejected_high)}"
            cells += [f"{line.meaning} {_share(line.rejected)} ({band})", str(line.rounds)]
            rows.append("| " + " | ".join(cells) + " |")
        rows += [""] if self.failures else []
        rows += [f"Refused in {count} of {self.rounds} rounds: {text}." for text, count in self.failures.items()]
        return "\n".join(rows)


def _share(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def tabulate(rounds: Iterable[Round], level: float, seed: int) -> RecoveryTable:
    """The table of finished rounds, in the order of their numbers, so that no sum depends on who finished first."""
    ordered = sorted(rounds, key=lambda each: each.number)
    collected: dict[tuple[str, str], list[Reading]] = {}
    for found in ordered:
        for reading in found.readings:
            collected.setdefault((reading.label, reading.term), []).append(reading)
    failures = Counter(found.failure for found in ordered if found.failure is not None)
    lines = tuple(_line(label, term, readings, level) for (label, term), readings in collected.items())
    return RecoveryTable(lines, len(ordered), dict(failures.most_common()), level, seed)


def _line(label: str, term: str, readings: list[Reading], level: float) -> RecoveryLine:
    known, estimate, error, low, high, p_value = np.array(
        [(r.truth, r.estimate, r.std_error, r.low, r.high, r.p_value) for r in readings]
    ).T
    gap, count = estimate - known, len(readings)
    sd = float(gap.std(ddof=1)) if count > 1 else float("nan")
    covered = int(np.sum((low <= known) & (known <= high)))
    rejected = int(np.sum(p_value < 1.0 - level))
    return RecoveryLine(
        label,
        term,
        count,
        float(known.mean()),
        float(gap.mean()),
        sd / float(np.sqrt(count)),
        sd,
        float(np.sqrt(np.mean(gap**2))),
        float(error.mean()),
        covered / count,
        *binomial_band(covered, count),
        rejected / count,
        *binomial_band(rejected, count),
        "size" if bool((np.abs(known) < NULL).all()) else "power",
    )


def binomial_band(hits: int, count: int, level: float = 0.95) -> tuple[float, float]:
    """The interval of Wilson (1927, JASA 22:209) for a share of `hits` in `count`.

    >>> tuple(round(limit, 3) for limit in binomial_band(95, 100))
    (0.888, 0.978)
    """
    z = float(stats.norm.isf((1.0 - level) / 2.0))
    share, weight = hits / count, z**2 / count
    middle = (share + weight / 2.0) / (1.0 + weight)
    half = z * float(np.sqrt(share * (1.0 - share) / count + weight / (4.0 * count))) / (1.0 + weight)
    return max(middle - half, 0.0), min(middle + half, 1.0)
