"""What ``cexkit demo`` shows: one look at the embedded sample, without a network.

The files are read by polars itself. Loading Ibis and DuckDB would take longer than all the rest of a
command that prints four tables; that both ways give the same numbers is tested.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from cexkit.errors import DatasetError
from cexkit.schema import INSTRUMENT_KEYS, USD_LIKE
from cexkit.schema.asset_class import ASSET_CLASS, CRYPTO, is_included
from cexkit.warehouse.store.layout import MANIFEST
from cexkit.warehouse.store.locations import SAMPLE_ROOT
from cexkit.warehouse.store.manifest import Extent, Manifest, read_manifest

if TYPE_CHECKING:
    import polars as pl

CHART = "cexkit_demo.png"
CHART_COIN = "ETH"

BASIS_TITLE = "Spot-perp basis in bps, close of the last hour"

THREE_LINES = """\
import cexkit
df = cexkit.connect("sample").table("funding_rates", start="{start:%Y-%m-%d}").order_by("timestamp").to_pandas()
df.assign(apr=df.crypto.funding_apr()).pivot_table(index="symbol", columns="exchange", values="apr", aggfunc="last")"""


def demo(folder: Path) -> str:
    """Compute the tables, write the chart into ``folder`` and return the text to show."""
    import polars as pl

    sample = read_manifest(SAMPLE_ROOT / MANIFEST)
    end = Extent.of(sample.select("ohlcv_1m")).end
    funding = _rows(sample, "funding_rates", end - timedelta(days=60))
    funding = funding.with_columns(funding.crypto.funding_apr()).sort("timestamp")
    latest = (
        funding.filter(pl.col("timestamp") >= end.date()).group_by("symbol", "exchange", maintain_order=True).last()
    )
    basis = _basis(sample, end)
    _chart(funding.filter(pl.col("timestamp") >= end.date() - timedelta(days=59), base=CHART_COIN), folder / CHART)
    return "\n\n".join(
        [
            f"cexkit demo: SIMULATED data, made up for trying things out; they end at {end:%Y-%m-%d %H:%M} UTC."
            + _left_out(sample),
            _section("Funding APR in percent, last settlement", _wide(latest, pl.col("funding_apr") * 100, "symbol")),
            _section(BASIS_TITLE + _across_quotes(basis), _wide(basis, "basis_bps")),
            _section("Open interest in million USD, last hour", _wide(_open_interest(sample, end), "usd_million")),
            _section("Liquidations of the last 7 days, by side of the position closed", _liquidations(sample, end)),
            f"Chart: {folder / CHART} ({CHART_COIN} funding APR by venue, the last 60 days)",
            "The first table again, in three lines of Python:\n\n" + THREE_LINES.format(start=end),
        ]
    )


def _rows(sample: Manifest, table: str, start: datetime | None = None) -> pl.DataFrame:
    import polars as pl

    files = [SAMPLE_ROOT / file.path for file in sample.select(table, start=start)]
    rows = pl.read_parquet(files, hive_partitioning=False, glob=False)
    rows = rows if start is None else rows.filter(pl.col("timestamp") >= start)
    return rows.join(_not_coins(sample), on=list(INSTRUMENT_KEYS), how="anti", maintain_order="left")


def _not_coins(sample: Manifest) -> pl.DataFrame:
    """Return the instruments that are known not to be coins: the tables compare coins."""
    import polars as pl

    files = [SAMPLE_ROOT / file.path for file in sample.select("instruments")]
    listed = pl.read_parquet(files, hive_partitioning=False, glob=False, columns=[*INSTRUMENT_KEYS, ASSET_CLASS])
    return listed.filter(~is_included(listed[ASSET_CLASS], CRYPTO))


def _left_out(sample: Manifest) -> str:
    count = _not_coins(sample).height
    return f" {count} instruments known not to be coins are left out." if count else ""


def _wide(frame: pl.DataFrame, value: pl.Expr | str, index: str = "base") -> pl.DataFrame:
    """One row per coin or symbol, one column per venue, blank if a venue does not list it."""
    import polars as pl

    value = pl.col(value) if isinstance(value, str) else value
    cells = frame.sort("base", "exchange").select(
        index, "exchange", cell=value.cast(pl.Decimal(scale=2)).cast(pl.String)
    )
    return cells.pivot(on="exchange", index=index, values="cell", aggregate_function=None).fill_null("")


def _basis(sample: Manifest, end: datetime) -> pl.DataFrame:
    """Perp over spot of the same venue and hour, by the rule of ``market.basis(reference="spot")``, per coin."""
    import polars as pl

    from cexkit.client.references import choose_references

    prices = _rows(sample, "ohlcv_1h", end - timedelta(hours=1))
    listed = _rows(sample, "instruments").select(*INSTRUMENT_KEYS, "asset_class")
    prices = prices.with_columns(price=pl.col("close") / pl.col("multiplier")).join(listed, on=INSTRUMENT_KEYS)
    perps, spots = prices.filter(instrument_type="perp"), prices.filter(instrument_type="spot")
    pairs = spots.with_columns(bars=1, volume="volume_quote")
    chosen = choose_references(perps, perps.select(INSTRUMENT_KEYS).clear(), pairs, USD_LIKE)
    perps = perps.join(chosen.select(*INSTRUMENT_KEYS, "pair", "reference_quote"), on=INSTRUMENT_KEYS)
    references = spots.select("exchange", "timestamp", pair="symbol", reference="price")
    perps = perps.join(references, on=["exchange", "timestamp", "pair"])
    return perps.with_columns(perps.crypto.basis_bps())


def _across_quotes(basis: pl.DataFrame) -> str:
    """Name the venues whose basis combines two quote currencies: it contains the premium of one over the other."""
    import polars as pl

    mixed = basis.filter(pl.col("quote") != pl.col("reference_quote"))
    rows = mixed.select("exchange", "quote", "reference_quote").unique().sort("exchange", "quote", "reference_quote")
    words = [f"{venue}: {quote} perp over {reference} spot" for venue, quote, reference in rows.rows()]
    return f" ({'; '.join(words)})" if words else ""


def _open_interest(sample: Manifest, end: datetime) -> pl.DataFrame:
    import polars as pl

    latest = _rows(sample, "open_interest", end - timedelta(hours=1))
    dollars = latest.filter(pl.col("quote").is_in(USD_LIKE), pl.col("timestamp") == latest["timestamp"].max())
    return dollars.with_columns(usd_million=pl.col("open_interest_quote") / 1e6)


def _liquidations(sample: Manifest, end: datetime) -> pl.DataFrame:
    import polars as pl

    week = _rows(sample, "liquidations", end - timedelta(days=7))
    summary = week.crypto.liquidation_summary(every="1d", by="exchange")
    totals = summary.group_by("exchange", "side", "coverage").agg(
        pl.col("events").sum(), usd_million=pl.col("value_usd").sum() / 1e6
    )
    return totals.select("exchange", "side", "events", "usd_million", "coverage").sort("exchange", "side")


def _section(title: str, frame: pl.DataFrame) -> str:
    import polars as pl

    with pl.Config(
        tbl_rows=-1,
        tbl_cols=-1,
        tbl_hide_dataframe_shape=True,
        tbl_hide_column_data_types=True,
        tbl_formatting="ASCII_MARKDOWN",
        tbl_cell_alignment="RIGHT",
        float_precision=2,
        thousands_separator=",",
    ):
        return f"{title}\n{frame}"


def _chart(funding: pl.DataFrame, path: Path) -> None:
    """Funding of each whole day, per year."""
    # a Figure of its own, not pyplot: no global state and no search for a display
    from matplotlib.figure import Figure

    from cexkit.analytics.plotting import funding_apr

    days = funding.drop("symbol", "funding_apr").crypto.resample(every="1d")
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = funding_apr(days.with_columns(funding_interval_hours=24), ax=figure.subplots())
    axes.set_title(f"{CHART_COIN} perpetuals by UTC day, simulated data", loc="left", fontsize="medium")
    try:
        figure.savefig(path, dpi=120)
    except OSError as error:
        raise DatasetError(
            f"could not write to {path}: {error.strerror or error}; name another with --folder"
        ) from error
