"""State of listings: what all lists of a venue show, continued list by list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from cexkit.exchanges.instruments import latest, left_out, new_values, stacked
from cexkit.exchanges.registry import join_companions
from cexkit.exchanges.rows import quarantined
from cexkit.schema import INSTRUMENT_KEYS, TABLES
from cexkit.warehouse.ingest.report import Problem
from cexkit.warehouse.store.ledger import Ledger

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

    from cexkit.warehouse.ingest.instrument_periods import PeriodLog


#: Most instruments of a list that are reported one by one.
MAX_PROBLEMS = 20


class ListPage(NamedTuple):
    """A stored page of a list; ``rows`` is None if it is malformed."""

    order: tuple[bool, int]
    run: str
    endpoint: str
    at: datetime
    rows: pa.Table | None
    is_last: bool
    skewed: bool


@dataclass(slots=True)
class InstrumentList:
    """A list of instruments as read in one run: its pages, and whether they are complete."""

    endpoint: str
    run: str
    #: Place of its last readable page among all responses.
    order: tuple[bool, int] = (False, 0)
    pages: list[pa.Table] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    at: datetime | None = None
    malformed: bool = False
    ended: bool = False
    skewed: bool = False
    exchange: str = ""
    #: Trading instruments of the list before, if this one is empty.
    emptied: int = 0

    @property
    def whole(self) -> bool:
        """True if the list is complete and its time is known, so that an instrument missing from it was delisted."""
        return self.ended and not self.malformed and not self.skewed and not self.emptied

    def add(self, page: ListPage) -> None:
        """Add the next page."""
        self.skewed |= page.skewed
        if page.rows is None:
            self.malformed = True
            return
        self.pages.append(page.rows)
        self.unread |= left_out(page.rows)
        # An instrument whose row does not say which it is would seem to be missing.
        self.malformed |= quarantined(page.rows).nameless > 0
        self.order, self.at, self.ended = page.order, page.at, page.is_last

    def problems(self) -> Iterator[Problem]:
        """Yield what is wrong with the list, by instrument where one is known."""
        if self.emptied:
            text = (
                f"{self.endpoint}: the list is empty, and had {self.emptied:,} instruments that trade; they stay as "
                "they were until the venue lists instruments again"
            )
            yield Problem(self.exchange, "instruments", None, None, text)
        found = sorted(new_values(self.unread).items())
        for name, reason in found[:MAX_PROBLEMS]:
            text = f"{self.endpoint}: {reason}; it is left out, or stays as earlier lists showed it"
            yield Problem(self.exchange, "instruments", name, None, text)
        if rest := found[MAX_PROBLEMS:]:
            text = f"{self.endpoint}: {len(rest):,} more have a status or type that is not known"
            yield Problem(self.exchange, "instruments", None, None, text)


@dataclass(slots=True)
class ListingState:
    """What all lists read so far show: the instruments of each endpoint, and the periods of all.

    Attributes
    ----------
    seen : dict of str to polars.DataFrame
        Every instrument that an endpoint ever listed, as last seen, with the ``_place`` of that list.
    periods : PeriodLog
        Their facts over time.
    """

    seen: dict[str, pl.DataFrame]
    periods: PeriodLog

    @classmethod
    def new(cls) -> ListingState:
        """Return the state before the first list."""
        from cexkit.warehouse.ingest.instrument_periods import PeriodLog

        return cls({}, PeriodLog())

    @classmethod
    def read(cls, ledger: Ledger) -> ListingState | None:
        """Return the state that the last build left; None if there is none of this schema version."""
        from cexkit.schema.render import to_polars
        from cexkit.warehouse.ingest.instrument_periods import PeriodLog

        lists, changes, current = (ledger.read_state(name) for name in ("lists", "changes", "current"))
        if lists is None or changes is None or current is None:
            return None
        if [*to_polars(TABLES["instruments"]), "_place", "_endpoint"] != lists.columns:
            return None
        if (changes.schema, current.schema) != tuple(frame.schema for frame in PeriodLog().state()):
            return None
        seen = {name: rows.drop("_endpoint") for (name,), rows in lists.partition_by("_endpoint", as_dict=True).items()}
        return cls(seen, PeriodLog.resume(changes, current))

    def write(self, ledger: Ledger) -> None:
        """Leave the state for the next build; without ``lists`` the other parts do not count, so it is the last."""
        import polars as pl

        rows = [rows.with_columns(_endpoint=pl.lit(name)) for name, rows in self.seen.items()]
        changes, current = self.periods.state()
        for name, frame in (("changes", changes), ("current", current), ("lists", pl.concat(rows))):
            ledger.write_state(name, frame)

    @property
    def places(self) -> int:
        """The number of lists read so far, or more."""
        return max((rows["_place"].max() + 1 for rows in self.seen.values() if rows.height), default=0)

    def add(self, found: InstrumentList, companions: Mapping[str, pa.Table], exchange_name: str) -> dict[str, str]:
        """Add a later list; return which of its instruments share a symbol across pages, and with which."""
        import polars as pl

        rows = latest(stacked(found.pages))
        shared = {name: reason for name, reason in left_out(rows).items() if name not in found.unread}
        found.unread |= shared
        joined = pl.from_arrow(join_companions(exchange_name, found.endpoint, rows, companions))
        joined = joined.with_columns(_place=pl.lit(self.places, pl.Int64))
        before = self.seen.get(found.endpoint)
        if before is not None and joined.is_empty() and not found.unread:
            found.emptied = _trading(before, found.at).height
        self.seen[found.endpoint] = _succeed(before, joined, found.unread, found.at, whole=found.whole)
        return shared

    def instruments(self) -> pl.DataFrame:
        """Return every instrument ever listed, as last seen."""
        import polars as pl

        rows = pl.concat(self.seen.values()).sort("_place", maintain_order=True).drop("_place")
        return pl.from_arrow(latest(rows.to_arrow()))


def _trading(rows: pl.DataFrame, at: datetime) -> pl.DataFrame:
    """Return the instruments that trade at a time by what a list says of them."""
    import polars as pl

    return rows.filter(
        pl.col("status") == "trading", pl.col("delisting_time").is_null() | (pl.col("delisting_time") > at)
    )


def _succeed(
    before: pl.DataFrame | None, now: pl.DataFrame, unread: dict[str, str], at: datetime, *, whole: bool
) -> pl.DataFrame:
    """Return the newer list and the instruments missing from it, which are delisted if the list is ``whole``.

    An instrument that the newer list has in a form that is not read (``unread``) is not delisted; it stays as it was.
    """
    import polars as pl

    if before is None:
        return now
    gone = before.join(now, on=INSTRUMENT_KEYS, how="anti")
    delisted = ~pl.col("venue_symbol").is_in(list(unread)) & (pl.col("status") != "delisted") & pl.lit(whole)
    gone = gone.with_columns(
        status=pl.when(delisted).then(pl.lit("delisted")).otherwise("status"),
        delisting_time=pl.when(delisted)
        .then(pl.min_horizontal("delisting_time", pl.lit(at)))
        .otherwise("delisting_time"),
    )
    return pl.concat([now, gone])
