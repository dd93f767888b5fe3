"""Cached results of checks, below the folder of the warehouse.

An entry is bound to a key: the hash of everything that its content depends on. An entry that is damaged or has another
key is ignored, so the folder may be deleted or copied at any time. Failing to write an entry only costs time.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import polars as pl

from cexkit.errors import DatasetError
from cexkit.schema import Table
from cexkit.warehouse.store import layout
from cexkit.warehouse.store.parquet import write_atomic

_DIGEST = 64


def digest(*parts: object) -> str:
    """Return the hash of values, by their ``repr``.

    Examples
    --------
    >>> len(digest("schema", 1)), digest("schema", 1) == digest("schema", 2)
    (64, False)
    """
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def frame_digest(frame: pl.DataFrame) -> str:
    """Return the hash of the rows of a frame, in their order."""
    return hashlib.sha256(_encode([frame])).hexdigest()


class ResultCache:
    """Results of checks by their keys.

    Parameters
    ----------
    root : Path
        Folder of the warehouse. A folder that no process on this machine wrote to, such as the embedded sample, is not
        written to by checks either.
    full : bool
        True to ignore all existing entries.
    """

    def __init__(self, root: Path, *, full: bool = False):
        self._root, self.full = root, full
        self._writable = (root / layout.LOCK).exists()
        self._used: dict[str, set[str]] = defaultdict(set)

    def load(self, table: Table, key: str) -> list[pl.DataFrame] | None:
        """Return the frames stored under a key; None if no valid entry exists."""
        path = self._path(table, key)
        if self.full:
            return None
        with suppress(OSError, pl.exceptions.PolarsError):
            content = path.read_bytes()
            if content[:_DIGEST] == _seal(key, content[_DIGEST:]):
                return _decode(content[_DIGEST:])
        return None

    def store(self, table: Table, key: str, frames: Sequence[pl.DataFrame], *, stamp: int | None = None) -> None:
        """Store frames under a key; ``stamp``, in nanoseconds, becomes the modification time of the entry."""
        payload = _encode(frames)
        self._write(self._path(table, key), _seal(key, payload) + payload, stamp)

    def stamp(self, table: Table, key: str) -> int | None:
        """Return the stamp of an entry; None if it does not exist."""
        with suppress(OSError):
            return self._path(table, key).stat().st_mtime_ns
        return None

    def set_stamp(self, table: Table, key: str, stamp: int) -> None:
        """Replace the stamp of an entry."""
        with suppress(OSError):
            if self._writable:
                os.utime(self._path(table, key), ns=(stamp, stamp))

    def sweep(self, table: Table) -> None:
        """Delete the entries of a table that were neither loaded nor stored: their data file left the dataset."""
        if not self._writable:
            return
        with suppress(OSError):
            for path in (self._root / layout.check_folder(table)).iterdir():
                if path.name not in self._used[table.name]:
                    path.unlink(missing_ok=True)

    def _path(self, table: Table, key: str) -> Path:
        path = self._root / layout.check_file(table, key)
        self._used[table.name].add(path.name)
        return path

    def _write(self, path: Path, content: bytes, stamp: int | None) -> None:
        def write(temporary: Path) -> None:
            temporary.write_bytes(content)
            if stamp is not None:
                os.utime(temporary, ns=(stamp, stamp))

        if self._writable:
            with suppress(DatasetError):
                write_atomic(path, write, via=self._root / layout.CHECKS)


def _seal(key: str, payload: bytes) -> bytes:
    """Return the hash that binds a payload to its key, as it begins an entry."""
    return hashlib.sha256(key.encode() + payload).hexdigest().encode()


def _encode(frames: Sequence[pl.DataFrame]) -> bytes:
    """Return frames as Arrow streams, each after its length."""
    parts = []
    for frame in frames:
        stream = BytesIO()
        frame.rechunk().write_ipc_stream(stream, compression="zstd", compat_level=pl.CompatLevel.oldest())
        parts += [len(stream.getvalue()).to_bytes(8), stream.getvalue()]
    return b"".join(parts)


def _decode(payload: bytes) -> list[pl.DataFrame]:
    source, frames = BytesIO(payload), []
    while length := source.read(8):
        frames.append(pl.read_ipc_stream(BytesIO(source.read(int.from_bytes(length)))))
    return frames
