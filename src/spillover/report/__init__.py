"""STEP 8: a finished study as words, tables, figures and one self-contained page. Computes nothing."""

from spillover.report.page import render_html
from spillover.report.words import headlines
from spillover.report.write import check_output, write_report

__all__ = ["check_output", "headlines", "render_html", "write_report"]
