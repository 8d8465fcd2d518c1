"""The folder of results: ours to replace only where its list of files says that we wrote it, one writer at a time.

Everything is written beside the folder and moved in file by file, so that a failure, a stop or a second run leaves
either the earlier result or the new one.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from spillover import __version__
from spillover.errors import OutputError, show_labels
from spillover.study.output import output_path, writing

RESULTS = "results.json"
LIST = ".spillover-files.json"  # what we wrote: path → SHA-256
_HELD = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)


@dataclass(frozen=True)
class Content:
    """What a folder of ours holds: its main file, and the keys by which that file is known.

    `word` names it in messages.
    """

    word: str
    main: str
    keys: frozenset[str]


RESULT = Content("result", RESULTS, frozenset({"title", "kind", "provenance", "panel", "models", "main"}))
SIMULATION = Content("simulation", "truth.json", frozenset({"kind", "provenance", "config", "seed", "truth"}))


def check_folder(
    out: str | os.PathLike[str],
    *,
    overwrite: bool = True,
    inputs: Iterable[str | os.PathLike[str]] = (),
    content: Content = RESULT,
) -> Path:
    """The absolute folder; raises `OutputError` unless results may be written to it. Changes nothing.

    Parameters
    ----------
    out : a folder that is new, empty, or holds an earlier result whose files are as they were written.
    overwrite : False refuses to replace an earlier result.
    inputs : files that the study reads; none of them may lie in the folder.
    content : what is to be written; only an earlier one of the same kind may be replaced.
    """
    folder = output_path(out)
    with writing(folder):
        _refuse_inputs(folder, inputs)
        if folder.is_dir():
            _check_content(folder, overwrite, content)
        elif folder.exists():
            raise OutputError(
                f"the output folder {str(out)!r} is a file",
                expected="a folder, or a name that is free",
                fix="choose another folder with --out",
            )
        # the workplace is a sibling of the folder, so the nearest parent that exists must be writable too
        nearest = next(parent for parent in folder.parents if parent.exists())
        for place in (nearest, folder) if folder.is_dir() else (nearest,):
            _check_rights(place, out)
    return folder


@contextmanager
def replacing(
    out: str | os.PathLike[str],
    *,
    overwrite: bool = True,
    inputs: Iterable[str | os.PathLike[str]] = (),
    content: Content = RESULT,
) -> Iterator[Path]:
    """An empty folder to write into; when the block ends well, its files take the place of those of an earlier result.

    Raises
    ------
    OutputError : as `check_folder`; another run is writing to the folder; a file of someone else is in the way; the
        disk is full. Whatever is raised, the folder is then as it was.
    """
    inputs = list(inputs)
    try:
        folder = check_folder(out, overwrite=overwrite, inputs=inputs, content=content)
    except OutputError:
        if _is_locked(output_path(out)):  # what was seen is between an earlier result and a new one
            raise _busy(output_path(out)) from None
        raise
    with writing(folder), _parents(folder), _lock(folder), _workplace(folder) as work:
        check_folder(folder, overwrite=overwrite, inputs=inputs, content=content)  # another run may just have ended
        new = work / "new"
        new.mkdir()
        yield new
        written = {path.relative_to(new).as_posix(): _hash(path) for path in sorted(new.rglob("*")) if path.is_file()}
        text = json.dumps({"version": __version__, "files": written}, ensure_ascii=False, indent=1)
        (new / LIST).write_text(text + "\n", encoding="utf-8", newline="\n")
        _move_in(new, folder, work / "old", content)


# -- what is there ------------------------------------------------------------------------------


def _refuse_inputs(folder: Path, inputs: Iterable[str | os.PathLike[str]]) -> None:
    inside = []
    for item in inputs:
        with suppress(OSError, RuntimeError, ValueError):
            if Path(item).expanduser().resolve().is_relative_to(folder):
                inside.append(str(item))
    if inside:
        raise OutputError(
            f"the output folder {folder.name or str(folder)!r} holds what the study reads",
            got=show_labels(inside),
            expected="a folder of its own for the results",
            fix="choose another folder with --out; nothing was written",
        )


def _check_content(folder: Path, overwrite: bool, content: Content) -> None:
    names = sorted(path.name for path in folder.iterdir())
    if not names:
        return
    files = _files_of_ours(folder, content)
    if files is None:
        raise OutputError(
            f"the folder {folder.name!r} is not empty and is not an earlier {content.word}",
            got=show_labels(names),
            expected=f"an empty folder, a new one, or one with {content.main} and {LIST} from an earlier run",
            fix="choose another folder with --out; nothing was written",
        )
    if not overwrite:
        raise OutputError(
            f"the folder {folder.name!r} holds an earlier {content.word}",
            fix="choose another folder with --out, or allow overwriting; nothing was written",
        )
    changed = [name for name, digest in files.items() if (folder / name).is_file() and _hash(folder / name) != digest]
    if changed:
        raise OutputError(
            f"the earlier {content.word} in {folder.name!r} was changed since it was written",
            got=show_labels(changed),
            expected="files as they were written, which a new one may replace",
            fix="move the changed files away, or choose another folder with --out; nothing was written",
        )


def _files_of_ours(folder: Path, content: Content) -> dict[str, str] | None:
    """Path → hash of the files that we wrote into `folder`; None when it does not hold what we wrote."""
    result, listed = _read_json(folder / content.main), _read_json(folder / LIST)
    files = listed.get("files")
    provenance = result.get("provenance")
    if not (result.keys() >= content.keys and isinstance(provenance, dict) and "version" in provenance):
        return None
    if not (isinstance(files, dict) and "version" in listed and content.main in files):
        return None
    return {str(name): str(digest) for name, digest in files.items() if _is_inside(folder, name)}


def _is_inside(folder: Path, name: object) -> bool:
    """Whether a listed path is one that we could have written: below the folder, through no link."""
    path = PurePosixPath(str(name))
    if path.is_absolute() or ".." in path.parts:
        return False
    try:
        return (folder / path).parent.resolve().is_relative_to(folder)
    except (OSError, RuntimeError, ValueError):  # links in a circle
        return False


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _hash(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _check_rights(place: Path, out: object) -> None:
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


# -- writing ------------------------------------------------------------------------------------


@contextmanager
def _parents(folder: Path) -> Iterator[None]:
    """The folders above `folder`; those that were made for it go again when the block fails."""
    made = [parent for parent in folder.parents if not parent.exists()]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for parent in made:
            with suppress(OSError):
                parent.rmdir()
        raise


@contextmanager
def _workplace(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder` (same disk, so that moving is one step); removed in any case."""
    work = Path(tempfile.mkdtemp(prefix=".spillover-", suffix=".tmp", dir=folder.parent))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """A lock that the system gives up when its holder ends, however it ends: a lock file left behind locks nothing."""
    path = _lock_file(folder)
    stream = _open_locked(path)
    if stream is None:
        raise _busy(folder)
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        stream.close()


def _lock_file(folder: Path) -> Path:
    digest = hashlib.sha256(str(folder).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return folder.parent / f".spillover-{digest}.lock"


def _busy(folder: Path) -> OutputError:
    return OutputError(
        f"another run is writing to {folder.name!r}",
        expected="one run at a time for one folder",
        fix="wait until it has ended, or choose another folder with --out; nothing was written",
    )


def _is_locked(folder: Path) -> bool:
    try:
        with _lock_file(folder).open("rb") as stream:
            _take(stream)
    except OSError as error:
        return error.errno in _HELD
    return False


def _open_locked(path: Path) -> IO[bytes] | None:
    """The locked file, or None when someone else holds the lock."""
    for _ in range(100):
        stream = path.open("ab")
        try:
            _take(stream)
        except OSError as error:
            if error.errno in _HELD:
                stream.close()
                return None
            return stream  # a disk that knows no locks
        try:
            if os.path.samestat(os.fstat(stream.fileno()), path.stat()):
                return stream
        except FileNotFoundError:
            pass
        stream.close()  # its last holder took the file away after we had opened it: try the new one
    return None


def _take(stream: IO[bytes]) -> None:
    """Lock an open file without waiting; `OSError` when it is locked."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        return
    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _move_in(new: Path, folder: Path, old: Path, content: Content) -> None:
    """Put the files of `new` in the place of those that an earlier result listed; undone when anything fails.

    Files of others stay where they are; one in the way of a new file is an `OutputError`.
    """
    earlier = (_files_of_ours(folder, content) or {}) if folder.is_dir() else {}
    names = sorted(path.relative_to(new).as_posix() for path in new.rglob("*") if path.is_file())
    gone = [name for name in (*earlier, LIST) if os.path.lexists(folder / name)] if earlier else []
    foreign = [name for name in names if os.path.lexists(folder / name) and name not in gone]
    foreign += [name for name in names if not _is_inside(folder, name)]
    if foreign:
        raise OutputError(
            f"files that are not of an earlier {content.word} are in the way in {folder.name!r}",
            got=show_labels(foreign),
            fix="move them away, or choose another folder with --out; nothing was written",
        )
    journal: list[tuple[Path, Path]] = []
    made: list[Path] = []
    try:
        for name in gone:
            _move(folder / name, old / name, journal, made)
        for name in names:
            _move(new / name, folder / name, journal, made)
    except BaseException:  # also a stop by the user: the earlier result comes back
        for source, target in reversed(journal):
            if os.path.lexists(target) and not os.path.lexists(source):
                target.rename(source)
        for place in reversed(made):
            with suppress(OSError):
                place.rmdir()
        raise
    for place in sorted({(folder / name).parent for name in gone} - {folder}, reverse=True):
        with suppress(OSError):  # not empty: it has new files, or files of others
            place.rmdir()


def _move(source: Path, target: Path, journal: list[tuple[Path, Path]], made: list[Path]) -> None:
    """Move a file and note it before it happens, with the folders that were made for it."""
    missing = [parent for parent in (target.parent, *target.parent.parents) if not parent.exists()]
    made += reversed(missing)
    target.parent.mkdir(parents=True, exist_ok=True)
    journal.append((source, target))
    source.rename(target)


def write_texts(new: Path, files: Mapping[str, str]) -> None:
    """Text files in UTF-8 with line feeds, whatever the system."""
    for name, text in files.items():
        (new / name).write_text(text, encoding="utf-8", newline="\n")
