"""The page against the tables it is made of: numbers, structure, honesty about what is not there."""

from __future__ import annotations

import re
from datetime import timedelta
from html.parser import HTMLParser

import matplotlib
import polars as pl
import pytest

import cexkit
from cexkit.client.tearsheet import tearsheet
from cexkit.client.tearsheet.data import TearsheetData
from cexkit.client.tearsheet.key_figures import compute_key_figures
from cexkit.errors import InvalidInputError, UnknownNameError
from cexkit.schema import TABLES
from cexkit.schema.intervals import utc
from cexkit.schema.render import to_polars
from cexkit.warehouse.store.warehouse import Warehouse

SECTIONS = [
    *("figures", "contracts", "price", "funding", "basis", "positions", "liquidations", "volatility", "liquidity"),
    *("quality", "conventions"),
]
HOSTILE = '<img src=x onerror=alert(1)>"$\\frac_'
START, END = utc("2026-01-01"), utc("2026-02-01")


class Page(HTMLParser):
    """Elements with their attributes, and rows of tables with the text of their cells."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.table: list[list[str]] = []
        self._cells: list[str] | None = None
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "tr":
            self._cells = []
        elif tag in ("td", "th") and self._cells is not None:
            self._cells.append("")

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self._cells:
            self._cells[-1] += data

    def handle_endtag(self, tag):
        if tag == "tr" and self._cells:
            self.table.append(self._cells)
            self._cells = None

    @property
    def rows(self) -> dict[str, list[str]]:
        """Cells of the first row of each name."""
        return {row[0]: row[1:] for row in reversed(self.table)}

    def values(self, name: str) -> list[str]:
        return [value for _, attributes in self.elements for key, value in attributes.items() if key == name]


@pytest.fixture(scope="module")
def page(sheet):
    return Page(sheet.html)


def filled(table: str, rows: list[dict]) -> pl.DataFrame:
    """Rows of a table; columns that are not given are null."""
    schema = to_polars(TABLES[table])
    return pl.DataFrame([dict.fromkeys(schema) | row for row in rows], schema=schema)


def listed(symbol: str, kind: str = "perp", **terms) -> dict:
    return {
        "exchange": "binance",
        "instrument_type": kind,
        "symbol": symbol,
        "base": "X<b>",
        "quote": "USDT",
        "venue_symbol": symbol,
        "settle": "USDT",
        "multiplier": 1.0,
        "contract_size": 1.0,
        "inverse": False,
        "status": "trading",
        "observed_at": END,
        **terms,
    }


def market_of(folder, **tables: list[dict]) -> cexkit.client.market.Market:
    for name, rows in tables.items():
        Warehouse(folder).write(TABLES[name], filled(name, rows).to_arrow())
    return cexkit.connect(folder)


def identity(terms: dict) -> dict:
    return {key: terms[key] for key in ("exchange", "instrument_type", "symbol", "base", "quote")}


def bars(terms: dict, step: timedelta, price: float, **more) -> list[dict]:
    count = (END - START) // step
    return [
        identity(terms)
        | {"timestamp": START + step * place, "open": price, "high": price * 1.01, "low": price * 0.99, "close": price}
        | more
        for place in range(count)
    ]


def settled(terms: dict, rate: float, hours: int = 8) -> list[dict]:
    return [
        identity(terms)
        | {"timestamp": START + timedelta(hours=hours * place), "funding_rate": rate, "funding_interval_hours": hours}
        for place in range((END - START) // timedelta(hours=hours))
    ]


def test_structure_is_what_it_was(sheet, page):
    assert [attributes["id"] for tag, attributes in page.elements if tag == "section"] == SECTIONS
    assert page.values("href").count("#basis") == 1
    assert sum(attributes.get("class") == "plot" for _, attributes in page.elements) == 12
    assert sheet.html.count('class="missing"') == 1
    assert "No data: the dataset has no dated futures of this coin in this window." in sheet.html
    names = [row[0] for row in page.table if row[0]]
    assert names[:3] == ["Price, quote per coin", "Price as of (UTC)", "Open interest, USD"]


def test_it_is_one_file_that_points_nowhere(sheet, page):
    assert len(sheet.html.encode()) < 3_000_000
    assert not {"script", "iframe", "object", "embed"} & {tag for tag, _ in page.elements}
    for name in ("src", "href", "xlink:href", "action", "srcset"):
        assert all(value.startswith(("#", "data:")) for value in page.values(name))
    assert "@import" not in sheet.html
    assert not re.search(r"url\((?!#)", sheet.html)


def test_parts_of_pictures_have_names_of_their_own_and_find_each_other(sheet, page):
    ids = page.values("id")
    assert len(set(ids)) == len(ids)
    used = {value[1:] for value in page.values("href") if value.startswith("#")}
    assert used | set(re.findall(r"url\(#([^)]+)\)", sheet.html)) <= set(ids)


def test_ink_follows_the_page(sheet):
    assert "#010203" not in sheet.html
    assert "currentColor" in sheet.html
    assert "<text" in sheet.html


def test_the_same_data_make_the_same_bytes_whatever_the_settings_of_matplotlib(sheet):
    with matplotlib.rc_context({"axes.facecolor": "red", "font.size": 30, "lines.linewidth": 9}):
        before = dict(matplotlib.rcParams)
        assert tearsheet(cexkit.connect("sample"), "BTC").html == sheet.html
        assert dict(matplotlib.rcParams) == before


def test_figures_are_those_of_the_tables(page):
    """Worked anew with SQL, formulas written out."""
    market = cexkit.connect("sample")
    venues = ["binance", "bybit", "okx", "coinbase"]

    def ask(query: str) -> dict:
        return dict(market.sql(query).to_polars().rows())

    perp = "base = 'BTC' and instrument_type = 'perp' and timestamp >= '2026-05-02' and timestamp < '2026-07-01'"
    rate = ask(f"select exchange, max_by(funding_rate * 24 / funding_interval_hours * 365, timestamp) as x"
               f" from funding_rates where {perp} group by 1")  # fmt: skip
    assert page.rows["Funding APR, last settlement"] == [f"{rate[venue] * 100:.2f} %" for venue in venues]
    mean = ask(f"select exchange, sum(funding_rate) / sum(funding_interval_hours) * 24 * 365 as x"
               f" from funding_rates where {perp} group by 1")  # fmt: skip
    shown = [f"{mean[venue] * 100:.2f} %".replace("-", "−") for venue in venues]
    assert page.rows["Funding APR, mean of the window by hours"] == shown
    interest = ask(f"select exchange, max_by(open_interest_quote, timestamp) / 1e9 as x from open_interest"
                   f" where {perp} group by 1")  # fmt: skip
    assert page.rows["Open interest, USD"][:3] == [f"{interest[venue]:.3f} bn" for venue in venues[:3]]
    forced = ask(
        f"select exchange, sum(value_quote) / 1e6 as x from liquidations where {perp} and side = 'long' group by 1"
    )
    complete = {row[0]: row[1:] for row in page.table if row[1] in ("full", "throttled", "absent")}
    assert complete["okx"][:3:2] == ["throttled", f"≥ {forced['okx']:.1f} m"]
    assert complete["bybit"][:3:2] == ["full", f"{forced['bybit']:.1f} m"]
    assert complete["coinbase"] == ["absent", "–", "–", "–", "–"]


def test_it_says_that_data_are_simulated_and_only_then(sheet, tmp_path):
    assert "SIMULATED DATA" in sheet.html
    terms = listed("XUSDT")
    market = market_of(tmp_path, instruments=[terms], funding_rates=settled(terms, 1e-4))
    assert "simulated" not in tearsheet(market, "X<b>").html.lower()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """One perpetual with a name that means harm, two futures over an index, and a coin beside it."""
    perp, beside = listed(HOSTILE), listed("YUSDT") | {"base": "Y"}
    futures = [listed(f"XUSDT-{day}", "future", expiry=END + timedelta(days=days)) for day, days in ((1, 73), (2, 146))]
    hour, day = timedelta(hours=1), timedelta(days=1)
    volume = {"volume_base": 2.0, "volume_quote": 200.0}
    folder = tmp_path_factory.mktemp("hostile")
    market = market_of(
        folder,
        instruments=[perp, beside, *futures],
        funding_rates=[*settled(perp, 3e-4), *settled(beside, 1e-4, 4)],
        ohlcv_1d=bars(perp, day, 100.0, **volume),
        ohlcv_1h=[
            *bars(perp, hour, 100.0, **volume),
            *bars(futures[0], hour, 102.0, **volume),
            *bars(futures[1], hour, 104.0, **volume),
        ],
        index_1h=[row for terms in (perp, *futures) for row in bars(terms, hour, 100.0)],
        liquidations=[
            identity(perp)
            | {"timestamp": START + timedelta(days=3, minutes=minute), "side": "long", "price": 99.0}
            | {"price_type": "average_fill", "quantity_base": 1.0, "value_quote": 99.0, "event": minute}
            | {"coverage": "throttled"}
            for minute in range(4)
        ],
    )
    return tearsheet(market, "X<b>", folder / "x.html")


def test_names_cannot_do_harm(hostile):
    found = Page(hostile.html)
    assert not {"img", "b"} & {tag for tag, _ in found.elements}
    assert not [key for _, attributes in found.elements for key in attributes if key.startswith("on")]
    assert hostile.path.read_text(encoding="utf-8") == hostile.html


def test_futures_are_drawn_and_what_is_not_there_is_said(hostile):
    found = Page(hostile.html)
    assert "no dated futures" not in hostile.html
    assert found.rows["Basis, last hour, bps"] == ["0"]
    assert found.rows["Open interest, USD"] == ["–"]
    assert "No data: the dataset has no open interest in this window." in hostile.html
    assert "no open interest at midnight with daily closes beside it in this window." in hostile.html
    assert [attributes["id"] for tag, attributes in found.elements if tag == "section"] == SECTIONS


def test_the_rank_among_other_coins_is_of_rates_per_year(hostile):
    # 3e-4 every 8 h is 32.85 % a year, 1e-4 every 4 h is 21.9 %
    rows = Page(hostile.html).rows
    assert rows["Funding APR, mean of the last 7 days"] == ["32.85 %"]
    assert rows["… higher than this share of others (1)"] == ["100 %"]
    assert rows["binance"] == ["32.85 %", "100 %", "21.90 %"]


def test_mean_of_the_last_days_is_by_hours(tmp_path):
    """A day that begins or changes its interval counts for its hours: 2 of 8 h at 1e-4, then 24 of 1 h at 1e-5."""
    terms = listed("XUSDT")
    slow = settled(terms, 1e-4)[-5:-3]
    end = slow[-1]["timestamp"]
    fast = [
        slow[0] | {"timestamp": end + timedelta(hours=hour), "funding_rate": 1e-5, "funding_interval_hours": 1.0}
        for hour in range(1, 25)
    ]
    market = market_of(tmp_path, instruments=[terms], funding_rates=[*slow, *fast])
    rows = Page(tearsheet(market, "X<b>").html).rows
    mean = (2 * 1e-4 + 24 * 1e-5) / (16 + 24) * 24 * 365
    assert rows["Funding APR, mean of the last 7 days"] == [f"{mean:.2%}".replace("%", " %")]
    assert rows["Funding APR, mean of the window by hours"] == rows["Funding APR, mean of the last 7 days"]


def test_prices_are_per_coin_where_a_venue_lists_thousands():
    figures = compute_key_figures(TearsheetData.of(cexkit.connect("sample"), "PEPE", days=5))
    assert figures["symbol"].to_list() == ["1000PEPEUSDT", "1000PEPEUSDT", "PEPEUSDT"]
    for column in ("close", "realized_volatility"):
        assert figures[column].max() / figures[column].min() < 1.01


def test_old_figures_have_their_time_beside_them(tmp_path):
    fresh, stopped = listed("XUSDT"), listed("XUSDT", exchange="okx")
    market = market_of(
        tmp_path,
        instruments=[fresh, stopped],
        funding_rates=[*settled(fresh, 1e-4), *settled(stopped, 2e-4)[:3]],
    )
    rows = Page(tearsheet(market, "X<b>").html).rows
    assert rows["Funding APR, last settlement"] == ["10.95 %", "21.90 %"]
    assert rows["Funding paid by longs in the window"] == ["0.930 %", "0.060 %"]
    assert rows["… over so many days"] == ["31", "1"]
    assert rows["… settled (UTC)"] == ["2026-01-31 16:00", "2026-01-01 16:00"]


def test_nothing_is_shown_that_was_not_known_by_the_end_of_the_window():
    data = TearsheetData.of(cexkit.connect("sample"), "BTC", exchange="okx", end="2026-06-15T12:30", days=3)
    assert data.daily["timestamp"].max() == utc("2026-06-14")
    assert data.hourly["timestamp"].max() == data.index["timestamp"].max() == utc("2026-06-15T11:00")
    assert data.basis_prices["timestamp"].max() == utc("2026-06-15T12:00")
    assert data.open_interest["timestamp"].max() == utc("2026-06-15T12:00")


def test_a_coin_that_is_gone_is_shown_as_it_ended():
    html = tearsheet(cexkit.connect("sample"), "FTT", days=10).html
    assert "no longer trading" in html
    assert "2025-11-19 00:00 to 2025-11-29 00:00 UTC" in html


def test_what_cannot_be_meant_is_refused():
    market = cexkit.connect("sample")
    with pytest.raises(UnknownNameError, match="BTC"):
        tearsheet(market, "BTX")
    with pytest.raises(InvalidInputError, match="window is empty"):
        tearsheet(market, "BTC", start="2026-06-01", end="2026-06-01")


def test_token_command_and_function_give_the_same_page(tmp_path):
    from typer.testing import CliRunner

    from cexkit.cli.commands import app

    market = cexkit.connect("sample")
    plain = tearsheet(market, "FTT", exchange=["binance", "bybit"], days=5)
    token = cexkit.Token("FTT", market=market).tearsheet(tmp_path / "token.html", days=5)
    assert token.path.read_text(encoding="utf-8") == plain.html
    assert repr(token).startswith("<Tearsheet of FTT, ")
    assert 'srcdoc="&lt;!doctype' in token._repr_html_()
    words = ["tearsheet", "FTT", "--days", "5", "--data", "sample", "--output", str(tmp_path / "shell.html")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "shell.html").read_bytes() == token.path.read_bytes()
