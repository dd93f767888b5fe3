"""What parse functions get and share: their context, promises held against bodies, and rows made to conform."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from math import isfinite
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from pydantic import Field, FiniteFloat, TypeAdapter

from cexkit.errors import PayloadError
from cexkit.exchanges.http.paginate import PageResult
from cexkit.exchanges.terms import Terms
from cexkit.schema import TABLES
from cexkit.schema.intervals import EPOCH, MILLISECOND, Window, utc
from cexkit.schema.intervals import from_ms as moment
from cexkit.schema.symbols import Instrument

if TYPE_CHECKING:
    import pyarrow as pa

#: Metadata of a page from which unfinished rows were dropped: first and last time with them.
REACHED = b"reached"
#: A response may be stamped this much later than it was made: a bar must be over for as long to be finished.
STAMPED_LATE = timedelta(seconds=1)
#: Settlements are keyed on the nearest minute; none are closer than an hour.
MINUTE_MS = timedelta(minutes=1) // MILLISECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """All that a parser needs beside the bytes, kept with every response in Bronze.

    Parameters
    ----------
    exchange, table : str
        Venue of the response, and its table of the schema.
    now : datetime
        When the venue responded, by the earlier of its clock and ours; bars that were not over by then are dropped.
    instrument : Instrument, optional
        Whose data was asked for; None for lists of instruments.
    window : Window, optional
        The span that was asked for; rows outside are dropped.
    skewed : bool
        True if the two clocks differed by more than the setting ``CEXKIT_MAX_CLOCK_SKEW_SECONDS``. Nothing that the
        response covers is final then, because ``now`` may be wrong.
    terms : Terms, optional
        Contract terms over time, known from all lists; not stored with the response. Default: those of ``instrument``,
        as listed at the time of the request.

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
    skewed: bool = False
    terms: Terms | None = field(default=None, compare=False, repr=False)

    def instrument_at(self, moment: datetime) -> Instrument:
        """Return the instrument with the contract terms in force at a moment."""
        return self.instrument if self.terms is None else self.terms.of_instrument(self.instrument, moment)

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
        if self.skewed:
            plain["skewed"] = True
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


# Milliseconds between 2001 and 2286: seconds and microseconds, which venues mix in, fall outside.
Ms = Annotated[int, Field(ge=10**12, lt=10**13)]
Price = Annotated[FiniteFloat, Field(ge=0)]
#: The same promises for :func:`quick`.
QuickMs = Annotated[int, msgspec.Meta(ge=10**12, lt=10**13)]
QuickPrice = Annotated[float, msgspec.Meta(ge=0)]
QuickCount = Annotated[int, msgspec.Meta(ge=0)]


@lru_cache
def adapter(promise: Any) -> TypeAdapter:
    """What holds bodies against a type; made once."""
    return TypeAdapter(promise)


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


def complaint(body: bytes) -> dict[str, Any] | None:
    """A small body that is a JSON object, which may be an error; None where it is none.

    What is wrong with any other body the endpoint's parser says.

    Examples
    --------
    >>> complaint(b'{"code": -1121}'), complaint(b"[]"), complaint(b"{")
    ({'code': -1121}, None, None)
    """
    if not body.lstrip().startswith(b"{") or len(body) > 4096:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def by_name(rows: list[tuple], names: Sequence[str]) -> dict[str, Sequence[Any]]:
    """Columns of rows that are arrays, by the names of their places.

    Examples
    --------
    >>> by_name([(1, 2.0), (3, 4.0)], ["time", "price"]), by_name([], ["time", "price"])
    ({'time': (1, 3), 'price': (2.0, 4.0)}, {'time': (), 'price': ()})
    """
    return dict(zip(names, zip(*rows, strict=True) if rows else [()] * len(names), strict=True))


def arrays(rows: list[Any], **types: pa.DataType) -> dict[str, pa.Array]:
    """Columns of rows that are records, as Arrow arrays of these types; null where a record lacks a field.

    Examples
    --------
    >>> import pyarrow as pa
    >>> arrays([{"time": 1}, {"time": 2, "rate": 0.5}], time=pa.int64(), rate=pa.float64())["rate"].to_pylist()
    [None, 0.5]
    """
    import pyarrow as pa

    return dict(zip(types, pa.array(rows, pa.struct(list(types.items()))).flatten(), strict=True))


def check_grid(endpoint: str, field: str, times_ms: pa.Array, step: timedelta) -> None:
    """Refuse a page with a time off the UTC grid: it holds bars of another length, or of days elsewhere.

    Raises
    ------
    PayloadError
        Naming the first such row.
    """
    import pyarrow.compute as pc

    length = step // MILLISECOND
    row = pc.index(pc.equal(pc.multiply(pc.divide(times_ms, length), length), times_ms), False).as_py()
    if row >= 0:
        text = f"{moment(times_ms[row].as_py()).isoformat()} is not on the UTC grid of {step}"
        raise PayloadError(endpoint, text, row=row, field=field)


def check_same(endpoint: str, field: str, values: pa.Array, wanted: str) -> None:
    """Refuse a page in which a field is there and not what was asked for.

    Raises
    ------
    PayloadError
        Naming the first such row.
    """
    import pyarrow.compute as pc

    row = pc.index(pc.fill_null(pc.not_equal(values, wanted), False), True).as_py()
    if row >= 0:
        raise PayloadError(endpoint, f"got {values[row].as_py()!r} where {wanted!r} is read", row=row, field=field)


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
    """Return which bars, by opening times in milliseconds, were complete when the venue responded."""
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


def extent(table: pa.Table, cursor: str | None) -> PageResult:
    """What paging needs to know of a parsed page.

    Rows that were dropped for being unfinished count: a page of nothing else is not an empty page.
    """
    import pyarrow.compute as pc

    if REACHED in (table.schema.metadata or {}):
        return PageResult(*map(utc, json.loads(table.schema.metadata[REACHED])), cursor)
    if not table.num_rows or "timestamp" not in table.column_names:
        return PageResult(None, None, cursor)
    ends = pc.min_max(table["timestamp"])
    return PageResult(utc(ends["min"].as_py()), utc(ends["max"].as_py()), cursor)
