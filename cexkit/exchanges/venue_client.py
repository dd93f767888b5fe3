"""HTTP client that knows venues: their base URLs, headers, budgets, and clocks."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NoReturn

from cexkit.errors import VenueError
from cexkit.exchanges.base import Exchange, Source
from cexkit.exchanges.http.client import HttpClient, NextSequence, Response
from cexkit.exchanges.http.clocks import ClockReading, read_clocks
from cexkit.exchanges.http.ratelimit import Budget
from cexkit.exchanges.parsing import Context


def _refuse_file(body: bytes, context: Context) -> NoReturn:
    raise NotImplementedError("files of an archive are parsed by their descriptor")


def _file_cost(params: Mapping[str, str]) -> dict[str, float]:
    return {"requests": 1}


#: Files of a venue's archive.
FILES = Source(endpoint="archive.file", path="", parse=_refuse_file, cost=_file_cost)


@dataclass(frozen=True, slots=True)
class Pace:
    """Responses of a venue so far, and the share of the limit that is used most, from 0 to 1."""

    responses: int
    limit_used: float


class VenueClient:
    """A client that sends single requests to venues. Thread-safe.

    Parameters
    ----------
    http : HttpClient
        Sends the requests; its rate limiter holds the budgets of all venues.
    base_urls : mapping of str to str
        Base URLs that replace those of the descriptors, by venue and API, such as ``binance.um``.
    max_clock_skew_seconds : float or None
        Largest difference, in seconds, between a venue's clock and ours if both are right; None does not compare them.
    """

    def __init__(self, http: HttpClient, base_urls: Mapping[str, str], max_clock_skew_seconds: float | None):
        self._http = http
        self._base_urls = base_urls
        self._max_skew = None if max_clock_skew_seconds is None else timedelta(seconds=max_clock_skew_seconds)
        self._declared_apis: set[str] = set()
        self._declare_lock = threading.Lock()
        #: Time of each venue's latest response, by the venue's clock.
        self._server_times: dict[str, datetime] = {}
        self._responses: Counter[str] = Counter()

    def get(
        self,
        venue: Exchange,
        source: Source,
        params: Mapping[str, str],
        next_sequence: NextSequence | None = None,
    ) -> Response:
        """Send one request and return its response; errors are those of ``HttpClient.get``."""
        api = venue.apis[source.api]
        self._declare_api(venue, source)
        name_budget = partial(_budget_name, venue, source)
        base_url = self._base_urls.get(f"{venue.name}.{source.api}", api.base_url)
        path, query = source.target(params)
        response = self._http.get(
            base_url.rstrip("/") + path,
            query,
            headers=api.headers,
            cost={name_budget(name): weight for name, weight in source.cost(params).items()},
            inspect=api.error,
            usage=lambda response: tuple(
                replace(usage, budget=name_budget(usage.budget)) for usage in api.usage(response)
            ),
            next_sequence=next_sequence,
        )
        self._server_times[venue.name] = response.server_time
        with self._declare_lock:
            self._responses[venue.name] += 1
        return response

    def pace(self, exchange: str) -> Pace:
        """Return how many responses a venue sent, and the share of its limits that is used now."""
        return Pace(self._responses[exchange], self._http.limiter.used(f"{exchange}."))

    def get_file(self, venue: Exchange, path: str, next_sequence: NextSequence | None = None) -> Response | None:
        """Send one request for a file of a venue's archive; return None if the archive has no such file."""
        try:
            return self.get(venue, replace(FILES, path=path), {}, next_sequence)
        except VenueError as error:
            if error.status == 404:
                return None
            raise

    def read_clocks(self, response: Response) -> ClockReading:
        """Return the time of a response by the earlier of the venue's clock and ours, and whether they disagree."""
        return read_clocks(response, self._max_skew)

    def declare_budgets(self, venue: Exchange, source: Source, budgets: Iterable[Budget]) -> None:
        """Declare budgets of a source's API; they replace earlier budgets of the same names."""
        for budget in budgets:
            self._http.limiter.declare(replace(budget, name=_budget_name(venue, source, budget.name)))

    def recall_server_time(self, exchange: str) -> datetime:
        """Return the time of a venue's latest response, by the venue's clock.

        Before the first response, return the local time of the first call.
        """
        return self._server_times.setdefault(exchange, datetime.now(UTC))

    def _declare_api(self, venue: Exchange, source: Source) -> None:
        """Declare an API's budgets on its first use, so that limits the venue announces later stay in force."""
        with self._declare_lock:
            if (key := f"{venue.name}.{source.api}") in self._declared_apis:
                return
            self.declare_budgets(venue, source, venue.apis[source.api].budgets)
            self._declared_apis.add(key)


def _budget_name(venue: Exchange, source: Source, name: str) -> str:
    return f"{venue.name}.{source.api}.{name}"
