"""Lists of instruments as tables: what a venue lists, what is left out of it and why, and which one a symbol means."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cexkit.errors import AmbiguousInstrumentError, UnknownNameError
from cexkit.exchanges.rows import FIRST_TIME, LAST_END, Flaw, Rows
from cexkit.schema import TABLES
from cexkit.schema.names import alike, resolve
from cexkit.schema.symbols import Instrument, has_unclear_unit

if TYPE_CHECKING:
    import pyarrow as pa

#: Metadata of an instruments table: what the venue listed and the table leaves out, and why.
LEFT_OUT = b"left_out"
#: End of the reason for a value that a venue has begun to use.
_NOT_KNOWN = " is not known"


def latest(listed: pa.Table) -> pa.Table:
    """Each instrument once, where several pages or lists show it: as tradable if any does, else as in the last row.

    Rows must be in the order of their requests. One that the venue gives two names while it trades is left out
    (:func:`left_out`): which is meant cannot be told.

    Examples
    --------
    >>> from cexkit.schema.render import empty
    >>> latest(empty(TABLES["instruments"])).num_rows
    0
    """
    import polars as pl

    keys = list(TABLES["instruments"].key)
    rows = pl.from_arrow(listed).sort(pl.col("status") != "delisted", maintain_order=True)
    rows = rows.unique([*keys, "venue_symbol"], keep="last", maintain_order=True)
    names = pl.col("venue_symbol").filter(pl.col("status") != "delisted").n_unique().over(keys)
    reasons = _two_names(rows.filter(names > 1).iter_rows(named=True))
    rows = rows.filter(names <= 1).unique(keys, keep="last", maintain_order=True)
    table = rows.to_arrow().cast(listed.schema)
    return table.replace_schema_metadata((table.schema.metadata or {}) | with_left_out(left_out(listed) | reasons))


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


def not_known(field: str, value: object) -> str:
    """Return why an instrument is left out that has a value which cexkit does not know.

    Examples
    --------
    >>> not_known("status", "RESTING")
    "its status 'RESTING' is not known"
    """
    return f"its {field} {value!r}{_NOT_KNOWN}"


def new_values(reasons: Mapping[str, str]) -> dict[str, str]:
    """Return the instruments, of those left out, that have a value which cexkit does not know, and why each is.

    Others are left out on purpose, such as options.

    Examples
    --------
    >>> new_values({"A": not_known("status", "RESTING"), "B": "its kind 'option' is not read"})
    {'A': "its status 'RESTING' is not known"}
    """
    return {name: reason for name, reason in reasons.items() if reason.endswith(_NOT_KNOWN)}


def with_left_out(reasons: Mapping[str, str]) -> dict[bytes, bytes]:
    """Metadata that :func:`left_out` reads."""
    return {LEFT_OUT: json.dumps(dict(reasons)).encode()}


def describe_unclear_units(instruments: pa.Table) -> str | None:
    """Return a text that names the instruments whose names may contain a multiplier that was not read; None if none do.

    Delisted instruments are not named: they were reported when they were listed.

    Examples
    --------
    >>> from cexkit.schema.render import empty
    >>> describe_unclear_units(empty(TABLES["instruments"])) is None
    True
    """
    listed = instruments.select(["base", "multiplier", "venue_symbol", "status"]).to_pylist()
    unclear = [
        f"{row['venue_symbol']} (base {row['base']})"
        for row in listed
        if row["status"] != "delisted" and has_unclear_unit(row["base"], row["multiplier"], row["venue_symbol"])
    ]
    if not unclear:
        return None
    shown = ", ".join(unclear[:5]) + (f", … ({len(unclear)} in all)" if len(unclear) > 5 else "")
    return (
        f"names contain a number that may be a multiplier: {shown}. Base and multiplier are stored as read; "
        "compare their prices with another venue before you use them across venues"
    )


def listing(records: list[dict[str, Any]], reasons: Mapping[str, str], rows: Rows | None = None) -> pa.Table:
    """Return rows of ``instruments`` from plain records, with what is left out and why (see :func:`left_out`).

    A record that contradicts itself or another one is left out too. The status is that at ``observed_at``, see
    :func:`at_observation`.

    Parameters
    ----------
    records : list of dict
        Instruments that can be read, as their rows state them.
    reasons : mapping of str to str
        Why others are not read, by the venue's name.
    rows : Rows, optional
        What is wrong with the rows of the list.

    Raises
    ------
    PayloadError
        If something is wrong with every row.
    """
    import pyarrow as pa

    from cexkit.schema.render import conform, to_pyarrow

    declared = TABLES["instruments"]
    found = [record | at_observation(record) for record in records]
    rows = rows or Rows(declared.name, [], range(len(records)))
    for name, problem in _contradictions(records).items():
        rows.flaws.append(Flaw(None, None, problem, name))
    flawed = {flaw.name: _reason(flaw) for flaw in rows.flaws if flaw.name is not None}
    left = {record["venue_symbol"]: record for record in found if record["venue_symbol"] not in flawed}
    if rows.flaws and not left and not reasons:
        rows.refuse()
    table = conform(pa.Table.from_pylist(list(left.values()), schema=to_pyarrow(declared)), declared)
    return table.replace_schema_metadata(with_left_out({**reasons, **flawed}) | rows.metadata(named=True))


def _reason(flaw: Flaw) -> str:
    return f"its {flaw.field!r} cannot be read: {flaw.problem}" if flaw.field else flaw.problem


def _contradictions(records: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return what is wrong with records that each can be read, by the venue's name."""
    found = {}
    for record in records:
        if problem := _implausible_times(record):
            found[record["venue_symbol"]] = problem
    by_name: dict[str, Mapping[str, Any]] = {}
    for record in records:
        if by_name.setdefault(record["venue_symbol"], record) != record:
            found[record["venue_symbol"]] = "the list states it twice, with different terms"
    return _two_names(record for name, record in by_name.items() if name not in found) | found


def _implausible_times(record: Mapping[str, Any]) -> str:
    """Return what is wrong with the times of an instrument; empty if nothing is."""
    begun, expiry = record.get("listing_time"), record.get("expiry")
    end = expiry or record.get("delisting_time")
    if begun is not None and not FIRST_TIME <= begun < LAST_END:
        return f"its listing time {begun:%Y-%m-%d} is not plausible"
    if end is not None and (end < FIRST_TIME or (expiry is not None and end >= LAST_END)):
        return f"its end {end:%Y-%m-%d} is not plausible"
    if begun is not None and end is not None and end < begun:
        return f"its end {end:%Y-%m-%d %H:%M} is before its listing {begun:%Y-%m-%d %H:%M}"
    return ""


def _two_names(records: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the instruments that share their symbol with another one, and with which, by the venue's name."""
    by_symbol: dict[tuple[str, str], list[str]] = defaultdict(list)
    for record in records:
        by_symbol[record["instrument_type"], record["symbol"]].append(record["venue_symbol"])
    return {
        name: f"{' and '.join(sorted(names))} are both {symbol}; which is meant cannot be told"
        for (_, symbol), names in by_symbol.items()
        for name in names
        if len(names) > 1
    }


def at_observation(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the status and delisting time of an instrument as they follow from its end and ``observed_at``.

    Venues keep the status of a contract's last phase for years: Binance lists ``SETTLING`` contracts of 2022. After
    its end, a contract that does not trade is delisted. If a perpetual trades after the end that the venue states, that
    end is wrong: it is not known.

    Examples
    --------
    >>> from cexkit.schema.intervals import utc
    >>> record = {"status": "halted", "delisting_time": utc("2022-06-17T09:00"), "observed_at": utc("2026-07-04")}
    >>> at_observation(record)["status"]
    'delisted'
    >>> at_observation(record | {"observed_at": utc("2022-06-17T08:59")})["status"]
    'halted'
    """
    status, end, expiry = record["status"], record.get("delisting_time"), record.get("expiry")
    if end is not None and expiry is None and end >= LAST_END:
        end = None  # it means "never"
    if end is None or end > record["observed_at"]:
        return {"status": status, "delisting_time": end}
    if status == "trading":
        return {"status": status, "delisting_time": None if expiry is None else end}
    return {"status": "delisted", "delisting_time": end}


def stacked(lists: list[pa.Table]) -> pa.Table:
    """Lists of instruments as one; Arrow would keep what the first one left out only."""
    import pyarrow as pa

    reasons = {symbol: why for part in lists for symbol, why in left_out(part).items()}
    return pa.concat_tables(lists).replace_schema_metadata(with_left_out(reasons))


def of_type(listed: pa.Table, instrument_type: str | None) -> pa.Table:
    """The instruments of a kind; all where none is given."""
    import pyarrow.compute as pc

    return listed if instrument_type is None else listed.filter(pc.equal(listed["instrument_type"], instrument_type))


def with_funding_hours(instruments: pa.Table, info: pa.Table | None, default: float | None = None) -> pa.Table:
    """Put funding intervals on perpetuals.

    Parameters
    ----------
    instruments : pyarrow.Table
        What is listed.
    info : pyarrow.Table or None
        Columns ``venue_symbol`` and ``funding_interval_hours``; None leaves all as they are.
    default : float, optional
        Hours of perpetuals that ``info`` does not name.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if info is None:
        return instruments
    number = pa.float64()
    found = pc.index_in(instruments["venue_symbol"], value_set=info["venue_symbol"].combine_chunks())
    hours = pc.if_else(pc.is_valid(found), pc.take(info["funding_interval_hours"], found), pa.scalar(default, number))
    hours = pc.if_else(pc.equal(instruments["instrument_type"], "perp"), hours, pa.scalar(None, number))
    place = instruments.schema.get_field_index("funding_interval_hours")
    return instruments.set_column(place, instruments.schema.field(place), hours)


def matching(listed: pa.Table, symbol: str, exchange: str, table: str) -> pa.Table:
    """Rows whose canonical symbol this is, or else whose name at the venue; else either in another case.

    Raises
    ------
    UnknownNameError
        If there are none; the message says why one was left out, or names near ones.
    AmbiguousInstrumentError
        If several names differ from it in case only.
    """
    import pyarrow.compute as pc

    what = f"{exchange} instrument for {table}"
    columns = {name: listed[name].to_pylist() for name in ("symbol", "venue_symbol")}
    for column, names in columns.items():
        if symbol in names:
            return listed.filter(pc.equal(listed[column], symbol))
    for column, names in columns.items():
        if alike(symbol, names):
            return listed.filter(pc.equal(listed[column], resolve(what, symbol, names)))
    reasons = left_out(listed)
    if names := alike(symbol, reasons):
        raise UnknownNameError(f"{exchange} lists {symbol!r}, but {reasons[names[0]]}")
    raise UnknownNameError.of(what, symbol.upper(), columns["symbol"])


def the_one(listed: pa.Table, symbol: str, exchange: str, table: str) -> Instrument:
    """The instrument that a symbol means.

    Raises
    ------
    UnknownNameError
        As :func:`matching`.
    AmbiguousInstrumentError
        If it means several; the message lists them.
    """
    found = [Instrument.of(row) for row in matching(listed, symbol, exchange, table).to_pylist()]
    if len(found) > 1:
        raise AmbiguousInstrumentError(
            f"{symbol!r} means {' and '.join(map(str, found))}; say which with "
            f"instrument_type={' or '.join(repr(one.instrument_type) for one in found)}"
        )
    return found[0]
