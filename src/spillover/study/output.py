"""Whether results can be written, asked before anything is computed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from spillover.errors import OutputError


def require_writable_folder(folder: str | os.PathLike[str]) -> Path:
    """The absolute folder, which may not exist yet; raises `OutputError` when it could not be made or written."""
    target = Path(folder).expanduser().absolute()
    existing = next(path for path in (target, *target.parents) if path.exists() or path.is_symlink())
    if not existing.is_dir():
        raise OutputError(
            f"the output folder {str(folder)!r} cannot be made",
            got=f"{str(existing)!r} is a file",
            expected="a folder, or a name that is free",
            fix="choose another folder with --out",
        )
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise OutputError(
            f"the output folder {str(folder)!r} cannot be written",
            got=f"{str(existing)!r}: {error.strerror}",
            causes=("no permission to write there", "a read-only or full disk"),
            fix="choose another folder with --out",
        ) from None
    return target


def require_writable_file(path: str | os.PathLike[str]) -> Path:
    """The absolute path of a file that can be written; its folder must exist."""
    target = Path(path).expanduser().absolute()
    if target.is_dir():
        raise OutputError(f"the output file {str(path)!r} is a folder", fix="name a file, for example fit.json")
    if not target.parent.is_dir():
        raise OutputError(
            f"the folder of the output file {str(path)!r} does not exist",
            got=str(target.parent),
            fix="make the folder first, or choose another place with --out",
        )
    require_writable_folder(target.parent)
    return target


def write_file(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", newline="\n", dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as stream:
            stream.write(text)
        os.chmod(stream.name, 0o644)  # temporary files are private; results are not
        os.replace(stream.name, path)
    except OSError as error:
        raise OutputError(
            f"cannot write {str(path)!r}", got=error.strerror, fix="choose another place with --out"
        ) from None
