"""The simulated market as tables of the declared schema."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import cache, partial
from typing import Any

import polars as pl

from cexkit.errors import InvalidInputError, UnknownNameError, UnknownTableError
from cexkit.schema import IDENTITY, TABLES
from cexkit.schema.intervals import TimeLike, Window, utc
from cexkit.schema.render import to_polars
from cexkit.testing.simulation import bars, funding, positions
from cexkit.testing.simulation.coins import CoinPaths, Market
from cexkit.testing.simulation.draws import Draws
from cexkit.testing.simulation.prices import Prices
from cexkit.testing.simulation.world import COINS, HISTORY, LISTINGS, MINUTES_FROM_HOUR, VENUES, Listing, hour

#: Seed of the embedded sample, chosen among a few hundred for prices that do not run away.
SEED = 20250841


def simulate(
    seed: int = SEED,
    start: TimeLike = HISTORY.start,
    end: TimeLike = HISTORY.end,
    coins: Collection[str] | None = None,
    exchanges: Collection[str] | None = None,
) -> SimulatedMarket:
    """A market of spot and perpetual swaps on four venues: real names, simulated numbers.

    Numbers depend on the seed alone. A smaller window, fewer coins or fewer venues give the same rows, only fewer.

    Parameters
    ----------
    seed : int
        The world to make.
    start, end : str, date or datetime
        Half-open window of whole UTC days within ``HISTORY`` (2025-05-01 to 2026-07-01).
    coins, exchanges : collection of str, optional
        Which to include; all by default.

    Returns
    -------
    SimulatedMarket
        Its ``tables`` are made when first asked for.

    Raises
    ------
    InvalidInputError
        If the window is not of whole days or leaves simulated time.
    UnknownNameError
        If a coin or venue is not simulated.

    Examples
    --------
    >>> market = simulate(start="2025-10-10", end="2025-10-11", coins=["BTC"], exchanges=["binance"])
    >>> market.tables["funding_rates"].select("symbol", "funding_rate").row(-1)
    ('BTCUSDT', ...)
    """
    window = Window.of(start, end)
    if not HISTORY.start <= window.start < window.end <= HISTORY.end:
        raise InvalidInputError(f"simulated time is {HISTORY}; the window {window} is empty or leaves it")
    if any(moment != utc(moment.date()) for moment in (window.start, window.end)):
        raise InvalidInputError(f"the window must begin and end at midnight UTC: {window}")
    coins = _known("coin", coins, COINS)
    exchanges = _known("exchange", exchanges, VENUES)
    listings = tuple(item for item in LISTINGS if item.base in coins and item.exchange in exchanges)
    return SimulatedMarket(seed, window, listings)


def _known(what: str, names: Collection[str] | None, known: Collection[str]) -> Collection[str]:
    for name in names if names is not None else ():
        if name not in known:
            raise UnknownNameError.of(what, name, known)
    return known if names is None else names


class SimulatedMarket:
    """One simulated world, seen through a window.

    Attributes
    ----------
    window : Window
        Its time.
    listings : tuple of Listing
        Its instruments.
    tables : Mapping of str to polars.DataFrame
        Silver tables by name, conforming and in the order of their keys. ``ohlcv_1m`` and ``liquidations`` exist only
        from ``MINUTES_FROM`` (2026-05-02) on.
    """

    def __init__(self, seed: int, window: Window, listings: tuple[Listing, ...]) -> None:
        self.window, self.listings = window, listings
        factor = Market(Draws(seed))
        # the paths are kept and shared by all tables; each is a few megabytes
        coin = cache(lambda base: CoinPaths(base, factor))
        self.prices: Callable[[Listing], Prices] = cache(lambda listing: Prices(listing, coin(listing.base)))
        self.hour_bars: Callable[[Listing], pl.DataFrame] = cache(self._hour_bars)
        self.tables: Mapping[str, pl.DataFrame] = _Tables(self)

    def __repr__(self) -> str:
        return f"SimulatedMarket({self.window}, {len(self.listings)} instruments)"

    def _hour_bars(self, listing: Listing) -> pl.DataFrame:
        return bars.hour_bars(self.prices(listing), *self.hours(listing))

    def hours(self, listing: Listing, first: int = 0) -> tuple[int, int]:
        """The hours of the window, from ``first`` on, in which an instrument is traded; may be an empty range."""
        start = max(hour(self.window.start), listing.life[0], first)
        return start, max(start, min(hour(self.window.end), listing.life[1]))

    def make(self, name: str) -> pl.DataFrame:
        """Make one table anew."""
        recipe = _RECIPES[name]
        names, schema = TABLES[name].columns, to_polars(TABLES[name])
        rows = [_identified(recipe(self, listing), listing).select(names).cast(schema) for listing in self._in(name)]
        frame = pl.concat([schema.to_frame(), *rows])
        if TABLES[name].time is None:
            return frame
        return frame.filter(pl.col("timestamp").is_between(self.window.start, self.window.end, closed="left"))

    def _in(self, name: str) -> Iterator[Listing]:
        """Instruments that have rows in a table."""
        for listing in self.listings:
            start, end = self.hours(listing, MINUTES_FROM_HOUR if name in _FROM_MINUTES else 0)
            offered = listing.venue.references or name not in _REFERENCES
            traded = start < end or (name in _LISTINGS and listing.life[0] < hour(self.window.end))
            if traded and offered and listing.instrument_type in TABLES[name].instrument_types:
                yield listing


class _Tables(Mapping[str, pl.DataFrame]):
    """Tables by name, each made when first asked for."""

    def __init__(self, market: SimulatedMarket) -> None:
        self._make = cache(market.make)

    def __getitem__(self, name: str) -> pl.DataFrame:
        if name not in _RECIPES:
            raise UnknownTableError.of("simulated table", name, _RECIPES)
        return self._make(name)

    def __iter__(self) -> Iterator[str]:
        return iter(_RECIPES)

    def __len__(self) -> int:
        return len(_RECIPES)


def _identified(rows: pl.DataFrame, listing: Listing) -> pl.DataFrame:
    """Add the identity and the multiplier, which never changes."""
    names = (*IDENTITY, "multiplier")
    return rows.with_columns(pl.lit(getattr(listing, name)).alias(name) for name in names)


def _instrument(market: SimulatedMarket, listing: Listing) -> pl.DataFrame:
    """The listing as its venue last showed it: at the end of the window, or when it was delisted."""
    return (
        _periods(market, listing)
        .tail(1)
        .with_columns(observed_at=pl.min_horizontal("delisting_time", pl.lit(market.window.end)))
    )


def _periods(market: SimulatedMarket, listing: Listing) -> pl.DataFrame:
    """The spans between changes that the venue showed by the end of the window; it shows each at once."""
    gone = listing.coin.delisted
    delisted = gone is not None and gone <= market.window.end
    changes = [(moment, hours) for moment, hours in listing.intervals[1:] if moment < market.window.end]
    first = listing.intervals[0][1] if listing.intervals else None
    hours = {listing.coin.listed: first, **dict(changes)}
    rows = [_terms(listing) | {"valid_from": moment, "funding_interval_hours": each} for moment, each in hours.items()]
    if delisted:
        rows.append(rows[-1] | {"valid_from": gone, "delisting_time": gone, "status": "delisted"})
    return pl.DataFrame(rows, infer_schema_length=None).with_columns(valid_to=pl.col("valid_from").shift(-1))


def _terms(listing: Listing) -> dict[str, Any]:
    return {
        "venue_symbol": listing.venue_symbol,
        "settle": listing.quote,
        "contract_size": listing.contract_size,
        "inverse": False,
        "tick_size": float(f"1e{-listing.price_decimals}"),
        "lot_size": float(f"1e{-listing.lot_decimals}"),
        "status": "trading",
        "listing_time": listing.coin.listed,
        "delisting_time": None,
        "expiry": None,
        "asset_class": listing.asset_class,
    }


def _ohlcv_1m(market: SimulatedMarket, listing: Listing) -> pl.DataFrame:
    hours = market.hours(listing, MINUTES_FROM_HOUR)
    return bars.published(bars.minute_bars(market.prices(listing), *hours), listing)


def _ohlcv_1h(market: SimulatedMarket, listing: Listing) -> pl.DataFrame:
    return bars.published(market.hour_bars(listing), listing)


def _ohlcv_1d(market: SimulatedMarket, listing: Listing) -> pl.DataFrame:
    return bars.published(bars.aggregate(market.hour_bars(listing), "1d"), listing)


def _reference_1h(which: str, market: SimulatedMarket, listing: Listing) -> pl.DataFrame:
    return bars.reference(market.prices(listing), which, *market.hours(listing))


def _funding_rates(market: SimulatedMarket, listing: Listing) -> pl.DataFrame:
    return funding.funding_rates(market.prices(listing))


def _open_interest(market: SimulatedMarket, listing: Listing) -> pl.DataFrame:
    return positions.open_interest(market.prices(listing), *market.hours(listing))


def _liquidations(market: SimulatedMarket, listing: Listing) -> pl.DataFrame:
    return positions.liquidations(market.prices(listing))


_RECIPES: dict[str, Callable[[SimulatedMarket, Listing], pl.DataFrame]] = {
    "instruments": _instrument,
    "instrument_periods": _periods,
    "ohlcv_1m": _ohlcv_1m,
    "ohlcv_1h": _ohlcv_1h,
    "ohlcv_1d": _ohlcv_1d,
    "mark_1h": partial(_reference_1h, "mark"),
    "index_1h": partial(_reference_1h, "index"),
    "funding_rates": _funding_rates,
    "open_interest": _open_interest,
    "liquidations": _liquidations,
}
_LISTINGS = ("instruments", "instrument_periods")
_FROM_MINUTES = ("ohlcv_1m", "liquidations")
_REFERENCES = ("mark_1h", "index_1h")
