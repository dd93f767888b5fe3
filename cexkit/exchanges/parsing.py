"""What parse functions receive and share: their context, and promises that bodies are checked against."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import lru_cache
from math import isfinite
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from pydantic import AfterValidator, Field, FiniteFloat, TypeAdapter

from cexkit.exchanges.rows import BOM, payload_error, plain_name, read_json
from cexkit.exchanges.terms import Terms
from cexkit.schema import TABLES
from cexkit.schema.intervals import Window, utc
from cexkit.schema.symbols import Instrument

if TYPE_CHECKING:
    import pyarrow as pa


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
        Whose data was asked for; None for lists of instruments, and for the rows of a whole venue.
    names : tuple of str, optional
        Of a whole venue: the venue's names of the instruments whose rows are kept. Default: those of all.
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
    names: tuple[str, ...] | None = None
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
        if self.names is not None:
            plain["names"] = self.names
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
        if "names" in plain:
            plain["names"] = tuple(plain["names"])
        return cls(**plain)


Parse = Callable[[bytes, Context], "pa.Table"]


# Milliseconds between 2001 and 2286: seconds and microseconds, which venues mix in, fall outside.
Ms = Annotated[int, Field(ge=10**12, lt=10**13)]
Price = Annotated[FiniteFloat, Field(ge=0)]
#: Tables hold whole numbers in 64 bits.
Count = Annotated[int, Field(ge=0, lt=2**63)]
#: A name of an instrument or a currency.
Name = Annotated[str, AfterValidator(plain_name)]
#: The same promises for :func:`quick`.
QuickMs = Annotated[int, msgspec.Meta(ge=10**12, lt=10**13)]
QuickPrice = Annotated[float, msgspec.Meta(ge=0)]
QuickCount = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


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
        return adapter.validate_json(body.removeprefix(BOM))
    except ValidationError as error:
        first = error
    try:  # a cell with invalid text must not cost the others
        return adapter.validate_python(read_json(body))
    except (ValueError, RecursionError):
        raise payload_error(endpoint, first, fields) from None


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
