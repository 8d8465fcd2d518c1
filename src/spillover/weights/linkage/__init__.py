"""Who buys from whom: input–output tables, Leontief and Ghosh inverses, linkages of sectors and of regions."""

from __future__ import annotations

from spillover.weights.linkage.build import build_input_output
from spillover.weights.linkage.read import read_input_output
from spillover.weights.linkage.sectors import add_linkage, link_sectors
from spillover.weights.linkage.table import InputOutputTable

__all__ = ["InputOutputTable", "add_linkage", "build_input_output", "link_sectors", "read_input_output"]
