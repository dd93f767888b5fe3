"""Venue descriptors: frozen values whose defaults suit most venues.

Nothing here reads or waits. A descriptor says where a table is and how it is requested. Its ``parse`` functions (see
:mod:`cexkit.exchanges.parsing`) turn the bytes of a response into a conforming Arrow table, the same for a fresh
response and for one stored in Bronze years ago.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn
from urllib.parse import quote

from cexkit.errors import InvalidInputError, NotOfferedError, NotReadYetError, UnknownNameError
from cexkit.exchanges.archives import Archive, Density
from cexkit.exchanges.http.client import Response
from cexkit.exchanges.http.paginate import OnePage, PageRequest, Paginator
from cexkit.exchanges.http.ratelimit import Budget, Usage
from cexkit.exchanges.parsing import Parse
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window
from cexkit.schema.symbols import INSTRUMENT_TYPES, Instrument, InstrumentType

if TYPE_CHECKING:
    import pyarrow as pa


def _no_params(instrument: Instrument | None, request: PageRequest) -> dict[str, str]:
    return {}


def _one_request(params: Mapping[str, str]) -> dict[str, float]:
    return {"weight": 1}


def _no_limits(body: bytes) -> tuple[Budget, ...]:
    return ()


def _no_usage(response: Response) -> tuple[Usage, ...]:
    return ()


def _no_error(response: Response) -> Exception | None:
    return None


def _no_cursor(body: bytes) -> str | None:
    return None


def _no_messages(instruments: Sequence[Instrument]) -> list[str]:
    return []


def _grants_nothing(message: Any) -> bool:
    return False


def _no_other_market(message: Any) -> int:
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """A host of a venue: its base URL, request budgets, and error format."""

    base_url: str
    #: Request budgets; names are local to this API.
    budgets: tuple[Budget, ...]
    #: Sent with every request.
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Budget usage reported in a response's headers.
    usage: Callable[[Response], tuple[Usage, ...]] = _no_usage
    #: The venue's own error in a response of any status, as the exception to raise; None if the response is valid.
    error: Callable[[Response], Exception | None] = _no_error


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeVenue:
    """How a source is requested for all instruments at once.

    Rows are in order of time, and a page begins with all rows of its first millisecond that fit.
    """

    #: The time in milliseconds and the venue's name of the instrument in each row of a body; raises PayloadError.
    keys: Callable[[bytes], list[tuple[int, str]]]
    #: The query of a page, by its first and last millisecond.
    params: Callable[[int, int], dict[str, str]]
    #: The first and last millisecond of the rows of a window.
    bounds: Callable[[Window], tuple[int, int]]
    #: Fewest rows of a full page, and most rows of an instrument per day, for estimates only.
    page_rows: int
    rows_per_day: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Source of one table for one instrument type.

    ``parse`` raises PayloadError if the body is not what the endpoint promises.
    """

    #: Name of the endpoint, its API before the dot: ``um.fundingRate``.
    endpoint: str
    #: May contain placeholders, as in ``/products/{product_id}/candles``, filled from parameters of the same name.
    path: str
    parse: Parse
    #: The query of one page.
    params: Callable[[Instrument | None, PageRequest], dict[str, str]] = _no_params
    paginator: Paginator = field(default_factory=OnePage)
    #: Which rows are due, so that missing rows are found; None only for lists of instruments.
    density: Density | None = None
    #: Retention period of the venue; None: all of history.
    reach: timedelta | None = None
    #: Cost of a query, by budget.
    cost: Callable[[Mapping[str, str]], dict[str, float]] = _one_request
    #: The next page's cursor in a body, for venues that page by cursor.
    cursor: Callable[[bytes], str | None] = _no_cursor
    #: Limits that a body announces; they replace the descriptor's.
    limits: Callable[[bytes], tuple[Budget, ...]] = _no_limits
    #: The same endpoint without an instrument, if the venue then returns the rows of all.
    whole_venue: WholeVenue | None = None
    #: Sources whose responses complete this one; each response is a single page.
    companions: tuple[Source, ...] = ()
    #: Lists of instruments that this source omits, such as closed ones; unlike companions, they yield rows.
    more: tuple[Source, ...] = ()
    #: Completes the parsed table with the companions' tables, by endpoint. Pure.
    join: Callable[[pa.Table, Mapping[str, pa.Table]], pa.Table] | None = None

    @property
    def api(self) -> str:
        """Name of the API that serves this source."""
        return self.endpoint.partition(".")[0]

    @property
    def parts(self) -> tuple[Source, ...]:
        """This source, its companions, and its additional lists."""
        return (self, *self.companions, *self.more)

    def page_length(self, bar: timedelta | None) -> timedelta:
        """Return the longest span that one page can hold, given the interval of the table; a day if that is unknown."""
        limit, step = (getattr(self.paginator, name, None) for name in ("limit", "step"))
        return limit * (bar or step) if limit and step else timedelta(days=1)

    def target(self, params: Mapping[str, str]) -> tuple[str, dict[str, str]]:
        """Return the path with its placeholders filled, and the remaining parameters for the query."""
        places = {name for name in params if f"{{{name}}}" in self.path}
        path = self.path.format(**{name: quote(params[name], safe="") for name in places})
        return path, {name: value for name, value in params.items() if name not in places}


Side = Literal["long", "short"]


class Event(NamedTuple):
    """A liquidation as the venue reports it; ``quantity`` is in the venue's unit."""

    venue_symbol: str
    ms: int
    side: Side
    price: float
    quantity: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A venue's stream of liquidations."""

    endpoint: str
    url: str
    #: Completeness of its totals: ``full`` or ``throttled``.
    coverage: str
    price_type: str
    #: Messages to send first for these instruments; listening begins when the venue has granted each of them.
    subscribe: Callable[[Sequence[Instrument]], list[str]] = _no_messages
    #: True if a message grants a subscription; raises VenueError if it refuses one.
    grants: Callable[[Any], bool] = _grants_nothing
    #: Parts of a decoded message that are events; none if the message has another topic.
    items: Callable[[Any], Iterator[Any]]
    #: The event that a part states; any lookup, type, or value error means that it is malformed.
    event: Callable[[Any], Event]
    #: True if a decoded message carries data of a channel; acknowledgments and pongs do not.
    delivers: Callable[[Any], bool]
    #: Message that subscribes a busy channel on the same connection, whose frames show that the venue delivers; None if
    #: the URL names such a channel.
    heartbeat: str | None = None
    #: Number of events in a decoded message that belong to another market, which ``items`` leaves out.
    skipped: Callable[[Any], int] = _no_other_market
    #: Text that the venue expects at regular intervals, in addition to the WebSocket's own pings.
    ping: str | None = None
    #: True if quantities are in contracts.
    contracts: bool = False
    #: True if the same event in two messages means two events; otherwise the second is a replay.
    counts_messages: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A venue: its APIs and where each table is read."""

    name: str
    apis: Mapping[str, Api]
    sources: Mapping[tuple[str, InstrumentType], Source]
    #: What the venue does not publish, and why.
    not_offered: Mapping[tuple[str, InstrumentType], str] = field(default_factory=dict)
    #: Where the venue keeps years of a table as files.
    archives: Mapping[tuple[str, InstrumentType], Archive] = field(default_factory=dict)
    #: Raised when the parsers give other rows for the same response.
    parser_version: int = 1
    #: The venue's stream of liquidations.
    stream: Stream | None = None

    def __post_init__(self) -> None:
        for (name, kind), source in self.sources.items():
            table = TABLES[name]
            if (source.density is None) != (table.time is None) or (source.density == "dense" and table.bar is None):
                raise InvalidInputError(
                    f"density of {name} of {self.name} {kind} must be 'dense' (tables with an interval), 'sparse' or "
                    f"'irregular', and None for lists of instruments, got {source.density!r}"
                )

    def instrument_types(self, table: str) -> tuple[InstrumentType, ...]:
        """Return the instrument types for which a table is read."""
        return tuple(kind for kind in INSTRUMENT_TYPES if (table, kind) in self.sources)

    def source(self, table: str, instrument_type: InstrumentType) -> Source:
        """Return the source of a table.

        Raises
        ------
        NotOfferedError
            If the venue does not publish the table, or the table does not exist for this instrument type.
        NotReadYetError
            If cexkit cannot read the table yet.
        """
        return self.sources.get((table, instrument_type)) or self.explain(table, [instrument_type])

    def explain(self, table: str, instrument_types: Iterable[InstrumentType]) -> NoReturn:
        """Raise the error that explains why a table is read for none of these instrument types."""
        requested = tuple(instrument_types)
        what = f"{table} of {self.name} {' or '.join(requested)}"
        meant = [kind for kind in requested if kind in TABLES[table].instrument_types]
        if not meant:
            raise NotOfferedError(f"{what}: {table} exists for {', '.join(TABLES[table].instrument_types)} only")
        reasons = [self.not_offered[table, kind] for kind in meant if (table, kind) in self.not_offered]
        if len(reasons) == len(meant):
            raise NotOfferedError(f"{what}: the venue does not offer it: {'; '.join(dict.fromkeys(reasons))}")
        there = sorted({name for name, _ in self.sources})
        raise NotReadYetError(f"{what} is not read by cexkit yet. Available for {self.name}: {', '.join(there)}")

    @property
    def companions(self) -> frozenset[str]:
        """Endpoints whose responses only complete other responses and yield no rows."""
        return frozenset(part.endpoint for source in self.sources.values() for part in source.companions)

    def is_read_whole(self, table: str) -> bool:
        """Return whether one request can return a table's rows of all instruments."""
        return any(source.whole_venue is not None for (name, _), source in self.sources.items() if name == table)

    def endpoints(self, table: str) -> tuple[str, ...]:
        """Return the names of all endpoints of a table, including companions and archives."""
        return tuple(self._parsers(table))

    def parser(self, table: str, endpoint: str) -> Parse:
        """Return the parser for responses of an endpoint.

        Raises
        ------
        UnknownNameError
            If the table is not read from that endpoint.
        """
        parsers = self._parsers(table)
        if endpoint not in parsers:
            raise UnknownNameError.of(f"endpoint for {table} of {self.name}", endpoint, parsers)
        return parsers[endpoint]

    def _parsers(self, table: str) -> dict[str, Parse]:
        sources = [source for (name, _), source in self.sources.items() if name == table]
        archives = [archive for (name, _), archive in self.archives.items() if name == table]
        parts = [part for source in sources for part in source.parts]
        return {part.endpoint: part.parse for part in (*parts, *archives)}

    def endpoint(self, table: str, endpoint: str) -> Source:
        """Return the source, companion, or additional list that a response came from."""
        for (name, _), source in self.sources.items():
            for candidate in source.parts:
                if name == table and candidate.endpoint == endpoint:
                    return candidate
        raise UnknownNameError.of(f"endpoint for {table} of {self.name}", endpoint, self._parsers(table))
