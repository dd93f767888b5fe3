"""Separate process: four loopback venues with short pages, behind a slow network, until stdin closes.

Prints the base URLs and the span of their rows as a line of JSON; for each line on stdin, the requests so far: venue,
path, arrival in seconds, status, and the parameter ``limit``.
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

from _pipeline_venues import END, copies, history

from cexkit.schema.intervals import utc
from cexkit.testing import LOOPBACKS
from cexkit.testing.market import moved


def main(symbols: int, days: int, page_rows: int, shortest: float, longest: float) -> None:
    """Serve perps whose rows are of the ``days`` before today."""
    start, by = utc(END) - timedelta(days=days), utc(datetime.now(UTC).date()) - utc(END)
    frames = {name: copies(frame, symbols) for name, frame in moved(history(start), by).items()}
    now = utc(END) + by + timedelta(seconds=10)
    with ExitStack() as stack:
        venues = {
            name: stack.enter_context(make(frames, now=now, page_rows=page_rows, latency_seconds=(shortest, longest)))
            for name, make in LOOPBACKS.items()
        }
        urls = {api: url for venue in venues.values() for api, url in venue.settings.base_urls.items()}
        print(json.dumps([urls, (start + by).isoformat(), (utc(END) + by).isoformat()]), flush=True)
        for _ in sys.stdin:
            log = [
                [name, each.request.path, each.request.at, each.status, each.request.params.get("limit")]
                for name, venue in venues.items()
                for each in venue.log
            ]
            print(json.dumps(log), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]), *map(float, sys.argv[4:6]))
