"""Progress bars of a pull: one per venue, with its pace."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cexkit.exchanges.venue_client import Pace
    from cexkit.warehouse.ingest.report import Done


class Bars:
    """One bar per venue: instruments done, time left, requests per second, and the share of the limit that is used.

    Only shown on a terminal. Safe under threads.

    Parameters
    ----------
    totals : mapping of str to int
        Instruments to read of each venue.
    pace : callable
        Returns the responses of a venue so far and the share of its limits that is used.
    """

    def __init__(self, totals: Mapping[str, int], pace: Callable[[str], Pace]):
        from tqdm import tqdm

        self._pace = pace
        self._began = {name: (time.monotonic(), pace(name).responses) for name in totals}
        self._bars = {
            name: tqdm(total=total, desc=name, unit=" instruments", disable=None, position=place)
            for place, (name, total) in enumerate(totals.items())
        }

    def __enter__(self) -> Bars:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def step(self, done: Done) -> None:
        """Show that an instrument is done."""
        bar = self._bars.get(done.exchange)
        if bar is None:  # its listing could not be read when the pull was planned
            return
        pace, (began, before) = self._pace(done.exchange), self._began[done.exchange]
        per_second = (pace.responses - before) / max(time.monotonic() - began, 0.001)
        bar.set_postfix_str(f"{per_second:.0f} requests/s, {pace.limit_used:.0%} of the limit", refresh=False)
        bar.set_description(str(done), refresh=False)
        bar.update()

    def close(self) -> None:
        """Leave the bars as they are."""
        for bar in self._bars.values():
            bar.close()
