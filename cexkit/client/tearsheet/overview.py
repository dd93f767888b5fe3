"""The coin at a glance, what is listed, and what the page rests on."""

from __future__ import annotations

import polars as pl

from cexkit.client.tearsheet.components import DataTable, Section, cells, heads
from cexkit.client.tearsheet.data import TearsheetData
from cexkit.client.tearsheet.formatting import (
    UNKNOWN,
    at_least,
    format_date,
    format_minute,
    format_usd,
    number,
    percent,
)
from cexkit.client.tearsheet.key_figures import liquidated, others, stored
from cexkit.schema.asset_class import CRYPTO


def tiles(data: TearsheetData, figures: pl.DataFrame) -> list[tuple[str, str, str]]:
    """What is asked first: a name, a figure, and what it is of."""
    rates = figures["funding_apr"].drop_nulls()
    spread = " to ".join(dict.fromkeys((percent(rates.min()), percent(rates.max()))))
    interest = figures["open_interest_usd"].drop_nulls()
    forced = liquidated(data)
    values = pl.concat([forced["long_value_usd"], forced["short_value_usd"]])
    # what a venue does not show, or shows in no dollars, is not in the sum
    whole = not values.null_count() and forced["coverage"].to_list() == ["full"] * forced.height
    total = values.sum() if values.count() else None
    lead = figures.row(by_predicate=pl.col("exchange") == data.lead_perp, named=True)
    return [
        ("Price", f"{number(lead['close'])} {lead['quote']}", f"{data.lead_perp}, {format_minute(lead['close_bar'])}"),
        (
            "Open interest",
            f"{format_usd(interest.sum())} USD" if len(interest) else UNKNOWN,
            f"main perpetuals, {len(interest)} of {figures.height} venues",
        ),
        ("Funding APR", spread, f"last settlement, {len(rates)} of {figures.height} venues"),
        ("Volatility", percent(lead["realized_volatility"], 1), f"30 days, per year, {data.lead_perp}"),
        (
            "Liquidated",
            UNKNOWN if total is None else f"{at_least(total, 'full' if whole else None)} USD",
            "in the window" if whole else "in the window; a lower bound" if total is not None else "no data",
        ),
    ]


def render_key_figures(data: TearsheetData, figures: pl.DataFrame) -> Section:
    """Figures of the main perpetual of each venue, side by side."""
    rest = others(data)
    rows = [
        ("Price, quote per coin", *cells(figures, "close", number)),
        ("Price as of (UTC)", *cells(figures, "close_bar", format_minute)),
        ("Open interest, USD", *cells(figures, "open_interest_usd", format_usd)),
        ("Open interest, coins", *cells(figures, "open_interest_base", format_usd)),
        ("Open interest as of (UTC)", *cells(figures, "interest_at", format_minute)),
        ("Volume of the last day, USD", *cells(figures, "volume_usd", format_usd)),
        ("Open interest to volume of a day, ratio", *cells(figures, "oi_to_volume", lambda v: number(v, 3))),
        ("Funding APR, last settlement", *cells(figures, "funding_apr", percent)),
        ("… settled (UTC)", *cells(figures, "settled_at", format_minute)),
        ("Funding APR, mean of the window by hours", *cells(figures, "mean_apr", percent)),
        ("Funding APR, mean of the last 7 days", *cells(figures, "recent_apr", percent)),
        (f"… higher than this share of others ({rest})", *cells(figures, "above", lambda v: percent(v, 0))),
        ("Funding rank in its own last 90 settlements", *cells(figures, "funding_pct_rank", lambda v: percent(v, 0))),
        ("Funding regime", *cells(figures, "funding_regime", str)),
        ("Funding paid by longs in the window", *cells(figures, "cumulative_funding", lambda v: percent(v, 3))),
        ("… over so many days", *cells(figures, "covered_days", lambda v: number(v, 4))),
        ("Basis, last hour, bps", *cells(figures, "basis_bps", lambda v: number(v, 3))),
        ("… as of (UTC)", *cells(figures, "basis_at", format_minute)),
        ("Basis, mean of the window, bps", *cells(figures, "mean_basis_bps", lambda v: number(v, 3))),
        ("Reference of the basis", *_references(figures)),
        ("Volatility of 30 days, per year", *cells(figures, "realized_volatility", lambda v: percent(v, 1))),
        ("Drawdown now, from the high of the year", *cells(figures, "drawdown", lambda v: percent(v, 1))),
        ("Deepest drawdown of the year", *cells(figures, "max_drawdown", lambda v: percent(v, 1))),
        ("… daily bars in that year", *cells(figures, "year_bars", number)),
        ("Amihud, 30 days, bps per USD million", *cells(figures, "amihud", lambda v: number(v * 1e4, 3))),
        ("Corwin-Schultz spread, 30 days", *cells(figures, "corwin_schultz", lambda v: percent(v, 3))),
        ("Share of the venue in volume, mean", *cells(figures, "mean_share", lambda v: percent(v, 1))),
    ]
    note = (
        "The main perpetual of a venue is the one with the most data in the window; of several with nearly as much, "
        "the one with the highest volume, then a linear one. Open interest and volume are its own; the share covers "
        "all of the coin’s perpetuals there. The others are all perpetuals of other coins on these "
        f"venues{_left_out(data)}. "
        f"{UNKNOWN} is unknown.{_missing_settlements(figures)}"
    )
    grid = DataTable("Main perpetual of each venue", ["", *heads(data)], rows, note)
    lead = (
        "Rates are per year of 365 days. The year is that before the end of the window, or what the dataset has of it. "
        "A venue’s figures are of the last time that it has."
    )
    return Section("figures", "Key figures", lead, tables=[grid])


def _references(figures: pl.DataFrame) -> list[str]:
    """Name what each basis is over, with the quote of a spot pair that differs from the perpetual's."""
    rows = figures.select("quote", "reference_name", "reference_quote").rows()
    return [
        UNKNOWN if name is None else name if reference in (None, quote) else f"{name} ({quote} over {reference})"
        for quote, name, reference in rows
    ]


def _missing_settlements(figures: pl.DataFrame) -> str:
    """Name the venues whose funding has no sum although settlements are known."""
    venues = figures.filter(pl.col("cumulative_funding").is_null(), pl.col("covered_days").is_not_null())["exchange"]
    if venues.is_empty():
        return ""
    return f" What longs paid on {', '.join(venues)} is unknown, because settlements are missing in the window."


def _left_out(data: TearsheetData) -> str:
    """Name the number of perpetuals that are not compared because of their class."""
    count = data.outsiders.height
    reason = "known not to be coins" if data.asset_class == CRYPTO else f"not known to be {data.asset_class}"
    return f", without {count} perpetuals {reason}" if count else ""


def contracts(data: TearsheetData) -> Section:
    """What is listed, in the venues' own units."""
    head = [
        *("", "status", "quote", "settles in", "coins per unit", "units per contract", "inverse", "tick", "lot, units"),
        *("funding every, h", "listed", "delisted"),
    ]
    rows = [
        [
            f"{one['exchange']} {one['symbol']}",
            one["status"] or UNKNOWN,
            one["quote"],
            one["settle"] or UNKNOWN,
            number(one["multiplier"]),
            number(one["contract_size"]),
            UNKNOWN if one["inverse"] is None else "yes" if one["inverse"] else "no",
            number(one["tick_size"]),
            number(one["lot_size"]),
            number(one["funding_interval_hours"]),
            format_date(one["listing_time"]),
            format_date(one["delisting_time"]),
        ]
        for one in data.perps.instruments.rows(named=True)
    ]
    lead = (
        "All perpetuals of the coin, in the venue’s own units. Elsewhere on this page prices are per coin and amounts "
        "in coins. The funding interval is the present one; it changes."
    )
    return Section("contracts", "Contracts", lead, tables=[DataTable("Terms", head, rows)])


def quality(data: TearsheetData) -> Section:
    """What the page rests on."""
    rows = [
        [
            one["table"],
            number(one["rows"]),
            one["venues"] or "none",
            format_minute(one["first"]),
            format_minute(one["last"]),
            number(one["missing"]),
            number(one["rows_checked"]),
            number(one["rows_failed"]),
        ]
        for one in stored(data).rows(named=True)
    ]
    head = ["", "rows", "venues", "first (UTC)", "last (UTC)", "missing between", "checked", "failed"]
    note = (
        "Rows are of this coin’s perpetuals in the window (bars at their open). Missing between: bars and snapshots "
        "that are not there between the first and the last of an instrument; of funding, settlements after a gap. "
        f"Checked and failed: rows of all coins at these venues, every check of the dataset. {UNKNOWN}: not counted."
    )
    lead = f"The dataset was last written {format_minute(data.market.updated)} UTC."
    if days := data.aggregated_days.group_by("exchange", "symbol").len().sort("exchange", "symbol").rows():
        names = ", ".join(f"{exchange} {symbol} {number(count)}" for exchange, symbol, count in days)
        lead += f" Days without a daily bar are aggregated from their 24 hourly bars: {names}."
    return Section("quality", "Data quality", lead, tables=[DataTable("What the page rests on", head, rows, note)])
