"""Bronze: every raw response, stored unmodified so that Silver can be rebuilt from them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from cexkit.errors import DatasetError
from cexkit.schema.intervals import Window
from cexkit.warehouse.store.layout import BRONZE, archive_file, bronze_file, bronze_folder, bronze_venue
from cexkit.warehouse.store.parquet import write_atomic
from cexkit.warehouse.store.sequence import Sequence

_TIME = pa.timestamp("us", tz="UTC")

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
        if not (self._root / place).exists():
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
        rows = pa.Table.from_pylist(self._rows, schema=SCHEMA)
        write_atomic(path, lambda temporary: pq.write_table(rows, temporary, compression="zstd"), via=self._via)
        self.files.append(path)
        self._rows, self._bytes = [], 0

    def __enter__(self) -> BronzeWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()


def read_bronze(
    root: Path,
    exchange: str,
    endpoint: str,
    table: str,
    window: Window | None = None,
    *,
    unreadable: list[str] | None = None,
) -> Iterator[dict]:
    """Yield an endpoint's responses for a table and a window, file by file; :func:`request_order` orders them.

    Only one record batch is in memory at a time; files are read in the order of their names.
    A row also has the ``path`` of its file below the root. The body of an archive file that is missing is None.
    The paths of files that are not Parquet are added to ``unreadable``.

    Raises
    ------
    DatasetError
        If a file cannot be read and ``unreadable`` is None.
    """
    wanted = ds.field("table") == table
    if window is not None:
        wanted &= (ds.field("data_start") < pa.scalar(window.end, _TIME)) & (
            ds.field("data_end") > pa.scalar(window.start, _TIME)
        )
    for path in _files(root, exchange, endpoint):
        name = path.relative_to(root).as_posix()
        try:
            for batch in ds.dataset(path, schema=SCHEMA).to_batches(filter=wanted, batch_size=256):
                for row in batch.to_pylist():
                    row["path"] = name
                    yield row if row["file"] is None else row | {"body": _archive_body(root / row["file"])}
        except (pa.ArrowInvalid, OSError) as error:
            if unreadable is None:
                raise DatasetError(
                    f"Bronze file {path} must be Parquet, got {error}; restore it or delete it"
                ) from error
            unreadable.append(name)


def request_order(row: Mapping[str, Any]) -> tuple[bool, int]:
    """Return the sort key of a stored response: of two responses, the one that was requested later is larger.

    Responses of older versions have no sequence number. They come first, so a stable sort leaves them in file order.

    Examples
    --------
    >>> request_order({"sequence": None}) < request_order({"sequence": 1}) < request_order({"sequence": 2})
    True
    """
    return row["sequence"] is not None, row["sequence"] or 0


def _archive_body(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def archived(root: Path, exchange: str, endpoint: str) -> dict[str, str]:
    """Return the hash of the newest stored version of each archive file, by its address.

    A version that was stored while the clocks disagreed does not count: its rows may be incomplete, see
    :class:`cexkit.exchanges.parsing.Context`.
    """
    rows: list[dict] = []
    for path in _files(root, exchange, endpoint):
        with suppress(pa.ArrowInvalid):  # reading the responses reports the file
            columns = ["url", "sha256", "context", "sequence"]
            rows += ds.dataset(path, schema=SCHEMA).to_table(columns=columns).to_pylist()
    return {
        row["url"]: row["sha256"]
        for row in sorted(rows, key=request_order)
        if not json.loads(row["context"]).get("skewed")
    }


def has_bronze(root: Path, exchange: str) -> bool:
    """Return whether any response of a venue is stored here; a downloaded or simulated dataset has none."""
    return (root / bronze_venue(exchange)).is_dir()


def bronze_spans(root: Path, exchange: str, endpoint: str, table: str) -> dict[Path, Window]:
    """Return the files of a table's responses and the span of their rows; all time for lists of instruments."""
    found = {}
    for path in _files(root, exchange, endpoint):
        try:
            rows = pq.read_table(
                path, columns=["data_start", "data_end"], partitioning=None, filters=ds.field("table") == table
            )
        except pa.ArrowInvalid:
            continue  # reading the responses reports the file
        if rows.num_rows:
            first, last = pc.min(rows["data_start"]).as_py(), pc.max(rows["data_end"]).as_py()
            found[path] = Window(first or datetime.min.replace(tzinfo=UTC), last or datetime.max.replace(tzinfo=UTC))
    return found


def _files(root: Path, exchange: str, endpoint: str) -> list[Path]:
    """Return files in the order of their names, which begin with the local time of their run; skip temporaries."""
    paths = (root / bronze_folder(exchange, endpoint)).glob("date=*/[!.]*.parquet")
    return sorted(paths, key=lambda path: (path.parent.name, path.name))
