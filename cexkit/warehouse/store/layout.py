"""Where things lie: the only file that knows folders.

::

    <root>/manifest.json
    <root>/tables/<table>/exchange=<x>/year=<yyyy>/<digest>.parquet      Silver and Gold
    <root>/keys/<table>/exchange=<x>/<digest>.parquet                    key digests of the data file of that digest
    <root>/bronze/exchange=<x>/endpoint=<name>/date=<yyyy-mm-dd>/<run>-<part>.parquet
    <root>/bronze/exchange=<x>/archive/<hash>.zip                        archive files, as received
    <root>/bronze/sequence                                               number of the latest request
    <root>/quarantine/<table>/exchange=<x>/year=<yyyy>.parquet           rows that failed a check
    <root>/ledger/<table>/exchange=<x>/                                  Bronze responses that Silver rows came from
    <root>/inventory/<table>/exchange=<x>.parquet                        spans that were read, and those without rows
    <root>/checks/<table>/<digest>.arrows                                cached check results, to save time

A data file is named by its content and never changes once written; the manifest says which are current.
So a reader that holds an older manifest keeps reading whole files while newer ones are written.

A span is closed once its rows are no longer corrected. A month or year that is not closed lies in several files, so
that a day's refresh does not rewrite all of it:

- A month of a table with a file a month: days 1–7, 8–14, 15–21 and 22–end as far as these are closed, and a file a day
  after them. Their periods are such as ``2026-06-08..14`` and ``2026-06-23``, that of the month is ``2026-06``.
- A year of a table with a file a year, three files at most: the closed months (``2026-01..05``), the closed weeks of
  the month after them (``2026-06-01..14``), and the rest of the year (``2026-06-15..12-31``). The year is ``2026``.

All lie in the folder of their month or year; the manifest gives the period of each.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection
from datetime import date, datetime, timedelta
from pathlib import PurePosixPath

from cexkit.errors import InvalidInputError
from cexkit.schema import Table
from cexkit.schema.intervals import Window
from cexkit.warehouse.store.periods import name_at, parse, parts_of_year, span_at

MANIFEST = "manifest.json"
LOCK = ".manifest.lock"
TABLES = "tables"
KEYS = "keys"
BRONZE = "bronze"
SEQUENCE = PurePosixPath(BRONZE, "sequence")
QUARANTINE = "quarantine"
CHECKS = "checks"
LEDGER = "ledger"
INVENTORY = "inventory"
LOCKS = ".locks"
#: What earlier versions wrote and nothing reads any more.
OUTDATED = ("row_counts", "ledger/*/exchange=*.parquet", "bronze/exchange=*/endpoint=inventory.*")
#: Folder in which a rebuild is made beside the present state.
REBUILD = ".rebuild"
TEMPORARY = ".tmp-"
#: Folders that temporaries lie in, whatever depth their files go to; the first is the root.
WRITTEN = ("", TABLES, KEYS, BRONZE, QUARANTINE, CHECKS, LEDGER, INVENTORY)

#: So long after its end a span may still be corrected by a venue; then it is closed.
SETTLED = timedelta(days=2)

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]*")
_PLACE = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9_.:=-]*/)*[A-Za-z0-9][A-Za-z0-9_.:=-]*")
#: Kinds of periods that files of a table may have. Months and years are in pieces until they are closed.
_KINDS = {
    "all": ("all",),
    "year": ("year", "year_to_date", "month_to_date", "rest_of_year"),
    "month": ("month", "week", "day"),
}


def _part(value: str) -> str:
    """A path component that can only ever be one component."""
    if not _SAFE.fullmatch(value):
        raise InvalidInputError(f"not usable in a path: {value!r}; letters, digits, '_', '.', ':' and '-' are")
    return value


def inside(path: str) -> str:
    """The same path, if it can only lie below the root of its dataset; a manifest from elsewhere may say anything.

    Raises
    ------
    InvalidInputError
        If it could lead out of the dataset or mean several files: absolute, ``..``, a URL, a wildcard, a NUL.

    Examples
    --------
    >>> inside("tables/ohlcv_1m/exchange=okx/month=2024-01/0a1b2c3d4e5f.parquet")[:15]
    'tables/ohlcv_1m'
    >>> inside("tables/../../etc/passwd")
    Traceback (most recent call last):
    cexkit.errors.InvalidInputError: not a path inside a dataset: 'tables/../../etc/passwd'
    """
    if not _PLACE.fullmatch(path):
        raise InvalidInputError(f"not a path inside a dataset: {path!r}")
    return path


def period_of(table: Table, moment: datetime | None, now: datetime | None = None, present: Collection[str] = ()) -> str:
    """Name of the file period that a moment falls in.

    Parameters
    ----------
    table : Table
        The declaration.
    moment : datetime or None
        A time of a row.
    now : datetime, optional
        A month or year that is not closed by then lies in pieces; without it, all are taken as closed.
    present : collection of str
        File periods that are there. A moment in one of them belongs to it, even if its week or month is closed by now:
        what is together is not taken apart, and only compaction moves the boundaries of pieces.

    Examples
    --------
    >>> from cexkit.schema import TABLES
    >>> from cexkit.schema.intervals import utc
    >>> period_of(TABLES["ohlcv_1m"], utc("2024-02-29")), period_of(TABLES["ohlcv_1h"], utc("2024-02-29"))
    ('2024-02', '2024')
    >>> now = utc("2024-02-19")
    >>> [period_of(TABLES["ohlcv_1m"], utc(day), now) for day in ("2024-01-31", "2024-02-09", "2024-02-16")]
    ['2024-01', '2024-02-08..14', '2024-02-16']
    >>> [period_of(TABLES["ohlcv_1h"], utc(day), now) for day in ("2024-01-31", "2024-02-09", "2024-02-16")]
    ['2024-01..01', '2024-02-01..14', '2024-02-15..12-31']
    >>> period_of(TABLES["ohlcv_1h"], utc("2024-02-09"), now, ["2024-02-08..12-31"])
    '2024-02-08..12-31'
    """
    if moment is None or table.period == "all":
        return "all"
    if table.period == "year":
        return _part_of_year(moment, now, present)
    *coarser, finest = _KINDS["month"]
    for kind in coarser:
        name, whole = name_at(kind, moment), span_at(kind, moment)
        if now is None or name in present or whole.end + SETTLED <= now:
            return name
    return name_at(finest, moment)


def _part_of_year(moment: datetime, now: datetime | None, present: Collection[str]) -> str:
    if now is None:
        return name_at("year", moment)
    year = span_at("year", moment)
    there = _within(year, present)
    cut = _present_cut(there, year) if there else _closed_cut(year, now)
    return next(name for name in parts_of_year(year, cut) if moment in span_of(name))


def _closed_cut(year: Window, now: datetime) -> datetime:
    """Return the end of the last week of a year that is closed, or the start of the year."""
    settled = now - SETTLED
    return year.start if settled < year.start else min(span_at("week", settled).start, year.end)


def _within(year: Window, present: Collection[str]) -> list[Window]:
    """Return the spans of the pieces of a year."""
    return [span_of(period) for period in present if contains(year, period)]


def _present_cut(spans: Collection[Window], year: Window) -> datetime:
    """Return where the rest of a year begins, by the pieces that are there; a year in one file is all rest."""
    return max(span.start if span.end == year.end else span.end for span in spans)


def moved(table: Table, present: Collection[str], now: datetime) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return which present file periods are to be replaced by which ones, because more is closed by now.

    Nothing is taken apart but the running year that is in one file, and the rest of a year.

    Examples
    --------
    >>> from cexkit.schema import TABLES
    >>> from cexkit.schema.intervals import utc
    >>> moved(TABLES["ohlcv_1h"], ["2025", "2026-01..05", "2026-06-01..12-31"], utc("2026-06-10"))
    [(('2026-06-01..12-31',), ('2026-06-01..07', '2026-06-08..12-31'))]
    >>> moved(TABLES["ohlcv_1m"], ["2026-05", "2026-06-01", "2026-06-02"], utc("2026-06-10"))
    [(('2026-06-01', '2026-06-02'), ('2026-06-01..07',))]
    """
    targets = defaultdict(list)
    for period in sorted(present):
        targets[_targets(table, period, present, now)].append(period)
    left = {new: [period for period in old if period not in new] for new, old in targets.items()}
    return [(tuple(old), tuple(name for name in new if name not in targets[new])) for new, old in left.items() if old]


def _targets(table: Table, period: str, present: Collection[str], now: datetime) -> tuple[str, ...]:
    """Return the file periods that the month or year of a present one is to have."""
    span = span_of(period)
    if table.period != "year":
        name = period_of(table, span.start, now)
        return (period if contains(span, name) else name,)
    year = span_at("year", span.start)
    return parts_of_year(year, max(_closed_cut(year, now), _present_cut(_within(year, present), year)))


def span_of(period: str) -> Window:
    """The span of time that the name of a file period means.

    Raises
    ------
    InvalidInputError
        If it is no such name.

    Examples
    --------
    >>> print(span_of("2024-02-22..29"))
    2024-02-22T00:00:00+00:00 … 2024-03-01T00:00:00+00:00
    """
    return next(iter(parse(period).values()))


def contains(span: Window, period: str) -> bool:
    """Whether a file of a period lies in a span."""
    inner = span_of(period)
    return span.start <= inner.start and inner.end <= span.end


def period_window(table: Table, period: str) -> Window:
    """The span of time that a file period covers.

    Raises
    ------
    InvalidInputError
        If files of the table have no such period.

    Examples
    --------
    >>> from cexkit.schema import TABLES
    >>> print(period_window(TABLES["ohlcv_1m"], "2024-12"))
    2024-12-01T00:00:00+00:00 … 2025-01-01T00:00:00+00:00
    """
    spans = parse(period)
    kind = next((kind for kind in _KINDS[table.period] if kind in spans), None)
    if kind is None:
        raise InvalidInputError(f"{table.name} has one file per {table.period}; {period!r} names none")
    return spans[kind]


def periods(table: Table, window: Window, now: datetime | None = None, present: Collection[str] = ()) -> list[str]:
    """The file periods that a window touches, in order; ``now`` and ``present`` as for :func:`period_of`.

    Examples
    --------
    >>> from cexkit.schema import TABLES
    >>> periods(TABLES["ohlcv_1m"], Window.of("2024-11-30", "2025-01-01"))
    ['2024-11', '2024-12']
    >>> from cexkit.schema.intervals import utc
    >>> periods(TABLES["ohlcv_1m"], Window.of("2024-11-30", "2024-12-12"), utc("2024-12-12"))
    ['2024-11', '2024-12-01..07', '2024-12-08', '2024-12-09', '2024-12-10', '2024-12-11']
    >>> periods(TABLES["ohlcv_1h"], Window.of("2023-11-30", "2024-12-12"), utc("2024-12-12"))
    ['2023', '2024-01..11', '2024-12-01..07', '2024-12-08..12-31']
    """
    if table.period == "all":
        return ["all"]
    found, moment = [], window.start
    while moment < window.end:
        found.append(period_of(table, moment, now, present))
        moment = period_window(table, found[-1]).end
    return found


def _folders(table: Table, exchange: str | None, period: str) -> PurePosixPath:
    values = {"exchange": exchange, "year": period[:4], "month": period[:7]}
    return PurePosixPath(table.name, *(f"{key}={_part(str(values[key]))}" for key in table.partitions))


def data_file(table: Table, exchange: str | None, period: str, digest: str) -> PurePosixPath:
    """Place of a data file below the root.

    Examples
    --------
    >>> from cexkit.schema import TABLES
    >>> str(data_file(TABLES["funding_rates"], "binance", "2023", "0a1b2c3d4e5f6071"))
    'tables/funding_rates/exchange=binance/year=2023/0a1b2c3d4e5f.parquet'
    """
    return PurePosixPath(TABLES) / _folders(table, exchange, period) / f"{_part(digest)[:12]}.parquet"


def keys_file(table: str, exchange: str | None, digest: str) -> PurePosixPath:
    """Return the path of the key digests of a data file, given the digest of that file.

    Examples
    --------
    >>> str(keys_file("funding_rates", "binance", "0a1b2c3d4e5f6071"))
    'keys/funding_rates/exchange=binance/0a1b2c3d4e5f.parquet'
    """
    folders = () if exchange is None else (f"exchange={_part(exchange)}",)
    return PurePosixPath(KEYS, _part(table), *folders, f"{_part(digest)[:12]}.parquet")


def quarantine_file(table: Table, exchange: str | None, period: str) -> PurePosixPath:
    """Place of the rows that failed a check; the pieces of a month or year share one."""
    folders = _folders(table, exchange, period)
    return PurePosixPath(QUARANTINE) / folders.parent / f"{folders.name}.parquet"


def bronze_file(exchange: str, endpoint: str, day: date, run: str, part: int) -> PurePosixPath:
    """Place of one file of responses as received."""
    return bronze_folder(exchange, endpoint) / f"date={day.isoformat()}" / f"{_part(run)}-{part:04d}.parquet"


def bronze_folder(exchange: str, endpoint: str) -> PurePosixPath:
    """Folder of all responses of one endpoint."""
    return bronze_venue(exchange) / f"endpoint={_part(endpoint)}"


def bronze_venue(exchange: str) -> PurePosixPath:
    """Folder of all responses of a venue."""
    return PurePosixPath(BRONZE, f"exchange={_part(exchange)}")


def ledger_folder(table: Table, exchange: str) -> PurePosixPath:
    """Return the folder of the ledger of a venue's table."""
    return PurePosixPath(LEDGER, table.name, f"exchange={_part(exchange)}")


def earlier_ledger_file(table: Table, exchange: str) -> PurePosixPath:
    """Return the path of the ledger of a venue's table in storage version 1."""
    folder = ledger_folder(table, exchange)
    return folder.with_name(f"{folder.name}.parquet")


def check_folder(table: Table) -> PurePosixPath:
    """Return the folder of a table's cached check results, see :func:`check_file`."""
    return PurePosixPath(CHECKS, table.name)


def check_file(table: Table, digest: str) -> PurePosixPath:
    """Return the path of a cached check result; only speed is lost if it is deleted.

    Examples
    --------
    >>> from cexkit.schema import TABLES
    >>> str(check_file(TABLES["funding_rates"], "0a1b2c3d4e5f60718293"))
    'checks/funding_rates/0a1b2c3d4e5f6071.arrows'
    """
    return check_folder(table) / f"{_part(digest)[:16]}.arrows"


def received_on(path: str) -> str:
    """Return the day on which the responses of a Bronze file were received.

    Examples
    --------
    >>> received_on("bronze/exchange=okx/endpoint=v5.candles/date=2026-06-23/20260623T000000-0000.parquet")
    '2026-06-23'
    """
    return PurePosixPath(path).parent.name.removeprefix("date=")


def inventory_file(table: Table, exchange: str) -> PurePosixPath:
    """Return the path of the inventory of a venue's table."""
    return PurePosixPath(INVENTORY, table.name, f"exchange={_part(exchange)}.parquet")


def inventory_lock(table: Table, exchange: str) -> PurePosixPath:
    """Return the path of the lock of an inventory; the lock of the table is held while Silver is built."""
    return PurePosixPath(LOCKS, f"{INVENTORY}.{table.name}.{_part(exchange)}.lock")


def lock_file(table: Table, exchange: str | None) -> PurePosixPath:
    """Place of the lock that who rewrites a table of a venue holds."""
    return PurePosixPath(LOCKS, f"{table.name}.{_part(exchange or 'all')}.lock")


def ledger_lock(table: Table, exchange: str) -> PurePosixPath:
    """Return the path of the lock that is held while a ledger is read and written."""
    return PurePosixPath(LOCKS, f"{table.name}.{_part(exchange)}.ledger.lock")


def archive_file(exchange: str, digest: str) -> PurePosixPath:
    """Place of one file of a venue's archive."""
    return bronze_venue(exchange) / "archive" / f"{_part(digest)}.zip"
