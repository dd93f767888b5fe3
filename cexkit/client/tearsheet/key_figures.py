"""Figures of a tearsheet. Each is a metric's, at the end of the window or summed up over it; no formula is here."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from cexkit.analytics.basis.basis import basis_bps
from cexkit.analytics.cross_venue import volume_share
from cexkit.analytics.funding.rates import cumulative_funding, funding_apr, funding_interval
from cexkit.analytics.funding.statistics import funding_pct_rank, funding_regime
from cexkit.analytics.liquidations.cascades import liquidation_cascades
from cexkit.analytics.liquidations.summary import liquidation_summary
from cexkit.analytics.liquidity import amihud, corwin_schultz
from cexkit.analytics.open_interest import oi_to_volume
from cexkit.analytics.plotting._series import with_usd
from cexkit.analytics.prices import drawdown
from cexkit.analytics.volatility import ESTIMATORS, realized_volatility
from cexkit.client.tearsheet.data import DAY, TearsheetData, mean_funding_apr
from cexkit.schema import INSTRUMENT_KEYS, TABLES

#: Bars of a day in the window of volatility and liquidity.
BARS = 30


def last(rows: pl.DataFrame, *columns: str) -> pl.DataFrame:
    """The last row of each venue: these columns as they stand there, null where they are null, and its time."""
    return (
        rows.sort("timestamp")
        .group_by("exchange", maintain_order=True)
        .last()
        .select("exchange", "timestamp", *columns)
    )


def compute_key_figures(data: TearsheetData) -> pl.DataFrame:
    """One row a venue, of its main perpetual; null is unknown."""
    table = data.main_perps.select("exchange", "symbol", "quote")
    for part in (
        _prices(data),
        _interest(data),
        _funding(data),
        _basis(data),
        _liquidity(data),
        venue_means(data),
    ):
        table = table.join(part, on="exchange", how="left", maintain_order="left")
    return table


def _prices(data: TearsheetData) -> pl.DataFrame:
    year = data.of_main_perps(data.year)
    bars = drawdown(year)
    lowest = bars.group_by("exchange").agg(max_drawdown=pl.col("drawdown").min(), year_bars=pl.len())
    close = last(bars, "close", "drawdown").rename({"timestamp": "close_bar"})
    volatility = last(realized_volatility(year, window=BARS, interval="1d"), "realized_volatility")
    joined = close.join(lowest, on="exchange").join(volatility.drop("timestamp"), on="exchange")
    return joined.with_columns(pl.col("close_bar") + DAY)


def _interest(data: TearsheetData) -> pl.DataFrame:
    interest = with_usd(data.of_main_perps(data.open_interest), "open_interest_usd", "tearsheet")
    volume = last(with_usd(data.of_main_perps(data.daily), "volume_usd", "tearsheet"), "volume_usd")
    # of the day that ends with the window; an older volume is not set against newer open interest
    volume = volume.filter(pl.col("timestamp") == data.end - DAY).drop("timestamp")
    newest = last(interest, "open_interest_usd", "open_interest_base").rename({"timestamp": "interest_at"})
    return oi_to_volume(newest.join(volume, on="exchange", how="full", coalesce=True))


def _funding(data: TearsheetData) -> pl.DataFrame:
    rows = funding_apr(funding_interval(data.of_main_perps(data.funding)))
    mean = mean_funding_apr(rows, "exchange")
    paid = last(cumulative_funding(rows), "cumulative_funding")
    past = last(funding_regime(funding_pct_rank(rows)), "funding_apr", "funding_pct_rank", "funding_regime")
    table = past.rename({"timestamp": "settled_at"}).join(paid.drop("timestamp"), on="exchange")
    return table.join(mean, on="exchange", how="left").join(against_others(data), on="exchange", how="left")


def against_others(data: TearsheetData) -> pl.DataFrame:
    """Mean APR of the last days, the share of other coins' perpetuals that have a lower one, and their median.

    Of those that have the same, half count.
    """
    recent = data.recent
    others = recent.filter(pl.col("base") != data.base).select(other="recent_apr")
    own = recent.join(data.main_perps.select("exchange", "symbol"), on=["exchange", "symbol"], how="semi")
    below = (pl.col("other") < pl.col("recent_apr")).mean()
    same = (pl.col("other") == pl.col("recent_apr")).mean()
    ranks = (
        own.join(others, how="cross").group_by("exchange").agg(above=below + same / 2, median=pl.col("other").median())
    )
    return own.select("exchange", "recent_apr").join(ranks, on="exchange", how="left")


def others(data: TearsheetData) -> int:
    """How many perpetuals of other coins these are."""
    return data.recent.filter(pl.col("base") != data.base).height


def others_in_window(data: TearsheetData) -> int:
    """Return the number of perpetuals of other coins with settlements in the window."""
    return data.all_funding.filter(pl.col("base") != data.base).select(INSTRUMENT_KEYS).n_unique()


def priced_days(data: TearsheetData) -> pl.DataFrame:
    """Return the daily bars of the window; no rows if none of them has a volume in dollars."""
    known = with_usd(data.daily, "volume_usd", "tearsheet")["volume_usd"].count()
    return data.daily if known else data.daily.clear()


def _basis(data: TearsheetData) -> pl.DataFrame:
    rows = basis_bps(data.of_main_perps(data.basis_prices))
    means = rows.group_by("exchange").agg(mean_basis_bps=pl.col("basis_bps").mean())
    newest = last(rows, "basis_bps", "reference_name", "reference_quote").rename({"timestamp": "basis_at"})
    return newest.join(means, on="exchange", how="left")


def _liquidity(data: TearsheetData) -> pl.DataFrame:
    bars = data.of_main_perps(data.year)
    values = corwin_schultz(amihud(bars, window=BARS, interval="1d"), window=BARS, interval="1d")
    return last(values, "amihud", "corwin_schultz").drop("timestamp")


def venue_means(data: TearsheetData) -> pl.DataFrame:
    """Volume of a day and share in it of each venue, all its perpetuals together, means of the window."""
    shares = volume_share(data.daily)
    means = shares.group_by("exchange").agg(
        mean_share=pl.col("volume_share").mean(), mean_volume_usd=pl.col("volume_usd").mean()
    )
    return means.sort("mean_volume_usd", "exchange", descending=[True, False], nulls_last=True)


def estimates(data: TearsheetData) -> pl.DataFrame:
    """Volatility per year by each estimator, of the last bars of a day."""
    bars = data.of_main_perps(data.year)
    table = data.main_perps.select("exchange")
    for name in ESTIMATORS:
        values = realized_volatility(bars, window=BARS, estimator=name, interval="1d")
        one = last(values, "realized_volatility").select("exchange", pl.col("realized_volatility").alias(name))
        table = table.join(one, on="exchange", how="left", maintain_order="left")
    return table


def liquidated(data: TearsheetData) -> pl.DataFrame:
    """One row a venue: events and value by side of the position, and coverage; null where there is nothing."""
    venues = data.perps.instruments.select("exchange").unique().sort("exchange")
    totals = liquidation_summary(data.liquidations, every="1d", by="exchange")
    sides = [
        total
        for side in ("long", "short")
        for total in (
            pl.col("events").filter(side=side).sum().alias(f"{side}_events"),
            _whole("value_usd", pl.col("side") == side).alias(f"{side}_value_usd"),
        )
    ]
    coverage = pl.when(pl.col("coverage").is_not_null().all()).then(
        pl.when((pl.col("coverage") == "full").all()).then(pl.lit("full")).otherwise(pl.lit("throttled"))
    )
    found = totals.group_by("exchange").agg(*sides, coverage=coverage.otherwise(pl.lit("unknown")))
    return venues.join(found, on="exchange", how="left", maintain_order="left")


def _whole(column: str, where: pl.Expr) -> pl.Expr:
    """A sum, null where a part of it is unknown."""
    part = pl.col(column).filter(where)
    return pl.when(part.is_not_null().all()).then(part.sum())


def cascades(data: TearsheetData) -> pl.DataFrame:
    """Cascades over all venues, the largest first."""
    values = pl.exclude("open_interest_quote", "open_interest_usd")
    snapshots = data.open_interest.select(values).with_columns(multiplier=pl.lit(1.0))
    rows = pl.concat([data.liquidations, snapshots], how="diagonal")
    found = liquidation_cascades(rows, min_events=3)
    return found.sort("value_usd", "start", descending=[True, False], nulls_last=True)


def stored(data: TearsheetData) -> pl.DataFrame:
    """One row a table: rows in the window, first and last, rows missing in between, and what checks found."""
    checks = data.quality.group_by("table_name").agg(pl.col("rows_checked").sum(), pl.col("rows_failed").sum())
    rows = [_stored(data, name) for name in _READ]
    return pl.DataFrame(rows, schema=_STORED, orient="row").join(
        checks, left_on="table", right_on="table_name", how="left", maintain_order="left"
    )


#: Tables that the page rests on, and where they are read.
_READ = {
    "ohlcv_1d": "stored_daily",
    "ohlcv_1h": "hourly",
    "index_1h": "index",
    "funding_rates": "funding",
    "open_interest": "open_interest",
    "liquidations": "liquidations",
}
_STORED = {
    "table": pl.String,
    "rows": pl.Int64,
    "venues": pl.String,
    "first": pl.Datetime("us", "UTC"),
    "last": pl.Datetime("us", "UTC"),
    "missing": pl.Int64,
}


def _stored(data: TearsheetData, name: str) -> tuple[str, int, str, datetime | None, datetime | None, int | None]:
    rows = getattr(data, _READ[name])
    venues = ", ".join(rows["exchange"].unique().sort())
    return name, rows.height, venues, rows["timestamp"].min(), rows["timestamp"].max(), _missing(rows, name)


def _missing(rows: pl.DataFrame, name: str) -> int | None:
    """Rows that are not there between the first and the last of each instrument; None where none are due."""
    if not rows.height or name == "liquidations":
        return None
    if name == "funding_rates":
        return int(funding_interval(rows)["is_gap"].sum())
    step = TABLES[name].bar
    due = (pl.col("timestamp").max() - pl.col("timestamp").min()) / step + 1
    return int(rows.group_by("exchange", "symbol").agg(missing=due - pl.len())["missing"].sum())
