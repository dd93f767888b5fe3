"""Who opened and closed positions, and who was made to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cexkit.analytics import plotting
from cexkit.client.tearsheet import key_figures
from cexkit.client.tearsheet.components import DataTable, Section, no_data, render_figure
from cexkit.client.tearsheet.data import TearsheetData
from cexkit.client.tearsheet.formatting import UNKNOWN, at_least, format_usd, number, percent

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.axes import Axes


def positions(data: TearsheetData) -> Section:
    """Who moved the price."""
    rows = data.positions
    of = "open interest at midnight with daily closes beside it"
    return Section(
        "positions",
        "Open-interest quadrants",
        f"Day by day at {data.lead_perp}: the sign of the change of price with that of open interest in coins.",
        [
            render_figure(
                data,
                "timeline",
                "Quadrants over time",
                "Filled: positions were opened. Hatched: they were closed.",
                lambda ax: plotting.oi_timeline(rows, ax=ax),
                rows=rows,
                of=of,
            ),
            render_figure(
                data,
                "quadrants",
                "Price against open interest",
                "One point a day, and how many days each corner has. Hollow: positions were closed.",
                lambda ax: plotting.oi_quadrants(rows, ax=ax),
                rows=rows,
                of=of,
                window=False,
            ),
        ],
    )


def liquidations(data: TearsheetData) -> Section:
    """Forced closings, with what is known of how complete they are."""
    rows = data.liquidations
    return Section(
        "liquidations",
        "Liquidations",
        "The side is that of the position that was closed. Where a venue’s feed is throttled, it shows a part of what "
        "happened, and every total is a lower bound (≥); where coverage is absent, nothing is known.",
        [
            render_figure(
                data,
                "forced",
                "Liquidated value by side, with the price",
                f"All venues that report it, per UTC day. Price: {data.lead_perp}, daily close.",
                lambda ax: plotting.liquidations(rows.drop("multiplier"), prices=data.closes, ax=ax),
                rows=rows,
                of="liquidations",
            ),
            render_figure(
                data,
                "heat",
                "Liquidated value by time and price",
                "Events that took place, per UTC day and 1 % of price. Nothing is predicted.",
                lambda ax: _heat(rows, ax),
                rows=rows,
                of="liquidations",
            ),
        ],
        [_coverage(data), _cascades(data)],
    )


def _heat(rows: pl.DataFrame, ax: Axes) -> None:
    # dark is most on a light ground; the page behind may be dark
    ax.set_facecolor("#f3f3f1")
    plotting.liquidation_heatmap(rows, ax=ax)


def _coverage(data: TearsheetData) -> DataTable:
    rows = []
    for one in key_figures.liquidated(data).rows(named=True):
        flag = one["coverage"] or "absent"
        values = [
            at_least(one[f"{side}_{what}"], flag, words)
            for side in ("long", "short")
            for what, words in (("events", number), ("value_usd", format_usd))
        ]
        rows.append([one["exchange"], flag, *values])
    head = ["", "coverage", "long, events", "long, USD", "short, events", "short, USD"]
    note = (
        "full: every event is there. throttled: only a part is. absent: the dataset has no liquidations of the coin at "
        f"this venue, which is not to say that there were none. unknown: nobody said. {UNKNOWN} is unknown."
    )
    return DataTable("By venue, and how complete", head, rows, note)


def _cascades(data: TearsheetData) -> DataTable:
    title = "Largest cascades"
    head = ["start (UTC)", "seconds", "events", "USD", "longs, USD", "shorts, USD", "price", "change of OI", "venues"]
    if not data.liquidations.height:
        return DataTable(title, head, [], missing=no_data("liquidations"))
    found = key_figures.cascades(data)
    rows = [
        [
            f"{one['start']:%Y-%m-%d %H:%M:%S}",
            number(one["duration_seconds"], 3),
            number(one["events"]),
            *(at_least(one[name], one["coverage"]) for name in ("value_usd", "long_value_usd", "short_value_usd")),
            percent(one["price_move"]),
            UNKNOWN if one["oi_change"] is None else f"{format_usd(one['oi_change'])} coins",
            number(one["venues"]),
        ]
        for one in found.head(8).rows(named=True)
    ]
    note = (
        f"{found.height} cascades in the window: three events or more, over all venues, each at most 60 s after "
        "the one before. The price is that of the last event against the first. ≥ marks values of throttled feeds."
    )
    missing = "None: no three events of this window follow each other within 60 s."
    return DataTable(title, head, rows, note, missing)
