"""Bulk archives: which files hold a window, and how their tables are read. Pure, like all descriptors.

An archive publishes a zip with one CSV a month or day. Months cost the fewest requests, days serve
what no finished month covers, and the venue's API serves the rest.
"""

from __future__ import annotations

import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from cexkit.config import settings
from cexkit.errors import PayloadError
from cexkit.exchanges.dated import Dated
from cexkit.exchanges.parsing import Parse
from cexkit.schema.intervals import Window, merged
from cexkit.schema.symbols import Instrument

Period = Literal["month", "day"]
#: Which rows are due. ``dense``: a row for every step of the table's interval. ``sparse``: steps without events have no
#: row. ``irregular``: rows at the venue's own times, such as settlements whose interval changes.
Density = Literal["dense", "sparse", "irregular"]
#: What damaged zips raise; each method of compression has its own error.
_UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, OSError, ValueError, NotImplementedError, RuntimeError),
)
#: How far a request to the API reaches into what files hold, where the labels of the two are not known to agree. It is
#: long enough to compare dozens of hourly snapshots, and costs no additional page.
OVERLAP = timedelta(days=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """Files that hold one table of one kind of instrument."""

    #: Name of the endpoint, ``archive.`` before it: ``archive.um.klines``.
    endpoint: str
    #: Path of the file of a period that begins at a date.
    path: Callable[[Instrument, Period, datetime], str]
    parse: Parse
    #: Kinds of files there are; months first where there are both.
    periods: tuple[Period, ...]
    #: Which rows are due. Holes in a stored file are found by the quality check ``gaps``, not by another request.
    density: Density
    #: Whether it is read before the venue's API: it says more, or costs fewer requests.
    preferred: bool = False
    #: How long after its end a file may be missing: before that it is not asked for.
    ready: Mapping[Period, timedelta] = field(
        default_factory=lambda: {"month": timedelta(days=8), "day": timedelta(days=1)}
    )
    #: How far the rows of the archive's days begin before the days of UTC; negative if they begin later.
    ahead: timedelta = timedelta(0)
    #: How far beyond its period a file may hold rows: times that jitter are keyed on their minute.
    margin: timedelta = timedelta(0)
    #: Whether a checksum is published beside each file.
    checksums: bool = True
    #: Whether its rows are held against those of the venue's API, and left out where the two differ.
    compared: bool = False
    #: Whether rows of the venue's API are known to have the times of the archive's rows. Where this is not known, the
    #: API's rows are joined only if the values that both have agree; see :mod:`cexkit.warehouse.ingest.labels`.
    same_labels: Dated[bool] = field(default_factory=lambda: Dated(True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One file of an archive, and the span it holds."""

    archive: Archive
    period: Period
    window: Window
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a window is read: files, and spans left to the venue's API."""

    files: tuple[Piece, ...] = ()
    rest: tuple[Window, ...] = ()


def plan(archive: Archive, instrument: Instrument, window: Window, now: datetime) -> Plan:
    """The fewest files that hold a window, as far as files are out by now.

    A month that the window only touches is read whole: one file costs less than its days.

    Examples
    --------
    >>> from cexkit.exchanges.binance.descriptor import EXCHANGE
    >>> from cexkit.schema.intervals import utc
    >>> btc = Instrument(exchange="binance", instrument_type="perp", symbol="BTCUSDT", venue_symbol="BTCUSDT",
    ...                  base="BTC", quote="USDT")
    >>> archive = EXCHANGE.archives["ohlcv_1m", "perp"]
    >>> made = plan(archive, btc, Window.of("2024-01-15", "2024-03-05"), now=utc("2024-03-05T12:00"))
    >>> [sum(piece.period == period for piece in made.files) for period in ("month", "day")], *map(str, made.rest)
    ([1, 32], '2024-03-04T00:00:00+00:00 … 2024-03-05T00:00:00+00:00')
    """
    files: list[Piece] = []
    moment = window.start
    while moment < window.end:
        piece = next((piece for piece in _candidates(archive, instrument, moment) if _is_out(piece, now)), None)
        if piece is None:
            break
        files.append(piece)
        moment = piece.window.end
    rest = (Window(moment, window.end),) if moment < window.end else ()
    return Plan(files=tuple(files), rest=rest)


def days_of(piece: Piece, instrument: Instrument, window: Window) -> tuple[Piece, ...]:
    """The daily files that stand in for a monthly one that is not there; none where there are no daily ones."""
    if piece.period == "day" or "day" not in piece.archive.periods:
        return ()
    start, end = max(piece.window.start, window.start), min(piece.window.end, window.end)
    first = start.replace(hour=0, minute=0, second=0, microsecond=0)
    days = Window(first, end).split(timedelta(days=1))
    return tuple(_piece(piece.archive, instrument, "day", day.start) for day in days)


def requested_twice(
    archive: Archive, rest: Iterable[Window], held: Iterable[Window], earliest: datetime | None
) -> tuple[Window, ...]:
    """Return what is requested from the API although files hold it, so that the labels of both can be compared.

    Parameters
    ----------
    archive : Archive
        The archive.
    rest : iterable of Window
        Spans left to the API.
    held : iterable of Window
        Spans that files hold.
    earliest : datetime or None
        Oldest time that the API retains.

    Returns
    -------
    tuple of Window
        The parts of ``held`` within :data:`OVERLAP` of a span left to the API, where the labels of the two are not
        known to agree. Empty if they are known to agree.
    """
    around = [
        Window(max(filter(None, (span.start - OVERLAP, unknown.start, earliest))), span.end + OVERLAP)
        for unknown in archive.same_labels.spans(False)
        for span in rest
        if span.end > max(unknown.start, earliest or unknown.start) and span.start < unknown.end
    ]
    both = [(max(a.start, b.start), min(a.end, b.end)) for a in merged(around) for b in merged(held)]
    return merged(Window(start, end) for start, end in both if start < end)


def piece_before(archive: Archive, instrument: Instrument, moment: datetime) -> Piece:
    """Return the file before the one that holds a moment, of the shortest period that the archive has.

    Examples
    --------
    >>> from cexkit.exchanges.binance.descriptor import EXCHANGE
    >>> from cexkit.schema.intervals import utc
    >>> btc = Instrument(exchange="binance", instrument_type="perp", symbol="BTCUSDT", venue_symbol="BTCUSDT",
    ...                  base="BTC", quote="USDT")
    >>> metrics = EXCHANGE.archives["open_interest", "perp"]
    >>> print(piece_before(metrics, btc, utc("2024-01-15T08:00")).window)
    2024-01-14T01:00:00+00:00 … 2024-01-15T01:00:00+00:00
    """
    period = archive.periods[-1]
    holding = _piece(archive, instrument, period, moment)
    return _piece(archive, instrument, period, holding.window.start - timedelta(microseconds=1))


def _candidates(archive: Archive, instrument: Instrument, moment: datetime) -> Iterable[Piece]:
    return (_piece(archive, instrument, period, moment) for period in archive.periods)


def _piece(archive: Archive, instrument: Instrument, period: Period, moment: datetime) -> Piece:
    start = (moment + archive.ahead).replace(hour=0, minute=0, second=0, microsecond=0)
    end = start + timedelta(days=1)
    if period == "month":
        start = start.replace(day=1)
        end = (start + timedelta(days=31)).replace(day=1)
    window = Window(start - archive.ahead, end - archive.ahead)
    return Piece(archive=archive, period=period, window=window, path=archive.path(instrument, period, start))


def _is_out(piece: Piece, now: datetime) -> bool:
    return piece.window.end + piece.archive.ready[piece.period] <= now


def unzipped(endpoint: str, body: bytes, max_bytes: int | None = None) -> bytes:
    """Return the one file in a zip.

    Parameters
    ----------
    endpoint : str
        For messages.
    body : bytes
        The zip.
    max_bytes : int, optional
        Most bytes of the file. Default: the setting ``CEXKIT_MAX_UNPACKED_BYTES``.

    Raises
    ------
    PayloadError
        If it is not a zip of one file, or the file is larger.
    """
    most = settings().max_unpacked_bytes if max_bytes is None else max_bytes
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            names = archive.namelist()
            if len(names) != 1:
                raise PayloadError(endpoint, f"one file expected in the zip, there are {len(names)}")
            with archive.open(names[0]) as file:
                # A zip may state a smaller size than it has: only what is read counts.
                content = file.read(most + 1) if archive.getinfo(names[0]).file_size <= most else None
    except _UNREADABLE as error:
        raise PayloadError(endpoint, f"not a zip that can be read: {error}") from error
    if content is None or len(content) > most:
        raise PayloadError(
            endpoint,
            f"the file in the zip must have at most {most:,} bytes (CEXKIT_MAX_UNPACKED_BYTES), got more; raise the "
            "setting if the file is right",
        )
    return content
