"""Results of ``test_pipeline.py`` as the page of the docs: ``python tests/benchmarks/report_pipeline.py a.json …``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "benchmarks-pipeline.md"
HEAD = """\
# Benchmarks of the pipeline

Four loopback venues with up to 200 perps each, at the real venues' limits: `funding_rates`, `open_interest` and
`ohlcv_1h`, into an empty warehouse, by the functions that the Dagster assets call. Venues are read side by side, the
tables of a venue one after another, one request after another. Made by

```sh
python -m pytest tests/benchmarks/test_pipeline.py --long --benchmark-json=pipeline.json
python tests/benchmarks/report_pipeline.py pipeline.json
```

which takes an hour, for most of it is spent waiting for limits. What it is not: `ohlcv_1m` is not in it (a month of it
is 44 pages a symbol at Binance, 144 at OKX), the archives of Binance and OKX are not (loopback venues have none, so all
comes through the APIs), and loopback responses come without the latency of a network.

**A refresh** is the day after the month, into the warehouse that holds the month. Memory is the peak of the one
process. "Refused" are responses other than 200.

The cases ran side by side on 2 cores that did much else (20 to 40 processes wanted them): seconds are an upper bound,
requests and memory hardly depend on it. "Wall" is reading and Silver, venues at the same time; "Silver" is the sum over
venues. What the numbers say:

- **Requests grow with symbols** and little with days: a table of a symbol is one page up to a week, of OKX's
  `open_interest` up to four days. A month is twice the requests of a day.
- **What takes longest is `funding_rates` of Binance**: 500 requests in 5 minutes are allowed, and a symbol takes four,
  for an empty page at the end is believed only when it came three times. Of a refresh of 200 symbols it is three
  quarters.
- **Memory grows slowly**: 300 MB for 50 symbols and a day, 660 MB for 200 and a month.
- **Where a limit binds, 0.9 of it and more is used**: at Binance here (0.94 and more; 0.89 in the refresh, at the
  highest load), and in the short form, with less beside it, at OKX (0.95, 0.95, 1.00) and Coinbase (0.96) too. A venue
  gets one request at a time; so where a response takes longer than the limit asks to wait (0.22 s at OKX, 0.11 s at
  Coinbase, 9 ms at Bybit), the way to the venue binds, as it did here much of the time.
- **Venues forget meanwhile**: of 30 days of `open_interest` Binance no longer has the first hour when it is asked, and
  the run says so for each symbol.
"""
#: Where this part of the time is spent waiting for a limit, it is what binds.
BINDING = 0.7


def main(paths: list[str]) -> None:
    found = [one for path in paths for one in json.loads(Path(path).read_text())["benchmarks"]]
    runs = [(one["extra_info"], run) for one in found for run in one["extra_info"].get("runs", [])]
    runs.sort(key=lambda pair: (pair[1]["what"] != "days", pair[0]["days"], pair[0]["symbols"]))
    PAGE.write_text("".join([HEAD, *_totals(runs), *_limits(runs)]), encoding="utf-8")


def _totals(runs: list[tuple[dict, dict]]) -> Iterator[str]:
    yield "\n## In all\n\n| symbols | days | requests | refused | wall, s | rows | Silver, s | Gold, s | memory, MB |\n"
    yield "|---|---|---|---|---|---|---|---|---|\n"
    for about, run in runs:
        days = about["days"] if run["what"] == "days" else f"refresh after {about['days']}"
        requests = sum(run["statuses"].values())
        silver = sum(part["silver_seconds"] for part in run["tables"])
        refused = requests - run["statuses"].get("200", 0)
        yield (
            f"| {about['symbols']} | {days} | {requests:,} | {refused} | {run['wall_seconds']:,.0f} | {run['rows']:,} "
            f"| {silver:.1f} | {run['gold_seconds']:.1f} | {run['peak_mb']:,.0f} |\n"
        )


def _limits(runs: list[tuple[dict, dict]]) -> Iterator[str]:
    most = max(about["symbols"] for about, _ in runs)
    yield f"""
## How much of the limits, {most} symbols a venue

Requests from the first to the last of a table, as a share of what the tightest limit allows in that time; and the part
of that time in which the reader waited for the limit. Where it waited {BINDING:g} of it and more, the limit is what
binds (bold), and the benchmark fails below a share of 0.9. Where it waited less, the machine binds too: a tenth of a
limit is all that may be saved up, so what a stall loses is not caught up. Shares above 1 are of short runs, for that
tenth. "–" was not measured.

| days | venue | table | requests | s | limit | share | waited |
|---|---|---|---|---|---|---|---|
"""
    for about, run in runs:
        if about["symbols"] == most:
            yield from (_limit(about["days"] if run["what"] == "days" else "refresh", part) for part in run["tables"])


def _limit(days: int | str, part: dict) -> str:
    waited = part.get("waited")
    said = "–" if waited is None else f"{waited:.2f}"
    share, bound = f"{part['share']:.2f}", waited is not None and waited > BINDING
    return (
        f"| {days} | {part['exchange']} | {part['table']} | {part['requests']:,} | {part['bronze_seconds']:.0f} "
        f"| {part['budget'].split('.', 1)[1]} | {f'**{share}**' if bound else share} | {said} |\n"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
