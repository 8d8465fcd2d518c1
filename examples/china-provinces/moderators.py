"""Does the environment move the spillover? One number of the study under other neighbours, provinces and years.

    python examples/china-provinces/moderators.py --data ../shared/data

Prints the table of the page: change of the spillover from the 10 % to the 90 % quantile of the innovation environment
(95 % interval, clustered by province), and p of all sides together.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import spillover as so
from spillover.study.load import load_study
from spillover.study.moderators import plan_moderators
from spillover.study.run import prepare

STUDY = Path(__file__).resolve().parent / "study.toml"
FORMULA = "log(inventions) ~ log(lq) + log(science_share)"
LAST_OF_FIRST_SEGMENT = 2016


def fit_variants(data: Path) -> dict[str, tuple[float, float, float, float]]:
    """Label → (change of the spillover, low, high, p of all sides)."""
    config = load_study(STUDY, {"SPILLOVER_DATA": str(data)}).config
    prepared = prepare(config)
    plans = plan_moderators(config, prepared.panel, prepared.weights)
    assert plans.environment is not None
    together = plans.environment[2]
    name = together.moderators[0].name
    expression = f"`environment part {name}`"
    panel, weights = together.panel, prepared.weights

    def row(
        panel: so.Panel = panel, w: Any = weights["queen"], formula: str = FORMULA, **options: Any
    ) -> tuple[float, float, float, float]:
        w = w if set(w.regions) == set(panel.regions) else w.subset(panel.regions, source=panel)
        found = so.moderate(formula, panel, w, treatment="log(lq)", moderators={name: expression}, **options)
        curve = found.curve("indirect", points=3)
        low, high = curve.quantiles
        ends = (high - low) * curve.slope.confint()[0]
        test = next(test for test in found.hypothesis_tests() if test.name.startswith("all sides"))
        return (high - low) * float(curve.slope.values[0]), float(ends[0]), float(ends[1]), test.p_value

    def without(region: str) -> so.Panel:
        return panel.select(regions=[other for other in panel.regions if other != region])

    before = [year for year in panel.periods if year <= LAST_OF_FIRST_SEGMENT]
    after = [year for year in panel.periods if year > LAST_OF_FIRST_SEGMENT]
    segments = {year: "before" if year in before else "after" for year in panel.periods}
    return {
        "as in the study": row(),
        "4 nearest provinces": row(w=weights["4 nearest"]),
        "inverse squared distance as W": row(w=weights["inverse squared distance"]),
        "without Hainan": row(without("460000")),
        "without Hebei": row(without("130000")),
        "2011–2016 only": row(panel.select(periods=before)),
        "2018–2023 only": row(panel.select(periods=after)),
        "province × segment effects": row(segments=segments),
        "grants in place of applications": row(formula=FORMULA.replace("inventions", "grants")),
    }


def tell(row: tuple[float, float, float, float]) -> tuple[str, str]:
    """(change with its interval, p) as the page writes them."""
    change, low, high, p = row
    shown = [f"{number:.2f}".replace("-", "−") for number in (change, low, high)]
    return f"{shown[0]} ({shown[1]}, {shown[2]})", "< 0.001" if p < 0.001 else f"{p:.3f}"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("SPILLOVER_DATA"))
    given = parser.parse_args()
    if given.data is None or not Path(given.data).is_dir():
        parser.error("name the folder of the regional data: --data DIR or SPILLOVER_DATA")
    for label, row in fit_variants(Path(given.data)).items():
        sys.stdout.write(f"| {label} | {' | '.join(tell(row))} |\n")


if __name__ == "__main__":
    main()
