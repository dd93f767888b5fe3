"""Rebuild: a venue's Silver built from all of Bronze, and compared with the present rows before it replaces them."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath

import polars as pl

from cexkit.errors import DamagedFileError, DataLossError
from cexkit.schema import TABLES, Table
from cexkit.schema.intervals import Window
from cexkit.schema.validate import split
from cexkit.warehouse.ingest.completeness import common
from cexkit.warehouse.ingest.dropped import LostFile, is_allowed, keys_text, require_known
from cexkit.warehouse.ingest.region import Region
from cexkit.warehouse.ingest.replay import LOST_ACTION
from cexkit.warehouse.ingest.report import Problem
from cexkit.warehouse.ingest.restore import restored_text
from cexkit.warehouse.ingest.silver import build_silver
from cexkit.warehouse.store import layout
from cexkit.warehouse.store.data_files import damaged_files, lacking_keys, stored_digests
from cexkit.warehouse.store.inventory import Inventory
from cexkit.warehouse.store.inventory_entries import Key
from cexkit.warehouse.store.ledger import EXCLUDED, Ledger
from cexkit.warehouse.store.manifest import DataFile
from cexkit.warehouse.store.parquet import locked
from cexkit.warehouse.store.rows import within
from cexkit.warehouse.store.warehouse import Warehouse

#: What a user does about a file whose rows a rebuild lacks.
ABSENT_ACTION = "a rebuild lacks its rows; restore it, or run `cexkit bronze retire` on it to keep them"


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild changes in a table of a venue. ``str`` of it is a line.

    Attributes
    ----------
    exchange, table : str
        Whose table.
    rows : int
        Rows after the rebuild.
    added, changed : int
        Keys that are new, and keys whose other columns differ.
    lost : polars.DataFrame
        Present keys that would be gone.
    problems : tuple of Problem
        What is wrong with Bronze, and files of Silver that are missing or damaged.
    lost_files : tuple of LostFile
        Files of Silver that are missing or damaged, if Bronze lacks rows of them.
    allowed : bool
        True if ``allow_loss`` names the table.
    """

    exchange: str
    table: str
    rows: int
    added: int
    changed: int
    lost: pl.DataFrame
    problems: tuple[Problem, ...] = ()
    lost_files: tuple[LostFile, ...] = ()
    allowed: bool = False

    @property
    def lost_keys(self) -> int:
        """Number of present keys that would be gone, at least."""
        return self.lost.height + sum(file.keys for file in self.lost_files)

    @property
    def lost_text(self) -> str:
        """Instruments and times of these keys."""
        parts = [keys_text(self.lost, TABLES[self.table])] if self.lost.height else []
        return "; ".join([*parts, *map(str, self.lost_files)])

    def __str__(self) -> str:
        parts = f"{self.added:,} added, {self.changed:,} changed, {self.lost_keys:,} lost"
        return f"{self.exchange} {self.table}: {self.rows:,} rows, {parts}"


def rebuild(
    warehouse: Warehouse,
    exchange_name: str,
    tables: Sequence[Table],
    *,
    dry_run: bool = False,
    allow_loss: str | Collection[str] = (),
    now: datetime | None = None,
) -> list[Rebuilt]:
    """Make Silver tables of a venue from all of Bronze, as if nothing had been built before.

    It is what incremental builds equal. Run it after an upgrade whose parsers give other rows, or to find out whether
    Bronze still holds all that Silver has. Everything is built in a separate folder first; a table is replaced only if
    no key would be lost. Rows of retired files are kept as Silver holds them. A present file that is missing or
    damaged is a problem; it is replaced if Bronze gives all of its keys.

    Parameters
    ----------
    warehouse : Warehouse
        Holds Bronze and gets Silver.
    exchange_name : str
        Venue.
    tables : sequence of Table
        Silver tables. ``instruments`` and ``instrument_periods`` are rebuilt together.
    dry_run : bool
        Only report what would change.
    allow_loss : str or collection of str
        Tables of which keys may be lost: ``"ohlcv_1h"``, or of one venue ``"ohlcv_1h:okx"``.
    now : datetime, optional
        Time that decides which files are closed; default: now.

    Returns
    -------
    list of Rebuilt
        One per table.

    Raises
    ------
    UnknownNameError, InvalidInputError
        If ``allow_loss`` names an unknown table or venue, or has another form.
    DataLossError
        If keys of a table would be lost that is not in ``allow_loss``; nothing of any table is changed then.

    Examples
    --------
    >>> import tempfile
    >>> rebuild(Warehouse(tempfile.mkdtemp()), "okx", [TABLES["ohlcv_1h"]])[0].rows
    0
    """
    require_known(allow_loss)
    moment = now or datetime.now(UTC)
    listing = TABLES["instruments"]
    tables = _with_companions(tables)
    with _beside(warehouse) as scratch:
        done = []
        for table in [listing, *(table for table in tables if table != listing)]:
            _copy_what_bronze_lacks(warehouse, scratch, exchange_name, table)
            report = build_silver(scratch, exchange_name, table, now=moment)
            if table in tables:
                allowed = is_allowed(allow_loss, table.name, exchange_name)
                problems = _worded(Ledger(warehouse.root, exchange_name, table), report.problems, allowed=allowed)
                one = _compared(warehouse, scratch, exchange_name, table, problems)
                done.append(replace(one, allowed=allowed))
        refused = [one for one in done if one.lost_keys and not one.allowed]
        if dry_run:
            return done
        if refused:
            raise DataLossError(_refusal(refused))
        for table in tables:
            _take_over(warehouse, scratch, exchange_name, table)
        for one in done:
            _request_again(warehouse, one)
    return done


def _with_companions(tables: Sequence[Table]) -> list[Table]:
    """Return the tables, and those that are made from the same responses as one of them."""
    made = {table.made_with or table.name for table in tables}
    together = [table for table in TABLES.values() if (table.made_with or table.name) in made]
    return [*tables, *(table for table in together if table not in tables)]


def _worded(ledger: Ledger, problems: Iterable[Problem], *, allowed: bool) -> tuple[Problem, ...]:
    """Return the problems of a rebuild, which lacks the rows of files that are missing or damaged.

    It also names the missing files, unless their loss is ``allowed``. The build itself reports files that it could not
    use.
    """
    missing = [
        Problem(ledger.exchange, ledger.table.name, None, file.span, f"{file.problem}: {ABSENT_ACTION}")
        for file in ([] if allowed else ledger.lost)
        if not (ledger.root / file.path).exists()
    ]
    worded = [replace(each, message=each.message.replace(LOST_ACTION, ABSENT_ACTION)) for each in problems]
    return tuple(dict.fromkeys([*missing, *worded]))


def _refusal(refused: Sequence[Rebuilt]) -> str:
    lost = "; ".join(f"{one.exchange} {one.table}: {one.lost_text}" for one in refused)
    options = " ".join(f"--allow-loss {one.table}:{one.exchange}" for one in refused)
    return (
        f"Bronze must hold every key of Silver, got keys that it lacks: {lost}. Nothing was changed. Restore the files "
        "that `cexkit bronze check` names, mark those that were removed on purpose with `cexkit bronze retire`, or add "
        f"{options} to drop these keys"
    )


@contextmanager
def _beside(warehouse: Warehouse) -> Iterator[Warehouse]:
    """Yield an empty warehouse that reads the same Bronze; what an earlier, killed rebuild left is deleted."""
    place = warehouse.root / layout.REBUILD
    with locked(warehouse.root / layout.LOCKS / "rebuild.lock"):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        bronze = warehouse.root / layout.BRONZE
        if bronze.is_dir():
            (place / layout.BRONZE).symlink_to(bronze.resolve(), target_is_directory=True)
        try:
            yield Warehouse(place)
        finally:
            shutil.rmtree(place, ignore_errors=True)


def _copy_what_bronze_lacks(warehouse: Warehouse, scratch: Warehouse, exchange_name: str, table: Table) -> None:
    """Give an empty warehouse the rules that people made, and the rows that retired files gave."""
    before, ledger = (Ledger(one.root, exchange_name, table) for one in (warehouse, scratch))
    ledger.set_rules(EXCLUDED, before.rules.filter(rule=EXCLUDED).to_dicts())
    ledger.copy_responses(before)  # so that the build notices if a file has others now
    retired = before.files.filter(pl.col("retired"), pl.col("state") != "other")
    if retired.is_empty():
        return
    days = [before.responses(day) for day in before.response_days]
    archives = [PurePosixPath(path).stem for path in retired["path"] if not path.endswith(".parquet")]
    is_retired = pl.col("path").is_in(retired["path"].implode()) | pl.col("sha256").is_in(archives)
    responses = pl.concat(days).filter(is_retired)
    region = None if table.time is None else _region(responses)
    for other in (one for one in TABLES.values() if one.made_with == table.name):
        _copy_rows(warehouse, scratch, exchange_name, other, region)
    kept = _copy_rows(warehouse, scratch, exchange_name, table, region)
    ledger.record(retired.iter_rows(named=True), responses.iter_rows(named=True), kept)


def _region(responses: pl.DataFrame) -> Region:
    """Return the instruments and times that responses in a ledger can hold rows of."""
    rows = responses.select("instrument_type", "symbol", "start", "end").iter_rows()
    return Region((None if symbol is None else (kind, symbol), Window(start, end)) for kind, symbol, start, end in rows)


def _copy_rows(
    warehouse: Warehouse, scratch: Warehouse, exchange_name: str, table: Table, region: Region | None
) -> dict[str, int]:
    """Copy rows of a region, or all, between warehouses; return how many by day."""
    days: dict[str, int] = {}
    damaged = {file.path for file, _ in _damaged(warehouse, exchange_name, table)}
    for period in _periods(warehouse, scratch, exchange_name, table):
        rows = _rows(warehouse, exchange_name, table, period, damaged)
        rows = rows if region is None else rows.filter(region.contains(rows))
        good, quarantined = split(rows, table)
        scratch.write_quarantine(table, exchange_name, period, quarantined.to_arrow())
        scratch.replace(table, exchange_name, [period], good.to_arrow())
        day = pl.lit("all") if table.time is None else pl.col(table.time).dt.strftime("%Y-%m-%d")
        days |= dict(rows.group_by(day.alias("day")).len().iter_rows())
    return days


def _request_again(warehouse: Warehouse, done: Rebuilt) -> None:
    """Let the next run request the days of dropped keys: the inventory says that they were read."""
    table = TABLES[done.table]
    if table.time is None or not done.lost_keys:
        return
    inventory = Inventory(warehouse.root, done.exchange, table)
    days = done.lost.select(*Key._fields, pl.col(table.time).dt.truncate("1d")).unique()
    for kind, symbol, day in days.iter_rows():
        inventory.forget(Key(kind, symbol), Window(day, day + timedelta(days=1)))
    for lost in done.lost_files:
        period = layout.period_window(table, lost.file.period)
        for group in lost.lacking:
            keys = inventory.keys if group is None else [Key(*group.instrument[1:])]
            span = period if group is None else common(period, layout.span_of(group.month))
            for key in keys:
                inventory.forget(key, span)
    inventory.flush()


def _compared(
    warehouse: Warehouse, scratch: Warehouse, exchange_name: str, table: Table, problems: tuple[Problem, ...]
) -> Rebuilt:
    """Compare both states of a table, file period by file period."""
    lost, added, changed, rows = [], 0, 0, 0
    damaged = _damaged(warehouse, exchange_name, table)
    without = {file.path for file, _ in damaged}
    for period in _periods(warehouse, scratch, exchange_name, table):
        before, after = (_rows(one, exchange_name, table, period, without) for one in (warehouse, scratch))
        lost.append(before.join(after, on=table.key, how="anti").select(table.key))
        added += after.join(before, on=table.key, how="anti").height
        both = before.join(after, on=table.key, how="semi").sort(table.key)
        same = after.join(before, on=table.key, how="semi").sort(table.key)
        changed += int((both.hash_rows() != same.hash_rows()).sum())
        rows += after.height
    empty = pl.DataFrame(schema=dict.fromkeys(table.key, pl.String))
    keys = pl.concat(lost) if lost else empty
    found = [_lost_file(warehouse, scratch, table, file, problem) for file, problem in damaged]
    for file in (file for file in found if not file.keys):
        text = restored_text(file.file, file.problem, lacking=0)
        problems = (*problems, Problem(exchange_name, table.name, None, None, text))
    incomplete = tuple(file for file in found if file.keys)
    return Rebuilt(exchange_name, table.name, rows, added, changed, keys, problems, incomplete)


def _damaged(warehouse: Warehouse, exchange_name: str, table: Table) -> list[tuple[DataFile, str]]:
    """Return the files of a venue's table that are missing or damaged, and what is wrong with each."""
    return list(damaged_files(warehouse.root, warehouse.manifest.select(table.name, exchanges=[exchange_name])))


def _lost_file(warehouse: Warehouse, scratch: Warehouse, table: Table, file: DataFile, problem: str) -> LostFile:
    span = None if table.time is None else layout.period_window(table, file.period)
    comparable = not Ledger(warehouse.root, file.exchange, table).absent(span)
    good, digests = scratch.read(table, exchange=file.exchange, span=span), stored_digests(warehouse.root, file, table)
    lacking = lacking_keys(good, table, file, digests, comparable=comparable)
    if lacking and span is not None:  # rows that a check or an end of now quarantines are not lost
        periods = layout.periods(table, span)
        rows = pl.concat([_rows(scratch, file.exchange, table, period) for period in periods]).to_arrow()
        others = lacking_keys(within(rows, table, span), table, file, digests, comparable=comparable)
        lacking = min(lacking, others, key=lambda each: sum(each.values()))
    return LostFile(file, problem, lacking)


def _periods(warehouse: Warehouse, scratch: Warehouse, exchange_name: str, table: Table) -> list[str]:
    """Return the closed periods (years, months, or all) that either of them has rows of."""
    spans = [
        layout.span_of(file.period)
        for one in (warehouse, scratch)
        for file in one.manifest.select(table.name, exchanges=[exchange_name])
    ]
    return sorted({period for span in spans for period in layout.periods(table, span)})


def _rows(
    warehouse: Warehouse, exchange_name: str, table: Table, period: str, without: Collection[str] = ()
) -> pl.DataFrame:
    """Return the rows of a period in files that can be read, quarantined ones too: they are not lost."""
    span = None if table.time is None else layout.period_window(table, period)
    rows = pl.from_arrow(warehouse.read(table, exchange=exchange_name, span=span, without=without))
    with suppress(DamagedFileError):  # it holds rows that failed a check, and is written again
        quarantined = pl.from_arrow(warehouse.quarantine(table, exchange_name, period)).select(rows.columns)
        return pl.concat([rows, quarantined], how="vertical_relaxed")
    return rows


def _take_over(warehouse: Warehouse, scratch: Warehouse, exchange_name: str, table: Table) -> None:
    """Put the rebuilt files of a table in place of the present ones, and then their ledger.

    Until the ledger is there, all responses are pending in the present one, so that a run after a kill merges them all.
    """
    if table.made_with is not None:  # it has no ledger of its own
        warehouse.adopt(scratch, table, exchange_name)
        return
    with warehouse.exclusive(table, exchange_name):
        ledger = Ledger(warehouse.root, exchange_name, table)
        ledger.reset()
        warehouse.adopt(scratch, table, exchange_name)
        for period in _periods(warehouse, scratch, exchange_name, table):
            quarantined = scratch.quarantine(table, exchange_name, period)
            warehouse.write_quarantine(table, exchange_name, period, quarantined)
        ledger.record_silver(warehouse.manifest.state_of(table.name, exchange_name))
        ledger.adopt(Ledger(scratch.root, exchange_name, table))
