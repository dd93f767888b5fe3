"""Tearsheet sections on price, funding, basis, volatility, and liquidity."""

from __future__ import annotations

import polars as pl

from cexkit.analytics import plotting
from cexkit.analytics.cross_venue import herfindahl
from cexkit.client.tearsheet import key_figures
from cexkit.client.tearsheet.components import DataTable, Section, cells, heads, no_data, render_figure
from cexkit.client.tearsheet.data import TearsheetData
from cexkit.client.tearsheet.formatting import format_usd, number, percent

ESTIMATORS = {
    "close": "Close to close",
    "parkinson": "Parkinson",
    "garman_klass": "Garman-Klass",
    "rogers_satchell": "Rogers-Satchell",
    "yang_zhang": "Yang-Zhang",
}


def price(data: TearsheetData) -> Section:
    """Build the section on price and open interest."""
    # Four snapshots per day are as many as the plot can resolve.
    interest = data.open_interest.filter(pl.col("timestamp").dt.hour() % 6 == 0)
    year = data.of_lead(data.year)
    return Section(
        "price",
        "Price and open interest",
        f"The price is the daily close of {data.lead_perp}.",
        [
            render_figure(
                data,
                "interest",
                "Open interest by venue, with the price",
                "All perpetuals, one-sided, in dollars: the venue’s value, else coins at the last mark or trade price. "
                "Blank where a venue has no snapshot.",
                lambda ax: plotting.open_interest(interest, prices=data.closes, ax=ax),
                rows=interest,
                of="open interest",
            ),
            render_figure(
                data,
                "drawdown",
                "Drawdown of the year",
                f"From the highest close of the 365 days before the end of the window, {data.lead_perp}.",
                lambda ax: plotting.drawdown(year, ax=ax),
                rows=year,
                of="daily bars",
                window=False,
            ),
        ],
    )


def funding(data: TearsheetData) -> Section:
    """Build the section on annualized funding, its cumulative amount, and a comparison with other coins."""
    rows = data.of_main_perps(data.funding)
    votes = key_figures.others_in_window(data)
    return Section(
        "funding",
        "Funding",
        "Settled rates, each annualized by its own interval. Positive: longs pay shorts.",
        [
            render_figure(
                data,
                "apr",
                "Funding APR by venue",
                "Simple, not compounded. Gaps in the data stay gaps.",
                lambda ax: plotting.funding_apr(rows, ax=ax),
                rows=rows,
                of="funding",
            ),
            render_figure(
                data,
                "paid",
                "Funding paid by a long, cumulative",
                "Sum of the settled rates since the start of the window, of the value of the position.",
                lambda ax: plotting.cumulative_funding(rows, ax=ax),
                rows=rows,
                of="funding",
            ),
            render_figure(
                data,
                "band",
                "Funding APR against all other coins",
                f"Mean of each UTC day. Each of the others ({votes}) has one vote in the band.",
                lambda ax: plotting.funding_band(_compared(data), base=data.base, ax=ax),
                rows=rows if votes else rows.clear(),
                of="funding of this and other coins",
            ),
        ],
        [_against(data)],
    )


def _compared(data: TearsheetData) -> pl.DataFrame:
    """Return all funding; of the coin itself only the main perpetuals, renamed to the coin and distinct by venue."""
    keys = ["exchange", "symbol"]
    own = data.all_funding.join(data.main_perps.select(keys), on=keys, how="semi")
    own = own.with_columns(symbol=pl.lit(data.base))
    return pl.concat([data.all_funding.filter(pl.col("base") != data.base), own])


def _against(data: TearsheetData) -> DataTable:
    table = data.main_perps.select("exchange").join(
        key_figures.against_others(data), on="exchange", maintain_order="left"
    )
    rows = [
        [one["exchange"], percent(one["recent_apr"]), percent(one["above"], 0), percent(one["median"])]
        for one in table.rows(named=True)
    ]
    head = ["", "APR, mean of 7 days", "higher than", "median of others"]
    note = f"Higher than this share of {key_figures.others(data)} perpetuals of other coins; of equal ones half count."
    return DataTable("The last 7 days against other coins", head, rows, note, no_data("funding"), half=True)


def basis(data: TearsheetData) -> Section:
    """Build the section on the basis over index or spot, and on dated futures by expiry."""
    rows = data.of_main_perps(data.basis_prices)
    columns = ("exchange", "quote", "reference_name", "reference_quote")
    pairs = rows.select(columns).unique("exchange").sort("exchange")
    words = ", ".join(f"{venue} over its {name}" for venue, _, name, _ in pairs.rows())
    without = ", ".join(venue for venue in data.main_perps["exchange"] if venue not in pairs["exchange"])
    lead = f"Hourly closes of perpetuals: {words or 'none'}."
    if mixed := [row for row in pairs.rows() if row[3] not in (None, row[1])]:
        premia = ", ".join(f"{venue} ({quote} over {reference})" for venue, quote, _, reference in mixed)
        lead += f" Across quote currencies, the basis contains the premium of one over the other: {premia}."
    return Section(
        "basis",
        "Basis",
        f"{lead} Without an index or a spot pair to compare: {without}." if without else lead,
        [
            render_figure(
                data,
                "basis",
                "Basis of perpetuals",
                "(price − reference) / reference; positive: the perpetual is dearer.",
                lambda ax: plotting.basis(rows, ax=ax),
                rows=rows,
                of="hourly bars with a matching index or spot price",
            ),
            render_figure(
                data,
                "term",
                "Term structure of dated futures",
                "Annualized basis, simple, at the last hour that has one.",
                lambda ax: plotting.basis_term_structure(data.future_prices, ax=ax),
                rows=data.future_prices,
                of="dated futures of this coin",
                window=False,
            ),
        ],
    )


def volatility(data: TearsheetData) -> Section:
    """Build the section on volatility by window and by estimator."""
    bars = data.of_lead(data.year)
    table = key_figures.estimates(data)
    rows = [[label, *cells(table, name, lambda v: percent(v, 1))] for name, label in ESTIMATORS.items()]
    return Section(
        "volatility",
        "Volatility",
        "Per year of 365 days, from daily bars (UTC).",
        [
            render_figure(
                data,
                "cone",
                "Volatility cone",
                f"Close to close, {data.lead_perp}, 365 days: the latest value of each window among all of them.",
                lambda ax: plotting.volatility_cone(bars, interval="1d", ax=ax),
                rows=bars,
                of="daily bars",
                window=False,
            )
        ],
        [DataTable("Estimators, last 30 days", ["", *heads(data)], rows, half=True)],
    )


def liquidity(data: TearsheetData) -> Section:
    """Build the section on liquidity and venues."""
    rows = key_figures.priced_days(data)
    means = key_figures.venue_means(data).rows(named=True)
    grid = DataTable(
        "Volume of a day, mean of the window",
        ["", "USD", "share"],
        [[one["exchange"], format_usd(one["mean_volume_usd"]), percent(one["mean_share"], 1)] for one in means],
        _concentration(rows),
        no_data("volume in dollars"),
        half=True,
    )
    return Section(
        "liquidity",
        "Liquidity and venues",
        "All perpetuals of this coin. Amihud and Corwin-Schultz are among the key figures.",
        [
            render_figure(
                data,
                "share",
                "Share of venues in volume",
                "In dollars, dollar stablecoins counted 1:1; of the venues in the dataset, not of the market.",
                lambda ax: plotting.venue_share(rows, ax=ax),
                rows=rows,
                of="volume in dollars",
            )
        ],
        [grid],
    )


def _concentration(rows: pl.DataFrame) -> str:
    value = herfindahl(rows)["herfindahl"].mean() if rows.height else None
    return f"Concentration (Herfindahl; 1 is one venue alone), mean of the window: {number(value, 3)}."
