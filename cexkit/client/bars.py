"""Bars of any length: the stored table that they come from, and the rows that they aggregate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial, reduce
from operator import or_
from typing import TYPE_CHECKING

from cexkit.analytics.resample import resample
from cexkit.client.selection import Selection, Step, check_limit, probe_start, step_back
from cexkit.errors import InvalidInputError, UnknownNameError
from cexkit.schema import TABLES
from cexkit.schema.intervals import EPOCH, seconds, utc

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cexkit.client.dataset import Dataset

#: Interval → table of trade bars of that length.
TRADES = {table.interval: name for name, table in TABLES.items() if name == f"ohlcv_{table.interval}"}
#: Weeks begin on Monday; all other buckets are counted from 1970, as in :func:`cexkit.resample`.
MONDAY = datetime(1970, 1, 5, tzinfo=UTC)
WEEK = timedelta(weeks=1)
#: How far back the first search for the newest bar of a venue reaches.
RECENT = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars of one length and the stored table that they are read or aggregated from."""

    interval: str
    length: timedelta
    table: str

    @property
    def stored(self) -> bool:
        """True if the table stores bars of this length."""
        return TABLES[self.table].bar == self.length

    def floor(self, moment: datetime) -> datetime:
        """Return the start of the bar that contains a moment."""
        origin = MONDAY if self.length % WEEK == timedelta(0) else EPOCH
        return origin + (moment - origin) // self.length * self.length

    def ceil(self, moment: datetime) -> datetime:
        """Return the first bar start at or after a moment."""
        floor = self.floor(moment)
        return floor if floor == moment else floor + self.length


def bars_of(market: Dataset, interval: str) -> Bars:
    """Return the source of an interval's bars: the table that stores them, else the longest bars that divide them.

    Parameters
    ----------
    market : Dataset
        The dataset.
    interval : str
        Length of a bar, such as ``"5m"``, ``"4h"``, ``"1d"``, or ``"1w"``.

    Raises
    ------
    InvalidInputError
        If ``interval`` is not a length, or not a multiple of any bars in the dataset.

    Examples
    --------
    >>> import cexkit
    >>> market = cexkit.connect("sample")
    >>> bars_of(market, "4h").table, bars_of(market, "1d").stored
    ('ohlcv_1h', True)
    """
    length = timedelta(seconds=seconds(interval))
    tables = {TABLES[name].bar: name for name in TRADES.values() if name in market.tables}
    divisors = [bar for bar in tables if length % bar == timedelta(0)]
    if not divisors:
        stored = ", ".join(TABLES[name].interval for name in tables.values())
        raise InvalidInputError(
            f"interval must be a multiple of the bars of this dataset ({stored or 'none'}), got {interval!r}"
        )
    return Bars(interval, length, tables[max(divisors)])


def read_bars(
    selection: Selection,
    interval: str,
    window: tuple[datetime | None, datetime | None],
    limit: int | None,
    bars_before: int = 0,
    over_gaps: bool = False,
) -> tuple[Bars, ir.Table, tuple[Step, ...]]:
    """Read the rows of a window's bars and of ``bars_before`` earlier bars; add the step that aggregates them."""
    bars = bars_of(selection.market, interval)
    start, end = (None if moment is None else bars.ceil(moment) for moment in window)
    rows = selection.rows(bars.table, _find_start(selection, bars, start, end, limit, bars_before, over_gaps), end)
    if bars.stored:
        return bars, rows, ()
    venues = selection.require_covered_by(bars.table)["exchange"].unique().sort().to_list()
    return bars, _drop_unfinished(selection.market, bars, rows, venues), (partial(resample, every=interval),)


def _find_start(
    selection: Selection,
    bars: Bars,
    start: datetime | None,
    end: datetime | None,
    limit: int | None,
    bars_before: int,
    over_gaps: bool,
) -> datetime | None:
    """Return the time from which to read; None for all that is stored."""
    if start is not None and not over_gaps:
        return step_back(start, bars_before, bars.length)
    if start is not None:
        until, count = start, bars_before
    elif limit is not None:
        until, count = end, check_limit(limit) + bars_before + 1
    else:
        return None
    stored = TABLES[bars.table].bar
    start = probe_start(selection, bars.table, until, count * (bars.length // stored), stored)
    return None if start is None else bars.floor(start)


def _drop_unfinished(market: Dataset, bars: Bars, source: ir.Table, exchanges: Iterable[str]) -> ir.Table:
    """Drop the rows of bars whose end the dataset has not reached, venue by venue."""
    ends = _find_newest_ends(market, bars.table, list(exchanges))
    finished = [(source.exchange == name) & (source.timestamp < bars.floor(end)) for name, end in ends.items()]
    return source.filter(reduce(or_, finished)) if finished else source


def _find_newest_ends(market: Dataset, table: str, exchanges: list[str]) -> dict[str, datetime]:
    """Return the end of the newest stored bar of each venue; read older files only for venues without recent bars."""
    bar, newest = TABLES[table].bar, market.tables[table].end
    ends = _compute_ends(market.table(table, start=newest - RECENT, exchange=exchanges), bar)
    missing = [name for name in exchanges if name not in ends]
    return ends | (_compute_ends(market.table(table, exchange=missing), bar) if missing else {})


def _compute_ends(rows: ir.Table, bar: timedelta) -> dict[str, datetime]:
    newest = rows.group_by("exchange").agg(end=rows.timestamp.max()).to_polars()
    return {name: utc(end) + bar for name, end in newest.rows()}


def table_of(price: str, interval: str = "1h") -> str:
    """Return the table that stores the closes of a kind of price and an interval.

    Examples
    --------
    >>> table_of("trade", "1d"), table_of("mark")
    ('ohlcv_1d', 'mark_1h')
    """
    if price == "trade" and interval not in TRADES:
        raise UnknownNameError.of("interval", interval, TRADES)
    tables = {"mark": "mark_1h", "index": "index_1h", "trade": TRADES.get(interval)}
    if price not in tables:
        raise UnknownNameError.of("price", price, tables)
    if price != "trade" and interval != "1h":
        raise InvalidInputError(f"{price} prices are stored by the hour; leave interval={interval!r} out")
    return tables[price]
