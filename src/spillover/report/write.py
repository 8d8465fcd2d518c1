"""The output folder of a study: written beside its place, then moved in, so that a failure leaves nothing half-done."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from spillover.errors import OutputError, SpilloverWarning, show_labels
from spillover.report.page import render_html
from spillover.report.printing import write_figures
from spillover.report.tables import csv_text, study_tables
from spillover.study.result import StudyResult

MARK = "results.json"  # a folder that holds it is an earlier result and may be replaced


def write_report(
    result: StudyResult,
    out: Path | str,
    *,
    overwrite: bool = True,
    files: Mapping[str, str] | None = None,
) -> Path:
    """Write `report.html`, `results.json`, `tables/` and `figures/` into the folder `out`.

    Parameters
    ----------
    result : a finished study.
    out : the folder. It is made when it is not there, filled when empty, and when it holds an earlier result the
        parts above are replaced; every other file in it stays.
    overwrite : False refuses to replace an earlier result.
    files : further text files of the folder, name → text (the study file as run), written in the same move.

    Returns
    -------
    The path of `report.html`.

    Raises
    ------
    OutputError : the folder cannot be written, is a file, or holds something that is not an earlier result.
        Nothing is changed then.
    """
    folder = Path(out).expanduser().resolve()
    check_output(folder, overwrite=overwrite)
    extra = dict(files or {})
    with _writing(folder), _workplace(folder) as work:
        _compose(result, work / "new", extra)
        _move_in(work / "new", folder, work / "old")
    return folder / "report.html"


def check_output(out: Path | str, *, overwrite: bool = True) -> None:
    """Raise `OutputError` unless `write_report` may write to `out`.

    Changes nothing, so it can be asked before long work.

    Raises
    ------
    OutputError : as `write_report`.
    """
    folder = Path(out).expanduser().resolve()
    with _writing(folder):
        if folder.is_dir():
            _check_content(folder, overwrite)
        elif folder.exists():
            raise OutputError(
                f"the output folder {str(out)!r} is a file",
                expected="a folder, or a name that is free",
                fix="use --out",
            )
        # the workplace is a sibling of the folder, so the nearest parent that exists must be writable too
        nearest = next(parent for parent in folder.parents if parent.exists())
        for place in (nearest, folder) if folder.is_dir() else (nearest,):
            _check_writable(place, out)


def _check_writable(place: Path, out: Path | str) -> None:
    if place.is_dir() and os.access(place, os.W_OK | os.X_OK):
        return
    name = place.name or str(place)
    raise OutputError(
        f"the output folder {str(out)!r} cannot be written",
        got=f"no right to write in {name!r}" if place.is_dir() else f"{name!r} is a file",
        expected="a folder in which you may make files",
        causes=("the folder belongs to someone else", "the disk is mounted read-only"),
        fix="choose another folder with --out",
    )


def _check_content(folder: Path, overwrite: bool) -> None:
    content = sorted(path.name for path in folder.iterdir())
    if content and MARK not in content:
        raise OutputError(
            f"the folder {folder.name!r} is not empty and is not an earlier result",
            got=show_labels(content),
            expected=f"an empty folder, a new one, or one with {MARK} from an earlier run",
            fix="choose another folder with --out; nothing was written",
        )
    if content and not overwrite:
        raise OutputError(
            f"the folder {folder.name!r} holds an earlier result",
            fix="choose another folder with --out, or allow overwriting; nothing was written",
        )


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """File-system errors become an `OutputError` that names the folder and the reason."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"the output folder {folder.name!r} cannot be written",
            got=error.strerror or str(error),
            causes=("the folder belongs to someone else", "the disk is full or read-only", "a file is open elsewhere"),
            fix="choose another folder with --out; what was there before is unchanged",
        ) from error


@contextmanager
def _workplace(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder` (same disk, so that moving is one step); removed in any case."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _compose(result: StudyResult, new: Path, extra: Mapping[str, str]) -> None:
    """Everything the folder will hold, into `new`."""
    new.mkdir()
    notices = write_figures(result, new / "figures")
    for notice in notices:
        warnings.warn(notice, SpilloverWarning, stacklevel=3)
    (new / "tables").mkdir()
    for name, rows in study_tables(result).items():
        (new / "tables" / f"{name}.csv").write_text(csv_text(rows), encoding="utf-8", newline="")
    (new / "report.html").write_text(render_html(result, notices=notices), encoding="utf-8", newline="\n")
    (new / MARK).write_text(result.to_json(), encoding="utf-8", newline="\n")
    for name, text in extra.items():
        (new / name).write_text(text, encoding="utf-8", newline="\n")


def _move_in(new: Path, folder: Path, old: Path) -> None:
    """Move each entry of `new` into `folder`; what it replaces waits in `old` and comes back if a move fails."""
    made = not folder.exists()
    folder.mkdir(exist_ok=True)
    old.mkdir()
    moved: list[str] = []
    kept: list[str] = []
    try:
        for name in sorted(path.name for path in new.iterdir()):
            if (folder / name).exists():
                (folder / name).rename(old / name)
                kept.append(name)
            (new / name).rename(folder / name)
            moved.append(name)
    except OSError:
        for name in moved:
            (folder / name).rename(new / name)
        for name in kept:
            (old / name).rename(folder / name)
        if made:
            folder.rmdir()
        raise
