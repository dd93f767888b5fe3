"""A cache of data files, each named by its content: verified, shared by threads and processes, bounded.

::

    <root>/files/<aa>/<sha256>.parquet   a whole file whose content was verified
    <root>/files/<aa>/<sha256>.seen      size and times it had then; its own time is that of the last use
    <root>/locations/<digest>.json       last known state of a location: revision and manifest
    <root>/leases/<id>.files             what a connection uses, while it holds <id>.lock
    <root>/locks/                        one writer a file

All names are relative to the root, so the folder can be moved while nothing uses it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from cexkit.errors import CexkitError, DatasetError
from cexkit.warehouse.store.damage import sha256
from cexkit.warehouse.store.layout import TEMPORARY
from cexkit.warehouse.store.manifest import DataFile
from cexkit.warehouse.store.parquet import write_atomic

_FILES, _LOCATIONS, _LEASES, _LOCKS = "files", "locations", "leases", "locks"
#: Seconds after which what a killed download left behind is swept.
_STALE_SECONDS = 86_400.0

#: Puts a file into a folder and says where it is.
Download = Callable[[Path], Path]


@dataclass(frozen=True, slots=True)
class PinnedRevision:
    """What was found at a place: the revision it was at and its manifest, as text."""

    address: str
    revision: str
    text: str


@dataclass(frozen=True, slots=True)
class Usage:
    """How much a cache holds."""

    files: int
    bytes: int
    max_bytes: int
    locations: tuple[str, ...]


class FileCache:
    """Files by the sha256 of their content.

    Parameters
    ----------
    root : Path
        Its folder; made at the first write.
    max_bytes : int
        Size above which the files not used for longest are dropped, never one that a connection uses.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     FileCache(Path(folder), 1_000_000).usage().files
    0
    """

    def __init__(self, root: Path, max_bytes: int):
        self.root, self.max_bytes = root, max_bytes

    @property
    def files(self) -> Path:
        """The folder that data files lie below."""
        return self.root.absolute() / _FILES

    def find(self, file: DataFile) -> Path | None:
        """The file, if it is there and whole; one that changed since it was verified is verified again."""
        path = self._path(file.sha256)
        seen = path.with_suffix(".seen")
        with _disk(self.root):
            try:
                facts = _facts(path)
                if facts != _read(seen):
                    if path.stat().st_size != file.bytes or sha256(path) != file.sha256:
                        return None
                    write_atomic(seen, lambda temporary: temporary.write_text(facts))
                else:
                    os.utime(seen)
            except FileNotFoundError:
                return None
        return path

    def fetch(self, file: DataFile, download: Download) -> Path:
        """The file, downloaded if need be; of several that want it at once, one does it.

        Raises
        ------
        DatasetError
            If what comes is not what the manifest names, twice, or the disk cannot hold it.
        """
        with self._lock(file.sha256[:2]):
            found = self.find(file)
            for _ in range(2):
                found = found or self._take(file, download)
        if found is None:
            raise DatasetError(
                f"{file.path} is not what the manifest says: its content differs (not {file.sha256[:12]}…). "
                "The dataset is damaged, or something between here and there changes files; tell who publishes it"
            )
        self.evict()
        return found

    def _take(self, file: DataFile, download: Download) -> Path | None:
        path = self._path(file.sha256)
        folder = path.parent / f"{TEMPORARY}{uuid.uuid4().hex}"
        with _disk(self.root):
            folder.mkdir(parents=True)
            try:
                came = download(folder)
                if came.stat().st_size != file.bytes or sha256(came) != file.sha256:
                    return None
                os.replace(came, path)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        return self.find(file)

    def evict(self) -> None:
        """Drop what was not used for longest until the rest fits."""
        entries = list(self._entries())
        if sum(size for _, size, _ in entries) > self.max_bytes:
            self._drop(self.max_bytes)

    def clear(self) -> tuple[int, int]:
        """Drop everything that no connection uses, what is known of places included.

        Returns
        -------
        tuple of int
            Files and bytes that were dropped.
        """
        with _disk(self.root):
            for path in (self.root / _LOCATIONS).glob("*.json"):
                path.unlink(missing_ok=True)
        return self._drop(0)

    def _drop(self, max_bytes: int) -> tuple[int, int]:
        with self._lock("all"), _disk(self.root):
            used, entries = self._leased(), sorted(self._entries(), key=lambda entry: entry[2])
            total, count, freed = sum(size for _, size, _ in entries), 0, 0
            for path, size, _ in entries:
                if total - freed <= max_bytes:
                    break
                if path.stem not in used:
                    path.unlink(missing_ok=True)
                    path.with_suffix(".seen").unlink(missing_ok=True)
                    count, freed = count + 1, freed + size
            self._sweep()
        return count, freed

    def usage(self) -> Usage:
        """How many files and bytes it holds, and of which places."""
        sizes = [size for _, size, _ in self._entries()]
        locations = {known.address for path in (self.root / _LOCATIONS).glob("*.json") if (known := _known(path))}
        return Usage(len(sizes), sum(sizes), self.max_bytes, tuple(sorted(locations)))

    def lease(self) -> Lease:
        """A promise that files stay as long as it lives."""
        return Lease(self)

    def remember(self, key: str, known: PinnedRevision) -> None:
        """Note what is at a place, for when it cannot be asked."""
        record = asdict(known) | {"sha256": hashlib.sha256(known.text.encode()).hexdigest()}
        path = self._note(key)
        write_atomic(path, lambda temporary: temporary.write_text(json.dumps(record), encoding="utf-8"))

    def recall(self, key: str) -> PinnedRevision | None:
        """What was last found at a place."""
        return _known(self._note(key))

    def _path(self, digest: str) -> Path:
        return self.files / digest[:2] / f"{digest}.parquet"

    def _note(self, key: str) -> Path:
        return self.root / _LOCATIONS / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"

    def _entries(self) -> Iterator[tuple[Path, int, float]]:
        """Files, their sizes and when they were last used."""
        for path in self.files.glob("*/*.parquet"):
            with suppress(FileNotFoundError):
                state, seen = path.stat(), path.with_suffix(".seen")
                yield path, state.st_size, seen.stat().st_mtime if seen.exists() else state.st_mtime

    def _leased(self) -> set[str]:
        """What living connections use; a lease whose lock is free has outlived its process."""
        names: set[str] = set()
        for path in (self.root / _LEASES).glob("*.files"):
            lock = FileLock(path.with_suffix(".lock"))
            try:
                with lock.acquire(timeout=0):
                    path.unlink(missing_ok=True)
                path.with_suffix(".lock").unlink(missing_ok=True)
            except Timeout:
                names |= set(_read(path).split())
        return names

    def _sweep(self) -> None:
        before = time.time() - _STALE_SECONDS
        for folder in self.files.glob(f"*/{TEMPORARY}*"):
            with suppress(FileNotFoundError):  # its download has ended meanwhile
                if folder.stat().st_mtime < before:
                    shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        with _disk(self.root):
            (self.root / _LOCKS).mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.root / _LOCKS / f"{name}.lock")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()


class Lease:
    """The files that a connection uses. It ends with :meth:`release`, or with the process."""

    def __init__(self, cache: FileCache):
        self._cache, self._names = cache, set[str]()
        folder = cache.root / _LEASES
        self._path = folder / f"{uuid.uuid4().hex}.files"
        # released by whichever thread collects the garbage
        self._lock = FileLock(self._path.with_suffix(".lock"), thread_local=False)
        with _disk(cache.root):
            folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()

    def add(self, digests: Iterable[str]) -> None:
        """Keep these from being dropped."""
        new = set(digests) - self._names
        if new:
            with self._cache._lock("all"), _disk(self._cache.root), self._path.open("a") as file:
                file.write("".join(f"{name}\n" for name in sorted(new)))
            self._names |= new

    def release(self) -> None:
        """Let go of them."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
            self._lock.release()
            self._path.with_suffix(".lock").unlink(missing_ok=True)


def _facts(path: Path) -> str:
    """What changes when a file is written to, its time of change included, which no program sets."""
    state = path.stat()
    return f"{state.st_size} {state.st_mtime_ns} {state.st_ctime_ns}"


def _known(note: Path) -> PinnedRevision | None:
    """What a note says; a damaged one says nothing."""
    try:
        record = json.loads(_read(note))
        whole = record.pop("sha256") == hashlib.sha256(record["text"].encode()).hexdigest()
        return PinnedRevision(**record) if whole else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


@contextmanager
def _disk(root: Path) -> Iterator[None]:
    """What the disk refuses is said with the folder and the setting for another."""
    try:
        yield
    except (CexkitError, FileNotFoundError):
        raise
    except OSError as error:
        raise DatasetError(
            f"the cache at {root} cannot be used: {error.strerror or error}; CEXKIT_CACHE_DIR or cache= names another"
        ) from error
