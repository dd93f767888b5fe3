"""A fifth of all responses wrong, over real sockets: the warehouse is the one that a faultless venue gives.

By default a short form runs; ``pytest tests/warehouse/ingest/test_soak.py --long`` sends 10,000 requests and more.
"""

from __future__ import annotations

import time
from bisect import bisect_left

import pytest

from cexkit.exchanges.fetcher import Fetcher
from cexkit.testing import (
    LoopbackBinance,
    banned,
    chance,
    disordered,
    doubled,
    emptied,
    error_in_body,
    garbled,
    reset,
    server_error,
    stalled,
    too_many_requests,
    truncated,
    web_page,
)
from cexkit.testing.simulation import simulate
from cexkit.warehouse.ingest.pull import pull
from cexkit.warehouse.store.warehouse import Warehouse

START, END = "2026-05-10", "2026-06-25"
TABLES = ["funding_rates", "ohlcv_1h", "mark_1h"]
#: Weight a minute; low enough to bind the long form.
LIMIT = 30_000
ERROR = b'{"code":-1003,"msg":"Too many requests."}'
KINDS = (
    lambda when: too_many_requests(when, retry_after=0),
    lambda when: banned(when, retry_after=0),
    server_error,
    lambda when: stalled(when, seconds=2.0),
    reset,
    truncated,
    garbled,
    web_page,
    lambda when: error_in_body(when, ERROR),
    emptied,
    doubled,
    disordered,
)


def faults(share: float):
    # each strikes what those before it spared
    return [kind(chance(share / len(KINDS), seed)) for seed, kind in enumerate(KINDS)]


def run(truth, root, page_rows, wrong=()):
    limits = {"um": LIMIT, "spot": LIMIT, "funding": LIMIT, "data": LIMIT}
    with LoopbackBinance(truth, now=f"{END}T00:00:05", faults=wrong, page_rows=page_rows, limits=limits) as venue:
        settings = venue.settings.model_copy(
            update={"http_timeout_seconds": 1.0, "http_attempts": 10, "concurrent_requests": 8}
        )
        # retries wait a fiftieth of their time; budgets are kept by the clock all the same
        with Fetcher(settings, sleep=lambda seconds: time.sleep(seconds / 50)) as fetcher:
            report = pull("binance", TABLES, None, START, END, warehouse=root, fetcher=fetcher)
        return report, venue.log


def heaviest_minute(log) -> float:
    """The most weight that came in within any 60 seconds, per API."""
    worst = 0.0
    for api in ("/api/", "/fapi/"):
        times = [(entry.request.at, entry.weight) for entry in log if entry.request.path.startswith(api)]
        starts = [at for at, _ in times]
        sums = [0.0]
        for _, weight in times:
            sums.append(sums[-1] + weight)
        worst = max([worst, *(sums[i + 1] - sums[bisect_left(starts, at - 60)] for i, at in enumerate(starts))])
    return worst


@pytest.mark.soak
def test_a_fifth_of_all_answers_wrong_changes_nothing(request, tmp_path):
    long = request.config.getoption("--long")
    coins = None if long else ["BTC", "PEPE"]
    truth = simulate(start=START, end=END, coins=coins, exchanges=["binance"]).tables
    _, asked = run(truth, tmp_path / "faultless", 1000)
    report, log = run(truth, tmp_path / "faulty", 3 if long else 30, faults(0.2))
    assert report.problems == ()
    assert Warehouse(tmp_path / "faulty").manifest.files == Warehouse(tmp_path / "faultless").manifest.files
    assert report.rows > 1000
    struck = {entry.fault for entry in log} - {None}
    assert len(log) > (10_000 if long else 300)
    assert len(struck) == len(KINDS) or not long, struck
    assert 0.15 < sum(entry.fault is not None for entry in log) / len(log) < 0.25
    assert not [entry for entry in log if entry.status == 429 and entry.fault is None], "over the declared limit"
    assert heaviest_minute(log) <= LIMIT
    print(f"{len(log)} requests, {sum(e.fault is not None for e in log)} faults, {len(asked)} without faults")
