"""Real history in the venues' wire format: tables of the shared folder, served by loopback venues and pulled."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl

from cexkit.config import Settings
from cexkit.exchanges.fetcher import Fetcher
from cexkit.schema import IDENTITY, INSTRUMENT_KEYS, TABLES
from cexkit.schema.intervals import utc
from cexkit.schema.render import to_polars
from cexkit.testing import LOOPBACKS, LoopbackBinance, LoopbackVenue, Reply, Request
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.ingest.report import Report
from cexkit.warehouse.store.warehouse import Warehouse

#: Table: the file that has its rows.
FILES = {
    "funding_rates": "funding_rates",
    "open_interest": "open_interest",
    "ohlcv_1h": "ohlcv_1h",
    "ohlcv_1d": "ohlcv_1d",
    "mark_1h": "mark_1h",
    "liquidations": "liquidations",
}
#: Coins per contract of OKX's linear swaps.
OKX_SIZES = {"BTC": 0.01, "ETH": 0.1, "SOL": 1.0, "XRP": 100.0, "DOGE": 1000.0, "HYPE": 0.1}
#: Hours between settlements at the end of the history, of contracts that do not settle every eight.
HOURS = {("binance", "HYPE"): 4.0, ("okx", "HYPE"): 4.0}
#: Contracts that are not served: coin-margined ones of Binance and Bybit, which are not read, and two whose names the
#: history garbles (a dated future and ``BTCUSDT``).
UNREAD = (pl.col("symbol").str.contains(":") & pl.col("exchange").is_in(["binance", "bybit"])) | pl.col("symbol").is_in(
    ["BTCUSDTUSDT", "ETH_250627USDT"]
)


def read_history(folder: Path, name: str, table: str | None = None) -> pl.DataFrame:
    """Return a file of the history in the declared columns of its table; those that it lacks are null."""
    schema = to_polars(TABLES[table or name])
    rows = pl.read_parquet(folder / f"{FILES.get(name, name)}.parquet").drop("source")
    nulls = [pl.lit(None, dtype).alias(column) for column, dtype in schema.items() if column not in rows.columns]
    return rows.with_columns(nulls).select(schema.names()).cast(dict(schema)).filter(~UNREAD)


def wire_form(rows: pl.DataFrame) -> pl.DataFrame:
    """Return bars with the values that every venue sends and that the history lacks, so that they can be served.

    The value of the volume is then the amount at the close, and the number of trades and the takers' part are zero.
    Tests compare only what the history has.
    """
    if "volume_quote" not in rows.columns:
        return rows
    value = pl.coalesce("volume_quote", pl.col("volume_base") * pl.col("close"))
    return rows.with_columns(
        value.alias("volume_quote"), pl.col("trades", "taker_buy_volume_base", "taker_buy_volume_quote").fill_null(0)
    )


def list_instruments(tables: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Return a listing of all instruments that have rows, as their venues name them, each from its first row on."""
    found = pl.concat([rows.select(*IDENTITY, "timestamp") for rows in tables])
    found = found.group_by(IDENTITY).agg(listing_time=pl.col("timestamp").min()).sort(INSTRUMENT_KEYS)
    return pl.DataFrame([_list(row) for row in found.iter_rows(named=True)], schema=to_polars(TABLES["instruments"]))


def _list(row: dict[str, Any]) -> dict[str, Any]:
    pair, perp = row["symbol"].partition(":")[0], row["instrument_type"] == "perp"
    dashed = f"{pair.removesuffix(row['quote'])}-{row['quote']}"
    inverse = ":" in row["symbol"]
    names = {
        "okx": f"{dashed}-SWAP" if perp else dashed,
        "coinbase": dashed,
    }
    size = (100.0 if row["base"] == "BTC" else 10.0) if inverse else OKX_SIZES.get(row["base"], 1.0)
    return dict.fromkeys(TABLES["instruments"].columns) | row | {
        "venue_symbol": names.get(row["exchange"], pair),
        "settle": row["base"] if inverse else row["quote"],
        "multiplier": 1.0,
        "contract_size": size if perp and row["exchange"] == "okx" else 1.0,
        "inverse": inverse,
        "tick_size": 1e-8,
        "lot_size": 1e-8,
        "status": "trading",
        "funding_interval_hours": HOURS.get((row["exchange"], row["base"]), 8.0) if perp else None,
    }  # fmt: skip


class BinanceWithArchive(LoopbackBinance):
    """Loopback Binance that also serves the daily ``metrics`` files of its archive, of the days before 2026-06-25.

    A file has the labels 00:05 to 00:00 of the next day, each the time of its snapshot; here only full hours.
    """

    def respond(self, request: Request) -> Reply:
        """Return a file of the archive or its checksum; everything else as the API does."""
        if "/daily/metrics/" not in request.path:
            return super().respond(request)
        path = request.path.removesuffix(".CHECKSUM")
        name = path.rpartition("/")[2].removesuffix(".zip")
        body = self._metrics(*name.split("-metrics-"))
        if body is None:
            return Reply(404)
        digest = f"{hashlib.sha256(body).hexdigest()}  {name}.zip\n".encode()
        return Reply(200, body if path == request.path else digest)

    def _metrics(self, symbol: str, day: str) -> bytes | None:
        start = utc(day)
        rows = self.feed.rows("open_interest", "binance", "perp", symbol).filter(
            pl.col("timestamp") > start, pl.col("timestamp") <= start + timedelta(days=1)
        )
        if rows.is_empty() or start + timedelta(days=1) > self.now:
            return None
        lines = [f"{row['timestamp']:%Y-%m-%d %H:%M:%S},{symbol},{row['open_interest_base']!r},"
                 f"{row['open_interest_quote']!r},,,," for row in rows.iter_rows(named=True)]  # fmt: skip
        header = (
            "create_time,symbol,sum_open_interest,sum_open_interest_value,count_toptrader_long_short_ratio,"
            "sum_toptrader_long_short_ratio,count_long_short_ratio,sum_taker_long_short_vol_ratio"
        )
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            # A fixed time, so that the checksum is the one of the file.
            archive.writestr(zipfile.ZipInfo(f"{symbol}-metrics-{day}.csv"), "\n".join([header, *lines]))
        return buffer.getvalue()


class Clock:
    """A clock that only sleeping moves, so that the pace of a venue costs no time."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """Return the seconds since it was made."""
        return self.seconds

    def sleep(self, seconds: float) -> None:
        """Move on by some seconds."""
        self.seconds += seconds


@contextmanager
def serve(tables: dict[str, pl.DataFrame], instruments: pl.DataFrame, now: str) -> Iterator[Fetcher]:
    """Serve tables by the loopback venues of their instruments, and yield a fetcher that reads these venues."""
    feed = {name: wire_form(rows) for name, rows in tables.items()}
    seen = pl.lit(utc(now)).cast(pl.Datetime("us", "UTC"))
    feed["instruments"] = instruments.with_columns(observed_at=seen)
    venues, clock = LOOPBACKS | {"binance": BinanceWithArchive}, Clock()
    with ExitStack() as stack:
        urls: dict[str, str] = {}
        for name in instruments["exchange"].unique().sort():
            venue: LoopbackVenue = stack.enter_context(venues[name](feed, now=now, clock=clock))
            urls |= venue.settings.base_urls
        settings = Settings(base_urls=urls, http_timeout_seconds=30, max_clock_skew_seconds=None)
        yield stack.enter_context(Fetcher(settings, clock=clock, sleep=clock.sleep))


def replay(warehouse: Warehouse, tables: dict[str, pl.DataFrame], instruments: pl.DataFrame, now: str) -> Report:
    """Serve tables and pull all their rows, each instrument from its first to its last."""
    report = Report()
    with serve(tables, instruments, now) as fetcher:
        for name, rows in tables.items():
            length = TABLES[name].bar or timedelta(minutes=1)
            spans = rows.group_by(INSTRUMENT_KEYS).agg(
                start=pl.col("timestamp").min(), end=pl.col("timestamp").max() + length
            )
            same = spans.group_by("exchange", "instrument_type", "start", "end").agg(pl.col("symbol").sort())
            for one in same.sort("exchange", "instrument_type", "start", "end").iter_rows(named=True):
                report += pull(
                    one["exchange"], name, one["symbol"], one["start"], one["end"],
                    instrument_type=one["instrument_type"], warehouse=warehouse, fetcher=fetcher,
                )  # fmt: skip
    return report
