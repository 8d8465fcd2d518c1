"""The parts on the two example studies: what their pages say, and the scripts that compute it."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from spillover.audit.common_shock import audit_common_shock
from spillover.audit.influence import audit_influence
from spillover.audit.permutation import audit_permutation
from spillover.audit.timing import audit_timing

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def script(name: str) -> ModuleType:
    """examples/<name>/audit.py as a module."""
    sys.path.insert(0, str(EXAMPLES))
    try:
        spec = importlib.util.spec_from_file_location(f"{name.replace('-', '_')}_audit", EXAMPLES / name / "audit.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(EXAMPLES))
    return module


def page_rows(name: str) -> dict[str, list[str]]:
    """First cell → other cells of every table row of a page."""
    text = (EXAMPLES / name / "README.md").read_text(encoding="utf-8")
    rows = (line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("| "))
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in rows}


@pytest.mark.data
def test_the_page_of_china_shows_what_its_script_computes(data: Path) -> None:
    china = script("china-provinces")
    panel = china.read(data)
    models = china.fit_models(panel, china.build_weights(panel, data))
    page = page_rows("china-provinces")
    for label, (_, variable, fit) in models.items():
        row = china.writing.effect_row(fit, variable, label)
        assert page[label][0] == china.writing.interval(row, "own"), label
        assert page[label][1] == china.writing.interval(row, "spillover"), label


@pytest.mark.data
def test_the_page_of_europe_shows_what_its_script_computes(data: Path) -> None:
    europe = script("eu-nuts2")
    panel = europe.read(data)
    models = europe.fit_models(panel, europe.build_weights(panel))
    page = page_rows("eu-nuts2")
    for label, (_, fit) in models.items():
        row = europe.writing.effect_row(fit, europe.FOCUS, label)
        assert page[label][0] == europe.writing.interval(row, "own"), label
        assert page[label][1] == europe.writing.interval(row, "spillover"), label


@pytest.mark.data
def test_europe_is_nations(data: Path) -> None:
    # Neighbours drawn by lot inside countries give the ρ of the real map; drawn across Europe they give none.
    europe = script("eu-nuts2")
    panel = europe.read(data)
    models = europe.fit_models(panel, europe.build_weights(panel))
    fit = models["SDM, 6 nearest, 2008–2012"][1]
    facts = audit_permutation(fit, groups="country", draws=39).facts
    assert abs(facts["permutation_whole_map.median_rho"]) < 0.1
    assert facts["permutation_within_groups.median_rho"] > 0.25
    assert facts["permutation_within_groups.p_value_rho"] > 0.05
    part = audit_common_shock(fit, groups="country")
    assert part.facts["common_shock.exact_p_value.spillover"] > 0.05
    assert "CY, EE, LU, LV" in " ".join(part.sentences)
    assert re.search(r"most in 2012", " ".join(part.sentences))
    with pytest.raises(AssertionError, match="accepted"):
        europe.refuse(panel.select(regions=models_regions(models)), inside_weights(models))
    assert "artefact" in europe.refuse(panel, fit.weights)


def models_regions(models: dict) -> tuple[str, ...]:
    return models["SDM, 4 nearest inside, year, 2008–2012"][1].panel.regions


def inside_weights(models: dict) -> object:
    return models["SDM, 4 nearest inside, year, 2008–2012"][1].weights


@pytest.mark.data
def test_small_regions_carry_europes_logs(data: Path) -> None:
    europe = script("eu-nuts2")
    panel = europe.read(data)
    fit = europe.fit_models(panel, europe.build_weights(panel))["SDM, 6 nearest, 2008–2012"][1]
    facts = audit_influence(fit.with_covariance("information"), counts="epo_patents").facts
    counts = pd.Series(panel["epo_patents"].mean(axis=1), index=panel.regions)
    assert facts["influence.small_regions"] == (counts < 20).sum()
    assert facts["influence.small_share"] > 0.5
    assert abs(facts["influence.poisson.spillover"]) < 0.5 * facts["influence.log_slx.spillover"]


@pytest.mark.data
def test_chinas_effect_at_home_does_not_outlast_the_past(data: Path) -> None:
    china = script("china-provinces")
    panel = china.read(data)
    fit = china.fit_models(panel, china.build_weights(panel, data))["SDM, queen"][2]
    facts = audit_timing(fit).facts
    assert abs(facts["timing.dynamic.own"]) < 0.25 * facts["timing.as_fitted.own"]
    assert facts["timing.persistence"] > 0.7
    assert facts["timing.lead_joint_p_value"] < 0.05
