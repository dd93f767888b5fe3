"""The simulated world: its time, coins, venues, and instruments.

Coins and venues have real names, so that code written on the simulated market runs on real data. Every number is
invented: prices, dates of listing and delisting, changes of interval, and shares of volume.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cexkit.schema.intervals import Window, utc
from cexkit.schema.symbols import canonical

#: The simulated period.
HISTORY = Window.of("2025-05-01", "2026-07-01")
#: Hours are built from minutes from this time on. One-minute bars and liquidations start here.
MINUTES_FROM = datetime(2026, 5, 2, tzinfo=UTC)

HOUR = timedelta(hours=1)


def hour(moment: datetime) -> int:
    """Return the whole hours from the start of history to a time, rounded up.

    Examples
    --------
    >>> hour(datetime(2025, 5, 2, tzinfo=UTC))
    24
    """
    return -((HISTORY.start - moment) // HOUR)


#: Total hours, and the first hour that is built from minutes.
HOURS = hour(HISTORY.end)
MINUTES_FROM_HOUR = hour(MINUTES_FROM)


@dataclass(frozen=True, slots=True)
class Shock:
    """A fall of the whole market within one minute, followed by days of higher volatility."""

    at: datetime
    market_return: float
    log_volatility: float


SHOCKS = (
    Shock(utc("2025-10-10T21:00"), -0.09, 1.5),
    Shock(utc("2026-02-03T14:00"), -0.05, 1.0),
    Shock(utc("2026-05-20T13:00"), -0.06, 1.2),
)


_LONG_AGO = utc("2021-01-11T08:00")


@dataclass(frozen=True, slots=True)
class Coin:
    """A coin: its initial price, dynamics, and traded volume.

    ``price`` is in USD at the start of history. ``volatility`` is annual and covers only the coin's own returns, to
    which ``beta`` times the market is added. ``spread`` scales price differences between venues and between spot and
    perps. Daily volumes and open interest are in millions of USD over all venues. ``spot_decimals`` and
    ``perp_decimals`` are the decimals of prices and of quantities.
    """

    price: float
    beta: float
    volatility: float
    spread: float
    spot_volume: float
    perp_volume: float
    open_interest: float
    spot_decimals: tuple[int, int]
    perp_decimals: tuple[int, int]
    listed: datetime = _LONG_AGO
    delisted: datetime | None = None


COINS: dict[str, Coin] = {
    "BTC": Coin(94_200.0, 1.0, 0.10, 1.0, 5_000, 30_000, 18_000, (1, 4), (1, 3)),
    "ETH": Coin(1_790.0, 1.25, 0.30, 1.1, 2_500, 18_000, 9_000, (1, 3), (1, 2)),
    "SOL": Coin(147.0, 1.4, 0.40, 1.3, 900, 6_000, 3_500, (2, 2), (2, 1)),
    "XRP": Coin(2.19, 1.15, 0.45, 1.4, 700, 3_000, 2_000, (4, 0), (4, 0)),
    "DOGE": Coin(0.173, 1.4, 0.45, 1.5, 400, 2_000, 1_200, (5, 0), (5, -1)),
    "PEPE": Coin(8.7e-6, 1.6, 0.70, 2.0, 200, 1_000, 450, (9, -3), (9, -6)),
    "WIF": Coin(0.61, 1.6, 0.75, 2.2, 80, 400, 250, (4, 0), (4, 0), listed=utc("2025-09-16T13:00")),
    "FTT": Coin(0.96, 0.6, 0.80, 3.0, 10, 20, 15, (4, 0), (4, 0), delisted=utc("2025-11-28T09:00")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """A venue: its listings, market share, columns, and funding rule.

    ``funding`` names the rule in :mod:`cexkit.testing.simulation.funding`. ``cap`` is the largest rate of one
    settlement, first for BTC and ETH, then for the other coins. ``liquidations`` is the coverage of the liquidation
    stream. ``references`` is true if the venue has bars of mark and index prices.
    """

    spot: tuple[str, ...]
    perps: tuple[str, ...]
    spot_quote: str
    perp_quote: str
    spot_share: float
    perp_share: float
    premium_bps: float
    funding: str
    cap: tuple[float, float]
    liquidations: str
    liquidation_price: str = "bankruptcy"
    thousands: bool = False
    counts_takers: bool = False
    spot_quote_volume: bool = True
    references: bool = True


_ALL = tuple(COINS)
_NO_FTT = tuple(name for name in COINS if name != "FTT")

VENUES: dict[str, Venue] = {
    "binance": Venue(
        spot=_ALL,
        perps=_ALL,
        spot_quote="USDT",
        perp_quote="USDT",
        spot_share=0.50,
        perp_share=0.48,
        premium_bps=0.2,
        funding="rising_average",
        cap=(0.003, 0.02),
        liquidations="throttled",
        liquidation_price="average_fill",
        thousands=True,
        counts_takers=True,
    ),
    "bybit": Venue(
        spot=_NO_FTT,
        perps=_ALL,
        spot_quote="USDT",
        perp_quote="USDT",
        spot_share=0.20,
        perp_share=0.25,
        premium_bps=0.8,
        funding="rising_average",
        cap=(0.005, 0.02),
        liquidations="full",
        thousands=True,
    ),
    "coinbase": Venue(
        spot=_NO_FTT,
        perps=("BTC", "ETH", "SOL", "XRP", "DOGE"),
        spot_quote="USD",
        perp_quote="USDC",
        spot_share=0.15,
        perp_share=0.03,
        premium_bps=1.0,
        funding="dead_zone",
        cap=(0.000625, 0.000625),
        liquidations="absent",
        spot_quote_volume=False,
        references=False,
    ),
    "okx": Venue(
        spot=_ALL,
        perps=_NO_FTT,
        spot_quote="USDT",
        perp_quote="USDT",
        spot_share=0.15,
        perp_share=0.24,
        premium_bps=0.5,
        funding="plain_average",
        cap=(0.00375, 0.015),
        liquidations="throttled",
    ),
}

#: Hours between settlements, by venue and coin; other perps settle every hour on Coinbase and every 8 hours elsewhere.
_HOURS = {("binance", "PEPE"): 4, ("bybit", "PEPE"): 4, ("binance", "WIF"): 4, ("bybit", "WIF"): 4, ("okx", "WIF"): 4}
#: Changes of the interval: the time of each change, and the new hours.
_CHANGES = {
    ("binance", "DOGE"): ((utc("2025-12-03T08:00"), 4),),
    ("binance", "WIF"): ((utc("2026-05-20T16:00"), 1),),
    ("bybit", "PEPE"): ((utc("2025-10-11T00:00"), 1), (utc("2025-10-14T00:00"), 4)),
}
#: Settlements that took place but are missing from the data.
_GAPS = {("okx", "SOL"): Window.of("2025-11-18", "2025-11-20")}
_OKX_CONTRACT = {
    "BTC": 0.01,
    "ETH": 0.1,
    "SOL": 1.0,
    "XRP": 100.0,
    "DOGE": 1_000.0,
    "PEPE": 10_000_000.0,
    "WIF": 1.0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One instrument of the simulated world."""

    exchange: str
    instrument_type: str
    base: str
    quote: str
    symbol: str
    venue_symbol: str
    multiplier: float = 1.0
    contract_size: float = 1.0
    price_decimals: int
    lot_decimals: int
    intervals: tuple[tuple[datetime, int], ...] = ()
    gap: Window | None = None

    @property
    def coin(self) -> Coin:
        """The instrument's base coin."""
        return COINS[self.base]

    @property
    def venue(self) -> Venue:
        """The venue that lists the instrument."""
        return VENUES[self.exchange]

    @property
    def asset_class(self) -> str | None:
        """Class of what is priced, where the venue states one."""
        stated = self.exchange in ("bybit", "okx") or (self.exchange == "binance" and self.instrument_type != "spot")
        return "crypto" if stated else None

    @property
    def name(self) -> str:
        """Name of the instrument's random streams."""
        return f"{self.exchange} {self.instrument_type} {self.symbol}"

    @property
    def life(self) -> tuple[int, int]:
        """First hour of trading and the hour after the last, counted from the start of history."""
        last = HISTORY.end if self.coin.delisted is None else self.coin.delisted
        return max(hour(self.coin.listed), 0), hour(last)


def _spot(exchange: str, base: str) -> Listing:
    quote = VENUES[exchange].spot_quote
    prices, lots = COINS[base].spot_decimals
    dashed = exchange in ("coinbase", "okx")
    return Listing(
        exchange=exchange,
        instrument_type="spot",
        base=base,
        quote=quote,
        symbol=canonical(base, quote),
        venue_symbol=f"{base}-{quote}" if dashed else f"{base}{quote}",
        price_decimals=prices,
        lot_decimals=lots,
    )


def _perp(exchange: str, base: str) -> Listing:
    venue = VENUES[exchange]
    thousands = 3 if venue.thousands and base == "PEPE" else 0
    prices, lots = COINS[base].perp_decimals
    listed, quote = ("1000" if thousands else "") + base, venue.perp_quote
    names = {"okx": f"{base}-{quote}-SWAP", "coinbase": f"{base}_{quote}-PERPETUAL"}
    hours = 1 if exchange == "coinbase" else _HOURS.get((exchange, base), 8)
    begin = max(COINS[base].listed, HISTORY.start)
    return Listing(
        exchange=exchange,
        instrument_type="perp",
        base=base,
        quote=quote,
        symbol=canonical(listed, quote),
        venue_symbol=names.get(exchange, f"{listed}{quote}"),
        multiplier=10.0**thousands,
        contract_size=_OKX_CONTRACT[base] if exchange == "okx" else 1.0,
        price_decimals=prices - thousands,
        lot_decimals=lots + thousands,
        intervals=((begin, hours), *_CHANGES.get((exchange, base), ())),
        gap=_GAPS.get((exchange, base)),
    )


#: Every instrument, sorted by exchange, instrument type, and symbol.
LISTINGS: tuple[Listing, ...] = tuple(
    sorted(
        [_spot(name, base) for name, venue in VENUES.items() for base in venue.spot]
        + [_perp(name, base) for name, venue in VENUES.items() for base in venue.perps],
        key=lambda listing: (listing.exchange, listing.instrument_type, listing.symbol),
    )
)
