"""Gold tables from Silver ones: plain functions, polars in, polars out.

Each takes frames or lazy frames with the declared columns of its Silver tables and returns an eager frame with the
declared columns of its Gold table, in the order of its key. Whoever stores them decides when to call them.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from cexkit.errors import SchemaError
from cexkit.schema import INSTRUMENT_KEYS, TABLES, USD_LIKE, Table
from cexkit.schema.asset_class import ASSET_CLASS, check_asset_class, is_included, warn_of_excluded
from cexkit.schema.render import to_polars
from cexkit.warehouse.units import with_multiplier

Frame = pl.DataFrame | pl.LazyFrame

_COVERAGE = TABLES["liquidations"].fields[TABLES["liquidations"].columns.index("coverage")].values


def funding_weighted_8h(
    funding_rates: Frame,
    open_interest: Frame,
    instruments: Frame | None = None,
    *,
    tolerance_hours: float = 1.0,
    asset_class: str | None = "crypto",
) -> pl.DataFrame:
    """Funding per 8 hours of each coin over all venues, weighted by open interest.

    At each end ``t`` of 8 hours (00, 08, 16 UTC): of every perp, the rates settled in ``(t − 8 h, t]`` are summed and
    scaled to 8 hours by the hours they cover; these are averaged with the value of the perp's open interest at ``t`` as
    weight. Rates of one moment are never compared, for at most moments only some venues settle.

    Parameters
    ----------
    funding_rates : polars.DataFrame or polars.LazyFrame
        Table ``funding_rates``. Where ``funding_interval_hours`` is null it is derived from the times.
    open_interest : polars.DataFrame or polars.LazyFrame
        Table ``open_interest``. The weight is the last ``open_interest_quote`` (a value, so multipliers do not matter)
        in ``[t − tolerance, t]``. Only quotes taken as US dollars count (``USD_LIKE``).
    instruments : polars.DataFrame or polars.LazyFrame, optional
        Table ``instruments``, which states classes. Default: no class is known, and all instruments count.
    tolerance_hours : float
        How old a snapshot may be.
    asset_class : str or None, default "crypto"
        ``"crypto"`` leaves out instruments known to be of another class, because a base can be a coin and a company;
        null and unknown classes stay. Any other class keeps only instruments known to be of it. None keeps all.

    Returns
    -------
    polars.DataFrame
        Table ``funding_weighted_8h``. A perp that has less than half of its 8 hours covered leaves both sums;
        ``weight_coverage`` is the share of the weight at ``t`` that stayed. There is no row where no weight is known,
        where no perp went in, where the value of some perp's open interest is null (its share cannot be known), or
        after the last settlement there is.

    Warns
    -----
    ExcludedInstrumentsWarning
        If instruments with rows are left out because of their class, with their number.

    Examples
    --------
    >>> from cexkit.testing.simulation import simulate
    >>> tables = simulate(start="2026-05-02", end="2026-05-04", coins=["BTC"]).tables
    >>> funding_weighted_8h(tables["funding_rates"], tables["open_interest"]).select("venues", "quotes").row(1)
    (4, 'USDC+USDT')
    """
    from cexkit.analytics.funding.weighted import weighted_funding

    if instruments is not None:
        frames = [funding_rates, open_interest]
        funding_rates, open_interest = _of_class(frames, instruments, asset_class, "funding_weighted_8h")
    interest = open_interest.lazy().filter(pl.col("instrument_type") == "perp", pl.col("quote").is_in(USD_LIKE))
    interest = _in_order(interest.select(*_LEG, "timestamp", "open_interest_quote"))
    rates = funding_rates.lazy().select(*_LEG, "timestamp", "funding_rate", "funding_interval_hours")
    rows = rates.join(interest.lazy(), on=[*_LEG, "timestamp"], how="full", coalesce=True)
    seconds = round(tolerance_hours * 3600)
    weighted = weighted_funding(_in_order(rows), weight="open_interest_quote", tolerance=f"{seconds}s")
    weighted = weighted.rename({"coverage": "weight_coverage"})
    unknown = _without_value(interest, seconds)
    return _finished(weighted.join(unknown, on=["base", "timestamp"], how="anti"), TABLES["funding_weighted_8h"])


_LEG = (*INSTRUMENT_KEYS, "base", "quote")


def _without_value(interest: pl.DataFrame, tolerance_seconds: int) -> pl.DataFrame:
    """Bases and ends of 8 hours at which the last snapshot of some perp has no value."""
    end = (pl.col("timestamp") - pl.duration(microseconds=1)).dt.truncate("8h").dt.offset_by("8h")
    recent = interest.with_columns(end.alias("end")).filter(
        pl.col("end") - pl.col("timestamp") <= pl.duration(seconds=tolerance_seconds)
    )
    last = recent.group_by(*_LEG, "end").agg(pl.col("open_interest_quote").sort_by("timestamp").last())
    return last.filter(pl.col("open_interest_quote").is_null()).select("base", timestamp="end").unique()


def _of_class(frames: Sequence[Frame], instruments: Frame, asset_class: str | None, name: str) -> list[pl.LazyFrame]:
    """Return the rows of instruments that a class includes; warn of the others that have rows."""
    keys, rows = list(INSTRUMENT_KEYS), [frame.lazy() for frame in frames]
    if check_asset_class(asset_class) is None or ASSET_CLASS not in instruments.lazy().collect_schema():
        return rows
    listed = instruments.lazy().select(*keys, ASSET_CLASS).unique(keys, keep="last", maintain_order=True).collect()
    others = listed.filter(~is_included(listed[ASSET_CLASS], asset_class)).lazy()
    present = pl.concat([frame.select(keys) for frame in rows]).unique()
    warn_of_excluded(name, others.join(present, on=keys, how="semi").collect()[ASSET_CLASS], asset_class)
    return [frame.join(others, on=keys, how="anti", maintain_order="left") for frame in rows]


def ohlcv_1d_composite(
    ohlcv_1d: Frame,
    instruments: Frame,
    instrument_periods: Frame | None = None,
    *,
    asset_class: str | None = "crypto",
) -> pl.DataFrame:
    """Daily spot bars of each coin over all venues.

    Parameters
    ----------
    ohlcv_1d : polars.DataFrame or polars.LazyFrame
        Table ``ohlcv_1d``; only spot bars with a quote taken as US dollars (``USD_LIKE``) are used.
    instruments : polars.DataFrame or polars.LazyFrame
        Table ``instruments``. Prices are divided and volumes multiplied by the ``multiplier`` of the bar, so that all
        are per coin; if it is null, by the multiplier of the bar's period, or else by the one in this table.
    instrument_periods : polars.DataFrame or polars.LazyFrame, optional
        Table ``instrument_periods``.
    asset_class : str or None, default "crypto"
        ``"crypto"`` leaves out instruments known to be of another class, because a base can be a coin and a company;
        null and unknown classes stay. Any other class keeps only instruments known to be of it. None keeps all.

    Returns
    -------
    polars.DataFrame
        Table ``ohlcv_1d_composite``: medians over venues (a venue with several pairs of a coin counts once, with the
        median of these), summed volume in coins, and ``dispersion_bps``, the largest distance of a venue's close from
        the median close; null for one venue.

    Raises
    ------
    SchemaError
        If a bar has no multiplier and its instrument is not in ``instruments``: its unit is not known.

    Warns
    -----
    ExcludedInstrumentsWarning
        If instruments with rows are left out because of their class, with their number.

    Examples
    --------
    >>> from cexkit.testing.simulation import simulate
    >>> tables = simulate(start="2026-05-02", end="2026-05-03", coins=["BTC"]).tables
    >>> ohlcv_1d_composite(tables["ohlcv_1d"], tables["instruments"]).select("venues", "quotes").row(0)
    (4, 'USD+USDT')
    """
    prices = ("open", "high", "low", "close")
    spot = ohlcv_1d.lazy().filter(pl.col("instrument_type") == "spot", pl.col("quote").is_in(USD_LIKE))
    (bars,) = _of_class([spot], instruments, asset_class, "ohlcv_1d_composite")
    periods = None if instrument_periods is None else instrument_periods.lazy()
    bars = _all_known(with_multiplier(bars, instruments.lazy(), periods).collect())
    venues = (
        _in_order(bars)
        .group_by("base", "timestamp", "exchange", maintain_order=True)
        .agg(
            *((pl.col(name) / pl.col("multiplier")).median() for name in prices),
            (pl.col("volume_base") * pl.col("multiplier")).sum(),
            pl.col("quote").unique(),
        )
    )
    venues = venues.sort("exchange")
    dispersion = ((pl.col("close") - pl.col("close").median()).abs() / pl.col("close").median()).max() * 1e4
    rows = venues.group_by("base", "timestamp", maintain_order=True).agg(
        *(pl.col(name).median() for name in prices),
        pl.col("volume_base").sum(),
        pl.len().cast(pl.Int64).alias("venues"),
        pl.col("quote").explode().unique().sort().str.join("+").alias("quotes"),
        pl.when(pl.len() > 1).then(dispersion).alias("dispersion_bps"),
    )
    return _finished(rows, TABLES["ohlcv_1d_composite"])


def _all_known(bars: pl.DataFrame) -> pl.DataFrame:
    unknown = bars.filter(pl.col("multiplier").is_null()).select(INSTRUMENT_KEYS).unique().sort(INSTRUMENT_KEYS)
    if unknown.height:
        names = "; ".join(" ".join(row) for row in unknown.head(5).rows())
        raise SchemaError(f"ohlcv_1d: {unknown.height} instruments are not in table instruments: {names}")
    return bars


def liquidations_1d(liquidations: Frame) -> pl.DataFrame:
    """Liquidations per instrument, UTC day and side of the position.

    Parameters
    ----------
    liquidations : polars.DataFrame or polars.LazyFrame
        Table ``liquidations``.

    Returns
    -------
    polars.DataFrame
        Table ``liquidations_1d``. ``coverage`` is the worst of its events: totals that contain ``throttled`` ones are
        lower bounds. Days and sides without events have no row.

    Examples
    --------
    >>> from cexkit.testing.simulation import simulate
    >>> market = simulate(start="2026-05-20", end="2026-05-21", coins=["BTC"], exchanges=["okx"])
    >>> liquidations_1d(market.tables["liquidations"]).select("side", "coverage").rows()
    [('long', 'throttled'), ('short', 'throttled')]
    """
    worst = pl.col("coverage").replace_strict({value: rank for rank, value in enumerate(_COVERAGE)}).max()
    rows = _in_order(liquidations, TABLES["liquidations"].key).with_columns(pl.col("timestamp").dt.truncate("1d"))
    rows = rows.group_by(*INSTRUMENT_KEYS, "base", "quote", "timestamp", "side", maintain_order=True).agg(
        pl.len().cast(pl.Int64).alias("events"),
        pl.col("quantity_base", "value_quote").sum(),
        worst.replace_strict(dict(enumerate(_COVERAGE)), return_dtype=pl.String),
    )
    return _finished(rows, TABLES["liquidations_1d"])


def _in_order(rows: Frame, by: Sequence[str] = (*INSTRUMENT_KEYS, "timestamp")) -> pl.DataFrame:
    """Rows sorted at once, so that sums are added in the same order each time; a lazy sort is optimized away."""
    return rows.lazy().collect().sort(by)


def _finished(rows: Frame, table: Table) -> pl.DataFrame:
    schema = to_polars(table)
    return rows.lazy().select(schema.names()).cast(dict(schema)).sort(table.key).collect()
