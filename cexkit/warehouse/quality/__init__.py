"""Checks of a warehouse, counted per venue and UTC day of data."""

from cexkit.warehouse.quality.catalog import CHECKS, checks_of, meanings_of
from cexkit.warehouse.quality.checks import (
    MAX_AGE,
    CheckResult,
    blocking_failures,
    check_results,
    raise_on_failures,
    run_checks,
    stale,
)

__all__ = [
    "CHECKS",
    "MAX_AGE",
    "CheckResult",
    "blocking_failures",
    "check_results",
    "checks_of",
    "meanings_of",
    "raise_on_failures",
    "run_checks",
    "stale",
]
