"""The manifest: the files of a dataset and the content of each.

Readers open only files that it names, and among them only those that can hold rows of a query.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from cexkit.errors import DatasetError, DatasetNotFoundError, InvalidInputError, NewerSchemaError
from cexkit.schema import SCHEMA_VERSION
from cexkit.schema.intervals import Window, utc
from cexkit.warehouse.store.layout import inside, span_of

_NAME, _SHA256 = re.compile(r"[a-z][a-z0-9_]*"), re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """A data file: identity, size, and time range (``start`` is the first time, ``end`` the last)."""

    path: str
    table: str
    exchange: str | None
    period: str
    rows: int
    bytes: int
    sha256: str
    start: datetime | None
    end: datetime | None
    #: Schema version that wrote it; a nullable column added later is missing and reads as null.
    schema_version: int = field(default_factory=lambda: SCHEMA_VERSION)
    #: sha256 of the file of its key digests (:mod:`cexkit.warehouse.store.keys`); None if it has none.
    keys_sha256: str | None = None
    #: Keys of a later cexkit, as JSON; kept when the manifest is written again.
    unknown: str = "{}"

    @property
    def place(self) -> tuple[str, str | None, str]:
        """The table, venue, and period whose current file this is."""
        return self.table, self.exchange, self.period

    def overlaps(self, start: datetime | None, end: datetime | None) -> bool:
        """Return whether the file can hold a row of the window ``start <= t < end``."""
        if self.start is None or self.end is None:
            return True
        return (end is None or self.start < end) and (start is None or self.end >= start)


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """The combined extent of files; ``start`` and ``end`` are the first and the last time in them.

    Examples
    --------
    >>> Extent.of([])
    Extent(files=0, rows=0, bytes=0, start=None, end=None, exchanges=())
    """

    files: int
    rows: int
    bytes: int
    start: datetime | None
    end: datetime | None
    exchanges: tuple[str, ...]

    @classmethod
    def of(cls, files: Collection[DataFile]) -> Extent:
        """Return the combined extent of files, as stated in the manifest."""
        return cls(
            files=len(files),
            rows=sum(file.rows for file in files),
            bytes=sum(file.bytes for file in files),
            start=min((file.start for file in files if file.start), default=None),
            end=max((file.end for file in files if file.end), default=None),
            exchanges=tuple(sorted({file.exchange for file in files if file.exchange})),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """All current files of a dataset.

    Examples
    --------
    >>> Manifest().select("funding_rates")
    ()
    """

    files: tuple[DataFile, ...] = ()
    updated_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    schema_version: int = field(default_factory=lambda: SCHEMA_VERSION)
    simulated: bool = False
    description: str = ""
    #: Keys of a later cexkit, as JSON; kept when the manifest is written again.
    unknown: str = "{}"

    def select(
        self,
        table: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        exchanges: Collection[str] | None = None,
    ) -> tuple[DataFile, ...]:
        """Return the files of a table that can hold rows of a window and of these venues."""
        return tuple(
            file
            for file in self.files
            if file.table == table
            and file.overlaps(start, end)
            and (exchanges is None or file.exchange is None or file.exchange in exchanges)
        )

    def state_of(self, table: str, exchange: str) -> str:
        """Return a digest of the content of a venue's table; it differs if the content of a file differs."""
        content = (f"{file.period} {file.sha256}\n" for file in self.select(table, exchanges=[exchange]))
        return hashlib.sha256("".join(sorted(content)).encode()).hexdigest()

    def with_files(self, files: Iterable[DataFile]) -> Manifest:
        """Return a copy in which these files replace those whose spans they cover together; empty ones are left out.

        Raises
        ------
        InvalidInputError
            If they cover only a part of an existing file, whose remaining rows would be lost, or overlap each other.
        """
        newer = {file.place: file for file in files}
        spans = _spans_by_table(newer.values())
        kept = [file for file in self.files if not _is_replaced(file, spans.get((file.table, file.exchange), {}))]
        found = [*kept, *(file for file in newer.values() if file.rows)]
        version = max([self.schema_version, *(file.schema_version for file in newer.values())])
        files = tuple(sorted(found, key=lambda f: (f.table, f.exchange or "", f.period)))
        return replace(self, files=files, schema_version=version)

    def to_json(self) -> str:
        """Return the manifest as stored on disk; a file states its schema version only if it is older.

        ``keys_sha256`` is written only for files that have key digests.
        """
        raw = _with_unknown(asdict(self))
        raw["files"] = [_with_unknown(file) for file in raw["files"]]
        for file in raw["files"]:
            if file["schema_version"] == self.schema_version:
                del file["schema_version"]
            if file["keys_sha256"] is None:
                del file["keys_sha256"]
        return json.dumps(raw, indent=1, default=lambda moment: moment.isoformat()) + "\n"

    @classmethod
    @lru_cache(maxsize=4)  # a run reads an unchanged manifest many times
    def from_json(cls, text: str, source: str = "manifest") -> Manifest:
        """Read what :meth:`to_json` wrote.

        Raises
        ------
        NewerSchemaError
            If it was written with a later version of the schema.
        DatasetError
            If the text is not a manifest.
        """
        try:
            raw = json.loads(text)
            version = raw["schema_version"]
            if version > SCHEMA_VERSION:
                raise NewerSchemaError(
                    f"{source} has schema version {version}, this cexkit reads up to {SCHEMA_VERSION}; "
                    "upgrade with `pip install -U cexkit`"
                )
            files = tuple(
                _checked(DataFile(**_timed(_split_unknown(DataFile, {"schema_version": version} | file))))
                for file in raw.pop("files")
            )
            _require_places_once(files)
            return cls(files=files, **_split_unknown(cls, raw) | {"updated_at": utc(raw["updated_at"])})
        except RecursionError:
            raise DatasetError(f"{source} is not a manifest of a cexkit dataset: it is nested too deeply") from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DatasetError(f"{source} is not a manifest of a cexkit dataset: {error}") from error


def _spans_by_table(files: Iterable[DataFile]) -> dict[tuple[str, str | None], dict[str, Window]]:
    """Return the spans of files by table and venue, in time order; raise InvalidInputError if two of them overlap."""
    found: dict[tuple[str, str | None], dict[str, Window]] = defaultdict(dict)
    for file in sorted(files, key=lambda file: span_of(file.period).start):
        spans = found[file.table, file.exchange]
        before = next(reversed(spans), None)
        spans[file.period] = span_of(file.period)
        if before and spans[file.period].start < spans[before].end:
            raise InvalidInputError(
                f"{file.table} of {file.exchange}: files must not overlap, got {before} and {file.period}"
            )
    return found


def _is_replaced(file: DataFile, spans: Mapping[str, Window]) -> bool:
    """Return whether new spans, which are in time order, cover a file's; raise if they cover a part of it."""
    if not spans:
        return False
    old = span_of(file.period)
    over = {period: span for period, span in spans.items() if span.start < old.end and old.start < span.end}
    covered = old.start
    for span in over.values():
        covered = span.end if span.start <= covered else covered
    if over and covered < old.end:
        periods = ", ".join(over)
        raise InvalidInputError(
            f"{file.table} of {file.exchange}: {periods} is a piece of {file.period}, which is there in one file; "
            f"write all of {file.period}"
        )
    return bool(over)


def _split_unknown(kind: type, raw: dict[str, Any]) -> dict[str, Any]:
    """Return the keys of a class, and the other ones as JSON in ``unknown``."""
    names = {each.name for each in fields(kind)} - {"unknown"}
    known = {name: value for name, value in raw.items() if name in names}
    unknown = {name: value for name, value in raw.items() if name not in names}
    return known | {"unknown": json.dumps(unknown)}


def _with_unknown(raw: dict[str, Any]) -> dict[str, Any]:
    unknown = json.loads(raw["unknown"])
    return {name: value for name, value in raw.items() if name != "unknown"} | unknown


def _checked(file: DataFile) -> DataFile:
    """Return the file if its values are safe, because they become a path, a URL, and a name."""
    inside(file.path)
    if not _NAME.fullmatch(file.table):
        raise ValueError(f"not the name of a table: {file.table!r}")
    for digest in (file.sha256, *([] if file.keys_sha256 is None else [file.keys_sha256])):
        if not _SHA256.fullmatch(digest):
            raise ValueError(f"not a sha256: {digest!r}")
    if not isinstance(file.period, str) or not isinstance(file.exchange, str | None):
        raise ValueError(f"not a period and a venue: {file.period!r}, {file.exchange!r}")
    if min(file.rows, file.bytes) < 0:
        raise ValueError(f"sizes below zero: {file.path}")
    return file


def _require_places_once(files: Sequence[DataFile]) -> None:
    """Raise if two files have the same place or overlap, because both would be read and their rows counted twice."""
    doubled = [place for place, times in Counter(file.place for file in files).items() if times > 1]
    if doubled:
        raise ValueError(f"more than one file of {doubled[0]}")
    _spans_by_table(file for file in files if _has_span(file))


def _has_span(file: DataFile) -> bool:
    """Return whether the period is one that this version knows."""
    with suppress(InvalidInputError):
        span_of(file.period)
        return True
    return False


def _timed(raw: dict) -> dict:
    return raw | {name: utc(raw[name]) if raw[name] is not None else None for name in ("start", "end")}


def manifest_text(path: Path) -> str:
    """Return the content of a manifest file.

    Raises
    ------
    DatasetNotFoundError
        If the file does not exist.
    DatasetError
        If it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise DatasetNotFoundError(
            f"no dataset at {path.parent} (no {path.name} in it); `cexkit pull --warehouse {path.parent} …` makes one, "
            "and connect() without an argument opens the embedded sample"
        ) from None
    except (OSError, ValueError) as error:
        raise DatasetError(f"the manifest {path} cannot be read: {error}") from error


def read_manifest(path: Path) -> Manifest:
    """Read a manifest file; errors are those of :func:`manifest_text` and :meth:`Manifest.from_json`."""
    return Manifest.from_json(manifest_text(path), str(path))
