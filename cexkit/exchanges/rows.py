"""Rows of one response: those that can be used, and those that are quarantined because something is wrong with them.

A bad row costs only itself: the other rows of its response are used. A response none of whose rows can be used, or too
many of whose rows show that it is of another kind, is refused as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from pydantic import TypeAdapter

from cexkit.errors import PayloadError
from cexkit.schema.intervals import EPOCH, MILLISECOND, utc
from cexkit.schema.intervals import from_ms as moment

if TYPE_CHECKING:
    import pyarrow as pa

#: Plausible times of rows, as of 2026-11: from the first block of Bitcoin, before which nothing was traded, to a day
#: after the response, which is more than clocks of venues are off. Seconds read as milliseconds are in 1970.
FIRST_TIME, MAX_AHEAD = utc("2009-01-03"), timedelta(days=1)
#: Contracts end before it. Venues write "never" as a later time: Binance as 2100-12-25, Coinbase as the year 3000.
LAST_END = utc("2100-01-01")
#: A response is of another kind if at least this share of its rows has the same fault. Of bars of half the interval,
#: never fewer are off the grid, however many there are.
REFUSED_SHARE = 1 / 3
#: Metadata of a parsed table: which rows of the response are quarantined, and which of its columns are not read.
QUARANTINED, ADDED = b"quarantined", b"added"
#: Most rows of a response that are described one by one.
DESCRIBED = 3
#: Mark that some programs write before UTF-8.
BOM = b"\xef\xbb\xbf"
MINUTE_MS = timedelta(minutes=1) // MILLISECOND
#: Digits of the largest whole number that is read; longer ones have no meaning, and are slow to convert.
_DIGITS = 400


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong with a row; ``name`` is the instrument that it is about, and ``ms`` its time, if they are known."""

    row: int | None
    field: str | None
    problem: str
    name: str | None = None
    ms: int | None = None

    def __str__(self) -> str:
        place = f"row {self.row}" if self.row is not None else ""
        parts = [repr(self.name) if self.name else place, f"field {self.field!r}" if self.field else ""]
        return ": ".join(filter(None, [", ".join(filter(None, parts)), self.problem]))


@dataclass(frozen=True, slots=True)
class Quarantined:
    """The rows of a response that are quarantined.

    Attributes
    ----------
    count : int
        Number of rows.
    reasons : tuple of str
        What is wrong with the first of them.
    nameless : int
        How many of them do not say which instrument they are about, although they should.
    """

    count: int = 0
    reasons: tuple[str, ...] = ()
    nameless: int = 0

    @classmethod
    def of(cls, flaws: Sequence[Flaw], *, named: bool = False) -> Quarantined:
        """Return the rows with these flaws; ``named`` if each should say which instrument it is about."""
        nameless = sum(flaw.name is None for flaw in flaws) if named else 0
        return cls(len(flaws), tuple(str(flaw) for flaw in flaws[:DESCRIBED]), nameless)

    def __str__(self) -> str:
        rows = "1 row is" if self.count == 1 else f"{self.count:,} rows are"
        more = f"; and {self.count - len(self.reasons):,} more" if self.count > len(self.reasons) else ""
        return f"{rows} quarantined: {'; '.join(self.reasons)}{more}"


def quarantined(table: pa.Table) -> Quarantined:
    """Return the rows of a response that its parsed table lacks because something is wrong with them.

    Examples
    --------
    >>> import pyarrow as pa
    >>> quarantined(pa.table({"timestamp": []})).count
    0
    """
    count, reasons, nameless = json.loads((table.schema.metadata or {}).get(QUARANTINED, b"[0, [], 0]"))
    return Quarantined(count, tuple(reasons), nameless)


def added_columns(table: pa.Table) -> str | None:
    """Return a text that names the columns of a response that are new and not read; None without any."""
    text = (table.schema.metadata or {}).get(ADDED)
    return None if text is None else text.decode()


@dataclass(slots=True)
class Rows:
    """The readable rows of one response, and what is wrong with the others.

    Attributes
    ----------
    endpoint : str
        For messages.
    values : list
        The rows that are as promised.
    numbers : sequence of int
        Place of each of them in the response.
    flaws : list of Flaw
        What is wrong with the others.
    added : str or None
        Names the columns that are not read.
    body : object
        The decoded body around the rows, if it was JSON.
    ordered : bool
        True if rows must be in the order of their times, forward or backward, as on the pages of venues.
    """

    endpoint: str
    values: list[Any]
    numbers: Sequence[int]
    flaws: list[Flaw] = field(default_factory=list)
    added: str | None = None
    body: Any = None
    ordered: bool = True
    _marks: list[tuple[pa.BooleanArray, str | None, Callable[[int], str]]] = field(default_factory=list)

    def mark(self, bad: pa.Array, field: str | None, problem: Callable[[int], str]) -> None:
        """Quarantine rows, by a condition on each of ``values``; ``problem`` describes one by its place there."""
        import pyarrow.compute as pc

        if pc.any(bad, min_count=0).as_py():
            whole = bad.combine_chunks() if hasattr(bad, "combine_chunks") else bad
            self._marks.append((pc.fill_null(whole, False), field, problem))

    def refuse_if_many(self, bad: pa.Array, field: str | None, problem: Callable[[int], str]) -> None:
        """Raise PayloadError if a fault is so frequent that the response is of another kind (:data:`REFUSED_SHARE`)."""
        import pyarrow.compute as pc

        count = pc.sum(pc.cast(bad, "int64")).as_py() or 0
        if count and count >= REFUSED_SHARE * len(bad):
            first = pc.index(pc.fill_null(bad, False), True).as_py()
            raise PayloadError(self.endpoint, problem(first), row=self.numbers[first], field=field)

    def good(self, kept: pa.Array) -> pa.Array:
        """Return which of the kept rows are not marked; the marks of the others become flaws."""
        import pyarrow.compute as pc

        for bad, field_name, problem in self._marks:
            hit = pc.and_(kept, bad)
            for place in pc.indices_nonzero(hit).to_pylist():
                text = problem(place) if len(self.flaws) < DESCRIBED else ""
                self.flaws.append(Flaw(self.numbers[place], field_name, text))
            kept = pc.and_not(kept, bad)
        self._marks.clear()
        return kept

    def refuse(self) -> NoReturn:
        """Raise the first flaw as an error of the whole response."""
        first = self.flaws[0]
        raise PayloadError(self.endpoint, first.problem, row=first.row, field=first.field)

    def metadata(self, *, named: bool = False) -> dict[bytes, bytes]:
        """Return what :func:`quarantined` and :func:`added_columns` read."""
        found = Quarantined.of(self.flaws, named=named)
        parts = {QUARANTINED: json.dumps([found.count, found.reasons, found.nameless]).encode()} if found.count else {}
        return parts | ({ADDED: self.added.encode()} if self.added else {})


def read_rows(
    promise: TypeAdapter,
    body: bytes,
    endpoint: str,
    path: Sequence[str] = (),
    *,
    fields: tuple[str, ...] = (),
    filler: str | None = None,
    other_width: int | None = None,
    time: str | None = None,
    unit: int = 1,
    name: str | None = None,
) -> Rows:
    """Return the rows of a JSON body, each checked separately against a promise.

    Parameters
    ----------
    promise : pydantic.TypeAdapter
        What the whole body promises to be.
    body : bytes
        JSON text.
    endpoint : str
        For messages.
    path : sequence of str
        Where the list of rows is in the body. Default: it is the body.
    fields : tuple of str
        Names of a row's places if rows are arrays. Places behind them are accepted in all rows alike, and not read.
    filler : str, optional
        Last of ``fields``, if it holds zeros: places behind them are accepted only if it still does, because a place
        that was inserted would have moved it.
    other_width : int, optional
        Number of places in rows of another kind, which are not accepted.
    time : str, optional
        Field of the row's time in milliseconds, or in units of ``unit`` milliseconds: tells whether a bad row would
        have been kept.
    name : str, optional
        Field that names the instrument of a row.

    Raises
    ------
    PayloadError
        If the body around the rows is not as promised, or no row is.
    """
    from pydantic import ValidationError

    try:
        whole = promise.validate_json(body.removeprefix(BOM))
        values = _at(whole, path)
        return Rows(endpoint, values, range(len(values)), body=whole)
    except ValidationError as error:
        first = error
    try:
        plain = read_json(body)
        found = _at(plain, path)
    except (ValueError, KeyError, TypeError, RecursionError):
        found = None
    if not isinstance(found, list):
        _refuse(endpoint, first, path, fields)
    added = _cut(found, fields, filler, other_width)
    rows = check_rows(promise, plain, endpoint, path, fields=fields, time=time, unit=unit, name=name)
    rows.added = added
    return rows


def check_rows(
    promise: TypeAdapter,
    plain: Any,
    endpoint: str,
    path: Sequence[str] = (),
    *,
    fields: tuple[str, ...] = (),
    time: str | None = None,
    unit: int = 1,
    name: str | None = None,
) -> Rows:
    """Return the rows of a decoded body, see :func:`read_rows`; the list of rows in it loses the bad ones."""
    from pydantic import ValidationError

    found = _at(plain, path)
    numbers, flaws = list(range(len(found))), []
    try:
        promise.validate_python(plain)
    except ValidationError as error:
        bad: dict[int, tuple[str | None, str]] = {}
        for each in error.errors(include_url=False, include_context=False):
            row, where = _place(each["loc"], path, fields)
            if row is None:
                _refuse(endpoint, error, path, fields)
            bad.setdefault(row, (where, _problem(each)))
        for row, (where, problem) in bad.items():
            raw = found[row]
            flaws.append(Flaw(row, where, problem, _name(raw, name), _ms(raw, time, fields, unit)))
        numbers = [row for row in numbers if row not in bad]
        found[:] = [found[row] for row in numbers]
    rows = Rows(endpoint, [], numbers, flaws)
    if flaws and not numbers:
        rows.refuse()
    try:
        rows.body = promise.validate_python(plain)
        rows.values = _at(rows.body, path)
    except ValidationError as error:
        _refuse(endpoint, error, path, fields)
    return rows


def read_json(body: bytes) -> Any:
    """Return a JSON body as plain values; invalid text in a cell becomes a surrogate, which no name may have.

    Raises
    ------
    ValueError, RecursionError
        If it is not JSON, or nested too deep.
    """
    text = body.decode("utf-8", errors="surrogateescape").removeprefix("\ufeff")
    return json.loads(text, parse_int=lambda digits: int(digits) if len(digits) < _DIGITS else float("inf"))


def payload_error(endpoint: str, error: Any, fields: tuple[str, ...] = ()) -> PayloadError:
    """Return the first breach that pydantic found, with row and field."""
    first = error.errors(include_url=False, include_context=False)[0]
    rows = [part for part in first["loc"] if isinstance(part, int)]
    row = rows[0] if rows else None
    place = first["loc"][first["loc"].index(row) + 1 :] if row is not None else first["loc"]
    return PayloadError(endpoint, _problem(first), row=row, field=_field(place, fields))


def plain_name(text: str) -> str:
    """Return a name that can be used in tables, paths, and on screens; raise ValueError for any other."""
    if not 0 < len(text) <= 100 or not text.isprintable() or text != text.strip():
        raise ValueError("must be 1 to 100 printable characters")
    return text


def check_grid(rows: Rows, field: str, times_ms: pa.Array, step: timedelta, *, mark: bool = False) -> None:
    """Refuse a page with many times off the UTC grid: it holds bars of another length, or of days elsewhere.

    The checks of a table with an interval find a few such rows; ``mark`` quarantines them here.

    Raises
    ------
    PayloadError
        Naming the first such row.
    """
    import pyarrow.compute as pc

    def apart(length: int) -> pa.Array:
        return pc.not_equal(pc.multiply(pc.divide(times_ms, length), length), times_ms)

    length = step // MILLISECOND
    off = apart(length)

    def problem(place: int) -> str:
        return f"{moment(times_ms[place].as_py()).isoformat()} is not on the UTC grid of {step}"

    # Other intervals are whole minutes, or seconds; a row at another time says nothing of the others.
    rows.refuse_if_many(pc.and_not(off, apart(min(MINUTE_MS, length // 60))), field, problem)
    if mark:
        rows.mark(off, field, problem)


def check_same(rows: Rows, field: str, values: pa.Array, wanted: str) -> None:
    """Quarantine rows in which a field is there and not as requested."""
    import pyarrow.compute as pc

    other = pc.fill_null(pc.not_equal(values, wanted), False)
    rows.mark(other, field, lambda place: f"got {values[place].as_py()!r} where {wanted!r} is read")


def plausible(ms: int, now: datetime | None) -> bool:
    """Return whether something can have happened at a time in milliseconds, as known at ``now``.

    Examples
    --------
    >>> plausible(1_704_067_200, None), plausible(1_704_067_200_000, utc("2024-01-01"))
    (False, True)
    """
    last = LAST_END if now is None else now + MAX_AHEAD
    return (FIRST_TIME - EPOCH) // MILLISECOND <= ms < (last - EPOCH) // MILLISECOND


def _at(body: Any, path: Iterable[str]) -> Any:
    for part in path:
        body = body[part]
    return body


def _cut(found: list[Any], fields: tuple[str, ...], filler: str | None, other_width: int | None) -> str | None:
    """Cut the places that all rows have behind the known ones; return a text that says so, or None."""
    widths = {len(row) for row in found if isinstance(row, list)}
    if not fields or len(widths) != 1 or (width := widths.pop()) <= len(fields) or width == other_width:
        return None
    known = len(fields)
    lists = [row for row in found if isinstance(row, list)]
    if filler is not None and any(row[fields.index(filler)] not in ("0", 0) for row in lists):
        return None
    for row in lists:
        del row[known:]
    return f"rows have {width} places, {known} are known; those behind {fields[-1]!r} are not read"


def _place(loc: tuple[Any, ...], path: Sequence[str], fields: tuple[str, ...]) -> tuple[int | None, str | None]:
    """Return the row and the field of a breach; no row if it is around the rows."""
    inside = loc[: len(path)] == tuple(path) and len(loc) > len(path) and isinstance(loc[len(path)], int)
    return (loc[len(path)], _field(loc[len(path) + 1 :], fields)) if inside else (None, None)


def _field(place: Sequence[Any], fields: tuple[str, ...]) -> str | None:
    named = [fields[part] if isinstance(part, int) and part < len(fields) else str(part) for part in place]
    return ".".join(named) or None


def _problem(breach: Mapping[str, Any]) -> str:
    shown = "" if breach["type"] in ("json_invalid", "missing") else f" (got {breach['input']!r:.80})"
    return f"{breach['msg']}{shown}"


def _refuse(endpoint: str, error: Any, path: Sequence[str], fields: tuple[str, ...]) -> NoReturn:
    """Raise the first breach around the rows, or else the first of all."""
    around = [each for each in error.errors(include_url=False) if _place(each["loc"], path, fields)[0] is None]
    if around and around[0]["loc"]:
        raise PayloadError(endpoint, _problem(around[0]), field=_field(around[0]["loc"], ())) from None
    raise payload_error(endpoint, error, fields) from None


def _name(raw: Any, name: str | None) -> str | None:
    """Return the name of a row that may be broken, with surrogates in it replaced."""
    found = raw.get(name) if isinstance(raw, dict) and name else None
    return found.encode(errors="replace").decode() if isinstance(found, str) and found else None


def _ms(raw: Any, time: str | None, fields: tuple[str, ...], unit: int) -> int | None:
    """Return the time of a row in milliseconds; None if it cannot be read, or is implausible."""
    try:
        value = int(raw[fields.index(time) if fields else time]) * unit
    except (ValueError, TypeError, KeyError, IndexError, OverflowError):
        return None
    return value if plausible(value, None) else None
