"""What a venue is: frozen descriptors whose defaults suit most, and the tools that parsers share.

Nothing here reads or waits. A descriptor says where a table is and how it is asked for; its
``parse`` functions turn the bytes of an answer into a conforming Arrow table, the same whether the
answer came a moment ago or years ago out of Bronze.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

from cexkit.errors import NotOfferedError, NotReadYetError, PayloadError, UnknownNameError
from cexkit.http.client import Answer
from cexkit.http.paginate import Ask, Got, OnePage, Paging
from cexkit.http.ratelimit import Budget, Usage
from cexkit.intervals import Window, utc
from cexkit.schema import TABLES
from cexkit.symbols import INSTRUMENT_TYPES, Instrument, InstrumentType

if TYPE_CHECKING:
    import pyarrow as pa
    from pydantic import TypeAdapter

#: Metadata of an instruments table: what the venue listed and the table leaves out, and why.
LEFT_OUT = b"left_out"


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
    path: str
    parse: Parse
    #: The query of one page.
    params: Callable[[Instrument | None, Ask], dict[str, str]] = _no_params
    paging: Paging = field(default_factory=OnePage)
    #: What a query costs, by budget.
    cost: Callable[[Mapping[str, str]], dict[str, float]] = _one_request
    #: The next page's cursor in a body, for venues that page by cursor.
    cursor: Callable[[bytes], str | None] = _no_cursor
    #: Limits that a body announces; they replace the descriptor's.
    limits: Callable[[bytes], tuple[Budget, ...]] = _no_limits
    #: Other answers that complete this one, read beside it.
    companions: tuple[Source, ...] = ()
    #: Completes the parsed table with the companions' tables, by endpoint. Pure.
    join: Callable[[pa.Table, Mapping[str, pa.Table]], pa.Table] | None = None

    @property
    def api(self) -> str:
        """Name of the API it belongs to."""
        return self.endpoint.partition(".")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A venue: its APIs and where each table is read."""

    name: str
    apis: Mapping[str, Api]
    sources: Mapping[tuple[str, InstrumentType], Source]
    #: What the venue does not publish, and why.
    not_offered: Mapping[tuple[str, InstrumentType], str] = field(default_factory=dict)

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
        """Names of all endpoints that a table is read from, companions included."""
        sources = [source for (name, _), source in self.sources.items() if name == table]
        return tuple(dict.fromkeys(part.endpoint for source in sources for part in (source, *source.companions)))

    def endpoint(self, table: str, endpoint: str) -> Source:
        """The source, or companion of a source, that an answer came from."""
        for (name, _), source in self.sources.items():
            for candidate in (source, *source.companions):
                if name == table and candidate.endpoint == endpoint:
                    return candidate
        known = {c.endpoint for (name, _), s in self.sources.items() if name == table for c in (s, *s.companions)}
        raise UnknownNameError.of(f"endpoint for {table} of {self.name}", endpoint, known)


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


def from_ms(milliseconds: Any) -> pa.Array:
    """Whole milliseconds since 1970, in any sequence, as UTC microseconds.

    Examples
    --------
    >>> from_ms([1577836800000, None]).to_pylist()
    [datetime.datetime(2020, 1, 1, 0, 0, tzinfo=...), None]
    """
    import pyarrow as pa

    return pa.array(milliseconds, pa.int64()).cast(pa.timestamp("ms", "UTC")).cast(pa.timestamp("us", "UTC"))


def facts(context: Context, columns: Mapping[str, Any], keep: pa.Array | None = None) -> pa.Table:
    """Rows of one instrument as a conforming table: identity added, rows outside the window dropped.

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
    inside = inside if keep is None else pc.and_(inside, keep)
    return table if pc.all(inside, min_count=0).as_py() else table.filter(inside)


def extent(table: pa.Table, cursor: str | None) -> Got:
    """What paging needs to know of a parsed page."""
    import pyarrow.compute as pc

    if not table.num_rows or "timestamp" not in table.column_names:
        return Got(None, None, cursor)
    ends = pc.min_max(table["timestamp"])
    return Got(utc(ends["min"].as_py()), utc(ends["max"].as_py()), cursor)


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
