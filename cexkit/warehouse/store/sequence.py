"""Sequence numbers of a warehouse's requests: which request is later, independent of any clock.

The number of the latest request is in one small file under a lock, which threads and processes share. The file is
rewritten in place for each number and not flushed, so a number costs microseconds. Before Bronze stores a number, it
flushes the file: see :meth:`Sequence.persist`. So after a power failure the counter may be older than the last
request, but not older than any stored one.

If the file is missing, damaged, or a copy of another file, the counter starts again from the largest number in Bronze.
Finding it costs one footer per Bronze file, once; opening an intact counter costs the same whatever Bronze holds.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fcntl import LOCK_UN, flock
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cexkit.warehouse.store.layout import BRONZE, LEDGER, SEQUENCE
from cexkit.warehouse.store.parquet import fsync, open_locked, writing

#: Numbers to skip if the counter is lost: requests in flight may have numbers that no Bronze file shows yet.
RECOVERY_GAP = 1_000_000
_RECORD, _RECORD_BYTES = re.compile(rb"(\d{20}) (\d{20}) [0-9a-f]{8}\n"), 51


class Sequence:
    """The counter of the requests that a warehouse sends. Safe under threads and processes.

    Parameters
    ----------
    root : Path
        Folder of the warehouse; the first number creates the file.
    at_least : int
        A number that is in use: the next one is larger, whatever the file says.

    Examples
    --------
    >>> import tempfile
    >>> root = Path(tempfile.mkdtemp())
    >>> sequence = Sequence(root)
    >>> sequence.next(), sequence.next(), Sequence(root).next()
    (1, 2, 3)
    """

    def __init__(self, root: Path, at_least: int = 0):
        self._root, self._path = root, root / SEQUENCE
        #: Largest number that this object knows.
        self._seen = at_least
        self._verified = False

    def next(self) -> int:
        """Return a number that is larger than all numbers before it.

        Raises
        ------
        DatasetError
            If the folder cannot be written.
        """
        with self._locked() as handle:
            number = self._latest(handle) + 1
            self._write(handle, number)
            return number

    def persist(self, number: int) -> None:
        """Make sure that neither ``number`` nor a smaller one is returned again, even after a power failure.

        Call it before ``number`` is stored.

        Raises
        ------
        DatasetError
            If the folder cannot be written.
        """
        with self._locked() as handle:
            self._write(handle, max(self._latest(handle), number))
            os.fsync(handle)
            fsync(self._path.parent)

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """Yield the open file while no other thread or process has it.

        The file is opened each time, because a lock belongs to an open file: threads and forked processes would share
        the lock of one that stays open.
        """
        with writing(self._path):
            try:
                handle = open_locked(self._path)
            except FileNotFoundError:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                handle = open_locked(self._path)
            try:
                yield handle
            finally:
                # Closing is not enough if another thread forked meanwhile: the child has a copy of the descriptor.
                flock(handle, LOCK_UN)
                os.close(handle)

    def _latest(self, handle: int) -> int:
        """Return the latest number, from the file if it is intact, else from Bronze."""
        record = _parse(os.pread(handle, _RECORD_BYTES + 1, 0))
        # A copied or restored file may be older than Bronze. Its inode tells, but not on every file system, so an
        # object compares it once and trusts the file from then on.
        if record is None or not (self._verified or record[1] == os.fstat(handle).st_ino):
            stored = largest_stored_number(self._root)
            number = 0 if stored is None else stored + RECOVERY_GAP
            os.ftruncate(handle, 0)
        else:
            number = record[0]
        return max(number, self._seen)

    def _write(self, handle: int, number: int) -> None:
        os.pwrite(handle, _format(number, os.fstat(handle).st_ino), 0)
        self._seen, self._verified = number, True


def largest_stored_number(root: Path) -> int | None:
    """Return the largest sequence number in Bronze and its ledgers, from the footers of all files; None without any.

    The ledgers also know the numbers of responses that were moved elsewhere.
    """
    return largest_number([*(root / BRONZE).rglob("[!.]*.parquet"), *(root / LEDGER).glob("*/*/files.parquet")])


def largest_number(files: Iterable[Path]) -> int | None:
    """Return the largest sequence number in Bronze files or ledgers, from their footers; None without any."""
    numbers = (_largest_in(path) for path in files)
    return max((number for number in numbers if number is not None), default=None)


def _largest_in(path: Path) -> int | None:
    try:
        with pq.ParquetFile(path) as file:
            names = [name for name in ("sequence", "last_sequence") if name in file.schema_arrow.names]
            if not names:
                return None
            column = file.schema_arrow.names.index(names[0])
            groups = [file.metadata.row_group(number).column(column) for number in range(file.num_row_groups)]
            known = [group.statistics for group in groups if group.statistics is not None]
            return max((statistics.max for statistics in known if statistics.has_min_max), default=None)
    except (pa.ArrowException, OSError):
        return None  # reading the responses reports the file


def _format(number: int, inode: int) -> bytes:
    text = f"{number:020d} {inode:020d}".encode()
    return text + f" {zlib.crc32(text):08x}\n".encode()


def _parse(record: bytes) -> tuple[int, int] | None:
    """Return number and inode of a record; None if it is damaged."""
    match = _RECORD.fullmatch(record)
    if match is None:
        return None
    number, inode = int(match[1]), int(match[2])
    return (number, inode) if _format(number, inode) == record else None
