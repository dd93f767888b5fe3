"""What a tearsheet is made of: rows of one coin's perpetuals in one window, prices per coin and amounts in coins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from numbers import Real
from typing import TYPE_CHECKING

import polars as pl

from cexkit.analytics.funding.rates import funding_apr, funding_interval
from cexkit.client.basis import plan_basis
from cexkit.client.selection import Selection
from cexkit.client.tearsheet.days import whole_days
from cexkit.client.tearsheet.main_perps import choose_main_perps
from cexkit.errors import InvalidInputError
from cexkit.schema import IDENTITY, INSTRUMENT_KEYS, TABLES
from cexkit.schema.asset_class import ASSET_CLASS, CRYPTO, is_included
from cexkit.schema.intervals import TimeLike, utc
from cexkit.schema.render import to_polars
from cexkit.schema.scalars import to_plain

if TYPE_CHECKING:
    from cexkit.client.market import Market
    from cexkit.schema.names import OneOrMany

DAY = timedelta(days=1)
#: A window as long as this is longer than any data.
MOST_DAYS = 36_525
#: Bars before the end that volatility and drawdown are taken from, whatever the window.
HISTORY = timedelta(days=365)
#: Days over which funding is compared with that of other coins.
RECENT = timedelta(days=7)
#: What a row that is known at the end of a window is before.
TICK = timedelta(microseconds=1)
#: Columns of a basis that the page uses.
_BASIS = pl.Schema(
    dict.fromkeys((*IDENTITY, "reference_name", "reference_quote"), pl.String)
    | dict.fromkeys(("timestamp", "expiry"), pl.Datetime("us", "UTC"))
    | dict.fromkeys(("price", "reference"), pl.Float64)
)


@dataclass(frozen=True)
class TearsheetData:
    """The perpetuals of a coin, and what is read of them; each table once, when it is asked for."""

    market: Market
    perps: Selection
    base: str
    start: datetime
    end: datetime
    #: Class of what is compared with the perpetuals; None for all.
    asset_class: str | None = CRYPTO

    @classmethod
    def of(
        cls,
        market: Market,
        name: str,
        exchange: OneOrMany = None,
        start: TimeLike | None = None,
        end: TimeLike | None = None,
        days: int = 60,
        asset_class: str | None = CRYPTO,
    ) -> TearsheetData:
        """Find the perpetuals, and the window: whole days, by default the last that the dataset has of them."""
        perps = Selection.of(market, name, exchange, "perp", asset_class)
        bases = perps.instruments["base"].unique().to_list()
        if len(bases) != 1:
            raise InvalidInputError(f"{name!r} stands for perpetuals of several coins: {', '.join(sorted(bases))}")
        last = _newest(perps) if end is None else utc(end)
        days = to_plain(days)
        if start is None and not (isinstance(days, Real) and 0 < days <= MOST_DAYS):
            raise InvalidInputError(f"days is the length of the window, from 1 to {MOST_DAYS:,}, not {days!r}")
        first = last - days * DAY if start is None else utc(start)
        if first >= last:
            raise InvalidInputError(f"the window is empty: {first:%Y-%m-%d %H:%M} … {last:%Y-%m-%d %H:%M} UTC")
        return cls(market, perps, bases[0], first, last, _class_of(perps, asset_class))

    @property
    def trading(self) -> bool:
        """Whether one of the perpetuals still trades, as far as the dataset knows."""
        return bool((self.perps.instruments["status"] == "trading").any())

    def read(self, table: str, start: datetime | None = None, chosen: Selection | None = None) -> pl.DataFrame:
        """Rows of a table that were known by the end of the window; none where the dataset has none."""
        chosen, start, bar = chosen or self.perps, start or self.start, _length(table)
        if chosen.covered_by(table).is_empty():
            return pl.DataFrame(schema=to_polars(TABLES[table]))
        # a bar that opens at `end - bar` is known at the end
        end = self.end - bar + TICK if bar else self.end
        return chosen.rows(table, start, max(start, end)).to_polars()

    @cached_property
    def _days(self) -> pl.DataFrame:
        """Daily bars: the stored ones, and days that only have hourly bars."""
        return pl.concat([self._stored_days, self.aggregated_days])

    @cached_property
    def _stored_days(self) -> pl.DataFrame:
        return self.read("ohlcv_1d", self._first_day)

    @property
    def _first_day(self) -> datetime:
        return min(self.start, self.end - HISTORY)

    @cached_property
    def aggregated_days(self) -> pl.DataFrame:
        """Daily bars that the dataset lacks, aggregated from their 24 hourly bars."""
        stored = self._stored_days.group_by(INSTRUMENT_KEYS).agg(
            complete=pl.len() >= (self.end - self._first_day) // DAY
        )
        complete = stored.filter("complete")
        short = self.perps.instruments.join(complete, on=INSTRUMENT_KEYS, how="anti")
        hourly = self.read("ohlcv_1h", self._first_day, replace(self.perps, instruments=short))
        lacking = whole_days(hourly).join(self._stored_days, on=[*INSTRUMENT_KEYS, "timestamp"], how="anti")
        return lacking.select(self._stored_days.columns)

    @property
    def year(self) -> pl.DataFrame:
        """Daily bars of the year before the end, whatever the window."""
        return self._days.filter(pl.col("timestamp") >= self.end - HISTORY)

    @property
    def daily(self) -> pl.DataFrame:
        """Daily bars of the window."""
        return self._days.filter(pl.col("timestamp") >= self.start)

    @property
    def stored_daily(self) -> pl.DataFrame:
        """Daily bars of the window that the dataset has."""
        return self._stored_days.filter(pl.col("timestamp") >= self.start)

    @cached_property
    def hourly(self) -> pl.DataFrame:
        return self.read("ohlcv_1h")

    @cached_property
    def index(self) -> pl.DataFrame:
        return self.read("index_1h")

    @cached_property
    def funding(self) -> pl.DataFrame:
        return self.read("funding_rates")

    @cached_property
    def open_interest(self) -> pl.DataFrame:
        """Open interest with its value in dollars, by the rule of ``market.open_interest_usd()``."""
        if self.perps.covered_by("open_interest").is_empty():
            return self.read("open_interest").with_columns(open_interest_usd=pl.lit(None, pl.Float64))
        window = {"start": self.start, "end": self.end}
        rows = self.perps.query_market("open_interest", self.market.open_interest_usd, **window)
        return rows.drop("usd_from").to_polars()

    @cached_property
    def liquidations(self) -> pl.DataFrame:
        # prices are per coin already
        return self.read("liquidations").with_columns(multiplier=pl.lit(1.0))

    @cached_property
    def all_funding(self) -> pl.DataFrame:
        """Funding of all perpetuals of the venues looked at, in the columns that a rate per year needs."""
        columns = [*INSTRUMENT_KEYS, "base", "timestamp", "funding_rate", "funding_interval_hours"]
        if "funding_rates" not in self.market.tables:
            return pl.DataFrame(schema=to_polars(TABLES["funding_rates"])).select(columns)
        venues = set(self.perps.instruments["exchange"]) & set(self.market.tables["funding_rates"].exchanges)
        rows = self.market.table("funding_rates", start=self.start, end=self.end, exchange=sorted(venues))
        return rows.select(columns).to_polars().join(self.outsiders, on=list(INSTRUMENT_KEYS), how="anti")

    @cached_property
    def outsiders(self) -> pl.DataFrame:
        """Perpetuals at the venues that are not compared, because of their class; with ``asset_class``."""
        venues = self.perps.instruments["exchange"].unique().implode()
        perps = self.market.instrument_frame.filter(pl.col("exchange").is_in(venues), instrument_type="perp")
        perps = perps.select(*INSTRUMENT_KEYS, ASSET_CLASS)
        if self.asset_class is None:
            return perps.clear()
        return perps.filter(~is_included(perps[ASSET_CLASS], self.asset_class))

    @cached_property
    def recent(self) -> pl.DataFrame:
        """Mean funding APR of each perpetual over the last days, by hours."""
        rows = self.all_funding.filter(pl.col("timestamp") >= self.end - RECENT)
        # Intervals follow from the times; a suspect rate of another coin is not a matter of this page.
        hours = funding_interval(rows.drop("funding_rate"))["funding_interval_hours"]
        means = mean_funding_apr(funding_apr(rows.with_columns(hours)), "exchange", "symbol", "base")
        return means.rename({"mean_apr": "recent_apr"}).drop("covered_days")

    @cached_property
    def basis_prices(self) -> pl.DataFrame:
        """Hourly closes of each perpetual and of its reference, by the rule of ``market.basis()``."""
        return self._compared(self.perps)

    @cached_property
    def future_prices(self) -> pl.DataFrame:
        """The same of dated futures, with their expiry; no rows if none is listed."""
        venues = self.perps.instruments["exchange"].unique().implode()
        listed = self.market.instrument_frame.filter(
            pl.col("exchange").is_in(venues), base=self.base, instrument_type="future"
        )
        if self.asset_class is not None:
            listed = listed.filter(is_included(listed[ASSET_CLASS], self.asset_class))
        return self._compared(Selection(self.market, listed))

    def _compared(self, chosen: Selection) -> pl.DataFrame:
        """Rows of ``market.basis()`` that have a reference; none if the dataset has no hourly bars."""
        if chosen.covered_by("ohlcv_1h").is_empty():
            return pl.DataFrame(schema=_BASIS)
        # A close that is known at the start belongs to the hour before the window.
        window = {"start": self.start + TICK, "end": self.end + TICK}
        rows = chosen.query_market("ohlcv_1h", lambda **words: plan_basis(self.market, **words).rows, **window)
        found = rows.filter(rows.reference.notnull()).to_polars()
        return found.select(_BASIS.names()).cast(dict(_BASIS)).sort(*INSTRUMENT_KEYS, "timestamp")

    @cached_property
    def main_perps(self) -> pl.DataFrame:
        """The main perpetual of each venue, see :func:`choose_main_perps`; venues with the most volume come first."""
        tables = (self.daily, self.hourly, self.funding, self.open_interest)
        return choose_main_perps(self.perps.instruments, tables, (self.daily, self.hourly))

    @cached_property
    def lead_perp(self) -> str:
        """The venue whose price is shown: its main perpetual trades most, or, without volumes, has the newest bar."""
        ordered = self.main_perps
        if ordered["size"][0] is None:
            newest = self.of_main_perps(self.year).group_by("exchange").agg(newest=pl.col("timestamp").max())
            ordered = ordered.join(newest, on="exchange", how="left", maintain_order="left").sort(
                "newest", descending=True, nulls_last=True, maintain_order=True
            )
        return ordered["exchange"][0]

    def of_main_perps(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows of the main perpetuals; without the symbol, so that a venue is all that tells them."""
        kept = rows.join(self.main_perps.select(INSTRUMENT_KEYS), on=INSTRUMENT_KEYS, how="semi")
        return kept.drop("symbol", "instrument_type")

    def of_lead(self, rows: pl.DataFrame) -> pl.DataFrame:
        return self.of_main_perps(rows).filter(pl.col("exchange") == self.lead_perp)

    @cached_property
    def closes(self) -> pl.DataFrame | None:
        """Daily closes of the leading perpetual at the times they were known; None without any."""
        bars = self.of_lead(self.daily).with_columns(pl.col("timestamp") + DAY)
        return bars if bars.height else None

    @cached_property
    def positions(self) -> pl.DataFrame:
        """Open interest of the leading perpetual at midnight, with the close of the day that ended then."""
        closes = self.of_lead(self.daily).select(pl.col("timestamp") + DAY, "close")
        return self.of_lead(self.open_interest).join(closes, on="timestamp").sort("timestamp")

    @cached_property
    def quality(self) -> pl.DataFrame:
        """What checks found on days of the window, at the venues looked at."""
        if "data_quality" not in self.market.tables:
            return pl.DataFrame(schema=to_polars(TABLES["data_quality"]))
        rows = self.market.table("data_quality", start=self.start, end=self.end)
        return rows.to_polars().filter(pl.col("exchange").is_in(self.perps.instruments["exchange"].unique().implode()))


def mean_funding_apr(rows: pl.DataFrame, *keys: str) -> pl.DataFrame:
    """Return ``mean_apr`` of settlements by ``keys``, each weighted with its hours, and the ``covered_days``."""
    hours = pl.col("funding_interval_hours")
    known = rows.filter(pl.col("funding_apr").is_not_null(), hours.is_not_null())
    mean = (pl.col("funding_apr") * hours).sum() / hours.sum()
    return known.group_by(keys).agg(mean_apr=mean, covered_days=hours.sum() / 24)


def _class_of(perps: Selection, asset_class: str | None) -> str | None:
    """Return the class of a tearsheet: the requested one, or the class of the perpetuals if none of them is a coin."""
    known = perps.instruments[ASSET_CLASS]
    if asset_class != CRYPTO or is_included(known, CRYPTO).any():
        return asset_class
    return known[0] if known.n_unique() == 1 else None


def _newest(perps: Selection) -> datetime:
    """The midnight by which the last settlement and bar that the dataset has of the perpetuals are over."""
    ends = [*_last(perps, "funding_rates"), *_last(perps, "ohlcv_1d")]
    for table in () if ends else ("open_interest", "ohlcv_1h", "liquidations"):
        ends += _last(perps, table)
    if not ends:
        raise InvalidInputError("the dataset has nothing of these perpetuals but their listing")
    last = max(ends)
    midnight = last.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight if last == midnight else midnight + DAY


def _last(perps: Selection, table: str) -> Sequence[datetime]:
    if perps.covered_by(table).is_empty():
        return []
    last = perps.rows(table).timestamp.max().as_table().to_polars().item()
    return [] if last is None else [last + _length(table)]


def _length(table: str) -> timedelta:
    """How long after its time a row of a table is known: the length of a bar, nothing for settlements and snapshots."""
    bar = TABLES[table].bar if "close" in TABLES[table].columns else None
    return bar or timedelta(0)
