"""The pipeline on four loopback venues: how long it takes, what of the limits it uses, how much memory it needs.

By default a short form runs. The long one keeps the venues' real limits, so it takes as long as they do (an hour)::

    python -m pytest tests/benchmarks/test_pipeline.py --long --benchmark-json=pipeline.json
    python tests/benchmarks/report_pipeline.py pipeline.json
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
#: Symbols a venue, days, and whether the day that follows is brought in too.
SHORT = [(20, 1, True)]
LONG = [(50, 1, False), (100, 1, False), (200, 1, False), (200, 7, False), (200, 30, True)]
#: Part of a limit that has to be used where it is what binds: where 0.7 of the time is spent waiting for it.
USED, BINDING = 0.9, 0.7


@contextmanager
def venues(symbols: int, days: int):
    words = [sys.executable, str(HERE / "_pipeline_venues.py"), str(symbols), str(days)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process, json.loads(process.stdout.readline())
        process.stdin.close()


def bring_in(urls: dict[str, str], root: Path, start: str, end: str) -> dict:
    words = [sys.executable, str(HERE / "_pipeline_client.py"), json.dumps(urls), str(root), start, end]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def cases(config) -> list[tuple[int, int, bool]]:
    return LONG if config.getoption("--long") else SHORT


def pytest_generate_tests(metafunc):
    names = [f"{symbols} symbols, {days} days" for symbols, days, _ in cases(metafunc.config)]
    metafunc.parametrize(("symbols", "days", "refreshed"), cases(metafunc.config), ids=names)


def test_pipeline(benchmark, tmp_path, symbols, days, refreshed):
    benchmark.group = "pipeline"
    found: list[dict] = []

    def run() -> None:
        with venues(symbols, days) as (process, said):
            urls, (start, end, later) = said["base_urls"], said["days"]
            found.append({"what": "days", **bring_in(urls, tmp_path, start, end)})
            if refreshed:
                process.stdin.write("\n")
                process.stdin.flush()
                assert process.stdout.readline() == "a day later\n"
                found.append({"what": "refresh", **bring_in(urls, tmp_path, end, later)})

    benchmark.pedantic(run, rounds=1)
    benchmark.extra_info["symbols"], benchmark.extra_info["days"] = symbols, days
    benchmark.extra_info["runs"] = found
    for one in found:
        assert set(one["statuses"]) == {"200"}, "a limit was exceeded"
        # from each venue that has them: bars of every hour
        bars = [part for part in one["tables"] if part["table"] == "ohlcv_1h"]
        assert len(bars) == 4
        hours = 24 * (days if one["what"] == "days" else days + 1)
        assert all(part["rows"] == symbols * hours for part in bars)
        bound = [part for part in one["tables"] if part["waited"] > BINDING]
        assert all(part["share"] >= USED for part in bound), [(part["table"], part["share"]) for part in bound]
