"""Rows after an instrument's end are quarantined, whatever the table, and those of a later life are not."""

from __future__ import annotations

import hashlib
import io
import shutil
import zipfile
from collections.abc import Iterable
from datetime import datetime, timedelta
from email.utils import format_datetime

import httpx
import polars as pl
import pytest

from cexkit.config import Settings
from cexkit.exchanges.fetcher import Fetcher
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window, to_ms, utc
from cexkit.schema.render import to_polars
from cexkit.warehouse.ingest.lives import ended_spans, is_after_end
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.ingest.rebuild import rebuild
from cexkit.warehouse.ingest.report import Report
from cexkit.warehouse.ingest.silver import build_silver
from cexkit.warehouse.quality import blocking_failures, run_checks
from cexkit.warehouse.store.warehouse import Warehouse

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
#: Binance's delivery date of a perpetual that has none.
OPEN = 4133404800000
BEGIN, END = utc("2023-01-02"), utc("2023-02-15T09:00")
METRICS = (
    "create_time,symbol,sum_open_interest,sum_open_interest_value,count_toptrader_long_short_ratio,"
    "sum_toptrader_long_short_ratio,count_long_short_ratio,sum_taker_long_short_vol_ratio"
)
STEPS = {"ohlcv_1m": MINUTE, "funding_rates": 8 * HOUR, "open_interest": HOUR}


class Archive:
    """A venue of one contract, with an archive whose files continue after the contract's end."""

    def __init__(self):
        self.now, self.listed = utc("2023-03-03"), [self.contract()]
        #: Settlements of the API, if the archive has no file of them.
        self.settlements: list[datetime] = []

    @staticmethod
    def contract(onboard: datetime = BEGIN, end: datetime | None = None) -> dict:
        return {
            "symbol": "FTMUSDT", "baseAsset": "FTM", "quoteAsset": "USDT", "marginAsset": "USDT", "filters": [],
            "contractType": "PERPETUAL", "status": "TRADING" if end is None else "SETTLING",
            "onboardDate": to_ms(onboard), "deliveryDate": OPEN if end is None else to_ms(end),
        }  # fmt: skip

    def pull(self, folder, table: str, start: str, end: str) -> Report:
        with Fetcher(Settings(max_clock_skew_seconds=None), httpx.MockTransport(self), sleep=lambda _: None) as fetcher:
            return pull("binance", table, start=start, end=end, warehouse=folder, fetcher=fetcher, now=self.now)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        headers, path = {"Date": format_datetime(self.now, usegmt=True)}, request.url.path
        if path.endswith("exchangeInfo"):
            symbols = self.listed if "fapi" in path else []
            return httpx.Response(200, json={"symbols": symbols, "rateLimits": []}, headers=headers)
        if not path.startswith("/data/"):
            rows = [
                {"symbol": "FTMUSDT", "fundingTime": to_ms(time), "fundingRate": "0.1"} for time in self.settlements
            ]
            return httpx.Response(200, json=rows, headers=headers)
        text = self._text(path.removesuffix(".CHECKSUM"))
        if text is None:
            return httpx.Response(404, headers=headers)
        body = io.BytesIO()
        with zipfile.ZipFile(body, "w") as file:
            file.writestr(zipfile.ZipInfo("file.csv"), text)
        if path.endswith(".CHECKSUM"):
            return httpx.Response(200, text=f"{hashlib.sha256(body.getvalue()).hexdigest()}  x", headers=headers)
        return httpx.Response(200, content=body.getvalue(), headers=headers)

    def _text(self, path: str) -> str | None:
        _, period, kind, *_ = path.removeprefix("/data/futures/").split("/")
        name = path.removesuffix(".zip")[-7 if period == "monthly" else -10 :]
        start = utc(f"{name}-01" if period == "monthly" else name)
        span = Window(start, (start + 31 * DAY).replace(day=1) if period == "monthly" else start + DAY)
        if kind == "metrics":
            times = [start + number * 5 * MINUTE for number in range(1, 289)]
            lines = [f"{time:%Y-%m-%d %H:%M:%S},FTMUSDT,5,6,1,1,1,1" for time in times]
            head = [METRICS]
        elif kind == "fundingRate" and not self.settlements:
            times = [part.start for part in span.split(8 * HOUR)]
            lines = [f"{to_ms(time) + 3},8,0.0001" for time in times]
            head = ["calc_time,funding_interval_hours,last_funding_rate"]
        elif kind == "klines" and period == "monthly":
            times = [part.start for part in span.split(MINUTE)]
            lines = [f"{to_ms(time)},1,1,1,1,5,{to_ms(time + MINUTE) - 1},5,3,2,2,0" for time in times]
            head = []
        else:
            return None
        return "\n".join([*head, *lines]) if lines else None


def times(rows: Iterable) -> list[datetime]:
    return sorted(pl.from_arrow(rows)["timestamp"].to_list())


def good(folder, table: str) -> list[datetime]:
    return times(Warehouse(folder).read(TABLES[table]))


def late(folder, table: str) -> list[datetime]:
    periods = ["2023-02", "2023-03"] if TABLES[table].period == "month" else ["2023"]
    parts = [Warehouse(folder).quarantine(TABLES[table], "binance", period) for period in periods]
    rows = pl.concat([pl.from_arrow(part) for part in parts])
    assert set(rows["reason"]) <= {"after_end"}
    return sorted(rows["timestamp"].to_list())


def require_equal_to_rebuild(folder, table: str, now: datetime) -> None:
    copy = Warehouse(folder.with_name(f"{folder.name}-copy"))
    shutil.rmtree(copy.root, ignore_errors=True)
    shutil.copytree(folder / "bronze", copy.root / "bronze")
    for name in ("instruments", table):
        build_silver(copy, "binance", TABLES[name], now=now)
    assert (good(copy.root, table), late(copy.root, table)) == (good(folder, table), late(folder, table))
    for done in rebuild(Warehouse(folder), "binance", [TABLES[table]], dry_run=True, now=now):
        assert (done.added, done.changed, done.lost.height) == (0, 0, 0), str(done)
    assert blocking_failures(run_checks(Warehouse(folder))).is_empty()


@pytest.mark.parametrize("table", STEPS)
def test_rows_after_the_end_are_quarantined_and_counted(tmp_path, table):
    venue = Archive()
    venue.listed = [venue.contract(end=END)]
    report = venue.pull(tmp_path / "w", table, "2023-02-14", "2023-02-20")
    (problem,) = [one for one in report.problems if "after the instrument's end" in one.message]
    expected = late(tmp_path / "w", table)
    assert report.quarantined == len(expected) > 0
    assert f"{len(expected):,} rows" in problem.message
    assert problem.window == Window(expected[0], expected[-1] + timedelta(microseconds=1))
    kept = good(tmp_path / "w", table)
    assert kept[-1] <= END < expected[0]
    assert END - kept[-1] < STEPS[table]
    require_equal_to_rebuild(tmp_path / "w", table, venue.now)


@pytest.mark.parametrize("table", STEPS)
def test_rows_at_the_delivery_time_stay(tmp_path, table):
    """The bar that opens then, the last settlement, and the snapshot taken then are the contract's."""
    at = utc("2023-02-15T08:00")
    venue = Archive()
    venue.listed = [venue.contract(end=at - timedelta(milliseconds=1))]
    venue.pull(tmp_path / "w", table, "2023-02-14", "2023-02-20")
    assert good(tmp_path / "w", table)[-1] == at
    assert late(tmp_path / "w", table)[0] == at + STEPS[table]


def test_end_that_becomes_known_later_moves_rows_without_new_responses(tmp_path):
    venue = Archive()
    venue.pull(tmp_path / "w", "open_interest", "2023-02-13", "2023-02-17")
    before = good(tmp_path / "w", "open_interest")
    assert late(tmp_path / "w", "open_interest") == []
    venue.listed = [venue.contract(end=END)]
    venue.pull(tmp_path / "w", "instruments", "2023-02-13", "2023-02-17")
    report = build_silver(Warehouse(tmp_path / "w"), "binance", TABLES["open_interest"], now=venue.now)
    assert good(tmp_path / "w", "open_interest") == [time for time in before if time <= END]
    assert late(tmp_path / "w", "open_interest") == [time for time in before if time > END]
    assert [one.symbol for one in report.problems] == ["FTMUSDT"]
    require_equal_to_rebuild(tmp_path / "w", "open_interest", venue.now)
    assert build_silver(Warehouse(tmp_path / "w"), "binance", TABLES["open_interest"], now=venue.now) == Report()


def test_relisted_contract_has_two_lives_and_nothing_between_them(tmp_path):
    venue, again = Archive(), utc("2023-02-22T08:00")
    for now, listed in (
        ("2023-02-10", venue.contract()),
        ("2023-02-17", venue.contract(end=END)),
        ("2023-03-03", venue.contract(onboard=again)),
    ):
        venue.now, venue.listed = utc(now), [listed]
        venue.pull(tmp_path / "w", "funding_rates", "2023-02-01", "2023-03-01")
    whole = [utc("2023-02-01") + number * 8 * HOUR for number in range(84)]
    between = [time for time in whole if END < time < again]
    assert late(tmp_path / "w", "funding_rates") == between
    assert good(tmp_path / "w", "funding_rates") == [time for time in whole if time not in between]
    require_equal_to_rebuild(tmp_path / "w", "funding_rates", venue.now)


def test_settlements_after_the_end_do_not_change_intervals_before_it(tmp_path):
    """The API states no interval; it follows from the distances, and those after the end are an hour."""
    venue, end = Archive(), utc("2023-02-15T08:00")
    venue.settlements = [end + number * 8 * HOUR for number in range(-6, 1)] + [
        end + number * HOUR for number in range(1, 9)
    ]
    for listed in (venue.contract(), venue.contract(end=end)):
        venue.listed = [listed]
        venue.pull(tmp_path / "w", "funding_rates", "2023-02-10", "2023-02-20")
    rows = pl.from_arrow(Warehouse(tmp_path / "w").read(TABLES["funding_rates"])).sort("timestamp")
    assert rows["timestamp"].to_list() == venue.settlements[:7]
    assert rows["funding_interval_hours"].to_list() == [8.0] * 7
    require_equal_to_rebuild(tmp_path / "w", "funding_rates", venue.now)


def test_row_is_late_from_a_minute_after_the_end_on():
    times = [END, END + MINUTE - timedelta(microseconds=1), END + MINUTE]
    rows = pl.DataFrame({"instrument_type": "perp", "symbol": "A", "timestamp": times})
    spans = ended_spans(_periods([("2023-01-01", END, "2023-01-01")]))
    assert is_after_end(rows.with_columns(pl.col("timestamp").dt.cast_time_unit("us")), spans).to_list() == [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(
    ("lives", "expected"),
    [
        ([("2023-01-01", None, "2023-01-01")], []),
        ([("2023-01-01", "2023-02-01", "2023-01-01")], [("2023-02-01", None)]),
        # a list that lacked the instrument once, and the same life in the next one
        ([("2023-01-01", "2023-02-01", "2023-02-01"), ("2023-01-01", None, "2023-02-02")], []),
        # a delivery that was postponed
        ([("2023-01-01", "2023-02-01", "2023-01-01"), ("2023-01-01", "2023-02-05", "2023-01-20")], [("2023-02-05", None)]),  # noqa: E501
        (
            [("2023-01-01", "2023-02-01", "2023-01-01"), ("2023-03-01", "2023-04-01", "2023-03-01")],
            [("2023-02-01", "2023-03-01"), ("2023-04-01", None)],
        ),
        # a listing time that was corrected
        ([("2023-01-01", "2023-02-01", "2023-01-01"), ("2023-01-02", "2023-02-01", "2023-01-20")], [("2023-02-01", None)]),  # noqa: E501
        # one that was corrected to an earlier time, before the end was known and after it was announced
        (
            [("2023-01-10", None, "2023-01-10"), ("2023-01-02", None, "2023-01-20"),
             ("2023-01-02", "2023-02-01", "2023-02-01")],
            [("2023-02-01", None)],
        ),
        ([("2023-01-10", "2023-02-01", "2023-01-10"), ("2023-01-02", "2023-03-01", "2023-01-20")], [("2023-03-01", None)]),  # noqa: E501
        # one that was corrected when an announced end was withdrawn
        ([("2023-01-02", "2023-02-01", "2023-01-02"), ("2023-01-05", None, "2023-01-20")], []),
        # three lives, the last two on one day
        (
            [("2023-01-01", "2023-02-01", "2023-01-01"), ("2023-03-01", "2023-03-02T06:00", "2023-03-01"),
             ("2023-03-02T09:00", None, "2023-03-02T09:00")],
            [("2023-02-01", "2023-03-01"), ("2023-03-02T06:00", "2023-03-02T09:00")],
        ),
        ([(None, "2023-02-01", "2023-01-01")], [("2023-02-01", None)]),
    ],
)  # fmt: skip
def test_ended_spans_follow_the_latest_period_of_each_life(lives, expected):
    found = ended_spans(_periods(lives)).select("end", "until").rows()
    assert found == [tuple(time and utc(time) for time in span) for span in expected]


def _periods(lives: list[tuple]) -> pl.DataFrame:
    table = TABLES["instrument_periods"]
    columns = {
        "exchange": "binance",
        "instrument_type": "perp",
        "symbol": "A",
        "listing_time": [start and utc(start) for start, _, _ in lives],
        "delisting_time": [end and utc(end) for _, end, _ in lives],
        "valid_from": [utc(since) for *_, since in lives],
    }
    schema = to_polars(table)
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in schema.items() if name not in columns]
    return pl.DataFrame(columns).with_columns(missing).select(*schema).cast(dict(schema))
