"""Every column of every table, declared once: type, unit, meaning.

Names use the field's standard terms; a unit stands in the name where it could be mistaken
(``volume_base`` / ``volume_quote``, ``funding_interval_hours``). Rates and returns are fractions:
0.0001 is one basis point.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Type = Literal["string", "float64", "int64", "boolean", "timestamp('UTC', 6)"]
#: How a column is brought to a longer bucket: a stock is not summed, a flow is not averaged.
Aggregate = Literal["first", "max", "min", "last", "sum", "none"]

#: Types of DuckDB, for what reads without Ibis; the same that Ibis renders.
DUCKDB_TYPES: dict[Type, str] = {
    "string": "TEXT",
    "float64": "DOUBLE",
    "int64": "BIGINT",
    "boolean": "BOOLEAN",
    "timestamp('UTC', 6)": "TIMESTAMPTZ",
}

TIMESTAMP: Type = "timestamp('UTC', 6)"


@dataclass(frozen=True, slots=True)
class Field:
    """One column: what it is called, holds, is measured in and means."""

    name: str
    type: Type
    unit: str
    meaning: str
    nullable: bool = False
    values: tuple[str, ...] = ()
    aggregate: Aggregate = "none"


_DECLARED = (
    # identity
    Field("exchange", "string", "", "Venue, lower case.", values=("binance", "bybit", "coinbase", "okx")),
    Field(
        "instrument_type",
        "string",
        "",
        "Spot pair, perpetual swap or dated future.",
        values=("spot", "perp", "future"),
    ),
    Field("symbol", "string", "", "Canonical symbol, the same on every venue; never to be parsed."),
    Field("base", "string", "", "Coin that is priced, without multiplier (`PEPE` for `1000PEPEUSDT`)."),
    Field("quote", "string", "", "Currency the price is in."),
    # time
    Field("timestamp", TIMESTAMP, "UTC", "Start of the bar, or the moment of the settlement, snapshot or event."),
    Field(
        "venue_timestamp",
        TIMESTAMP,
        "UTC",
        "The time exactly as the venue gave it; settlements are keyed on its minute.",
        nullable=True,
    ),
    # bars
    Field("open", "float64", "quote per unit", "First price of the bar.", aggregate="first"),
    Field("high", "float64", "quote per unit", "Highest price of the bar.", aggregate="max"),
    Field("low", "float64", "quote per unit", "Lowest price of the bar.", aggregate="min"),
    Field("close", "float64", "quote per unit", "Last price of the bar.", aggregate="last"),
    Field(
        "volume_base", "float64", "units", "Traded amount, one-sided; a unit is `multiplier` coins.", aggregate="sum"
    ),
    Field("volume_quote", "float64", "quote", "Traded value, one-sided.", nullable=True, aggregate="sum"),
    Field("trades", "int64", "", "Number of trades.", nullable=True, aggregate="sum"),
    Field(
        "taker_buy_volume_base",
        "float64",
        "units",
        "Part of volume_base in which the taker bought.",
        nullable=True,
        aggregate="sum",
    ),
    Field(
        "taker_buy_volume_quote",
        "float64",
        "quote",
        "Part of volume_quote in which the taker bought.",
        nullable=True,
        aggregate="sum",
    ),
    # funding
    Field(
        "funding_rate",
        "float64",
        "fraction per interval",
        "Rate settled at that time; positive: longs pay shorts.",
        aggregate="sum",
    ),
    Field(
        "funding_interval_hours",
        "float64",
        "hours",
        "Hours that the settled rate covers; null where it is not known.",
        nullable=True,
    ),
    Field("mark_price", "float64", "quote per unit", "Mark price at that time.", nullable=True, aggregate="last"),
    Field(
        "index_price",
        "float64",
        "quote per unit",
        "Index price at that time.",
        nullable=True,
        aggregate="last",
    ),
    # open interest
    Field(
        "open_interest_base",
        "float64",
        "units",
        "Open contracts, one side, in units of base.",
        aggregate="last",
    ),
    Field(
        "open_interest_quote",
        "float64",
        "quote",
        "The same at the venue's mark price.",
        nullable=True,
        aggregate="last",
    ),
    # liquidations
    Field(
        "side",
        "string",
        "",
        "Side of the **position** that was closed (not of the order that closed it).",
        values=("long", "short"),
    ),
    Field("price", "float64", "quote per unit", "Price of the event; what it is says price_type."),
    Field(
        "price_type",
        "string",
        "",
        "Average fill or bankruptcy price.",
        values=("average_fill", "bankruptcy"),
    ),
    Field("quantity_base", "float64", "units", "Amount liquidated.", aggregate="sum"),
    Field("value_quote", "float64", "quote", "price × quantity_base.", aggregate="sum"),
    Field(
        "event",
        "int64",
        "",
        "Tells apart events alike in instrument, time, side, price and quantity: 0, 1, …",
    ),
    Field(
        "coverage",
        "string",
        "",
        "Whether the venue shows every event (`full`), a sample (`throttled`) or none (`absent`). "
        "Totals carry the worst of their parts.",
        values=("full", "throttled", "absent"),
    ),
    # instruments
    Field("venue_symbol", "string", "", "Name the venue's own API takes."),
    Field("settle", "string", "", "Currency of margin and profit."),
    Field("multiplier", "float64", "coins per unit", "Coins in one unit of base (1000 for `1000PEPEUSDT`)."),
    Field(
        "asset_class",
        "string",
        "",
        "Class of what is priced, as the venue states it; null if it does not.",
        nullable=True,
        values=("crypto", "equity", "commodity", "fx", "bond", "index"),
    ),
    Field(
        "contract_size",
        "float64",
        "units, or quote if inverse",
        "Value of one contract at the venue; 1 where it counts in units of base.",
    ),
    Field("inverse", "boolean", "", "Whether contracts are worth a fixed quote amount and pay in coin."),
    Field("tick_size", "float64", "quote per unit", "Smallest price step.", nullable=True),
    Field("lot_size", "float64", "units", "Smallest quantity step.", nullable=True),
    Field(
        "status",
        "string",
        "",
        "Whether it could be traded when the venue was read, or in the period; delisted instruments stay in the table.",
        values=("trading", "pending", "halted", "delisted"),
    ),
    Field("listing_time", TIMESTAMP, "UTC", "Start of trading, where the venue says; may be too late.", nullable=True),
    Field("delisting_time", TIMESTAMP, "UTC", "End of trading, at the latest.", nullable=True),
    Field("expiry", TIMESTAMP, "UTC", "Delivery of a dated future.", nullable=True),
    Field("observed_at", TIMESTAMP, "UTC", "When the venue last showed the instrument."),
    # periods of instruments
    Field(
        "valid_from",
        TIMESTAMP,
        "UTC",
        "Start of the period: the listing time, or the time of the first list that shows these facts.",
    ),
    Field("valid_to", TIMESTAMP, "UTC", "End of the period, not included; null if it has not ended.", nullable=True),
    # gold
    Field(
        "weighted_funding",
        "float64",
        "fraction per 8 h",
        "Funding settled in the 8 hours up to timestamp, weighted over venues by open interest.",
    ),
    Field("venues", "int64", "", "Number of venues that went in."),
    Field("weight_coverage", "float64", "fraction", "Share of the open interest whose venues went in."),
    Field("quotes", "string", "", "Quote currencies mixed, in order, joined by `+` (USDT is not USD)."),
    Field(
        "dispersion_bps",
        "float64",
        "bps",
        "Largest distance of a venue's close from the median close.",
        nullable=True,
    ),
    Field("events", "int64", "", "Number of events.", aggregate="sum"),
    Field("table_name", "string", "", "Table that was checked."),
    Field("check_name", "string", "", "Check, by its name in the table's declaration."),
    Field("blocking", "boolean", "", "Whether a failure stops publication."),
    Field("rows_checked", "int64", "", "Rows looked at.", aggregate="sum"),
    Field("rows_failed", "int64", "", "Rows that failed.", aggregate="sum"),
)

FIELDS: dict[str, Field] = {field.name: field for field in _DECLARED}

#: Columns that identify an instrument, in the order they sort.
INSTRUMENT_KEYS: tuple[str, ...] = ("exchange", "instrument_type", "symbol")
#: These, and what is priced in what: the first columns of every table of facts.
IDENTITY: tuple[str, ...] = (*INSTRUMENT_KEYS, "base", "quote")

#: Quote currencies taken 1:1 as US dollars wherever a column or metric is called ``*_usd``.
#: That is a convention, stated here and in the docs, and not a fact: they do trade apart.
USD_LIKE: tuple[str, ...] = ("BUSD", "DAI", "FDUSD", "TUSD", "USD", "USDC", "USDP", "USDT")
