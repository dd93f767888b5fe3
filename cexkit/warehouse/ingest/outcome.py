"""Outcome of merging the batches of a build."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl

from cexkit.schema import Table
from cexkit.schema.intervals import Window
from cexkit.warehouse.ingest.report import Problem
from cexkit.warehouse.store.ledger import Ledger


@dataclass(slots=True)
class Outcome:
    """What the batches of a build gave in total.

    It is recorded when all of them are merged, so that reports and the ledger are the same however the instruments are
    split.
    """

    table: Table
    #: Number of rows that were made again.
    made: int = 0
    #: Rows of Silver and its quarantine by UTC day.
    days: Counter[str] = field(default_factory=Counter)
    #: Rows that failed a check, and those of them that were made again.
    quarantined: list[pl.DataFrame] = field(default_factory=list)
    failed: list[pl.DataFrame] = field(default_factory=list)
    #: Keys that left Silver, by the rule that removed them.
    removed: dict[str, list[pl.DataFrame]] = field(default_factory=lambda: defaultdict(list))
    #: Times of the rows that no response gives any more.
    unexplained: list[pl.Series] = field(default_factory=list)

    def count(self, rows: pl.DataFrame) -> None:
        """Count rows of Silver and its quarantine."""
        days = rows.group_by(pl.col(self.table.time).dt.strftime("%Y-%m-%d")).len()
        self.days.update(dict(days.iter_rows()))

    def remove(self, gone: pl.DataFrame, by: pl.DataFrame, rule: str) -> pl.DataFrame:
        """Note the rows that a rule removes, by the columns of ``by``; return the others."""
        removed = gone.join(by.unique(), on=by.columns, how="semi", maintain_order="left")
        if removed.is_empty():
            return gone
        self.removed[rule].append(removed.select(self.table.key))
        return gone.join(by.unique(), on=by.columns, how="anti", maintain_order="left")

    def record_removed(self, ledger: Ledger, rules: Iterable[str], now: datetime) -> Iterator[Problem]:
        """List the removed rows in the ledger, and yield a problem for each rule and for rows without a response."""
        for rule in rules:
            if rule in self.removed:
                keys = pl.concat(self.removed[rule]).sort(self.table.key)
                ledger.log_removed(keys, rule, now)
                times = keys[self.table.time]
                text = f"{keys.height:,} rows were removed by the rule '{rule}'"
                yield Problem(ledger.exchange, self.table.name, None, Window(times.min(), times.max()), text)
        if self.unexplained:
            times = pl.concat(self.unexplained)
            text = (
                f"{len(times):,} rows come from no response in Bronze: they stay in Silver; restore what Bronze "
                "lacks, or run `cexkit rebuild` to remove them"
            )
            yield Problem(ledger.exchange, self.table.name, None, Window(times.min(), times.max()), text)
