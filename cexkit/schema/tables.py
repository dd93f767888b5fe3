"""Every table, declared once: columns, key, order, files, checks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal

from cexkit.errors import UnknownTableError
from cexkit.schema.fields import FIELDS, IDENTITY, INSTRUMENT_KEYS, Field
from cexkit.schema.intervals import to_timedelta

#: What one file of a table holds: all there is, one year or one month (of each venue).
Period = Literal["all", "year", "month"]
Layer = Literal["silver", "gold"]

#: Raised when a change would make readers of an earlier version wrong; see ``specs/05``.
SCHEMA_VERSION = 2


@dataclass(frozen=True, slots=True)
class Check:
    """A condition that every row must meet, as a SQL predicate that DuckDB and polars both read.

    A row on which it is not true is kept apart with the check's name. ``blocking`` checks also stop
    a publication.
    """

    name: str
    must: str
    meaning: str
    blocking: bool = True


@dataclass(frozen=True, slots=True)
class Table:
    """One table: what it holds, which rows are the same row, how it lies in files."""

    name: str
    meaning: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    period: Period
    layer: Layer = "silver"
    by_exchange: bool = True
    time: str | None = "timestamp"
    interval: str | None = None
    checks: tuple[Check, ...] = ()
    instrument_types: tuple[str, ...] = ("spot", "perp", "future")
    #: Columns that may be null in this table, although other tables require them.
    nullable: tuple[str, ...] = ()
    #: Table whose build also makes this one, from the same responses; None for a table with responses of its own.
    made_with: str | None = None

    @property
    def fields(self) -> tuple[Field, ...]:
        """The declared columns, in order."""
        fields = (FIELDS[name] for name in self.columns)
        return tuple(replace(field, nullable=True) if field.name in self.nullable else field for field in fields)

    @property
    def order(self) -> tuple[str, ...]:
        """Sort order of the rows in a file: whole instruments, each in time order."""
        return self.key

    @property
    def day_column(self) -> str:
        """Time whose UTC day a row is counted on by checks."""
        return self.time or ("observed_at" if "observed_at" in self.columns else "valid_from")

    @property
    def bar(self) -> timedelta | None:
        """Length of one bar, for tables of bars."""
        return to_timedelta(self.interval) if self.interval else None

    @property
    def partitions(self) -> tuple[str, ...]:
        """Folder keys of its files, outermost first."""
        return (("exchange",) if self.by_exchange else ()) + ((self.period,) if self.period != "all" else ())


_KEY = (*INSTRUMENT_KEYS, "timestamp")
_OHLC = ("open", "high", "low", "close")

_OHLC_ORDER = Check(
    "ohlc_order",
    "high >= open AND high >= close AND high >= low AND low <= open AND low <= close",
    "high is the highest and low the lowest price of the bar",
)
_POSITIVE_PRICE = Check("positive_price", "low > 0", "prices are above zero")
_VOLUME = Check(
    "volume_not_negative",
    "volume_base >= 0 AND (volume_quote IS NULL OR volume_quote >= 0)",
    "traded amounts are not below zero",
)
_TAKER = Check(
    "taker_within_volume",
    "taker_buy_volume_base IS NULL OR (taker_buy_volume_base >= 0 AND taker_buy_volume_base <= volume_base * 1.000001)",
    "the taker-buy part is not above the whole",
)
_INSTRUMENT_CHECKS = (
    Check("positive_multiplier", "multiplier > 0 AND contract_size > 0", "sizes are above zero"),
    Check("known_status", "status IN ('trading', 'pending', 'halted', 'delisted')", "status is declared"),
)


def _bars(name: str, meaning: str, interval: str, period: Period, *, traded: bool) -> Table:
    volumes = ("volume_base", "volume_quote", "trades", "taker_buy_volume_base", "taker_buy_volume_quote")
    return Table(
        name=name,
        meaning=meaning,
        columns=(*IDENTITY, "timestamp", *_OHLC, *(volumes if traded else ()), "multiplier"),
        nullable=("multiplier",),
        key=_KEY,
        period=period,
        interval=interval,
        checks=(_OHLC_ORDER, _POSITIVE_PRICE, *((_VOLUME, _TAKER) if traded else ())),
        instrument_types=("spot", "perp", "future") if traded else ("perp", "future"),
    )


_DECLARED = (
    Table(
        name="instruments",
        meaning="What is and was listed: names, contract terms, listing and delisting.",
        columns=(
            *IDENTITY,
            "venue_symbol",
            "settle",
            "multiplier",
            "contract_size",
            "inverse",
            "tick_size",
            "lot_size",
            "status",
            "listing_time",
            "delisting_time",
            "expiry",
            "funding_interval_hours",
            "observed_at",
            "asset_class",
        ),
        key=INSTRUMENT_KEYS,
        period="all",
        time=None,
        checks=_INSTRUMENT_CHECKS,
    ),
    Table(
        name="instrument_periods",
        meaning="Facts of each instrument over time: one row per span in which all of them were the same.",
        columns=(
            *IDENTITY,
            "venue_symbol",
            "valid_from",
            "valid_to",
            "listing_time",
            "delisting_time",
            "settle",
            "multiplier",
            "contract_size",
            "inverse",
            "tick_size",
            "lot_size",
            "status",
            "funding_interval_hours",
            "asset_class",
            "expiry",
        ),
        key=(*INSTRUMENT_KEYS, "valid_from"),
        period="all",
        time=None,
        made_with="instruments",
        checks=(
            *_INSTRUMENT_CHECKS,
            Check("period_not_empty", "valid_to IS NULL OR valid_to > valid_from", "a period ends after it starts"),
        ),
    ),
    _bars("ohlcv_1m", "Trade price bars of one minute.", "1m", "month", traded=True),
    _bars("ohlcv_1h", "Trade price bars of one hour.", "1h", "year", traded=True),
    _bars("ohlcv_1d", "Trade price bars of one UTC day.", "1d", "year", traded=True),
    _bars("mark_1h", "Mark price bars of one hour.", "1h", "year", traded=False),
    _bars("index_1h", "Index price bars of one hour.", "1h", "year", traded=False),
    Table(
        name="funding_rates",
        meaning="Funding as settled (paid), one row per settlement; predictions are never in here.",
        columns=(
            *IDENTITY,
            "timestamp",
            "funding_rate",
            "funding_interval_hours",
            "mark_price",
            "index_price",
            "venue_timestamp",
        ),
        key=_KEY,
        period="year",
        instrument_types=("perp",),
        checks=(
            Check(
                "plausible_rate",
                "funding_rate >= -0.1 AND funding_rate <= 0.1",
                "no venue settles more than 10 % at once; a larger one is a percent taken for a fraction",
            ),
            Check(
                "known_interval",
                "funding_interval_hours IS NULL OR funding_interval_hours IN (1, 2, 4, 6, 8)",
                "intervals are those that venues use",
            ),
        ),
    ),
    Table(
        name="open_interest",
        meaning="Open interest, one snapshot an hour, one side, in units of base.",
        columns=(*IDENTITY, "timestamp", "open_interest_base", "open_interest_quote", "multiplier"),
        nullable=("multiplier",),
        key=_KEY,
        period="year",
        interval="1h",
        instrument_types=("perp", "future"),
        checks=(Check("open_interest_not_negative", "open_interest_base >= 0", "open interest is not below zero"),),
    ),
    Table(
        name="liquidations",
        meaning="Forced closings as venues report them.",
        columns=(
            *IDENTITY,
            "timestamp",
            "side",
            "price",
            "price_type",
            "quantity_base",
            "value_quote",
            "event",
            "coverage",
        ),
        key=(*_KEY, "side", "price", "quantity_base", "event"),
        period="year",
        instrument_types=("perp", "future"),
        checks=(
            Check("known_side", "side IN ('long', 'short')", "side is that of the position"),
            Check("positive_liquidation", "price > 0 AND quantity_base > 0", "price and quantity are above zero"),
        ),
    ),
    Table(
        name="funding_weighted_8h",
        meaning="Funding per 8 hours over venues, weighted by open interest.",
        columns=("timestamp", "base", "weighted_funding", "venues", "weight_coverage", "quotes"),
        key=("base", "timestamp"),
        period="all",
        layer="gold",
        by_exchange=False,
        checks=(
            Check(
                "coverage_is_share",
                "weight_coverage >= 0 AND weight_coverage <= 1.000001",
                "a share is 0 to 1",
            ),
        ),
    ),
    Table(
        name="ohlcv_1d_composite",
        meaning="Daily spot bars over venues: median prices per coin, summed volume, and how far venues were apart.",
        columns=(
            "timestamp",
            "base",
            *_OHLC,
            "volume_base",
            "venues",
            "quotes",
            "dispersion_bps",
        ),
        key=("base", "timestamp"),
        period="all",
        layer="gold",
        by_exchange=False,
        interval="1d",
        checks=(_OHLC_ORDER, _POSITIVE_PRICE),
    ),
    Table(
        name="liquidations_1d",
        meaning="Liquidations per UTC day, instrument and side of the position.",
        columns=(
            *IDENTITY,
            "timestamp",
            "side",
            "events",
            "quantity_base",
            "value_quote",
            "coverage",
        ),
        key=(*_KEY, "side"),
        period="all",
        layer="gold",
        by_exchange=False,
        instrument_types=("perp", "future"),
        checks=(Check("known_side", "side IN ('long', 'short')", "side is that of the position"),),
    ),
    Table(
        name="data_quality",
        meaning="What the declared checks found, per table, venue and UTC day of data.",
        columns=("timestamp", "exchange", "table_name", "check_name", "blocking", "rows_checked", "rows_failed"),
        key=("exchange", "table_name", "check_name", "timestamp"),
        period="all",
        layer="gold",
        by_exchange=False,
    ),
)

TABLES: dict[str, Table] = {table.name: table for table in _DECLARED}


def table(name: str) -> Table:
    """The declaration of a table.

    Raises
    ------
    UnknownTableError
        If there is none of this name; the message lists those there are.

    Examples
    --------
    >>> table("funding_rates").key
    ('exchange', 'instrument_type', 'symbol', 'timestamp')
    >>> table("funding")
    Traceback (most recent call last):
    cexkit.errors.UnknownTableError: unknown table 'funding'; did you mean 'funding_rates'? Available: ...
    """
    try:
        return TABLES[name]
    except (KeyError, TypeError):
        raise UnknownTableError.of("table", name, TABLES) from None
