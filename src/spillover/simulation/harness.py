"""`recover_estimator`: does an estimator find what is true? Any configuration and estimator, in parallel, resumable."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, as_completed
from pathlib import Path
from typing import Any

import numpy as np

from spillover.errors import ConfigurationError, EstimationError, show_labels
from spillover.simulation.estimators import Estimator
from spillover.simulation.recovery_file import RecoveryFile, describe_plan
from spillover.simulation.recovery_round import Round, Truths, play_rounds
from spillover.simulation.recovery_table import RecoveryTable, tabulate
from spillover.simulation.streams import check_seed
from spillover.typing import Progress, no_progress

CHUNK = 10
"""Rounds that a worker takes at a time."""


def recover_estimator(
    config: Any,
    estimator: Estimator,
    *,
    rounds: int,
    seed: int,
    level: float = 0.95,
    executor: Executor | None = None,
    resume: Path | str | None = None,
    truths: Truths | None = None,
    progress: Progress = no_progress,
) -> RecoveryTable:
    """Draw `rounds` panels, estimate each, and set the estimates beside the truth.

    Parameters
    ----------
    config : anything `simulate` knows.
    estimator : panel, W → an answer: an object with `.estimates` and, for effects, `.effects(level=…)`; `Estimates`;
        `Finding`s, each with its own interval and p-value; or a mapping of labels to answers. W is the one of the
        truth, or None where the truth has none; an estimator with a parameter `weights_error` gets that W too. With
        processes it must be picklable: a function of a module, or one of `simulation.estimators`.
    rounds : panels, 2 or more. seed : each round has its own child of it (SeedSequence.spawn), so that round 17 is the
        same panel whatever the number of rounds and workers.
    level : of the intervals, a share between 0 and 1; tests reject at 1 − level.
    executor : any `concurrent.futures` executor; rounds run one after the other without.
    resume : a file of finished rounds (JSON lines), read first and appended to.
    truths : a function of the truth that names more true values than the truth does itself, for quantities of your
        own: a share, a threshold, a distance.
    progress : called with a text and the share done.

    Returns
    -------
    RecoveryTable. Refusals (`SpilloverError`, singular matrices) are counted by their message and not estimated.

    Raises
    ------
    ConfigurationError : fewer than two rounds, a level that is no share. OptionError : a file of another recovery.
    EstimationError : the estimator refused every panel; or nothing that it reports has a true value.

    Examples
    --------
    >>> from spillover.simulation.estimators import FitEstimator
    >>> from spillover.simulation.spatial_panel import SpatialPanelConfig
    >>> config = SpatialPanelConfig("slx", n_regions=30, n_periods=4)
    >>> table = recover_estimator(config, FitEstimator("y ~ x0", "slx"), rounds=3, seed=1)
    >>> table.line("indirect: x0").rounds
    3
    """
    _check(rounds, level)
    children = np.random.SeedSequence(check_seed(seed)).spawn(rounds)
    seeds = {number: _as_number(child) for number, child in enumerate(children)}
    file = None if resume is None else RecoveryFile(resume, describe_plan(config, estimator, seed, level, truths))
    done = {} if file is None else {n: found for n, found in file.read().items() if n < rounds}
    left = {n: s for n, s in seeds.items() if n not in done}
    for finished in _play(config, estimator, left, level, truths, executor):
        done |= {each.number: each for each in finished}
        if file is not None:
            file.add(finished)
        progress(f"round {len(done)} of {rounds}", len(done) / rounds)
    table = tabulate(done.values(), level, seed)
    _check_table(table)
    return table


def _as_number(child: np.random.SeedSequence) -> int:
    """128 bits of a child as a seed of its own."""
    return int.from_bytes(child.generate_state(4, np.uint32).astype("<u4").tobytes(), "little")


def _play(
    config: Any,
    estimator: Estimator,
    seeds: dict[int, int],
    level: float,
    truths: Truths | None,
    executor: Executor | None,
) -> Iterator[list[Round]]:
    numbers = sorted(seeds)
    chunks = [tuple(numbers[i : i + CHUNK]) for i in range(0, len(numbers), CHUNK)]
    tasks = [(config, estimator, chunk, tuple(seeds[n] for n in chunk), level, truths) for chunk in chunks]
    if executor is None:
        yield from (play_rounds(*task) for task in tasks)
        return
    futures = [executor.submit(play_rounds, *task) for task in tasks]
    try:
        for future in as_completed(futures):
            yield future.result()
    finally:
        for future in futures:
            future.cancel()


def _check(rounds: int, level: float) -> None:
    problems = []
    if isinstance(rounds, bool) or not isinstance(rounds, int | np.integer) or rounds < 2:
        problems.append(f"rounds = {rounds!r} is not a whole number of two or more")
    if not 0.0 < level < 1.0:
        problems.append(f"level = {level!r} is not a share between 0 and 1")
    if problems:
        raise ConfigurationError("a recovery cannot run like this", problems=problems, fix="use rounds=200, level=0.95")


def _check_table(table: RecoveryTable) -> None:
    if table.lines:
        return
    if table.failed == table.rounds:
        told = (f"{text} ({count} times)" for text, count in table.failures.items())
        raise EstimationError("the estimator refused every panel", got=show_labels(told))
    raise EstimationError(
        "nothing that the estimator reports has a true value",
        expected='terms named as in the truth: "x0", "W*x0", "rho", "indirect: x0"',
        fix="let the formula name the regressors as the configuration does",
    )
