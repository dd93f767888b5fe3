"""Each part of cexkit once. ``.ci/lowest`` runs this file alone on the lowest versions that ``pyproject.toml`` allows.

It needs pytest and cexkit, and no other package of the extra ``dev``.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from importlib.metadata import requires, version
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import polars as pl
import pytest

import cexkit
from cexkit import plotting
from cexkit.config import Settings
from cexkit.errors import DatasetNotFoundError, InvalidInputError
from cexkit.exchanges.fetcher import Fetcher
from cexkit.testing import LoopbackFiles, LoopbackHub, LoopbackMarket
from cexkit.warehouse.store.locations import SAMPLE_ROOT

from .hub import point

mpl.use("agg")

#: One metric of each family: the table it runs on and its arguments.
METRICS = {
    "funding_apr": ("funding_rates", {}),
    "funding_zscore": ("funding_rates", {"window": 20}),
    "funding_spend_usd": ("funding_oi", {}),
    "weighted_funding": ("funding_oi", {"tolerance": "8h"}),
    "basis_bps": ("basis", {}),
    "liquidation_summary": ("liquidations", {}),
    "liquidation_cascades": ("liquidations", {"gap": "600s"}),
    "oi_change": ("open_interest", {}),
    "drawdown": ("ohlcv_1h", {}),
    "realized_volatility": ("ohlcv_1h", {"window": 20, "estimator": "yang_zhang"}),
    "amihud": ("ohlcv_1h", {"window": 20}),
    "beta": ("ohlcv_1h", {"window": 20, "benchmark": "BTCUSDT"}),
    "cvd": ("ohlcv_1h", {}),
    "volume_share": ("ohlcv_1h", {}),
    "resample": ("ohlcv_1h", {"every": "1d"}),
}


@pytest.fixture(scope="module")
def market():
    return cexkit.connect("sample")


@pytest.fixture(scope="module")
def tables(market) -> dict[str, pl.DataFrame]:
    """Frames of the sample, sorted, as the metrics take them."""
    window = {"start": "2026-06-20", "end": "2026-06-30"}
    perps = {"exchange": ["binance", "okx"], "symbol": ["BTCUSDT", "ETHUSDT"], "instrument_type": "perp"}
    made = {
        name: market.table(name, **window, **perps).to_polars().sort("exchange", "symbol", "timestamp")
        for name in ("funding_rates", "open_interest", "ohlcv_1h")
    }
    made["liquidations"] = market.table("liquidations", **window).to_polars().sort("timestamp")
    made["basis"] = market.basis(**window, exchange="binance", symbol="BTCUSDT", instrument_type="perp").to_polars()
    made["funding_oi"] = made["funding_rates"].with_columns(open_interest_usd=1e6 + pl.int_range(pl.len()))
    return made


def numbers(result: object) -> pd.DataFrame:
    """Return a result as pandas."""
    if isinstance(result, pl.LazyFrame):
        result = result.collect()
    return (result if isinstance(result, pd.DataFrame) else result.to_pandas()).reset_index(drop=True)


@pytest.mark.parametrize("name", METRICS)
def test_metric_gives_the_same_numbers_on_each_engine(tables, name):
    table, options = METRICS[name]
    frame, metric = tables[table], getattr(cexkit, name)
    whole = numbers(metric(frame, **options))
    assert whole.select_dtypes("number").notna().any().any(), "a metric of nulls would agree with anything"
    for other in (frame.to_pandas(), frame.to_arrow(), frame.lazy()):
        found = numbers(metric(other, **options))
        assert len(found) == len(whole)
        for column in whole.select_dtypes("number"):
            left, right = (np.sort(each[column].to_numpy(float, na_value=np.nan)) for each in (whole, found))
            np.testing.assert_allclose(right, left, rtol=1e-9)


def test_funding_apr_by_hand():
    frame = pd.DataFrame(
        {"timestamp": pd.to_datetime(["2024-01-01 00:00", "2024-01-01 08:00"], utc=True), "funding_rate": [1e-4, 2e-4]}
    )
    for each in (frame, pl.from_pandas(frame)):
        assert numbers(cexkit.funding_apr(each, interval_hours=8)).funding_apr.round(6).tolist() == [0.1095, 0.219]
        assert len(each.crypto.funding_apr(interval_hours=8)) == 2


def test_window_forgets_a_spike():
    """Polars before 1.43 keeps a trace of it in all later variances."""
    rates = np.random.default_rng(2).normal(1e-4, 1e-5, 60)
    times = pd.date_range("2024-01-01", periods=60, freq="8h", tz="UTC")
    found = []
    for spike in (rates[5], 1e6):
        rates[5] = spike
        frame = pl.DataFrame({"timestamp": times, "funding_rate": rates, "funding_interval_hours": 8.0})
        found.append(numbers(cexkit.funding_zscore(frame.lazy(), window=10)).funding_zscore.to_numpy()[20:])
    np.testing.assert_allclose(*found, rtol=1e-9)


def test_join_keeps_rows_without_a_match(market):
    """DuckDB before 1.5.2 drops them if the right side is empty: Coinbase has no mark prices."""
    window = {"exchange": "coinbase", "symbol": "BTCUSDC", "start": "2026-06-29"}
    paid = market.table("funding_rates", **window).count().execute()
    assert market.funding_with_price(**window).count().execute() == paid > 0


def test_metric_runs_on_ibis(market):
    rows = market.table("funding_rates", start="2026-06-29", exchange="okx", symbol="BTCUSDT")
    found = cexkit.funding_apr(rows).execute()
    assert len(found) == rows.count().execute() > 0


PLOTS = {
    "funding_apr": "funding_rates",
    "funding_band": "funding_rates",
    "cumulative_funding": "funding_rates",
    "basis": "basis",
    "drawdown": "ohlcv_1h",
    "volatility_cone": "ohlcv_1h",
    "open_interest": "open_interest",
    "venue_share": "ohlcv_1h",
    "liquidations": "liquidations",
}


@pytest.mark.parametrize("name", PLOTS)
def test_plot_draws(tables, name):
    frame = tables[PLOTS[name]]
    if name in ("drawdown", "volatility_cone"):
        frame = frame.filter(exchange="okx")
    options = {"base": "BTC"} if name == "funding_band" else {}
    axes = np.ravel(getattr(plotting, name)(frame if options else frame.filter(base="BTC"), **options))
    assert any(each.has_data() for each in axes)
    axes[0].figure.canvas.draw()


def test_dataset_is_queried(market):
    assert market.funding_rates.count().execute() == market.tables["funding_rates"].rows
    assert len(market.query("funding_across_venues", base="BTC")) > 0
    assert market.sql("describe instruments").count().execute() > 5
    recursive = (
        "with recursive t as (select 1 as n union all select n + 1 from t where n < 4) select sum(n) as s from t"
    )
    assert market.sql(recursive).s.execute().tolist() == [10]
    assert market.universe("2026-06-29").count().execute() > 0
    with pytest.raises(InvalidInputError):
        market.sql("select * from read_text('/etc/hostname')").execute()


def test_tearsheet_is_written(tmp_path):
    cexkit.Token("BTC").tearsheet(tmp_path / "btc.html", days=10)
    assert "<html" in (tmp_path / "btc.html").read_text(encoding="utf-8")[:2000]


def test_remote_dataset_is_read(monkeypatch, tmp_path):
    monkeypatch.setenv("CEXKIT_CACHE_DIR", str(tmp_path))
    with LoopbackFiles(SAMPLE_ROOT) as files:
        assert cexkit.connect(files.url, mode="cache").table("funding_rates", exchange="okx").count().execute() > 0


def test_dataset_is_published_to_a_folder_and_the_hub(monkeypatch, tmp_path):
    from huggingface_hub import constants

    assert cexkit.publish(SAMPLE_ROOT, tmp_path / "copy").changed
    assert cexkit.connect(tmp_path / "copy").funding_rates.count().execute() > 0
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    monkeypatch.setenv("CEXKIT_CACHE_DIR", str(tmp_path / "cache"))
    with LoopbackHub() as hub:
        point(monkeypatch, hub.url)
        monkeypatch.setenv("HF_TOKEN", hub_token())
        with pytest.raises(DatasetNotFoundError):
            cexkit.connect("hf://datasets/me/data")
        assert cexkit.publish(SAMPLE_ROOT, "hf://datasets/me/data").changed
        assert not cexkit.publish(SAMPLE_ROOT, "hf://datasets/me/data").changed
        assert cexkit.connect("hf://datasets/me/data").table("liquidations_1d").count().execute() > 0


def hub_token() -> str:
    from cexkit.testing.hub import TOKEN

    return TOKEN


def test_venues_are_pulled_and_heard(tmp_path):
    with (
        LoopbackMarket("2026-05-20", "2026-05-22", coins=["BTC"]) as venues,
        Fetcher(Settings(base_urls=venues.base_urls, max_clock_skew_seconds=None)) as fetcher,
    ):
        rows = fetcher.fetch("bybit", "funding_rates", "BTCUSDT", venues.start)
        report = cexkit.pull("okx", "ohlcv_1h", "BTCUSDT", venues.start, warehouse=tmp_path, fetcher=fetcher)
        streams = {name: stream.url for name, stream in venues.streams.items()}
        heard = cexkit.collect("okx", tmp_path, seconds=1, fetcher=fetcher, urls=streams)
    assert rows.num_rows > 0
    assert report.rows > 0
    assert heard.sessions == 1
    assert not [problem for problem in heard.problems if "sequence" in problem.message]


def test_command_line_runs():
    words = [sys.executable, "-m", "cexkit.cli", "show", "funding_rates", "--limit", "2", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    assert [json.loads(line)["exchange"] for line in done.stdout.splitlines()]


@pytest.mark.skipif("LOWEST_VERSIONS" not in os.environ, reason="only .ci/lowest installs the lowest versions")
def test_lowest_versions_are_installed():
    """Else all of this would pass for another reason."""
    from packaging.requirements import Requirement

    for requirement in map(Requirement, requires("cexkit")):
        if requirement.marker and not requirement.marker.evaluate({"extra": "socks"}):
            continue
        lowest = [part.version for part in requirement.specifier if part.operator == ">="]
        if lowest:
            found = version(requirement.name)
            assert found == lowest[0] or found.startswith(f"{lowest[0]}."), requirement


def test_every_module_can_be_imported():
    package = Path(cexkit.__file__).parent
    for path in sorted(package.rglob("*.py")):
        if path.name not in ("__main__.py",) and "_sample" not in path.parts:
            names = path.relative_to(package.parent).with_suffix("").parts
            importlib.import_module(".".join(names[:-1] if names[-1] == "__init__" else names))
