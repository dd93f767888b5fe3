"""Files of the loopback Binance's bulk archive: ``metrics``, labeled as the venue labels them.

A day's file holds the snapshots taken from 00:05 of that day to 00:00 of the next one, labeled with the time at which
they were taken through 2026-06-24, and with the time five minutes before it from 2026-06-25 on.
"""

from __future__ import annotations

import io
import re
import zipfile
from datetime import datetime, timedelta

import polars as pl

from cexkit.schema.intervals import utc

#: Path of the files, without the ending ``.CHECKSUM`` of their checksums.
METRICS = re.compile(r"/data/futures/um/daily/metrics/([^/]+)/\1-metrics-(\d{4}-\d{2}-\d{2})\.zip")
#: How long after the end of its day a file is published.
PUBLISHED_AFTER = timedelta(hours=8, minutes=30)
#: Day of the first file whose labels are the starts of five minutes.
LABELED_BY_START = utc("2026-06-25")

_STEP = timedelta(minutes=5)
_DAY = timedelta(days=1)
_COLUMNS = (
    "create_time,symbol,sum_open_interest,sum_open_interest_value,count_toptrader_long_short_ratio,"
    "sum_toptrader_long_short_ratio,count_long_short_ratio,sum_taker_long_short_vol_ratio"
)


def metrics_csv(rows: pl.DataFrame, venue_symbol: str, day: datetime) -> str | None:
    """Return the CSV of one day; None if no snapshot was taken.

    Parameters
    ----------
    rows : polars.DataFrame
        Hourly ``open_interest`` of the instrument. Between two adjacent hours, values change by the same amount every
        five minutes; rows next to a missing hour are left out.
    venue_symbol : str
        Binance's name of the instrument.
    day : datetime
        Midnight at which the file's day begins.
    """
    hours = {
        time: (base, quote or 0.0)
        for time, base, quote in rows.select("timestamp", "open_interest_base", "open_interest_quote").iter_rows()
    }
    lag = timedelta(0) if day < LABELED_BY_START else _STEP
    lines = []
    for taken in (day + number * _STEP for number in range(1, _DAY // _STEP + 1)):
        values = _at(hours, taken)
        if values is not None:
            lines.append(f"{taken - lag:%Y-%m-%d %H:%M:%S},{venue_symbol},{values[0]!r},{values[1]!r},1.2,1.4,1.1,1.5")
    return "\n".join([_COLUMNS, *lines, ""]) if lines else None


def zipped(text: str, name: str) -> bytes:
    """Return a zip of one file; the same text gives the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), text)
    return buffer.getvalue()


def _at(hours: dict[datetime, tuple[float, float]], taken: datetime) -> tuple[float, ...] | None:
    before = taken.replace(minute=0)
    if before == taken:
        return hours.get(taken)
    after = before + timedelta(hours=1)
    if before not in hours or after not in hours:
        return None
    part = (taken - before) / timedelta(hours=1)
    return tuple(start + (end - start) * part for start, end in zip(hours[before], hours[after], strict=True))
