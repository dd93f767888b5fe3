"""Binance's bulk archive, the practical way to years of history.

Facts that shape it, each of which has made somebody's numbers wrong:

- files of futures have no header line before about 2023 and one after; the line itself shows which;
- spot files are in microseconds from 2025 on, all others in milliseconds; the magnitude of each time shows which;
- a quarter of the ``metrics`` files have a blank cell, often in a row of five minutes that is not kept;
- ``fundingRate`` files are monthly only and say the interval of every settlement, unlike the API;
- ``metrics`` files are daily only, of 5 minutes, and fill gaps with zeros. The file of a day holds the snapshots taken
  from 00:05 of that day to 00:00 of the next one. Files up to 2026-06-24 label each with the time at which it was
  taken, later ones with the time five minutes before it. So both 2026-06-24 and 2026-06-25 have a row labeled
  2026-06-25 00:00, and only the former was taken then (https://github.com/binance/binance-public-data/issues/491).
  Whether the labels of the API changed as well is not known.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cexkit.errors import PayloadError
from cexkit.exchanges.archives import Archive, Density, Period
from cexkit.exchanges.csv_rows import number, read_csv, time
from cexkit.exchanges.dated import Dated
from cexkit.exchanges.facts import STAMPED_LATE, facts
from cexkit.exchanges.parsing import Context
from cexkit.exchanges.rows import Rows, check_grid, check_same
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window, to_timedelta, utc
from cexkit.schema.symbols import Instrument

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

_DAY = timedelta(days=1)
#: Day of the first ``metrics`` file whose labels are the starts of five minutes.
LABELED_BY_START = utc("2026-06-25")
#: How long after its label a row of a ``metrics`` file was taken, by its day in the file.
METRICS_LAG = Dated(timedelta(0), ((LABELED_BY_START, timedelta(minutes=5)),))


_KLINE = (
    "open_time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "close_time",
    "quote_volume",
    "count",
    "taker_buy_volume",
    "taker_buy_quote_volume",
    "ignore",
)
_FUNDING = ("calc_time", "funding_interval_hours", "last_funding_rate")
_METRICS = (
    "create_time",
    "symbol",
    "sum_open_interest",
    "sum_open_interest_value",
    "count_toptrader_long_short_ratio",
    "sum_toptrader_long_short_ratio",
    "count_long_short_ratio",
    "sum_taker_long_short_vol_ratio",
)


def parse_klines(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Bars of a ``klines``, ``markPriceKlines`` or ``indexPriceKlines`` file."""
    import polars as pl

    cells, rows = read_csv(endpoint, body, _KLINE, filler="ignore")
    bar, opened, closed = (
        to_timedelta(context.interval),
        *(time(cells, rows, name) for name in ("open_time", "close_time")),
    )
    _check_length(rows, closed - opened, bar)
    check_grid(rows, "open_time", opened.dt.epoch("ms").to_arrow(), bar)
    columns: dict[str, Any] = {name: number(cells, rows, name).to_arrow() for name in ("open", "high", "low", "close")}
    if "volume_base" in TABLES[context.table].columns:
        columns |= {
            "volume_base": number(cells, rows, "volume").to_arrow(),
            "volume_quote": number(cells, rows, "quote_volume").to_arrow(),
            "trades": number(cells, rows, "count", pl.Int64).to_arrow(),
            "taker_buy_volume_base": number(cells, rows, "taker_buy_volume").to_arrow(),
            "taker_buy_volume_quote": number(cells, rows, "taker_buy_quote_volume").to_arrow(),
        }
    finished = opened + (bar + STAMPED_LATE) <= context.now
    return facts(context, columns | {"timestamp": opened.to_arrow()}, finished.to_arrow(), rows)


def _check_length(rows: Rows, lengths: pl.Series, bar: timedelta) -> None:
    """Quarantine bars longer than the interval; refuse a file of bars of another one. An outage shortens a few."""
    shortest, longest = lengths.min(), lengths.max()
    if longest is not None and (shortest > bar or longest <= bar - timedelta(seconds=1)):
        raise PayloadError(rows.endpoint, f"bars of {longest} where {bar} are expected", field="close_time")
    bad = (lengths > bar) | (lengths < timedelta(0))
    rows.mark(bad.to_arrow(), "close_time", lambda place: f"a bar of {lengths[place]} where {bar} are expected")


def parse_funding(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Settlements of a ``fundingRate`` file, each with its own interval."""
    cells, rows = read_csv(endpoint, body, _FUNDING)
    raw = time(cells, rows, "calc_time")
    return facts(
        context,
        {
            "timestamp": raw.dt.round("1m").to_arrow(),
            "funding_rate": number(cells, rows, "last_funding_rate").to_arrow(),
            "funding_interval_hours": number(cells, rows, "funding_interval_hours").to_arrow(),
            "venue_timestamp": raw.to_arrow(),
        },
        rows=rows,
    )


def parse_metrics(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Open interest of a ``metrics`` file, the snapshots at full hours; zeros fill gaps and are none."""
    cells, rows = read_csv(endpoint, body, _METRICS)
    check_same(rows, "symbol", cells["symbol"].to_arrow(), context.instrument.venue_symbol)
    labels = _labels(cells["create_time"])
    rows.mark(labels.is_null().to_arrow(), "create_time", lambda place: f"not a time: {cells['create_time'][place]!r}")
    around = labels.is_between(context.window.start - _DAY, context.window.end)
    first = labels.filter(around).min()
    times = labels if first is None else _taken_at(labels, _file_day(first, context.window))
    base, quote = (number(cells, rows, name) for name in ("sum_open_interest", "sum_open_interest_value"))
    return facts(
        replace(context, window=_metrics_window(context)),
        {
            "timestamp": times.to_arrow(),
            "open_interest_base": base.to_arrow(),
            "open_interest_quote": quote.to_arrow(),
        },
        ((times.dt.truncate("1h") == times) & (base != 0).fill_null(value=True)).to_arrow(),
        rows,
    )


def _labels(cells: pl.Series) -> pl.Series:
    """Return labels of snapshots, which are whole seconds; some are written with a fraction, or as ISO 8601."""
    plain = cells.str.replace("T", " ", literal=True).str.strip_suffix("Z")
    found = plain.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", time_zone="UTC", strict=False)
    return found.dt.round("1s")


def _taken_at(labels: pl.Series, file_day: datetime) -> pl.Series:
    """Return when snapshots were taken; the midnight at which the file's day ends is the last label of that day."""
    import polars as pl

    label = pl.col("label")
    day = pl.when(label == file_day + _DAY).then(file_day).otherwise(label)
    return labels.to_frame("label").select(label + METRICS_LAG.of(day)).to_series()


def _file_day(first_label: datetime, window: Window) -> datetime:
    """Return the day of a ``metrics`` file: that of its first label.

    The only row of a contract listed minutes before midnight may be labeled with the next day's midnight; the window,
    which ends hours after the file's day at most, tells the two days apart.
    """
    return _midnight(min(first_label, window.end - _DAY / 2))


def _metrics_window(context: Context) -> Window:
    """Return the span of a file's rows. Files that older versions stored were requested for exactly their UTC day."""
    window = context.window
    whole_day = window.start == _midnight(window.start) and window.end == window.start + _DAY
    return Window(window.start, window.end + TABLES[context.table].bar) if whole_day else window


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


_FOLDER = {"spot": "spot", "perp": "futures/um", "future": "futures/um"}
_FORMAT = {"month": "%Y-%m", "day": "%Y-%m-%d"}
_SPELLED = {"month": "monthly", "day": "daily"}


def _path(kind: str, interval: str | None, instrument: Instrument, period: Period, start: datetime) -> str:
    symbol, place = quote(instrument.venue_symbol, safe=""), _FOLDER[instrument.instrument_type]
    folder = f"/data/{place}/{_SPELLED[period]}/{kind}/{symbol}" + (f"/{interval}" if interval else "")
    return f"{folder}/{symbol}-{interval or kind}-{start.strftime(_FORMAT[period])}.zip"


def _archive(kind: str, parse: Any, density: Density, interval: str | None = None, **more: Any) -> Archive:
    endpoint, path = f"archive.{kind}", partial(_path, kind, interval)
    return Archive(endpoint=endpoint, path=path, parse=partial(parse, endpoint), density=density, **more)


def _metrics(table: str) -> Archive:
    """Return the archive of a table of snapshots. The snapshot of a day's 00:00 is in the file of the day before."""
    bar = TABLES[table].bar
    return _archive(
        "metrics",
        parse_metrics,
        "dense",
        periods=("day",),
        preferred=True,  # the API goes back 30 days
        ahead=-bar,
        margin=bar,
        ready={"day": _DAY - bar},  # a day after the file's own day
        same_labels=Dated(True, ((LABELED_BY_START, False),)),
    )


def _archives() -> dict[tuple[str, str], Archive]:
    both: dict[str, Any] = {"periods": ("month", "day")}
    found = {}
    for table in ("ohlcv_1m", "ohlcv_1h", "ohlcv_1d"):
        # one page of the API holds 17 hours of minutes, but six weeks of hours
        bars = _archive("klines", parse_klines, "dense", TABLES[table].interval, preferred=table == "ohlcv_1m", **both)
        found |= {(table, kind): bars for kind in ("spot", "perp", "future")}
    for kind in ("perp", "future"):
        found["mark_1h", kind] = _archive("markPriceKlines", parse_klines, "dense", "1h", **both)
        found["open_interest", kind] = _metrics("open_interest")
    found["index_1h", "perp"] = _archive("indexPriceKlines", parse_klines, "dense", "1h", **both)
    # the API does not say intervals
    settled: dict[str, Any] = {"periods": ("month",), "preferred": True}
    found["funding_rates", "perp"] = _archive("fundingRate", parse_funding, "irregular", **settled)
    return found


ARCHIVES = _archives()
