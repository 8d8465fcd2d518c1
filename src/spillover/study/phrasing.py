"""Messages in the words of the place where the user stands: the keys of a study file, or options of the command line.

Panels, weights and models are a Python interface first, and their messages name Python arguments. A person with a study
file cannot write `islands="nearest"` anywhere; the key is `islands = "nearest"`, the option `--islands nearest`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from spillover.errors import SpilloverError

Place = Literal["study file", "command line"]

# What Python says, what a study file says, what the command line says; the first that fits is taken.
_PHRASES: tuple[tuple[str, str, str], ...] = (
    (
        r'choose what goes: panel\.complete\(\[\.\.\.\], policy="drop-regions"\) or policy="drop-periods", or '
        r'panel\.select\(periods=…\); a study file says missing = "drop-regions"',
        'write missing = "drop-regions" or missing = "drop-periods" in [data], name the complete periods '
        "(periods = […]), or leave regions out (exclude = […])",
        "--missing drop-regions, --missing drop-periods, or leave regions out with --exclude ID",
    ),
    (
        r'drop them by name with panel\.complete\(\[\.\.\.\], policy="drop-regions" or "drop-periods"\), or select '
        r"periods in which all is observed",
        'write missing = "drop-regions" or missing = "drop-periods" in [data], name the complete periods '
        "(periods = […]), or leave regions out (exclude = […])",
        "--missing drop-regions, --missing drop-periods, or leave regions out with --exclude ID",
    ),
    (
        r"leave them out with panel\.select\(regions=…\), or connect them",
        "leave them out (exclude = […]), or connect them",
        "leave them out with --exclude ID, or connect them",
    ),
    (
        r'add the missing edge with network\.with_edge\(…\), or choose disconnected="keep": such pairs get no link',
        "add the missing edge to the table of edges",
        "add the missing edge to the table of edges",
    ),
    (r"\(exclude = \[…\]\)", "(exclude = […])", "(--exclude ID)"),
    (r"\breach_km=…", "reach_km = …", "--reach-km KM"),
    (r"\bsearch_km\b", "search", "search"),
    (r"\(minimum_km\)", "(minimum = …)", "(in a study file)"),
    (
        r"use panel\.select\(regions=…\) or W\.subset\(regions\) so that both sides agree",
        "leave regions out with exclude = […], or give a W of the same regions",
        "leave regions out with --exclude ID, or give a W of the same regions",
    ),
    (
        r"give the places with source=panel \(a panel with a map\), name the links by hand with links=\[\(a, b\)\], or",
        'name a map in [data] geometry, name the links by hand with links = [["a", "b"]], or',
        "build W from a map (--weights MAP --weights-kind …), add the links to the file, or",
    ),
    (r"; restrict the panel to the same regions with panel\.select\(regions=W\.regions\)", "", ""),
    (r'read it with read_panel\(…, geometry="regions\.geojson"\)', 'name one: geometry = "regions.geojson"',
     "name one"),
    (r"read the (?:map|table together with a map)[ :]*(?:with )?read_panel\(…, geometry=…\)( and use build_[^;]*)?",
     "name the map in [data] geometry and choose another kind", "give the map in --weights with --weights-kind"),
    (r'weights\.standardise\("(\w+)"\)', r'standardise = "\1"', r"--standardise \1"),
    (r'focal="…", neighbor="…", weight="…"', 'edge_columns = ["receiver", "sender", "weight"]',
     "--edge-columns receiver,sender,weight"),
    (r"focal= and neighbor= \(both\)", "edge_columns", "--edge-columns"),
    (r"with order=\[…\], or a file with one id per line", 'in a file with one id per line: order = "regions.txt"',
     "in a file with one id per line: --order FILE"),
    (r"(?:W = )?within_groups\(weights, groups\)(?: drops and names them; then panel\.select\(regions=W\.regions\))?",
     'within = "…" for this W', "--within COLUMN"),
    (r"(leave out|give) groups=…", r"\1 groups", r"\1 --groups"),
    (r"both_ways=True", "both_ways = true", "--both-ways"),
    (r"with links=\[\([^)]*\)\]", 'with links = [["a", "b"]]', "in the file of links"),
    (r"such as links=\[\([^)]*\)\]", 'such as links = [["460000", "440000"]]', "of two regions"),
    (r'policy="(drop-\w+)"', r'missing = "\1"', r"--missing \1"),
    (r"panel\.select\(periods=…\)", "periods = […]", "a table without them"),
    (r"\b(order|links|regions)=(?=[ :]|$)", r"\1", r"--\1"),
    (r"a map goes into geometry=…", "a map goes into [data] geometry", "a map goes into --weights"),
    (r"\bk=", "k = ", "k = "),
    (r"minimum_km=…", "another kind of W", "another kind of W"),
    (r"threshold_km=…", "threshold_km = …", "--weights-kind distance-band:KM"),
    (r'rule="(\w+)"', r'kind = "\1"', r"--weights-kind \1"),
    (r'\bencoding="([\w-]+)"', r'encoding = "\1"', r"--encoding \1"),
    (r"\b(geometry|geometry_id|region|period|name|lagged)=…", r"\1 = …", r"--\1 …"),
)  # fmt: skip
# islands="nearest" and the like: the same key and the same value everywhere.
_OPTION = re.compile(r"\b(islands|standardise|effects|model|correction|covariance|lagged)=([\"'])([\w-]+)\2")


def phrase(text: str, place: Place) -> str:
    """A message whose Python arguments are keys of a study file or options of the command line.

    >>> phrase('choose islands="nearest" or effects=\\'none\\'', "command line")
    'choose --islands nearest or --effects none'
    >>> phrase('choose islands="nearest"', "study file")
    'choose islands = "nearest"'
    """
    command = place == "command line"
    for python, study, option in _PHRASES:
        text = re.sub(python, option if command else study, text)
    text = _OPTION.sub(r"--\1 \3" if command else r'\1 = "\3"', text)
    return text.replace("--geometry_id", "--geometry-id")


@contextmanager
def in_words_of(place: Place) -> Iterator[None]:
    """Errors that leave this block speak of a study file, or of the command line."""
    try:
        yield
    except SpilloverError as error:
        error.args = (phrase(str(error), place),)
        raise
