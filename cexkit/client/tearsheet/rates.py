"""Price, funding, basis, volatility, and where it trades."""

from __future__ import annotations

import polars as pl

from cexkit.analytics import plotting
from cexkit.analytics.cross_venue import herfindahl
from cexkit.client.tearsheet import key_figures
from cexkit.client.tearsheet.components import Grid, Section, cells, drawn, heads, no_data
from cexkit.client.tearsheet.data import Facts
from cexkit.client.tearsheet.formatting import money, number, percent

ESTIMATORS = {
    "close": "Close to close",
    "parkinson": "Parkinson",
    "garman_klass": "Garman-Klass",
    "rogers_satchell": "Rogers-Satchell",
    "yang_zhang": "Yang-Zhang",
}


def price(facts: Facts) -> Section:
    """Price and open interest."""
    # four snapshots a day are as many as can be seen
    interest = facts.open_interest.filter(pl.col("timestamp").dt.hour() % 6 == 0)
    year = facts.of_lead(facts.year)
    return Section(
        "price",
        "Price and open interest",
        f"The price is the daily close of {facts.lead}.",
        [
            drawn(
                facts,
                "interest",
                "Open interest by venue, with the price",
                "All perpetuals, in dollars, one-sided. Blank where a venue has no snapshot.",
                lambda ax: plotting.open_interest(interest, prices=facts.closes, ax=ax),
                rows=interest,
                of="open interest",
            ),
            drawn(
                facts,
                "drawdown",
                "Drawdown of the year",
                f"From the highest close of the 365 days before the end of the window, {facts.lead}.",
                lambda ax: plotting.drawdown(year, ax=ax),
                rows=year,
                of="daily bars",
                window=False,
            ),
        ],
    )


def funding(facts: Facts) -> Section:
    """Funding per year, what it came to, and how it compares with other coins."""
    rows = facts.of_mains(facts.funding)
    return Section(
        "funding",
        "Funding",
        "Settled rates, each brought to a year by its own interval. Positive: longs pay shorts.",
        [
            drawn(
                facts,
                "apr",
                "Funding APR by venue",
                "Simple, not compounded. Gaps in the data stay gaps.",
                lambda ax: plotting.funding_apr(rows, ax=ax),
                rows=rows,
                of="funding",
            ),
            drawn(
                facts,
                "paid",
                "Funding paid by a long, cumulative",
                "Sum of the settled rates since the start of the window, of the value of the position.",
                lambda ax: plotting.cumulative_funding(rows, ax=ax),
                rows=rows,
                of="funding",
            ),
            drawn(
                facts,
                "band",
                "Funding APR against all other coins",
                f"Mean of each UTC day. Each of the others ({key_figures.others(facts)}) has one vote in the band.",
                lambda ax: plotting.funding_band(_compared(facts), base=facts.base, ax=ax),
                rows=rows,
                of="funding",
            ),
        ],
        [_against(facts)],
    )


def _compared(facts: Facts) -> pl.DataFrame:
    """All funding, of the coin itself the main perpetuals, under the coin's name: the venue is all that tells them."""
    keys = ["exchange", "symbol"]
    own = facts.all_funding.join(facts.mains.select(keys), on=keys, how="semi")
    own = own.with_columns(symbol=pl.lit(facts.base))
    return pl.concat([facts.all_funding.filter(pl.col("base") != facts.base), own])


def _against(facts: Facts) -> Grid:
    table = facts.mains.select("exchange").join(key_figures.against_others(facts), on="exchange", maintain_order="left")
    rows = [
        [one["exchange"], percent(one["recent_apr"]), percent(one["above"], 0), percent(one["median"])]
        for one in table.rows(named=True)
    ]
    head = ["", "APR, mean of 7 days", "higher than", "median of others"]
    note = f"Higher than this share of {key_figures.others(facts)} perpetuals of other coins; of equal ones half count."
    return Grid("The last 7 days against other coins", head, rows, note, no_data("funding"), half=True)


def basis(facts: Facts) -> Section:
    """Distance from index or spot, and of dated futures by expiry."""
    rows = facts.of_mains(facts.basis_prices)
    names = dict(rows.group_by("exchange").agg(pl.col("reference_name").first()).sort("exchange").rows())
    beside = ", ".join(f"{venue} over its {name}" for venue, name in names.items())
    without = ", ".join(venue for venue in facts.mains["exchange"] if venue not in names)
    lead = f"Hourly closes of perpetuals: {beside or 'none'}."
    return Section(
        "basis",
        "Basis",
        f"{lead} Without prices to compare: {without}." if without else lead,
        [
            drawn(
                facts,
                "basis",
                "Basis of perpetuals",
                "(price − reference) / reference; positive: the perpetual is dearer.",
                lambda ax: plotting.basis(rows, ax=ax),
                rows=rows,
                of="hourly bars with an index or spot price beside them",
            ),
            drawn(
                facts,
                "term",
                "Term structure of dated futures",
                "Annualized basis, simple, at the last hour that has one.",
                lambda ax: plotting.basis_term_structure(facts.future_prices, ax=ax),
                rows=facts.future_prices,
                of="dated futures of this coin",
                window=False,
            ),
        ],
    )


def volatility(facts: Facts) -> Section:
    """Volatility by window and by estimator."""
    bars = facts.of_lead(facts.year)
    table = key_figures.estimates(facts)
    rows = [[label, *cells(table, name, lambda v: percent(v, 1))] for name, label in ESTIMATORS.items()]
    return Section(
        "volatility",
        "Volatility",
        "Per year of 365 days, from daily bars (UTC).",
        [
            drawn(
                facts,
                "cone",
                "Volatility cone",
                f"Close to close, {facts.lead}, 365 days: the latest value of each window among all of them.",
                lambda ax: plotting.volatility_cone(bars, interval="1d", ax=ax),
                rows=bars,
                of="daily bars",
                window=False,
            )
        ],
        [Grid("Estimators, last 30 days", ["", *heads(facts)], rows, half=True)],
    )


def liquidity(facts: Facts) -> Section:
    """Where it trades."""
    rows = facts.daily
    means = key_figures.venue_means(facts).rows(named=True)
    grid = Grid(
        "Volume of a day, mean of the window",
        ["", "USD", "share"],
        [[one["exchange"], money(one["mean_volume_usd"]), percent(one["mean_share"], 1)] for one in means],
        _concentration(rows),
        no_data("daily bars"),
        half=True,
    )
    return Section(
        "liquidity",
        "Liquidity and venues",
        "All perpetuals of this coin. Amihud and Corwin-Schultz are among the key figures.",
        [
            drawn(
                facts,
                "share",
                "Share of venues in volume",
                "In dollars, dollar stablecoins taken 1:1; of the venues in the dataset, not of the market.",
                lambda ax: plotting.venue_share(rows, ax=ax),
                rows=rows,
                of="daily bars",
            )
        ],
        [grid],
    )


def _concentration(rows: pl.DataFrame) -> str:
    value = herfindahl(rows)["herfindahl"].mean() if rows.height else None
    return f"Concentration (Herfindahl; 1 is one venue alone), mean of the window: {number(value, 3)}."
