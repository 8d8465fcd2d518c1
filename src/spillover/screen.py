"""What the command line shows: progress, headlines, errors and warnings. Everything but results goes to stderr."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from spillover.errors import SpilloverWarning
from spillover.typing import Progress, no_progress

if TYPE_CHECKING:
    from spillover.simulation.paper_tables import PaperTables


def write_utf8() -> None:
    """Write UTF-8 whatever the locale says: region names are Chinese or accented also where the locale is C."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(encoding="utf-8", errors="replace")


def say(text: str, *, error: bool = False) -> None:
    """One text and a line break, as it is: region names are data, not markup."""
    stream = sys.stderr if error else sys.stdout
    stream.write(harmless(text) + "\n")
    stream.flush()


def harmless(text: str) -> str:
    """Text without control characters that could steer a terminal; line breaks and tabs stay.

    >>> harmless("a\\x1b[31mb")
    'a�[31mb'
    """
    return "".join(sign if sign in "\n\t" or (ord(sign) >= 32 and not 127 <= ord(sign) < 160) else "�" for sign in text)


def show_headlines(title: str, sentences: Sequence[str], cautions: Sequence[str], report: object) -> None:
    """The sentences that a person would quote, what to know before quoting them, and where the report is."""
    from rich.console import Console
    from rich.text import Text

    console = Console(file=sys.stdout, highlight=False, soft_wrap=not sys.stdout.isatty())
    console.print(Text(harmless(title), style="bold"))
    for sentence in sentences:
        console.print(Text("• " + harmless(sentence)))
    if cautions:
        console.print(Text("Before you quote a number", style="bold"))
    for sentence in cautions:
        console.print(Text("• " + harmless(sentence)))
    console.print(Text(f"\nReport: {harmless(str(report))}", style="bold"))


def paper_tables_text(tables: PaperTables) -> str:
    """Both tables of the paper beside the simulator, and what is fitted to them."""
    lines = []
    for number, rows in ((1, tables.table_1), (2, tables.table_2)):
        lines += [f"Table {number} ({tables.label})", f"{'':<52}{'paper':>14}{'simulated':>12}   inside"]
        for row in rows:
            paper = f"{row.paper_low:g}–{row.paper_high:g}"
            name = f"{row.row}: {row.column}"
            lines.append(f"{name:<52}{paper:>14}{row.simulated:>12.1f}   {'yes' if row.inside else 'no'}")
        lines.append("")
    lines += tables.sentences()
    return "\n".join(lines)


@contextmanager
def progress_on_screen(stream: TextIO | None = None) -> Iterator[Progress]:
    """A progress callback that draws a bar on stderr; silent when stderr is not a terminal."""
    target = sys.stderr if stream is None else stream
    if not target.isatty():
        yield no_progress
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(file=target), transient=True) as bar:
        task = bar.add_task("starting", total=1.0)
        yield lambda text, share: bar.update(task, description=harmless(text), completed=share)


@contextmanager
def warnings_as_sentences(*, everything: bool = False) -> Iterator[None]:
    """Warnings of spillover as sentences on stderr, each once; those of other packages only with `everything`."""
    seen: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        text = str(message)
        if text not in seen and (everything or issubclass(category, SpilloverWarning)):
            seen.add(text)
            say(f"warning: {text}", error=True)

    with warnings.catch_warnings():
        warnings.simplefilter("always", SpilloverWarning)
        warnings.showwarning = show
        yield
