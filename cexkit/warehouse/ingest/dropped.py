"""Keys that a rebuild would drop: their text for people, and which of them a user allows to be dropped."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from cexkit.errors import InvalidInputError
from cexkit.exchanges.registry import exchange as known_exchange
from cexkit.schema import Table
from cexkit.schema import table as known_table
from cexkit.schema.names import fold, to_tuple
from cexkit.warehouse.store.keys import ALL, Group
from cexkit.warehouse.store.manifest import DataFile
from cexkit.warehouse.store.wording import NAMES_SHOWN, counted, first_names

_NAMES = ["instrument_type", "symbol"]


@dataclass(frozen=True, slots=True)
class LostFile:
    """A Silver file that is missing or damaged, so that its keys cannot be compared one by one.

    Attributes
    ----------
    file : DataFile
        Its entry in the manifest.
    problem : str
        What is wrong with it.
    lacking : mapping of Group to int
        How many of its keys the rows made again lack, at least, by instrument and month; by None if nothing but the
        number of rows is known.
    """

    file: DataFile
    problem: str
    lacking: Mapping[Group | None, int]

    @property
    def keys(self) -> int:
        """Number of keys that are lacking, at least."""
        return sum(self.lacking.values())

    def __str__(self) -> str:
        names = [_group_text(group) for group in self.lacking if group is not None]
        of = f" of {first_names(names)}" if names else ""
        return f"{self.keys:,} or more keys{of} in {self.file.path}, which {self.problem}"


def keys_text(lost: pl.DataFrame, table: Table) -> str:
    """Return the number of some keys, and their instruments and times.

    Examples
    --------
    >>> from cexkit.schema import TABLES
    >>> from cexkit.schema.intervals import utc
    >>> times = [utc("2026-06-01T00:00"), utc("2026-06-01T01:00"), utc("2026-06-05")]
    >>> lost = pl.DataFrame({"instrument_type": "perp", "symbol": "BTCUSDT", "timestamp": times})
    >>> print(keys_text(lost, TABLES["ohlcv_1h"]))
    3 keys of perp BTCUSDT (2026-06-01 00:00 to 01:00, 2026-06-05 00:00)
    """
    names = [_instrument_text(rows, table, identity) for identity, rows in _by_instrument(lost)]
    return f"{counted(lost.height, 'key')} of {first_names(names)}"


def is_allowed(allow_loss: str | Collection[str], table: str, exchange: str) -> bool:
    """Return whether keys of a venue's table may be dropped.

    Parameters
    ----------
    allow_loss : str or collection of str
        ``"ohlcv_1h"``, or of one venue ``"ohlcv_1h:okx"``.
    table, exchange : str
        The table of a venue.

    Examples
    --------
    >>> is_allowed(["ohlcv_1h:okx"], "ohlcv_1h", "okx"), is_allowed("ohlcv_1h:okx", "ohlcv_1h", "bybit")
    (True, False)
    """
    return any(name == table and venue in ("", exchange) for name, venue in _parsed(allow_loss))


def require_known(allow_loss: str | Collection[str]) -> None:
    """Raise InvalidInputError if ``allow_loss`` has another form, UnknownNameError if it names no table or venue."""
    for name, venue in _parsed(allow_loss):
        known_table(name)
        if venue:
            known_exchange(venue)


def _parsed(allow_loss: str | Collection[str]) -> Iterator[tuple[str, str]]:
    for each in to_tuple(allow_loss) or ():
        name, separator, venue = each.partition(":")
        if not name or (separator and not venue):
            raise InvalidInputError(f"allow_loss must be TABLE or TABLE:EXCHANGE, got {each!r}; write 'ohlcv_1h:okx'")
        yield name, fold(venue)


def _by_instrument(lost: pl.DataFrame) -> list[tuple[tuple[str, str], pl.DataFrame]]:
    return sorted(lost.partition_by(_NAMES, as_dict=True).items(), key=lambda part: part[0])


def _instrument_text(rows: pl.DataFrame, table: Table, identity: tuple[str, str]) -> str:
    name = " ".join(identity)
    return name if table.time is None else f"{name} ({', '.join(_spans(rows[table.time], table.bar))})"


def _spans(times: pl.Series, bar: timedelta | None) -> Iterator[str]:
    """Yield the spans of consecutive times, at most three; times without a bar follow each other within a day."""
    times = times.sort()
    starts = (times.diff() > (bar or timedelta(days=1))).fill_null(value=True)
    frame = pl.DataFrame({"span": starts.cum_sum(), "time": times})
    spans = frame.group_by("span", maintain_order=True).agg(first=pl.min("time"), last=pl.max("time"))
    for first, last in spans.head(NAMES_SHOWN).select("first", "last").iter_rows():
        same_day = first.date() == last.date()
        until = "" if first == last else f" to {last:%H:%M}" if same_day else f" to {last:%Y-%m-%d %H:%M}"
        yield f"{first:%Y-%m-%d %H:%M}{until}"
    if spans.height > NAMES_SHOWN:
        yield f"{spans.height - NAMES_SHOWN:,} more spans"


def _group_text(group: Group) -> str:
    names = " ".join(group.instrument[1:])  # without the venue
    return names if group.month == ALL else f"{names} in {group.month}"
