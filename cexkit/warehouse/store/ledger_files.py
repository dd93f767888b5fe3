"""Files of a ledger: their columns, and how they are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cexkit.errors import DamagedFileError
from cexkit.schema.intervals import Window

if TYPE_CHECKING:
    import polars as pl

#: ``pending``: read by a build that may not have ended. ``merged``: its rows are in Silver. ``waiting``: merged but for
#: messages about instruments that are not listed yet. ``other``: it holds no response about the table.
State = Literal["pending", "merged", "waiting", "other"]

FILES = {
    "path": "String",
    "bytes": "Int64",
    "start": "Time",
    "end": "Time",
    "responses": "Int64",
    "rows": "Int64",
    "last_sequence": "Int64",
    "parser_version": "Int64",
    "state": "String",
    "damage": "String",
    "retired": "Boolean",
    "names": "String",
}
RESPONSES = {
    "path": "String",
    "position": "Int64",
    "sequence": "Int64",
    "sha256": "String",
    "instrument_type": "String",
    "symbol": "String",
    "start": "Time",
    "end": "Time",
    "rows": "Int64",
    "parser_version": "Int64",
    "quarantined": "Int64",
    "reason": "String",
}
#: Columns of responses that an earlier version of the storage did not record.
_LATER = ("quarantined", "reason")
STATE = {"silver": "String"}
DAYS = {"day": "String", "rows": "Int64"}
RULES = {"rule": "String", "endpoint": "String", "instrument_type": "String", "symbol": "String", "sha256": "String"}
EMPTY: Mapping[str, Any] = {
    "start": None,
    "end": None,
    "responses": 0,
    "rows": 0,
    "last_sequence": None,
    "parser_version": 0,
    "damage": None,
    "retired": False,
    "names": None,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFile:
    """One Bronze file in the ledger.

    Attributes
    ----------
    path : str
        The file below the warehouse.
    bytes : int
        Its size when it was read.
    start, end : datetime or None
        Span of the rows that its responses can hold; None for lists of instruments, which have no times.
    responses, rows : int
        Responses about the table, and the rows that they gave.
    last_sequence : int or None
        Largest sequence number of a response; None in files written before there were numbers.
    parser_version : int
        Version of the venue's parsers that read it.
    state : str
        See :data:`State`.
    damage : str or None
        What was wrong with its content when it was read.
    retired : bool
        True if the file was moved or removed on purpose.
    names : str or None
        Digest of the instrument names that a waiting file was read with.
    problem : str or None
        What is wrong with the file now: ``damage``, or that it is missing or has another size.
    """

    path: str
    bytes: int
    start: datetime | None
    end: datetime | None
    responses: int
    rows: int
    last_sequence: int | None
    parser_version: int
    state: State
    damage: str | None
    retired: bool
    names: str | None = None
    problem: str | None = None

    @property
    def span(self) -> Window | None:
        """The span of its rows; None if they have no times."""
        return None if self.start is None or self.end is None else Window(self.start, self.end)

    def overlaps(self, span: Window) -> bool:
        """Return whether its responses can hold rows of a span."""
        return self.span is None or (self.span.start < span.end and span.start < self.span.end)


def schema_of(columns: Mapping[str, str]) -> dict[str, Any]:
    """Return the Polars types of declared columns."""
    import polars as pl

    time = pl.Datetime("us", "UTC")
    return {name: time if kind == "Time" else getattr(pl, kind) for name, kind in columns.items()}


def read_part(path: Path, columns: Mapping[str, str]) -> pl.DataFrame:
    """Return a file of a ledger in the declared columns; empty if there is none."""
    import polars as pl

    schema = schema_of(columns)
    if not path.exists():
        return pl.DataFrame(schema=schema)
    try:
        found = pl.read_parquet(path, hive_partitioning=False, glob=False)
        if found.schema == schema:
            return found
        later = [pl.lit(None).alias(name) for name in _LATER if name in schema and name not in found.columns]
        return found.with_columns(later).select(list(schema)).cast(schema)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DamagedFileError(
            f"the ledger {path} must be readable Parquet, got {error}; restore it from a copy, or delete it, and the "
            "next run merges all of Bronze again"
        ) from error
