"""Problems of reports, by their kind."""

from __future__ import annotations

from cexkit.warehouse.ingest.report import Problem, Report

MISSING = "returned no data"


def failures(report: Report) -> list[Problem]:
    """Return the problems other than missing rows, which small hand-made venues have many of."""
    return [problem for problem in report.problems if MISSING not in problem.message]


def missing(report: Report) -> list[Problem]:
    """Return the problems of missing rows."""
    return [problem for problem in report.problems if MISSING in problem.message]
