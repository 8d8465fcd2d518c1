"""The study file of a simulation: the sections that all tiers share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from spillover.panel.panel import Panel
from spillover.study.toml_text import section


def study_text(
    panel: Panel,
    *,
    notes: Iterable[str],
    title: str,
    description: str,
    seed: int,
    with_map: bool,
    treatment: tuple[str, str],
    outcome: tuple[str, str],
    weights: Iterable[dict[str, Any]],
    models: Iterable[dict[str, Any]],
    derived: Iterable[dict[str, Any]] = (),
    missing: str | None = None,
) -> str:
    """A study of a drawn panel.

    Parameters
    ----------
    notes : comments at the head of the file, one line each.
    treatment, outcome : (column, label). weights, models, derived : the keys of each section, in order.
    missing : the policy for cells that a lag leaves empty.
    """
    data = {
        "table": "regions.csv",
        "region": "region",
        "period": "period" if panel.is_panel else None,
        "name": "name",
        "geometry": "regions.geojson" if with_map else None,
        "missing": missing,
    }
    parts = [
        "".join(f"# {note}\n" for note in notes),
        section("[study]", {"title": title, "description": description, "seed": seed}),
        section("[data]", data),
        section("[data.units]", dict(panel.units)) if panel.units else "",
        section("[data.labels]", dict(panel.labels)) if panel.labels else "",
        *(section("[[derive]]", keys) for keys in derived),
        section(
            "[agglomeration]",
            {"measure": "column", "column": treatment[0], "name": treatment[0], "label": treatment[1]},
        ),
        section("[innovation]", {"column": outcome[0], "label": outcome[1]}),
        *(section("[[weights]]", keys) for keys in weights),
        *(section("[[models]]", keys) for keys in models),
    ]
    return "".join(parts).rstrip("\n") + "\n"
