"""Where things lie: the only file that knows folders.

::

    <root>/manifest.json
    <root>/tables/<table>/exchange=<x>/year=<yyyy>/<digest>.parquet      Silver and Gold
    <root>/bronze/exchange=<x>/endpoint=<name>/date=<yyyy-mm-dd>/<run>-<part>.parquet
    <root>/bronze/exchange=<x>/archive/<hash>.zip                        archive files, as received
    <root>/rejects/<table>/exchange=<x>/year=<yyyy>.parquet              rows that failed a check

A data file is named by its content and never changes once written; the manifest says which are current.
So a reader that holds an older manifest keeps reading whole files while newer ones are written.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import PurePosixPath

from cexkit.errors import InvalidInputError
from cexkit.intervals import Window
from cexkit.schema import Table

MANIFEST = "manifest.json"
LOCK = ".manifest.lock"
TABLES = "tables"
BRONZE = "bronze"
REJECTS = "rejects"
TEMPORARY = ".tmp-"

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]*")
_FORMAT = {"all": "all", "year": "%Y", "month": "%Y-%m"}


def _part(value: str) -> str:
    """A path component that can only ever be one component."""
    if not _SAFE.fullmatch(value):
        raise InvalidInputError(f"not usable in a path: {value!r}; letters, digits, '_', '.', ':' and '-' are")
    return value


def period_of(table: Table, moment: datetime | None) -> str:
    """Name of the file period that a moment falls in.

    Examples
    --------
    >>> from cexkit.schema import TABLES
    >>> from cexkit.intervals import utc
    >>> period_of(TABLES["ohlcv_1m"], utc("2024-02-29")), period_of(TABLES["ohlcv_1h"], utc("2024-02-29"))
    ('2024-02', '2024')
    """
    return "all" if table.period == "all" or moment is None else moment.strftime(_FORMAT[table.period])


def period_window(table: Table, period: str) -> Window:
    """The span of time that a file period covers.

    Examples
    --------
    >>> from cexkit.schema import TABLES
    >>> print(period_window(TABLES["ohlcv_1m"], "2024-12"))
    2024-12-01T00:00:00+00:00 … 2025-01-01T00:00:00+00:00
    """
    if table.period == "all":
        return Window(datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
    try:
        start = datetime.strptime(period, _FORMAT[table.period]).replace(tzinfo=UTC)
    except ValueError:
        raise InvalidInputError(f"{table.name} has one file a {table.period}; {period!r} names none") from None
    months = 12 if table.period == "year" else 1
    year, month = divmod(start.month - 1 + months, 12)
    return Window(start, start.replace(year=start.year + year, month=month + 1))


def periods(table: Table, window: Window) -> list[str]:
    """The file periods that a window touches, in order.

    Examples
    --------
    >>> from cexkit.schema import TABLES
    >>> periods(TABLES["ohlcv_1m"], Window.of("2024-11-30", "2025-01-01"))
    ['2024-11', '2024-12']
    """
    if table.period == "all":
        return ["all"]
    found, moment = [], window.start
    while moment < window.end:
        found.append(period_of(table, moment))
        moment = period_window(table, found[-1]).end
    return found


def _folders(table: Table, exchange: str | None, period: str) -> PurePosixPath:
    values = {"exchange": exchange, "year": period, "month": period}
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


def rejects_file(table: Table, exchange: str | None, period: str) -> PurePosixPath:
    """Place of the rows of one file period that failed a check."""
    folders = _folders(table, exchange, period)
    return PurePosixPath(REJECTS) / folders.parent / f"{folders.name}.parquet"


def bronze_file(exchange: str, endpoint: str, day: date, run: str, part: int) -> PurePosixPath:
    """Place of one file of answers as received."""
    return bronze_folder(exchange, endpoint) / f"date={day.isoformat()}" / f"{_part(run)}-{part:04d}.parquet"


def bronze_folder(exchange: str, endpoint: str) -> PurePosixPath:
    """Folder of all answers of one endpoint."""
    return PurePosixPath(BRONZE, f"exchange={_part(exchange)}", f"endpoint={_part(endpoint)}")


def archive_file(exchange: str, digest: str) -> PurePosixPath:
    """Place of one file of a venue's archive."""
    return PurePosixPath(BRONZE, f"exchange={_part(exchange)}", "archive", f"{_part(digest)}.zip")
