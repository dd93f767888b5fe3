"""Bronze → Silver: one schema, validated, deduplicated, merged into what is there."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain

import polars as pl
import pyarrow as pa

from cexkit.exchanges.registry import exchange
from cexkit.schema import TABLES, Table
from cexkit.schema.intervals import Window
from cexkit.schema.render import to_polars, to_pyarrow
from cexkit.schema.validate import split
from cexkit.warehouse.ingest.batches import LostMeanwhileError, batches
from cexkit.warehouse.ingest.conflicts import CONFLICT, find_conflicts
from cexkit.warehouse.ingest.contract_facts import with_contract_facts
from cexkit.warehouse.ingest.fact_changes import FactChanges
from cexkit.warehouse.ingest.identity import with_listed_base
from cexkit.warehouse.ingest.inputs import Inputs
from cexkit.warehouse.ingest.labels import STATE as LABELS
from cexkit.warehouse.ingest.labels import UNCONFIRMED, Labels
from cexkit.warehouse.ingest.listing_build import build_listing
from cexkit.warehouse.ingest.lives import (
    ENDED,
    changed_spans,
    end_problems,
    ended_spans,
    held_spans,
    is_after_end,
    split_at_end,
)
from cexkit.warehouse.ingest.merge import REACH, latest, with_intervals
from cexkit.warehouse.ingest.outcome import Outcome
from cexkit.warehouse.ingest.region import Region
from cexkit.warehouse.ingest.replay import ROWS_STAY, Identity, Order, Parsed, exclusion_notes
from cexkit.warehouse.ingest.report import Problem, Report
from cexkit.warehouse.ingest.restore import Candidate, SilverFiles, restore_listing
from cexkit.warehouse.store import layout
from cexkit.warehouse.store.instrument_range import ALL_INSTRUMENTS, InstrumentRange
from cexkit.warehouse.store.ledger import EXCLUDED, Ledger
from cexkit.warehouse.store.rows import within
from cexkit.warehouse.store.warehouse import Warehouse

#: Rule by which rows leave Silver that an older parser gave and the present one does not.
NEW_PARSER = "new parser"
#: Rule by which rows leave Silver that were made with facts of their instrument which did not hold at their time.
NEW_FACTS = "new contract facts"
#: All rules by which rows leave Silver, in the order in which they are applied.
RULES = (EXCLUDED, CONFLICT, NEW_FACTS, UNCONFIRMED, NEW_PARSER)
_FIRST: Order = (False, -1, "", -1)


def build_silver(
    warehouse: Warehouse,
    exchange_name: str,
    table: Table,
    *,
    now: datetime | None = None,
) -> Report:
    """Merge the Bronze responses of a table that are new into Silver: parsed, deduplicated, checked, sorted.

    Only the instruments and times of new responses are made again, from all responses that can hold rows of them. So
    Silver equals what :func:`cexkit.warehouse.ingest.rebuild.rebuild` makes of all Bronze, whatever the order of runs.
    A malformed response costs only itself and is reported. If a response corrects an earlier one, the later request
    wins, except for what it does not say. Rows that fail a check are quarantined. A row leaves Silver only by a rule
    that the ledger records, and is listed there.

    Parameters
    ----------
    warehouse : Warehouse
        Holds Bronze and gets Silver.
    exchange_name, table
        What to build. ``instruments`` and ``instrument_periods`` are built together, from the same lists.
    now : datetime, optional
        Time that decides which months and weeks are closed, see :mod:`cexkit.warehouse.store.layout`; default: now.

    Returns
    -------
    Report
        ``rows`` are those that were made again.
    """
    table = table if table.made_with is None else TABLES[table.made_with]
    with warehouse.exclusive(table, exchange_name):
        if table.name == "instruments":
            restored = restore_listing(warehouse, exchange_name)
            noted = restored.report + Report(notes=exclusion_notes(Ledger(warehouse.root, exchange_name, table)))
            return noted if restored.lost else noted + build_listing(warehouse, exchange_name)
        return _Build(warehouse, exchange_name, table, now or datetime.now(UTC)).run()


class _Build:
    """One build of a table of a venue that has times."""

    def __init__(self, warehouse: Warehouse, exchange_name: str, table: Table, now: datetime):
        self._warehouse, self._exchange, self._table, self._now = warehouse, exchange_name, table, now
        self._inputs = Inputs(warehouse, exchange_name, table)
        self._files = SilverFiles(warehouse, exchange_name, table)
        self._archives = {
            archive.endpoint
            for (name, _), archive in exchange(exchange_name).archives.items()
            if name == table.name and archive.compared
        }
        #: A settlement affects the intervals of others around it.
        self._reach = REACH if table.name == "funding_rates" else timedelta()
        self._empty = to_polars(table).to_frame()
        self._periods = pl.from_arrow(warehouse.read(TABLES["instrument_periods"], exchange=exchange_name))
        self._changes = FactChanges(self._inputs.ledger, table, self._periods)
        self._ended, self._ended_before = ended_spans(self._periods), self._inputs.ledger.read_state(ENDED)
        self._parser_version = exchange(exchange_name).parser_version

    def run(self) -> Report:
        inputs, ledger = self._inputs, self._inputs.ledger
        if not ledger.days and "merged" in ledger.files["state"]:
            self._count_rows()
        inputs.find(self._held_rows(), self._state())
        whole = ledger.span
        self._unused, self._reconsidered = find_conflicts(inputs, self._archives, self._table, self._stored)
        self._labels, relabeled = self._compare_labels()
        self._files.restore((), self._made_again)
        reconsidered = [(one, whole) for one in self._reconsidered if whole]
        #: What is made again although no response of it is new.
        self._again = Region([*reconsidered, *relabeled, *self._changed_ends(), *self._changes.region])
        spans = [*inputs.spans, *(window for _, window in self._again)]
        report, done = Report(), set()
        while groups := self._groups(spans, done):
            spans = []
            for pieces in groups:
                done |= set(pieces)
                report += self._build(pieces, spans)
        lost = [layout.period_window(self._table, period) for period in self._files.lost]
        self._record_rules(whole=not lost)
        inputs.finish(self._state(), lost)
        problems = (*self._files.problems, *self._standing())
        return report + Report(quarantined=inputs.quarantined, problems=problems, notes=exclusion_notes(ledger))

    def _record_rules(self, *, whole: bool) -> None:
        """Record what the build left out, when it has: a build that was killed before finds the same changes again.

        So does the next build if a Silver file is lost, because its rows could not be judged: then it is not ``whole``.
        """
        ledger = self._inputs.ledger
        if whole:
            self._changes.record()
        if ledger.files.is_empty():
            return
        ledger.set_rules(CONFLICT, _rules(self._unused, self._archives))
        if self._labels.unknown:
            served = {*exchange(self._exchange).endpoints(self._table.name)} - self._labels.archives
            ledger.set_rules(UNCONFIRMED, _rules(self._labels.unjoined_identities, served))
            ledger.write_state(LABELS, self._labels.counts)
        if whole:
            ledger.write_state(ENDED, self._ended)

    def _compare_labels(self) -> tuple[Labels, Region]:
        """Return which rows of the API are joined to the archive, and where this is not as the last build had it."""
        inputs = self._inputs
        counts = inputs.ledger.read_state(LABELS)
        before = Labels.of(self._exchange, self._table, counts)
        after = before.updated(inputs, whole=counts is None)
        touched = {identity for identity, _ in inputs.new_spans()}
        inputs.problems += after.problems(inputs.ledger.exchange, touched)
        changed = after.unjoined_identities ^ before.unjoined_identities
        return after, after.region_of(changed, inputs.ledger.span)

    def _changed_ends(self) -> Region:
        """Return the rows that have to be judged again because the end of an instrument became known or changed."""
        changed = changed_spans(self._ended_before, self._ended)
        if changed.is_empty() or (whole := self._inputs.ledger.span) is None:
            return Region()
        self._files.restore([whole], self._made_again)
        without = {file.path for file in self._files.lost.values()}
        held = held_spans(self._warehouse, self._exchange, self._table, changed, whole, without)
        return Region(held).padded(self._reach)

    def _standing(self) -> list[Problem]:
        """Return the problems of Bronze; if a Silver file is lost too, rows of lost Bronze files do not stay."""
        problems = self._inputs.problems
        if not self._files.lost:
            return problems
        return [replace(each, message=each.message.replace(ROWS_STAY, "")) for each in problems]

    def _count_rows(self) -> None:
        """Record how many rows Silver holds on each day: a ledger of an earlier version with lost files lacks it."""
        days: dict[str, int] = {}
        for file in self._warehouse.manifest.select(self._table.name, exchanges=[self._exchange]):
            rows = self._stored(layout.period_window(self._table, file.period))
            days |= dict(rows.group_by(pl.col(self._table.time).dt.strftime("%Y-%m-%d")).len().iter_rows())
        self._inputs.ledger.record([], days=days)

    def _held_rows(self) -> int:
        """Return the number of rows that Silver and its quarantine hold."""
        files = self._warehouse.manifest.select(self._table.name, exchanges=[self._exchange])
        return sum(file.rows for file in files) + self._warehouse.count_quarantined(self._table, self._exchange)

    def _state(self) -> str:
        return self._warehouse.manifest.state_of(self._table.name, self._exchange)

    def _groups(self, spans: Iterable[Window], done: Collection[str]) -> list[list[str]]:
        """Return the files that hold these spans, those that follow each other within a month together."""
        files = self._warehouse.manifest.select(self._table.name, exchanges=[self._exchange])
        present = {file.period for file in files}
        around = map(self._around, spans)
        names = {name for span in around for name in layout.periods(self._table, span, self._now, present)}
        self._files.restore((layout.period_window(self._table, name) for name in names), self._made_again)
        names.difference_update(self._files.lost)
        found: list[list[str]] = []
        for name in sorted(names.difference(done), key=lambda name: layout.span_of(name).start):
            last = found[-1][-1] if found else None
            if last and last[:7] == name[:7] and layout.span_of(last).end == layout.span_of(name).start:
                found[-1].append(name)
            else:
                found.append([name])
        return found

    def _build(self, pieces: Sequence[str], elsewhere: list[Window]) -> Report:
        """Merge what is new into files that follow each other; add spans of rows outside of them to ``elsewhere``."""
        windows = [layout.period_window(self._table, piece) for piece in pieces]
        span = Window(windows[0].start, windows[-1].end)
        try:
            return self._merge(pieces, span, self._batches(span), elsewhere)
        except LostMeanwhileError:
            return self._merge(pieces, span, [ALL_INSTRUMENTS], elsewhere)

    def _around(self, span: Window) -> Window:
        return Window(span.start - self._reach, span.end + self._reach)

    def _batches(self, span: Window) -> list[InstrumentRange]:
        """Return the instruments that are merged at a time.

        They are merged at once if responses are parsed together, or if one is lost: the place of the rows that Silver
        holds among the responses then depends on all of them.
        """
        inputs, around = self._inputs, self._around(span)
        if inputs.has_messages or inputs.lost or inputs.ledger.absent(self._around(around)):
            return [ALL_INSTRUMENTS]
        return batches(chain(inputs.expected_rows(around), self._files.rows_of_instruments(span)))

    def _merge(
        self, pieces: Sequence[str], span: Window, instruments: Sequence[InstrumentRange], elsewhere: list[Window]
    ) -> Report:
        """Make the rows of a span that new responses can change again, and write the files that hold them."""
        outcome = Outcome(self._table)
        rows = self._merged(pieces, span, instruments, elsewhere, outcome)
        first = next(rows, None)
        if first is None:
            return Report()
        parts = chain(iter([first]), rows)
        del first  # the batch ends when it is written
        files = self._warehouse.replace(self._table, self._exchange, pieces, parts)
        self._inputs.ledger.record([], days=outcome.days, within=span)
        failed = pl.concat(outcome.failed)
        self._inputs.problems += end_problems(self._exchange, self._table, failed)
        paths = tuple(file.path for file in files)
        return Report(rows=outcome.made - failed.height, quarantined=failed.height, files=paths)

    def _merged(
        self,
        pieces: Sequence[str],
        span: Window,
        instruments: Sequence[InstrumentRange],
        elsewhere: list[Window],
        outcome: Outcome,
    ) -> Iterator[pa.Table]:
        """Yield the good rows of each batch, then record what left Silver; yield none if no row is made again."""
        unchanged: list[InstrumentRange] = []
        for some in instruments:
            rows = self._made_rows(span, some, elsewhere, outcome)
            if rows is None:
                unchanged.append(some)
                continue
            yield from self._kept_rows(span, unchanged, outcome)
            unchanged.clear()
            yield rows
            del rows  # before the next batch is made
            pa.default_memory_pool().release_unused()
        if outcome.failed:  # of a batch that was made, even if none of its rows failed
            yield from self._kept_rows(span, unchanged, outcome)
            self._record(pieces, outcome)

    def _kept_rows(self, span: Window, instruments: Iterable[InstrumentRange], outcome: Outcome) -> Iterator[pa.Table]:
        """Yield the good rows of batches that stay as they are."""
        for some in instruments:
            yield self._judged(self._stored(span, some), Region(), outcome)

    def _made_rows(
        self, span: Window, some: InstrumentRange, elsewhere: list[Window], outcome: Outcome
    ) -> pa.Table | None:
        """Return the good rows of a batch, some of them made again; None if the batch stays as it is."""
        merged = self._merge_batch(span, some, elsewhere, outcome)
        return None if merged is None else self._judged(*merged, outcome)

    def _merge_batch(
        self, span: Window, some: InstrumentRange, elsewhere: list[Window], outcome: Outcome
    ) -> tuple[pl.DataFrame, Region] | None:
        """Return the rows of a batch, and which of them were made again; None if the batch stays as it is."""
        fresh = self._inputs.read_new(self._around(span), some)
        changed = Region(part for one in fresh if (part := self._inputs.region_of(one)))
        elsewhere += [window for _, window in changed]
        region = Region([*changed.padded(self._reach), *self._again]).within(span).among(some)
        self._require_none_lost(some)
        if not region:
            return None
        stored = self._stored(span, some)
        inside = region.contains(stored)
        made = self._made(region, fresh, some)
        self._require_none_lost(some)
        made = made.filter(region.contains(made))
        made = pl.concat([made, self._unexplained(stored.filter(inside), made, fresh, outcome)])
        outcome.made += made.height
        return pl.concat([stored.filter(~inside), made]), region

    def _require_none_lost(self, some: InstrumentRange) -> None:
        """Raise if a response is lost, unless all instruments are merged at once."""
        if self._inputs.lost and not some.is_whole:
            raise LostMeanwhileError

    def _judged(self, rows: pl.DataFrame, region: Region, outcome: Outcome) -> pa.Table:
        """Return the rows that meet all checks; note the others, and how many rows each day has."""
        good, quarantined = split_at_end(*split(rows, self._table), self._ended)
        outcome.count(rows)
        outcome.quarantined.append(quarantined)
        outcome.failed.append(quarantined.filter(region.contains(quarantined)))
        return good.to_arrow()

    def _record(self, pieces: Sequence[str], outcome: Outcome) -> None:
        """Record the rows that left Silver, before it is written without them."""
        self._inputs.problems += outcome.record_removed(self._inputs.ledger, RULES, self._now)
        quarantined = pl.concat(outcome.quarantined).to_arrow()
        for piece in pieces:
            part = within(quarantined, self._table, layout.period_window(self._table, piece))
            self._warehouse.write_quarantine(self._table, self._exchange, piece, part)

    def _made(
        self, region: Region, fresh: list[Parsed], instruments: InstrumentRange = ALL_INSTRUMENTS
    ) -> pl.DataFrame:
        """Return the rows that all responses give in and around a region; the later response wins per key.

        If a merged response is lost, the rows that Silver holds follow those of the other merged responses, and precede
        newer ones. So neither a row nor a correction is lost with its file.
        """
        inputs = self._inputs
        around = region.padded(self._reach)
        held = inputs.read_merged(around, instruments)
        used = [one for one in (*held, *fresh) if one.rows is not None and self._is_used(one)]
        parts = [(inputs.order(one), self._labels.used(one.row["endpoint"], pl.from_arrow(one.rows))) for one in used]
        if inputs.lost or inputs.ledger.absent(around.bounds):
            at = max((inputs.order(one) for one in held), default=_FIRST)
            # those without a number precede all that have one, but follow others without: Silver holds the last of them
            last = max((file.last_sequence or 0 for file in inputs.ledger.absent(around.bounds)), default=0)
            at = max(at, (True, last, "\uffff", 0))
            parts.append((at, self._changes.restated(self._stored(around.bounds, instruments))))
        parts.sort(key=lambda part: part[0])
        ordered = [*(rows for _, rows in parts), *inputs.events([*held, *fresh])]
        rows = latest(pl.concat([self._empty, *ordered]), self._table)
        rows = with_contract_facts(with_listed_base(rows, self._periods), self._periods)
        if not self._reach:
            return rows
        late = is_after_end(rows, self._ended)  # these would change the intervals of settlements before the end
        return pl.concat([with_intervals(rows.filter(~late)), rows.filter(late)])

    def _made_again(self, span: Window) -> Iterator[Candidate]:
        """Yield the rows of a span that merged responses give, then those that new ones give too.

        Rows after the ends that the last build knew are in its quarantine; other ends are judged after that.
        """
        region, around = Region([(None, span)]), self._around(span)
        ended = self._ended.clear() if self._ended_before is None else self._ended_before
        made = self._made(region, [])
        yield Candidate(made.filter(region.contains(made) & ~is_after_end(made, ended)))
        made = self._made(region, self._inputs.read_new(around))
        comparable = not self._inputs.ledger.absent(around)
        yield Candidate(made.filter(region.contains(made) & ~is_after_end(made, ended)), comparable=comparable)

    def _is_used(self, parsed: Parsed) -> bool:
        if parsed.row["sha256"] in self._inputs.excluded:
            return False
        return parsed.row["endpoint"] not in self._archives or parsed.identity not in self._unused

    def _stored(self, span: Window, instruments: InstrumentRange = ALL_INSTRUMENTS) -> pl.DataFrame:
        """Return the rows of a span that Silver and its quarantine hold, in the declared columns."""
        schema = to_pyarrow(self._table)
        parts = [self._files.read(span, instruments)]
        for period in layout.periods(self._table, span):
            quarantined = within(self._warehouse.quarantine(self._table, self._exchange, period), self._table, span)
            parts.append(instruments.rows(quarantined).select(schema.names).cast(schema))
        return pl.from_arrow(pa.concat_tables(parts))

    def _unexplained(
        self, before: pl.DataFrame, made: pl.DataFrame, fresh: list[Parsed], outcome: Outcome
    ) -> pl.DataFrame:
        """Return the rows that no response gives any more and no rule removes; what a rule removes is listed."""
        key = list(self._table.key)
        gone = before.join(made, on=key, how="anti", maintain_order="left")
        if gone.is_empty():
            return gone
        hashes = self._inputs.excluded
        excluded = [pl.from_arrow(one.rows).select(key) for one in fresh if one.rows and one.row["sha256"] in hashes]
        gone = outcome.remove(gone, pl.concat(excluded) if excluded else gone.select(key).clear(), EXCLUDED)
        reconsidered = pl.DataFrame(
            [identity for identity in self._reconsidered if identity],
            schema={"instrument_type": pl.String, "symbol": pl.String},
            orient="row",
        )
        gone = outcome.remove(gone, reconsidered, CONFLICT)
        gone = outcome.remove(gone, gone.filter(self._changes.region.contains(gone)).select(key), NEW_FACTS)
        gone = outcome.remove(gone, self._labels.left_out(gone).select(key), UNCONFIRMED)
        if self._inputs.ledger.stale(self._parser_version):
            gone = outcome.remove(gone, gone.select(key), NEW_PARSER)
        if gone.height:
            outcome.unexplained.append(gone[self._table.time])
        return gone


def _rules(identities: Iterable[Identity], endpoints: Iterable[str]) -> list[dict[str, str | None]]:
    names = sorted(endpoints)
    return [
        {"endpoint": name, "instrument_type": kind, "symbol": symbol} for kind, symbol in identities for name in names
    ]
