"""The page: nothing from a network, nothing from a name that could run, everything there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from spillover.report.charts import effect_panels, forest_panel
from spillover.report.maps import measure_maps, regional_maps, shapes_of
from spillover.report.page import embed_json, render_html
from spillover.report.palette import level_classes, signed_classes
from spillover.study.result import StudyResult

Make = Callable[..., StudyResult]


class Page(HTMLParser):
    """Tags with their attributes, text outside scripts, and the content of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] == "script":
            self.scripts[-1] += data
        else:
            self.words.append(data)


@pytest.fixture(scope="module")
def html(study: StudyResult) -> str:
    return render_html(study)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def payload_of(page: Page) -> dict[str, Any]:
    place = [attrs for tag, attrs in page.tags if tag == "script"].index(
        {"type": "application/json", "id": "report-data"}
    )
    return json.loads(page.scripts[place])


def test_nothing_is_loaded_from_anywhere(page: Page) -> None:
    for tag, attrs in page.tags:
        assert not attrs.get("src"), f"<{tag}> loads {attrs.get('src')}"
        assert tag not in ("link", "img", "iframe", "object", "embed", "base"), tag
        if attrs.get("href"):
            assert tag == "a"
            assert str(attrs["href"]).startswith("#")
    policy = next(attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'nonce-")
    assert "http" not in policy


def test_style_loads_nothing(html: str) -> None:
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert "&#34;" not in style  # CSS that was escaped would lose its quoted font names


def test_hostile_names_are_text(page: Page) -> None:
    # three scripts: data, plotly, the page's own; a name that broke out would add a fourth
    assert sum(tag == "script" for tag, _ in page.tags) == 3
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    words = " ".join(page.words)
    for name in ("<img src=x onerror=alert(1)>", "</script><script>alert(2)</script>", "{{ 7 * 7 }}", "江苏省"):
        assert name in words


def test_hover_texts_carry_no_tags_from_names(page: Page) -> None:
    payload = payload_of(page)
    assert payload["regions"][0] == "&lt;img src=x onerror=alert(1)&gt;"
    assert payload["regions"][2] == "江苏省"
    hovers = [
        text for chart in payload["charts"].values() for trace in chart["data"] for text in trace.get("hovertext", [])
    ]
    assert hovers
    assert not any(re.search(r"<(?!br>)", text) for text in hovers)


def test_json_in_a_script_cannot_end_it() -> None:
    text = embed_json({"</script>": "<!-- & \u2028"})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"</script>": "<!-- & \u2028"}


def test_headings_do_not_skip_a_level_and_anchors_exist(page: Page) -> None:
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    ids = [attrs["id"] for _, attrs in page.tags if attrs.get("id")]
    assert len(ids) == len(set(ids))
    for tag, attrs in page.tags:
        if tag == "a":
            assert str(attrs["href"])[1:] in ids


def test_every_figure_has_a_text_alternative_and_data(page: Page) -> None:
    payload = payload_of(page)
    figures = {attrs["data-figure"]: attrs for _, attrs in page.tags if attrs.get("data-figure")}
    assert figures.keys() == payload["charts"].keys() | payload["maps"].keys()
    assert all(attrs.get("aria-label") for attrs in figures.values())


def test_maps_send_outlines_once_and_a_class_for_every_region(study: StudyResult, page: Page) -> None:
    payload = payload_of(page)
    n = len(study.panel.regions)
    assert len(payload["shapes"]["outlines"]) == n
    for drawn in payload["maps"].values():
        assert len(drawn["classes"]) == len(drawn["frames"])
        assert all(len(frame) == n for frame in drawn["classes"])
        assert max(max(frame) for frame in drawn["classes"]) < len(drawn["colours"])
    # the one missing cell of the fixture: patents of the first region in the first period
    assert payload["maps"]["level-1"]["classes"][0][0] == -1
    # and its change is missing with it
    assert payload["maps"]["change-1"]["classes"][0][0] == -1


def test_a_study_without_map_regions_or_panel_still_has_a_page(make_result: Make) -> None:
    text = render_html(make_result(geometry=False, regional=False, periods=(2020,), model="ols"))
    assert "This study has no map" in text
    assert 'id="regions"' not in text
    assert "one period" in text


def test_the_audit_section_is_a_single_sentence(html: str) -> None:
    section = html[html.index('<section id="audit"') :]
    section = section[: section.index("</section>")]
    assert section.count("<p>") == 1
    assert "has not been audited" in section


def test_the_same_study_gives_the_same_page(study: StudyResult, html: str) -> None:
    assert render_html(study) == html


def test_three_hundred_regions_fit_in_eight_megabytes(study: StudyResult) -> None:
    # a 15 × 20 grid of squares with 120 vertices each: 36,000, above the limit of simplification; 12 periods
    def side(x0: float, y0: float, x1: float, y1: float) -> list[list[float]]:
        return [[x0 + (x1 - x0) * k / 30, y0 + (y1 - y0) * k / 30] for k in range(30)]

    def outline(column: int, row: int) -> list[list[float]]:
        a, b = float(column), float(row)
        corners = [(a, b), (a + 1, b), (a + 1, b + 1), (a, b + 1), (a, b)]
        ring = [point for p, q in pairwise(corners) for point in side(*p, *q)]
        return [*ring, ring[0]]

    regions = tuple(f"N{i:03d}" for i in range(300))
    features = [
        {"type": "Feature", "id": region, "properties": {},
         "geometry": {"type": "Polygon", "coordinates": [outline(i % 20, i // 20)]}}
        for i, region in enumerate(regions)
    ]  # fmt: skip
    values = tuple(tuple(float(i * j % 97) for j in range(12)) for i in range(300))
    panel = study.panel.model_copy(
        update={
            "regions": regions,
            "names": regions,
            "periods": tuple(range(2000, 2012)),
            "geometry": {"features": features},
        }
    )
    measures = tuple(measure.model_copy(update={"values": values}) for measure in study.measures)
    large = study.model_copy(update={"panel": panel, "measures": measures, "regional": None, "index": None})
    assert len(render_html(large).encode()) < 8_000_000
    shapes = shapes_of(large)
    assert shapes is not None
    assert all(len(rings) == 1 for rings in shapes.rings)


def test_longitude_and_latitude_are_drawn_with_equal_areas(study: StudyResult) -> None:
    # two cells of 1° × 1°, on the equator and at 60° N: on the sphere their areas are as
    # (sin 1° - sin 0°) : (sin 61° - sin 60°) = 0.017452 : 0.008594 = 2.0307
    def cell(south: float) -> dict[str, Any]:
        edge = [[k / 20, south] for k in range(21)] + [[1 - k / 20, south + 1] for k in range(21)]
        return {"type": "Polygon", "coordinates": [[*edge, edge[0]]]}

    features = [{"type": "Feature", "id": r, "geometry": cell(s)} for r, s in (("R00", 0.0), ("R01", 60.0))]
    panel = study.panel.model_copy(
        update={"regions": ("R00", "R01"), "names": ("a", "b"), "geometry": {"features": features}, "planar": False}
    )
    shapes = shapes_of(study.model_copy(update={"panel": panel}))
    assert shapes is not None

    def area(ring: list[tuple[float, float]]) -> float:
        return abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairwise(ring))) / 2

    # straight edges between the vertices stand for curved ones: 20 per side leave less than 0.1 %
    assert area(shapes.rings[0][0]) / area(shapes.rings[1][0]) == pytest.approx(2.0307, rel=2e-3)


def test_holes_stay_open_whatever_the_direction_of_their_rings(study: StudyResult) -> None:
    outer = [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]
    hole = [[4, 4], [6, 4], [6, 6], [4, 6], [4, 4]]
    features = [{"type": "Feature", "id": "R00", "geometry": {"type": "Polygon", "coordinates": [outer, hole]}}]
    panel = study.panel.model_copy(update={"regions": ("R00",), "names": ("a",), "geometry": {"features": features}})
    shapes = shapes_of(study.model_copy(update={"panel": panel}))
    assert shapes is not None
    (x0, y0), (x1, y1), (x2, y2) = shapes.rings[0][1][:3]
    # the hole was given against the clock like the exterior; it must come out with the clock: a negative turn
    assert (x1 - x0) * (y2 - y1) - (x2 - x1) * (y1 - y0) < 0


def test_classes_cover_all_values_and_zero_parts_the_signs() -> None:
    classes = signed_classes([-3.0, -2.0, -1.0, 0.5, 1.0, 4.0])
    assert len(classes.colours) == len(classes.texts) == len(classes.breaks) + 1
    assert 0.0 in classes.breaks
    assert classes.place(-0.001) < classes.place(0.001)
    assert classes.place(None) == -1
    assert len(level_classes([5.0, 5.0, None]).colours) == 1
    assert level_classes([]).place(None) == -1


def test_a_browser_draws_every_figure_without_a_complaint(study: StudyResult, tmp_path: Path) -> None:
    browser = next((found for name in ("chromium", "google-chrome") if (found := shutil.which(name))), None)
    if browser is None:
        pytest.skip("no Chromium on this machine")
    (tmp_path / "report.html").write_text(render_html(study), encoding="utf-8")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
               "--disable-background-networking", "--disable-component-update", "--disable-sync",
               f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", "--virtual-time-budget=5000",
               "--dump-dom", (tmp_path / "report.html").as_uri()]  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "CONSOLE" not in run.stderr, run.stderr
    assert len(re.findall(r'data-figure="[\w-]+"', run.stdout)) == len(
        re.findall(r'class="plot[^"]*js-plotly-plot"', run.stdout)
    )
    assert 'data-ready="1"' in run.stdout


def test_only_maps_of_effects_have_the_unit_of_an_effect(make_result: Make) -> None:
    result = make_result()
    bare = tuple(measure.model_copy(update={"unit": ""}) for measure in result.measures)
    drawn = (*measure_maps(result.model_copy(update={"measures": bare})), *regional_maps(result))
    assert [bool(each.unit) for each in drawn] == [False, False, True, True]


def test_effects_in_different_units_do_not_share_an_axis(make_result: Make) -> None:
    # both terms in logs: one axis; a level beside a log: two
    assert len(effect_panels(make_result())) == 1
    rows = make_result().model().impacts
    mixed = tuple({**row, "variable": "rd"} if row["variable"] == "log(rd)" else row for row in rows)
    result = make_result(formula="log(patents) ~ log(lq) + rd")
    model = result.model().model_copy(update={"impacts": mixed})
    panels = effect_panels(result.model_copy(update={"models": (model, *result.models[1:])}))
    assert [[name for name, _, _ in panel.lanes] for panel in panels] == [["log(lq)"], ["rd"]]


def test_the_forest_is_on_the_scale_of_the_cards(make_result: Make) -> None:
    found = forest_panel(make_result())
    assert found is not None
    # 1.1^0.21 - 1 = 2.0217 %
    assert found[0].lanes[0][2]["indirect"]["estimate"] == pytest.approx(2.0217, abs=1e-4)
    assert found[0].title == "change of Invention patents (%)"


def test_the_caption_of_coefficients_has_what_models_are_compared_by(html: str) -> None:
    assert "log-likelihood 123.46; σ² 0.0123" in html
    assert "30 regions × 5 periods" in html
    assert "n regions:" not in html
