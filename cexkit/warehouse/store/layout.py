"""Where things lie: the only file that knows folders.

::

    <root>/manifest.json
    <root>/tables/<table>/exchange=<x>/year=<yyyy>/<digest>.parquet      Silver and Gold
    <root>/bronze/exchange=<x>/endpoint=<name>/date=<yyyy-mm-dd>/<run>-<part>.parquet
    <root>/bronze/exchange=<x>/archive/<hash>.zip                        archive files, as received
    <root>/quarantine/<table>/exchange=<x>/year=<yyyy>.parquet           rows that failed a check
    <root>/ledger/<table>/exchange=<x>.parquet                           Bronze files that Silver rows came from
    <root>/inventory/<table>/exchange=<x>.parquet                        spans that were read, and those without rows
    <root>/row_counts/<table>/exchange=<x>.json                          rows counted in Bronze, to save doing it again

A data file is named by its content and never changes once written; the manifest says which are current.
So a reader that holds an older manifest keeps reading whole files while newer ones are written.

Of a month that is not closed, a table with a file a month has several: days 1–7, 8–14, 15–21 and 22–end as far as these
are closed, and a file a day after them. All lie in the folder of their month; which is which says the period that the
manifest gives each: ``2026-06``, ``2026-06-08..14``, ``2026-06-23``.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import PurePosixPath

from cexkit.errors import InvalidInputError
from cexkit.schema import Table
from cexkit.schema.intervals import Window

MANIFEST = "manifest.json"
LOCK = ".manifest.lock"
TABLES = "tables"
BRONZE = "bronze"
QUARANTINE = "quarantine"
ROW_COUNTS = "row_counts"
LEDGER = "ledger"
INVENTORY = "inventory"
LOCKS = ".locks"
TEMPORARY = ".tmp-"
#: Folders that temporaries lie in, whatever depth their files go to; the first is the root.
WRITTEN = ("", TABLES, BRONZE, QUARANTINE, ROW_COUNTS, LEDGER, INVENTORY)

#: So long after its end a span may still be corrected by a venue; then it is closed, and its pieces are put together.
SETTLED = timedelta(days=2)

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]*")
_PLACE = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9_.:=-]*/)*[A-Za-z0-9][A-Za-z0-9_.:=-]*")
_DAY = timedelta(days=1)
_FORMAT = {"all": "all", "year": "%Y", "month": "%Y-%m", "week": "%Y-%m-%d", "day": "%Y-%m-%d"}
#: What a file of a table may hold, the largest first: months are written in pieces until they are closed.
_KINDS = {"all": ("all",), "year": ("year",), "month": ("month", "week", "day")}


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
        A month that is not closed by then lies in pieces; without it, all months are taken as closed.
    present : collection of str
        File periods that are there. What was put together is not taken apart again.

    Examples
    --------
    >>> from cexkit.schema import TABLES
    >>> from cexkit.schema.intervals import utc
    >>> period_of(TABLES["ohlcv_1m"], utc("2024-02-29")), period_of(TABLES["ohlcv_1h"], utc("2024-02-29"))
    ('2024-02', '2024')
    >>> now = utc("2024-02-19")
    >>> [period_of(TABLES["ohlcv_1m"], utc(day), now) for day in ("2024-01-31", "2024-02-09", "2024-02-16")]
    ['2024-01', '2024-02-08..14', '2024-02-16']
    """
    *coarser, finest = _KINDS[table.period]
    if moment is None:
        return "all"
    for kind in coarser:
        name, whole = _name(kind, moment), _span(kind, moment)
        if now is None or name in present or whole.end + SETTLED <= now:
            return name
    return _name(finest, moment)


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
    return _parsed(period)[1]


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
    kind, span = _parsed(period)
    if kind not in _KINDS[table.period]:
        raise InvalidInputError(f"{table.name} has one file per {table.period}; {period!r} names none")
    return span


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
    """
    if table.period == "all":
        return ["all"]
    found, moment = [], window.start
    while moment < window.end:
        found.append(period_of(table, moment, now, present))
        moment = period_window(table, found[-1]).end
    return found


def _name(kind: str, moment: datetime) -> str:
    if kind == "week":
        days = _span(kind, moment)
        return f"{days.start:%Y-%m-%d}..{(days.end - _DAY).day:02}"
    return moment.strftime(_FORMAT[kind])


def _span(kind: str, moment: datetime) -> Window:
    """The span of a kind that a moment falls in."""
    if kind == "all":
        return Window(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if kind == "day":
        return Window(day, day + _DAY)
    month = day.replace(day=1)
    next_month = (month + 31 * _DAY).replace(day=1)
    if kind == "month":
        return Window(month, next_month)
    if kind == "year":
        return Window(month.replace(month=1), month.replace(month=1, year=month.year + 1))
    first = min((day.day - 1) // 7, 3) * 7
    return Window(month + first * _DAY, next_month if first == 21 else month + (first + 7) * _DAY)


def _parsed(period: str) -> tuple[str, Window]:
    """Kind and span of a name; what is not spelled as :func:`_name` spells it is none."""
    for kind, form in _FORMAT.items():
        with suppress(ValueError):
            moment = datetime.strptime(period if kind != "week" else period[:-4], form).replace(tzinfo=UTC)
            if _name(kind, moment) == period:
                return kind, _span(kind, moment)
    raise InvalidInputError(
        f"not the name of a file period: {period!r}; such are 'all', '2024', '2024-05', '2024-05-08..14', '2024-05-23'"
    )


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


def quarantine_file(table: Table, exchange: str | None, period: str) -> PurePosixPath:
    """Place of the rows that failed a check; the pieces of a month share one."""
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


def count_file(table: Table, exchange: str) -> PurePosixPath:
    """Place of what was counted in the responses about a table; it saves counting again, and may be deleted."""
    return PurePosixPath(ROW_COUNTS, table.name, f"exchange={_part(exchange)}.json")


def ledger_file(table: Table, exchange: str) -> PurePosixPath:
    """Return the path of the ledger of a venue's table."""
    return PurePosixPath(LEDGER, table.name, f"exchange={_part(exchange)}.parquet")


def inventory_file(table: Table, exchange: str) -> PurePosixPath:
    """Return the path of the inventory of a venue's table."""
    return PurePosixPath(INVENTORY, table.name, f"exchange={_part(exchange)}.parquet")


def inventory_lock(table: Table, exchange: str) -> PurePosixPath:
    """Return the path of the lock of an inventory; the lock of the table is held while Silver is built."""
    return PurePosixPath(LOCKS, f"{INVENTORY}.{table.name}.{_part(exchange)}.lock")


def lock_file(table: Table, exchange: str | None) -> PurePosixPath:
    """Place of the lock that who rewrites a table of a venue holds."""
    return PurePosixPath(LOCKS, f"{table.name}.{_part(exchange or 'all')}.lock")


def archive_file(exchange: str, digest: str) -> PurePosixPath:
    """Place of one file of a venue's archive."""
    return bronze_venue(exchange) / "archive" / f"{_part(digest)}.zip"
