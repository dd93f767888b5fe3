"""Files of a venue's bulk archive: downloaded, verified against their checksums, left to others where absent."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cexkit.errors import TransportError
from cexkit.exchanges.archives import Archive, Piece, days_of, plan
from cexkit.exchanges.fetcher import Fetcher
from cexkit.exchanges.page import Page
from cexkit.exchanges.parsing import Context
from cexkit.schema.intervals import Window
from cexkit.schema.symbols import Instrument

if TYPE_CHECKING:
    from cexkit.exchanges.http.client import NextSequence, Response

#: How often a file whose bytes do not match its checksum is downloaded in all.
ATTEMPTS = 3
_SHA256 = re.compile(r"[0-9a-f]{64}")


def archive_pages(
    fetcher: Fetcher,
    table: str,
    archive: Archive,
    instrument: Instrument,
    window: Window,
    known: Mapping[str, str],
    rest: list[Window],
    held: list[Window],
    *,
    next_sequence: NextSequence | None = None,
) -> Iterator[Page]:
    """New files of an archive that hold a window, one page each, not parsed.

    A month that is not there is replaced by its days, and what is not there at all goes to ``rest``.
    A file whose published checksum is ``known`` is not downloaded again; one that was replaced is. Where no checksums
    are published, every file is downloaded and kept if it is new.

    Parameters
    ----------
    fetcher : Fetcher
        Reads the archive.
    table, archive, instrument, window
        What is wanted.
    known : mapping of address to sha256
        Files that were kept before.
    rest : list of Window
        Gets the spans that the archive does not have.
    held : list of Window
        Gets the spans of the files that there are, known ones too; they may reach beyond the window.
    next_sequence : callable, optional
        Numbers the requests, see :meth:`Fetcher.pages`.

    Raises
    ------
    TransportError
        If a file does not match its checksum, or the checksum is malformed, in :data:`ATTEMPTS` downloads.
    """
    made = plan(archive, instrument, window, datetime.now(UTC))
    rest.extend(made.rest)
    waiting = list(made.files)
    while waiting:
        piece = waiting.pop(0)
        read = _read_checksum if archive.checksums else _read_file
        promised = read(fetcher, piece, instrument, next_sequence)
        if promised is None:
            days = days_of(piece, instrument, window)
            waiting[:0] = days
            if not days:
                rest.append(_common(piece.window, window))
            continue
        held.append(piece.window)
        if not archive.checksums:
            if known.get(promised.url) != promised.sha256:
                yield _page(fetcher, promised, table, piece, instrument)
            continue
        digest = _digest(promised)
        if known.get(promised.url.removesuffix(".CHECKSUM")) != digest:
            yield _verified(fetcher, table, piece, instrument, digest, next_sequence)


def _read_file(
    fetcher: Fetcher, piece: Piece, instrument: Instrument, next_sequence: NextSequence | None
) -> Response | None:
    return fetcher.file(instrument.exchange, piece.path, next_sequence=next_sequence)


def _digest(checksum: Response) -> str:
    """Return the digest in a checksum file: its first word."""
    return checksum.body.decode("ascii", errors="replace").strip().partition(" ")[0].lower()


def _read_checksum(
    fetcher: Fetcher, piece: Piece, instrument: Instrument, next_sequence: NextSequence | None
) -> Response | None:
    """Return the checksum file of a piece, requested again if it holds no SHA-256; None if there is no such file."""
    for _ in range(ATTEMPTS):
        checksum = fetcher.file(instrument.exchange, f"{piece.path}.CHECKSUM", next_sequence=next_sequence)
        if checksum is None or _SHA256.fullmatch(_digest(checksum)):
            return checksum
    raise TransportError(f"{piece.path}.CHECKSUM: no SHA-256 in {ATTEMPTS} responses; try again later")


def _verified(
    fetcher: Fetcher,
    table: str,
    piece: Piece,
    instrument: Instrument,
    digest: str,
    next_sequence: NextSequence | None,
) -> Page:
    for _ in range(ATTEMPTS):
        response = _read_file(fetcher, piece, instrument, next_sequence)
        if response is not None and hashlib.sha256(response.body).hexdigest() == digest:
            return _page(fetcher, response, table, piece, instrument)
    raise TransportError(f"{piece.path}: the file does not match its checksum {digest} in {ATTEMPTS} downloads")


def _page(fetcher: Fetcher, response: Response, table: str, piece: Piece, instrument: Instrument) -> Page:
    margin, window, clocks = piece.archive.margin, piece.window, fetcher.read_clocks(response)
    context = Context(
        exchange=instrument.exchange,
        table=table,
        now=clocks.now,
        skewed=clocks.skewed,
        instrument=instrument,
        window=Window(window.start - margin, window.end + margin),
    )
    return Page(response, piece.archive.endpoint, context, None)


def _common(one: Window, other: Window) -> Window:
    return Window(max(one.start, other.start), min(one.end, other.end))
