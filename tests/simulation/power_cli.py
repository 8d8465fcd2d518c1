"""`spillover power` on its own small application."""

from __future__ import annotations

import typer
from typer.testing import CliRunner

from spillover.power_command import power


def run(*options: str) -> str:
    """What the command prints; its errors as they are raised."""
    app = typer.Typer()
    app.command()(power)
    found = CliRunner().invoke(app, list(options))
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    return str(found.output)
