"""Instruments that a name means, and plans for reading their rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import polars as pl

from cexkit.client.instruments import named_of_class
from cexkit.errors import AmbiguousInstrumentError, InvalidInputError
from cexkit.schema import FIELDS, INSTRUMENT_KEYS, TABLES
from cexkit.schema.intervals import YEARS, TimeLike, Window, utc
from cexkit.schema.names import OneOrMany, resolve, resolve_all, to_tuple
from cexkit.schema.scalars import to_plain

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cexkit.client.dataset import Dataset

#: Units of all possible columns, including the reference of a basis.
UNITS = {name: field.unit for name, field in FIELDS.items()} | {"reference": "quote per unit"}
#: Smaller tables are read directly. For larger tables, a query first finds where the newest rows begin.
PROBE_MIN_BYTES = 8_000_000

_TIME = pl.Datetime("us", "UTC")
Step = Callable[[Any], Any]
TimeRange = tuple[TimeLike | None, TimeLike | None]


@dataclass(frozen=True, slots=True)
class RowPlan:
    """Plan for reading rows, applying steps, filtering to a window, sorting, and keeping the newest rows."""

    table: ir.Table
    columns: tuple[str, ...]
    steps: tuple[Step, ...] = ()
    window: tuple[datetime | None, datetime | None] = (None, None)
    limit: int | None = None
    order: tuple[str, ...] = (*INSTRUMENT_KEYS, "timestamp")

    def to_polars(self) -> pl.DataFrame:
        """Compute the rows as a Polars frame."""
        frame = self.table.to_polars()
        for step in self.steps:
            frame = step(frame)
        start, end = self.window
        frame = frame if start is None else frame.filter(pl.col("timestamp") >= start)
        frame = frame if end is None else frame.filter(pl.col("timestamp") < end)
        frame = frame.select(self.columns).sort(self.order)
        if self.limit is None:
            return frame
        return frame.group_by(INSTRUMENT_KEYS, maintain_order=True).tail(self.limit).select(self.columns)

    def to_ibis(self) -> ir.Table:
        """Return the rows as an Ibis expression, not yet computed."""
        import ibis

        table = self.table
        for step in self.steps:
            table = step(table)
        start, end = self.window
        table = table if start is None else table.filter(table.timestamp >= start)
        table = table if end is None else table.filter(table.timestamp < end)
        table = table.select(self.columns)
        if self.limit is not None:
            newest = ibis.row_number().over(group_by=INSTRUMENT_KEYS, order_by=[ibis.desc(name) for name in self.order])
            table = table.mutate(_newest=newest).filter(ibis._._newest < self.limit).select(self.columns)
        return table.order_by(self.order)


@dataclass(frozen=True)
class Selection:
    """Instruments of a dataset that a method reads."""

    market: Dataset
    instruments: pl.DataFrame

    @classmethod
    def of(
        cls,
        market: Dataset,
        name: str,
        exchange: OneOrMany = None,
        instrument_type: OneOrMany = None,
        asset_class: str | None = "crypto",
    ) -> Selection:
        """Select all instruments of a base coin or of a canonical symbol, on these venues, of these types and class.

        Raises
        ------
        UnknownNameError
            If no instrument matches, or none is known to be of the class; the message lists the available names.
        AmbiguousInstrumentError
            If the name is a coin and also a symbol of another coin.
        """
        instruments = _find_instruments(market.instrument_frame, name)
        for column, values in {"exchange": to_tuple(exchange), "instrument_type": to_tuple(instrument_type)}.items():
            if values is None:
                continue
            chosen = resolve_all(f"{column.replace('_', ' ')} of {name}", values, set(instruments[column]))
            instruments = instruments.filter(pl.col(column).is_in(chosen))
        return cls(market, named_of_class(instruments, name, asset_class).sort(INSTRUMENT_KEYS))

    def covered_by(self, table: str) -> pl.DataFrame:
        """Return the instruments that a table can hold rows of; none if the dataset lacks the table."""
        return self.instruments.filter(
            pl.col("instrument_type").is_in(TABLES[table].instrument_types),
            pl.col("exchange").is_in(self._venues(table)),
        )

    def require_covered_by(self, table: str) -> pl.DataFrame:
        """Return the instruments of :meth:`covered_by`, at least one.

        Raises
        ------
        InvalidInputError
            If the table can hold rows of none of them.
        """
        instruments = self.covered_by(table)
        if instruments.is_empty():
            keys = self.instruments.select(INSTRUMENT_KEYS).head(5).rows()
            raise InvalidInputError(
                f"{table} has none of {'; '.join(map(' '.join, keys))}: in this dataset it holds instruments of type "
                f"{', '.join(TABLES[table].instrument_types)} at {', '.join(self._venues(table)) or 'no venue'}"
            )
        return instruments

    def _venues(self, table: str) -> tuple[str, ...]:
        return self.market.tables[table].exchanges if table in self.market.tables else ()

    def rows(self, table: str, start: datetime | None = None, end: datetime | None = None) -> ir.Table:
        """Return their rows in a table: prices per coin, amounts in coins."""
        return self.query_market(table, partial(self.market.table, table), start=start, end=end)

    def listing(self) -> ir.Table:
        """Return their rows in table ``instruments``, unmodified."""
        return self._only(self.market.table("instruments", **_build_filters(self.instruments)), self.instruments)

    def query_market(self, table: str, method: Callable[..., ir.Table], **options: Any) -> ir.Table:
        """Call a method of the market for the instruments that a table covers: prices per coin, amounts in coins."""
        instruments = self.require_covered_by(table)
        rows = method(**_build_filters(instruments), **options)
        rows = _make_nullable(self._only(rows, instruments))
        return _scale_per_coin(rows, _multipliers(instruments, self.market.period_frame))

    def _only(self, rows: ir.Table, instruments: pl.DataFrame) -> ir.Table:
        """Return the rows of these instruments, of those that their venues, types, and symbols together match."""
        keys, bases = list(INSTRUMENT_KEYS), instruments["base"].unique().to_list()
        rows = rows.filter(rows.base.isin(bases))
        filters = (pl.col(name).is_in(values) for name, values in _build_filters(instruments).items())
        matched = self.market.instrument_frame.filter(pl.col("base").is_in(bases), *filters)
        for exchange, kind, symbol in matched.join(instruments, on=keys, how="anti").select(keys).rows():
            same = (rows.exchange == exchange) & (rows.instrument_type == kind) & (rows.symbol == symbol)
            rows = rows.filter(~same)
        return rows


def _build_filters(instruments: pl.DataFrame) -> dict[str, list[str]]:
    """Return the venues, types, and symbols of instruments as arguments of ``market.table()``."""
    return {name: instruments[name].unique().sort().to_list() for name in INSTRUMENT_KEYS}


def _find_instruments(listed: pl.DataFrame, name: str) -> pl.DataFrame:
    """Return the instruments of a coin or of a symbol."""
    if not isinstance(name, str):
        raise InvalidInputError(f"a token is a coin or a symbol by name, such as 'BTC', not {name!r}")
    name = resolve("coin or symbol", name, {*listed["base"], *listed["symbol"]})
    coin, symbol = listed.filter(base=name), listed.filter(symbol=name)
    if len(coin) and len(symbol):
        raise AmbiguousInstrumentError(
            f"{name!r} is a coin ({', '.join(coin['symbol'].unique().sort())}) and also a symbol of "
            f"{', '.join(symbol['base'].unique().sort())}; name a symbol of the one you mean"
        )
    return coin if len(coin) else symbol


def _make_nullable(rows: ir.Table) -> ir.Table:
    """Make all columns nullable, like the columns of files, so that tables can be concatenated."""
    casts = {name: dtype(nullable=True) for name, dtype in rows.schema().items() if not dtype.nullable}
    return rows.cast(casts) if casts else rows


def _multipliers(instruments: pl.DataFrame, periods: pl.DataFrame) -> pl.DataFrame:
    """Return the multipliers of instruments that ever had another one than 1, and until when each held, in order.

    The first holds from the beginning, the last without an end (null).
    """
    own = periods.join(instruments, on=INSTRUMENT_KEYS, how="semi")
    listed = instruments.join(own, on=INSTRUMENT_KEYS, how="anti").with_columns(valid_to=pl.lit(None, _TIME))
    columns = (*INSTRUMENT_KEYS, "multiplier", "valid_to")
    found = pl.concat([own.sort(*INSTRUMENT_KEYS, "valid_from").select(columns), listed.select(columns)])
    return found.filter((pl.col("multiplier") != 1.0).any().over(INSTRUMENT_KEYS))


def _scale_per_coin(rows: ir.Table, multipliers: pl.DataFrame) -> ir.Table:
    """Scale prices and amounts to one coin if a row's unit is several coins; ``multiplier`` is then 1.

    A row without a multiplier is scaled by its instrument's multiplier at that time.
    """
    import ibis

    own = "multiplier" in rows.columns
    if multipliers.is_empty() and not own:
        return rows
    cases = [(_is_row(rows, keys, until), multiplier) for *keys, multiplier, until in multipliers.iter_rows()]
    listed = ibis.cases(*cases, else_=1.0) if cases else ibis.literal(1.0)
    coins = ibis.coalesce(rows.multiplier, listed) if own else listed
    scales = {"quote per unit": lambda name: rows[name] / coins, "units": lambda name: rows[name] * coins}
    units = {name: UNITS[name] for name in rows.columns if UNITS.get(name) in scales}
    scaled = {name: scales[unit](name) for name, unit in units.items()}
    return rows.mutate(**scaled, **({"multiplier": ibis.literal(1.0)} if own else {}))


def _is_row(rows: ir.Table, keys: Sequence[str], until: datetime | None) -> ir.BooleanValue:
    """True for rows of an instrument before a time."""
    import ibis

    same = ibis.and_(*(rows[name] == key for name, key in zip(INSTRUMENT_KEYS, keys, strict=True)))
    return same if until is None else same & (rows.timestamp < until)


def parse_window(time_range: TimeRange) -> tuple[datetime | None, datetime | None]:
    """Return the start and end of a window in UTC; None leaves a side open."""
    start, end = (None if moment is None else utc(moment) for moment in time_range)
    if start is not None and end is not None:
        Window(start, end)  # raises if the end is before the start
    return start, end


def check_limit(limit: int | None) -> int | None:
    """Return the limit, or raise if it is not a number of rows."""
    limit = to_plain(limit)
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise InvalidInputError(f"limit must be a positive integer (newest rows per instrument), got {limit!r}")
    return limit


def probe_start(
    selection: Selection, table: str, end: datetime | None, limit: int | None, interval: timedelta
) -> datetime | None:
    """Find a time since which every instrument has ``limit`` rows; None if all rows must be read to know."""
    info = selection.market.tables.get(table)
    if check_limit(limit) is None or info is None or info.bytes < PROBE_MIN_BYTES:
        return None
    last = info.end + interval if end is None else min(end, info.end + interval)
    for factor in (2, 16):
        start = step_back(last, factor * limit, interval)
        if start is None or start <= info.start:
            return None
        rows = selection.rows(table, start, end)
        counts = rows.group_by(INSTRUMENT_KEYS).agg(rows=rows.count()).to_polars()
        if len(counts) == len(selection.require_covered_by(table)) and counts["rows"].min() >= limit:
            return start
    return None


def step_back(moment: datetime, rows: int, interval: timedelta) -> datetime | None:
    """Return the time ``rows`` intervals before a moment; None if that is before the earliest supported time."""
    try:
        start = moment - rows * interval
    except OverflowError:
        return None
    return start if start.year in YEARS else None
