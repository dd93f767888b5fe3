"""Names in any case: the exact one first, then the only one that differs in ASCII case, by what is stored."""

from __future__ import annotations

import ibis
import polars as pl
import pyarrow as pa
import pytest

import cexkit
from cexkit import Token, Tokens
from cexkit.errors import AmbiguousInstrumentError, InvalidInputError, UnknownNameError
from cexkit.exchanges.instruments import matching

from ..rows import at, listed

PERPS = {"instrument_type": "perp", "start": "2026-06-29"}


@pytest.fixture(scope="module")
def market():
    return cexkit.connect("sample")


@pytest.fixture
def twins(made_market):
    """A coin whose names differ in case only, and another one."""
    one, other, plain = (
        listed("kPEPEUSDT", base="kPEPE"),
        listed("KPEPEUSDT", base="KPEPE"),
        listed("ſolUSDT", base="ſol"),
    )
    rates = [
        {name: each[name] for name in ("exchange", "instrument_type", "symbol", "base", "quote")}
        | {"timestamp": at(8), "funding_rate": rate}
        for each, rate in ((one, 1e-4), (other, 2e-4), (plain, 3e-4))
    ]
    return made_market(instruments=[one, other, plain], funding_rates=rates)


CALLS = {
    "table": lambda m, e, s, b: m.table("ohlcv_1h", exchange=e, symbol=s, **PERPS),
    "basis": lambda m, e, s, b: m.basis(exchange=e, symbol=s, quotes=["usd", "USDC"], **PERPS),
    "funding_with_price": lambda m, e, s, b: m.funding_with_price(exchange=e, symbol=s, start="2026-06-29"),
    "open_interest_usd": lambda m, e, s, b: m.open_interest_usd(exchange=e, symbol=s, start="2026-06-29"),
    "panel": lambda m, e, s, b: ibis.memtable(m.panel("close", exchange=e, symbol=s, return_type="polars", **PERPS)),
    "universe": lambda m, e, s, b: m.universe(exchange=e),
    "query": lambda m, e, s, b: ibis.memtable(m.query("funding_across_venues", base=b, return_type="polars")),
    "token": lambda m, e, s, b: Token(b, exchange=e, market=m, return_type="ibis").funding_rate(start="2026-06-29"),
    "symbols": lambda m, e, s, b: ibis.memtable(m.symbols[b]),
}


@pytest.mark.parametrize("call", CALLS)
def test_another_case_reads_the_same_rows(market, call):
    exact = CALLS[call](market, "coinbase", "BTCUSDC", "BTC").to_polars()
    for exchange, symbol, base in (("COINBASE", "btcusdc", "btc"), ("Coinbase", "BtcUsdc", "Btc")):
        assert CALLS[call](market, exchange, symbol, base).to_polars().sort(pl.all()).equals(exact.sort(pl.all()))
    assert exact.height


@pytest.mark.parametrize(
    "words", [{"symbol": "btcusdt"}, {"exchange": ["OKX"], "symbol": ["btcusdt", "BTCUSDT"]}, {"exchange": "BINANCE"}]
)
def test_predicates_are_the_stored_names(market, words):
    """DuckDB compares them with the statistics of row groups; a function of the column would read them all."""
    stored = {"btcusdt": "BTCUSDT", "OKX": "okx", "BINANCE": "binance"}
    exact = {
        key: stored[value] if isinstance(value, str) else list(dict.fromkeys(stored.get(each, each) for each in value))
        for key, value in words.items()
    }
    kind = {"instrument_type": "PERP"}
    sql = ibis.to_sql(market.table("ohlcv_1h", **words, **kind), dialect="duckdb")
    assert sql == ibis.to_sql(market.table("ohlcv_1h", **exact, instrument_type="perp"), dialect="duckdb")
    assert "LOWER" not in sql.upper().replace("FOLLOWER", "")
    assert market.warm(exchange="OKX") == market.warm(exchange="okx")


def test_exact_name_comes_before_names_in_another_case(twins):
    for symbol, rate in (("kPEPEUSDT", 1e-4), ("KPEPEUSDT", 2e-4)):
        assert twins.table("funding_rates", symbol=symbol).funding_rate.execute().tolist() == [rate]
        assert Token(symbol[:5], market=twins).instruments["symbol"].to_list() == [symbol]
        assert twins.symbols[symbol[:5]].symbol.tolist() == [symbol]


def test_several_names_in_another_case_are_ambiguous(twins):
    calls = (
        lambda: twins.table("funding_rates", symbol="kpepeusdt"),
        lambda: twins.table("funding_rates", symbol=["KPEPEUSDT", "kpepeUSDT"]),
        lambda: Token("kpepe", market=twins),
        lambda: Tokens(["kpepe"], market=twins),
        lambda: twins.symbols["Kpepe"],
        lambda: twins.query("funding_across_venues", base="kpepe"),
    )
    for call in calls:
        with pytest.raises(AmbiguousInstrumentError, match=r"write 'K.* or 'k") as caught:
            call()
        assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("name", ["SOLUSDT", "ſOLusd", "\u212aPEPEUSDT", "kpepe ", ""])
def test_letters_of_other_alphabets_are_not_folded(twins, name):
    with pytest.raises(UnknownNameError):
        twins.table("funding_rates", symbol=name)
    assert twins.table("funding_rates", symbol="ſOLusdt").count().execute() == 1


@pytest.mark.parametrize("name", [None, 3, b"btc", float("nan")])
def test_names_that_are_no_texts_are_refused(market, name):
    with pytest.raises(InvalidInputError):
        market.table("funding_rates", symbol=[name])
    with pytest.raises(InvalidInputError):
        Token(name, market=market)


def test_listing_of_a_venue_is_searched_for_the_exact_name_first():
    names = [("BTCUSDT", "btcusdt"), ("btcusdt", "X"), ("kX", "A"), ("KX", "B"), ("ETHUSDT", "ETH-USDT")]
    table = pa.table({"symbol": [one for one, _ in names], "venue_symbol": [one for _, one in names]})

    def found(name: str) -> list[str]:
        return matching(table, name, "okx", "ohlcv_1h")["symbol"].to_pylist()

    assert [found(name) for name in ("BTCUSDT", "btcusdt", "KX", "eth-usdt", "EthUsdt")] == [
        ["BTCUSDT"], ["btcusdt"], ["KX"], ["ETHUSDT"], ["ETHUSDT"],
    ]  # fmt: skip
    for name in ("BtcUsdt", "kx"):
        with pytest.raises(AmbiguousInstrumentError):
            found(name)


def test_venue_may_be_written_in_another_case(monkeypatch):
    for call in (
        lambda: cexkit.fetch("BINANCE", "funding_rates", "BTCUSDT"),
        lambda: cexkit.pull(["Binance", "binance"], "funding_rates", "BTCUSDT"),
    ):
        with pytest.raises(InvalidInputError, match="needs a start"):
            call()
    with pytest.raises(UnknownNameError, match="did you mean 'binance'"):
        cexkit.fetch("binanse", "funding_rates")


@pytest.mark.parametrize("name", [5, 2.5, float("nan"), ibis.literal("BTCUSDT")], ids=str)
def test_name_that_is_neither_text_nor_a_list_is_our_error(name):
    market = cexkit.connect()
    for call in (
        lambda: market.table("funding_rates", symbol=name),
        lambda: market.universe(exchange=name),
        lambda: cexkit.Token("BTC", exchange=name),
    ):
        with pytest.raises(InvalidInputError):
            call()
