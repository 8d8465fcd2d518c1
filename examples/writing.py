"""Tables of the example studies: effects with two kinds of errors, and Markdown."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from spillover.audit.audit import audit_fit
from spillover.models.result import SpatialFit


def effect_row(fit: SpatialFit, variable: str, label: str, group: str = "") -> dict[str, Any]:
    """One row: own effect and spillover of a regressor with clustered and with information-matrix intervals."""
    row: dict[str, Any] = {"group": group, "label": label, "regions": len(fit.panel.regions)}
    row |= {"periods": len(fit.panel.periods), "rho": fit.rho if fit.roles.outcome else np.nan}
    kinds = {"clustered": fit, "textbook": fit.with_covariance("information")}
    for kind, each in kinds.items():
        table = each.effects(variables=[variable]).set_index("effect")
        for effect, short in (("direct", "own"), ("indirect", "spillover")):
            cells = table.loc[effect]
            row[short] = float(cells["estimate"])
            row[f"{short}_{kind}_error"] = float(cells["std_error"])
            row[f"{short}_{kind}_low"], row[f"{short}_{kind}_high"] = (
                float(cells["conf_low"]),
                float(cells["conf_high"]),
            )
            row[f"{short}_{kind}_p"] = float(cells["p_value"])
    return row


def forest_rows(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The spillovers of some rows in the form that the forest figure reads."""
    frame = pd.DataFrame([row for row in rows if row["spillover"] != 0.0])
    found = frame[["group", "label"]].copy()
    spans = [group.rsplit(", ", 1)[-1] for group in found["group"]]  # what stands in the heading is left out below
    found["label"] = [label.replace(f", {span}", "") for label, span in zip(found["label"], spans, strict=True)]
    found["estimate"] = frame["spillover"]
    for kind in ("clustered", "textbook"):
        for end in ("low", "high"):
            found[f"{kind}_{end}"] = frame[f"spillover_{kind}_{end}"]
    return found


def interval(row: Mapping[str, Any], effect: str, kind: str = "clustered") -> str:
    """ "0.24 (−0.06, 0.55)"; "–" where there is no such effect."""
    if (
        effect == "spillover"
        and row["spillover"] == 0.0
        and not math.isfinite(row.get("spillover_clustered_p", np.nan))
    ):
        return "–"
    low, high = row[f"{effect}_{kind}_low"], row[f"{effect}_{kind}_high"]
    return f"{row[effect]:.2f} ({low:.2f}, {high:.2f})".replace("-", "−")


def markdown(rows: Sequence[Mapping[str, Any]], *, textbook: bool = True) -> str:
    """A table of effects: model, at home, next door, and next door with textbook errors."""
    head = "| model | at home | next door |" + (" next door, textbook errors |" if textbook else "")
    lines = [head, "|---|---|---|" + ("---|" if textbook else "")]
    for row in rows:
        cells = [str(row["label"]), interval(row, "own"), interval(row, "spillover")]
        if textbook:
            cells.append(interval(row, "spillover", "textbook"))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write_audit(fit: SpatialFit, folder: Path, name: str, **options: Any) -> Any:
    """The audit of a fit: its text, its facts, and the table of every part."""
    audit = audit_fit(fit, **options)
    (folder / f"{name}.txt").write_text(audit.summary() + "\n", encoding="utf-8")
    facts = {key: round(float(value), 10) for key, value in audit.facts.items()}
    (folder / f"{name}.json").write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    for part in audit.parts.values():
        if len(part.table):
            part.table.to_csv(folder / f"{name}_{part.name}.csv", index=False, float_format="%.10g")
    return audit
