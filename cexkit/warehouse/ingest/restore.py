"""Silver files that are missing or damaged: found before a build reads them, and made again from Bronze.

A file leaves the manifest only if the rows made again have all of its keys, by the digests of the keys, which are in a
separate file. Otherwise it stays there, so that no reader takes the rest for the whole, until it is restored or a
rebuild drops the keys on demand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from cexkit.schema import TABLES, Table
from cexkit.schema.intervals import Window
from cexkit.schema.validate import split
from cexkit.warehouse.ingest.listing_build import list_files, listings
from cexkit.warehouse.ingest.listing_state import ListingState
from cexkit.warehouse.ingest.replay import Record
from cexkit.warehouse.ingest.report import LostFileProblem, Problem, Report
from cexkit.warehouse.store import layout
from cexkit.warehouse.store.data_files import file_problem, lacking_keys, stored_digests
from cexkit.warehouse.store.instrument_range import ALL_INSTRUMENTS, InstrumentRange, Place, group_bounds
from cexkit.warehouse.store.ledger import Ledger
from cexkit.warehouse.store.manifest import DataFile
from cexkit.warehouse.store.parquet import reading
from cexkit.warehouse.store.warehouse import Warehouse


class Candidate(NamedTuple):
    """Rows of a file period, made from Bronze; ``comparable`` unless rows may be new while others are lost."""

    rows: pl.DataFrame
    comparable: bool = True


#: Makes the rows of a file period from Bronze: those of merged responses, then those of new ones too.
Candidates = Callable[[Window], Iterable[Candidate]]


class SilverFiles:
    """The Silver files of a venue's table, as far as they are intact.

    Parameters
    ----------
    warehouse : Warehouse
        Holds the files.
    exchange, table
        Venue and table.

    Attributes
    ----------
    lost : dict of str to DataFile
        Files that are missing or damaged and could not be made again, by their period.
    problems : list of Problem
        One per file that is missing or damaged.
    """

    def __init__(self, warehouse: Warehouse, exchange: str, table: Table):
        self._warehouse, self._exchange, self._table = warehouse, exchange, table
        self.lost: dict[str, DataFile] = {}
        self.problems: list[Problem] = []
        self._found: dict[str, tuple[DataFile, str]] = {}
        self._intact: set[str] = set()

    def read(self, span: Window | None = None, instruments: InstrumentRange = ALL_INSTRUMENTS) -> pa.Table:
        """Return the rows of a span, or those of some instruments, in intact files; the others are not read."""
        self._verify(lambda file: span is None or file.overlaps(span.start, span.end))
        return self._warehouse.read(
            self._table, exchange=self._exchange, span=span, without=self._broken, instruments=instruments
        )

    def rows_of_instruments(self, span: Window) -> Iterator[tuple[Place, int]]:
        """Yield how many rows intact files of a span hold up to an instrument, by row group."""
        self._verify(lambda file: file.overlaps(span.start, span.end))
        files = self._warehouse.manifest.select(
            self._table.name, start=span.start, end=span.end, exchanges=[self._exchange]
        )
        for path in [self._warehouse.root / file.path for file in files if file.path not in self._broken]:
            with reading(path):
                groups = list(group_bounds(pq.read_metadata(path)))
            yield from ((group.last, group.rows) for group in groups if group.last is not None)

    @property
    def _broken(self) -> set[str]:
        return {file.path for file, _ in self._found.values()} | {file.path for file in self.lost.values()}

    def find(self) -> bool:
        """Compare all files by their hash; return whether one is missing or damaged."""
        self._verify(lambda _: True)
        return bool(self._found)

    def restore(self, spans: Iterable[Window], candidates: Candidates) -> None:
        """Make files again that are missing, or that hold rows of some spans and are damaged.

        Parameters
        ----------
        spans : iterable of Window
            Files of these spans are compared by their hash, others by their size.
        candidates : callable
            Called with the span of a file period.
        """
        wanted = list(spans)
        self._verify(lambda file: any(file.overlaps(span.start, span.end) for span in wanted))
        while self._found:
            _, (file, problem) = self._found.popitem()
            self.lost[file.period] = file  # so that making it does not read it
            lacking = self._make(file, candidates)
            if lacking == 0:
                del self.lost[file.period]
            self._report(file, problem, lacking)

    def _verify(self, hashed: Callable[[DataFile], bool]) -> None:
        known = {file.path for file in self.lost.values()} | self._found.keys()
        for file in self._warehouse.manifest.select(self._table.name, exchanges=[self._exchange]):
            if file.path in known or file.path in self._intact:
                continue
            by_hash = hashed(file)
            if (problem := file_problem(self._warehouse.root, file, hashed=by_hash)) is not None:
                self._found[file.path] = file, problem
            elif by_hash:
                self._intact.add(file.path)

    def _make(self, file: DataFile, candidates: Candidates) -> int:
        """Write a file again if Bronze has its rows; return how many keys are lacking."""
        digests, fewest = stored_digests(self._warehouse.root, file, self._table), file.rows
        for rows, comparable in candidates(layout.period_window(self._table, file.period)):
            good, _ = split(rows, self._table)
            found = lacking_keys(good.to_arrow(), self._table, file, digests, comparable=comparable)
            lacking = sum(found.values())
            if lacking == 0:
                self._warehouse.replace(self._table, self._exchange, [file.period], good.to_arrow())
                return 0
            fewest = min(fewest, lacking)
        return fewest

    def _report(self, file: DataFile, problem: str, lacking: int) -> None:
        span = None if file.start is None or file.end is None else Window(file.start, file.end)
        text = restored_text(file, problem, lacking)
        self.problems.append(LostFileProblem(self._exchange, self._table.name, None, span, text))


class RestoredListing(NamedTuple):
    """What was done about the files of a listing; ``lost`` if one could not be made again."""

    report: Report
    lost: bool


def restore_listing(warehouse: Warehouse, exchange: str) -> RestoredListing:
    """Make ``instruments`` and ``instrument_periods`` again if a file of theirs is missing or damaged.

    They come from the state that the last build left in the ledger; without it, from all lists in Bronze. The caller
    holds their lock.
    """
    ledger = Ledger(warehouse.root, exchange, TABLES["instruments"])
    files = {name: SilverFiles(warehouse, exchange, TABLES[name]) for name in ("instrument_periods", "instruments")}
    found = [each.find() for each in files.values()]
    if not any(found):
        return RestoredListing(Report(), lost=False)
    state = ListingState.read(ledger)
    if state is None:
        record = Record(warehouse.root, parser_version=0)
        state = listings(warehouse, exchange, record, list_files(warehouse, exchange), excluded=ledger.excluded).state
    made = {"instrument_periods": state.periods.periods(None), "instruments": state.instruments()} if state.seen else {}
    for name, each in files.items():
        each.restore((), partial(_same_for_all_times, made.get(name)))
    problems = tuple(problem for each in files.values() for problem in each.problems)
    return RestoredListing(Report(problems=problems), lost=any(each.lost for each in files.values()))


def _same_for_all_times(rows: pl.DataFrame | None, _: Window) -> tuple[Candidate, ...]:
    return () if rows is None else (Candidate(rows),)


def restored_text(file: DataFile, problem: str, lacking: int) -> str:
    """Return what a report says of a Silver file that was missing or damaged."""
    if lacking == 0:
        return f"{file.path} {problem}: its {file.rows:,} rows are made again from Bronze"
    return (
        f"{file.path} {problem}, and Bronze lacks {lacking:,} or more of its {file.rows:,} rows, so it was not made "
        "again: restore it from a backup, restore the files that `cexkit bronze check` and `cexkit bronze retired` "
        f"list, or drop the rows with `cexkit rebuild {file.exchange} --table {file.table} --allow-loss "
        f"{file.table}:{file.exchange}`"
    )
