"""The share of each limit of the venues that reading reaches, counted by them, with 150 ms of latency.

With 50 to 250 ms, reading waits longer, because a request counts from when it may have arrived; there, no span may have
more than the limit. By default a short form runs, for half a minute. The long one takes 27 minutes, four windows of the
longest limit with 150 ms::

    python -m pytest tests/benchmarks/test_every_limit.py --long -s
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
#: One request returns a settlement of all symbols, so that this limit never binds.
FREE = ("binance", "/fapi/v1/fundingRate")
#: Venue and path → weight that the venue allows in any span, and its length in seconds.
LIMITS = {
    ("binance", "/fapi/v1/klines"): (2400, 60),
    ("binance", "/fapi/v1/fundingRate"): (500, 300),
    ("binance", "/futures/data/openInterestHist"): (1000, 300),
    ("bybit", "/v5/"): (600, 5),
    ("coinbase", "/api/v2/"): (10, 1),
    ("okx", "/api/v5/market/history-candles"): (20, 2),
    ("okx", "/api/v5/public/funding-rate-history"): (10, 2),
    ("okx", "/api/v5/rubik/stat/contracts/open-interest-history"): (10, 2),
}


def weight(venue: str, path: str, limit: str | None) -> int:
    """Weight of a request: Binance's klines cost more for longer pages."""
    if venue != "binance" or not path.endswith("klines"):
        return 1
    rows = int(limit or 500)
    return 1 if rows < 100 else 2 if rows < 500 else 5 if rows <= 1000 else 10


def most_in_a_span(arrivals: Iterable[tuple[float, int]], seconds: float) -> int:
    """Largest weight that arrived within a span."""
    times, sums = [], [0]
    most = 0
    for at, cost in arrivals:
        times.append(at)
        sums.append(sums[-1] + cost)
        most = max(most, sums[-1] - sums[bisect_left(times, at - seconds)])
    return most


@pytest.mark.parametrize(("latency", "minutes"), [((0.15, 0.15), 22), ((0.05, 0.25), 5)])
def test_every_limit(request, tmp_path, latency, minutes):
    long = request.config.getoption("--long")
    size = ["400", "26", "10"] if long else ["50", "6", "10"]
    words = [sys.executable, str(HERE / "_venues_at_limits.py"), *size, *map(str, latency)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as venues:
        urls, start, end = json.loads(venues.stdout.readline())
        reader = subprocess.Popen(
            [sys.executable, str(HERE / "_read_at_limits.py"), json.dumps(urls), str(tmp_path), start, end]
        )
        time.sleep(60 * minutes if long else 15)
        ended = reader.poll()
        reader.kill()
        reader.wait()
        venues.stdin.write("\n")
        venues.stdin.flush()
        log = json.loads(venues.stdout.readline())
        venues.stdin.close()
    assert ended in (None, 0)
    arrivals = defaultdict(list)
    for venue, path, at, status, limit in log:
        for place in LIMITS:
            if place[0] == venue and path.startswith(place[1]) and "instruments" not in path:
                assert status == 200, (venue, path, status)
                arrivals[place].append((at, weight(venue, path, limit)))
    print()
    shares = {}
    for place, (allowed, seconds) in LIMITS.items():
        found = sorted(arrivals[place])
        assert most_in_a_span(found, seconds) <= allowed, place
        first = found[0][0] + seconds if found else 0.0
        windows = int((found[-1][0] - first) / seconds) if found else 0
        if windows < 3:
            print(f"{place}: {len(found)} requests, {windows} windows after the first")
            continue
        # of a table with few requests, its last windows are not full
        windows = min(windows, 20)
        used = sum(cost for at, cost in found if first <= at < first + windows * seconds)
        shares[place] = used / (windows * allowed)
        print(f"{place}: {len(found)} requests, {shares[place]:.3f} of the limit in {windows} windows")
    if long and latency[0] == latency[1]:
        assert set(shares) >= set(LIMITS) - {FREE}
        shares.pop(FREE, None)
        assert all(share >= 0.88 for share in shares.values()), shares
