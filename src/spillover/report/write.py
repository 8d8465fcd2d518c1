"""The output folder of a study: written beside its place, then moved in, so that a failure leaves nothing half-done."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path

from spillover.errors import OptionError, SpilloverWarning
from spillover.report.page import render_html
from spillover.report.printing import write_figures
from spillover.report.tables import csv_text, study_tables
from spillover.study.folder import RESULTS, check_folder, replacing, write_texts
from spillover.study.output import output_path
from spillover.study.result import StudyResult

_REPORT = "report.html"
_OURS = (_REPORT, RESULTS, "tables", "figures")


def write_report(
    result: StudyResult,
    out: str | PathLike[str],
    *,
    overwrite: bool = True,
    files: Mapping[str, str] | None = None,
    inputs: Iterable[str | PathLike[str]] = (),
) -> Path:
    """Write `report.html`, `results.json`, `tables/` and `figures/` into the folder `out`.

    Parameters
    ----------
    result : a finished study.
    out : the folder. It is made when it is not there, filled when empty, and when it holds an earlier result the files
        of that result are replaced; every other file in it stays. What we wrote is listed in `.spillover-files.json`.
    overwrite : False refuses to replace an earlier result.
    files : further text files of the folder, name → text (the study file as run), written in the same move.
    inputs : files that the study read; none of them may lie in `out`.

    Returns
    -------
    The path of `report.html`.

    Raises
    ------
    OutputError : the folder cannot be written, is a file, is being written by another run, or holds an input or
        something that is not an earlier result as it was written. Nothing is changed then.
    OptionError : not a StudyResult, or `files` that are no plain names.
    """
    if not isinstance(result, StudyResult):
        raise OptionError(
            "a report is written from a StudyResult",
            got=f"an object of type {type(result).__name__}",
            fix="give what run_study returns, or StudyResult.from_json(text)",
        )
    extra = _extra_files(files)
    with replacing(out, overwrite=overwrite, inputs=inputs) as new:
        _compose(result, new, extra)
    return output_path(out) / _REPORT


def check_output(
    out: str | PathLike[str], *, overwrite: bool = True, inputs: Iterable[str | PathLike[str]] = ()
) -> None:
    """Raise `OutputError` unless `write_report` may write to `out`.

    Changes nothing, so it can be asked before long work.

    Raises
    ------
    OutputError : as `write_report`.
    """
    check_folder(out, overwrite=overwrite, inputs=inputs)


def _extra_files(files: Mapping[str, str] | None) -> dict[str, str]:
    """The further files; only plain names, so that nothing is written outside of the folder or over the report."""
    extra = dict(files or {})
    wrong = [name for name, text in extra.items() if not _is_plain(name) or not isinstance(text, str)]
    if wrong:
        raise OptionError(
            "files of a report are plain names with their text",
            got=", ".join(repr(name) for name in wrong),
            expected=f"names such as study.toml, without / and not {', '.join(_OURS)}",
        )
    return extra


def _is_plain(name: object) -> bool:
    if not isinstance(name, str) or not name or name.startswith(".") or name.lower() in _OURS:
        return False
    return not set(name) & set("/\\:\0")


def _compose(result: StudyResult, new: Path, extra: Mapping[str, str]) -> None:
    """Everything the folder will hold, into `new`."""
    notices = write_figures(result, new / "figures")
    for notice in notices:
        warnings.warn(notice, SpilloverWarning, stacklevel=4)
    (new / "tables").mkdir()
    for name, rows in study_tables(result).items():
        (new / "tables" / f"{name}.csv").write_text(csv_text(rows), encoding="utf-8", newline="")
    write_texts(new, {_REPORT: render_html(result, notices=notices), RESULTS: result.to_json(), **extra})
