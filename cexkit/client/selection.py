"""Implementation of the methods of :class:`~cexkit.client.token.Token`, one function per method."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import polars as pl

from cexkit.analytics.funding.rates import funding_apr, funding_apy
from cexkit.analytics.prices import log_returns, returns
from cexkit.analytics.resample import resample
from cexkit.analytics.volatility import realized_volatility
from cexkit.client.asof import later
from cexkit.client.bars import TRADES, Bars, bars_of, finished, table_of
from cexkit.client.instruments import Names, as_tuple
from cexkit.errors import AmbiguousInstrumentError, InvalidInputError, UnknownNameError, UnpricedQuoteWarning, warn
from cexkit.schema import FIELDS, IDENTITY, INSTRUMENT_KEYS, TABLES, USD_LIKE
from cexkit.schema.intervals import YEARS, TimeLike, Window, utc

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from cexkit.client.market import Market

#: Units of all columns that may come, the reference of a basis included.
UNITS = {name: field.unit for name, field in FIELDS.items()} | {"reference": "quote per unit"}
#: How far back :func:`price` looks in bars shorter than a day.
PRICE_SPAN = timedelta(days=3)
#: Bars that are read before a window beside those that its first value needs, for bars may be missing.
SLACK = 30
#: Tables below this size are read as they are; of larger ones it is first asked where the newest rows begin.
WORTH_ASKING_BYTES = 8_000_000
#: Settlements around a window that tell the interval of its first and last one, where it is not stored.
FUNDING_MARGIN = timedelta(days=2)
#: The longest interval of settlements.
SETTLED_EVERY = timedelta(hours=8)

Step = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows on their way to a frame: read, brought through steps, cut to a window and to the newest, put in order."""

    table: ir.Table
    columns: tuple[str, ...]
    steps: tuple[Step, ...] = ()
    window: tuple[datetime | None, datetime | None] = (None, None)
    limit: int | None = None
    order: tuple[str, ...] = (*INSTRUMENT_KEYS, "timestamp")

    def computed(self) -> pl.DataFrame:
        """As a polars frame."""
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

    def expression(self) -> ir.Table:
        """As an Ibis table, nothing computed."""
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
    """Instruments of a dataset that a verb is asked about."""

    market: Market
    instruments: pl.DataFrame

    @classmethod
    def of(cls, market: Market, name: str, exchange: Names = None, instrument_type: Names = None) -> Selection:
        """All instruments of a base coin, or of a canonical symbol, at these venues and of these types.

        Raises
        ------
        UnknownNameError
            If there is none; the message lists what there is.
        AmbiguousInstrumentError
            If the name is a coin and also a symbol of another.
        """
        found = _named(market.listed, name)
        for column, wanted in {"exchange": as_tuple(exchange), "instrument_type": as_tuple(instrument_type)}.items():
            if wanted is None:
                continue
            there = set(found[column])
            for one in wanted:
                if one not in there:
                    raise UnknownNameError.of(f"{column.replace('_', ' ')} of {name}", one, there)
            found = found.filter(pl.col(column).is_in(wanted))
        return cls(market, found.sort(INSTRUMENT_KEYS))

    def held(self, table: str) -> pl.DataFrame:
        """The instruments that a table can hold rows of; none where the dataset has no such table."""
        return self.instruments.filter(
            pl.col("instrument_type").is_in(TABLES[table].instrument_types),
            pl.col("exchange").is_in(self._venues(table)),
        )

    def having(self, table: str) -> pl.DataFrame:
        """The same, of which there are some.

        Raises
        ------
        InvalidInputError
            If the table can hold none of them.
        """
        kept = self.held(table)
        if kept.is_empty():
            asked = self.instruments.select(INSTRUMENT_KEYS).head(5).rows()
            raise InvalidInputError(
                f"{table} has none of {'; '.join(map(' '.join, asked))}: in this dataset it holds instruments of type "
                f"{', '.join(TABLES[table].instrument_types)} at {', '.join(self._venues(table)) or 'no venue'}"
            )
        return kept

    def _venues(self, table: str) -> tuple[str, ...]:
        return self.market.tables[table].exchanges if table in self.market.tables else ()

    def rows(self, table: str, start: datetime | None = None, end: datetime | None = None) -> ir.Table:
        """Their rows in a table: prices per coin, amounts in coins."""
        return self.asked(table, partial(self.market.table, table), start=start, end=end)

    def listing(self) -> ir.Table:
        """Their rows in table ``instruments``, as they are."""
        rows = self.market.table("instruments", **_each(self.instruments))
        return rows.filter(rows.base.isin(self.instruments["base"].unique().to_list()))

    def asked(self, table: str, question: Callable[..., ir.Table], **words: Any) -> ir.Table:
        """What a question of the market gives for those that a table holds: prices per coin, amounts in coins."""
        kept = self.having(table)
        rows = question(**_each(kept), **words)
        return _per_coin(_nullable(rows.filter(rows.base.isin(kept["base"].unique().to_list()))), kept)


def _each(instruments: pl.DataFrame) -> dict[str, list[str]]:
    """Venues, types and symbols of instruments, as tables are asked for them."""
    return {name: instruments[name].unique().sort().to_list() for name in INSTRUMENT_KEYS}


def _named(listed: pl.DataFrame, name: str) -> pl.DataFrame:
    """The instruments of a coin or of a symbol."""
    if not isinstance(name, str):
        raise InvalidInputError(f"a token is a coin or a symbol by name, such as 'BTC', not {name!r}")
    coin, symbol = listed.filter(base=name), listed.filter(symbol=name)
    if coin.is_empty() and symbol.is_empty():
        # only ASCII: upper case of other letters can be a letter of another name
        if name.isascii() and name != name.upper():
            return _named(listed, name.upper())
        raise UnknownNameError.of("coin or symbol", name, {*listed["base"], *listed["symbol"]})
    if len(coin) and len(symbol):
        raise AmbiguousInstrumentError(
            f"{name!r} is a coin ({', '.join(coin['symbol'].unique().sort())}) and also a symbol of "
            f"{', '.join(symbol['base'].unique().sort())}; name a symbol of the one you mean"
        )
    return coin if len(coin) else symbol


def _nullable(rows: ir.Table) -> ir.Table:
    """Columns that may be null, as those of files are, so that tables can be put below each other."""
    strict = {name: kind(nullable=True) for name, kind in rows.schema().items() if not kind.nullable}
    return rows.cast(strict) if strict else rows


def _per_coin(rows: ir.Table, instruments: pl.DataFrame) -> ir.Table:
    """Prices and amounts per coin where an instrument's unit is several coins."""
    import ibis

    several = instruments.filter(pl.col("multiplier") != 1.0)
    if several.is_empty():
        return rows
    units = [
        ((rows.exchange == exchange) & (rows.instrument_type == kind) & (rows.symbol == symbol), coins)
        for exchange, kind, symbol, coins in several.select(*INSTRUMENT_KEYS, "multiplier").rows()
    ]
    coins = ibis.cases(*units, else_=1.0)
    scaled = {"quote per unit": lambda name: rows[name] / coins, "units": lambda name: rows[name] * coins}
    measured = {name: UNITS[name] for name in rows.columns if UNITS.get(name) in scaled}
    return rows.mutate(**{name: scaled[unit](name) for name, unit in measured.items()})


def _times(start: TimeLike | None, end: TimeLike | None) -> tuple[datetime | None, datetime | None]:
    first, last = (None if moment is None else utc(moment) for moment in (start, end))
    if first is not None and last is not None:
        Window(first, last)  # refuses an end before the start
    return first, last


def _count(limit: int | None) -> int | None:
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise InvalidInputError(f"limit is the number of newest rows of each instrument, 1 or more, not {limit!r}")
    return limit


def _since(chosen: Selection, table: str, end: datetime | None, limit: int | None, every: timedelta) -> datetime | None:
    """A time since which every instrument has so many rows; None where all must be read to know."""
    found = chosen.market.tables.get(table)
    if _count(limit) is None or found is None or found.bytes < WORTH_ASKING_BYTES:
        return None
    last = found.end + every if end is None else min(end, found.end + every)
    for wide in (2, 16):
        start = _back(last, wide * limit, every)
        if start is None or start <= found.start:
            return None
        rows = chosen.rows(table, start, end)
        counts = rows.group_by(INSTRUMENT_KEYS).agg(rows=rows.count()).to_polars()
        if len(counts) == len(chosen.having(table)) and counts["rows"].min() >= limit:
            return start
    return None


def _back(moment: datetime, rows: int, every: timedelta) -> datetime | None:
    """So many rows before a moment; None where times do not go so far back."""
    try:
        back = moment - rows * every
    except OverflowError:
        return None
    return back if back.year in YEARS else None


def _later(frame: Any, by: timedelta) -> Any:
    """Times moved from the open of a bar to its end, when its close is known."""
    if isinstance(frame, pl.DataFrame):
        return frame.with_columns(pl.col("timestamp") + by)
    return later(frame, by)


def _bars(
    chosen: Selection,
    interval: str,
    span: tuple[datetime | None, datetime | None],
    limit: int | None,
    before: int = 0,
    over_gaps: bool = False,
) -> tuple[Bars, ir.Table, tuple[Step, ...]]:
    """Rows that make up the bars that open in a window and so many before it, and the step that makes them."""
    bars, (start, end) = bars_of(chosen.market, interval), span
    start, end = (None if moment is None else bars.ceil(moment) for moment in (start, end))
    rows = chosen.rows(bars.table, _first(chosen, bars, start, end, limit, before, over_gaps), end)
    if bars.stored:
        return bars, rows, ()
    venues = chosen.having(bars.table)["exchange"].unique().sort().to_list()
    return bars, finished(chosen.market, bars, rows, venues), (partial(resample, every=interval),)


def _first(
    chosen: Selection,
    bars: Bars,
    start: datetime | None,
    end: datetime | None,
    limit: int | None,
    before: int,
    over_gaps: bool,
) -> datetime | None:
    """Where reading begins; None for all that is stored."""
    if start is not None and not over_gaps:
        return _back(start, before, bars.length)
    if start is not None:
        until, count = start, before
    elif limit is not None:
        until, count = end, _count(limit) + before + 1
    else:
        return None
    stored = TABLES[bars.table].bar
    since = _since(chosen, bars.table, until, count * (bars.length // stored), stored)
    return None if since is None else bars.floor(since)


def ohlcv(chosen: Selection, interval: str, start: TimeLike | None, end: TimeLike | None, limit: int | None) -> Rows:
    """Bars at the times they open."""
    window = _times(start, end)
    bars, rows, steps = _bars(chosen, interval, window, limit)
    columns = TABLES[bars.table].columns + (() if bars.stored else ("rows",))
    return Rows(rows, columns, steps, window, _count(limit))


def _known(
    chosen: Selection,
    interval: str,
    measure: Step | None,
    columns: Sequence[str],
    span: tuple[TimeLike | None, TimeLike | None],
    limit: int | None,
    before: int = 0,
    over_gaps: bool = False,
) -> Rows:
    """Closes, and what is measured of them and so many before them, at the times they are known."""
    start, end = _times(*span)
    length = bars_of(chosen.market, interval).length
    opens = tuple(None if moment is None else moment - length for moment in (start, end))
    _, rows, steps = _bars(chosen, interval, opens, limit, before + SLACK if before else 0, over_gaps)
    steps = (*steps, *((measure,) if measure else ()), partial(_later, by=length), _close_is_price)
    return Rows(rows, (*IDENTITY, "timestamp", "price", *columns), steps, (start, end), _count(limit))


def _close_is_price(frame: Any) -> Any:
    if isinstance(frame, pl.DataFrame):
        return frame.with_columns(price="close")
    return frame.mutate(price=frame.close)


def closes(chosen: Selection, interval: str, start: TimeLike | None, end: TimeLike | None, limit: int | None) -> Rows:
    """Closes at the times they are known."""
    return _known(chosen, interval, None, (), (start, end), limit)


def returns_(
    chosen: Selection, interval: str, log: bool, start: TimeLike | None, end: TimeLike | None, limit: int | None
) -> Rows:
    """Returns from close to close."""
    measure, name = (log_returns, "log_returns") if log else (returns, "returns")
    return _known(chosen, interval, measure, (name,), (start, end), limit, before=1)


def volatility(
    chosen: Selection,
    interval: str,
    window: int,
    estimator: str,
    min_samples: int | None,
    start: TimeLike | None,
    end: TimeLike | None,
    limit: int | None,
) -> Rows:
    """Realized volatility of trailing bars."""
    measure = partial(
        realized_volatility, window=window, estimator=estimator, interval=interval, min_samples=min_samples
    )
    before = max(window, 1) if isinstance(window, int) else 1  # the metric refuses what makes no sense
    # where not all of a window must be there, what is there may be from before any gap
    over_gaps = min_samples is not None
    return _known(chosen, interval, measure, ("realized_volatility",), (start, end), limit, before, over_gaps)


def price(chosen: Selection, at: TimeLike | None) -> Rows:
    """The close that was known last, of the shortest bars where several were."""
    import ibis

    moment = None if at is None else utc(at)
    parts = [_last_closes(chosen, name, moment) for name in TRADES.values() if not chosen.held(name).is_empty()]
    if not parts:
        raise InvalidInputError("this dataset has no bars of these instruments, and so no prices")
    every = ibis.union(*parts) if len(parts) > 1 else parts[0]
    newest = ibis.row_number().over(group_by=INSTRUMENT_KEYS, order_by=[every.timestamp.desc(), every._length])
    last = every.mutate(_newest=newest).filter(ibis._._newest == 0)
    return Rows(last, (*IDENTITY, "timestamp", "price", "interval"))


def _last_closes(chosen: Selection, table: str, moment: datetime | None) -> ir.Table:
    """Closes of one table, known by a moment."""
    import ibis

    bar = TABLES[table].bar
    newest = chosen.market.tables[table].end + bar
    until = newest if moment is None else min(moment, newest)
    start = until - PRICE_SPAN if bar < timedelta(days=1) else None
    # a bar that opens at `until - bar` is known at `until`
    rows = _later(chosen.rows(table, start, until - bar + timedelta(microseconds=1)), bar)
    return rows.select(
        *IDENTITY, "timestamp", price=rows.close, interval=ibis.literal(TABLES[table].interval),
        _length=ibis.literal(int(bar.total_seconds()), type="int64"),
    )  # fmt: skip


def funding(chosen: Selection, start: TimeLike | None, end: TimeLike | None, limit: int | None) -> Rows:
    """Funding as settled."""
    first, last = _times(start, end)
    since = first or _since(chosen, "funding_rates", last, limit, SETTLED_EVERY)
    columns = (*IDENTITY, "timestamp", "funding_rate", "funding_interval_hours")
    return Rows(chosen.rows("funding_rates", since, last), columns, limit=_count(limit))


def funding_per_year(
    chosen: Selection, compound: bool, start: TimeLike | None, end: TimeLike | None, limit: int | None
) -> Rows:
    """Funding per year, each settlement by its own interval."""
    first, last = window = _times(start, end)
    measure, name = (funding_apy, "funding_apy") if compound else (funding_apr, "funding_apr")
    since = first or _since(chosen, "funding_rates", last, limit, SETTLED_EVERY)
    since = None if since is None else since - FUNDING_MARGIN
    rows = chosen.rows("funding_rates", since, None if last is None else last + FUNDING_MARGIN)
    columns = (*IDENTITY, "timestamp", "funding_rate", "funding_interval_hours", name)
    return Rows(rows, columns, (measure,), window, _count(limit))


def open_interest(chosen: Selection, start: TimeLike | None, end: TimeLike | None, limit: int | None) -> Rows:
    """Open interest with its value in dollars."""
    first, last = _times(start, end)
    first = first or _since(chosen, "open_interest", last, limit, TABLES["open_interest"].bar)
    rows = chosen.asked("open_interest", chosen.market.open_interest_usd, start=first, end=last)
    strange = sorted(set(chosen.having("open_interest")["quote"]) - set(USD_LIKE))
    if strange:
        text = f"quotes {', '.join(strange)} are not taken as dollars: open_interest_usd is null there"
        warn(text, UnpricedQuoteWarning)
    columns = (*IDENTITY, "timestamp", "open_interest_base", "open_interest_quote", "open_interest_usd", "usd_from")
    return Rows(rows, columns, limit=_count(limit))


def basis(
    chosen: Selection,
    start: TimeLike | None,
    end: TimeLike | None,
    limit: int | None,
    interval: str,
    price: str,
    **words: Any,
) -> Rows:
    """Closes of derivatives against a reference known at the same time."""
    first, last = _times(start, end)
    table = table_of(price, interval)
    derivatives = replace(chosen, instruments=chosen.instruments.filter(pl.col("instrument_type") != "spot"))
    chosen = derivatives if len(derivatives.instruments) else chosen
    if first is None and (since := _since(chosen, table, last, limit, TABLES[table].bar)):
        first = since + TABLES[table].bar  # known a bar after it opens
    words |= {"interval": interval, "price": price, "start": first, "end": last}
    rows = chosen.asked(table, chosen.market.basis, **words)
    return Rows(rows, tuple(rows.columns), limit=_count(limit))


def events(chosen: Selection, start: TimeLike | None, end: TimeLike | None, limit: int | None) -> Rows:
    """Liquidations, event by event."""
    table = TABLES["liquidations"]
    order = (*INSTRUMENT_KEYS, "timestamp", "side", "price", "quantity_base", "event")
    return Rows(chosen.rows(table.name, *_times(start, end)), table.columns, limit=_count(limit), order=order)


def info(chosen: Selection) -> Rows:
    """The listing of each instrument, in the venue's own units."""
    return Rows(chosen.listing(), TABLES["instruments"].columns, order=INSTRUMENT_KEYS)


def exchanges(chosen: Selection) -> Rows:
    """How many instruments of each type a venue has, and how many of them trade."""
    rows, keys = chosen.listing(), ("base", "exchange", "instrument_type")
    counted = rows.group_by(keys).agg(instruments=rows.count(), trading=(rows.status == "trading").sum())
    return Rows(counted, tuple(counted.columns), order=keys)
