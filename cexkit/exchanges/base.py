"""What a venue is: frozen descriptors whose defaults suit most, and the tools that parsers share.

Nothing here reads or waits. A descriptor says where a table is and how it is asked for; its
``parse`` functions turn the bytes of an answer into a conforming Arrow table, the same whether the
answer came a moment ago or years ago out of Bronze.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from math import isfinite
from typing import TYPE_CHECKING, Annotated, Any, NoReturn
from urllib.parse import quote

import msgspec

from cexkit.errors import NotOfferedError, NotReadYetError, PayloadError, UnknownNameError
from cexkit.http.client import Answer
from cexkit.http.paginate import Ask, Got, OnePage, Paging
from cexkit.http.ratelimit import Budget, Usage
from cexkit.intervals import EPOCH, MILLISECOND, Window, utc
from cexkit.schema import TABLES
from cexkit.symbols import INSTRUMENT_TYPES, Instrument, InstrumentType

if TYPE_CHECKING:
    import pyarrow as pa
    from pydantic import TypeAdapter

    from cexkit.exchanges.archive import Archive

#: Metadata of an instruments table: what the venue listed and the table leaves out, and why.
LEFT_OUT = b"left_out"
#: Metadata of a page from which unfinished rows were dropped: first and last time with them.
REACHED = b"reached"
#: An answer may be stamped this much later than it was made: a bar must be over for as long to be finished.
STAMPED_LATE = timedelta(seconds=1)
#: Settlements are keyed on the nearest minute; none are closer than an hour.
MINUTE_MS = timedelta(minutes=1) // MILLISECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """All that a parser needs beside the bytes, kept with every answer in Bronze.

    Parameters
    ----------
    exchange, table : str
        Whose answer, and for which table of the schema.
    now : datetime
        The venue's clock when it answered; bars that were not over by then are dropped.
    instrument : Instrument, optional
        Whose data was asked for; None for lists of instruments.
    window : Window, optional
        The span that was asked for; rows outside are dropped.

    Examples
    --------
    >>> context = Context(exchange="binance", table="instruments", now=utc("2024-01-01"))
    >>> Context.from_json(context.to_json()) == context
    True
    """

    exchange: str
    table: str
    now: datetime
    instrument: Instrument | None = None
    window: Window | None = None

    @property
    def interval(self) -> str | None:
        """Bar length of the table, such as ``"1h"``."""
        return TABLES[self.table].interval

    def to_json(self) -> str:
        """The context as text for Bronze."""
        plain = {"exchange": self.exchange, "table": self.table, "now": self.now.isoformat()}
        if self.instrument is not None:
            plain["instrument"] = asdict(self.instrument)
        if self.window is not None:
            plain["window"] = [self.window.start.isoformat(), self.window.end.isoformat()]
        return json.dumps(plain)

    @classmethod
    def from_json(cls, text: str) -> Context:
        """The context that :meth:`to_json` wrote."""
        plain = json.loads(text)
        plain["now"] = utc(plain["now"])
        if "instrument" in plain:
            plain["instrument"] = Instrument(**plain["instrument"])
        if "window" in plain:
            plain["window"] = Window.of(*plain["window"])
        return cls(**plain)


Parse = Callable[[bytes, Context], "pa.Table"]


def _no_params(instrument: Instrument | None, ask: Ask) -> dict[str, str]:
    return {}


def _one_request(params: Mapping[str, str]) -> dict[str, float]:
    return {"weight": 1}


def _no_limits(body: bytes) -> tuple[Budget, ...]:
    return ()


def _no_usage(answer: Answer) -> tuple[Usage, ...]:
    return ()


def _no_error(answer: Answer) -> Exception | None:
    return None


def _no_cursor(body: bytes) -> str | None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """One host of a venue: where it is, what it allows, how it complains."""

    base_url: str
    #: Request budgets; names are local to this API.
    budgets: tuple[Budget, ...]
    #: Sent with every request.
    headers: Mapping[str, str] = field(default_factory=dict)
    #: What an answer's headers say of the budgets.
    usage: Callable[[Answer], tuple[Usage, ...]] = _no_usage
    #: The venue's own error in an answer of any status, as the exception to raise; None: it is none.
    error: Callable[[Answer], Exception | None] = _no_error


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where one table of one kind of instrument is read.

    ``parse`` raises PayloadError where the body is not what the endpoint promises.
    """

    #: Name of the endpoint, its API before the dot: ``um.fundingRate``.
    endpoint: str
    #: May hold places, ``/products/{product_id}/candles``, that parameters of these names fill.
    path: str
    parse: Parse
    #: The query of one page.
    params: Callable[[Instrument | None, Ask], dict[str, str]] = _no_params
    paging: Paging = field(default_factory=OnePage)
    #: How far back the venue keeps it; None: all of history.
    reach: timedelta | None = None
    #: What a query costs, by budget.
    cost: Callable[[Mapping[str, str]], dict[str, float]] = _one_request
    #: The next page's cursor in a body, for venues that page by cursor.
    cursor: Callable[[bytes], str | None] = _no_cursor
    #: Limits that a body announces; they replace the descriptor's.
    limits: Callable[[bytes], tuple[Budget, ...]] = _no_limits
    #: Other answers that complete this one, read beside it; each is one page.
    companions: tuple[Source, ...] = ()
    #: Lists of instruments that this one leaves out, such as closed ones, with rows of their own.
    more: tuple[Source, ...] = ()
    #: Completes the parsed table with the companions' tables, by endpoint. Pure.
    join: Callable[[pa.Table, Mapping[str, pa.Table]], pa.Table] | None = None

    @property
    def api(self) -> str:
        """Name of the API it belongs to."""
        return self.endpoint.partition(".")[0]

    @property
    def parts(self) -> tuple[Source, ...]:
        """Itself and all that is read beside it."""
        return (self, *self.companions, *self.more)

    def target(self, params: Mapping[str, str]) -> tuple[str, dict[str, str]]:
        """The path with its places filled, and the parameters that are left for the query."""
        places = {name for name in params if f"{{{name}}}" in self.path}
        path = self.path.format(**{name: quote(params[name], safe="") for name in places})
        return path, {name: value for name, value in params.items() if name not in places}


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

    def instrument_types(self, table: str) -> tuple[InstrumentType, ...]:
        """The kinds of instruments for which a table is read."""
        return tuple(kind for kind in INSTRUMENT_TYPES if (table, kind) in self.sources)

    def source(self, table: str, instrument_type: InstrumentType) -> Source:
        """Where a table is read.

        Raises
        ------
        NotOfferedError
            If the venue does not publish it, or there is no such thing.
        NotReadYetError
            If cexkit cannot read it yet.
        """
        return self.sources.get((table, instrument_type)) or self.explain(table, [instrument_type])

    def explain(self, table: str, instrument_types: Iterable[InstrumentType]) -> NoReturn:
        """Raise the error that says why a table is read for none of these kinds of instruments."""
        asked = tuple(instrument_types)
        what = f"{table} of {self.name} {' or '.join(asked)}"
        meant = [kind for kind in asked if kind in TABLES[table].instrument_types]
        if not meant:
            raise NotOfferedError(f"{what}: {table} exists for {', '.join(TABLES[table].instrument_types)} only")
        reasons = [self.not_offered[table, kind] for kind in meant if (table, kind) in self.not_offered]
        if len(reasons) == len(meant):
            raise NotOfferedError(f"{what}: the venue does not offer it: {'; '.join(dict.fromkeys(reasons))}")
        there = sorted({name for name, _ in self.sources})
        raise NotReadYetError(f"{what} is not read by cexkit yet; of {self.name} there are: {', '.join(there)}")

    def endpoints(self, table: str) -> tuple[str, ...]:
        """Names of all endpoints that a table is read from, companions and archives included."""
        return tuple(self._parsers(table))

    def parser(self, table: str, endpoint: str) -> Parse:
        """How an answer of an endpoint is parsed.

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
        """The source, or the part of one that is read beside it, that an answer came from."""
        for (name, _), source in self.sources.items():
            for candidate in source.parts:
                if name == table and candidate.endpoint == endpoint:
                    return candidate
        raise UnknownNameError.of(f"endpoint for {table} of {self.name}", endpoint, self._parsers(table))


def validated(adapter: TypeAdapter, body: bytes, endpoint: str, fields: tuple[str, ...] = ()) -> Any:
    """A body as the types an endpoint promises.

    Parameters
    ----------
    adapter : pydantic.TypeAdapter
        The promise.
    body : bytes
        JSON text.
    endpoint : str
        For the message.
    fields : tuple of str
        Names of a row's places where rows are arrays.

    Raises
    ------
    PayloadError
        Naming endpoint, row and field of the first breach.
    """
    from pydantic import ValidationError

    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        rows = [part for part in first["loc"] if isinstance(part, int)]
        row = rows[0] if rows else None
        place = first["loc"][first["loc"].index(row) + 1 :] if row is not None else first["loc"]
        named = [fields[part] if isinstance(part, int) and part < len(fields) else str(part) for part in place]
        shown = "" if first["type"] == "json_invalid" else f" (got {first['input']!r:.80})"
        raise PayloadError(endpoint, f"{first['msg']}{shown}", row=row, field=".".join(named) or None) from None


#: Promises of rows of bars, for :func:`quick`; the same as the pydantic ones that stand behind them.
QuickMs = Annotated[int, msgspec.Meta(ge=10**12, lt=10**13)]
QuickPrice = Annotated[float, msgspec.Meta(ge=0)]
QuickCount = Annotated[int, msgspec.Meta(ge=0)]


def quick(decoder: msgspec.json.Decoder, body: bytes) -> Any | None:
    """A body as a decoder reads it, several times faster than :func:`validated`; None where it does not.

    For the one kind of page that comes by the thousand. It says nothing of what is wrong, and may let infinite
    numbers pass: :func:`all_finite` tells. What it refuses goes to :func:`validated`, which says why.
    """
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def all_finite(columns: Iterable[Iterable[float]]) -> bool:
    """Whether all numbers are finite: any that is not shows in the sum."""
    return all(isfinite(sum(column)) for column in columns)


def from_ms(milliseconds: Any) -> pa.Array:
    """Whole milliseconds since 1970, in any sequence, as UTC microseconds.

    Examples
    --------
    >>> from_ms([1577836800000, None]).to_pylist()
    [datetime.datetime(2020, 1, 1, 0, 0, tzinfo=...), None]
    """
    import pyarrow as pa

    return pa.array(milliseconds, pa.int64()).cast(pa.timestamp("ms", "UTC")).cast(pa.timestamp("us", "UTC"))


def finished(context: Context, opened_ms: pa.Array) -> pa.Array:
    """Which bars, by their opening times in milliseconds, were over when the venue answered."""
    import pyarrow.compute as pc

    last = (context.now - STAMPED_LATE - TABLES[context.table].bar - EPOCH) // MILLISECOND
    return pc.less_equal(opened_ms, last)


def settlement(raw_ms: pa.Array) -> dict[str, pa.Array]:
    """Columns ``timestamp`` (the nearest minute) and ``venue_timestamp`` of settlements in milliseconds.

    Examples
    --------
    >>> import pyarrow as pa
    >>> {name: column[0].as_py().isoformat() for name, column in settlement(pa.array([1577836800047])).items()}
    {'timestamp': '2020-01-01T00:00:00+00:00', 'venue_timestamp': '2020-01-01T00:00:00.047000+00:00'}
    """
    import pyarrow.compute as pc

    keyed = pc.multiply(pc.divide(pc.add(raw_ms, MINUTE_MS // 2), MINUTE_MS), MINUTE_MS)
    return {"timestamp": from_ms(keyed), "venue_timestamp": from_ms(raw_ms)}


def settlement_window(window: Window) -> Window:
    """The span of the raw times whose :func:`settlement` lies in a window.

    Examples
    --------
    >>> print(settlement_window(Window.of("2024-01-01", "2024-01-02")))
    2023-12-31T23:59:30+00:00 … 2024-01-01T23:59:30+00:00
    """
    minute, half = timedelta(minutes=1), timedelta(seconds=30)
    start, end = (moment + (EPOCH - moment) % minute - half for moment in (window.start, window.end))
    return Window(start, end)


def facts(context: Context, columns: Mapping[str, Any], keep: pa.Array | None = None) -> pa.Table:
    """Rows of one instrument as a conforming table: identity added, rows outside the window dropped.

    Paging still learns of the rows that are not kept, see :func:`extent`.

    Parameters
    ----------
    context : Context
        Says whose rows and which window.
    columns : mapping of name to sequence or Arrow array
        At least the required columns beside the identity; a nullable one that is left out is null.
    keep : pyarrow.BooleanArray, optional
        Rows to keep; the others are dropped as well.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from cexkit.schema.render import to_pyarrow

    schema, instrument = to_pyarrow(TABLES[context.table]), context.instrument
    rows = len(columns["timestamp"])
    arrays = []
    for column in schema:
        if column.name in columns:
            arrays.append(pa.array(columns[column.name], column.type))
        elif hasattr(instrument, column.name):
            arrays.append(pa.repeat(pa.scalar(getattr(instrument, column.name), column.type), rows))
        else:
            arrays.append(pa.nulls(rows, column.type))
    table = pa.table(arrays, schema=schema)
    time = table["timestamp"]
    start, end = (pa.scalar(moment, time.type) for moment in (context.window.start, context.window.end))
    inside = pc.and_(pc.greater_equal(time, start), pc.less(time, end))
    table = table if pc.all(inside, min_count=0).as_py() else table.filter(inside)
    return table if keep is None else _kept(table, pc.filter(keep, inside))


def _kept(table: pa.Table, keep: pa.Array) -> pa.Table:
    """The rows to keep, and in the metadata how far the page reached with the others."""
    import pyarrow.compute as pc

    if pc.all(keep, min_count=0).as_py():
        return table
    reached = [moment.isoformat() for moment in pc.min_max(table["timestamp"]).as_py().values()]
    return table.filter(keep).replace_schema_metadata({REACHED: json.dumps(reached).encode()})


def extent(table: pa.Table, cursor: str | None) -> Got:
    """What paging needs to know of a parsed page.

    Rows that were dropped for being unfinished count: a page of nothing else is not an empty page.
    """
    import pyarrow.compute as pc

    if REACHED in (table.schema.metadata or {}):
        return Got(*map(utc, json.loads(table.schema.metadata[REACHED])), cursor)
    if not table.num_rows or "timestamp" not in table.column_names:
        return Got(None, None, cursor)
    ends = pc.min_max(table["timestamp"])
    return Got(utc(ends["min"].as_py()), utc(ends["max"].as_py()), cursor)


def latest(listed: pa.Table) -> pa.Table:
    """Each instrument once, where several pages or lists show it: as tradable if any does, else as last seen.

    One that the venue gives two names is left twice: which is meant cannot be told.

    Examples
    --------
    >>> from cexkit.schema.render import empty
    >>> latest(empty(TABLES["instruments"])).num_rows
    0
    """
    import polars as pl

    keys = [*TABLES["instruments"].key, "venue_symbol"]
    rows = pl.from_arrow(listed).sort(pl.col("status") != "delisted", "observed_at", maintain_order=True)
    rows = rows.unique(keys, keep="last", maintain_order=True)
    return rows.to_arrow().cast(listed.schema)


def left_out(instruments: pa.Table) -> dict[str, str]:
    """What a venue listed and its ``instruments`` table leaves out: venue symbol to reason.

    Examples
    --------
    >>> from cexkit.schema import TABLES
    >>> from cexkit.schema.render import empty
    >>> left_out(empty(TABLES["instruments"]))
    {}
    """
    return json.loads((instruments.schema.metadata or {}).get(LEFT_OUT, b"{}"))


def with_left_out(reasons: Mapping[str, str]) -> dict[bytes, bytes]:
    """Metadata that :func:`left_out` reads."""
    return {LEFT_OUT: json.dumps(dict(reasons)).encode()}


def listing(records: list[dict[str, Any]], reasons: Mapping[str, str]) -> pa.Table:
    """Rows of ``instruments`` from plain records, beside what is left out and why (see :func:`left_out`)."""
    import pyarrow as pa

    from cexkit.schema.render import conform, to_pyarrow

    declared = TABLES["instruments"]
    table = conform(pa.Table.from_pylist(records, schema=to_pyarrow(declared)), declared)
    return table.replace_schema_metadata(with_left_out(reasons))
