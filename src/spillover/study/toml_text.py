"""Sections of a TOML file from plain values: JSON's texts, numbers and truth values are TOML's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def section(head: str, values: Mapping[str, Any]) -> str:
    """A section with its keys, and an empty line after it; keys without a value are left out.

    >>> section("[data]", {"table": "a.csv", "period": None})
    '[data]\\ntable = "a.csv"\\n\\n'
    """
    lines = [f"{key} = {toml_value(value)}" for key, value in values.items() if value is not None]
    return "\n".join([head, *lines, ""]) + "\n"


def toml_value(value: Any) -> str:
    """One value on one line; None is written "none"."""
    if value is None:
        return '"none"'
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
