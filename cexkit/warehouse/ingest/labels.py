"""Labels of snapshots: where it is not known whether a venue's API and its archive label rows with the same time.

A series with rows of both would jump by the difference of the labels. So, of one instrument and from the time on from
which the labels are not known to agree (:attr:`cexkit.exchanges.archives.Archive.same_labels`):

- Only the API has rows: they are used.
- Both have rows, and all values that both have agree: the rows are joined.
- Both have rows, and values differ or no row is in both: only the archive is used. The API's rows are left out by the
  rule :data:`UNCONFIRMED` and reported; they stay in Bronze and return as soon as values agree.

What both have is counted by UTC day and kept in the ledger, so a build reads only the days of its new responses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property, reduce

import polars as pl

from cexkit.exchanges.registry import exchange
from cexkit.schema import Table
from cexkit.schema.intervals import Window
from cexkit.schema.render import to_polars
from cexkit.warehouse.ingest.inputs import Inputs
from cexkit.warehouse.ingest.region import Region
from cexkit.warehouse.ingest.replay import Identity, Parsed
from cexkit.warehouse.ingest.report import Problem

#: Rule by which rows of the API are left out.
UNCONFIRMED = "unconfirmed label"
#: Relative difference up to which two values are the same, written with fewer digits.
SAME_VALUE = 1e-6
#: Name of the counts in the ledger.
STATE = "labels"
#: Days that are compared at a time, to bound the memory.
_CHUNK = timedelta(days=32)

_KEYS = ["instrument_type", "symbol"]
_DAY = timedelta(days=1)
_TIME = pl.Datetime("us", "UTC")
_COUNTS = ("archived", "served", "both", "differing")
#: Rows of the archive and of the API by instrument and day (``timestamp``), how many are in both, and how many of these
#: differ; the time of the first and last row of the API.
_SCHEMA = {"instrument_type": pl.String, "symbol": pl.String, "timestamp": _TIME} | dict.fromkeys(_COUNTS, pl.Int64)
_SCHEMA |= {"first": _TIME, "last": _TIME}


@dataclass(frozen=True)
class Labels:
    """Which rows of a venue's API are not joined to its archive.

    Attributes
    ----------
    table : Table
        The declaration.
    archives : frozenset of str
        Endpoints of archives whose labels may differ from those of the API.
    unknown : dict of str to tuple of Window
        When the labels are not known to agree, by instrument type; empty for most tables.
    counts : polars.DataFrame
        What both have, by instrument and day.
    """

    table: Table
    archives: frozenset[str]
    unknown: dict[str, tuple[Window, ...]]
    counts: pl.DataFrame

    @classmethod
    def of(cls, exchange_name: str, table: Table, counts: pl.DataFrame | None = None) -> Labels:
        """Return the labels of a venue's table, with the counts of earlier builds."""
        found = {
            kind: archive
            for (name, kind), archive in exchange(exchange_name).archives.items()
            if name == table.name and archive.same_labels.spans(False)
        }
        endpoints = frozenset(archive.endpoint for archive in found.values())
        unknown = {kind: archive.same_labels.spans(False) for kind, archive in found.items()}
        empty = pl.DataFrame(schema=_SCHEMA)
        return cls(table, endpoints, unknown, empty if counts is None else counts.select(*_SCHEMA).cast(_SCHEMA))

    @cached_property
    def unjoined(self) -> pl.DataFrame:
        """One row per instrument whose API rows are left out: the sums of its counts, and its first and last API row.

        A part of a day's API rows may be in the archive too.
        """
        sums = self.counts.group_by(_KEYS).agg(
            *(pl.sum(name) for name in _COUNTS), pl.min("first").alias("first"), pl.max("last").alias("last")
        )
        joined = (pl.col("both") > 0) & (pl.col("differing") == 0)
        return sums.filter(pl.col("archived") > 0, pl.col("served") > 0, ~joined).sort(_KEYS)

    @property
    def unjoined_identities(self) -> frozenset[Identity]:
        """Instrument type and symbol of each row of :attr:`unjoined`."""
        return frozenset(self.unjoined.select(_KEYS).iter_rows())

    @property
    def is_unknown(self) -> pl.Expr:
        """True for rows of instrument types and times at which the labels are not known to agree."""
        found = [
            (pl.col("instrument_type") == kind) & pl.col("timestamp").is_between(span.start, span.end, closed="left")
            for kind, spans in self.unknown.items()
            for span in spans
        ]
        return pl.any_horizontal(pl.lit(value=False), *found)

    def region_of(self, identities: Iterable[Identity], whole: Window | None) -> Region:
        """Return the part of a span in which the labels of instruments are not known to agree."""
        parts = ((one, span) for one in identities if one for span in self.unknown.get(one[0], ()))
        return Region() if whole is None else Region(parts).within(whole)

    def left_out(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows that are left out if they are the API's."""
        return rows.filter(self.is_unknown).join(self.unjoined, on=_KEYS, how="semi", maintain_order="left")

    def used(self, endpoint: str, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of a response that are used."""
        if endpoint in self.archives or self.unjoined.is_empty():
            return rows
        return rows.join(self.left_out(rows), on=self.table.key, how="anti", maintain_order="left")

    def updated(self, inputs: Inputs, *, whole: bool) -> Labels:
        """Return the labels with the days of new responses counted again, or all days of all responses if ``whole``."""
        if not self.unknown:
            return self
        counts = self.counts
        for part in _chunks(self._touched(inputs, whole=whole)):
            parsed = inputs.in_order([*inputs.read_new(part.bounds), *inputs.read_merged(part)])
            used = [one for one in parsed if one.row["sha256"] not in inputs.excluded]
            counts = pl.concat([counts.filter(~part.contains(counts)), self._count(used, part)])
        return Labels(self.table, self.archives, self.unknown, counts.sort(*_KEYS, "timestamp"))

    def problems(self, exchange_name: str, identities: Iterable[Identity]) -> Iterator[Problem]:
        """Yield one problem per instrument of some whose API rows are left out."""
        wanted = set(identities)
        for row in self.unjoined.iter_rows(named=True):
            if (row["instrument_type"], row["symbol"]) not in wanted:
                continue
            evidence = (
                f"{row['differing']:,} of {row['both']:,} rows that both have differ"
                if row["both"]
                else "no row that both have confirms them"
            )
            text = (
                f"{row['instrument_type']}: the time labels of the API and of the archive may differ, and {evidence}; "
                f"only the archive is used, and {row['served'] - row['both']:,} rows that only the API has are left out"
            )
            span = Window(row["first"], row["last"] + timedelta(microseconds=1))
            yield Problem(exchange_name, self.table.name, row["symbol"], span, text)

    def _touched(self, inputs: Inputs, *, whole: bool) -> Region:
        """Return the days that new responses, or all, can hold rows of, from when the labels are not known to agree."""
        found = [*inputs.new_spans()]
        if whole and (merged := inputs.ledger.span):
            found.append((None, merged))
        first = min(span.start for spans in self.unknown.values() for span in spans)
        parts = ((identity, Window(max(span.start, first), span.end)) for identity, span in found if span.end > first)
        return Region((identity, _whole_days(span)) for identity, span in parts)

    def _count(self, parsed: Iterable[Parsed], region: Region) -> pl.DataFrame:
        """Count the rows of both sources in a region of whole days."""
        parts: dict[bool, list[pl.DataFrame]] = {True: [], False: []}
        for one in parsed:
            if one.rows is not None:
                parts[one.row["endpoint"] in self.archives].append(pl.from_arrow(one.rows))
        archived, served = (self._latest(parts[of_archive], region) for of_archive in (True, False))
        values = [name for name, dtype in archived.schema.items() if dtype == pl.Float64]
        rows = archived.join(served, on=self.table.key, how="full", coalesce=True, suffix="_served")
        rows = rows.select(
            *_KEYS,
            pl.col("timestamp").dt.truncate("1d"),
            archived=pl.col("_place").is_not_null(),
            served=pl.col("_place_served").is_not_null(),
            differing=reduce(pl.Expr.or_, (_differ(name) for name in values)),
            time="timestamp",
        ).with_columns(both=pl.col("archived") & pl.col("served"))
        sums = (pl.col(name).sum().cast(pl.Int64) for name in _COUNTS)
        times = pl.col("time").filter("served")
        return rows.group_by(*_KEYS, "timestamp").agg(*sums, first=times.min(), last=times.max()).select(*_SCHEMA)

    def _latest(self, parts: list[pl.DataFrame], region: Region) -> pl.DataFrame:
        rows = pl.concat([to_polars(self.table).to_frame(), *parts]).filter(self.is_unknown)
        rows = rows.unique(self.table.key, keep="last", maintain_order=True)
        return rows.filter(region.contains(rows)).with_columns(_place=pl.lit(value=True))


def _differ(name: str) -> pl.Expr:
    """True if both rows have a value and the two differ."""
    one, other = pl.col(name), pl.col(f"{name}_served")
    return ((one - other).abs() > SAME_VALUE * pl.max_horizontal(one.abs(), other.abs())).fill_null(value=False)


def _chunks(region: Region) -> Iterator[Region]:
    if region:
        for span in region.bounds.split(_CHUNK):
            if part := region.within(span):
                yield part


def _whole_days(span: Window) -> Window:
    start = span.start.replace(hour=0, minute=0, second=0, microsecond=0)
    return Window(start, start - (start - span.end) // _DAY * _DAY)
