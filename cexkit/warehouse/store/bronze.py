"""Bronze: every raw response, stored unmodified so that Silver can be rebuilt from them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq

from cexkit.errors import DamagedFileError, DatasetError
from cexkit.schema.intervals import Window
from cexkit.warehouse.store.layout import BRONZE, archive_file, bronze_file, bronze_folder, bronze_venue
from cexkit.warehouse.store.parquet import has_size, write_atomic
from cexkit.warehouse.store.sequence import Sequence

_TIME = pa.timestamp("us", tz="UTC")
#: Characters of an address that are not encoded, because they have a meaning in it.
_RESERVED = ":/?#[]@!$&'()*+,;=%"

#: ``context`` holds what a parser needs in addition to the body, as JSON. ``table``, ``data_start``, and
#: ``data_end`` state which rows a response can hold, so that only relevant responses are read. The body of an
#: archive file is not in ``body`` but in the ``file`` of that path, named by its hash. ``sequence`` orders responses,
#: see :func:`request_order`; it is null in files of older versions.
SCHEMA = pa.schema(
    [
        ("run", pa.string()),
        ("exchange", pa.string()),
        ("endpoint", pa.string()),
        ("table", pa.string()),
        ("data_start", _TIME),
        ("data_end", _TIME),
        ("context", pa.string()),
        ("url", pa.string()),
        ("params", pa.string()),
        ("status", pa.int32()),
        ("headers", pa.string()),
        ("received_at", _TIME),
        ("sha256", pa.string()),
        ("body", pa.binary()),
        ("file", pa.string()),
        ("sequence", pa.int64()),
    ]
)

#: Columns by which responses are chosen before their bodies are read.
HEAD = ("table", "data_start", "data_end", "context", "sha256", "file", "sequence")
#: Responses and bytes of bodies in one row group; to read one response, all of its group are read.
GROUP_ROWS = 128
GROUP_BYTES = 1 << 20


class BronzeWriter:
    """A writer of the responses of one run and endpoint, in files of bounded size.

    Use it as a context manager; responses added before an error are still written.
    """

    def __init__(self, root: Path, exchange: str, endpoint: str, run: str, *, file_bytes: int = 32 << 20):
        self._root, self._exchange, self._endpoint, self._run = root, exchange, endpoint, run
        self._via, self._file_bytes = root / BRONZE, file_bytes
        self._sequence = Sequence(root)
        self._rows: list[dict] = []
        self._bytes = 0
        self.files: list[Path] = []

    def add(self, row: dict) -> None:
        """Add one response: the columns of :data:`SCHEMA` except run, exchange, and endpoint."""
        whose = {"run": self._run, "exchange": self._exchange, "endpoint": self._endpoint}
        self._rows.append({"file": None} | row | whose)
        self._bytes += len(row["body"])
        if self._bytes >= self._file_bytes:
            self.flush()

    def add_file(self, row: dict) -> None:
        """Add one response whose body is an archive file; the file is stored unmodified, once, under its hash."""
        place = archive_file(self._exchange, row["sha256"])
        if not has_size(self._root / place, len(row["body"])):
            write_atomic(self._root / place, lambda temporary: temporary.write_bytes(row["body"]), via=self._via)
        self.add(row | {"body": b"", "file": place.as_posix()})

    def flush(self) -> None:
        """Write the responses added since the last file."""
        if not self._rows:
            return
        numbers = [row["sequence"] for row in self._rows if row.get("sequence") is not None]
        if numbers:
            self._sequence.persist(max(numbers))
        day = self._rows[0]["received_at"].date()
        path = self._root / bronze_file(self._exchange, self._endpoint, day, self._run, len(self.files))
        write_atomic(path, self._write, via=self._via)
        self.files.append(path)
        self._rows, self._bytes = [], 0

    def _write(self, path: Path) -> None:
        with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
            for group in _groups(self._rows):
                writer.write_table(pa.Table.from_pylist(group, schema=SCHEMA))

    def __enter__(self) -> BronzeWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()


def _groups(rows: list[dict]) -> Iterator[list[dict]]:
    group, size = [], 0
    for row in rows:
        group.append(row)
        size += len(row["body"])
        if len(group) == GROUP_ROWS or size >= GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def read_bronze(root: Path, exchange: str, endpoint: str, table: str, window: Window | None = None) -> Iterator[dict]:
    """Yield an endpoint's responses for a table and a window, file by file; see :func:`read_file`.

    :func:`request_order` orders them.
    """
    for path in bronze_files(root, exchange, endpoint):
        heads = read_heads(root, path, table)
        yield from read_file(
            root,
            path,
            {
                head["position"]
                for head in heads
                if window is None or (head["data_start"] < window.end and head["data_end"] > window.start)
            },
        )


def read_heads(root: Path, path: str, table: str) -> list[dict]:
    """Return the columns in :data:`HEAD` of the responses about a table in one file, and the ``position`` of each.

    Raises
    ------
    DatasetError
        If the file cannot be read.
    """
    with _opened(root, path) as file:
        rows = _conform(file.read(_present(file, HEAD))).to_pylist()
    return [
        dict.fromkeys(HEAD) | row | {"path": path, "position": n} for n, row in enumerate(rows) if row["table"] == table
    ]


def read_file(root: Path, path: str, positions: Container[int]) -> Iterator[dict]:
    """Yield the responses at some positions of one Bronze file; only the row groups that hold them are read.

    Yields
    ------
    dict
        Columns of :data:`SCHEMA`, the ``path`` and ``position``, and ``damage``: None, or what is wrong with the body,
        which is then None.

    Raises
    ------
    DatasetError
        If the file cannot be read.
    """
    with _opened(root, path) as file:
        first = 0
        for number in range(file.num_row_groups):
            count = file.metadata.row_group(number).num_rows
            chosen = [n for n in range(count) if first + n in positions]
            if chosen:
                rows = _conform(file.read_row_group(number, columns=_present(file, SCHEMA.names)).take(chosen))
                for position, row in zip(chosen, rows.to_pylist(), strict=True):
                    yield _verified(root, row | {"path": path, "position": first + position})
            first += count


@contextmanager
def _opened(root: Path, path: str) -> Iterator[pq.ParquetFile]:
    """Open a Bronze file; whatever is wrong with its content is a DatasetError."""
    try:
        with pq.ParquetFile(root / path) as file:
            yield file
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DamagedFileError(
            f"{path} must be Parquet with the columns of responses, got {_first_line(error)}; restore it, or run "
            "`cexkit bronze retire`"
        ) from error


def request_order(row: Mapping[str, Any]) -> tuple[bool, int]:
    """Return the sort key of a stored response: of two responses, the one that was requested later is larger.

    Responses of older versions have no sequence number. They come first, so a stable sort leaves them in file order.

    Examples
    --------
    >>> request_order({"sequence": None}) < request_order({"sequence": 1}) < request_order({"sequence": 2})
    True
    """
    return row["sequence"] is not None, row["sequence"] or 0


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".")


def _present(file: pq.ParquetFile, names: Collection[str]) -> list[str]:
    return [name for name in names if name in file.schema_arrow.names]


def _conform(rows: pa.Table) -> pa.Table:
    """Return columns of Bronze as declared; a nullable one that an older file lacks is null."""
    return rows.cast(pa.schema([SCHEMA.field(name) for name in rows.column_names]))


def _verified(root: Path, row: dict) -> dict:
    """Return a response with the body of its archive file, compared with its hash."""
    row = dict.fromkeys(SCHEMA.names) | row
    body, damage = row["body"], None
    if row["file"] is not None:
        try:
            body = (root / row["file"]).read_bytes()
        except OSError:
            return row | {"body": None, "damage": f"{row['file']} is missing"}
    if row["sha256"] and hashlib.sha256(body or b"").hexdigest() != row["sha256"]:
        body, damage = None, f"the body stored in {row['file'] or row['path']} does not match its hash"
    return row | {"body": body, "damage": damage}


def archived(root: Path, paths: Iterable[str]) -> dict[str, str]:
    """Return the hash of the newest stored version of each archive file that some Bronze files hold, by its address.

    Addresses are percent-encoded; those of earlier versions of cexkit were not.

    A version that was stored while the clocks disagreed does not count: its rows may be incomplete, see
    :class:`cexkit.exchanges.parsing.Context`.
    """
    rows: list[dict] = []
    for path in paths:
        with suppress(DatasetError), _opened(root, path) as file:  # reading the responses reports the file
            columns = _present(file, ("url", "sha256", "context", "sequence"))
            rows += [{"sequence": None} | row for row in _conform(file.read(columns)).to_pylist()]
    return {
        quote(row["url"], safe=_RESERVED): row["sha256"]
        for row in sorted(rows, key=request_order)
        if not json.loads(row["context"]).get("skewed")
    }


def has_bronze(root: Path, exchange: str) -> bool:
    """Return whether any response of a venue is stored here; a downloaded or simulated dataset has none."""
    return (root / bronze_venue(exchange)).is_dir()


def bronze_files(root: Path, exchange: str, endpoint: str) -> dict[str, int]:
    """Return the files of an endpoint below the root with their sizes in bytes, in the order received.

    Names of runs begin with their time. Temporaries are skipped.
    """
    folder = bronze_folder(exchange, endpoint)
    return {
        f"{folder}/{day.name}/{file.name}": file.stat().st_size
        for day in _days(root / folder)
        for file in _parquet_files(day)
    }


def newest_bronze_files(root: Path, exchange: str, endpoint: str) -> list[str]:
    """Return the files of the last day on which an endpoint was read; their number does not grow with history."""
    folder = bronze_folder(exchange, endpoint)
    return [f"{folder}/{day.name}/{file.name}" for day in _days(root / folder)[-1:] for file in _parquet_files(day)]


def _days(folder: Path) -> list[os.DirEntry]:
    days = (entry for entry in _entries(folder) if entry.name.startswith("date="))
    return sorted(days, key=lambda entry: entry.name)


def _parquet_files(day: os.DirEntry) -> list[os.DirEntry]:
    files = (
        entry for entry in _entries(day.path) if entry.name.endswith(".parquet") and not entry.name.startswith(".")
    )
    return sorted(files, key=lambda entry: entry.name)


def _entries(folder: Path | str) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
