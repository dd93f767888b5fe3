"""Binance's bulk archive, the practical way to years of history.

Facts that shape it, each of which has made somebody's numbers wrong:

- files of futures have no header line before about 2023 and one after; it is told by the line itself;
- spot files are in microseconds from 2025 on, all others in milliseconds; it is told by the magnitude;
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
from cexkit.exchanges.archives import Archive, Density, Period, read_csv
from cexkit.exchanges.dated import Dated
from cexkit.exchanges.parsing import STAMPED_LATE, Context, facts
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window, to_timedelta, utc
from cexkit.schema.symbols import Instrument

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

#: Times above are microseconds, below milliseconds; seconds are below both bounds.
_MICROSECONDS_FROM, _MILLISECONDS_FROM = 10**14, 10**12

_DAY = timedelta(days=1)
#: Day of the first ``metrics`` file whose labels are the starts of five minutes.
LABELED_BY_START = utc("2026-06-25")
#: How long after its label a row of a ``metrics`` file was taken, by its day in the file.
METRICS_LAG = Dated(timedelta(0), ((LABELED_BY_START, timedelta(minutes=5)),))


def _kline_columns() -> dict[str, Any]:
    import polars as pl

    numbers = ("open", "high", "low", "close", "volume")
    taker = ("taker_buy_volume", "taker_buy_quote_volume")
    return (
        {"open_time": pl.Int64}
        | dict.fromkeys(numbers, pl.Float64)
        | {"close_time": pl.Int64, "quote_volume": pl.Float64, "count": pl.Int64}
        | dict.fromkeys(taker, pl.Float64)
        | {"ignore": pl.String}
    )


def parse_klines(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Bars of a ``klines``, ``markPriceKlines`` or ``indexPriceKlines`` file."""

    rows = _finite(endpoint, read_csv(endpoint, body, _kline_columns()))
    rows = rows.with_columns(timestamp=_times(endpoint, "open_time", rows["open_time"]))
    bar = to_timedelta(context.interval)
    longest = (_times(endpoint, "close_time", rows["close_time"]) - rows["timestamp"]).max()
    if longest is not None and not bar - timedelta(seconds=1) < longest <= bar:
        raise PayloadError(endpoint, f"bars of {longest} where {bar} are expected", field="close_time")
    columns: dict[str, Any] = {name: rows[name].to_arrow() for name in ("open", "high", "low", "close")}
    if "volume_base" in TABLES[context.table].columns:
        columns |= {
            "volume_base": rows["volume"].to_arrow(),
            "volume_quote": rows["quote_volume"].to_arrow(),
            "trades": rows["count"].to_arrow(),
            "taker_buy_volume_base": rows["taker_buy_volume"].to_arrow(),
            "taker_buy_volume_quote": rows["taker_buy_quote_volume"].to_arrow(),
        }
    finished = rows["timestamp"] + (bar + STAMPED_LATE) <= context.now
    return facts(context, columns | {"timestamp": rows["timestamp"].to_arrow()}, keep=finished.to_arrow())


def parse_funding(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Settlements of a ``fundingRate`` file, each with its own interval."""
    import polars as pl

    columns = {"calc_time": pl.Int64, "funding_interval_hours": pl.Float64, "last_funding_rate": pl.Float64}
    rows = _finite(endpoint, read_csv(endpoint, body, columns))
    raw = _times(endpoint, "calc_time", rows["calc_time"])
    return facts(
        context,
        {
            "timestamp": raw.dt.round("1m").to_arrow(),
            "funding_rate": rows["last_funding_rate"].to_arrow(),
            "funding_interval_hours": rows["funding_interval_hours"].to_arrow(),
            "venue_timestamp": raw.to_arrow(),
        },
    )


def parse_metrics(endpoint: str, body: bytes, context: Context) -> pa.Table:
    """Open interest of a ``metrics`` file, the snapshots at full hours; zeros fill gaps and are none."""
    import polars as pl

    ratios = (
        "count_toptrader_long_short_ratio",
        "sum_toptrader_long_short_ratio",
        "count_long_short_ratio",
        "sum_taker_long_short_vol_ratio",
    )
    columns = {
        "create_time": pl.String,
        "symbol": pl.String,
        "sum_open_interest": pl.Float64,
        "sum_open_interest_value": pl.Float64,
    } | dict.fromkeys(ratios, pl.String)
    rows = _finite(endpoint, read_csv(endpoint, body, columns))
    other = rows.filter(pl.col("symbol") != context.instrument.venue_symbol)
    if other.height:
        raise PayloadError(endpoint, f"rows of {other['symbol'][0]!r}", field="symbol")
    labels = rows["create_time"].str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us", time_zone="UTC", strict=False)
    if labels.null_count():
        row = labels.is_null().arg_true()[0]
        raise PayloadError(endpoint, f"not a time: {rows['create_time'][row]!r}", row=row, field="create_time")
    times = labels if labels.is_empty() else _taken_at(labels, _file_day(labels.min(), context.window))
    return facts(
        replace(context, window=_metrics_window(context)),
        {
            "timestamp": times.to_arrow(),
            "open_interest_base": rows["sum_open_interest"].to_arrow(),
            "open_interest_quote": rows["sum_open_interest_value"].to_arrow(),
        },
        keep=((times.dt.truncate("1h") == times) & (rows["sum_open_interest"] > 0)).to_arrow(),
    )


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


def _finite(endpoint: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Refuse a file with a missing, infinite or not-a-number cell among its numbers."""
    import polars as pl

    for name, dtype in rows.schema.items():
        if dtype == pl.String:
            continue
        good = rows[name].is_not_null() & (rows[name].cast(pl.Float64).is_finite().fill_null(False))
        if not good.all():
            row = (~good).arg_true()[0]
            raise PayloadError(endpoint, f"no number: {rows[name][row]!r}", row=row, field=name)
    return rows


def _times(endpoint: str, field: str, raw: pl.Series) -> pl.Series:
    """Milliseconds or microseconds since 1970, told apart by magnitude for the whole file."""
    import polars as pl

    least, most = raw.min(), raw.max()
    if least is not None and least >= _MICROSECONDS_FROM:
        return raw.cast(pl.Datetime("us", "UTC"))
    if least is not None and (least < _MILLISECONDS_FROM or most >= _MICROSECONDS_FROM):
        raise PayloadError(endpoint, f"neither milliseconds nor microseconds: {least} … {most}", field=field)
    return (raw * 1000).cast(pl.Datetime("us", "UTC"))


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
