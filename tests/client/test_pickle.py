"""Pickled markets and tokens: location, revision, and options; the same rows elsewhere, or an error."""

from __future__ import annotations

import copy
import operator
import pickle
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import pytest

import cexkit
from cexkit import Token, Tokens, errors
from cexkit.errors import CexkitError, DatasetError, DatasetNotFoundError, PayloadError, UnknownNameError
from cexkit.testing import LoopbackFiles, LoopbackHub
from cexkit.testing.hub import TOKEN

from ..hub import point
from ..rows import at, listed

PLACE = "hf://datasets/me/data"


def again(value):
    return pickle.loads(pickle.dumps(value))


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub with a dataset, to which this process and its children are pointed."""
    with LoopbackHub() as hub:
        point(monkeypatch, hub.url)
        for name, value in {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "CEXKIT_CACHE_DIR": str(tmp_path / "cache"),
                            "HF_HUB_DISABLE_XET": "1"}.items():  # fmt: skip
            monkeypatch.setenv(name, value)
        perp = listed()
        rate = {name: perp[name] for name in ("exchange", "instrument_type", "symbol", "base", "quote")}
        publish(tmp_path, instruments=[perp], funding_rates=[rate | {"timestamp": at(8), "funding_rate": 1e-4}])
        yield hub


def publish(folder, **tables):
    import polars as pl

    from cexkit.schema import TABLES
    from cexkit.schema.render import to_polars
    from cexkit.warehouse.store.warehouse import Warehouse

    warehouse = Warehouse(folder / "made")
    for name, rows in tables.items():
        frame = pl.DataFrame(rows, schema=dict(to_polars(TABLES[name])), orient="row")
        warehouse.write(TABLES[name], frame.to_arrow())
    cexkit.publish(folder / "made", PLACE)


def test_market_and_token_come_back_with_their_options():
    market = cexkit.connect("sample")
    found = again(market)
    assert (found.location, found.revision) == (market.location, market.revision)
    assert found.funding_rates.count().execute() == market.funding_rates.count().execute()
    token = Token("btc", exchange="OKX", instrument_type=iter(["perp"]), market=market, return_type="polars")
    for other in (again(token), copy.deepcopy(token)):
        assert repr(other) == repr(token)
        assert other.instruments.equals(token.instruments)
        assert other.funding_rate(limit=2).equals(token.funding_rate(limit=2))
    pair = Tokens(["BTC", "ETH"], exchange="okx", instrument_type="perp", market=market, return_type="polars")
    assert again(pair).price().equals(pair.price())
    assert len({id(each.market) for each in again(pair)}) == 1


def test_pickle_holds_neither_credentials_nor_rows(hub, monkeypatch):
    monkeypatch.setenv("CEXKIT_S3_SECRET_ACCESS_KEY", "topsecret")
    market = cexkit.connect(PLACE)
    token = Token("BTC", market=market)
    token.funding_rate()
    for value in (market, token):
        held = pickle.dumps(value)
        assert len(held) < 1_000
        assert market.revision.encode() in held
        for secret in (TOKEN.encode(), b"topsecret", b"polars", b"duckdb", b"ibis", b"BTCUSDT"):
            assert secret not in held


@pytest.mark.parametrize("offline", [False, True])
def test_hub_is_read_at_the_pickled_commit(hub, tmp_path, offline):
    market = cexkit.connect(PLACE)
    market.warm()
    held = pickle.dumps(cexkit.connect(PLACE, offline=offline))
    publish(tmp_path, instruments=[listed(), listed("ETHUSDT", base="ETH")])
    assert cexkit.connect(PLACE).instruments.count().execute() == 2
    found = pickle.loads(held)
    assert (found.revision, found.instruments.count().execute()) == (market.revision, 1)
    if not offline:
        assert found.refresh().instruments.count().execute() == 2


def test_commit_that_is_gone_raises(hub, tmp_path):
    held = pickle.dumps(Token("BTC", market=cexkit.connect(PLACE)))
    repo = next(iter(hub.repos.values()))
    publish(tmp_path, instruments=[listed(), listed("ETHUSDT", base="ETH")])
    newest = repo.at("main")
    repo.commits = {newest.oid: replace(newest, parent=None)}
    for each in (tmp_path / "cache").rglob("*"):
        if each.is_file():
            each.unlink()
    token = pickle.loads(held)
    with pytest.raises(DatasetNotFoundError, match="no revision"):
        token.funding_rate()


def test_child_process_reads_what_the_parent_reads(hub, tmp_path):
    token = Token("BTC", market=cexkit.connect(PLACE), return_type="polars")
    held = token.funding_rate()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        assert pool.submit(operator.methodcaller("funding_rate"), token).result(120).equals(held)
        folder = cexkit.connect(tmp_path / "made")
        publish(tmp_path, instruments=[listed(), listed("ETHUSDT", base="ETH")])
        with pytest.raises(DatasetNotFoundError, match="no longer has revision"):
            pool.submit(operator.attrgetter("updated"), folder).result(120)
        with pytest.raises(UnknownNameError, match="'XRPUSDT'"):
            pool.submit(operator.methodcaller("table", "funding_rates", symbol="XRPUSDT"), token.market).result(120)


@pytest.mark.parametrize("mode", ["cache", "direct"])
def test_prefix_that_moved_on_raises(tmp_path, monkeypatch, mode, made_market):
    monkeypatch.setenv("CEXKIT_CACHE_DIR", str(tmp_path / "cache"))
    made_market(instruments=[listed()])
    with LoopbackFiles(tmp_path / "made") as files:
        market = cexkit.connect(files.url, mode=mode)
        found, held = again(market), pickle.dumps(market)
        assert found.instruments.count().execute() == 1
        made_market(instruments=[listed(), listed("ETHUSDT", base="ETH")])
        with pytest.raises(DatasetError, match="no longer has revision"):
            pickle.loads(held).table("instruments")


def test_relative_folder_is_found_from_elsewhere(made_market, tmp_path, monkeypatch):
    made_market(instruments=[listed()])
    monkeypatch.chdir(tmp_path)
    held = pickle.dumps(cexkit.connect("made"))
    monkeypatch.chdir("/")
    assert pickle.loads(held).instruments.count().execute() == 1


def test_errors_can_be_pickled():
    """Else a pool of processes breaks instead of raising them."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, CexkitError)]
    made = [kind("a message") for kind in kinds if kind is not PayloadError]
    made += [
        PayloadError("um.klines", "no list", row=3, field="open"),
        errors.FetchError("x", status=429, retry_after=2.0),
    ]
    for error in made:
        found = again(error)
        assert (type(found), str(found), vars(found)) == (type(error), str(error), vars(error))
