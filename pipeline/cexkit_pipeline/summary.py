"""Summary of a run, per venue and table, from the reports of its assets and checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import dagster as dg

#: Counts that assets report, in display order; see ``assets.bronze.result``.
COUNTS = ("responses", "rows", "quarantined", "problems")
#: Most problems in the text of a summary.
PROBLEMS = 10
#: Number of events per page.
PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Summary:
    """The counts and failed checks of a run.

    Attributes
    ----------
    title : str
        Name of the run.
    counts : dict
        Counts of each asset: ``responses``, ``rows``, ``quarantined``, ``problems``, as far as it reports them.
    failed : tuple of str
        Names of failed checks.
    problems : tuple of str
        The first problems that assets report.

    Examples
    --------
    >>> print(Summary("run 1a2b of day", {"bronze/okx/funding_rates": {"responses": 3, "problems": 1}}, ()))
    run 1a2b of day: 3 responses, 1 problems
    bronze/okx/funding_rates: 3 responses, 1 problems
    """

    title: str
    counts: dict[str, dict[str, int]]
    failed: tuple[str, ...]
    problems: tuple[str, ...] = ()

    @property
    def fine(self) -> bool:
        """True if no row was quarantined, no problem was reported, and no check failed."""
        return not self.failed and not any(
            count.get(name) for count in self.counts.values() for name in ("quarantined", "problems")
        )

    def __str__(self) -> str:
        lines = [f"{self.title}: {format_counts(total(self.counts)) or 'nothing new'}"]
        lines += [
            f"{asset}: {format_counts(count)}" for asset, count in sorted(self.counts.items()) if any(count.values())
        ]
        lines += [f"check failed: {check}" for check in self.failed]
        lines += [f"problem: {problem}" for problem in self.problems[:PROBLEMS]]
        return "\n".join(lines)


def summary(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Summary:
    """Return the summary of a finished run."""
    evaluations = _events(instance, run, dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    found = [event.asset_check_evaluation_data for event in evaluations]
    failed = sorted(f"{check.check_name} of {check.asset_key.to_user_string()}" for check in found if not check.passed)
    partition = run.tags.get("dagster/partition")
    title = f"run {run.run_id[:8]} of {run.job_name}" + (f", {partition}" if partition else "")
    reported = _metadata(instance, run)
    problems = [
        problem for each in reported.values() if "first_problems" in each for problem in each["first_problems"].value
    ]
    return Summary(title, _counts(reported), tuple(failed), tuple(problems))


def counts_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dict[str, dict[str, int]]:
    """Return the counts of each asset. An asset reports once per partition, each time for the whole run."""
    return _counts(_metadata(instance, run))


def _counts(reported: Mapping[str, Mapping[str, dg.MetadataValue]]) -> dict[str, dict[str, int]]:
    return {
        asset: {name: int(metadata[name].value) for name in COUNTS if name in metadata}
        for asset, metadata in reported.items()
    }


def _metadata(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dict[str, Mapping[str, dg.MetadataValue]]:
    """Return the metadata of each asset of a run."""
    events = _events(instance, run, dg.DagsterEventType.ASSET_MATERIALIZATION)
    return {event.materialization.asset_key.to_user_string(): event.materialization.metadata for event in events}


def _events(instance: dg.DagsterInstance, run: dg.DagsterRun, kind: dg.DagsterEventType) -> Iterator[dg.DagsterEvent]:
    """Yield events of one kind, page by page, because a backfill of years has one per day and asset."""
    cursor = None
    while True:
        page = instance.get_records_for_run(run.run_id, cursor, of_type=kind, limit=PAGE)
        yield from (record.event_log_entry.dagster_event for record in page.records)
        if not page.has_more:
            return
        cursor = page.cursor


def total(counts: dict[str, dict[str, int]]) -> dict[str, int]:
    """Return the sum of the counts of all assets."""
    return {name: sum(count.get(name, 0) for count in counts.values()) for name in COUNTS}


def format_counts(counts: dict[str, int]) -> str:
    """Return the counts as text, without zeros.

    Examples
    --------
    >>> format_counts({"responses": 0, "rows": 1200, "problems": 1})
    '1,200 rows, 1 problems'
    """
    return ", ".join(f"{counts[name]:,} {name}" for name in COUNTS if counts.get(name))
