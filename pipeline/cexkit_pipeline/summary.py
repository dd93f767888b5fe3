"""What a run did, counted per venue and table from what its assets and checks reported."""

from __future__ import annotations

from dataclasses import dataclass

import dagster as dg

#: What assets report of themselves, in the order it is said; see ``assets.bronze.result``.
COUNTS = ("answers", "rows", "rejected", "problems")
#: Events of one run that are looked at; a run of all venues and tables has a few hundred.
MOST_EVENTS = 10_000


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did.

    Attributes
    ----------
    title : str
        Which run.
    counts : dict
        Asset → what it reported: ``answers``, ``rows``, ``rejected``, ``problems``; those it has.
    failed : tuple of str
        Checks that found something.

    Examples
    --------
    >>> print(Summary("run 1a2b of day", {"bronze/okx/funding_rates": {"answers": 3, "problems": 1}}, ()))
    run 1a2b of day: 3 answers, 1 problems
    bronze/okx/funding_rates: 3 answers, 1 problems
    """

    title: str
    counts: dict[str, dict[str, int]]
    failed: tuple[str, ...]

    @property
    def fine(self) -> bool:
        """Whether nothing was rejected, missing or failed a check."""
        return not self.failed and not any(
            count.get(name) for count in self.counts.values() for name in ("rejected", "problems")
        )

    def __str__(self) -> str:
        total = {name: sum(count.get(name, 0) for count in self.counts.values()) for name in COUNTS}
        lines = [f"{self.title}: {_said(total)}"]
        lines += [f"{asset}: {_said(count)}" for asset, count in sorted(self.counts.items()) if any(count.values())]
        lines += [f"check failed: {check}" for check in self.failed]
        return "\n".join(lines)


def summary(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Summary:
    """Read what a finished run reported."""
    kinds = {dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_CHECK_EVALUATION}
    records = instance.get_records_for_run(run.run_id, of_type=kinds, limit=MOST_EVENTS).records
    counts: dict[str, dict[str, int]] = {}
    failed = []
    for event in (record.event_log_entry.dagster_event for record in records):
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            found = event.asset_check_evaluation_data
            if not found.passed:
                failed.append(f"{found.check_name} of {found.asset_key.to_user_string()}")
        else:
            # an asset reports once a partition, each time the counts of the whole run
            told = event.materialization
            counts[told.asset_key.to_user_string()] = {
                name: int(told.metadata[name].value) for name in COUNTS if name in told.metadata
            }
    partition = run.tags.get("dagster/partition")
    named = f"run {run.run_id[:8]} of {run.job_name}" + (f", {partition}" if partition else "")
    return Summary(named, counts, tuple(sorted(failed)))


def _said(counts: dict[str, int]) -> str:
    return ", ".join(f"{counts[name]:,} {name}" for name in COUNTS if counts.get(name)) or "nothing new"
