"""Output files: asked before anything is computed, never an input, written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from spillover.errors import OutputError


def output_path(path: str | os.PathLike[str]) -> Path:
    """The absolute path that a text means; `OutputError` for one that no system could have."""
    if not isinstance(path, str | os.PathLike) or "\0" in os.fspath(path):
        raise OutputError("an output path is a text without null characters", got=repr(path)[:200])
    try:
        return Path(path).expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:  # ~ of nobody, links in a circle
        raise OutputError(
            f"the output path {str(path)[:200]!r} leads nowhere",
            got=str(error)[:200],
            causes=("a home folder of an unknown user", "links that lead to each other"),
            fix="choose another place with --out",
        ) from None


def require_writable_file(path: str | os.PathLike[str], inputs: Iterable[Path | None] = ()) -> Path:
    """The absolute path of a file that can be written; its folder must exist, and it is none of the inputs."""
    target = output_path(path)
    with writing(target):
        if target.is_dir():
            raise OutputError(f"the output file {str(path)!r} is a folder", fix="name a file, for example fit.json")
        same = [item for item in inputs if item is not None and _is_same(target, item)]
        if same:
            raise OutputError(
                f"the output file {str(path)!r} is an input",
                got=f"{same[0]} is read",
                expected="another file than those that are read",
                fix="choose another name with --out; nothing was written",
            )
        if not target.parent.is_dir():
            raise OutputError(
                f"the folder of the output file {str(path)!r} does not exist",
                got=str(target.parent),
                fix="make the folder first, or choose another place with --out",
            )
        target.exists()  # a name that is too long for the disk is told here
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    return target


def write_file(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all."""
    temporary: Path | None = None
    with writing(path):
        try:
            with tempfile.NamedTemporaryFile(
                "w", encoding="utf-8", newline="\n", dir=path.parent, prefix=".spillover-", suffix=".tmp", delete=False
            ) as stream:
                temporary = Path(stream.name)
                stream.write(text)
            os.chmod(temporary, 0o644)  # temporary files are private; results are not
            os.replace(temporary, path)
        except BaseException:
            if temporary is not None:
                temporary.unlink(missing_ok=True)
            raise


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """File-system errors become an `OutputError` that names the target and the reason."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"the output {target.name[:80]!r} cannot be written",
            got=f"{reason} (in {str(target.parent)[:200]!r})",
            causes=("no permission to write there", "a full or read-only disk", "a file that is open elsewhere"),
            fix="choose another place with --out; what was there before is unchanged",
        ) from error


def _is_same(one: Path, other: Path) -> bool:
    """Whether two paths are one file, also through links."""
    try:
        return one == other.expanduser().resolve() or (one.exists() and one.samefile(other))
    except (OSError, RuntimeError, ValueError):  # an input that cannot be looked at is told by its reader
        return False
