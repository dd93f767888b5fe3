"""Files of a venue's bulk archive: downloaded, verified against their checksums, left to others where absent."""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from cexkit.errors import BlockedError, FetchError, TransportError
from cexkit.exchanges.archives import Archive, Piece, days_of, plan
from cexkit.exchanges.fetcher import Fetcher
from cexkit.exchanges.http.workers import Delivery
from cexkit.exchanges.page import Page
from cexkit.exchanges.parsing import Context
from cexkit.schema.intervals import Window
from cexkit.schema.symbols import Instrument

if TYPE_CHECKING:
    from cexkit.exchanges.http.client import NextSequence, Response

#: How often a file whose bytes do not match its checksum is downloaded in all.
ATTEMPTS = 3
#: Most files of an instrument that are downloaded at once.
AT_ONCE = 8
#: Failed downloads of an instrument after which no further files are requested.
MAX_FAILURES = 3
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
    unverified: list[tuple[Window, str]],
    *,
    count: int = 1,
    next_sequence: NextSequence | None = None,
) -> Iterator[Page]:
    """New files of an archive that hold a window, one page each, not parsed, in the order in which they arrive.

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
    unverified : list of (Window, str)
        Gets the spans of the files that could not be downloaded, or do not match their checksum in :data:`ATTEMPTS`
        downloads, and why; they are left to others too.
    count : int
        Most files to download at once; never more than :data:`AT_ONCE`, so that memory does not grow with it.
    next_sequence : callable, optional
        Numbers the requests, see :meth:`Fetcher.pages`.

    Raises
    ------
    FetchError
        If :data:`MAX_FAILURES` files could not be downloaded; no further ones were requested.
    """
    made = plan(archive, instrument, window, datetime.now(UTC))
    rest.extend(made.rest)
    waiting, failures = deque(made.files), []
    read = partial(_read_piece, fetcher, table, instrument, known, next_sequence)
    with Delivery(lambda: _Download(waiting.popleft(), read) if waiting else None, min(count, AT_ONCE)) as delivery:
        for result in delivery:
            piece, error = result.task.piece, result.error
            if error is None and not result.ended:
                held.append(piece.window)
                if result.item is not None:
                    yield result.item
            elif isinstance(error, _Absent | _Unverified):
                if isinstance(error, _Unverified):
                    unverified.append((_common(piece.window, window), str(error)))
                days = days_of(piece, instrument, window)
                if not _ends(failures):
                    waiting.extendleft(reversed(days))
                if not days:
                    rest.append(_common(piece.window, window))
            elif error is not None:
                failures.append(error)
                unverified.append((_common(piece.window, window), str(error)))
                rest.append(_common(piece.window, window))
                if _ends(failures):
                    # files that are on their way are still delivered
                    waiting.clear()
    if _ends(failures):
        # an error that concerns more than this instrument is not hidden by a later one
        raise next((error for error in failures if not _is_own(error)), failures[-1])


def _ends(failures: list[BaseException]) -> bool:
    """Return whether failed downloads are reason to request nothing more."""
    return len(failures) >= MAX_FAILURES or not all(map(_is_own, failures))


def _is_own(error: BaseException) -> bool:
    """Return whether an error concerns one file, and not all that the venue has."""
    return isinstance(error, FetchError) and not isinstance(error, BlockedError)


@dataclass(frozen=True, slots=True)
class _Download:
    """A file to download, with what downloads it."""

    piece: Piece
    call: Callable[[Piece], Page | None]

    def read(self) -> Iterator[Page | None]:
        yield self.call(self.piece)


class _Absent(Exception):
    """The archive does not have a file."""


class _Unverified(TransportError):
    """A file does not match its checksum, or the checksum is malformed."""


def _read_piece(
    fetcher: Fetcher,
    table: str,
    instrument: Instrument,
    known: Mapping[str, str],
    next_sequence: NextSequence | None,
    piece: Piece,
) -> Page | None:
    """Return a file as a page; None if it is known already."""
    read = _read_checksum if piece.archive.checksums else _read_file
    promised = read(fetcher, piece, instrument, next_sequence)
    if promised is None:
        raise _Absent
    if not piece.archive.checksums:
        is_new = known.get(promised.url) != promised.sha256
        return _page(fetcher, promised, table, piece, instrument) if is_new else None
    digest = _digest(promised)
    if known.get(promised.url.removesuffix(".CHECKSUM")) == digest:
        return None
    return _verified(fetcher, table, piece, instrument, digest, next_sequence)


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
    raise _Unverified(f"{piece.path}.CHECKSUM: no SHA-256 in {ATTEMPTS} responses; try again later")


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
    raise _Unverified(f"{piece.path}: the file does not match its checksum {digest} in {ATTEMPTS} downloads")


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
