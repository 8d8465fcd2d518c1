"""Several fits side by side: coefficients, effects and statistics, for the screen, papers and spreadsheets."""

from spillover.tables.compare import compare
from spillover.tables.table import ComparisonTable

__all__ = ["ComparisonTable", "compare"]
