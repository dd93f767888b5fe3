"""Checks of single files: the file that the manifest names, its columns, its rows.

A data file is named by its content and never changes, so the facts of its rows are cached under its hash. A file on
disk is taken to have the content that the manifest states if its size is right and its modification time is the one
at which its hash was last computed; otherwise its hash is computed. :data:`ResultCache.full` always computes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from cexkit.errors import DatasetError, InvalidInputError
from cexkit.schema import SCHEMA_VERSION, Table
from cexkit.schema.intervals import Window
from cexkit.schema.render import to_pyarrow
from cexkit.warehouse.quality.cache import ResultCache, digest
from cexkit.warehouse.quality.catalog import named
from cexkit.warehouse.quality.facts import FACTS_VERSION, Facts, read_facts, read_joined_facts, venue_spans
from cexkit.warehouse.quality.overlaps import overlapping
from cexkit.warehouse.store.damage import sha256
from cexkit.warehouse.store.layout import span_of
from cexkit.warehouse.store.manifest import DataFile


@dataclass(frozen=True, slots=True)
class InspectedFile:
    """A data file after inspection.

    Attributes
    ----------
    file : DataFile
        What the manifest states.
    path : Path
        The file on disk.
    intact : bool
        True if its size and hash are those of the manifest.
    facts : Facts or None
        Facts of its rows; None if it cannot be read or has other columns than declared.
    """

    file: DataFile
    path: Path
    intact: bool
    facts: Facts | None

    def is_as_stated(self, table: Table) -> bool:
        """Return whether the manifest states the file, rows, span, venue, and period correctly."""
        if not self.intact or self.facts is None:
            return self.intact
        first, last = extent = self.facts.extent
        venues, period = set(self.facts.days["exchange"]), _period(self.file)
        return (
            self.facts.rows == self.file.rows
            and (self.file.start, self.file.end) == (extent if table.time else (None, None))
            and venues <= ({self.file.exchange} if table.by_exchange else venues)
            and period is not None
            and all(moment is None or moment in period for moment in (first, last))
        )


def inspect(root: Path, file: DataFile, table: Table, cache: ResultCache) -> InspectedFile:
    """Return a data file with the facts of its rows, from the cache if it is unchanged."""
    path, key = root / file.path, _key(file, table)
    try:
        status = path.stat()
        sized = status.st_size == file.bytes
        known = sized and not cache.full and cache.stamp(table, key) == status.st_mtime_ns
        intact = known or (sized and sha256(path) == file.sha256)
    except OSError:
        return InspectedFile(file, path, intact=False, facts=None)
    if intact and (stored := cache.load(table, key)):
        if not known:
            cache.set_stamp(table, key, status.st_mtime_ns)
        return InspectedFile(file, path, intact, Facts(*stored))
    if known:
        # The entry whose stamp vouched for the file is damaged.
        intact = _has_hash(path, file.sha256)
    facts = _read(path, file, table)
    if intact and facts is not None:
        cache.store(table, key, [facts.days, facts.instruments], stamp=status.st_mtime_ns)
    return InspectedFile(file, path, intact, facts)


def file_checks(files: Sequence[InspectedFile], table: Table, now: datetime) -> Iterator[pl.DataFrame]:
    """Yield the checks ``schema`` and ``data_files``: rows of the files that fail, on the first day of each file.

    Parameters
    ----------
    files : sequence of InspectedFile
        All files of the table.
    table : Table
        The declaration.
    now : datetime
        Time whose day counts files without times.
    """
    doubled = _in_same_time([each.file for each in files])
    failed = {
        "schema": [each.facts is None for each in files],
        "data_files": [not each.is_as_stated(table) or each.file.path in doubled for each in files],
    }
    for check, fails in failed.items():
        rows = [
            {
                "exchange": each.file.exchange,
                "timestamp": (each.file.start or now).replace(hour=0, minute=0, second=0, microsecond=0),
                "rows_checked": each.file.rows,
                "rows_failed": each.file.rows if fails_it else 0,
            }
            for each, fails_it in zip(files, fails, strict=True)
        ]
        schema = {"exchange": pl.String, "timestamp": pl.Datetime("us", "UTC"), "rows_checked": pl.Int64}
        frame = pl.DataFrame(rows, schema=schema | {"rows_failed": pl.Int64})
        yield named(frame.group_by("exchange", "timestamp").agg(pl.sum("rows_checked", "rows_failed")), table, check)


def disjoint_facts(files: Sequence[InspectedFile], table: Table) -> list[Facts]:
    """Return the facts of readable files, such that no two have rows of a venue in the same time.

    Files that overlap are faulty; they are read together, so that a key or settlement is found in all of them.

    Raises
    ------
    DatasetError
        If a file disappeared meanwhile.
    """
    readable = [each for each in files if each.facts is not None]
    found = []
    for group in overlapping(venue_spans([each.facts for each in readable], table)):
        if len(group) == 1:
            found.append(readable[group[0]].facts)
            continue
        paths = [readable[number].path for number in group]
        try:
            found.append(read_joined_facts(paths, table))
        except (OSError, pa.ArrowException) as error:
            raise DatasetError(f"cannot read {paths[0]} and files that overlap it: {error}; run it again") from error
    return found


def _key(file: DataFile, table: Table) -> str:
    """Return the key of a file's facts: its content, the version of the code, and the declaration of its table."""
    return digest("facts", FACTS_VERSION, SCHEMA_VERSION, table, table.fields, file.sha256, file.schema_version)


def _read(path: Path, file: DataFile, table: Table) -> Facts | None:
    """Return the facts of a file; None if it cannot be read or has other columns than declared."""
    try:
        outdated = file.schema_version < SCHEMA_VERSION
        if not _is_sound(pq.read_schema(path), to_pyarrow(table), outdated=outdated):
            return None
        return read_facts(path, table)
    except (OSError, pa.ArrowException, pl.exceptions.PolarsError):
        return None


def _is_sound(schema: pa.Schema, expected: pa.Schema, *, outdated: bool) -> bool:
    """Return whether a file has the declared columns in order; one of an older schema may lack nullable ones."""
    fields = [field for field in expected if field.name in schema.names or not (outdated and field.nullable)]
    return schema.equals(pa.schema(fields), check_metadata=False)


def _has_hash(path: Path, expected: str) -> bool:
    try:
        return sha256(path) == expected
    except OSError:
        return False


def _period(file: DataFile) -> Window | None:
    try:
        return span_of(file.period)
    except InvalidInputError:
        return None


def _in_same_time(files: Sequence[DataFile]) -> set[str]:
    """Return the paths of files whose period overlaps the one of another file of the venue."""
    known = sorted(
        (file.exchange or "", period.start, period.end, file.path)
        for file in files
        if (period := _period(file)) is not None
    )
    found, latest = set(), None
    for each in known:
        venue, start, end, path = each
        if latest is not None and latest[0] == venue and start < latest[2]:
            found |= {latest[3], path}
        if latest is None or latest[0] != venue or end > latest[2]:
            latest = each
    return found
